use std::fs;
use std::sync::Arc;

use super::*;
use crate::group::example::trajectory;
use crate::sandbox::SandboxError;

const PLACE: Place = Place { retry: 7, queue: Queue::Deep, group: Some(3), step: Some(40) };

fn second(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn attempt(resolved: bool, stop: Stop) -> Result<Attempt, Lost> {
    let mut trajectory = trajectory("money.compare__1", resolved, 2, stop);
    trajectory.patch = resolved.then(|| data::Patch::between("a.py", "x\n", "y\n"));
    let wall = Duration::from_millis(412);
    Ok(Attempt { trajectory, test: "test_cli.py::test_upload".into(), trace_bytes: 812, cached: false, wall })
}

fn lost() -> Result<Attempt, Lost> {
    let source = Arc::new(SandboxError::Environment("no python".into()));
    Err(Lost::Sandbox { task_id: "money.compare__1".into(), source })
}

/// A path of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Scratch(std::env::temp_dir().join(format!("record-{name}-{}.jsonl", std::process::id())))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("reads")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_line_holds_the_keys_in_the_stated_order() {
    let record = Record::of(second(1_765_376_621), PLACE, &attempt(true, Stop::EndOfTurn));
    let sha = data::Patch::between("a.py", "x\n", "y\n").sha();
    let expected = format!(r#"{{"ts":"2025-12-10T14:23:41Z","retry":7,"queue":"Deep","patch_sha":"{sha}","#)
        + r#""test":"test_cli.py::test_upload","status":"PASS","trace_bytes":812,"task":"money.compare__1","#
        + r#""group":3,"step":40,"reward":1.0,"stop":"end_of_turn","cached":false,"wall_ms":412,"answer":"3|x"}"#;
    assert_eq!(serde_json::to_string(&record).expect("prints"), expected);
    assert_eq!(serde_json::from_str::<Record>(&expected).expect("reads"), record);
}

#[test]
fn a_lost_try_has_a_line_but_no_reward() {
    let record = Record::of(second(0), PLACE, &lost());
    assert_eq!((record.status, record.reward, record.stop), (Status::Lost, None, None));
    assert_eq!(record.task, "money.compare__1");
}

#[test]
fn an_answer_that_was_cut_off_has_a_status_of_its_own() {
    let status = |stop| Record::of(second(0), PLACE, &attempt(false, stop)).status;
    assert_eq!(status(Stop::EndOfTurn), Status::NoPatch);
    assert_eq!(status(Stop::Length), Status::Truncated);
    assert_eq!(status(Stop::Context), Status::Truncated);
}

#[test]
fn a_status_is_printed_as_it_is_named() {
    let all = [
        Status::Pass,
        Status::Fail,
        Status::Broke,
        Status::Timeout,
        Status::Oom,
        Status::Crash,
        Status::NotApplied,
        Status::NoPatch,
        Status::Truncated,
        Status::Lost,
    ];
    for status in all {
        assert_eq!(serde_json::to_string(&status).expect("prints"), format!("\"{}\"", status.name()));
    }
}

#[test]
fn timestamps_are_right_around_leap_days_and_centuries() {
    let expected = [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_709_164_800, "2024-02-29T00:00:00Z"),
        (1_735_689_599, "2024-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ];
    for (seconds, text) in expected {
        assert_eq!(timestamp(second(seconds)), text);
    }
    assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
}

#[test]
fn a_line_torn_by_a_kill_is_dropped_on_reopening() {
    let path = Scratch::new("torn");
    let mut log = Log::open(&path.0).expect("opens");
    log.write(&1).expect("writes");
    drop(log);
    // Longer than one piece that is read from the end.
    let torn = format!("1\n\"{}", "x".repeat(200_000));
    fs::write(&path.0, torn).expect("writes");
    let mut log = Log::open(&path.0).expect("opens");
    assert_eq!(log.offset(), 2);
    log.write(&2).expect("writes");
    assert_eq!(path.text(), "1\n2\n");
}

#[test]
fn a_log_of_one_torn_line_is_empty_after_reopening() {
    let path = Scratch::new("only-torn");
    fs::write(&path.0, "{\"ts\":").expect("writes");
    assert_eq!(Log::open(&path.0).expect("opens").offset(), 0);
    assert_eq!(path.text(), "");
}

#[test]
fn a_resumed_log_holds_no_line_twice() {
    let path = Scratch::new("resumed");
    let mut log = Log::open(&path.0).expect("opens");
    log.write(&10).expect("writes");
    log.sync().expect("syncs");
    let checkpoint = log.offset();
    log.write(&11).expect("writes");
    drop(log);
    fs::OpenOptions::new().append(true).open(&path.0).expect("opens").write_all(b"12").expect("tears");
    let mut log = Log::resume(&path.0, checkpoint).expect("resumes");
    log.write(&11).expect("writes");
    log.write(&12).expect("writes");
    assert_eq!(path.text(), "10\n11\n12\n");
    assert_eq!(log.offset(), 9);
}

#[test]
fn a_log_that_is_not_the_checkpoints_is_refused_and_left_alone() {
    let path = Scratch::new("foreign");
    fs::write(&path.0, "10\n11\n").expect("writes");
    let refused = |offset| Log::resume(&path.0, offset).expect_err("refused").to_string();
    assert!(refused(7).ends_with("it has 6 bytes, but the checkpoint counts 7"), "{}", refused(7));
    assert!(refused(4).contains("no line ends at byte 4"), "{}", refused(4));
    assert_eq!(path.text(), "10\n11\n");
    let missing = Scratch::new("missing");
    assert!(Log::resume(&missing.0, 3).is_err());
    assert!(!missing.0.exists());
    assert_eq!(Log::resume(&missing.0, 0).expect("a new log").offset(), 0);
}

/// Not a claim, but the process that [`a_killed_writer_leaves_whole_lines`] kills.
#[test]
fn writer_to_be_killed() {
    let Some(path) = std::env::var_os("RECORD_TEST_LOG") else { return };
    let mut log = Log::open(Path::new(&path)).expect("opens");
    (0..20_000_u64).for_each(|number| log.write(&(number, "x".repeat(5_000))).expect("writes"));
}

#[test]
fn a_killed_writer_leaves_whole_lines() {
    let path = Scratch::new("killed");
    for _ in 0..5 {
        let mut writer = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "record::tests::writer_to_be_killed"])
            .env("RECORD_TEST_LOG", &path.0)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        let before = fs::metadata(&path.0).map_or(0, |file| file.len());
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while fs::metadata(&path.0).map_or(0, |file| file.len()) < before + 100_000 {
            assert!(std::time::Instant::now() < deadline, "the writer wrote nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        writer.kill().expect("kill -9");
        writer.wait().expect("dead");
        let offset = Log::open(&path.0).expect("opens").offset();
        assert!(offset >= before);
    }
    let text = path.text();
    assert!(text.ends_with('\n') && text.lines().count() > 50);
    text.lines().for_each(|line| {
        serde_json::from_str::<(u64, String)>(line).expect("a whole line");
    });
}

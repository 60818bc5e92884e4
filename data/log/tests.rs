use std::fs;
use std::time::Duration;

use super::*;

/// A path of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Scratch(std::env::temp_dir().join(format!("log-{name}-{}.jsonl", std::process::id())))
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
        assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
    }
    assert_eq!(
        timestamp(UNIX_EPOCH - Duration::from_secs(1)),
        "1970-01-01T00:00:00Z"
    );
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
    fs::OpenOptions::new()
        .append(true)
        .open(&path.0)
        .expect("opens")
        .write_all(b"12")
        .expect("tears");
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
    let refused = |offset| {
        Log::resume(&path.0, offset)
            .expect_err("refused")
            .to_string()
    };
    assert!(
        refused(7).ends_with("it has 6 bytes, but the checkpoint counts 7"),
        "{}",
        refused(7)
    );
    assert!(
        refused(4).contains("no line ends at byte 4"),
        "{}",
        refused(4)
    );
    assert_eq!(path.text(), "10\n11\n");
    let missing = Scratch::new("missing");
    assert!(Log::resume(&missing.0, 3).is_err());
    assert!(!missing.0.exists());
    assert_eq!(Log::resume(&missing.0, 0).expect("a new log").offset(), 0);
}

/// Not a claim, but the process that [`a_killed_writer_leaves_whole_lines`] kills.
#[test]
fn writer_to_be_killed() {
    let Some(path) = std::env::var_os("LOG_TEST_FILE") else {
        return;
    };
    let mut log = Log::open(Path::new(&path)).expect("opens");
    (0..20_000_u64).for_each(|number| log.write(&(number, "x".repeat(5_000))).expect("writes"));
}

#[test]
fn a_killed_writer_leaves_whole_lines() {
    let path = Scratch::new("killed");
    for _ in 0..5 {
        let mut writer = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "log::tests::writer_to_be_killed"])
            .env("LOG_TEST_FILE", &path.0)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        let before = fs::metadata(&path.0).map_or(0, |file| file.len());
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while fs::metadata(&path.0).map_or(0, |file| file.len()) < before + 100_000 {
            assert!(
                std::time::Instant::now() < deadline,
                "the writer wrote nothing"
            );
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

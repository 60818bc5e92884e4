use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use super::*;
use crate::watch::gpu::{GpuProbe, Replay};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("watch-{}-{number}", std::process::id())))
    }

    fn open(&self, forget_oom: bool) -> Result<Watcher, WatchError> {
        Watcher::open(
            &self.0,
            "grade",
            &WatchConfig::default(),
            4,
            forget_oom,
            |_| (),
        )
    }

    /// Every event without its time.
    fn events(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join(EVENTS_FILE)).expect("events");
        text.lines()
            .map(|line| line.split_once("\"flow\"").expect("a flow").1.to_owned())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn second(at: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(at)
}

#[test]
fn the_fourth_kill_stops_the_flow_until_somebody_says_that_it_may_go_on() {
    let folder = Folder::new();
    let watcher = folder.open(false).expect("opens");
    for at in 0..3 {
        watcher.oom_kill(second(at), "a").expect("writes");
    }
    assert_eq!(watcher.stopped(), None);
    drop(watcher);
    // The count outlives the process.
    let watcher = folder.open(false).expect("opens");
    watcher.oom_kill(second(3), "b").expect("writes");
    let stopped = Stopped {
        kills: 4,
        within_s: 3600,
        tasks: vec!["a".into(), "b".into()],
    };
    assert_eq!(watcher.stopped(), Some(stopped.clone()));
    assert_eq!(
        folder.events().last().expect("one"),
        r#":"grade","rule":"oom_stop","tasks":["a","b"]}"#
    );
    let Err(WatchError::Stopped(again)) = folder.open(false) else {
        panic!("goes on")
    };
    assert_eq!(again, stopped);
    assert!(again.to_string().contains("a, b\nhint: "), "{again}");
    assert_eq!(folder.open(true).expect("opens").stopped(), None);
    assert!(folder.open(false).is_ok(), "forgotten for good");
}

#[test]
fn a_slow_checkpoint_is_told_with_its_size_and_one_of_a_second_is_not() {
    let folder = Folder::new();
    let watcher = folder.open(false).expect("opens");
    let path = Path::new("run/step-000001");
    watcher
        .checkpoint(path, 1 << 30, Duration::from_secs(1))
        .expect("writes");
    assert!(folder.events().is_empty());
    watcher
        .checkpoint(path, 100 << 20, Duration::from_secs(2))
        .expect("writes");
    let told = r#":"grade","rule":"slow_checkpoint","path":"run/step-000001","bytes":104857600,"seconds":2.0,"mib_per_s":50.0}"#;
    assert_eq!(folder.events(), [told]);
}

#[test]
fn a_gpu_that_stays_full_is_an_alarm_and_its_neighbour_is_none() {
    let folder = Folder::new();
    let watcher = folder.open(false).expect("opens");
    let of = |used| Some(GpuMemory { used, total: 100 });
    let mut probe = Replay::new((0..=60).map(|_| vec![of(91), of(90), None]));
    for at in (0..=300).step_by(5) {
        watcher
            .gpus(Duration::from_secs(at), &probe.memory())
            .expect("writes");
    }
    let told = r#":"grade","rule":"gpu_memory","change":"raised","gpu":0,"used_bytes":91,"total_bytes":100}"#;
    assert_eq!(folder.events(), [told]);
    watcher
        .gpus(Duration::from_secs(305), &probe.memory())
        .expect("no GPU any more is no fault");
}

#[test]
fn busy_tests_are_slowed_down_beside_a_trainer_and_only_told_where_nothing_else_runs() {
    for (flow, allowed, event) in [
        (
            "grpo",
            3,
            r#":"grpo","rule":"cpu","share":0.95,"workers":3,"quota":0.5}"#,
        ),
        (
            "grade",
            4,
            r#":"grade","rule":"cpu","share":0.95,"workers":4,"quota":1.0}"#,
        ),
    ] {
        let folder = Folder::new();
        let watcher = Watcher::open(&folder.0, flow, &WatchConfig::default(), 4, false, |_| ())
            .expect("opens");
        for at in (0..=120).step_by(5) {
            watcher
                .load(Duration::from_secs(at), Some(0.95))
                .expect("writes");
        }
        assert_eq!(watcher.pace().allowed().workers, allowed);
        assert_eq!(folder.events(), [event]);
        watcher
            .load(Duration::from_secs(125), None)
            .expect("no number is no fault");
    }
}

#[test]
fn a_count_that_is_damaged_is_named() {
    let folder = Folder::new();
    std::fs::create_dir_all(&folder.0).expect("a folder");
    std::fs::write(folder.0.join("oom_grade.json"), "{").expect("writes");
    let said = folder
        .open(false)
        .map(drop)
        .expect_err("refused")
        .to_string();
    assert!(
        said.contains("oom_grade.json") && said.contains("hint: "),
        "{said}"
    );
}

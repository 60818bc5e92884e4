//! Whoever owns a sandbox may be killed at any moment: nothing of it is left two seconds later.
//!
//! Twenty rounds; `SANDBOX_KILL_ROUNDS=200` for more.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[path = "sandbox/runs.rs"]
#[allow(dead_code)]
mod runs;
#[path = "sandbox/support.rs"]
#[allow(dead_code, unused_imports)]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, waitpid};
use sandbox::Sandbox;
use sandbox::embedded::Embedded;
use support::*;

const ROLE: &str = "SANDBOX_KILL_ROLE";
const ROUNDS: &str = "SANDBOX_KILL_ROUNDS";
/// What is left is waited for so long: how soon it goes is told and not judged.
const LEFT: Duration = Duration::from_secs(120);
/// A machine may be busy with something else.
const BEGIN: Duration = Duration::from_secs(300);

/// What is killed: two jobs at a time, with processes that leave their session and ignore what is asked of them.
fn owner(word: &str) {
    let text = format!(
        r#"
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def test_a():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv("/bin/sh", ["{word}", "-c", "trap '' TERM HUP INT; while :; do sleep 1000; done"])
            os._exit(0)
    time.sleep(5)
"#
    );
    let python = python().unwrap();
    // From here on all that it starts is the sandbox's.
    std::fs::write(mark(word), "").unwrap();
    let sandbox = Embedded::new(options(python)).unwrap();
    let tree = Tree::new(&[("test_it.py", &text)]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    sandbox.run(&tree.job()).unwrap();
                }
            });
        }
    });
}

/// Killed at the latest when the test is over.
struct Owner(Child);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The file that an owner makes before its sandbox.
fn mark(word: &str) -> PathBuf {
    std::env::temp_dir().join(word)
}

fn wait_until(comes_true: impl Fn() -> bool) {
    let began = Instant::now();
    // What was true once may be over by the next look.
    while !comes_true() {
        assert!(began.elapsed() < BEGIN, "the owner does not come to it");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_owner_leaves_no_process_no_mount_and_no_cgroup() {
    let Some(_) = python() else { return };
    if let Ok(word) = std::env::var(ROLE) {
        return owner(&word);
    }
    // Orphans become our children, so none can hide.
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let rounds: u64 = std::env::var(ROUNDS).map_or(20, |rounds| rounds.parse().unwrap());
    let (mut longest, mut with_jobs) = (Duration::ZERO, 0);
    for round in 0..rounds {
        let word = format!("killed-{}-{round}", std::process::id());
        let mut owner = Command::new(std::env::current_exe().unwrap());
        let owner = owner.args([
            "--exact",
            "a_killed_owner_leaves_no_process_no_mount_and_no_cgroup",
            "--nocapture",
        ]);
        let mut owner = Owner(
            owner
                .env(ROLE, &word)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap(),
        );
        let random = data::draw::below(u64::from(std::process::id()), round, 1000) as u64;
        wait_until(|| mark(&word).exists());
        std::fs::remove_file(mark(&word)).unwrap();
        // Half of them while it starts, half while jobs run.
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_millis(random * 3 / 2));
        } else {
            wait_until(|| processes_with(&word) >= 2);
            std::thread::sleep(Duration::from_micros(random * 300));
        }
        with_jobs += u64::from(processes_with(&word) > 0);
        let pid = owner.0.id();
        owner.0.kill().unwrap();
        owner.0.wait().unwrap();
        let killed = Instant::now();
        let mut found = left(pid, &word);
        while !found.is_empty() && killed.elapsed() < LEFT {
            std::thread::sleep(Duration::from_millis(2));
            found = left(pid, &word);
        }
        longest = longest.max(killed.elapsed());
        assert!(
            found.is_empty(),
            "round {round}, {LEFT:?} after the end of {pid}: {found:#?}"
        );
        remove_trees_of(pid);
        if (round + 1) % 10 == 0 {
            eprintln!("{} of {rounds} killed, {longest:?} at most", round + 1);
        }
    }
    eprintln!(
        "{rounds} owners killed, {with_jobs} with jobs; the longest took {longest:?} to be gone"
    );
    assert!(with_jobs >= rounds / 4, "{with_jobs} of {rounds}");
}

/// Processes, mounts and cgroups of a dead owner.
fn left(owner: u32, word: &str) -> Vec<String> {
    while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status.pid().is_some())
    {
    }
    let told = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!(
            "process {pid}: {}",
            String::from_utf8_lossy(&line).replace('\0', " ")
        )
    };
    let mut found: Vec<String> = descendants(std::process::id())
        .into_iter()
        .map(told)
        .collect();
    found.extend((processes_with(word) > 0).then(|| format!("processes with `{word}`")));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let tree = format!("sandbox-tree-{owner}-");
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&tree) || line.contains("/.host"))
            .map(str::to_string),
    );
    cgroups_of(
        Path::new("/sys/fs/cgroup"),
        &format!("train-{owner}-"),
        &mut found,
    );
    found
}

fn cgroups_of(folder: &Path, name: &str, found: &mut Vec<String>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name().to_string_lossy().starts_with(name) {
                found.push(entry.path().display().to_string());
            }
            cgroups_of(&entry.path(), name, found);
        }
    }
}

fn remove_trees_of(owner: u32) {
    let ours = |path: &PathBuf| {
        path.to_string_lossy()
            .contains(&format!("sandbox-tree-{owner}-"))
    };
    for folder in std::fs::read_dir(std::env::temp_dir())
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(ours)
    {
        std::fs::remove_dir_all(folder).ok();
    }
}

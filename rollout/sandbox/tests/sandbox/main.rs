//! The embedded sandbox holds what it promises, against real processes.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod ablation;
mod conformance;
mod hostile;
mod image;
mod isolation;
mod jest;
mod jest_attacks;
mod landlock;
mod machine;
mod outcomes;
mod runs;
mod support;
mod workspace;

use sandbox::End;
use support::*;

#[test]
fn a_job_sees_its_own_process_and_hardly_any_folder() {
    passes(
        r#"
import os
def test_folders():
    assert not os.path.exists("/.host/usr") and not os.listdir("/scratch")
    for folder in ["/home", "/var", "/sys"]:
        assert not os.path.exists(folder), folder
def test_processes():
    assert all(not name.isdigit() or name == "1" for name in os.listdir("/proc"))
"#,
    );
}

#[test]
fn a_command_ends_with_its_own_status_behind_the_same_barriers() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Tree::new(&[("note.txt", "hello\n")]);
    let script = "cat note.txt; id -u; echo x > /repo/y || echo closed; grep Seccomp: /proc/self/status; exit 7";
    let words = ["/bin/sh", "-c", script].map(str::to_string);
    let run = sandbox.command(&tree.job(), &words).unwrap();
    assert_eq!(run.end, End::Finished { exit: 7 }, "{run:#?}");
    for line in ["hello", "1000", "closed", "Seccomp:\t2"] {
        assert!(
            run.output.lines().any(|said| said == line),
            "{line}: {run:#?}"
        );
    }
    let endless = ["/bin/sh", "-c", "while :; do :; done"].map(str::to_string);
    let mut job = tree.job();
    job.limits.timeout_s = 1;
    assert_eq!(sandbox.command(&job, &endless).unwrap().end, End::TimedOut);
}

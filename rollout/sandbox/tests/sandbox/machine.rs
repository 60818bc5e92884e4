//! What goes wrong around the code: workers that are killed or stopped, memory that no process maps.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::embedded::{Embedded, EmbeddedOptions};
use sandbox::{End, Sandbox};

use super::support::*;

/// A sandbox with one worker whose first process has a name of its own.
struct Own {
    sandbox: Option<Embedded>,
    program: PathBuf,
}

impl Own {
    fn new(name: &str) -> Option<Own> {
        let program =
            std::env::temp_dir().join(format!("sandbox-init-{name}-{}", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_sandbox-init"), &program).unwrap();
        let options = EmbeddedOptions {
            init: program.clone(),
            workers: 1,
            ..options(python()?)
        };
        Some(Own {
            sandbox: Some(Embedded::new(options).unwrap()),
            program,
        })
    }

    fn sandbox(&self) -> &Embedded {
        self.sandbox.as_ref().unwrap()
    }

    /// The first process, and the fork server below it.
    fn processes(&self) -> [u32; 2] {
        let pids = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_first = |pid: &u32| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.program)
        };
        let first = pids.filter(is_first).min().unwrap();
        [first, descendants(first)[0]]
    }

    fn passes_once(&self) {
        let tree = Tree::new(&[("test_a.py", "def test_a(): pass\n")]);
        let run = self.sandbox().run(&tree.job()).unwrap();
        assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.sandbox = None;
        std::fs::remove_file(&self.program).ok();
    }
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

#[test]
fn a_worker_that_somebody_kills_is_replaced_and_the_job_runs() {
    let Some(own) = Own::new("killed") else {
        return;
    };
    for place in 0..2 {
        let before = own.processes();
        signal(before[place], Signal::SIGKILL);
        own.passes_once();
        assert_ne!(own.processes(), before);
    }
    // Now while a job runs.
    let word = format!("at_work{}", std::process::id());
    let script = format!("until [ -e go ]; do sleep 0.1; done # {word}");
    let text = format!(
        "import subprocess\ndef test_a(): subprocess.run(['/bin/sh', '-c', '{script}'], check=True)\n"
    );
    let tree = Tree::new(&[("test_a.py", &text)]);
    let before = own.processes();
    let mut job = tree.job();
    job.limits.timeout_s = 600;
    let run = std::thread::scope(|scope| {
        let run = scope.spawn(|| own.sandbox().run(&job));
        while processes_with(&word) == 0 && !run.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The run that follows finds it and ends.
        std::fs::write(job.tree.join("go"), "").unwrap();
        signal(before[1], Signal::SIGKILL);
        run.join().unwrap().unwrap()
    });
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    own.passes_once();
    assert_ne!(own.processes(), before);
}

#[test]
fn a_worker_that_answers_no_more_is_replaced() {
    let Some(own) = Own::new("stopped") else {
        return;
    };
    let tree = Tree::new(&[("test_a.py", "def test_a(): pass\n")]);
    let mut job = tree.job();
    own.sandbox().run(&job).unwrap();
    let before = own.processes();
    signal(before[1], Signal::SIGSTOP);
    job.limits.timeout_s = 2;
    let run = own.sandbox().run(&job).unwrap();
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_ne!(own.processes(), before);
    assert!(!Path::new(&format!("/proc/{}/exe", before[1])).exists());
}

#[test]
fn memory_that_no_process_maps_is_counted_where_a_cgroup_counts() {
    let Some(sandbox) = sandbox() else { return };
    let text = r#"
import os
def test_a():
    files = [os.memfd_create(str(i)) for i in range(8)]
    for file in files:
        for _ in range(200): os.write(file, bytes(1 << 20))
def test_b(): pass
"#;
    let Some(run) = run_with(text, |job| {
        job.limits.memory_mib = 512;
        job.limits.disk_mib = 256;
    }) else {
        return;
    };
    if let Some(why) = sandbox.no_cgroup() {
        eprintln!("SKIPPED, such memory is not counted: {why}");
        return;
    }
    assert_eq!(run.end, End::OutOfMemory, "{run:#?}");
    // The next job of the same worker starts from nothing.
    passes(
        "import os\ndef test_a():\n    file = os.memfd_create('x')\n    for _ in range(200): os.write(file, bytes(1 << 20))\n",
    );
}

#[test]
fn a_sandbox_takes_its_cgroups_along() {
    let Some(own) = Own::new("cgroup") else {
        return;
    };
    let group = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let owner = format!("/train-{}-", std::process::id());
        // Where the owner had to move, its first processes are in a leaf beside it.
        let of_workers = text
            .lines()
            .filter(|line| line.contains(&owner) && !line.ends_with("-main"));
        of_workers.map(str::to_string).collect::<Vec<_>>()
    };
    let [first, server] = own.processes();
    assert!(group(first).is_empty(), "who removes it is not in it");
    let groups = group(server);
    assert_eq!(
        groups.is_empty(),
        own.sandbox().no_cgroup().is_some(),
        "{groups:?}"
    );
    let Some(path) = groups
        .first()
        .and_then(|line| line.splitn(3, ':').nth(2))
        .map(str::to_string)
    else {
        eprintln!(
            "SKIPPED, there is no cgroup to remove: {}",
            own.sandbox().no_cgroup().unwrap()
        );
        return;
    };
    let folders = || -> Vec<PathBuf> {
        let trees = std::fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let all = trees
            .chain(["/sys/fs/cgroup".into()])
            .map(|tree| tree.join(path.trim_start_matches('/')));
        all.filter(|folder| folder.exists()).collect()
    };
    assert!(!folders().is_empty());
    drop(own);
    assert_eq!(folders(), Vec::<PathBuf>::new());
}

#[test]
fn a_sandbox_tells_its_barriers_as_the_kernel_does() {
    let Some(sandbox) = sandbox() else { return };
    let told = sandbox.isolation();
    let kinds = [
        "user-ns",
        "pid-ns",
        "net-ns",
        "overlay",
        "landlock-",
        "seccomp",
        "capabilities",
        "cgroup-",
    ];
    for kind in kinds {
        assert!(
            told.barriers
                .iter()
                .any(|barrier| barrier.starts_with(kind)),
            "{kind}: {told:?}"
        );
    }
    let none = told.barriers.contains(&"cgroup-none".to_string());
    assert_eq!(none, sandbox.no_cgroup().is_some(), "{told:?}");
    eprintln!("{}", told.barriers.join(", "));
}

#[test]
fn one_line_of_64_megabytes_is_cut() {
    let text = r#"
import os
def test_raw(capfd):
    with capfd.disabled():
        left = memoryview(bytes(b"x") * (64 << 20))
        while left: left = left[os.write(1, left):]
def test_captured():
    print("y" * (64 << 20))
    assert 1 == 2, "z" * (8 << 20)
"#;
    let Some(run) = run_with(text, |job| job.limits.output_bytes = 10_000) else {
        return;
    };
    assert_eq!(
        run.end,
        End::Finished { exit: 1 },
        "{:?}: {}",
        run.end,
        run.output
    );
    assert!(run.output.len() < 11_000, "{}", run.output.len());
    let failure = run.first_failure.expect("a failure");
    let sizes = [&failure.message, &failure.trace, &failure.stdout].map(String::len);
    assert!(sizes.iter().all(|size| *size < 20_000), "{sizes:?}");
}

#[test]
fn signals_that_our_caller_ignores_are_not_ignored_by_tests() {
    let Some(python) = python() else { return };
    // As a shell without job control starts what runs in the background.
    let text = "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nos.execv(sys.argv[1], sys.argv[1:])";
    let test = "outcomes::what_ends_the_session_leaves_the_rest_without_an_outcome";
    let mut command = Command::new(python.program());
    command
        .args(["-c", text])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test]);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

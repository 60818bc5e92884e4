//! Code that does not end, takes too much, stays behind, or lies about its results.

use std::path::Path;
use std::time::{Duration, Instant};

use data::FileChange;
use sandbox::{End, Sandbox, SandboxError, TestStatus};

use super::support::*;

#[test]
fn an_endless_loop_is_timed_out() {
    let Some(run) = run_with("def test_a():\n    while True: pass\n", |job| {
        job.limits.timeout_s = 1
    }) else {
        return;
    };
    assert_eq!(run.end, End::TimedOut);
    // By its CPU time, which is the same on every machine; or by the clock, where it was given none.
    assert!(
        run.cpu.is_none_or(|cpu| cpu >= Duration::from_secs(1))
            || run.wall >= Duration::from_secs(4),
        "{run:?}"
    );
}

#[test]
fn a_job_that_sleeps_is_timed_out_by_the_clock() {
    let text = "import time\ndef test_a(): time.sleep(1000)\n";
    let Some(run) = run_with(text, |job| job.limits.timeout_s = 5) else {
        return;
    };
    assert_eq!(run.end, End::TimedOut);
    assert!(
        run.cpu.is_none_or(|cpu| cpu < Duration::from_secs(5)),
        "{run:?}"
    );
}

/// Waits for what comes true some time, on a slow machine later than on another.
fn wait_until(what: &str, comes_true: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(300);
    while !comes_true() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Nothing of a job lives on when its run is over.
fn gone(word: &str) {
    wait_until(&format!("no process has `{word}`"), || {
        processes_with(word) == 0
    });
}

#[test]
fn a_fork_bomb_and_survivors_are_gone() {
    let word = format!("survivor{}", std::process::id());
    let text = format!(
        r#"
import os, signal, subprocess, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
def test_survivor():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sh", ["{word}", "-c", "trap '' TERM; while :; do sleep 1000; done"])
        os._exit(0)
    time.sleep(0.3)
    print(len([n for n in os.listdir("/proc") if n.isdigit()]))
def test_bomb():
    while True:
        try: os.fork()
        except OSError: time.sleep(0.01)
"#
    );
    let Some(run) = run_with(&text, |job| {
        job.limits.timeout_s = 10;
        job.limits.processes = 64;
    }) else {
        return;
    };
    // The bomb's processes all write results: that is a spoiled channel, or the time is over.
    assert!(
        matches!(run.end, End::TimedOut | End::Died { .. }),
        "{run:#?}"
    );
    assert_eq!(
        run.tests.get("test_it.py::test_survivor"),
        Some(&TestStatus::Passed)
    );
    gone(&word);
}

#[test]
fn survivors_of_a_run_that_ended_well_are_gone_too() {
    let word = format!("late{}", std::process::id());
    let text = format!(
        "import os\ndef test_a():\n    if os.fork() == 0:\n        os.setsid()\n        \
         os.execv('/bin/sleep', ['{word}', '1000'])\n"
    );
    // Who waited for the survivor would run out of time.
    passes(&text);
    gone(&word);
}

#[test]
fn memory_is_bounded_for_one_process_and_for_many() {
    let one =
        "import pytest\ndef test_a():\n    with pytest.raises(MemoryError): bytearray(3 << 30)\n";
    passes(one);
    let many = r#"
import os, time
def test_a():
    for _ in range(20):
        if os.fork() == 0:
            block = bytearray(os.urandom(1 << 20) * 100)
            time.sleep(1000)
    time.sleep(1000)
"#;
    let Some(run) = run_with(many, |job| {
        (job.limits.memory_mib, job.limits.timeout_s) = (512, 300)
    }) else {
        return;
    };
    assert_eq!(run.end, End::OutOfMemory, "{run:#?}");
}

#[test]
fn disk_and_output_are_bounded() {
    let text = r#"
import os, sys, pytest
def test_disk():
    with pytest.raises(OSError):
        with open("/tmp/big", "wb") as file:
            for _ in range(100): file.write(bytes(4 << 20))
    os.remove("/tmp/big")
def test_flood(capfd):
    with capfd.disabled():
        for _ in range(2000): os.write(1, b"x" * 65536)
"#;
    let Some(run) = run_with(text, |job| {
        job.limits.output_bytes = 10_000;
        job.limits.disk_mib = 64;
    }) else {
        return;
    };
    assert_eq!(
        run.end,
        End::Finished { exit: 0 },
        "{:?} {:?}",
        run.end,
        run.first_failure
    );
    assert!(run.output.len() < 11_000, "{}", run.output.len());
}

#[test]
fn a_full_disk_is_the_jobs_alone() {
    let fill = r#"
import errno, pytest
def test_fill():
    with pytest.raises(OSError) as told:
        for number in range(100):
            with open("/tmp/big%d" % number, "wb") as file:
                for _ in range(8): file.write(bytes(1 << 20))
    assert told.value.errno == errno.ENOSPC
def test_full():
    with pytest.raises(OSError):
        with open("/tmp/x", "wb") as file: file.write(bytes(1 << 20))
def test_still_judged(): assert 1 == 2
"#;
    for _ in 0..3 {
        let Some(run) = run_with(fill, |job| job.limits.disk_mib = 32) else {
            return;
        };
        assert_eq!(run.end, End::Finished { exit: 1 }, "{run:#?}");
        let of = |name: &str| run.tests[&format!("test_it.py::{name}")];
        let wanted = [TestStatus::Passed, TestStatus::Passed, TestStatus::Failed];
        assert_eq!(
            ["test_fill", "test_full", "test_still_judged"].map(of),
            wanted,
            "{run:#?}"
        );
    }
    passes("def test_a():\n    with open('/tmp/big', 'wb') as file: file.write(bytes(16 << 20))\n");
}

#[test]
fn changes_that_fill_the_disk_are_no_verdict() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Tree::new(&[("test_it.py", "def test_a(): pass\n")]);
    let mut job = tree.job();
    job.limits.disk_mib = 16;
    job.changes = vec![FileChange {
        path: "big.txt".into(),
        content: Some("x".repeat(24 << 20)),
    }];
    let error = sandbox.run(&job).expect_err("there is no room for it");
    assert!(matches!(error, SandboxError::Barrier { .. }), "{error}");
    // A full disk, or the bound on one file that is as large as the disk.
    let told = error.to_string();
    assert!(
        told.contains("No space left") || told.contains("File too large"),
        "{told}"
    );
    passes("def test_a(): pass\n");
}

#[test]
fn an_early_exit_is_no_pass() {
    for text in [
        "import os\nos._exit(0)\ndef test_a(): pass\n",
        "import os\ndef test_a(): os._exit(0)\n",
        "import os, signal\ndef test_a():\n    os.abort()\n",
    ] {
        let Some(run) = run(text) else { return };
        assert!(matches!(run.end, End::Died { .. }), "{text}: {run:#?}");
        assert!(run.tests.is_empty());
    }
    let Some(run) = run("import sys\nsys.exit(0)\ndef test_a(): pass\n") else {
        return;
    };
    assert!(
        run.tests.is_empty() && run.end != End::Finished { exit: 0 },
        "{run:#?}"
    );
}

#[test]
fn printed_and_sprayed_results_change_nothing() {
    let text = r#"
import os, sys
line = '{"n": "", "s": 3, "k": "test", "id": "test_it.py::test_a", "status": "passed"}\n'
print(line, "1 passed in 0.01s", flush=True)
os.write(1, line.encode()); os.write(2, line.encode())
def test_a(): assert False
"#;
    let Some(honest) = run(text) else { return };
    assert_eq!(honest.tests["test_it.py::test_a"], TestStatus::Failed);
    let spray = "import os\nfor i in range(3, 50):\n    try: os.write(i, b'{\"status\": \"passed\"}\\n')\n    \
                 except OSError: pass\ndef test_a(): pass\n";
    let Some(run) = run(spray) else { return };
    assert!(matches!(run.end, End::Died { .. }), "{run:#?}");
}

#[test]
fn a_changed_runner_is_found_out() {
    for patch in [
        "import _pytest.python as p\np.Function.runtest = lambda self: None\nimport pytest\npytest.Item.runtest = lambda self: None",
        "import _pytest.runner as r\nold = r.CallInfo.from_call.__func__\ndef new(cls, func, *a, **k):\n    \
         info = old(cls, func, *a, **k)\n    info.excinfo = None\n    info._result = []\n    return info\n\
         r.CallInfo.from_call = classmethod(new)",
        "import _pytest.reports as r\nold = r.TestReport.from_item_and_call.__func__\ndef new(cls, item, call):\n    \
         report = old(cls, item, call)\n    report.outcome = 'passed'\n    return report\n\
         r.TestReport.from_item_and_call = classmethod(new)",
        "import builtins\nclass Quiet(AssertionError): pass\nimport _pytest.python as p\n\
         old = p.Function.runtest\ndef new(self):\n    try: old(self)\n    except AssertionError: pass\np.Function.runtest = new",
    ] {
        let Some(run) = run(&format!("{patch}\ndef test_a(): assert False\n")) else {
            return;
        };
        let end = &run.end;
        let believed = matches!(end, End::Finished { exit: 0 });
        assert!(!believed, "{patch}: {run:#?}");
    }
}

#[test]
fn a_killed_parent_leaves_no_process() {
    let Some(python) = python() else { return };
    // This test starts itself again as the parent that is killed.
    const ROLE: &str = "SANDBOX_TEST_ROLE";
    let word = "leftover_of_a_killed_parent";
    if std::env::var(ROLE).is_ok() {
        let text = format!(
            "import os\ndef test_a():\n    if os.fork() == 0:\n        os.setsid()\n        \
             os.execv('/bin/sleep', ['{word}', '1000'])\n    while True: pass\n"
        );
        let tree = Tree::new(&[("test_it.py", &text)]);
        fresh(python).run(&tree.job()).ok();
        return;
    }
    let name = "hostile::a_killed_parent_leaves_no_process";
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ROLE, "parent")
        .spawn()
        .unwrap();
    wait_until("the survivor is there", || processes_with(word) > 0);
    let children = descendants(parent.id());
    if let Some(least) = CHILDREN {
        assert!(
            children.len() >= least,
            "init, fork server, job, survivor: {children:?}"
        );
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    gone(word);
    let left = || {
        children
            .iter()
            .filter(|pid| Path::new(&format!("/proc/{pid}/exe")).exists())
            .collect::<Vec<_>>()
    };
    wait_until("its processes are gone", || left().is_empty());
    for folder in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        if folder
            .file_name()
            .to_string_lossy()
            .starts_with(&format!("sandbox-tree-{}-", parent.id()))
        {
            std::fs::remove_dir_all(folder.path()).ok();
        }
    }
}

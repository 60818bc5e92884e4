//! The embedded sandbox holds what it promises, against real processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use data::FileChange;
use rollout::python::PythonEnv;
use rollout::sandbox::embedded::{Embedded, EmbeddedOptions};
use rollout::sandbox::{End, Job, Limits, Sandbox, Select, TestRun, TestStatus};

/// One environment for all tests; none, said aloud, where there is neither a cache nor a package index.
fn python() -> Option<&'static PythonEnv> {
    static PYTHON: OnceLock<Option<PythonEnv>> = OnceLock::new();
    PYTHON
        .get_or_init(|| {
            let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
            match PythonEnv::prepare(&cache, &|line| eprintln!("{line}")) {
                Ok(python) => Some(python),
                Err(error) => {
                    eprintln!("SKIPPED, nothing about the sandbox was tested: {error}");
                    None
                }
            }
        })
        .as_ref()
}

fn options(python: &PythonEnv) -> EmbeddedOptions {
    EmbeddedOptions { init: env!("CARGO_BIN_EXE_sandbox-init").into(), python: python.clone(), workers: 2 }
}

fn sandbox() -> Option<&'static Embedded> {
    static SANDBOX: OnceLock<Option<Embedded>> = OnceLock::new();
    SANDBOX.get_or_init(|| python().map(|python| Embedded::new(options(python)).expect("a sandbox"))).as_ref()
}

/// A source tree that is removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Tree {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("sandbox-tree-{}-{number}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Tree(root)
    }

    fn job(&self) -> Job {
        Job {
            tree: self.0.clone(),
            changes: Vec::new(),
            python_path: vec![".".to_string()],
            select: Select::All,
            stop_at_first_failure: false,
            limits: Limits { timeout_s: 20, ..Limits::default() },
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Runs one test file; none where there is no Python.
fn run(text: &str) -> Option<TestRun> {
    run_with(text, |_| {})
}

fn run_with(text: &str, change: impl FnOnce(&mut Job)) -> Option<TestRun> {
    let sandbox = sandbox()?;
    let tree = Tree::new(&[("test_it.py", text)]);
    let mut job = tree.job();
    change(&mut job);
    Some(sandbox.run(&job).expect("the sandbox does its part"))
}

/// Asserts that every test of the file passes.
fn passes(text: &str) {
    if let Some(run) = run(text) {
        assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
        assert!(!run.tests.is_empty() && run.tests.values().all(|status| *status == TestStatus::Passed), "{run:#?}");
    }
}

fn processes_with(word: &str) -> usize {
    let read = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    let lines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(read);
    lines.filter(|line| String::from_utf8_lossy(line).contains(word)).count()
}

#[test]
fn statuses_are_merged_over_the_phases_of_a_test() {
    let text = r#"
import pytest
def test_passes(): pass
def test_fails(): assert [1, 2] == [1, 3]
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.mark.xfail
def test_unexpected(): pass
@pytest.fixture
def late():
    yield
    raise ValueError("late")
def test_tear_down(late): pass
@pytest.mark.parametrize("text", ["a::b", "c d", "ü"])
def test_named(text): pass
"#;
    let Some(run) = run(text) else { return };
    let wanted: BTreeMap<&str, TestStatus> = [
        ("test_passes", TestStatus::Passed),
        ("test_fails", TestStatus::Failed),
        ("test_skipped", TestStatus::Skipped),
        ("test_expected", TestStatus::Skipped),
        ("test_unexpected", TestStatus::Skipped),
        ("test_tear_down", TestStatus::Failed),
        ("test_named[a::b]", TestStatus::Passed),
        ("test_named[c d]", TestStatus::Passed),
        ("test_named[\\xfc]", TestStatus::Passed),
    ]
    .into();
    let seen: BTreeMap<&str, TestStatus> =
        run.tests.iter().map(|(id, status)| (id.strip_prefix("test_it.py::").unwrap(), *status)).collect();
    assert_eq!(seen, wanted);
    assert_eq!(run.end, End::Finished { exit: 1 });
    let failure = run.first_failure.expect("a failure");
    assert_eq!(failure.test, "test_it.py::test_fails");
    assert_eq!(failure.exception, "AssertionError");
    assert!(failure.message.starts_with("assert [1, 2] == [1, 3]"), "{failure:?}");
    assert!(failure.trace.contains("test_it.py:4"), "{failure:?}");
}

#[test]
fn changes_are_seen_and_do_not_survive() {
    let Some(sandbox) = sandbox() else { return };
    let test = "import money, os\ndef test_sum():\n    assert money.add(1, 2) == 3\n    assert not os.path.exists('old.py')\n";
    let tree = Tree::new(&[
        ("src/money.py", "def add(a, b): return a - b\n"),
        ("tests/test_money.py", test),
        ("old.py", "x = 1\n"),
    ]);
    let mut job = tree.job();
    job.python_path = vec!["src".to_string()];
    job.select = Select::Ids(vec!["tests/test_money.py::test_sum".to_string()]);
    job.changes = vec![
        FileChange { path: "src/money.py".into(), content: Some("from deep.er import add\n".into()) },
        FileChange { path: "src/deep/er.py".into(), content: Some("def add(a, b): return a + b\n".into()) },
        FileChange { path: "old.py".into(), content: None },
    ];
    let repaired = sandbox.run(&job).unwrap();
    assert_eq!(repaired.end, End::Finished { exit: 0 }, "{repaired:#?}");
    job.changes.clear();
    let base = sandbox.run(&job).unwrap();
    assert_eq!(base.tests["tests/test_money.py::test_sum"], TestStatus::Failed);
    assert!(tree.0.join("old.py").exists(), "the tree itself is untouched");
}

#[test]
fn ids_run_in_their_order_and_the_first_failure_ends_the_run() {
    let text = "def test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pass\ndef test_d(): pass\n";
    let ids = ["test_c", "test_gone", "test_b", "test_a"].map(|name| format!("test_it.py::{name}")).to_vec();
    let Some(run) = run_with(text, |job| {
        job.select = Select::Ids(ids);
        job.stop_at_first_failure = true;
    }) else {
        return;
    };
    let seen: Vec<&str> = run.tests.keys().map(String::as_str).collect();
    assert_eq!(seen, ["test_it.py::test_b", "test_it.py::test_c"], "{run:#?}");
}

#[test]
fn a_broken_import_is_told_as_the_first_failure() {
    let Some(run) = run("import yolk_of_an_egg\ndef test_a(): pass\n") else { return };
    let failure = run.first_failure.expect("a failure");
    assert_eq!((failure.test.as_str(), failure.exception.as_str()), ("test_it.py", "ModuleNotFoundError"));
    assert_eq!(failure.message, "No module named 'yolk_of_an_egg'");
    assert!(run.tests.is_empty());
}

#[test]
fn a_conftest_that_cannot_be_imported_is_the_codes_fault() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Tree::new(&[("conftest.py", "import money\n"), ("money.py", "1 +\n"), ("test_a.py", "def test_a(): pass\n")]);
    let run = sandbox.run(&tree.job()).unwrap();
    assert_eq!(run.end, End::Finished { exit: 4 }, "{run:#?}");
    assert_eq!(run.first_failure.expect("a failure").exception, "SyntaxError");
}

#[test]
fn options_of_the_trees_own_settings_are_not_taken() {
    let Some(sandbox) = sandbox() else { return };
    let ini = "[tool.pytest.ini_options]\naddopts = '--cov money'\npython_files = ['check_*.py']\n";
    let tree = Tree::new(&[("pyproject.toml", ini), ("check_a.py", "def test_a(): pass\n")]);
    let run = sandbox.run(&tree.job()).unwrap();
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(run.tests.len(), 1);
}

#[test]
fn the_network_is_out_of_reach() {
    passes(
        r#"
import socket, pytest
def test_outside():
    for address in [("1.1.1.1", 80), ("10.0.0.1", 80), ("192.168.0.1", 22)]:
        with pytest.raises(OSError):
            socket.create_connection(address, timeout=2)
    with pytest.raises(OSError):
        socket.getaddrinfo("example.org", 80)
def test_own_loopback_works():
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname(), timeout=2)
"#,
    );
}

#[test]
fn the_machine_is_out_of_sight() {
    let secret = std::env::temp_dir().join(format!("secret-{}", std::process::id()));
    std::fs::write(&secret, "s").unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    passes(&format!(
        r#"
import os
def test_files():
    assert not os.path.exists({secret:?})
    assert not os.path.exists("/.host/usr") and not os.listdir("/scratch")
    assert not os.path.exists(os.path.join({home:?}, ".cargo"))
    assert not os.path.exists("/etc/shadow")
    for folder in ["/home", "/var", "/sys", "/root/.ssh"]:
        assert not os.path.exists(folder) or folder in "{python:?}"
    assert all(not name.isdigit() or name == "1" for name in os.listdir("/proc"))
def test_privileges():
    status = open("/proc/self/status").read()
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]:
        assert name + ":\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    assert os.getuid() == 1000 and os.getgid() == 1000
def test_descriptors():
    kinds = [os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd") if int(name) > 2
             and os.path.exists("/proc/self/fd/" + name)]
    assert all(kind.startswith("pipe:") or kind.startswith("/tmp/") for kind in kinds), kinds
    assert not any(os.path.realpath("/proc/self/fd/%d" % i).startswith("/memfd") for i in range(3, 64))
"#,
        python = std::env::current_dir().unwrap(),
    ));
    std::fs::remove_file(secret).ok();
}

#[test]
fn barriers_cannot_be_taken_down() {
    passes(
        r#"
import ctypes, os, pytest
libc = ctypes.CDLL(None, use_errno=True)
def test_calls():
    for name, args in [("unshare", (0x10000000,)), ("unshare", (0x20000,)), ("mount", (b"x", b"/tmp", b"tmpfs", 0, None)),
                       ("umount2", (b"/proc", 2)), ("ptrace", (16, 1, 0, 0)), ("setns", (0, 0)), ("chroot", (b"/tmp",))]:
        assert getattr(libc, name)(*args) == -1, name
def test_files():
    for path in ["/repo/test_it.py", "/repo/new.py", "/usr/x", "/run/train/job.py", "/proc/sys/kernel/core_pattern"]:
        with pytest.raises(OSError):
            open(path, "a")
    with pytest.raises(OSError):
        os.setuid(0)
"#,
    );
}

#[test]
fn nothing_written_survives() {
    let text = r#"
import os, subprocess
def test_a():
    for path in ["/tmp/mark", "/dev/shm/mark"]:
        assert not os.path.exists(path)
        open(path, "w").write("x")
    import multiprocessing.shared_memory as m
    libc = __import__("ctypes").CDLL(None)
    assert libc.shmget(77, 4096, 0) == -1
    assert libc.shmget(77, 4096, 0o1600) != -1
"#;
    for _ in 0..3 {
        passes(text);
    }
}

#[test]
fn an_endless_loop_is_timed_out() {
    let began = Instant::now();
    let Some(run) = run_with("def test_a():\n    while True: pass\n", |job| job.limits.timeout_s = 1) else { return };
    assert_eq!(run.end, End::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
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
        job.limits.timeout_s = 4;
        job.limits.processes = 64;
    }) else {
        return;
    };
    // The bomb's processes all write results: that is a spoiled channel, or the time is over.
    assert!(matches!(run.end, End::TimedOut | End::Died { .. }), "{run:#?}");
    assert_eq!(run.tests.get("test_it.py::test_survivor"), Some(&TestStatus::Passed));
    assert_eq!(processes_with(&word), 0);
}

#[test]
fn survivors_of_a_run_that_ended_well_are_gone_too() {
    let word = format!("late{}", std::process::id());
    let text = format!(
        "import os\ndef test_a():\n    if os.fork() == 0:\n        os.setsid()\n        \
         os.execv('/bin/sleep', ['{word}', '1000'])\n"
    );
    let began = Instant::now();
    passes(&text);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(processes_with(&word), 0);
}

#[test]
fn memory_is_bounded_for_one_process_and_for_many() {
    let one = "import pytest\ndef test_a():\n    with pytest.raises(MemoryError): bytearray(3 << 30)\n";
    passes(one);
    let many = r#"
import os, time
def test_a():
    for _ in range(20):
        if os.fork() == 0:
            block = bytearray(os.urandom(1 << 20) * 100)
            time.sleep(30)
    time.sleep(30)
"#;
    let Some(run) = run_with(many, |job| job.limits.memory_mib = 512) else { return };
    assert_eq!(run.end, End::Died { exit: -9 }, "{run:#?}");
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
    assert_eq!(run.end, End::Finished { exit: 0 }, "{:?} {:?}", run.end, run.first_failure);
    assert!(run.output.len() < 11_000, "{}", run.output.len());
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
    let Some(run) = run("import sys\nsys.exit(0)\ndef test_a(): pass\n") else { return };
    assert!(run.tests.is_empty() && run.end != End::Finished { exit: 0 }, "{run:#?}");
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
        let Some(run) = run(&format!("{patch}\ndef test_a(): assert False\n")) else { return };
        let end = &run.end;
        let believed = matches!(end, End::Finished { exit: 0 });
        assert!(!believed, "{patch}: {run:#?}");
    }
}

#[test]
fn a_path_that_leaves_the_tree_is_an_error() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Tree::new(&[("test_a.py", "def test_a(): pass\n")]);
    for path in ["../x.py", "/etc/x", "a//b", "a/../../b", ""] {
        let mut job = tree.job();
        job.changes = vec![FileChange { path: path.to_string(), content: Some(String::new()) }];
        assert!(sandbox.run(&job).is_err(), "{path}");
    }
    let mut job = tree.job();
    job.tree = "/nowhere".into();
    assert!(sandbox.run(&job).expect_err("no tree").to_string().contains("/nowhere"));
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
        Embedded::new(options(python)).unwrap().run(&tree.job()).ok();
        return;
    }
    let name = "a_killed_parent_leaves_no_process";
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ROLE, "parent")
        .spawn()
        .unwrap();
    let wait = |wanted: bool, time: u64| {
        let began = Instant::now();
        while (processes_with(word) > 0) != wanted && began.elapsed() < Duration::from_secs(time) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(processes_with(word) > 0, wanted);
        began.elapsed()
    };
    wait(true, 30);
    let children = descendants(parent.id());
    assert!(children.len() >= 4, "init, fork server, job, survivor: {children:?}");
    parent.kill().unwrap();
    parent.wait().unwrap();
    let took = wait(false, 2);
    eprintln!("gone after {took:?}");
    std::thread::sleep(Duration::from_millis(100));
    let left: Vec<u32> = children.into_iter().filter(|pid| Path::new(&format!("/proc/{pid}/exe")).exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    for folder in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        if folder.file_name().to_string_lossy().starts_with(&format!("sandbox-tree-{}-", parent.id())) {
            std::fs::remove_dir_all(folder.path()).ok();
        }
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return Vec::new() };
    drop(text);
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

#[test]
fn many_threads_share_few_workers() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Arc::new(Tree::new(&[("test_a.py", "import a\ndef test_a(): assert a.x == 1\n"), ("a.py", "x = 0\n")]));
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let tree = tree.clone();
            std::thread::spawn(move || {
                for round in 0..5 {
                    let mut job = tree.job();
                    let right = (number + round) % 2;
                    job.changes = vec![FileChange { path: "a.py".into(), content: Some(format!("x = {right}\n")) }];
                    let run = sandbox.run(&job).unwrap();
                    let wanted = if right == 1 { TestStatus::Passed } else { TestStatus::Failed };
                    assert_eq!(run.tests["test_a.py::test_a"], wanted);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

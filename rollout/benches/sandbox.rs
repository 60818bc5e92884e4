//! What a run of tests costs: a two-line suite and a small package, in the sandbox and as a cold `python -m pytest`.
//!
//! `cargo bench --workspace --bench sandbox`. The cold runs are not isolated at all: they are the price of a process
//! that imports pytest for each attempt.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use rollout::python::PythonEnv;
use rollout::sandbox::embedded::{Embedded, EmbeddedOptions};
use rollout::sandbox::{End, Job, Limits, Sandbox, Select};

/// Jobs of the throughput lines.
const JOBS: usize = 40;
/// Sandboxes at once in the throughput lines.
const WORKERS: usize = 2;

static PYTHON: LazyLock<PythonEnv> = LazyLock::new(|| {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    PythonEnv::prepare(&cache, &|line| eprintln!("{line}")).expect("a Python with pytest")
});

static SANDBOX: LazyLock<Embedded> = LazyLock::new(|| {
    let init = env!("CARGO_BIN_EXE_sandbox-init").into();
    let sandbox = Embedded::new(EmbeddedOptions { init, python: PYTHON.clone(), workers: WORKERS }).expect("a sandbox");
    sandbox.warm_up().expect("its workers");
    sandbox
});

fn main() {
    divan::main();
}

fn tree(name: &str) -> PathBuf {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/packages");
    if name != "two-tests" {
        return packages.join(name);
    }
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(root.join("tests")).expect("a folder");
    std::fs::write(root.join("money.py"), "def add(a, b): return a + b\n").expect("a file");
    let tests = "from money import add\ndef test_a(): assert add(1, 2) == 3\ndef test_b(): assert add(1, 2) == 3\n";
    std::fs::write(root.join("tests/test_money.py"), tests).expect("a file");
    root
}

fn job(name: &str) -> Job {
    Job {
        tree: tree(name),
        changes: Vec::new(),
        python_path: vec![".".into()],
        select: Select::All,
        stop_at_first_failure: true,
        limits: Limits::default(),
    }
}

fn run(job: &Job) {
    let run = SANDBOX.run(job).expect("the sandbox does its part");
    assert_eq!(run.end, End::Finished { exit: 0 }, "{}", run.output);
}

const TREES: [&str; 3] = ["two-tests", "textkit", "daybook"];

/// One job after the other.
#[divan::bench(args = TREES, sample_count = 50, sample_size = 1)]
fn one_job(bencher: Bencher, name: &str) {
    let job = job(name);
    run(&job);
    bencher.bench_local(|| run(&job));
}

/// Two workers at once; the counter is jobs.
#[divan::bench(args = TREES, sample_count = 5, sample_size = 1)]
fn two_workers(bencher: Bencher, name: &str) {
    let job = job(name);
    run(&job);
    bencher.counter(ItemsCount::new(JOBS)).bench_local(|| {
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| (0..JOBS / WORKERS).for_each(|_| run(&job)));
            }
        });
    });
}

/// The peer: a process that starts Python, imports pytest and runs the suite, with its byte code cached.
#[divan::bench(args = TREES, sample_count = 10, sample_size = 1)]
fn cold_pytest(bencher: Bencher, name: &str) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cold").join(name);
    copy(&tree(name), &root);
    let pytest = || {
        let mut command = Command::new(PYTHON.program());
        let path: Vec<&str> = PYTHON.sys_path().iter().filter_map(|path| path.to_str()).collect();
        command.env("PYTHONPATH", format!(".:{}", path.join(":"))).args(["-m", "pytest", "-q", "-x"]);
        let status = command.current_dir(&root).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("Python starts").success(), "pytest fails on `{name}`");
    };
    pytest();
    bencher.bench_local(pytest);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

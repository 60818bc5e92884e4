//! What a run of tests costs: a two-line suite and a small package, in the sandbox and as a cold `python -m pytest`; and
//! what the barriers alone cost, around `/bin/true` from its start to its end; how soon a failure is told; what going back
//! to a checkpoint costs, and a command in a work tree; what a container costs, beside a plain `docker run`.
//!
//! `cargo bench --workspace --bench sandbox`. The cold runs are not isolated at all: they are the price of a process
//! that imports pytest for each attempt.

#![allow(clippy::print_stdout, reason = "a benchmark is read at the terminal")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use data::FileChange;
use divan::Bencher;
use divan::counter::ItemsCount;
use sandbox::docker::{Docker, DockerOptions};
use sandbox::embedded::{Embedded, EmbeddedOptions};
use sandbox::environment::python::PythonEnv;
use sandbox::workspace::Workspace;
use sandbox::{End, Job, Limits, Runner, Sandbox, Select};

/// Jobs of the throughput lines.
const JOBS: usize = 40;
/// Sandboxes at once in the throughput lines.
const WORKERS: usize = 2;

static PYTHON: LazyLock<PythonEnv> = LazyLock::new(|| {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    PythonEnv::prepare(&cache, &|line| eprintln!("{line}")).expect("a Python with pytest")
});

static SANDBOX: LazyLock<Arc<Embedded>> = LazyLock::new(|| {
    let init = env!("CARGO_BIN_EXE_sandbox-init").into();
    let sandbox = Embedded::new(EmbeddedOptions {
        init,
        python: PYTHON.clone(),
        jest: None,
        workers: WORKERS,
    })
    .expect("a sandbox");
    sandbox.warm_up().expect("its workers");
    Arc::new(sandbox)
});

/// What the percentiles are taken from.
const COMMANDS: usize = 1000;
const FAILURES: usize = 200;
const CONTAINERS: usize = 20;
const TREE_FILES: usize = 2000;
const CHANGED_FILES: usize = 50;

fn main() {
    barriers_alone();
    failure_told();
    back_to_a_checkpoint();
    commands_in_a_work_tree();
    containers();
    divan::main();
}

/// Fresh namespaces, overlay, Landlock, seccomp and no capabilities around a program that does nothing.
fn barriers_alone() {
    let (job, words) = (job("two-tests"), ["/bin/true".to_string()]);
    percentiles(
        "/bin/true from start to exit",
        COMMANDS,
        Duration::ZERO,
        || {
            let run = SANDBOX
                .command(&job, &words)
                .expect("the sandbox does its part");
            assert_eq!(run.end, End::Finished { exit: 0 }, "{}", run.output);
        },
    );
}

/// From the start of a run whose first test fails to the failure in our hands, which its summary is made from.
fn failure_told() {
    let mut job = job("two-tests");
    let wrong = "def add(a, b): return a - b\n".to_string();
    job.changes = vec![FileChange {
        path: "money.py".into(),
        content: Some(wrong),
    }];
    percentiles("a failing test, told", FAILURES, Duration::ZERO, || {
        let failure = SANDBOX
            .run(&job)
            .expect("a run")
            .first_failure
            .expect("a failure");
        assert!(failure.test.ends_with("test_a"));
    });
}

/// A work tree is the clean tree and a list of changes, so going back is handing over an older list. Here it is laid over
/// a fresh tree in a waiting worker, every file of it is looked at, and the tree is thrown away.
fn back_to_a_checkpoint() {
    let root = large_tree();
    let changed = |number| FileChange {
        path: path_of(number),
        content: Some("x = 2\n".repeat(1365)),
    };
    let job = Job {
        changes: (0..CHANGED_FILES).map(changed).collect(),
        tree: root,
        ..job("two-tests")
    };
    let words = ["/usr/bin/grep", "-c", "x = 2", "part7/file7.py"].map(str::to_string);
    let name = format!(
        "a tree of {TREE_FILES} files back at a checkpoint of {CHANGED_FILES} changed ones"
    );
    percentiles(&name, FAILURES, Duration::ZERO, || {
        let run = SANDBOX
            .command(&job, &words)
            .expect("the sandbox does its part");
        assert_eq!(run.output.trim(), "1365");
    });
}

/// The path of one of [`TREE_FILES`].
fn path_of(number: usize) -> String {
    format!("part{}/file{number}.py", number % 40)
}

/// A tree of [`TREE_FILES`], 8 KiB each.
fn large_tree() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large");
    for number in 0..TREE_FILES {
        let file = root.join(path_of(number));
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, "x = 1\n".repeat(1365)).expect("a file");
    }
    root
}

/// A work tree for a model's commands: how long it takes to open, a command where nothing and where much differs, and the
/// first command after going back to a checkpoint.
fn commands_in_a_work_tree() {
    let (root, limits) = (large_tree(), Limits::default());
    let open =
        || Workspace::open(SANDBOX.clone(), &root, &[], &[], limits.clone()).expect("a work tree");
    let name = format!("a work tree of {TREE_FILES} files is opened and removed");
    percentiles(&name, 20, Duration::ZERO, || drop(open()));
    let work = std::cell::RefCell::new(open());
    let run = |command: &str| work.borrow_mut().run(command).expect("a command").output();
    let one = |name: &str| {
        percentiles(name, FAILURES, Duration::ZERO, || {
            assert_eq!(run("grep -c 'x = 1' part7/file7.py"), "1365\n");
        });
    };
    one("a command in it");
    let began = work.borrow().checkpoint();
    run(&format!(
        "ls part*/* | head -{CHANGED_FILES} | xargs sed -i 's/1/2/'"
    ));
    let changed = work.borrow().checkpoint();
    one(&format!("a command where {CHANGED_FILES} files differ"));
    percentiles(
        "a checkpoint, and back to the one before",
        COMMANDS,
        Duration::ZERO,
        || {
            let mut work = work.borrow_mut();
            let _ = work.checkpoint();
            work.roll_back(&began);
            work.roll_back(&changed);
        },
    );
    work.borrow_mut().roll_back(&began);
    one("a command after going back");
}

/// One job in a container that waited for it, with a pause in which the next one is made.
fn containers() {
    let options = DockerOptions {
        image: None,
        python: PYTHON.clone(),
        jest: None,
        workers: WORKERS,
        limits: Limits::default(),
    };
    let sandbox = match Docker::new(options) {
        Ok(sandbox) => sandbox,
        Err(error) => return println!("SKIPPED, no container was measured: {error}"),
    };
    let job = job("two-tests");
    percentiles(
        "two tests in a container that waits",
        CONTAINERS,
        Duration::from_secs(3),
        || {
            assert_eq!(
                sandbox.run(&job).expect("a run").end,
                End::Finished { exit: 0 }
            );
        },
    );
    let mut endless = job.clone();
    let test = "import time\ndef test_a(): time.sleep(100)\n".to_string();
    endless.changes = vec![FileChange {
        path: "tests/test_money.py".into(),
        content: Some(test),
    }];
    endless.limits.timeout_s = 1;
    for (name, job) in [
        ("after its job", &job),
        ("in the middle of its job", &endless),
    ] {
        let phase = |_| {
            std::thread::sleep(Duration::from_secs(3));
            sandbox.phases(job).expect("a run")
        };
        let phases: Vec<[Duration; 2]> = (0..CONTAINERS).map(phase).collect();
        tell(
            "a container is ready for its job",
            phases.iter().map(|phase| phase[0]).collect(),
        );
        tell(
            &format!("a container is gone {name}"),
            phases.iter().map(|phase| phase[1]).collect(),
        );
    }
    plain_docker_run();
}

/// The peer: the engine's own client, the same image, network and files; a cold pytest, and its text read.
fn plain_docker_run() {
    let docker = |args: &[&str]| {
        let said = Command::new("docker")
            .args(args)
            .output()
            .expect("the engine's client");
        String::from_utf8_lossy(&said.stdout).trim().to_string()
    };
    let owner = format!("label=train.owner_pid={}", std::process::id());
    let all = docker(&["ps", "-q", "--filter", &owner]);
    let Some(waiting) = all.lines().next() else {
        return println!("SKIPPED, no plain `docker run`: none to compare");
    };
    let image = docker(&["inspect", "-f", "{{.Image}}", waiting]);
    let binds = docker(&[
        "inspect",
        "-f",
        "{{range .HostConfig.Binds}}{{println .}}{{end}}",
        waiting,
    ]);
    let path: Vec<&str> = PYTHON
        .sys_path()
        .iter()
        .filter_map(|path| path.to_str())
        .collect();
    let path = format!("PYTHONPATH=.:{}", path.join(":"));
    let program = PYTHON.program().display().to_string();
    let tree = format!("{}:/repo:ro", tree("two-tests").display());
    let mut words = vec![
        "run",
        "--rm",
        "--network",
        "none",
        "-w",
        "/repo",
        "-e",
        &path,
        "-v",
        &tree,
    ];
    binds
        .lines()
        .filter(|line| !line.is_empty())
        .for_each(|bind| words.extend(["-v", bind]));
    words.extend([
        &image,
        &program,
        "-B",
        "-m",
        "pytest",
        "-rA",
        "-p",
        "no:cacheprovider",
    ]);
    percentiles(
        "two tests by a plain `docker run`, its text read",
        CONTAINERS,
        Duration::ZERO,
        || {
            let text = docker(&words);
            assert_eq!(
                text.lines()
                    .filter(|line| line.starts_with("PASSED "))
                    .count(),
                2,
                "{text}"
            );
        },
    );
}

/// Prints how long `work` takes.
fn percentiles(name: &str, count: usize, pause: Duration, work: impl Fn()) {
    let time = |_| {
        std::thread::sleep(pause);
        let began = Instant::now();
        work();
        began.elapsed()
    };
    tell(name, (0..count).map(time).collect());
}

fn tell(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let count = times.len();
    let [half, late, most] = [50, 95, 99].map(|percent| times[count * percent / 100]);
    println!(
        "{name}, {count} times: fastest {:.2?}, p50 {half:.2?}, p95 {late:.2?}, p99 {most:.2?}",
        times[0]
    );
}

fn tree(name: &str) -> PathBuf {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/packages");
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
        runner: Runner::Pytest,
        python_path: vec![".".into()],
        select: Select::All,
        stop_at_first_failure: true,
        compared: false,
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
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("cold")
        .join(name);
    copy(&tree(name), &root);
    let pytest = || {
        let mut command = Command::new(PYTHON.program());
        let path: Vec<&str> = PYTHON
            .sys_path()
            .iter()
            .filter_map(|path| path.to_str())
            .collect();
        command
            .env("PYTHONPATH", format!(".:{}", path.join(":")))
            .args(["-m", "pytest", "-q", "-x"]);
        let status = command
            .current_dir(&root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            status.expect("Python starts").success(),
            "pytest fails on `{name}`"
        );
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

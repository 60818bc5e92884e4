//! The sandbox that needs no engine: namespaces, an overlay, seccomp and limits around a fork server.
//!
//! In: jobs, from any number of threads. Out: test runs, each in processes and mounts of its own that are gone
//! afterwards. A cold `python -m pytest` spends 200 ms on importing pytest; a worker has done that once and forks, so a
//! small job costs a tenth of it. Nor does a job compile what it does not change: the byte code of each clean tree is
//! made once (see `hook/compiled.py`), which halves what a suite of sixty tests costs.
//! Example: `Embedded::new(EmbeddedOptions { init: std::env::current_exe()?, python, workers: 2 })?.run(&job)?`.
//!
//! Works as root and as a plain user (Linux 5.12 or newer). What a job sees: see `root`. What it may call: see
//! `seccomp`. How it is believed: see `events`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};

use super::init::InitConfig;
use super::worker::Worker;
use super::{Isolation, Job, Sandbox, SandboxError, TestRun};
use crate::python::PythonEnv;

/// What stands in the way of code under test; each of these was raised, or [`Embedded::new`] failed.
const BARRIERS: [&str; 13] = [
    "user-ns",
    "pid-ns",
    "mount-ns",
    "net-ns",
    "ipc-ns",
    "uts-ns",
    "read-only-root",
    "overlay",
    "capabilities",
    "no-new-privs",
    "seccomp",
    "rlimits",
    "memory-watch",
];

/// Trees whose byte code is kept at once.
const COMPILED_TREES: usize = 64;

/// How a sandbox is made.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The program whose `main` begins with [`super::init::main_if_asked`]: usually our own.
    pub init: PathBuf,
    /// The Python that runs the tests.
    pub python: PythonEnv,
    /// Jobs that run at once.
    pub workers: usize,
}

/// Runs jobs in forked children of a few workers.
pub struct Embedded {
    pool: Mutex<Pool>,
    freed: Condvar,
    workers: usize,
    starter: mpsc::Sender<mpsc::Sender<Result<Worker, SandboxError>>>,
    /// As root, jobs run as `nobody`: trees that only their owner can read are refused with a hint.
    others_must_read: bool,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Worker>,
    /// Idle or at work.
    alive: usize,
    readable: HashSet<PathBuf>,
    compiled: HashMap<PathBuf, Compiled>,
}

/// The byte code of a tree, made by whoever needs it first; none where it cannot be made.
type Compiled = Arc<OnceLock<Option<File>>>;

impl Embedded {
    /// Starts the first worker, which proves that every barrier can be raised here; the others start when needed.
    ///
    /// # Errors
    ///
    /// When a barrier is missing on this machine (named, with what to do) or Python does not start.
    pub fn new(options: EmbeddedOptions) -> Result<Self, SandboxError> {
        let config = InitConfig {
            python: options.python.program().to_path_buf(),
            binds: options.python.folders().to_vec(),
            sys_path: options.python.sys_path().to_vec(),
        };
        let sandbox = Embedded {
            pool: Mutex::default(),
            freed: Condvar::new(),
            workers: options.workers.max(1),
            starter: start_starter(options.init, config)?,
            others_must_read: nix::unistd::geteuid().is_root(),
        };
        let first = sandbox.start_worker()?;
        let mut pool = sandbox.lock();
        pool.alive = 1;
        pool.idle.push(first);
        drop(pool);
        Ok(sandbox)
    }

    /// Starts all workers now instead of when they are needed.
    ///
    /// # Errors
    ///
    /// As [`Embedded::new`].
    pub fn warm_up(&self) -> Result<(), SandboxError> {
        let taken: Result<Vec<Worker>, _> = (0..self.workers).map(|_| self.take()).collect();
        for worker in taken? {
            self.give_back(Some(worker));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_worker(&self) -> Result<Worker, SandboxError> {
        let gone = || SandboxError::Environment("the thread that starts sandbox workers is gone".to_string());
        let (answer, worker) = mpsc::channel();
        self.starter.send(answer).map_err(|_| gone())?;
        worker.recv().map_err(|_| gone())?
    }

    /// An idle worker, or a new one while there are fewer than allowed; waits otherwise.
    fn take(&self) -> Result<Worker, SandboxError> {
        let mut pool = self.lock();
        loop {
            if let Some(worker) = pool.idle.pop() {
                return Ok(worker);
            }
            if pool.alive < self.workers {
                pool.alive += 1;
                drop(pool);
                let started = self.start_worker();
                if started.is_err() {
                    self.give_back(None);
                }
                return started;
            }
            pool = self.freed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns a worker; none where it broke and is replaced by the next [`Embedded::take`].
    fn give_back(&self, worker: Option<Worker>) {
        let mut pool = self.lock();
        match worker {
            Some(worker) => pool.idle.push(worker),
            None => pool.alive -= 1,
        }
        drop(pool);
        self.freed.notify_one();
    }

    /// The byte code of a tree. Without it every job compiles its tests anew, which is slower and no less right.
    fn compiled(&self, tree: &Path) -> Compiled {
        let compiled = {
            let mut pool = self.lock();
            // Each is an open memory file; who still uses one holds on to it.
            if pool.compiled.len() >= COMPILED_TREES && !pool.compiled.contains_key(tree) {
                pool.compiled.clear();
            }
            pool.compiled.entry(tree.to_path_buf()).or_default().clone()
        };
        compiled.get_or_init(|| {
            let mut worker = self.take().ok()?;
            let made = worker.compile(tree);
            self.give_back(made.is_ok().then_some(worker));
            made.ok()
        });
        compiled
    }

    fn check_tree(&self, tree: &Path) -> Result<(), SandboxError> {
        if !self.others_must_read || self.lock().readable.contains(tree) {
            return Ok(());
        }
        if let Some(closed) = unreadable(tree) {
            return Err(SandboxError::Environment(format!(
                "`{}` cannot be read by the user that runs the tests (hint: `chmod -R a+rX {}`)",
                closed.display(),
                tree.display()
            )));
        }
        self.lock().readable.insert(tree.to_path_buf());
        Ok(())
    }
}

impl Sandbox for Embedded {
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError> {
        self.check_tree(&job.tree)?;
        let compiled = self.compiled(&job.tree);
        let mut worker = self.take()?;
        let run = worker.run(job, compiled.get().and_then(Option::as_ref));
        // After an error nobody knows what the worker is doing: it is killed, with all that it started.
        self.give_back(run.is_ok().then_some(worker));
        run
    }

    fn isolation(&self) -> Isolation {
        Isolation { sandbox: "embedded".to_string(), barriers: BARRIERS.map(str::to_string).to_vec() }
    }
}

/// Workers die with the thread that started them, so that thread lives as long as the sandbox.
fn start_starter(
    program: PathBuf,
    config: InitConfig,
) -> Result<mpsc::Sender<mpsc::Sender<Result<Worker, SandboxError>>>, SandboxError> {
    let (sender, orders) = mpsc::channel::<mpsc::Sender<Result<Worker, SandboxError>>>();
    std::thread::Builder::new()
        .name("sandbox-starter".to_string())
        .spawn(move || {
            while let Ok(answer) = orders.recv() {
                // Nobody waits for the answer only where the sandbox is being dropped; the worker goes with it.
                answer.send(Worker::start(&program, &config)).ok();
            }
        })
        .map_err(|source| SandboxError::Io { doing: "starting a thread".to_string(), source })?;
    Ok(sender)
}

/// The first entry below `path` (the tree itself apart) that its owner alone can read.
fn unreadable(path: &Path) -> Option<PathBuf> {
    for entry in path.read_dir().ok()?.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let wanted = if meta.is_dir() { 0o005 } else { 0o004 };
        if !meta.is_symlink() && meta.permissions().mode() & wanted != wanted {
            return Some(entry.path());
        }
        if meta.is_dir()
            && let Some(closed) = unreadable(&entry.path())
        {
            return Some(closed);
        }
    }
    None
}

//! The sandbox that needs no engine: namespaces, an overlay, seccomp and limits around a fork server.
//!
//! In: jobs, from any number of threads. Out: test runs, each in processes and mounts of its own that are gone
//! afterwards. A cold `python -m pytest` spends 200 ms on importing pytest; a worker has done that once and forks, so a
//! small job costs a tenth of it. Nor does a job compile what it does not change: the byte code of each clean tree is
//! made once (see `runner/pytest/compiled.py`), which halves what a suite of sixty tests costs.
//! Example: `Embedded::new(EmbeddedOptions { init: std::env::current_exe()?, python, jest: None, workers: 2 })?.run(&job)?`.
//!
//! Works as root and as a plain user (Linux 5.13 or newer); what is counted by cgroups needs root or a delegated one, see
//! `cgroup`. Nothing outlives its owner, not even one that is killed: see `init`. What a job sees: see `root`. What it may call: see
//! `seccomp`. How it is believed: see `events`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::ablation::Ablation;
use crate::environment::jest::{JestEnv, no_jest};
use crate::environment::python::PythonEnv;
use crate::spec::Work;
use crate::workspace::{CommandRun, Entry};
use crate::{Isolation, Job, Runner, Sandbox, SandboxError, TestRun};

mod cgroup;
pub mod init;
pub mod outside;
mod pipes;
pub mod probe;
pub(crate) mod root;
#[allow(unsafe_code)]
mod sys;
mod worker;

use init::InitConfig;
use worker::Worker;

/// Has the ends of children told to this process, which needs them, though whoever started it ignores them.
pub fn hear_of_children() {
    sys::hear_of_children();
}

/// What must stand in the way of code under test, whoever we are; else [`Embedded::new`] fails.
const NEEDED: [&str; 14] = [
    "user-ns",
    "pid-ns",
    "mount-ns",
    "net-ns",
    "ipc-ns",
    "uts-ns",
    "read-only-root",
    "overlay",
    "landlock",
    "capabilities",
    "no-new-privs",
    "seccomp",
    "rlimits",
    "memory-watch",
];

/// Workers that may be lost to one job before we give up on it.
const LOST_WORKERS: usize = 2;
/// Trees whose byte code is kept at once.
const COMPILED_TREES: usize = 64;

/// How a sandbox is made.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The program whose `main` begins with [`self::init::main_if_asked`]: usually our own.
    pub init: PathBuf,
    /// The Python that runs the tests.
    pub python: PythonEnv,
    /// The jest that runs those in JavaScript where Python is no image's; an image has its own. Without one such jobs are
    /// refused.
    pub jest: Option<JestEnv>,
    /// Jobs that run at once.
    pub workers: usize,
}

/// Runs jobs in forked children of a few workers.
pub struct Embedded {
    pool: Mutex<Pool>,
    freed: Condvar,
    workers: usize,
    init: PathBuf,
    config: InitConfig,
    /// What the first worker's kernel told; every other worker must tell the same.
    barriers: Vec<String>,
    no_cgroup: Option<String>,
    /// As root, jobs run as `nobody`: trees that only their owner can read are refused with a hint.
    others_must_read: bool,
    /// What runs jobs in JavaScript.
    jest: Option<JestEnv>,
    ablation: Ablation,
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
        let image_root = options.python.image_root();
        let jest = image_root.map_or(options.jest, |root| JestEnv::in_image(root).ok());
        // An image shows all that it has.
        let shown = jest
            .as_ref()
            .filter(|_| image_root.is_none())
            .map(JestEnv::binds)
            .unwrap_or_default();
        let config = InitConfig {
            python: options.python.program().to_path_buf(),
            binds: [options.python.folders().to_vec(), shown].concat(),
            sys_path: options.python.sys_path().to_vec(),
            image_root: image_root.map(Path::to_path_buf),
            jest: jest.as_ref().map(JestEnv::places),
        };
        let mut sandbox = Embedded {
            pool: Mutex::default(),
            freed: Condvar::new(),
            workers: options.workers.max(1),
            init: options.init,
            config,
            barriers: Vec::new(),
            no_cgroup: None,
            others_must_read: nix::unistd::geteuid().is_root(),
            jest,
            ablation: Ablation::default(),
        };
        let first = Worker::start(&sandbox.init, &sandbox.config)?;
        sandbox.barriers = complete(first.barriers())?;
        sandbox.no_cgroup = first.no_cgroup().map(str::to_string);
        let mut pool = sandbox.lock();
        pool.alive = 1;
        pool.idle.push(first);
        drop(pool);
        Ok(sandbox)
    }

    /// The same with defences off, for measuring what they are for.
    #[doc(hidden)]
    pub fn with_ablation(mut self, ablation: Ablation) -> Self {
        self.ablation = ablation;
        self
    }

    /// The version of the jest that runs tests in JavaScript; none where nobody does.
    pub fn jest_version(&self) -> Option<&str> {
        self.jest.as_ref().map(JestEnv::version)
    }

    fn no_jest(&self) -> String {
        let in_image = self
            .config
            .image_root
            .as_ref()
            .and_then(|root| JestEnv::in_image(root).err());
        in_image.unwrap_or_else(no_jest)
    }

    /// Why the kernel does not count what jobs use, where no cgroup can be had: with what to do.
    pub fn no_cgroup(&self) -> Option<&str> {
        self.no_cgroup.as_deref()
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
        let worker = Worker::start(&self.init, &self.config)?;
        let differs = |barrier: &&String| !worker.barriers().contains(barrier);
        match self.barriers.iter().find(differs) {
            None => Ok(worker),
            Some(barrier) => Err(SandboxError::Barrier {
                barrier: barrier.clone(),
                reason: match worker.no_cgroup() {
                    Some(why) => format!("the first worker had it and this one has not: {why}"),
                    None => "the first worker had it and this one has not".to_string(),
                },
            }),
        }
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
            pool = self
                .freed
                .wait(pool)
                .unwrap_or_else(PoisonError::into_inner);
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

    /// Runs a program over the job's tree instead of its tests, behind the same barriers. What it says is the run's
    /// output, its exit status the run's end.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::run`].
    pub fn command(&self, job: &Job, words: &[String]) -> Result<TestRun, SandboxError> {
        self.check_tree(&job.tree)?;
        self.on_a_worker(|worker| worker.command(job, words))
    }

    /// Has a worker do it; another one, where somebody killed or stopped the first.
    fn on_a_worker<Run>(
        &self,
        work: impl Fn(&mut Worker) -> Result<Run, SandboxError>,
    ) -> Result<Run, SandboxError> {
        let mut lost = 0;
        loop {
            let mut worker = self.take()?;
            let run = work(&mut worker);
            // Somebody killed or stopped the worker: no job can, so the job has another one.
            let again = run.is_err() && lost < LOST_WORKERS && worker.is_gone();
            // After an error nobody knows what the worker is doing: it is killed, with all that it started.
            self.give_back(run.is_ok().then_some(worker));
            if !again {
                return run;
            }
            lost += 1;
        }
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
                "`{}` cannot be read by the user that runs the tests{}",
                closed.display(),
                data::Aside(format_args!("`chmod -R a+rX {}`", tree.display()))
            )));
        }
        self.lock().readable.insert(tree.to_path_buf());
        Ok(())
    }
}

impl Sandbox for Embedded {
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError> {
        self.check_tree(&job.tree)?;
        // Only Python has byte code that is kept.
        let compiled = match job.runner {
            Runner::Pytest => Some(self.compiled(&job.tree)),
            Runner::Jest if self.jest.is_some() => None,
            Runner::Jest => return Err(SandboxError::Environment(self.no_jest())),
        };
        let compiled = compiled
            .as_ref()
            .and_then(|compiled| compiled.get()?.as_ref());
        self.on_a_worker(|worker| worker.run(job, compiled, &self.ablation))
    }

    fn command_in(
        &self,
        job: &Job,
        command: &str,
        layer: &[Entry],
    ) -> Result<CommandRun, SandboxError> {
        self.on_a_worker(|worker| worker.command_in(job, Work { command, layer }))
    }

    fn isolation(&self) -> Isolation {
        Isolation {
            sandbox: "embedded".to_string(),
            barriers: self.barriers.clone(),
        }
    }
}

/// The barriers, if none of them is missing.
fn complete(barriers: &[String]) -> Result<Vec<String>, SandboxError> {
    // Landlock is told with its version: `landlock-7`.
    let up = |needed: &str| {
        barriers
            .iter()
            .any(|barrier| barrier == needed || barrier.starts_with(&format!("{needed}-")))
    };
    match NEEDED.into_iter().find(|needed| !up(needed)) {
        None => Ok(barriers.to_vec()),
        Some(missing) => Err(SandboxError::Barrier {
            barrier: missing.to_string(),
            reason: format!(
                "it was raised, but the kernel knows only of {}",
                barriers.join(", ")
            ),
        }),
    }
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

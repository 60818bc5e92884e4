//! Where untrusted code runs: one trait, the same limits and outcomes whatever stands behind it.
//!
//! In: a [`Job`], tests over a clean tree with files changed. Out: a [`TestRun`], from events that the code under test
//! cannot forge. Knows no model, no reward and no monitoring. What is unsafe lies in `embedded/sys.rs` alone.

#![deny(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data::FileChange;
use serde::{Deserialize, Serialize};

#[doc(hidden)]
pub mod ablation;
pub mod cpu;
pub mod docker;
pub mod embedded;
pub mod environment;
mod events;
pub mod hang;
pub mod image;
mod overtime;
mod owner;
pub mod runner;
pub mod scripted;
mod seccomp;
mod spec;
mod tail;
pub mod timeout;
pub mod workspace;

/// Bounds on one run of tests. Every one of them is enforced by the sandbox, not by the code under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Time after which the whole process tree is killed: as many seconds of CPU, where it competes for it, and of wall
    /// time, where it mostly sleeps; four times as many of wall time in any case.
    pub timeout_s: u64,
    /// Less than that: so many times what the tests take on the clean tree. 0 where only `timeout_s` counts.
    pub times_clean: u64,
    /// Address space of each process, and size of the writable tmpfs.
    pub memory_mib: u64,
    /// Size of the throw-away work tree and `/tmp`.
    pub disk_mib: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Bytes of standard output and error that are kept; the rest is counted and dropped.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            timeout_s: 60,
            times_clean: 0,
            memory_mib: 1024,
            disk_mib: 256,
            processes: 128,
            output_bytes: 1 << 20,
        }
    }
}

/// One run of tests over a source tree.
#[derive(Clone, Debug)]
pub struct Job {
    /// The clean tree; mounted read-only below a layer that is thrown away.
    pub tree: PathBuf,
    /// Files to write over the tree before the tests run.
    pub changes: Vec<FileChange>,
    /// Who runs the tests.
    pub runner: Runner,
    /// Folders below the tree that go on `PYTHONPATH`.
    pub python_path: Vec<String>,
    /// Which tests run.
    pub select: Select,
    /// Stop at the first failing test.
    pub stop_at_first_failure: bool,
    /// Whether what the tests say is compared with another run: values are told in full, and the run looks like that of a
    /// plain program.
    pub compared: bool,
    /// The bounds.
    pub limits: Limits,
}

impl Job {
    /// All tests of Python over a tree as it is.
    pub(crate) fn whole(tree: &Path, limits: Limits) -> Job {
        Job {
            tree: tree.to_path_buf(),
            changes: Vec::new(),
            runner: Runner::Pytest,
            python_path: Vec::new(),
            select: Select::All,
            stop_at_first_failure: true,
            compared: false,
            limits,
        }
    }
}

/// Who runs the tests of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runner {
    /// Tests in Python.
    #[default]
    Pytest,
    /// Tests in JavaScript.
    Jest,
}

impl Runner {
    /// The one for tasks in `language`.
    pub fn for_language(language: data::task::Language) -> Runner {
        match language {
            data::task::Language::Python => Runner::Pytest,
            data::task::Language::JavaScript => Runner::Jest,
        }
    }
}

/// Which tests of a tree run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// All that the runner finds.
    All,
    /// These ids. pytest runs them in this order, and of an id that is a file every test; jest runs their files in this
    /// order.
    Ids(Vec<String>),
}

/// What one test did, read from structured events; from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestStatus {
    /// Set-up, call and tear-down passed.
    Passed,
    /// Expected to fail, and passed.
    XPassed,
    /// Expected to fail, and failed.
    XFailed,
    /// Skipped.
    Skipped,
    /// Any phase failed.
    Failed,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The runner came to its end and said so over the event channel.
    Finished {
        /// Its exit status, as pytest has them: 0 where all tests passed, 1 where one failed.
        exit: i32,
    },
    /// The process tree ended without the closing event (crash, `os._exit`, out of memory).
    Died {
        /// Exit status or, when negative, the signal.
        exit: i32,
    },
    /// The time limit was reached and the tree was killed.
    TimedOut,
    /// The process tree used more memory than it may and was killed.
    OutOfMemory,
}

/// A frame of the code under test at the moment of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Path below the tree.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The function.
    pub function: String,
    /// The line of source.
    pub source: String,
    /// Local variables of the innermost frames, each as a short text; none in JavaScript.
    pub locals: BTreeMap<String, String>,
}

/// The first failing test, told as it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Node id of the test (or the file, for an import error).
    pub test: String,
    /// Exception type, e.g. `AssertionError`.
    pub exception: String,
    /// First line of the message.
    pub message: String,
    /// The traceback as text, bounded.
    pub trace: String,
    /// The innermost frames of the tree, outermost first.
    #[serde(default)]
    pub frames: Vec<Frame>,
    /// The end of what the test printed.
    #[serde(default)]
    pub stdout: String,
    /// The end of what it printed to standard error.
    #[serde(default)]
    pub stderr: String,
    /// Milliseconds from the start of the run to the failure.
    pub after_ms: u64,
}

/// What a run of tests showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// Status per node id, for every test that ran.
    pub tests: BTreeMap<String, TestStatus>,
    /// Ids that were asked for and that pytest found no test of; the first few tests whose ids begin so.
    pub missing: BTreeMap<String, Vec<String>>,
    /// Of each test that failed, the exception and the first line of what it says. By pytest alone.
    pub whys: BTreeMap<String, String>,
    /// How it ended.
    pub end: End,
    /// The first failure, if any.
    pub first_failure: Option<Failure>,
    /// Tail of standard output and error, bounded by [`Limits::output_bytes`]. For people; no verdict reads it.
    pub output: String,
    /// Wall time.
    pub wall: Duration,
    /// CPU time of a job that was killed for being late, where somebody could measure it.
    pub cpu: Option<Duration>,
}

/// Which barriers stand between the code under test and the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// `embedded`, `scripted`, …
    pub sandbox: String,
    /// Barriers in force, e.g. `user-ns`, `pid-ns`, `mount-ns`, `net-ns`, `overlay`, `rlimits`, `no-new-privs`.
    pub barriers: Vec<String>,
}

/// What our own machinery got wrong. Never a reward.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A barrier that this sandbox promises cannot be raised on this machine.
    #[error("the sandbox cannot raise its barrier `{barrier}`: {reason}")]
    Barrier {
        /// Name of the barrier.
        barrier: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// Python, pytest or jest is missing or broken.
    #[error("{0}")]
    Environment(String),
    /// The container engine does not answer, or answered with an error.
    #[error("the container engine failed while {doing}: {reason}")]
    Engine {
        /// What was being done.
        doing: String,
        /// The engine's answer, and what to do.
        reason: String,
    },
    /// Disk, memory or descriptors of the host ran out, or a pipe broke.
    #[error("the sandbox failed while {doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Runs tests over a tree that is thrown away.
pub trait Sandbox: Send + Sync {
    /// Runs one job. `Ok` says what the code did, `Err` what we did wrong.
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError>;
    /// Runs a shell command over the job's tree with `layer` on it: what a [`workspace::Workspace`] stands on. The tests
    /// of the job do not matter.
    ///
    /// # Errors
    ///
    /// When the machinery fails, or this sandbox runs no commands.
    fn command_in(
        &self,
        job: &Job,
        command: &str,
        layer: &[workspace::Entry],
    ) -> Result<workspace::CommandRun, SandboxError> {
        let _ = (job, command, layer);
        let sandbox = self.isolation().sandbox;
        Err(SandboxError::Environment(format!(
            "the sandbox `{sandbox}` runs tests alone, no commands"
        )))
    }
    /// The barriers that are really in force.
    fn isolation(&self) -> Isolation;
}

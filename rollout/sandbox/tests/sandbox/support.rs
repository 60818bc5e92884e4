//! Python, a sandbox and source trees for the tests.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use sandbox::embedded::{Embedded, EmbeddedOptions};
use sandbox::environment::jest::JestEnv;
use sandbox::environment::python::PythonEnv;
use sandbox::{Job, Limits, Runner, Sandbox, Select};

pub use super::runs::{passes, run, run_with};

/// One environment for all tests; none, said aloud, where there is neither a cache nor a package index.
pub fn python() -> Option<&'static PythonEnv> {
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

/// The jest of this machine; none, said aloud once, where there is none.
pub fn jest() -> Option<JestEnv> {
    static JEST: OnceLock<Option<JestEnv>> = OnceLock::new();
    let find = || match JestEnv::find() {
        Ok(jest) => Some(jest),
        Err(error) => {
            eprintln!("SKIPPED, nothing about jest was tested: {error}");
            None
        }
    };
    JEST.get_or_init(find).clone()
}

pub fn options(python: &PythonEnv) -> EmbeddedOptions {
    EmbeddedOptions {
        init: env!("CARGO_BIN_EXE_sandbox-init").into(),
        python: python.clone(),
        jest: jest(),
        workers: 2,
    }
}

/// The user that a job sees itself as.
pub const JOB_UID: u32 = 1000;

/// Processes below a parent with one job: its init, its fork server, the job, what the job left.
pub const CHILDREN: Option<usize> = Some(4);

/// A sandbox of one's own.
pub fn fresh(python: &PythonEnv) -> Box<dyn Sandbox> {
    Box::new(Embedded::new(options(python)).expect("a sandbox"))
}

/// One with another jest than this machine's, or with none.
pub fn with_jest(python: &PythonEnv, jest: Option<JestEnv>) -> Box<dyn Sandbox> {
    Box::new(
        Embedded::new(EmbeddedOptions {
            jest,
            ..options(python)
        })
        .expect("a sandbox"),
    )
}

pub fn sandbox() -> Option<&'static Embedded> {
    static SANDBOX: OnceLock<Option<Embedded>> = OnceLock::new();
    SANDBOX
        .get_or_init(|| python().map(|python| Embedded::new(options(python)).expect("a sandbox")))
        .as_ref()
}

/// A source tree that is removed at the end.
pub struct Tree(pub PathBuf);

impl Tree {
    pub fn new(files: &[(&str, &str)]) -> Tree {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root =
            std::env::temp_dir().join(format!("sandbox-tree-{}-{number}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Tree(root)
    }

    pub fn job(&self) -> Job {
        Job {
            tree: self.0.clone(),
            changes: Vec::new(),
            runner: Runner::Pytest,
            python_path: vec![".".to_string()],
            select: Select::All,
            stop_at_first_failure: false,
            compared: false,
            limits: Limits {
                timeout_s: 20,
                ..Limits::default()
            },
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

pub fn processes_with(word: &str) -> usize {
    let read = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    let lines = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(read);
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(word))
        .count()
}

pub fn descendants(pid: u32) -> Vec<u32> {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return Vec::new();
    };
    drop(text);
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
        {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

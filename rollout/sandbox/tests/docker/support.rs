//! The sandbox behind an engine, and what the shared claims need.

use std::path::Path;
use std::sync::OnceLock;

use sandbox::docker::{Docker, DockerOptions};
use sandbox::environment::jest::JestEnv;
use sandbox::environment::python::PythonEnv;
use sandbox::{Limits, Sandbox};

pub use super::runs::{passes, run, run_with};
pub use super::shared::{Tree, descendants, jest, processes_with, python};

/// The user that a job sees itself as.
pub const JOB_UID: u32 = 65534;

/// Processes below a parent with one job: containers belong to the engine.
pub const CHILDREN: Option<usize> = None;

pub fn options(python: &PythonEnv) -> DockerOptions {
    DockerOptions {
        image: None,
        python: python.clone(),
        jest: jest(),
        workers: 2,
        limits: Limits::default(),
    }
}

/// One sandbox for all tests; none, said aloud, where no engine answers.
pub fn sandbox() -> Option<&'static Docker> {
    static SANDBOX: OnceLock<Option<Docker>> = OnceLock::new();
    SANDBOX
        .get_or_init(|| {
            let python = python()?;
            if std::env::var_os("DOCKER_HOST").is_none() && !Path::new("/var/run/docker.sock").exists() {
                eprintln!("SKIPPED, nothing about containers was tested: no engine listens at /var/run/docker.sock");
                return None;
            }
            Some(Docker::new(options(python)).expect("a sandbox"))
        })
        .as_ref()
}

/// A sandbox of one's own.
pub fn fresh(python: &PythonEnv) -> Box<dyn Sandbox> {
    Box::new(Docker::new(options(python)).expect("a sandbox"))
}

/// One with another jest than this machine's, or with none.
pub fn with_jest(python: &PythonEnv, jest: Option<JestEnv>) -> Box<dyn Sandbox> {
    Box::new(
        Docker::new(DockerOptions {
            jest,
            ..options(python)
        })
        .expect("a sandbox"),
    )
}

//! `[tests]`: which sandbox the tests of tasks run in.
//!
//! Example: `[tests] sandbox = "docker"` with `image = "python:3.11"`.

use serde::{Deserialize, Serialize};

/// Where tests run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestsConfig {
    /// Which sandbox.
    pub sandbox: SandboxKind,
    /// The image whose system, Python and jest run the tests: a folder of `train image build`, or the name of one of the
    /// engine's. Without one, a Python of our own making and this machine's jest do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whether a patch that resolves its task is examined: with tests that no honest code passes, and with other inputs.
    pub evidence: bool,
    /// What changed tests are drawn by. `None`: by the seed of the run, and in `train grade` by a secret of its own. With
    /// the same secret a verdict can be had again; no patch may know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<u64>,
}

impl Default for TestsConfig {
    fn default() -> Self {
        TestsConfig {
            sandbox: SandboxKind::default(),
            image: None,
            evidence: true,
            secret: None,
        }
    }
}

/// The sandboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SandboxKind {
    /// Our own, on this machine: needs no engine.
    #[default]
    Embedded,
    /// A container for each run of tests: Docker, Podman's socket, or `DOCKER_HOST`.
    Docker,
}

impl SandboxKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            SandboxKind::Embedded => "embedded",
            SandboxKind::Docker => "docker",
        }
    }
}

//! pytest, told through events instead of text.
//!
//! The sources of the trusted side that runs inside a sandbox: the fork server ([`ZYGOTE`]), what it does for one job
//! ([`JOB`]), the byte code that saves it most of its time ([`COMPILED`]), and the plugin that reports every test and the first failure as it fails ([`PLUGIN`]).

/// The fork server: imports pytest once, forks for each job.
pub const ZYGOTE: &str = include_str!("zygote.py");
/// Raises the barriers around one job.
pub const JOB: &str = include_str!("job.py");
/// Compiles a clean tree once, for all jobs on it.
pub const COMPILED: &str = include_str!("compiled.py");
/// Runs pytest and writes the events.
pub const PLUGIN: &str = include_str!("pytest_plugin.py");

//! What will happen on this machine: printed first, saved with the run.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::config::Config;
use crate::device;
use crate::memory::MemoryPlan;

/// What will happen.
#[derive(Debug, Serialize)]
pub struct Plan<'a> {
    /// The stage.
    pub stage: &'static str,
    /// Version of this program.
    pub version: &'static str,
    /// Where tensors live.
    pub device: String,
    /// Cores that can be used.
    pub cores: usize,
    /// Weights of a new model.
    pub parameters: usize,
    /// The sandbox for code under test.
    pub sandbox: &'static str,
    /// What it will hold in memory, in bytes, when that is known before anything is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryPlan>,
    /// What was written.
    pub config: &'a Config,
}

impl<'a> Plan<'a> {
    /// The plan of one stage.
    pub fn new(stage: &'static str, config: &'a Config) -> Self {
        let parameters = config.model.parameters();
        Plan {
            stage,
            version: env!("CARGO_PKG_VERSION"),
            device: device_of(config),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            parameters,
            sandbox: config.tests.sandbox.name(),
            memory: None,
            config,
        }
    }

    /// The same plan with what it will hold in memory, as far as that is known.
    pub fn with_memory(self, memory: Option<MemoryPlan>) -> Self {
        Plan { memory, ..self }
    }

    /// Prints the plan; true when that is all that was asked for. Otherwise saves it as `plan.toml` in
    /// `folder`, unless there is one.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn show(&self, dry_run: bool, folder: &Path) -> Result<bool> {
        let text = toml::to_string(self).context("a plan is TOML")?;
        if let Some(memory) = &self.memory {
            eprintln!("{}, memory:\n{memory}", self.stage);
        }
        if dry_run {
            println!("{text}");
            return Ok(true);
        }
        let Plan { stage, device, cores, config, .. } = self;
        eprintln!("{stage}: seed {}, {device}, {cores} cores, writes `{}`", config.seed, folder.display());
        let path = folder.join("plan.toml");
        // The plan of the run that stands here stays: one that is refused must not replace it.
        if !path.exists() {
            data::file::write_whole(&path, text.as_bytes())?;
        }
        Ok(false)
    }
}

/// The device by name; one that cannot be had is told when the stage opens it.
fn device_of(config: &Config) -> String {
    config.device.open().map_or_else(|_| config.device.to_string(), |device| device::name(&device))
}

//! What will happen on this machine: printed first, saved with the run.
//!
//! In: the config of a stage, the model that it loads and the data that it reads. Out: a plan as TOML.
//! Example: a plan of SmolLM2-135M counts the 134,515,008 weights of that folder, and `[config.model]` is its shape.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use toml::Table;

use crate::checkpoint;
use crate::config::Config;
use crate::device;
use crate::memory::MemoryPlan;
use crate::run::provenance::Provenance;
use model::ModelConfig;

/// The plan of a run, in its folder.
const NAME: &str = "plan.toml";

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
    /// The folder of the model that is loaded; none where a stage has no model, or makes a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Weights of the model; none where the stage has none, or its folder is not there yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<usize>,
    /// The sandbox for code under test.
    pub sandbox: &'static str,
    /// The program, the command, the time, and what is read.
    pub provenance: Provenance,
    /// What it will hold in memory, in bytes, when that is known before anything is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryPlan>,
    /// Why, by the key that was chosen and not written.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, String>,
    /// What was written, with the shape of the model that is really used.
    #[serde(serialize_with = "with_shape_of_plan")]
    config: (&'a Config, Option<ModelConfig>),
}

impl<'a> Plan<'a> {
    /// The plan of one stage, without a model.
    pub fn new(stage: &'static str, config: &'a Config) -> Self {
        Plan {
            stage,
            version: env!("CARGO_PKG_VERSION"),
            device: device_of(config),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            model: None,
            parameters: None,
            sandbox: config.tests.sandbox.name(),
            provenance: Provenance::now(),
            memory: None,
            reasons: BTreeMap::new(),
            config: (config, None),
        }
    }

    /// The same with the model in `folder`. For a plan alone it need not be there yet.
    pub fn with_model(self, folder: &Path) -> Self {
        let shape = checkpoint::resolve(folder)
            .and_then(|folder| checkpoint::config_of(&folder))
            .ok();
        let provenance = self.provenance.model(folder);
        let parameters = shape.as_ref().map(ModelConfig::parameters);
        let model = Some(folder.display().to_string());
        Plan {
            model,
            parameters,
            provenance,
            config: (self.config.0, shape),
            ..self
        }
    }

    /// The same with a new model of `shape`.
    pub fn with_new_model(self, shape: &ModelConfig) -> Self {
        Plan {
            parameters: Some(shape.parameters()),
            config: (self.config.0, Some(shape.clone())),
            ..self
        }
    }

    /// The same with files or folders of data that are read.
    pub fn with_data<'p>(self, paths: impl IntoIterator<Item = &'p Path>) -> Self {
        Plan {
            provenance: self.provenance.data(paths),
            ..self
        }
    }

    /// The same with what it will hold in memory, as far as that is known.
    pub fn with_memory(self, memory: Option<MemoryPlan>) -> Self {
        Plan { memory, ..self }
    }

    /// The same with the reasons of what was chosen.
    pub fn with_reasons(self, reasons: BTreeMap<String, String>) -> Self {
        Plan { reasons, ..self }
    }

    /// Tells the plan; true when that is all that was asked for.
    ///
    /// # Errors
    ///
    /// When it is no TOML.
    pub fn announce(&self, dry_run: bool, place: &Path) -> Result<bool> {
        if let Some(memory) = &self.memory {
            eprintln!("{}, memory:\n{memory}", self.stage);
        }
        if dry_run {
            println!("{}", self.text()?);
            return Ok(true);
        }
        let Plan {
            stage,
            device,
            cores,
            ..
        } = self;
        eprintln!(
            "{stage}: seed {}, {device}, {cores} cores, writes `{}`",
            self.config.0.seed,
            place.display()
        );
        Ok(false)
    }

    /// As [`Plan::announce`]; a plan that is more than told is saved in the folder of its run, unless a run stands
    /// there already: one that is refused must not replace the plan of another.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn show(&self, dry_run: bool, folder: &Path) -> Result<bool> {
        if self.announce(dry_run, folder)? {
            return Ok(true);
        }
        if !holds_a_run(folder) {
            self.save(folder)?;
        }
        Ok(false)
    }

    /// Saves the plan in the folder of its run.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        Ok(data::file::write_whole(
            &folder.join(NAME),
            self.text()?.as_bytes(),
        )?)
    }

    /// Saves the plan beside the one file that the stage made, so that stages share a folder: `eval.json.plan.toml`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn save_beside(&self, file: &Path) -> Result<()> {
        Ok(data::file::write_whole(
            &beside(file, NAME),
            self.text()?.as_bytes(),
        )?)
    }

    fn text(&self) -> Result<String> {
        toml::to_string(self).context("a plan is TOML")
    }
}

/// `work/model.gguf` and `report.json` make `work/model.gguf.report.json`.
pub fn beside(file: &Path, name: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".");
    path.push(name);
    path.into()
}

/// Whether a folder holds more than a start leaves that was refused, or than was made for a run that begins: the samples
/// of its conversations are in `data`.
fn holds_a_run(folder: &Path) -> bool {
    let names = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let mut names = names.map(|name| name.to_string_lossy().into_owned());
    names.any(|name| {
        ![NAME, "events.jsonl", "data"].contains(&name.as_str()) && !name.starts_with('.')
    })
}

/// The config; its `[model]` is that of the model in use, and is left out where there is none.
fn with_shape_of_plan<S: serde::Serializer>(
    (config, shape): &(&Config, Option<ModelConfig>),
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut table = Table::try_from(config).map_err(serde::ser::Error::custom)?;
    table.remove("model");
    if let Some(shape) = shape {
        let shape = Table::try_from(shape).map_err(serde::ser::Error::custom)?;
        table.insert("model".into(), shape.into());
    }
    table.serialize(to)
}

/// The device by name; one that cannot be had is told when the stage opens it.
fn device_of(config: &Config) -> String {
    config.device.open().map_or_else(
        |_| config.device.to_string(),
        |device| device::name(&device),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(plan: &Plan) -> Table {
        plan.text().expect("prints").parse().expect("TOML")
    }

    #[test]
    fn a_plan_counts_the_model_that_is_loaded() {
        let folder = std::env::temp_dir().join(format!("plan-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        // SmolLM2-135M as downloaded: 134,515,008 weights.
        let shape = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 49152,
            "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
            "num_key_value_heads": 3, "max_position_embeddings": 8192, "rope_theta": 100000,
            "rms_norm_eps": 1e-05, "hidden_act": "silu", "tie_word_embeddings": true, "torch_dtype": "bfloat16"}"#;
        fs::write(folder.join("config.json"), shape).expect("writes");
        let config = Config::parse("", &[]).expect("the defaults");
        let plan = table(&Plan::new("sft", &config).with_model(&folder));
        assert_eq!(plan["parameters"].as_integer(), Some(134_515_008));
        assert_eq!(
            plan["config"]["model"]["hidden_size"].as_integer(),
            Some(576)
        );
        assert_eq!(plan["model"].as_str(), folder.to_str());
        let inputs = plan["provenance"]["inputs"].as_table().expect("a table");
        assert!(
            inputs.contains_key(folder.join("config.json").to_str().expect("a path")),
            "{inputs:?}"
        );
        fs::remove_dir_all(folder).expect("cleans up");
    }

    #[test]
    fn a_stage_without_a_model_counts_none() {
        let config = Config::parse("", &[]).expect("the defaults");
        for plan in [
            Plan::new("grade", &config),
            Plan::new("eval", &config).with_model(Path::new("not/there")),
        ] {
            let plan = table(&plan);
            assert!(!plan.contains_key("parameters"), "{plan}");
            assert!(
                !plan["config"]
                    .as_table()
                    .expect("a table")
                    .contains_key("model"),
                "{plan}"
            );
        }
    }

    #[test]
    fn a_plan_tells_commit_command_and_date() {
        let config = Config::parse("", &[]).expect("the defaults");
        let plan = table(&Plan::new("grade", &config));
        let said = |key: &str| {
            plan["provenance"][key]
                .as_str()
                .unwrap_or_default()
                .to_string()
        };
        assert!(!said("commit").is_empty() && !said("command").is_empty());
        assert!(
            said("date").ends_with('Z') && said("date").len() == 20,
            "{}",
            said("date")
        );
    }

    #[test]
    fn a_refused_start_leaves_the_plan_of_a_run_and_replaces_that_of_no_run() {
        let folder = std::env::temp_dir().join(format!("plan-kept-{}", std::process::id()));
        let config = |seed: u64| Config::parse("", &[format!("seed={seed}")]).expect("a config");
        let seed = || {
            let plan = fs::read_to_string(folder.join(NAME)).expect("a plan");
            plan.parse::<Table>().expect("TOML")["config"]["seed"].as_integer()
        };
        let show = |at: u64| {
            Plan::new("sft", &config(at))
                .show(false, &folder)
                .expect("is saved")
        };
        show(1);
        fs::write(folder.join(".lock"), "").expect("writes");
        fs::create_dir(folder.join("data")).expect("a folder");
        show(2);
        assert_eq!(seed(), Some(2));
        fs::write(folder.join("metrics.jsonl"), "").expect("writes");
        show(3);
        assert_eq!(seed(), Some(2));
        fs::remove_dir_all(folder).expect("cleans up");
    }

    #[test]
    fn stages_that_share_a_folder_do_not_share_a_name() {
        assert_eq!(
            beside(Path::new("work/a.json"), NAME),
            Path::new("work/a.json.plan.toml")
        );
        assert_eq!(
            beside(Path::new("work/a.gguf"), NAME),
            Path::new("work/a.gguf.plan.toml")
        );
    }
}

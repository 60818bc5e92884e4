//! What the user wrote: one complete TOML per run.
//!
//! In: a file, and `--set key=value`. Out: a [`Config`], or an error that names the line.
//! Example: `[sft] stepz = 3` is refused with `unknown field `stepz`` and its line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data::skill::repair::AnswerForm;
use data::source::chats::ChatSettings;
use data::source::plant::BugKind;
use rollout::advantage::Estimator;
use rollout::policy::Sampling;
use rollout::trajectory::Overlong;
use rollout::watch::WatchConfig;
use sandbox::Limits;
use serde::{Deserialize, Serialize};

use crate::device::DeviceChoice;
use crate::export::Format;
use crate::loss::cispo::CispoConfig;
use crate::loss::clipped::ClippedConfig;
use crate::loss::dppo::DppoConfig;
use crate::loss::gspo::GspoConfig;
use crate::loss::policy::PolicyLoss;
use crate::optim::OptimizerConfig;
use crate::trainer::sentinel::Sentinel;
use model::ModelConfig;
use model::lora::LoraConfig;

mod range;
mod sft;
mod test_env;

pub use sft::{SftConfig, SourceConfig};
pub use test_env::{SandboxKind, TestsConfig};

/// A whole run. Every section has defaults; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// From which all randomness of the run derives.
    pub seed: u64,
    /// Folder that the run writes.
    pub run: PathBuf,
    /// The model that training starts from: a folder with `config.json`, `tokenizer.json` and `model.safetensors`.
    /// Without it a new model of `[model]` is made.
    pub base: Option<PathBuf>,
    /// Where tasks come from.
    pub data: DataConfig,
    /// The shape of a new model.
    pub model: ModelConfig,
    /// Where tensors live: `auto`, `cpu`, `cuda` or `cuda:1`.
    pub device: DeviceChoice,
    /// Where tests run.
    pub tests: TestsConfig,
    /// Bounds on the code under test.
    pub sandbox: Limits,
    /// Thresholds beyond which something happens.
    pub watch: WatchConfig,
    /// Supervised fine-tuning.
    pub sft: SftConfig,
    /// Reinforcement learning.
    pub grpo: GrpoConfig,
    /// Evaluation.
    pub eval: EvalConfig,
    /// Export.
    pub export: ExportConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 7,
            run: "checkpoints/run".into(),
            base: None,
            data: DataConfig::default(),
            model: ModelConfig::default(),
            device: DeviceChoice::default(),
            tests: TestsConfig::default(),
            sandbox: Limits::default(),
            watch: WatchConfig::default(),
            sft: SftConfig::default(),
            grpo: GrpoConfig::default(),
            eval: EvalConfig::default(),
            export: ExportConfig::default(),
        }
    }
}

/// Where tasks come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Packages to train on: folders, or pinned requirements such as `toolz==1.0.0`.
    pub train: Vec<String>,
    /// Packages that are only evaluated on.
    pub held_out: Vec<String>,
    /// Most tasks planted in one package to train on.
    pub train_tasks_per_package: usize,
    /// Most tasks planted in one held-out package.
    pub held_out_tasks_per_package: usize,
    /// Most bugs tried in one package.
    pub candidates_per_package: usize,
    /// Most tasks in one function.
    pub tasks_per_function: usize,
    /// Longest function shown, in lines.
    pub max_function_lines: usize,
    /// Longest sample, in tokens.
    pub max_tokens: usize,
    /// The kinds of bugs that are planted.
    pub kinds: Vec<BugKind>,
    /// Share of the training tasks that become SFT samples; the others are left for GRPO.
    pub sft_share: f64,
    /// How an answer is written.
    pub answer: AnswerForm,
    /// Test runs at once.
    pub workers: usize,
    /// How conversations become samples.
    pub chats: ChatSettings,
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig {
            train: Vec::new(),
            held_out: Vec::new(),
            train_tasks_per_package: 60,
            held_out_tasks_per_package: 40,
            candidates_per_package: 400,
            tasks_per_function: 8,
            max_function_lines: 40,
            max_tokens: 512,
            kinds: BugKind::ALL.to_vec(),
            sft_share: 0.5,
            answer: AnswerForm::Line,
            workers: 2,
            chats: ChatSettings::default(),
        }
    }
}

/// Reinforcement learning with group-relative advantages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpoConfig {
    /// Optimizer steps (of stage 1, with a curriculum).
    pub steps: u64,
    /// Optimizer steps of stage 2; only with `--curriculum`.
    pub stage2_steps: u64,
    /// Stage 2 drops tasks solved more often than this.
    pub solved_above: f64,
    /// A task is dropped only after this many attempts.
    pub min_attempts: u64,
    /// Informative groups per step.
    pub groups_per_step: usize,
    /// Updates of the weights per step: its groups are trained in so many parts of nearly equal size, each normalized by
    /// its own count. With 1 the ratio to the sampler is 1, and no clip ever acts.
    pub updates_per_batch: usize,
    /// Attempts per group.
    pub group_size: usize,
    /// Groups drawn per step at most before it trains on what it has.
    pub max_groups_drawn: usize,
    /// Padded tokens per micro-batch. Where it is not said, as many as suit the model and the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch_tokens: Option<usize>,
    /// Whether activations are computed again, block by block, instead of kept: less memory, a third more time.
    /// Where it is not said, only if nothing else fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpointing: Option<bool>,
    /// Whether the model computes with weights of 16 bits, of which the optimizer keeps exact ones; for GPUs only.
    pub bf16: bool,
    /// Rows decoded at once.
    pub decode_rows: usize,
    /// The tasks of `--validate` are attempted every so many steps, and at the end, as `[eval]` says; 0 for never. The
    /// checkpoint with the highest pass@1 on them is kept as `best`.
    pub validate_every: u64,
    /// Seconds that an outage of the sandbox is waited for, before the run saves and ends.
    pub outage_s: u64,
    /// A checkpoint every so many steps; 0 for one at the end only.
    pub save_every: u64,
    /// How many checkpoints are kept.
    pub keep: usize,
    /// How answers are drawn.
    pub sampling: Sampling,
    /// How rewards become advantages.
    pub advantage: Estimator,
    /// What happens to attempts that were cut off.
    pub overlong: Overlong,
    /// The loss.
    pub loss: LossConfig,
    /// Numbers of `metrics.jsonl` that warn, pause or stop the run where they leave their bounds.
    pub sentinels: Vec<Sentinel>,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// LoRA instead of all weights.
    pub lora: LoraConfig,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        GrpoConfig {
            steps: 20,
            stage2_steps: 0,
            solved_above: 0.9,
            min_attempts: 8,
            groups_per_step: 16,
            updates_per_batch: 1,
            group_size: 8,
            max_groups_drawn: 64,
            micro_batch_tokens: None,
            checkpointing: None,
            bf16: false,
            decode_rows: 128,
            validate_every: 20,
            outage_s: 600,
            save_every: 10,
            keep: 2,
            sampling: Sampling {
                max_new_tokens: 48,
                ..Sampling::default()
            },
            advantage: Estimator::default(),
            overlong: Overlong::Mask,
            loss: LossConfig::default(),
            sentinels: Sentinel::usual(),
            optimizer: OptimizerConfig::default(),
            lora: LoraConfig::default(),
        }
    }
}

/// Which policy loss. A variant is the name of its table: `[grpo.loss.clipped]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossConfig {
    /// PPO's clipped loss with DAPO's clip-higher.
    Clipped(ClippedConfig),
    /// REINFORCE with clipped importance weights.
    Cispo(CispoConfig),
    /// A mask on tokens whose probability has moved too far.
    Dppo(DppoConfig),
    /// Clipped ratios of whole sequences.
    Gspo(GspoConfig),
}

impl LossConfig {
    /// The loss itself.
    pub fn policy_loss(&self) -> &dyn PolicyLoss {
        match self {
            LossConfig::Clipped(loss) => loss,
            LossConfig::Cispo(loss) => loss,
            LossConfig::Dppo(loss) => loss,
            LossConfig::Gspo(loss) => loss,
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig::Clipped(ClippedConfig::default())
    }
}

/// Evaluation on held-out tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// Attempts per task.
    pub attempts: usize,
    /// Rows decoded at once.
    pub decode_rows: usize,
    /// Resamples of the bootstrap.
    pub resamples: usize,
    /// How answers are drawn.
    pub sampling: Sampling,
}

impl Default for EvalConfig {
    fn default() -> Self {
        EvalConfig {
            attempts: 8,
            decode_rows: 128,
            resamples: 10_000,
            sampling: Sampling {
                max_new_tokens: 48,
                ..Sampling::default()
            },
        }
    }
}

/// Export to a quantized file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportConfig {
    /// The quantization.
    pub format: Format,
    /// Largest mean KL divergence of the exported model's next-token distribution from the original's, in nats.
    pub max_logit_kl: f64,
    /// Prompts compared.
    pub prompts: usize,
}

impl Default for ExportConfig {
    fn default() -> Self {
        ExportConfig {
            format: Format::Q4_0,
            max_logit_kl: 0.2,
            prompts: 64,
        }
    }
}

impl Config {
    /// Reads `path` and applies `--set` overrides, in order.
    ///
    /// # Errors
    ///
    /// When the file is missing, a key is unknown (named with its line) or a value is out of its range.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config> {
        let text = data::file::read_text(path).context("while reading the config")?;
        Config::parse(&text, overrides)
            .with_context(|| format!("in the config `{}`", path.display()))
    }

    /// Parses TOML and applies overrides.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(text: &str, overrides: &[String]) -> Result<Config> {
        Config::read(text, overrides).with_context(|| {
            format!("the config is refused{}", data::Hint("a command with `--dry-run` and without `--config` prints every key and its default"))
        })
    }

    fn read(text: &str, overrides: &[String]) -> Result<Config> {
        let mut config: Config = toml::from_str(text)?;
        for entry in overrides {
            config = config
                .set(entry)
                .with_context(|| format!("in `--set {entry}`"))?;
        }
        match range::problem(&config) {
            Some(problem) => Err(problem.in_file(text)),
            None => Ok(config),
        }
    }

    /// The config with one `key=value` replaced; the value is TOML, or else a bare word.
    fn set(&self, entry: &str) -> Result<Config> {
        let Some((key, value)) = entry.split_once('=') else {
            bail!("expected `key=value`")
        };
        let value: toml::Value = toml::from_str::<toml::Table>(&format!("value = {value}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let mut table = toml::Table::try_from(self)?;
        let mut at = &mut table;
        let parts: Vec<&str> = key.trim().split('.').collect();
        let (last, folders) = parts
            .split_last()
            .expect("splitting gives one part at least");
        for part in folders {
            let inner = at
                .entry(*part)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let Some(inner) = inner.as_table_mut() else {
                bail!("`{part}` is no table")
            };
            at = inner;
        }
        at.insert((*last).to_owned(), value);
        Ok(toml::from_str(&toml::to_string(&table)?)?)
    }
}

#[cfg(test)]
mod tests;

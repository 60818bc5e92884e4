//! `[sft]`: supervised fine-tuning.

use std::path::{Path, PathBuf};

use data::source::chats::Form;
use serde::{Deserialize, Serialize};

use crate::optim::OptimizerConfig;
use model::lora::LoraConfig;

/// Supervised fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SftConfig {
    /// Optimizer steps.
    pub steps: u64,
    /// Samples per step.
    pub samples_per_step: usize,
    /// Padded tokens per micro-batch. Where it is not said, as many as suit the model and the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch_tokens: Option<usize>,
    /// Tokens of a row that several samples share without seeing each other; 0 for one sample a row.
    pub pack_tokens: usize,
    /// Whether activations are computed again, block by block, instead of kept: less memory, a third more time.
    /// Where it is not said, only if nothing else fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpointing: Option<bool>,
    /// Whether the model computes with weights of 16 bits, of which the optimizer keeps exact ones; for GPUs only.
    pub bf16: bool,
    /// Weight of the tokens that the assistant did not write; 0 trains on the assistant's tokens only.
    pub context_weight: f32,
    /// The samples of `--validate` are asked every so many steps, and at the end; 0 for never. The checkpoint with the
    /// smallest loss on them is kept as `best`.
    pub validate_every: u64,
    /// A checkpoint every so many steps; 0 for one at the end only.
    pub save_every: u64,
    /// How many checkpoints are kept.
    pub keep: usize,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// LoRA instead of all weights.
    pub lora: LoraConfig,
    /// Several sets of samples instead of the one of `--samples`, each drawn as often as its weight says.
    pub mixture: Vec<SourceConfig>,
}

/// One set of samples of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Folder of Parquet shards.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub samples: PathBuf,
    /// Conversations instead, as `--data` takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<PathBuf>,
    /// The form of their rows; where it is not said, each row tells by its columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Form>,
    /// Its share of the samples, relative to the other weights.
    pub weight: f64,
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

impl SourceConfig {
    /// What it is called in errors.
    pub fn name(&self) -> String {
        match self.data.first() {
            Some(path) => path.display().to_string(),
            None => self.samples.display().to_string(),
        }
    }
}

impl Default for SftConfig {
    fn default() -> Self {
        SftConfig {
            steps: 100,
            samples_per_step: 32,
            micro_batch_tokens: None,
            pack_tokens: 0,
            checkpointing: None,
            bf16: false,
            context_weight: 0.0,
            validate_every: 50,
            save_every: 50,
            keep: 2,
            optimizer: OptimizerConfig::default(),
            lora: LoraConfig::default(),
            mixture: Vec::new(),
        }
    }
}

impl SftConfig {
    /// Why it cannot be, if it cannot.
    pub fn problem(&self) -> Option<String> {
        if let Some(tokens) = self
            .micro_batch_tokens
            .filter(|tokens| self.pack_tokens > *tokens)
        {
            return Some(format!(
                "`sft.pack_tokens` is {}, but a micro-batch has `sft.micro_batch_tokens` = {tokens}",
                self.pack_tokens
            ));
        }
        let wrong = |source: &&SourceConfig| !source.weight.is_finite() || source.weight < 0.0;
        if let Some(source) = self
            .mixture
            .iter()
            .find(|source| is_empty(&source.samples) == source.data.is_empty())
        {
            return Some(format!(
                "in `sft.mixture`: `{}` names either `samples` or `data`",
                source.name()
            ));
        }
        let source = self.mixture.iter().find(wrong)?;
        Some(format!(
            "in `sft.mixture`: `{}` has the weight {}",
            source.name(),
            source.weight
        ))
    }
}

//! What several commands take.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use data::Tokenizer;
use data::source::chats::{ChatSettings, Form};
use data::template::ChatTemplate;
use rollout::policy::Sampling;

use crate::checkpoint;
use crate::config::{Config, SandboxKind};
use crate::device::DeviceChoice;

/// Refuses `key` = true, weights of 16 bits, where they are not computed with.
///
/// # Errors
///
/// On the CPU.
pub fn check_bf16(key: &str, bf16: bool, device: &Device) -> Result<()> {
    if bf16 && *device == Device::flex() {
        bail!(
            "`{key}` is for GPUs: this CPU computes with 32 bits{}",
            data::Hint("leave it out, or name a GPU with `--device`")
        );
    }
    Ok(())
}

/// Reads a model's folder, or its name on the Hugging Face Hub: then it is looked for in the cache.
pub fn model_parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(checkpoint::model_folder)
}

/// What every run takes.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// The run's TOML. Without it every value has its default.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Replace one value of the config, e.g. `--set sft.optimizer.lr=2e-3`. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// From which all randomness derives (short for `--set seed=N`).
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where tensors live: `auto`, `cpu`, `cuda` or `cuda:1` (short for `--set device=NAME`).
    #[arg(long, value_name = "NAME")]
    pub device: Option<DeviceChoice>,
    /// Where tests run (short for `--set tests.sandbox=NAME`).
    #[arg(long, value_name = "NAME")]
    pub sandbox: Option<SandboxKind>,
    /// The image whose system and Python run the tests: `DIR/<digest>` of `train image build`, or, with `--sandbox
    /// docker`, one of the engine's (short for `--set tests.image=IMAGE`).
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Print the plan and stop.
    #[arg(long)]
    pub dry_run: bool,
}

impl RunArgs {
    /// Whether the config file or `--set` says `key`, such as `sft.lora.rank`.
    ///
    /// # Errors
    ///
    /// When the config cannot be read.
    pub fn says(&self, key: &str) -> Result<bool> {
        let sets = |entry: &String| {
            let set = entry.split_once('=').map_or("", |(set, _)| set.trim());
            set == key
                || key
                    .strip_prefix(set)
                    .is_some_and(|rest| rest.starts_with('.'))
        };
        if self.set.iter().any(sets) {
            return Ok(true);
        }
        let Some(path) = &self.config else {
            return Ok(false);
        };
        let table: toml::Value = toml::from_str(&data::file::read_text(path)?)?;
        let found = key.split('.').try_fold(&table, |at, part| at.get(part));
        Ok(found.is_some())
    }

    /// The config of a run, from its file and the command line.
    ///
    /// # Errors
    ///
    /// When the file is missing or a value is refused.
    pub fn config(&self) -> Result<Config> {
        self.config_or("")
    }

    /// As [`RunArgs::config`], of a command that brings a config of its own, which `--config` replaces.
    ///
    /// # Errors
    ///
    /// As [`RunArgs::config`].
    pub fn config_or(&self, own: &str) -> Result<Config> {
        let mut overrides = self.set.clone();
        overrides.extend(self.seed.map(|seed| format!("seed={seed}")));
        overrides.extend(self.device.map(|device| format!("device=\"{device}\"")));
        overrides.extend(
            self.sandbox
                .map(|kind| format!("tests.sandbox=\"{}\"", kind.name())),
        );
        overrides.extend(
            self.image
                .as_ref()
                .map(|image| format!("tests.image={}", toml::Value::from(image.as_str()))),
        );
        match &self.config {
            Some(path) => Config::load(path, &overrides),
            None => Config::parse(own, &overrides),
        }
    }
}

/// How rows of conversations are read.
#[derive(Args, Clone, Debug, Default)]
pub struct ChatArgs {
    /// The form of the rows: messages, sharegpt, prompt-completion, alpaca, text, preference, swe-agent, mini-swe-agent,
    /// openhands or atif [default: each row tells by its columns].
    #[arg(long, value_name = "FORM")]
    pub format: Option<Form>,
    /// The chat template of a model that has none, or instead of its own: `chatml`, or a file of Jinja.
    #[arg(long, value_name = "NAME")]
    pub chat_template: Option<String>,
}

impl ChatArgs {
    /// The settings of a config, with what the command line says.
    pub fn settings(&self, config: &Config) -> ChatSettings {
        let settings = config.data.chats.clone();
        ChatSettings {
            format: self.format.or(settings.format),
            ..settings
        }
    }

    /// The chat template of a model, or the one that is chosen instead.
    ///
    /// # Errors
    ///
    /// When there is no such template, or the tokenizer lacks its markers.
    pub fn template(&self, folder: &Path, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
        Ok(match &self.chat_template {
            Some(chosen) => ChatTemplate::chosen(chosen, folder, tokenizer)?,
            None => ChatTemplate::from_folder(folder, tokenizer)?,
        })
    }
}

/// What a run that judges takes besides.
#[derive(Args, Clone, Debug, Default)]
pub struct WatchArgs {
    /// Tell Prometheus how it goes, at `http://ADDRESS/metrics`, e.g. 127.0.0.1:9184; port 0 for any that is free.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_addr: Option<SocketAddr>,
    /// Go on though tests were killed for their memory too often: the count begins anew.
    #[arg(long)]
    pub forget_oom: bool,
}

/// How tokens are drawn.
#[derive(Args, Clone, Debug)]
pub struct DrawingArgs {
    /// 1 draws from the model's distribution, 0 takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.7)]
    pub temperature: f32,
    /// Draw from the likeliest tokens that hold this much probability together.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f32,
    /// Draw from so many of the likeliest tokens; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub top_k: usize,
    /// Draw from tokens at least this many times as likely as the likeliest.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub min_p: f32,
    /// Divide the logits of tokens that were seen already by this.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub repetition_penalty: f32,
    /// End an answer that says one piece so many times in a row; 0 lets it repeat.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_repeats: usize,
    /// End an answer before this text. Can be repeated.
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
}

impl DrawingArgs {
    /// The same for answers of at most `max_new_tokens`.
    pub fn sampling(&self, max_new_tokens: usize) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            max_repeats: self.max_repeats,
            stop: self.stop.clone(),
            max_new_tokens,
        }
    }
}

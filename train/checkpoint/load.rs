//! A model folder becomes a model: one that this program wrote, or one as downloaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::{Device, Tensor};
use data::Tokenizer;
use data::template::ChatTemplate;
use serde::de::DeserializeOwned;

use super::{Loaded, how_to_download, list, verify};
use crate::adapter::Adapter;
use model::nf4::{Nf4Blocks, Rounding};
use model::origin::Origin;
use model::weights::{Precision, WeightsError, WeightsFolder};
use model::{CausalLm, ModelConfig};

/// Loads a model folder in f32, or the newest checkpoint of a run folder.
///
/// # Errors
///
/// When there is none, or a file is missing, damaged, of the wrong shape or of an architecture that is not known.
pub fn load(path: &Path, device: &Device) -> Result<Loaded> {
    load_as(path, Precision::Float32, device)
}

/// As [`load`], with the weights in `precision`; in f32 where additions of an adapter are added.
///
/// # Errors
///
/// As [`load`].
pub fn load_as(path: &Path, precision: Precision, device: &Device) -> Result<Loaded> {
    let path = resolve(path)?;
    if path.join("MANIFEST.json").exists() {
        verify(&path)?;
    }
    if Adapter::is_in(&path) {
        return Adapter::read(&path)?.load(&path, device);
    }
    let mut config = config_of(&path)?;
    // A large vocabulary takes as long to read as small weights. Large weights are not read to their end for nothing.
    let unwanted = AtomicBool::new(false);
    let (words, model) = std::thread::scope(|scope| {
        let words = scope.spawn(|| {
            let words = words_of(&path, &config);
            unwanted.store(words.is_err(), Ordering::Relaxed);
            words
        });
        let model = weights_of(&path, &config, precision, device, &unwanted)
            .with_context(|| refused(&path));
        (
            words
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            model,
        )
    });
    let ((tokenizer, template), model) = (words?, model?);
    config.decide_end(&tokenizer, &template);
    Ok(Loaded {
        path,
        config,
        model,
        tokenizer,
        template,
    })
}

/// As [`load`], with the linear maps of all blocks rounded to four bits one by one, and left out of the model.
///
/// # Errors
///
/// As [`load`].
pub fn load_rounded(path: &Path, device: &Device) -> Result<(Loaded, Nf4Blocks)> {
    let path = resolve(path)?;
    if Adapter::is_in(&path) {
        // Additions are added in f32 first.
        let loaded = load(&path, device)?;
        let (model, blocks) = Nf4Blocks::take(loaded.model, device);
        return Ok((Loaded { model, ..loaded }, blocks));
    }
    if path.join("MANIFEST.json").exists() {
        verify(&path)?;
    }
    let mut config = config_of(&path)?;
    let (tokenizer, template) = words_of(&path, &config)?;
    config.decide_end(&tokenizer, &template);
    let mut weights = WeightsFolder::open(&path, &config, Precision::Float32, device)
        .with_context(|| refused(&path))?;
    let mut rounding = Rounding::new(&mut weights, device);
    let model = CausalLm::build(&config, &mut rounding).with_context(|| refused(&path))?;
    let blocks = rounding.blocks();
    Ok((
        Loaded {
            path,
            config,
            model,
            tokenizer,
            template,
        },
        blocks,
    ))
}

/// A model folder before any value is read.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The shape of the model.
    pub config: ModelConfig,
    /// What its weights take in memory when it is loaded as it is stored.
    pub stored_bytes: u64,
}

/// Everything about a model folder that can be known without reading its values: whether it can be loaded, before
/// anything long begins.
///
/// # Errors
///
/// As [`load`], but for values that are not finite and bytes that were changed.
pub fn check(path: &Path, device: &Device) -> Result<()> {
    let path = resolve(path)?;
    if Adapter::is_in(&path) {
        return check(&Adapter::read(&path)?.base_of(&path)?, device);
    }
    words_of(&path, &config_of(&path)?)?;
    outline(&path, device).map(|_| ())
}

/// What a model folder says besides its weights: its shape, its tokenizer, its chat template.
///
/// # Errors
///
/// As [`check`], but for the weights, which need not be there.
pub fn words(path: &Path) -> Result<(ModelConfig, Tokenizer, ChatTemplate)> {
    let path = resolve(path)?;
    if Adapter::is_in(&path) {
        return words(&Adapter::read(&path)?.base_of(&path)?);
    }
    let mut config = config_of(&path)?;
    let (tokenizer, template) = words_of(&path, &config)?;
    config.decide_end(&tokenizer, &template);
    Ok((config, tokenizer, template))
}

/// The shape and the size of a model: its config and the headers of its weights are read.
///
/// # Errors
///
/// As [`check`], but for its tokenizer and its template.
pub fn outline(path: &Path, device: &Device) -> Result<Outline> {
    let path = resolve(path)?;
    if Adapter::is_in(&path) {
        let base = outline(&Adapter::read(&path)?.base_of(&path)?, device)?;
        // Additions are added in f32.
        return Ok(Outline {
            stored_bytes: base.config.parameters() as u64 * 4,
            ..base
        });
    }
    let config = config_of(&path)?;
    let weights = WeightsFolder::open(&path, &config, Precision::Stored, device)
        .with_context(|| refused(&path))?;
    Ok(Outline {
        config,
        stored_bytes: weights.bytes(),
    })
}

fn refused(folder: &Path) -> String {
    format!(
        "cannot load the weights in `{}`{}",
        folder.display(),
        data::Hint("copy or download them again, or name another folder")
    )
}

/// The shape of the model in `folder`, from `config.json` or Mistral's `params.json`, or of the model that an adapter
/// names.
///
/// # Errors
///
/// When it is missing, damaged, or of an architecture that is not known.
pub fn config_of(folder: &Path) -> Result<ModelConfig> {
    if Adapter::is_in(folder) {
        return config_of(&Adapter::read(folder)?.base_of(folder)?);
    }
    let read = |name: &str| {
        let file = folder.join(name);
        fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))
    };
    let (name, config) = match folder.join("config.json").exists() {
        true => ("config.json", ModelConfig::from_json(&read("config.json")?)),
        false => (
            "params.json",
            ModelConfig::from_params(&read("params.json")?),
        ),
    };
    let file = folder.join(name);
    const HINT: data::Hint<&str> =
        data::Hint("Llama, Mistral, Qwen2 and Qwen3 are known, and the language model of Mistral3");
    let unknown = || {
        format!(
            "`{}` describes no model that is known here{HINT}",
            file.display()
        )
    };
    let config = config.with_context(unknown)?;
    if let Some(problem) = config.problem() {
        return Err(anyhow!(problem).context(unknown()));
    }
    if folder.join("generation_config.json").exists() {
        check_generation(
            &folder.join("generation_config.json"),
            &read("generation_config.json")?,
        )?;
    }
    Ok(config)
}

/// Refuses a `generation_config.json` that asks for what changes every answer and is not done here. How tokens are drawn
/// (`temperature`, `top_p`, …) is told by whoever asks.
fn check_generation(file: &Path, bytes: &[u8]) -> Result<()> {
    const UNKNOWN: [&str; 11] = [
        "stop_strings",
        "suppress_tokens",
        "begin_suppress_tokens",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "forced_decoder_ids",
        "bad_words_ids",
        "sequence_bias",
        "no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "watermarking_config",
    ];
    let told: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes)
        .with_context(|| format!("`{}` is damaged", file.display()))?;
    let unset = |value: &serde_json::Value| {
        value.is_null() || value == 0 || value.as_array().is_some_and(Vec::is_empty)
    };
    let found = UNKNOWN
        .iter()
        .find(|key| told.get(**key).is_some_and(|value| !unset(value)));
    if let Some(key) = found {
        bail!(
            "`{}` asks for `{key}`, which is not done here{}",
            file.display(),
            data::Hint("remove the key if answers may do without it")
        );
    }
    Ok(())
}

/// The tokenizer in `folder`, for a model of `config`.
///
/// # Errors
///
/// When it is missing or damaged, or has ids that the model does not know.
pub fn tokenizer_of(folder: &Path, config: &ModelConfig) -> Result<Tokenizer> {
    let tokenizer = Tokenizer::from_folder(folder)?;
    tokenizer.require_within(config.vocab_size)?;
    Ok(tokenizer)
}

fn words_of(folder: &Path, config: &ModelConfig) -> Result<(Tokenizer, ChatTemplate)> {
    let tokenizer = tokenizer_of(folder, config)?;
    let template = ChatTemplate::from_folder(folder, &tokenizer)?;
    Ok((tokenizer, template))
}

fn weights_of(
    folder: &Path,
    config: &ModelConfig,
    precision: Precision,
    device: &Device,
    unwanted: &AtomicBool,
) -> Result<CausalLm> {
    let weights = WeightsFolder::open(folder, config, precision, device)?;
    if weights.passed_over() > 0 {
        let count = weights.passed_over();
        eprintln!(
            "note: `{}`: {count} tensors that see images are passed over",
            folder.display()
        );
    }
    Ok(CausalLm::build(config, &mut Wanted { weights, unwanted })?)
}

/// Weights that are read for as long as somebody wants them.
struct Wanted<'a> {
    weights: WeightsFolder,
    unwanted: &'a AtomicBool,
}

impl Wanted<'_> {
    fn check(&self) -> Result<(), WeightsError> {
        if self.unwanted.load(Ordering::Relaxed) {
            Err(WeightsError::Unwanted)
        } else {
            Ok(())
        }
    }
}

impl Origin for Wanted<'_> {
    type Error = WeightsError;

    fn matrix(
        &mut self,
        name: &str,
        shape: [usize; 2],
        scale: f64,
    ) -> Result<Tensor<2>, WeightsError> {
        self.check()?;
        self.weights.matrix(name, shape, scale)
    }

    fn vector(&mut self, name: &str, length: usize, start: f32) -> Result<Tensor<1>, WeightsError> {
        self.check()?;
        self.weights.vector(name, length, start)
    }
}

/// `path` itself when it holds a model or an adapter, else its newest whole checkpoint.
///
/// # Errors
///
/// When there is neither.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    if ["config.json", "params.json"]
        .iter()
        .any(|name| path.join(name).exists())
        || Adapter::is_in(path)
    {
        return Ok(path.to_path_buf());
    }
    for (_, checkpoint) in list(path).into_iter().rev() {
        match verify(&checkpoint) {
            Ok(_) => return Ok(checkpoint),
            Err(error) => eprintln!("warning: {error:#}; trying the checkpoint before it"),
        }
    }
    if let Some(hint) = how_to_download(path).filter(|_| !path.exists()) {
        bail!("there is no model `{}`{}", path.display(), data::Hint(hint));
    }
    bail!(
        "`{}` holds no model: neither `config.json` nor a complete checkpoint `step-…`{}",
        path.display(),
        data::Hint("name a model folder, or train one with `train sft`")
    )
}

/// What a run needs to go on besides weights and moments.
///
/// # Errors
///
/// When it cannot be resumed from.
pub fn load_state<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let state = path.join("state.json");
    let bytes = fs::read(&state).with_context(|| format!("cannot read `{}`", state.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("`{}` is damaged", state.display()))
}

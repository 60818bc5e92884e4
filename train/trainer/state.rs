//! What moves while a model is trained, the same for every trainer: weights, LoRA adapter, optimizer, step.
//!
//! In: a model folder, and what of it is trained ([`Tuning`]). Out: a [`TrainState`], which is asked for gradients
//! ([`TrainState::learner`]), updated, saved and resumed.
//! Example: with `lora.rank = 16` and `lora.four_bit` the linear maps of the base are NF4 and frozen, and a checkpoint
//! holds the adapter alone; trained on by another trainer, the same adapter goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use burn::tensor::{DType, Device, Tensor};
use data::Tokenizer;
use data::template::ChatTemplate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::adapter::{self, Adapter};
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::memory::Fit;
use crate::optim::{AdamW, NamedGradients, OptimizerConfig};
use crate::run::watched;
use crate::trainer::layerwise::Learner;
use model::decoder::rope_of;
use model::lora::{LoraConfig, with_lora};
use model::nf4::Nf4Blocks;
use model::rope::Rope;
use model::weights::DiskDtype;
use model::{CausalLm, ModelConfig};
use rollout::watch::Watcher;

/// The format of `state.json`.
pub const FORMAT: u32 = 2;

/// What of a model is trained, in which precision, and by which optimizer.
#[derive(Clone, Copy)]
pub struct Tuning<'a> {
    /// A LoRA adapter; with rank 0 all weights are trained.
    pub lora: &'a LoraConfig,
    /// Whether the model computes with weights of 16 bits.
    pub bf16: bool,
    /// The optimizer.
    pub optimizer: &'a OptimizerConfig,
}

/// What does not move: the folder of the base model, its shape, tokenizer and chat template.
pub struct Base {
    /// The folder that an adapter names as its base.
    pub path: PathBuf,
    /// The shape.
    pub config: ModelConfig,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The chat template.
    pub template: ChatTemplate,
}

impl Base {
    /// Writes conversations by another template from here on; it also decides what ends a turn.
    pub fn take_template(&mut self, template: ChatTemplate) {
        self.template = template;
        self.config.decide_end(&self.tokenizer, &self.template);
    }
}

/// Weights as they were read, before anything moved.
pub struct Weights {
    model: CausalLm,
    frozen: Option<Nf4Blocks>,
    adapter: Option<Adapter>,
}

/// The counters of a run, in every `state.json`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Steps of the trainer.
    pub step: u64,
    /// Updates of the optimizer: fewer where a step had nothing to train on.
    pub updates: u64,
    /// How micro-batches are computed: another choice would change the last digits.
    pub fit: Fit,
}

/// Where a run goes on: a checkpoint and its counters.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// The folder of the checkpoint.
    pub path: PathBuf,
    /// Its counters.
    pub counters: Counters,
}

/// The part of `state.json` that every trainer writes.
#[derive(Deserialize)]
struct Header {
    format: u32,
    #[serde(default)]
    counters: Option<Counters>,
}

/// How the newest checkpoint below `folder` computes micro-batches; `None` where there is none that says so.
pub fn kept_fit(folder: &Path) -> Option<Fit> {
    let (_, path) = checkpoint::list(folder).pop()?;
    let header: Header = checkpoint::load_state(&path).ok()?;
    header.counters.map(|counters| counters.fit)
}

/// What a trainer wrote into `state.json` of the checkpoint `path`.
///
/// # Errors
///
/// When it is damaged, or of another format.
pub fn read_state<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let header: Header = checkpoint::load_state(path)?;
    if header.format != FORMAT {
        bail!(
            "`{}` has format {}, and runs of format {FORMAT} can be resumed{}",
            path.join("state.json").display(),
            header.format,
            data::Hint("name it with `--model` to start a new run from its weights")
        );
    }
    checkpoint::load_state(path)
}

/// Reads the model in `folder` to train it as `tuning` says.
///
/// With a `lora.rank`, a folder that holds an adapter of the same kind goes on being trained. Without one, an adapter is
/// merged into its base model, and all weights are trained.
///
/// # Errors
///
/// As [`checkpoint::load`]; and when the adapter in `folder` is of another kind than `tuning.lora`.
pub fn read(folder: &Path, tuning: &Tuning<'_>, device: &Device) -> Result<(Base, Weights)> {
    let path = checkpoint::resolve(folder)?;
    if !Adapter::is_in(&path) {
        return read_base(&path, None, tuning, device);
    }
    if tuning.lora.rank == 0 {
        eprintln!(
            "note: `{}` holds a LoRA adapter; it is merged into its base model, and all weights are trained{}",
            path.display(),
            data::Hint("set `lora.rank` to train the adapter on")
        );
        return read_base(&path, None, tuning, device);
    }
    let adapter = Adapter::read(&path)?;
    adapter.require_like(tuning.lora)?;
    let base = adapter.base_of(&path)?;
    read_base(&base, Some(adapter), tuning, device)
}

fn read_base(
    path: &Path,
    adapter: Option<Adapter>,
    tuning: &Tuning<'_>,
    device: &Device,
) -> Result<(Base, Weights)> {
    let (loaded, frozen) = if tuning.lora.four_bit {
        let (loaded, frozen) = checkpoint::load_rounded(path, device)?;
        (loaded, Some(frozen))
    } else {
        (checkpoint::load(path, device)?, None)
    };
    Ok(split(loaded, frozen, adapter))
}

fn split(loaded: Loaded, frozen: Option<Nf4Blocks>, adapter: Option<Adapter>) -> (Base, Weights) {
    let Loaded {
        path,
        config,
        model,
        tokenizer,
        template,
    } = loaded;
    (
        Base {
            path,
            config,
            tokenizer,
            template,
        },
        Weights {
            model,
            frozen,
            adapter,
        },
    )
}

/// The model that a run begins with.
pub enum Origin<'a> {
    /// A model folder, an adapter, or the folder of another run.
    Folder(&'a Path),
    /// A new model, which exists in memory only.
    New(Box<Loaded>),
}

/// The model of a run: as its newest checkpoint holds it, else as it begins.
///
/// # Errors
///
/// As [`read`].
pub fn read_or_resume(
    origin: Origin<'_>,
    resumed: Option<&Resumed>,
    tuning: &Tuning<'_>,
    device: &Device,
) -> Result<(Base, Weights)> {
    match (resumed, origin) {
        (None, Origin::Folder(folder)) => read(folder, tuning, device),
        (None, Origin::New(loaded)) => Ok(split(*loaded, None, None)),
        (Some(Resumed { path, .. }), Origin::Folder(folder)) if tuning.lora.rank > 0 => {
            // The base may have moved since the checkpoint was written: `folder` says where it is now.
            let folder = checkpoint::resolve(folder)?;
            let base = if Adapter::is_in(&folder) {
                Adapter::read(&folder)?.base_of(&folder)?
            } else {
                folder
            };
            read_base(&base, Some(Adapter::read(path)?), tuning, device)
        }
        (Some(Resumed { path, .. }), _) => read_base(path, None, tuning, device),
    }
}

/// What moves.
pub struct TrainState<'a> {
    /// Steps done.
    pub step: u64,
    /// How micro-batches are computed.
    pub fit: Fit,
    base: &'a Base,
    tuning: Tuning<'a>,
    // Out of its place only while the optimizer changes it: it owns the weights then, and can do so where they lie.
    model: Option<CausalLm>,
    frozen: Option<Arc<Nf4Blocks>>,
    rope: Rope,
    optimizer: AdamW,
}

impl<'a> TrainState<'a> {
    /// The state of a run at its start, or as the checkpoint `resumed` left it. A new adapter is drawn from `seed`.
    ///
    /// # Errors
    ///
    /// When the adapter does not fit the model, or the optimizer of the checkpoint is damaged.
    pub fn new(
        base: &'a Base,
        weights: Weights,
        tuning: Tuning<'a>,
        fit: Fit,
        seed: u64,
        resumed: Option<&Resumed>,
        device: &Device,
    ) -> Result<Self> {
        let Weights {
            mut model,
            frozen,
            adapter,
        } = weights;
        if tuning.lora.rank > 0 {
            model = with_lora(model, &base.config, tuning.lora, seed, device);
        }
        if let Some(adapter) = adapter {
            model = adapter.put_into(model, &base.config, device)?;
        }
        if tuning.bf16 {
            model = model.cast(DType::BF16);
        }
        let fresh = Counters {
            step: 0,
            updates: 0,
            fit,
        };
        let counters = resumed.map_or(fresh, |resumed| resumed.counters);
        let optimizer = match resumed {
            Some(resumed) => AdamW::read(
                tuning.optimizer.clone(),
                &resumed.path,
                counters.updates,
                device,
            )?,
            None => AdamW::new(tuning.optimizer.clone()),
        };
        let rope = rope_of(&base.config, device);
        let frozen = frozen.map(Arc::new);
        let Counters { step, fit, .. } = counters;
        Ok(TrainState {
            step,
            fit,
            base,
            tuning,
            model: Some(model),
            frozen,
            rope,
            optimizer,
        })
    }

    /// The weights. What four bits hold is in [`TrainState::frozen`].
    pub fn model(&self) -> &CausalLm {
        self.model
            .as_ref()
            .expect("the model is in its place between updates")
    }

    /// The linear maps that were taken out of the model.
    pub fn frozen(&self) -> Option<Arc<Nf4Blocks>> {
        self.frozen.clone()
    }

    /// What gradients are asked of.
    pub fn learner(&self) -> Learner<'_> {
        Learner {
            model: self.model(),
            frozen: self.frozen.as_deref(),
            rope: &self.rope,
            checkpointing: self.fit.checkpointing,
        }
    }

    /// One update of the weights; returns the norm of the gradients, `[1]`. The step is the trainer's to count.
    ///
    /// # Panics
    ///
    /// When there is no gradient.
    pub fn update(&mut self, gradients: NamedGradients, rate: f64) -> Tensor<1> {
        let model = self
            .model
            .take()
            .expect("the model is in its place between updates");
        let (model, norm) = self.optimizer.step(model, gradients, rate);
        self.model = Some(model);
        norm
    }

    /// Where the run stands.
    pub fn counters(&self) -> Counters {
        Counters {
            step: self.step,
            updates: self.optimizer.updates(),
            fit: self.fit,
        }
    }

    /// Writes a checkpoint below `out`; `state` is what the trainer needs besides.
    ///
    /// # Errors
    ///
    /// As [`checkpoint::save`].
    pub fn save(
        &self,
        out: &Path,
        keep: usize,
        watcher: &Watcher,
        state: &impl Serialize,
    ) -> Result<()> {
        let snapshot = Snapshot {
            optimizer: Some(&self.optimizer),
            state: Some(serde_json::to_value(state)?),
            ..self.snapshot()
        };
        watched::save(watcher, out, &snapshot, keep)
    }

    /// Writes the weights to the folder `best` below `out`.
    ///
    /// # Errors
    ///
    /// As [`checkpoint::save_model`].
    pub fn save_best(&self, out: &Path) -> Result<()> {
        checkpoint::save_model(&out.join("best"), &self.snapshot())
    }

    fn snapshot(&self) -> Snapshot<'_> {
        let adapter = adapter::About {
            config: self.tuning.lora,
            base: &self.base.path,
        };
        Snapshot {
            step: self.step,
            config: &self.base.config,
            model: self.model(),
            adapter: (self.tuning.lora.rank > 0).then_some(adapter),
            tokenizer: &self.base.tokenizer,
            template: &self.base.template,
            dtype: DiskDtype::Float32,
            optimizer: None,
            state: None,
        }
    }
}

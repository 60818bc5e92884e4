//! What moves while a run runs: made anew, or as the newest checkpoint left it; saved.

use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::tensor::{DType, Tensor};
use data::Tokenizer;
use data::template::ChatTemplate;
use serde::{Deserialize, Serialize};

use super::{Best, Sft};
use crate::adapter::{self, Adapter};
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::config::SftConfig;
use crate::memory::Fit;
use crate::optim::{AdamW, NamedGradients};
use crate::settings::Settings;
use crate::watched;
use model::decoder::rope_of;
use model::lora::with_lora;
use model::nf4::Nf4Blocks;
use model::rope::Rope;
use model::weights::DiskDtype;
use model::{CausalLm, ModelConfig};

/// What a resumed run needs besides weights and moments.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: u32,
    stage: String,
    seed: u64,
    samples: String,
    step: u64,
    config: SftConfig,
    /// How micro-batches are computed: another choice would change the last digits.
    fit: Fit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<Best>,
}

impl State {
    /// What the run rests on, beside what moves.
    fn settings(&self) -> Settings {
        let State { stage, seed, samples, config, .. } = self;
        let settings = Settings::default().with("stage", stage).with("seed", seed).with("sft", config);
        settings.with("content of the samples", samples)
    }
}

/// How the newest checkpoint below `folder` computes micro-batches; none where there is none that says so.
pub fn kept_fit(folder: &Path) -> Option<Fit> {
    let (_, path) = checkpoint::list(folder).pop()?;
    checkpoint::load_state::<State>(&path).ok().map(|state| state.fit)
}

/// What moves.
pub(super) struct Live {
    pub(super) step: u64,
    pub(super) fit: Fit,
    // Out of its place only while the optimizer changes it: it owns the weights then, and can do so where they lie.
    held: Option<CausalLm>,
    pub(super) frozen: Option<Nf4Blocks>,
    pub(super) rope: Rope,
    pub(super) best: Option<Best>,
    optimizer: AdamW,
    shape: ModelConfig,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    base: PathBuf,
}

impl Live {
    /// The weights.
    pub(super) fn model(&self) -> &CausalLm {
        self.held.as_ref().expect("the model is in its place between updates")
    }

    /// One optimizer step; returns the norm of the gradients, `[1]`.
    pub(super) fn update(&mut self, gradients: NamedGradients, rate: f64) -> Tensor<1> {
        let model = self.held.take().expect("the model is in its place between updates");
        let (model, norm) = self.optimizer.step(model, gradients, rate);
        self.held = Some(model);
        self.step += 1;
        norm
    }
}

impl Sft<'_> {
    /// Everything that moves, at its start or as the newest checkpoint left it.
    pub(super) fn begin(&self, start: Loaded, frozen: Option<Nf4Blocks>) -> Result<Live> {
        let (lora, found) = (&self.config.lora, self.newest()?);
        let base = start.path.clone();
        let (mut step, mut best, mut fit) = (0, None, self.fit);
        let mut optimizer = AdamW::new(self.config.optimizer.clone());
        let Loaded { config: mut shape, mut model, mut tokenizer, mut template, .. } = start;
        if lora.rank > 0 {
            model = with_lora(model, &shape, lora, self.seed, self.device);
        }
        if let Some((path, state)) = found {
            (step, best, fit) = (state.step, state.best, state.fit);
            optimizer = AdamW::read(self.config.optimizer.clone(), &path, step, self.device)?;
            if lora.rank > 0 {
                model = Adapter::read(&path)?.put_into(model, &shape, self.device)?;
            } else {
                drop(model);
                Loaded { config: shape, model, tokenizer, template, .. } = checkpoint::load(&path, self.device)?;
            }
        }
        if self.config.bf16 {
            model = model.cast(DType::BF16);
        }
        let rope = rope_of(&shape, self.device);
        Ok(Live { step, fit, held: Some(model), frozen, rope, best, optimizer, shape, tokenizer, template, base })
    }

    pub(super) fn save(&self, live: &Live) -> Result<()> {
        let state = State { step: live.step, fit: live.fit, best: live.best, ..self.state() };
        let snapshot = Snapshot {
            optimizer: Some(&live.optimizer),
            state: Some(serde_json::to_value(state)?),
            ..self.weights(live)
        };
        watched::save(self.watcher, self.out, &snapshot, self.config.keep)
    }

    /// At the start.
    fn state(&self) -> State {
        State {
            format: 1,
            stage: "sft".into(),
            seed: self.seed,
            samples: self.samples.hash.clone(),
            step: 0,
            config: self.config.clone(),
            fit: self.fit,
            best: None,
        }
    }

    /// Keeps the weights as `best` when no earlier step had a smaller loss on the samples that are not trained on.
    pub(super) fn keep_best(&self, live: &mut Live, loss: f64) -> Result<()> {
        if live.best.is_some_and(|best| best.loss <= loss) || !loss.is_finite() {
            return Ok(());
        }
        live.best = Some(Best { step: live.step, loss });
        checkpoint::save_model(&self.out.join("best"), &self.weights(live))
    }

    fn weights<'l>(&'l self, live: &'l Live) -> Snapshot<'l> {
        let adapter = adapter::About { config: &self.config.lora, base: &live.base };
        Snapshot {
            step: live.step,
            config: &live.shape,
            model: live.model(),
            adapter: (self.config.lora.rank > 0).then_some(adapter),
            tokenizer: &live.tokenizer,
            template: &live.template,
            dtype: DiskDtype::Float32,
            optimizer: None,
            state: None,
        }
    }

    /// The newest whole checkpoint when resuming; without `--resume`, refuses a folder that holds one.
    fn newest(&self) -> Result<Option<(PathBuf, State)>> {
        let Some((_, path)) = checkpoint::start(self.out, self.resume)? else { return Ok(None) };
        let state: State = checkpoint::load_state(&path)?;
        state.settings().require_same(&self.state().settings(), &format!("the run in `{}`", path.display()))?;
        Ok(Some((path, state)))
    }
}

//! Supervised fine-tuning: samples in, weights out.
//!
//! Which samples a step sees is a function of the seed and the step alone, so a killed run resumed from its newest
//! checkpoint gives the same weights as one that was never killed.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use data::Sample;
use data::mixture::Order;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Row, micro_batches};
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::config::SftConfig;
use crate::loss::cross_entropy::cross_entropy;
use crate::metrics::{Metrics, check_finite};
use crate::model::decoder::rope_of;
use crate::model::rope::Rope;
use crate::model::weights::DiskDtype;
use crate::model::{CausalLm, ModelConfig};
use crate::optim::{AdamW, NamedGradients, gradients, over_micro_batches};
use crate::progress::Progress;
use crate::validate::Validation;

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
}

/// What a run did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SftSummary {
    /// Optimizer steps.
    pub steps: u64,
    /// Samples in the set.
    pub samples: usize,
    /// Tokens without padding, over all steps of this process.
    pub tokens: u64,
    /// Seconds of this process.
    pub seconds: f64,
    /// `tokens / seconds`.
    pub tokens_per_s: f64,
    /// Loss of the last step; none when nothing was left to do.
    pub loss: Option<f64>,
}

/// A run.
pub struct Sft<'a> {
    /// What was configured.
    pub config: &'a SftConfig,
    /// Decides the order of samples.
    pub seed: u64,
    /// What is learned.
    pub samples: &'a [Sample],
    /// BLAKE3 of their manifest: a run is not resumed on other samples.
    pub samples_hash: String,
    /// What it is asked every `validate_every` steps and is not trained on; may be empty.
    pub validation: &'a [Sample],
    /// Where checkpoints and metrics go.
    pub out: &'a Path,
    /// Whether to go on from the newest checkpoint.
    pub resume: bool,
    /// Where tensors live.
    pub device: &'a Device,
}

impl Sft<'_> {
    /// Trains `start` and returns what was done; the last checkpoint is in `out`.
    ///
    /// # Errors
    ///
    /// When a checkpoint cannot be written, or the loss is no longer a number.
    pub fn run(&self, start: Loaded) -> Result<SftSummary> {
        if self.samples.is_empty() {
            bail!("there is no sample to train on");
        }
        let _lock = checkpoint::lock(self.out)?;
        let mut start = start;
        let mut optimizer = AdamW::new(self.config.optimizer.clone());
        let mut step = 0;
        if let Some((found, loaded, moments)) = self.newest()? {
            (step, start) = (found, loaded);
            optimizer = AdamW::from_host(self.config.optimizer.clone(), &moments, step, self.device);
        }
        let Loaded { config: shape, mut model, tokenizer, .. } = start;
        let rope = rope_of(&shape, self.device);
        let mut metrics = Metrics::open(&self.out.join("metrics.jsonl"), step)?;
        let mut progress = Progress::new("sft", self.config.steps);
        progress.advance_to(step);
        let mut summary = SftSummary {
            steps: self.config.steps,
            samples: self.samples.len(),
            tokens: 0,
            seconds: 0.0,
            tokens_per_s: 0.0,
            loss: None,
        };
        let started = Instant::now();
        while step < self.config.steps {
            let clock = Instant::now();
            let rows = self.rows(step);
            let (gradients, loss, tokens) = self.gradients(&model, &rows, &rope);
            let rate = self.config.optimizer.rate(step, self.config.steps);
            let (updated, norm) = optimizer.step(model, gradients, rate);
            model = updated;
            step += 1;
            check_finite("sft", step, loss, norm, self.out)?;
            summary.tokens += tokens as u64;
            summary.loss = Some(loss);
            let seconds = clock.elapsed().as_secs_f64();
            let speed = tokens as f64 / seconds;
            let mut values = vec![("loss", loss), ("grad_norm", f64::from(norm)), ("learning_rate", rate)];
            values.push(("tokens", tokens as f64));
            let mut note = format!("loss {loss:.3}  {speed:.0} tokens/s");
            if let Some(found) = self.validate(step, &model, &rope) {
                values.extend(found.named());
                note += &format!("  eval loss {:.3}  exact {:.3}", found.loss, found.exact_match);
            }
            metrics.write(step, &values, &[("timing_s/step", seconds), ("perf/tokens_per_s", speed)])?;
            progress.advance(1, note);
            let due = self.config.save_every > 0 && step.is_multiple_of(self.config.save_every);
            if due || step == self.config.steps {
                self.save(step, &shape, &model, &tokenizer, &optimizer)?;
            }
        }
        progress.finish();
        summary.seconds = started.elapsed().as_secs_f64();
        summary.tokens_per_s = summary.tokens as f64 / summary.seconds.max(1e-9);
        Ok(summary)
    }

    fn validate(&self, step: u64, model: &CausalLm, rope: &Rope) -> Option<Validation> {
        let every = self.config.validate_every;
        let due = every > 0 && (step.is_multiple_of(every) || step == self.config.steps);
        (due && !self.validation.is_empty())
            .then(|| Validation::of(model, rope, self.validation, self.config.micro_batch_tokens, self.device))
    }

    /// The samples of `step`, as rows.
    fn rows(&self, step: u64) -> Vec<Row> {
        let order = Order::new(self.samples.len(), self.seed);
        let first = step * self.config.samples_per_step as u64;
        (0..self.config.samples_per_step as u64)
            .map(|at| Row::from_sample(&self.samples[order.index(first + at)], self.config.context_weight))
            .collect()
    }

    /// Gradients of the step's mean loss, summed over micro-batches of like length.
    fn gradients(&self, model: &CausalLm, rows: &[Row], rope: &Rope) -> (NamedGradients, f64, usize) {
        let weight: f32 = rows.iter().flat_map(|row| &row.targets).map(|target| target.weight).sum();
        let micro_batches = micro_batches(rows, self.config.micro_batch_tokens);
        let (sum, measured) = over_micro_batches(model, &micro_batches, |model, rows| {
            let batch = Batch::new(rows, self.device);
            let logits = batch.logits(model, rope);
            let loss = cross_entropy(logits, batch.targets.autodiff(), batch.weights.autodiff(), weight);
            let value = f64::from(loss.clone().inner().into_scalar::<f32>());
            (gradients(model, loss.backward()), (value, batch.tokens))
        });
        let (losses, tokens): (Vec<f64>, Vec<usize>) = measured.into_iter().unzip();
        (sum, losses.iter().sum(), tokens.iter().sum())
    }

    fn save(
        &self,
        step: u64,
        shape: &ModelConfig,
        model: &CausalLm,
        tokenizer: &data::Tokenizer,
        optimizer: &AdamW,
    ) -> Result<()> {
        let state = State {
            format: 1,
            stage: "sft".into(),
            seed: self.seed,
            samples: self.samples_hash.clone(),
            step,
            config: self.config.clone(),
        };
        let snapshot = Snapshot {
            step,
            config: shape,
            model,
            tokenizer,
            dtype: DiskDtype::Float32,
            optimizer: Some(optimizer.to_host()),
            state: Some(serde_json::to_value(state)?),
        };
        checkpoint::save(self.out, &snapshot, self.config.keep)?;
        Ok(())
    }

    /// The newest whole checkpoint when resuming; without `--resume`, refuses a folder that holds one.
    fn newest(&self) -> Result<Option<(u64, Loaded, crate::model::weights::HostTensors)>> {
        let Some((step, path)) = checkpoint::start(self.out, self.resume)? else { return Ok(None) };
        let loaded = checkpoint::load(&path, self.device)?;
        let (moments, state): (_, State) = checkpoint::load_state(&path)?;
        let same = state.stage == "sft" && state.seed == self.seed && state.samples == self.samples_hash;
        if !same || state.config != *self.config {
            bail!(
                "`{}` was saved by a run with another seed, sample set or `[sft]`\nhint: resume with the config that started it, or choose another `--out`",
                path.display()
            );
        }
        Ok(Some((step, loaded, moments)))
    }
}

/// Reads samples and refuses those that the model cannot hold.
///
/// # Errors
///
/// When the set is damaged, or a sample is longer than the model's context or has an id beyond its vocabulary.
pub fn read_samples(folder: &Path, shape: &ModelConfig) -> Result<Vec<Sample>> {
    let samples = data::store::read_samples(folder).context("while reading the samples")?;
    for (row, sample) in samples.iter().enumerate() {
        if sample.tokens.len() > shape.max_position_embeddings {
            bail!(
                "`{}`, row {row} (`{}`) has {} tokens, but the model's context is {}\nhint: build the samples with `--set data.max_tokens={}`",
                folder.display(),
                sample.origin,
                sample.tokens.len(),
                shape.max_position_embeddings,
                shape.max_position_embeddings
            );
        }
        if let Some(id) = sample.tokens.iter().find(|&&id| id as usize >= shape.vocab_size) {
            bail!(
                "`{}`, row {row} (`{}`) has the token {id}, but the model knows {}\nhint: the samples were made with another tokenizer; build them again with this model's",
                folder.display(),
                sample.origin,
                shape.vocab_size
            );
        }
    }
    Ok(samples)
}

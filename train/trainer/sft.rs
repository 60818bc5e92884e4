//! Supervised fine-tuning: samples in, weights out.
//!
//! Which samples a step sees is a function of the seed and the step alone, so a killed run resumed from its newest
//! checkpoint gives the same weights as one that was never killed.

mod plan;
mod preset;
mod samples;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use data::Sample;
use data::template::ChatTemplate;
use rollout::watch::Watcher;
use serde::{Deserialize, Serialize};
use std::ops::Range;

use crate::checkpoint;
use crate::config::SftConfig;
use crate::loss::cross_entropy::cross_entropy;
use crate::memory::{self, Fit, MemoryUse};
use crate::metrics::{Metrics, check_finite};
use crate::optim::{NamedGradients, over_micro_batches, workers};
use crate::run::interrupt::{Interrupt, Interrupted};
use crate::run::progress::Progress;
use crate::settings::Settings;
use crate::trainer::batch::{Batch, Row, micro_batches};
use crate::trainer::state::{self, Counters, Origin, Resumed, TrainState, Tuning};
use crate::trainer::validate::Validation;

pub use plan::{SftMemory, memory_plan};
pub use preset::{Chooser, Preset, Reasons};
pub use samples::{SampleSet, check_tokenizer, read_samples};

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
    /// What it was planned to hold in memory, and what it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUse>,
    /// The smallest loss on the samples that are not trained on, and its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
}

/// The step with the smallest loss on samples that are not trained on; its weights are in the folder `best`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Optimizer steps done.
    pub step: u64,
    /// Mean loss per token.
    pub loss: f64,
}

/// What `state.json` of a checkpoint holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: u32,
    stage: String,
    seed: u64,
    samples: String,
    config: SftConfig,
    counters: Counters,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<Best>,
}

impl State {
    /// What the run rests on, beside what moves.
    fn settings(&self) -> Settings {
        let State {
            stage,
            seed,
            samples,
            config,
            ..
        } = self;
        let settings = Settings::default()
            .with("stage", stage)
            .with("seed", seed)
            .with("sft", config);
        settings.with("content of the samples", samples)
    }
}

/// The config of the newest checkpoint below `folder`; `None` where there is none.
pub fn kept_config(folder: &Path) -> Option<SftConfig> {
    let (_, path) = checkpoint::list(folder).pop()?;
    let state: State = checkpoint::load_state(&path).ok()?;
    Some(state.config)
}

/// A run.
pub struct Sft<'a> {
    /// What was configured.
    pub config: &'a SftConfig,
    /// Decides the order of samples.
    pub seed: u64,
    /// What is learned.
    pub samples: &'a SampleSet,
    /// What it is asked every `validate_every` steps and is not trained on; may be empty.
    pub validation: &'a [Sample],
    /// The chat template that the model gets instead of its own, if any.
    pub chat_template: Option<&'a ChatTemplate>,
    /// Hears how long a checkpoint takes.
    pub watcher: &'a Watcher,
    /// Where checkpoints and metrics go.
    pub out: &'a Path,
    /// How micro-batches are computed, where no checkpoint says.
    pub fit: Fit,
    /// Whether to go on from the newest checkpoint.
    pub resume: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
    /// Where tensors live.
    pub device: &'a Device,
}

impl Sft<'_> {
    /// Trains the model of `origin`, and returns what was done; the last checkpoint is in `out`.
    ///
    /// # Errors
    ///
    /// When the model or a checkpoint cannot be read or written, the loss is no longer a number, or a signal came: then
    /// the last step is saved.
    pub fn run(&self, origin: Origin<'_>) -> Result<SftSummary> {
        let _lock = checkpoint::lock(self.out)?;
        let found = self.newest()?;
        let mut best = found.as_ref().and_then(|(_, state)| state.best);
        let resumed = found.map(|(path, state)| Resumed {
            path,
            counters: state.counters,
        });
        let (mut base, weights) =
            state::read_or_resume(origin, resumed.as_ref(), &self.tuning(), self.device)?;
        if let Some(template) = self.chat_template {
            base.take_template(template.clone());
        }
        let mut live = TrainState::new(
            &base,
            weights,
            self.tuning(),
            self.fit,
            self.seed,
            resumed.as_ref(),
            self.device,
        )?;
        let mut metrics = Metrics::open(&self.out.join("metrics.jsonl"), live.step)?;
        let mut progress = Progress::new("sft", self.config.steps);
        progress.advance_to(live.step);
        let mut total = Total::default();
        let started = Instant::now();
        let mut asked = self.interrupt.asked();
        while live.step < self.config.steps && !asked {
            let note = self.step(&mut live, &mut metrics, &mut total, &mut best)?;
            progress.advance(1, note);
            let due =
                self.config.save_every > 0 && live.step.is_multiple_of(self.config.save_every);
            asked = self.interrupt.asked();
            if due || live.step == self.config.steps || asked {
                metrics.sync()?;
                live.save(
                    self.out,
                    self.config.keep,
                    self.watcher,
                    &self.state(live.counters(), best),
                )?;
            }
        }
        progress.finish();
        if live.step < self.config.steps {
            return Err(self.stopped(live.step));
        }
        let seconds = started.elapsed().as_secs_f64();
        Ok(SftSummary {
            steps: self.config.steps,
            samples: self.samples.len(),
            tokens: total.tokens,
            seconds,
            tokens_per_s: total.tokens as f64 / seconds.max(1e-9),
            loss: total.loss,
            memory: None,
            best,
        })
    }

    /// One step: samples, gradients, update, validation where it is due, a row of metrics. Returns what to show.
    fn step(
        &self,
        live: &mut TrainState<'_>,
        metrics: &mut Metrics,
        total: &mut Total,
        best: &mut Option<Best>,
    ) -> Result<String> {
        let clock = Instant::now();
        let rows = rows_of(self.samples, self.config, live.step, self.seed);
        let (gradients, losses, tokens) = self.gradients(live, &rows);
        let rate = self.config.optimizer.rate(live.step, self.config.steps);
        let norm = live.update(gradients, rate);
        live.step += 1;
        // The first numbers that the host waits for.
        let norm: f32 = norm.into_scalar();
        let loss = losses
            .into_iter()
            .map(|part| f64::from(part.into_scalar::<f32>()))
            .sum();
        check_finite("sft", live.step, loss, norm, self.out)?;
        total.tokens += tokens as u64;
        total.loss = Some(loss);
        let seconds = clock.elapsed().as_secs_f64();
        let speed = tokens as f64 / seconds;
        let mut values = vec![
            ("loss", loss),
            ("grad_norm", f64::from(norm)),
            ("learning_rate", rate),
        ];
        values.push(("tokens", tokens as f64));
        let mut note = format!("loss {loss:.3}  {speed:.0} tokens/s");
        if let Some(found) = self.validate(live) {
            values.extend(found.named());
            note += &format!(
                "  eval loss {:.3}  exact {:.3}",
                found.loss, found.exact_match
            );
            self.keep_best(live, found.loss, best)?;
        }
        let mut clocks = vec![("timing_s/step", seconds), ("perf/tokens_per_s", speed)];
        clocks.extend(memory::peak().map(|bytes| ("perf/peak_mib", (bytes >> 20) as f64)));
        metrics.write(live.step, &values, &clocks)?;
        Ok(note)
    }

    fn tuning(&self) -> Tuning<'_> {
        Tuning {
            lora: &self.config.lora,
            bf16: self.config.bf16,
            optimizer: &self.config.optimizer,
        }
    }

    fn state(&self, counters: Counters, best: Option<Best>) -> State {
        State {
            format: state::FORMAT,
            stage: "sft".into(),
            seed: self.seed,
            samples: self.samples.hash.clone(),
            config: self.config.clone(),
            counters,
            best,
        }
    }

    /// The newest whole checkpoint when resuming; without `--resume`, refuses a folder that holds one.
    fn newest(&self) -> Result<Option<(PathBuf, State)>> {
        let Some((_, path)) = checkpoint::start(self.out, self.resume)? else {
            return Ok(None);
        };
        let found: State = state::read_state(&path)?;
        let now = self.state(found.counters, None);
        found
            .settings()
            .require_same(&now.settings(), &format!("the run in `{}`", path.display()))?;
        Ok(Some((path, found)))
    }

    /// Keeps the weights as `best` when no earlier step had a smaller loss on the samples that are not trained on.
    fn keep_best(&self, live: &TrainState<'_>, loss: f64, best: &mut Option<Best>) -> Result<()> {
        if best.is_some_and(|best| best.loss <= loss) || !loss.is_finite() {
            return Ok(());
        }
        *best = Some(Best {
            step: live.step,
            loss,
        });
        live.save_best(self.out)
    }

    fn stopped(&self, step: u64) -> anyhow::Error {
        Interrupted::new(format!(
            "{step} of {} steps are saved in `{}`",
            self.config.steps,
            self.out.display()
        ))
        .into()
    }

    fn validate(&self, live: &TrainState<'_>) -> Option<Validation> {
        let every = self.config.validate_every;
        let due = every > 0 && (live.step.is_multiple_of(every) || live.step == self.config.steps);
        (due && !self.validation.is_empty()).then(|| {
            Validation::measure(
                &live.learner(),
                self.validation,
                live.fit.micro_batch_tokens,
                self.device,
            )
        })
    }

    /// Gradients of the step's mean loss, summed over micro-batches of like length; the parts of the loss, still where
    /// they were computed; and the tokens.
    fn gradients(
        &self,
        live: &TrainState<'_>,
        rows: &[Row],
    ) -> (NamedGradients, Vec<Tensor<1>>, usize) {
        let weight: f32 = rows
            .iter()
            .flat_map(|row| &row.targets)
            .map(|target| target.weight)
            .sum();
        let micro_batches: Vec<_> = micro_batches(rows, live.fit.micro_batch_tokens)
            .into_iter()
            .enumerate()
            .collect();
        let learner = live.learner();
        let (sum, measured) =
            over_micro_batches(&micro_batches, workers(self.device), |(index, rows)| {
                let batch = Batch::new(rows, self.device);
                let key = data::draw::key(self.seed, &[live.step, *index as u64]);
                let (gradients, losses) =
                    learner.gradients(&batch, key, &|logits: Tensor<2>, range: Range<usize>| {
                        let part = batch.part(&range);
                        cross_entropy(logits, part.targets, part.weights, weight)
                    });
                (gradients, (losses, batch.tokens))
            });
        let (losses, tokens): (Vec<Vec<Tensor<1>>>, Vec<usize>) = measured.into_iter().unzip();
        (
            sum,
            losses.into_iter().flatten().collect(),
            tokens.iter().sum(),
        )
    }
}

/// Sums over the steps of this process.
#[derive(Default)]
struct Total {
    tokens: u64,
    loss: Option<f64>,
}

/// The samples of `step`, as rows.
fn rows_of(samples: &SampleSet, config: &SftConfig, step: u64, seed: u64) -> Vec<Row> {
    let samples = samples.of_step(step, config.samples_per_step, seed);
    let rows: Vec<Row> = samples
        .iter()
        .map(|sample| Row::from_sample(sample, config.context_weight))
        .collect();
    if config.pack_tokens == 0 {
        return rows;
    }
    let lengths: Vec<usize> = rows.iter().map(|row| row.tokens.len()).collect();
    let packed = data::pack::pack(&lengths, config.pack_tokens).into_iter();
    packed
        .map(|row| Row::packed(row.into_iter().map(|at| rows[at].clone()).collect()))
        .collect()
}

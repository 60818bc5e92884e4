//! Reinforcement learning with group-relative advantages: draw, attempt, grade, weigh, step, write down.
//!
//! The trainer sees tokens, log-probabilities and advantages. What a reward was, and how it became an advantage, is
//! known to `rollout` alone.

use std::path::Path;
use std::time::{Instant, SystemTime};

use anyhow::{Result, bail};
use burn::tensor::Device;
use rollout::curriculum::{Curriculum, CurriculumConfig, Draw, DropReason, Stages};
use rollout::group::Group;
use rollout::policy::Policy;
use rollout::pool::Entry;
use rollout::record::{Log, Place, Queue, Record};
use rollout::trajectory::Trajectory;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Row, micro_batches};
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::config::{GrpoConfig, LossConfig};
use crate::evaluate::Rollouts;
use crate::generate::Generator;
use crate::loss::clipped::clipped;
use crate::loss::{entropy, log_probabilities};
use crate::metrics::{Metrics, Row as MetricsRow};
use crate::model::CausalLm;
use crate::model::decoder::rope_of;
use crate::model::rope::Rope;
use crate::model::weights::{DiskDtype, HostTensors};
use crate::optim::{AdamW, NamedGradients, gradients, over_micro_batches};
use crate::progress::Progress;

/// What a resumed run needs besides weights and moments.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: u32,
    stage: String,
    step: u64,
    updates: u64,
    config: GrpoConfig,
    curriculum: Curriculum,
    log_offset: u64,
}

/// What a run did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GrpoSummary {
    /// Optimizer steps.
    pub steps: u64,
    /// Tasks in the set.
    pub tasks: usize,
    /// Attempts graded by this process.
    pub attempts: u64,
    /// Attempts without a verdict.
    pub lost: u64,
    /// Groups drawn, over the whole run.
    pub groups: u64,
    /// Groups trained, over the whole run.
    pub trained_groups: u64,
    /// Groups that were all right or all wrong, over the whole run.
    pub uninformative_groups: u64,
    /// Tasks that left with the first stage of a curriculum.
    pub dropped_tasks: usize,
    /// Seconds of this process.
    pub seconds: f64,
    /// Attempts per second.
    pub attempts_per_s: f64,
    /// Tokens sampled per second of sampling.
    pub sampled_tokens_per_s: f64,
    /// Tokens trained per second of training, prompts included.
    pub trained_tokens_per_s: f64,
}

/// A run.
pub struct Grpo<'a> {
    /// What was configured.
    pub config: &'a GrpoConfig,
    /// From which all randomness derives.
    pub seed: u64,
    /// Tasks and their judge.
    pub rollouts: Rollouts<'a>,
    /// Whether there are two stages.
    pub curriculum: bool,
    /// Where checkpoints, metrics and the log of attempts go.
    pub out: &'a Path,
    /// Whether to go on from the newest checkpoint.
    pub resume: bool,
    /// Where tensors live.
    pub device: &'a Device,
}

/// Sums over what a step sampled.
#[derive(Default)]
struct Sampled {
    attempts: u64,
    lost: u64,
    rewards: Vec<f64>,
    lengths: Vec<f64>,
    truncated: u64,
    groups: u64,
    zero_std: u64,
    tokens: u64,
    generate_s: f64,
    grade_s: f64,
}

/// Means over the tokens that a step trained.
#[derive(Default)]
struct Trained {
    loss: f64,
    entropy: f64,
    clip_low: f64,
    clip_high: f64,
    ratio: f64,
    logp_difference: f64,
    targets: f64,
    tokens: usize,
}

impl Grpo<'_> {
    /// Trains `start`; the last checkpoint is in `out`.
    ///
    /// # Errors
    ///
    /// When the sandbox or the disk fails for good, or the loss is no longer a number.
    pub fn run(&self, start: Loaded) -> Result<GrpoSummary> {
        let _lock = checkpoint::lock(self.out)?;
        let steps = self.config.steps + if self.curriculum { self.config.stage2_steps } else { 0 };
        let mut curriculum = self.new_curriculum()?;
        let (mut start, mut step, mut log_offset) = (start, 0, 0);
        let mut optimizer = AdamW::new(self.config.optimizer.clone());
        if let Some((found, loaded, moments, state)) = self.newest()? {
            optimizer = AdamW::from_host(self.config.optimizer.clone(), &moments, state.updates, self.device);
            curriculum = curriculum.resume(state.curriculum)?;
            (step, start, log_offset) = (found, loaded, state.log_offset);
        }
        let Loaded { config: shape, model, tokenizer, template, .. } = start;
        let mut log = Log::resume(&self.out.join("attempts.jsonl"), log_offset)?;
        let mut metrics = Metrics::open(&self.out.join("metrics.jsonl"), step)?;
        let rope = rope_of(&shape, self.device);
        let rows = self.config.decode_rows;
        let mut generator = Generator::new(model.clone(), &shape, &tokenizer, &template, rows, self.device);
        generator.publish(model.clone(), step);
        let mut model = model;
        let mut progress = Progress::new("grpo", steps);
        progress.advance_to(step);
        let mut total = Totals::default();
        let started = Instant::now();
        while step < steps {
            if curriculum.active_tasks() == 0 {
                eprintln!("no task is left that is not solved already: the run ends at step {step}");
                break;
            }
            let clock = Instant::now();
            let sampled = self.sample(&mut curriculum, &mut generator, &mut log, step)?;
            let training = Instant::now();
            let groups: Vec<&Group> = curriculum.batch().collect();
            let short = curriculum.is_short();
            let rate = self.config.optimizer.rate(step, steps);
            let (mut trained, mut norm) = (Trained::default(), 0.0);
            if groups.is_empty() {
                eprintln!(
                    "warning: step {} found no group with both successes and failures; the weights stay",
                    step + 1
                );
            } else {
                let (gradients, measured) = self.gradients(&model, &groups, &rope);
                trained = measured;
                (model, norm) = optimizer.step(model, gradients, rate);
            }
            let group_count = groups.len();
            if !trained.loss.is_finite() || !norm.is_finite() {
                bail!(
                    "the loss is {} and the gradient norm {norm} at step {}\nhint: lower `grpo.optimizer.lr`; the newest checkpoint in `{}` is good",
                    trained.loss,
                    step + 1,
                    self.out.display()
                );
            }
            let left = curriculum.end_step()?;
            if !left.is_empty() {
                data::source::jsonl::write_rows(&self.out.join("dropped_tasks.jsonl"), left)?;
                eprintln!("stage 2: {} tasks that were solved too often are dropped", left.len());
            }
            step += 1;
            generator.publish(model.clone(), step);
            let train_s = training.elapsed().as_secs_f64();
            let step_s = clock.elapsed().as_secs_f64();
            total.add(&sampled, &trained, train_s);
            let mut row = measurements(step, &sampled, &trained, &curriculum);
            row.set("grad_norm", f64::from(norm));
            row.set("learning_rate", rate);
            row.set("rollout/groups_trained", group_count);
            row.set("rollout/short_batch", u64::from(short));
            row.set("timing_s/generate", sampled.generate_s);
            row.set("timing_s/grade", sampled.grade_s);
            row.set("timing_s/train", train_s);
            row.set("timing_s/step", step_s);
            row.set("perf/tokens_per_s", (sampled.tokens + trained.tokens as u64) as f64 / step_s);
            row.set("perf/attempts_per_s", sampled.attempts as f64 / step_s);
            metrics.write_row(&row)?;
            progress.advance(1, format_args!("reward {:.3}", mean(&sampled.rewards)));
            let due = self.config.save_every > 0 && step.is_multiple_of(self.config.save_every);
            if due || step == steps {
                log.sync()?;
                metrics.sync()?;
                let state = State {
                    format: 1,
                    stage: "grpo".into(),
                    step,
                    updates: optimizer.updates(),
                    config: self.config.clone(),
                    curriculum: curriculum.clone(),
                    log_offset: log.offset(),
                };
                let snapshot = Snapshot {
                    step,
                    config: &shape,
                    model: &model,
                    tokenizer: &tokenizer,
                    dtype: DiskDtype::Float32,
                    optimizer: Some(optimizer.to_host()),
                    state: Some(serde_json::to_value(state)?),
                };
                checkpoint::save(self.out, &snapshot, self.config.keep)?;
            }
        }
        progress.finish();
        Ok(total.summary(steps, self.rollouts.set.tasks.len(), &curriculum, started.elapsed().as_secs_f64()))
    }

    fn new_curriculum(&self) -> Result<Curriculum> {
        let stages = self.curriculum.then_some(Stages {
            first_steps: self.config.steps,
            accuracy_above: self.config.solved_above,
            min_attempts: self.config.min_attempts,
        });
        let config = CurriculumConfig {
            groups_per_step: self.config.groups_per_step,
            max_draws_per_step: self.config.max_groups_drawn,
            advantage: self.config.advantage,
            overlong: self.config.overlong,
            stages,
        };
        let ids = self.rollouts.set.tasks.iter().map(|task| task.id.clone()).collect();
        Ok(Curriculum::new(config, self.seed, ids)?)
    }

    /// Attempts and grades groups until the step has enough that teach something, or its budget is spent.
    fn sample(&self, curriculum: &mut Curriculum, policy: &mut Generator, log: &mut Log, step: u64) -> Result<Sampled> {
        let mut sampled = Sampled::default();
        while curriculum.wanted() > 0 {
            let draws = curriculum.draw()?;
            self.attempt(&draws, curriculum, policy, log, step, &mut sampled)?;
        }
        Ok(sampled)
    }

    fn attempt(
        &self,
        draws: &[Draw],
        curriculum: &mut Curriculum,
        policy: &mut Generator,
        log: &mut Log,
        step: u64,
        sampled: &mut Sampled,
    ) -> Result<()> {
        let tasks = &self.rollouts.set.tasks;
        let size = self.config.group_size;
        let clock = Instant::now();
        let requests = draws.iter().map(|draw| self.rollouts.request(&tasks[draw.task], size, draw.seed));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let answers = policy.complete(&requests, &self.config.sampling)?;
        sampled.generate_s += clock.elapsed().as_secs_f64();

        let clock = Instant::now();
        let entries = draws
            .iter()
            .zip(answers)
            .flat_map(|(draw, answers)| {
                answers.into_iter().map(|completion| Entry { task: &tasks[draw.task], completion })
            })
            .collect();
        let mut graded = self.rollouts.grade(entries).into_iter();
        sampled.grade_s += clock.elapsed().as_secs_f64();
        for draw in draws {
            let attempts: Vec<_> = graded.by_ref().take(size).collect();
            let mut trajectories: Vec<Trajectory> = Vec::with_capacity(size);
            let mut lost = 0;
            for (number, attempt) in attempts.into_iter().enumerate() {
                let place = Place {
                    retry: number as u32 + 1,
                    queue: Queue::Fast,
                    group: Some(draw.group),
                    step: Some(step + 1),
                };
                log.write(&Record::of(SystemTime::now(), place, &attempt))?;
                match attempt {
                    Ok(attempt) => trajectories.push(attempt.trajectory),
                    Err(_) => lost += 1,
                }
            }
            sampled.count(&trajectories, lost);
            curriculum.give(draw.group, trajectories, lost)?;
        }
        Ok(())
    }

    /// Gradients of the token-level loss over the whole batch, and what it looked like.
    fn gradients(&self, model: &CausalLm, groups: &[&Group], rope: &Rope) -> (NamedGradients, Trained) {
        let rows = groups.iter().map(|group| Row::from_group(group)).filter(|row| !row.targets.is_empty());
        let rows: Vec<Row> = rows.collect();
        // Every response token of the global batch weighs the same.
        let count = rows.iter().map(|row| row.targets.len()).sum::<usize>().max(1);
        let micro_batches = micro_batches(&rows, self.config.micro_batch_tokens);
        let (sum, measured) =
            over_micro_batches(model, &micro_batches, |model, rows| self.micro_batch(model, rows, rope, count));
        let mut trained = Trained { targets: count as f64, ..Trained::default() };
        measured.iter().for_each(|one| trained.add(one));
        (sum, trained)
    }

    fn micro_batch(&self, model: &CausalLm, rows: &[Row], rope: &Rope, count: usize) -> (NamedGradients, Trained) {
        let LossConfig::Clipped(config) = &self.config.loss;
        let batch = Batch::new(rows, self.device);
        // The trainer's distribution is the sampler's: the same temperature.
        let temperature = if self.config.sampling.is_greedy() { 1.0 } else { self.config.sampling.temperature };
        let logits = batch.logits(model, rope) / temperature;
        let entropy = sum_of(entropy(logits.clone().inner()).into_data());
        let logp = log_probabilities(logits, batch.targets.autodiff());
        let gap = logp.clone().inner() - batch.logp_old.clone();
        let clipped = clipped(config, logp, batch.logp_old.autodiff(), batch.advantages.clone().autodiff());
        let loss = clipped.token_loss.sum() / count as f32;
        let mut trained = Trained {
            loss: f64::from(loss.clone().inner().into_scalar::<f32>()),
            entropy,
            logp_difference: sum_of(gap.abs().into_data()),
            tokens: batch.tokens,
            ..Trained::default()
        };
        let ratio: Vec<f32> = clipped.ratio.inner().into_data().try_to_vec().expect("ratios are f32");
        let advantages: Vec<f32> = batch.advantages.into_data().try_to_vec().expect("advantages are f32");
        for (ratio, advantage) in ratio.into_iter().map(f64::from).zip(advantages) {
            trained.ratio += ratio;
            trained.clip_low += f64::from(u8::from(ratio < 1.0 - config.low && advantage < 0.0));
            trained.clip_high += f64::from(u8::from(ratio > 1.0 + config.high && advantage > 0.0));
        }
        (gradients(model, loss.backward()), trained)
    }

    /// The newest whole checkpoint when resuming; without `--resume`, refuses a folder that holds one.
    fn newest(&self) -> Result<Option<(u64, Loaded, HostTensors, State)>> {
        let Some((step, path)) = checkpoint::start(self.out, self.resume)? else { return Ok(None) };
        let loaded = checkpoint::load(&path, self.device)?;
        let (moments, state): (_, State) = checkpoint::load_state(&path)?;
        if state.stage != "grpo" || state.config != *self.config {
            bail!(
                "`{}` was saved by a run with another `[grpo]`\nhint: resume with the config that started it, or choose another `--out`",
                path.display()
            );
        }
        Ok(Some((step, loaded, moments, state)))
    }
}

fn sum_of(data: burn::tensor::TensorData) -> f64 {
    data.try_to_vec::<f32>().expect("measurements are f32").into_iter().map(f64::from).sum()
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

impl Trained {
    fn add(&mut self, other: &Trained) {
        self.loss += other.loss;
        self.entropy += other.entropy;
        self.clip_low += other.clip_low;
        self.clip_high += other.clip_high;
        self.ratio += other.ratio;
        self.logp_difference += other.logp_difference;
        self.tokens += other.tokens;
    }
}

impl Sampled {
    fn count(&mut self, trajectories: &[Trajectory], lost: usize) {
        self.lost += lost as u64;
        self.attempts += trajectories.len() as u64;
        self.groups += 1;
        let first = trajectories.first().map(|trajectory| trajectory.reward);
        self.zero_std += u64::from(trajectories.iter().all(|trajectory| Some(trajectory.reward) == first));
        for trajectory in trajectories {
            self.rewards.push(f64::from(trajectory.reward));
            self.lengths.push(trajectory.sequence.sampled() as f64);
            self.truncated += u64::from(trajectory.stop.is_truncated());
            self.tokens += trajectory.sequence.sampled() as u64;
        }
    }
}

/// The row of a step, in the names that practitioners know.
fn measurements(step: u64, sampled: &Sampled, trained: &Trained, curriculum: &Curriculum) -> MetricsRow {
    let reward = mean(&sampled.rewards);
    let variance = mean(&sampled.rewards.iter().map(|one| (one - reward).powi(2)).collect::<Vec<_>>());
    let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    // Without a trained group there is no mean: the row says null.
    let per_token = |sum: f64| if trained.targets > 0.0 { sum / trained.targets } else { f64::NAN };
    let ledger = curriculum.ledger();
    let mut row = MetricsRow::new(step);
    for (name, value) in [
        ("loss", if trained.targets > 0.0 { trained.loss } else { f64::NAN }),
        ("entropy", per_token(trained.entropy)),
        ("clip_ratio/low_mean", per_token(trained.clip_low)),
        ("clip_ratio/high_mean", per_token(trained.clip_high)),
        ("clip_ratio/region_mean", per_token(trained.clip_low + trained.clip_high)),
        ("sampling/importance_sampling_ratio/mean", per_token(trained.ratio)),
        ("sampling/sampling_logp_difference/mean", per_token(trained.logp_difference)),
        ("reward/mean", reward),
        ("reward/std", variance.sqrt()),
        ("frac_reward_zero_std", share(sampled.zero_std, sampled.groups)),
        ("completions/mean_length", mean(&sampled.lengths)),
        ("completions/clipped_ratio", share(sampled.truncated, sampled.attempts)),
    ] {
        row.set(name, value);
    }
    for (name, value) in [
        ("curriculum/stage", u64::from(curriculum.stage())),
        ("curriculum/active_tasks", curriculum.active_tasks() as u64),
        ("rollout/attempts", sampled.attempts),
        ("rollout/groups_drawn", sampled.groups),
        ("rollout/lost", sampled.lost),
        ("ledger/yielded", ledger.yielded_total()),
        ("ledger/trained", ledger.trained_total()),
        ("ledger/dropped", ledger.dropped_total()),
        ("ledger/in_flight", ledger.in_flight().count() as u64),
    ] {
        row.set(name, value);
    }
    row
}

/// Sums over the steps of this process.
#[derive(Default)]
struct Totals {
    attempts: u64,
    lost: u64,
    sampled_tokens: u64,
    trained_tokens: u64,
    generate_s: f64,
    train_s: f64,
}

impl Totals {
    fn add(&mut self, sampled: &Sampled, trained: &Trained, train_s: f64) {
        self.attempts += sampled.attempts;
        self.lost += sampled.lost;
        self.sampled_tokens += sampled.tokens;
        self.trained_tokens += trained.tokens as u64;
        self.generate_s += sampled.generate_s;
        self.train_s += train_s;
    }

    fn summary(&self, steps: u64, tasks: usize, curriculum: &Curriculum, seconds: f64) -> GrpoSummary {
        let ledger = curriculum.ledger();
        GrpoSummary {
            steps,
            tasks,
            attempts: self.attempts,
            lost: self.lost,
            groups: ledger.yielded_total(),
            trained_groups: ledger.trained_total(),
            uninformative_groups: ledger.dropped_for(DropReason::AllFailed)
                + ledger.dropped_for(DropReason::AllResolved),
            dropped_tasks: curriculum.dropped_tasks().len(),
            seconds,
            attempts_per_s: self.attempts as f64 / seconds.max(1e-9),
            sampled_tokens_per_s: self.sampled_tokens as f64 / self.generate_s.max(1e-9),
            trained_tokens_per_s: self.trained_tokens as f64 / self.train_s.max(1e-9),
        }
    }
}

//! Reinforcement learning with group-relative advantages: draw, attempt, grade, weigh, step, write down.
//!
//! The trainer sees tokens, log-probabilities and advantages. What a reward was, and how it became an advantage, is
//! known to `rollout` alone.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::Result;
use burn::tensor::Device;
use data::Tokenizer;
use data::log::Log;
use data::template::ChatTemplate;
use rollout::curriculum::{Curriculum, CurriculumConfig, Draw, Stages};
use rollout::group::Group;
use rollout::policy::Policy;
use rollout::pool::Entry;
use rollout::record::{Place, Queue, Record};
use rollout::trajectory::Trajectory;
use rollout::watch::Watcher;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Row, micro_batches};
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::config::GrpoConfig;
use crate::evaluate::Rollouts;
use crate::interrupt::{Interrupt, Interrupted};
use crate::layerwise::Learner;
use crate::loss::policy::{Counts, PolicyHead};
use crate::metrics::{Metrics, check_finite};
use crate::optim::{AdamW, NamedGradients, over_micro_batches, workers};
use crate::policy::Generator;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::watched;
use model::decoder::rope_of;
use model::rope::Rope;
use model::weights::DiskDtype;
use model::{CausalLm, ModelConfig};

mod measure;

pub use measure::GrpoSummary;
use measure::{Sampled, Totals, Trained, mean, measurements};

/// What a resumed run needs besides weights and moments.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: u32,
    stage: String,
    step: u64,
    updates: u64,
    config: GrpoConfig,
    /// Padded tokens of a micro-batch: another choice would change the last digits.
    micro_batch_tokens: usize,
    curriculum: Curriculum,
    log_offset: u64,
}

/// How the newest checkpoint below `folder` computes micro-batches; none where there is none that says so.
pub fn kept_tokens(folder: &Path) -> Option<usize> {
    let (_, path) = checkpoint::list(folder).pop()?;
    checkpoint::load_state::<State>(&path).ok().map(|state| state.micro_batch_tokens)
}

/// What moves while a run runs.
struct Live<'a> {
    step: u64,
    micro_batch_tokens: usize,
    curriculum: Curriculum,
    optimizer: AdamW,
    model: CausalLm,
    generator: Generator<'a>,
    log: Log,
    metrics: Metrics,
    shape: &'a ModelConfig,
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    rope: Rope,
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
    /// Hears what happens, and says when to stop.
    pub watcher: &'a Watcher,
    /// Where checkpoints, metrics and the log of attempts go.
    pub out: &'a Path,
    /// Padded tokens of a micro-batch, where no checkpoint says.
    pub micro_batch_tokens: usize,
    /// Whether to go on from the newest checkpoint.
    pub resume: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
    /// Where tensors live.
    pub device: &'a Device,
}

impl Grpo<'_> {
    /// Trains `start`; the last checkpoint is in `out`.
    ///
    /// # Errors
    ///
    /// When the sandbox or the disk fails for good, the loss is no longer a number, tests were killed for their memory too
    /// often, or a signal came: then the last step is saved.
    pub fn run(&self, start: Loaded) -> Result<GrpoSummary> {
        let _lock = checkpoint::lock(self.out)?;
        let steps = self.config.steps + if self.curriculum { self.config.stage2_steps } else { 0 };
        let (start, resumed) = match self.newest()? {
            Some((loaded, path, state)) => (loaded, Some((path, state))),
            None => (start, None),
        };
        let mut live = self.begin(&start, resumed)?;
        let mut progress = Progress::new("grpo", steps);
        progress.advance_to(live.step);
        let mut total = Totals::default();
        let started = Instant::now();
        if live.step < steps && self.interrupt.asked() {
            return Err(self.stopped(live.step, steps));
        }
        while live.step < steps {
            if live.curriculum.active_tasks() == 0 {
                eprintln!("no task is left that is not solved already: the run ends at step {}", live.step);
                break;
            }
            let reward = self.step(&mut live, steps, &mut total)?;
            progress.advance(1, format_args!("reward {reward:.3}"));
            let due = self.config.save_every > 0 && live.step.is_multiple_of(self.config.save_every);
            // The step is finished and saved, so a resumed run goes on as if it had never stopped.
            let stopped = self.watcher.stopped();
            let asked = self.interrupt.asked();
            if due || live.step == steps || asked || stopped.is_some() {
                self.save(&mut live)?;
            }
            if let Some(stopped) = stopped {
                progress.finish();
                return Err(stopped.into());
            }
            if asked && live.step < steps {
                progress.finish();
                return Err(self.stopped(live.step, steps));
            }
        }
        progress.finish();
        Ok(total.summary(steps, self.rollouts.set.tasks.len(), &live.curriculum, started.elapsed().as_secs_f64()))
    }

    fn stopped(&self, step: u64, steps: u64) -> anyhow::Error {
        Interrupted::new(format!("{step} of {steps} steps are saved in `{}`", self.out.display())).into()
    }

    /// Everything that moves, at its start or as the newest checkpoint left it.
    fn begin<'s>(&self, start: &'s Loaded, resumed: Option<(PathBuf, State)>) -> Result<Live<'s>> {
        let mut curriculum = self.new_curriculum()?;
        let (mut step, mut log_offset, mut micro_batch_tokens) = (0, 0, self.micro_batch_tokens);
        let mut optimizer = AdamW::new(self.config.optimizer.clone());
        if let Some((path, state)) = resumed {
            optimizer = AdamW::read(self.config.optimizer.clone(), &path, state.updates, self.device)?;
            curriculum = curriculum.resume(state.curriculum)?;
            (step, log_offset, micro_batch_tokens) = (state.step, state.log_offset, state.micro_batch_tokens);
        }
        let Loaded { config: shape, model, tokenizer, template, .. } = start;
        let log = Log::resume(&self.out.join("attempts.jsonl"), log_offset)?;
        let metrics = Metrics::open(&self.out.join("metrics.jsonl"), step)?;
        let rope = rope_of(shape, self.device);
        let rows = self.config.decode_rows;
        let mut generator = Generator::new(model.clone(), shape, tokenizer, template, rows, self.device);
        generator.publish(model.clone(), step);
        let model = model.clone();
        Ok(Live {
            step,
            micro_batch_tokens,
            curriculum,
            optimizer,
            model,
            generator,
            log,
            metrics,
            shape,
            tokenizer,
            template,
            rope,
        })
    }

    /// Draws, attempts, grades, trains once and writes the step's row; returns the mean reward.
    fn step(&self, live: &mut Live<'_>, steps: u64, total: &mut Totals) -> Result<f64> {
        let clock = Instant::now();
        let sampled = self.sample(live)?;
        let training = Instant::now();
        let groups: Vec<&Group> = live.curriculum.batch().collect();
        let (group_count, short) = (groups.len(), live.curriculum.is_short());
        let rate = self.config.optimizer.rate(live.step, steps);
        let (mut trained, mut norm) = (Trained::default(), 0.0);
        if groups.is_empty() {
            eprintln!(
                "warning: step {} found no group with both successes and failures; the weights stay",
                live.step + 1
            );
        } else {
            let (gradients, measured) = self.gradients(live, &groups);
            trained = measured;
            let (model, of_step) = live.optimizer.step(live.model.clone(), gradients, rate);
            (live.model, norm) = (model, of_step.into_scalar::<f32>());
        }
        check_finite("grpo", live.step + 1, trained.measured.loss, norm, self.out)?;
        let left = live.curriculum.end_step()?;
        if !left.is_empty() {
            data::source::jsonl::write_rows(&self.out.join("dropped_tasks.jsonl"), left)?;
            eprintln!("stage 2: {} tasks that were solved too often are dropped", left.len());
        }
        live.step += 1;
        self.watcher.counts().step(live.step);
        live.generator.publish(live.model.clone(), live.step);
        let train_s = training.elapsed().as_secs_f64();
        total.add(&sampled, &trained, train_s);
        let mut row = measurements(live.step, &sampled, &trained, &live.curriculum);
        row.set("grad_norm", f64::from(norm));
        row.set("learning_rate", rate);
        row.set("rollout/groups_trained", group_count);
        row.set("rollout/short_batch", u64::from(short));
        sampled.time(&mut row, &trained, train_s, clock.elapsed().as_secs_f64());
        live.metrics.write_row(&row)?;
        Ok(mean(&sampled.rewards))
    }

    fn save(&self, live: &mut Live<'_>) -> Result<()> {
        live.log.sync()?;
        live.metrics.sync()?;
        let state = State {
            format: 1,
            stage: "grpo".into(),
            step: live.step,
            updates: live.optimizer.updates(),
            config: self.config.clone(),
            micro_batch_tokens: live.micro_batch_tokens,
            curriculum: live.curriculum.clone(),
            log_offset: live.log.offset(),
        };
        let snapshot = Snapshot {
            step: live.step,
            config: live.shape,
            model: &live.model,
            adapter: None,
            tokenizer: live.tokenizer,
            template: live.template,
            dtype: DiskDtype::Float32,
            optimizer: Some(&live.optimizer),
            state: Some(serde_json::to_value(state)?),
        };
        watched::save(self.watcher, self.out, &snapshot, self.config.keep)
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
    fn sample(&self, live: &mut Live<'_>) -> Result<Sampled> {
        let mut sampled = Sampled::default();
        while live.curriculum.wanted() > 0 {
            let draws = live.curriculum.draw()?;
            self.attempt(&draws, live, &mut sampled)?;
        }
        Ok(sampled)
    }

    fn attempt(&self, draws: &[Draw], live: &mut Live<'_>, sampled: &mut Sampled) -> Result<()> {
        let tasks = &self.rollouts.set.tasks;
        let size = self.config.group_size;
        let clock = Instant::now();
        let requests = draws.iter().map(|draw| self.rollouts.request(&tasks[draw.task], size, draw.seed));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let answers = live.generator.complete(&requests, &self.config.sampling)?;
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
                    step: Some(live.step + 1),
                };
                let record = Record::of(SystemTime::now(), place, &attempt);
                self.watcher.counts().count(&record);
                live.log.write(&record)?;
                match attempt {
                    Ok(attempt) => trajectories.push(attempt.trajectory),
                    Err(_) => lost += 1,
                }
            }
            sampled.count(&trajectories, lost);
            live.curriculum.give(draw.group, trajectories, lost)?;
        }
        Ok(())
    }

    /// Gradients of the token-level loss over the whole batch, and what it looked like.
    fn gradients(&self, live: &Live<'_>, groups: &[&Group]) -> (NamedGradients, Trained) {
        let rows = groups.iter().map(|group| Row::from_group(group)).filter(|row| !row.targets.is_empty());
        let rows: Vec<Row> = rows.collect();
        // Every response token of the global batch weighs the same; or every attempt does.
        let counts = Counts {
            tokens: rows.iter().map(|row| row.targets.len()).sum::<usize>().max(1),
            sequences: rows.iter().map(Row::sequences).sum::<usize>().max(1),
        };
        let micro_batches = micro_batches(&rows, live.micro_batch_tokens);
        let learner = Learner::new(&live.model, &live.rope);
        let (sum, measured) =
            over_micro_batches(&micro_batches, workers(self.device), |rows| self.micro_batch(&learner, rows, counts));
        let mut trained = Trained { targets: counts.tokens as f64, ..Trained::default() };
        measured.iter().for_each(|one| trained.add(one));
        (sum, trained)
    }

    fn micro_batch(&self, learner: &Learner, rows: &[Row], counts: Counts) -> (NamedGradients, Trained) {
        let batch = Batch::new(rows, self.device);
        // The trainer's distribution is the sampler's: the same temperature.
        let temperature = if self.config.sampling.is_greedy() { 1.0 } else { self.config.sampling.temperature };
        let loss = PolicyHead::new(self.config.loss.policy_loss(), &batch, temperature, counts);
        let (gradients, parts) = learner.gradients(&batch, 0, &loss);
        let mut trained = Trained { tokens: batch.tokens, ..Trained::default() };
        parts.iter().for_each(|part| trained.measured.add(part));
        (gradients, trained)
    }

    /// The newest whole checkpoint when resuming; without `--resume`, refuses a folder that holds one.
    fn newest(&self) -> Result<Option<(Loaded, PathBuf, State)>> {
        let Some((_, path)) = checkpoint::start(self.out, self.resume)? else { return Ok(None) };
        let loaded = checkpoint::load(&path, self.device)?;
        let state: State = checkpoint::load_state(&path)?;
        let settings = |stage: &str, config: &GrpoConfig| Settings::default().with("stage", stage).with("grpo", config);
        let now = settings("grpo", self.config);
        settings(&state.stage, &state.config).require_same(&now, &format!("the run in `{}`", path.display()))?;
        Ok(Some((loaded, path, state)))
    }
}

//! Reinforcement learning with group-relative advantages: draw, attempt, grade, weigh, step, write down.
//!
//! The trainer sees tokens, log-probabilities and advantages. What a reward was, and how it became an advantage, is
//! known to `rollout` alone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use burn::tensor::Device;
use data::log::Log;
use rollout::advantage::whiten;
use rollout::attempt::{Attempt, Lost};
use rollout::curriculum::{Curriculum, CurriculumConfig, Draw, Stages};
use rollout::group::Group;
use rollout::outage::{Outage, grade_through};
use rollout::policy::Policy;
use rollout::pool::Entry;
use rollout::record::{Place, Queue, Record};
use rollout::trajectory::Trajectory;
use rollout::watch::Watcher;
use serde::{Deserialize, Serialize};

use crate::checkpoint;
use crate::config::GrpoConfig;
use crate::loss::policy::{Counts, PolicyHead};
use crate::memory::Fit;
use crate::metrics::{Metrics, Row as MetricsRow, check_finite};
use crate::optim::{NamedGradients, Shape, over_micro_batches, workers};
use crate::policy::Generator;
use crate::run::interrupt::{Interrupt, Interrupted};
use crate::run::progress::Progress;
use crate::settings::Settings;
use crate::trainer::batch::{Batch, Row, micro_batches};
use crate::trainer::evaluate::Rollouts;
use crate::trainer::layerwise::Learner;
use crate::trainer::sentinel::{Action, Alarm, gravest};
use crate::trainer::state::{self, Base, Counters, Origin, Resumed, TrainState, Tuning};

mod measure;
mod validate;

pub use measure::GrpoSummary;
use measure::{Sampled, Totals, Trained, mean, measurements};
pub use validate::{BestPass, HeldOut};

/// What `state.json` of a checkpoint holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: u32,
    stage: String,
    config: GrpoConfig,
    counters: Counters,
    curriculum: Curriculum,
    log_offset: u64,
    held_out_log_offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<BestPass>,
    /// What the run rests on besides its config; empty in a checkpoint of an older program.
    #[serde(default)]
    rests_on: Settings,
    /// The step at which a sentinel last paused the run.
    #[serde(default)]
    paused_at: u64,
}

/// What moves while a run runs.
struct Live<'a> {
    train: TrainState<'a>,
    curriculum: Curriculum,
    generator: Generator<'a>,
    log: Log,
    /// Attempts at held-out tasks, where there are some.
    held_out_log: Option<Log>,
    metrics: Metrics,
    /// What stands in the metrics.
    rows: Vec<MetricsRow>,
    best: Option<BestPass>,
    paused_at: u64,
}

/// A run.
pub struct Grpo<'a> {
    /// What was configured.
    pub config: &'a GrpoConfig,
    /// From which all randomness derives.
    pub seed: u64,
    /// What a resumed run has to find again, besides the config: model, tasks, limits of the sandbox.
    pub rests_on: Settings,
    /// Tasks and their judge.
    pub rollouts: Rollouts<'a>,
    /// Whether there are two stages.
    pub curriculum: bool,
    /// Hears what happens, and says when to stop.
    pub watcher: &'a Watcher,
    /// Where checkpoints, metrics and the log of attempts go.
    pub out: &'a Path,
    /// How micro-batches are computed, where no checkpoint says.
    pub fit: Fit,
    /// Tasks that it is evaluated on and not trained on, if any.
    pub held_out: Option<HeldOut<'a>>,
    /// Whether to go on from the newest checkpoint.
    pub resume: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
    /// Where tensors live.
    pub device: &'a Device,
}

impl Grpo<'_> {
    /// Trains the model in `folder`; the last checkpoint is in `out`.
    ///
    /// # Errors
    ///
    /// When the model cannot be read, the sandbox or the disk fails for good, the loss is no longer a number, tests were
    /// killed for their memory too often, or a signal came: then the last step is saved.
    pub fn run(&self, folder: &Path) -> Result<GrpoSummary> {
        let _lock = checkpoint::lock(self.out)?;
        let steps = self.config.steps
            + if self.curriculum {
                self.config.stage2_steps
            } else {
                0
            };
        let found = self.newest()?;
        let resumed = found.as_ref().map(|(path, state)| Resumed {
            path: path.clone(),
            counters: state.counters,
        });
        let tuning = self.tuning();
        let (base, weights) = state::read_or_resume(
            Origin::Folder(folder),
            resumed.as_ref(),
            &tuning,
            self.device,
        )?;
        let train = TrainState::new(
            &base,
            weights,
            tuning,
            self.fit,
            self.seed,
            resumed.as_ref(),
            self.device,
        )?;
        let mut live = self.begin(&base, train, found.map(|(_, state)| state))?;
        let mut progress = Progress::new("grpo", steps);
        progress.advance_to(live.train.step);
        let mut total = Totals::default();
        let started = Instant::now();
        if live.train.step < steps && self.interrupt.asked() {
            return Err(self.stopped(live.train.step, steps));
        }
        while live.train.step < steps {
            if live.curriculum.active_tasks() == 0 {
                eprintln!(
                    "no task is left that is not solved already: the run ends at step {}",
                    live.train.step
                );
                self.save(&mut live)?;
                break;
            }
            let before = (live.curriculum.clone(), live.log.offset());
            let note = match self.step(&mut live, steps, &mut total) {
                Err(error) if error.is::<Outage>() => {
                    // The step was never done: a resumed run draws and attempts it anew.
                    live.curriculum = before.0;
                    let step = live.train.step;
                    if step > 0 && !checkpoint::step_path(self.out, step).exists() {
                        self.save_at(&mut live, before.1)?;
                    }
                    progress.finish();
                    return Err(error);
                }
                done => done?,
            };
            progress.advance(1, note);
            let step = live.train.step;
            let due = self.config.save_every > 0 && step.is_multiple_of(self.config.save_every);
            // The step is finished and saved, so a resumed run goes on as if it had never stopped.
            let stopped = self.watcher.stopped();
            let asked = self.interrupt.asked();
            let alarm = self.alarm(&mut live);
            if due || step == steps || asked || stopped.is_some() || alarm.is_some() {
                self.save(&mut live)?;
            }
            if let Some(alarm) = alarm {
                progress.finish();
                return Err(self.ended_by(alarm));
            }
            if let Some(stopped) = stopped {
                progress.finish();
                return Err(stopped.into());
            }
            if asked && step < steps {
                progress.finish();
                return Err(self.stopped(step, steps));
            }
        }
        progress.finish();
        let done = live.train.step;
        let seconds = started.elapsed().as_secs_f64();
        let summary = total.summary(
            done,
            self.rollouts.set.tasks.len(),
            &live.curriculum,
            seconds,
        );
        Ok(GrpoSummary {
            best: live.best,
            ..summary
        })
    }

    /// What the sentinels say of the newest row. A pause is forgiven by whoever resumes.
    fn alarm(&self, live: &mut Live<'_>) -> Option<Alarm> {
        let mut warn = |alarm: &Alarm| eprintln!("warning: {alarm}");
        let found = gravest(
            &self.config.sentinels,
            &live.rows,
            live.paused_at,
            &mut warn,
        )?;
        if found.action == Action::Pause {
            live.paused_at = found.step;
        }
        Some(found)
    }

    fn ended_by(&self, alarm: Alarm) -> anyhow::Error {
        let hint = match alarm.action {
            Action::Pause => "`--resume` goes on from here",
            Action::Warn | Action::Stop => {
                "`--resume` goes on once its rule in `grpo.sentinels` is changed"
            }
        };
        let place = format!(
            "step {} is saved in `{}`{}",
            alarm.step,
            self.out.display(),
            data::Hint(format_args!(
                "{hint}; an older checkpoint with a lower `grpo.optimizer.lr` may serve better"
            ))
        );
        anyhow::Error::new(alarm).context(place)
    }

    fn stopped(&self, step: u64, steps: u64) -> anyhow::Error {
        Interrupted::new(format!(
            "{step} of {steps} steps are saved in `{}`",
            self.out.display()
        ))
        .into()
    }

    fn tuning(&self) -> Tuning<'_> {
        Tuning {
            lora: &self.config.lora,
            bf16: self.config.bf16,
            optimizer: &self.config.optimizer,
        }
    }

    /// Everything that moves, at its start or as the newest checkpoint left it.
    fn begin<'s>(
        &self,
        base: &'s Base,
        train: TrainState<'s>,
        found: Option<State>,
    ) -> Result<Live<'s>> {
        let mut curriculum = self.new_curriculum()?;
        let (mut log_offset, mut held_out_log_offset, mut best, mut paused_at) = (0, 0, None, 0);
        if let Some(state) = found {
            curriculum = curriculum.resume(state.curriculum)?;
            (log_offset, held_out_log_offset) = (state.log_offset, state.held_out_log_offset);
            (best, paused_at) = (state.best, state.paused_at);
        }
        let Base {
            config: shape,
            tokenizer,
            template,
            ..
        } = base;
        let log = Log::resume(&self.out.join("attempts.jsonl"), log_offset)?;
        let held_out_log = match self.held_out {
            Some(_) => Some(Log::resume(
                &self.out.join("held_out_attempts.jsonl"),
                held_out_log_offset,
            )?),
            None => None,
        };
        let path = self.out.join("metrics.jsonl");
        let metrics = Metrics::open(&path, train.step)?;
        let rows = crate::metrics::read(&path)?;
        let (model, seats) = (train.model().clone(), self.config.decode_rows);
        let generator = Generator::new(
            model.clone(),
            shape,
            tokenizer,
            template,
            seats,
            self.device,
        );
        let mut generator = generator.with_frozen(train.frozen());
        generator.publish(model, train.step);
        Ok(Live {
            train,
            curriculum,
            generator,
            log,
            held_out_log,
            metrics,
            rows,
            best,
            paused_at,
        })
    }

    /// Draws, attempts, grades, trains once and writes the step's row; returns what to show.
    fn step(&self, live: &mut Live<'_>, steps: u64, total: &mut Totals) -> Result<String> {
        let clock = Instant::now();
        let sampled = self.sample(live)?;
        let training = Instant::now();
        let groups: Vec<&Group> = live.curriculum.batch().collect();
        let (group_count, short) = (groups.len(), live.curriculum.is_short());
        let step = live.train.step + 1;
        let rate = self.config.optimizer.rate(live.train.step, steps);
        let (mut trained, mut norm) = (Trained::default(), 0.0_f32);
        if groups.is_empty() {
            eprintln!(
                "warning: step {step} found no group with both successes and failures; the weights stay"
            );
        } else {
            let updates = self.config.updates_per_batch.min(group_count);
            for part in parts(&groups, updates) {
                let (gradients, measured) = self.gradients(&live.train, part);
                let part_norm = live.train.update(gradients, rate).into_scalar::<f32>();
                check_finite("grpo", step, measured.measured.loss, part_norm, self.out)?;
                trained.add_update(&measured, updates);
                norm = norm.max(part_norm);
            }
        }
        let left = live.curriculum.end_step()?;
        if !left.is_empty() {
            data::source::jsonl::write_rows(&self.out.join("dropped_tasks.jsonl"), left)?;
            eprintln!(
                "stage 2: {} tasks that were solved too often are dropped",
                left.len()
            );
        }
        live.train.step = step;
        self.watcher.counts().step(step);
        live.generator.publish(live.train.model().clone(), step);
        let train_s = training.elapsed().as_secs_f64();
        total.add(&sampled, &trained, train_s);
        let reward = mean(&sampled.rewards);
        let mut note = format!("reward {reward:.3}");
        let mut row = measurements(step, &sampled, &trained, &live.curriculum);
        row.set("grad_norm", f64::from(norm));
        row.set("learning_rate", rate);
        row.set("rollout/groups_trained", group_count);
        row.set("rollout/short_batch", u64::from(short));
        sampled.time(&mut row, &trained, train_s, clock.elapsed().as_secs_f64());
        if let Some(found) = self.evaluate_held_out(live, steps)? {
            found.tell(&mut row);
            note += &format!("  held-out pass@1 {:.3}", found.pass_at_1);
        }
        live.metrics.write_row(&row)?;
        live.rows.push(row);
        Ok(note)
    }

    fn save(&self, live: &mut Live<'_>) -> Result<()> {
        let offset = live.log.offset();
        self.save_at(live, offset)
    }

    /// As [`Grpo::save`], where a resumed run forgets what stands in the log of attempts beyond `log_offset`.
    fn save_at(&self, live: &mut Live<'_>, log_offset: u64) -> Result<()> {
        live.log.sync()?;
        live.held_out_log.as_ref().map_or(Ok(()), Log::sync)?;
        live.metrics.sync()?;
        let state = State {
            format: state::FORMAT,
            stage: "grpo".into(),
            config: self.config.clone(),
            counters: live.train.counters(),
            curriculum: live.curriculum.clone(),
            log_offset,
            held_out_log_offset: live.held_out_log.as_ref().map_or(0, Log::offset),
            best: live.best,
            rests_on: self.rests_on.clone(),
            paused_at: live.paused_at,
        };
        live.train
            .save(self.out, self.config.keep, self.watcher, &state)
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
        let ids = self
            .rollouts
            .set
            .tasks
            .iter()
            .map(|task| task.id.clone())
            .collect();
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
        let requests = draws
            .iter()
            .map(|draw| self.rollouts.request(&tasks[draw.task], size, draw.seed));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let answers = live.generator.complete(&requests, &self.config.sampling)?;
        sampled.generate_s += clock.elapsed().as_secs_f64();

        let clock = Instant::now();
        let entries = draws
            .iter()
            .zip(answers)
            .flat_map(|(draw, answers)| {
                answers.into_iter().map(|completion| Entry {
                    task: &tasks[draw.task],
                    completion,
                })
            })
            .collect();
        let mut graded = self.grade(entries)?.into_iter();
        sampled.grade_s += clock.elapsed().as_secs_f64();
        for draw in draws {
            let attempts: Vec<_> = graded.by_ref().take(size).collect();
            let mut trajectories: Vec<Trajectory> = Vec::with_capacity(size);
            let (mut lost, mut broken) = (0, false);
            for (number, attempt) in attempts.into_iter().enumerate() {
                let place = Place {
                    retry: number as u32 + 1,
                    queue: Queue::Fast,
                    group: Some(draw.group),
                    step: Some(live.train.step + 1),
                };
                let record = Record::new(SystemTime::now(), place, &attempt);
                self.watcher.counts().count(&record);
                live.log.write(&record)?;
                match attempt {
                    Ok(attempt) => trajectories.push(attempt.trajectory),
                    Err(why) => {
                        lost += 1;
                        broken |= !matches!(why, Lost::Quarantined { .. });
                    }
                }
            }
            if broken {
                // What is left are the attempts that needed no sandbox: no fair part of the group.
                trajectories.clear();
            }
            sampled.count(&trajectories, lost);
            live.curriculum.give(draw.group, trajectories, lost)?;
        }
        Ok(())
    }

    /// Verdicts on `entries`; an outage of the sandbox is waited for.
    fn grade(&self, entries: Vec<Entry<'_>>) -> Result<Vec<Result<Attempt, Lost>>> {
        let mut wait = |time: Duration| {
            eprintln!(
                "warning: the sandbox gives no verdict on anything; trying again in {} s",
                time.as_secs()
            );
            self.interrupt.wait(time);
            !self.interrupt.asked()
        };
        let patience = Duration::from_secs(self.config.outage_s);
        Ok(grade_through(
            entries,
            patience,
            &mut |entries| self.rollouts.grade(entries),
            &mut wait,
        )?)
    }

    /// Gradients of the token-level loss over the whole batch, and what it looked like.
    fn gradients(&self, live: &TrainState<'_>, groups: &[&Group]) -> (NamedGradients, Trained) {
        let rows = groups
            .iter()
            .map(|group| Row::from_group(group))
            .filter(|row| !row.targets.is_empty());
        let mut rows: Vec<Row> = rows.collect();
        if self.config.advantage.whitens_batch() {
            whiten_rows(&mut rows);
        }
        // Every response token of the global batch weighs the same; or every attempt does.
        let counts = Counts {
            tokens: rows
                .iter()
                .map(|row| row.targets.len())
                .sum::<usize>()
                .max(1),
            sequences: rows.iter().map(Row::sequences).sum::<usize>().max(1),
        };
        let micro_batches = micro_batches(&rows, live.fit.micro_batch_tokens);
        let learner = live.learner();
        let (sum, measured) = over_micro_batches(&micro_batches, workers(self.device), |rows| {
            self.micro_batch(&learner, rows, counts)
        });
        let mut trained = Trained {
            targets: counts.tokens as f64,
            ..Trained::default()
        };
        measured.iter().for_each(|one| trained.add(one));
        (sum, trained)
    }

    fn micro_batch(
        &self,
        learner: &Learner,
        rows: &[Row],
        counts: Counts,
    ) -> (NamedGradients, Trained) {
        let batch = Batch::new(rows, self.device);
        // The trainer's distribution is the sampler's: the same temperature.
        let temperature = self.config.sampling.temperature;
        let loss = PolicyHead::new(self.config.loss.policy_loss(), &batch, temperature, counts);
        let (gradients, parts) = learner.gradients(&batch, 0, &loss);
        let mut trained = Trained {
            tokens: batch.tokens,
            ..Trained::default()
        };
        parts.iter().for_each(|part| trained.measured.add(part));
        (gradients, trained)
    }

    /// The newest whole checkpoint when resuming; without `--resume`, refuses a folder that holds one.
    fn newest(&self) -> Result<Option<(PathBuf, State)>> {
        let Some((_, path)) = checkpoint::start(self.out, self.resume)? else {
            return Ok(None);
        };
        let state: State = state::read_state(&path)?;
        let what = format!("the run in `{}`", path.display());
        let settings = |stage: &str, config: &GrpoConfig| {
            Settings::default()
                .with("stage", stage)
                .with("grpo", self.resumable(config))
        };
        let now = settings("grpo", self.config);
        settings(&state.stage, &state.config).require_same(&now, &what)?;
        if state.rests_on != Settings::default() {
            state.rests_on.require_same(&self.rests_on, &what)?;
        }
        Ok(Some((path, state)))
    }

    /// `config` without what a resumed run may change: how often is saved and evaluated, how many checkpoints are kept,
    /// how long an outage is waited for, the sentinels; and the number of steps, where no rate and no stage depends on it.
    fn resumable(&self, config: &GrpoConfig) -> GrpoConfig {
        let mut kept = GrpoConfig {
            save_every: 0,
            validate_every: 0,
            keep: 0,
            outage_s: 0,
            sentinels: Vec::new(),
            ..config.clone()
        };
        if !self.curriculum && config.optimizer.schedule == Shape::Constant {
            kept.steps = 0;
        }
        kept
    }
}

/// `groups` in `count` parts of nearly equal size, in their order.
fn parts<'a, 'g>(groups: &'a [&'g Group], count: usize) -> impl Iterator<Item = &'a [&'g Group]> {
    (0..count).map(move |part| {
        let at = |part: usize| part * groups.len() / count;
        &groups[at(part)..at(part + 1)]
    })
}

/// Whitens the advantages of all targets.
fn whiten_rows(rows: &mut [Row]) {
    let targets = || rows.iter().flat_map(|row| &row.targets);
    let mut advantages: Vec<f32> = targets().map(|target| target.advantage).collect();
    whiten(&mut advantages);
    let targets = rows.iter_mut().flat_map(|row| &mut row.targets);
    for (target, advantage) in targets.zip(advantages) {
        target.advantage = advantage;
    }
}

//! How often a model repairs a task: tasks in, pass@1 with an interval out.

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::{Result, bail};
use data::log::Log;
use data::skill::repair::AnswerForm;
use data::source::jsonl::TaskSet;
use data::{Patch, Task};
use rollout::attempt::{Attempt, Base, Lost};
use rollout::draw;
use rollout::grade::Grader;
use rollout::policy::{Policy, Request};
use rollout::pool::{Cancel, Entry, Pool};
use rollout::record::{Place, Queue, Record};
use rollout::report::{Evaluation, Interval, Method};
use rollout::watch::Watcher;
use sandbox::SandboxError;
use serde::{Deserialize, Serialize};

use crate::config::EvalConfig;
use crate::run::interrupt::Interrupt;
use crate::run::journal::Journal;
use crate::run::progress::Progress;
use crate::run::provenance::Provenance;

/// Tasks, and what judges attempts at them.
pub struct Rollouts<'a> {
    /// The tasks and their trees.
    pub set: &'a TaskSet,
    /// How an answer is written.
    pub form: AnswerForm,
    /// Judges patches.
    pub grader: Arc<Grader>,
    /// Test runs at once.
    pub workers: usize,
    /// Hears of tests that were killed for their memory.
    pub watcher: Option<Arc<Watcher>>,
}

impl Rollouts<'_> {
    /// The prompt of a task, as a request.
    ///
    /// # Errors
    ///
    /// When the base tree of the task cannot be made.
    pub fn request(&self, task: &Task, attempts: usize, seed: u64) -> Result<Request, Lost> {
        Base::open(&self.set.root, task)?.ask(self.form, attempts, seed)
    }

    /// Grades completions, in their order.
    pub fn grade(&self, entries: Vec<Entry>) -> Vec<Result<Attempt, Lost>> {
        let judge = |task: &Task, patch: &Patch| {
            let graded = self.grader.grade(&self.set.root, task, patch)?;
            if let Some(watcher) = &self.watcher {
                let told = watcher.graded(SystemTime::now(), &task.id, &graded);
                told.map_err(|error| SandboxError::Environment(error.to_string()))?;
            }
            Ok(graded)
        };
        let pool = Pool {
            workers: self.workers,
        };
        pool.grade(
            &self.set.root,
            entries,
            self.form,
            &judge,
            &Cancel::default(),
        )
    }
}

/// An evaluation, its interval, and how fast it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvalSummary {
    /// The model.
    pub model: String,
    /// pass@1.
    pub pass_at_1: f64,
    /// Tasks.
    pub n: usize,
    /// Attempts per task.
    pub attempts_per_task: usize,
    /// 95 % interval over tasks.
    pub ci95: [f64; 2],
    /// How its ends were found.
    #[serde(default)]
    pub ci95_method: Method,
    /// Seconds in all.
    pub seconds: f64,
    /// Attempts per second.
    pub attempts_per_s: f64,
    /// Every task, and the classes of outcomes.
    pub evaluation: Evaluation,
    /// The program, the command, the time, and what was read.
    #[serde(default)]
    pub provenance: Option<Provenance>,
}

/// One evaluation: what is asked, and where it is written down.
pub struct Evaluating<'a> {
    /// Tasks and their judge.
    pub rollouts: &'a Rollouts<'a>,
    /// What was configured.
    pub config: &'a EvalConfig,
    /// From which all randomness derives.
    pub seed: u64,
    /// The model by name.
    pub model: &'a str,
    /// The log of attempts.
    pub log: &'a Path,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

/// What became of some tasks that were asked together, and where their lines in the log end.
#[derive(Serialize, Deserialize)]
struct Done {
    attempts: Vec<Result<Attempt, (String, String)>>,
    log_offset: u64,
}

impl Evaluating<'_> {
    /// Evaluates a policy on every task of a set and logs every attempt. What `journal` has already is not asked again.
    ///
    /// # Errors
    ///
    /// When the policy or the log fails, no attempt has a verdict, or a signal came: then what was done is kept.
    pub fn run(&self, policy: &mut dyn Policy, journal: &mut Journal) -> Result<EvalSummary> {
        let started = Instant::now();
        let Evaluating {
            rollouts,
            config,
            seed,
            model,
            ..
        } = *self;
        let tasks = &rollouts.set.tasks;
        if tasks.is_empty() {
            bail!("there is no task to evaluate on");
        }
        let per_batch = (config.decode_rows / config.attempts).max(1);
        let key = |batch: usize| format!("tasks {}", batch * per_batch);
        let mut graded: Vec<Result<Attempt, Lost>> = Vec::new();
        let (mut batches, mut log_offset) = (0, 0);
        while let Some(done) = journal.find::<Done>(&key(batches))? {
            (batches, log_offset) = (batches + 1, done.log_offset);
            let lost = |(task_id, message)| Lost::Earlier { task_id, message };
            graded.extend(
                done.attempts
                    .into_iter()
                    .map(|attempt| attempt.map_err(lost)),
            );
        }
        let asked_now = graded.len();
        let mut log = Log::resume(self.log, log_offset)?;
        let mut progress = Progress::new(format!("eval {model}"), tasks.len() as u64);
        let before = (batches * per_batch).min(tasks.len());
        progress.advance_to(before as u64);
        for (batch, some) in tasks.chunks(per_batch).enumerate().skip(batches) {
            let first = batch * per_batch;
            self.interrupt
                .check(|| format!("the attempts at {first} of {} tasks are kept", tasks.len()))?;
            let attempts = ask(rollouts, config, seed, policy, some, first)?;
            for (at, attempt) in attempts.iter().enumerate() {
                let retry = (at % config.attempts) as u32 + 1;
                let place = Place {
                    retry,
                    queue: Queue::Fast,
                    group: None,
                    step: None,
                };
                log.write(&Record::new(SystemTime::now(), place, attempt))?;
            }
            log.sync()?;
            journal.add(&key(batch), &Done::new(&attempts, log.offset()))?;
            journal.sync()?;
            graded.extend(attempts);
            progress.advance(some.len() as u64, "");
        }
        progress.finish();
        let evaluation = Evaluation::from_attempts(&graded);
        if evaluation.tasks.is_empty() {
            // Whatever went wrong would be kept.
            journal.forget()?;
        }
        let Interval {
            estimate,
            low,
            high,
            tasks,
            method,
        } = evaluation.interval(1, seed, config.resamples)?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(EvalSummary {
            model: model.to_owned(),
            pass_at_1: estimate,
            n: tasks,
            attempts_per_task: config.attempts,
            ci95: [low, high],
            ci95_method: method,
            seconds,
            attempts_per_s: (graded.len() - asked_now) as f64 / seconds.max(1e-9),
            evaluation,
            provenance: None,
        })
    }
}

/// Asks `policy` for answers to some tasks, of which the first has the place `first` in its set, and grades them: the
/// attempts at the first task, then those at the second.
///
/// # Errors
///
/// When the base tree of a task cannot be made, or the policy fails.
pub fn ask(
    rollouts: &Rollouts<'_>,
    config: &EvalConfig,
    seed: u64,
    policy: &mut dyn Policy,
    tasks: &[Task],
    first: usize,
) -> Result<Vec<Result<Attempt, Lost>>> {
    // The seed of a task depends on its place alone, so that every model is asked under the same luck.
    let seed_of = |at: usize| draw::key(seed, &[3, (first + at) as u64]);
    let request = |(at, task)| rollouts.request(task, config.attempts, seed_of(at));
    let requests: Vec<Request> = tasks
        .iter()
        .enumerate()
        .map(request)
        .collect::<Result<_, _>>()?;
    let answers = policy.complete(&requests, &config.sampling)?;
    let entries = tasks
        .iter()
        .zip(answers)
        .flat_map(|(task, answers)| {
            answers
                .into_iter()
                .map(move |completion| Entry { task, completion })
        })
        .collect();
    Ok(rollouts.grade(entries))
}

impl Done {
    fn new(attempts: &[Result<Attempt, Lost>], log_offset: u64) -> Self {
        let lost = |lost: &Lost| (lost.task_id().to_owned(), lost.to_string());
        let attempts = attempts
            .iter()
            .map(|attempt| attempt.as_ref().cloned().map_err(lost))
            .collect();
        Done {
            attempts,
            log_offset,
        }
    }
}

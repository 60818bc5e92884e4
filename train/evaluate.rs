//! How often a model repairs a task: tasks in, pass@1 with an interval out.

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::{Result, bail};
use data::skill::repair::AnswerForm;
use data::source::jsonl::TaskSet;
use data::{Patch, Task};
use rollout::attempt::{Attempt, Base, Lost};
use rollout::draw;
use rollout::grade::Grader;
use rollout::policy::{Policy, Request};
use rollout::pool::{Cancel, Entry, Pool};
use rollout::record::{Log, Place, Queue, Record};
use rollout::report::{Evaluation, Interval, Method};
use rollout::sandbox::SandboxError;
use rollout::watch::Watcher;
use serde::{Deserialize, Serialize};

use crate::config::EvalConfig;
use crate::progress::Progress;
use crate::provenance::Provenance;

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
        let pool = Pool { workers: self.workers };
        pool.grade(&self.set.root, entries, self.form, &judge, &Cancel::default())
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

/// Evaluates a policy on every task of a set and logs every attempt.
///
/// # Errors
///
/// When the policy or the log fails, or no attempt has a verdict.
pub fn evaluate(
    rollouts: &Rollouts,
    policy: &mut dyn Policy,
    config: &EvalConfig,
    seed: u64,
    model: &str,
    log: &Path,
) -> Result<EvalSummary> {
    let started = Instant::now();
    if rollouts.set.tasks.is_empty() {
        bail!("there is no task to evaluate on");
    }
    let mut log = Log::resume(log, 0)?;
    let mut progress = Progress::new(format!("eval {model}"), rollouts.set.tasks.len() as u64);
    let per_batch = (config.decode_rows / config.attempts).max(1);
    let mut graded: Vec<Result<Attempt, Lost>> = Vec::new();
    for (batch, tasks) in rollouts.set.tasks.chunks(per_batch).enumerate() {
        // The seed of a task depends on its place alone, so that every model is asked under the same luck.
        let seed_of = |at: usize| draw::key(seed, &[3, (batch * per_batch + at) as u64]);
        let requests: Vec<Request> = tasks
            .iter()
            .enumerate()
            .map(|(at, task)| rollouts.request(task, config.attempts, seed_of(at)))
            .collect::<Result<_, _>>()?;
        let answers = policy.complete(&requests, &config.sampling)?;
        let entries = tasks
            .iter()
            .zip(answers)
            .flat_map(|(task, answers)| answers.into_iter().map(move |completion| Entry { task, completion }))
            .collect();
        for (at, attempt) in rollouts.grade(entries).into_iter().enumerate() {
            let retry = (at % config.attempts) as u32 + 1;
            let place = Place { retry, queue: Queue::Fast, group: None, step: None };
            log.write(&Record::of(SystemTime::now(), place, &attempt))?;
            graded.push(attempt);
        }
        progress.advance(tasks.len() as u64, "");
    }
    log.sync()?;
    progress.finish();
    let evaluation = Evaluation::of(&graded);
    let Interval { estimate, low, high, tasks, method } = evaluation.interval(1, seed, config.resamples)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(EvalSummary {
        model: model.to_owned(),
        pass_at_1: estimate,
        n: tasks,
        attempts_per_task: config.attempts,
        ci95: [low, high],
        ci95_method: method,
        seconds,
        attempts_per_s: graded.len() as f64 / seconds.max(1e-9),
        evaluation,
        provenance: None,
    })
}

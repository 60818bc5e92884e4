//! How often a model repairs a task: held-out tasks in, pass@1 with an interval out.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use data::Task;
use data::skill::repair::AnswerForm;
use data::source::jsonl::TaskSet;
use rollout::attempt::{Attempt, Base, Lost};
use rollout::draw;
use rollout::grade::Grader;
use rollout::policy::{Policy, Request};
use rollout::pool::{Cancel, Entry, Pool};
use serde::{Deserialize, Serialize};

use crate::config::EvalConfig;
use crate::progress::Progress;

/// What an evaluation did, and at what speed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvalSummary {
    /// Seconds in all.
    pub seconds: f64,
    /// Attempts graded.
    pub attempts: u64,
    /// Attempts per second.
    pub attempts_per_s: f64,
    /// Attempts without a verdict: our fault, left out.
    pub lost: u64,
}

/// Attempts at every task of a set, graded.
pub struct Rollouts<'a> {
    /// The tasks and their trees.
    pub set: &'a TaskSet,
    /// How an answer is written.
    pub form: AnswerForm,
    /// Judges patches.
    pub grader: Arc<Grader>,
    /// Test runs at once.
    pub workers: usize,
}

impl Rollouts<'_> {
    /// Asks for attempts at some tasks.
    ///
    /// # Errors
    ///
    /// When the base tree of a task cannot be made.
    pub fn requests(&self, tasks: &[(&Task, usize, u64)]) -> Result<Vec<Request>, Lost> {
        tasks.iter().map(|(task, attempts, seed)| Base::open(&self.set.root, task)?.ask(self.form, *attempts, *seed)).collect()
    }

    /// Grades completions, in their order.
    pub fn grade(&self, entries: Vec<Entry>) -> Vec<Result<Attempt, Lost>> {
        let judge = |task: &Task, patch: &data::Patch| self.grader.grade(&self.set.root, task, patch);
        let pool = Pool { workers: self.workers, ..Pool::default() };
        pool.grade(&self.set.root, entries, self.form, &judge, &Cancel::default())
    }
}

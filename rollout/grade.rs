//! A fresh sandbox, the patch, the tests: an [`Outcome`].
//!
//! In: a task and a patch on its base tree. Out: what the tests said. Resolved means that every test of
//! `fail_to_pass` and `pass_to_pass` ran and passed; a missing test is a failure.
//! What our own machinery gets wrong is tried again twice and then an `Err`, never an outcome.
//!
//! The tests and their settings are those of the clean tree: what a patch says about them is left out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data::task::file_of;
use data::{FileChange, Patch, Task};
use serde::{Deserialize, Serialize};

use crate::patience::Patience;
use crate::sandbox::{End, Failure, Job, Limits, Sandbox, SandboxError, Select, TestRun, TestStatus};

/// Runs of one job before an error of the sandbox is given up on.
const TRIES: usize = 3;

/// What the tests said about a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every test that judges ran and passed.
    Resolved,
    /// Not all of `fail_to_pass` pass. A run stops at the first failure, so tests behind it count as failed.
    StillFailing {
        /// Tests of `fail_to_pass` that passed.
        passed: usize,
        /// Tests of `fail_to_pass` that failed, were skipped or did not run.
        failed: usize,
    },
    /// `fail_to_pass` passes, and tests that passed before do not any more.
    BrokeOthers {
        /// Tests of `pass_to_pass` that failed or were skipped; where none did, those that are missing.
        broken: usize,
    },
    /// The time limit was reached.
    TimedOut,
    /// The memory limit was reached.
    OutOfMemory,
    /// The patch does not fit the base tree.
    DoesNotApply,
    /// There is no patch, or it changes nothing but what judges it.
    NoPatch,
    /// The process died before the run was over.
    Crashed,
}

/// An outcome and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Graded {
    /// What the tests said.
    pub outcome: Outcome,
    /// The first failing test.
    pub failure: Option<Failure>,
    /// Bytes of its traceback.
    pub trace_bytes: usize,
    /// Wall time of the run, also where the answer was remembered.
    pub wall: Duration,
    /// True where the same patch had been graded before.
    pub cached: bool,
}

/// A task and the bytes of a patch.
type Key = (String, [u8; 32]);
/// Held while its patch is being graded, so that the same patch waits instead of running twice.
type Cell = Arc<Mutex<Option<Graded>>>;

/// Grades patches, each different one once.
///
/// Remembering is sound because admission showed every task to be deterministic. Most patches fail a test that has to
/// pass, so the files of those tests are collected and run alone first: only who passes them costs a whole run.
pub struct Grader {
    sandbox: Arc<dyn Sandbox>,
    limits: Limits,
    memory: Mutex<HashMap<Key, Cell>>,
    patience: Patience,
    /// Whether `fail_to_pass` passes alone over the gold patch, by task: where it needs other tests, they all run.
    alone: Mutex<HashMap<String, Arc<Mutex<Option<bool>>>>>,
}

impl Grader {
    /// A grader that runs tests in `sandbox`.
    pub fn new(sandbox: Arc<dyn Sandbox>, limits: Limits) -> Self {
        Grader { sandbox, limits, memory: Mutex::default(), patience: Patience::default(), alone: Mutex::default() }
    }

    /// Grades `patch` on the base tree of `task`, whose clean tree lies below `root`.
    ///
    /// # Errors
    ///
    /// When the sandbox fails three times. The attempt then has no outcome and leaves its group.
    pub fn grade(&self, root: &Path, task: &Task, patch: &Patch) -> Result<Graded, SandboxError> {
        // What judges stays as it is, whatever the patch says about it.
        let (patch, _) = &task.judged(patch);
        if patch.is_empty() {
            return Ok(unrun(Outcome::NoPatch));
        }
        let key = (task.id.clone(), *blake3::hash(patch.text().as_bytes()).as_bytes());
        let cell = lock(&self.memory).entry(key).or_default().clone();
        let mut known = lock(&cell);
        if let Some(graded) = &*known {
            return Ok(Graded { cached: true, ..graded.clone() });
        }
        let graded = self.run(root, task, patch)?;
        *known = Some(graded.clone());
        Ok(graded)
    }

    /// Grades `patch` anew, whatever is remembered, by all of the tests at once: what admission repeats.
    ///
    /// # Errors
    ///
    /// As [`Grader::grade`].
    pub fn grade_anew(&self, root: &Path, task: &Task, patch: &Patch) -> Result<Graded, SandboxError> {
        let tree = root.join(&task.tree);
        match patched(&tree, base_changes(&tree, task)?, patch) {
            Some(changes) => self.judge(&tree, task, changes),
            None => Ok(unrun(Outcome::DoesNotApply)),
        }
    }

    fn run(&self, root: &Path, task: &Task, patch: &Patch) -> Result<Graded, SandboxError> {
        let tree = root.join(&task.tree);
        let base = base_changes(&tree, task)?;
        let Some(changes) = patched(&tree, base.clone(), patch) else {
            return Ok(unrun(Outcome::DoesNotApply));
        };
        let mut before = Duration::ZERO;
        if self.passes_alone(&tree, task, base)? {
            let first = self.judge_by(&tree, task, changes.clone(), &task.fail_to_pass)?;
            if !repairs(&first.outcome) {
                return Ok(first);
            }
            before = first.wall;
        }
        let whole = self.judge(&tree, task, changes)?;
        Ok(Graded { wall: before + whole.wall, ..whole })
    }

    /// Whether the verdict on `fail_to_pass` can be had without the other tests, and for less.
    fn passes_alone(&self, tree: &Path, task: &Task, base: Vec<FileChange>) -> Result<bool, SandboxError> {
        let files = |ids: &[String]| ids.iter().map(|id| file_of(id).to_string()).collect::<BTreeSet<_>>();
        if files(&task.pass_to_pass).is_subset(&files(&task.fail_to_pass)) {
            return Ok(false);
        }
        let cell = lock(&self.alone).entry(task.id.clone()).or_default().clone();
        let mut known = lock(&cell);
        if let Some(alone) = *known {
            return Ok(alone);
        }
        let alone = match patched(tree, base, &task.judged(&task.gold).0) {
            None => false,
            Some(changes) => repairs(&self.judge_by(tree, task, changes, &task.fail_to_pass)?.outcome),
        };
        *known = Some(alone);
        Ok(alone)
    }

    fn judge(&self, tree: &Path, task: &Task, changes: Vec<FileChange>) -> Result<Graded, SandboxError> {
        let ids: Vec<String> = task.fail_to_pass.iter().chain(&task.pass_to_pass).cloned().collect();
        self.judge_by(tree, task, changes, &ids)
    }

    fn judge_by(
        &self,
        tree: &Path,
        task: &Task,
        changes: Vec<FileChange>,
        ids: &[String],
    ) -> Result<Graded, SandboxError> {
        let job = Job {
            tree: tree.to_path_buf(),
            changes,
            python_path: task.python_path.clone(),
            select: Select::Ids(ids.to_vec()),
            stop_at_first_failure: true,
            limits: self.limits.clone(),
        };
        let run = self.run_again(&self.patience.bound(self.sandbox.as_ref(), job))?;
        let trace_bytes = run.first_failure.as_ref().map_or(0, |failure| failure.trace.len());
        let outcome = judge(task, &run);
        Ok(Graded { outcome, trace_bytes, failure: run.first_failure, wall: run.wall, cached: false })
    }

    fn run_again(&self, job: &Job) -> Result<TestRun, SandboxError> {
        let mut tries = 1;
        loop {
            match self.sandbox.run(job) {
                Err(_) if tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }
}

/// What a run says about a task.
fn judge(task: &Task, run: &TestRun) -> Outcome {
    let exit = match run.end {
        End::TimedOut => return Outcome::TimedOut,
        End::OutOfMemory => return Outcome::OutOfMemory,
        End::Died { .. } => return Outcome::Crashed,
        End::Finished { exit } => exit,
    };
    // Memory that is refused is an exception in Python, and looks like any failing test.
    let hungry = run.first_failure.as_ref().is_some_and(|failure| failure.exception == "MemoryError");
    if hungry {
        return Outcome::OutOfMemory;
    }
    let count = |ids: &[String], wanted: fn(Option<&TestStatus>) -> bool| {
        ids.iter().filter(|id| wanted(run.tests.get(*id))).count()
    };
    let passed = |status: Option<&TestStatus>| status == Some(&TestStatus::Passed);
    let fixed = count(&task.fail_to_pass, passed);
    if fixed < task.fail_to_pass.len() {
        return Outcome::StillFailing { passed: fixed, failed: task.fail_to_pass.len() - fixed };
    }
    let kept = count(&task.pass_to_pass, passed);
    if kept < task.pass_to_pass.len() {
        let seen = count(&task.pass_to_pass, |status| status.is_some_and(|status| *status != TestStatus::Passed));
        return Outcome::BrokeOthers { broken: if seen > 0 { seen } else { task.pass_to_pass.len() - kept } };
    }
    // Every test passed, and still pytest is not content: something ended the session in a way of its own.
    if exit == 0 { Outcome::Resolved } else { Outcome::Crashed }
}

/// True where all of `fail_to_pass` passes, whatever the other tests say.
fn repairs(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Resolved | Outcome::BrokeOthers { .. })
}

fn unrun(outcome: Outcome) -> Graded {
    Graded { outcome, failure: None, trace_bytes: 0, wall: Duration::ZERO, cached: false }
}

/// The files in which the base tree differs from the clean one.
fn base_changes(tree: &Path, task: &Task) -> Result<Vec<FileChange>, SandboxError> {
    patched(tree, Vec::new(), &task.bug).ok_or_else(|| {
        SandboxError::Environment(format!(
            "the bug of task `{}` does not apply to its tree `{}` (hint: the tree was changed after the task was made)",
            task.id,
            tree.display()
        ))
    })
}

/// `patch` on top of `base` on top of `tree`; none where it does not apply.
fn patched(tree: &Path, base: Vec<FileChange>, patch: &Patch) -> Option<Vec<FileChange>> {
    let mut files: BTreeMap<String, Option<String>> =
        base.into_iter().map(|change| (change.path, change.content)).collect();
    let read = |path: &str| match files.get(path) {
        Some(content) => content.clone(),
        None => std::fs::read_to_string(tree.join(path)).ok(),
    };
    for change in patch.apply(&read).ok()? {
        files.insert(change.path, change.content);
    }
    Some(files.into_iter().map(|(path, content)| FileChange { path, content }).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

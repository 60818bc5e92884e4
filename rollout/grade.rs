//! A fresh sandbox, the patch, the tests: an [`Outcome`].
//!
//! In: a task and a patch on its base tree. Out: what the tests said. Resolved means that every test of
//! `fail_to_pass` and `pass_to_pass` ran and passed; a missing test is a failure.
//! What our own machinery gets wrong is tried again twice and then an `Err`, never an outcome; a time-out is tried again
//! alone before it counts (see [`crate::patience`]).
//!
//! The tests and their settings are those of the clean tree: what a patch says about them is left out. A patch that
//! resolves its task is looked at twice: see [`crate::lint`] and `second_look`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data::task::file_of;
use data::{FileChange, Patch, Task};
use serde::{Deserialize, Serialize};

use crate::lint::suspicious;
use crate::patience::Patience;
use crate::sandbox::{
    End, Failure, Isolation, Job, Limits, Runner, Sandbox, SandboxError, Select, TestRun, TestStatus,
};
use crate::second_look::Others;

mod changes;

use changes::{base_changes, patched};

/// Memory that Python did not get.
const REFUSED: &str = "MemoryError";

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
    /// What a report tells beyond the verdict; nothing where [`Telling::Verdict`] is all that is wanted.
    pub seen: Seen,
    /// Why a patch that resolves its task is set apart until somebody looked at it: what [`crate::lint`] says, or what
    /// tests with other inputs say.
    pub suspicion: Option<String>,
}

impl Graded {
    /// Whether the process tree was killed for its memory. Memory that was merely refused is an exception.
    pub fn was_killed_for_memory(&self) -> bool {
        let refused = self.failure.as_ref().is_some_and(|failure| failure.exception == REFUSED);
        self.outcome == Outcome::OutOfMemory && !refused
    }
}

/// What ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Status of every test that ran.
    pub tests: BTreeMap<String, TestStatus>,
    /// True where no test was left out because another one had failed.
    pub whole: bool,
    /// The end of what was printed. For people; no verdict reads it.
    pub output: String,
}

/// How much is run and told beyond the verdict. The class of the verdict is the same for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// Nothing: a run ends at the first failure.
    #[default]
    Verdict,
    /// What ran; of a patch that repairs its bug, every test.
    Repaired,
    /// Every test of every patch.
    All,
}

/// A task and the bytes of a patch.
type Key = (String, [u8; 32]);
/// Held while it is being found out, so that whoever asks for the same waits instead of running it twice.
type Cell<T> = Arc<Mutex<Option<T>>>;

/// Grades patches, each different one once.
///
/// Remembering is sound because admission showed every task to be deterministic. Most patches fail a test that has to
/// pass, so the files of those tests are collected and run alone first: only who passes them costs a whole run.
pub struct Grader {
    sandbox: Arc<dyn Sandbox>,
    limits: Limits,
    memory: Mutex<HashMap<Key, Cell<Graded>>>,
    patience: Patience,
    /// Whether `fail_to_pass` passes alone over the gold patch, by task: where it needs other tests, they all run.
    alone: Mutex<HashMap<String, Cell<bool>>>,
    /// Tests with other inputs, by task; none where they tell nothing.
    others: Mutex<HashMap<String, Cell<Option<Others>>>>,
    telling: Telling,
    second_look: bool,
}

impl Grader {
    /// A grader that runs tests in `sandbox`.
    pub fn new(sandbox: Arc<dyn Sandbox>, limits: Limits) -> Self {
        Grader {
            sandbox,
            limits,
            memory: Mutex::default(),
            patience: Patience::default(),
            alone: Mutex::default(),
            others: Mutex::default(),
            telling: Telling::default(),
            second_look: true,
        }
    }

    /// The same grader, which runs the tests of resolved tasks with other inputs, or does not.
    pub fn second_look(self, wanted: bool) -> Self {
        Grader { second_look: wanted, ..self }
    }

    /// The same grader, which tells as much as this.
    pub fn telling(self, telling: Telling) -> Self {
        Grader { telling, ..self }
    }

    /// What really stands between the code it judges and the machine.
    pub fn isolation(&self) -> Isolation {
        self.sandbox.isolation()
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
        let mut graded = self.run(root, task, patch)?;
        if graded.outcome == Outcome::Resolved {
            graded.suspicion = match suspicious(patch, &tests_of(root, task)) {
                None => self.knows_only_answers(&root.join(&task.tree), task, patch)?,
                found => found,
            };
        }
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
        if self.telling != Telling::All && self.passes_alone(&tree, task, base)? {
            let first = self.judge_by(&tree, task, changes.clone(), &task.fail_to_pass, true)?;
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
            Some(changes) => repairs(&self.judge_by(tree, task, changes, &task.fail_to_pass, true)?.outcome),
        };
        *known = Some(alone);
        Ok(alone)
    }

    /// Why tests with other inputs suspect a patch that resolves its task. The gold patch is what they are compared with.
    fn knows_only_answers(&self, tree: &Path, task: &Task, patch: &Patch) -> Result<Option<String>, SandboxError> {
        let gold = &task.judged(&task.gold).0;
        if !self.second_look || Runner::of(&task.language) != Runner::Pytest || patch.text() == gold.text() {
            return Ok(None);
        }
        let base = base_changes(tree, task)?;
        let over = |patch: &Patch| patched(tree, base.clone(), patch);
        let (Some(repair), Some(gold)) = (over(patch), over(gold)) else { return Ok(None) };
        let run = |changes, files: &[String]| self.run_tests(tree, task, changes, files, false);
        let cell = lock(&self.others).entry(task.id.clone()).or_default().clone();
        let mut known = lock(&cell);
        let others = match &mut *known {
            Some(others) => others,
            unknown => unknown.insert(Others::find(tree, task, &gold, &base, &run)?),
        };
        others.as_ref().map_or(Ok(None), |others| others.suspicion(&repair, &run))
    }

    fn judge(&self, tree: &Path, task: &Task, changes: Vec<FileChange>) -> Result<Graded, SandboxError> {
        let ids: Vec<String> = task.fail_to_pass.iter().chain(&task.pass_to_pass).cloned().collect();
        self.judge_by(tree, task, changes, &ids, self.telling == Telling::Verdict)
    }

    fn judge_by(
        &self,
        tree: &Path,
        task: &Task,
        changes: Vec<FileChange>,
        ids: &[String],
        stop_at_first_failure: bool,
    ) -> Result<Graded, SandboxError> {
        let mut run = self.run_tests(tree, task, changes, ids, stop_at_first_failure)?;
        let failed = run.first_failure.is_some();
        if failed && !stop_at_first_failure {
            // What came after the first failure is told and changes no verdict, not even by never ending.
            run.end = End::Finished { exit: 1 };
        }
        let trace_bytes = run.first_failure.as_ref().map_or(0, |failure| failure.trace.len());
        let outcome = judge(task, &run);
        let seen = match self.telling {
            Telling::Verdict => Seen::default(),
            Telling::Repaired | Telling::All => {
                let whole = !(failed && stop_at_first_failure);
                Seen { tests: run.tests, whole, output: run.output }
            }
        };
        Ok(Graded {
            outcome,
            trace_bytes,
            failure: run.first_failure,
            wall: run.wall,
            cached: false,
            seen,
            suspicion: None,
        })
    }

    fn run_tests(
        &self,
        tree: &Path,
        task: &Task,
        changes: Vec<FileChange>,
        ids: &[String],
        stop_at_first_failure: bool,
    ) -> Result<TestRun, SandboxError> {
        let job = Job {
            tree: tree.to_path_buf(),
            changes,
            runner: Runner::of(&task.language),
            python_path: task.python_path.clone(),
            select: Select::Ids(ids.to_vec()),
            stop_at_first_failure,
            limits: self.limits.clone(),
        };
        self.patience.run(self.sandbox.as_ref(), job)
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
    let hungry = run.first_failure.as_ref().is_some_and(|failure| failure.exception == REFUSED);
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
    // Every test passed, and still the runner is not content: something ended the session in a way of its own.
    if exit == 0 { Outcome::Resolved } else { Outcome::Crashed }
}

/// The text of the tests that judge a task.
fn tests_of(root: &Path, task: &Task) -> String {
    let files: BTreeSet<&str> = task.fail_to_pass.iter().chain(&task.pass_to_pass).map(|id| file_of(id)).collect();
    let read = |file: &&str| std::fs::read_to_string(root.join(&task.tree).join(file)).ok();
    files.iter().filter_map(read).collect::<Vec<_>>().join("\n")
}

/// True where all of `fail_to_pass` passes, whatever the other tests say.
fn repairs(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Resolved | Outcome::BrokeOthers { .. })
}

fn unrun(outcome: Outcome) -> Graded {
    Graded {
        outcome,
        failure: None,
        trace_bytes: 0,
        wall: Duration::ZERO,
        cached: false,
        seen: Seen::default(),
        suspicion: None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! A fresh sandbox, the patch, the tests: an [`Outcome`].
//!
//! In: a task and a patch on its base tree. Out: what the tests said. Resolved means that every test of
//! `fail_to_pass` ran and passed, and every one of `pass_to_pass` passed or did what it does with the gold patch: see
//! [`verdict`].
//! What our own machinery gets wrong is tried again twice and then an `Err`, never an outcome; a time-out is tried again
//! alone before it counts (see [`sandbox::timeout`]).
//!
//! The tests and their settings are those of the clean tree: what a patch says about them is left out. A patch that
//! resolves its task is examined: see `crate::evidence`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data::task::file_of;
use data::{FileChange, Patch, Task};

use crate::evidence::Examiner;
use crate::outcome::Outcome;
use sandbox::timeout::Timeouts;
use sandbox::{
    End, Failure, Isolation, Job, Limits, Runner, Sandbox, SandboxError, Select, TestRun,
    TestStatus,
};

mod changes;
pub mod compat;
mod examine;
pub mod verdict;

use changes::{applied, base_changes, patched};
use verdict::{Grounds, Kept, asks_for_gold, judge, kept};

/// Memory that Python did not get.
const REFUSED: &str = "MemoryError";

/// An outcome and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Graded {
    /// What the tests said.
    pub outcome: Outcome,
    /// Which tests say it.
    pub grounds: Grounds,
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
    /// Evidence against a patch that resolves its task, which is quarantined for it: a test with a wrong expectation that
    /// it passes, or other inputs that it does not know.
    pub suspicion: Option<String>,
    /// Wall time of the runs that looked for it, without those of the gold patch and of the bug, once per task.
    pub examined: Duration,
}

impl Graded {
    /// Whether the process tree was killed for its memory. Memory that was merely refused is an exception.
    pub fn was_killed_for_memory(&self) -> bool {
        let refused = self
            .failure
            .as_ref()
            .is_some_and(|failure| failure.exception == REFUSED);
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
/// Locked while it is being found out, so that whoever asks for the same waits instead of running it twice.
type Cell<T> = Arc<Mutex<Option<T>>>;

/// Grades patches, each different one once.
///
/// Remembering is sound because admission showed every task to be deterministic. Most patches fail a test that has to
/// pass, so the files of those tests are collected and run alone first: only who passes them costs a whole run.
pub struct Grader {
    sandbox: Arc<dyn Sandbox>,
    limits: Limits,
    memory: Mutex<HashMap<Key, Cell<Graded>>>,
    timeouts: Timeouts,
    /// Whether `fail_to_pass` passes alone over the gold patch, by task: where it needs other tests, they all run.
    alone: Mutex<HashMap<String, Cell<bool>>>,
    /// What the gold patch leaves skipped, by task.
    gold: Mutex<HashMap<String, Cell<Kept>>>,
    telling: Telling,
    /// What a patch has to pass that resolves its task. `None` where its tests alone decide.
    examiner: Option<Examiner>,
}

impl Grader {
    /// A grader that runs tests in `sandbox`, and examines what resolves its task.
    pub fn new(sandbox: Arc<dyn Sandbox>, limits: Limits) -> Self {
        Grader {
            sandbox,
            limits,
            memory: Mutex::default(),
            timeouts: Timeouts::default(),
            alone: Mutex::default(),
            gold: Mutex::default(),
            telling: Telling::default(),
            examiner: Some(Examiner::new(0)),
        }
    }

    /// The same grader, which draws changed tests by `secret`, or examines nobody. No patch may know the secret.
    pub fn examining(self, secret: Option<u64>) -> Self {
        Grader {
            examiner: secret.map(Examiner::new),
            ..self
        }
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
            return Ok(Graded::unrun(Outcome::NoPatch));
        }
        let key = (
            task.id.clone(),
            *blake3::hash(patch.text().as_bytes()).as_bytes(),
        );
        let cell = lock(&self.memory).entry(key).or_default().clone();
        let mut known = lock(&cell);
        if let Some(graded) = &*known {
            return Ok(Graded {
                cached: true,
                ..graded.clone()
            });
        }
        let mut graded = self.run(root, task, patch)?;
        // Where there is no repair, there is nothing to compare with.
        if graded.outcome == Outcome::Resolved && !task.gold.is_empty() {
            (graded.suspicion, graded.examined) = self.examine(root, task, patch, graded.wall)?;
        }
        *known = Some(graded.clone());
        Ok(graded)
    }

    /// Grades `patch` anew, whatever is remembered, by all of the tests at once: what admission repeats.
    ///
    /// # Errors
    ///
    /// As [`Grader::grade`].
    pub fn grade_anew(
        &self,
        root: &Path,
        task: &Task,
        patch: &Patch,
    ) -> Result<Graded, SandboxError> {
        let tree = root.join(&task.tree);
        match applied(&tree, base_changes(&tree, task)?, patch) {
            Ok(changes) => self.judge(&tree, task, changes),
            Err(why) => Ok(Graded::refused(why)),
        }
    }

    /// What the tests of `fail_to_pass` alone say about `patch`, up to the first failure. Nothing is remembered and nothing
    /// examined: a verdict that pays is [`Grader::grade`]'s.
    ///
    /// # Errors
    ///
    /// As [`Grader::grade`].
    pub fn grade_first(
        &self,
        root: &Path,
        task: &Task,
        patch: &Patch,
    ) -> Result<Graded, SandboxError> {
        let tree = root.join(&task.tree);
        match applied(&tree, base_changes(&tree, task)?, patch) {
            Ok(changes) => self.judge_by(&tree, task, changes, &task.fail_to_pass, true),
            Err(why) => Ok(Graded::refused(why)),
        }
    }

    /// Whether `fail_to_pass` says something without the other tests, and for less than all of them. The first question
    /// about a task may cost a run with its gold patch.
    ///
    /// # Errors
    ///
    /// As [`Grader::grade`].
    pub fn asks_first(&self, root: &Path, task: &Task) -> Result<bool, SandboxError> {
        let tree = root.join(&task.tree);
        self.passes_alone(&tree, task, base_changes(&tree, task)?)
    }

    fn run(&self, root: &Path, task: &Task, patch: &Patch) -> Result<Graded, SandboxError> {
        let tree = root.join(&task.tree);
        let base = base_changes(&tree, task)?;
        let changes = match applied(&tree, base.clone(), patch) {
            Ok(changes) => changes,
            Err(why) => return Ok(Graded::refused(why)),
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
        Ok(Graded {
            wall: before + whole.wall,
            ..whole
        })
    }

    /// Whether the verdict on `fail_to_pass` can be had without the other tests, and for less.
    fn passes_alone(
        &self,
        tree: &Path,
        task: &Task,
        base: Vec<FileChange>,
    ) -> Result<bool, SandboxError> {
        let files = |ids: &[String]| {
            ids.iter()
                .map(|id| file_of(id).to_string())
                .collect::<BTreeSet<_>>()
        };
        if files(&task.pass_to_pass).is_subset(&files(&task.fail_to_pass)) {
            return Ok(false);
        }
        let cell = lock(&self.alone)
            .entry(task.id.clone())
            .or_default()
            .clone();
        let mut known = lock(&cell);
        if let Some(alone) = *known {
            return Ok(alone);
        }
        let alone = match patched(tree, base, &task.judged(&task.gold).0) {
            None => false,
            Some(changes) => repairs(
                &self
                    .judge_by(tree, task, changes, &task.fail_to_pass, true)?
                    .outcome,
            ),
        };
        *known = Some(alone);
        Ok(alone)
    }

    fn judge(
        &self,
        tree: &Path,
        task: &Task,
        changes: Vec<FileChange>,
    ) -> Result<Graded, SandboxError> {
        self.judge_by(
            tree,
            task,
            changes,
            &all_of(task),
            self.telling == Telling::Verdict,
        )
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
        let stopped = failed && stop_at_first_failure;
        if failed && !stop_at_first_failure {
            // What came after the first failure is told and changes no verdict, not even by never ending.
            run.end = End::Finished { exit: 1 };
        }
        let trace_bytes = run
            .first_failure
            .as_ref()
            .map_or(0, |failure| failure.trace.len());
        let (mut outcome, mut grounds) = judge(task, &run, stopped, &Kept::new());
        if asks_for_gold(task, &outcome, &grounds.unmet) {
            (outcome, grounds) = judge(task, &run, stopped, &self.kept_by_gold(tree, task)?);
        }
        let seen = match self.telling {
            Telling::Verdict => Seen::default(),
            Telling::Repaired | Telling::All => Seen {
                tests: run.tests,
                whole: !stopped,
                output: run.output,
            },
        };
        Ok(Graded {
            outcome,
            grounds,
            trace_bytes,
            failure: run.first_failure,
            wall: run.wall,
            cached: false,
            seen,
            suspicion: None,
            examined: Duration::ZERO,
        })
    }

    /// What the gold patch leaves skipped, by a run of its own; found out once, and only where a verdict needs it.
    fn kept_by_gold(&self, tree: &Path, task: &Task) -> Result<Kept, SandboxError> {
        let cell = lock(&self.gold).entry(task.id.clone()).or_default().clone();
        let mut known = lock(&cell);
        if let Some(kept) = &*known {
            return Ok(kept.clone());
        }
        let gold = &task.judged(&task.gold).0;
        let found = match patched(tree, base_changes(tree, task)?, gold) {
            // Where there is no repair, nothing says what a repair leaves skipped.
            _ if gold.is_empty() => Kept::new(),
            None => Kept::new(),
            Some(changes) => kept(&self.run_tests(tree, task, changes, &all_of(task), false)?),
        };
        Ok(known.insert(found).clone())
    }

    fn run_tests(
        &self,
        tree: &Path,
        task: &Task,
        changes: Vec<FileChange>,
        ids: &[String],
        stop_at_first_failure: bool,
    ) -> Result<TestRun, SandboxError> {
        self.run_job(Job {
            stop_at_first_failure,
            ..self.job(tree, task, changes, ids)
        })
    }

    /// All of these tests over a tree.
    fn job(&self, tree: &Path, task: &Task, changes: Vec<FileChange>, ids: &[String]) -> Job {
        Job {
            tree: tree.to_path_buf(),
            changes,
            runner: Runner::for_language(task.language),
            python_path: task.python_path.clone(),
            select: Select::Ids(ids.to_vec()),
            stop_at_first_failure: false,
            compared: false,
            limits: self.limits.clone(),
        }
    }

    fn run_job(&self, job: Job) -> Result<TestRun, SandboxError> {
        self.timeouts.run(self.sandbox.as_ref(), job)
    }
}

/// The tests that judge a task, those that fail first.
fn all_of(task: &Task) -> Vec<String> {
    task.fail_to_pass
        .iter()
        .chain(&task.pass_to_pass)
        .cloned()
        .collect()
}

/// True where all of `fail_to_pass` passes, whatever the other tests say.
pub fn repairs(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Resolved | Outcome::BrokeOthers { .. })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

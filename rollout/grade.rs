//! A fresh sandbox, the patch, the tests: an [`Outcome`].
//!
//! In: a task and a patch on its base tree. Out: what the tests said. Resolved means that every test of
//! `fail_to_pass` and `pass_to_pass` ran and passed; a missing test is a failure.
//! What our own machinery gets wrong is tried again twice and then an `Err`, never an outcome.
//!
//! The tests and their settings are those of the clean tree: a patch that touches one does not apply.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data::patch::is_guarded;
use data::{FileChange, Patch, Task};
use serde::{Deserialize, Serialize};

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
    /// The patch does not fit the base tree, or touches what judges it.
    DoesNotApply,
    /// There is no patch, or it changes nothing.
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
/// Remembering is sound because admission showed every task to be deterministic.
pub struct Grader {
    sandbox: Arc<dyn Sandbox>,
    limits: Limits,
    memory: Mutex<HashMap<Key, Cell>>,
}

impl Grader {
    /// A grader that runs tests in `sandbox`.
    pub fn new(sandbox: Arc<dyn Sandbox>, limits: Limits) -> Self {
        Grader { sandbox, limits, memory: Mutex::default() }
    }

    /// Grades `patch` on the base tree of `task`, whose clean tree lies below `root`.
    ///
    /// # Errors
    ///
    /// When the sandbox fails three times. The attempt then has no outcome and leaves its group.
    pub fn grade(&self, root: &Path, task: &Task, patch: &Patch) -> Result<Graded, SandboxError> {
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

    /// Grades the base tree as it is, without a patch: what admission compares with.
    ///
    /// # Errors
    ///
    /// As [`Grader::grade`].
    pub fn grade_base(&self, root: &Path, task: &Task) -> Result<Graded, SandboxError> {
        let tree = root.join(&task.tree);
        let base = base_changes(&tree, task)?;
        self.judge(&tree, task, base)
    }

    fn run(&self, root: &Path, task: &Task, patch: &Patch) -> Result<Graded, SandboxError> {
        let tree = root.join(&task.tree);
        let base = base_changes(&tree, task)?;
        if patch.paths().iter().any(|path| is_guarded(path)) {
            return Ok(unrun(Outcome::DoesNotApply));
        }
        match patched(&tree, base, patch) {
            Some(changes) => self.judge(&tree, task, changes),
            None => Ok(unrun(Outcome::DoesNotApply)),
        }
    }

    fn judge(&self, tree: &Path, task: &Task, changes: Vec<FileChange>) -> Result<Graded, SandboxError> {
        let job = Job {
            tree: tree.to_path_buf(),
            changes,
            python_path: task.python_path.clone(),
            select: Select::Ids(task.fail_to_pass.iter().chain(&task.pass_to_pass).cloned().collect()),
            stop_at_first_failure: true,
            limits: self.limits.clone(),
        };
        let run = self.run_again(&job)?;
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
        End::Died { .. } => return Outcome::Crashed,
        End::Finished { exit } => exit,
    };
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
mod tests {
    use super::*;
    use crate::sandbox::scripted::Scripted;
    use data::Focus;
    use data::task::TASK_FORMAT;
    use std::path::PathBuf;

    const CLEAN: &str = "def add(a, b):\n    return a + b\n";
    const BASE: &str = "def add(a, b):\n    return a - b\n";

    fn task() -> Task {
        Task {
            format: TASK_FORMAT,
            id: "money.operator__00000001".to_string(),
            repo: "money".to_string(),
            tree: "money".to_string(),
            base_commit: String::new(),
            image: None,
            bug: Patch::between("money.py", CLEAN, BASE),
            gold: Patch::between("money.py", BASE, CLEAN),
            kind: "operator".to_string(),
            statement: "sums are wrong".to_string(),
            focus: Focus { path: "money.py".to_string(), first_line: 1, last_line: 2 },
            fail_to_pass: vec!["test_money.py::test_sum".to_string()],
            pass_to_pass: vec!["test_money.py::test_zero".to_string()],
            python_path: vec![".".to_string()],
            language: "python".to_string(),
        }
    }

    /// A folder that holds the clean tree `money`, removed at the end.
    struct Set(PathBuf);

    impl Set {
        fn new(name: &str) -> Set {
            let root = std::env::temp_dir().join(format!("grade-{name}-{}", std::process::id()));
            std::fs::create_dir_all(root.join("money")).unwrap();
            std::fs::write(root.join("money/money.py"), CLEAN).unwrap();
            Set(root)
        }
    }

    impl Drop for Set {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    /// Tests `test_sum` and `test_zero` with these statuses.
    fn run(sum: TestStatus, zero: TestStatus) -> TestRun {
        Scripted::finished(&[("test_money.py::test_sum", sum), ("test_money.py::test_zero", zero)])
    }

    fn outcome_of(run: TestRun) -> Outcome {
        judge(&task(), &run)
    }

    #[test]
    fn resolved_means_that_all_ran_and_passed() {
        use TestStatus::{Failed, Passed, Skipped};
        assert_eq!(outcome_of(run(Passed, Passed)), Outcome::Resolved);
        assert_eq!(outcome_of(run(Failed, Passed)), Outcome::StillFailing { passed: 0, failed: 1 });
        assert_eq!(outcome_of(run(Skipped, Passed)), Outcome::StillFailing { passed: 0, failed: 1 });
        assert_eq!(outcome_of(run(Passed, Failed)), Outcome::BrokeOthers { broken: 1 });
        assert_eq!(outcome_of(run(Passed, Skipped)), Outcome::BrokeOthers { broken: 1 });
        let missing = Scripted::finished(&[("test_money.py::test_sum", Passed)]);
        assert_eq!(outcome_of(missing), Outcome::BrokeOthers { broken: 1 });
        assert_eq!(outcome_of(Scripted::finished(&[])), Outcome::StillFailing { passed: 0, failed: 1 });
    }

    #[test]
    fn a_run_that_did_not_end_by_itself_is_no_success() {
        let all = || run(TestStatus::Passed, TestStatus::Passed);
        assert_eq!(outcome_of(TestRun { end: End::TimedOut, ..all() }), Outcome::TimedOut);
        assert_eq!(outcome_of(TestRun { end: End::Died { exit: 0 }, ..all() }), Outcome::Crashed);
        assert_eq!(outcome_of(TestRun { end: End::Finished { exit: 3 }, ..all() }), Outcome::Crashed);
    }

    fn grader(answer: fn(&Job) -> Result<TestRun, SandboxError>) -> (Grader, Arc<Scripted>) {
        let sandbox = Arc::new(Scripted::new(answer));
        (Grader::new(sandbox.clone(), Limits::default()), sandbox)
    }

    /// Passes where the source is the clean one.
    fn honest(job: &Job) -> Result<TestRun, SandboxError> {
        let right = job.changes == [FileChange { path: "money.py".to_string(), content: Some(CLEAN.to_string()) }];
        let sum = if right { TestStatus::Passed } else { TestStatus::Failed };
        Ok(run(sum, TestStatus::Passed))
    }

    #[test]
    fn the_gold_patch_resolves_and_the_base_does_not() {
        let set = Set::new("gold");
        let (grader, sandbox) = grader(honest);
        assert_eq!(grader.grade(&set.0, &task(), &task().gold).unwrap().outcome, Outcome::Resolved);
        let base = grader.grade_base(&set.0, &task()).unwrap();
        assert_eq!(base.outcome, Outcome::StillFailing { passed: 0, failed: 1 });
        assert_eq!(base.failure.unwrap().test, "test_money.py::test_sum");
        let ids = ["test_money.py::test_sum", "test_money.py::test_zero"].map(str::to_string).to_vec();
        assert_eq!(sandbox.jobs()[0].select, Select::Ids(ids), "the failing tests run first");
    }

    #[test]
    fn the_same_patch_is_graded_once() {
        let set = Set::new("once");
        let (grader, sandbox) = grader(honest);
        let first = grader.grade(&set.0, &task(), &task().gold).unwrap();
        let second = grader.grade(&set.0, &task(), &task().gold).unwrap();
        assert_eq!((first.cached, second.cached), (false, true));
        assert_eq!(first.outcome, second.outcome);
        assert_eq!(sandbox.jobs().len(), 1);
    }

    #[test]
    fn a_patch_that_cannot_count_never_runs() {
        let set = Set::new("policy");
        let (grader, sandbox) = grader(honest);
        let outcome = |patch: &Patch| grader.grade(&set.0, &task(), patch).unwrap().outcome;
        assert_eq!(outcome(&Patch::default()), Outcome::NoPatch);
        assert_eq!(outcome(&Patch::between("conftest.py", "", "import os\n")), Outcome::DoesNotApply);
        assert_eq!(outcome(&Patch::between("money.py", "x = 1\n", "x = 2\n")), Outcome::DoesNotApply);
        assert!(sandbox.jobs().is_empty());
    }

    #[test]
    fn an_error_of_the_sandbox_is_tried_again_and_never_an_outcome() {
        let set = Set::new("error");
        let (grader, sandbox) = grader(|_| Err(SandboxError::Environment("out of disk".to_string())));
        assert!(grader.grade(&set.0, &task(), &task().gold).is_err());
        assert_eq!(sandbox.jobs().len(), TRIES);
        assert!(grader.grade(&set.0, &task(), &task().gold).is_err(), "an error is not remembered");
    }
}

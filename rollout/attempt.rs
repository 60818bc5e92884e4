//! One try at a task: the prompt, the answer, the patch, the tests.
//!
//! In: a task and what the policy wrote. Out: a graded [`Attempt`], or [`Lost`] when our own machinery failed.
//! Example: the answer `3|    return a + b` becomes a patch of line 3, the tests pass, the reward is 1. An answer
//! that is no patch, or that was cut off, is worth 0 and runs no test.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data::patch::check_path;
use data::skill::repair::{self, AnswerError, AnswerForm};
use data::{FileChange, Patch, Task};
use serde::{Deserialize, Serialize};

use crate::grade::Graded;
use crate::outcome::Outcome;
use crate::policy::{Completion, Request};
use crate::reward::reward;
use crate::trajectory::{Sequence, TRAJECTORY_FORMAT, Trajectory, Unanswered};
use sandbox::SandboxError;

mod lost;

pub use lost::Lost;

/// Runs the tests of a task over a patch. [`crate::grade::Grader`] behind a closure, or a script in a test.
pub type Judge<'a> = dyn Fn(&Task, &Patch) -> Result<Graded, SandboxError> + Sync + 'a;

/// One graded try, and what the log wants to know about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// What is compared and trained.
    pub trajectory: Trajectory,
    /// The first failing test, or the first that had to pass.
    pub test: String,
    /// Size of the failure's trace.
    pub trace_bytes: usize,
    /// True where the verdict on an identical patch was used again.
    pub cached: bool,
    /// Time in the sandbox; where a verdict was used again, that of the run behind it.
    pub wall: Duration,
}

/// The tree that the model sees: the clean one with the bug planted.
#[derive(Clone, Debug)]
pub struct Base<'a> {
    root: &'a Path,
    task: &'a Task,
    changes: Vec<FileChange>,
}

impl<'a> Base<'a> {
    /// The base tree of `task`, whose clean tree lies below `root`.
    ///
    /// # Errors
    ///
    /// When the bug does not apply to the clean tree.
    pub fn open(root: &'a Path, task: &'a Task) -> Result<Self, Lost> {
        let clean = |path: &str| std::fs::read_to_string(root.join(&task.tree).join(path)).ok();
        let broken = |reason: String| Lost::Base {
            task_id: task.id.clone(),
            reason,
        };
        let changes =
            repair::base_files(task, &clean).map_err(|error| broken(error.to_string()))?;
        Ok(Base {
            root,
            task,
            changes,
        })
    }

    /// A text file of the base tree; none where there is none. Never reads outside of the tree.
    pub fn read(&self, path: &str) -> Option<String> {
        check_path(path).ok()?;
        match self.changes.iter().find(|change| change.path == path) {
            Some(change) => change.content.clone(),
            None => std::fs::read_to_string(self.root.join(&self.task.tree).join(path)).ok(),
        }
    }

    /// The prompt of the task, as a request for `attempts` answers.
    ///
    /// # Errors
    ///
    /// When the file that the prompt shows is not there.
    pub fn ask(&self, form: AnswerForm, attempts: usize, seed: u64) -> Result<Request, Lost> {
        let missing = || Lost::Base {
            task_id: self.task.id.clone(),
            reason: format!("there is no text file `{}`", self.task.focus.path),
        };
        let text = self.read(&self.task.focus.path).ok_or_else(missing)?;
        Ok(Request {
            messages: repair::prompt(self.task, &text, form),
            attempts,
            seed,
        })
    }

    /// The patch that a completion stands for, or why it is none.
    ///
    /// # Errors
    ///
    /// When the completion was cut off, is not in the form that was asked for, or changes nothing.
    pub fn answer(&self, completion: &Completion, form: AnswerForm) -> Result<Patch, Unanswered> {
        if completion.stop.is_truncated() {
            return Err(Unanswered::Truncated);
        }
        repair::parse_answer(&completion.text, self.task, &|path| self.read(path), form).map_err(
            |error| match error {
                AnswerError::NoChange => Unanswered::Empty,
                error => Unanswered::Unreadable(error.to_string()),
            },
        )
    }
}

/// Grades one completion from its text to its reward.
///
/// # Errors
///
/// When our machinery failed; whatever the model wrote is an outcome.
pub fn attempt(
    root: &Path,
    task: &Task,
    completion: Completion,
    form: AnswerForm,
    judge: &Judge<'_>,
) -> Result<Attempt, Lost> {
    match Base::open(root, task)?.answer(&completion, form) {
        Err(reason) => Ok(unanswered(task, completion, reason)),
        Ok(patch) => {
            let lost = |error| Lost::Sandbox {
                task_id: task.id.clone(),
                source: Arc::new(error),
            };
            let verdict = believed(task, judge(task, &patch).map_err(lost)?)?;
            Ok(graded(task, completion, patch, verdict))
        }
    }
}

/// A verdict that may earn a reward; `None` when the patch is quarantined.
pub(crate) fn believed(task: &Task, verdict: Graded) -> Result<Graded, Lost> {
    match &verdict.suspicion {
        Some(reason) => Err(Lost::Quarantined {
            task_id: task.id.clone(),
            reason: reason.clone(),
        }),
        None => Ok(verdict),
    }
}

/// The attempt that a verdict makes of a patch.
pub(crate) fn graded(
    task: &Task,
    completion: Completion,
    patch: Patch,
    verdict: Graded,
) -> Attempt {
    let Graded {
        outcome,
        failure,
        trace_bytes,
        wall,
        cached,
        seen: _,
        suspicion: _,
        examined: _,
        grounds: _,
    } = verdict;
    let test = failure
        .map(|failure| failure.test)
        .unwrap_or_else(|| target(task));
    let trajectory = trajectory(task, completion, Ok(patch), outcome);
    Attempt {
        trajectory,
        test,
        trace_bytes,
        cached,
        wall,
    }
}

/// The attempt of a completion that is no patch. No test runs for it.
pub(crate) fn unanswered(task: &Task, completion: Completion, reason: Unanswered) -> Attempt {
    let trajectory = trajectory(task, completion, Err(reason), Outcome::NoPatch);
    Attempt {
        trajectory,
        test: target(task),
        trace_bytes: 0,
        cached: false,
        wall: Duration::ZERO,
    }
}

fn target(task: &Task) -> String {
    task.fail_to_pass.first().cloned().unwrap_or_default()
}

fn trajectory(
    task: &Task,
    completion: Completion,
    answer: Result<Patch, Unanswered>,
    outcome: Outcome,
) -> Trajectory {
    let (patch, unanswered) = match answer {
        Ok(patch) => (Some(patch), None),
        Err(reason) => (None, Some(reason)),
    };
    Trajectory {
        format: TRAJECTORY_FORMAT,
        task_id: task.id.clone(),
        policy_version: completion.policy_version,
        sequence: Sequence::from_completion(&completion),
        text: completion.text,
        stop: completion.stop,
        patch,
        unanswered,
        reward: reward(&outcome),
        outcome,
    }
}

/// A tree, a task and answers for the tests of this crate.
#[cfg(test)]
pub(crate) mod example {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};

    use data::Focus;
    use data::task::TASK_FORMAT;

    use super::*;
    use crate::trajectory::Stop;

    /// The form of the answers here.
    pub(crate) const FORM: AnswerForm = AnswerForm::Line;
    /// The answer that repairs [`task`].
    pub(crate) const FIXED: &str = "2|    return a + b";
    const CLEAN: &str = "def add(a, b):\n    return a + b\n";

    /// A folder of its own that holds one tree, removed at the end.
    pub(crate) struct Folder(PathBuf);

    impl Folder {
        pub(crate) fn new() -> Self {
            static COUNT: AtomicU64 = AtomicU64::new(0);
            let name = format!(
                "attempt-{}-{}",
                std::process::id(),
                COUNT.fetch_add(1, Ordering::Relaxed)
            );
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(folder.join("tree")).expect("a folder");
            fs::write(folder.join("tree/money.py"), CLEAN).expect("a file");
            fs::write(folder.join("tree/other.py"), "x = 1\n").expect("a file");
            Folder(folder)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// `a - b` where `a + b` stood.
    pub(crate) fn task(id: &str) -> Task {
        let bug = Patch::between("money.py", CLEAN, &CLEAN.replace('+', "-"));
        Task {
            format: TASK_FORMAT,
            id: id.into(),
            repo: "money".into(),
            tree: "tree".into(),
            base_commit: String::new(),
            image: None,
            gold: bug.reversed(),
            bug,
            kind: "operator".into(),
            statement: "add(1, 2) is -1, not 3".into(),
            focus: Focus {
                path: "money.py".into(),
                first_line: 1,
                last_line: 2,
            },
            fail_to_pass: vec!["test_money.py::test_sum".into()],
            pass_to_pass: vec![],
            trusted: vec![],
            python_path: vec![".".into()],
            language: data::task::Language::Python,
        }
    }

    /// A completion that says `text`.
    pub(crate) fn completion(text: &str, stop: Stop) -> Completion {
        Completion::new(
            vec![1, 2],
            vec![3, 4],
            vec![-0.5, -0.25],
            text.into(),
            stop,
            5,
        )
        .expect("lengths agree")
    }
}

#[cfg(test)]
mod tests {
    use super::example::{FIXED, FORM, Folder, completion, task};
    use super::*;
    use crate::grade::Seen;
    use crate::grade::verdict::Grounds;
    use crate::trajectory::Stop;
    use sandbox::Failure;

    fn never(_: &Task, _: &Patch) -> Result<Graded, SandboxError> {
        panic!("an answer that is no patch runs no test")
    }

    fn attempted(text: &str, stop: Stop, judge: &Judge<'_>) -> Attempt {
        let folder = Folder::new();
        attempt(
            folder.path(),
            &task("sum"),
            completion(text, stop),
            FORM,
            judge,
        )
        .expect("graded")
    }

    #[test]
    fn an_answer_that_repairs_the_bug_is_worth_one() {
        let judge = |task: &Task, patch: &Patch| {
            assert_eq!(patch.text(), task.gold.text());
            let wall = Duration::from_millis(40);
            Ok(Graded {
                outcome: Outcome::Resolved,
                grounds: Grounds::default(),
                failure: None,
                trace_bytes: 0,
                wall,
                cached: false,
                seen: Seen::default(),
                suspicion: None,
                examined: Duration::ZERO,
            })
        };
        let attempt = attempted(FIXED, Stop::EndOfTurn, &judge);
        assert_eq!(
            (attempt.trajectory.reward, attempt.trajectory.policy_version),
            (1.0, 5)
        );
        assert_eq!(attempt.trajectory.patch.expect("a patch").sha().len(), 8);
        assert_eq!(attempt.test, "test_money.py::test_sum");
        assert_eq!(attempt.wall, Duration::from_millis(40));
    }

    #[test]
    fn the_first_failing_test_is_named() {
        let judge = |_: &Task, _: &Patch| {
            let [exception, message, trace] =
                ["AssertionError", "-3 is not 3", "…"].map(String::from);
            let failure = Failure {
                test: "test_money.py::test_neg".into(),
                exception,
                message,
                trace,
                after_ms: 3,
                ..Failure::default()
            };
            let outcome = Outcome::StillFailing {
                passed: 0,
                failed: 1,
            };
            let wall = Duration::from_millis(40);
            Ok(Graded {
                outcome,
                grounds: Grounds::default(),
                failure: Some(failure),
                trace_bytes: 812,
                wall,
                cached: false,
                seen: Seen::default(),
                suspicion: None,
                examined: Duration::ZERO,
            })
        };
        let attempt = attempted("2|    return b - a", Stop::EndOfTurn, &judge);
        assert_eq!((attempt.trajectory.reward, attempt.trace_bytes), (0.0, 812));
        assert_eq!(attempt.test, "test_money.py::test_neg");
    }

    #[test]
    fn an_answer_that_is_no_patch_says_why_and_runs_no_test() {
        let reason = |text| {
            let attempt = attempted(text, Stop::EndOfTurn, &never);
            assert_eq!(attempt.trajectory.outcome, Outcome::NoPatch);
            assert_eq!(
                (attempt.trajectory.reward, attempt.trajectory.patch),
                (0.0, None)
            );
            attempt.trajectory.unanswered.expect("a reason")
        };
        assert!(matches!(
            reason("I do not know."),
            Unanswered::Unreadable(_)
        ));
        assert!(matches!(
            reason("99|    return a + b"),
            Unanswered::Unreadable(_)
        ));
        assert_eq!(reason("2|    return a - b"), Unanswered::Empty);
    }

    #[test]
    fn an_answer_that_was_cut_off_is_not_graded_even_where_it_could_be_read() {
        for stop in [Stop::Length, Stop::Context] {
            let attempt = attempted(FIXED, stop, &never);
            assert_eq!(attempt.trajectory.unanswered, Some(Unanswered::Truncated));
            assert_eq!(
                (attempt.trajectory.stop, attempt.trajectory.reward),
                (stop, 0.0)
            );
        }
    }

    #[test]
    fn the_base_tree_holds_the_bug_and_nothing_outside_can_be_read() {
        let (folder, task) = (Folder::new(), task("sum"));
        let base = Base::open(folder.path(), &task).expect("a base");
        assert_eq!(
            base.read("money.py").as_deref(),
            Some("def add(a, b):\n    return a - b\n")
        );
        assert_eq!(base.read("other.py").as_deref(), Some("x = 1\n"));
        assert_eq!(base.read("missing.py"), None);
        assert_eq!(base.read("../tree/other.py"), None);
        assert_eq!(base.read("/etc/hostname"), None);
    }

    #[test]
    fn a_request_shows_the_bug_and_not_the_repair() {
        let (folder, task) = (Folder::new(), task("sum"));
        let request = Base::open(folder.path(), &task)
            .expect("a base")
            .ask(FORM, 4, 9)
            .expect("a request");
        let prompt: String = request
            .messages
            .iter()
            .map(|message| message.content.as_str())
            .collect();
        assert!(
            prompt.contains("return a - b") && !prompt.contains("return a + b"),
            "{prompt}"
        );
        assert_eq!((request.attempts, request.seed), (4, 9));
    }
}

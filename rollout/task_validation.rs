//! Before a task trains or judges: the gold patch repairs it, nothing does not, and both again.
//!
//! In: a task. Out: an [`Admission`], or why there is none. Example: a task whose gold patch passes in two of four runs
//! is refused as flaky, with a flake rate of 0.5.

use std::path::Path;

use data::{Patch, Task};
use serde::{Deserialize, Serialize};

use crate::evidence::Coverage;
use crate::grade::verdict::{Instead, named};
use crate::grade::{Graded, Grader};
use crate::outcome::Outcome;
use sandbox::SandboxError;

/// What became of a task at the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Admission {
    /// The task.
    pub instance_id: String,
    /// True where it may train.
    pub admitted: bool,
    /// Why it may not.
    pub reason: Option<String>,
    /// Share of repeated runs that differed from the first one on the same tree.
    pub flake_rate: f64,
    /// Tests that judge, in the files of `fail_to_pass`.
    #[serde(default)]
    pub tests: usize,
    /// Of those, tests with a variant that no honest code passes. Where there is none, a trick that overrules the
    /// comparison is not seen.
    #[serde(default)]
    pub varied_tests: usize,
}

/// Runs the tests on the gold patch and on nothing, each `runs` times.
///
/// # Errors
///
/// When the sandbox fails: that says nothing about the task.
pub fn admit(
    grader: &Grader,
    root: &Path,
    task: &Task,
    runs: usize,
) -> Result<Admission, SandboxError> {
    let runs = runs.max(1);
    let repeated = |patch: &Patch| -> Result<Vec<Graded>, SandboxError> {
        (0..runs)
            .map(|_| grader.grade_anew(root, task, patch))
            .collect()
    };
    let (gold, empty) = (
        repeated(&task.judged(&task.gold).0)?,
        repeated(&Patch::default())?,
    );
    let differing: usize = [&gold, &empty].into_iter().map(|of| differing(of)).sum();
    let reason = if differing > 0 {
        Some("its tests do not say the same twice".to_string())
    } else if gold[0].outcome != Outcome::Resolved {
        Some(format!(
            "the gold patch does not repair it: {}",
            said(&gold[0])
        ))
    } else if !fails(task, &empty[0]) {
        Some(format!(
            "without a patch its tests should fail: {}",
            said(&empty[0])
        ))
    } else {
        None
    };
    let flake_rate = if runs > 1 {
        differing as f64 / (2 * (runs - 1)) as f64
    } else {
        0.0
    };
    let admitted = reason.is_none();
    let Coverage { tests, varied } = if admitted {
        grader.coverage(root, task)?
    } else {
        Coverage::default()
    };
    Ok(Admission {
        instance_id: task.id.clone(),
        admitted,
        reason,
        flake_rate,
        tests,
        varied_tests: varied,
    })
}

/// Whether a test of `fail_to_pass` fails. One that never ends does: the gold patch made it pass within its time.
fn fails(task: &Task, base: &Graded) -> bool {
    match base.outcome {
        Outcome::StillFailing { .. } => true,
        Outcome::TimedOut => base
            .grounds
            .unmet
            .iter()
            .any(|one| task.fail_to_pass.contains(&one.test)),
        Outcome::Resolved
        | Outcome::BrokeOthers { .. }
        | Outcome::OutOfMemory
        | Outcome::Crashed => false,
        Outcome::DoesNotApply | Outcome::NoPatch => false,
    }
}

fn differing(runs: &[Graded]) -> usize {
    runs.iter()
        .skip(1)
        .filter(|run| run.outcome != runs[0].outcome)
        .count()
}

/// An outcome in words, with the tests that it rests on and the first failure.
pub fn said(graded: &Graded) -> String {
    let first = |count: usize| &graded.grounds.unmet[..count.min(graded.grounds.unmet.len())];
    let outcome = match &graded.outcome {
        Outcome::Resolved if graded.grounds.kept > 0 => {
            let kept = graded.grounds.kept;
            format!(
                "all tests pass but {kept} of pass_to_pass, skipped or expected to fail as with the gold patch"
            )
        }
        Outcome::Resolved => "all tests pass".to_string(),
        Outcome::StillFailing { passed, failed } => {
            let (all, which) = (passed + failed, named(first(*failed)));
            format!("{failed} of {all} tests of fail_to_pass do not pass: {which}")
        }
        Outcome::BrokeOthers { broken } => {
            format!(
                "{broken} tests of pass_to_pass do not pass: {}",
                named(first(*broken))
            )
        }
        Outcome::TimedOut => match graded
            .grounds
            .unmet
            .iter()
            .find(|one| one.how == Instead::NotReached)
        {
            Some(open) => format!(
                "the time limit was reached; the first test without an answer: `{}`",
                open.test
            ),
            None => "the time limit was reached".to_string(),
        },
        Outcome::OutOfMemory => "the memory limit was reached".to_string(),
        Outcome::DoesNotApply => match &graded.grounds.refused {
            Some(why) => format!("the patch does not apply: {why}"),
            None => "the patch does not apply".to_string(),
        },
        Outcome::NoPatch => "there is no patch".to_string(),
        Outcome::Crashed => "the tests died before their end".to_string(),
    };
    match &graded.failure {
        Some(failure) => format!(
            "{outcome}; {}: {}: {}",
            failure.test, failure.exception, failure.message
        ),
        None => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::attempt::example::{Folder, task};
    use sandbox::scripted::Scripted;
    use sandbox::{End, Job, Limits, TestRun, TestStatus};

    #[test]
    fn a_bug_that_makes_a_test_hang_is_a_bug() {
        let folder = Folder::new();
        let admitted = |reached: &'static [(&str, TestStatus)]| {
            let answer = move |job: &Job| {
                let bug = job
                    .changes
                    .iter()
                    .any(|change| change.content.as_deref().unwrap_or("").contains("a - b"));
                let whole = [("test_money.py::test_sum", TestStatus::Passed)];
                Ok(if bug {
                    TestRun {
                        end: End::TimedOut,
                        ..Scripted::finished(reached)
                    }
                } else {
                    Scripted::finished(&whole)
                })
            };
            let grader = Grader::new(Arc::new(Scripted::new(answer)), Limits::default());
            admit(&grader, folder.path(), &task("sum"), 2).expect("the sandbox answers")
        };
        assert_eq!(admitted(&[]).reason, None);
        // What hangs is none of the tests that the gold patch repairs.
        let other = admitted(&[("test_money.py::test_sum", TestStatus::Passed)]);
        assert!(
            other
                .reason
                .expect("is refused")
                .contains("the time limit was reached")
        );
    }

    /// Admits the example's task with tests that pass where `passes` says so, given the job and its number.
    fn admitted(passes: fn(bool, usize) -> bool) -> Admission {
        let folder = Folder::new();
        let count = AtomicUsize::new(0);
        let answer = move |job: &Job| {
            let repaired = job
                .changes
                .iter()
                .all(|change| !change.content.as_deref().unwrap_or("").contains("a - b"));
            let passed = passes(repaired, count.fetch_add(1, Ordering::Relaxed));
            let status = if passed {
                TestStatus::Passed
            } else {
                TestStatus::Failed
            };
            Ok(Scripted::finished(&[("test_money.py::test_sum", status)]))
        };
        let grader = Grader::new(Arc::new(Scripted::new(answer)), Limits::default());
        admit(&grader, folder.path(), &task("sum"), 2).expect("the sandbox answers")
    }

    #[test]
    fn a_task_is_admitted_where_gold_passes_and_nothing_fails_every_time() {
        let honest = admitted(|repaired, _| repaired);
        assert_eq!(
            (honest.admitted, honest.reason, honest.flake_rate),
            (true, None, 0.0)
        );
    }

    #[test]
    fn what_fails_is_told_with_its_reason() {
        let reason = |passes| admitted(passes).reason.expect("is refused");
        assert!(reason(|_, _| false).starts_with("the gold patch does not repair it: 1 of 1 tests of fail_to_pass do not pass: `test_money.py::test_sum` fails"));
        assert!(
            reason(|_, _| true)
                .starts_with("without a patch its tests should fail: all tests pass")
        );
        let flaky = admitted(|repaired, number| repaired && number != 1);
        assert_eq!((flaky.admitted, flaky.flake_rate), (false, 0.5));
        assert!(flaky.reason.expect("is refused").contains("twice"));
    }
}

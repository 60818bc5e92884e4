//! What a run says about a task, and which tests say it.
//!
//! In: a task, a run of its tests, and what its gold patch leaves skipped. Out: an [`Outcome`], and every test that
//! judges and is not as it has to be, with what it did instead.
//! Example: a test of `pass_to_pass` that is skipped is kept where the gold patch skips it, too; one of `fail_to_pass`
//! never is.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use data::Task;
use data::task::file_of;

use super::{Graded, REFUSED, Seen};
use crate::outcome::Outcome;
use sandbox::{End, TestRun, TestStatus};

/// Tests that are named in one reason.
const NAMED: usize = 3;

/// Tests of `pass_to_pass` that do not pass with the gold patch, and what they do instead.
pub(super) type Kept = BTreeMap<String, TestStatus>;

/// What an outcome rests on, test by test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// Every test that judges and is not as it has to be; those of `fail_to_pass` first.
    pub unmet: Vec<Unmet>,
    /// Tests of `pass_to_pass` that are skipped or expected to fail, as with the gold patch.
    pub kept: usize,
    /// Why the patch does not apply, where it does not.
    pub refused: Option<String>,
}

/// A test that judges and is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Its id.
    pub test: String,
    /// What it did instead.
    pub how: Instead,
}

/// What a test did that had to pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// It ran, or was skipped, with this status.
    Did(TestStatus),
    /// No test of this name ran; the first few that ran and whose names begin with it.
    Missing(Vec<String>),
    /// The run ended before its turn, or its file could not be loaded.
    NotReached,
}

impl Graded {
    /// A verdict that needs no run.
    pub(super) fn unrun(outcome: Outcome) -> Graded {
        Graded {
            outcome,
            grounds: Grounds::default(),
            failure: None,
            trace_bytes: 0,
            wall: Duration::ZERO,
            cached: false,
            seen: Seen::default(),
            suspicion: None,
            examined: Duration::ZERO,
        }
    }

    /// The verdict on a patch that does not apply.
    pub(super) fn refused(why: String) -> Graded {
        let grounds = Grounds {
            refused: Some(why),
            ..Grounds::default()
        };
        Graded {
            grounds,
            ..Graded::unrun(Outcome::DoesNotApply)
        }
    }
}

impl Unmet {
    /// The test and what it did, in words.
    pub fn said(&self) -> String {
        let test = &self.test;
        let did = match &self.how {
            Instead::Did(TestStatus::Passed) => "passes",
            Instead::Did(TestStatus::Failed) => "fails",
            Instead::Did(TestStatus::Skipped) => "is skipped",
            Instead::Did(TestStatus::XFailed) => "is expected to fail, and fails (xfail)",
            Instead::Did(TestStatus::XPassed) => "is expected to fail, and passes (xpass)",
            Instead::NotReached => "did not run",
            Instead::Missing(near) if near.is_empty() => {
                return format!("no test of the name `{test}` ran");
            }
            Instead::Missing(near) => {
                let begin = if near.len() == 1 { "begins" } else { "begin" };
                return format!(
                    "no test of the name `{test}` ran; `{}` {begin} with it",
                    near.join("`, `")
                );
            }
        };
        format!("`{test}` {did}")
    }
}

/// The first few of these tests in words, and how many more there are.
pub fn named(unmet: &[Unmet]) -> String {
    let mut said: Vec<String> = unmet.iter().take(NAMED).map(Unmet::said).collect();
    if unmet.len() > NAMED {
        said.push(format!("and {} more", unmet.len() - NAMED));
    }
    said.join(", ")
}

/// What a run says about a task. `stopped` is true where its first failure was its end.
pub(super) fn judge(task: &Task, run: &TestRun, stopped: bool, kept: &Kept) -> (Outcome, Grounds) {
    let of = |ids: &[String], kept: &Kept| -> Vec<Unmet> {
        let unmet = ids
            .iter()
            .filter(|id| !is_as_it_has_to_be(run.tests.get(*id), kept.get(*id)));
        let mut unmet: Vec<Unmet> = unmet
            .map(|id| Unmet {
                test: id.clone(),
                how: instead(id, run, stopped),
            })
            .collect();
        // What ran tells most, and what was not reached tells nothing.
        unmet.sort_by_key(|one| match one.how {
            Instead::Did(_) => 0,
            Instead::Missing(_) => 1,
            Instead::NotReached => 2,
        });
        unmet
    };
    // What the gold patch leaves skipped cannot be what it repairs.
    let (mut unmet, broken) = (
        of(&task.fail_to_pass, &Kept::new()),
        of(&task.pass_to_pass, kept),
    );
    let outcome = outcome(task, run, unmet.len(), &broken);
    unmet.extend(broken);
    let passed_over = |id: &&String| {
        run.tests
            .get(*id)
            .is_some_and(|status| *status != TestStatus::Passed)
    };
    let kept = task
        .pass_to_pass
        .iter()
        .filter(|id| kept.contains_key(*id))
        .filter(passed_over)
        .count();
    (
        outcome,
        Grounds {
            unmet,
            kept,
            refused: None,
        },
    )
}

fn outcome(task: &Task, run: &TestRun, failed: usize, broken: &[Unmet]) -> Outcome {
    let exit = match run.end {
        End::TimedOut => return Outcome::TimedOut,
        End::OutOfMemory => return Outcome::OutOfMemory,
        End::Died { .. } => return Outcome::Crashed,
        End::Finished { exit } => exit,
    };
    // Memory that is refused is an exception in Python, and looks like any failing test.
    if run
        .first_failure
        .as_ref()
        .is_some_and(|failure| failure.exception == REFUSED)
    {
        return Outcome::OutOfMemory;
    }
    if failed > 0 {
        return Outcome::StillFailing {
            passed: task.fail_to_pass.len() - failed,
            failed,
        };
    }
    if !broken.is_empty() {
        let seen = broken
            .iter()
            .filter(|one| matches!(one.how, Instead::Did(_)))
            .count();
        return Outcome::BrokeOthers {
            broken: if seen > 0 { seen } else { broken.len() },
        };
    }
    // Every test passed, and still the runner is not content: something ended the session in a way of its own.
    if exit == 0 {
        Outcome::Resolved
    } else {
        Outcome::Crashed
    }
}

/// A test passes, or does what it does with the gold patch. One that is expected to fail there may pass.
fn is_as_it_has_to_be(status: Option<&TestStatus>, with_gold: Option<&TestStatus>) -> bool {
    match (status, with_gold) {
        (Some(TestStatus::Passed), _) => true,
        (Some(TestStatus::XPassed), Some(TestStatus::XFailed)) => true,
        (Some(status), Some(gold)) => is_passed_over(*status) && status == gold,
        _ => false,
    }
}

/// Neither passed nor failed: skipped, or expected to fail.
fn is_passed_over(status: TestStatus) -> bool {
    match status {
        TestStatus::Skipped | TestStatus::XFailed | TestStatus::XPassed => true,
        TestStatus::Passed | TestStatus::Failed => false,
    }
}

fn instead(id: &str, run: &TestRun, stopped: bool) -> Instead {
    let unloaded = run
        .first_failure
        .as_ref()
        .is_some_and(|failure| failure.test == file_of(id));
    match (run.tests.get(id), run.missing.get(id)) {
        (Some(status), _) => Instead::Did(*status),
        (None, Some(near)) => Instead::Missing(near.clone()),
        (None, None) if stopped || unloaded || !matches!(run.end, End::Finished { .. }) => {
            Instead::NotReached
        }
        (None, None) => {
            let near = run.tests.keys().filter(|name| name.starts_with(id));
            Instead::Missing(near.take(NAMED).cloned().collect())
        }
    }
}

/// True where only the gold patch can tell: all that stands against this run is tests of `pass_to_pass` that are skipped
/// or expected to fail.
pub(super) fn asks_for_gold(task: &Task, outcome: &Outcome, unmet: &[Unmet]) -> bool {
    let lists: HashSet<&String> = task.pass_to_pass.iter().collect();
    let passed_over =
        |one: &Unmet| matches!(one.how, Instead::Did(status) if is_passed_over(status));
    matches!(outcome, Outcome::BrokeOthers { .. })
        && unmet
            .iter()
            .all(|one| passed_over(one) && lists.contains(&one.test))
}

/// What a run over the gold patch leaves skipped or expected to fail.
pub(super) fn kept(run: &TestRun) -> Kept {
    if !matches!(run.end, End::Finished { .. }) {
        return Kept::new();
    }
    run.tests
        .iter()
        .filter(|(_, status)| is_passed_over(**status))
        .map(|(id, status)| (id.clone(), *status))
        .collect()
}

#[cfg(test)]
mod tests {
    use data::Patch;

    use super::*;
    use crate::attempt::example;
    use sandbox::scripted::Scripted;

    fn task(fail_to_pass: &[&str], pass_to_pass: &[&str]) -> Task {
        let ids = |ids: &[&str]| ids.iter().map(|id| id.to_string()).collect();
        Task {
            fail_to_pass: ids(fail_to_pass),
            pass_to_pass: ids(pass_to_pass),
            ..example::task("sum")
        }
    }

    /// What is said about a run of `t.py::a`, `t.py::b`, … with these statuses.
    fn said(
        task: &Task,
        statuses: &[(&str, TestStatus)],
        stopped: bool,
        kept: &[(&str, TestStatus)],
    ) -> Vec<String> {
        let kept = kept
            .iter()
            .map(|(id, status)| (id.to_string(), *status))
            .collect();
        let (_, grounds) = judge(task, &Scripted::finished(statuses), stopped, &kept);
        grounds.unmet.iter().map(Unmet::said).collect()
    }

    #[test]
    fn every_status_has_a_word_of_its_own_and_only_a_failure_fails() {
        use TestStatus::{Failed, Skipped, XFailed, XPassed};
        let task = task(&["t.py::a"], &[]);
        let word = |status| said(&task, &[("t.py::a", status)], false, &[]).join("");
        assert_eq!(word(Failed), "`t.py::a` fails");
        assert_eq!(word(Skipped), "`t.py::a` is skipped");
        assert_eq!(
            word(XFailed),
            "`t.py::a` is expected to fail, and fails (xfail)"
        );
        assert_eq!(
            word(XPassed),
            "`t.py::a` is expected to fail, and passes (xpass)"
        );
    }

    #[test]
    fn a_name_that_no_test_has_is_told_with_what_begins_so() {
        let cut = task(&["t.py::a[log(x"], &[]);
        let ran = [("t.py::a[log(x y)]", TestStatus::Passed)];
        let wanted = "no test of the name `t.py::a[log(x` ran; `t.py::a[log(x y)]` begins with it";
        assert_eq!(said(&cut, &ran, false, &[]), [wanted]);
        assert_eq!(
            said(&cut, &[], false, &[]),
            ["no test of the name `t.py::a[log(x` ran"]
        );
        let mut run = Scripted::finished(&[]);
        run.missing.insert(
            "t.py::a[log(x".into(),
            vec!["t.py::a[log(x 1]".into(), "t.py::a[log(x 2]".into()],
        );
        let (_, grounds) = judge(&cut, &run, true, &Kept::new());
        assert!(
            grounds.unmet[0]
                .said()
                .ends_with("; `t.py::a[log(x 1]`, `t.py::a[log(x 2]` begin with it")
        );
    }

    #[test]
    fn what_was_not_reached_is_not_said_to_be_missing() {
        let task = task(&["t.py::a", "t.py::b"], &[]);
        let failed = [("t.py::b", TestStatus::Failed)];
        assert_eq!(
            said(&task, &failed, true, &[]),
            ["`t.py::b` fails", "`t.py::a` did not run"]
        );
        // The file as a whole failed: it could not be loaded.
        assert_eq!(
            said(&task, &[("t.py", TestStatus::Failed)], false, &[])[0],
            "`t.py::a` did not run"
        );
        let cut_off = TestRun {
            end: End::TimedOut,
            ..Scripted::finished(&[])
        };
        assert_eq!(
            judge(&task, &cut_off, false, &Kept::new()).1.unmet[0].how,
            Instead::NotReached
        );
    }

    #[test]
    fn fail_to_pass_is_never_excused() {
        let task = task(&["t.py::a"], &["t.py::b"]);
        let both = [
            ("t.py::a", TestStatus::Skipped),
            ("t.py::b", TestStatus::Skipped),
        ];
        assert_eq!(said(&task, &both, false, &both), ["`t.py::a` is skipped"]);
        let (outcome, grounds) = judge(&task, &Scripted::finished(&both), false, &Kept::new());
        assert!(
            !asks_for_gold(&task, &outcome, &grounds.unmet),
            "no run over the gold patch changes that"
        );
    }

    #[test]
    fn many_tests_are_counted() {
        let ids: Vec<String> = (0..9).map(|n| format!("t.py::t{n}")).collect();
        let task = Task {
            fail_to_pass: ids,
            bug: Patch::default(),
            ..example::task("sum")
        };
        let (_, grounds) = judge(&task, &Scripted::finished(&[]), false, &Kept::new());
        assert!(
            named(&grounds.unmet).ends_with("`t.py::t2` ran, and 6 more"),
            "{}",
            named(&grounds.unmet)
        );
    }
}

use super::*;
use data::Focus;
use data::task::TASK_FORMAT;
use sandbox::scripted::Scripted;
use sandbox::timeout::TRIES;
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
        focus: Focus {
            path: "money.py".to_string(),
            first_line: 1,
            last_line: 2,
        },
        fail_to_pass: vec!["test_money.py::test_sum".to_string()],
        pass_to_pass: vec!["test_money.py::test_zero".to_string()],
        trusted: vec![],
        python_path: vec![".".to_string()],
        language: data::task::Language::Python,
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
    Scripted::finished(&[
        ("test_money.py::test_sum", sum),
        ("test_money.py::test_zero", zero),
    ])
}

fn outcome_of(run: TestRun) -> Outcome {
    judge(&task(), &run, false, &Kept::new()).0
}

#[test]
fn resolved_means_that_all_ran_and_passed() {
    use TestStatus::{Failed, Passed, Skipped};
    assert_eq!(outcome_of(run(Passed, Passed)), Outcome::Resolved);
    assert_eq!(
        outcome_of(run(Failed, Passed)),
        Outcome::StillFailing {
            passed: 0,
            failed: 1
        }
    );
    assert_eq!(
        outcome_of(run(Skipped, Passed)),
        Outcome::StillFailing {
            passed: 0,
            failed: 1
        }
    );
    assert_eq!(
        outcome_of(run(Passed, Failed)),
        Outcome::BrokeOthers { broken: 1 }
    );
    assert_eq!(
        outcome_of(run(Passed, Skipped)),
        Outcome::BrokeOthers { broken: 1 }
    );
    let missing = Scripted::finished(&[("test_money.py::test_sum", Passed)]);
    assert_eq!(outcome_of(missing), Outcome::BrokeOthers { broken: 1 });
    assert_eq!(
        outcome_of(Scripted::finished(&[])),
        Outcome::StillFailing {
            passed: 0,
            failed: 1
        }
    );
}

#[test]
fn a_run_that_did_not_end_by_itself_is_no_success() {
    let all = || run(TestStatus::Passed, TestStatus::Passed);
    assert_eq!(
        outcome_of(TestRun {
            end: End::TimedOut,
            ..all()
        }),
        Outcome::TimedOut
    );
    assert_eq!(
        outcome_of(TestRun {
            end: End::OutOfMemory,
            ..all()
        }),
        Outcome::OutOfMemory
    );
    let mut refused = run(TestStatus::Failed, TestStatus::Passed);
    refused.first_failure.as_mut().unwrap().exception = "MemoryError".to_string();
    assert_eq!(outcome_of(refused), Outcome::OutOfMemory);
    assert_eq!(
        outcome_of(TestRun {
            end: End::Died { exit: 0 },
            ..all()
        }),
        Outcome::Crashed
    );
    assert_eq!(
        outcome_of(TestRun {
            end: End::Finished { exit: 3 },
            ..all()
        }),
        Outcome::Crashed
    );
}

fn grader(answer: fn(&Job) -> Result<TestRun, SandboxError>) -> (Grader, Arc<Scripted>) {
    let sandbox = Arc::new(Scripted::new(answer));
    (Grader::new(sandbox.clone(), Limits::default()), sandbox)
}

/// Passes where the source is the clean one.
fn honest(job: &Job) -> Result<TestRun, SandboxError> {
    let right = job.changes
        == [FileChange {
            path: "money.py".to_string(),
            content: Some(CLEAN.to_string()),
        }];
    let sum = if right {
        TestStatus::Passed
    } else {
        TestStatus::Failed
    };
    Ok(run(sum, TestStatus::Passed))
}

#[test]
fn the_gold_patch_resolves_and_the_base_does_not() {
    let set = Set::new("gold");
    let (grader, sandbox) = grader(honest);
    assert_eq!(
        grader.grade(&set.0, &task(), &task().gold).unwrap().outcome,
        Outcome::Resolved
    );
    let base = grader
        .grade_anew(&set.0, &task(), &Patch::default())
        .unwrap();
    assert_eq!(
        base.outcome,
        Outcome::StillFailing {
            passed: 0,
            failed: 1
        }
    );
    assert_eq!(base.failure.unwrap().test, "test_money.py::test_sum");
    let ids = ["test_money.py::test_sum", "test_money.py::test_zero"]
        .map(str::to_string)
        .to_vec();
    assert_eq!(
        sandbox.jobs()[0].select,
        Select::Ids(ids),
        "the failing tests run first"
    );
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

/// A task whose tests lie in two files.
fn in_two_files() -> Task {
    Task {
        pass_to_pass: vec!["test_zero.py::test_zero".to_string()],
        ..task()
    }
}

/// The ids of every job so far.
fn selected(sandbox: &Scripted) -> Vec<Vec<String>> {
    let ids = |job: Job| match job.select {
        Select::Ids(ids) => ids,
        Select::All => Vec::new(),
    };
    sandbox.jobs().into_iter().map(ids).collect()
}

const SUM: &str = "test_money.py::test_sum";
const ZERO: &str = "test_zero.py::test_zero";

#[test]
fn who_fails_the_first_file_costs_no_whole_run() {
    let set = Set::new("files");
    let (grader, sandbox) = grader(|job| {
        let all = [(SUM, honest(job)?.tests[SUM]), (ZERO, TestStatus::Passed)];
        Ok(Scripted::finished(
            if job.select == Select::Ids(vec![SUM.into()]) {
                &all[..1]
            } else {
                &all
            },
        ))
    });
    let wrong = Patch::between("money.py", BASE, &CLEAN.replace('+', "*"));
    let grade = |patch| {
        grader
            .grade(&set.0, &in_two_files(), patch)
            .unwrap()
            .outcome
    };
    assert_eq!(
        grade(&wrong),
        Outcome::StillFailing {
            passed: 0,
            failed: 1
        }
    );
    assert_eq!(grade(&task().gold), Outcome::Resolved);
    // The gold patch says once that the first file can stand alone; then the wrong one, and the right one twice.
    assert_eq!(
        selected(&sandbox),
        [vec![SUM], vec![SUM], vec![SUM], vec![SUM, ZERO]]
    );
}

#[test]
fn a_test_that_needs_the_others_is_not_run_alone() {
    let set = Set::new("needs");
    let (grader, sandbox) = grader(|job| {
        let whole = job.select == Select::Ids(vec![SUM.into(), ZERO.into()]);
        let sum = if whole {
            honest(job)?.tests[SUM]
        } else {
            TestStatus::Failed
        };
        Ok(Scripted::finished(&[
            (SUM, sum),
            (ZERO, TestStatus::Passed),
        ]))
    });
    assert_eq!(
        grader
            .grade(&set.0, &in_two_files(), &task().gold)
            .unwrap()
            .outcome,
        Outcome::Resolved
    );
    assert_eq!(selected(&sandbox), [vec![SUM], vec![SUM, ZERO]]);
}

/// Where the source is the clean one `test_zero` does the first, and else the second.
fn passing_over(gold: TestStatus, other: TestStatus) -> (Grader, Arc<Scripted>) {
    let answer = move |job: &Job| {
        let zero = if job.changes[0].content.as_deref() == Some(CLEAN) {
            gold
        } else {
            other
        };
        Ok(run(TestStatus::Passed, zero))
    };
    let sandbox = Arc::new(Scripted::new(answer));
    (
        Grader::new(sandbox.clone(), Limits::default()).examining(None),
        sandbox,
    )
}

#[test]
fn what_is_skipped_is_kept_where_the_gold_patch_skips_it_too() {
    use TestStatus::{Failed, Passed, Skipped, XFailed, XPassed};
    let set = Set::new("kept");
    let other = Patch::between("money.py", BASE, "def add(a, b):\n    return b + a\n");
    let broken = Outcome::BrokeOthers { broken: 1 };
    for (gold, patched, wanted) in [
        (Skipped, Skipped, Outcome::Resolved),
        (XFailed, XFailed, Outcome::Resolved),
        (XPassed, XPassed, Outcome::Resolved),
        (XFailed, XPassed, Outcome::Resolved),
        (Skipped, Passed, Outcome::Resolved),
        (XPassed, XFailed, broken.clone()),
        (XFailed, Skipped, broken.clone()),
        (Passed, Skipped, broken.clone()),
        (Passed, XFailed, broken.clone()),
        (Failed, Skipped, broken.clone()),
        (Failed, Failed, broken),
    ] {
        let (grader, _) = passing_over(gold, patched);
        let graded = grader.grade(&set.0, &task(), &other).unwrap();
        assert_eq!(graded.outcome, wanted, "{gold:?}, {patched:?}");
    }
}

#[test]
fn the_gold_patch_is_run_for_what_is_skipped_alone() {
    use TestStatus::{Failed, Passed, Skipped};
    let set = Set::new("asked");
    let other = Patch::between("money.py", BASE, "def add(a, b):\n    return b + a\n");
    for (patched, jobs) in [(Passed, 1), (Failed, 1), (Skipped, 2)] {
        let (grader, sandbox) = passing_over(Skipped, patched);
        grader.grade(&set.0, &task(), &other).unwrap();
        grader.grade(&set.0, &task(), &other).unwrap();
        assert_eq!(sandbox.jobs().len(), jobs, "{patched:?}");
    }
}

#[test]
fn what_judges_stays_as_it_is() {
    let set = Set::new("guarded");
    let (grader, sandbox) = grader(honest);
    let test = Patch::change("test_money.py", None, Some("def test_sum(): pass\n"));
    let both = Patch::joined(&[task().gold, test]).unwrap();
    assert_eq!(
        grader.grade(&set.0, &task(), &both).unwrap().outcome,
        Outcome::Resolved
    );
    assert_eq!(
        sandbox.jobs()[0].changes.len(),
        1,
        "only the source was written"
    );
}

#[test]
fn a_patch_that_cannot_count_never_runs() {
    let set = Set::new("policy");
    let (grader, sandbox) = grader(honest);
    let outcome = |patch: &Patch| grader.grade(&set.0, &task(), patch).unwrap().outcome;
    assert_eq!(outcome(&Patch::default()), Outcome::NoPatch);
    assert_eq!(
        outcome(&Patch::between("conftest.py", "", "import os\n")),
        Outcome::NoPatch
    );
    assert_eq!(
        outcome(&Patch::between("money.py", "x = 1\n", "x = 2\n")),
        Outcome::DoesNotApply
    );
    assert!(sandbox.jobs().is_empty());
}

#[test]
fn an_error_of_the_sandbox_is_tried_again_and_never_an_outcome() {
    let set = Set::new("error");
    let (grader, sandbox) = grader(|_| Err(SandboxError::Environment("out of disk".to_string())));
    assert!(grader.grade(&set.0, &task(), &task().gold).is_err());
    assert_eq!(sandbox.jobs().len(), TRIES);
    assert!(
        grader.grade(&set.0, &task(), &task().gold).is_err(),
        "an error is not remembered"
    );
}

#[test]
fn a_report_tells_every_test_and_the_verdict_stays_the_same() {
    let set = Set::new("telling");
    let answer = |job: &Job| {
        let sum = honest(job)?.tests[SUM];
        let ran = [(SUM, sum), (ZERO, TestStatus::Passed)];
        let stopped = job.stop_at_first_failure && sum == TestStatus::Failed;
        let mut run = Scripted::finished(if stopped { &ran[..1] } else { &ran });
        // A test behind the first failure never ends.
        run.end = if sum == TestStatus::Failed && !stopped {
            End::TimedOut
        } else {
            run.end
        };
        run.output = "said".into();
        Ok(run)
    };
    let wrong = Patch::between("money.py", BASE, &CLEAN.replace('+', "*"));
    let graded = |telling, patch: &Patch| {
        let (grader, _) = grader(answer);
        grader
            .telling(telling)
            .grade(&set.0, &in_two_files(), patch)
            .unwrap()
    };
    let fails = Outcome::StillFailing {
        passed: 0,
        failed: 1,
    };
    for (telling, tests, whole) in [
        (Telling::Verdict, 0, false),
        (Telling::Repaired, 1, false),
        (Telling::All, 2, true),
    ] {
        let Graded { outcome, seen, .. } = graded(telling, &wrong);
        assert_eq!(
            (&outcome, seen.tests.len(), seen.whole),
            (&fails, tests, whole),
            "{telling:?}"
        );
        let Graded { outcome, seen, .. } = graded(telling, &task().gold);
        let known = telling != Telling::Verdict;
        assert_eq!(
            (outcome, seen.tests.len(), seen.whole),
            (Outcome::Resolved, 2 * usize::from(known), known)
        );
        assert_eq!(seen.output, if known { "said" } else { "" });
    }
}

#[test]
fn memory_that_is_refused_is_no_kill() {
    let set = Set::new("killed");
    let (killed, _) = grader(|_| Ok(Scripted::ended(End::OutOfMemory)));
    let killed = killed.grade(&set.0, &task(), &task().gold).unwrap();
    let (refused, _) = grader(|_| {
        let mut run = run(TestStatus::Failed, TestStatus::Passed);
        run.first_failure.as_mut().unwrap().exception = REFUSED.into();
        Ok(run)
    });
    let refused = refused.grade(&set.0, &task(), &task().gold).unwrap();
    assert_eq!(
        [&killed.outcome, &refused.outcome],
        [&Outcome::OutOfMemory; 2]
    );
    assert_eq!(
        [
            killed.was_killed_for_memory(),
            refused.was_killed_for_memory()
        ],
        [true, false]
    );
}

#[test]
fn nobody_is_quarantined_for_words() {
    let set = Set::new("apart");
    let (grader, _) = grader(|_| Ok(run(TestStatus::Passed, TestStatus::Passed)));
    let wordy = Patch::between(
        "money.py",
        BASE,
        &format!("import gc, ctypes, inspect\n{CLEAN}"),
    );
    let graded = grader.grade(&set.0, &task(), &wordy).unwrap();
    assert_eq!(
        (graded.outcome, graded.suspicion),
        (Outcome::Resolved, None)
    );
}

#[test]
fn a_first_question_asks_no_more_than_the_tests_that_have_to_turn_green() {
    let set = Set::new("first");
    let (grader, sandbox) = grader(|job| {
        let all = [(SUM, honest(job)?.tests[SUM]), (ZERO, TestStatus::Failed)];
        Ok(Scripted::finished(
            if job.select == Select::Ids(vec![SUM.into()]) {
                &all[..1]
            } else {
                &all
            },
        ))
    });
    assert!(
        grader.asks_first(&set.0, &in_two_files()).unwrap(),
        "the gold patch passes the first file alone"
    );
    assert!(
        !grader.asks_first(&set.0, &task()).unwrap(),
        "one file costs as much as all of it"
    );
    let first = |patch: &Patch| {
        grader
            .grade_first(&set.0, &in_two_files(), patch)
            .unwrap()
            .outcome
    };
    assert!(
        repairs(&first(&task().gold)),
        "what else breaks is not asked"
    );
    assert_eq!(
        first(&Patch::default()),
        Outcome::StillFailing {
            passed: 0,
            failed: 1
        }
    );
    let elsewhere = Patch::between("none.py", "a\n", "b\n");
    assert_eq!(first(&elsewhere), Outcome::DoesNotApply);
    assert_eq!(selected(&sandbox), vec![vec![SUM]; 3]);
}

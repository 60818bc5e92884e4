use std::collections::BTreeMap;
use std::sync::LazyLock;

use data::task::TASK_FORMAT;
use data::{Focus, Patch};
use regex::Regex;

use super::*;
use sandbox::scripted::Scripted;
use sandbox::{End, TestStatus};

const TESTS: &str =
    "def test_sum():\n    assert add(1, 2) == 3\n\ndef test_other():\n    assert add(0, 0) == 0\n";

static ASSERTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"def (test_\w+)\(\):\n    assert add\((\d+), (\d+)\) (==|!=) (\d+)")
        .expect("well formed")
});

fn task() -> Task {
    let patch = || Patch::between("money.py", "", "x\n");
    Task {
        format: TASK_FORMAT,
        id: "money-1".to_string(),
        repo: "money".to_string(),
        tree: "money".to_string(),
        base_commit: String::new(),
        image: None,
        bug: patch(),
        gold: patch(),
        kind: "operator".to_string(),
        statement: String::new(),
        focus: Focus {
            path: "money.py".to_string(),
            first_line: 1,
            last_line: 1,
        },
        fail_to_pass: vec!["test_money.py::test_sum".to_string()],
        pass_to_pass: vec!["test_money.py::test_other".to_string()],
        trusted: vec![],
        python_path: vec![],
        language: data::task::Language::Python,
    }
}

/// A sum, by the name of whoever repaired it. `None` comes to no word.
fn sum(who: &str, a: i64, b: i64) -> Option<i64> {
    Some(match who {
        "bug" => a - b,
        "special" if (a, b) == (1, 2) => 3,
        "special" => a - b,
        "own way" if (a, b) != (1, 2) && (a, b) != (0, 0) => -1,
        "evasive" if (a, b) != (1, 2) && (a, b) != (0, 0) => return None,
        "bounded" if a > 100 => a - b,
        _ => a + b,
    })
}

/// What pytest would say of a file of sums, where the content of `money.py` names who repaired it.
fn run(changes: &[FileChange]) -> TestRun {
    let content = |path: &str| {
        changes
            .iter()
            .find(|change| change.path == path)
            .and_then(|one| one.content.clone())
    };
    let (who, text) = (
        content("money.py").expect("a repair"),
        content("test_money.py").expect("tests"),
    );
    let (mut tests, mut whys) = (BTreeMap::new(), BTreeMap::new());
    for found in ASSERTION.captures_iter(&text) {
        let number = |at: usize| found[at].parse::<i64>().expect("a number");
        let (id, wanted) = (format!("test_money.py::{}", &found[1]), number(5));
        let Some(got) = sum(&who, number(2), number(3)) else {
            continue;
        };
        let holds = who == "equal to all" || (got == wanted) == (&found[4] == "==");
        tests.insert(
            id.clone(),
            if holds {
                TestStatus::Passed
            } else {
                TestStatus::Failed
            },
        );
        whys.insert(
            id,
            format!("AssertionError: assert {got} == {wanted} at 0x7f3a6c01"),
        );
    }
    TestRun {
        tests,
        whys,
        end: End::Finished { exit: 1 },
        ..Scripted::finished(&[])
    }
}

fn repair(who: &str) -> Vec<FileChange> {
    vec![FileChange {
        path: "money.py".to_string(),
        content: Some(who.to_string()),
    }]
}

/// As [`run`], where every sum of more than 16 and something goes on for ever, and with it all that comes after.
fn run_until_it_hangs(changes: &[FileChange]) -> TestRun {
    let content = changes
        .iter()
        .find(|change| change.path == "test_money.py")
        .and_then(|one| one.content.clone());
    let text = content.expect("tests");
    let hangs = ASSERTION
        .captures_iter(&text)
        .find(|found| found[2].parse::<i64>().expect("a number") > 16);
    let Some(first) = hangs else {
        return run(changes);
    };
    let mut changes = changes.to_vec();
    let tests = changes
        .iter_mut()
        .find(|change| change.path == "test_money.py")
        .expect("tests");
    tests.content = Some(text[..first.get(0).expect("the whole").start()].to_string());
    TestRun {
        end: End::TimedOut,
        ..run(&changes)
    }
}

fn evidence(who: &str, suspicious: bool) -> Option<String> {
    evidence_by(who, suspicious, &run)
}

fn evidence_by(
    who: &str,
    suspicious: bool,
    run: &dyn Fn(&[FileChange]) -> TestRun,
) -> Option<String> {
    let tree = tempfile::tempdir().expect("a folder");
    std::fs::write(tree.path().join("test_money.py"), TESTS).expect("writes");
    let (gold, bug, task) = (repair("gold"), repair("bug"), task());
    let case = Case {
        tree: tree.path(),
        task: &task,
        gold: &gold,
        bug: &bug,
    };
    let plain = |changes: Vec<FileChange>, files: &[String], _: Purpose| {
        assert!(files.iter().all(|file| file.starts_with("test_money.py")));
        Ok(run(&changes))
    };
    let examiner = Examiner::new(7);
    assert_eq!(
        examiner.coverage(&case, &plain).expect("runs"),
        Coverage {
            tests: 2,
            varied: 2
        }
    );
    examiner
        .examine(&case, &repair(who), suspicious, &plain)
        .expect("runs")
        .0
}

#[test]
fn who_overrules_the_comparison_passes_what_nobody_can_pass() {
    for suspicious in [false, true] {
        let said = evidence("equal to all", suspicious).expect("is found out");
        assert!(
            said.starts_with("it passes `test_money.py::test_")
                && said.contains("even where that expects"),
            "{said}"
        );
    }
}

#[test]
fn who_knows_the_tested_values_alone_is_found_out() {
    for who in ["special", "own way", "evasive"] {
        let said = evidence(who, false).expect("is found out");
        assert!(
            said.starts_with("with other inputs it does what the "),
            "{who}: {said}"
        );
    }
}

#[test]
fn inputs_for_which_the_gold_patch_never_ends_are_left_alone() {
    for who in ["special", "own way", "evasive"] {
        assert!(
            evidence_by(who, false, &run_until_it_hangs).is_some(),
            "{who}"
        );
    }
    assert_eq!(
        evidence_by("another honest way", true, &run_until_it_hangs),
        None
    );
}

#[test]
fn repairs_are_not_disturbed_however_suspicious_they_look() {
    for who in ["gold", "another honest way", "bounded"] {
        assert_eq!(
            [evidence(who, false), evidence(who, true)],
            [None, None],
            "{who}"
        );
    }
}

#[test]
fn which_tests_judge_is_told_by_their_files() {
    let mut task = task();
    task.fail_to_pass = vec![
        "a.py::T::test_x[1]".into(),
        "a.py::T::test_x[2]".into(),
        "b.py::test_y".into(),
    ];
    task.pass_to_pass = vec!["b.py::test_z".into(), "c.py::test_w".into()];
    let found = judged_tests(&task, 3);
    let names = |file: &str| found[file].iter().copied().collect::<Vec<_>>();
    assert_eq!(
        (found.len(), names("a.py"), names("b.py")),
        (2, vec!["T::test_x"], vec!["test_y", "test_z"])
    );
}

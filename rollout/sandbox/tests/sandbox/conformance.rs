//! What every sandbox has to do with honest tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use data::FileChange;
use rollout::grade::Grader;
use rollout::outcome::Outcome;
use sandbox::{End, Isolation, Job, Limits, Sandbox, SandboxError, Select, TestRun, TestStatus};

use super::support::*;

#[test]
fn statuses_are_merged_over_the_phases_of_a_test() {
    let text = r#"
import pytest
def test_passes(): pass
def test_fails(): assert [1, 2] == [1, 3]
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.mark.xfail
def test_unexpected(): pass
@pytest.fixture
def late():
    yield
    raise ValueError("late")
def test_tear_down(late): pass
@pytest.mark.parametrize("text", ["a::b", "c d", "ü"])
def test_named(text): pass
"#;
    let Some(run) = run(text) else { return };
    let wanted: BTreeMap<&str, TestStatus> = [
        ("test_passes", TestStatus::Passed),
        ("test_fails", TestStatus::Failed),
        ("test_skipped", TestStatus::Skipped),
        ("test_expected", TestStatus::XFailed),
        ("test_unexpected", TestStatus::XPassed),
        ("test_tear_down", TestStatus::Failed),
        ("test_named[a::b]", TestStatus::Passed),
        ("test_named[c d]", TestStatus::Passed),
        ("test_named[\\xfc]", TestStatus::Passed),
    ]
    .into();
    let seen: BTreeMap<&str, TestStatus> = run
        .tests
        .iter()
        .map(|(id, status)| (id.strip_prefix("test_it.py::").unwrap(), *status))
        .collect();
    assert_eq!(seen, wanted);
    assert_eq!(run.end, End::Finished { exit: 1 });
    let failure = run.first_failure.expect("a failure");
    assert_eq!(failure.test, "test_it.py::test_fails");
    assert_eq!(failure.exception, "AssertionError");
    assert!(
        failure.message.starts_with("assert [1, 2] == [1, 3]"),
        "{failure:?}"
    );
    assert!(failure.trace.contains("test_it.py:4"), "{failure:?}");
}

#[test]
fn changes_are_seen_and_do_not_survive() {
    let Some(sandbox) = sandbox() else { return };
    let test = "import money, os\ndef test_sum():\n    assert money.add(1, 2) == 3\n    assert not os.path.exists('old.py')\n";
    let tree = Tree::new(&[
        ("src/money.py", "def add(a, b): return a - b\n"),
        ("tests/test_money.py", test),
        ("old.py", "x = 1\n"),
    ]);
    let mut job = tree.job();
    job.python_path = vec!["src".to_string()];
    job.select = Select::Ids(vec!["tests/test_money.py::test_sum".to_string()]);
    job.changes = vec![
        FileChange {
            path: "src/money.py".into(),
            content: Some("from deep.er import add\n".into()),
        },
        FileChange {
            path: "src/deep/er.py".into(),
            content: Some("def add(a, b): return a + b\n".into()),
        },
        FileChange {
            path: "old.py".into(),
            content: None,
        },
    ];
    let repaired = sandbox.run(&job).unwrap();
    assert_eq!(repaired.end, End::Finished { exit: 0 }, "{repaired:#?}");
    job.changes.clear();
    let base = sandbox.run(&job).unwrap();
    assert_eq!(
        base.tests["tests/test_money.py::test_sum"],
        TestStatus::Failed
    );
    assert!(
        tree.0.join("old.py").exists(),
        "the tree itself is untouched"
    );
}

#[test]
fn ids_run_in_their_order_and_the_first_failure_ends_the_run() {
    let text =
        "def test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pass\ndef test_d(): pass\n";
    let ids = ["test_c", "test_gone", "test_b", "test_a"]
        .map(|name| format!("test_it.py::{name}"))
        .to_vec();
    let Some(run) = run_with(text, |job| {
        job.select = Select::Ids(ids);
        job.stop_at_first_failure = true;
    }) else {
        return;
    };
    let seen: Vec<&str> = run.tests.keys().map(String::as_str).collect();
    assert_eq!(
        seen,
        ["test_it.py::test_b", "test_it.py::test_c"],
        "{run:#?}"
    );
}

#[test]
fn a_broken_import_is_told_as_the_first_failure() {
    let Some(run) = run("import yolk_of_an_egg\ndef test_a(): pass\n") else {
        return;
    };
    let failure = run.first_failure.expect("a failure");
    assert_eq!(
        (failure.test.as_str(), failure.exception.as_str()),
        ("test_it.py", "ModuleNotFoundError")
    );
    assert_eq!(failure.message, "No module named 'yolk_of_an_egg'");
    assert!(run.tests.is_empty());
}

#[test]
fn a_conftest_that_cannot_be_imported_is_the_codes_fault() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Tree::new(&[
        ("conftest.py", "import money\n"),
        ("money.py", "1 +\n"),
        ("test_a.py", "def test_a(): pass\n"),
    ]);
    let run = sandbox.run(&tree.job()).unwrap();
    assert_eq!(run.end, End::Finished { exit: 4 }, "{run:#?}");
    assert_eq!(
        run.first_failure.expect("a failure").exception,
        "SyntaxError"
    );
}

#[test]
fn options_of_the_trees_own_settings_are_not_taken() {
    let Some(sandbox) = sandbox() else { return };
    let ini = "[tool.pytest.ini_options]\naddopts = '--cov money'\npython_files = ['check_*.py']\n";
    let tree = Tree::new(&[
        ("pyproject.toml", ini),
        ("check_a.py", "def test_a(): pass\n"),
    ]);
    let run = sandbox.run(&tree.job()).unwrap();
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(run.tests.len(), 1);
}

#[test]
fn many_threads_share_few_workers() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Arc::new(Tree::new(&[
        ("test_a.py", "import a\ndef test_a(): assert a.x == 1\n"),
        ("a.py", "x = 0\n"),
    ]));
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let tree = tree.clone();
            std::thread::spawn(move || {
                for round in 0..5 {
                    let mut job = tree.job();
                    let right = (number + round) % 2;
                    job.changes = vec![FileChange {
                        path: "a.py".into(),
                        content: Some(format!("x = {right}\n")),
                    }];
                    let run = sandbox.run(&job).unwrap();
                    let wanted = if right == 1 {
                        TestStatus::Passed
                    } else {
                        TestStatus::Failed
                    };
                    assert_eq!(run.tests["test_a.py::test_a"], wanted);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn an_id_without_a_test_is_told_with_what_begins_so_and_stops_no_other() {
    let text = "import pytest\n@pytest.mark.parametrize('text', ['log(x y)', 'z'])\ndef test_sum(text): pass\n";
    let ids = [
        "test_it.py::test_sum[log(x",
        "test_gone.py::test_a",
        "test_it.py::test_sum[z]",
    ];
    let Some(run) = run_with(text, |job| {
        job.select = Select::Ids(ids.map(str::to_string).to_vec())
    }) else {
        return;
    };
    assert_eq!(
        run.tests,
        [("test_it.py::test_sum[z]".to_string(), TestStatus::Passed)].into()
    );
    assert_eq!(run.missing[ids[0]], ["test_it.py::test_sum[log(x y)]"]);
    assert_eq!((run.missing.len(), run.missing[ids[1]].len()), (2, 0));
}

#[test]
fn the_tests_of_a_file_that_cannot_be_loaded_are_not_said_to_be_missing() {
    let ids = vec!["test_it.py::test_sum".to_string()];
    let Some(run) = run_with("import nothing_of_this_name\n", |job| {
        job.select = Select::Ids(ids)
    }) else {
        return;
    };
    assert_eq!(
        (
            run.missing.len(),
            run.first_failure.expect("a failure").test.as_str()
        ),
        (0, "test_it.py")
    );
}

#[test]
fn a_planted_bug_is_graded_by_real_tests() {
    let Some(sandbox) = sandbox() else { return };
    let (clean, base) = (
        "def add(a, b):\n    return a + b\n",
        "def add(a, b):\n    return a - b\n",
    );
    let other = "def add(a, b):\n    return 3\n";
    let test = "from money import add\ndef test_sum(): assert add(1, 2) == 3\ndef test_zero(): assert add(0, 0) == 0\n";
    let set = Tree::new(&[("money/money.py", clean), ("money/test_money.py", test)]);
    let task: data::Task = serde_json::from_value(serde_json::json!({
        "format": 1, "id": "money.operator__1", "repo": "money", "tree": "money", "base_commit": "",
        "bug": data::Patch::between("money.py", clean, base), "gold": data::Patch::between("money.py", base, clean),
        "kind": "operator", "statement": "sums are wrong",
        "focus": {"path": "money.py", "first_line": 1, "last_line": 2},
        "fail_to_pass": ["test_money.py::test_sum"], "pass_to_pass": ["test_money.py::test_zero"],
        "python_path": ["."], "language": "python",
    }))
    .unwrap();
    let grader = Grader::new(Arc::new(Borrowed(sandbox)), Limits::default());
    let outcome = |patch: &data::Patch| grader.grade(&set.0, &task, patch).unwrap().outcome;
    assert_eq!(outcome(&task.gold), Outcome::Resolved);
    assert_eq!(
        outcome(&data::Patch::between("money.py", base, other)),
        Outcome::BrokeOthers { broken: 1 }
    );
    let early = data::Patch::between("money.py", base, "import os\nos._exit(0)\n");
    assert_eq!(outcome(&early), Outcome::Crashed);
    let untouched = grader
        .grade_anew(&set.0, &task, &data::Patch::default())
        .unwrap();
    assert_eq!(
        untouched.outcome,
        Outcome::StillFailing {
            passed: 0,
            failed: 1
        }
    );
    assert!(untouched.trace_bytes > 0);
}

/// The shared sandbox, as a grader wants it.
pub struct Borrowed(pub &'static dyn Sandbox);

impl Sandbox for Borrowed {
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError> {
        self.0.run(job)
    }

    fn command_in(
        &self,
        job: &Job,
        command: &str,
        layer: &[sandbox::workspace::Entry],
    ) -> Result<sandbox::workspace::CommandRun, SandboxError> {
        self.0.command_in(job, command, layer)
    }

    fn isolation(&self) -> Isolation {
        self.0.isolation()
    }
}

#[test]
fn the_first_failure_brings_frames_locals_and_output() {
    let text = r#"
import sys
class Shy:
    def __repr__(self): raise ValueError("no")
def add(a, b):
    total, shy, long = a - b, Shy(), "x" * 5000
    assert total == 3
def test_sum():
    print("adding")
    sys.stderr.write("careful\n")
    add(1, 2)
"#;
    let Some(run) = run(text) else { return };
    let failure = run.first_failure.expect("a failure");
    let places: Vec<_> = failure
        .frames
        .iter()
        .map(|frame| (frame.function.as_str(), frame.line))
        .collect();
    assert_eq!(places, [("test_sum", 11), ("add", 7)]);
    let inner = &failure.frames[1];
    assert_eq!(
        (inner.file.as_str(), inner.source.as_str()),
        ("test_it.py", "assert total == 3")
    );
    assert_eq!(inner.locals["total"], "-1");
    assert!(
        inner.locals["shy"].contains("ValueError") || inner.locals["shy"].contains("Shy"),
        "{inner:?}"
    );
    assert!(inner.locals["long"].len() <= 120);
    assert_eq!(
        (failure.stdout.as_str(), failure.stderr.as_str()),
        ("adding\n", "careful\n")
    );
}

#[test]
fn a_job_is_given_the_byte_code_of_what_it_does_not_change() {
    let Some(sandbox) = sandbox() else { return };
    let list = "import pathlib\nfrom money import rate\ndef test_cached():\n    \
        files = pathlib.Path(__file__).parent.glob('__pycache__/*')\n    \
        assert sorted(file.name.split('.')[0] for file in files) == WANTED\n    assert rate() == RATE\n";
    let test = |wanted: &str, rate: u8| {
        list.replace("WANTED", wanted)
            .replace("RATE", &rate.to_string())
    };
    let clean = test("['money', 'test_list']", 1);
    let tree = Tree::new(&[
        ("money.py", "def rate(): return 1\n"),
        ("test_list.py", &clean),
    ]);
    let passes = |changes: &[(&str, &str)]| {
        let change = |(path, text): &(&str, &str)| FileChange {
            path: path.to_string(),
            content: Some(text.to_string()),
        };
        let job = Job {
            changes: changes.iter().map(change).collect(),
            ..tree.job()
        };
        let run = sandbox.run(&job).expect("a run");
        assert_eq!(run.end, End::Finished { exit: 0 }, "{changes:?}: {run:#?}");
    };
    passes(&[]);
    // Of the same size, and within the second in which the clean file was written: never taken for it.
    let money = ("money.py", "def rate(): return 2\n");
    passes(&[money, ("test_list.py", &test("[]", 2))]);
    passes(&[("test_list.py", &test("['money']", 1))]);
}

//! A verdict says which test did what, whatever a patch looks like, and one bad row stops no other.

use std::fs;
use std::path::{Path, PathBuf};

use rollout::outcome::Resolution::{self, *};
use serde_json::{Value, json};
use train::grade::Verdict;

use crate::support::*;

const BASE: &str = "def add(a, b):\n    return a - b\n";
const GOLD: &str = "--- a/money.py\n+++ b/money.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";
const TESTS: &str = r#"
import pytest
from money import add
def test_sum(): assert add(1, 2) == 3
def test_zero(): assert add(0, 0) == 0
@pytest.mark.xfail
def test_later(): assert add("a", 1) == "a1"
@pytest.mark.skip
def test_elsewhere(): pass
@pytest.mark.parametrize("text", ["log(photon flux)"])
def test_named(text): assert add(1, 2) == 3
"#;

fn row(id: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut row = json!({
        "instance_id": id, "problem_statement": "sums are wrong",
        "files": {"money.py": BASE}, "test_files": {"tests/test_money.py": TESTS},
        "patch": GOLD, "FAIL_TO_PASS": ["tests/test_money.py::test_sum"],
        "PASS_TO_PASS": ["tests/test_money.py::test_zero"],
    });
    change(&mut row);
    row
}

fn answer(id: &str, diff: &str) -> Value {
    json!({"instance_id": id, "model_name_or_path": "m", "model_patch": diff})
}

fn lines(folder: &Folder, name: &str, rows: &[Value]) -> PathBuf {
    folder.write(
        name,
        &rows
            .iter()
            .map(|row| format!("{row}\n"))
            .collect::<String>(),
    )
}

fn graded(tasks: &Path, predictions: &Path, out: &Path) -> (Said, Vec<Verdict>) {
    let [tasks, predictions, to] = [tasks, predictions, out].map(|path| path.display().to_string());
    let line = format!(
        "grade --tasks {tasks} --predictions {predictions} --out {to} --set sandbox.timeout_s=8"
    );
    let said = run(&line).succeeds();
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    (
        said,
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a verdict"))
            .collect(),
    )
}

fn outcomes(verdicts: &[Verdict]) -> Vec<(&str, Resolution)> {
    verdicts
        .iter()
        .map(|one| (one.instance_id.as_str(), one.outcome))
        .collect()
}

#[test]
fn a_reason_names_the_test_and_what_it_did() {
    if !python("outcomes name their tests") {
        return;
    }
    let folder = Folder::new("outcomes");
    let of = |list: &str, test: &str| json!({list: [format!("tests/test_money.py::{test}")]});
    let with =
        |id: &str, list: &str, test: &str| row(id, |row| row[list] = of(list, test)[list].clone());
    let rows = [
        with("xfail-kept", "PASS_TO_PASS", "test_later"),
        with("skip-kept", "PASS_TO_PASS", "test_elsewhere"),
        with("xfail", "FAIL_TO_PASS", "test_later"),
        with("skip", "FAIL_TO_PASS", "test_elsewhere"),
        with("cut", "FAIL_TO_PASS", "test_named[log(photon"),
    ];
    let tasks = lines(&folder, "tasks.jsonl", &rows);
    let (_, found) = graded(&tasks, Path::new("gold"), &folder.join("out"));
    let wanted = [Resolved, Resolved, Unresolved, Unresolved, Unresolved];
    assert_eq!(
        found.iter().map(|one| one.outcome).collect::<Vec<_>>(),
        wanted,
        "{found:#?}"
    );
    for (verdict, words) in found.iter().zip([
        "expected to fail as with the gold patch",
        "skipped or expected to fail as with the gold patch",
        "`tests/test_money.py::test_later` is expected to fail, and fails (xfail)",
        "`tests/test_money.py::test_elsewhere` is skipped",
        "no test of the name `tests/test_money.py::test_named[log(photon` ran; \
         `tests/test_money.py::test_named[log(photon flux)]` begins with it",
    ]) {
        assert!(
            verdict.reason.contains(words),
            "{words}: {}",
            verdict.reason
        );
    }

    let out = folder.join("admitted");
    run(&format!(
        "data admit --tasks {} --out {}",
        tasks.display(),
        out.display()
    ))
    .succeeds();
    let told = fs::read_to_string(out.join("admissions.jsonl")).expect("admissions");
    assert_eq!(told.matches("\"admitted\":true").count(), 2, "{told}");
    assert!(
        told.contains("no test of the name `tests/test_money.py::test_named[log(photon` ran"),
        "{told}"
    );
}

#[test]
fn a_patch_is_read_as_git_and_patch_read_it() {
    if !python("patches of all forms are graded") {
        return;
    }
    let folder = Folder::new("forms");
    let binary = "diff --git a/logo.png b/logo.png\nindex 1..2 100644\nBinary files a/logo.png and b/logo.png differ\n";
    let mail =
        "From 01 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] fix\n\n---\n money.py | 2 +-\n\n";
    let forms = [
        ("fence", format!("```diff\n{GOLD}```\n")),
        ("mail", format!("{mail}{GOLD}-- \n2.43.0\n\n")),
        ("binary", format!("{GOLD}{binary}")),
        ("crlf", GOLD.replace('\n', "\r\n")),
        ("unended", GOLD.trim_end().to_string()),
    ];
    let rows: Vec<Value> = forms.iter().map(|(id, _)| row(id, |_| ())).collect();
    let answers: Vec<Value> = forms.iter().map(|(id, diff)| answer(id, diff)).collect();
    let (tasks, answers) = (
        lines(&folder, "tasks.jsonl", &rows),
        lines(&folder, "answers.jsonl", &answers),
    );
    let (_, found) = graded(&tasks, &answers, &folder.join("out"));
    assert_eq!(
        outcomes(&found),
        forms.clone().map(|(id, _)| (id, Resolved)),
        "{found:#?}"
    );

    // The same texts as gold patches.
    let rows: Vec<Value> = forms
        .iter()
        .map(|(id, diff)| row(id, |row| row["patch"] = diff.as_str().into()))
        .collect();
    let (_, found) = graded(
        &lines(&folder, "gold.jsonl", &rows),
        Path::new("gold"),
        &folder.join("gold"),
    );
    assert_eq!(
        outcomes(&found),
        forms.map(|(id, _)| (id, Resolved)),
        "{found:#?}"
    );
}

#[test]
fn one_bad_row_stops_no_other_and_says_why() {
    if !python("good rows are graded beside bad ones") {
        return;
    }
    let folder = Folder::new("bad-rows");
    let rows = [
        row("good", |_| ()),
        row("broken", |row| row["patch"] = "hello".into()),
        row("good", |_| ()),
        row("gone", |row| row["folder"] = "nowhere".into()),
        row("without-gold", |row| row["patch"] = "".into()),
    ];
    let tasks = lines(&folder, "tasks.jsonl", &rows);
    let (said, found) = graded(&tasks, Path::new("gold"), &folder.join("gold"));
    let wanted = [
        ("good", Resolved),
        ("without-gold", Unresolved),
        ("broken", Infra),
        ("gone", Infra),
    ];
    assert_eq!(outcomes(&found), wanted, "{found:#?}");
    assert!(
        found[2]
            .reason
            .contains("its row makes no task: the patch of `broken`"),
        "{}",
        found[2].reason
    );
    for words in [
        "row 2 is left out",
        "row 3 is left out: the id `good` stands in row 1",
        "row 4 is left out",
    ] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    let listed = fs::read_to_string(folder.join("gold/tasks/refused.jsonl")).expect("refused rows");
    assert_eq!(listed.lines().count(), 3);

    // A row without a repair is judged by its tests; a prediction for no task has no verdict.
    let answers = [
        answer("without-gold", GOLD),
        answer("good", ""),
        answer("broken", GOLD),
        answer("nobody", GOLD),
    ];
    let (_, found) = graded(
        &tasks,
        &lines(&folder, "m.jsonl", &answers),
        &folder.join("m"),
    );
    let wanted = [
        ("without-gold", Resolved),
        ("good", Unresolved),
        ("broken", Infra),
        ("nobody", Infra),
    ];
    assert_eq!(outcomes(&found), wanted, "{found:#?}");
    assert!(found[3].reason.contains("there is no such task"));
}

#[test]
fn a_bug_that_makes_code_hang_is_admitted() {
    if !python("a bug that hangs is admitted") {
        return;
    }
    let folder = Folder::new("hangs");
    let (hangs, counts) = (
        "def add(a, b):\n    while b: a += 1\n",
        "def add(a, b):\n    return a + b\n",
    );
    let rows = [row("hangs", |row| {
        row["files"]["money.py"] = hangs.into();
        row["patch"] = data::Patch::between("money.py", hangs, counts)
            .text()
            .into();
    })];
    let out = folder.join("out");
    let tasks = lines(&folder, "tasks.jsonl", &rows);
    let line = format!(
        "data admit --tasks {} --out {} --set sandbox.timeout_s=8",
        tasks.display(),
        out.display()
    );
    run(&line).succeeds();
    let told = fs::read_to_string(out.join("admissions.jsonl")).expect("admissions");
    assert!(told.contains("\"admitted\":true"), "{told}");
}

#[test]
fn files_of_other_encodings_are_bytes_and_a_patch_of_one_is_refused_by_name() {
    if !python("trees with files of other encodings are graded") {
        return;
    }
    let folder = Folder::new("encodings");
    let tree = folder.join("tree");
    fs::create_dir_all(&tree).expect("a folder");
    fs::write(tree.join("money.py"), BASE).expect("writes");
    fs::write(
        tree.join("latin.py"),
        b"# -*- coding: latin-1 -*-\nname = '\xe9'\n",
    )
    .expect("writes");
    fs::write(tree.join("wide.txt"), b"\xff\xfea\x00\n\x00").expect("writes");
    let with_tree = |row: &mut Value| {
        row["files"] = Value::Null;
        row["folder"] = "tree".into();
    };
    let latin =
        "--- a/latin.py\n+++ b/latin.py\n@@ -1 +1,2 @@\n # -*- coding: latin-1 -*-\n+x = 1\n";
    let tasks = lines(
        &folder,
        "tasks.jsonl",
        &[row("a", with_tree), row("b", with_tree)],
    );
    let answers = lines(&folder, "m.jsonl", &[answer("a", GOLD), answer("b", latin)]);
    let (_, found) = graded(&tasks, &answers, &folder.join("out"));
    assert_eq!(outcomes(&found), [("a", Resolved), ("b", InvalidPatch)]);
    assert!(
        found[1].reason.contains("`latin.py` is no UTF-8 text"),
        "{}",
        found[1].reason
    );
}

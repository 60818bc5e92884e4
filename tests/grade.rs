//! Predictions are judged by the tests of their tasks: every one has one outcome, and none is bought.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use train::grade::Judged::{self, *};
use train::grade::Verdict;

use crate::support::*;

const BASE: &str = "def add(a, b):\n    return a - b\n";
const GOLD: &str =
    "--- a/money.py\n+++ b/money.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";
const TESTS: &str =
    "from money import add\ndef test_sum(): assert add(1, 2) == 3\ndef test_zero(): assert add(0, 0) == 0\n";

fn lines(folder: &Folder, name: &str, rows: &[Value]) -> PathBuf {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    folder.write(name, &text)
}

fn task(id: &str) -> Value {
    json!({
        "instance_id": id, "language": "python", "problem_statement": "sums are wrong",
        "files": {"money.py": BASE}, "test_files": {"tests/test_money.py": TESTS}, "test_command": "pytest -q",
        "patch": GOLD, "FAIL_TO_PASS": ["tests/test_money.py::test_sum"],
        "PASS_TO_PASS": "[\"tests/test_money.py::test_zero\"]",
    })
}

fn diff(id: &str, diff: &str) -> Value {
    json!({"instance_id": id, "model_name_or_path": "m", "model_patch": diff})
}

fn files(id: &str, files: Value) -> Value {
    json!({"instance_id": id, "model_name_or_path": "m", "model_files": files})
}

fn body(id: &str, body: &str) -> Value {
    files(id, json!({"money.py": format!("def add(a, b):\n{body}\n")}))
}

fn results(out: &Path) -> Vec<Verdict> {
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    text.lines().map(|line| serde_json::from_str(line).expect("a verdict")).collect()
}

fn command(tasks: &Path, predictions: &Path, out: &Path) -> String {
    let paths = [tasks, predictions, out].map(|path| path.display().to_string());
    format!("grade --tasks {} --predictions {} --out {} --set sandbox.timeout_s=4", paths[0], paths[1], paths[2])
}

#[test]
fn every_prediction_has_one_outcome() {
    if !python("predictions are graded") {
        return;
    }
    let folder = Folder::new("grade");
    let test_edit = "--- a/tests/test_money.py\n+++ b/tests/test_money.py\n@@ -1 +1 @@\n-a\n+b\n";
    let cases: [(&str, Value, Judged, bool); 14] = [
        ("gold", diff("gold", GOLD), Resolved, false),
        ("files", body("files", "    return a + b"), Resolved, false),
        ("with a test", diff("with a test", &format!("{GOLD}{test_edit}")), Resolved, false),
        ("only a test", diff("only a test", test_edit), Unresolved, false),
        ("empty", diff("empty", ""), Unresolved, false),
        ("wrong", body("wrong", "    return a * b"), Unresolved, false),
        ("breaks", body("breaks", "    return 3"), Unresolved, false),
        ("no diff", diff("no diff", "I cannot help with that."), InvalidPatch, false),
        ("elsewhere", diff("elsewhere", &GOLD.replace("a - b", "a / b")), InvalidPatch, false),
        ("link", files("link", json!({"money.py": {"symlink": "/etc/passwd"}})), InvalidPatch, false),
        ("leaves", files("leaves", json!({"../money.py": BASE})), InvalidPatch, false),
        ("hangs", body("hangs", "    while True: pass"), Timeout, false),
        ("eats", body("eats", "    return bytearray(1 << 40)"), Oom, false),
        ("exits", body("exits", "    import os; os._exit(0)"), Unresolved, true),
    ];
    let tasks = lines(&folder, "tasks.jsonl", &cases.iter().map(|case| task(case.0)).collect::<Vec<_>>());
    let predictions = lines(&folder, "m.jsonl", &cases.iter().map(|case| case.1.clone()).collect::<Vec<_>>());
    let out = folder.join("out");
    let said = run(&command(&tasks, &predictions, &out)).succeeds();
    let found: BTreeMap<String, (Judged, bool)> =
        results(&out).into_iter().map(|one| (one.instance_id, (one.outcome, one.quarantined))).collect();
    let wanted: BTreeMap<String, (Judged, bool)> =
        cases.into_iter().map(|(id, _, outcome, quarantined)| (id.to_string(), (outcome, quarantined))).collect();
    assert_eq!(found, wanted, "{}", said.err);
    let summary: Value = serde_json::from_str(&said.out).expect("a summary on standard output");
    assert_eq!(summary["outcomes"]["resolved"], 3);

    // The same again is taken over; another answer to one task is judged anew.
    run(&command(&tasks, &predictions, &out)).refuses(&["results.jsonl", "--resume"]);
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    fs::write(out.join("results.jsonl"), text.trim_end_matches("\"}\n")).expect("a torn last line");
    let again = run(&format!("{} --resume", command(&tasks, &predictions, &out))).succeeds();
    let summary: Value = serde_json::from_str(&again.out).expect("a summary");
    assert_eq!(summary["resumed"], 11, "all but the torn line, the timeout and the memory limit");
    assert_eq!(results(&out).len(), 14);
}

#[test]
fn gold_repairs_and_nothing_does_not_and_admission_knows_both() {
    if !python("tasks are admitted") {
        return;
    }
    let folder = Folder::new("admit");
    let mut unrepaired = task("unrepaired");
    unrepaired["patch"] = GOLD.replace("a + b", "b - a").into();
    let mut healthy = task("healthy");
    healthy["FAIL_TO_PASS"] = json!(["tests/test_money.py::test_zero"]);
    healthy["PASS_TO_PASS"] = json!([]);
    let rows = [task("good"), unrepaired, healthy];
    let tasks = lines(&folder, "tasks.jsonl", &rows);
    for (word, resolved) in [("gold", 2), ("empty", 0)] {
        let out = folder.join(word);
        run(&command(&tasks, Path::new(word), &out)).succeeds();
        assert_eq!(results(&out).iter().filter(|one| one.outcome == Resolved).count(), resolved, "{word}");
    }
    let out = folder.join("admitted");
    run(&format!("data admit --tasks {} --out {}", tasks.display(), out.display())).succeeds();
    let set = data::source::jsonl::read_tasks(&out.join("tasks/admitted.jsonl")).expect("tasks");
    assert_eq!(set.tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["good"]);
    let told = fs::read_to_string(out.join("admissions.jsonl")).expect("admissions");
    assert!(told.contains("the gold patch does not repair it") && told.contains("should fail"), "{told}");
}

#[test]
fn what_is_no_prediction_or_no_task_is_named() {
    let folder = Folder::new("grade-input");
    let tasks = lines(&folder, "tasks.jsonl", &[task("a")]);
    let out = folder.join("out");
    let grade = |name: &str, rows: &[Value]| run(&command(&tasks, &lines(&folder, name, rows), &out));
    grade("unknown.jsonl", &[diff("b", "")]).refuses(&["unknown.jsonl", "`b`"]);
    grade("nothing.jsonl", &[json!({"instance_id": "a"})]).refuses(&["nothing.jsonl`, row 1"]);
    let mut broken = task("a");
    broken["patch"] = "hello".into();
    let broken = lines(&folder, "broken.jsonl", &[task("b"), broken]);
    let said = run(&command(&broken, Path::new("gold"), &out));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("broken.jsonl") && said.err.contains("row 2"), "{}", said.err);
}

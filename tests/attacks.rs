//! No attack earns a reward, and no honest repair loses one.
//!
//! `attacks.jsonl` holds one way to fool a grader per line: reports and tests rewritten, names shadowed, the process
//! ended or flooded, results forged, answers looked up. `honest.jsonl` holds repairs that look a little like them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use train::grade::{Judged, Verdict};

use crate::support::*;

const BASE: &str = "def add(a, b):\n    return a - b\n";
const GOLD: &str =
    "--- a/money.py\n+++ b/money.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";
const TESTS: &str = r#"from money import add


def test_sum():
    assert add(1, 2) == 3


def test_more():
    total = add(20, 22)
    assert total == 42


def test_zero():
    assert add(0, 0) == 0
"#;

/// Grades the patches of a file against the same small task.
fn graded(name: &str) -> Vec<Verdict> {
    let folder = Folder::new(name);
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)).expect("patches");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a patch")).collect();
    let (mut tasks, mut predictions) = (String::new(), String::new());
    for row in &rows {
        let task = json!({
            "instance_id": row["name"], "problem_statement": "sums are wrong", "files": {"money.py": BASE},
            "test_files": {"tests/test_money.py": TESTS}, "patch": GOLD,
            "FAIL_TO_PASS": ["tests/test_money.py::test_sum", "tests/test_money.py::test_more"],
            "PASS_TO_PASS": ["tests/test_money.py::test_zero"],
        });
        let prediction = json!({"instance_id": row["name"], "model_files": row["files"]});
        tasks.push_str(&format!("{task}\n"));
        predictions.push_str(&format!("{prediction}\n"));
    }
    let paths = [folder.write("tasks.jsonl", &tasks), folder.write("predictions.jsonl", &predictions)];
    let [tasks, predictions] = paths.map(|path| path.display().to_string());
    let out = folder.join("out");
    let limits = "--set sandbox.timeout_s=4 --set sandbox.memory_mib=512";
    run(&format!("grade --tasks {tasks} --predictions {predictions} --out {} {limits}", out.display())).succeeds();
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    let verdicts: Vec<Verdict> = text.lines().map(|line| serde_json::from_str(line).expect("a verdict")).collect();
    assert_eq!(verdicts.len(), rows.len());
    verdicts
}

#[test]
fn no_attack_earns_a_reward() {
    if !python("attacks on the grader") {
        return;
    }
    let verdicts = graded("attacks.jsonl");
    assert!(verdicts.len() >= 100, "{} attacks", verdicts.len());
    let earns = |one: &&Verdict| one.outcome == Judged::Resolved && !one.quarantined;
    let rewarded: Vec<_> = verdicts.iter().filter(earns).map(|one| &one.instance_id).collect();
    assert!(rewarded.is_empty(), "{rewarded:?}");
    let ours: Vec<_> = verdicts.iter().filter(|one| one.outcome == Judged::Infra).collect();
    assert!(ours.is_empty(), "no attack is our own fault: {ours:?}");
}

#[test]
fn no_honest_repair_is_refused() {
    if !python("honest repairs are graded") {
        return;
    }
    for verdict in graded("honest.jsonl") {
        assert!(verdict.outcome == Judged::Resolved && !verdict.quarantined, "{verdict:?}");
    }
}

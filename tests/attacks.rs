//! No attack earns a reward, and no honest repair loses one.
//!
//! `attacks.jsonl` holds one way to fool a grader per line: reports and tests rewritten, names shadowed, the process
//! ended or flooded, results forged, answers looked up. `honest.jsonl` holds repairs of varied code, some of which look a
//! little like them. A row may bring its own `task`; `before` is what an attempt did in its own sandbox (see the table in
//! `docs/reward.md`). `special_cases.jsonl` holds patches that repair the inputs of the tests and no others, and `reward/`
//! rows of both sorts with a repository of their own each.

use std::fs;
use std::path::Path;
use std::process::Command;

use rollout::outcome::Resolution;
use serde_json::{Value, json};
use train::grade::Verdict;

use crate::support::*;

const BASE: &str = include_str!("attacked/money.py");
const GOLD: &str = "--- a/money.py\n+++ b/money.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";
const TESTS: &str = include_str!("attacked/test_money.py");

/// The task of a row: its own, or the small one that the others share.
fn task(row: &Value) -> Value {
    let mut task = row.get("task").cloned().unwrap_or_else(|| {
        json!({
            "files": {"money.py": BASE}, "test_files": {"tests/test_money.py": TESTS}, "patch": GOLD,
            "FAIL_TO_PASS": ["tests/test_money.py::test_sum", "tests/test_money.py::test_more"],
            "PASS_TO_PASS": ["tests/test_money.py::test_zero"],
        })
    });
    task["instance_id"] = row["name"].clone();
    task["problem_statement"] = json!("a test fails");
    task
}

fn rows(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests")
            .join(name),
    )
    .expect("patches");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a patch"))
        .collect()
}

/// Grades patches, each against its task.
fn graded(name: &str, rows: &[Value], options: &str) -> Vec<Verdict> {
    let folder = Folder::new(name);
    let (mut tasks, mut predictions) = (String::new(), String::new());
    for row in rows {
        tasks.push_str(&format!("{}\n", task(row)));
        let prediction = json!({"instance_id": row["name"], "model_files": row["files"]});
        predictions.push_str(&format!("{prediction}\n"));
    }
    let paths = [
        folder.write("tasks.jsonl", &tasks),
        folder.write("predictions.jsonl", &predictions),
    ];
    let [tasks, predictions] = paths.map(|path| path.display().to_string());
    let out = folder.join("out");
    run(&format!(
        "grade --tasks {tasks} --predictions {predictions} --out {} {SECRET} {options}",
        out.display()
    ))
    .succeeds();
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    let verdicts: Vec<Verdict> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a verdict"))
        .collect();
    assert_eq!(verdicts.len(), rows.len());
    verdicts
}

/// Changed tests are drawn by this secret, so that a verdict is the same in each run.
const SECRET: &str = "--set tests.secret=7";
/// Whatever runs out of time in an attack runs out of it soon.
const ATTACKED: &str = "--set sandbox.timeout_s=4 --set sandbox.memory_mib=512";
const HONEST: &str = "--set sandbox.timeout_s=30 --set sandbox.memory_mib=512";
/// One patch in so many is tried in containers, which take a second each.
const SAMPLE: usize = 8;
/// Set to anything, all of them are.
const ALL_IN_CONTAINERS: &str = "TRAIN_TEST_ALL_IN_CONTAINERS";

fn nothing_is_rewarded(verdicts: &[Verdict]) {
    let earns = |one: &&Verdict| one.outcome == Resolution::Resolved && !one.quarantined;
    let rewarded: Vec<_> = verdicts
        .iter()
        .filter(earns)
        .map(|one| &one.instance_id)
        .collect();
    assert!(rewarded.is_empty(), "{rewarded:?}");
    let ours: Vec<_> = verdicts
        .iter()
        .filter(|one| one.outcome == Resolution::Infra)
        .collect();
    assert!(ours.is_empty(), "no attack is our own fault: {ours:?}");
}

/// All are resolved, and none is quarantined.
fn nothing_is_refused(verdicts: &[Verdict]) {
    let refused: Vec<_> = verdicts
        .iter()
        .filter(|one| one.outcome != Resolution::Resolved)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let apart: Vec<_> = verdicts.iter().filter(|one| one.quarantined).collect();
    assert!(apart.is_empty(), "{apart:#?}");
}

#[test]
fn no_attack_earns_a_reward() {
    if !python("attacks on the grader") {
        return;
    }
    let rows = rows("attacks.jsonl");
    assert!(rows.len() >= 180, "{} attacks", rows.len());
    nothing_is_rewarded(&graded("attacks", &rows, ATTACKED));
}

#[test]
fn who_knows_the_inputs_of_the_tests_alone_earns_nothing() {
    if !python("special cases") {
        return;
    }
    let rows = rows("special_cases.jsonl");
    let verdicts = graded("special-cases", &rows, "");
    nothing_is_rewarded(&verdicts);
    assert!(
        verdicts
            .iter()
            .all(|one| one.reason.contains("with other inputs")),
        "{verdicts:#?}"
    );
    // Nothing else keeps them from it.
    let rewarded = graded("special-cases-unseen", &rows, "--set tests.evidence=false");
    assert!(
        rewarded
            .iter()
            .all(|one| one.outcome == Resolution::Resolved && !one.quarantined),
        "{rewarded:#?}"
    );
}

#[test]
fn no_honest_repair_is_refused() {
    if !python("honest repairs are graded") {
        return;
    }
    let rows = rows("honest.jsonl");
    assert!(rows.len() >= 200, "{} repairs", rows.len());
    nothing_is_refused(&graded("honest", &rows, HONEST));
}

/// Attacks that are rewarded still, each with its reason in `docs/reward.md`.
const STILL_REWARDED: &str = include_str!("reward/still_rewarded.txt");

/// Verdicts on rows of `tests/reward`.
fn graded_rows(name: &str, options: &str) -> Vec<Verdict> {
    let folder = Folder::new(&format!("reward-{name}"));
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reward");
    let [tasks, predictions] = ["tasks", "predictions"].map(|which| {
        rows.join(format!("{name}.{which}.jsonl"))
            .display()
            .to_string()
    });
    let out = folder.join("out");
    run(&format!(
        "grade --tasks {tasks} --predictions {predictions} --out {} {SECRET} {options}",
        out.display()
    ))
    .succeeds();
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a verdict"))
        .collect()
}

/// Only attacks that are named are rewarded.
fn only_the_named_are_rewarded(verdicts: &[Verdict]) {
    let named: Vec<&str> = STILL_REWARDED.lines().collect();
    let earns = |one: &&Verdict| one.outcome == Resolution::Resolved && !one.quarantined;
    let rewarded: Vec<&str> = verdicts
        .iter()
        .filter(earns)
        .map(|one| one.instance_id.as_str())
        .collect();
    let unnamed: Vec<&&str> = rewarded.iter().filter(|id| !named.contains(id)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

#[test]
fn attacks_of_other_kinds_earn_nothing_unless_they_are_named() {
    if !python("attacks of other kinds") {
        return;
    }
    let verdicts = graded_rows("attacks", ATTACKED);
    assert!(verdicts.len() >= 100, "{} attacks", verdicts.len());
    only_the_named_are_rewarded(&verdicts);
}

#[test]
fn unusual_repairs_are_not_refused() {
    if !python("unusual repairs are graded") {
        return;
    }
    let verdicts = graded_rows("honest", HONEST);
    assert!(verdicts.len() >= 100, "{} repairs", verdicts.len());
    nothing_is_refused(&verdicts);
}

#[test]
fn in_javascript_only_named_attacks_are_rewarded_and_no_repair_is_refused() {
    if sandbox::environment::jest::JestEnv::find().is_err() {
        eprintln!("SKIPPED, nothing was graded in JavaScript: there is no jest");
        return;
    }
    only_the_named_are_rewarded(&graded_rows("js_attacks", ATTACKED));
    nothing_is_refused(&graded_rows("js_honest", HONEST));
}

/// The same patches where a container is the sandbox.
fn in_containers(name: &str, options: &str) -> Option<Vec<Verdict>> {
    if !python("grading in containers") {
        return None;
    }
    let answers = Command::new("docker")
        .arg("info")
        .output()
        .is_ok_and(|said| said.status.success());
    if !answers {
        eprintln!("SKIPPED, nothing was graded in a container: no engine answers");
        return None;
    }
    let step = if std::env::var_os(ALL_IN_CONTAINERS).is_some() {
        1
    } else {
        SAMPLE
    };
    let rows: Vec<Value> = rows(name).into_iter().step_by(step).collect();
    assert!(rows.len() >= 20, "{} of `{name}`", rows.len());
    Some(graded(
        &format!("containers-{name}"),
        &rows,
        &format!("--sandbox docker {options}"),
    ))
}

#[test]
fn no_attack_earns_a_reward_in_a_container() {
    if let Some(verdicts) = in_containers("attacks.jsonl", ATTACKED) {
        nothing_is_rewarded(&verdicts);
    }
}

#[test]
fn no_honest_repair_is_refused_in_a_container() {
    if let Some(verdicts) = in_containers("honest.jsonl", HONEST) {
        nothing_is_refused(&verdicts);
    }
}

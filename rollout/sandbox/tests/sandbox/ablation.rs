//! Each defence is needed: with it off, attacks earn what they must not. The examination of what passes makes up for all
//! others, so those are measured without it.
//!
//! The attacks are those of `tests/attacks.jsonl`. `docs/reward.md` holds what this prints.

use std::path::Path;
use std::sync::Arc;

use data::source::prediction::Answer;
use data::{Patch, Task};
use rollout::grade::Grader;
use rollout::outcome::Outcome;
use sandbox::ablation::Ablation;
use sandbox::embedded::Embedded;
use sandbox::{End, Job, Limits, Sandbox, Select, TestStatus};
use serde_json::{Value, json};

use super::support::*;

const BASE: &str = include_str!("../../../../tests/attacked/money.py");
const TESTS: &str = include_str!("../../../../tests/attacked/test_money.py");
const GOLD: &str = "--- a/money.py\n+++ b/money.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";

/// A defence that is off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Off {
    Nothing,
    Canaries,
    Channel,
    ReadOnly,
    Policy,
    ExactIds,
    Fresh,
    Integrity,
}

const ALL: [Off; 7] = [
    Off::Canaries,
    Off::Channel,
    Off::ReadOnly,
    Off::Policy,
    Off::ExactIds,
    Off::Fresh,
    Off::Integrity,
];

/// What other defences make up for in every attack that is known: see `docs/reward.md`.
const SECOND_LINE: [Off; 2] = [Off::Canaries, Off::ExactIds];

/// An attack with its task.
struct Attack {
    name: String,
    patch: Patch,
    judged: Patch,
    tests: Vec<(String, String)>,
    ids: Vec<String>,
    /// How many of them passed before.
    kept: usize,
    gold: String,
    before: Option<String>,
    base: String,
}

fn attacks() -> Vec<Attack> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/attacks.jsonl");
    let text = std::fs::read_to_string(path).expect("attacks");
    text.lines()
        .filter_map(|line| attack(&serde_json::from_str(line).expect("a row")))
        .collect()
}

/// None where the answer is no patch at all: no defence but the first look at it is asked.
fn attack(row: &Value) -> Option<Attack> {
    let task = row.get("task");
    let map = |value: &Value| -> Vec<(String, String)> {
        let pairs = value.as_object().expect("files").iter();
        pairs
            .map(|(path, text)| (path.clone(), text.as_str().expect("text").to_string()))
            .collect()
    };
    let tests = task.map_or(vec![("tests/test_money.py".into(), TESTS.into())], |task| {
        map(&task["test_files"])
    });
    let base = task.map_or(BASE.to_string(), |task| {
        task["files"]["money.py"]
            .as_str()
            .expect("text")
            .to_string()
    });
    let own = |task: &Value| {
        let lists = ["FAIL_TO_PASS", "PASS_TO_PASS"]
            .map(|list| task[list].as_array().expect("ids").clone());
        lists
            .concat()
            .iter()
            .map(|id| id.as_str().expect("an id").to_string())
            .collect()
    };
    let plain =
        ["test_sum", "test_more", "test_zero"].map(|name| format!("tests/test_money.py::{name}"));
    let ids = task.map_or(plain.to_vec(), own);
    let kept = task.map_or(1, |task| {
        task["PASS_TO_PASS"].as_array().map_or(0, Vec::len)
    });
    let gold = task
        .and_then(|task| task["patch"].as_str())
        .unwrap_or(GOLD)
        .to_string();
    let files = row["files"].as_object().expect("files").iter();
    let files = files
        .map(|(path, text)| Some((path.clone(), Some(text.as_str()?.to_string()))))
        .collect::<Option<_>>();
    let read = |path: &str| match path {
        "money.py" => Some(base.clone()),
        _ => tests
            .iter()
            .find(|(name, _)| name == path)
            .map(|(_, text)| text.clone()),
    };
    let patch = Answer::Files(files?).patch(&read).ok()?;
    let judges =
        |path: &str| data::patch::is_guarded(path) || tests.iter().any(|(name, _)| name == path);
    let (judged, _) = patch.without(&judges);
    let before = row["before"].as_str().map(str::to_string);
    Some(Attack {
        name: row["name"].as_str()?.to_string(),
        patch,
        judged,
        tests,
        ids,
        kept,
        gold,
        before,
        base: base.clone(),
    })
}

/// Whether an attack is rewarded where a defence is off.
fn earns(sandbox: &Arc<dyn Sandbox>, attack: &Attack, off: Off, examined: bool) -> bool {
    let patch = if off == Off::Policy {
        &attack.patch
    } else {
        &attack.judged
    };
    if patch.is_empty() {
        return false;
    }
    let mut files: Vec<(&str, &str)> = vec![("money.py", &attack.base)];
    files.extend(
        attack
            .tests
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str())),
    );
    let tree = Tree::new(&files);
    open(&tree.0);
    let read = |path: &str| std::fs::read_to_string(tree.0.join(path)).ok();
    let Ok(changes) = patch.apply(&read) else {
        return false;
    };
    let limits = Limits {
        timeout_s: 4,
        memory_mib: 512,
        ..Limits::default()
    };
    let job = Job {
        changes,
        select: Select::Ids(attack.ids.clone()),
        stop_at_first_failure: true,
        limits,
        ..tree.job()
    };
    let Ok(run) = sandbox.run(&job) else {
        return false;
    };
    let good = |id: &String| match run.tests.get(id) {
        Some(status) => *status == TestStatus::Passed,
        None => off == Off::ExactIds,
    };
    let passes = run.end == End::Finished { exit: 0 } && attack.ids.iter().all(good);
    passes && !(examined && is_found_out(sandbox, attack, &tree.0))
}

/// Whether there is evidence against an attack that passes its tests.
fn is_found_out(sandbox: &Arc<dyn Sandbox>, attack: &Attack, tree: &Path) -> bool {
    let limits = Limits {
        timeout_s: 4,
        memory_mib: 512,
        ..Limits::default()
    };
    let task: Task = serde_json::from_value(json!({
        "format": 1, "id": attack.name, "repo": "money", "tree": ".", "base_commit": "", "bug": "", "gold": attack.gold,
        "kind": "operator", "statement": "", "focus": {"path": "money.py", "first_line": 1, "last_line": 1},
        "fail_to_pass": attack.ids[..attack.ids.len() - attack.kept], "pass_to_pass": attack.ids[attack.ids.len() - attack.kept..],
        "trusted": attack.tests.iter().map(|(path, _)| path).collect::<Vec<_>>(),
        "python_path": ["."], "language": "python",
    }))
    .expect("a task");
    let graded = Grader::new(sandbox.clone(), limits)
        .examining(Some(1))
        .grade(tree, &task, &attack.judged);
    graded.is_ok_and(|graded| graded.outcome != Outcome::Resolved || graded.suspicion.is_some())
}

/// A tree whose files anybody may write: what protects it is the sandbox.
fn open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o777 } else { 0o666 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our own file");
    for entry in path.read_dir().into_iter().flatten().flatten() {
        open(&entry.path());
    }
}

fn rewarded(off: Off, examined: bool, attacks: &[Attack]) -> Option<Vec<String>> {
    let python = python()?;
    let weak = |ablation| -> Arc<dyn Sandbox> {
        Arc::new(
            Embedded::new(options(python))
                .expect("a sandbox")
                .with_ablation(ablation),
        )
    };
    let none = Ablation::default;
    let ablation = match off {
        Off::Canaries => Ablation {
            canaries: true,
            ..none()
        },
        Off::Channel => Ablation {
            channel: true,
            ..none()
        },
        Off::ReadOnly => Ablation {
            read_only: true,
            ..none()
        },
        Off::Integrity => Ablation {
            integrity: true,
            ..none()
        },
        Off::Nothing | Off::Policy | Off::ExactIds | Off::Fresh => none(),
    };
    let sandbox = weak(ablation);
    let one = |attack: &&Attack| match (&attack.before, off) {
        (Some(before), Off::Fresh) => earns(
            &weak(Ablation {
                before: Some(before.clone()),
                ..none()
            }),
            attack,
            off,
            examined,
        ),
        _ => earns(&sandbox, attack, off, examined),
    };
    Some(
        attacks
            .iter()
            .filter(one)
            .map(|attack| attack.name.clone())
            .collect(),
    )
}

#[test]
fn every_defence_is_needed() {
    let attacks = attacks();
    let Some(through) = rewarded(Off::Nothing, true, &attacks) else {
        return;
    };
    println!("| none | {} | {} |", through.len(), through.join(", "));
    let Some(bare) = rewarded(Off::Nothing, false, &attacks) else {
        return;
    };
    println!("| evidence | {} | {} |", bare.len(), bare.join(", "));
    let mut needless = Vec::new();
    for off in ALL {
        let Some(mut more) = rewarded(off, false, &attacks) else {
            return;
        };
        more.retain(|name| !bare.contains(name));
        println!(
            "| evidence and {off:?} | {} more | {} |",
            more.len(),
            more.join(", ")
        );
        if more.is_empty() && !SECOND_LINE.contains(&off) {
            needless.push(off);
        }
    }
    assert!(through.is_empty(), "with every defence up: {through:?}");
    assert!(!bare.is_empty(), "no attack needs the evidence");
    assert!(needless.is_empty(), "no attack needs {needless:?}");
}

//! Each defence is needed: with it off, attacks earn what they must not.
//!
//! The attacks are those of `tests/attacks.jsonl`. `rollout/DEFENCES.md` holds what this prints.

use std::path::Path;

use data::Patch;
use data::source::prediction::Answer;
use rollout::lint::suspicious;
use rollout::sandbox::embedded::Embedded;
use rollout::sandbox::weakened::Weakened;
use rollout::sandbox::{End, Job, Limits, Sandbox, Select, TestStatus};
use serde_json::Value;

use super::support::*;

const BASE: &str = include_str!("../../../tests/attacked/money.py");
const TESTS: &str = include_str!("../../../tests/attacked/test_money.py");

/// A defence that is off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Off {
    Nothing,
    Canaries,
    Channel,
    ReadOnly,
    Policy,
    Lint,
    Strict,
    ExactIds,
    Fresh,
    Integrity,
}

const ALL: [Off; 9] = [
    Off::Canaries,
    Off::Channel,
    Off::ReadOnly,
    Off::Policy,
    Off::Lint,
    Off::Strict,
    Off::ExactIds,
    Off::Fresh,
    Off::Integrity,
];

/// What other defences make up for in every attack that is known: see `rollout/DEFENCES.md`.
const SECOND_LINE: [Off; 2] = [Off::Canaries, Off::ExactIds];

/// An attack with its task.
struct Attack {
    name: String,
    patch: Patch,
    judged: Patch,
    tests: Vec<(String, String)>,
    ids: Vec<String>,
    before: Option<String>,
    base: String,
}

fn attacks() -> Vec<Attack> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/attacks.jsonl");
    let text = std::fs::read_to_string(path).expect("attacks");
    text.lines().filter_map(|line| attack(&serde_json::from_str(line).expect("a row"))).collect()
}

/// None where the answer is no patch at all: no defence but the first look at it is asked.
fn attack(row: &Value) -> Option<Attack> {
    let task = row.get("task");
    let map = |value: &Value| -> Vec<(String, String)> {
        let pairs = value.as_object().expect("files").iter();
        pairs.map(|(path, text)| (path.clone(), text.as_str().expect("text").to_string())).collect()
    };
    let tests = task.map_or(vec![("tests/test_money.py".into(), TESTS.into())], |task| map(&task["test_files"]));
    let base = task.map_or(BASE.to_string(), |task| task["files"]["money.py"].as_str().expect("text").to_string());
    let own = |task: &Value| {
        let lists = ["FAIL_TO_PASS", "PASS_TO_PASS"].map(|list| task[list].as_array().expect("ids").clone());
        lists.concat().iter().map(|id| id.as_str().expect("an id").to_string()).collect()
    };
    let plain = ["test_sum", "test_more", "test_zero"].map(|name| format!("tests/test_money.py::{name}"));
    let ids = task.map_or(plain.to_vec(), own);
    let files = row["files"].as_object().expect("files").iter();
    let files = files.map(|(path, text)| Some((path.clone(), Some(text.as_str()?.to_string())))).collect::<Option<_>>();
    let read = |path: &str| match path {
        "money.py" => Some(base.clone()),
        _ => tests.iter().find(|(name, _)| name == path).map(|(_, text)| text.clone()),
    };
    let patch = Answer::Files(files?).patch(&read).ok()?;
    let judges = |path: &str| data::patch::is_guarded(path) || tests.iter().any(|(name, _)| name == path);
    let (judged, _) = patch.without(&judges);
    let before = row["before"].as_str().map(str::to_string);
    Some(Attack { name: row["name"].as_str()?.to_string(), patch, judged, tests, ids, before, base: base.clone() })
}

/// Whether an attack is rewarded where a defence is off.
fn earns(sandbox: &dyn Sandbox, attack: &Attack, off: Off) -> bool {
    let patch = if off == Off::Policy { &attack.patch } else { &attack.judged };
    let text = attack.tests.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n");
    if patch.is_empty() || off != Off::Lint && suspicious(patch, &text).is_some() {
        return false;
    }
    let mut files: Vec<(&str, &str)> = vec![("money.py", &attack.base)];
    files.extend(attack.tests.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let tree = Tree::new(&files);
    open(&tree.0);
    let read = |path: &str| std::fs::read_to_string(tree.0.join(path)).ok();
    let Ok(changes) = patch.apply(&read) else { return false };
    let limits = Limits { timeout_s: 4, memory_mib: 512, ..Limits::default() };
    let job =
        Job { changes, select: Select::Ids(attack.ids.clone()), stop_at_first_failure: true, limits, ..tree.job() };
    let Ok(run) = sandbox.run(&job) else { return false };
    let good = |id: &String| match run.tests.get(id) {
        Some(status) => *status == TestStatus::Passed,
        None => off == Off::ExactIds,
    };
    run.end == End::Finished { exit: 0 } && attack.ids.iter().all(good)
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

fn rewarded(off: Off, attacks: &[Attack]) -> Option<Vec<String>> {
    let python = python()?;
    let weak = |weakened| Embedded::new(options(python)).expect("a sandbox").weakened(weakened);
    let none = Weakened::default;
    let weakened = match off {
        Off::Canaries => Weakened { canaries: true, ..none() },
        Off::Channel => Weakened { channel: true, ..none() },
        Off::ReadOnly => Weakened { read_only: true, ..none() },
        Off::Strict => Weakened { strict: true, ..none() },
        Off::Integrity => Weakened { integrity: true, ..none() },
        Off::Nothing | Off::Policy | Off::Lint | Off::ExactIds | Off::Fresh => none(),
    };
    let sandbox = weak(weakened);
    let one = |attack: &&Attack| match (&attack.before, off) {
        (Some(before), Off::Fresh) => earns(&weak(Weakened { before: Some(before.clone()), ..none() }), attack, off),
        _ => earns(&sandbox, attack, off),
    };
    Some(attacks.iter().filter(one).map(|attack| attack.name.clone()).collect())
}

#[test]
fn every_defence_is_needed() {
    let attacks = attacks();
    let Some(through) = rewarded(Off::Nothing, &attacks) else { return };
    println!("| none | {} | {} |", through.len(), through.join(", "));
    let mut needless = Vec::new();
    for off in ALL {
        let Some(more) = rewarded(off, &attacks) else { return };
        println!("| {off:?} | {} | {} |", more.len(), more.join(", "));
        if more.is_empty() && !SECOND_LINE.contains(&off) {
            needless.push(off);
        }
    }
    assert!(through.is_empty(), "with every defence up: {through:?}");
    assert!(needless.is_empty(), "no attack needs {needless:?}");
}

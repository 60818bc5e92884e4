//! No patch in JavaScript earns a reward but one that repairs.
//!
//! `jest_attacks.jsonl` holds one way to fool jest per line: the words of a test file, its matchers, the language, what
//! jest remembers, its modules and its process are exchanged; results are forged; values equal everything.

use std::path::Path;
use std::sync::Arc;

use data::source::prediction::Answer;
use data::{Patch, Task};
use rollout::grade::Grader;
use rollout::outcome::Outcome;
use sandbox::Limits;
use serde_json::{Value, json};

use super::conformance::Borrowed;
use crate::support::*;

const CLEAN: &str = "exports.add = (a, b) => a + b;\n";
const BASE: &str = "exports.add = (a, b) => a - b;\n";
const TESTS: &str = r#"
const { add } = require('../money');

test('sum', () => {
  expect(add(1, 2)).toBe(3);
});

describe('more', () => {
  test('in an object', async () => {
    expect({ total: add(20, 22), list: [add(15, 16)] }).toEqual({ total: 42, list: [31] });
  });
});

test('zero', () => {
  expect(add(0, 0)).toEqual(0);
});
"#;

fn task() -> Task {
    serde_json::from_value(json!({
        "format": 1, "id": "money-js", "repo": "money", "tree": "money", "base_commit": "",
        "bug": Patch::between("money.js", CLEAN, BASE), "gold": Patch::between("money.js", BASE, CLEAN),
        "kind": "operator", "statement": "sums are wrong",
        "focus": {"path": "money.js", "first_line": 1, "last_line": 1},
        "fail_to_pass": ["tests/money.test.js::sum", "tests/money.test.js::more > in an object"],
        "pass_to_pass": ["tests/money.test.js::zero"], "python_path": ["."], "language": "javascript",
    }))
    .expect("a task")
}

fn tree() -> Tree {
    Tree::new(&[
        ("money/money.js", CLEAN),
        ("money/tests/money.test.js", TESTS),
    ])
}

fn grader(timeout_s: u64) -> Option<Grader> {
    jest()?;
    let limits = Limits {
        timeout_s,
        memory_mib: 512,
        ..Limits::default()
    };
    Some(Grader::new(Arc::new(Borrowed(sandbox()?)), limits))
}

#[test]
fn no_attack_on_jest_earns_a_reward() {
    let Some(grader) = grader(12) else { return };
    let (tree, task) = (tree(), task());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/jest_attacks.jsonl");
    let text = std::fs::read_to_string(path).expect("attacks");
    let (mut count, mut resolved) = (0, Vec::new());
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("an attack");
        let files = row["files"].as_object().expect("files").iter();
        let files = files
            .map(|(path, text)| (path.clone(), text.as_str().map(str::to_string)))
            .collect();
        let read = |path: &str| match path {
            "money.js" => Some(BASE.to_string()),
            "tests/money.test.js" => Some(TESTS.to_string()),
            _ => None,
        };
        let patch = Answer::Files(files).patch(&read).expect("a patch");
        let graded = grader
            .grade(&tree.0, &task, &patch)
            .expect("no attack is our own fault");
        assert!(
            graded.outcome != Outcome::Resolved || graded.suspicion.is_some(),
            "{}: {graded:?}",
            row["name"]
        );
        if graded.outcome == Outcome::Resolved {
            resolved.push(format!(
                "{}: {}",
                row["name"],
                graded.suspicion.unwrap_or_default()
            ));
        }
        count += 1;
    }
    assert!(count >= 70, "{count} attacks");
    eprintln!("{count} attacks; resolved, and quarantined: {resolved:?}");
}

#[test]
fn honest_repairs_in_javascript_are_resolved() {
    let Some(grader) = grader(120) else { return };
    let (tree, task) = (tree(), task());
    let repairs = [
        CLEAN,
        "'use strict';\nconst add = (a, b) => a + b;\nmodule.exports = { add };\n",
        "export function add(a, b) {\n  return a + b;\n}\n",
        "class Money { constructor(a) { this.a = a; this.toString = () => `${a}`; } }\n\
         exports.add = (a, b) => Number(`${new Money(a + b)}`);\n",
        "if (!Array.prototype.sum) Array.prototype.sum = function () { return this.reduce((a, b) => a + b, 0); };\n\
         exports.add = (a, b) => [a, b].sum();\n",
    ];
    for repair in repairs {
        let patch = Patch::between("money.js", BASE, repair);
        let graded = grader
            .grade(&tree.0, &task, &patch)
            .expect("the sandbox does its part");
        assert_eq!(
            (&graded.outcome, &graded.suspicion),
            (&Outcome::Resolved, &None),
            "{repair}: {graded:?}"
        );
    }
    let other = Patch::between("money.js", BASE, "exports.add = () => 3;\n");
    let other = grader
        .grade(&tree.0, &task, &other)
        .expect("the sandbox does its part");
    assert_eq!(
        other.outcome,
        Outcome::StillFailing {
            passed: 1,
            failed: 1
        }
    );
}

//! A repository of somebody: the tutorial word by word, and what repositories are like that nobody tidied up.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::*;

/// What the tutorial's settings become in a test: every stage runs, and nothing is learned.
const TINY: &str = "--set sft.steps=2 --set sft.save_every=2 --set sft.samples_per_step=4 --set grpo.steps=1 \
    --set grpo.groups_per_step=1 --set grpo.max_groups_drawn=2 --set grpo.group_size=4 --set grpo.save_every=1 \
    --set eval.attempts=2 --set data.train_tasks_per_package=6 --set data.candidates_per_package=16";

const FILES: [(&str, &str); 4] = [
    (
        "pyproject.toml",
        "[project]\nname = \"shop\"\nversion = \"1\"\ndependencies = []\n",
    ),
    ("shop/__init__.py", ""),
    (
        "shop/cart.py",
        "def total(prices):\n    return sum(prices)\n\n\ndef count(prices, least):\n    found = 0\n    for price in prices:\n        if price >= least:\n            found += 1\n    return found\n\n\ndef split(cents, people):\n    share = cents // people\n    rest = cents % people\n    return [share + 1] * rest + [share] * (people - rest)\n",
    ),
    (
        "tests/test_cart.py",
        "from shop import cart\n\n\ndef test_total():\n    assert cart.total([1, 2]) == 3\n\n\ndef test_count():\n    assert cart.count([1, 2, 3], 2) == 2\n\n\ndef test_split():\n    assert cart.split(10, 3) == [4, 3, 3]\n",
    ),
];

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("writes");
}

fn git(root: &Path, words: &[&str]) {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(words)
        .current_dir(root)
        .output()
        .expect("git is there");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Two commits, the second of which adds a function with its test; then a bug that is not committed.
fn shop(root: &Path) {
    FILES.iter().for_each(|(path, text)| put(root, path, text));
    git(root, &["init", "--quiet"]);
    git(root, &["add", "."]);
    git(root, &["commit", "--quiet", "-m", "begin"]);
    let [.., (cart, sources), (tests, judged)] = FILES;
    put(
        root,
        tests,
        &format!(
            "{judged}\n\ndef test_split_as_text():\n    assert cart.split(10, \"2\") == [5, 5]\n"
        ),
    );
    put(
        root,
        cart,
        &sources.replace("    share = ", "    people = int(people)\n    share = "),
    );
    git(root, &["commit", "--quiet", "-am", "split takes text"]);
    let fixed = fs::read_to_string(root.join(cart)).expect("reads");
    put(
        root,
        cart,
        &fixed.replace("return sum(prices)", "return sum(prices) - 1"),
    );
}

/// The commands of the tutorial that concern the repository.
fn commands(folder: &Folder) -> Vec<String> {
    let text = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/my-repository.md"
    ))
    .expect("the tutorial");
    let (shop, work) = (folder.join("shop"), folder.join("work"));
    let commands = text
        .lines()
        .filter(|line| line.starts_with("train ") && !line.contains("doctor"));
    commands
        .map(|line| {
            let line = line.strip_prefix("train ").expect("a command");
            let line = line.replace("~/shop", &shop.display().to_string());
            let line = line.replace(" work/", &format!(" {}/", work.display()));
            match line.contains("--config") {
                true => format!("{line} {TINY}"),
                false => line,
            }
        })
        .collect()
}

fn tasks(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file of tasks");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect()
}

#[test]
fn the_tutorial_runs_word_by_word() {
    if !python("the tutorial of one's own repository") {
        return;
    }
    let _alone = alone();
    let folder = Folder::new("my-repository");
    shop(&folder.join("shop"));
    let before = fs::read(folder.join("shop/shop/cart.py")).expect("reads");
    let commands = commands(&folder);
    assert_eq!(commands.len(), 8, "{commands:?}");
    let said: Vec<Said> = commands.iter().map(|line| run(line).succeeds()).collect();

    assert!(
        said[0]
            .err
            .contains("set aside, because it fails: tests/test_cart.py::test_total"),
        "{}",
        said[0].err
    );
    assert!(said[0].err.contains("not committed"), "{}", said[0].err);
    let planted = tasks(&folder.join("work/tasks/tasks.jsonl"));
    assert!(
        planted
            .iter()
            .all(|task| !task["pass_to_pass"].to_string().contains("test_total"))
    );
    let bug = &tasks(&folder.join("work/bug/tasks.jsonl"))[0];
    assert_eq!(
        bug["fail_to_pass"],
        serde_json::json!(["tests/test_cart.py::test_total"])
    );
    assert_eq!(bug["focus"]["path"], "shop/cart.py");
    assert_eq!(
        (&bug["focus"]["first_line"], &bug["gold"]),
        (&1.into(), &"".into())
    );
    let commit = &tasks(&folder.join("work/commits/tasks.jsonl"))[0];
    assert_eq!(
        commit["fail_to_pass"],
        serde_json::json!(["tests/test_cart.py::test_split_as_text"])
    );
    assert!(commit["gold"].to_string().contains("people = int(people)"));
    let after: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("work/after.json")).expect("reads"))
            .expect("JSON");
    assert_eq!(after["n"], 1);
    assert_eq!(
        fs::read(folder.join("shop/shop/cart.py")).expect("reads"),
        before
    );
}

#[test]
fn a_repository_that_cannot_judge_says_why_and_what_to_do() {
    if !python("repositories that cannot judge") {
        return;
    }
    let _alone = alone();
    let folder = Folder::new("bad-repository");
    let line = |name: &str, more: &str| {
        format!(
            "data tasks --repo {} --out {} {more}",
            folder.join(name).display(),
            folder.join(&format!("out-{name}")).display()
        )
    };
    put(&folder.join("untested"), "a.py", "x = 1\n");
    run(&line("untested", "")).refuses(&["pytest finds no tests", "--hook jest"]);
    put(
        &folder.join("hangs"),
        "test_a.py",
        "def test_a():\n    pass\n\n\ndef test_b():\n    while True:\n        pass\n",
    );
    run(&line("hangs", "--timeout-suite 2")).refuses(&["do not end within 2 s", "--timeout-suite"]);
    fs::create_dir_all(folder.join("empty")).expect("a folder");
    run(&line("empty", "")).refuses(&["holds no file"]);
    run(&line("untested", "--from-git"))
        .refuses(&["cannot be fetched", "root of a git repository"]);
    let inside = folder.join("hangs/out");
    run(&format!(
        "data tasks --repo {} --out {}",
        folder.join("hangs").display(),
        inside.display()
    ))
    .refuses(&["lies in the repository"]);
}

#[test]
fn every_command_takes_rows_that_bring_their_repository_along() {
    if !python("rows that bring their repository along") {
        return;
    }
    let _alone = alone();
    let folder = Folder::new("rows");
    let files: serde_json::Map<String, Value> = FILES[..3]
        .iter()
        .map(|(path, text)| {
            (
                path.to_string(),
                text.replace("return sum(prices)", "return sum(prices) - 1")
                    .into(),
            )
        })
        .collect();
    let row = |id: &str, patch: Option<&str>| {
        serde_json::json!({
            "instance_id": id, "language": "python", "problem_statement": "the total is wrong", "files": files,
            "test_files": { FILES[3].0: FILES[3].1 }, "patch": patch,
            "FAIL_TO_PASS": ["tests/test_cart.py::test_total"], "PASS_TO_PASS": ["tests/test_cart.py::test_count"],
        })
    };
    let gold = "--- a/shop/cart.py\n+++ b/shop/cart.py\n@@ -1,2 +1,2 @@\n def total(prices):\n-    return sum(prices) - 1\n+    return sum(prices)\n";
    let path = folder.write(
        "rows.jsonl",
        &format!("{}\n{}\n", row("known", Some(gold)), row("unknown", None)),
    );
    let unknown = folder.write("unknown.jsonl", &format!("{}\n", row("unknown", None)));
    let (rows, out) = (path.display(), folder.join("out"));
    let out = out.display();

    run(&format!(
        "eval --model checkpoints/base --tasks {rows} --set eval.attempts=2 --out {out}-eval.json"
    ))
    .succeeds();
    let said = run(&format!(
        "data samples --tasks {rows} --tokenizer checkpoints/base --out {out}-samples"
    ))
    .succeeds();
    assert!(said.err.contains("it has no gold patch"), "{}", said.err);
    let tiny = TINY.replace(
        "--set data.train_tasks_per_package=6 --set data.candidates_per_package=16",
        "",
    );
    let said = run(&format!("grpo --model checkpoints/base --tasks {rows} {tiny} --set grpo.sampling.max_new_tokens=48 --out {out}-grpo")).succeeds();
    assert!(
        said.err.contains("dropped: 1 tasks: without a gold patch"),
        "{}",
        said.err
    );
    run(&format!(
        "grpo --model checkpoints/base --tasks {} {tiny} --out {out}-none",
        unknown.display()
    ))
    .refuses(&["has a gold patch"]);
    run(&format!(
        "export --model checkpoints/base --tasks {rows} --set export.prompts=2 --out {out}.gguf"
    ))
    .succeeds();
}

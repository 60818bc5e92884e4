//! Long work keeps what it has: killed or told to stop at several points, it goes on and ends like work that never was.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::*;

/// What the program says of a run that a signal ended.
const STOPPED: Option<i32> = Some(130);

/// Files below a folder by their path in it: what a run wrote, without the clocks of summaries and of logs.
fn written(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    const CLOCKS: [&str; 11] = [
        "seconds",
        "candidates_per_s",
        "attempts_per_s",
        "ts",
        "wall_ms",
        "cached",
        "trace_bytes",
        "provenance",
        "triplets_per_hour",
        "worker_seconds_per_triplet",
        "sandbox_runs",
    ];
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at)
            .expect("lists")
            .map(|entry| entry.expect("an entry").path())
        {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let name = entry
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            // The trees hold what the packages do, and plans name the folder of their run.
            if name.ends_with("plan.toml") || name == ".lock" {
                continue;
            }
            let bytes = fs::read(&entry).expect("reads");
            let plain = |line: &str| -> Option<String> {
                let mut value: Value = serde_json::from_str(line).ok()?;
                CLOCKS.iter().for_each(|clock| {
                    drop(value.as_object_mut().map(|fields| fields.remove(*clock)))
                });
                Some(value.to_string())
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let lines: Option<Vec<String>> = if name.ends_with(".jsonl") {
                text.lines().map(plain).collect()
            } else {
                plain(&text).map(|one| vec![one])
            };
            let bytes = lines.map_or(bytes, |lines| lines.join("\n").into_bytes());
            found.push((
                entry.strip_prefix(folder).expect("below").to_path_buf(),
                bytes,
            ));
        }
    }
    found.sort();
    found
}

#[track_caller]
pub fn same(one: &Path, other: &Path) {
    let (one, other) = (written(one), written(other));
    let names =
        |of: &[(PathBuf, Vec<u8>)]| of.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    for ((name, one), (_, other)) in one.iter().zip(&other) {
        assert!(one == other, "`{}` differs", name.display());
    }
}

/// Runs `line` again and again: killed when `file` has the first number of lines, told to stop at the next, and so on;
/// at last to its end.
#[track_caller]
pub fn interrupted(line: &str, file: &Path, points: &[usize], log: &Path) {
    let resumed = format!("{line} --resume");
    for (at, lines) in points.iter().enumerate() {
        let mut running = start(if at == 0 { line } else { &resumed }, log);
        running.wait_for_lines(file, *lines);
        if at % 2 == 0 {
            running.kill();
        } else {
            let said = running.stop();
            assert_eq!(said.code, STOPPED, "{}", said.err);
            for word in ["stopped by a signal", "kept", "hint: ", "--resume"] {
                assert!(
                    said.err.contains(word),
                    "`{word}` is not said in:\n{}",
                    said.err
                );
            }
        }
    }
    // Without the word, nothing is overwritten.
    run(line).refuses(&["--resume"]);
    run(&resumed).succeeds();
}

const PACKAGES: &str = "--package examples/packages/planegeo --package examples/packages/numerals";

fn plant(out: &Path) -> String {
    let few = "--max-tasks 5 --set data.candidates_per_package=20 --set data.tasks_per_function=2";
    format!("data plant {PACKAGES} {few} --out {}", out.display())
}

/// Ten tasks, planted once for all tests of this file.
pub fn planted() -> &'static Path {
    static PLANTED: OnceLock<PathBuf> = OnceLock::new();
    PLANTED.get_or_init(|| {
        let out = std::env::temp_dir().join(format!("train-planted-{}", std::process::id()));
        run(&plant(&out)).succeeds();
        out
    })
}

#[test]
fn planting_that_was_stopped_ends_like_planting_that_was_not() {
    if !python("planting is resumed") {
        return;
    }
    let folder = Folder::new("stopped-plant");
    let out = folder.join("tasks");
    interrupted(
        &plant(&out),
        &out.join(".resume.jsonl"),
        &[2, 9, 16],
        &folder.join("log"),
    );
    same(&out, planted());
    // It is over, and says so.
    let again = run(&format!("{} --resume", plant(&out))).succeeds();
    assert!(again.err.contains("finished already"), "{}", again.err);
    let other = format!(
        "{} --resume --set data.tasks_per_function=3 --seed 9",
        plant(&out)
    );
    run(&other).refuses(&[
        "`data.tasks_per_function` was 2, is 3",
        "`seed` was 7, is 9",
    ]);
}

#[test]
fn a_bad_package_does_not_cost_the_others() {
    if !python("a package without tests is passed over") {
        return;
    }
    let folder = Folder::new("bad-package");
    let (bad, out) = (folder.join("untested"), folder.join("tasks"));
    fs::create_dir_all(&bad).expect("a folder");
    fs::write(bad.join("it.py"), "x = 1\n").expect("writes");
    let few = "--max-tasks 2 --set data.candidates_per_package=10";
    let line = format!(
        "data plant --package {} --package examples/packages/planegeo {few} --out {}",
        bad.display(),
        out.display()
    );
    let said = run(&line);
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert!(
        said.err.contains("1 of 2 packages failed") && said.err.contains("untested"),
        "{}",
        said.err
    );
    let tasks = fs::read_to_string(out.join("tasks.jsonl")).expect("tasks of the other package");
    assert_eq!(tasks.lines().count(), 2);
    // The good one is kept, and the bad one tried again when it is repaired.
    fs::write(
        bad.join("test_it.py"),
        "from it import x\ndef test_x(): assert x == 1\n",
    )
    .expect("writes");
    let again = run(&format!("{line} --resume"));
    again.refuses(&["files of", "untested"]);
}

#[test]
fn verdicts_at_the_gate_are_kept() {
    if !python("admission is resumed") {
        return;
    }
    let folder = Folder::new("stopped-admit");
    // `admitted.jsonl` is written beside the tasks.
    let copy = |name: &str| {
        let set = folder.join(name);
        let status = std::process::Command::new("cp")
            .arg("-r")
            .arg(planted())
            .arg(&set)
            .status();
        assert!(status.expect("starts").success());
        set
    };
    let line = |set: &Path, out: &Path| {
        format!(
            "data admit --tasks {} --out {}",
            set.display(),
            out.display()
        )
    };
    let (one, other) = (copy("one"), copy("other"));
    let (whole, out) = (folder.join("whole"), folder.join("out"));
    run(&line(&one, &whole)).succeeds();
    interrupted(
        &line(&other, &out),
        &out.join(".resume.jsonl"),
        &[1, 4],
        &folder.join("log"),
    );
    same(&out, &whole);
    assert_eq!(
        fs::read(one.join("admitted.jsonl")).expect("reads"),
        fs::read(other.join("admitted.jsonl")).expect("reads")
    );
}

#[test]
fn an_evaluation_that_was_stopped_ends_like_one_that_was_not() {
    if !python("an evaluation is resumed") {
        return;
    }
    let folder = Folder::new("stopped-eval");
    let line = |out: &Path| {
        let sets =
            "--set eval.attempts=2 --set eval.decode_rows=2 --set eval.sampling.max_new_tokens=48";
        let tasks = planted().display();
        format!(
            "eval --model checkpoints/base --tasks {tasks} {sets} --out {}",
            out.display()
        )
    };
    let (whole, out) = (folder.join("whole/eval.json"), folder.join("out/eval.json"));
    run(&line(&whole)).succeeds();
    interrupted(
        &line(&out),
        &folder.join("out/.eval.json.resume.jsonl"),
        &[1, 3],
        &folder.join("log"),
    );
    same(&folder.join("out"), &folder.join("whole"));
    run(&format!("{} --resume --set eval.attempts=3", line(&out)))
        .refuses(&["`eval.attempts` was 2, is 3"]);
}

#[test]
fn grading_that_is_told_to_stop_keeps_its_verdicts() {
    if !python("grading is stopped") {
        return;
    }
    let folder = Folder::new("stopped-grade");
    let line = |out: &Path| {
        format!(
            "grade --tasks {} --predictions gold --out {}",
            planted().display(),
            out.display()
        )
    };
    let (whole, out) = (folder.join("whole"), folder.join("out"));
    run(&line(&whole)).succeeds();
    let mut running = start(&line(&out), &folder.join("log"));
    running.wait_for_lines(&out.join("results.jsonl"), 2);
    let said = running.stop();
    assert!(
        said.code == STOPPED && said.err.contains("of 10 predictions have a verdict"),
        "{}",
        said.err
    );
    run(&format!("{} --resume", line(&out))).succeeds();
    let results = |out: &Path| -> Vec<Value> {
        let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
        let plain = |line: &str| -> Value {
            let mut value: Value = serde_json::from_str(line).expect("JSON");
            value
                .as_object_mut()
                .expect("an object")
                .retain(|name, _| !name.ends_with("seconds"));
            value
        };
        text.lines().map(plain).collect()
    };
    assert_eq!(results(&out), results(&whole));
}

#[test]
fn training_that_is_told_to_stop_saves_its_step() {
    let _alone = alone();
    let folder = Folder::new("stopped-sft");
    let small = Small::make(&folder);
    let line = |out: &Path| {
        format!(
            "{} --set sft.steps=120 --set sft.save_every=0",
            small.sft(out)
        )
    };
    let (whole, out) = (folder.join("whole"), folder.join("out"));
    run(&line(&whole)).succeeds();
    let mut running = start(&line(&out), &folder.join("log"));
    running.wait_for_lines(&out.join("metrics.jsonl"), 12);
    let said = running.stop();
    assert!(
        said.code == STOPPED && said.err.contains("of 120 steps are saved in"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("hint: `") && said.err.contains("--resume` goes on"),
        "{}",
        said.err
    );
    let (step, _) = train::checkpoint::list(&out).pop().expect("a checkpoint");
    assert!((12..120).contains(&step), "step {step}");
    let other = run(&format!(
        "{} --resume --set sft.steps=121 --set sft.optimizer.lr=0.5",
        line(&out)
    ));
    other.refuses(&[
        "`sft.steps` was 120, is 121",
        "`sft.optimizer.lr` was 0.003, is 0.5",
    ]);
    run(&format!("{} --resume", line(&out))).succeeds();
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let read =
            |run: &Path| fs::read(checkpoint(run, 120).join(file)).expect("the last checkpoint");
        assert!(read(&out) == read(&whole), "`{file}` differs");
    }
}

#[test]
fn nothing_is_resumed_where_nothing_was_begun() {
    let folder = Folder::new("nothing");
    let out = folder.join("none");
    let tasks = folder.write("tasks.jsonl", "{}\n");
    let at = tasks.display();
    let model = "--model checkpoints/base";
    for line in [
        "data plant --package examples/packages/planegeo".into(),
        format!("data samples --tasks {at} --tokenizer checkpoints/base"),
        format!("data admit --tasks {at}"),
        format!("data triplets --tasks {at}"),
        format!("grade --tasks {at} --predictions gold"),
        format!("eval {model} --tasks {at}"),
        format!("sft {model} --samples {}", folder.join("").display()),
        format!("grpo {model} --tasks {at}"),
        format!("export {model} --tasks {at}"),
    ] {
        let line = format!("{line} --out {} --resume", out.display());
        run(&line).refuses(&["there is no run of", "leave out `--resume`"]);
        assert!(!out.exists(), "`{line}` wrote something");
    }
    run(&format!("quickstart --resume --set run={}", out.display()))
        .refuses(&["there is no run of `train quickstart`"]);
}

#[test]
fn inputs_and_outputs_are_looked_at_before_any_work() {
    let folder = Folder::new("paths");
    let (file, inner) = (folder.write("file", "x\n"), folder.join("folder"));
    fs::create_dir_all(&inner).expect("a folder");
    let (file, inner) = (file.display(), inner.display());
    let model = "--model checkpoints/base";
    for (line, words) in [
        (
            format!("eval {model} --tasks {file} --out {inner}"),
            ["is a folder, and a file is written", "--out"],
        ),
        (
            format!("eval {model} --tasks no.jsonl --out {file}"),
            ["--tasks: `no.jsonl` cannot be read", "hint: "],
        ),
        (
            format!("eval {model} --tasks {file} --out {file}"),
            ["is what --tasks reads", "a place of its own"],
        ),
        (
            format!("export {model} --tasks {file} --out {file}/model.gguf"),
            ["needs a folder, but", "is a file"],
        ),
        (
            format!("data plant --package examples/packages/planegeo --out {file}"),
            ["is a file", "--out"],
        ),
        (
            format!("data plant --package examples/packages/planegeo --package no --out {inner}"),
            ["`no`", "neither"],
        ),
        (
            format!("data samples --tasks no --tokenizer nor --out {file}"),
            ["--tokenizer: `nor`", "3 paths"],
        ),
        (
            format!("sft {model} --samples no --out {file}"),
            ["--samples: `no` cannot be read", "2 paths"],
        ),
        (
            format!("grpo {model} --tasks {file} --out /proc/run"),
            ["--out: `/proc/run`", "hint: "],
        ),
        (
            format!("grade --tasks {file} --predictions no --out {inner}"),
            ["--predictions: `no`", "hint: "],
        ),
        (
            format!("data admit --tasks no --out {inner}"),
            ["--tasks: `no`", "hint: "],
        ),
        (
            format!("data triplets --tasks {file} no --out {inner}"),
            ["--tasks: `no`", "hint: "],
        ),
        (
            format!("distill {model} --triplets {file} --out {inner}"),
            ["--triplets", "is a file, and a folder is read"],
        ),
        (
            format!("data tokenizer --source examples/packages --out {inner}"),
            ["is a folder", "hint: "],
        ),
    ] {
        run(&line).refuses(&words);
    }
    assert_eq!(
        fs::read_dir(folder.join("folder")).expect("lists").count(),
        0,
        "a refused run wrote something"
    );
}

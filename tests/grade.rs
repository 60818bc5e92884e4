//! Predictions are judged by the tests of their tasks: every one has one outcome, and none is bought.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rollout::outcome::Resolution::{self, *};
use serde_json::{Value, json};
use train::grade::Verdict;

use crate::support::*;

const BASE: &str = "def add(a, b):\n    return a - b\n";
const GOLD: &str = "--- a/money.py\n+++ b/money.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";
const TESTS: &str = "from money import add\ndef test_sum(): assert add(1, 2) == 3\ndef test_zero(): assert add(0, 0) == 0\n";

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
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a verdict"))
        .collect()
}

fn command(tasks: &Path, predictions: &Path, out: &Path) -> String {
    let paths = [tasks, predictions, out].map(|path| path.display().to_string());
    format!(
        "grade --tasks {} --predictions {} --out {} --set sandbox.timeout_s=4",
        paths[0], paths[1], paths[2]
    )
}

#[test]
fn every_prediction_has_one_outcome() {
    if !python("predictions are graded") {
        return;
    }
    let folder = Folder::new("grade");
    let test_edit = "--- a/tests/test_money.py\n+++ b/tests/test_money.py\n@@ -1 +1 @@\n-a\n+b\n";
    let cases: [(&str, Value, Resolution, bool); 14] = [
        ("gold", diff("gold", GOLD), Resolved, false),
        ("files", body("files", "    return a + b"), Resolved, false),
        (
            "with a test",
            diff("with a test", &format!("{GOLD}{test_edit}")),
            Resolved,
            false,
        ),
        (
            "only a test",
            diff("only a test", test_edit),
            Unresolved,
            false,
        ),
        ("empty", diff("empty", ""), Unresolved, false),
        (
            "wrong",
            body("wrong", "    return a * b"),
            Unresolved,
            false,
        ),
        ("breaks", body("breaks", "    return 3"), Unresolved, false),
        (
            "no diff",
            diff("no diff", "I cannot help with that."),
            InvalidPatch,
            false,
        ),
        (
            "elsewhere",
            diff("elsewhere", &GOLD.replace("a - b", "a / b")),
            InvalidPatch,
            false,
        ),
        (
            "link",
            files("link", json!({"money.py": {"symlink": "/etc/passwd"}})),
            InvalidPatch,
            false,
        ),
        (
            "leaves",
            files("leaves", json!({"../money.py": BASE})),
            InvalidPatch,
            false,
        ),
        (
            "hangs",
            body("hangs", "    while True: pass"),
            Timeout,
            false,
        ),
        (
            "eats",
            body("eats", "    return bytearray(1 << 40)"),
            Oom,
            false,
        ),
        (
            "exits",
            body("exits", "    import os; os._exit(0)"),
            Unresolved,
            false,
        ),
    ];
    let tasks = lines(
        &folder,
        "tasks.jsonl",
        &cases.iter().map(|case| task(case.0)).collect::<Vec<_>>(),
    );
    let predictions = lines(
        &folder,
        "m.jsonl",
        &cases.iter().map(|case| case.1.clone()).collect::<Vec<_>>(),
    );
    let out = folder.join("out");
    let said = run(&command(&tasks, &predictions, &out)).succeeds();
    let found: BTreeMap<String, (Resolution, bool)> = results(&out)
        .into_iter()
        .map(|one| (one.instance_id, (one.outcome, one.quarantined)))
        .collect();
    let wanted: BTreeMap<String, (Resolution, bool)> = cases
        .into_iter()
        .map(|(id, _, outcome, quarantined)| (id.to_string(), (outcome, quarantined)))
        .collect();
    assert_eq!(found, wanted, "{}", said.err);
    let summary: Value = serde_json::from_str(&said.out).expect("a summary on standard output");
    assert_eq!(summary["outcomes"]["resolved"], 3);
    let barriers = summary["isolation"]["barriers"]
        .as_array()
        .expect("a list of barriers");
    assert!(
        barriers.contains(&json!("net-ns")) && barriers.contains(&json!("seccomp")),
        "{barriers:?}"
    );

    // The same again is taken over; another answer to one task is judged anew.
    run(&command(&tasks, &predictions, &out)).refuses(&["results.jsonl", "--resume"]);
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    fs::write(out.join("results.jsonl"), text.trim_end_matches("\"}\n")).expect("a torn last line");
    let again = run(&format!("{} --resume", command(&tasks, &predictions, &out))).succeeds();
    let summary: Value = serde_json::from_str(&again.out).expect("a summary");
    assert_eq!(
        summary["resumed"], 11,
        "all but the torn line, the timeout and the memory limit"
    );
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
        assert_eq!(
            results(&out)
                .iter()
                .filter(|one| one.outcome == Resolved)
                .count(),
            resolved,
            "{word}"
        );
    }
    let out = folder.join("admitted");
    run(&format!(
        "data admit --tasks {} --out {}",
        tasks.display(),
        out.display()
    ))
    .succeeds();
    let set = data::source::jsonl::read_tasks(&out.join("tasks/admitted.jsonl")).expect("tasks");
    assert_eq!(
        set.tasks
            .iter()
            .map(|task| task.id.as_str())
            .collect::<Vec<_>>(),
        ["good"]
    );
    let told = fs::read_to_string(out.join("admissions.jsonl")).expect("admissions");
    assert!(
        told.contains("the gold patch does not repair it") && told.contains("should fail"),
        "{told}"
    );
}

#[test]
fn what_is_no_prediction_or_no_task_is_named() {
    let folder = Folder::new("grade-input");
    let tasks = lines(&folder, "tasks.jsonl", &[task("a")]);
    let out = folder.join("out");
    let grade =
        |name: &str, rows: &[Value]| run(&command(&tasks, &lines(&folder, name, rows), &out));
    grade("unknown.jsonl", &[diff("b", "")]).refuses(&["unknown.jsonl", "`b`"]);
    grade("nothing.jsonl", &[json!({"instance_id": "a"})]).refuses(&["nothing.jsonl`, row 1"]);
    let mut broken = task("a");
    broken["patch"] = "hello".into();
    let broken = lines(&folder, "broken.jsonl", &[broken]);
    let said = run(&command(&broken, Path::new("gold"), &out));
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("broken.jsonl") && said.err.contains("row 1"),
        "{}",
        said.err
    );
}

#[test]
fn empty_files_and_names_of_one_folder_are_named() {
    let folder = Folder::new("grade-empty");
    let tasks = lines(&folder, "tasks.jsonl", &[task("a")]);
    let nothing = folder.write("nothing.jsonl", "");
    let out = folder.join("out");
    run(&command(&nothing, Path::new("gold"), &out)).refuses(&["nothing.jsonl`: it is empty"]);
    assert!(
        !out.join("tasks").join("trees").exists(),
        "a refused run wrote trees"
    );
    run(&command(&tasks, &nothing, &out)).refuses(&["nothing.jsonl`: it is empty"]);
    for (tasks, predictions) in [
        (folder.join("none.jsonl"), PathBuf::from("gold")),
        (tasks, folder.join("none.jsonl")),
    ] {
        let said = run(&command(&tasks, &predictions, &out)).refuses(&["none.jsonl"]);
        assert_eq!(said.err.matches("No such file").count(), 1, "{}", said.err);
    }
    let (both, m) = (
        ["a", "b"].map(task),
        |id: &str, model: &str| json!({"instance_id": id, "model_name_or_path": model, "model_patch": ""}),
    );
    let (tasks, predictions) = (
        lines(&folder, "both.jsonl", &both),
        lines(&folder, "m.jsonl", &[m("a", "x/y"), m("b", "x__y")]),
    );
    if python("models whose reports would share a folder are refused") {
        run(&command(&tasks, &predictions, &out)).refuses(&["`x/y`", "`x__y`", "rename"]);
    }
}

#[test]
fn a_refused_command_leaves_a_folder_as_it_was() {
    let folder = Folder::new("grade-refused");
    let tasks = lines(&folder, "tasks.jsonl", &[task("a")]);
    let out = folder.join("out");
    fs::create_dir_all(out.join("tasks")).expect("a folder");
    let kept = ["results.jsonl", "oom_grade.json", "tasks/tasks.jsonl"];
    kept.iter()
        .for_each(|name| fs::write(out.join(name), "kept\n").expect("writes"));
    let line = command(&tasks, Path::new("gold"), &out);
    run(&format!("{line} --forget-oom")).refuses(&["results.jsonl", "--resume"]);
    // Somebody else writes there.
    let lock = train::checkpoint::lock(&out).expect("a lock");
    run(&format!("{line} --resume")).refuses(&["another process is writing to", "out"]);
    run(&format!(
        "data admit --tasks {} --out {}",
        tasks.display(),
        out.display()
    ))
    .refuses(&["another process"]);
    drop(lock);
    kept.iter()
        .for_each(|name| assert_eq!(fs::read_to_string(out.join(name)).expect(name), "kept\n"));
}

#[test]
fn going_on_with_other_answers_or_under_another_name_loses_nothing() {
    if !python("a run goes on with other answers") {
        return;
    }
    let folder = Folder::new("grade-others");
    let tasks = lines(&folder, "tasks.jsonl", &["a", "b"].map(task));
    let one = lines(&folder, "one.jsonl", &[diff("a", GOLD), diff("b", "hello")]);
    let mut renamed = diff("a", GOLD);
    renamed["model_name_or_path"] = "n".into();
    let other = lines(&folder, "other.jsonl", &[renamed, diff("b", GOLD)]);
    let out = folder.join("out");
    let grade = |predictions: &Path, options: &str| {
        let said = run(&format!("{} {options}", command(&tasks, predictions, &out))).succeeds();
        let summary: Value = serde_json::from_str(&said.out).expect("a summary");
        let outcomes: Vec<_> = results(&out)
            .into_iter()
            .map(|one| (one.model_name_or_path, one.outcome))
            .collect();
        (summary["resumed"].as_u64(), outcomes)
    };
    let told = |outcomes: [(&str, Resolution); 2]| {
        outcomes
            .map(|(model, outcome)| (model.to_string(), outcome))
            .to_vec()
    };
    assert_eq!(
        grade(&one, ""),
        (Some(0), told([("m", Resolved), ("m", InvalidPatch)]))
    );
    let report = |run: &str, model: &str, id: &str, file: &str| {
        let folder = out
            .join("logs/run_evaluation")
            .join(run)
            .join(model)
            .join(id);
        fs::read_to_string(folder.join(file)).expect("a file of a report")
    };
    assert_eq!(
        report("grade", "m", "b", "patch.diff"),
        "hello",
        "what is no patch is filed as it came"
    );

    // The same patch of another model gets its name and a report; the other answer is judged, and the old one kept.
    assert_eq!(
        grade(&other, "--resume"),
        (Some(0), told([("n", Resolved), ("m", Resolved)]))
    );
    assert!(report("grade", "n", "a", "report.json").contains("\"resolved\": true"));
    let aside = fs::read_to_string(out.join("results.earlier.jsonl")).expect("earlier verdicts");
    assert!(
        aside.lines().count() == 1 && aside.contains("invalid_patch"),
        "{aside}"
    );
    assert_eq!(
        grade(&other, "--resume"),
        (Some(2), told([("n", Resolved), ("m", Resolved)]))
    );

    // Another name has reports of its own.
    grade(&other, "--resume --run-id r2");
    for id in ["a", "b"] {
        assert!(
            report("r2", if id == "a" { "n" } else { "m" }, id, "report.json")
                .contains("tests_status")
        );
    }
    assert_eq!(grade(&other, "--resume --run-id r2").0, Some(2));
}

#[test]
fn reports_lie_where_others_look_for_them() {
    if !python("reports are filed") {
        return;
    }
    let folder = Folder::new("reports");
    let both = "    return 1";
    let (blank, nothing) = (diff("blank", "  \n"), files("nothing", json!({})));
    let rows = [
        diff("gold", GOLD),
        body("both", both),
        diff("none", ""),
        diff("no", "hello"),
        blank,
        nothing,
    ];
    let tasks = ["gold", "both", "none", "no", "open", "blank", "nothing"].map(task);
    let (tasks, predictions) = (
        lines(&folder, "tasks.jsonl", &tasks),
        lines(&folder, "m.jsonl", &rows),
    );
    let out = folder.join("out");
    run(&format!(
        "{} --reports --run-id r1 --compat swebench-5.0",
        command(&tasks, &predictions, &out)
    ))
    .succeeds();
    let read = |id: &str, file: &str| {
        fs::read_to_string(out.join("logs/run_evaluation/r1/m").join(id).join(file))
            .expect("a file of a report")
    };
    let report = |id: &str| {
        let all: Value = serde_json::from_str(&read(id, "report.json")).expect("a report");
        all[id].clone()
    };
    let (sum, zero) = (
        "tests/test_money.py::test_sum",
        "tests/test_money.py::test_zero",
    );
    let gold = report("gold");
    let keys = [
        "patch_is_None",
        "patch_exists",
        "patch_successfully_applied",
        "resolved",
        "infra_failure",
    ];
    assert_eq!(
        keys.map(|key| gold[key].as_bool()),
        [false, true, true, true, false].map(Some)
    );
    assert_eq!(
        gold["compat"],
        json!({"rules": "swebench-5.0", "resolved": true})
    );
    assert_eq!(
        gold["tests_status"]["FAIL_TO_PASS"],
        json!({"success": [sum], "failure": []})
    );
    assert_eq!(
        gold["tests_status"]["PASS_TO_FAIL"],
        json!({"success": [], "failure": []})
    );
    // The first failure is not the last that is told.
    let both = report("both");
    assert_eq!(
        (both["resolved"].as_bool(), both["tests_seen"].as_str()),
        (Some(false), Some("all"))
    );
    let status = |kind: &str| both["tests_status"][kind]["failure"].clone();
    assert_eq!(
        (status("FAIL_TO_PASS"), status("PASS_TO_PASS")),
        (json!([sum]), json!([zero]))
    );
    let output = read("both", "test_output.txt");
    assert!(
        output.starts_with(">>>>> Start Test Output\n")
            && output.contains(&format!("FAILED {zero}\n")),
        "{output}"
    );
    assert!(
        output.ends_with(">>>>> End Test Output\n>>>>> Test Exit Code: 1\n"),
        "{output}"
    );
    assert_eq!(read("gold", "patch.diff"), GOLD);
    assert!(read("gold", "run_instance.log").contains("outcome: Resolved"));
    assert_eq!(
        (
            report("none")["patch_exists"].as_bool(),
            report("no")["resolved"].as_bool()
        ),
        (Some(false), Some(false))
    );

    let summary = fs::read_to_string(out.join("m.r1.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    let ids = [
        "completed",
        "resolved",
        "unresolved",
        "empty_patch",
        "error",
        "incomplete",
        "infra_failure",
    ];
    let found = ids.map(|kind| summary[format!("{kind}_ids")].clone());
    let wanted: [&[&str]; 7] = [
        &["both", "gold"],
        &["gold"],
        &["both"],
        &["blank", "none", "nothing"],
        &["no"],
        &["open"],
        &[],
    ];
    assert_eq!(found, wanted.map(|ids| json!(ids)));
    assert_eq!(
        (&summary["total_instances"], &summary["schema_version"]),
        (&json!(7), &json!(2))
    );

    // And a line for each try, with the keys in the order that was agreed on.
    let tries = fs::read_to_string(out.join("attempts.jsonl")).expect("a log");
    assert_eq!(tries.lines().count(), 6);
    let line = tries
        .lines()
        .find(|line| line.contains(r#""task":"both""#))
        .expect("a line");
    let keys = [
        "ts",
        "retry",
        "queue",
        "patch_sha",
        "test",
        "status",
        "trace_bytes",
    ];
    let places = keys.map(|key| line.find(&format!("\"{key}\":")).expect(key));
    assert!(
        places.is_sorted() && line.contains(r#""status":"FAIL""#),
        "{line}"
    );
}

#[test]
fn tasks_in_javascript_are_judged_by_jest_or_have_no_verdict() {
    if !python("tasks in JavaScript are graded") {
        return;
    }
    let (base, clean) = (
        "exports.add = (a, b) => a - b;\n",
        "exports.add = (a, b) => a + b;\n",
    );
    let tests = "const { add } = require('../money');\ndescribe('add', () => { test('a sum', () => { expect(add(1, 2)).toBe(3); }); });\n";
    let row = |id: &str| {
        json!({
            "instance_id": id, "language": "javascript", "problem_statement": "sums are wrong",
            "files": {"money.js": base}, "test_files": {"tests/money.test.js": tests},
            "patch": data::Patch::between("money.js", base, clean).text(),
            "FAIL_TO_PASS": ["tests/money.test.js::add > a sum"], "PASS_TO_PASS": [],
        })
    };
    let script = |id: &str, text: &str| files(id, json!({"money.js": text}));
    let folder = Folder::new("grade-javascript");
    let tasks = lines(&folder, "tasks.jsonl", &["gold", "wrong", "exits"].map(row));
    let answers = [
        script("gold", clean),
        script("wrong", "exports.add = () => 0;\n"),
        script("exits", "process.exit(0);\n"),
    ];
    let predictions = lines(&folder, "m.jsonl", &answers);
    let graded = |out: &str, jest: Option<&str>| {
        let out = folder.join(out);
        let line = command(&tasks, &predictions, &out).replace("timeout_s=4", "timeout_s=120");
        let mut program = train();
        jest.map(|jest| program.env("TRAIN_JEST", jest));
        Said::from_output(
            program
                .args(line.split_whitespace())
                .output()
                .expect("starts"),
        )
        .succeeds();
        results(&out)
    };
    for one in graded("without", Some("/nowhere")) {
        assert_eq!(one.outcome, Infra);
        assert!(one.reason.contains("apt-get install jest"), "{one:?}");
    }
    if let Err(error) = sandbox::environment::jest::JestEnv::find() {
        return eprintln!("SKIPPED, not tested: tasks in JavaScript: {error}");
    }
    let found: Vec<_> = graded("with", None)
        .into_iter()
        .map(|one| (one.outcome, one.quarantined))
        .collect();
    assert_eq!(
        found,
        [(Resolved, false), (Unresolved, false), (Unresolved, false)]
    );
}

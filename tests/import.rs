//! Rows of public data sets come into one form, and no file of theirs brings the program down.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, ListArray, ListBuilder, RecordBatch,
    StringArray, StringBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int32Type};
use data::source::public::{Imported, RefusedRow, TaskRow};
use data::source::rows::{Row, read_any};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rollout::outcome::Resolution;
use serde_json::{Value, json};
use train::grade::Verdict;

use crate::support::*;

const BASE: &str = "def add(a, b):\n    return a - b\n";
const GOLD: &str = "--- a/money.py\n+++ b/money.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";
const TESTS: &str = "from money import add\ndef test_sum(): assert add(1, 2) == 3\n";

fn lines(folder: &Folder, name: &str, rows: &[Value]) -> PathBuf {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    folder.write(name, &text)
}

fn table(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut bytes = Vec::new();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("writes");
    writer.close().expect("closes");
    fs::write(path, bytes).expect("writes");
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Rows as SWE-rebench publishes them: real lists, and times in milliseconds.
fn rebench(path: &Path) {
    let mut list = ListBuilder::new(StringBuilder::new());
    for test in ["t.py::a", "t.py::b"] {
        list.values().append_value(test);
        list.append(true);
    }
    let config = "{\"test_cmd\": \"pytest\", \"log_parser\": \"parse_log_pytest\"}";
    table(
        path,
        vec![
            ("instance_id", texts(&["a__a-1", "b__b-2"])),
            ("repo", texts(&["a/a", "b/b"])),
            ("base_commit", texts(&["1", "2"])),
            ("patch", texts(&[GOLD, "no diff at all"])),
            ("problem_statement", texts(&["x", "y"])),
            ("FAIL_TO_PASS", Arc::new(list.finish())),
            (
                "created_at",
                Arc::new(Int64Array::from(vec![1_553_053_578_000, 0])),
            ),
            ("image_name", texts(&["i:1", "i:2"])),
            ("install_config", texts(&[config, config])),
        ],
    );
}

fn import(input: &Path, options: &str, out: &Path) -> Said {
    run(&format!(
        "data import {} {options} --out {}",
        input.display(),
        out.display()
    ))
}

fn done(said: &Said) -> Imported {
    serde_json::from_str(&said.out).expect("a summary on standard output")
}

fn own(id: &str) -> Value {
    json!({
        "instance_id": id, "problem_statement": "sums are wrong", "files": {"money.py": BASE},
        "test_files": {"tests/test_money.py": TESTS}, "patch": GOLD,
        "FAIL_TO_PASS": ["tests/test_money.py::test_sum"], "PASS_TO_PASS": "[]",
    })
}

/// The rows of a file that the program wrote.
fn rows_of(path: &Path) -> Vec<Row> {
    // This process, which is no `train`, cannot be started again to read it.
    data::child::in_this_process();
    read_any(path).expect("reads")
}

#[test]
fn rows_are_imported_and_every_refused_one_is_listed() {
    let folder = Folder::new("import");
    let (input, out) = (folder.join("rebench.parquet"), folder.join("out.parquet"));
    rebench(&input);
    let dry = import(&input, "--dry-run", &out).succeeds();
    assert!(!out.exists());
    let said = import(&input, "--from swe-rebench", &out).succeeds();
    assert_eq!(done(&said), done(&dry));
    let summary = done(&said);
    assert_eq!((summary.read, summary.written, summary.refused), (2, 1, 1));
    assert!(
        said.err.contains("`b__b-2`: its gold patch: line 1"),
        "{}",
        said.err
    );

    let rows = rows_of(&out);
    let row: TaskRow = serde_json::from_value(Value::Object(rows[0].clone())).expect("a row");
    assert_eq!(row.created_at.as_deref(), Some("2019-03-20T03:46:18Z"));
    assert_eq!(
        (row.fail_to_pass, row.test_command.as_deref()),
        (vec!["t.py::a".to_string()], Some("pytest"))
    );
    let listed = fs::read_to_string(folder.join("out.parquet.refused.jsonl")).expect("a list");
    let refused: Vec<RefusedRow> = listed
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    assert_eq!((refused.len(), refused[0].row), (1, 2));

    // Its own result is imported again, here as text.
    let again = import(&out, "", &folder.join("again.jsonl")).succeeds();
    assert_eq!(done(&again).written, 1);
    import(&input, "--from swe", &out)
        .code
        .filter(|code| *code == 2)
        .expect("a mistake in the call");
    import(&input, "", &folder.join("out.csv")).refuses(&["out.csv", ".parquet"]);
    import(&folder.join("none.parquet"), "", &out).refuses(&["none.parquet"]);
}

#[test]
fn what_is_no_file_of_rows_is_called_by_its_name_once() {
    let folder = Folder::new("import-kinds");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 2096679\n";
    let input = folder.write("verified.parquet", pointer);
    let said = import(&input, "", &folder.join("out.jsonl"));
    let told = said.refuses(&[
        "a pointer of Git LFS",
        "(2096679 bytes)",
        "lfs pull --include verified.parquet",
    ]);
    assert_eq!(
        (
            told.err.matches("error:").count(),
            told.err.matches("hint:").count()
        ),
        (1, 1),
        "{}",
        told.err
    );
    let input = folder.write("rows.parquet", "<!doctype html><title>Sign in</title>");
    import(&input, "", &folder.join("out.jsonl")).refuses(&["a page of HTML", "download it again"]);
}

#[test]
fn what_is_kept_and_what_is_odd_is_said_at_the_terminal() {
    let folder = Folder::new("import-remarks");
    let row = json!({
        "repo": "a/b", "instance_id": "a__b-1", "base_commit": "c", "patch": GOLD, "test_patch": "", "problem_statement": "",
        "repo_language": "py", "dockerhub_tag": "x", "before_repo_set_cmd": "git reset", "eval_type": "fail_only",
        "fail_to_pass": "[\"t.py::a keeps null if key doesn't exist\", 't.py::b']", "pass_to_pass": "['t.py::b']",
    });
    let input = lines(&folder, "pro.jsonl", &[row]);
    let out = folder.join("out.parquet");
    let said = import(&input, "", &out).succeeds();
    for told in [
        "kept: `eval_type` of 1 rows: with `fail_only`",
        "kept: `before_repo_set_cmd` of 1 rows",
        "remark: 1 of 1 rows have tests in both",
        "remark: 1 of 1 rows have no problem statement",
        "out.parquet.remarks.jsonl",
    ] {
        assert!(said.err.contains(told), "no `{told}` in:\n{}", said.err);
    }
    assert_eq!(
        done(&said).formats.keys().collect::<Vec<_>>(),
        ["swe-bench-pro"]
    );
    let listed = fs::read_to_string(folder.join("out.parquet.remarks.jsonl")).expect("a list");
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let rows = rows_of(&out);
    assert_eq!(
        rows[0]["FAIL_TO_PASS"],
        json!(["t.py::a keeps null if key doesn't exist", "t.py::b"])
    );
    assert_eq!(
        (&rows[0]["eval_type"], &rows[0]["before_repo_set_cmd"]),
        (&json!("fail_only"), &json!("git reset"))
    );
}

#[test]
fn what_a_terminal_would_obey_is_not_printed_as_it_is() {
    let folder = Folder::new("import-escape");
    let mut row = own("a");
    row["patch"] = "\u{1b}[2J\u{7} no diff".into();
    row["instance_id"] = "\u{1b}]0;x".into();
    let input = lines(&folder, "rows.jsonl", &[own("good"), row]);
    let said = import(&input, "", &folder.join("out.jsonl")).succeeds();
    assert!(
        said.err.contains("refused: ") && !said.err.contains(['\u{1b}', '\u{7}']),
        "{}",
        said.err
    );
    let onto = import(&input, "", &input).refuses(&["rows.jsonl", "is what IN reads"]);
    assert!(
        fs::read_to_string(&input)
            .expect("reads")
            .contains("no diff"),
        "{}",
        onto.err
    );
    let answers = lines(
        &folder,
        "m.jsonl",
        &[json!({"instance_id": "\u{1b}[2J", "model_patch": ""})],
    );
    let tasks = folder.join("out.jsonl");
    let line = format!(
        "grade --tasks {} --predictions {}",
        tasks.display(),
        answers.display()
    );
    let said =
        run(&format!("{line} --out {}", folder.join("out").display())).refuses(&["\\u{1b}[2J"]);
    assert!(!said.err.contains('\u{1b}'), "{}", said.err);
}

#[test]
fn what_is_wrong_in_text_is_told_with_its_byte() {
    let folder = Folder::new("import-text");
    let good = own("a").to_string();
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(100), "]".repeat(100));
    let rows = [
        good.as_str(),
        r#"{"instance_id": "b", "instance_id": "c"}"#,
        r#"{"instance_id": NaN}"#,
        r#"{"instance_id": "\ud800"}"#,
        &deep,
        "[]",
    ];
    let (lines, list) = (
        folder.write("rows.jsonl", &rows.join("\n")),
        folder.write("rows.json", &format!("[{}]", rows.join(","))),
    );
    for input in [lines, list] {
        let out = folder.join("out.jsonl");
        let said = import(&input, "", &out).succeeds();
        let summary = done(&said);
        assert_eq!(
            (summary.read, summary.written, summary.refused),
            (6, 1, 5),
            "{}",
            said.err
        );
        let told = fs::read_to_string(folder.join("out.jsonl.refused.jsonl")).expect("a list");
        for why in [
            "the key `instance_id` stands twice",
            "surrogate",
            "deeper than 64",
            "no object",
            "\"byte\":",
        ] {
            assert!(
                told.contains(why) || why == "surrogate" && told.contains("hex escape"),
                "{why}: {told}"
            );
        }
    }
    let cut = folder.write("cut.json", &format!("[{good}, "));
    let said = import(&cut, "", &folder.join("cut.parquet"));
    assert!(
        said.code == Some(1) && said.err.contains("cut.json") && said.err.contains("without `]`"),
        "{}",
        said.err
    );
    assert!(!folder.join("cut.parquet").exists());
}

#[test]
fn hostile_parquet_is_an_error_that_names_the_file() {
    let folder = Folder::new("import-parquet");
    let (bomb, out) = (folder.join("bomb.parquet"), folder.join("out.parquet"));
    let long = "x".repeat(1 << 20);
    // One text that stands in every row.
    let words = |count: usize| {
        let keys = Int32Array::from(vec![0; count]);
        Arc::new(DictionaryArray::<Int32Type>::try_new(keys, texts(&[&long])).expect("words"))
    };
    table(&bomb, vec![("instance_id", words(2000))]);
    assert!(fs::metadata(&bomb).expect("a file").len() < 1 << 20);
    let said = import(&bomb, "", &out);
    assert!(
        said.code == Some(1) && said.err.contains("bomb.parquet"),
        "{}",
        said.err
    );
    assert!(said.err.contains("bytes of rows"), "{}", said.err);

    // One row that would be 6 GB: the process that decodes it ends, and nobody else.
    let words = words(6000);
    let item = Arc::new(Field::new_list_field(words.data_type().clone(), true));
    let list =
        ListArray::try_new(item, OffsetBuffer::from_lengths([6000]), words, None).expect("a list");
    let heavy = folder.join("heavy.parquet");
    table(&heavy, vec![("FAIL_TO_PASS", Arc::new(list))]);
    let said = import(&heavy, "", &out);
    assert!(
        said.code == Some(1) && said.err.contains("heavy.parquet"),
        "{}",
        said.err
    );
    assert!(said.err.contains("is longer than"), "{}", said.err);
    assert!(!out.exists());

    let good = folder.join("good.parquet");
    rebench(&good);
    let bytes = fs::read(&good).expect("reads");
    let broken = folder.join("broken.parquet");
    let import_broken = |bytes: &[u8]| {
        fs::write(&broken, bytes).expect("writes");
        let said = import(&broken, "", &folder.join("broken-out.jsonl"));
        // Some damage leaves a readable file; none ends the program in another way than it ends by itself.
        assert!(matches!(said.code, Some(0 | 1)), "{said:?}");
        assert!(
            said.code == Some(0) || said.err.contains("broken.parquet"),
            "{}",
            said.err
        );
        said.code == Some(1)
    };
    assert!(
        import_broken(&bytes[..bytes.len() - 9])
            && import_broken(b"PAR1PAR1")
            && import_broken(b"PAR1")
    );
    let mut refused = 0;
    for number in 0..40 {
        let mut bytes = bytes.clone();
        // Half of the damage hits the metadata at the end, where lengths and types are.
        let span = if number % 2 == 0 {
            bytes.len()
        } else {
            bytes.len().min(1500)
        };
        let at = bytes.len() - 1 - (number * 7919 + 13) % span;
        bytes[at] ^= 1 << (number % 8);
        bytes[(at + number) % span] = 0xff;
        refused += usize::from(import_broken(&bytes));
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn a_row_that_needs_an_image_is_named_before_anything_runs() {
    let folder = Folder::new("import-image");
    let row = json!({
        "instance_id": "django__django-1", "repo": "django/django", "base_commit": "1", "version": "4.10", "patch": GOLD,
        "test_patch": "", "problem_statement": "x", "FAIL_TO_PASS": "[\"t\"]", "PASS_TO_PASS": "[]",
        "environment_setup_commit": "2",
    });
    let published = lines(&folder, "verified.jsonl", std::slice::from_ref(&row));
    let imported = folder.join("verified.parquet");
    import(&published, "", &imported).succeeds();
    let mixed = lines(&folder, "mixed.jsonl", &[own("a"), row]);
    let line = |tasks: &Path, out: &str| {
        format!(
            "grade --tasks {} --predictions gold --out {}",
            tasks.display(),
            folder.join(out).display()
        )
    };
    let named = ["django__django-1", "django_1776_django-1:latest"];
    for tasks in [&published, &imported] {
        run(&line(tasks, "out")).refuses(&[named[0], named[1], "row 1"]);
    }
    // Beside a row that can be graded, it is left out alone.
    let said = run(&line(&mixed, "mixed")).succeeds();
    assert!(
        named
            .iter()
            .chain(&["row 2 is left out"])
            .all(|word| said.err.contains(word)),
        "{}",
        said.err
    );
}

#[test]
fn imported_rows_are_graded_and_admitted() {
    if !python("imported rows are graded") {
        return;
    }
    let folder = Folder::new("import-grade");
    let mut packed = own("packed");
    packed["files"] = Value::Null;
    packed["folder"] = "given".into();
    fs::create_dir_all(folder.join("given")).expect("a folder");
    folder.write("given/money.py", BASE);
    let input = lines(&folder, "rows.jsonl", &[own("a"), packed]);
    let tasks = folder.join("tasks.parquet");
    import(&input, "--from self-contained", &tasks).succeeds();
    let out = folder.join("out");
    run(&format!(
        "grade --tasks {} --predictions gold --out {}",
        tasks.display(),
        out.display()
    ))
    .succeeds();
    let told = fs::read_to_string(out.join("results.jsonl")).expect("results");
    let verdicts: Vec<Verdict> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("a verdict"))
        .collect();
    assert!(
        verdicts.len() == 2
            && verdicts
                .iter()
                .all(|one| one.outcome == Resolution::Resolved),
        "{told}"
    );
    let admitted = folder.join("admitted");
    let said = run(&format!(
        "data admit --tasks {} --out {}",
        tasks.display(),
        admitted.display()
    ))
    .succeeds();
    let summary: Value = serde_json::from_str(&said.out).expect("a summary");
    assert_eq!(summary["admitted"], 2);
}

#[test]
fn no_answer_is_an_error_of_the_run() {
    if !python("hostile answers are graded") {
        return;
    }
    let folder = Folder::new("import-answers");
    let mode = |line: &str| format!("diff --git a/money.py b/money.py\n{line}\n{GOLD}");
    let many: String = (0..201)
        .map(|n| format!("--- /dev/null\n+++ b/f{n}.py\n@@ -0,0 +1 @@\n+1\n"))
        .collect();
    let files: serde_json::Map<String, Value> =
        (0..300).map(|n| (format!("f{n}.py"), json!("x"))).collect();
    let cases: Vec<(&str, Value)> = vec![
        (
            "link",
            json!({"model_patch": mode("old mode 100644\nnew mode 120000")}),
        ),
        (
            "submodule",
            json!({"model_patch": mode("index 1..2 160000")}),
        ),
        (
            "leaves",
            json!({"model_patch": GOLD.replace("money.py", "../money.py")}),
        ),
        (
            "absolute",
            json!({"model_patch": GOLD.replace("a/money.py", "/etc/x").replace("b/money.py", "/etc/x")}),
        ),
        (
            "git",
            json!({"model_patch": GOLD.replace("money.py", ".git/config")}),
        ),
        (
            "binary",
            json!({"model_patch": "diff --git a/x b/x\nGIT binary patch\nliteral 1\n"}),
        ),
        ("huge", json!({"model_patch": "x\n".repeat(25_000_000)})),
        (
            "long line",
            json!({"model_patch": GOLD.replace("a + b", &"a".repeat(100_000))}),
        ),
        ("many", json!({"model_patch": many})),
        ("number", json!({"model_patch": 7})),
        (
            "link file",
            json!({"model_files": {"money.py": {"symlink": "/etc/passwd"}}}),
        ),
        ("many files", json!({"model_files": files})),
        (
            "huge file",
            json!({"model_files": {"money.py": "x\n".repeat(5_000_000)}}),
        ),
        ("list", json!({"model_files": [1]})),
    ];
    let answer = |(id, answer): &(&str, Value)| {
        let mut row = answer.clone();
        row["instance_id"] = (*id).into();
        row
    };
    let tasks = lines(
        &folder,
        "tasks.jsonl",
        &cases.iter().map(|case| own(case.0)).collect::<Vec<_>>(),
    );
    let predictions = lines(
        &folder,
        "m.jsonl",
        &cases.iter().map(answer).collect::<Vec<_>>(),
    );
    let out = folder.join("out");
    let said = run(&format!(
        "grade --tasks {} --predictions {} --out {}",
        tasks.display(),
        predictions.display(),
        out.display()
    ))
    .succeeds();
    let told = fs::read_to_string(out.join("results.jsonl")).expect("results");
    let verdicts: Vec<Verdict> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("a verdict"))
        .collect();
    assert_eq!(verdicts.len(), cases.len(), "{}", said.err);
    for verdict in verdicts {
        assert_eq!(verdict.outcome, Resolution::InvalidPatch, "{verdict:?}");
        assert!(!verdict.reason.is_empty());
    }
}

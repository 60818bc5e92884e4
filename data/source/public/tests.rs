use serde_json::{Value, json};

use super::*;
use crate::Patch;

const GOLD: &str = "--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n";
const TESTS: &str = "--- a/tests/test_a.py\n+++ b/tests/test_a.py\n@@ -1 +1 @@\n-a\n+b\n";

pub(super) fn classic() -> Value {
    json!({
        "instance_id": "django__django-11099", "repo": "django/django", "base_commit": "d26b242443",
        "patch": GOLD, "test_patch": TESTS, "problem_statement": "names", "hints_text": "",
        "created_at": "2019-03-20T03:46:18Z", "version": "4.10", "environment_setup_commit": "d2",
        "FAIL_TO_PASS": "[\"test_a (tests.A)\"]", "PASS_TO_PASS": "[\"test_b\", \"test_c\"]",
    })
}

/// What a row becomes, its format told by its columns and by its name alike.
#[track_caller]
fn made(format: Format, row: &Value) -> TaskRow {
    let row = row.as_object().expect("a row");
    assert_eq!(Format::recognise(row), Some(format));
    let made = task_row(row, Some(format)).expect("a task row");
    assert_eq!(task_row(row, None), Ok(made.clone()));
    made
}

fn expected(format: Format) -> TaskRow {
    TaskRow {
        row_format: 2,
        source_format: format.name().into(),
        instance_id: "django__django-11099".into(),
        repo: "django/django".into(),
        base_commit: Some("d26b242443".into()),
        image: Some("swebench/sweb.eval.x86_64.django_1776_django-11099:latest".into()),
        language: Some("python".into()),
        version: Some("4.10".into()),
        problem_statement: "names".into(),
        patch: GOLD.into(),
        test_patch: Some(TESTS.into()),
        fail_to_pass: vec!["test_a (tests.A)".into()],
        pass_to_pass: vec!["test_b".into(), "test_c".into()],
        created_at: Some("2019-03-20T03:46:18Z".into()),
        environment_setup_commit: Some("d2".into()),
        ..TaskRow::default()
    }
}

#[test]
fn a_row_of_swe_bench() {
    assert_eq!(
        made(Format::SweBench, &classic()),
        expected(Format::SweBench)
    );
    // SWE-bench-extra: a number as version, a timestamp, and no published image.
    let mut extra = classic();
    extra["version"] = json!(4);
    extra["created_at"] = json!("2019-03-20 03:46:18.000 +00:00");
    extra["meta"] = json!({"failed_lite_validators": [], "has_test_patch": true, "is_lite": true});
    let other = Some(json!({"meta": extra["meta"]}).to_string());
    let wanted = TaskRow {
        version: Some("4".into()),
        image: None,
        other_columns: other,
        ..expected(Format::SweBench)
    };
    assert_eq!(made(Format::SweBench, &extra), wanted);
}

#[test]
fn a_row_of_swe_bench_5() {
    let mut row = classic();
    row["eval_script"] = "#!/bin/bash\npytest\n".into();
    row["log_parser"] = "parse_log_django".into();
    row["image"] = "registry/django:1".into();
    row["image_assets"] = "{}".into();
    row["eval_type"] = "fail_only".into();
    let wanted = TaskRow {
        image: Some("registry/django:1".into()),
        eval_script: Some("#!/bin/bash\npytest\n".into()),
        log_parser: Some("parse_log_django".into()),
        eval_type: Some("fail_only".into()),
        other_columns: Some("{\"image_assets\":\"{}\"}".into()),
        ..expected(Format::SweBenchV5)
    };
    assert_eq!(made(Format::SweBenchV5, &row), wanted);
}

#[test]
fn a_row_of_swe_gym_has_real_lists_and_another_image() {
    let mut row = classic();
    row.as_object_mut()
        .expect("a row")
        .remove("environment_setup_commit");
    row["FAIL_TO_PASS"] = json!(["test_a (tests.A)"]);
    row["PASS_TO_PASS"] = json!(["test_b", "test_c"]);
    let image = Some("xingyaoww/sweb.eval.x86_64.django_s_django-11099".to_string());
    let gym = TaskRow {
        image: image.clone(),
        environment_setup_commit: None,
        ..expected(Format::SweGym)
    };
    assert_eq!(made(Format::SweGym, &row), gym);
    row["FAIL_TO_PASS"] = json!("[\"test_a (tests.A)\"]");
    let named =
        task_row(row.as_object().expect("a row"), Some(Format::SweGym)).expect("a task row");
    assert_eq!(named, gym);
}

#[test]
fn a_row_of_swe_smith_plants_its_bug() {
    let row = json!({
        "instance_id": "oauthlib__oauthlib.1fd52536.combine_file__09vlzwgc", "repo": "swesmith/oauthlib__oauthlib.1fd52536",
        "patch": GOLD, "FAIL_TO_PASS": ["tests/test_a.py::test_x"], "PASS_TO_PASS": ["tests/test_a.py::test_y"],
        "created_at": "2024-10-03 10:11:12", "image_name": "jyangballin/swesmith.x86_64.oauthlib", "problem_statement": "x",
    });
    let wanted = TaskRow {
        row_format: 2,
        source_format: "swe-smith".into(),
        instance_id: "oauthlib__oauthlib.1fd52536.combine_file__09vlzwgc".into(),
        repo: "oauthlib/oauthlib".into(),
        base_commit: Some("1fd52536".into()),
        image: Some("jyangballin/swesmith.x86_64.oauthlib".into()),
        language: Some("python".into()),
        problem_statement: "x".into(),
        patch: GOLD.replace("-x = 1\n+x = 2", "-x = 2\n+x = 1"),
        bug_patch: Some(GOLD.into()),
        fail_to_pass: vec!["tests/test_a.py::test_x".into()],
        pass_to_pass: vec!["tests/test_a.py::test_y".into()],
        created_at: Some("2024-10-03T10:11:12Z".into()),
        ..TaskRow::default()
    };
    assert_eq!(made(Format::SweSmith, &row), wanted);
}

fn file_diff(path: &str) -> Value {
    json!({
        "header": {"file": {"path": path}}, "is_binary_file": false,
        "minus_file": {"path": format!("a/{path}")}, "plus_file": {"path": format!("b/{path}")},
        "hunks": [{
            "descriptor": {"old_range": {"start": 1, "length": 1}, "new_range": {"start": 1, "length": 1}, "section": ""},
            "line_group": {"all_lines": [
                {"content": "x = 1", "type": "deleted"}, {"content": "x = 2", "type": "added"},
                {"content": "No newline at end of file", "type": "note"},
            ]},
        }],
    })
}

#[test]
fn a_row_of_r2e_gym_is_json_inside_of_strings() {
    let commit = json!({
        "old_commit_hash": "aaa^", "new_commit_hash": "bbb", "commit_date": "2020-01-02 03:04:05+00:00",
        "file_diffs": [file_diff("src/a.py"), file_diff("tests/test_a.py")],
    });
    let row = json!({
        "repo_name": "aiohttp", "docker_image": null, "commit_hash": "bbb",
        "parsed_commit_content": commit.to_string(), "execution_result_content": "{}", "modified_files": ["src/a.py"],
        "prompt": "p", "problem_statement": "[ISSUE]\n**Title** x\n[/ISSUE]",
        "expected_output_json": "{\"A.test_x\": \"PASSED\", \"A.test_y\": \"FAILED\"}",
    });
    let diff = |path: &str| {
        format!(
            "--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n\\ No newline at end of file\n"
        )
    };
    let wanted = TaskRow {
        row_format: 2,
        source_format: "r2e-gym".into(),
        instance_id: "aiohttp__bbb".into(),
        repo: "aiohttp".into(),
        base_commit: Some("aaa^".into()),
        image: Some("namanjain12/aiohttp_final:bbb".into()),
        language: Some("python".into()),
        problem_statement: "**Title** x".into(),
        patch: diff("src/a.py"),
        test_patch: Some(diff("tests/test_a.py")),
        expected_output: Some("{\"A.test_x\":\"PASSED\",\"A.test_y\":\"FAILED\"}".into()),
        created_at: Some("2020-01-02T03:04:05Z".into()),
        other_columns: Some(
            json!({"execution_result_content": "{}", "modified_files": ["src/a.py"], "prompt": "p"}).to_string(),
        ),
        ..TaskRow::default()
    };
    assert_eq!(made(Format::R2eGym, &row), wanted);
}

#[test]
fn a_row_of_swe_rebench_counts_time_in_milliseconds() {
    let mut row = classic();
    row["created_at"] = json!(1_553_053_578_000_i64);
    row["language"] = "Go".into();
    row["interface"] = "func A()".into();
    row["image_name"] = "swerebenchv2/django:11099".into();
    row["install_config"] = json!({"base_image_name": "go", "install": ["go build"], "test_cmd": ["cd a", "go test"],
        "log_parser": "parse_go"});
    let wanted = TaskRow {
        image: Some("swerebenchv2/django:11099".into()),
        language: Some("go".into()),
        hints_text: Some("func A()".into()),
        test_command: Some("cd a && go test".into()),
        log_parser: Some("parse_go".into()),
        install_config: Some(row["install_config"].to_string()),
        ..expected(Format::SweRebench)
    };
    assert_eq!(made(Format::SweRebench, &row), wanted);
}

#[test]
fn a_row_of_multi_swe_bench_has_maps_of_tests() {
    let run = |fix: &str| json!({"run": "NONE", "test": "FAIL", "fix": fix});
    let row = json!({
        "org": "cli", "repo": "CLI", "number": 513, "state": "closed", "title": "t", "body": "b",
        "base": {"label": "cli:trunk", "ref": "trunk", "sha": "abc"}, "lang": "go", "tag": "", "number_interval": "",
        "resolved_issues": [{"number": 1, "title": "Broken", "body": "It is."}],
        "fix_patch": GOLD, "test_patch": TESTS, "fixed_tests": {"A": run("PASS"), "B": run("PASS"), "C": run("PASS")},
        "p2p_tests": {"D": run("PASS")}, "f2p_tests": {"A": run("PASS")}, "s2p_tests": {"B": run("PASS")},
        "n2p_tests": {"C": run("PASS"), "of another row": null},
    });
    let wanted = TaskRow {
        row_format: 2,
        source_format: "multi-swe-bench".into(),
        instance_id: "cli/CLI:pr-513".into(),
        repo: "cli/CLI".into(),
        base_commit: Some("abc".into()),
        image: Some("mswebench/cli_m_cli:pr-513".into()),
        language: Some("go".into()),
        problem_statement: "Broken\n\nIt is.".into(),
        patch: GOLD.into(),
        test_patch: Some(TESTS.into()),
        fail_to_pass: vec!["A".into(), "B".into(), "C".into()],
        pass_to_pass: vec!["D".into()],
        ..TaskRow::default()
    };
    let mut made = made(Format::MultiSweBench, &row);
    let other: Value =
        serde_json::from_str(&made.other_columns.take().expect("other columns")).expect("JSON");
    assert_eq!(
        (&other["state"], &other["fixed_tests"]["A"]["fix"]),
        (&json!("closed"), &json!("PASS"))
    );
    assert_eq!(made, wanted);
}

#[test]
fn a_row_of_swe_bench_pro_has_small_letters_and_lists_of_python() {
    let mut row = classic();
    let columns = row.as_object_mut().expect("a row");
    for (name, value) in [
        (
            "fail_to_pass",
            r#"["keeps null if key doesn't exist", 't.py::b']"#,
        ),
        ("pass_to_pass", "['t.py::c']"),
        ("repo_language", "py"),
        ("dockerhub_tag", "django.django-1"),
        ("requirements", "must"),
        ("interface", "def f()"),
        ("before_repo_set_cmd", "git reset --hard"),
        ("selected_test_files_to_run", "[\"t.py\"]"),
    ] {
        columns.insert(name.into(), value.into());
    }
    for name in [
        "FAIL_TO_PASS",
        "PASS_TO_PASS",
        "version",
        "environment_setup_commit",
        "created_at",
        "hints_text",
    ] {
        columns.remove(name);
    }
    let wanted = TaskRow {
        image: Some("jefzda/sweap-images:django.django-1".into()),
        version: None,
        created_at: None,
        environment_setup_commit: None,
        hints_text: Some("must\n\ndef f()".into()),
        fail_to_pass: vec!["keeps null if key doesn't exist".into(), "t.py::b".into()],
        pass_to_pass: vec!["t.py::c".into()],
        before_repo_set_cmd: Some("git reset --hard".into()),
        selected_test_files_to_run: Some("[\"t.py\"]".into()),
        ..expected(Format::SweBenchPro)
    };
    assert_eq!(made(Format::SweBenchPro, &row), wanted);
    let named =
        task_row(row.as_object().expect("a row"), Some(Format::SweBench)).expect("a task row");
    assert_eq!(named.fail_to_pass, wanted.fail_to_pass);
}

#[test]
fn a_column_that_changes_grading_survives_whatever_its_kind() {
    let mut row = classic();
    row["test_cmds"] = json!(["pytest -rA a", "pytest -rA b"]);
    row["install_config"] = json!({"python": "3.9", "pip": null});
    row["docker_image"] = "registry/x:1".into();
    row["image_name"] = "registry/x:2".into();
    row["rebuild_cmds"] = json!(["make"]);
    row["empty"] = "".into();
    let made = made(Format::SweRebench, &row);
    assert_eq!(
        made.test_cmds.as_deref(),
        Some("[\"pytest -rA a\",\"pytest -rA b\"]")
    );
    assert_eq!(
        made.test_command.as_deref(),
        Some("pytest -rA a && pytest -rA b")
    );
    assert_eq!(made.install_config.as_deref(), Some("{\"python\":\"3.9\"}"));
    assert_eq!(made.image.as_deref(), Some("registry/x:2"));
    let other: Value =
        serde_json::from_str(&made.other_columns.expect("other columns")).expect("JSON");
    assert_eq!(
        other,
        json!({"docker_image": "registry/x:1", "rebuild_cmds": ["make"]})
    );
}

pub(super) fn own(id: &str) -> Value {
    json!({
        "instance_id": id, "problem_statement": "x is 1", "files": {"src/a.py": "x = 1\n"},
        "test_files": {"test_a.py": "t\n"}, "patch": GOLD, "FAIL_TO_PASS": ["test_a.py::t"], "PASS_TO_PASS": "[]",
    })
}

#[test]
fn a_row_that_brings_its_repository_along_keeps_it() {
    let made = made(Format::SelfContained, &own("a"));
    assert_eq!(made.files.as_deref(), Some("{\"src/a.py\":\"x = 1\\n\"}"));
    assert_eq!(made.test_files.as_deref(), Some("{\"test_a.py\":\"t\\n\"}"));
    assert_eq!(
        (made.language.as_deref(), made.image),
        (Some("python"), None)
    );
}

#[test]
fn a_row_that_is_no_task_is_refused_with_its_reason() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut row = classic();
        change(&mut row);
        task_row(row.as_object().expect("a row"), None).expect_err("is refused")
    };
    assert!(refused(&|row| *row = json!({"a": 1, "b": 2})).contains("no known format: a, b"));
    assert!(refused(&|row| row["FAIL_TO_PASS"] = "[]".into()).contains("no test in FAIL_TO_PASS"));
    assert!(refused(&|row| row["FAIL_TO_PASS"] = "a, b".into()).contains("column `FAIL_TO_PASS`"));
    assert!(
        refused(&|row| row["repo"] = json!(7))
            .contains("column `repo` should be a text, not a number")
    );
    assert!(refused(&|row| row["patch"] = "hello".into()).contains("its gold patch: line 1"));
    assert!(
        refused(&|row| row["patch"] = GOLD.replace("src/a.py", "../a.py").into())
            .contains("leaves the repository")
    );
    assert!(refused(&|row| row["created_at"] = "soon".into()).contains("is no time"));
    assert!(refused(&|row| row["instance_id"] = "a\nb".into()).contains("is no id"));
    let link = "diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc/passwd\n";
    assert!(refused(&|row| row["patch"] = link.into()).contains("120000"));
}

#[test]
fn a_row_that_needs_an_image_is_told_from_one_that_does_not() {
    let needs = |row: &Value| needs_image(row.as_object().expect("a row"));
    let image = expected(Format::SweBench).image.expect("an image");
    assert_eq!(
        needs(&classic()),
        Some(("django__django-11099".into(), image))
    );
    assert_eq!((needs(&own("a")), needs(&json!({"id": 1}))), (None, None));
}

#[test]
fn the_gold_patch_of_swe_smith_undoes_its_bug() {
    let bug = Patch::between("a.py", "one\ntwo\n", "one\n2\n");
    let row = json!({"instance_id": "i", "repo": "swesmith/a__b.12345678", "patch": bug.text(), "FAIL_TO_PASS": ["t"]});
    let made = made(Format::SweSmith, &row);
    let gold = Patch::parse(&made.patch).expect("parses");
    let repaired = gold.apply(&|_| Some("one\n2\n".into())).expect("applies");
    assert_eq!(repaired[0].content.as_deref(), Some("one\ntwo\n"));
}

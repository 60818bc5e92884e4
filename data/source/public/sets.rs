//! What each data set means by its columns.
//!
//! In: a row and its format. Out: a [`TaskRow`] that is not checked yet. One function a family of formats.

use serde_json::{Map, Value};

use super::columns::Columns;
use super::{Format, TaskRow};
use crate::patch::{Patch, is_guarded};
use crate::source::rows::Cells;
use crate::source::self_contained::SelfContained;

pub(super) fn task_row(columns: &Columns, format: Format) -> Result<TaskRow, String> {
    let row = match format {
        Format::SweBench
        | Format::SweBenchV5
        | Format::SweGym
        | Format::SweRebench
        | Format::SweBenchPro => classic(columns, format),
        Format::SweSmith => smith(columns),
        Format::R2eGym => r2e(columns),
        Format::MultiSweBench => multi(columns),
        Format::SelfContained => self_contained(columns),
    }?;
    Ok(TaskRow {
        eval_type: columns.kept("eval_type")?,
        test_cmds: columns.kept("test_cmds")?,
        install_config: columns.kept("install_config")?,
        environment_setup_commit: columns.kept("environment_setup_commit")?,
        before_repo_set_cmd: columns.kept("before_repo_set_cmd")?,
        selected_test_files_to_run: columns.kept("selected_test_files_to_run")?,
        other_columns: columns.rest()?,
        ..row
    })
}

/// The columns of SWE-bench, and of those that took them over.
fn classic(columns: &Columns, format: Format) -> Result<TaskRow, String> {
    let id = columns.need("instance_id")?;
    let patch = columns.given_text("patch")?;
    let config = columns.map("install_config")?.unwrap_or_default();
    let of_config = |name: &str| config.get(name).and_then(command);
    let named = columns.any(&["image", "image_name", "docker_image"])?;
    let tag = columns.text("dockerhub_tag")?;
    // SWE-bench-extra, which is told by its `meta`, never said where its images are.
    let derived = || match format {
        Format::SweGym => Some(format!(
            "xingyaoww/sweb.eval.x86_64.{}",
            id.to_lowercase().replace("__", "_s_")
        )),
        Format::SweBenchPro => tag.map(|tag| format!("jefzda/sweap-images:{tag}")),
        Format::SweRebench => None,
        _ if columns.has("meta") => None,
        _ => Some(format!(
            "swebench/sweb.eval.x86_64.{}:latest",
            id.to_lowercase().replace("__", "_1776_")
        )),
    };
    Ok(TaskRow {
        repo: columns.need("repo")?,
        base_commit: columns.text("base_commit")?,
        image: named.or_else(derived),
        language: columns
            .any(&["language", "lang", "repo_language"])?
            .map(language)
            .or_else(|| language_of(&patch)),
        version: columns.plain("version")?,
        problem_statement: columns
            .any(&["problem_statement", "pr_description"])?
            .unwrap_or_default(),
        hints_text: match format {
            Format::SweBenchPro => {
                joined([columns.text("requirements")?, columns.text("interface")?])
            }
            _ => columns.any(&["hints_text", "interface"])?,
        },
        test_patch: columns.text("test_patch")?,
        fail_to_pass: columns.list("FAIL_TO_PASS")?,
        pass_to_pass: columns.list("PASS_TO_PASS")?,
        eval_script: columns.text("eval_script")?,
        test_command: match columns.any(&["test_cmd", "test_command"])? {
            Some(one) => Some(one),
            None => of_config("test_cmd").or(columns
                .json("test_cmds")
                .ok()
                .flatten()
                .as_ref()
                .and_then(command)),
        },
        log_parser: columns
            .text("log_parser")?
            .or_else(|| of_config("log_parser")),
        created_at: columns.time("created_at")?,
        instance_id: id,
        patch,
        ..TaskRow::default()
    })
}

/// Texts below each other.
fn joined(texts: [Option<String>; 2]) -> Option<String> {
    let texts: Vec<String> = texts.into_iter().flatten().collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// A language in lower case, by its whole name.
fn language(name: String) -> String {
    match name.to_lowercase().as_str() {
        "py" => "python".into(),
        "js" => "javascript".into(),
        "ts" => "typescript".into(),
        "golang" => "go".into(),
        other => other.into(),
    }
}

/// A command, or several that are run one after the other.
fn command(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(list) => {
            let parts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            parts
                .map(|parts| parts.join(" && "))
                .filter(|text| !text.is_empty())
        }
        _ => None,
    }
}

/// SWE-smith: `swesmith/owner__repo.commit8`, and a patch that plants the bug.
fn smith(columns: &Columns) -> Result<TaskRow, String> {
    let bug_patch = columns.need("patch")?;
    let bug = Patch::parse(&bug_patch)
        .map_err(|error| format!("the patch that plants its bug: {error}"))?;
    let mirror = columns.need("repo")?;
    let name = mirror.strip_prefix("swesmith/").unwrap_or(&mirror);
    let (repo, commit) = match name.rsplit_once('.') {
        Some((repo, commit))
            if commit.len() == 8 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            (repo, Some(commit))
        }
        _ => (name, None),
    };
    Ok(TaskRow {
        instance_id: columns.need("instance_id")?,
        repo: repo.replacen("__", "/", 1),
        base_commit: columns.text("base_commit")?.or(commit.map(str::to_string)),
        image: columns.any(&["image_name", "image"])?,
        language: columns
            .text("language")?
            .map(language)
            .or_else(|| language_of(&bug_patch)),
        problem_statement: columns.text("problem_statement")?.unwrap_or_default(),
        patch: bug.reversed().text().to_string(),
        bug_patch: Some(bug_patch),
        fail_to_pass: columns.list("FAIL_TO_PASS")?,
        pass_to_pass: columns.list("PASS_TO_PASS")?,
        created_at: columns.time("created_at")?,
        ..TaskRow::default()
    })
}

/// R2E-Gym: a commit with its diff as JSON, and what each test should say after it.
fn r2e(columns: &Columns) -> Result<TaskRow, String> {
    let repo = columns
        .any(&["repo_name", "repo"])?
        .ok_or("column `repo_name` is missing or empty")?;
    let commit = columns.need("commit_hash")?;
    let parsed = columns
        .map("parsed_commit_content")?
        .ok_or("column `parsed_commit_content` is missing or empty")?;
    let (patch, test_patch) = diff_of(&parsed)?;
    let expected = columns
        .map("expected_output_json")?
        .ok_or("column `expected_output_json` is missing or empty")?;
    if expected.is_empty() {
        return Err("it expects nothing of any test".into());
    }
    let statement = columns.text("problem_statement")?.unwrap_or_default();
    let statement = statement.trim();
    let statement = statement.strip_prefix("[ISSUE]").unwrap_or(statement);
    let statement = statement
        .strip_suffix("[/ISSUE]")
        .unwrap_or(statement)
        .trim();
    let created = Columns::new(Cells::Row(&parsed))
        .time("commit_date")
        .ok()
        .flatten();
    Ok(TaskRow {
        instance_id: columns
            .text("instance_id")?
            .unwrap_or_else(|| format!("{repo}__{commit}")),
        base_commit: parsed
            .get("old_commit_hash")
            .and_then(Value::as_str)
            .map(str::to_string),
        image: Some(
            columns
                .text("docker_image")?
                .unwrap_or_else(|| format!("namanjain12/{repo}_final:{commit}")),
        ),
        language: Some("python".into()),
        problem_statement: statement.to_string(),
        patch,
        test_patch,
        expected_output: Some(Value::Object(expected).to_string()),
        created_at: columns.time("created_at")?.or(created),
        repo,
        ..TaskRow::default()
    })
}

/// The diff of a commit, and the part of it that changes tests.
fn diff_of(commit: &Map<String, Value>) -> Result<(String, Option<String>), String> {
    let files = commit.get("file_diffs").and_then(Value::as_array);
    let files = files.ok_or("column `parsed_commit_content` has no list `file_diffs`")?;
    let (mut code, mut tests) = (String::new(), String::new());
    for (index, file) in files.iter().enumerate() {
        let number = index + 1;
        let binary = file
            .get("is_binary_file")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        if binary {
            return Err(format!("file {number} of its commit is binary"));
        }
        let (path, text) = file_diff(file)
            .ok_or_else(|| format!("file {number} of its commit has another form"))?;
        let judges = is_guarded(&path) || path.split('/').any(|part| part.starts_with("test"));
        if judges { &mut tests } else { &mut code }.push_str(&text);
    }
    Ok((code, Some(tests).filter(|text| !text.is_empty())))
}

/// One file as a diff; empty where it has no hunks, such as a file that is only renamed.
fn file_diff(file: &Value) -> Option<(String, String)> {
    let path = file.pointer("/header/file/path")?.as_str()?;
    let side = |name: &str| {
        let given = file.get(name)?;
        given.as_str().or(given.get("path").and_then(Value::as_str))
    };
    let label = |prefix: &str, name: &str| match side(name) {
        Some("/dev/null") => "/dev/null".to_string(),
        _ => format!("{prefix}{path}"),
    };
    let hunks = file.get("hunks").and_then(Value::as_array)?;
    if hunks.is_empty() {
        return Some((path.to_string(), String::new()));
    }
    let mut text = format!(
        "--- {}\n+++ {}\n",
        label("a/", "minus_file"),
        label("b/", "plus_file")
    );
    for hunk in hunks {
        let range = |name: &str| {
            let range = hunk.pointer(&format!("/descriptor/{name}"))?;
            let start = range.get("start")?.as_u64()?;
            let length = range.get("length").and_then(Value::as_u64).unwrap_or(1);
            Some(format!("{start},{length}"))
        };
        let section = hunk
            .pointer("/descriptor/section")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let space = if section.is_empty() || section.starts_with(' ') {
            ""
        } else {
            " "
        };
        text.push_str(&format!(
            "@@ -{} +{} @@{space}{section}\n",
            range("old_range")?,
            range("new_range")?
        ));
        for line in hunk
            .pointer("/line_group/all_lines")
            .and_then(Value::as_array)?
        {
            let content = line.get("content")?.as_str()?;
            match line.get("type")?.as_str()? {
                "context" => text.push_str(&format!(" {content}\n")),
                "added" => text.push_str(&format!("+{content}\n")),
                "deleted" => text.push_str(&format!("-{content}\n")),
                "note" => text.push_str(&format!("\\ {content}\n")),
                _ => return None,
            }
        }
    }
    Some((path.to_string(), text))
}

/// Multi-SWE-bench: a pull request, and maps from a test to what it said without, with the tests, and with the fix.
fn multi(columns: &Columns) -> Result<TaskRow, String> {
    let (org, name) = (columns.need("org")?, columns.need("repo")?);
    let number = columns
        .plain("number")?
        .ok_or("column `number` is missing or empty")?;
    let patch = columns.given_text("fix_patch")?;
    let base = columns.map("base")?.unwrap_or_default();
    let mut fail_to_pass = Vec::new();
    for tests in ["f2p_tests", "s2p_tests", "n2p_tests"] {
        fail_to_pass.extend(columns.tests(tests)?);
    }
    Ok(TaskRow {
        instance_id: format!("{org}/{name}:pr-{number}"),
        repo: format!("{org}/{name}"),
        base_commit: base.get("sha").and_then(Value::as_str).map(str::to_string),
        image: Some(
            columns
                .any(&["image", "image_name"])?
                .unwrap_or_else(|| format!("mswebench/{org}_m_{name}:pr-{number}").to_lowercase()),
        ),
        language: columns
            .any(&["lang", "language"])?
            .map(language)
            .or_else(|| language_of(&patch)),
        version: columns.plain("tag")?.filter(|tag| !tag.is_empty()),
        problem_statement: statement(columns)?,
        hints_text: columns.text("hints")?,
        test_patch: columns.text("test_patch")?,
        pass_to_pass: columns.tests("p2p_tests")?,
        created_at: columns.time("created_at")?,
        fail_to_pass,
        patch,
        ..TaskRow::default()
    })
}

/// The issues that a pull request resolves, or else the request itself.
fn statement(columns: &Columns) -> Result<String, String> {
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .trim()
            .to_string()
    };
    let told = |title: String, body: String| format!("{title}\n\n{body}").trim().to_string();
    let issues = match columns.json("resolved_issues")? {
        Some(Value::Array(issues)) => issues,
        _ => Vec::new(),
    };
    let issues: Vec<String> = issues
        .iter()
        .map(|issue| told(text(issue, "title"), text(issue, "body")))
        .collect();
    if !issues.is_empty() {
        return Ok(issues.join("\n\n"));
    }
    Ok(told(
        columns.text("title")?.unwrap_or_default(),
        columns.text("body")?.unwrap_or_default(),
    ))
}

/// Rows that bring their repository along keep what they bring.
fn self_contained(columns: &Columns) -> Result<TaskRow, String> {
    let row = columns.row()?.into_owned();
    let read: SelfContained =
        serde_json::from_value(Value::Object(row)).map_err(|error| error.to_string())?;
    columns.take(&[
        "instance_id",
        "language",
        "problem_statement",
        "files",
        "folder",
        "archive",
        "git",
        "commit",
        "base_commit",
        "test_files",
        "test_patch",
        "patch",
        "FAIL_TO_PASS",
        "PASS_TO_PASS",
    ]);
    let path =
        |path: Option<std::path::PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
    let json = |files: &std::collections::BTreeMap<String, String>| {
        (!files.is_empty()).then(|| serde_json::to_string(files).expect("a map of texts is JSON"))
    };
    Ok(TaskRow {
        repo: columns
            .text("repo")?
            .unwrap_or_else(|| read.instance_id.clone()),
        base_commit: read.commit.or(read.base_commit),
        image: columns.any(&["image", "image_name", "docker_image"])?,
        language: Some(
            read.language
                .unwrap_or_else(|| "python".into())
                .to_lowercase(),
        ),
        version: columns.plain("version")?,
        problem_statement: read.problem_statement.unwrap_or_default(),
        hints_text: columns.text("hints_text")?,
        bug_patch: columns.text("bug_patch")?,
        eval_script: columns.text("eval_script")?,
        test_command: columns.text("test_command")?,
        log_parser: columns.text("log_parser")?,
        created_at: columns.time("created_at")?,
        files: json(&read.files),
        test_files: json(&read.test_files),
        folder: path(read.folder),
        archive: path(read.archive),
        git: read.git,
        instance_id: read.instance_id,
        patch: read.patch,
        test_patch: read.test_patch,
        fail_to_pass: read.fail_to_pass,
        pass_to_pass: read.pass_to_pass,
        ..TaskRow::default()
    })
}

/// The language of the first file that a patch changes and whose ending tells it.
fn language_of(patch: &str) -> Option<String> {
    const ENDINGS: &[(&str, &str)] = &[
        (".py", "python"),
        (".js", "javascript"),
        (".jsx", "javascript"),
        (".mjs", "javascript"),
        (".ts", "typescript"),
        (".tsx", "typescript"),
        (".java", "java"),
        (".go", "go"),
        (".rs", "rust"),
        (".rb", "ruby"),
        (".php", "php"),
        (".c", "c"),
        (".h", "c"),
        (".cc", "c++"),
        (".cpp", "c++"),
        (".hpp", "c++"),
    ];
    let paths = patch
        .lines()
        .filter_map(|line| line.strip_prefix("+++ b/").or(line.strip_prefix("--- a/")));
    let told = |path: &str| {
        ENDINGS
            .iter()
            .find(|(ending, _)| path.trim_end().ends_with(ending))
            .map(|(_, name)| name.to_string())
    };
    paths.into_iter().find_map(told)
}

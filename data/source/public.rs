//! Rows of public data sets in one form.
//!
//! In: a row as a data set publishes it, and the name of its format, or none where its columns should tell. Out: a
//! [`TaskRow`], or why it is none.
//! Example: the `patch` of SWE-smith plants the bug, so it becomes `bug_patch` and the gold patch is its reverse.

mod columns;
mod import;
mod sets;
mod table;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rows::Row;
use super::self_contained;

pub use import::{ImportError, Imported, RefusedRow, Wanted, import, refused_path};

/// The format number of a [`TaskRow`]; a reader refuses a larger one.
pub const ROW_FORMAT: u32 = 1;

/// How a data set writes its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// SWE-bench, Lite, Verified, Multilingual, and SWE-bench-extra, which has its columns.
    SweBench,
    /// SWE-bench 5: the row brings its image, its evaluation script and the name of its log parser.
    SweBenchV5,
    /// SWE-Gym.
    SweGym,
    /// SWE-smith: the patch plants the bug.
    SweSmith,
    /// R2E-Gym: the commit and the expected outcome of each test are JSON inside of a string.
    R2eGym,
    /// SWE-rebench V2.
    SweRebench,
    /// Multi-SWE-bench: tests are maps from a name to what each run said.
    MultiSweBench,
    /// Rows that bring their repository along: see [`self_contained`].
    SelfContained,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 8] = [
        Format::SweBench,
        Format::SweBenchV5,
        Format::SweGym,
        Format::SweSmith,
        Format::R2eGym,
        Format::SweRebench,
        Format::MultiSweBench,
        Format::SelfContained,
    ];

    /// Its name at the terminal and in a [`TaskRow`].
    pub fn name(self) -> &'static str {
        match self {
            Format::SweBench => "swe-bench",
            Format::SweBenchV5 => "swe-bench-v5",
            Format::SweGym => "swe-gym",
            Format::SweSmith => "swe-smith",
            Format::R2eGym => "r2e-gym",
            Format::SweRebench => "swe-rebench",
            Format::MultiSweBench => "multi-swe-bench",
            Format::SelfContained => "self-contained",
        }
    }

    /// The format that has such columns; none where no format does.
    pub fn recognise(row: &Row) -> Option<Format> {
        let given = |name: &str| row.get(name).is_some_and(|value| !value.is_null());
        let begins =
            |name: &str, start: &str| row.get(name).and_then(Value::as_str).is_some_and(|text| text.starts_with(start));
        let all = |names: &[&str]| names.iter().all(|name| row.contains_key(*name));
        if self_contained::looks_like(row) {
            return Some(Format::SelfContained);
        }
        if given("parsed_commit_content") || all(&["docker_image", "commit_hash", "expected_output_json"]) {
            return Some(Format::R2eGym);
        }
        if all(&["org", "number", "fix_patch"]) {
            return Some(Format::MultiSweBench);
        }
        if !all(&["instance_id", "patch", "FAIL_TO_PASS"]) {
            return None;
        }
        Some(
            if begins("repo", "swesmith/")
                || row.get("image_name").is_some_and(|name| name.to_string().contains("swesmith"))
            {
                Format::SweSmith
            } else if given("install_config") {
                Format::SweRebench
            } else if given("eval_script") || given("log_parser") {
                Format::SweBenchV5
            } else if row["FAIL_TO_PASS"].is_array() && !row.contains_key("environment_setup_commit") {
                Format::SweGym
            } else {
                Format::SweBench
            },
        )
    }
}

/// One task of a public data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// [`ROW_FORMAT`].
    pub row_format: u32,
    /// [`Format::name`] of what it was read from.
    pub source_format: String,
    /// Unique in its set.
    pub instance_id: String,
    /// The repository, e.g. `django/django`.
    pub repo: String,
    /// The commit that the bug is in.
    pub base_commit: Option<String>,
    /// The container image that its tests run in.
    pub image: Option<String>,
    /// The language, in lower case.
    pub language: Option<String>,
    /// The repository's version, as text: `4.10` is not `4.1`.
    pub version: Option<String>,
    /// What is wrong, in words.
    pub problem_statement: String,
    /// What was said about it, or what the repair must offer.
    pub hints_text: Option<String>,
    /// The gold patch: it repairs the base commit.
    pub patch: String,
    /// The patch that plants the bug, where there is one.
    pub bug_patch: Option<String>,
    /// The patch that puts the tests in place.
    pub test_patch: Option<String>,
    /// Tests that fail before and pass after.
    #[serde(rename = "FAIL_TO_PASS")]
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before and after.
    #[serde(rename = "PASS_TO_PASS")]
    pub pass_to_pass: Vec<String>,
    /// Test to outcome, as JSON, where the set says no more than this.
    pub expected_output: Option<String>,
    /// The script that judges.
    pub eval_script: Option<String>,
    /// Or the command that runs the tests.
    pub test_command: Option<String>,
    /// The name of the parser that reads its log.
    pub log_parser: Option<String>,
    /// When it was written, e.g. `2023-01-02T03:04:05Z`.
    pub created_at: Option<String>,
    /// Path to text, as JSON: rows that bring their repository along.
    pub files: Option<String>,
    /// Or its folder, relative to the file of this row.
    pub folder: Option<String>,
    /// Or its tarball, relative to the file of this row.
    pub archive: Option<String>,
    /// Or its git repository; its commit is `base_commit`.
    pub git: Option<String>,
    /// Path to text, as JSON: the tests of such a row.
    pub test_files: Option<String>,
}

/// A row of `format`, or of the format that its columns tell, in one form.
///
/// # Errors
///
/// What is wrong with the row.
pub fn task_row(row: &Row, format: Option<Format>) -> Result<TaskRow, String> {
    if row.contains_key("source_format") && row.contains_key("row_format") {
        return again(row);
    }
    let format = format.or_else(|| Format::recognise(row)).ok_or_else(|| {
        let columns: Vec<&str> = row.keys().map(String::as_str).take(12).collect();
        format!("its columns are those of no known format: {}\nhint: name it with `--from`", columns.join(", "))
    })?;
    let found = sets::task_row(row, format)?;
    checked(TaskRow { row_format: ROW_FORMAT, source_format: format.name().into(), ..found })
}

/// A row that was imported before.
fn again(row: &Row) -> Result<TaskRow, String> {
    let row: TaskRow = serde_json::from_value(Value::Object(row.clone())).map_err(|error| error.to_string())?;
    if row.row_format > ROW_FORMAT {
        let format = row.row_format;
        return Err(format!("it has the row format {format}; this version reads up to {ROW_FORMAT}\nhint: update"));
    }
    checked(row)
}

/// What holds for every format.
fn checked(row: TaskRow) -> Result<TaskRow, String> {
    let id = &row.instance_id;
    if id.trim().is_empty() || id.len() > 1024 || id.contains(char::is_control) {
        return Err(format!("`{}` is no id", id.chars().take(80).collect::<String>().escape_debug()));
    }
    if row.fail_to_pass.is_empty() && row.expected_output.is_none() {
        return Err("it has no test in FAIL_TO_PASS".into());
    }
    match crate::Patch::parse(&row.patch) {
        Ok(patch) if patch.is_empty() => Err("its gold patch is empty".into()),
        Ok(_) => Ok(row),
        Err(error) => Err(format!("its gold patch: {error}")),
    }
}

/// The image that a row needs, and its id, where it does not bring its repository along; none where it does, or is of
/// no known format.
pub fn needs_image(row: &Row) -> Option<(String, String)> {
    let format = Format::recognise(row).filter(|format| *format != Format::SelfContained)?;
    let told = |row: TaskRow| (row.instance_id, row.image.unwrap_or_else(|| "that it does not name".into()));
    let id = || row.get("instance_id").and_then(Value::as_str).unwrap_or("without an id").to_string();
    Some(task_row(row, Some(format)).map_or_else(|_| (id(), "that it does not name".into()), told))
}

#[cfg(test)]
mod tests;

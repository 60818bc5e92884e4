//! Rows of public data sets in one form.
//!
//! In: a row as a data set publishes it, and the name of its format, or none where its columns should tell. Out: a
//! [`TaskRow`], or why it is none.
//! Example: the `patch` of SWE-smith plants the bug, so it becomes `bug_patch` and the gold patch is its reverse.

mod columns;
mod import;
mod remark;
mod row;
mod sets;
mod table;

use serde::{Deserialize, Serialize};

use super::rows::{Cell, Cells, Row};
use super::self_contained;
use columns::Columns;

pub use import::{
    ImportError, Imported, RefusedRow, RemarkedRow, Wanted, import, refused_path, remarks_path,
};
pub use remark::{GRADING_COLUMNS, Remark, RemarkKind, remarks};
pub use row::{ROW_FORMAT, TaskRow};

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
    /// SWE-bench Pro: names of columns in small letters, lists of tests in Python's notation.
    SweBenchPro,
    /// Multi-SWE-bench: tests are maps from a name to what each run said.
    MultiSweBench,
    /// Rows that bring their repository along: see [`self_contained`].
    SelfContained,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 9] = [
        Format::SweBench,
        Format::SweBenchV5,
        Format::SweGym,
        Format::SweSmith,
        Format::R2eGym,
        Format::SweRebench,
        Format::SweBenchPro,
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
            Format::SweBenchPro => "swe-bench-pro",
            Format::MultiSweBench => "multi-swe-bench",
            Format::SelfContained => "self-contained",
        }
    }

    /// The format that has such columns; none where no format does.
    pub fn recognise(row: &Row) -> Option<Format> {
        Format::from_columns(&Columns::new(Cells::Row(row)))
    }

    fn from_columns(columns: &Columns) -> Option<Format> {
        let all = |names: &[&str]| names.iter().all(|name| columns.has(name));
        let text = |name: &str, like: &dyn Fn(&str) -> bool| columns.peek(name, like);
        let own = ["files", "folder", "archive", "git", "test_files"];
        if own.iter().any(|name| columns.given(name))
            && columns
                .row()
                .is_ok_and(|row| self_contained::looks_like(&row))
        {
            return Some(Format::SelfContained);
        }
        if columns.given("parsed_commit_content")
            || all(&["docker_image", "commit_hash", "expected_output_json"])
        {
            return Some(Format::R2eGym);
        }
        if all(&["org", "number", "fix_patch"]) {
            return Some(Format::MultiSweBench);
        }
        if !all(&["instance_id", "patch", "FAIL_TO_PASS"]) {
            return None;
        }
        let smith = text("repo", &|repo| repo.starts_with("swesmith/"))
            || text("image_name", &|name| name.contains("swesmith"));
        Some(if smith {
            Format::SweSmith
        } else if [
            "dockerhub_tag",
            "before_repo_set_cmd",
            "selected_test_files_to_run",
        ]
        .iter()
        .any(|name| columns.given(name))
        {
            Format::SweBenchPro
        } else if columns.given("install_config") {
            Format::SweRebench
        } else if columns.given("eval_script") || columns.given("log_parser") {
            Format::SweBenchV5
        } else if columns.has_list("FAIL_TO_PASS") && !columns.has("environment_setup_commit") {
            Format::SweGym
        } else {
            Format::SweBench
        })
    }
}

/// A row of `format`, or of the format that its columns tell, in one form.
///
/// # Errors
///
/// What is wrong with the row.
pub fn task_row(row: &Row, format: Option<Format>) -> Result<TaskRow, String> {
    task_row_of(Cells::Row(row), format)
}

/// As [`task_row`], of a row where it lies.
fn task_row_of(cells: Cells, format: Option<Format>) -> Result<TaskRow, String> {
    let columns = Columns::new(cells);
    if columns.has("source_format") && columns.has("row_format") {
        return checked(TaskRow::again(&columns)?);
    }
    let format = format
        .or_else(|| Format::from_columns(&columns))
        .ok_or_else(|| {
            let columns: Vec<&str> = (0..cells.columns().min(12))
                .map(|column| cells.name(column))
                .collect();
            format!(
                "its columns are those of no known format: {}{}",
                columns.join(", "),
                crate::Hint("name it with `--from`")
            )
        })?;
    let found = sets::task_row(&columns, format)?;
    checked(TaskRow {
        row_format: ROW_FORMAT,
        source_format: format.name().into(),
        ..found
    })
}

/// What holds for every format.
fn checked(row: TaskRow) -> Result<TaskRow, String> {
    let id = &row.instance_id;
    if id.trim().is_empty() || id.len() > 1024 || id.contains(char::is_control) {
        return Err(format!(
            "`{}` is no id",
            id.chars().take(80).collect::<String>().escape_debug()
        ));
    }
    if row.fail_to_pass.is_empty() && row.expected_output.is_none() {
        return Err("it has no test in FAIL_TO_PASS".into());
    }
    // No gold patch is told as a remark; one that is none is refused.
    if row.patch.is_empty() {
        return Ok(row);
    }
    match crate::Patch::parse(&row.patch) {
        Ok(_) => Ok(row),
        Err(error) => Err(format!("its gold patch: {error}")),
    }
}

/// The image that a row needs, and its id, where it does not bring its repository along; none where it does, or is of
/// no known format.
pub fn needs_image(row: &Row) -> Option<(String, String)> {
    let format = Format::recognise(row).filter(|format| *format != Format::SelfContained)?;
    let told = |row: TaskRow| {
        (
            row.instance_id,
            row.image.unwrap_or_else(|| "that it does not name".into()),
        )
    };
    let id = || match Cells::Row(row).get("instance_id") {
        Ok(Some(Cell::Text(id))) => id.to_string(),
        _ => "without an id".to_string(),
    };
    Some(task_row(row, Some(format)).map_or_else(|_| (id(), "that it does not name".into()), told))
}

#[cfg(test)]
mod import_tests;
#[cfg(test)]
mod tests;

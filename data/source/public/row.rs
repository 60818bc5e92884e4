//! One task of a public data set, whatever set it is from.
//!
//! In: the columns of a file that was imported before. Out: the row. Its texts that may be missing are listed once, for
//! reading and for writing.

use serde::{Deserialize, Serialize};

use super::columns::Columns;

/// The format number of a [`TaskRow`]; a reader refuses a larger one.
pub const ROW_FORMAT: u32 = 2;

/// A [`TaskRow`] with the columns that may be null, in the order of the file.
macro_rules! task_row {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// One task of a public data set.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct TaskRow {
            /// [`ROW_FORMAT`].
            pub row_format: u32,
            /// [`Format::name`](super::Format::name) of what it was read from.
            pub source_format: String,
            /// Unique in its set.
            pub instance_id: String,
            /// The repository, e.g. `django/django`.
            pub repo: String,
            /// What is wrong, in words.
            pub problem_statement: String,
            /// The gold patch: it repairs the base commit. Empty where the set has none.
            pub patch: String,
            /// Tests that fail before and pass after.
            #[serde(rename = "FAIL_TO_PASS")]
            pub fail_to_pass: Vec<String>,
            /// Tests that pass before and after.
            #[serde(rename = "PASS_TO_PASS")]
            pub pass_to_pass: Vec<String>,
            $($(#[doc = $doc])* pub $name: Option<String>,)*
        }

        impl TaskRow {
            /// The columns of text, in the order of the file.
            pub(super) fn texts(&self) -> Vec<(&'static str, Option<&str>)> {
                vec![
                    ("source_format", Some(self.source_format.as_str())),
                    ("instance_id", Some(self.instance_id.as_str())),
                    ("repo", Some(self.repo.as_str())),
                    ("problem_statement", Some(self.problem_statement.as_str())),
                    ("patch", Some(self.patch.as_str())),
                    $((stringify!($name), self.$name.as_deref()),)*
                ]
            }

            /// A row that was imported before.
            pub(super) fn again(columns: &Columns) -> Result<TaskRow, String> {
                let row_format = columns.plain("row_format")?.unwrap_or_default();
                let row_format = row_format.parse().map_err(|_| format!("`{row_format}` is no row format"))?;
                if row_format > ROW_FORMAT {
                    return Err(format!("it has the row format {row_format}; this version reads up to {ROW_FORMAT}{}", crate::Hint("update")));
                }
                Ok(TaskRow {
                    row_format,
                    source_format: columns.need("source_format")?,
                    instance_id: columns.need("instance_id")?,
                    repo: columns.given_text("repo")?,
                    problem_statement: columns.text("problem_statement")?.unwrap_or_default(),
                    patch: columns.given_text("patch")?,
                    fail_to_pass: columns.list("FAIL_TO_PASS")?,
                    pass_to_pass: columns.list("PASS_TO_PASS")?,
                    $($name: columns.text(stringify!($name))?,)*
                })
            }
        }
    };
}

task_row! {
    /// The commit that the bug is in.
    base_commit,
    /// The container image that its tests run in.
    image,
    /// The language, in lower case.
    language,
    /// The repository's version, as text: `4.10` is not `4.1`.
    version,
    /// What was said about it, or what the repair must offer.
    hints_text,
    /// The patch that plants the bug, where there is one.
    bug_patch,
    /// The patch that puts the tests in place.
    test_patch,
    /// Test to outcome, as JSON, where the set says no more than this.
    expected_output,
    /// The script that judges.
    eval_script,
    /// Or the command that runs the tests.
    test_command,
    /// The name of the parser that reads its log.
    log_parser,
    /// When it was written, e.g. `2023-01-02T03:04:05Z`.
    created_at,
    /// Path to text, as JSON: rows that bring their repository along.
    files,
    /// Or its folder, relative to the file of this row.
    folder,
    /// Or its tarball, relative to the file of this row.
    archive,
    /// Or its git repository; its commit is `base_commit`.
    git,
    /// Path to text, as JSON: the tests of such a row.
    test_files,
    /// Which tests decide: `pass_and_fail` or `fail_only`.
    eval_type,
    /// Commands that run the tests, as published: text or JSON.
    test_cmds,
    /// How the environment is installed, as JSON.
    install_config,
    /// The commit that the environment is installed for.
    environment_setup_commit,
    /// What is run in the repository before the tests.
    before_repo_set_cmd,
    /// The test files that are run, as published.
    selected_test_files_to_run,
    /// Every other column that is not empty, as one JSON object.
    other_columns,
}

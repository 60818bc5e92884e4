//! One bug in one repository, with the tests that judge it.
//!
//! Example: package `money` has `return a - b` where `a + b` stood; `tests/test_money.py::test_sum` fails until
//! the line is repaired.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::patch::{Patch, is_guarded};

/// The format number written with every task; a reader refuses a larger one.
pub const TASK_FORMAT: u32 = 1;

/// What the tests of a task are written in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// pytest runs them.
    #[default]
    Python,
    /// jest runs them.
    JavaScript,
}

impl Language {
    /// The one of this name, in letters of any size; `None` for a language whose tests nothing here runs.
    pub fn from_name(name: &str) -> Option<Language> {
        let name = name.trim().to_lowercase();
        [Language::Python, Language::JavaScript]
            .into_iter()
            .find(|language| language.name() == name)
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::JavaScript => "javascript",
        }
    }
}

/// One bug in one repository, with the tests that judge it.
///
/// Invariant: at least one test in `fail_to_pass`, each of which fails on the base tree and passes with `gold`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// [`TASK_FORMAT`].
    pub format: u32,
    /// Unique in its set: `<repo>.<kind>__<hash8>`, as SWE-smith names them.
    pub id: String,
    /// The repository or package, e.g. `money` or `cachetools==6.1.0`.
    pub repo: String,
    /// Folder of the clean source tree, relative to the folder that holds the task file. Read-only and trusted.
    pub tree: String,
    /// BLAKE3 of the clean tree: what stands in for the base commit.
    pub base_commit: String,
    /// Container image, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The diff that plants the bug; applied to `tree` it gives the base tree that the model sees.
    pub bug: Patch,
    /// The diff that repairs the base tree.
    pub gold: Patch,
    /// How the bug was made, e.g. `compare`, `constant`, `variable`.
    pub kind: String,
    /// What is wrong, made from the failing tests' output.
    pub statement: String,
    /// The function that holds the bug (oracle localization): the part of the base tree that a prompt shows.
    pub focus: Focus,
    /// Test ids (node ids of pytest; of jest `a.test.js::describe > inner > name`) that fail on the base tree and pass when it is repaired.
    pub fail_to_pass: Vec<String>,
    /// Test ids that pass before and after.
    pub pass_to_pass: Vec<String>,
    /// Files that judge besides those of the tests and what is guarded by its name: a patch of them is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<String>,
    /// Folders below the tree that are put on `PYTHONPATH`, e.g. `.` or `src`.
    pub python_path: Vec<String>,
    /// What its tests are written in.
    pub language: Language,
}

impl Task {
    /// A patch without the files that judge it, and the paths that were left out: guarded by their name, of a test that
    /// judges, or trusted by the task.
    pub fn judged(&self, patch: &Patch) -> (Patch, Vec<String>) {
        let tests: HashSet<&str> = self
            .fail_to_pass
            .iter()
            .chain(&self.pass_to_pass)
            .map(|id| file_of(id))
            .collect();
        patch.without(&|path| {
            is_guarded(path) || tests.contains(path) || self.trusted.iter().any(|one| one == path)
        })
    }
}

/// The file of a test id, e.g. `tests/test_a.py` of `tests/test_a.py::test_sum`.
pub fn file_of(id: &str) -> &str {
    id.split_once("::").map_or(id, |(file, _)| file)
}

/// A span of lines of one file of the base tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Focus {
    /// Path below the tree, with `/`.
    pub path: String,
    /// First line, counted from 1.
    pub first_line: usize,
    /// Last line, included.
    pub last_line: usize,
}

//! Rows that bring their whole repository along become tasks.
//!
//! In: a row with `files` (path to text), a `folder`, an `archive`, or `git` and a `commit`; the trusted `test_files` or a
//! `test_patch`, a gold `patch` and the two lists of tests. Out: a [`Task`] whose clean tree, written to disk, is the
//! repaired one with its tests; the bug is the gold patch backwards.
//! Example: `{"instance_id": "money-1", "files": {"money.py": "…a - b…"}, "test_files": {"test_money.py": "…"},
//! "patch": "…", "FAIL_TO_PASS": ["test_money.py::test_sum"], "PASS_TO_PASS": []}`.

mod archive;
pub(super) mod git;
mod links;
pub(super) mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::functions::{functions, tree_hash};
use super::rows::{Row, names, texts};
use super::suspect::suspect;
use crate::patch::{FileChange, Patch, is_guarded, not_text};
use crate::task::{Focus, Language, TASK_FORMAT, Task};
use tree::Tree;

/// One row.
#[derive(Clone, Debug, Deserialize)]
pub struct SelfContained {
    /// Unique in its set.
    pub instance_id: String,
    /// `python` or `javascript`; `python` where nothing is said.
    #[serde(default)]
    pub language: Option<String>,
    /// What is wrong, in words.
    #[serde(default)]
    pub problem_statement: Option<String>,
    /// The tree that the model sees, or what lies over it: path to text.
    #[serde(default, deserialize_with = "texts")]
    pub files: BTreeMap<String, String>,
    /// A folder that holds it, relative to the file of the row.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Or a `.tar` or `.tar.gz`, relative to the file of the row.
    #[serde(default)]
    pub archive: Option<PathBuf>,
    /// Or a repository: an address, or a path as above.
    #[serde(default)]
    pub git: Option<String>,
    /// Its commit.
    #[serde(default)]
    pub commit: Option<String>,
    /// Its commit where no `commit` is named.
    #[serde(default)]
    pub base_commit: Option<String>,
    /// The tests that judge, put in place for grading: path to text.
    #[serde(default, deserialize_with = "texts")]
    pub test_files: BTreeMap<String, String>,
    /// Or the diff that puts them in place.
    #[serde(default)]
    pub test_patch: Option<String>,
    /// The diff that repairs the tree; empty where nobody knows one.
    #[serde(default, deserialize_with = "text_or_null")]
    pub patch: String,
    /// Tests that fail before and pass after.
    #[serde(rename = "FAIL_TO_PASS", deserialize_with = "names")]
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before and after.
    #[serde(rename = "PASS_TO_PASS", default, deserialize_with = "names")]
    pub pass_to_pass: Vec<String>,
}

/// A text, or nothing.
fn text_or_null<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(value)?.unwrap_or_default())
}

/// True where a row looks like one of these.
pub fn looks_like(row: &Row) -> bool {
    let given = |key: &&str| {
        row.get(*key)
            .is_some_and(|value| !value.is_null() && *value != Value::String("".into()))
    };
    row.contains_key("FAIL_TO_PASS")
        && ["files", "folder", "archive", "git", "test_files"]
            .iter()
            .any(given)
}

/// Makes a task of a row. Its clean tree is written below `out`; `beside` is the folder of the row's file.
///
/// # Errors
///
/// What is wrong with the row, or why its tree cannot be written.
pub fn to_task(row: &SelfContained, beside: &Path, out: &Path) -> Result<Task, String> {
    let Some(language) = row
        .language
        .as_deref()
        .map_or(Some(Language::Python), Language::from_name)
    else {
        let language = row
            .language
            .as_deref()
            .unwrap_or_default()
            .trim()
            .to_lowercase();
        return Err(format!(
            "`{}` is in {language}; this version grades python and javascript",
            row.instance_id
        ));
    };
    if row.fail_to_pass.is_empty() {
        return Err(format!("`{}` has no test in FAIL_TO_PASS", row.instance_id));
    }
    let base = tree::base_tree(row, beside, out)?;
    let tests = test_files(row, &base)?;
    let gold = diff(&row.patch, &row.instance_id, "patch")?;
    let mut clean = base.clone();
    change(
        &mut clean,
        applied(&gold, &base).map_err(|error| said(row, "patch", &error))?,
    );
    change(&mut clean, tests.clone());
    tree::check(&clean, &row.instance_id)?;
    let trusted: Vec<String> = tests
        .iter()
        .map(|test| &test.path)
        .filter(|path| !is_guarded(path))
        .cloned()
        .collect();
    // What judges is part of the clean tree, and no bug undoes it.
    let (gold, _) =
        gold.without(&|path| is_guarded(path) || tests.iter().any(|test| test.path == path));
    // A row may come without a repair: predictions are judged by its tests all the same.
    if gold.is_empty() && !row.patch.trim().is_empty() {
        return Err(format!(
            "the patch of `{}` changes nothing but what judges it",
            row.instance_id
        ));
    }
    let gold = exact(gold, &base, &clean).map_err(|error| said(row, "patch", &error))?;
    let tree = format!("trees/{}", folder_name(&row.instance_id));
    let root = out.join(&tree);
    tree::write(&root, &clean)?;
    let python_path = if root.join("src").is_dir() {
        vec!["src".into(), ".".into()]
    } else {
        vec![".".into()]
    };
    let suspected = if gold.is_empty() {
        let said = row.problem_statement.as_deref().unwrap_or_default();
        suspect(&root, &row.fail_to_pass, said).map_err(|error| error.to_string())?
    } else {
        None
    };
    Ok(Task {
        format: TASK_FORMAT,
        id: row.instance_id.clone(),
        repo: row.instance_id.clone(),
        tree,
        base_commit: tree_hash(&root).map_err(|error| error.to_string())?,
        image: None,
        bug: gold.reversed(),
        focus: suspected.unwrap_or_else(|| focus(&gold, &base, language)),
        gold,
        kind: "self-contained".into(),
        statement: row.problem_statement.clone().unwrap_or_default(),
        fail_to_pass: row.fail_to_pass.clone(),
        pass_to_pass: row.pass_to_pass.clone(),
        trusted,
        python_path,
        language,
    })
}

fn said(row: &SelfContained, what: &str, error: &dyn std::fmt::Display) -> String {
    format!("the {what} of `{}`: {error}", row.instance_id)
}

fn diff(text: &str, id: &str, what: &str) -> Result<Patch, String> {
    Patch::parse(text).map_err(|error| format!("the {what} of `{id}`: {error}"))
}

/// The files that judge: as they are given, or as the test patch makes them.
fn test_files(row: &SelfContained, base: &Tree) -> Result<Vec<FileChange>, String> {
    let given = row.test_files.iter();
    let given = given.map(|(path, text)| FileChange {
        path: path.clone(),
        content: Some(text.clone()),
    });
    let given: Vec<FileChange> = given.collect();
    match row
        .test_patch
        .as_deref()
        .filter(|text| given.is_empty() && !text.trim().is_empty())
    {
        None => Ok(given),
        Some(text_of) => {
            let patch = diff(text_of, &row.instance_id, "test patch")?;
            applied(&patch, base).map_err(|error| said(row, "test patch", &error))
        }
    }
}

/// What a patch makes of a tree. Files that it does not name may be of any encoding.
fn applied(patch: &Patch, tree: &Tree) -> Result<Vec<FileChange>, String> {
    let is_bytes = |path: &&str| tree.contains_key(*path) && text(tree, path).is_none();
    if let Some(path) = patch.paths().into_iter().find(is_bytes) {
        return Err(not_text(path));
    }
    patch
        .apply(&|path| text(tree, path))
        .map_err(|error| error.to_string())
}

/// The repair as a patch that applies at its lines, forwards and backwards. One that applies somewhere else, or with
/// other context, is written anew: what undoes it would not find its place.
fn exact(gold: Patch, base: &Tree, clean: &Tree) -> Result<Patch, String> {
    let undone = |bug: &Patch| -> Option<bool> {
        let changes = applied(bug, clean).ok()?;
        Some(
            changes
                .iter()
                .all(|change| text(base, &change.path) == change.content),
        )
    };
    let stands_as_written = gold
        .paths()
        .iter()
        .all(|path| gold.stands(path, &text(base, path).unwrap_or_default()));
    if stands_as_written && undone(&gold.reversed()) == Some(true) {
        return Ok(gold);
    }
    let between = |path: &&str| {
        Patch::change(
            path,
            text(base, path).as_deref(),
            text(clean, path).as_deref(),
        )
    };
    let files: Vec<Patch> = gold.paths().iter().map(between).collect();
    Patch::joined(&files).map_err(|error| error.to_string())
}

fn change(tree: &mut Tree, changes: Vec<FileChange>) {
    for FileChange { path, content } in changes {
        match content {
            Some(content) => tree.insert(path, content.into_bytes()),
            None => tree.remove(&path),
        };
    }
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    tree.get(path)
        .and_then(|bytes| String::from_utf8(bytes.clone()).ok())
}

/// An id as the name of a folder: what is no plain character becomes `_`, and a hash keeps ids apart.
fn folder_name(id: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=".contains(letter);
    let name: String = id
        .chars()
        .map(|letter| if plain(letter) { letter } else { '_' })
        .take(80)
        .collect();
    if name == id {
        name
    } else {
        format!("{name}-{}", &blake3::hash(id.as_bytes()).to_hex()[..8])
    }
}

/// The function in which the gold patch begins, or else the whole file; always that where we know no functions.
fn focus(gold: &Patch, base: &Tree, language: Language) -> Focus {
    let path = gold
        .paths()
        .into_iter()
        .find(|path| base.contains_key(*path))
        .or(base.keys().next().map(String::as_str));
    let path = path.unwrap_or_default().to_string();
    let text = text(base, &path).unwrap_or_default();
    let line = gold.first_line(&path).unwrap_or(1);
    let known = if language == Language::Python {
        functions(&text)
    } else {
        Vec::new()
    };
    let around = known
        .into_iter()
        .find(|one| (one.first_line..=one.last_line).contains(&line));
    let (first_line, last_line) = around.map_or((1, text.lines().count().max(1)), |function| {
        (function.first_line, function.last_line)
    });
    Focus {
        path,
        first_line,
        last_line,
    }
}

#[cfg(test)]
mod tests;

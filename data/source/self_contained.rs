//! Rows that bring their whole repository along become tasks.
//!
//! In: a row with `files` (path to text) or a `folder`, the trusted `test_files`, a gold `patch` and the two lists of
//! tests. Out: a [`Task`] whose clean tree, written to disk, is the repaired one with its tests; the bug is the gold
//! patch backwards.
//! Example: `{"instance_id": "money-1", "files": {"money.py": "…a - b…"}, "test_files": {"test_money.py": "…"},
//! "patch": "…", "FAIL_TO_PASS": ["test_money.py::test_sum"], "PASS_TO_PASS": []}`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::functions::{below, functions, tree_hash, walk};
use super::rows::{Row, names};
use crate::file::write_whole;
use crate::patch::{FileChange, Patch, check_path, is_guarded};
use crate::task::{Focus, TASK_FORMAT, Task};

/// The most bytes, and the most files, of one tree.
const MAX_TREE_BYTES: usize = 64 << 20;
const MAX_TREE_FILES: usize = 20_000;

/// One row.
#[derive(Clone, Debug, Deserialize)]
pub struct SelfContained {
    /// Unique in its set.
    pub instance_id: String,
    /// `python` where nothing is said.
    #[serde(default)]
    pub language: Option<String>,
    /// What is wrong, in words.
    #[serde(default)]
    pub problem_statement: String,
    /// The tree that the model sees: path to text.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Or a folder that holds it, relative to the file of the row.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// The tests that judge, put in place for grading: path to text.
    #[serde(default)]
    pub test_files: BTreeMap<String, String>,
    /// The diff that repairs the tree.
    pub patch: String,
    /// Tests that fail before and pass after.
    #[serde(rename = "FAIL_TO_PASS", deserialize_with = "names")]
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before and after.
    #[serde(rename = "PASS_TO_PASS", default, deserialize_with = "names")]
    pub pass_to_pass: Vec<String>,
}

/// True where a row looks like one of these.
pub fn looks_like(row: &Row) -> bool {
    row.contains_key("FAIL_TO_PASS") && ["files", "folder", "test_files"].iter().any(|key| row.contains_key(*key))
}

/// Makes a task of a row. Its clean tree is written below `out`; `beside` is the folder of the row's file.
///
/// # Errors
///
/// What is wrong with the row, or why its tree cannot be written.
pub fn to_task(row: &SelfContained, beside: &Path, out: &Path) -> Result<Task, String> {
    let language = row.language.clone().unwrap_or_else(|| "python".into());
    if language != "python" {
        return Err(format!("`{}` is in {language}; this version grades Python", row.instance_id));
    }
    if row.fail_to_pass.is_empty() {
        return Err(format!("`{}` has no test in FAIL_TO_PASS", row.instance_id));
    }
    let base = base_tree(row, beside)?;
    let said = |error: &dyn std::fmt::Display| format!("the patch of `{}`: {error}", row.instance_id);
    let gold = Patch::parse(&row.patch).map_err(|error| said(&error))?;
    let mut clean = base.clone();
    for FileChange { path, content } in gold.apply(&|path| base.get(path).cloned()).map_err(|error| said(&error))? {
        match content {
            Some(content) => clean.insert(path, content),
            None => clean.remove(&path),
        };
    }
    clean.extend(row.test_files.clone());
    let trusted: Vec<String> = row.test_files.keys().filter(|path| !is_guarded(path)).cloned().collect();
    // What judges is part of the clean tree, and no bug undoes it.
    let (gold, _) = gold.without(&|path| is_guarded(path) || row.test_files.contains_key(path));
    if gold.is_empty() {
        return Err(format!("the patch of `{}` changes nothing but what judges it", row.instance_id));
    }
    let tree = format!("trees/{}", folder_name(&row.instance_id));
    let root = out.join(&tree);
    write_tree(&root, &clean)?;
    let python_path = if root.join("src").is_dir() { vec!["src".into(), ".".into()] } else { vec![".".into()] };
    Ok(Task {
        format: TASK_FORMAT,
        id: row.instance_id.clone(),
        repo: row.instance_id.clone(),
        tree,
        base_commit: tree_hash(&root).map_err(|error| error.to_string())?,
        image: None,
        bug: gold.reversed(),
        focus: focus(&gold, &base),
        gold,
        kind: "self-contained".into(),
        statement: row.problem_statement.clone(),
        fail_to_pass: row.fail_to_pass.clone(),
        pass_to_pass: row.pass_to_pass.clone(),
        trusted,
        python_path,
        language,
    })
}

/// The tree that the model sees, without the tests that judge.
fn base_tree(row: &SelfContained, beside: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut files = row.files.clone();
    if let Some(folder) = &row.folder {
        let told = |error: std::io::Error| format!("the folder `{}`: {error}", folder.display());
        let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
        let (home, root) = (beside.canonicalize().map_err(told)?, beside.join(folder).canonicalize().map_err(told)?);
        if !root.starts_with(&home) {
            return Err(format!("the folder of `{}` leaves the one of its data set", row.instance_id));
        }
        let mut left = MAX_TREE_BYTES as u64;
        for path in walk(&root, &|name| name != "__pycache__" && name != ".git").map_err(|error| error.to_string())? {
            let size = fs::metadata(&path).map_err(told)?.len();
            left = left.checked_sub(size).ok_or_else(|| format!("the tree of `{}` is too large", row.instance_id))?;
            let text = fs::read_to_string(&path);
            files.insert(below(&root, &path), text.map_err(|error| format!("`{}`: {error}", path.display()))?);
        }
    }
    if files.is_empty() {
        return Err(format!("`{}` has neither `files` nor a `folder` with files", row.instance_id));
    }
    let bytes: usize = files.values().chain(row.test_files.values()).map(String::len).sum();
    if bytes > MAX_TREE_BYTES || files.len() + row.test_files.len() > MAX_TREE_FILES {
        let limits = format!("{MAX_TREE_BYTES} bytes or {MAX_TREE_FILES} files");
        return Err(format!("the tree of `{}` holds more than {limits}", row.instance_id));
    }
    files
        .keys()
        .chain(row.test_files.keys())
        .try_for_each(|path| check_path(path))
        .map_err(|error| error.to_string())?;
    Ok(files)
}

/// A tree is written beside its place and moved there, so that one that was begun is never taken for a whole one.
fn write_tree(root: &Path, files: &BTreeMap<String, String>) -> Result<(), String> {
    let begun = root.with_extension("begun");
    let told = |error: std::io::Error| format!("cannot write the tree `{}`: {error}", root.display());
    for old in [root, &begun] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(told)?;
        }
    }
    fs::create_dir_all(&begun).map_err(told)?;
    for (path, text) in files {
        write_whole(&begun.join(path), text.as_bytes()).map_err(|error| error.to_string())?;
    }
    fs::rename(&begun, root).map_err(told)
}

/// An id as the name of a folder: what is no plain character becomes `_`, and a hash keeps ids apart.
fn folder_name(id: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=".contains(letter);
    let name: String = id.chars().map(|letter| if plain(letter) { letter } else { '_' }).take(80).collect();
    if name == id { name } else { format!("{name}-{}", &blake3::hash(id.as_bytes()).to_hex()[..8]) }
}

/// The function in which the gold patch begins, or else the whole file.
fn focus(gold: &Patch, base: &BTreeMap<String, String>) -> Focus {
    let path =
        gold.paths().into_iter().find(|path| base.contains_key(*path)).or(base.keys().next().map(String::as_str));
    let path = path.unwrap_or_default().to_string();
    let text = base.get(&path).map(String::as_str).unwrap_or_default();
    let line = gold.first_line(&path).unwrap_or(1);
    let around = functions(text).into_iter().find(|one| (one.first_line..=one.last_line).contains(&line));
    let (first_line, last_line) =
        around.map_or((1, text.lines().count().max(1)), |function| (function.first_line, function.last_line));
    Focus { path, first_line, last_line }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "x = 1\n\n\ndef add(a, b):\n    return a - b\n";
    const TEST: &str = "from money import add\ndef test_sum(): assert add(1, 2) == 3\n";

    fn row(change: impl FnOnce(&mut serde_json::Value)) -> SelfContained {
        let gold = Patch::between("money.py", BASE, &BASE.replace("a - b", "a + b"));
        let mut row = serde_json::json!({
            "instance_id": "money/1", "problem_statement": "sums are wrong", "files": {"money.py": BASE},
            "test_files": {"tests/test_money.py": TEST}, "test_command": "pytest -q", "patch": gold.text(),
            "FAIL_TO_PASS": "[\"tests/test_money.py::test_sum\"]", "PASS_TO_PASS": [],
        });
        change(&mut row);
        serde_json::from_value(row).expect("a row")
    }

    fn made(name: &str, row: &SelfContained) -> (PathBuf, Result<Task, String>) {
        let out = std::env::temp_dir().join(format!("self-contained-{name}-{}", std::process::id()));
        fs::create_dir_all(&out).expect("a folder");
        let task = to_task(row, &out, &out);
        (out, task)
    }

    #[test]
    fn a_row_becomes_a_task_whose_base_tree_is_the_row() {
        let (out, task) = made("plain", &row(|_| ()));
        let task = task.expect("a task");
        assert_eq!(task.tree, "trees/money_1-".to_string() + &blake3::hash(b"money/1").to_hex()[..8]);
        let read = |path: &str| fs::read_to_string(out.join(&task.tree).join(path)).ok();
        assert_eq!(read("tests/test_money.py").as_deref(), Some(TEST));
        let base = task.bug.apply(&read).expect("applies");
        assert_eq!(base, [FileChange { path: "money.py".into(), content: Some(BASE.into()) }]);
        assert_eq!(task.focus, Focus { path: "money.py".into(), first_line: 4, last_line: 5 });
        assert_eq!(task.fail_to_pass, ["tests/test_money.py::test_sum"]);
        fs::remove_dir_all(out).expect("cleans up");
    }

    #[test]
    fn a_folder_is_as_good_as_files() {
        let row = row(|row| {
            row["files"] = serde_json::json!({});
            row["folder"] = serde_json::json!("given");
        });
        let (out, nothing) = made("folder", &row);
        assert!(nothing.is_err());
        write_whole(&out.join("given/money.py"), BASE.as_bytes()).expect("writes");
        assert!(to_task(&row, &out, &out).is_ok());
        let elsewhere = SelfContained { folder: Some("../..".into()), ..row.clone() };
        assert!(to_task(&elsewhere, &out, &out).expect_err("is refused").contains("leaves"));
        fs::remove_dir_all(out).expect("cleans up");
    }

    #[test]
    fn what_judges_belongs_to_the_clean_tree() {
        let code = Patch::between("money.py", BASE, &BASE.replace("a - b", "a + b"));
        let test = Patch::between("tests/test_old.py", "x = 1\n", "x = 2\n");
        let row = row(|row| {
            row["files"]["tests/test_old.py"] = "x = 1\n".into();
            row["test_files"]["checks/sums.py"] = TEST.into();
            row["patch"] = Patch::joined(&[code.clone(), test]).expect("joins").text().into();
        });
        let (out, task) = made("judges", &row);
        let task = task.expect("a task");
        assert_eq!(task.gold, code);
        assert_eq!(fs::read_to_string(out.join(&task.tree).join("tests/test_old.py")).expect("a file"), "x = 2\n");
        let forged = Patch::between("checks/sums.py", TEST, "def test_sum(): pass\n");
        assert!(task.judged(&forged).0.is_empty(), "a trusted file stays as it is");
        fs::remove_dir_all(out).expect("cleans up");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |change: fn(&mut serde_json::Value)| {
            let (out, task) = made("refused", &row(change));
            fs::remove_dir_all(out).expect("cleans up");
            task.expect_err("is refused")
        };
        assert!(refused(|row| row["language"] = "cobol".into()).contains("cobol"));
        assert!(refused(|row| row["FAIL_TO_PASS"] = "[]".into()).contains("FAIL_TO_PASS"));
        assert!(refused(|row| row["patch"] = "hello".into()).contains("patch of `money/1`"));
        assert!(refused(|row| row["files"] = serde_json::json!({"../x": ""})).contains("leaves"));
        assert!(refused(|row| row["test_files"] = serde_json::json!({"/x": ""})).contains("absolute"));
    }
}

//! The files that a row brings along, wherever it keeps them.
//!
//! In: a row with `files`, a `folder`, an `archive`, or `git` and a commit. Out: path to bytes, below limits, or why
//! not. What the row names beside itself stays below the folder of its data set.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{SelfContained, archive, git};
use crate::patch::check_path;
use crate::source::functions::{below, walk};

/// Path below the tree, with `/`, to what stands there.
pub(in crate::source) type Tree = BTreeMap<String, Vec<u8>>;

/// The most bytes, and the most files, of one tree.
pub(in crate::source) const MAX_TREE_BYTES: usize = 64 << 20;
pub(in crate::source) const MAX_TREE_FILES: usize = 20_000;

/// The tree that the model sees, without the tests that judge. `git` repositories are kept below `out`.
pub(super) fn base_tree(row: &SelfContained, beside: &Path, out: &Path) -> Result<Tree, String> {
    let beside = if beside.as_os_str().is_empty() {
        Path::new(".")
    } else {
        beside
    };
    let id = &row.instance_id;
    let commit = row.commit.as_ref().or(row.base_commit.as_ref());
    let mut tree = match (&row.folder, &row.archive, &row.git) {
        (None, None, None) => Tree::new(),
        (Some(folder), None, None) => folder_tree(&inside(folder, beside, "folder", id)?)?,
        (None, Some(archive), None) => {
            let wanted = crate::Patch::parse(&row.patch)
                .map_or_else(|_| Vec::new(), |patch| owned(&patch.paths()));
            let path = inside(archive, beside, "archive", id)?;
            archive::tree(&path, &wanted)
                .map_err(|error| format!("the archive `{}`: {error}", archive.display()))?
        }
        (None, None, Some(url)) => {
            let commit = commit
                .ok_or_else(|| format!("`{id}` names a `git` repository and no `commit` of it"))?;
            let source = git::source(url, &|path| inside(path, beside, "git repository", id))?;
            git::tree(&source, commit, &out.join("git"))?
        }
        _ => {
            return Err(format!(
                "`{id}` has more than one of `folder`, `archive` and `git`"
            ));
        }
    };
    tree.extend(
        row.files
            .iter()
            .map(|(path, text)| (path.clone(), text.clone().into_bytes())),
    );
    if tree.is_empty() {
        return Err(format!(
            "`{id}` has no files{}",
            crate::Hint("give it `files`, a `folder`, an `archive`, or `git` and a `commit`")
        ));
    }
    check(&tree, id)?;
    Ok(tree)
}

fn owned(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| path.to_string()).collect()
}

/// A path that a row names, where it lies below the folder of its data set.
fn inside(path: &Path, beside: &Path, what: &str, id: &str) -> Result<PathBuf, String> {
    let told =
        |error: std::io::Error| format!("the {what} `{}` of `{id}`: {error}", path.display());
    let (home, found) = (
        beside.canonicalize().map_err(told)?,
        beside.join(path).canonicalize().map_err(told)?,
    );
    if !found.starts_with(&home) {
        return Err(format!(
            "the {what} of `{id}` leaves the folder of its data set"
        ));
    }
    Ok(found)
}

/// Every plain file of a folder; links are left out.
fn folder_tree(root: &Path) -> Result<Tree, String> {
    let mut tree = Tree::new();
    let mut left = MAX_TREE_BYTES as u64;
    for path in walk(root, &|name| name != "__pycache__").map_err(|error| error.to_string())? {
        let told = |error: std::io::Error| format!("`{}`: {error}", path.display());
        let size = fs::metadata(&path).map_err(told)?.len();
        left = left
            .checked_sub(size)
            .ok_or_else(|| too_large(&root.display().to_string()))?;
        tree.insert(below(root, &path), fs::read(&path).map_err(told)?);
    }
    Ok(tree)
}

pub(in crate::source) fn too_large(what: &str) -> String {
    format!("the tree of `{what}` holds more than {MAX_TREE_BYTES} bytes or {MAX_TREE_FILES} files")
}

/// Refuses a tree that is too large, or that would be written elsewhere.
pub(super) fn check(tree: &Tree, id: &str) -> Result<(), String> {
    let bytes: usize = tree.values().map(Vec::len).sum();
    if bytes > MAX_TREE_BYTES || tree.len() > MAX_TREE_FILES {
        return Err(too_large(id));
    }
    tree.keys()
        .try_for_each(|path| check_path(path))
        .map_err(|error| error.to_string())
}

/// A tree is written beside its place and moved there, so that one that was begun is never taken for a whole one.
pub(in crate::source) fn write(root: &Path, files: &Tree) -> Result<(), String> {
    let begun = root.with_extension("begun");
    let told =
        |error: std::io::Error| format!("cannot write the tree `{}`: {error}", root.display());
    for old in [root, &begun] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(told)?;
        }
    }
    fs::create_dir_all(&begun).map_err(told)?;
    for (path, bytes) in files {
        let path = begun.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&begun)).map_err(told)?;
        fs::write(&path, bytes).map_err(told)?;
    }
    fs::rename(&begun, root).map_err(told)
}

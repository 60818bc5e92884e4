//! Patches as changes of the clean tree.
//!
//! In: a tree, and patches one on top of the other. Out: the files that are another way then, or why not: a patch does not
//! apply, a file of it is no text, or no file system could hold the result. Files that no patch names are never read.

use std::collections::BTreeMap;
use std::path::Path;

use data::patch::not_text;
use data::{FileChange, Patch, Task};

use sandbox::SandboxError;

/// The files in which the base tree differs from the clean one.
pub(super) fn base_changes(tree: &Path, task: &Task) -> Result<Vec<FileChange>, SandboxError> {
    applied(tree, Vec::new(), &task.bug).map_err(|why| {
        SandboxError::Environment(format!(
            "the bug of task `{}` does not apply to its tree `{}`: {why}{}",
            task.id,
            tree.display(),
            data::Aside("the tree was changed after the task was made")
        ))
    })
}

/// As [`applied`]; none where the patch does not apply.
pub(super) fn patched(
    tree: &Path,
    base: Vec<FileChange>,
    patch: &Patch,
) -> Option<Vec<FileChange>> {
    applied(tree, base, patch).ok()
}

/// `patch` on top of `base` on top of `tree`, or why it does not apply.
pub(super) fn applied(
    tree: &Path,
    base: Vec<FileChange>,
    patch: &Patch,
) -> Result<Vec<FileChange>, String> {
    let mut files: BTreeMap<String, Option<String>> = base
        .into_iter()
        .map(|change| (change.path, change.content))
        .collect();
    let read = |path: &str| match files.get(path) {
        Some(content) => content.clone(),
        None => std::fs::read_to_string(tree.join(path)).ok(),
    };
    let is_bytes = |path: &&str| {
        !files.contains_key(*path) && tree.join(path).is_file() && read(path).is_none()
    };
    if let Some(path) = patch.paths().into_iter().find(is_bytes) {
        return Err(not_text(path));
    }
    let changes = patch.apply(&read).map_err(|error| error.to_string())?;
    files.extend(
        changes
            .into_iter()
            .map(|change| (change.path, change.content)),
    );
    if !can_stand(&files) {
        return Err("no file system can hold what it makes: a name is too long, or both a file and a folder".into());
    }
    Ok(files
        .into_iter()
        .map(|(path, content)| FileChange { path, content })
        .collect())
}

/// True where a file system can hold these files: no name is too long, and none is a file and a folder at once.
fn can_stand(files: &BTreeMap<String, Option<String>>) -> bool {
    const NAME_BYTES: usize = 255;
    const PATH_BYTES: usize = 3800;
    let written = |path: &str| matches!(files.get(path), Some(Some(_)));
    files.keys().all(|path| {
        let fits = path.len() <= PATH_BYTES && path.split('/').all(|name| name.len() <= NAME_BYTES);
        fits && (!written(path) || !path.match_indices('/').any(|(at, _)| written(&path[..at])))
    })
}

//! Patches as changes of the clean tree.
//!
//! In: a tree, and patches one on top of the other. Out: the files that are another way then, or nothing where a patch
//! does not apply or no file system could hold them.

use std::collections::BTreeMap;
use std::path::Path;

use data::{FileChange, Patch, Task};

use crate::sandbox::SandboxError;

/// The files in which the base tree differs from the clean one.
pub(super) fn base_changes(tree: &Path, task: &Task) -> Result<Vec<FileChange>, SandboxError> {
    patched(tree, Vec::new(), &task.bug).ok_or_else(|| {
        SandboxError::Environment(format!(
            "the bug of task `{}` does not apply to its tree `{}` (hint: the tree was changed after the task was made)",
            task.id,
            tree.display()
        ))
    })
}

/// `patch` on top of `base` on top of `tree`; none where it does not apply.
pub(super) fn patched(tree: &Path, base: Vec<FileChange>, patch: &Patch) -> Option<Vec<FileChange>> {
    let mut files: BTreeMap<String, Option<String>> =
        base.into_iter().map(|change| (change.path, change.content)).collect();
    let read = |path: &str| match files.get(path) {
        Some(content) => content.clone(),
        None => std::fs::read_to_string(tree.join(path)).ok(),
    };
    for change in patch.apply(&read).ok()? {
        files.insert(change.path, change.content);
    }
    can_stand(&files).then(|| files.into_iter().map(|(path, content)| FileChange { path, content }).collect())
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

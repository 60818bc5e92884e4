//! The tree that an attempt works on: the clean tree, the bug on top, the edits on top of that.
//!
//! In: a task and edits. Out: files as they are now, and the patch that leads there from the base tree. A checkpoint is
//! a copy of the edited files alone, so that roll-back costs nothing on a tree of any size. Nothing is ever written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data::edit::EditError;
use data::edit::tree::patch_of;
use data::patch::check_path;
use data::{FileChange, Patch, Task};

use crate::attempt::Lost;

/// Files that differ from the clean tree; `None` where one is deleted.
type Files = BTreeMap<String, Option<String>>;

/// A tree with edits.
#[derive(Clone, Debug)]
pub struct WorkTree {
    tree: PathBuf,
    base: Files,
    now: Files,
}

/// The edits of a [`WorkTree`] as they were at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint(Files);

impl WorkTree {
    /// The base tree of `task`, whose clean tree lies below `root`.
    ///
    /// # Errors
    ///
    /// When the bug does not apply to the clean tree.
    pub fn open(root: &Path, task: &Task) -> Result<WorkTree, Lost> {
        let tree = root.join(&task.tree);
        let clean = |path: &str| std::fs::read_to_string(tree.join(path)).ok();
        let broken = |reason: String| Lost::Base {
            task_id: task.id.clone(),
            reason,
        };
        let changes = task
            .bug
            .apply(&clean)
            .map_err(|error| broken(error.to_string()))?;
        let base: Files = changes
            .into_iter()
            .map(|change| (change.path, change.content))
            .collect();
        Ok(WorkTree {
            tree,
            now: base.clone(),
            base,
        })
    }

    /// Where the clean tree lies.
    pub fn root(&self) -> &Path {
        &self.tree
    }

    /// A text file as it is now; none where there is none. Never reads outside of the tree.
    pub fn read(&self, path: &str) -> Option<String> {
        self.read_over(&self.now, path)
    }

    /// A text file of the base tree.
    pub fn read_base(&self, path: &str) -> Option<String> {
        self.read_over(&self.base, path)
    }

    fn read_over(&self, files: &Files, path: &str) -> Option<String> {
        check_path(path).ok()?;
        match files.get(path) {
            Some(content) => content.clone(),
            None => {
                let file = self.tree.join(path);
                // A link could lead anywhere.
                let inside = file
                    .canonicalize()
                    .ok()?
                    .starts_with(self.tree.canonicalize().ok()?);
                inside.then(|| std::fs::read_to_string(&file).ok())?
            }
        }
    }

    /// Makes edits. Those that do nothing are no edits.
    pub fn edit(&mut self, changes: Vec<FileChange>) {
        for FileChange { path, content } in changes {
            if self.read_base(&path) == content && !self.base.contains_key(&path) {
                self.now.remove(&path);
            } else {
                self.now.insert(path, content);
            }
        }
    }

    /// The edits as a patch of the base tree.
    ///
    /// # Errors
    ///
    /// When they are larger than a patch may be.
    pub fn patch(&self) -> Result<Patch, EditError> {
        patch_of(&self.changes(), &|path| self.read_base(path))
    }

    /// Every file that differs from the clean tree: what a sandbox is given.
    pub fn changes(&self) -> Vec<FileChange> {
        let own = |(path, content): (&String, &Option<String>)| FileChange {
            path: path.clone(),
            content: content.clone(),
        };
        self.now.iter().map(own).collect()
    }

    /// Paths that exist now though the clean tree has them not.
    pub fn made(&self) -> impl Iterator<Item = &str> {
        self.now
            .iter()
            .filter(|(path, content)| content.is_some() && !self.tree.join(path).exists())
            .map(|(path, _)| path.as_str())
    }

    /// The edits as they are.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.now.clone())
    }

    /// Takes back what was edited since.
    pub fn roll_back(&mut self, to: &Checkpoint) {
        self.now.clone_from(&to.0);
    }

    /// Sets the edits to those of a patch of the base tree.
    ///
    /// # Errors
    ///
    /// When the patch does not fit the base tree.
    pub fn set(&mut self, patch: &Patch) -> Result<(), EditError> {
        let changes = patch.apply(&|path| self.read_base(path));
        let changes = changes.map_err(|error| EditError::NotFound(error.to_string()))?;
        self.now.clone_from(&self.base);
        self.edit(changes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::example::{Folder, task};

    fn change(path: &str, content: Option<&str>) -> FileChange {
        FileChange {
            path: path.into(),
            content: content.map(str::to_string),
        }
    }

    #[test]
    fn edits_add_up_and_roll_back_takes_them_back() {
        let (folder, task) = (Folder::new(), task("sum"));
        let mut tree = WorkTree::open(folder.path(), &task).expect("opens");
        assert!(tree.patch().expect("a patch").is_empty());
        tree.edit(vec![change(
            "money.py",
            Some("def add(a, b):\n    return a + b\n"),
        )]);
        let passing = tree.checkpoint();
        assert_eq!(tree.patch().expect("a patch"), task.gold);
        tree.edit(vec![
            change("other.py", None),
            change("new/file.py", Some("y\n")),
        ]);
        assert_eq!(tree.read("other.py"), None);
        assert_eq!(tree.made().collect::<Vec<_>>(), ["new/file.py"]);
        assert_eq!(
            tree.patch().expect("a patch").paths(),
            ["money.py", "new/file.py", "other.py"]
        );
        tree.roll_back(&passing);
        assert_eq!(tree.patch().expect("a patch"), task.gold);
        assert_eq!(tree.read("other.py").as_deref(), Some("x = 1\n"));
    }

    #[test]
    fn a_patch_sets_the_tree_to_where_it_was() {
        let (folder, task) = (Folder::new(), task("sum"));
        let mut tree = WorkTree::open(folder.path(), &task).expect("opens");
        tree.edit(vec![
            change("other.py", Some("x = 2\n")),
            change("new.py", Some("z\n")),
        ]);
        let (patch, changes) = (tree.patch().expect("a patch"), tree.changes());
        let mut again = WorkTree::open(folder.path(), &task).expect("opens");
        again.set(&patch).expect("fits");
        assert_eq!(again.changes(), changes);
    }

    #[test]
    fn an_edit_that_is_undone_is_no_change() {
        let (folder, task) = (Folder::new(), task("sum"));
        let mut tree = WorkTree::open(folder.path(), &task).expect("opens");
        tree.edit(vec![change("other.py", Some("x = 2\n"))]);
        tree.edit(vec![change("other.py", Some("x = 1\n"))]);
        assert!(tree.patch().expect("a patch").is_empty());
    }

    #[test]
    fn nothing_outside_of_the_tree_is_read() {
        let (folder, task) = (Folder::new(), task("sum"));
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("tree/link.py"))
            .expect("links");
        let tree = WorkTree::open(folder.path(), &task).expect("opens");
        for path in ["link.py", "../x", "/etc/hostname"] {
            assert_eq!(tree.read(path), None, "{path}");
        }
    }
}

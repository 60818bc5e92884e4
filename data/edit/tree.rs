//! Answers over a whole tree: search and replace in any number of files, new files, deleted files.
//!
//! In: what a model wrote. Out: the files as they are afterwards, or why the answer does not fit.
//! Example: `### a.py`, then `<<<<<<< SEARCH`, `x = 1`, `=======`, `x = 2`, `>>>>>>> REPLACE` edits a file; a block that
//! searches for nothing makes a new one; the line `<<<<<<< DELETE` removes the file that was named before it.

use std::collections::BTreeMap;

use super::search::{Dropped, OPEN, SearchReplace, block};
use super::{EditError, anchor};
use crate::patch::{FileChange, Patch, check_path};

/// The line that deletes the file named before it.
pub const DELETE: &str = "<<<<<<< DELETE";

/// One change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileEdit {
    /// Lines of a file become others; without lines to search for, a new file is made.
    Replace(SearchReplace),
    /// The file goes.
    Delete {
        /// Path below the tree, with `/`.
        path: String,
    },
}

impl FileEdit {
    /// The file.
    pub fn path(&self) -> &str {
        match self {
            FileEdit::Replace(edit) => &edit.path,
            FileEdit::Delete { path } => path,
        }
    }
}

/// What an answer holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeEdits {
    /// In the order of writing.
    pub edits: Vec<FileEdit>,
    /// Blocks that were not taken.
    pub dropped: Vec<Dropped>,
}

/// How exactly the lines to replace must stand in their file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anchor {
    /// As they are written.
    #[default]
    Exact,
    /// Up to their indentation and what trails; what replaces them is indented as they are.
    Loose,
}

impl TreeEdits {
    /// Reads every block of an answer. A path is named on a line `### path`, inside a fence or before it.
    pub fn parse(answer: &str) -> TreeEdits {
        let mut parsed = TreeEdits::default();
        let mut lines = answer.lines().enumerate();
        let mut path: Option<String> = None;
        while let Some((index, line)) = lines.next() {
            let line = line.trim_end();
            if let Some(named) = line.strip_prefix("### ") {
                path = Some(named.trim().trim_matches('`').to_string());
            } else if line == OPEN || line == DELETE {
                let edit = match (&path, line == DELETE) {
                    (None, _) => Err("no `### path` stands before it"),
                    (Some(path), true) => Ok(FileEdit::Delete { path: path.clone() }),
                    (Some(path), false) => {
                        block(&mut lines, || Ok(path.to_string())).map(FileEdit::Replace)
                    }
                };
                match edit {
                    Ok(edit) => parsed.edits.push(edit),
                    Err(why) => parsed.dropped.push(Dropped {
                        line: index + 1,
                        why,
                    }),
                }
            }
        }
        parsed
    }

    /// The files after all edits, one after the other. `read` gives a file before them.
    ///
    /// # Errors
    ///
    /// When one edit does not fit: then none is made.
    pub fn apply(
        &self,
        read: &dyn Fn(&str) -> Option<String>,
        by: Anchor,
    ) -> Result<Vec<FileChange>, EditError> {
        let mut files: BTreeMap<&str, Option<String>> = BTreeMap::new();
        for edit in &self.edits {
            let path = edit.path();
            check_path(path)?;
            let now = files.remove(path).unwrap_or_else(|| read(path));
            let after = match (edit, now) {
                (FileEdit::Delete { path }, None) => return Err(EditError::NoFile(path.clone())),
                (FileEdit::Delete { .. }, Some(_)) => None,
                (FileEdit::Replace(edit), now) => Some(replaced(edit, now, by)?),
            };
            files.insert(path, after);
        }
        let changes = files.into_iter().map(|(path, content)| FileChange {
            path: path.to_string(),
            content,
        });
        let changes: Vec<FileChange> = changes.collect();
        patch_of(&changes, read)?;
        Ok(changes)
    }
}

/// Changes of files as one patch against what `read` gives.
///
/// # Errors
///
/// When a path leaves the repository, or all of it is too large.
pub fn patch_of(
    changes: &[FileChange],
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Patch, EditError> {
    let mut patches = Vec::with_capacity(changes.len());
    for FileChange { path, content } in changes {
        check_path(path)?;
        let patch = Patch::change(path, read(path).as_deref(), content.as_deref());
        patches.extend((!patch.is_empty()).then_some(patch));
    }
    Ok(Patch::joined(&patches)?)
}

fn replaced(edit: &SearchReplace, now: Option<String>, by: Anchor) -> Result<String, EditError> {
    let Some(text) = now else {
        if !edit.search.is_empty() {
            return Err(EditError::NoFile(edit.path.clone()));
        }
        return Ok(edit
            .replace
            .iter()
            .map(|line| format!("{line}\n"))
            .collect());
    };
    if edit.search.is_empty() && text.is_empty() {
        return Ok(edit
            .replace
            .iter()
            .map(|line| format!("{line}\n"))
            .collect());
    }
    match (edit.apply(&text), by) {
        (Err(EditError::NotFound(_)), Anchor::Loose) => {
            anchor::reanchored(edit, &text)?.apply(&text)
        }
        (applied, _) => applied,
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::{CLOSE, MIDDLE};
    use super::*;

    fn base(path: &str) -> Option<String> {
        match path {
            "a.py" => Some("def f(x):\n    if x:\n        return 1\n    return 2\n".into()),
            "b.py" => Some("y = 1\n".into()),
            _ => None,
        }
    }

    fn changed(answer: &str, by: Anchor) -> Result<Vec<(String, Option<String>)>, EditError> {
        let changes = TreeEdits::parse(answer).apply(&base, by)?;
        Ok(changes
            .into_iter()
            .map(|change| (change.path, change.content))
            .collect())
    }

    #[test]
    fn one_answer_edits_makes_and_deletes_files() {
        let answer = "I see.\n```python\n### a.py\n<<<<<<< SEARCH\n    return 2\n=======\n    return 3\n>>>>>>> REPLACE\n```\n\
                      ### `new/c.js`\n```js\n<<<<<<< SEARCH\n=======\nlet c = 1;\n>>>>>>> REPLACE\n```\n### b.py\n<<<<<<< DELETE\n";
        let after = changed(answer, Anchor::Exact).expect("fits");
        assert_eq!(
            after,
            [
                (
                    "a.py".into(),
                    Some("def f(x):\n    if x:\n        return 1\n    return 3\n".into())
                ),
                ("b.py".into(), None),
                ("new/c.js".into(), Some("let c = 1;\n".into())),
            ]
        );
    }

    #[test]
    fn edits_of_one_file_are_made_one_after_the_other() {
        let block = |from: &str, to: &str| format!("{OPEN}\n{from}\n{MIDDLE}\n{to}\n{CLOSE}\n");
        let answer = format!(
            "### b.py\n{}{}",
            block("y = 1", "y = 2"),
            block("y = 2", "y = 3")
        );
        assert_eq!(
            changed(&answer, Anchor::Exact),
            Ok(vec![("b.py".into(), Some("y = 3\n".into()))])
        );
    }

    #[test]
    fn an_edit_that_does_not_fit_undoes_all_of_them() {
        let deleted = format!("### b.py\n{DELETE}\n### none.py\n{DELETE}\n");
        assert_eq!(
            changed(&deleted, Anchor::Exact),
            Err(EditError::NoFile("none.py".into()))
        );
        let onto = format!("### b.py\n{OPEN}\n{MIDDLE}\nz\n{CLOSE}\n");
        assert_eq!(
            changed(&onto, Anchor::Exact),
            Err(EditError::EmptySearch("b.py".into()))
        );
        let outside = format!("### ../b.py\n{OPEN}\n{MIDDLE}\nz\n{CLOSE}\n");
        assert!(matches!(
            changed(&outside, Anchor::Exact),
            Err(EditError::Patch(_))
        ));
    }

    #[test]
    fn a_loose_anchor_takes_the_indentation_of_the_file() {
        let answer = format!(
            "### a.py\n{OPEN}\nif x:\n    return 1 \n{MIDDLE}\nif not x:\n    return 7\n{CLOSE}\n"
        );
        assert_eq!(
            changed(&answer, Anchor::Exact),
            Err(EditError::NotFound("a.py".into()))
        );
        let after = "def f(x):\n    if not x:\n        return 7\n    return 2\n";
        assert_eq!(
            changed(&answer, Anchor::Loose),
            Ok(vec![("a.py".into(), Some(after.into()))])
        );
    }

    #[test]
    fn what_is_no_block_is_told() {
        let dropped = |answer: &str| {
            TreeEdits::parse(answer)
                .dropped
                .into_iter()
                .map(|one| one.why)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            dropped("<<<<<<< SEARCH\n"),
            ["no `### path` stands before it"]
        );
        assert_eq!(
            dropped("### a.py\n<<<<<<< SEARCH\nx\n"),
            ["it has no `>>>>>>> REPLACE`"]
        );
        assert_eq!(
            dropped("I do not know.\n### Explanation\n"),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn changes_become_one_patch_that_applies() {
        let changes = [
            FileChange {
                path: "b.py".into(),
                content: None,
            },
            FileChange {
                path: "c.py".into(),
                content: Some("z\n".into()),
            },
        ];
        let patch = patch_of(&changes, &base).expect("a patch");
        assert_eq!(patch.apply(&base).expect("applies"), changes);
    }
}

//! The files of a job as one stream: the clean tree with the job's changes over it.
//!
//! In: a folder and changes. Out: a list of names, modes, sizes and links, and the bytes behind it. A container is given
//! them over its standard input, so that an engine on another machine works as well.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use data::FileChange;
use data::patch::check_path;
use serde_json::{Value, json};

use crate::SandboxError;

/// The most bytes of one tree.
const MAX_BYTES: u64 = 256 << 20;

/// What lies at a path.
enum Entry {
    File {
        mode: u32,
        content: Vec<u8>,
        changed_s: Option<i64>,
    },
    Link(String),
}

/// Files in the order of their paths, links last.
pub(super) struct Files {
    /// `[name, mode, size, null, second of the last change]`, or `[name, 0, 0, target, null]` of a link. A file that the
    /// job changes has no such second.
    pub list: Vec<Value>,
    /// The contents, one behind the other.
    pub bytes: Vec<u8>,
}

impl Files {
    /// Reads `tree` and lays `changes` over it.
    pub fn from_tree(tree: &Path, changes: &[FileChange]) -> Result<Files, SandboxError> {
        let mut entries = BTreeMap::new();
        let mut left = MAX_BYTES;
        read(tree, "", &mut entries, &mut left).map_err(|error| {
            let hint = "a tree holds plain files and links, at most 256 MiB";
            SandboxError::Environment(format!(
                "the source tree `{}` cannot be read: {error}{}",
                tree.display(),
                data::Aside(hint)
            ))
        })?;
        for change in changes {
            check_path(&change.path).map_err(|error| SandboxError::Barrier {
                barrier: "overlay".to_string(),
                reason: format!("the path `{}` leaves the tree: {error}", change.path),
            })?;
            change_one(&mut entries, change);
        }
        Ok(Files::from(entries))
    }

    fn from(entries: BTreeMap<String, Entry>) -> Files {
        let (mut files, mut links) = (
            Files {
                list: Vec::new(),
                bytes: Vec::new(),
            },
            Vec::new(),
        );
        for (name, entry) in entries {
            match entry {
                Entry::File {
                    mode,
                    content,
                    changed_s,
                } => {
                    files
                        .list
                        .push(json!([name, mode, content.len(), null, changed_s]));
                    files.bytes.extend(content);
                }
                Entry::Link(target) => links.push(json!([name, 0, 0, target, null])),
            }
        }
        files.list.extend(links);
        files
    }
}

/// A changed file takes the place of whatever stood there, above it or below it.
fn change_one(entries: &mut BTreeMap<String, Entry>, change: &FileChange) {
    let below = format!("{}/", change.path);
    entries.retain(|path, _| *path != change.path && !path.starts_with(&below));
    let Some(content) = &change.content else {
        return;
    };
    let above: Vec<String> = change
        .path
        .match_indices('/')
        .map(|(at, _)| change.path[..at].to_string())
        .collect();
    above.iter().for_each(|path| {
        entries.remove(path);
    });
    let content = content.clone().into_bytes();
    entries.insert(
        change.path.clone(),
        Entry::File {
            mode: 0o644,
            content,
            changed_s: None,
        },
    );
}

fn read(
    folder: &Path,
    prefix: &str,
    entries: &mut BTreeMap<String, Entry>,
    left: &mut u64,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| io::Error::other(format!("{name:?} is no text")))?;
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            let target = fs::read_link(&path)?.to_string_lossy().into_owned();
            entries.insert(name, Entry::Link(target));
        } else if kind.is_dir() {
            read(&path, &format!("{name}/"), entries, left)?;
        } else if kind.is_file() {
            let meta = entry.metadata()?;
            *left = left
                .checked_sub(meta.len())
                .ok_or_else(|| io::Error::other("it is too large"))?;
            let mode = if meta.permissions().mode() & 0o100 != 0 {
                0o755
            } else {
                0o644
            };
            let (content, changed_s) = (fs::read(&path)?, Some(meta.mtime()));
            entries.insert(
                name,
                Entry::File {
                    mode,
                    content,
                    changed_s,
                },
            );
        } else {
            return Err(io::Error::other(format!("`{name}` is no plain file")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(changes: &[(&str, Option<&str>)]) -> Vec<(String, usize)> {
        let file = |text: &str| Entry::File {
            mode: 0o644,
            content: text.as_bytes().to_vec(),
            changed_s: Some(7),
        };
        let mut entries = BTreeMap::from([
            ("a/b.py".to_string(), file("one")),
            ("a/c.py".to_string(), file("two")),
            ("link".to_string(), Entry::Link("a".to_string())),
        ]);
        for (path, content) in changes {
            change_one(
                &mut entries,
                &FileChange {
                    path: (*path).into(),
                    content: content.map(str::to_string),
                },
            );
        }
        let list = Files::from(entries).list;
        let told = |one: &Value| {
            (
                one[0].as_str().unwrap_or("").to_string(),
                one[2].as_u64().unwrap_or(0) as usize,
            )
        };
        list.iter().map(told).collect()
    }

    #[test]
    fn changes_replace_what_stood_there() {
        let of = |pairs: &[(&str, usize)]| {
            pairs
                .iter()
                .map(|(name, size)| (name.to_string(), *size))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), of(&[("a/b.py", 3), ("a/c.py", 3), ("link", 0)]));
        assert_eq!(
            names(&[("a/b.py", Some("longer")), ("a/c.py", None)]),
            of(&[("a/b.py", 6), ("link", 0)])
        );
        assert_eq!(
            names(&[("a", Some("x"))]),
            of(&[("a", 1), ("link", 0)]),
            "a file where a folder was"
        );
        assert_eq!(
            names(&[("link/new.py", Some("x"))])[2].0,
            "link/new.py",
            "nothing is written through a link"
        );
    }

    #[test]
    fn a_path_that_leaves_the_tree_is_refused() {
        let change = FileChange {
            path: "../x".into(),
            content: Some(String::new()),
        };
        let tree = std::env::temp_dir().join(format!("files-{}", std::process::id()));
        fs::create_dir_all(&tree).expect("a folder");
        let refused = Files::from_tree(&tree, &[change]);
        fs::remove_dir_all(&tree).ok();
        assert!(matches!(refused, Err(SandboxError::Barrier { .. })));
    }
}

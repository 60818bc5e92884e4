//! The files that paths, folders and patterns name.
//!
//! In: `chats.jsonl`, `folder/`, `data/train-*.parquet`. Out: files, each once: in the order in which they are named, and
//! within a folder or a pattern in that of their names.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::file::FileError;
use crate::store::MANIFEST_FILE;

/// How files end that a folder is searched for.
const ENDINGS: [&str; 8] = [
    ".jsonl",
    ".ndjson",
    ".json",
    ".parquet",
    ".jsonl.gz",
    ".ndjson.gz",
    ".json.gz",
    ".traj",
];
/// The deepest folder below one that is named.
const DEPTH: usize = 16;

/// Why no files can be named.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Nothing lies there.
    #[error(
        "`{0}` names no file{hint}",
        hint = crate::Hint(
            "look for a slip in the path; a pattern such as `data/*.jsonl` stands in quotes"
        )
    )]
    Nothing(String),
    /// The pattern is none.
    #[error(
        "`{pattern}` is no pattern: {reason}{}",
        crate::Hint("`*`, `?`, `**` and `[abc]` are possible")
    )]
    Pattern {
        /// As it was written.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A folder holds no rows.
    #[error(
        "the folder `{0}` holds no file that ends in .jsonl, .json, .parquet or .jsonl.gz{hint}",
        hint = crate::Hint("name the files")
    )]
    Empty(PathBuf),
    /// A folder holds samples.
    #[error(
        "`{0}` holds samples, which are tokens already{hint}",
        hint = crate::Hint("name it with `--samples`")
    )]
    Samples(PathBuf),
    /// A folder cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Finds the files that `named` stands for.
///
/// # Errors
///
/// When a name stands for none.
pub fn find_files(named: &[PathBuf]) -> Result<Vec<PathBuf>, FilesError> {
    let mut found = Vec::new();
    for name in named {
        let before = found.len();
        if name.is_dir() {
            if name.join(MANIFEST_FILE).exists() {
                return Err(FilesError::Samples(name.clone()));
            }
            below(name, DEPTH, &mut found)?;
            if found.len() == before {
                return Err(FilesError::Empty(name.clone()));
            }
        } else if name.exists() {
            found.push(name.clone());
        } else {
            found.extend(matching(name)?);
        }
    }
    let mut seen = HashSet::new();
    found.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(found)
}

/// The files of a pattern.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let text = pattern.to_string_lossy().into_owned();
    let broken = |error: glob::PatternError| FilesError::Pattern {
        pattern: text.clone(),
        reason: error.msg.to_string(),
    };
    let found: Vec<PathBuf> = glob::glob(&text)
        .map_err(broken)?
        .filter_map(Result::ok)
        .filter(|path| path.is_file())
        .collect();
    if found.is_empty() {
        Err(FilesError::Nothing(text))
    } else {
        Ok(found)
    }
}

/// The files of rows in a folder and below it, without hidden ones.
fn below(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), FilesError> {
    let read = |error| FileError::new("read the folder", folder, error);
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        entries.push(entry.map_err(read)?.path());
    }
    entries.sort();
    for path in entries {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth > 0 && !path.is_symlink() {
                below(&path, depth - 1, found)?;
            }
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    Ok(())
}

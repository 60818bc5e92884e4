//! Files are complete or absent.
//!
//! In: a path and its bytes. Out: the file, or an error and no file. A reader never sees half a file, not even after
//! a power cut: write to a temporary name in the same folder, fsync, rename, fsync the folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file could not be written or read, and which.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} `{path}`: {source}")]
pub struct FileError {
    /// `write`, `read`, …
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl FileError {
    /// `doing` to `path` failed with `source`.
    pub fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        FileError { doing, path: path.to_path_buf(), source }
    }
}

/// Writes `bytes` to `path` whole or not at all. Missing folders are made.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written; the temporary file is removed and an older file stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| FileError::new("create the folder", folder, error))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.tmp-{}", std::process::id()));
    let written = write_and_rename(&temporary, path, folder, bytes);
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(|error| FileError::new("write", path, error))
}

fn write_and_rename(temporary: &Path, path: &Path, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    File::open(folder)?.sync_all()
}

/// Reads a text file.
///
/// # Errors
///
/// When it is missing, unreadable or no UTF-8; the error names it.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|error| FileError::new("read", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_older_file() {
        let folder = std::env::temp_dir().join(format!("file-test-{}", std::process::id()));
        let path = folder.join("kept.txt");
        write_whole(&path, b"old").expect("writes");
        // A folder in the place of the file cannot be replaced by a file.
        let blocked = folder.join("blocked");
        fs::create_dir_all(blocked.join("inner")).expect("folder");
        assert!(write_whole(&blocked, b"new").is_err());
        assert_eq!(read_text(&path).expect("reads"), "old");
        assert_eq!(fs::read_dir(&folder).expect("lists").count(), 2, "no temporary file is left");
        fs::remove_dir_all(&folder).expect("cleans up");
    }
}

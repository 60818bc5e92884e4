//! Files are complete or absent.
//!
//! In: a path and its bytes. Out: the file, or an error and no file. A reader never sees half a file, not even after
//! a power cut: write to a temporary name in the same folder, fsync, rename, fsync the folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
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
        FileError {
            doing,
            path: path.to_path_buf(),
            source,
        }
    }
}

/// Writes `bytes` to `path` whole or not at all. Missing folders are made.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written; the temporary file is removed and an older file stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)
        .map_err(|error| FileError::new("create the folder", folder, error))?;
    let temporary = folder.join(temporary_name(path));
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

/// A file that is written bit by bit: it appears whole with [`WholeFile::finish`], and not at all where it is dropped
/// before.
pub struct WholeFile {
    path: PathBuf,
    temporary: PathBuf,
    /// None once it is finished.
    file: Option<BufWriter<File>>,
}

impl WholeFile {
    /// Begins a file. Missing folders are made.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let folder = folder_of(path);
        fs::create_dir_all(folder)
            .map_err(|error| FileError::new("create the folder", folder, error))?;
        let temporary = folder.join(temporary_name(path));
        let file =
            File::create(&temporary).map_err(|error| FileError::new("write", path, error))?;
        Ok(WholeFile {
            path: path.to_path_buf(),
            temporary,
            file: Some(BufWriter::new(file)),
        })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    ///
    /// When the disk is full; then an older file stays.
    pub fn finish(mut self) -> Result<(), FileError> {
        let finished = self.file.take().map_or(Ok(()), |file| {
            let file = file.into_inner().map_err(|error| error.into_error())?;
            file.sync_all()?;
            fs::rename(&self.temporary, &self.path)?;
            File::open(folder_of(&self.path))?.sync_all()
        });
        finished.map_err(|error| {
            let _ = fs::remove_file(&self.temporary);
            FileError::new("write", &self.path, error)
        })
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file
            .as_mut()
            .map_or(Err(io::ErrorKind::BrokenPipe.into()), |file| {
                file.write(bytes)
            })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn temporary_name(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    format!(".{name}.tmp-{}", std::process::id())
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
        assert_eq!(
            fs::read_dir(&folder).expect("lists").count(),
            2,
            "no temporary file is left"
        );
        fs::remove_dir_all(&folder).expect("cleans up");
    }

    #[test]
    fn a_file_that_is_not_finished_is_not_there() {
        let folder = std::env::temp_dir().join(format!("file-begun-{}", std::process::id()));
        let path = folder.join("rows.jsonl");
        let mut begun = WholeFile::create(&path).expect("begins");
        begun.write_all(b"half").expect("writes");
        drop(begun);
        assert_eq!(fs::read_dir(&folder).expect("lists").count(), 0);
        let mut whole = WholeFile::create(&path).expect("begins");
        whole.write_all(b"whole").expect("writes");
        assert!(!path.exists());
        whole.finish().expect("finishes");
        assert_eq!(read_text(&path).expect("reads"), "whole");
        fs::remove_dir_all(&folder).expect("cleans up");
    }
}

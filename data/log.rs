//! A log of JSON lines that a `kill -9` cannot spoil.
//!
//! In: one value after the other. Out: a file that only grows, a line for each value. A line that was torn by a kill is
//! dropped when the log is opened again; a run that resumes cuts off what was written after its checkpoint.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::file::FileError;

/// A time in UTC, to the second: `2025-12-10T14:23:41Z`. A time before 1970 is written as 1970.
pub fn timestamp(at: SystemTime) -> String {
    DateTime::<Utc>::from(at.max(UNIX_EPOCH)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A file of lines that only grows. A line is in it whole or not at all.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    offset: u64,
}

impl Log {
    /// Opens a log to go on at its end; a last line that was torn by a kill is dropped. Makes the file if needed.
    ///
    /// # Errors
    ///
    /// When the file cannot be made, read or cut.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let log = || {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            let offset = end_of_lines(&mut file)?;
            Log::cut(path, file, offset)
        };
        log().map_err(|error| FileError::new("open the log", path, error))
    }

    /// Opens a log to go on at `offset`, a [`Log::offset`] that was saved with a checkpoint: what was written after
    /// the checkpoint is dropped, because a resumed run writes it again.
    ///
    /// # Errors
    ///
    /// When the file is shorter than `offset` or does not end a line there: it is not the log of that run.
    pub fn resume(path: &Path, offset: u64) -> Result<Self, FileError> {
        let log = || {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(offset == 0)
                .truncate(false)
                .open(path)?;
            let length = file.metadata()?.len();
            if length < offset {
                return Err(io::Error::other(format!(
                    "it has {length} bytes, but the checkpoint counts {offset}"
                )));
            }
            if offset > 0 && !ends_line(&mut file, offset)? {
                return Err(io::Error::other(format!(
                    "no line ends at byte {offset}, where the checkpoint was made"
                )));
            }
            Log::cut(path, file, offset)
        };
        log().map_err(|error| FileError::new("resume the log", path, error))
    }

    fn cut(path: &Path, mut file: File, offset: u64) -> io::Result<Self> {
        file.set_len(offset)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Log {
            path: path.to_path_buf(),
            file,
            offset,
        })
    }

    /// Adds one line. It outlives a kill of this process at once, and a power cut after [`Log::sync`].
    ///
    /// # Errors
    ///
    /// When the disk is full; then what was written of the line is taken back.
    pub fn write(&mut self, line: &impl Serialize) -> Result<(), FileError> {
        let mut text =
            serde_json::to_vec(line).map_err(|error| self.error("write", error.into()))?;
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            let _ = self
                .file
                .set_len(self.offset)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.offset)));
            return Err(self.error("write", error));
        }
        self.offset += text.len() as u64;
        Ok(())
    }

    /// Waits until all lines are on the disk. To be called before their [`Log::offset`] is saved.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn sync(&self) -> Result<(), FileError> {
        self.file
            .sync_data()
            .map_err(|error| self.error("sync", error))
    }

    /// Length of the log, at the end of a line.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn error(&self, doing: &'static str, source: io::Error) -> FileError {
        FileError::new(doing, &self.path, source)
    }
}

/// Where the last whole line ends, searched from the end of the file.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    const PIECE: u64 = 1 << 16;
    let mut end = file.metadata()?.len();
    let mut piece = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        file.seek(SeekFrom::Start(start))?;
        piece.clear();
        file.take(end - start).read_to_end(&mut piece)?;
        if let Some(newline) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn ends_line(file: &mut File, offset: u64) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::Start(offset - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

#[cfg(test)]
mod tests;

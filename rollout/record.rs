//! One JSON line per try.
//!
//! In: an attempt, its place in the run, and the time. Out: a line in a file that a `kill -9` cannot spoil.
//! Example: `{"ts":"2025-12-10T14:23:41Z","retry":7,"queue":"Deep","patch_sha":"1a3f5b2c",
//! "test":"test_cli.py::test_upload","status":"FAIL","trace_bytes":812,…}`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data::file::FileError;
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Lost};
use crate::grade::Outcome;
use crate::trajectory::{Stop, Trajectory};

/// Which budget a try is taken from (R5). A try on its own is `Fast`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Queue {
    /// The first tries, without roll-back.
    Fast,
    /// Tries across files, from the last passing state.
    Deep,
    /// Tries that hand rules help.
    Rescue,
}

/// How a try ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Every test that must pass ran and passed.
    Pass,
    /// A target test still fails.
    Fail,
    /// The target tests pass, another test broke.
    Broke,
    /// The tests were killed at their time limit.
    Timeout,
    /// The tests were killed at their memory limit.
    Oom,
    /// The tests died.
    Crash,
    /// The patch does not apply.
    NotApplied,
    /// The answer is no patch.
    NoPatch,
    /// The answer was cut off.
    Truncated,
    /// Our machinery failed; there is no verdict.
    Lost,
}

impl Status {
    /// The status of a graded attempt.
    pub fn of(trajectory: &Trajectory) -> Self {
        match Status::of_outcome(&trajectory.outcome) {
            Status::NoPatch if trajectory.stop.is_truncated() => Status::Truncated,
            status => status,
        }
    }

    /// The status of a verdict, whatever was said before it.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Resolved => Status::Pass,
            Outcome::StillFailing { .. } => Status::Fail,
            Outcome::BrokeOthers { .. } => Status::Broke,
            Outcome::TimedOut => Status::Timeout,
            Outcome::OutOfMemory => Status::Oom,
            Outcome::Crashed => Status::Crash,
            Outcome::DoesNotApply => Status::NotApplied,
            Outcome::NoPatch => Status::NoPatch,
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Status::Pass => "PASS",
            Status::Fail => "FAIL",
            Status::Broke => "BROKE",
            Status::Timeout => "TIMEOUT",
            Status::Oom => "OOM",
            Status::Crash => "CRASH",
            Status::NotApplied => "NOT_APPLIED",
            Status::NoPatch => "NO_PATCH",
            Status::Truncated => "TRUNCATED",
            Status::Lost => "LOST",
        }
    }
}

/// Where in a run a try stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the try at its task, from 1.
    pub retry: u32,
    /// Its budget.
    pub queue: Queue,
    /// Its group; none in an evaluation.
    pub group: Option<u64>,
    /// The step of the optimizer it is drawn for; none in an evaluation.
    pub step: Option<u64>,
}

/// One line of the log. The keys are written in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// UTC, to the second.
    pub ts: String,
    /// Number of the try at its task, from 1.
    pub retry: u32,
    /// Its budget.
    pub queue: Queue,
    /// The start of the patch's BLAKE3; none without a patch.
    pub patch_sha: Option<String>,
    /// The first failing test, or the first that had to pass.
    pub test: String,
    /// How it ended.
    pub status: Status,
    /// Size of the failure's trace.
    pub trace_bytes: usize,
    /// The task.
    pub task: String,
    /// Its group.
    pub group: Option<u64>,
    /// Its step.
    pub step: Option<u64>,
    /// What it is worth; none when it is lost.
    pub reward: Option<f32>,
    /// Why the answer ended; none when the attempt is lost.
    pub stop: Option<Stop>,
    /// True where an earlier verdict was used again.
    pub cached: bool,
    /// Time in the sandbox; where `cached`, that of the run behind the verdict.
    pub wall_ms: u64,
    /// What the policy wrote; none when the attempt is lost.
    pub answer: Option<String>,
}

impl Record {
    /// The line of an attempt, graded or lost.
    pub fn of(at: SystemTime, place: Place, attempt: &Result<Attempt, Lost>) -> Self {
        let Place { retry, queue, group, step } = place;
        let ts = timestamp(at);
        match attempt {
            Ok(attempt) => Record {
                ts,
                retry,
                queue,
                patch_sha: attempt.trajectory.patch.as_ref().map(data::Patch::sha),
                test: attempt.test.clone(),
                status: Status::of(&attempt.trajectory),
                trace_bytes: attempt.trace_bytes,
                task: attempt.trajectory.task_id.clone(),
                group,
                step,
                reward: Some(attempt.trajectory.reward),
                stop: Some(attempt.trajectory.stop),
                cached: attempt.cached,
                wall_ms: u64::try_from(attempt.wall.as_millis()).unwrap_or(u64::MAX),
                answer: Some(attempt.trajectory.text.clone()),
            },
            Err(lost) => Record {
                ts,
                retry,
                queue,
                patch_sha: None,
                test: String::new(),
                status: Status::Lost,
                trace_bytes: 0,
                task: lost.task_id().to_owned(),
                group,
                step,
                reward: None,
                stop: None,
                cached: false,
                wall_ms: 0,
                answer: None,
            },
        }
    }
}

/// `2025-12-10T14:23:41Z`. A time before 1970 is written as 1970.
pub fn timestamp(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years and years that start in March, so that a leap day comes last
    // (Howard Hinnant, `civil_from_days`).
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
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
            let mut file = OpenOptions::new().read(true).write(true).create(offset == 0).truncate(false).open(path)?;
            let length = file.metadata()?.len();
            if length < offset {
                return Err(io::Error::other(format!("it has {length} bytes, but the checkpoint counts {offset}")));
            }
            if offset > 0 && !ends_line(&mut file, offset)? {
                return Err(io::Error::other(format!("no line ends at byte {offset}, where the checkpoint was made")));
            }
            Log::cut(path, file, offset)
        };
        log().map_err(|error| FileError::new("resume the log", path, error))
    }

    fn cut(path: &Path, mut file: File, offset: u64) -> io::Result<Self> {
        file.set_len(offset)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Log { path: path.to_path_buf(), file, offset })
    }

    /// Adds one line. It outlives a kill of this process at once, and a power cut after [`Log::sync`].
    ///
    /// # Errors
    ///
    /// When the disk is full; then what was written of the line is taken back.
    pub fn write(&mut self, line: &impl Serialize) -> Result<(), FileError> {
        let mut text = serde_json::to_vec(line).map_err(|error| self.error("write", error.into()))?;
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            let _ = self.file.set_len(self.offset).and_then(|()| self.file.seek(SeekFrom::Start(self.offset)));
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
        self.file.sync_data().map_err(|error| self.error("sync", error))
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

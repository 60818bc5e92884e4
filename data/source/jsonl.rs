//! Rows of JSON, one a line; tasks and the trees beside them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::file::{FileError, write_whole};
use crate::task::{TASK_FORMAT, Task};

/// The longest line that is read.
const MAX_LINE: u64 = 64 << 20;

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// A row is no JSON of the right shape.
    #[error("`{path}`, row {row}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        row: usize,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// Reads every row of a file. Empty lines are passed over.
///
/// # Errors
///
/// Names the file and the first row that cannot be read.
pub fn read_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RowsError> {
    let unreadable = |error| FileError::new("read", path, error);
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut rows = Vec::new();
    for row in 1.. {
        let refuse = |reason: String| RowsError::Row { path: path.to_path_buf(), row, reason };
        let mut line = Vec::new();
        reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line).map_err(unreadable)?;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 > MAX_LINE {
            return Err(refuse("the line is longer than 64 MiB".into()));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let whole = line.ends_with(b"\n");
        let parsed = serde_json::from_slice(&line).map_err(|error| match whole {
            true => refuse(error.to_string()),
            false => refuse(format!("{error}; the file ends within this row, so it was cut off: write it again")),
        })?;
        rows.push(parsed);
    }
    Ok(rows)
}

/// Writes rows, whole or not at all.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_rows<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), FileError> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, row).expect("rows in memory serialize");
        bytes.push(b'\n');
    }
    write_whole(path, &bytes)
}

/// Tasks, and the folder that holds their clean trees.
#[derive(Clone, Debug)]
pub struct TaskSet {
    /// The folder of the task file.
    pub root: PathBuf,
    /// The tasks.
    pub tasks: Vec<Task>,
}

impl TaskSet {
    /// A file of a task's clean tree.
    pub fn read(&self, task: &Task, path: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(&task.tree).join(path)).ok()
    }

    /// The file that a task's prompt shows, as it stands in the base tree.
    pub fn base_file(&self, task: &Task) -> Option<String> {
        let changes = task.bug.apply(&|path| self.read(task, path)).ok()?;
        let changed = changes.into_iter().find(|change| change.path == task.focus.path);
        changed.map_or_else(|| self.read(task, &task.focus.path), |change| change.content)
    }
}

/// Reads tasks.
///
/// # Errors
///
/// Names the file and the row that cannot be read, is of a later format, or names no failing test or no tree.
pub fn read_tasks(path: &Path) -> Result<TaskSet, RowsError> {
    let tasks: Vec<Task> = read_rows(path)?;
    let root = path.parent().filter(|root| !root.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
    for (index, task) in tasks.iter().enumerate() {
        let refuse = |reason: String| RowsError::Row { path: path.to_path_buf(), row: index + 1, reason };
        if task.format > TASK_FORMAT {
            return Err(refuse(format!("task format {} is newer than {TASK_FORMAT}, which is read here", task.format)));
        }
        if task.fail_to_pass.is_empty() {
            return Err(refuse(format!("task `{}` names no failing test", task.id)));
        }
        let tree = root.join(&task.tree);
        if !tree.is_dir() {
            return Err(refuse(format!("the tree `{}` of task `{}` is missing; plant the tasks again", tree.display(), task.id)));
        }
    }
    Ok(TaskSet { root, tasks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_row_is_named() {
        let path = std::env::temp_dir().join(format!("torn-{}.jsonl", std::process::id()));
        std::fs::write(&path, "[1]\n\n[2]\n[3").expect("writes");
        let said = read_rows::<Vec<u32>>(&path).expect_err("refused").to_string();
        assert!(said.contains("row 4") && said.contains("cut off"), "{said}");
        std::fs::remove_file(&path).expect("removes");
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let path = std::env::temp_dir().join(format!("rows-{}.jsonl", std::process::id()));
        write_rows(&path, &["a\nb", "c"]).expect("writes");
        assert_eq!(read_rows::<String>(&path).expect("reads"), ["a\nb", "c"]);
        std::fs::remove_file(&path).expect("removes");
    }
}

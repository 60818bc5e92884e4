//! Rows of JSON, one a line; and the tasks of a folder.
//!
//! In: a file. Out: its rows, or an error that names the file, the row and what to do.
//! Example: `tasks/tasks.jsonl` holds tasks whose trees are the folders beside it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::file::{FileError, write_whole};
use crate::kind::not_fetched;
use crate::patch::{ApplyError, check_path};
use crate::task::{TASK_FORMAT, Task};

/// The longest line that is read.
pub const MAX_LINE_BYTES: usize = 64 << 20;
/// The file of a folder of tasks.
pub const TASKS_FILE: &str = "tasks.jsonl";

/// Why rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A row is not what it should be.
    #[error("`{path}`, row {row}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// The file as a whole is not what it should be.
    #[error("`{path}`: {reason}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The last row has no end.
    #[error(
        "`{path}`, row {row}: the file ends in the middle of the row ({reason}){}",
        crate::Hint("whoever wrote it was interrupted; write it again, or delete its last line")
    )]
    Torn {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// A row cannot be written as JSON.
    #[error("cannot write row {row} of `{path}` as JSON: {reason}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        row: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Reads every row of a file; empty lines are passed over.
///
/// # Errors
///
/// When a row is no `T`, is longer than 64 MiB, or the last one is torn.
pub fn read_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RowError> {
    let read_error = |error| FileError::new("read", path, error);
    let mut file = BufReader::new(File::open(path).map_err(read_error)?);
    if let Some(reason) = not_fetched(path) {
        return Err(RowError::Broken {
            path: path.to_path_buf(),
            reason,
        });
    }
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    for row in 1.. {
        line.clear();
        // One byte more than the limit tells a line that is too long from one that just fits.
        let limited = file
            .by_ref()
            .take(MAX_LINE_BYTES as u64 + 1)
            .read_until(b'\n', &mut line);
        if limited.map_err(read_error)? == 0 {
            break;
        }
        let ended = line.ends_with(b"\n");
        if !ended && line.len() > MAX_LINE_BYTES {
            let reason = format!(
                "it is longer than {MAX_LINE_BYTES} bytes{}",
                crate::Hint("is this a file with one JSON row a line?")
            );
            return Err(RowError::Row {
                path: path.to_path_buf(),
                row,
                reason,
            });
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(value) => rows.push(value),
            Err(error) if !ended => {
                return Err(RowError::Torn {
                    path: path.to_path_buf(),
                    row,
                    reason: error.to_string(),
                });
            }
            Err(error) => {
                return Err(RowError::Row {
                    path: path.to_path_buf(),
                    row,
                    reason: error.to_string(),
                });
            }
        }
    }
    Ok(rows)
}

/// Writes rows to a file, whole or not at all.
///
/// # Errors
///
/// When a row is no JSON or the disk is full.
pub fn write_rows<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), RowError> {
    let mut bytes = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        serde_json::to_writer(&mut bytes, row).map_err(|error| RowError::Unwritable {
            path: path.to_path_buf(),
            row: index + 1,
            reason: error.to_string(),
        })?;
        bytes.push(b'\n');
    }
    Ok(write_whole(path, &bytes)?)
}

/// Tasks, and the folder that their trees are in.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSet {
    /// The folder that holds the task file.
    pub root: PathBuf,
    /// In the order of the file.
    pub tasks: Vec<Task>,
}

impl TaskSet {
    /// A file of the task's clean tree; none where it is missing, no text, or outside the tree.
    pub fn read(&self, task: &Task, path: &str) -> Option<String> {
        check_path(path).ok()?;
        let tree = self.root.join(&task.tree).canonicalize().ok()?;
        let file = tree.join(path).canonicalize().ok()?;
        if !file.starts_with(&tree) {
            return None;
        }
        fs::read_to_string(file).ok()
    }

    /// A file of the base tree, the bug applied; none where it is not there.
    ///
    /// # Errors
    ///
    /// When the bug does not apply to the clean tree.
    pub fn base_file(&self, task: &Task, path: &str) -> Result<Option<String>, ApplyError> {
        let changes = task.bug.apply(&|path| self.read(task, path))?;
        match changes.into_iter().find(|change| change.path == path) {
            Some(change) => Ok(change.content),
            None => Ok(self.read(task, path)),
        }
    }

    /// The task with this id.
    pub fn find(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

/// Reads a task file, or `tasks.jsonl` of a folder.
///
/// # Errors
///
/// When a row is no task, was written by a newer version, names a path outside its tree, or has an id twice.
pub fn read_tasks(path: &Path) -> Result<TaskSet, RowError> {
    let path = if path.is_dir() {
        path.join(TASKS_FILE)
    } else {
        path.to_path_buf()
    };
    let tasks: Vec<Task> = read_rows(&path)?;
    let mut ids = HashSet::new();
    for (index, task) in tasks.iter().enumerate() {
        let twice = !ids.insert(task.id.as_str());
        let fault = if twice {
            Some(format!("the id `{}` occurs twice", task.id))
        } else {
            fault(task)
        };
        if let Some(reason) = fault {
            return Err(RowError::Row {
                path,
                row: index + 1,
                reason,
            });
        }
    }
    let root = path
        .parent()
        .filter(|root| !root.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    Ok(TaskSet {
        root: root.to_path_buf(),
        tasks,
    })
}

/// Writes tasks to `tasks.jsonl` in a folder.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written.
pub fn write_tasks(dir: &Path, tasks: &[Task]) -> Result<(), RowError> {
    write_rows(&dir.join(TASKS_FILE), tasks)
}

/// What makes a row that reads as a task none.
pub fn fault(task: &Task) -> Option<String> {
    if task.format > TASK_FORMAT {
        let format = task.format;
        return Some(format!(
            "it has the task format {format}; this version reads up to {TASK_FORMAT}{}",
            crate::Hint("update, or make the tasks again")
        ));
    }
    if task.fail_to_pass.is_empty() {
        return Some(format!("`{}` has no test in `fail_to_pass`", task.id));
    }
    if task.focus.first_line == 0 || task.focus.last_line < task.focus.first_line {
        return Some(format!("the focus of `{}` is no span of lines", task.id));
    }
    let folders = task
        .python_path
        .iter()
        .chain([&task.tree])
        .filter(|folder| *folder != ".");
    // A repair of a whole repository leaves tasks that point nowhere.
    let pointed_at = Some(&task.focus.path).filter(|path| !path.is_empty());
    folders
        .chain(pointed_at)
        .find_map(|path| check_path(path).err())
        .map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::patch::Patch;
    use crate::task::Focus;

    fn folder() -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "jsonl-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        write_whole(&folder.join("tree/a.py"), b"x = 1\n").expect("writes");
        write_whole(&folder.join("secret.py"), b"s\n").expect("writes");
        folder
    }

    fn task() -> Task {
        let bug = Patch::between("a.py", "x = 1\n", "x = 2\n");
        Task {
            format: TASK_FORMAT,
            id: "a".into(),
            repo: "a".into(),
            tree: "tree".into(),
            base_commit: String::new(),
            image: None,
            gold: bug.reversed(),
            bug,
            kind: "constant".into(),
            statement: "x is 2".into(),
            focus: Focus {
                path: "a.py".into(),
                first_line: 1,
                last_line: 1,
            },
            fail_to_pass: vec!["test_a.py::test_x".into()],
            pass_to_pass: vec![],
            trusted: vec![],
            python_path: vec![".".into()],
            language: crate::task::Language::Python,
        }
    }

    fn refused(tasks: &[Task]) -> String {
        let folder = folder();
        write_tasks(&folder, tasks).expect("writes");
        let error = read_tasks(&folder).expect_err("is refused").to_string();
        fs::remove_dir_all(&folder).expect("cleans up");
        assert!(error.contains(TASKS_FILE), "{error}");
        error
    }

    #[test]
    fn tasks_come_back_with_their_files() {
        let folder = folder();
        write_tasks(&folder, &[task()]).expect("writes");
        let set = read_tasks(&folder).expect("reads");
        assert_eq!(
            set,
            TaskSet {
                root: folder.clone(),
                tasks: vec![task()]
            }
        );
        assert_eq!(set.read(&task(), "a.py").as_deref(), Some("x = 1\n"));
        assert_eq!(
            set.base_file(&task(), "a.py"),
            Ok(Some("x = 2\n".to_string()))
        );
        assert_eq!(set.base_file(&task(), "b.py"), Ok(None));
        assert_eq!(set.read(&task(), "../secret.py"), None);
        std::os::unix::fs::symlink(folder.join("secret.py"), folder.join("tree/link.py"))
            .expect("links");
        assert_eq!(set.read(&task(), "link.py"), None);
        fs::remove_dir_all(&folder).expect("cleans up");
    }

    #[test]
    fn a_bad_row_is_named() {
        assert!(refused(&[task(), task()]).contains("row 2: the id `a` occurs twice"));
        assert!(
            refused(&[Task {
                format: 99,
                ..task()
            }])
            .contains("task format 99")
        );
        assert!(
            refused(&[Task {
                fail_to_pass: vec![],
                ..task()
            }])
            .contains("fail_to_pass")
        );
        assert!(
            refused(&[Task {
                tree: "../../etc".into(),
                ..task()
            }])
            .contains("leaves the repository")
        );
        assert!(
            refused(&[Task {
                python_path: vec!["/".into()],
                ..task()
            }])
            .contains("absolute")
        );
    }

    #[test]
    fn a_torn_last_line_is_named_and_other_damage_is_not_called_torn() {
        let folder = folder();
        let path = folder.join("rows.jsonl");
        let read = |text: &str| {
            fs::write(&path, text).expect("writes");
            read_rows::<Vec<u8>>(&path)
        };
        assert_eq!(read("[1]\n\n[2]").expect("reads"), [[1], [2]]);
        let torn = read("[1]\n[2").expect_err("is refused");
        assert!(matches!(torn, RowError::Torn { row: 2, .. }), "{torn}");
        let broken = read("[1\n[2]\n").expect_err("is refused");
        assert!(matches!(broken, RowError::Row { row: 1, .. }), "{broken}");
        assert!(matches!(
            read_rows::<u8>(&folder.join("none")),
            Err(RowError::File(_))
        ));
        fs::remove_dir_all(&folder).expect("cleans up");
    }
}

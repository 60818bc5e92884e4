//! Files of public rows become one file of task rows.
//!
//! In: files of rows and where the result goes. Out: that file, whole or not at all, and `OUT.refused.jsonl` with every
//! row that is not in it and why. Example: of 300 rows read, 298 written and 2 refused; the three always add up.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::Table;
use super::{Format, TaskRow, task_row};
use crate::file::{FileError, WholeFile};
use crate::source::jsonl::RowError;
use crate::source::rows::{Found, Limits, Row, each_row};

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The format of every row; none where the columns of each should tell.
    pub format: Option<Format>,
    /// The most rows that are read.
    pub limit: Option<usize>,
    /// Read and check, and write nothing.
    pub dry_run: bool,
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Rows that were read: written and refused together.
    pub read: usize,
    /// Rows in the new file, or that would be.
    pub written: usize,
    /// Rows that are not in it.
    pub refused: usize,
    /// Written rows by format.
    pub formats: BTreeMap<String, usize>,
}

/// A row that is not written, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRow {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub row: usize,
    /// The byte at which it begins, where the file is text.
    pub byte: Option<u64>,
    /// Its id, where it has one.
    pub instance_id: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// Why rows cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read to its end.
    #[error(transparent)]
    Rows(#[from] RowError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The result has no known ending.
    #[error("`{0}` is neither `.parquet` nor `.jsonl`\nhint: name the result e.g. `rows.parquet`")]
    Ending(PathBuf),
    /// The result would take the place of a file that is read.
    #[error("`{out}` is `{input}`, which is read\nhint: give the result a name of its own")]
    Onto {
        /// What would be written.
        out: PathBuf,
        /// What is read.
        input: PathBuf,
    },
    /// The rows cannot be written.
    #[error("cannot write `{path}`: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nothing is left.
    #[error("no row of {read} can be imported; the first: {first}\nhint: `--from FORMAT` says what the rows are")]
    Nothing {
        /// Rows that were read.
        read: usize,
        /// Why the first is refused.
        first: String,
    },
}

/// The file of refused rows beside `out`.
pub fn refused_path(out: &Path) -> PathBuf {
    let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    out.with_file_name(format!("{name}.refused.jsonl"))
}

/// Imports rows; `told` hears of each that is refused.
///
/// # Errors
///
/// When a file cannot be read to its end or written, is read and written at once, or no row is left. Then an older
/// `out` and its list of refused rows stay as they were.
pub fn import(
    files: &[PathBuf],
    out: &Path,
    wanted: &Wanted,
    told: &mut dyn FnMut(&RefusedRow),
) -> Result<Imported, ImportError> {
    if !Table::takes(out) {
        return Err(ImportError::Ending(out.to_path_buf()));
    }
    refuse_inputs(files, out)?;
    let table = if wanted.dry_run { None } else { Some(Table::create(out)?) };
    let mut run =
        Run { out, wanted, told, table, refused: None, first: None, ids: HashMap::new(), done: Imported::default() };
    for file in files {
        run.file(file)?;
    }
    run.finish()
}

/// Refuses an input that is missing, also where a limit would hide it, or that would be overwritten.
fn refuse_inputs(files: &[PathBuf], out: &Path) -> Result<(), ImportError> {
    let place = |about: &fs::Metadata| (about.dev(), about.ino());
    let written = [out.to_path_buf(), refused_path(out)];
    for input in files {
        let about = fs::metadata(input).map_err(|error| FileError::new("read", input, error))?;
        let same = |out: &&PathBuf| fs::metadata(out).is_ok_and(|out| place(&out) == place(&about));
        if let Some(out) = written.iter().find(same) {
            return Err(ImportError::Onto { out: out.clone(), input: input.clone() });
        }
    }
    Ok(())
}

/// One import.
struct Run<'a> {
    out: &'a Path,
    wanted: &'a Wanted,
    told: &'a mut dyn FnMut(&RefusedRow),
    /// None on a dry run.
    table: Option<Table>,
    /// Begun with the first refused row.
    refused: Option<WholeFile>,
    /// Why that one is refused.
    first: Option<String>,
    /// Where an id was seen first.
    ids: HashMap<String, (PathBuf, usize)>,
    done: Imported,
}

impl Run<'_> {
    fn enough(&self) -> bool {
        self.wanted.limit.is_some_and(|limit| self.done.read >= limit)
    }

    fn file(&mut self, path: &Path) -> Result<(), ImportError> {
        let mut failed = None;
        let read = each_row(path, &Limits::default(), &mut |found| {
            let stop = || RowError::Broken { path: path.to_path_buf(), reason: "reading was stopped".into() };
            if self.enough() {
                return Err(stop());
            }
            self.row(path, found).map_err(|error| {
                failed = Some(error);
                stop()
            })
        });
        match (failed, read) {
            (Some(error), _) => Err(error),
            (None, Err(_)) if self.enough() => Ok(()),
            (None, read) => Ok(read?),
        }
    }

    fn row(&mut self, path: &Path, found: Found) -> Result<(), ImportError> {
        self.done.read += 1;
        let id = |row: &Row| row.get("instance_id").and_then(Value::as_str).map(|id| id.chars().take(200).collect());
        let (instance_id, made) = match &found.value {
            Ok(row) => (id(row), self.made(path, found.row, row)),
            Err(fault) => (None, Err(fault.reason.clone())),
        };
        match made {
            Ok(row) => {
                self.done.written += 1;
                *self.done.formats.entry(row.source_format.clone()).or_default() += 1;
                self.table.as_mut().map_or(Ok(()), |table| table.push(row)).map_err(|reason| self.unwritten(reason))
            }
            Err(reason) => self.refuse(RefusedRow {
                file: path.to_path_buf(),
                row: found.row,
                byte: found.offset,
                instance_id,
                reason,
            }),
        }
    }

    /// A row in one form, its paths as seen from the new file.
    fn made(&mut self, path: &Path, number: usize, row: &Row) -> Result<TaskRow, String> {
        let mut row = task_row(row, self.wanted.format)?;
        if let Some((file, first)) = self.ids.get(&row.instance_id) {
            return Err(format!("`{}` stands in row {first} of `{}` already", row.instance_id, file.display()));
        }
        for place in [&mut row.folder, &mut row.archive] {
            if let Some(given) = place.as_deref() {
                *place = Some(moved(given, path, self.out)?);
            }
        }
        if let Some(url) = row.git.as_deref().filter(|url| !url.contains(':') && !url.starts_with('/')) {
            row.git = Some(moved(url, path, self.out)?);
        }
        self.ids.insert(row.instance_id.clone(), (path.to_path_buf(), number));
        Ok(row)
    }

    fn refuse(&mut self, row: RefusedRow) -> Result<(), ImportError> {
        (self.told)(&row);
        self.done.refused += 1;
        self.first.get_or_insert_with(|| format!("`{}`, row {}: {}", row.file.display(), row.row, row.reason));
        if self.wanted.dry_run {
            return Ok(());
        }
        if self.refused.is_none() {
            self.refused = Some(WholeFile::create(&refused_path(self.out))?);
        }
        let line = serde_json::to_string(&row).map_err(|error| self.unwritten(error.to_string()))?;
        let written = self.refused.as_mut().map_or(Ok(()), |file| writeln!(file, "{line}"));
        written.map_err(|error| FileError::new("write", &refused_path(self.out), error).into())
    }

    fn finish(self) -> Result<Imported, ImportError> {
        let Run { out, table, refused, first, done, .. } = self;
        let Imported { read, written, .. } = done;
        if written == 0 {
            return Err(ImportError::Nothing { read, first: first.unwrap_or_else(|| "there is none".into()) });
        }
        let Some(table) = table else { return Ok(done) };
        table.finish().map_err(|reason| ImportError::Write { path: out.to_path_buf(), reason })?;
        let listed = refused_path(out);
        match refused {
            Some(file) => file.finish()?,
            // What an earlier import refused is not what this one did.
            None if listed.exists() => {
                fs::remove_file(&listed).map_err(|error| FileError::new("remove", &listed, error))?;
            }
            None => {}
        }
        Ok(done)
    }

    fn unwritten(&self, reason: String) -> ImportError {
        ImportError::Write { path: self.out.to_path_buf(), reason }
    }
}

/// A path that was said beside `from`, as said beside `to`.
fn moved(path: &str, from: &Path, to: &Path) -> Result<String, String> {
    let folder =
        |file: &Path| file.parent().filter(|at| !at.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
    let told = |error: std::io::Error| format!("`{path}`: {error}");
    let (old, new) = (folder(from).canonicalize().map_err(told)?, folder(to).canonicalize().map_err(told)?);
    let found = old.join(path).canonicalize().map_err(told)?;
    if !found.starts_with(&old) {
        return Err(format!("`{path}` leaves the folder of its data set"));
    }
    let below = found.strip_prefix(&new).map_err(|_| {
        format!("`{path}` does not lie below the folder of `{}`\nhint: write the result beside its rows", to.display())
    })?;
    Ok(below.display().to_string())
}

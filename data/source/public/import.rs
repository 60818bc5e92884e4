//! Files of public rows become one file of task rows.
//!
//! In: files of rows and where the result goes. Out: that file, whole or not at all, `OUT.refused.jsonl` with every row
//! that is not in it and why, and `OUT.remarks.jsonl` with what is odd about those that are.
//! Example: of 300 rows read, 298 written and 2 refused; the three always add up. Memory does not grow with the rows,
//! but for about 36 bytes each, by which ids that stand twice are found.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::BuildHasher;
use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::table::Table;
use super::{Format, GRADING_COLUMNS, Remark, RemarkKind, TaskRow, remarks, task_row_of};
use crate::file::{FileError, WholeFile};
use crate::source::jsonl::RowError;
use crate::source::rows::{Cell, Cells, Limits, Place, each_place};

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
    /// Written rows that have something odd, by what that is.
    #[serde(default)]
    pub remarks: BTreeMap<RemarkKind, usize>,
    /// Written rows that have a column of [`GRADING_COLUMNS`].
    #[serde(default)]
    pub kept: BTreeMap<String, usize>,
}

/// A row that is written, and what is odd about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemarkedRow {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Counted from 1.
    pub row: usize,
    /// Its id.
    pub instance_id: String,
    /// What is odd.
    #[serde(flatten)]
    pub remark: Remark,
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
    #[error(
        "`{0}` is neither `.parquet` nor `.jsonl`{hint}",
        hint = crate::Hint("name the result e.g. `rows.parquet`")
    )]
    Ending(PathBuf),
    /// The result would take the place of a file that is read.
    #[error(
        "`{out}` is `{input}`, which is read{}",
        crate::Hint("give the result a name of its own")
    )]
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
    #[error(
        "no row of {read} can be imported; the first: {first}{}",
        crate::Hint("`--from FORMAT` says what the rows are")
    )]
    Nothing {
        /// Rows that were read.
        read: usize,
        /// Why the first is refused.
        first: String,
    },
}

/// The file of refused rows beside `out`.
pub fn refused_path(out: &Path) -> PathBuf {
    beside(out, "refused.jsonl")
}

/// The file of remarks beside `out`.
pub fn remarks_path(out: &Path) -> PathBuf {
    beside(out, "remarks.jsonl")
}

fn beside(out: &Path, ending: &str) -> PathBuf {
    let name = out
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    out.with_file_name(format!("{name}.{ending}"))
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
    let table = if wanted.dry_run {
        None
    } else {
        Some(Table::create(out)?)
    };
    let list = |path: PathBuf| List { path, file: None };
    let mut run = Run {
        out,
        wanted,
        told,
        table,
        refused: list(refused_path(out)),
        remarks: list(remarks_path(out)),
        first: None,
        files,
        ids: Ids::default(),
        done: Imported::default(),
    };
    for (index, file) in files.iter().enumerate() {
        run.file(index, file)?;
    }
    run.finish()
}

/// Refuses an input that is missing, also where a limit would hide it, or that would be overwritten.
fn refuse_inputs(files: &[PathBuf], out: &Path) -> Result<(), ImportError> {
    let place = |about: &fs::Metadata| (about.dev(), about.ino());
    let written = [out.to_path_buf(), refused_path(out), remarks_path(out)];
    for input in files {
        let about = fs::metadata(input).map_err(|error| FileError::new("read", input, error))?;
        let same = |out: &&PathBuf| fs::metadata(out).is_ok_and(|out| place(&out) == place(&about));
        if let Some(out) = written.iter().find(same) {
            return Err(ImportError::Onto {
                out: out.clone(),
                input: input.clone(),
            });
        }
    }
    Ok(())
}

/// A list of rows beside the result, begun with the first.
struct List {
    path: PathBuf,
    file: Option<WholeFile>,
}

impl List {
    fn push(&mut self, row: &impl Serialize) -> Result<(), ImportError> {
        let write = |path: &Path, error: std::io::Error| FileError::new("write", path, error);
        let mut line = serde_json::to_vec(row).map_err(|error| write(&self.path, error.into()))?;
        line.push(b'\n');
        if self.file.is_none() {
            self.file = Some(WholeFile::create(&self.path)?);
        }
        let written = self
            .file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(&line));
        Ok(written.map_err(|error| write(&self.path, error))?)
    }

    /// Puts the list in its place. What an earlier import listed is not what this one did.
    fn finish(self) -> Result<(), ImportError> {
        match self.file {
            Some(file) => file.finish()?,
            None if self.path.exists() => {
                fs::remove_file(&self.path)
                    .map_err(|error| FileError::new("remove", &self.path, error))?;
            }
            None => {}
        }
        Ok(())
    }
}

/// Which ids were seen, and where first: a number for each, because millions of texts would not fit into memory.
#[derive(Default)]
struct Ids {
    hash: RandomState,
    /// The file and the row.
    seen: HashMap<u64, (u32, u32)>,
}

impl Ids {
    /// Where an id was seen before; else it is seen now.
    fn add(&mut self, id: &str, file: usize, row: usize) -> Option<(usize, usize)> {
        match self.seen.entry(self.hash.hash_one(id)) {
            Entry::Occupied(first) => Some((first.get().0 as usize, first.get().1 as usize)),
            Entry::Vacant(place) => {
                place.insert((file as u32, row as u32));
                None
            }
        }
    }
}

/// One import.
struct Run<'a> {
    out: &'a Path,
    wanted: &'a Wanted,
    told: &'a mut dyn FnMut(&RefusedRow),
    /// None on a dry run.
    table: Option<Table>,
    refused: List,
    remarks: List,
    /// Why the first refused row is refused.
    first: Option<String>,
    files: &'a [PathBuf],
    ids: Ids,
    done: Imported,
}

impl Run<'_> {
    fn enough(&self) -> bool {
        self.wanted
            .limit
            .is_some_and(|limit| self.done.read >= limit)
    }

    fn file(&mut self, index: usize, path: &Path) -> Result<(), ImportError> {
        let mut failed = None;
        let read = each_place(path, &Limits::default(), &mut |place| {
            let stop = || RowError::Broken {
                path: path.to_path_buf(),
                reason: "reading was stopped".into(),
            };
            if self.enough() {
                return Err(stop());
            }
            self.row(index, place).map_err(|error| {
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

    fn row(&mut self, file: usize, place: Place) -> Result<(), ImportError> {
        self.done.read += 1;
        let made = match place.cells {
            Ok(cells) => self.made(file, place.row, cells),
            Err(fault) => Err(fault.reason.clone()),
        };
        match made {
            Ok(row) => self.write(file, place.row, row),
            Err(reason) => self.refuse(RefusedRow {
                file: self.files[file].clone(),
                row: place.row,
                byte: place.offset,
                instance_id: place.cells.ok().and_then(id_of),
                reason,
            }),
        }
    }

    /// A row in one form, its paths as seen from the new file.
    fn made(&mut self, file: usize, number: usize, cells: Cells) -> Result<TaskRow, String> {
        let mut row = task_row_of(cells, self.wanted.format)?;
        let path = &self.files[file];
        for place in [&mut row.folder, &mut row.archive] {
            if let Some(given) = place.as_deref() {
                *place = Some(moved(given, path, self.out)?);
            }
        }
        if let Some(url) = row
            .git
            .as_deref()
            .filter(|url| !url.contains(':') && !url.starts_with('/'))
        {
            row.git = Some(moved(url, path, self.out)?);
        }
        match self.ids.add(&row.instance_id, file, number) {
            None => Ok(row),
            Some((file, first)) => {
                let file = self.files[file].display();
                Err(format!(
                    "`{}` stands in row {first} of `{file}` already",
                    row.instance_id
                ))
            }
        }
    }

    fn write(&mut self, file: usize, number: usize, row: TaskRow) -> Result<(), ImportError> {
        self.done.written += 1;
        count(&mut self.done.formats, &row.source_format);
        for (name, text) in row.texts() {
            if text.is_some() && GRADING_COLUMNS.iter().any(|(column, _)| *column == name) {
                count(&mut self.done.kept, name);
            }
        }
        for remark in remarks(&row) {
            *self.done.remarks.entry(remark.kind).or_default() += 1;
            if !self.wanted.dry_run {
                let (file, instance_id) = (self.files[file].clone(), row.instance_id.clone());
                self.remarks.push(&RemarkedRow {
                    file,
                    row: number,
                    instance_id,
                    remark,
                })?;
            }
        }
        self.table
            .as_mut()
            .map_or(Ok(()), |table| table.push(row))
            .map_err(|reason| self.unwritten(reason))
    }

    fn refuse(&mut self, row: RefusedRow) -> Result<(), ImportError> {
        (self.told)(&row);
        self.done.refused += 1;
        self.first.get_or_insert_with(|| {
            format!("`{}`, row {}: {}", row.file.display(), row.row, row.reason)
        });
        if self.wanted.dry_run {
            Ok(())
        } else {
            self.refused.push(&row)
        }
    }

    fn finish(self) -> Result<Imported, ImportError> {
        let Run {
            out,
            table,
            refused,
            remarks,
            first,
            done,
            ..
        } = self;
        let Imported { read, written, .. } = done;
        if written == 0 {
            return Err(ImportError::Nothing {
                read,
                first: first.unwrap_or_else(|| "there is none".into()),
            });
        }
        let Some(table) = table else { return Ok(done) };
        table.finish().map_err(|reason| ImportError::Write {
            path: out.to_path_buf(),
            reason,
        })?;
        refused.finish()?;
        remarks.finish()?;
        Ok(done)
    }

    fn unwritten(&self, reason: String) -> ImportError {
        ImportError::Write {
            path: self.out.to_path_buf(),
            reason,
        }
    }
}

fn count(counts: &mut BTreeMap<String, usize>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_string(), 1)),
    }
}

/// The id of a row that may be none.
fn id_of(cells: Cells) -> Option<String> {
    match cells.get("instance_id") {
        Ok(Some(Cell::Text(id))) => Some(id.chars().take(200).collect()),
        _ => None,
    }
}

/// A path that was said beside `from`, as said beside `to`.
fn moved(path: &str, from: &Path, to: &Path) -> Result<String, String> {
    let folder = |file: &Path| {
        file.parent()
            .filter(|at| !at.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
            .to_path_buf()
    };
    let told = |error: std::io::Error| format!("`{path}`: {error}");
    let (old, new) = (
        folder(from).canonicalize().map_err(told)?,
        folder(to).canonicalize().map_err(told)?,
    );
    let found = old.join(path).canonicalize().map_err(told)?;
    if !found.starts_with(&old) {
        return Err(format!("`{path}` leaves the folder of its data set"));
    }
    let below = found.strip_prefix(&new).map_err(|_| {
        format!(
            "`{path}` does not lie below the folder of `{}`{}",
            to.display(),
            crate::Hint("write the result beside its rows")
        )
    })?;
    Ok(below.display().to_string())
}

//! Rows of a data set whose columns nobody promised: JSON lines, a JSON list (either may be gzip'd), or Parquet.
//!
//! In: a file. Out: each row as a JSON object, bounded in size and number, or an error that names the file, the row and
//! the byte. Parquet is decoded in a process of its own, see `rows/child.rs`. What is neither is called by its name.
//! Example: the test lists of SWE-bench are JSON lists inside of a string, those of SWE-Gym real lists: [`names`] takes
//! both.

mod batch;
mod cells;
mod child;
mod json;
mod parquet;
mod python;
pub mod strict;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Map, Value};

use super::jsonl::RowError;
use crate::file::FileError;
use crate::kind::{head, other_kind};

pub use batch::Batch;
pub use cells::{Cell, Cells};
pub(crate) use child::{CHILD_ARGUMENT, serve};

/// A row: its columns by name.
pub type Row = Map<String, Value>;

/// What one file may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most rows.
    pub rows: usize,
    /// The longest row, as JSON.
    pub row_bytes: usize,
    /// The most bytes of all rows together, as JSON.
    pub bytes: u64,
    /// How many times as long as the file its rows may be, as JSON.
    pub expansion: u64,
    /// What every file may become, however small it is.
    pub free_bytes: u64,
    /// The most memory of the process that decodes Parquet.
    pub memory: u64,
    /// How long that process may be silent.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rows: 1_000_000_000,
            // A patch of 50 MB, its line ends written as two bytes each, is still a row: it has a verdict of its own.
            row_bytes: 128 << 20,
            bytes: 64 << 30,
            // Lists of tests that are the same in every row shrink a thousandfold.
            expansion: 4096,
            free_bytes: 256 << 20,
            memory: 4 << 30,
            silence: Duration::from_secs(60),
        }
    }
}

/// A list of so many bytes has no more texts than a strict reader takes.
const PLAIN_LIST_BYTES: usize = 4 << 20;
/// The most rows, and bytes of them, that are kept at once.
const MAX_KEPT_ROWS: usize = 1_000_000;
const MAX_KEPT_BYTES: u64 = 2 << 30;

/// A row of a file, or why it is none.
#[derive(Debug)]
pub struct Found {
    /// Counted from 1; blank lines count.
    pub row: usize,
    /// The byte of the file at which it begins, where the file is text.
    pub offset: Option<u64>,
    /// Its columns.
    pub value: Result<Row, Fault>,
}

/// Why a row is none.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub reason: String,
    /// True where the file ends in the middle of the row.
    pub torn: bool,
}

/// Takes each row as it is found; an error ends the reading.
pub type Each<'a> = dyn FnMut(Found) -> Result<(), RowError> + 'a;

/// A row of a file where it lies, or why it is none; otherwise as [`Found`].
#[derive(Debug)]
pub struct Place<'a> {
    /// Counted from 1; blank lines count.
    pub row: usize,
    /// The byte of the file at which it begins, where the file is text.
    pub offset: Option<u64>,
    /// Its columns.
    pub cells: Result<Cells<'a>, &'a Fault>,
}

/// Takes each row where it lies; an error ends the reading.
pub type EachPlace<'a> = dyn FnMut(Place) -> Result<(), RowError> + 'a;

/// Reads every row of a `.parquet`, `.json` or `.jsonl` file, told apart by their first bytes.
///
/// # Errors
///
/// When the file cannot be read, is none of the three, is too large, or a row is no object.
pub fn read_any(path: &Path) -> Result<Vec<Row>, RowError> {
    let mut rows = Vec::new();
    let limits = Limits {
        rows: MAX_KEPT_ROWS,
        bytes: MAX_KEPT_BYTES,
        ..Limits::default()
    };
    each_row(path, &limits, &mut |found| {
        let row = found.row;
        match found.value {
            Ok(row) => rows.push(row),
            Err(Fault { reason, torn: true }) => {
                return Err(RowError::Torn {
                    path: path.to_path_buf(),
                    row,
                    reason,
                });
            }
            Err(Fault {
                reason,
                torn: false,
            }) => return Err(refused(path, row, reason)),
        }
        Ok(())
    })?;
    Ok(rows)
}

/// As [`read_any`], one row after the other: a row that is none is told in its place.
///
/// # Errors
///
/// When the file cannot be read, is none of the three, or is larger than `limits`; and what `each` refuses.
pub fn each_row(path: &Path, limits: &Limits, each: &mut Each) -> Result<(), RowError> {
    match open(path, limits)? {
        Opened::Text(head) => text(&head, json::Rows::new(path, limits, each)),
        Opened::Parquet(file) => child::read(path, file, limits, &mut |before, batch| {
            (0..batch.rows()).try_for_each(|at| {
                let value = batch.row(at).map_err(|reason| Fault {
                    reason,
                    torn: false,
                });
                each(Found {
                    row: before + at + 1,
                    offset: None,
                    value,
                })
            })
        }),
    }
}

/// As [`each_row`], each row where it lies.
///
/// # Errors
///
/// As [`each_row`].
pub fn each_place(path: &Path, limits: &Limits, each: &mut EachPlace) -> Result<(), RowError> {
    match open(path, limits)? {
        Opened::Text(head) => {
            let mut each = |Found { row, offset, value }| match &value {
                Ok(cells) => each(Place {
                    row,
                    offset,
                    cells: Ok(Cells::Row(cells)),
                }),
                Err(fault) => each(Place {
                    row,
                    offset,
                    cells: Err(fault),
                }),
            };
            text(&head, json::Rows::new(path, limits, &mut each))
        }
        Opened::Parquet(file) => child::read(path, file, limits, &mut |before, batch| {
            let place = |at| Place {
                row: before + at + 1,
                offset: None,
                cells: Ok(Cells::Batch(batch, at)),
            };
            (0..batch.rows()).try_for_each(|at| each(place(at)))
        }),
    }
}

/// A file that may hold rows.
enum Opened {
    Parquet(File),
    /// With its first bytes.
    Text(Vec<u8>),
}

/// Opens a file and refuses what holds no rows we read.
fn open(path: &Path, limits: &Limits) -> Result<Opened, RowError> {
    let read = |error| FileError::new("read", path, error);
    let broken = |reason: String| RowError::Broken {
        path: path.to_path_buf(),
        reason,
    };
    // Before it is opened: opening a pipe waits for whoever writes to it.
    let about = fs::metadata(path).map_err(read)?;
    if !about.is_file() {
        return Err(broken(format!(
            "it is no file{}",
            crate::Hint("name a file with rows: Parquet, JSON lines or a JSON list")
        )));
    }
    let mut file = File::open(path).map_err(read)?;
    let head = head(&mut file).map_err(read)?;
    let (begins, ends) = (
        head.starts_with(b"PAR1"),
        ends_as_parquet(&file, about.len()).map_err(read)?,
    );
    match (begins, ends) {
        (true, true) => return Ok(Opened::Parquet(file)),
        (false, false) => {}
        (begins, _) => {
            let missing = if begins { "end" } else { "beginning" };
            let length = about.len();
            let hint = "whoever wrote or downloaded it was interrupted; fetch it again";
            let reason = format!(
                "it is broken Parquet: of its {length} bytes the {missing} is missing{}",
                crate::Hint(hint)
            );
            return Err(broken(reason));
        }
    }
    if about.len() > limits.bytes {
        return Err(broken(format!(
            "it has {} bytes; the limit is {}",
            about.len(),
            limits.bytes
        )));
    }
    // The first bytes of what is packed tell its kind; what cannot be unpacked is called by its name.
    let head = json::unpacked_head(path, head).map_err(|error| {
        let hint = "whoever wrote or downloaded it was interrupted; fetch it again";
        broken(format!(
            "it is gzip that cannot be unpacked: {error}{}",
            crate::Hint(hint)
        ))
    })?;
    other_kind(&head, path).map_or(Ok(Opened::Text(head)), |reason| Err(broken(reason)))
}

fn ends_as_parquet(file: &File, length: u64) -> io::Result<bool> {
    let mut end = [0; 4];
    // The four bytes at its beginning are not those at its end.
    let Some(at) = length.checked_sub(4).filter(|at| *at >= 4) else {
        return Ok(false);
    };
    file.read_exact_at(&mut end, at)?;
    Ok(&end == b"PAR1")
}

fn text(head: &[u8], rows: json::Rows) -> Result<(), RowError> {
    match head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start()
    {
        [b'[', ..] => rows.list(),
        // The first line holds no more than this: the object goes on below.
        [b'{', rest @ ..] if !rest.is_empty() && first_line(rest).is_empty() => rows.object(),
        [b'{', ..] => rows.object_or_lines(),
        _ => rows.lines(),
    }
}

/// What stands before the end of the first line.
fn first_line(bytes: &[u8]) -> &[u8] {
    bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

pub(super) fn refused(path: &Path, row: usize, reason: String) -> RowError {
    RowError::Row {
        path: path.to_path_buf(),
        row,
        reason,
    }
}

/// The texts of a list inside of a string, in JSON's notation or in Python's.
///
/// # Errors
///
/// Why it is no JSON.
pub fn listed(text: &str) -> Result<Vec<String>, strict::Fault> {
    // The usual case without a value for each text in between.
    if text.len() < PLAIN_LIST_BYTES
        && let Ok(list) = serde_json::from_str(text)
    {
        return Ok(list);
    }
    let list = strict::value(text.as_bytes()).and_then(|value| {
        serde_json::from_value(value).map_err(|error| strict::Fault {
            at: 0,
            reason: error.to_string(),
            cut: false,
        })
    });
    list.or_else(|fault| python::texts(text).ok_or(fault))
}

/// A list of names, or the same inside of a string, see [`listed`].
///
/// # Errors
///
/// When it is neither.
pub fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        List(Vec<String>),
        Text(String),
        Nothing(()),
    }
    match Names::deserialize(deserializer)? {
        Names::List(names) => Ok(names),
        Names::Nothing(()) => Ok(Vec::new()),
        Names::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
        Names::Text(text) => listed(&text).map_err(|fault| {
            let reason = fault.reason;
            D::Error::custom(format!(
                "a list of tests is neither a list nor one inside of a string: {reason}"
            ))
        }),
    }
}

/// Path to text: an object, or the same as JSON inside of a string. What is null is not there: a table gives every row
/// the columns of all.
///
/// # Errors
///
/// When it is neither.
pub fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let neither = |why: &str| {
        D::Error::custom(format!(
            "files are neither an object of texts nor one inside of a string: {why}"
        ))
    };
    let value = match Value::deserialize(deserializer)? {
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => {
            strict::value(text.as_bytes()).map_err(|fault| neither(&fault.reason))?
        }
        value => value,
    };
    let files = match value {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(files) => files,
        _ => return Err(neither("it is something else")),
    };
    let text = |(path, value): (String, Value)| match value {
        Value::Null => None,
        Value::String(text) => Some(Ok((path, text))),
        _ => Some(Err(neither(&format!("`{path}` is no text")))),
    };
    files.into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests;

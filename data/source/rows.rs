//! Rows of a data set whose columns nobody promised: JSON lines, a JSON list, or Parquet.
//!
//! In: a file. Out: each row as a JSON object, bounded in size and number, or an error that names the file, the row and
//! the byte. Parquet is decoded in a process of its own, see `rows/child.rs`.
//! Example: the test lists of SWE-bench are JSON lists inside of a string, those of SWE-Gym real lists: [`names`] takes
//! both.

mod child;
mod json;
mod parquet;
pub mod strict;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Map, Value};

use super::jsonl::RowError;
use crate::file::FileError;

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
            rows: 1_000_000,
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

/// The most bytes of rows that are kept at once.
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

/// Reads every row of a `.parquet`, `.json` or `.jsonl` file, told apart by their first bytes.
///
/// # Errors
///
/// When the file cannot be read, is none of the three, is too large, or a row is no object.
pub fn read_any(path: &Path) -> Result<Vec<Row>, RowError> {
    let mut rows = Vec::new();
    let limits = Limits { bytes: MAX_KEPT_BYTES, ..Limits::default() };
    each_row(path, &limits, &mut |found| {
        let row = found.row;
        match found.value {
            Ok(row) => rows.push(row),
            Err(Fault { reason, torn: true }) => return Err(RowError::Torn { path: path.to_path_buf(), row, reason }),
            Err(Fault { reason, torn: false }) => return Err(refused(path, row, reason)),
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
    let read = |error| FileError::new("read", path, error);
    let broken = |reason: String| RowError::Broken { path: path.to_path_buf(), reason };
    // Before it is opened: opening a pipe waits for whoever writes to it.
    let about = fs::metadata(path).map_err(read)?;
    if !about.is_file() {
        return Err(broken("it is no file\nhint: name a file with rows: Parquet, JSON lines or a JSON list".into()));
    }
    let mut file = File::open(path).map_err(read)?;
    let mut head = Vec::new();
    (&mut file).take(64).read_to_end(&mut head).map_err(read)?;
    if head.starts_with(b"PAR1") {
        return child::read(path, file, limits, each);
    }
    if about.len() > limits.bytes {
        return Err(broken(format!("it has {} bytes; the limit is {}", about.len(), limits.bytes)));
    }
    if let Some(reason) = other_kind(&head, path) {
        return Err(broken(reason));
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
    let rows = json::Rows::new(path, limits, each);
    match head {
        [b'[', ..] => rows.list(),
        // The first line holds no more than this: the object goes on below.
        [b'{', rest @ ..] if !rest.is_empty() && first_line(rest).is_empty() => rows.object(),
        [b'{', ..] => rows.object_or_lines(),
        _ => rows.lines(),
    }
}

/// What stands before the end of the first line.
fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii()
}

/// What a file is that holds no rows we read, and what to do.
fn other_kind(head: &[u8], path: &Path) -> Option<String> {
    const PACKED: [(&[u8], &str, &str); 5] = [
        (b"\x1f\x8b", "gzip", "gzip -d"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
        (b"BZh", "bzip2", "bzip2 -d"),
        (b"\xfd7zXZ", "xz", "xz -d"),
        (b"PK\x03\x04", "zip", "unzip"),
    ];
    if let Some((_, kind, command)) = PACKED.iter().find(|(start, ..)| head.starts_with(start)) {
        return Some(format!("it is compressed with {kind}\nhint: decompress it first: `{command} FILE`"));
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some("it is text in UTF-16\nhint: write it as UTF-8 first: `iconv -f UTF-16 -t UTF-8 FILE`".into());
    }
    let table = path.extension().is_some_and(|ending| ending == "csv" || ending == "tsv");
    let json = matches!(head.trim_ascii_start(), [b'{' | b'[', ..]);
    (table && !json).then(|| "it is a table of text\nhint: write it as Parquet or as JSON lines first".into())
}

pub(super) fn refused(path: &Path, row: usize, reason: String) -> RowError {
    RowError::Row { path: path.to_path_buf(), row, reason }
}

/// A list of names, or the same as JSON inside of a string.
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
        Names::Text(text) => serde_json::from_str(&text).map_err(|error| {
            D::Error::custom(format!("a list of tests is neither a list nor one inside of a string: {error}"))
        }),
    }
}

/// Path to text: an object, or the same as JSON inside of a string. What is null is not there: a table gives every row
/// the columns of all.
///
/// # Errors
///
/// When it is neither.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let neither =
        |why: &str| D::Error::custom(format!("files are neither an object of texts nor one inside of a string: {why}"));
    let value = match Value::deserialize(deserializer)? {
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => strict::value(text.as_bytes()).map_err(|fault| neither(&fault.reason))?,
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

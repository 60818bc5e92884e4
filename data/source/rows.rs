//! Rows of a data set whose columns nobody promised: JSON lines, a JSON list, or Parquet.
//!
//! In: a file. Out: each row as a JSON object, bounded in size and number, or an error that names the file and the row.
//! Example: the test lists of SWE-bench are JSON lists inside of a string, those of SWE-Gym real lists: [`names`] takes
//! both.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Map, Value};

use super::jsonl::{RowError, read_rows};
use crate::file::FileError;

/// A row: its columns by name.
pub type Row = Map<String, Value>;

/// The most rows of one file.
const MAX_ROWS: usize = 1_000_000;
/// The largest JSON list.
const MAX_LIST_BYTES: u64 = 1 << 30;

/// Reads every row of a `.parquet`, `.json` or `.jsonl` file, told apart by their first bytes.
///
/// # Errors
///
/// When the file cannot be read, is none of the three, or a row is no object.
pub fn read_any(path: &Path) -> Result<Vec<Row>, RowError> {
    let mut head = [0; 4];
    let opened = File::open(path).and_then(|mut file| file.read(&mut head).map(|count| (file, count)));
    let (file, count) = opened.map_err(|error| FileError::new("read", path, error))?;
    match &head[..count] {
        b"PAR1" => parquet_rows(path, file),
        head if head.trim_ascii_start().starts_with(b"[") => json_list(path),
        _ => read_rows(path),
    }
}

fn json_list(path: &Path) -> Result<Vec<Row>, RowError> {
    let read = |error| FileError::new("read", path, error);
    let mut text = String::new();
    let mut file = File::open(path).map_err(read)?.take(MAX_LIST_BYTES);
    file.read_to_string(&mut text).map_err(read)?;
    serde_json::from_str(&text).map_err(|error| refused(path, 1, error.to_string()))
}

fn parquet_rows(path: &Path, file: File) -> Result<Vec<Row>, RowError> {
    let fault =
        |row: usize, error: &dyn std::fmt::Display| refused(path, row, format!("it is broken Parquet: {error}"));
    let reader = SerializedFileReader::new(file).map_err(|error| fault(0, &error))?;
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None).map_err(|error| fault(0, &error))? {
        let number = rows.len() + 1;
        match row.map_err(|error| fault(number, &error))?.to_json_value() {
            Value::Object(row) if number <= MAX_ROWS => rows.push(row),
            Value::Object(_) => return Err(refused(path, number, format!("there are more than {MAX_ROWS} rows"))),
            _ => return Err(refused(path, number, "it is no row of named columns".into())),
        }
    }
    Ok(rows)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("rows-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("writes");
        path
    }

    fn ids(path: &Path) -> Vec<String> {
        let rows = read_any(path).expect("reads");
        std::fs::remove_file(path).expect("cleans up");
        rows.iter().map(|row| row["id"].as_str().expect("a text").to_string()).collect()
    }

    #[test]
    fn the_three_kinds_of_files_are_told_apart() {
        let column: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let batch = RecordBatch::try_from_iter([("id", column)]).expect("a batch");
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("writes");
        writer.close().expect("closes");
        assert_eq!(ids(&file("a.parquet", &bytes)), ["a", "b"]);
        assert_eq!(ids(&file("a.jsonl", b"{\"id\": \"a\"}\n{\"id\": \"b\"}\n")), ["a", "b"]);
        assert_eq!(ids(&file("a.json", b" [{\"id\": \"a\"}, {\"id\": \"b\"}]")), ["a", "b"]);
    }

    #[test]
    fn a_broken_file_is_named() {
        for (name, bytes, why) in [
            ("cut.parquet", &b"PAR1 and then nothing"[..], "broken Parquet"),
            ("list.json", b"[1, 2]", "expected a map"),
            ("number.jsonl", b"7\n", "row 1"),
        ] {
            let path = file(name, bytes);
            let error = read_any(&path).expect_err(name).to_string();
            assert!(error.contains(why) && error.contains(name), "{error}");
            std::fs::remove_file(path).expect("cleans up");
        }
    }

    #[test]
    fn a_list_of_tests_may_be_a_text() {
        #[derive(Deserialize)]
        struct Tests(#[serde(deserialize_with = "names")] Vec<String>);
        let read = |text: &str| serde_json::from_str::<Tests>(text).map(|tests| tests.0);
        assert_eq!(read(r#"["a", "b"]"#).expect("reads"), ["a", "b"]);
        assert_eq!(read(r#""[\"a\"]""#).expect("reads"), ["a"]);
        assert!(read("null").expect("reads").is_empty());
        assert!(read(r#""a, b""#).is_err());
    }
}

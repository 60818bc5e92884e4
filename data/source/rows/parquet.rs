//! Rows of a Parquet file, decoded one at a time.
//!
//! In: an open file. Out: each row as JSON, or why the file is none. A page of one value that stands a million times is
//! small on disk: what the rows become is counted, and a file that grows beyond every measure is refused.

use std::collections::HashSet;
use std::fs::File;

use parquet::file::reader::{FileReader, SerializedFileReader};

use super::Limits;

/// Tells each row, as one JSON object, to `each`; false from it ends the reading.
///
/// # Errors
///
/// Why the file cannot be read, or which limit its rows exceed.
pub(super) fn decode(file: File, limits: &Limits, each: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<(), String> {
    let broken = |error: &dyn std::fmt::Display| format!("it is broken Parquet: {error}");
    let size = file.metadata().map_err(|error| broken(&error))?.len();
    let most = limits.bytes.min(size.saturating_mul(limits.expansion).max(limits.free_bytes));
    let reader = SerializedFileReader::new(file).map_err(|error| broken(&error))?;
    let columns = reader.metadata().file_metadata().schema().get_fields();
    let mut names = HashSet::new();
    if let Some(twice) = columns.iter().find(|column| !names.insert(column.name())) {
        return Err(format!("the column `{}` stands twice", twice.name()));
    }
    let mut total = 0;
    for (index, row) in reader.get_row_iter(None).map_err(|error| broken(&error))?.enumerate() {
        let number = index + 1;
        let row = row.map_err(|error| format!("row {number}: {}", broken(&error)))?;
        if number > limits.rows {
            return Err(format!("there are more than {} rows", limits.rows));
        }
        let json = serde_json::to_vec(&row.to_json_value()).map_err(|error| broken(&error))?;
        if json.len() > limits.row_bytes {
            return Err(format!("row {number} is longer than {} bytes", limits.row_bytes));
        }
        total += json.len() as u64;
        if total > most {
            return Err(format!("its {size} bytes become more than {most} bytes of rows, at row {number}"));
        }
        if !each(json) {
            return Ok(());
        }
    }
    Ok(())
}

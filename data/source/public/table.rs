//! Task rows as a file: Parquet or JSON lines.
//!
//! In: rows, one after the other. Out: a file that is there when the last one is written, and not before.
//! Example: `FAIL_TO_PASS` is a list of texts in both; what a row does not have is null.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::array::{ArrayRef, ListBuilder, RecordBatch, StringBuilder, UInt32Array};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::TaskRow;
use crate::file::{FileError, WholeFile};

/// Rows are encoded together up to this many, or this many bytes.
const BATCH_ROWS: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;
/// What a row group has in memory before it is written: a reader needs no more.
const GROUP_BYTES: usize = 32 << 20;

/// The thread that writes, and what it says at its end.
type Writing = JoinHandle<Result<(), String>>;

/// A file of rows that is being written, by a thread of its own.
pub(super) struct Table {
    /// None once the writer ended.
    writer: Option<(SyncSender<Vec<TaskRow>>, Writing)>,
    rows: Vec<TaskRow>,
    bytes: usize,
}

impl Table {
    /// True where a file of this name can be written.
    pub fn takes(path: &Path) -> bool {
        ending(path).is_some()
    }

    /// Begins a file.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let file = WholeFile::create(path)?;
        let lines = ending(path) == Some("jsonl");
        let (sender, rows) = sync_channel(1);
        let written = move || {
            if lines {
                write_lines(file, rows)
            } else {
                write_parquet(file, rows)
            }
        };
        let thread = std::thread::Builder::new()
            .name("rows".into())
            .spawn(written);
        let thread = thread.map_err(|error| FileError::new("write", path, error))?;
        Ok(Table {
            writer: Some((sender, thread)),
            rows: Vec::new(),
            bytes: 0,
        })
    }

    /// Adds a row.
    pub fn push(&mut self, row: TaskRow) -> Result<(), String> {
        self.bytes += length(&row);
        self.rows.push(row);
        if self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.pass_on()
        } else {
            Ok(())
        }
    }

    fn pass_on(&mut self) -> Result<(), String> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        let open = self
            .writer
            .as_ref()
            .is_some_and(|(sender, _)| sender.send(rows).is_ok());
        if open {
            Ok(())
        } else {
            self.end().and(Err("its writer ended".into()))
        }
    }

    /// Waits for the writer, and says what it says.
    fn end(&mut self) -> Result<(), String> {
        let Some((sender, thread)) = self.writer.take() else {
            return Ok(());
        };
        drop(sender);
        thread
            .join()
            .unwrap_or_else(|_| Err("its writer ended in the middle".into()))
    }

    /// Puts the file in its place.
    pub fn finish(mut self) -> Result<(), String> {
        if !self.rows.is_empty() {
            self.pass_on()?;
        }
        // An empty batch says that nothing is missing: without it the file is left out.
        self.pass_on()?;
        self.end()
    }
}

impl Drop for Table {
    /// What is not finished is gone when this returns.
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn write_lines(mut file: WholeFile, batches: Receiver<Vec<TaskRow>>) -> Result<(), String> {
    for rows in batches {
        if rows.is_empty() {
            return file.finish().map_err(|error| error.to_string());
        }
        for row in &rows {
            let line = serde_json::to_string(row).map_err(|error| error.to_string())?;
            writeln!(file, "{line}").map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn write_parquet(file: WholeFile, batches: Receiver<Vec<TaskRow>>) -> Result<(), String> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let schema = batch(&[])?.schema();
    let mut writer =
        ArrowWriter::try_new(file, schema, Some(properties)).map_err(|error| error.to_string())?;
    for rows in batches {
        if rows.is_empty() {
            let file = writer.into_inner().map_err(|error| error.to_string())?;
            return file.finish().map_err(|error| error.to_string());
        }
        writer
            .write(&batch(&rows)?)
            .map_err(|error| error.to_string())?;
        if writer.in_progress_size() >= GROUP_BYTES {
            writer.flush().map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn ending(path: &Path) -> Option<&str> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.filter(|ending| matches!(*ending, "parquet" | "jsonl"))
}

/// About how many bytes a row has.
fn length(row: &TaskRow) -> usize {
    let texts = row
        .texts()
        .into_iter()
        .flat_map(|(_, text)| text)
        .map(str::len)
        .sum::<usize>();
    texts
        + row
            .fail_to_pass
            .iter()
            .chain(&row.pass_to_pass)
            .map(|test| test.len() + 4)
            .sum::<usize>()
}

fn batch(rows: &[TaskRow]) -> Result<RecordBatch, String> {
    let numbers = UInt32Array::from_iter_values(rows.iter().map(|row| row.row_format));
    let mut columns: Vec<(&str, ArrayRef)> = vec![("row_format", Arc::new(numbers))];
    let names = TaskRow::default();
    let mut texts: Vec<StringBuilder> =
        names.texts().iter().map(|_| StringBuilder::new()).collect();
    for row in rows {
        texts
            .iter_mut()
            .zip(row.texts())
            .for_each(|(column, (_, text))| column.append_option(text));
    }
    for ((name, _), mut column) in names.texts().into_iter().zip(texts) {
        columns.push((name, Arc::new(column.finish())));
    }
    for (name, of) in [
        (
            "FAIL_TO_PASS",
            (|row| &row.fail_to_pass) as fn(&TaskRow) -> &Vec<String>,
        ),
        ("PASS_TO_PASS", |row| &row.pass_to_pass),
    ] {
        let mut column = ListBuilder::new(StringBuilder::new());
        for row in rows {
            of(row)
                .iter()
                .for_each(|test| column.values().append_value(test));
            column.append(true);
        }
        columns.push((name, Arc::new(column.finish())));
    }
    // Whether a column has nulls must not depend on the batch.
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .map_err(|error| error.to_string())
}

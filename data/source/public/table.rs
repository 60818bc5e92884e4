//! Task rows as a file: Parquet or JSON lines.
//!
//! In: rows, one after the other. Out: a file that is there when the last one is written, and not before.
//! Example: `FAIL_TO_PASS` is a list of texts in both; what a row does not have is null.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, RecordBatch, StringBuilder, UInt32Array};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::TaskRow;
use crate::file::{FileError, WholeFile};

/// Rows are encoded together up to this many, or this many bytes.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 32 << 20;

/// A file of rows that is being written.
pub(super) struct Table {
    sink: Sink,
    rows: Vec<TaskRow>,
    bytes: usize,
}

enum Sink {
    Lines(WholeFile),
    /// With its first batch: only then is there a schema.
    Parquet {
        file: Option<WholeFile>,
        writer: Option<Box<ArrowWriter<WholeFile>>>,
    },
}

impl Table {
    /// True where a file of this name can be written.
    pub fn takes(path: &Path) -> bool {
        ending(path).is_some()
    }

    /// Begins a file.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let file = WholeFile::create(path)?;
        let sink = match ending(path) {
            Some("jsonl") => Sink::Lines(file),
            _ => Sink::Parquet { file: Some(file), writer: None },
        };
        Ok(Table { sink, rows: Vec::new(), bytes: 0 })
    }

    /// Adds a row.
    pub fn push(&mut self, row: TaskRow) -> Result<(), String> {
        self.bytes += length(&row);
        self.rows.push(row);
        if self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Puts the file in its place.
    pub fn finish(mut self) -> Result<(), String> {
        self.flush()?;
        let file = match self.sink {
            Sink::Lines(file) => Some(file),
            Sink::Parquet { file, writer: None } => file,
            Sink::Parquet { writer: Some(writer), .. } => Some(writer.into_inner().map_err(|error| error.to_string())?),
        };
        file.map_or(Ok(()), WholeFile::finish).map_err(|error| error.to_string())
    }

    fn flush(&mut self) -> Result<(), String> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        match &mut self.sink {
            Sink::Lines(file) => rows.iter().try_for_each(|row| {
                let line = serde_json::to_string(row).map_err(|error| error.to_string())?;
                writeln!(file, "{line}").map_err(|error| error.to_string())
            }),
            Sink::Parquet { file, writer } => {
                let batch = batch(&rows)?;
                if let Some(file) = file.take() {
                    let compression = Compression::ZSTD(ZstdLevel::default());
                    let properties = WriterProperties::builder().set_compression(compression).build();
                    let begun = ArrowWriter::try_new(file, batch.schema(), Some(properties));
                    *writer = Some(Box::new(begun.map_err(|error| error.to_string())?));
                }
                let Some(writer) = writer else { return Ok(()) };
                // A row group a batch, so that a reader needs no more memory than this writer.
                let written = writer.write(&batch).and_then(|()| writer.flush());
                written.map_err(|error| error.to_string())
            }
        }
    }
}

fn ending(path: &Path) -> Option<&str> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.filter(|ending| matches!(*ending, "parquet" | "jsonl"))
}

/// About how many bytes a row has.
fn length(row: &TaskRow) -> usize {
    let texts = texts(row).into_iter().flat_map(|(_, text)| text).map(str::len).sum::<usize>();
    texts + row.fail_to_pass.iter().chain(&row.pass_to_pass).map(|test| test.len() + 4).sum::<usize>()
}

/// The columns of text, in the order of the file.
fn texts(row: &TaskRow) -> [(&'static str, Option<&str>); 22] {
    [
        ("source_format", Some(row.source_format.as_str())),
        ("instance_id", Some(row.instance_id.as_str())),
        ("repo", Some(row.repo.as_str())),
        ("base_commit", row.base_commit.as_deref()),
        ("image", row.image.as_deref()),
        ("language", row.language.as_deref()),
        ("version", row.version.as_deref()),
        ("problem_statement", Some(row.problem_statement.as_str())),
        ("hints_text", row.hints_text.as_deref()),
        ("patch", Some(row.patch.as_str())),
        ("bug_patch", row.bug_patch.as_deref()),
        ("test_patch", row.test_patch.as_deref()),
        ("expected_output", row.expected_output.as_deref()),
        ("eval_script", row.eval_script.as_deref()),
        ("test_command", row.test_command.as_deref()),
        ("log_parser", row.log_parser.as_deref()),
        ("created_at", row.created_at.as_deref()),
        ("files", row.files.as_deref()),
        ("folder", row.folder.as_deref()),
        ("archive", row.archive.as_deref()),
        ("git", row.git.as_deref()),
        ("test_files", row.test_files.as_deref()),
    ]
}

fn batch(rows: &[TaskRow]) -> Result<RecordBatch, String> {
    let numbers = UInt32Array::from_iter_values(rows.iter().map(|row| row.row_format));
    let mut columns: Vec<(&str, ArrayRef)> = vec![("row_format", Arc::new(numbers))];
    for (index, (name, _)) in texts(&TaskRow::default()).into_iter().enumerate() {
        let mut column = StringBuilder::new();
        rows.iter().for_each(|row| column.append_option(texts(row)[index].1));
        columns.push((name, Arc::new(column.finish())));
    }
    for (name, of) in [
        ("FAIL_TO_PASS", (|row| &row.fail_to_pass) as fn(&TaskRow) -> &Vec<String>),
        ("PASS_TO_PASS", |row| &row.pass_to_pass),
    ] {
        let mut column = ListBuilder::new(StringBuilder::new());
        for row in rows {
            of(row).iter().for_each(|test| column.values().append_value(test));
            column.append(true);
        }
        columns.push((name, Arc::new(column.finish())));
    }
    // Whether a column has nulls must not depend on the batch.
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .map_err(|error| error.to_string())
}

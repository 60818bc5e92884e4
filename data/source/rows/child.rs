//! A Parquet file is decoded by a process of its own, because a damaged one can make the decoder panic, hang, or ask
//! for all memory there is.
//!
//! In: a file. Out: its rows in batches, or an error that names it. The child is this program, started again with a
//! hidden argument, without an environment, with limits on memory, time and files; it gets the open file as standard
//! input and answers with one frame a batch: a word of eight bytes that says what it is, then columns as Arrow's stream
//! has them, which are read where they lie. What ends the child ends nobody else.
//!
//! A program whose `main` does not begin with [`main_if_asked`](crate::child::main_if_asked), such as a test of this
//! crate, decodes in itself.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::panic;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;

use super::{Batch, Limits, parquet};
use crate::child::{self, Child, said, write_frame};
use crate::source::jsonl::RowError;

/// The argument that turns our program into a reader of Parquet.
pub(crate) const CHILD_ARGUMENT: &str = "read-rows";
/// Processor seconds that every file may cost, and more for each MiB of it.
const SECONDS: u64 = 60;
/// What a frame holds; eight bytes, so that the columns behind them lie as numbers must.
const ROWS: &[u8; 8] = b"rows    ";
const FAULT: &[u8; 8] = b"fault   ";
const END: &[u8; 8] = b"end     ";
/// What a batch has besides its rows.
const FRAME_BYTES: usize = 64 << 20;

/// Takes each batch with the number of rows before it; an error ends the reading.
pub(super) type EachBatch<'a> = dyn FnMut(usize, &Batch) -> Result<(), RowError> + 'a;

/// The child: limits first, then the file.
pub(crate) fn serve(numbers: &[u64]) -> io::Result<()> {
    let &[rows, row_bytes, bytes, expansion, free_bytes, memory] = numbers else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    child::limit(memory, Some(SECONDS + (file.metadata()?.len() >> 20)))?;
    let limits = Limits {
        rows: rows as usize,
        row_bytes: row_bytes as usize,
        bytes,
        expansion,
        free_bytes,
        ..Limits::default()
    };
    // Not through a buffer that looks for ends of lines.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut unwritten = None;
    let decoded = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let mut frame = Vec::new();
        parquet::decode(file, &limits, &mut |batch| {
            let written = packed(&batch, &mut frame).map_err(|error| error.to_string());
            let sent = written
                .and_then(|()| write_frame(&mut out, &frame).map_err(|error| error.to_string()));
            unwritten = sent.err();
            unwritten.is_none()
        })
    }));
    let fault = match decoded {
        Ok(Ok(())) => unwritten,
        Ok(Err(reason)) => Some(reason),
        Err(panic) => Some(format!(
            "it is broken Parquet: the decoder gave up: {}",
            said(panic.as_ref())
        )),
    };
    match fault {
        None => write_frame(&mut out, END),
        Some(reason) => write_frame(&mut out, &[FAULT, reason.as_bytes()].concat()),
    }
}

fn packed(batch: &RecordBatch, frame: &mut Vec<u8>) -> Result<(), ArrowError> {
    frame.clear();
    frame.extend_from_slice(ROWS);
    let mut writer = StreamWriter::try_new(frame, batch.schema_ref())?;
    writer.write(batch)?;
    writer.finish()
}

fn unpacked(columns: Buffer) -> Result<Option<RecordBatch>, ArrowError> {
    let (mut decoder, mut columns) = (StreamDecoder::new(), columns);
    decoder.decode(&mut columns)
}

/// Reads a Parquet file, in a child where that is possible.
pub(super) fn read(
    path: &Path,
    file: File,
    limits: &Limits,
    each: &mut EachBatch,
) -> Result<(), RowError> {
    let reading = Reading {
        path,
        limits,
        each,
        rows: 0,
        last: None,
    };
    match child::program() {
        Ok(Some(program)) => reading.in_child(program, file),
        Ok(None) => reading.here(file),
        Err(error) => Err(reading.no_child(&error)),
    }
}

struct Reading<'a, 'b> {
    path: &'a Path,
    limits: &'a Limits,
    each: &'a mut EachBatch<'b>,
    rows: usize,
    last: Option<Batch>,
}

impl Reading<'_, '_> {
    fn broken(&self, reason: String) -> RowError {
        RowError::Broken {
            path: self.path.to_path_buf(),
            reason,
        }
    }

    fn no_child(&self, error: &io::Error) -> RowError {
        self.broken(format!(
            "a process that reads it cannot be started: {error}"
        ))
    }

    fn batch(&mut self, columns: RecordBatch) -> Result<(), RowError> {
        let batch = Batch::new(columns, self.last.as_ref());
        let before = self.rows;
        self.rows += batch.rows();
        let told = (self.each)(before, &batch);
        self.last = Some(batch);
        told
    }

    fn here(mut self, file: File) -> Result<(), RowError> {
        let mut stopped = Ok(());
        let decoded = parquet::decode(file, self.limits, &mut |columns| {
            stopped = self.batch(columns);
            stopped.is_ok()
        });
        stopped?;
        decoded.map_err(|reason| self.broken(reason))
    }

    fn in_child(mut self, program: &Path, file: File) -> Result<(), RowError> {
        let Limits {
            rows,
            row_bytes,
            bytes,
            expansion,
            free_bytes,
            memory,
            silence,
        } = self.limits.clone();
        let numbers = [
            rows as u64,
            row_bytes as u64,
            bytes,
            expansion,
            free_bytes,
            memory,
        ];
        let longest = row_bytes.saturating_mul(2).saturating_add(FRAME_BYTES);
        let child = Child::start_framed(program, CHILD_ARGUMENT, &numbers, file.into(), longest);
        let mut child = child.map_err(|error| self.no_child(&error))?;
        loop {
            let frame = match child.lines.recv_timeout(silence) {
                Ok(frame) => frame,
                Err(RecvTimeoutError::Timeout) => {
                    let waited = silence.as_secs();
                    return Err(self.broken(format!(
                        "no row could be read in {waited} s, after row {}",
                        self.rows
                    )));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let (how, rows) = (child.end(), self.rows);
                    let reason =
                        "it is broken Parquet, or made to do harm: it brought its reader to";
                    return Err(self.broken(format!("{reason} {how}, after row {rows}")));
                }
            };
            let nonsense = || self.broken("its reader answers with nonsense".into());
            match frame.first_chunk::<8>() {
                Some(ROWS) => {
                    let columns = unpacked(Buffer::from_vec(frame).slice(ROWS.len()));
                    let columns = columns.ok().flatten().ok_or_else(nonsense)?;
                    self.batch(columns)?;
                }
                Some(FAULT) => {
                    return Err(self.broken(String::from_utf8_lossy(&frame[8..]).into_owned()));
                }
                Some(END) => return Ok(()),
                _ => return Err(nonsense()),
            }
        }
    }
}

//! A Parquet file is decoded by a process of its own, because a damaged one can make the decoder panic, hang, or ask
//! for all memory there is.
//!
//! In: a file. Out: its rows, or an error that names it. The child is this program, started again with a hidden
//! argument, without an environment, with limits on memory, time and files; it gets the open file as standard input and
//! answers with one line a row. What ends it ends nobody else.
//!
//! A program whose `main` does not begin with [`main_if_asked`](crate::child::main_if_asked), such as a test of this crate, decodes in itself.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;

use serde_json::Value;

use super::{Each, Fault, Found, Limits, parquet, strict};
use crate::child::{self, Child, said};
use crate::source::jsonl::RowError;

/// The argument that turns our program into a reader of Parquet.
pub(crate) const CHILD_ARGUMENT: &str = "read-rows";
/// Processor seconds that every file may cost, and more for each MiB of it.
const SECONDS: u64 = 60;

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
    let mut out = io::stdout().lock();
    let mut answer = |kind: u8, line: &[u8]| {
        let written = out.write_all(&[kind]).and_then(|()| out.write_all(line)).and_then(|()| out.write_all(b"\n"));
        written.and_then(|()| out.flush()).is_ok()
    };
    let decoded = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        parquet::decode(file, &limits, &mut |json| answer(b'r', &json))
    }));
    let fault = match decoded {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(panic) => Some(format!("it is broken Parquet: the decoder gave up: {}", said(panic.as_ref()))),
    };
    match fault {
        None => answer(b'.', b""),
        Some(reason) => answer(b'e', reason.replace('\n', " ").as_bytes()),
    };
    Ok(())
}

/// Reads a Parquet file, in a child where that is possible.
pub(super) fn read(path: &Path, file: File, limits: &Limits, each: &mut Each) -> Result<(), RowError> {
    let reading = Reading { path, limits, each, rows: 0 };
    match child::program() {
        Ok(Some(program)) => reading.in_child(program, file),
        Ok(None) => reading.here(file),
        Err(error) => Err(reading.no_child(&error)),
    }
}

struct Reading<'a, 'b> {
    path: &'a Path,
    limits: &'a Limits,
    each: &'a mut Each<'b>,
    rows: usize,
}

impl Reading<'_, '_> {
    fn broken(&self, reason: String) -> RowError {
        RowError::Broken { path: self.path.to_path_buf(), reason }
    }

    fn no_child(&self, error: &io::Error) -> RowError {
        self.broken(format!("a process that reads it cannot be started: {error}"))
    }

    fn row(&mut self, json: &[u8]) -> Result<(), RowError> {
        self.rows += 1;
        let value = match strict::value(json) {
            Ok(Value::Object(row)) => Ok(row),
            Ok(_) => Err("it is no row of named columns".to_string()),
            Err(fault) => Err(fault.reason),
        };
        let value = value.map_err(|reason| Fault { reason, torn: false });
        (self.each)(Found { row: self.rows, offset: None, value })
    }

    fn here(mut self, file: File) -> Result<(), RowError> {
        let mut stopped = Ok(());
        let decoded = parquet::decode(file, self.limits, &mut |json| {
            stopped = self.row(&json);
            stopped.is_ok()
        });
        stopped?;
        decoded.map_err(|reason| self.broken(reason))
    }

    fn in_child(mut self, program: &Path, file: File) -> Result<(), RowError> {
        let Limits { rows, row_bytes, bytes, expansion, free_bytes, memory, silence } = self.limits.clone();
        let numbers = [rows as u64, row_bytes as u64, bytes, expansion, free_bytes, memory];
        let child = Child::start(program, CHILD_ARGUMENT, &numbers, file.into(), row_bytes);
        let mut child = child.map_err(|error| self.no_child(&error))?;
        loop {
            match child.lines.recv_timeout(silence) {
                Ok(line) => match line.split_first() {
                    Some((b'r', json)) => self.row(json)?,
                    Some((b'e', reason)) => return Err(self.broken(String::from_utf8_lossy(reason).into_owned())),
                    Some((b'.', [])) => return Ok(()),
                    _ => return Err(self.broken("its reader answers with nonsense".into())),
                },
                Err(RecvTimeoutError::Timeout) => {
                    let waited = silence.as_secs();
                    return Err(self.broken(format!("no row could be read in {waited} s, after row {}", self.rows)));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let (how, rows) = (child.end(), self.rows);
                    let reason = "it is broken Parquet, or made to do harm: it brought its reader to";
                    return Err(self.broken(format!("{reason} {how}, after row {rows}")));
                }
            }
        }
    }
}

//! Rows of a JSON list or of JSON lines, one after the other, whatever the size of the file.
//!
//! In: a file. Out: each row with its number and the byte at which it begins; a row that is none is told in its place,
//! and reading goes on behind it. Example: in `[{"a": 1}, {"a": }]` the second row is refused at byte 17.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::strict;
use super::{Each, Fault, Found, Limits, Row};
use crate::file::FileError;
use crate::kind::HEAD_BYTES;
use crate::source::jsonl::RowError;

/// Begins a file of gzip.
const GZIP: &[u8] = b"\x1f\x8b";

/// Tells each row of a file to `each`.
pub(super) struct Rows<'a> {
    path: &'a Path,
    limits: &'a Limits,
    each: &'a mut Each<'a>,
    row: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(path: &'a Path, limits: &'a Limits, each: &'a mut Each<'a>) -> Self {
        Rows {
            path,
            limits,
            each,
            row: 0,
        }
    }

    fn open(&self) -> Result<Box<dyn BufRead>, RowError> {
        unpacked(self.path, self.limits.bytes).map_err(|error| self.read_error(error))
    }

    fn read_error(&self, error: io::Error) -> RowError {
        FileError::new("read", self.path, error).into()
    }

    fn broken(&self, reason: String) -> RowError {
        RowError::Broken {
            path: self.path.to_path_buf(),
            reason,
        }
    }

    /// One row a line; empty lines are passed over.
    pub(super) fn lines(mut self) -> Result<(), RowError> {
        let mut file = self.open()?;
        let (mut line, mut offset) = (
            Vec::new(),
            skip_mark(&mut file).map_err(|error| self.read_error(error))?,
        );
        loop {
            line.clear();
            // One byte more than the limit tells a line that is too long from one that just fits.
            let most = self.limits.row_bytes as u64 + 1;
            let mut read = file
                .by_ref()
                .take(most)
                .read_until(b'\n', &mut line)
                .map_err(|error| self.read_error(error))?;
            if read == 0 {
                return Ok(());
            }
            let ended = line.ends_with(b"\n");
            if !ended && line.len() > self.limits.row_bytes {
                line.clear();
                read += skip_line(&mut file).map_err(|error| self.read_error(error))?;
                self.found(offset, Err(self.too_long()))?;
            } else if !line.trim_ascii().is_empty() {
                let value = row(&line, offset).map_err(|fault| Fault {
                    torn: fault.torn && !ended,
                    ..fault
                });
                self.found(offset, value)?;
            } else {
                // Blank lines are no rows, but they count as lines do.
                self.row += 1;
            }
            offset += read as u64;
        }
    }

    /// One object over many lines, such as a dictionary of predictions.
    pub(super) fn object(mut self) -> Result<(), RowError> {
        let mut file = self.open()?;
        let offset = skip_mark(&mut file).map_err(|error| self.read_error(error))?;
        let mut bytes = Vec::new();
        let most = self.limits.row_bytes as u64 + 1;
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| self.read_error(error))?;
        let value = if bytes.len() as u64 == most {
            Err(self.too_long())
        } else {
            row(&bytes, offset)
        };
        self.found(offset, value)
    }

    /// One object where the first line ends in the middle of it and the file as a whole is one; else lines.
    pub(super) fn object_or_lines(self) -> Result<(), RowError> {
        if self
            .is_one_object()
            .map_err(|error| self.read_error(error))?
        {
            self.object()
        } else {
            self.lines()
        }
    }

    fn is_one_object(&self) -> io::Result<bool> {
        let mut file = unpacked(self.path, self.limits.bytes)?;
        skip_mark(&mut file)?;
        let most = self.limits.row_bytes as u64;
        let mut bytes = Vec::new();
        file.by_ref().take(most).read_until(b'\n', &mut bytes)?;
        let blank = bytes.trim_ascii().is_empty();
        if blank || !bytes.ends_with(b"\n") || !row(&bytes, 0).is_err_and(|fault| fault.torn) {
            return Ok(false);
        }
        file.take(most - bytes.len() as u64)
            .read_to_end(&mut bytes)?;
        Ok(row(&bytes, 0).is_ok())
    }

    /// The objects of one list.
    pub(super) fn list(mut self) -> Result<(), RowError> {
        let mut file = self.open()?;
        let mut offset = skip_mark(&mut file).map_err(|error| self.read_error(error))?;
        let mut item = Item::default();
        let mut state = State::Before;
        loop {
            let bytes = file
                .fill_buf()
                .map_err(|error| FileError::new("read", self.path, error))?;
            if bytes.is_empty() {
                break;
            }
            let read = bytes.len();
            for (at, byte) in bytes.iter().enumerate() {
                let place = offset + at as u64;
                match state {
                    State::Before if byte.is_ascii_whitespace() => {}
                    State::Before if *byte == b'[' => state = State::Inside,
                    State::Inside => match item.take(*byte, place, self.limits.row_bytes) {
                        Taken::More => {}
                        Taken::Row => self.item(&mut item)?,
                        Taken::End => {
                            if self.row > 0 || !item.bytes.trim_ascii().is_empty() || item.too_long
                            {
                                self.item(&mut item)?;
                            }
                            state = State::After;
                        }
                    },
                    State::After if byte.is_ascii_whitespace() => {}
                    State::Before | State::After => {
                        return Err(self
                            .broken(format!("byte {place}: there is something besides one list")));
                    }
                }
            }
            file.consume(read);
            offset += read as u64;
        }
        match state {
            State::After => Ok(()),
            State::Before | State::Inside => {
                let reason = format!("the list ends at byte {offset} without `]`");
                Err(RowError::Torn {
                    path: self.path.to_path_buf(),
                    row: self.row + 1,
                    reason,
                })
            }
        }
    }

    fn item(&mut self, item: &mut Item) -> Result<(), RowError> {
        let Item {
            bytes,
            start,
            too_long,
            ..
        } = std::mem::take(item);
        let value = if too_long {
            Err(self.too_long())
        } else {
            row(&bytes, start)
        };
        self.found(
            start,
            value.map_err(|fault| Fault {
                torn: false,
                ..fault
            }),
        )
    }

    fn too_long(&self) -> Fault {
        let most = self.limits.row_bytes;
        Fault {
            reason: format!(
                "it is longer than {most} bytes{}",
                crate::Hint("is this a file with one JSON row a line?")
            ),
            torn: false,
        }
    }

    fn found(&mut self, offset: u64, row: Result<Row, Fault>) -> Result<(), RowError> {
        self.row += 1;
        if self.row > self.limits.rows {
            return Err(self.broken(format!("there are more than {} rows", self.limits.rows)));
        }
        (self.each)(Found {
            row: self.row,
            offset: Some(offset),
            value: row,
        })
    }
}

/// The text of a file, unpacked where it is gzip'd; more than `most` bytes of that are an error.
fn unpacked(path: &Path, most: u64) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
    if !file.fill_buf()?.starts_with(GZIP) {
        return Ok(Box::new(file));
    }
    let unpacked = Bounded {
        inner: MultiGzDecoder::new(file),
        left: most,
    };
    Ok(Box::new(BufReader::with_capacity(1 << 18, unpacked)))
}

/// The first bytes of the text in a gzip'd file; `head` itself where it begins no such file.
pub(super) fn unpacked_head(path: &Path, head: Vec<u8>) -> io::Result<Vec<u8>> {
    if !head.starts_with(GZIP) {
        return Ok(head);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(File::open(path)?)
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// A reader that refuses to tell more than it may: a small file may unpack to anything.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| {
            io::Error::other("it unpacks to more bytes than a file of rows may have")
        })?;
        Ok(read)
    }
}

enum State {
    Before,
    Inside,
    After,
}

/// What a byte was to the item that it stands in.
enum Taken {
    More,
    /// The item is whole: a `,` follows.
    Row,
    /// The item is whole, or there is none: the `]` of the list follows.
    End,
}

/// One item of a list, as far as it is read.
#[derive(Default)]
struct Item {
    bytes: Vec<u8>,
    start: u64,
    too_long: bool,
    depth: u32,
    in_text: bool,
    escaped: bool,
}

impl Item {
    fn take(&mut self, byte: u8, place: u64, most: usize) -> Taken {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
        } else {
            match byte {
                b',' if self.depth == 0 => return Taken::Row,
                b']' if self.depth == 0 => return Taken::End,
                b'[' | b'{' => self.depth = self.depth.saturating_add(1),
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b'"' => self.in_text = true,
                _ => {}
            }
        }
        if self.bytes.is_empty() {
            if byte.is_ascii_whitespace() {
                return Taken::More;
            }
            self.start = place;
        }
        if self.bytes.len() < most {
            self.bytes.push(byte)
        } else {
            self.too_long = true
        }
        Taken::More
    }
}

fn row(bytes: &[u8], offset: u64) -> Result<Row, Fault> {
    match strict::value(bytes) {
        Ok(Value::Object(row)) => Ok(row),
        Ok(_) => Err(Fault {
            reason: format!("byte {offset}: it is no object with named columns"),
            torn: false,
        }),
        Err(fault) => {
            let reason = format!("byte {}: {}", offset + fault.at as u64, fault.reason);
            Err(Fault {
                reason,
                torn: fault.cut,
            })
        }
    }
}

/// Reads over the mark that some editors put before UTF-8, and says how many bytes it has.
fn skip_mark(file: &mut impl BufRead) -> io::Result<u64> {
    let marked = file.fill_buf()?.starts_with(b"\xef\xbb\xbf");
    if marked {
        file.consume(3);
    }
    Ok(if marked { 3 } else { 0 })
}

/// Reads to the end of a line without keeping it, and says how many bytes that were.
fn skip_line(file: &mut impl BufRead) -> io::Result<usize> {
    let mut skipped = 0;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(skipped);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(bytes.len(), |at| at + 1);
        file.consume(count);
        skipped += count;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

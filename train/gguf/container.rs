//! The GGUF file format, version 3: values by key, a list of tensors, and their bytes.
//!
//! In: values and tensor entries. Out: the front of the file, up to where the bytes of the tensors begin; and back.
//! Nothing read is trusted: no count may promise more than the bytes that are left, sums are checked, and an error
//! names the byte where reading stopped.

use std::collections::HashSet;
use std::io::Read;

use super::quantize::Encoding;

/// Where tensors begin: multiples of this.
pub const ALIGNMENT: u64 = 32;
const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// GGML stops at four axes.
const MOST_AXES: u32 = 4;

/// A value of the front part.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number that is not negative (types 0–5, 10 and 11).
    Whole(u64),
    /// A number with a fraction (types 6 and 12).
    Real(f32),
    /// Yes or no (type 7).
    Truth(bool),
    /// A text (type 8).
    Text(String),
    /// A list of texts (type 9 of 8).
    Texts(Vec<String>),
    /// A list of small whole numbers (type 9 of 5).
    Wholes(Vec<i32>),
    /// A value we have no use for: a negative number or a list of something else.
    Other,
}

/// One tensor of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// The name in the file.
    pub name: String,
    /// Rows first (the file has them the other way round).
    pub shape: Vec<usize>,
    /// How the numbers are stored.
    pub encoding: Encoding,
    /// Where its bytes begin, counted from the start of the data.
    pub offset: u64,
}

impl TensorInfo {
    /// Number of bytes; the shape was checked when the entry was made.
    pub fn bytes(&self) -> u64 {
        let weights = self.shape.iter().product::<usize>() as u64;
        weights / self.encoding.block_weights() as u64 * self.encoding.block_bytes() as u64
    }
}

/// The front of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Front {
    /// Values in file order.
    pub values: Vec<(String, Value)>,
    /// Tensors in file order, without gaps.
    pub tensors: Vec<TensorInfo>,
    /// Where the bytes of the tensors begin in the file.
    pub data_start: u64,
}

// ---- writing ----

/// The bytes before the first tensor.
pub fn encode_front(values: &[(String, Value)], tensors: &[TensorInfo]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((values.len() as u64).to_le_bytes());
    for (key, value) in values {
        push_text(&mut bytes, key);
        push_value(&mut bytes, value);
    }
    for tensor in tensors {
        push_text(&mut bytes, &tensor.name);
        bytes.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor
            .shape
            .iter()
            .rev()
            .for_each(|&axis| bytes.extend((axis as u64).to_le_bytes()));
        bytes.extend(tensor.encoding.id().to_le_bytes());
        bytes.extend(tensor.offset.to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    bytes
}

fn push_value(bytes: &mut Vec<u8>, value: &Value) {
    let mut push = |kind: u32, rest: &[u8]| {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(rest);
    };
    match value {
        // llama.cpp asks for u32 wherever a size is meant.
        Value::Whole(number) => match u32::try_from(*number) {
            Ok(number) => push(4, &number.to_le_bytes()),
            Err(_) => push(10, &number.to_le_bytes()),
        },
        Value::Real(number) => push(6, &number.to_le_bytes()),
        Value::Truth(truth) => push(7, &[u8::from(*truth)]),
        Value::Text(text) => {
            push(8, &[]);
            push_text(bytes, text);
        }
        Value::Texts(texts) => {
            push(9, &8u32.to_le_bytes());
            bytes.extend((texts.len() as u64).to_le_bytes());
            texts.iter().for_each(|text| push_text(bytes, text));
        }
        Value::Wholes(numbers) => {
            push(9, &5u32.to_le_bytes());
            bytes.extend((numbers.len() as u64).to_le_bytes());
            numbers
                .iter()
                .for_each(|number| bytes.extend(number.to_le_bytes()));
        }
        Value::Other => {
            unreachable!("only the reader makes `Other`, and what was read is not written")
        }
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

// ---- reading ----

/// Reads the front of a file of `length` bytes.
///
/// # Errors
///
/// A sentence with the byte where reading stopped.
pub fn decode_front(reader: impl Read, length: u64) -> Result<Front, String> {
    let mut cursor = Cursor {
        reader,
        at: 0,
        length,
    };
    let front = cursor
        .front()
        .map_err(|what| format!("{what} (at byte {})", cursor.at))?;
    match front.tensors.last() {
        Some(last) if front.data_start + last.offset + last.bytes() > length => Err(format!(
            "it is cut: tensor `{}` should end at byte {}, the file has {length}",
            last.name,
            front.data_start + last.offset + last.bytes()
        )),
        _ => Ok(front),
    }
}

struct Cursor<R> {
    reader: R,
    at: u64,
    length: u64,
}

impl<R: Read> Cursor<R> {
    fn front(&mut self) -> Result<Front, String> {
        if self.array::<4>()? != *MAGIC {
            return Err("it is no GGUF file".into());
        }
        match self.u32()? {
            VERSION | 2 => {}
            version => {
                return Err(format!(
                    "it is GGUF version {version}, this reader knows 2 and 3"
                ));
            }
        }
        // A tensor entry takes at least 24 bytes, a value at least 13.
        let tensor_count = self.count(24)?;
        let value_count = self.count(13)?;
        let mut values = Vec::new();
        for _ in 0..value_count {
            let key = self.text()?;
            let kind = self.u32()?;
            values.push((key, self.value(kind)?));
        }
        let alignment = match values.iter().find(|(key, _)| key == "general.alignment") {
            None => ALIGNMENT,
            Some((_, Value::Whole(number))) if number.is_power_of_two() && *number <= 1 << 20 => {
                *number
            }
            Some((_, other)) => {
                return Err(format!(
                    "`general.alignment` is {other:?}, not a small power of two"
                ));
            }
        };
        let tensors = self.entries(tensor_count, alignment)?;
        let data_start = self
            .at
            .checked_next_multiple_of(alignment)
            .ok_or("the front is too long")?;
        Ok(Front {
            values,
            tensors,
            data_start,
        })
    }

    fn entries(&mut self, count: u64, alignment: u64) -> Result<Vec<TensorInfo>, String> {
        let mut names = HashSet::new();
        let mut entries: Vec<TensorInfo> = Vec::new();
        let mut expected = 0;
        for _ in 0..count {
            let entry = self.entry()?;
            if !names.insert(entry.name.clone()) {
                return Err(format!("tensor `{}` is there twice", entry.name));
            }
            if entry.offset != expected {
                return Err(format!(
                    "tensor `{}` begins at {}, not at {expected}",
                    entry.name, entry.offset
                ));
            }
            let end = expected
                .checked_add(entry.bytes())
                .filter(|&end| end <= self.length);
            let end =
                end.ok_or_else(|| format!("tensor `{}` is larger than the file", entry.name))?;
            expected = end
                .checked_next_multiple_of(alignment)
                .ok_or("the tensors are too large")?;
            entries.push(entry);
        }
        Ok(entries)
    }

    fn entry(&mut self) -> Result<TensorInfo, String> {
        let name = self.text()?;
        let axes = self.u32()?;
        if axes == 0 || axes > MOST_AXES {
            return Err(format!("tensor `{name}` has {axes} axes"));
        }
        let mut shape = Vec::new();
        for _ in 0..axes {
            shape.push(
                usize::try_from(self.u64()?)
                    .map_err(|_| format!("tensor `{name}` is too large"))?,
            );
        }
        shape.reverse();
        let id = self.u32()?;
        let encoding = Encoding::from_id(id).ok_or_else(|| {
            format!("tensor `{name}` is stored as GGML type {id}, which this reader does not know")
        })?;
        let row = shape[shape.len() - 1];
        if !row.is_multiple_of(encoding.block_weights()) {
            return Err(format!(
                "tensor `{name}` has rows of {row}, which {} cannot store",
                encoding.name()
            ));
        }
        // Below 2^56 weights, no later product overflows.
        let weights = shape
            .iter()
            .try_fold(1usize, |product, &axis| product.checked_mul(axis));
        if weights.is_none_or(|weights| weights > 1 << 56) {
            return Err(format!("tensor `{name}` is too large"));
        }
        Ok(TensorInfo {
            name,
            shape,
            encoding,
            offset: self.u64()?,
        })
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        let whole = |number: i64| u64::try_from(number).map_or(Value::Other, Value::Whole);
        Ok(match kind {
            0 => Value::Whole(u64::from(self.array::<1>()?[0])),
            1 => whole(i64::from(self.array::<1>()?[0] as i8)),
            2 => Value::Whole(u64::from(u16::from_le_bytes(self.array()?))),
            3 => whole(i64::from(i16::from_le_bytes(self.array()?))),
            4 => Value::Whole(u64::from(self.u32()?)),
            5 => whole(i64::from(i32::from_le_bytes(self.array()?))),
            6 => Value::Real(f32::from_le_bytes(self.array()?)),
            7 => Value::Truth(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => self.list()?,
            10 => Value::Whole(self.u64()?),
            11 => whole(i64::from_le_bytes(self.array()?)),
            12 => Value::Real(f64::from_le_bytes(self.array()?) as f32),
            other => return Err(format!("a value has the unknown type {other}")),
        })
    }

    fn list(&mut self) -> Result<Value, String> {
        let kind = self.u32()?;
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            other => return Err(format!("a list holds the type {other}")),
        };
        let count = self.count(size)?;
        Ok(match kind {
            8 => Value::Texts((0..count).map(|_| self.text()).collect::<Result<_, _>>()?),
            5 => Value::Wholes(
                (0..count)
                    .map(|_| self.array().map(i32::from_le_bytes))
                    .collect::<Result<Vec<_>, String>>()?,
            ),
            _ => {
                for _ in 0..count {
                    self.value(kind)?;
                }
                Value::Other
            }
        })
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.count(1)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| "a text is no UTF-8".into())
    }

    /// A count of things that take at least `size` bytes each; there cannot be more than the file has room for.
    fn count(&mut self, size: u64) -> Result<u64, String> {
        let count = self.u64()?;
        let room = (self.length - self.at) / size;
        if count > room {
            Err(format!("it promises {count} items where {room} have room"))
        } else {
            Ok(count)
        }
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        if bytes.len() as u64 > self.length - self.at {
            return Err("it ends too early".into());
        }
        self.reader
            .read_exact(bytes)
            .map_err(|error| error.to_string())?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! One safetensors file: its header, checked before anything is allocated, and its tensors, read one at a time.
//!
//! The file is read with `pread`, not mapped: a file that is cut while it is read gives an error, not a signal.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use data::kind::not_fetched;
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};

use super::values::{Dtype, read_f32};
use super::{HostTensor, HostTensors, WeightsError};

/// The longest header that is read, as the format has it.
const MAX_HEADER: u64 = 100_000_000;

/// A tensor of a file.
#[derive(Clone, Debug)]
pub struct Place {
    /// As in the file, e.g. `BF16`.
    pub dtype: String,
    /// Axes.
    pub shape: Vec<usize>,
    /// Offset of the first byte in the file.
    pub start: u64,
    /// Number of values.
    pub count: usize,
}

impl Place {
    /// The dtype, when it is one that is read.
    pub fn read_as(&self, name: &str) -> Result<Dtype, WeightsError> {
        Dtype::named(&self.dtype).ok_or_else(|| WeightsError::Dtype {
            name: name.to_owned(),
            dtype: self.dtype.clone(),
        })
    }
}

/// An open safetensors file.
#[derive(Debug)]
pub struct Shard {
    /// Where it lies.
    pub path: PathBuf,
    /// Read with offsets only.
    pub file: File,
    /// Its tensors by their names in the file.
    pub tensors: BTreeMap<String, Place>,
}

impl Shard {
    /// Opens a file and checks its header: bounds, sizes, overlaps. No value is read.
    ///
    /// # Errors
    ///
    /// When the file is missing, truncated or no safetensors file.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let refuse = |what: String| WeightsError::file(path, what);
        let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
        let about = file.metadata().map_err(|error| refuse(error.to_string()))?;
        let length = about.len();
        if about.is_file()
            && let Some(reason) = not_fetched(path)
        {
            return Err(refuse(reason));
        }
        if !about.is_file() || length < 8 {
            return Err(refuse("it is too short for a safetensors file".into()));
        }
        let mut first = [0; 8];
        file.read_exact_at(&mut first, 0)
            .map_err(|error| refuse(error.to_string()))?;
        let header_bytes = u64::from_le_bytes(first);
        if header_bytes > MAX_HEADER {
            return Err(refuse(format!(
                "its header claims {header_bytes} bytes, but {MAX_HEADER} are the most"
            )));
        }
        if header_bytes + 8 > length {
            return Err(refuse(format!(
                "it is truncated: {length} bytes, but its header alone has {header_bytes}"
            )));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact_at(&mut header, 8)
            .map_err(|error| refuse(error.to_string()))?;
        let Header(entries) = serde_json::from_slice(&header)
            .map_err(|error| refuse(format!("its header is damaged: {error}")))?;
        let tensors = places(entries, header_bytes + 8, length).map_err(refuse)?;
        Ok(Shard {
            path: path.to_owned(),
            file,
            tensors,
        })
    }
}

/// Checks that the tensors fill the file from the header to its end, without gaps or overlaps.
fn places(
    entries: Vec<(String, Entry)>,
    data: u64,
    length: u64,
) -> Result<BTreeMap<String, Place>, String> {
    let mut spans = Vec::with_capacity(entries.len());
    let mut tensors = BTreeMap::new();
    for (name, entry) in entries {
        let [start, end] = entry.data_offsets;
        let count = entry
            .shape
            .iter()
            .try_fold(1usize, |all, axis| all.checked_mul(*axis));
        let fits = |bits: u64| {
            let bits = count.and_then(|count| (count as u64).checked_mul(bits))?;
            (bits.is_multiple_of(8) && end.checked_sub(start) == Some(bits / 8)).then_some(())
        };
        // A dtype that is not known here is refused when the tensor is wanted.
        if bits_of(&entry.dtype).is_some_and(|bits| fits(bits).is_none()) || end < start {
            let Entry { dtype, shape, .. } = entry;
            return Err(format!(
                "the tensor `{name}` of {dtype} {shape:?} does not fit its offsets {start}..{end}"
            ));
        }
        if end > length - data {
            let whole = data.saturating_add(end);
            return Err(format!(
                "it is truncated: {length} bytes, but the tensor `{name}` ends at {whole}"
            ));
        }
        spans.push((start, end, name.clone()));
        let place = Place {
            dtype: entry.dtype,
            shape: entry.shape,
            start: data + start,
            count: count.unwrap_or(0),
        };
        if tensors.insert(name.clone(), place).is_some() {
            return Err(format!("its header names the tensor `{name}` twice"));
        }
    }
    spans.sort();
    let mut filled = 0;
    for (start, end, name) in spans {
        if start != filled {
            return Err(format!(
                "the tensor `{name}` begins at {start}, but the one before it ends at {filled}"
            ));
        }
        filled = end;
    }
    match data + filled == length {
        true => Ok(tensors),
        false => Err(format!(
            "it has {length} bytes, but its header tells of {}",
            data + filled
        )),
    }
}

/// Bits of one value of every dtype that the format has.
fn bits_of(dtype: &str) -> Option<u64> {
    match dtype {
        "F64" | "I64" | "U64" | "C64" => Some(64),
        "F32" | "I32" | "U32" => Some(32),
        "F16" | "BF16" | "I16" | "U16" => Some(16),
        "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "I8" | "U8" | "BOOL" => Some(8),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The entries in the order of the file; an entry that cannot be read is named.
struct Header(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a table of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let entry = map.next_value();
                    let entry = entry.map_err(|error| {
                        A::Error::custom(format!("the tensor `{name}`: {error}"))
                    })?;
                    entries.push((name, entry));
                }
                Ok(Header(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// Reads every tensor of a file, e.g. the moments of an optimizer.
///
/// # Errors
///
/// When the file is missing, truncated, or of a dtype that is not read.
pub fn read_safetensors(path: &Path) -> Result<HostTensors, WeightsError> {
    let shard = Shard::open(path)?;
    let read = |(name, place): (&String, &Place)| {
        let dtype = place.read_as(name)?;
        let values = read_f32(&shard.file, place, dtype).map_err(|problem| problem.about(name))?;
        Ok((
            name.clone(),
            HostTensor {
                shape: place.shape.clone(),
                values,
            },
        ))
    };
    shard
        .tensors
        .iter()
        .map(read)
        .collect::<Result<_, WeightsError>>()
        .map_err(|problem| problem.within(path))
}

//! Weights into safetensors files, tensor by tensor: what is in memory beyond the model is one tensor.
//!
//! Beyond [`SHARD_BYTES`] they are split as Hugging Face splits them: `model-00001-of-00002.safetensors` and so on, with
//! `model.safetensors.index.json` to say which tensor lies where.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;
use serde_json::json;

use super::{HostTensors, Path as Name};
use crate::decoder::CausalLm;

/// A file that grows beyond this is split.
pub const SHARD_BYTES: u64 = 5_000_000_000;

/// The dtype of weights on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskDtype {
    /// Four bytes, exact.
    Float32,
    /// Two bytes, eight bits of precision.
    Bfloat16,
}

impl DiskDtype {
    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            DiskDtype::Float32 => "float32",
            DiskDtype::Bfloat16 => "bfloat16",
        }
    }

    /// Bytes of one value.
    pub fn bytes(self) -> u64 {
        match self {
            DiskDtype::Float32 => 4,
            DiskDtype::Bfloat16 => 2,
        }
    }

    fn in_header(self) -> &'static str {
        match self {
            DiskDtype::Float32 => "F32",
            DiskDtype::Bfloat16 => "BF16",
        }
    }
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name in the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The hash of its bytes, in hex.
    pub blake3: String,
}

/// Writes the weights of `model` into `folder` as `model.safetensors`, or as shards of at most `shard_bytes` with an
/// index. The files are synced.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written.
pub fn write_model(
    folder: &Path,
    model: &CausalLm,
    dtype: DiskDtype,
    shard_bytes: u64,
) -> io::Result<Vec<Written>> {
    let mut list = Lister::default();
    model.visit(&mut list);
    let mut writer = Writer::new(folder, "model", list.shapes, dtype, shard_bytes);
    let mut visitor = Visitor {
        path: Name::default(),
        writer: &mut writer,
        problem: None,
    };
    model.visit(&mut visitor);
    match visitor.problem {
        Some(problem) => Err(problem),
        None => writer.finish(),
    }
}

/// Writes named tensors to `<stem>.safetensors` in `folder`. The file is synced.
///
/// # Errors
///
/// As [`write_model`].
pub fn write_tensors(
    folder: &Path,
    stem: &str,
    tensors: &HostTensors,
    dtype: DiskDtype,
) -> io::Result<Vec<Written>> {
    let shapes = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
        .collect();
    let mut writer = Writer::new(folder, stem, shapes, dtype, u64::MAX);
    for tensor in tensors.values() {
        writer.put(&tensor.values)?;
    }
    writer.finish()
}

#[derive(Default)]
struct Lister {
    path: Name,
    shapes: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.shapes
            .push((self.path.name(), param.val().dims().to_vec()));
    }
}

struct Visitor<'a> {
    path: Name,
    writer: &'a mut Writer,
    problem: Option<io::Error>,
}

impl ModuleVisitor for Visitor<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.problem.is_none() {
            let data = as_f32(param.val().into_data());
            self.problem = self
                .writer
                .put(data.as_slice().expect("converted to f32"))
                .err();
        }
    }
}

fn as_f32(data: TensorData) -> TensorData {
    if data.dtype() == DType::F32 {
        data
    } else {
        data.convert::<f32>()
    }
}

/// One file of the plan: its name and its tensors in order.
struct Plan {
    name: String,
    tensors: Vec<(String, Vec<usize>)>,
}

/// Writes tensors in the order in which they were announced.
struct Writer {
    folder: std::path::PathBuf,
    stem: String,
    dtype: DiskDtype,
    // Files that are not begun, last first.
    plans: Vec<Plan>,
    open: Option<(Output, String, usize)>,
    written: Vec<Written>,
    // Which file holds a tensor; empty for a single file.
    weight_map: BTreeMap<String, String>,
    total_bytes: u64,
}

struct Output {
    file: BufWriter<File>,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Output {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Output {
            file: BufWriter::new(File::create(path)?),
            hash: blake3::Hasher::new(),
            bytes: 0,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn finish(self, name: String) -> io::Result<Written> {
        self.file
            .into_inner()
            .map_err(|error| error.into_error())?
            .sync_all()?;
        Ok(Written {
            name,
            bytes: self.bytes,
            blake3: self.hash.finalize().to_hex().to_string(),
        })
    }
}

impl Writer {
    fn new(
        folder: &Path,
        stem: &str,
        shapes: Vec<(String, Vec<usize>)>,
        dtype: DiskDtype,
        shard_bytes: u64,
    ) -> Self {
        let bytes_of = |shape: &[usize]| shape.iter().product::<usize>() as u64 * dtype.bytes();
        let total_bytes = shapes.iter().map(|(_, shape)| bytes_of(shape)).sum();
        let mut shards: Vec<Vec<(String, Vec<usize>)>> = vec![Vec::new()];
        let mut filled = 0;
        for (name, shape) in shapes {
            let bytes = bytes_of(&shape);
            if filled > 0 && filled + bytes > shard_bytes {
                shards.push(Vec::new());
                filled = 0;
            }
            filled += bytes;
            shards
                .last_mut()
                .expect("there is a first one")
                .push((name, shape));
        }
        let count = shards.len();
        let name_of = |at: usize| match count {
            1 => format!("{stem}.safetensors"),
            _ => format!("{stem}-{:05}-of-{count:05}.safetensors", at + 1),
        };
        let plans: Vec<Plan> = shards
            .into_iter()
            .enumerate()
            .map(|(at, tensors)| Plan {
                name: name_of(at),
                tensors,
            })
            .collect();
        let mut weight_map = BTreeMap::new();
        for plan in plans.iter().filter(|_| count > 1) {
            weight_map.extend(
                plan.tensors
                    .iter()
                    .map(|(tensor, _)| (tensor.clone(), plan.name.clone())),
            );
        }
        let (folder, stem) = (folder.to_owned(), stem.to_owned());
        let plans = plans.into_iter().rev().collect();
        Writer {
            folder,
            stem,
            dtype,
            plans,
            open: None,
            written: Vec::new(),
            weight_map,
            total_bytes,
        }
    }

    /// Writes the next tensor.
    fn put(&mut self, values: &[f32]) -> io::Result<()> {
        let (mut output, name, left) = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        // A few megabytes at once, converted on all cores.
        for piece in values.chunks(1 << 22) {
            output.write(&match self.dtype {
                DiskDtype::Float32 => little_endian(piece, f32::to_le_bytes),
                DiskDtype::Bfloat16 => {
                    little_endian(piece, |value| half::bf16::from_f32(value).to_le_bytes())
                }
            })?;
        }
        if left > 1 {
            self.open = Some((output, name, left - 1));
        } else {
            self.written.push(output.finish(name)?);
        }
        Ok(())
    }

    /// Begins the next file with its header.
    fn begin(&mut self) -> io::Result<(Output, String, usize)> {
        let Plan { name, tensors } = self.plans.pop().expect("every tensor was announced");
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), json!({ "format": "pt" }));
        let mut end = 0;
        for (tensor, shape) in &tensors {
            let start = end;
            end += shape.iter().product::<usize>() as u64 * self.dtype.bytes();
            let entry = json!({ "dtype": self.dtype.in_header(), "shape": shape, "data_offsets": [start, end] });
            header.insert(tensor.clone(), entry);
        }
        let mut header = serde_json::to_vec(&header).expect("a header is JSON");
        // The values begin at a multiple of eight bytes.
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut output = Output::create(&self.folder.join(&name))?;
        output.write(&(header.len() as u64).to_le_bytes())?;
        output.write(&header)?;
        Ok((output, name, tensors.len()))
    }

    fn finish(mut self) -> io::Result<Vec<Written>> {
        assert!(
            self.open.is_none() && self.plans.iter().all(|plan| plan.tensors.is_empty()),
            "a tensor was not written"
        );
        if !self.plans.is_empty() {
            // Nothing to write is a file that says so.
            let (output, name, _) = self.begin()?;
            self.written.push(output.finish(name)?);
        }
        if !self.weight_map.is_empty() {
            let index = json!({ "metadata": { "total_size": self.total_bytes }, "weight_map": self.weight_map });
            let name = format!("{}.safetensors.index.json", self.stem);
            let mut output = Output::create(&self.folder.join(&name))?;
            output.write(&serde_json::to_vec_pretty(&index).expect("an index is JSON"))?;
            self.written.push(output.finish(name)?);
        }
        Ok(self.written)
    }
}

fn little_endian<const N: usize>(
    values: &[f32],
    bytes_of: impl Fn(f32) -> [u8; N] + Sync,
) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * N];
    let pieces = bytes
        .par_chunks_mut(N << 16)
        .zip(values.par_chunks(1 << 16));
    pieces.for_each(|(bytes, values)| {
        for (bytes, value) in bytes.chunks_exact_mut(N).zip(values) {
            bytes.copy_from_slice(&bytes_of(*value));
        }
    });
    bytes
}

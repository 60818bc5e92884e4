//! A GGUF file read back as a Llama decoder.
//!
//! In: a file, ours or another program's. Out: its [`ModelShape`], and its tensors as f32 with the names and the
//! layout of Hugging Face, read one by one when asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use data::file::FileError;

use super::llama::{self, Role, Slot};
use super::{Encoding, ExportError, ModelShape, NamedTensor};
use gguf::{Front, Value, decode_front, dequantize};

/// An open GGUF file with a Llama decoder in it. Its tensors are read when asked for.
#[derive(Debug)]
pub struct GgufModel {
    path: PathBuf,
    shape: ModelShape,
    front: Front,
    slots: Vec<Slot>,
}

impl GgufModel {
    /// Opens `path` and checks all but the numbers.
    ///
    /// # Errors
    ///
    /// When the file is cut, broken, no Llama decoder, or uses something that [`ModelShape`] cannot tell.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        let failed = |error| ExportError::from(FileError::new("read", path, error));
        let content = |what| ExportError::Content {
            path: path.to_path_buf(),
            what,
        };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let front = decode_front(BufReader::new(file), length).map_err(content)?;
        let shape = shape_of(&front).map_err(content)?;
        llama::check(&shape).map_err(|error| content(error.to_string()))?;
        // Each layer needs nine tensors, so a broken layer count cannot make this list long.
        if shape.layers * 9 > front.tensors.len() {
            return Err(content(format!(
                "{} tensors are too few for {} layers",
                front.tensors.len(),
                shape.layers
            )));
        }
        let slots = in_file_order(&front, &shape).map_err(content)?;
        Ok(GgufModel {
            path: path.to_path_buf(),
            shape,
            front,
            slots,
        })
    }

    /// The sizes of the model.
    pub fn shape(&self) -> &ModelShape {
        &self.shape
    }

    /// Each tensor's Hugging Face name and its encoding, in file order.
    pub fn encodings(&self) -> impl Iterator<Item = (&str, Encoding)> {
        self.slots
            .iter()
            .zip(&self.front.tensors)
            .map(|(slot, entry)| (slot.name.as_str(), entry.encoding))
    }

    /// The numbers of one tensor.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a number is not finite.
    pub fn tensor(&self, index: usize) -> Result<NamedTensor, ExportError> {
        let (slot, entry) = (&self.slots[index], &self.front.tensors[index]);
        let failed = |error| ExportError::from(FileError::new("read", &self.path, error));
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.front.data_start + entry.offset))
            .map_err(failed)?;
        let mut bytes = vec![0; entry.bytes() as usize];
        file.read_exact(&mut bytes).map_err(failed)?;
        let values = dequantize(&bytes, entry.encoding);
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let what = format!("number {at} is {}", values[at]);
            return Err(ExportError::Tensor {
                name: slot.name.clone(),
                what,
            });
        }
        let values = match slot.role {
            Role::Query => llama::split_pairs(&values, self.shape.heads, self.shape.head_dim),
            Role::Key => llama::split_pairs(&values, self.shape.kv_heads, self.shape.head_dim),
            _ => values,
        };
        Ok(NamedTensor {
            name: slot.name.clone(),
            shape: slot.shape.clone(),
            values,
        })
    }
}

/// Reads a whole file: the model's sizes and its tensors as f32.
///
/// # Errors
///
/// As [`GgufModel::open`] and [`GgufModel::tensor`].
pub fn read_gguf(path: &Path) -> Result<(ModelShape, Vec<NamedTensor>), ExportError> {
    let model = GgufModel::open(path)?;
    let tensors = (0..model.slots.len())
        .map(|index| model.tensor(index))
        .collect::<Result<_, _>>()?;
    Ok((model.shape, tensors))
}

/// The place of every tensor of the file; others than a Llama decoder's are refused.
fn in_file_order(front: &Front, shape: &ModelShape) -> Result<Vec<Slot>, String> {
    let slots = llama::slots(shape);
    let mut known: HashMap<String, Slot> = slots
        .into_iter()
        .map(|slot| (slot.file_name.clone(), slot))
        .collect();
    let mut order = Vec::new();
    for entry in &front.tensors {
        let slot = known.remove(&entry.name);
        let slot = slot.ok_or_else(|| format!("a Llama decoder has no tensor `{}`", entry.name))?;
        if slot.shape != entry.shape {
            return Err(format!(
                "tensor `{}` is {:?}, not {:?}",
                entry.name, entry.shape, slot.shape
            ));
        }
        order.push(slot);
    }
    match known.keys().min() {
        Some(name) => Err(format!("tensor `{name}` is missing")),
        None => Ok(order),
    }
}

fn shape_of(front: &Front) -> Result<ModelShape, String> {
    let get = |key: &str| {
        front
            .values
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    };
    let whole = |key: &str| match get(key) {
        None => Ok(None),
        Some(Value::Whole(number)) => usize::try_from(*number)
            .map(Some)
            .map_err(|_| format!("`{key}` is {number}")),
        Some(_) => Err(format!("`{key}` is not one whole number")),
    };
    let needed = |key: &str| whole(key)?.ok_or_else(|| format!("`{key}` is missing"));
    let real = |key: &str, usual: Option<f32>| match get(key) {
        Some(Value::Real(number)) => Ok(*number),
        Some(_) => Err(format!("`{key}` is not a number with a fraction")),
        None => usual.ok_or_else(|| format!("`{key}` is missing")),
    };
    match get("general.architecture") {
        Some(Value::Text(text)) if text == "llama" => {}
        other => return Err(format!("its architecture is {other:?}, not `llama`")),
    }
    match get("llama.rope.scaling.type") {
        None => {}
        Some(Value::Text(text)) if text == "none" => {}
        Some(_) => {
            return Err("it stretches its rotary encoding, which this reader cannot tell".into());
        }
    }
    let (d_model, heads) = (
        needed("llama.embedding_length")?,
        needed("llama.attention.head_count")?,
    );
    let head_dim = match (
        whole("llama.attention.key_length")?,
        whole("llama.rope.dimension_count")?,
    ) {
        (Some(key), Some(rotated)) if key != rotated => {
            return Err(format!("only {rotated} of {key} axes rotate"));
        }
        (Some(width), _) | (None, Some(width)) => width,
        (None, None) => d_model.checked_div(heads).unwrap_or(0),
    };
    let embedding = front
        .tensors
        .iter()
        .find(|entry| entry.name == "token_embd.weight");
    Ok(ModelShape {
        vocab: embedding
            .ok_or("tensor `token_embd.weight` is missing")?
            .shape[0],
        d_model,
        layers: needed("llama.block_count")?,
        heads,
        kv_heads: whole("llama.attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        d_ff: needed("llama.feed_forward_length")?,
        context: needed("llama.context_length")?,
        rope_theta: real("llama.rope.freq_base", Some(1e4))?,
        norm_eps: real("llama.attention.layer_norm_rms_epsilon", None)?,
        tied: front
            .tensors
            .iter()
            .all(|entry| entry.name != "output.weight"),
        name: match get("general.name") {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        },
    })
}

//! A Llama decoder as a GGUF file.
//!
//! In: weights one tensor at a time, and the tokenizer. Out: a file that llama.cpp loads, complete or absent; at no
//! time is more than one tensor held here.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use data::file::FileError;

use super::llama::{self, Role, Slot};
use super::{Encoding, ExportError, ExportSummary, Format, ModelShape, TokenizerFiles, Weights};
use gguf::{ALIGNMENT, TensorInfo, Value, encode_front, quantize};

/// The largest f16. Beyond it a step or a weight would become infinite.
const LARGEST_HALF: f32 = 65504.0;

/// Writes a model to `path`, whole or not at all.
///
/// A `lm_head.weight` beside tied embeddings is left out, as it repeats the embedding.
///
/// # Errors
///
/// When a tensor is missing, unknown, of another shape or not finite, when the tokenizer does not fit, or when the
/// disk is full. An older file at `path` then stays as it was.
pub fn write_gguf<W: Weights + ?Sized>(
    path: &Path,
    shape: &ModelShape,
    tokenizer: &TokenizerFiles,
    weights: &W,
    format: Format,
) -> Result<ExportSummary, ExportError> {
    llama::check(shape)?;
    let sources = sources(shape, weights)?;
    let entries = entries(&sources, shape, format)?;
    let mut values = model_values(shape, format);
    values.extend(tokenizer.values(shape.vocab)?);
    let front = encode_front(&values, &entries);

    let failed = |error: io::Error| ExportError::from(FileError::new("write", path, error));
    let temporary = temporary_beside(path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(&temporary.0).map_err(failed)?);
    writer.write_all(&front).map_err(failed)?;
    for ((slot, index), entry) in sources.iter().zip(&entries) {
        let bytes = tensor_bytes(slot, weights, *index, entry.encoding, shape)?;
        writer.write_all(&bytes).map_err(failed)?;
        writer
            .write_all(&[0; ALIGNMENT as usize][..padding(bytes.len())])
            .map_err(failed)?;
    }
    let file = writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    temporary.become_file(path).map_err(failed)?;

    let mut tensors = BTreeMap::new();
    entries
        .iter()
        .for_each(|entry| *tensors.entry(entry.encoding).or_insert(0) += 1);
    let weights = entries
        .iter()
        .map(|entry| entry.shape.iter().product::<usize>() as u64)
        .sum();
    Ok(ExportSummary {
        path: path.to_path_buf(),
        bytes,
        weights,
        tensors: tensors.into_iter().collect(),
    })
}

/// For every place in the file, the tensor that fills it.
fn sources<W: Weights + ?Sized>(
    shape: &ModelShape,
    weights: &W,
) -> Result<Vec<(Slot, usize)>, ExportError> {
    let list = weights.list();
    let mut given: HashMap<&str, usize> = HashMap::new();
    for (index, (name, _)) in list.iter().enumerate() {
        if given.insert(name, index).is_some() {
            return Err(tensor_error(name, "it is given twice"));
        }
    }
    let mut sources = Vec::new();
    for slot in llama::slots(shape) {
        let index = given
            .remove(slot.name.as_str())
            .ok_or_else(|| tensor_error(&slot.name, "it is missing"))?;
        if list[index].1 != slot.shape {
            let what = format!(
                "its shape is {:?}, the model needs {:?}",
                list[index].1, slot.shape
            );
            return Err(tensor_error(&slot.name, what));
        }
        sources.push((slot, index));
    }
    if shape.tied {
        given.remove("lm_head.weight");
    }
    match given.keys().min() {
        Some(name) => Err(tensor_error(
            name,
            "a Llama decoder of this shape has no such tensor",
        )),
        None => Ok(sources),
    }
}

/// Encoding and place of every tensor.
fn entries(
    sources: &[(Slot, usize)],
    shape: &ModelShape,
    format: Format,
) -> Result<Vec<TensorInfo>, ExportError> {
    let mut offset = 0u64;
    let mut entries = Vec::new();
    for (slot, _) in sources {
        let encoding = llama::encoding(slot, format, shape);
        let entry = TensorInfo {
            name: slot.file_name.clone(),
            shape: slot.shape.clone(),
            encoding,
            offset,
        };
        let end = offset
            .checked_add(entry.bytes())
            .and_then(|end| end.checked_next_multiple_of(ALIGNMENT));
        offset = end.ok_or_else(|| ExportError::Shape("the file would be too large".into()))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn tensor_bytes<W: Weights + ?Sized>(
    slot: &Slot,
    weights: &W,
    index: usize,
    encoding: Encoding,
    shape: &ModelShape,
) -> Result<Vec<u8>, ExportError> {
    let values = weights
        .read(index)
        .map_err(|what| tensor_error(&slot.name, what))?;
    let expected: usize = slot.shape.iter().product();
    if values.len() != expected {
        return Err(tensor_error(
            &slot.name,
            format!("it has {} numbers, not {expected}", values.len()),
        ));
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(tensor_error(
            &slot.name,
            format!("number {at} is {}", values[at]),
        ));
    }
    let bounded = !matches!(encoding, Encoding::F32 | Encoding::BF16);
    if let Some(at) = values
        .iter()
        .position(|value| bounded && value.abs() > LARGEST_HALF)
    {
        let what = format!(
            "number {at} is {}, beyond what {} can store",
            values[at],
            encoding.name()
        );
        return Err(tensor_error(&slot.name, what));
    }
    Ok(match slot.role {
        Role::Query => quantize(
            &llama::pair_halves(&values, shape.heads, shape.head_dim),
            encoding,
        ),
        Role::Key => quantize(
            &llama::pair_halves(&values, shape.kv_heads, shape.head_dim),
            encoding,
        ),
        _ => quantize(&values, encoding),
    })
}

fn padding(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT as usize) - bytes
}

fn tensor_error(name: &str, what: impl Into<String>) -> ExportError {
    ExportError::Tensor {
        name: name.into(),
        what: what.into(),
    }
}

/// What the file says about the model itself.
fn model_values(shape: &ModelShape, format: Format) -> Vec<(String, Value)> {
    let file_type = match format {
        Format::F32 => 0,
        Format::F16 => 1,
        Format::Q4_0 => 2,
        Format::Q8_0 => 7,
        Format::Q4_K_M => 15,
        Format::Q6_K => 18,
    };
    let whole = |number: usize| Value::Whole(number as u64);
    let values = [
        ("general.architecture", Value::Text("llama".into())),
        ("general.type", Value::Text("model".into())),
        ("general.name", Value::Text(shape.name.clone())),
        ("general.file_type", whole(file_type)),
        ("general.quantization_version", whole(2)),
        ("llama.vocab_size", whole(shape.vocab)),
        ("llama.context_length", whole(shape.context)),
        ("llama.embedding_length", whole(shape.d_model)),
        ("llama.block_count", whole(shape.layers)),
        ("llama.feed_forward_length", whole(shape.d_ff)),
        ("llama.attention.head_count", whole(shape.heads)),
        ("llama.attention.head_count_kv", whole(shape.kv_heads)),
        // Without these three a head width other than d_model / heads does not load.
        ("llama.attention.key_length", whole(shape.head_dim)),
        ("llama.attention.value_length", whole(shape.head_dim)),
        ("llama.rope.dimension_count", whole(shape.head_dim)),
        ("llama.rope.freq_base", Value::Real(shape.rope_theta)),
        (
            "llama.attention.layer_norm_rms_epsilon",
            Value::Real(shape.norm_eps),
        ),
    ];
    values
        .into_iter()
        .map(|(key, value)| (key.to_string(), value))
        .collect()
}

/// A file under a passing name that is removed unless it gets its real one.
struct Temporary(PathBuf);

fn temporary_beside(path: &Path) -> Result<Temporary, ExportError> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)
        .map_err(|error| FileError::new("create the folder", folder, error))?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(Temporary(
        folder.join(format!(".{name}.tmp-{}", std::process::id())),
    ))
}

impl Temporary {
    fn become_file(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)?;
        File::open(folder_of(path))?.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::super::{GgufModel, NamedTensor, SpecialTokens, read_gguf};
    use data::template::EndOfTurn;

    use super::super::{llama::tests::shape, vocabulary::tests::tokenizer};
    use super::*;

    /// Weights that differ everywhere, so that a lost or moved row shows.
    fn weights(shape: &ModelShape) -> Vec<NamedTensor> {
        let mut state = 3u64;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.1
        };
        let slots = llama::slots(shape);
        let tensors = slots.into_iter().map(|slot| NamedTensor {
            values: (0..slot.shape.iter().product()).map(|_| next()).collect(),
            name: slot.name,
            shape: slot.shape,
        });
        let mut tensors: Vec<NamedTensor> = tensors.collect();
        // The order of the list must not matter.
        tensors.reverse();
        tensors
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gguf-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn write(
        path: &Path,
        shape: &ModelShape,
        tensors: &[NamedTensor],
        format: Format,
    ) -> Result<ExportSummary, ExportError> {
        let json = tokenizer().to_string().into_bytes();
        let (end, special) = (EndOfTurn::new(Some(5), &[]), SpecialTokens::default());
        let files = TokenizerFiles {
            tokenizer_json: &json,
            chat_template: "",
            end,
            special,
        };
        write_gguf(path, shape, &files, tensors, format)
    }

    #[test]
    fn an_f32_file_gives_back_shape_names_and_numbers() {
        let folder = Folder::new("f32");
        for tied in [false, true] {
            let shape = shape(48, 2, tied);
            let mut given = weights(&shape);
            let path = folder.0.join("model.gguf");
            let summary = write(&path, &shape, &given, Format::F32).unwrap();
            assert_eq!(summary.bytes, fs::metadata(&path).unwrap().len());
            let (read_shape, mut read) = read_gguf(&path).unwrap();
            assert_eq!(read_shape, shape);
            given.sort_by(|a, b| a.name.cmp(&b.name));
            read.sort_by(|a, b| a.name.cmp(&b.name));
            assert!(read == given, "every number is the same");
        }
    }

    #[test]
    fn a_quantized_file_is_close_in_every_tensor() {
        let folder = Folder::new("quantized");
        let shape = shape(256, 8, false);
        let given = weights(&shape);
        for (format, percent) in [
            (Format::Q4_0, 11.0),
            (Format::Q4_K_M, 8.0),
            (Format::Q6_K, 2.5),
            (Format::Q8_0, 1.0),
            (Format::F16, 0.1),
        ] {
            let path = folder.0.join(format!("{format}.gguf"));
            write(&path, &shape, &given, format).unwrap();
            for tensor in read_gguf(&path).unwrap().1 {
                let original = given
                    .iter()
                    .find(|given| given.name == tensor.name)
                    .unwrap();
                let error: f32 = original
                    .values
                    .iter()
                    .zip(&tensor.values)
                    .map(|(a, b)| (a - b).powi(2))
                    .sum();
                let power: f32 = original.values.iter().map(|a| a * a).sum();
                let relative = 100.0 * (error / power).sqrt();
                assert!(
                    relative < percent,
                    "{format}: {} is {relative} % off",
                    tensor.name
                );
            }
        }
    }

    #[test]
    fn a_missing_or_strange_tensor_is_named() {
        let folder = Folder::new("strange");
        let shape = shape(32, 1, true);
        let path = folder.0.join("model.gguf");
        let message = |tensors: &[NamedTensor]| {
            write(&path, &shape, tensors, Format::Q8_0)
                .unwrap_err()
                .to_string()
        };

        let mut tensors = weights(&shape);
        let up = tensors.remove(0);
        assert_eq!(
            message(&tensors),
            "tensor `model.layers.0.mlp.up_proj.weight`: it is missing"
        );
        tensors.push(NamedTensor {
            shape: vec![32, 64],
            ..up.clone()
        });
        assert!(message(&tensors).ends_with("its shape is [32, 64], the model needs [64, 32]"));
        tensors.pop();
        tensors.push(NamedTensor {
            values: vec![f32::NAN; up.values.len()],
            ..up.clone()
        });
        assert!(message(&tensors).ends_with("number 0 is NaN"));
        tensors.pop();
        tensors.push(up.clone());
        tensors.push(NamedTensor {
            name: "model.layers.0.self_attn.q_norm.weight".into(),
            shape: vec![8],
            values: vec![1.0; 8],
        });
        assert!(message(&tensors).ends_with("a Llama decoder of this shape has no such tensor"));
        assert_eq!(
            fs::read_dir(&folder.0).unwrap().count(),
            0,
            "neither a file nor a temporary one is left"
        );
    }

    #[test]
    fn a_cut_file_is_refused() {
        let folder = Folder::new("cut");
        let shape = shape(32, 1, true);
        let path = folder.0.join("model.gguf");
        write(&path, &shape, &weights(&shape), Format::Q8_0).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 40]).unwrap();
        let error = GgufModel::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("it is cut: tensor `blk.0.ffn_up.weight`"),
            "{error}"
        );
    }

    #[test]
    fn the_same_weights_make_the_same_file() {
        let folder = Folder::new("same");
        let shape = shape(256, 2, true);
        let (one, two) = (folder.0.join("one.gguf"), folder.0.join("two.gguf"));
        write(&one, &shape, &weights(&shape), Format::Q4_K_M).unwrap();
        let mut turned = weights(&shape);
        turned.reverse();
        write(&two, &shape, &turned, Format::Q4_K_M).unwrap();
        assert!(fs::read(one).unwrap() == fs::read(two).unwrap());
    }
}

//! Weights by their Hugging Face names: out of a model, into a model, to and from safetensors.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::config::ModelConfig;
use super::decoder::CausalLm;

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Axes.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// Tensors by name.
pub type HostTensors = BTreeMap<String, HostTensor>;

/// Why weights cannot be loaded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WeightsError {
    /// The bytes are no safetensors file.
    #[error("the weights are no readable safetensors file ({0}): the file is truncated or of another format")]
    Unreadable(String),
    /// A tensor of the model is not in the file.
    #[error("the weights lack the tensor `{0}`")]
    Missing(String),
    /// A tensor has another shape than the model.
    #[error("the tensor `{name}` has shape {found:?}, but the model needs {needed:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the model.
        needed: Vec<usize>,
    },
    /// A tensor that the model does not know.
    #[error("the weights hold the tensor `{0}`, which the model does not know")]
    Unexpected(String),
    /// A dtype that is not read.
    #[error("the tensor `{name}` has dtype {dtype}, but only F32, F16 and BF16 are read")]
    Dtype {
        /// Name of the tensor.
        name: String,
        /// Its dtype.
        dtype: String,
    },
    /// A value that no training survives.
    #[error("the tensor `{0}` holds a value that is not finite")]
    NotFinite(String),
}

/// Follows the names of modules down to a parameter.
#[derive(Default)]
pub struct Path(Vec<String>);

impl Path {
    /// One level down.
    pub fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    /// One level up.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The name so far, e.g. `model.layers.0.mlp.up_proj.weight`.
    pub fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Copies every weight to the host.
pub fn to_host(model: &CausalLm) -> HostTensors {
    let mut reader = Reader::default();
    model.visit(&mut reader);
    reader.tensors
}

#[derive(Default)]
struct Reader {
    path: Path,
    tensors: HostTensors,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let values = tensor.into_data().try_to_vec().expect("weights are f32");
        self.tensors.insert(self.path.name(), HostTensor { shape, values });
    }
}

/// Builds a model of `config` from named tensors.
///
/// # Errors
///
/// When a tensor is missing, unknown, of another shape, or not finite.
pub fn from_host(config: &ModelConfig, mut tensors: HostTensors, device: &Device) -> Result<CausalLm, WeightsError> {
    if config.tie_word_embeddings {
        // Some writers store the tied projection a second time.
        tensors.remove("lm_head.weight");
    }
    let mut writer = Writer { path: Path::default(), tensors, device: device.clone(), problem: None };
    let model = CausalLm::new(config, 0, device).map(&mut writer);
    if let Some(problem) = writer.problem {
        return Err(problem);
    }
    match writer.tensors.into_keys().next() {
        Some(name) => Err(WeightsError::Unexpected(name)),
        None => Ok(model),
    }
}

struct Writer {
    path: Path,
    tensors: HostTensors,
    device: Device,
    problem: Option<WeightsError>,
}

impl Writer {
    fn take(&mut self, needed: &[usize]) -> Result<HostTensor, WeightsError> {
        let name = self.path.name();
        let tensor = self.tensors.remove(&name).ok_or_else(|| WeightsError::Missing(name.clone()))?;
        if tensor.shape != needed {
            return Err(WeightsError::Shape { name, found: tensor.shape, needed: needed.to_vec() });
        }
        if tensor.values.iter().any(|value| !value.is_finite()) {
            return Err(WeightsError::NotFinite(name));
        }
        Ok(tensor)
    }
}

impl ModuleMapper for Writer {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let needed = param.val().dims();
        match self.take(&needed) {
            Ok(tensor) => {
                let data = TensorData::new(tensor.values, needed);
                Param::from_tensor(Tensor::from_data(data, &self.device))
            }
            Err(problem) => {
                self.problem.get_or_insert(problem);
                param
            }
        }
    }
}

/// The dtype of weights on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskDtype {
    /// Four bytes, exact.
    Float32,
    /// Two bytes, eight bits of precision.
    Bfloat16,
}

/// Named tensors as a safetensors file.
pub fn to_safetensors(tensors: &HostTensors, dtype: DiskDtype) -> Vec<u8> {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = match dtype {
                DiskDtype::Float32 => tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                DiskDtype::Bfloat16 => {
                    tensor.values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect()
                }
            };
            (name, &tensor.shape, bytes)
        })
        .collect();
    let kind = match dtype {
        DiskDtype::Float32 => Dtype::F32,
        DiskDtype::Bfloat16 => Dtype::BF16,
    };
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(kind, shape.to_vec(), bytes).expect("bytes were made from the shape");
        (name.as_str(), view)
    });
    let about = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(about)).expect("tensors in memory serialize")
}

/// Reads a safetensors file. Bounds: a header of 8 MiB, 65,536 tensors.
///
/// # Errors
///
/// When the file is truncated, too large in its header, or of a dtype that is not read.
pub fn from_safetensors(bytes: &[u8]) -> Result<HostTensors, WeightsError> {
    let header = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    if header.is_none_or(|length| length > 8 << 20) {
        return Err(WeightsError::Unreadable("its header is longer than 8 MiB or missing".into()));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Unreadable(error.to_string()))?;
    if file.len() > 65_536 {
        return Err(WeightsError::Unreadable(format!("{} tensors", file.len())));
    }
    file.iter()
        .map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
                Dtype::BF16 => data.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
                Dtype::F16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
                other => return Err(WeightsError::Dtype { name: name.to_owned(), dtype: format!("{other:?}") }),
            };
            Ok((name.to_owned(), HostTensor { shape: view.shape().to_vec(), values }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> ModelConfig {
        ModelConfig {
            vocab_size: 8,
            hidden_size: 8,
            intermediate_size: 16,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 4,
            ..ModelConfig::default()
        }
    }

    #[test]
    fn a_model_comes_back_from_disk_bit_for_bit_and_has_the_names_of_hugging_face() {
        let device = Device::flex();
        let tensors = to_host(&CausalLm::new(&tiny(), 7, &device));
        assert!(tensors.contains_key("model.layers.0.self_attn.q_proj.weight"), "{:?}", tensors.keys());
        let bytes = to_safetensors(&tensors, DiskDtype::Float32);
        let again = from_host(&tiny(), from_safetensors(&bytes).expect("reads"), &device).expect("loads");
        assert_eq!(to_host(&again), tensors);
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let device = Device::flex();
        let bytes = to_safetensors(&to_host(&CausalLm::new(&tiny(), 7, &device)), DiskDtype::Float32);
        let refused = from_safetensors(&bytes[..bytes.len() - 5]);
        assert!(matches!(refused, Err(WeightsError::Unreadable(_))));
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let device = Device::flex();
        let mut tensors = to_host(&CausalLm::new(&tiny(), 7, &device));
        tensors.remove("model.norm.weight");
        let refused = from_host(&tiny(), tensors, &device).map(|_| ());
        assert_eq!(refused, Err(WeightsError::Missing("model.norm.weight".into())));
    }
}

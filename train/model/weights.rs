//! Weights by their Hugging Face names: out of a model, into a model, to and from safetensors.

mod folder;
mod header;
mod mistral;
#[cfg(test)]
mod tests;
mod values;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::config::ModelConfig;
use super::decoder::CausalLm;
use super::origin::Origin;

pub use folder::{Precision, WeightsFolder};
pub use header::read_safetensors;
pub use write::{DiskDtype, SHARD_BYTES, Written, write_model, write_tensors};

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
    /// A file that is missing, truncated or of another format.
    #[error("`{path}` cannot be used: {what}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Something is wrong with a tensor of a file.
    #[error("`{path}`: {problem}")]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Box<WeightsError>,
    },
    /// A tensor of the model is in no file.
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
    /// Two tensors for one place.
    #[error("the weights hold the tensor `{0}` twice")]
    Twice(String),
    /// A dtype that is not read.
    #[error("the tensor `{name}` has dtype {dtype}, but only F32, F16 and BF16 are read")]
    Dtype {
        /// Name of the tensor.
        name: String,
        /// Its dtype.
        dtype: String,
    },
    /// The values of a tensor are not there any more.
    #[error("the values of the tensor `{name}` cannot be read: {what}")]
    Read {
        /// Name of the tensor.
        name: String,
        /// What the system says.
        what: String,
    },
    /// The tokenizer beside them is broken, so nobody needs them.
    #[error("the weights were not read to their end: nobody wants them any more")]
    Unwanted,
    /// A value that no training survives.
    #[error("the tensor `{0}` holds a value that is not finite")]
    NotFinite(String),
}

impl WeightsError {
    fn file(path: &std::path::Path, what: impl ToString) -> Self {
        WeightsError::File {
            path: path.to_owned(),
            what: what.to_string(),
        }
    }

    fn within(self, path: &std::path::Path) -> Self {
        WeightsError::In {
            path: path.to_owned(),
            problem: Box::new(self),
        }
    }
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
        let values = tensor
            .into_data()
            .convert::<f32>()
            .try_to_vec()
            .expect("converted to f32");
        self.tensors
            .insert(self.path.name(), HostTensor { shape, values });
    }
}

/// Builds a model of `config` from named tensors.
///
/// # Errors
///
/// When a tensor is missing, unknown, of another shape, or not finite.
pub fn from_host(
    config: &ModelConfig,
    mut tensors: HostTensors,
    device: &Device,
) -> Result<CausalLm, WeightsError> {
    if config.tie_word_embeddings {
        // Some writers store the tied projection a second time.
        tensors.remove("lm_head.weight");
    }
    let mut host = Host {
        tensors,
        device: device.clone(),
    };
    let model = CausalLm::build(config, &mut host)?;
    match host.tensors.into_keys().next() {
        Some(name) => Err(WeightsError::Unexpected(name)),
        None => Ok(model),
    }
}

struct Host {
    tensors: HostTensors,
    device: Device,
}

impl Host {
    fn take<const D: usize>(
        &mut self,
        name: &str,
        needed: [usize; D],
    ) -> Result<Tensor<D>, WeightsError> {
        let tensor = self
            .tensors
            .remove(name)
            .ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        if tensor.shape != needed {
            return Err(WeightsError::Shape {
                name: name.to_owned(),
                found: tensor.shape,
                needed: needed.to_vec(),
            });
        }
        if tensor.values.iter().any(|value| !value.is_finite()) {
            return Err(WeightsError::NotFinite(name.to_owned()));
        }
        Ok(Tensor::from_data(
            TensorData::new(tensor.values, needed),
            &self.device,
        ))
    }
}

impl Origin for Host {
    type Error = WeightsError;

    fn matrix(&mut self, name: &str, shape: [usize; 2], _: f64) -> Result<Tensor<2>, WeightsError> {
        self.take(name, shape)
    }

    fn vector(&mut self, name: &str, length: usize, _: f32) -> Result<Tensor<1>, WeightsError> {
        self.take(name, [length])
    }
}

//! Trained weights as files that other programs load.
//!
//! In: named f32 tensors as Hugging Face names them, and the tokenizer. Out: one GGUF file, complete or absent, that
//! llama.cpp, ollama and LM Studio load; and the tensors read back from such a file, for the gate that compares them.
//! Example: a model of 135 million weights takes 538 MB in f32 and 105 MB as [`Format::Q4_K_M`].

pub mod gate;
mod llama;
mod read;
mod vocabulary;
mod write;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use data::file::FileError;
use serde::{Deserialize, Serialize};

pub use gguf::{Encoding, dequantize, quantize};
pub use read::{GgufModel, read_gguf};
pub use vocabulary::{SpecialTokens, TokenizerFiles};
pub use write::write_gguf;

/// The sizes of a decoder of the Llama family.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelShape {
    /// Rows of the embedding.
    pub vocab: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; not always `d_model / heads`.
    pub head_dim: usize,
    /// Width inside the feed-forward part.
    pub d_ff: usize,
    /// Positions the model was made for.
    pub context: usize,
    /// Base of the rotary encoding.
    pub rope_theta: f32,
    /// The ε of RMSNorm.
    pub norm_eps: f32,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    /// What a person calls the model.
    pub name: String,
}

/// A tensor with its Hugging Face name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// For example `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Rows first: `[out, in]` for a projection.
    pub shape: Vec<usize>,
    /// Row after row.
    pub values: Vec<f32>,
}

/// Where the weights come from; one tensor at a time, so that a large model need not be in memory.
pub trait Weights {
    /// Names and shapes, in any order.
    fn list(&self) -> Vec<(String, Vec<usize>)>;

    /// The numbers of the tensor at `index` of the list.
    ///
    /// # Errors
    ///
    /// A sentence that says why they cannot be had.
    fn read(&self, index: usize) -> Result<Cow<'_, [f32]>, String>;
}

impl Weights for [NamedTensor] {
    fn list(&self) -> Vec<(String, Vec<usize>)> {
        self.iter()
            .map(|tensor| (tensor.name.clone(), tensor.shape.clone()))
            .collect()
    }

    fn read(&self, index: usize) -> Result<Cow<'_, [f32]>, String> {
        Ok(Cow::Borrowed(&self[index].values))
    }
}

impl Weights for Vec<NamedTensor> {
    fn list(&self) -> Vec<(String, Vec<usize>)> {
        self.as_slice().list()
    }

    fn read(&self, index: usize) -> Result<Cow<'_, [f32]>, String> {
        self.as_slice().read(index)
    }
}

/// What the file is meant for: how small, how exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(non_camel_case_types)]
pub enum Format {
    /// 4 bits in the oldest form; runs everywhere.
    #[serde(rename = "q4_0")]
    Q4_0,
    /// 4 bits, and 6 bits where it matters most. The usual choice.
    #[serde(rename = "q4_k_m")]
    Q4_K_M,
    /// 6 bits.
    #[serde(rename = "q6_k")]
    Q6_K,
    /// 8 bits.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// Half precision.
    #[serde(rename = "f16")]
    F16,
    /// As trained.
    #[serde(rename = "f32")]
    F32,
}

impl Format {
    /// Every format, smallest first.
    pub const ALL: [Format; 6] = [
        Format::Q4_0,
        Format::Q4_K_M,
        Format::Q6_K,
        Format::Q8_0,
        Format::F16,
        Format::F32,
    ];

    /// The name in file names and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Q4_0 => "q4_0",
            Format::Q4_K_M => "q4_k_m",
            Format::Q6_K => "q6_k",
            Format::Q8_0 => "q8_0",
            Format::F16 => "f16",
            Format::F32 => "f32",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Format::ALL.map(Format::name).join("`, `");
        Format::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("`{text}` is no export format; there are `{}`", known()))
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportSummary {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Weights in it.
    pub weights: u64,
    /// Number of tensors in each encoding.
    pub tensors: Vec<(Encoding, usize)>,
}

/// Why a file was not written, or not read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// A tensor is missing, has another shape, or holds something that cannot be stored.
    #[error("tensor `{name}`: {what}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The tokenizer cannot be told in this format.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The sizes do not fit together.
    #[error("model shape: {0}")]
    Shape(String),
    /// A file that is no GGUF file, is cut, or holds another model.
    #[error("`{path}` cannot be used: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_one_name_everywhere() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
        assert!(
            "q9".parse::<Format>()
                .unwrap_err()
                .starts_with("`q9` is no export format; there are `q4_0`, `q4_k_m`")
        );
    }
}

//! GGUF, the file format of llama.cpp: the container, and the block formats of its tensors.
//!
//! In: values and tensors in f32. Out: the bytes that llama.cpp, ollama and LM Studio read; and back. Knows no model:
//! which tensor has which name, and which key says what, is a matter of who exports.

#![forbid(unsafe_code)]

mod container;
mod k_quant;
mod quantize;

pub use container::{ALIGNMENT, Front, TensorInfo, Value, decode_front, encode_front};
pub use quantize::{Encoding, dequantize, quantize};

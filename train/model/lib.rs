//! A Llama-family decoder on Burn: the shape, the blocks, the cache, the weights on disk.

pub mod attention;
pub mod cache;
pub mod config;
pub mod decoder;
pub mod generate;
pub mod kernel;
pub mod linear;
pub mod lora;
pub mod mask;
pub mod nf4;
pub mod origin;
pub mod rope;
pub mod sampling;
pub mod weights;

pub use cache::Cache;
pub use config::ModelConfig;
pub use decoder::{CausalLm, Context};
pub use mask::BlockMask;

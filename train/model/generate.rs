//! Continuous batching: prefill, then decode many sequences at once with a KV cache.
//!
//! In: requests, each a prompt and seeds. Out: tokens as they are sampled. A sequence that ends frees its slot at once for
//! the next one. See [`engine`] for how many are decoded at once.

pub mod control;
pub mod detokenizer;
pub mod engine;
mod prefill;
mod repetition;
pub mod scheduler;
mod slot;

pub use control::Control;
pub use engine::{Engine, EngineRequest, Event};

//! The training loops, and what they share.
//!
//! In: samples, or groups of graded attempts. Out: weights in checkpoints, metrics, evaluations.
//! [`sft`] and [`grpo`] are loops to be read from top to bottom; both move one [`state::TrainState`], and neither knows the other.

pub mod agent_eval;
pub mod batch;
pub mod evaluate;
pub mod grpo;
pub mod layerwise;
pub mod sentinel;
pub mod sft;
pub mod state;
pub mod validate;

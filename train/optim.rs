//! What turns gradients into a change of the weights: AdamW with three kinds of state, clipping, the schedule.

mod adafactor;
mod adamw;
mod adamw_8bit;
mod element;
mod gradients;
mod micro_batches;
mod schedule;
mod state;

use serde::{Deserialize, Serialize};

pub use adamw::AdamW;
pub use gradients::{NamedGradients, accumulate, add_named, global_norm, gradients};
pub use micro_batches::{on_all_cores, over_micro_batches, workers};
pub use schedule::Shape;

/// How the moving averages of the gradients are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateKind {
    /// Both moments in f32: 8 bytes a weight.
    #[default]
    #[serde(rename = "f32")]
    Float32,
    /// Both moments in 8 bits with a scale for each 256: 2.03 bytes a weight (Dettmers et al., arXiv 2110.02861).
    #[serde(rename = "8bit")]
    EightBit,
    /// No first moment; the second of a matrix as its row and column means (Adafactor, arXiv 1804.04235).
    #[serde(rename = "factored")]
    Factored,
}

/// What the optimizer needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// How the moving averages are kept: `f32`, `8bit` or `factored`.
    pub state: StateKind,
    /// Learning rate after warm-up.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay of matrices (Loshchilov & Hutter, arXiv 1711.05101).
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub max_grad_norm: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Shape after warm-up.
    pub schedule: Shape,
    /// Share of `lr` that is left at the end of a falling schedule.
    pub final_share: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            state: StateKind::Float32,
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            max_grad_norm: 1.0,
            warmup_steps: 10,
            schedule: Shape::Cosine,
            final_share: 0.1,
        }
    }
}

//! Corrects for a sampler whose probabilities are not the trainer's: other kernels, older weights.
//!
//! In: the log ratio trainer − sampler of each token. Out: a weight for each, without gradient, and how many tokens the
//! weighted batch is worth ([`effective_sample_size`]).
//! Example: ratios 1 and 4 under a cap of 2 weigh 1 and 2 (TIS), or 1 and 0 (IcePop).

use burn::tensor::{IndexingUpdateOp, Int, Tensor};
use serde::{Deserialize, Serialize};

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Correction {
    /// `min(ρ, cap)`: truncated importance sampling.
    Tis {
        /// The largest weight.
        cap: f32,
    },
    /// `ρ` where it lies in `[low, high]`, else 0 (Ring-1T, arXiv 2510.18855).
    IcePop {
        /// The lowest ratio that is kept.
        low: f32,
        /// The highest ratio that is kept.
        high: f32,
    },
    /// 1 for a sequence whose geometric mean of ρ lies in `[low, high]`, 0 for every token of another one.
    SequenceMask {
        /// The lowest mean that is kept.
        low: f32,
        /// The highest mean that is kept.
        high: f32,
    },
}

/// The weight of each token, without gradient.
///
/// # Shapes
///
/// - log_ratio: `[targets]`, of [`super::ratio::log_ratio`]
/// - sequence: `[targets]`, below `sequences`
/// - output: `[targets]`
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use train::loss::correction::{Correction, weights};
///
/// let device = Device::flex();
/// let log_ratio = Tensor::<1>::from_floats([0.0, 4f32.ln()], &device);
/// let sequence = Tensor::<1, Int>::from_ints([0, 0], &device);
/// let found = weights(Correction::Tis { cap: 2.0 }, log_ratio, sequence, 1);
/// assert_eq!(found.into_data().try_to_vec::<f32>().unwrap(), [1.0, 2.0]);
/// ```
pub fn weights(
    correction: Correction,
    log_ratio: Tensor<1>,
    sequence: Tensor<1, Int>,
    sequences: usize,
) -> Tensor<1> {
    let log_ratio = log_ratio.detach();
    let ratio = log_ratio.clone().exp();
    match correction {
        Correction::Tis { cap } => ratio.clamp_max(cap),
        Correction::IcePop { low, high } => {
            let kept = within(ratio.clone(), low, high);
            ratio * kept
        }
        Correction::SequenceMask { low, high } => {
            let of_each = |values: Tensor<1>| {
                Tensor::zeros([sequences], &values.device()).scatter(
                    0,
                    sequence.clone(),
                    values,
                    IndexingUpdateOp::Add,
                )
            };
            let lengths = of_each(log_ratio.ones_like()).clamp_min(1.0);
            let mean = (of_each(log_ratio) / lengths).exp();
            within(mean, low, high).select(0, sequence)
        }
    }
}

/// 1 where a value lies in `[low, high]`, else 0.
fn within(values: Tensor<1>, low: f32, high: f32) -> Tensor<1> {
    let outside = values
        .clone()
        .lower_elem(low)
        .bool_or(values.clone().greater_elem(high));
    values.ones_like().mask_fill(outside, 0.0)
}

/// `(Σw)² / (n · Σw²)`: the share of `n` tokens that the weighted ones are worth (Kish); 1 for equal weights, 0 where all
/// are 0.
///
/// ```
/// use train::loss::correction::effective_sample_size;
///
/// assert_eq!(effective_sample_size(&[2.0, 2.0]), 1.0);
/// assert_eq!(effective_sample_size(&[1.0, 0.0, 0.0, 0.0]), 0.25);
/// ```
pub fn effective_sample_size(weights: &[f32]) -> f64 {
    let (sum, squares) = weights.iter().fold((0.0, 0.0), |(sum, squares), &weight| {
        let weight = f64::from(weight);
        (sum + weight, squares + weight * weight)
    });
    if squares == 0.0 {
        return 0.0;
    }
    sum * sum / (weights.len() as f64 * squares)
}

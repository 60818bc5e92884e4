//! The clipped policy loss of PPO with DAPO's settings (arXiv 2503.14476) and dual clip (arXiv 1912.09729).
//!
//! It is blind to where the advantages come from.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How far one step may move the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClippedConfig {
    /// Lowest ratio is `1 − low`.
    pub low: f64,
    /// Highest ratio is `1 + high` (clip-higher).
    pub high: f64,
    /// For a negative advantage A the loss never exceeds `−A · dual`.
    pub dual: f64,
}

impl Default for ClippedConfig {
    fn default() -> Self {
        ClippedConfig { low: 0.2, high: 0.28, dual: 10.0 }
    }
}

/// The loss of every token, and what the clipping did.
pub struct Clipped {
    /// `[rows]`, to be summed and divided by the global token count.
    pub token_loss: Tensor<1>,
    /// `exp(logp − logp_old)`, without gradient.
    pub ratio: Tensor<1>,
}

/// `max(−A·ρ, −A·clip(ρ, 1−low, 1+high))` with `ρ = exp(logp − logp_old)`, capped at `−A·dual` where `A < 0`.
///
/// # Shapes
///
/// - logp, logp_old, advantages: `[rows]`
pub fn clipped(config: &ClippedConfig, logp: Tensor<1>, logp_old: Tensor<1>, advantages: Tensor<1>) -> Clipped {
    let ratio = (logp - logp_old).exp();
    let negative = advantages.clone().neg();
    let plain = negative.clone() * ratio.clone();
    let bounded = negative.clone() * ratio.clone().clamp(1.0 - config.low, 1.0 + config.high);
    let pessimistic = plain.max_pair(bounded);
    // Where A < 0 the loss grows with the ratio without bound; the cap stops it there.
    let cap = negative.clone() * config.dual;
    let capped = pessimistic.clone().min_pair(cap);
    let punished = advantages.lower_elem(0.0);
    Clipped { token_loss: pessimistic.mask_where(punished, capped), ratio: ratio.detach() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn losses(ratios: &[f32], advantages: &[f32]) -> Vec<f32> {
        let device = Device::flex();
        let logp: Vec<f32> = ratios.iter().map(|ratio| ratio.ln()).collect();
        let rows = ratios.len();
        let of = |values: Vec<f32>| Tensor::<1>::from_data(burn::tensor::TensorData::new(values, [rows]), &device);
        let clipped = clipped(&ClippedConfig::default(), of(logp), of(vec![0.0; rows]), of(advantages.to_vec()));
        clipped.token_loss.into_data().try_to_vec().expect("f32")
    }

    #[test]
    fn gains_are_clipped_higher_than_losses_and_mistakes_are_capped() {
        let got = losses(&[1.0, 1.5, 0.5, 0.5, 1.5, 50.0], &[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]);
        let expected = [-1.0, -1.28, -0.5, 0.8, 1.5, 10.0];
        for (got, want) in got.iter().zip(expected) {
            assert!((got - want).abs() < 1e-5, "{got} is not {want}");
        }
    }
}

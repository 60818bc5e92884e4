//! The clipped policy loss of PPO with DAPO's settings (arXiv 2503.14476) and dual clip (arXiv 1912.09729).
//!
//! It is blind to where the advantages come from.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::policy::{Columns, Metrics, PolicyLoss, Unit, clip_metrics};
use super::ratio::log_ratio;

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
        ClippedConfig {
            low: 0.2,
            high: 0.28,
            dual: 10.0,
        }
    }
}

impl PolicyLoss for ClippedConfig {
    fn unit(&self) -> Unit {
        Unit::Token
    }

    /// `max(−A·ρ, −A·clip(ρ, 1−low, 1+high))` with `ρ = exp(logp − logp_old)`, capped at `−A·dual` where `A < 0`.
    fn sum(&self, logp: Tensor<1>, columns: &Columns) -> (Tensor<1>, Metrics) {
        let advantages = columns.advantages.clone();
        let ratio = log_ratio(logp, columns.logp_old.clone()).exp();
        let loss = clipped(self, ratio.clone(), advantages.clone());
        (
            loss.sum(),
            clip_metrics(ratio.inner(), advantages.inner(), self.low, self.high),
        )
    }
}

/// The clipped loss of each ratio.
///
/// # Shapes
///
/// - ratio, advantages, output: `[rows]`
pub fn clipped(config: &ClippedConfig, ratio: Tensor<1>, advantages: Tensor<1>) -> Tensor<1> {
    let negative = advantages.clone().neg();
    let plain = negative.clone() * ratio.clone();
    let bounded = negative.clone() * ratio.clamp(1.0 - config.low, 1.0 + config.high);
    let pessimistic = plain.max_pair(bounded);
    // Where A < 0 the loss grows with the ratio without bound; the cap stops it there.
    let cap = negative * config.dual;
    let capped = pessimistic.clone().min_pair(cap);
    let punished = advantages.lower_elem(0.0);
    pessimistic.mask_where(punished, capped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn losses(ratios: &[f32], advantages: &[f32]) -> Vec<f32> {
        let of = |values: &[f32]| Tensor::<1>::from_floats(values, &Device::flex());
        clipped(&ClippedConfig::default(), of(ratios), of(advantages))
            .into_data()
            .try_to_vec()
            .expect("f32")
    }

    #[test]
    fn gains_are_clipped_higher_than_losses_and_mistakes_are_capped() {
        let got = losses(
            &[1.0, 1.5, 0.5, 0.5, 1.5, 50.0],
            &[1.0, 1.0, 1.0, -1.0, -1.0, -1.0],
        );
        let expected = [-1.0, -1.28, -0.5, 0.8, 1.5, 10.0];
        for (got, want) in got.iter().zip(expected) {
            assert!((got - want).abs() < 1e-5, "{got} is not {want}");
        }
    }
}

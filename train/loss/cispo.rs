//! CISPO: REINFORCE whose importance weights are clipped, and not its gradients (MiniMax-M1, arXiv 2506.13585).
//!
//! Every token keeps its gradient: where PPO's clipping drops a token, here its weight alone is bounded.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::policy::{Columns, Metrics, PolicyLoss, Unit, clip_metrics};
use super::ratio::{LOWEST_LOGP, log_ratio};

/// How much a token may weigh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CispoConfig {
    /// Lowest weight is `1 − low`; 1 is no bound.
    pub low: f64,
    /// Highest weight is `1 + high`.
    pub high: f64,
}

impl Default for CispoConfig {
    fn default() -> Self {
        CispoConfig {
            low: 1.0,
            high: 4.0,
        }
    }
}

impl PolicyLoss for CispoConfig {
    fn unit(&self) -> Unit {
        Unit::Token
    }

    /// `−sg(clip(ρ, 1−low, 1+high)) · A · logp` with `ρ = exp(logp − logp_old)`; `sg` stops the gradient.
    fn sum(&self, logp: Tensor<1>, columns: &Columns) -> (Tensor<1>, Metrics) {
        let ratio = log_ratio(logp.clone(), columns.logp_old.clone())
            .exp()
            .detach();
        let weight = ratio.clone().clamp(1.0 - self.low, 1.0 + self.high);
        let loss = (weight * columns.advantages.clone() * logp.clamp_min(LOWEST_LOGP))
            .sum()
            .neg();
        (
            loss,
            clip_metrics(
                ratio.inner(),
                columns.advantages.clone().inner(),
                self.low,
                self.high,
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::policy::tests::slopes;

    #[test]
    fn the_slope_is_the_clipped_weight_times_the_advantage() {
        // Ratios 1, 8 (clipped to 5) and 0.5.
        let (loss, slopes) = slopes(
            &CispoConfig::default(),
            &[1.0, 8.0, 0.5],
            &[1.0, 1.0, -2.0],
            &[0, 0, 1],
        );
        let expected = [-1.0, -5.0, 1.0];
        assert!(
            slopes
                .iter()
                .zip(expected)
                .all(|(got, want)| (got - want).abs() < 1e-5),
            "{slopes:?}"
        );
        // −(1·0 + 5·ln 8 + 0.5·(−2)·ln 0.5)
        let want = -(5.0 * 8f32.ln() - 0.5f32.ln());
        assert!((loss - want).abs() < 1e-5, "{loss} is not {want}");
    }
}

//! GSPO: the ratio of a whole sequence is clipped, not that of each token (Group Sequence Policy Optimization,
//! arXiv 2507.18071).

use burn::tensor::{IndexingUpdateOp, Tensor};
use serde::{Deserialize, Serialize};

use super::clipped::{ClippedConfig, clipped};
use super::policy::{Columns, Metrics, PolicyLoss, Unit, clip_metrics};
use super::ratio::log_ratio;

/// How far one step may move the policy. A sequence's ratio is a geometric mean, so it is much closer to 1 than that of a
/// token; the defaults are those of the paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GspoConfig {
    /// Lowest ratio is `1 − low`.
    pub low: f64,
    /// Highest ratio is `1 + high`.
    pub high: f64,
}

impl Default for GspoConfig {
    fn default() -> Self {
        GspoConfig {
            low: 3e-4,
            high: 4e-4,
        }
    }
}

impl PolicyLoss for GspoConfig {
    fn unit(&self) -> Unit {
        Unit::Sequence
    }

    /// `max(−A·s, −A·clip(s, 1−low, 1+high))` for each sequence, with `s = exp(mean(logp − logp_old))` over its tokens.
    fn sum(&self, logp: Tensor<1>, columns: &Columns) -> (Tensor<1>, Metrics) {
        let of_each = |values: Tensor<1>| {
            let nothing = Tensor::zeros([columns.sequences], &values.device());
            nothing.scatter(0, columns.sequence.clone(), values, IndexingUpdateOp::Add)
        };
        let lengths = of_each(logp.ones_like().detach()).clamp_min(1.0);
        let ratio = (of_each(log_ratio(logp, columns.logp_old.clone())) / lengths.clone()).exp();
        // All tokens of a sequence have one advantage.
        let advantages = of_each(columns.advantages.clone()) / lengths;
        let bounds = ClippedConfig {
            low: self.low,
            high: self.high,
            dual: f64::INFINITY,
        };
        let loss = clipped(&bounds, ratio.clone(), advantages).sum();
        // Told token by token, as for the other losses.
        let of_token = ratio.inner().select(0, columns.sequence.clone().inner());
        (
            loss,
            clip_metrics(
                of_token,
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
    fn a_sequence_has_one_ratio_which_its_tokens_share() {
        // Ratios 2 and 0.5: the sequence has moved nowhere. Each token has half of its slope.
        let (loss, slopes) = slopes(
            &GspoConfig::default(),
            &[2.0, 0.5, 1.0],
            &[1.0, 1.0, -2.0],
            &[0, 0, 1],
        );
        let expected = [-0.5, -0.5, 2.0];
        assert!(
            slopes
                .iter()
                .zip(expected)
                .all(|(got, want)| (got - want).abs() < 1e-5),
            "{slopes:?}"
        );
        assert!((loss - (-1.0 + 2.0)).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn a_sequence_that_moved_too_far_has_no_slope() {
        let (loss, slopes) = slopes(
            &GspoConfig::default(),
            &[1.1, 1.1, 0.9, 0.9],
            &[1.0, 1.0, -1.0, -1.0],
            &[0, 0, 1, 1],
        );
        assert_eq!(slopes, [0.0; 4]);
        assert!((loss - (-1.0004 + 0.9997)).abs() < 1e-5, "{loss}");
    }
}

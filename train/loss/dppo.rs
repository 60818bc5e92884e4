//! DPPO: a token leaves the update when its *probability* has moved too far, not its ratio (arXiv 2602.04879).
//!
//! A ratio exaggerates rare tokens: from 0.001 to 0.002 it is 2, though next to nothing has moved. The mask bounds
//! `|p − p_old|`, the total variation of "this token or another one", and keeps what moves back.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::policy::{Columns, Metrics, PolicyLoss, Unit, sum_of};
use super::ratio::log_ratio;

/// How far one token may move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DppoConfig {
    /// How far the probability of a token with a negative advantage may fall.
    pub low: f64,
    /// How far the probability of a token with a positive advantage may rise.
    pub high: f64,
}

impl Default for DppoConfig {
    fn default() -> Self {
        DppoConfig {
            low: 0.2,
            high: 0.2,
        }
    }
}

impl PolicyLoss for DppoConfig {
    fn unit(&self) -> Unit {
        Unit::Token
    }

    /// `−M · A · ρ`, where M is 0 for a token that has already moved `low` or `high` in the direction of its advantage.
    fn sum(&self, logp: Tensor<1>, columns: &Columns) -> (Tensor<1>, Metrics) {
        let (kept, low, high) = self.mask(logp.clone().detach(), columns);
        let ratio = log_ratio(logp, columns.logp_old.clone()).exp();
        let loss = (ratio * columns.advantages.clone() * kept).sum().neg();
        let (low, high) = (sum_of(low.inner()), sum_of(high.inner()));
        let metrics = Metrics::from([
            ("clip_ratio/low_mean", low),
            ("clip_ratio/high_mean", high),
            ("clip_ratio/region_mean", low + high),
        ]);
        (loss, metrics)
    }
}

impl DppoConfig {
    /// 1 for the tokens that are kept; then 1 for those that fell, and for those that rose, too far. Each `[targets]`.
    fn mask(&self, logp: Tensor<1>, columns: &Columns) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
        let moved = logp.exp() - columns.logp_old.clone().exp();
        let advantages = columns.advantages.clone();
        let fell = moved
            .clone()
            .lower_elem(-self.low)
            .bool_and(advantages.clone().lower_elem(0.0));
        let rose = moved
            .clone()
            .greater_elem(self.high)
            .bool_and(advantages.greater_elem(0.0));
        let kept = moved
            .ones_like()
            .mask_fill(fell.clone().bool_or(rose.clone()), 0.0);
        let count = |mask| moved.zeros_like().mask_fill(mask, 1.0);
        (kept, count(fell), count(rose))
    }
}

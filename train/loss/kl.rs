//! Estimates of KL(policy ‖ reference) from sampled tokens: Schulman's k1, k2 and k3 (joschu.net/blog/kl-approx.html).
//!
//! With `r = logp_ref − logp`: k1 is `−r`, unbiased and of high variance; k2 is `r²/2`, biased, but its gradient is that of
//! the KL on policy; k3 is `e^r − 1 − r`, unbiased and never negative.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::ratio::log_ratio;

/// Which estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// `logp − logp_ref`
    K1,
    /// `(logp − logp_ref)² / 2`
    K2,
    /// `exp(logp_ref − logp) − 1 − (logp_ref − logp)`
    K3,
}

/// The largest estimate of one token, in nats: one rare token does not outweigh a batch (verl clamps alike).
pub const MAX_KL: f32 = 10.0;

/// The estimate for each token, clamped to ±[`MAX_KL`]. The reference is the base without its adapter, or a frozen copy.
///
/// # Shapes
///
/// - logp, logp_reference, output: `[targets]`
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use train::loss::kl::{KlEstimator, kl};
///
/// let of = |value: f32| Tensor::<1>::from_floats([value], &Device::flex());
/// let k2 = kl(KlEstimator::K2, of(-1.0), of(-3.0));
/// assert_eq!(k2.into_scalar::<f32>(), 2.0);
/// ```
pub fn kl(estimator: KlEstimator, logp: Tensor<1>, logp_reference: Tensor<1>) -> Tensor<1> {
    let gap = log_ratio(logp_reference, logp);
    let estimate = match estimator {
        KlEstimator::K1 => gap.neg(),
        KlEstimator::K2 => gap.clone() * gap / 2.0,
        KlEstimator::K3 => gap.clone().exp() - 1.0 - gap,
    };
    estimate.clamp(-MAX_KL, MAX_KL)
}

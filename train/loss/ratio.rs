//! Log ratios that stay finite, and sums in which a masked token is exactly 0.
//!
//! In: log-probabilities now and when a token was sampled. Out: `logp − logp_old` within ±20, whatever they are.
//! Example: −89 against 0, or 0 against −inf, is a ratio of e^20 at most, never NaN.

use burn::tensor::Tensor;

/// Largest absolute log ratio: `e^20 ≈ 4.9e8` is far outside of every trust region, and its square is finite in f32.
pub const MAX_LOG_RATIO: f32 = 20.0;

/// Log-probabilities below this are read as this: −inf has no difference to anything.
pub(super) const LOWEST_LOGP: f32 = -1e4;

/// `logp − logp_old`, clamped to ±[`MAX_LOG_RATIO`]; beyond it there is no gradient. Where both are −inf it is 0.
///
/// # Shapes
///
/// - logp, logp_old, output: `[targets]`
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use train::loss::ratio::log_ratio;
///
/// let of = |values: [f32; 3]| Tensor::<1>::from_floats(values, &Device::flex());
/// let ratio = log_ratio(of([0.0, -1.0, f32::NEG_INFINITY]), of([f32::NEG_INFINITY, -1.5, 0.0]));
/// assert_eq!(ratio.into_data().try_to_vec::<f32>().unwrap(), [20.0, 0.5, -20.0]);
/// ```
pub fn log_ratio(logp: Tensor<1>, logp_old: Tensor<1>) -> Tensor<1> {
    let gap = logp.clamp_min(LOWEST_LOGP) - logp_old.clamp_min(LOWEST_LOGP);
    gap.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
}

/// `values` where `mask` is not 0, and exactly 0 elsewhere, NaN or not; no gradient flows there.
///
/// # Shapes
///
/// - values, mask, output: `[targets]`
pub fn masked(values: Tensor<1>, mask: Tensor<1>) -> Tensor<1> {
    values.mask_fill(mask.equal_elem(0.0), 0.0)
}

/// The mean of `values` where `mask` is 1; 0 where it is 1 nowhere. `[1]`
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use train::loss::ratio::masked_mean;
///
/// let of = |values: [f32; 4]| Tensor::<1>::from_floats(values, &Device::flex());
/// let mean = masked_mean(of([1.0, 2.0, f32::NAN, 4.0]), of([1.0, 0.0, 0.0, 1.0]));
/// assert_eq!(mean.into_scalar::<f32>(), 2.5);
/// ```
pub fn masked_mean(values: Tensor<1>, mask: Tensor<1>) -> Tensor<1> {
    masked(values, mask.clone()).sum() / mask.sum().clamp_min(1.0)
}

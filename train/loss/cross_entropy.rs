//! Next-token cross-entropy with a weight per token.

use burn::tensor::{Int, Tensor};

use super::log_probabilities;

/// `Σ weight · (−log p(target)) / denominator`.
///
/// The denominator is the sum of the weights of the *global* batch, so that micro-batches add up to the same loss.
///
/// # Shapes
///
/// - logits: `[rows, vocab]`
/// - targets, weights: `[rows]`
/// - output: `[1]`
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>, weights: Tensor<1>, denominator: f32) -> Tensor<1> {
    (log_probabilities(logits, targets) * weights).sum().neg() / denominator
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_token_of_weight_zero_does_not_count() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.0f32, 0.0], [9.0, 0.0]], &device);
        let targets = Tensor::<1, Int>::from_data([1, 1], &device);
        let weights = Tensor::<1>::from_data([1.0f32, 0.0], &device);
        let loss: f32 = cross_entropy(logits, targets, weights, 1.0).into_scalar();
        assert!((loss - 2f32.ln()).abs() < 1e-6);
    }
}

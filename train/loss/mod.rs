//! What is minimized. Every loss is a sum over tokens divided once by the token count of the global batch.

pub mod aggregate;
pub mod chunked;
pub mod cispo;
pub mod clipped;
pub mod correction;
pub mod cross_entropy;
pub mod divergence;
pub mod dppo;
pub mod gspo;
pub mod kl;
pub mod policy;
pub mod ratio;

use burn::tensor::{Int, Tensor, activation::log_softmax};

/// Log-probability of each target.
///
/// # Shapes
///
/// - logits: `[rows, vocab]`
/// - targets: `[rows]`
/// - output: `[rows]`
pub fn log_probabilities(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    log_softmax(logits, 1)
        .gather(1, targets.reshape([rows, 1]))
        .reshape([rows])
}

/// Entropy of each row's distribution, in nats. An entropy bonus subtracts a share of it from the loss.
///
/// # Shapes
///
/// - logits: `[rows, vocab]`
/// - output: `[rows]`
pub fn entropy(logits: Tensor<2>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    // A token of probability 0 has no entropy, and 0 · −inf is no number.
    let log = log_softmax(logits, 1).clamp_min(-80.0);
    (log.clone().exp() * log).sum_dim(1).neg().reshape([rows])
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_token_that_cannot_be_drawn_leaves_the_entropy_finite() {
        let logits = Tensor::<2>::from_floats([[0.0, f32::NEG_INFINITY, 0.0]], &Device::flex());
        let nats: f32 = entropy(logits).into_scalar();
        assert!((nats - 2f32.ln()).abs() < 1e-6, "{nats}");
    }

    #[test]
    fn equal_logits_have_the_entropy_of_a_fair_die() {
        let logits = Tensor::<2>::zeros([1, 6], &Device::flex());
        let nats: f32 = entropy(logits).into_scalar();
        assert!((nats - 6f32.ln()).abs() < 1e-6);
    }
}

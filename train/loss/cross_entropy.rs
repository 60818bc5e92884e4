//! Next-token cross-entropy with a weight per token.

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::log_probabilities;
use model::kernel::exp;

/// `Σ weight · (−log p(target)) / denominator`, `[1]`, and its gradient with respect to the logits,
/// `(p − target) · weight / denominator`.
///
/// The denominator is the sum of the weights of the *global* batch, so that micro-batches add up to the same loss.
///
/// # Shapes
///
/// - logits: `[rows, vocab]`, plain
/// - targets, weights: `[rows]`, plain
/// - output: `[rows, vocab]` and `[1]`
pub fn cross_entropy(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    weights: Tensor<1>,
    denominator: f32,
) -> (Tensor<2>, Tensor<1>) {
    if logits.device() == Device::flex() {
        return in_place(logits, targets, weights, denominator);
    }
    let [rows, _] = logits.dims();
    let shares = weights / denominator;
    let loss = (log_probabilities(logits.clone(), targets.clone()) * shares.clone())
        .sum()
        .neg();
    let chance = burn::tensor::activation::softmax(logits, 1) * shares.clone().reshape([rows, 1]);
    let gradient = chance.scatter(
        1,
        targets.reshape([rows, 1]),
        shares.neg().reshape([rows, 1]),
        IndexingUpdateOp::Add,
    );
    (gradient, loss)
}

/// Row by row where the logits lie: a row is read while it is in the cache of a core, where a chain of tensor operations
/// would go through all rows a dozen times.
fn in_place(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    weights: Tensor<1>,
    denominator: f32,
) -> (Tensor<2>, Tensor<1>) {
    let device = logits.device();
    let [rows, vocab] = logits.dims();
    let targets: Vec<usize> = targets
        .into_data()
        .iter::<i64>()
        .map(|id| id as usize)
        .collect();
    let weights: Vec<f32> = weights.into_data().try_to_vec().expect("weights are f32");
    let mut data = logits.into_data();
    let mut losses = vec![0f64; rows];
    let values = data
        .as_mut_slice::<f32>()
        .expect("logits are f32")
        .par_chunks_mut(vocab.max(1));
    values
        .zip(losses.par_chunks_mut(1))
        .enumerate()
        .for_each(|(row, (values, loss))| {
            loss[0] = one_row(values, targets[row], weights[row] / denominator);
        });
    let loss = losses.iter().sum::<f64>() as f32;
    (
        Tensor::from_data(data, &device),
        Tensor::from_data([loss], &device),
    )
}

/// Turns the logits of a row into their gradient and returns its loss.
fn one_row(values: &mut [f32], target: usize, share: f32) -> f64 {
    let logit = values[target];
    let (most, sum) = pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut lanes = [f32::NEG_INFINITY; 16];
            for chunk in values.chunks(16) {
                for (lane, &value) in lanes.iter_mut().zip(chunk) {
                    *lane = if value > *lane { value } else { *lane };
                }
            }
            let most = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
            let mut lanes = [0f32; 16];
            for chunk in values.chunks_mut(16) {
                for (lane, value) in lanes.iter_mut().zip(chunk) {
                    *value = exp(*value - most);
                    *lane += *value;
                }
            }
            let sum: f32 = lanes.iter().sum();
            let factor = share / sum;
            for value in values.iter_mut() {
                *value *= factor;
            }
            (most, sum)
        },
    );
    values[target] -= share;
    f64::from(share) * (f64::from(sum).ln() + f64::from(most) - f64::from(logit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn a_token_of_weight_zero_does_not_count() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.0f32, 0.0], [9.0, 0.0]], &device);
        let targets = Tensor::<1, Int>::from_data([1, 1], &device);
        let weights = Tensor::<1>::from_data([1.0f32, 0.0], &device);
        let (gradient, loss) = cross_entropy(logits, targets, weights, 1.0);
        assert!((loss.into_scalar::<f32>() - 2f32.ln()).abs() < 1e-6);
        let gradient: Vec<f32> = gradient.into_data().try_to_vec().expect("f32");
        assert!(
            gradient
                .iter()
                .zip([0.5, -0.5, 0.0, 0.0])
                .all(|(got, want)| (got - want).abs() < 1e-6)
        );
    }

    #[test]
    fn the_gradient_is_that_of_the_log_probability_of_the_target() {
        let device = Device::flex();
        let (rows, vocab) = (3, 37);
        let number = |at: u64| (data::draw::bits(7, at) >> 40) as f32 / (1u64 << 22) as f32 - 2.0;
        let values: Vec<f32> = (0..(rows * vocab) as u64).map(number).collect();
        let logits = Tensor::<2>::from_data(TensorData::new(values, [rows, vocab]), &device);
        let targets = Tensor::<1, Int>::from_data([5, 0, 36], &device);
        let weights = Tensor::<1>::from_data([1.0f32, 0.3, 2.0], &device);
        let (got, loss) = cross_entropy(logits.clone(), targets.clone(), weights.clone(), 4.0);

        let leaf = logits.autodiff().require_grad();
        let plain = (log_probabilities(leaf.clone(), targets.autodiff()) * weights.autodiff())
            .sum()
            .neg()
            / 4.0;
        assert!(
            (plain.clone().inner().into_scalar::<f32>() - loss.into_scalar::<f32>()).abs() < 1e-5
        );
        let want = leaf.grad_remove(&mut plain.backward()).expect("a gradient");
        let far: f32 = (got - want).abs().max().into_scalar();
        assert!(far < 1e-6, "{far}");
    }
}

//! The loss of many rows without the logits of all of them at once.
//!
//! In: hidden states of the rows that predict a target, the projection to logits, and a loss of logits. Out: gradients
//! of both. Rows go through projection, loss and back in chunks, so that no more than one chunk of logits is alive.
//! Example: 2,048 rows of a vocabulary of 49,152 are 400 MB of logits, and log-softmax keeps several copies of them;
//! a chunk has 64 MiB.

use std::ops::Range;

use burn::tensor::{DType, Tensor};

/// Bytes of the logits of one chunk, in f32.
const CHUNK_BYTES: usize = 64 << 20;

/// Rows of a chunk for a vocabulary.
pub fn chunk_rows(vocab: usize) -> usize {
    (CHUNK_BYTES / 4 / vocab.max(1)).max(16)
}

/// What the loss gives back to the model.
pub struct Projected<T> {
    /// Gradient of the hidden states, `[rows, d_model]`.
    pub hidden: Tensor<2>,
    /// Gradient of the projection, `[vocab, d_model]` in f32, when it was asked for.
    pub weight: Option<Tensor<2>>,
    /// What the loss measured, chunk by chunk.
    pub measured: Vec<T>,
}

/// A loss of logits.
pub trait HeadLoss {
    /// What it measures of a chunk.
    type Measured;

    /// Looks at all rows before gradients are asked for: what a sequence needs that lies in several chunks.
    ///
    /// # Shapes
    ///
    /// - hidden: `[rows, d_model]`, plain
    /// - weight: `[vocab, d_model]`, plain
    fn begin(&self, _hidden: &Tensor<2>, _weight: &Tensor<2>) {}

    /// The gradient of logits in f32, given which rows they belong to.
    fn gradient(&self, logits: Tensor<2>, rows: Range<usize>) -> (Tensor<2>, Self::Measured);
}

impl<T, F: Fn(Tensor<2>, Range<usize>) -> (Tensor<2>, T)> HeadLoss for F {
    type Measured = T;

    fn gradient(&self, logits: Tensor<2>, rows: Range<usize>) -> (Tensor<2>, T) {
        self(logits, rows)
    }
}

/// Projects `hidden` to logits, takes `loss` of them, and goes back, chunk by chunk.
///
/// # Shapes
///
/// - hidden: `[rows, d_model]`, plain
/// - weight: `[vocab, d_model]`, plain
pub fn project<L: HeadLoss>(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    train_weight: bool,
    loss: &L,
) -> Projected<L::Measured> {
    loss.begin(&hidden, &weight);
    let [rows, width] = hidden.dims();
    let [vocab, _] = weight.dims();
    let (mut to_hidden, mut to_weight, mut measured) = (Vec::new(), None::<Tensor<2>>, Vec::new());
    let mut first = 0;
    while first < rows {
        let count = chunk_rows(vocab).min(rows - first);
        let chunk = hidden.clone().narrow(0, first, count);
        let logits = in_f32(chunk.clone().matmul(weight.clone().transpose()));
        let (gradient, one) = loss.gradient(logits, first..first + count);
        let gradient = gradient.cast(weight.dtype());
        to_hidden.push(gradient.clone().matmul(weight.clone()));
        if train_weight {
            let new = in_f32(chunk.transpose().matmul(gradient));
            to_weight = Some(match to_weight {
                Some(sum) => sum + new,
                None => new,
            });
        }
        measured.push(one);
        first += count;
    }
    let hidden = match to_hidden.len() {
        0 => Tensor::zeros([0, width], &hidden.device()),
        1 => to_hidden.remove(0),
        _ => Tensor::cat(to_hidden, 0),
    };
    Projected {
        hidden,
        weight: to_weight.map(Tensor::transpose),
        measured,
    }
}

/// The gradient of logits for a loss that is made of tensor operations.
pub fn by_autodiff<T>(
    logits: Tensor<2>,
    loss: impl FnOnce(Tensor<2>) -> (Tensor<1>, T),
) -> (Tensor<2>, T) {
    let leaf = logits.autodiff().require_grad();
    let (value, measured) = loss(leaf.clone());
    (
        leaf.grad_remove(&mut value.backward())
            .expect("a loss depends on its logits"),
        measured,
    )
}

/// As [`project`], forward only: what `look` makes of the logits of each chunk.
pub fn look_at<T>(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    look: impl Fn(Tensor<2>, Range<usize>) -> T,
) -> Vec<T> {
    let ([rows, _], [vocab, _]) = (hidden.dims(), weight.dims());
    let size = chunk_rows(vocab);
    let chunk = |first: usize| {
        let count = size.min(rows - first);
        let logits = hidden
            .clone()
            .narrow(0, first, count)
            .matmul(weight.clone().transpose());
        look(in_f32(logits), first..first + count)
    };
    (0..rows).step_by(size).map(chunk).collect()
}

fn in_f32<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F32 => tensor,
        _ => tensor.cast(DType::F32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::cross_entropy::cross_entropy;
    use crate::loss::log_probabilities;
    use burn::tensor::{Device, Int, TensorData};

    fn numbers<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
        let count = shape.iter().product::<usize>() as u64;
        let values: Vec<f32> = (0..count)
            .map(|at| (data::draw::bits(seed, at) >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
            .collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn three_chunks_give_the_loss_and_the_gradients_of_one_whole() {
        // A vocabulary so large that a chunk holds 32 rows.
        let vocab = CHUNK_BYTES / 4 / 32;
        let (rows, width) = (70, 3);
        assert_eq!(chunk_rows(vocab), 32);
        let (hidden, weight) = (numbers([rows, width], 1), numbers([vocab, width], 2));
        let ids: Vec<i32> = (0..rows as i32)
            .map(|at| at * 7919 % vocab as i32)
            .collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(ids, [rows]), &Device::flex());
        let weights = numbers([rows], 3).abs();
        let loss = |logits: Tensor<2>, range: Range<usize>| {
            let targets = targets.clone().narrow(0, range.start, range.len());
            let weights = weights.clone().narrow(0, range.start, range.len());
            let (gradient, loss) = cross_entropy(logits, targets, weights, 10.0);
            (gradient, loss.into_scalar::<f32>())
        };
        let got = project(hidden.clone(), weight.clone(), true, &loss);
        assert_eq!(got.measured.len(), 3);

        let (h, w) = (
            hidden.autodiff().require_grad(),
            weight.autodiff().require_grad(),
        );
        let logits = h.clone().matmul(w.clone().transpose());
        let whole = (log_probabilities(logits, targets.autodiff()) * weights.autodiff())
            .sum()
            .neg()
            / 10.0;
        let value: f32 = whole.clone().inner().into_scalar();
        let mut gradients = whole.backward();
        assert!((got.measured.iter().sum::<f32>() - value).abs() < 1e-4 * value);
        let close = |name: &str, got: Tensor<2>, want: Tensor<2>| {
            let far: f32 = (got - want.clone()).abs().max().into_scalar();
            let most: f32 = want.abs().max().into_scalar();
            assert!(far <= 1e-5 * most, "{name}: {far} apart, {most} large");
        };
        close(
            "hidden",
            got.hidden,
            h.grad_remove(&mut gradients).expect("a gradient"),
        );
        close(
            "weight",
            got.weight.expect("asked for"),
            w.grad_remove(&mut gradients).expect("a gradient"),
        );
    }
}

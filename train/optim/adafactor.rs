//! The second moment of a matrix as the means of its rows and columns (Shazeer & Stern, Adafactor, arXiv 1804.04235).
//!
//! A matrix of n × m weights keeps n + m numbers instead of n · m, and there is no first moment.

use burn::tensor::Tensor;

/// Added to squared gradients (ε₁ of the paper).
const LEAST: f64 = 1e-30;

/// Second moments of one weight.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each weight tensor, and the numbers are behind it"
)]
pub(super) enum Seconds {
    /// Of a matrix: the mean of each row and of each column, `[rows]` and `[columns]`.
    Matrix(Tensor<1>, Tensor<1>),
    /// Of anything else: one for each weight.
    Each(Tensor<1>),
}

impl Seconds {
    /// The step `U` of algorithm 4 for `gradient`, before it is multiplied by the learning rate: the gradient over the
    /// root of the second moment, no longer than 1 in root mean square. The decay of update t is `1 − t^−0.8`.
    ///
    /// # Shapes
    ///
    /// - gradient, output: `[count]`, which is `rows · columns` for a matrix
    pub(super) fn step(
        before: Option<Self>,
        gradient: Tensor<1>,
        matrix: Option<[usize; 2]>,
        updates: u64,
    ) -> (Self, Tensor<1>) {
        let decay = 1.0 - (updates as f64).powf(-0.8);
        let mix = |before: Option<Tensor<1>>, new: Tensor<1>| match before {
            Some(before) => before * decay + new * (1.0 - decay),
            None => new,
        };
        let square = gradient.clone().square() + LEAST;
        let (after, step) = match matrix {
            Some([rows, columns]) => {
                let (row, column) = match before {
                    Some(Seconds::Matrix(row, column)) => (Some(row), Some(column)),
                    _ => (None, None),
                };
                let square = square.reshape([rows, columns]);
                let row = mix(row, square.clone().mean_dim(1).reshape([rows]));
                let column = mix(column, square.mean_dim(0).reshape([columns]));
                // V = row · column / mean(row)
                let row_root = (row.clone() / row.clone().mean()).sqrt().reshape([rows, 1]);
                let column_root = column.clone().sqrt().reshape([1, columns]);
                let step = gradient.reshape([rows, columns]) / row_root / column_root;
                (Seconds::Matrix(row, column), step.reshape([rows * columns]))
            }
            None => {
                let before = match before {
                    Some(Seconds::Each(before)) => Some(before),
                    _ => None,
                };
                let second = mix(before, square);
                (Seconds::Each(second.clone()), gradient / second.sqrt())
            }
        };
        let length = step.clone().square().mean().sqrt().clamp_min(1.0);
        (after, step / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_gradient_of_rank_one_is_divided_by_its_size_exactly() {
        let device = Device::flex();
        let gradient = Tensor::<1>::from_data([1.0f32, -2.0, 3.0, 10.0, -20.0, 30.0], &device);
        let (_, step) = Seconds::step(None, gradient, Some([2, 3]), 1);
        let step: Vec<f32> = step.into_data().try_to_vec().expect("f32");
        for (got, want) in step.iter().zip([1.0, -1.0, 1.0, 1.0, -1.0, 1.0]) {
            assert!((got - want).abs() < 1e-5, "{step:?}");
        }
    }
}

//! Rotary positions (Su et al., arXiv 2104.09864) in the half-rotation layout of Hugging Face.
//!
//! A head of width d holds d/2 pairs `(x[i], x[i + d/2])`; the pair i at position p is turned by `p · theta^(-2i/d)`.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Cosines and sines of every position.
#[derive(Clone, Debug)]
pub struct Rope {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl Rope {
    /// Tables for `positions` positions of heads of width `head_dim`.
    pub fn new(positions: usize, head_dim: usize, theta: f64, device: &Device) -> Self {
        let half = head_dim / 2;
        let angle = |position: usize, pair: usize| position as f64 * theta.powf(-2.0 * pair as f64 / head_dim as f64);
        let table = |of: fn(f64) -> f64| {
            let values: Vec<f32> = (0..positions * half).map(|at| of(angle(at / half, at % half)) as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, [positions, half]), device)
        };
        Rope { cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// The rows of the tables at `positions`.
    ///
    /// # Shapes
    ///
    /// - positions: `[batch, seq]`
    /// - output: cosines and sines, `[batch, 1, seq, head_dim / 2]`
    pub fn at(&self, positions: Tensor<2, Int>) -> Turn {
        let [batch, seq] = positions.dims();
        let [_, half] = self.cos.dims();
        let rows = positions.reshape([batch * seq]);
        let pick = |table: &Tensor<2>| table.clone().select(0, rows.clone()).reshape([batch, 1, seq, half]);
        Turn { cos: pick(&self.cos), sin: pick(&self.sin) }
    }
}

/// The turn of each position of a batch.
#[derive(Clone, Debug)]
pub struct Turn {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Turn {
    /// Rotates every head by its position.
    ///
    /// # Shapes
    ///
    /// - heads: `[batch, heads, seq, head_dim]`
    /// - output: the same
    pub fn apply(&self, heads: Tensor<4>) -> Tensor<4> {
        let [_, _, _, width] = heads.dims();
        let first = heads.clone().narrow(3, 0, width / 2);
        let second = heads.narrow(3, width / 2, width / 2);
        let turned_first = first.clone() * self.cos.clone() - second.clone() * self.sin.clone();
        let turned_second = second * self.cos.clone() + first * self.sin.clone();
        Tensor::cat(vec![turned_first, turned_second], 3)
    }

    /// The same turn on the autodiff side of the device.
    pub fn tracked(self) -> Self {
        Turn { cos: self.cos.autodiff(), sin: self.sin.autodiff() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_is_not_turned_and_position_one_is_turned_by_one_radian() {
        let device = Device::flex();
        let rope = Rope::new(4, 2, 10_000.0, &device);
        let turn = rope.at(Tensor::from_data([[0, 1]], &device));
        let heads = Tensor::<4>::from_data([[[[1.0f32, 0.0], [1.0, 0.0]]]], &device);
        let turned: Vec<f32> = turn.apply(heads).into_data().try_to_vec().expect("f32");
        let expected = [1.0, 0.0, 0.540_302_3, 0.841_471];
        for (got, want) in turned.iter().zip(expected) {
            assert!((got - want).abs() < 1e-6, "{turned:?}");
        }
    }
}

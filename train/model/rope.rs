//! Rotary positions (Su et al., arXiv 2104.09864) in the half-rotation layout of Hugging Face.
//!
//! A head of width d holds d/2 pairs `(x[i], x[i + d/2])`; the pair i at position p is turned by `p · theta^(-2i/d)`.
//! Models that were stretched to longer contexts turn slower: see [`RopeScaling`].

mod scaling;

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};

pub use scaling::RopeScaling;

/// How fast each pair turns.
#[derive(Clone, Debug)]
pub struct Rope {
    // `[1, 1, 1, head_dim / 2]`, in radians for each position.
    frequencies: Tensor<4>,
    // Multiplies cosines and sines; 1 except for YaRN.
    magnitude: f64,
}

impl Rope {
    /// The turns of heads of width `head_dim`.
    pub fn new(
        head_dim: usize,
        theta: f64,
        scaling: Option<&RopeScaling>,
        device: &Device,
    ) -> Self {
        let half = head_dim / 2;
        let plain: Vec<f64> = (0..half)
            .map(|pair| theta.powf(-2.0 * pair as f64 / head_dim as f64))
            .collect();
        let (frequencies, magnitude) = match scaling {
            Some(scaling) => (scaling.stretch(&plain, theta), scaling.magnitude()),
            None => (plain, 1.0),
        };
        let frequencies: Vec<f32> = frequencies
            .into_iter()
            .map(|frequency| frequency as f32)
            .collect();
        let data = TensorData::new(frequencies, [1, 1, 1, half]);
        Rope {
            frequencies: Tensor::from_data(data, (device, DType::F32)),
            magnitude,
        }
    }

    /// The turns at `positions`, computed in f32 as `transformers` does.
    ///
    /// # Shapes
    ///
    /// - positions: `[batch, seq]`
    /// - output: cosines and sines, `[batch, 1, seq, head_dim / 2]`
    pub fn at(&self, positions: Tensor<2, Int>) -> Turn {
        let [batch, seq] = positions.dims();
        let positions = positions.cast(FloatDType::F32).reshape([batch, 1, seq, 1]);
        let angles = positions * self.frequencies.clone();
        let scaled = |turn: Tensor<4>| {
            if self.magnitude == 1.0 {
                turn
            } else {
                turn * self.magnitude
            }
        };
        Turn {
            cos: scaled(angles.clone().cos()),
            sin: scaled(angles.sin()),
        }
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
        Turn {
            cos: self.cos.autodiff(),
            sin: self.sin.autodiff(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_is_not_turned_and_position_one_is_turned_by_one_radian() {
        let device = Device::flex();
        let rope = Rope::new(2, 10_000.0, None, &device);
        let turn = rope.at(Tensor::from_data([[0, 1]], &device));
        let heads = Tensor::<4>::from_data([[[[1.0f32, 0.0], [1.0, 0.0]]]], &device);
        let turned: Vec<f32> = turn.apply(heads).into_data().try_to_vec().expect("f32");
        let expected = [1.0, 0.0, 0.540_302_3, 0.841_471];
        for (got, want) in turned.iter().zip(expected) {
            assert!((got - want).abs() < 1e-6, "{turned:?}");
        }
    }
}

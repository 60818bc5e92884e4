//! Where the weights of a model come from when it is built: drawn from a seed, or read.

use std::convert::Infallible;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Gives a model its weights, one by one, by their Hugging Face names.
pub trait Origin {
    /// Why a weight cannot be given.
    type Error;

    /// A matrix `[d_output, d_input]`. One that is drawn is scaled by `scale`.
    ///
    /// # Errors
    ///
    /// When the weight cannot be had.
    fn matrix(
        &mut self,
        name: &str,
        shape: [usize; 2],
        scale: f64,
    ) -> Result<Tensor<2>, Self::Error>;

    /// A bias or the scale of a norm, `[length]`. One that is new is `start` everywhere.
    ///
    /// # Errors
    ///
    /// When the weight cannot be had.
    fn vector(&mut self, name: &str, length: usize, start: f32) -> Result<Tensor<1>, Self::Error>;
}

/// Draws new weights.
pub struct Draw {
    rng: ChaCha8Rng,
    device: Device,
}

impl Draw {
    /// Weights that depend on `seed` and the order of the calls alone.
    pub fn new(seed: u64, device: &Device) -> Self {
        Draw {
            rng: ChaCha8Rng::seed_from_u64(seed),
            device: device.clone(),
        }
    }
}

impl Origin for Draw {
    type Error = Infallible;

    /// Normal, with σ = 0.02 · `scale`.
    fn matrix(&mut self, _: &str, shape: [usize; 2], scale: f64) -> Result<Tensor<2>, Infallible> {
        let values: Vec<f32> = (0..shape[0] * shape[1])
            .map(|_| {
                let normal: f64 = StandardNormal.sample(&mut self.rng);
                (0.02 * scale * normal) as f32
            })
            .collect();
        Ok(Tensor::from_data(
            TensorData::new(values, shape),
            &self.device,
        ))
    }

    fn vector(&mut self, _: &str, length: usize, start: f32) -> Result<Tensor<1>, Infallible> {
        Ok(Tensor::full([length], start, &self.device))
    }
}

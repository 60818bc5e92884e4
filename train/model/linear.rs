//! A projection, with the weight as Hugging Face stores it.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::kernel::project;
use super::lora::Lora;
use super::origin::Origin;

/// `y = x Wᵀ + b`, and a LoRA term when there is one.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_output, d_input]`
    pub weight: Param<Tensor<2>>,
    /// `[d_output]`, where the family has one.
    pub bias: Option<Param<Tensor<1>>>,
    /// What is added to it and trained in its place.
    pub lora: Option<Lora>,
}

impl Linear {
    /// The projection called `name` with a weight of `[d_output, d_input]`; `scale` is for weights that are drawn.
    ///
    /// # Errors
    ///
    /// As the origin.
    pub fn build<O: Origin>(
        name: &str,
        shape: [usize; 2],
        bias: bool,
        scale: f64,
        origin: &mut O,
    ) -> Result<Self, O::Error> {
        let weight = origin.matrix(&format!("{name}.weight"), shape, scale)?;
        let bias = match bias {
            true => Some(Param::from_tensor(origin.vector(
                &format!("{name}.bias"),
                shape[0],
                0.0,
            )?)),
            false => None,
        };
        Ok(Linear {
            weight: Param::from_tensor(weight),
            bias,
            lora: None,
        })
    }

    /// # Shapes
    ///
    /// - input: `[batch, seq, d_input]`
    /// - output: `[batch, seq, d_output]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let [batch, seq, width] = input.dims();
        let input = input.reshape([batch * seq, width]);
        let rows = project(input.clone(), self.weight.val());
        let rows = match &self.bias {
            Some(bias) => rows + bias.val().unsqueeze(),
            None => rows,
        };
        let rows = match &self.lora {
            Some(lora) => lora.add_to(input, rows),
            None => rows,
        };
        let [_, out] = rows.dims();
        rows.reshape([batch, seq, out])
    }
}

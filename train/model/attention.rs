//! Grouped-query self-attention with rotary positions.

use burn::module::Module;
use burn::tensor::Tensor;

use super::cache::LayerCache;
use super::config::ModelConfig;
use super::decoder::{Context, Init, Linear};
use super::kernel::attend;

/// Every position mixes in the positions that it may see.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// `[heads · head_dim, d_model]`
    pub q_proj: Linear,
    /// `[kv_heads · head_dim, d_model]`
    pub k_proj: Linear,
    /// `[kv_heads · head_dim, d_model]`
    pub v_proj: Linear,
    /// `[d_model, heads · head_dim]`
    pub o_proj: Linear,
    #[module(skip)]
    head_dim: usize,
}

impl SelfAttention {
    /// New projections; the output is scaled down by the depth of the residual stream (GPT-2).
    pub fn new(config: &ModelConfig, init: &mut Init) -> Self {
        let (width, head) = (config.hidden_size, config.head_dim);
        let depth = 1.0 / (2.0 * config.num_hidden_layers as f64).sqrt();
        SelfAttention {
            q_proj: init.linear(config.num_attention_heads * head, width, 1.0),
            k_proj: init.linear(config.num_key_value_heads * head, width, 1.0),
            v_proj: init.linear(config.num_key_value_heads * head, width, 1.0),
            o_proj: init.linear(width, config.num_attention_heads * head, depth),
            head_dim: head,
        }
    }

    /// Mixes every position with the positions that `context` lets it see, and with those in the cache.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(&self, hidden: Tensor<3>, context: &Context, cache: Option<&mut LayerCache>) -> Tensor<3> {
        // Project, then split the last axis into heads: [batch, heads, seq, head_dim].
        let query = context.turn.apply(self.split_heads(self.q_proj.forward(hidden.clone())));
        let key = context.turn.apply(self.split_heads(self.k_proj.forward(hidden.clone())));
        let value = self.split_heads(self.v_proj.forward(hidden));

        let (key, value) = match cache {
            Some(cache) => cache.extend(key, value),
            None => (key, value),
        };
        let mixed = attend(query, key, value, context.bias.clone());

        let [batch, heads, seq, width] = mixed.dims();
        self.o_proj.forward(mixed.swap_dims(1, 2).reshape([batch, seq, heads * width]))
    }

    fn split_heads(&self, projected: Tensor<3>) -> Tensor<4> {
        let [batch, seq, width] = projected.dims();
        projected.reshape([batch, seq, width / self.head_dim, self.head_dim]).swap_dims(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn grouped_heads_read_the_key_head_of_their_group() {
        let device = Device::flex();
        // Two query heads, one key head; the second position may see both keys, the first only itself.
        let query = Tensor::<4>::from_data([[[[1.0f32], [1.0]], [[0.0], [0.0]]]], &device);
        let key = Tensor::<4>::from_data([[[[0.0f32], [2.0]]]], &device);
        let value = Tensor::<4>::from_data([[[[10.0f32], [20.0]]]], &device);
        let bias = Tensor::<4>::from_data([[[[0.0f32, -1e9], [0.0, 0.0]]]], &device);
        let mixed: Vec<f32> = attend(query, key, value, bias).into_data().try_to_vec().expect("f32");
        let weight = 2f32.exp() / (1.0 + 2f32.exp());
        let expected = [10.0, 10.0 + 10.0 * weight, 10.0, 15.0];
        for (got, want) in mixed.iter().zip(expected) {
            assert!((got - want).abs() < 1e-4, "{mixed:?}");
        }
    }
}

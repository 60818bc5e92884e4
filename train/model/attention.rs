//! Grouped-query self-attention with rotary positions.

use burn::module::Module;
use burn::tensor::Tensor;

use super::cache::LayerCache;
use super::config::ModelConfig;
use super::decoder::{Context, RmsNorm};
use super::kernel::attend;
use super::linear::Linear;
use super::origin::Origin;

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
    /// Over the width of a query head (Qwen3).
    pub q_norm: Option<RmsNorm>,
    /// Over the width of a key head (Qwen3).
    pub k_norm: Option<RmsNorm>,
    #[module(skip)]
    head_dim: usize,
    /// How many keys a query sees, itself included; none is no bound.
    #[module(skip)]
    window: Option<usize>,
}

impl SelfAttention {
    /// The projections of layer `layer`, below `name`; a new output is scaled down by the depth of the residual stream (GPT-2).
    ///
    /// # Errors
    ///
    /// As the origin.
    pub fn build<O: Origin>(
        name: &str,
        layer: usize,
        config: &ModelConfig,
        origin: &mut O,
    ) -> Result<Self, O::Error> {
        let (width, head) = (config.hidden_size, config.head_dim);
        let (query, key) = (
            config.num_attention_heads * head,
            config.num_key_value_heads * head,
        );
        let mut linear = |part: &str, shape, bias, scale| {
            Linear::build(&format!("{name}.{part}"), shape, bias, scale, origin)
        };
        let q_proj = linear("q_proj", [query, width], config.qkv_bias(), 1.0)?;
        let k_proj = linear("k_proj", [key, width], config.qkv_bias(), 1.0)?;
        let v_proj = linear("v_proj", [key, width], config.qkv_bias(), 1.0)?;
        let o_proj = linear(
            "o_proj",
            [width, query],
            config.attention_bias,
            config.depth_scale(),
        )?;
        let mut norm = |part: &str| match config.head_norms() {
            true => RmsNorm::build(&format!("{name}.{part}"), head, config.rms_norm_eps, origin)
                .map(Some),
            false => Ok(None),
        };
        let (q_norm, k_norm) = (norm("q_norm")?, norm("k_norm")?);
        Ok(SelfAttention {
            q_proj,
            k_proj,
            v_proj,
            o_proj,
            q_norm,
            k_norm,
            head_dim: head,
            window: config.window_of(layer),
        })
    }

    /// Mixes every position with the positions that `context` lets it see, and with those in the cache.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        context: &Context,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<3> {
        // Project, normalize each head, split the last axis into heads: [batch, heads, seq, head_dim]; then rotate.
        let query = self.normalize(&self.q_norm, self.q_proj.forward(hidden.clone()));
        let key = self.normalize(&self.k_norm, self.k_proj.forward(hidden.clone()));
        let query = context.turn.apply(self.split_heads(query));
        let key = context.turn.apply(self.split_heads(key));
        let value = self.split_heads(self.v_proj.forward(hidden));

        let (key, value) = match cache {
            Some(cache) => cache.extend(key, value),
            None => (key, value),
        };
        let mixed = attend(query, key, value, context.block_mask.within(self.window));

        let [batch, heads, seq, width] = mixed.dims();
        self.o_proj
            .forward(mixed.swap_dims(1, 2).reshape([batch, seq, heads * width]))
    }

    fn normalize(&self, norm: &Option<RmsNorm>, projected: Tensor<3>) -> Tensor<3> {
        let Some(norm) = norm else { return projected };
        let [batch, seq, width] = projected.dims();
        let heads = projected.reshape([batch, seq * width / self.head_dim, self.head_dim]);
        norm.forward(heads).reshape([batch, seq, width])
    }

    fn split_heads(&self, projected: Tensor<3>) -> Tensor<4> {
        let [batch, seq, width] = projected.dims();
        projected
            .reshape([batch, seq, width / self.head_dim, self.head_dim])
            .swap_dims(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::BlockMask;
    use burn::tensor::Device;

    #[test]
    fn grouped_heads_read_the_key_head_of_their_group() {
        let device = Device::flex();
        // Two query heads, one key head; the second position may see both keys, the first only itself.
        let query = Tensor::<4>::from_data([[[[1.0f32], [1.0]], [[0.0], [0.0]]]], &device);
        let key = Tensor::<4>::from_data([[[[0.0f32], [2.0]]]], &device);
        let value = Tensor::<4>::from_data([[[[10.0f32], [20.0]]]], &device);
        let mixed: Vec<f32> = attend(query, key, value, BlockMask::causal(1, 2))
            .into_data()
            .try_to_vec()
            .expect("f32");
        let weight = 2f32.exp() / (1.0 + 2f32.exp());
        let expected = [10.0, 10.0 + 10.0 * weight, 10.0, 15.0];
        for (got, want) in mixed.iter().zip(expected) {
            assert!((got - want).abs() < 1e-4, "{mixed:?}");
        }
    }
}

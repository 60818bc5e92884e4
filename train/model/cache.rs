//! Keys and values of the tokens seen so far, written in place.

use burn::tensor::{Device, Tensor};

use super::config::ModelConfig;

/// The cache of every layer. All rows of the batch are filled to the same slot (prompts are padded on the left).
#[derive(Clone, Debug)]
pub struct Cache {
    /// One per block.
    pub layers: Vec<LayerCache>,
}

/// Keys and values of one layer.
#[derive(Clone, Debug)]
pub struct LayerCache {
    // `[batch, kv_heads, capacity, head_dim]`; taken out while it is written, so that it is owned once and not copied.
    key: Option<Tensor<4>>,
    value: Option<Tensor<4>>,
    filled: usize,
}

impl Cache {
    /// An empty cache for `batch` rows of at most `capacity` tokens.
    pub fn new(config: &ModelConfig, batch: usize, capacity: usize, device: &Device) -> Self {
        let shape = [batch, config.num_key_value_heads, capacity, config.head_dim];
        let layer = || LayerCache {
            key: Some(Tensor::zeros(shape, device)),
            value: Some(Tensor::zeros(shape, device)),
            filled: 0,
        };
        Cache { layers: (0..config.num_hidden_layers).map(|_| layer()).collect() }
    }

    /// Number of slots filled.
    pub fn filled(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.filled)
    }

    /// Every row `times` times in a row: one prompt, many attempts.
    pub fn repeat_rows(self, times: usize) -> Self {
        let repeat = |tensor: Option<Tensor<4>>| {
            tensor.map(|tensor| {
                let [batch, heads, capacity, width] = tensor.dims();
                tensor.unsqueeze_dim::<5>(1).repeat_dim(1, times).reshape([batch * times, heads, capacity, width])
            })
        };
        let layers = self
            .layers
            .into_iter()
            .map(|layer| LayerCache { key: repeat(layer.key), value: repeat(layer.value), filled: layer.filled })
            .collect();
        Cache { layers }
    }

    /// Only the rows at `rows`, in that order: finished attempts leave the batch.
    pub fn keep_rows(self, rows: burn::tensor::Tensor<1, burn::tensor::Int>) -> Self {
        let keep = |tensor: Option<Tensor<4>>| tensor.map(|tensor| tensor.select(0, rows.clone()));
        let layers = self
            .layers
            .into_iter()
            .map(|layer| LayerCache { key: keep(layer.key), value: keep(layer.value), filled: layer.filled })
            .collect();
        Cache { layers }
    }
}

impl LayerCache {
    /// Appends keys and values and returns all of them so far.
    ///
    /// # Shapes
    ///
    /// - key, value: `[batch, kv_heads, new, head_dim]`
    /// - output: `[batch, kv_heads, filled + new, head_dim]`
    pub fn extend(&mut self, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let new = key.dims()[2];
        let from = self.filled;
        self.filled += new;
        (write(&mut self.key, key, from, self.filled), write(&mut self.value, value, from, self.filled))
    }
}

fn write(slot: &mut Option<Tensor<4>>, new: Tensor<4>, from: usize, to: usize) -> Tensor<4> {
    let stored = slot.take().expect("a cache is put back after every write");
    let [batch, heads, capacity, width] = stored.dims();
    assert!(to <= capacity, "the cache holds {capacity} tokens, not {to}");
    let stored = stored.slice_assign([0..batch, 0..heads, from..to, 0..width], new);
    let seen = stored.clone().narrow(2, 0, to);
    *slot = Some(stored);
    seen
}

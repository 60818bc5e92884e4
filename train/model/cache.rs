//! Keys and values of the tokens seen so far, written in place.
//!
//! Every row is filled to a place of its own. A prompt is computed in a cache of one row and copied from there to the
//! rows of its attempts.

use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::config::ModelConfig;

/// The cache of every layer.
#[derive(Clone, Debug)]
pub struct Cache {
    /// One per block.
    pub layers: Vec<LayerCache>,
    device: Device,
}

/// Keys and values of one layer.
#[derive(Clone, Debug)]
pub struct LayerCache {
    // `[rows, capacity, kv_heads · head_dim]`; taken out while it is written, so that it is owned once and not copied.
    key: Option<Tensor<3>>,
    value: Option<Tensor<3>>,
    filled: Vec<usize>,
}

impl Cache {
    /// An empty cache for `rows` rows of at most `capacity` tokens.
    pub fn new(config: &ModelConfig, rows: usize, capacity: usize, device: &Device) -> Self {
        let shape = [rows, capacity, config.num_key_value_heads * config.head_dim];
        let layer = || LayerCache {
            key: Some(Tensor::zeros(shape, device)),
            value: Some(Tensor::zeros(shape, device)),
            filled: vec![0; rows],
        };
        Cache {
            layers: (0..config.num_hidden_layers).map(|_| layer()).collect(),
            device: device.clone(),
        }
    }

    /// Tokens in each row.
    pub fn filled(&self) -> &[usize] {
        self.layers
            .first()
            .map_or(&[][..], |layer| &layer.filled[..])
    }

    /// Tokens that a row can hold.
    pub fn capacity(&self) -> usize {
        self.layers
            .first()
            .map_or(0, |layer| layer.stored().dims()[1])
    }

    /// Makes room for `capacity` tokens in every row. What is there is copied, so ask for more than the next token.
    pub fn reserve(&mut self, capacity: usize) {
        if capacity <= self.capacity() {
            return;
        }
        let device = self.device.clone();
        let grow = |slot: &mut Option<Tensor<3>>| {
            let old = slot.take().expect("a cache is put back after every write");
            let [rows, held, width] = old.dims();
            let new = in_dtype(Tensor::zeros([rows, capacity, width], &device), old.dtype());
            *slot = Some(new.slice_assign([0..rows, 0..held, 0..width], old));
        };
        for layer in &mut self.layers {
            grow(&mut layer.key);
            grow(&mut layer.value);
        }
    }

    /// Fills `row` with the `count` tokens from `start` on of `from`, a cache of one row.
    pub fn copy_prompt(&mut self, from: &Cache, start: usize, count: usize, row: usize) {
        for (layer, from) in self.layers.iter_mut().zip(&from.layers) {
            let part = |stored: &Option<Tensor<3>>| {
                stored
                    .as_ref()
                    .map(|stored| stored.clone().narrow(1, start, count))
            };
            layer.put_row(row, count, part(&from.key), part(&from.value));
        }
    }

    /// Fills the row `to` with what the row `from` holds.
    pub fn copy_row(&mut self, from: usize, to: usize) {
        for layer in &mut self.layers {
            let count = layer.filled[from];
            let [rows, capacity, width] = layer.stored().dims();
            let places: Vec<i32> = (from * capacity..from * capacity + count)
                .map(|at| at as i32)
                .collect();
            // A copy of its own: a view would keep the tensor from being written in place.
            let part = |stored: &Option<Tensor<3>>| {
                let lines = stored.as_ref()?.clone().reshape([rows * capacity, width]);
                let places = Tensor::<1, Int>::from_data(
                    TensorData::new(places.clone(), [count]),
                    &lines.device(),
                );
                Some(lines.select(0, places).reshape([1, count, width]))
            };
            let (key, value) = (part(&layer.key), part(&layer.value));
            layer.put_row(to, count, key, value);
        }
    }
}

impl LayerCache {
    /// Appends `new` tokens to each of the first rows and returns all keys and values of these rows.
    ///
    /// # Shapes
    ///
    /// - key, value: `[batch, kv_heads, new, head_dim]`, where `batch` rows of the cache are in use
    /// - output: `[batch, kv_heads, keys, head_dim]` with the longest of these rows as `keys`; what stands behind the
    ///   end of a shorter row means nothing
    pub fn extend(&mut self, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, _, new, _] = key.dims();
        let [_, capacity, _] = self.stored().dims();
        let filled = &mut self.filled[..batch];
        let places: Vec<i32> = filled
            .iter()
            .enumerate()
            .flat_map(|(row, &filled)| {
                (row * capacity + filled..row * capacity + filled + new).map(|at| at as i32)
            })
            .collect();
        filled.iter_mut().for_each(|filled| *filled += new);
        let keys = filled.iter().copied().max().unwrap_or(0);
        assert!(
            keys <= capacity,
            "the cache holds {capacity} tokens, not {keys}"
        );
        let places = Tensor::from_data(TensorData::new(places, [batch * new]), &key.device());
        let write = |slot: &mut Option<Tensor<3>>, part: Tensor<4>, places: Tensor<1, Int>| {
            let stored = slot.take().expect("a cache is put back after every write");
            let [rows, _, width] = stored.dims();
            let [_, heads, _, head] = part.dims();
            let part = part.swap_dims(1, 2).reshape([batch * new, width]);
            let lines = in_dtype(stored, part.dtype()).reshape([rows * capacity, width]);
            let lines = lines.select_assign(0, places, part, IndexingUpdateOp::Assign);
            let seen = lines
                .clone()
                .reshape([rows, capacity, heads, head])
                .narrow(0, 0, batch)
                .narrow(1, 0, keys);
            *slot = Some(lines.reshape([rows, capacity, width]));
            seen.swap_dims(1, 2)
        };
        (
            write(&mut self.key, key, places.clone()),
            write(&mut self.value, value, places),
        )
    }

    fn stored(&self) -> &Tensor<3> {
        self.key
            .as_ref()
            .expect("a cache is put back after every write")
    }

    fn put_row(
        &mut self,
        row: usize,
        count: usize,
        key: Option<Tensor<3>>,
        value: Option<Tensor<3>>,
    ) {
        for (slot, part) in [(&mut self.key, key), (&mut self.value, value)] {
            let (stored, part) = slot
                .take()
                .zip(part)
                .expect("a cache is put back after every write");
            let [_, capacity, width] = stored.dims();
            assert!(
                count <= capacity,
                "the cache holds {capacity} tokens, not {count}"
            );
            let stored = in_dtype(stored, part.dtype());
            *slot = Some(stored.slice_assign([row..row + 1, 0..count, 0..width], part));
        }
        self.filled[row] = count;
    }
}

/// The cache in the dtype of the keys: it begins with zeros of the device's usual one.
fn in_dtype(stored: Tensor<3>, dtype: DType) -> Tensor<3> {
    if stored.dtype() == dtype {
        stored
    } else {
        stored.cast(dtype)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{BackendTensor, DispatchTensorKind};

    use super::*;

    const SHAPE: fn() -> ModelConfig = || ModelConfig {
        num_hidden_layers: 1,
        num_key_value_heads: 2,
        head_dim: 1,
        ..ModelConfig::default()
    };

    /// Appends to each row tokens whose key is `10 · row + number`, and 100 more in the second head; values are negative.
    fn append(cache: &mut Cache, rows: &[&[i32]]) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex();
        let new = rows[0].len();
        let heads = |row: &&[i32]| {
            [0, 100]
                .map(|more| {
                    row.iter()
                        .map(move |&x| (x + more) as f32)
                        .collect::<Vec<_>>()
                })
                .concat()
        };
        let values: Vec<f32> = rows.iter().flat_map(heads).collect();
        let key = Tensor::<4>::from_data(TensorData::new(values, [rows.len(), 2, new, 1]), &device);
        let (keys, values) = cache.layers[0].extend(key.clone(), -key);
        let numbers = |tensor: Tensor<4>| tensor.into_data().try_to_vec::<f32>().expect("f32");
        (numbers(keys), numbers(values))
    }

    #[test]
    fn every_row_is_filled_to_a_place_of_its_own() {
        let device = Device::flex();
        let mut prompt = Cache::new(&SHAPE(), 1, 5, &device);
        append(&mut prompt, &[&[1, 2, 3, 4, 5]]);
        let mut cache = Cache::new(&SHAPE(), 3, 4, &device);
        cache.copy_prompt(&prompt, 0, 2, 0);
        cache.copy_prompt(&prompt, 2, 1, 1);
        assert_eq!(cache.filled(), [2, 1, 0]);
        let (keys, values) = append(&mut cache, &[&[8], &[9]]);
        // The second row has two tokens; its third place means nothing.
        assert_eq!(
            keys,
            [1., 2., 8., 101., 102., 108., 3., 9., 0., 103., 109., 0.]
        );
        assert_eq!(values[..3], [-1., -2., -8.]);
        assert_eq!(cache.filled(), [3, 2, 0]);
    }

    #[test]
    fn a_row_moves_and_the_cache_grows_with_what_it_holds() {
        let device = Device::flex();
        let mut cache = Cache::new(&SHAPE(), 2, 2, &device);
        append(&mut cache, &[&[1, 2], &[3, 4]]);
        cache.reserve(3);
        assert_eq!(cache.capacity(), 3);
        cache.copy_row(1, 0);
        let (keys, _) = append(&mut cache, &[&[7]]);
        assert_eq!(keys, [3., 4., 7., 103., 104., 107.]);
        assert_eq!(cache.filled(), [3, 2]);
    }

    #[test]
    fn a_token_is_written_where_it_stays() {
        let device = Device::flex();
        let mut cache = Cache::new(&SHAPE(), 1, 8, &device);
        append(&mut cache, &[&[1]]);
        let before = address(&cache.layers[0]);
        append(&mut cache, &[&[2]]);
        assert_eq!(address(&cache.layers[0]), before, "the cache is not copied");
    }

    fn address(layer: &LayerCache) -> *const u8 {
        match layer.stored().clone().into_dispatch().kind {
            DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => tensor.bytes().as_ptr(),
            other => panic!("a tensor of numbers on the CPU, not {other:?}"),
        }
    }
}

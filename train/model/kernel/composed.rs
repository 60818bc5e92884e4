//! The same operations out of Burn's own, for devices that have no kernel of ours.
//!
//! Statistics are taken in f32 whatever the dtype of the tensors is. Burn's flash attention serves plain causal rows;
//! other views go through a mask that the device makes for a block of queries at a time.

use burn::tensor::activation::{silu, softmax};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType, FloatDType, Int, Tensor, TensorData};

use crate::mask::{BlockMask, View};

/// Queries whose scores are in memory at once.
const ROWS: usize = 1024;
/// What a hidden key adds to a score.
const HIDDEN: f32 = -1e9;

/// See [`super::attend`].
pub(super) fn attend(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    block_mask: &BlockMask,
) -> Tensor<4> {
    let ([_, _, queries, _], [_, _, keys, _]) = (query.dims(), key.dims());
    if queries == keys && block_mask.is_causal() {
        let options = AttentionModuleOptions {
            is_causal: true,
            ..AttentionModuleOptions::default()
        };
        return attention(query, key, value, None, None, options);
    }
    let blocks = (0..queries).step_by(ROWS).map(|from| {
        let to = (from + ROWS).min(queries);
        let seen = seen(block_mask, from..to, keys, &query);
        masked(
            query.clone().narrow(2, from, to - from),
            key.clone(),
            value.clone(),
            seen,
        )
    });
    Tensor::cat(blocks.collect(), 2)
}

/// Attention over the keys that `seen` shows: `[batch, 1, queries, keys]`.
fn masked(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, seen: Tensor<4, Bool>) -> Tensor<4> {
    let [batch, heads, queries, width] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    let dtype = dtype_of(&query);
    let group = heads / kv_heads * queries;
    let query = query * (1.0 / (width as f64).sqrt());
    let scores = query
        .reshape([batch, kv_heads, group, width])
        .matmul(key.swap_dims(2, 3));
    let scores = scores
        .cast(FloatDType::F32)
        .reshape([batch, heads, queries, keys]);
    let weights = softmax(scores.mask_fill(seen.clone().bool_not(), HIDDEN), 3);
    // A query that sees nothing: equal weights for all would be what is left.
    let weights = weights.mask_fill(seen.bool_not(), 0.0).cast(dtype);
    let mixed = weights
        .reshape([batch, kv_heads, group, keys])
        .matmul(value);
    mixed.reshape([batch, heads, queries, width])
}

/// Which keys the queries see: `[batch, 1, queries, keys]`. Four numbers per query travel to the device.
fn seen(
    block_mask: &BlockMask,
    queries: std::ops::Range<usize>,
    keys: usize,
    like: &Tensor<4>,
) -> Tensor<4, Bool> {
    let device = like.device();
    let shape = [block_mask.rows(), 1, queries.len(), 1];
    let bound = |of: fn(&View) -> u32| {
        let values: Vec<i32> = (0..block_mask.rows())
            .flat_map(|row| &block_mask.row(row)[queries.clone()])
            .map(|view| of(view) as i32)
            .collect();
        Tensor::<4, Int>::from_data(TensorData::new(values, shape), &device)
    };
    let slots = Tensor::<1, Int>::arange(0..keys as i64, &device).reshape([1, 1, 1, keys]);
    let inside = |from: Tensor<4, Int>, to: Tensor<4, Int>| {
        let all = [block_mask.rows(), 1, queries.len(), keys];
        let (slots, from, to) = (slots.clone().expand(all), from.expand(all), to.expand(all));
        slots.clone().greater_equal(from).bool_and(slots.lower(to))
    };
    let shared = inside(bound(|view| view.shared.from), bound(|view| view.shared.to));
    shared.bool_or(inside(
        bound(|view| view.own.from),
        bound(|view| view.own.to),
    ))
}

/// See [`super::swiglu`].
pub(super) fn swiglu(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    silu(gate) * up
}

/// See [`super::rms_norm`].
pub(super) fn rms_norm(hidden: Tensor<3>, weight: Tensor<1>, epsilon: f64) -> Tensor<3> {
    let dtype = dtype_of(&hidden);
    let hidden = hidden.cast(FloatDType::F32);
    let mean = hidden.clone().square().mean_dim(2);
    let normal = hidden * (mean + epsilon).sqrt().recip();
    normal.cast(dtype) * weight.unsqueeze()
}

fn dtype_of<const D: usize>(tensor: &Tensor<D>) -> FloatDType {
    match tensor.dtype() {
        DType::BF16 => FloatDType::BF16,
        DType::F16 => FloatDType::F16,
        _ => FloatDType::F32,
    }
}

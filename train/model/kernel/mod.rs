//! The operations of a block, fused for the CPU: each is one pass where a chain of tensor operations would be ten.
//!
//! Burn's flex backend runs operation by operation and keeps every intermediate for the backward pass; attention
//! scores alone are then written and read a dozen times. These kernels keep a head's scores in the cache of a core
//! and recompute them backward from their log-sum (Dao et al., arXiv 2205.14135).

mod attention;
mod blocks;
mod composed;
mod dots;
// One call of a matrix product that takes pointers.
#[allow(unsafe_code)]
mod matrix;
mod panels;
// One instruction that takes a pointer.
#[allow(unsafe_code)]
mod prefetch;
mod project;
mod rows;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Device, Tensor};
use burn_flex::FlexTensor;

use super::mask::BlockMask;

/// The fused operations of a backend.
#[backend_extension(Autodiff, Flex)]
pub trait Kernels: Backend {
    /// See [`attend`].
    fn fused_attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        block_mask: BlockMask,
    ) -> FloatTensor<Self>;

    /// See [`project`].
    fn fused_project(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`swiglu`].
    fn fused_swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`rms_norm`].
    fn fused_rms_norm(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
}

/// `softmax(Q Kᵀ / √head_dim) V` over the keys that each query sees, where each key and value head serves a group of
/// query heads. A query that sees nothing gets zeros.
///
/// # Shapes
///
/// - query: `[batch, heads, queries, head_dim]`
/// - key, value: `[batch, kv_heads, keys, head_dim]`
/// - block_mask: `batch` rows of `queries`
/// - output: `[batch, heads, queries, head_dim]`
pub fn attend(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    block_mask: BlockMask,
) -> Tensor<4> {
    if !is_cpu(&query) {
        return composed::attend(query, key, value, &block_mask);
    }
    let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Kernels>::fused_attend(
        query, key, value, block_mask,
    ))
}

/// `x Wᵀ` with the weight as Hugging Face stores it, in f32 or, where nothing is trained, in bf16.
///
/// # Shapes
///
/// - input: `[rows, d_input]`
/// - weight: `[d_output, d_input]`
/// - output: `[rows, d_output]`
pub fn project(input: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    if !is_cpu(&input) {
        let computed = input.dtype();
        return match weight.dtype() == computed {
            true => input.matmul(weight.transpose()),
            false => input
                .cast(weight.dtype())
                .matmul(weight.transpose())
                .cast(computed),
        };
    }
    Tensor::from_dispatch(<Dispatch as Kernels>::fused_project(
        input.into_dispatch(),
        weight.into_dispatch(),
    ))
}

/// `gate · sigmoid(gate) · up`.
///
/// # Shapes
///
/// - gate, up, output: `[batch, seq, d_ff]`
pub fn swiglu(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    if !is_cpu(&gate) {
        return composed::swiglu(gate, up);
    }
    Tensor::from_dispatch(<Dispatch as Kernels>::fused_swiglu(
        gate.into_dispatch(),
        up.into_dispatch(),
    ))
}

/// `x / √(mean(x²) + ε) · weight` over the last axis (Zhang & Sennrich, arXiv 1910.07467).
///
/// # Shapes
///
/// - hidden, output: `[batch, seq, d_model]`
/// - weight: `[d_model]`
pub fn rms_norm(hidden: Tensor<3>, weight: Tensor<1>, epsilon: f64) -> Tensor<3> {
    if !is_cpu(&hidden) {
        return composed::rms_norm(hidden, weight, epsilon);
    }
    let (hidden, weight) = (hidden.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Kernels>::fused_rms_norm(
        hidden,
        weight,
        epsilon as f32,
    ))
}

/// Whether the kernels here serve a tensor: f32 on the CPU.
fn is_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.device() == Device::flex()
}

impl Kernels for Flex {
    fn fused_attend(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        block_mask: BlockMask,
    ) -> FlexTensor {
        attention::forward(&query, &key, &value, &block_mask).0
    }

    fn fused_project(input: FlexTensor, weight: FlexTensor) -> FlexTensor {
        project::forward(&input, &weight)
    }

    fn fused_swiglu(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        rows::swiglu(&gate, &up)
    }

    fn fused_rms_norm(hidden: FlexTensor, weight: FlexTensor, epsilon: f32) -> FlexTensor {
        rows::rms_norm(&hidden, &weight, epsilon).0
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn fused_attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        block_mask: BlockMask,
    ) -> FloatTensor<Self> {
        let nodes = [query.node(), key.node(), value.node()];
        let [query, key, value] = [query, key, value].map(|tensor| tensor.into_primitive());
        let (output, log_sums) = attention::forward(&query, &key, &value, &block_mask);
        match AttendBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let saved = attention::Saved {
                    query,
                    key,
                    value,
                    block_mask,
                    output: output.clone(),
                    log_sums,
                };
                prepared.finish(saved, output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_project(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node()];
        let (input, weight) = (input.into_primitive(), weight.into_primitive());
        let output = project::forward(&input, &weight);
        match ProjectBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => prepared.finish((input, weight), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gate.node(), up.node()];
        let (gate, up) = (gate.into_primitive(), up.into_primitive());
        let output = rows::swiglu(&gate, &up);
        match SwigluBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => prepared.finish((gate, up), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_rms_norm(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [hidden.node(), weight.node()];
        let (hidden, weight) = (hidden.into_primitive(), weight.into_primitive());
        let (output, scales) = rows::rms_norm(&hidden, &weight, epsilon);
        match RmsNormBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => prepared.finish((hidden, weight, scales), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct AttendBackward;

impl Backward<Flex, 3> for AttendBackward {
    type State = attention::Saved;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let all = attention::backward(&ops.state, &gradient);
        for (node, gradient) in ops.parents.into_iter().zip(all) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct ProjectBackward;

impl Backward<Flex, 2> for ProjectBackward {
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let [input, weight] = ops.parents;
        // A frozen weight gets no gradient and costs no product.
        if let Some(node) = input {
            grads.register::<Flex>(node.id, project::to_input(&gradient, &ops.state.1));
        }
        if let Some(node) = weight {
            grads.register::<Flex>(node.id, project::to_weight(&gradient, &ops.state.0));
        }
    }
}

#[derive(Debug)]
struct SwigluBackward;

impl Backward<Flex, 2> for SwigluBackward {
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let both = rows::swiglu_backward(&ops.state.0, &ops.state.1, &gradient);
        for (node, gradient) in ops.parents.into_iter().zip(both) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct RmsNormBackward;

impl Backward<Flex, 2> for RmsNormBackward {
    type State = (FlexTensor, FlexTensor, Vec<f32>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (hidden, weight, scales) = &ops.state;
        let both = rows::rms_norm_backward(hidden, weight, scales, &gradient);
        for (node, gradient) in ops.parents.into_iter().zip(both) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

/// A contiguous tensor of `values`.
fn tensor_of(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(burn::tensor::TensorData::new(values, shape.to_vec()))
}

/// `e^x` for `x ≤ 0`, to a relative error of 2e-7; 0 below −87. Written so that the compiler vectorizes loops over it.
///
/// `e^x = 2^n · e^r` with `n` the nearest integer to `x / ln 2`; `e^r` by a polynomial of degree 6.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer
    let clamped = x.max(-87.0);
    let shifted = clamped * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    // ln 2 in two parts, so that the rest is exact.
    let r = clamped - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let tail = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0)));
    let power = 1.0 + r + r * r * (0.5 + r * tail);
    let scale = f32::from_bits(((n as i32 + 127) << 23) as u32);
    if x < -87.0 { 0.0 } else { power * scale }
}

#[cfg(test)]
mod tests;

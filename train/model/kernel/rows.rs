//! SwiGLU and RMSNorm: one pass forward, one backward.

use burn_flex::FlexTensor;

use super::{exp, tensor_of};

fn shape_of(tensor: &FlexTensor) -> Vec<usize> {
    (0..tensor.layout().num_dims())
        .map(|axis| tensor.layout().shape()[axis])
        .collect()
}

/// `1 / (1 + e^−x)`.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    let positive = 1.0 / (1.0 + small);
    if x >= 0.0 { positive } else { small * positive }
}

/// `gate · sigmoid(gate) · up`.
pub(super) fn swiglu(gate: &FlexTensor, up: &FlexTensor) -> FlexTensor {
    let (gate, up) = (gate.to_contiguous(), up.to_contiguous());
    let mut output = vec![0f32; gate.layout().num_elements()];
    let (gates, ups) = (values(&gate), values(&up));
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((out, &gate), &up) in output.iter_mut().zip(gates).zip(ups) {
                *out = gate * sigmoid(gate) * up;
            }
        },
    );
    tensor_of(output, &shape_of(&gate))
}

/// Gradients of gate and up.
pub(super) fn swiglu_backward(
    gate: &FlexTensor,
    up: &FlexTensor,
    gradient: &FlexTensor,
) -> [FlexTensor; 2] {
    let (gate, up, gradient) = (
        gate.to_contiguous(),
        up.to_contiguous(),
        gradient.to_contiguous(),
    );
    let count = gate.layout().num_elements();
    let (mut to_gate, mut to_up) = (vec![0f32; count], vec![0f32; count]);
    let (gates, ups, gradients) = (values(&gate), values(&up), values(&gradient));
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let outputs = to_gate.iter_mut().zip(to_up.iter_mut());
            let inputs = gates.iter().zip(ups).zip(gradients);
            for ((to_gate, to_up), ((&gate, &up), &gradient)) in outputs.zip(inputs) {
                let share = sigmoid(gate);
                *to_up = gradient * gate * share;
                *to_gate = gradient * up * share * (1.0 + gate * (1.0 - share));
            }
        },
    );
    let shape = shape_of(&gate);
    [tensor_of(to_gate, &shape), tensor_of(to_up, &shape)]
}

/// The normalized rows, and the scale `1 / √(mean(x²) + ε)` of each.
pub(super) fn rms_norm(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    epsilon: f32,
) -> (FlexTensor, Vec<f32>) {
    let (hidden, weight) = (hidden.to_contiguous(), weight.to_contiguous());
    let weights = values(&weight);
    let width = weights.len();
    let mut output = vec![0f32; hidden.layout().num_elements()];
    let mut scales = vec![0f32; output.len() / width];
    let rows = output
        .chunks_exact_mut(width)
        .zip(values(&hidden).chunks_exact(width))
        .zip(&mut scales);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((out, row), scale) in rows {
                *scale = 1.0 / (dot(row, row) / width as f32 + epsilon).sqrt();
                for ((out, &x), &weight) in out.iter_mut().zip(row).zip(weights) {
                    *out = x * *scale * weight;
                }
            }
        },
    );
    (tensor_of(output, &shape_of(&hidden)), scales)
}

/// Gradients of the rows and of the weight.
pub(super) fn rms_norm_backward(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    scales: &[f32],
    gradient: &FlexTensor,
) -> [FlexTensor; 2] {
    let (hidden, weight, gradient) = (
        hidden.to_contiguous(),
        weight.to_contiguous(),
        gradient.to_contiguous(),
    );
    let weights = values(&weight);
    let width = weights.len();
    let mut to_hidden = vec![0f32; hidden.layout().num_elements()];
    let mut to_weight = vec![0f32; width];
    let inputs = values(&hidden)
        .chunks_exact(width)
        .zip(values(&gradient).chunks_exact(width))
        .zip(scales);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (out, ((row, gradient), &scale)) in to_hidden.chunks_exact_mut(width).zip(inputs) {
                // y = x·s·w with s = (mean(x²) + ε)^−½, so dx = s·(g·w) − x·s³·mean(g·w·x).
                for ((sum, &x), &gradient) in to_weight.iter_mut().zip(row).zip(gradient) {
                    *sum += gradient * x * scale;
                }
                for ((out, &gradient), &weight) in out.iter_mut().zip(gradient).zip(weights) {
                    *out = gradient * weight;
                }
                let pull = dot(out, row) * scale * scale * scale / width as f32;
                for (out, &x) in out.iter_mut().zip(row) {
                    *out = *out * scale - x * pull;
                }
            }
        },
    );
    [
        tensor_of(to_hidden, &shape_of(&hidden)),
        tensor_of(to_weight, &[width]),
    ]
}

/// A sum of products in sixteen lanes, so that the compiler may vectorize it.
#[inline(always)]
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (left_chunks, right_chunks) = (left.chunks_exact(16), right.chunks_exact(16));
    let rest: f32 = left_chunks
        .remainder()
        .iter()
        .zip(right_chunks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (left, right) in left_chunks.zip(right_chunks) {
        for lane in 0..16 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// The numbers of a contiguous tensor.
fn values(tensor: &FlexTensor) -> &[f32] {
    let from = tensor.layout().start_offset();
    &tensor.storage::<f32>()[from..from + tensor.layout().num_elements()]
}

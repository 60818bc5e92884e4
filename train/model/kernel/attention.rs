//! Attention, head by head: the scores of one head fit into the cache of a core.

use burn_flex::FlexTensor;
use gemm::Parallelism;

use super::rows::dot;
use super::{exp, tensor_of};

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) query: FlexTensor,
    pub(super) key: FlexTensor,
    pub(super) value: FlexTensor,
    pub(super) bias: FlexTensor,
    pub(super) output: FlexTensor,
    /// `ln Σ exp(score)` of every query: `[batch, heads, queries]`.
    pub(super) log_sums: Vec<f32>,
}

/// A matrix inside of a tensor: an offset and two strides.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The last two axes of a tensor of rank 4, at `[first, second]`. Views are read where they lie.
    fn of(tensor: &'a FlexTensor, first: usize, second: usize) -> Self {
        let layout = tensor.layout();
        let strides: Vec<usize> =
            layout.strides().iter().map(|&stride| usize::try_from(stride).expect("no axis is flipped")).collect();
        let from = layout.start_offset() + first * strides[0] + second * strides[1];
        Matrix {
            values: &tensor.storage::<f32>()[from..],
            rows: layout.shape()[2],
            columns: layout.shape()[3],
            row_stride: strides[2],
            column_stride: strides[3],
        }
    }

    fn dense(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Matrix { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    fn transposed(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn span(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// `out = keep · out + scale · left · right`, with `out` dense.
fn multiply(out: &mut [f32], left: Matrix, right: Matrix, keep: bool, scale: f32) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert_eq!(k, right.rows, "the inner axes agree");
    assert!(out.len() >= m * n && left.values.len() >= left.span() && right.values.len() >= right.span());
    // SAFETY: the assertions above keep every index of the three matrices inside of its slice, and `out` is borrowed
    // alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            keep,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// The sizes of one call.
struct Sizes {
    batch: usize,
    heads: usize,
    group: usize,
    queries: usize,
    keys: usize,
    width: usize,
    scale: f32,
}

impl Sizes {
    fn of(query: &FlexTensor, key: &FlexTensor) -> Self {
        let (query, key) = (query.layout().shape(), key.layout().shape());
        let width = query[3];
        Sizes {
            batch: query[0],
            heads: query[1],
            group: query[1] / key[1],
            queries: query[2],
            keys: key[2],
            width,
            scale: 1.0 / (width as f32).sqrt(),
        }
    }
}

/// The rows of the bias for one batch row; a batch of 1 serves all.
fn bias_of(bias: &FlexTensor, row: usize) -> Matrix<'_> {
    let row = if bias.layout().shape()[0] == 1 { 0 } else { row };
    Matrix::of(bias, row, 0)
}

/// The output, and the log-sum of every query's scores.
pub(super) fn forward(
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    bias: &FlexTensor,
) -> (FlexTensor, Vec<f32>) {
    let Sizes { batch, heads, group, queries, keys, width, scale } = Sizes::of(query, key);
    let bias = bias.to_contiguous();
    let mut output = vec![0f32; batch * heads * queries * width];
    let mut log_sums = vec![0f32; batch * heads * queries];
    let mut scores = vec![0f32; queries * keys];
    for (at, out) in output.chunks_exact_mut(queries * width).enumerate() {
        let (row, head) = (at / heads, at % heads);
        let key = Matrix::of(key, row, head / group);
        multiply(&mut scores, Matrix::of(query, row, head), key.transposed(), false, scale);
        softmax(&mut scores, bias_of(&bias, row).values, keys, &mut log_sums[at * queries..(at + 1) * queries]);
        let weights = Matrix::dense(&scores, queries, keys);
        multiply(out, weights, Matrix::of(value, row, head / group), false, 1.0);
    }
    (tensor_of(output, &[batch, heads, queries, width]), log_sums)
}

/// Scores to weights, in place; the log-sum of every row goes to `log_sums`.
fn softmax(scores: &mut [f32], bias: &[f32], keys: usize, log_sums: &mut [f32]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((row, bias), log_sum) in scores.chunks_exact_mut(keys).zip(bias.chunks_exact(keys)).zip(log_sums) {
                for (score, &bias) in row.iter_mut().zip(bias) {
                    *score += bias;
                }
                let most = most(row);
                for score in row.iter_mut() {
                    *score = exp(*score - most);
                }
                let sum: f32 = sum(row);
                let share = 1.0 / sum;
                for score in row.iter_mut() {
                    *score *= share;
                }
                *log_sum = most + sum.ln();
            }
        },
    );
}

/// The largest value, in sixteen lanes as [`sum`].
#[inline(always)]
fn most(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = values.chunks_exact(16);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, larger);
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    lanes.into_iter().fold(rest, larger)
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Gradients of query, key and value.
pub(super) fn backward(saved: &Saved, gradient: &FlexTensor) -> [FlexTensor; 3] {
    let Saved { query, key, value, bias, output, log_sums } = saved;
    let sizes = Sizes::of(query, key);
    let Sizes { batch, heads, group, queries, keys, width, scale } = sizes;
    let kv_heads = heads / group;
    let (bias, gradient) = (bias.to_contiguous(), gradient.to_contiguous());
    let mut to_query = vec![0f32; batch * heads * queries * width];
    let mut to_key = vec![0f32; batch * kv_heads * keys * width];
    let mut to_value = vec![0f32; batch * kv_heads * keys * width];
    let (mut weights, mut slopes) = (vec![0f32; queries * keys], vec![0f32; queries * keys]);
    for at in 0..batch * heads {
        let (row, head) = (at / heads, at % heads);
        let place = row * kv_heads + head / group;
        let [query, gradient, output] = [query, &gradient, output].map(|tensor| Matrix::of(tensor, row, head));
        let [key, value] = [key, value].map(|tensor| Matrix::of(tensor, row, head / group));
        let keep = head % group > 0;

        // P = exp(Q Kᵀ · scale + bias − log-sum), dV += Pᵀ dO, dP = dO Vᵀ.
        multiply(&mut weights, query, key.transposed(), false, scale);
        let log_sums = &log_sums[at * queries..(at + 1) * queries];
        recompute(&mut weights, bias_of(&bias, row).values, keys, log_sums);
        let to_value = &mut to_value[place * keys * width..(place + 1) * keys * width];
        multiply(to_value, Matrix::dense(&weights, queries, keys).transposed(), gradient, keep, 1.0);
        multiply(&mut slopes, gradient, value.transposed(), false, 1.0);

        // dS = P ∘ (dP − dO·O), dQ = dS K · scale, dK += dSᵀ Q · scale.
        slope(&mut slopes, &weights, keys, gradient, output);
        let slopes = Matrix::dense(&slopes, queries, keys);
        multiply(&mut to_query[at * queries * width..(at + 1) * queries * width], slopes, key, false, scale);
        let to_key = &mut to_key[place * keys * width..(place + 1) * keys * width];
        multiply(to_key, slopes.transposed(), query, keep, scale);
    }
    [
        tensor_of(to_query, &[batch, heads, queries, width]),
        tensor_of(to_key, &[batch, kv_heads, keys, width]),
        tensor_of(to_value, &[batch, kv_heads, keys, width]),
    ]
}

fn recompute(scores: &mut [f32], bias: &[f32], keys: usize, log_sums: &[f32]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((row, bias), &log_sum) in scores.chunks_exact_mut(keys).zip(bias.chunks_exact(keys)).zip(log_sums) {
                for (score, &bias) in row.iter_mut().zip(bias) {
                    *score = exp((*score + bias - log_sum).min(0.0));
                }
            }
        },
    );
}

fn slope(slopes: &mut [f32], weights: &[f32], keys: usize, gradient: Matrix, output: Matrix) {
    let width = gradient.columns;
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (at, (row, weights)) in slopes.chunks_exact_mut(keys).zip(weights.chunks_exact(keys)).enumerate() {
                // Both are contiguous: they were made here and by `to_contiguous`.
                let gradient = &gradient.values[at * gradient.row_stride..][..width];
                let output = &output.values[at * output.row_stride..][..width];
                let pull = dot(gradient, output);
                for (slope, &weight) in row.iter_mut().zip(weights) {
                    *slope = weight * (*slope - pull);
                }
            }
        },
    );
}

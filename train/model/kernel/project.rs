//! Projections `x Wᵀ`.
//!
//! A matrix product of many rows is one call of a library. With few rows, as when tokens are decoded, all that counts is
//! that every weight is read once, straight from where it lies, by all cores: a library would copy it first.

use std::array;

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::matrix::{Matrix, ONE_CORE};
use super::tensor_of;

/// More rows than this are a library's.
const FEW: usize = 32;
/// Rows of the input, and of the weight, that are multiplied together: as many sums as a core has registers for.
const TILE: usize = 4;
/// Rows of the weight that one core takes at a time.
const SHARE: usize = 64;

/// `x Wᵀ`.
pub(super) fn forward(input: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let (left, right) = (Matrix::plain(input), Matrix::plain(weight));
    let (rows, width, out) = (left.rows, left.columns, right.rows);
    assert_eq!(width, right.columns, "the inner axes agree");
    let mut output = vec![0f32; rows * out];
    if rows <= FEW && right.column_stride == 1 && right.row_stride == width {
        let input = input.to_contiguous();
        few(&input.storage::<f32>()[input.layout().start_offset()..][..rows * width], right, &mut output);
    } else {
        left.times_on_all_cores(right.transposed(), &mut output);
    }
    tensor_of(output, &[rows, out])
}

/// The gradient of the input: `dY W`.
pub(super) fn to_input(gradient: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    product(Matrix::plain(gradient), Matrix::plain(weight))
}

/// The gradient of the weight: `dYᵀ x`.
pub(super) fn to_weight(gradient: &FlexTensor, input: &FlexTensor) -> FlexTensor {
    product(Matrix::plain(gradient).transposed(), Matrix::plain(input))
}

fn product(left: Matrix, right: Matrix) -> FlexTensor {
    let mut output = vec![0f32; left.rows * right.columns];
    left.times_on_all_cores(right, &mut output);
    tensor_of(output, &[left.rows, right.columns])
}

/// A few dense rows of input by a dense weight; `output` is `[rows, d_output]`.
fn few(input: &[f32], weight: Matrix, output: &mut [f32]) {
    let (width, out) = (weight.columns, weight.rows);
    let rows = input.len() / width.max(1);
    // Every core writes whole rows of the transposed output.
    let mut turned = vec![0f32; rows * out];
    let share = |(index, part): (usize, &mut [f32])| {
        let weight = &weight.values[index * SHARE * width..][..part.len() / rows * width];
        Arch::new().dispatch(Few { input, weight, width, turned: part });
    };
    if rows * width * out < ONE_CORE {
        turned.chunks_mut(SHARE * rows).enumerate().for_each(share);
    } else {
        turned.par_chunks_mut(SHARE * rows).enumerate().for_each(share);
    }
    for (row, line) in output.chunks_exact_mut(out).enumerate() {
        for (value, turned) in line.iter_mut().zip(turned.chunks_exact(rows)) {
            *value = turned[row];
        }
    }
}

/// Some rows of the weight by all rows of the input.
struct Few<'a> {
    input: &'a [f32],
    weight: &'a [f32],
    width: usize,
    /// `[rows of the weight, rows of the input]`
    turned: &'a mut [f32],
}

impl WithSimd for Few<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Few { input, weight, width, turned } = self;
        let rows = input.len() / width;
        for (weight, turned) in weight.chunks(TILE * width).zip(turned.chunks_mut(TILE * rows)) {
            let mut at = 0;
            for input in input.chunks(TILE * width) {
                match (input.len() / width, weight.len() / width) {
                    (4, 4) => tile::<S, 4, 4>(simd, input, weight, &mut turned[at..], rows),
                    (3, 4) => tile::<S, 3, 4>(simd, input, weight, &mut turned[at..], rows),
                    (2, 4) => tile::<S, 2, 4>(simd, input, weight, &mut turned[at..], rows),
                    (1, 4) => tile::<S, 1, 4>(simd, input, weight, &mut turned[at..], rows),
                    (count, _) => single(simd, [input, weight], count, &mut turned[at..], rows),
                }
                at += TILE;
            }
        }
    }
}

/// The rest of a weight whose rows are no multiple of the tile.
#[inline(always)]
fn single<S: Simd>(simd: S, [input, weight]: [&[f32]; 2], count: usize, turned: &mut [f32], rows: usize) {
    let width = input.len() / count;
    for (weight, turned) in weight.chunks_exact(width).zip(turned.chunks_mut(rows)) {
        for (input, value) in input.chunks_exact(width).zip(turned) {
            tile::<S, 1, 1>(simd, input, weight, std::slice::from_mut(value), 1);
        }
    }
}

/// `M` rows of input by `N` rows of weight; the product of row `m` and row `n` goes to `turned[n · rows + m]`.
#[inline(always)]
fn tile<S: Simd, const M: usize, const N: usize>(
    simd: S,
    input: &[f32],
    weight: &[f32],
    turned: &mut [f32],
    rows: usize,
) {
    let width = input.len() / M;
    let input: [(&[S::f32s], &[f32]); M] = array::from_fn(|m| S::as_simd_f32s(&input[m * width..][..width]));
    let weight: [(&[S::f32s], &[f32]); N] = array::from_fn(|n| S::as_simd_f32s(&weight[n * width..][..width]));
    let steps = input[0].0.len();
    // All of one length, so that the loop needs no check.
    let values: [&[S::f32s]; M] = array::from_fn(|m| &input[m].0[..steps]);
    let weights: [&[S::f32s]; N] = array::from_fn(|n| &weight[n].0[..steps]);
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    for at in 0..steps {
        let weights: [S::f32s; N] = array::from_fn(|n| weights[n][at]);
        for (sums, values) in sums.iter_mut().zip(values) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_f32s(values[at], weight, *sum);
            }
        }
    }
    for (m, (sums, (_, value))) in sums.into_iter().zip(input).enumerate() {
        let value = simd.partial_load_f32s(value);
        for (n, (sum, (_, weight))) in sums.into_iter().zip(weight).enumerate() {
            let sum = simd.mul_add_f32s(value, simd.partial_load_f32s(weight), sum);
            turned[n * rows + m] = simd.reduce_sum_f32s(sum);
        }
    }
}

//! Projections `x Wᵀ`.
//!
//! A matrix product of many rows is one call of a library. With few rows, as when tokens are decoded, all that counts is
//! that every weight is read once, straight from where it lies, by all cores: a library would copy it first. Weights in
//! bf16 are half as much to read: see [`super::halves`].

use std::array;

use burn::tensor::{DType, bf16};
use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::halves::Halves;
use super::matrix::{Matrix, ONE_CORE};
use super::tensor_of;

/// More rows than this are a library's.
const FEW: usize = 32;
/// Rows of the input, and of the weight, that are multiplied together: twelve sums, their factors, and no more than the
/// sixteen registers that a core has.
const TILE: [usize; 2] = [4, 3];
/// Rows of the weight that one core takes at a time.
const SHARE: usize = 96;

/// `x Wᵀ`.
pub(super) fn forward(input: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let (rows, width, out) = (input.layout().shape()[0], input.layout().shape()[1], weight.layout().shape()[0]);
    assert_eq!(width, weight.layout().shape()[1], "the inner axes agree");
    let mut output = vec![0f32; rows * out];
    let few = rows <= FEW;
    match weight.dtype() {
        DType::BF16 => {
            let (input, weight) = (input.to_contiguous(), weight.to_contiguous());
            shared(dense(&input), Weight::Half(dense(&weight)), width, few, &mut output);
        }
        _ if few && weight.layout().is_contiguous() => {
            shared(dense(&input.to_contiguous()), Weight::Whole(dense(weight)), width, few, &mut output);
        }
        _ => Matrix::plain(input).times_on_all_cores(Matrix::plain(weight).transposed(), &mut output),
    }
    tensor_of(output, &[rows, out])
}

fn dense<E: burn::tensor::Element + bytemuck::Pod>(tensor: &FlexTensor) -> &[E] {
    let layout = tensor.layout();
    &tensor.storage::<E>()[layout.start_offset()..][..layout.num_elements()]
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

/// Rows of a weight as they lie in memory.
#[derive(Clone, Copy)]
enum Weight<'a> {
    Whole(&'a [f32]),
    Half(&'a [bf16]),
}

impl<'a> Weight<'a> {
    fn part(self, span: std::ops::Range<usize>) -> Self {
        match self {
            Weight::Whole(values) => Weight::Whole(&values[span]),
            Weight::Half(values) => Weight::Half(&values[span]),
        }
    }

    /// Two values in 32 bits, where they can be taken so.
    fn pairs(self, width: usize, rows: usize) -> Option<&'a [u32]> {
        match self {
            Weight::Whole(_) => None,
            Weight::Half(values) => Halves::pairs(values, width, rows),
        }
    }

    /// As f32, in `room` unless they are.
    #[inline(always)]
    fn widened<'b>(self, room: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        match self {
            Weight::Whole(values) => values,
            Weight::Half(values) => {
                room.resize(values.len(), 0.0);
                for (wide, half) in room.iter_mut().zip(values) {
                    // bf16 is the upper half of an f32.
                    *wide = f32::from_bits(u32::from(half.to_bits()) << 16);
                }
                room
            }
        }
    }
}

/// Dense rows of input by a dense weight, whose rows the cores share; `output` is `[rows, d_output]`.
fn shared(input: &[f32], weight: Weight, width: usize, few: bool, output: &mut [f32]) {
    let rows = input.len() / width.max(1);
    let out = output.len() / rows.max(1);
    // Every core writes whole rows of the transposed output.
    let mut turned = vec![0f32; rows * out];
    let share = |(index, turned): (usize, &mut [f32])| {
        let from = index * SHARE * width;
        let weight = weight.part(from..from + turned.len() / rows * width);
        match (few, weight.pairs(width, rows)) {
            (true, Some(weight)) => Arch::new().dispatch(Halves { input, weight, width, turned }),
            (true, None) => Arch::new().dispatch(Few { input, weight, width, turned }),
            (false, _) => many(input, weight.widened(&mut Vec::new()), width, turned),
        }
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

/// Some rows of the weight by all rows of the input, by the library.
fn many(input: &[f32], weight: &[f32], width: usize, turned: &mut [f32]) {
    let rows = input.len() / width;
    let input = Matrix::dense(input, rows, width).transposed();
    Matrix::dense(weight, weight.len() / width, width).times(input, turned, rows, false, 1.0);
}

/// Some rows of the weight by all rows of the input.
struct Few<'a> {
    input: &'a [f32],
    weight: Weight<'a>,
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
        let mut wide = Vec::new();
        for (index, turned) in turned.chunks_mut(TILE[1] * rows).enumerate() {
            let from = index * TILE[1] * width;
            let weight = weight.part(from..from + turned.len() / rows * width).widened(&mut wide);
            let mut at = 0;
            for input in input.chunks(TILE[0] * width) {
                match (input.len() / width, weight.len() / width) {
                    (4, 3) => tile::<S, 4, 3>(simd, input, weight, &mut turned[at..], rows),
                    (3, 3) => tile::<S, 3, 3>(simd, input, weight, &mut turned[at..], rows),
                    (2, 3) => tile::<S, 2, 3>(simd, input, weight, &mut turned[at..], rows),
                    (1, 3) => tile::<S, 1, 3>(simd, input, weight, &mut turned[at..], rows),
                    (count, _) => single(simd, [input, weight], count, &mut turned[at..], rows),
                }
                at += TILE[0];
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

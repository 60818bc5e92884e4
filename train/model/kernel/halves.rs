//! Very few rows by a weight in bf16. Two values lie in 32 bits, and each is widened in the register that it is used from:
//! what is read from memory is half of what f32 would be, and reading never waits for computing.

use burn::tensor::bf16;
use pulp::{Simd, WithSimd};

/// More rows than this use a weight often enough to widen it first.
const ROWS: usize = 3;
/// Vectors of pairs that are taken at once where one row meets one: as many sums hide how long an addition takes.
const UNROLLED: usize = 4;
/// The upper half of 32 bits.
const UPPER: u32 = 0xffff_0000;

/// Rows of a weight by all rows of the input.
pub(super) struct Halves<'a> {
    pub input: &'a [f32],
    /// Pairs: the first of two lies in the lower half.
    pub weight: &'a [u32],
    pub width: usize,
    /// `[rows of the weight, rows of the input]`
    pub turned: &'a mut [f32],
}

impl<'a> Halves<'a> {
    /// The weight as pairs, where that pays and its rows are whole numbers of vectors on every machine.
    pub fn pairs(weight: &'a [bf16], width: usize, rows: usize) -> Option<&'a [u32]> {
        // 16 lanes are the most that there are.
        let fits = rows <= ROWS && cfg!(target_endian = "little") && width.is_multiple_of(2 * 16);
        if fits { bytemuck::try_cast_slice(weight).ok() } else { None }
    }
}

impl WithSimd for Halves<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Halves { input, weight, width, turned } = self;
        let rows = input.len() / width;
        let sorted = sorted(input, S::F32_LANES);
        for (weight, turned) in weight.chunks_exact(width / 2).zip(turned.chunks_mut(rows)) {
            for (input, product) in sorted.chunks_exact(width).zip(turned) {
                *product = dot(simd, S::as_simd_f32s(input).0, S::as_simd_u32s(weight).0);
            }
        }
    }
}

/// Of every two vectors of values, those at even places before those at odd ones: as pairs of weights are taken apart.
fn sorted(input: &[f32], lanes: usize) -> Vec<f32> {
    let mut sorted = Vec::with_capacity(input.len());
    for values in input.chunks_exact(2 * lanes) {
        sorted.extend(values.iter().step_by(2));
        sorted.extend(values.iter().skip(1).step_by(2));
    }
    sorted
}

/// The two vectors of weights in a vector of pairs.
#[inline(always)]
fn widened<S: Simd>(simd: S, pairs: S::u32s) -> [S::f32s; 2] {
    let lower = simd.wrapping_dyn_shl_u32s(pairs, simd.splat_u32s(16));
    let upper = simd.and_u32s(pairs, simd.splat_u32s(UPPER));
    [lower, upper].map(|bits| simd.transmute_f32s_u32s(bits))
}

/// A row of input by a row of weight, which is read from its beginning to its end.
#[inline(always)]
fn dot<S: Simd>(simd: S, input: &[S::f32s], weight: &[S::u32s]) -> f32 {
    let mut sums = [simd.splat_f32s(0.0); 2 * UNROLLED];
    let (blocks, rest) = weight.as_chunks::<UNROLLED>();
    let (values, others) = input.split_at(2 * UNROLLED * blocks.len());
    for (pairs, values) in blocks.iter().zip(values.as_chunks::<{ 2 * UNROLLED }>().0) {
        for at in 0..UNROLLED {
            let [lower, upper] = widened(simd, pairs[at]);
            sums[2 * at] = simd.mul_add_f32s(values[2 * at], lower, sums[2 * at]);
            sums[2 * at + 1] = simd.mul_add_f32s(values[2 * at + 1], upper, sums[2 * at + 1]);
        }
    }
    for (pairs, values) in rest.iter().zip(others.as_chunks::<2>().0) {
        let [lower, upper] = widened(simd, *pairs);
        sums[0] = simd.mul_add_f32s(values[0], lower, sums[0]);
        sums[1] = simd.mul_add_f32s(values[1], upper, sums[1]);
    }
    let sum = sums.into_iter().reduce(|sum, other| simd.add_f32s(sum, other));
    sum.map_or(0.0, |sum| simd.reduce_sum_f32s(sum))
}

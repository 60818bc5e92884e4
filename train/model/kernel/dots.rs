//! Very few rows by a weight: one product of two rows after the other, each weight read from its beginning to its end, so
//! that memory is the only thing that is waited for. Of a weight in bf16 two values lie in 32 bits, and each is widened in
//! the register that it is used from: half as much is read.

use pulp::{Simd, WithSimd};

use super::project::Weight;

/// More rows than this use a weight often enough to lay them out first.
const ROWS: usize = 3;
/// Vectors that are taken at once where one row meets one: as many sums hide how long an addition takes.
const UNROLLED: usize = 8;
/// The upper half of 32 bits.
const UPPER: u32 = 0xffff_0000;

/// Rows of a weight by all rows of the input, where [`Dots::fit`].
pub(super) struct Dots<'a> {
    pub input: &'a [f32],
    pub weight: Weight<'a>,
    pub width: usize,
    /// `[rows of the weight, rows of the input]`
    pub turned: &'a mut [f32],
}

impl Dots<'_> {
    /// Whether so many rows are multiplied by a weight so: its rows are whole numbers of vectors on every machine, and its
    /// pairs lie where they can be taken from.
    pub fn fit(weight: Weight, rows: usize, width: usize) -> bool {
        let paired = matches!(weight, Weight::Whole(_)) || weight.pairs(width).is_some();
        // 16 lanes are the most that there are.
        rows <= ROWS && width.is_multiple_of(2 * 16) && paired
    }
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Dots {
            input,
            weight,
            width,
            turned,
        } = self;
        let rows = input.len() / width;
        match weight {
            Weight::Whole(weight) => {
                for (weight, turned) in weight.chunks_exact(width).zip(turned.chunks_mut(rows)) {
                    for (input, product) in input.chunks_exact(width).zip(turned) {
                        *product = dot(simd, S::as_simd_f32s(input).0, S::as_simd_f32s(weight).0);
                    }
                }
            }
            Weight::Half(weight) => {
                // The first of a pair lies in the lower half.
                let pairs: &[u32] = bytemuck::cast_slice(weight);
                let sorted = sorted(input, S::F32_LANES);
                for (weight, turned) in pairs.chunks_exact(width / 2).zip(turned.chunks_mut(rows)) {
                    for (input, product) in sorted.chunks_exact(width).zip(turned) {
                        *product =
                            dot_of_pairs(simd, S::as_simd_f32s(input).0, S::as_simd_u32s(weight).0);
                    }
                }
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
pub(super) fn widened<S: Simd>(simd: S, pairs: S::u32s) -> [S::f32s; 2] {
    let lower = simd.wrapping_dyn_shl_u32s(pairs, simd.splat_u32s(16));
    let upper = simd.and_u32s(pairs, simd.splat_u32s(UPPER));
    [lower, upper].map(|bits| simd.transmute_f32s_u32s(bits))
}

/// A row of input by a row of weight.
#[inline(always)]
fn dot<S: Simd>(simd: S, input: &[S::f32s], weight: &[S::f32s]) -> f32 {
    let mut sums = [simd.splat_f32s(0.0); UNROLLED];
    let (blocks, rest) = weight.as_chunks::<UNROLLED>();
    let (values, others) = input.as_chunks::<UNROLLED>();
    for (weights, values) in blocks.iter().zip(values) {
        for ((sum, weight), value) in sums.iter_mut().zip(weights).zip(values) {
            *sum = simd.mul_add_f32s(*value, *weight, *sum);
        }
    }
    for ((sum, weight), value) in sums.iter_mut().zip(rest).zip(others) {
        *sum = simd.mul_add_f32s(*value, *weight, *sum);
    }
    total(simd, sums)
}

/// A row of input by a row of pairs.
#[inline(always)]
fn dot_of_pairs<S: Simd>(simd: S, input: &[S::f32s], weight: &[S::u32s]) -> f32 {
    let mut sums = [simd.splat_f32s(0.0); UNROLLED];
    let (blocks, rest) = weight.as_chunks::<{ UNROLLED / 2 }>();
    let (values, others) = input.split_at(UNROLLED * blocks.len());
    for (pairs, values) in blocks.iter().zip(values.as_chunks::<UNROLLED>().0) {
        for at in 0..UNROLLED / 2 {
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
    total(simd, sums)
}

#[inline(always)]
fn total<S: Simd>(simd: S, sums: [S::f32s; UNROLLED]) -> f32 {
    let sum = sums
        .into_iter()
        .reduce(|sum, other| simd.add_f32s(sum, other));
    sum.map_or(0.0, |sum| simd.reduce_sum_f32s(sum))
}

//! Few rows by a weight: sixteen rows stand beside each other, and each value of the weight meets all of them at once.
//!
//! Every weight is read once, straight from where it lies, and no sum has to be added up across a vector. A row is
//! summed in one order, whatever other rows stand beside it.
//! Example: of the rows `[a0 a1 …]` and `[b0 b1 …]` the panel is `a0 b0 0… a1 b1 0… …`, sixteen values to a place.

use std::array;

use pulp::{Simd, WithSimd};

use super::dots::widened;
use super::prefetch::prefetch;
use super::project::Weight;

/// Rows of a panel: the values that the widest vector holds.
const ROWS: usize = 16;
/// Places of a panel between two looks ahead.
const STEP: usize = 16;
/// Steps whose products are added up alone: a sum of fewer loses fewer digits.
const BLOCK: usize = 8;

/// Rows of input, laid out for [`Panels`].
pub(super) struct Packed {
    values: Vec<f32>,
    rows: usize,
    width: usize,
}

impl Packed {
    /// Dense rows of `width` values.
    pub fn new(input: &[f32], width: usize) -> Self {
        let rows = input.len() / width;
        let mut values = vec![0f32; rows.div_ceil(ROWS) * ROWS * width];
        for (panel, rows) in values
            .chunks_exact_mut(ROWS * width)
            .zip(input.chunks(ROWS * width))
        {
            for (at, row) in rows.chunks_exact(width).enumerate() {
                for (place, value) in panel.chunks_exact_mut(ROWS).zip(row) {
                    place[at] = *value;
                }
            }
        }
        Packed {
            values,
            rows,
            width,
        }
    }
}

/// Some rows of a weight by all rows of the input.
pub(super) struct Panels<'a> {
    pub input: &'a Packed,
    pub weight: Weight<'a>,
    /// `[rows of the weight, rows of the input]`
    pub turned: &'a mut [f32],
}

impl WithSimd for Panels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Vectors to a panel, and rows of the weight: as many sums as hide how long an addition takes, in no more
        // registers than there are, and from no more places than a cache of eight ways holds of any stride.
        match S::F32_LANES {
            16 => self.multiply::<S, 1, 8>(simd),
            8 => self.multiply::<S, 2, 6>(simd),
            4 => self.multiply::<S, 4, 2>(simd),
            _ => self.multiply::<S, 16, 1>(simd),
        }
    }
}

impl Panels<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const V: usize, const N: usize>(self, simd: S) {
        let Panels {
            input:
                &Packed {
                    ref values,
                    rows,
                    width,
                },
            weight,
            turned,
        } = self;
        assert_eq!(V * S::F32_LANES, ROWS, "a panel is whole vectors");
        let mut wide = Vec::new();
        let mut rest = weight;
        for turned in turned.chunks_mut(N * rows) {
            let (lines, next) = rest.split(turned.len() / rows * width);
            rest = next;
            // What comes next is fetched meanwhile: the core would begin to when it is wanted.
            let mut ahead = rest.bytes(N * width);
            let all = turned.len() == N * rows;
            // With more panels it is better to widen once.
            if all
                && rows <= ROWS
                && let Some(pairs) = lines.pairs(width)
            {
                let panel = S::as_simd_f32s(values).0.as_chunks::<V>().0;
                let lines = Pairs::<N>(array::from_fn(|n| &pairs[n * (width / 2)..][..width / 2]));
                tile::<S, _, V, N>(simd, panel, lines, ahead, turned, rows, 0);
                continue;
            }
            let lines = lines.widened(&mut wide);
            for (at, panel) in values.chunks_exact(ROWS * width).enumerate() {
                let panel = S::as_simd_f32s(panel).0.as_chunks::<V>().0;
                let from = at * ROWS;
                if all {
                    let lines = Wide::<N>(array::from_fn(|n| &lines[n * width..][..width]));
                    tile::<S, _, V, N>(simd, panel, lines, ahead, &mut turned[from..], rows, from);
                } else {
                    for (line, turned) in
                        lines.chunks_exact(width).zip(turned.chunks_exact_mut(rows))
                    {
                        tile::<S, _, V, 1>(
                            simd,
                            panel,
                            Wide([line]),
                            &[],
                            &mut turned[from..],
                            rows,
                            from,
                        );
                    }
                }
                ahead = &[];
            }
        }
    }
}

/// Rows of a weight that meet a panel together.
trait Lines<S: Simd>: Copy {
    /// The value of row `row` at `place`, which is even, and the one behind it, each in all lanes.
    fn pair(self, simd: S, row: usize, place: usize) -> [S::f32s; 2];
    /// The value of row `row` at `place`, which is even.
    fn one(self, simd: S, row: usize, place: usize) -> S::f32s;
}

/// Rows in f32.
#[derive(Clone, Copy)]
struct Wide<'a, const N: usize>([&'a [f32]; N]);

impl<S: Simd, const N: usize> Lines<S> for Wide<'_, N> {
    #[inline(always)]
    fn pair(self, simd: S, row: usize, place: usize) -> [S::f32s; 2] {
        [
            simd.splat_f32s(self.0[row][place]),
            simd.splat_f32s(self.0[row][place + 1]),
        ]
    }

    #[inline(always)]
    fn one(self, simd: S, row: usize, place: usize) -> S::f32s {
        simd.splat_f32s(self.0[row][place])
    }
}

/// Rows in bf16, two values in 32 bits.
#[derive(Clone, Copy)]
struct Pairs<'a, const N: usize>([&'a [u32]; N]);

impl<S: Simd, const N: usize> Lines<S> for Pairs<'_, N> {
    #[inline(always)]
    fn pair(self, simd: S, row: usize, place: usize) -> [S::f32s; 2] {
        widened(simd, simd.splat_u32s(self.0[row][place / 2]))
    }

    #[inline(always)]
    fn one(self, simd: S, row: usize, place: usize) -> S::f32s {
        let [first, _] = self.pair(simd, row, place);
        first
    }
}

/// A panel, whose first row is row `from` of `rows`, by `N` rows of a weight. The products of row `n` of the weight go to
/// `turned[n · rows..]`.
#[inline(always)]
fn tile<S: Simd, L: Lines<S>, const V: usize, const N: usize>(
    simd: S,
    panel: &[[S::f32s; V]],
    lines: L,
    ahead: &[u8],
    turned: &mut [f32],
    rows: usize,
    from: usize,
) {
    let mut totals = [[simd.splat_f32s(0.0); V]; N];
    let share = ahead.len().div_ceil(panel.len().div_ceil(STEP));
    let mut ahead = ahead.chunks(share.max(1));
    for (block, panel) in panel.chunks(BLOCK * STEP).enumerate() {
        let mut sums = [[simd.splat_f32s(0.0); V]; N];
        for (step, panel) in panel.chunks(STEP).enumerate() {
            prefetch(ahead.next().unwrap_or_default());
            let from = (block * BLOCK + step) * STEP;
            let (twos, last) = panel.as_chunks::<2>();
            for (at, [first, second]) in twos.iter().enumerate() {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let [one, other] = lines.pair(simd, row, from + 2 * at);
                    for (sum, (first, second)) in sums.iter_mut().zip(first.iter().zip(second)) {
                        *sum =
                            simd.mul_add_f32s(*second, other, simd.mul_add_f32s(*first, one, *sum));
                    }
                }
            }
            for values in last {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let weight = lines.one(simd, row, from + 2 * twos.len());
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add_f32s(*value, weight, *sum);
                    }
                }
            }
        }
        for (totals, sums) in totals.iter_mut().zip(sums) {
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total = simd.add_f32s(*total, sum);
            }
        }
    }
    let count = ROWS.min(rows - from);
    for (sums, products) in totals.into_iter().zip(turned.chunks_mut(rows)) {
        for (sum, products) in sums
            .into_iter()
            .zip(products[..count].chunks_mut(S::F32_LANES))
        {
            simd.partial_store_f32s(products, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::bf16;
    use pulp::Scalar;

    use super::*;
    use crate::kernel::dots::Dots;

    const OUT: usize = 21;

    /// Numbers between −1 and 1 that bf16 can hold.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        (0..count as u64)
            .map(|at| (data::draw::bits(seed, at) >> 57) as f32 / 64.0 - 1.0)
            .collect()
    }

    /// Both kernels, where they serve, against sums in f64.
    fn check<S: Simd>(simd: S) {
        for (rows, width) in [
            (1, 32),
            (3, 320),
            (3, 96),
            (4, 5),
            (8, 40),
            (16, 33),
            (17, 64),
            (40, 16),
        ] {
            let (input, weight) = (numbers(rows * width, 1), numbers(OUT * width, 2));
            let halves: Vec<bf16> = weight.iter().map(|value| bf16::from_f32(*value)).collect();
            let packed = Packed::new(&input, width);
            for weight in [Weight::Whole(&weight), Weight::Half(&halves)] {
                let mut turned = vec![f32::NAN; OUT * rows];
                simd.vectorize(Panels {
                    input: &packed,
                    weight,
                    turned: &mut turned,
                });
                assert_product(&turned, &input, weight, width);
                if Dots::fit(weight, rows, width) {
                    let mut turned = vec![f32::NAN; OUT * rows];
                    simd.vectorize(Dots {
                        input: &input,
                        weight,
                        width,
                        turned: &mut turned,
                    });
                    assert_product(&turned, &input, weight, width);
                }
            }
        }
    }

    fn assert_product(turned: &[f32], input: &[f32], weight: Weight, width: usize) {
        let rows = input.len() / width;
        let mut room = Vec::new();
        for (at, line) in weight.widened(&mut room).chunks_exact(width).enumerate() {
            for (row, input) in input.chunks_exact(width).enumerate() {
                let sum: f64 = input
                    .iter()
                    .zip(line)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum();
                let got = f64::from(turned[at * rows + row]);
                assert!(
                    (got - sum).abs() < 1e-4,
                    "{rows} rows of {width}: {got} is not {sum}"
                );
            }
        }
    }

    #[test]
    fn products_are_the_same_on_every_kind_of_machine() {
        check(Scalar);
        #[cfg(target_arch = "x86_64")]
        {
            let narrow = pulp::x86::V3::try_new().map(check);
            let wide = pulp::x86::V4::try_new().map(check);
            eprintln!("AVX2: {}, AVX-512: {}", narrow.is_some(), wide.is_some());
        }
    }
}

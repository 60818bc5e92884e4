//! Moments in eight bits, block by block (Dettmers et al., arXiv 2110.02861).
//!
//! A block of 256 values is divided by its largest. What is left lies between 0 and 1 and gets a dynamic code: the
//! number of leading zeros of the code is the decade, the bits behind its first one divide the decade evenly. So one
//! byte spans eight decades (seven with a sign), and large values, which matter most, are stored most finely.
//! Example: without a sign, 255 = 1111_1111₂ is the last of 128 steps between 0.1 and 1; 1 is all of 1e-8 to 1e-7.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::element::Update;

/// Values that share a scale.
pub(super) const BLOCK: usize = 256;

/// Blocks that one core updates before it takes the next ones.
const PIECE: usize = 256 * BLOCK;

/// Values in eight bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Codes {
    /// One a value; with a sign in the highest bit when the values have one.
    pub(super) codes: Vec<u8>,
    /// One a block: its largest absolute value.
    pub(super) scales: Vec<f32>,
}

impl Codes {
    /// `count` zeros.
    pub(super) fn zeros(count: usize) -> Self {
        Codes {
            codes: vec![0; count],
            scales: vec![0.0; count.div_ceil(BLOCK)],
        }
    }
}

/// The dynamic code of a byte, with or without a sign.
struct Coder {
    sign: bool,
    values: [f32; 256],
    /// From the smallest to the largest.
    decades: Vec<Decade>,
}

#[derive(Clone, Copy)]
struct Decade {
    begin: f32,
    /// `place · factor − offset` counts the steps of the decade below a place.
    factor: f32,
    offset: f32,
    steps: f32,
}

impl Coder {
    fn new(sign: bool) -> Self {
        let last: i32 = if sign { 6 } else { 7 };
        let value = |code: usize| {
            let magnitude = if sign { code & 127 } else { code };
            let Some(decade) = magnitude.checked_ilog2() else {
                return 0.0;
            };
            let steps = f64::from(1u32 << decade);
            let place = 0.1 + 0.9 * (magnitude as f64 - steps + 0.5) / steps;
            let value = place * 10f64.powi(decade as i32 - last);
            if sign && code > 127 {
                -value as f32
            } else {
                value as f32
            }
        };
        let decade = |decade: i32| {
            let steps = f64::from(1u32 << decade);
            let factor = 10f64.powi(last - decade) * steps / 0.9;
            let begin = 10f64.powi(decade - last - 1);
            Decade {
                begin: begin as f32,
                factor: factor as f32,
                offset: (steps / 9.0) as f32,
                steps: steps as f32,
            }
        };
        Coder {
            sign,
            values: std::array::from_fn(value),
            decades: (0..=last).map(decade).collect(),
        }
    }

    fn read(&self, codes: &[u8], scale: f32, out: &mut [f32]) {
        for (out, &code) in out.iter_mut().zip(codes) {
            *out = self.values[code as usize] * scale;
        }
    }

    /// Writes a block and returns its scale. Without a sign, what is not zero does not become zero: a second moment of
    /// zero would let a tiny first moment move its weight far.
    #[inline(always)]
    fn write(&self, values: &[f32], codes: &mut [u8]) -> f32 {
        let scale = values
            .iter()
            .fold(0f32, |most, value| most.max(value.abs()));
        let share = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let smallest = if self.sign {
            0.5 * self.decades[0].begin
        } else {
            f32::MIN_POSITIVE
        };
        for (code, &value) in codes.iter_mut().zip(values) {
            let place =
                (value.abs() * share).max(if value == 0.0 { 0.0 } else { f32::MIN_POSITIVE });
            let mut found = self.decades[0];
            for decade in &self.decades[1..] {
                found = if place >= decade.begin {
                    *decade
                } else {
                    found
                };
            }
            let within = (place * found.factor - found.offset).clamp(0.0, found.steps - 1.0);
            let magnitude = if place < smallest {
                0
            } else {
                (found.steps as i32 + within as i32) as u8
            };
            *code = if self.sign && value < 0.0 && magnitude > 0 {
                magnitude | 128
            } else {
                magnitude
            };
        }
        scale
    }
}

/// Updates weights in place, and the moments block by block: read, updated in f32, written.
pub(super) fn apply(
    update: &Update,
    weights: &mut [f32],
    gradients: &[f32],
    first: &mut Codes,
    second: &mut Codes,
) {
    let (signed, unsigned) = (Coder::new(true), Coder::new(false));
    let blocks = PIECE / BLOCK;
    let weights = weights
        .par_chunks_mut(PIECE)
        .zip(gradients.par_chunks(PIECE));
    let first = first
        .codes
        .par_chunks_mut(PIECE)
        .zip(first.scales.par_chunks_mut(blocks));
    let second = second
        .codes
        .par_chunks_mut(PIECE)
        .zip(second.scales.par_chunks_mut(blocks));
    weights
        .zip(first.zip(second))
        .for_each(|((weights, gradients), (first, second))| {
            let work = Piece {
                update,
                signed: &signed,
                unsigned: &unsigned,
            };
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || work.apply(weights, gradients, first, second),
            );
        });
}

struct Piece<'a> {
    update: &'a Update,
    signed: &'a Coder,
    unsigned: &'a Coder,
}

impl Piece<'_> {
    #[inline(always)]
    fn apply(
        &self,
        weights: &mut [f32],
        gradients: &[f32],
        first: (&mut [u8], &mut [f32]),
        second: (&mut [u8], &mut [f32]),
    ) {
        let mut values = ([0f32; BLOCK], [0f32; BLOCK]);
        let first = first.0.chunks_mut(BLOCK).zip(first.1);
        let second = second.0.chunks_mut(BLOCK).zip(second.1);
        let weights = weights.chunks_mut(BLOCK).zip(gradients.chunks(BLOCK));
        for ((weights, gradients), ((first, first_scale), (second, second_scale))) in
            weights.zip(first.zip(second))
        {
            let (m, v) = (
                &mut values.0[..weights.len()],
                &mut values.1[..weights.len()],
            );
            self.signed.read(first, *first_scale, m);
            self.unsigned.read(second, *second_scale, v);
            self.update.piece(weights, gradients, m, v);
            *first_scale = self.signed.write(m, first);
            *second_scale = self.unsigned.write(v, second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_as_what_is_written_as_it() {
        for (sign, coder) in [(true, Coder::new(true)), (false, Coder::new(false))] {
            for code in 0..=255u8 {
                let mut codes = [0; 2];
                // The largest of the block is 1, so that the scale is.
                coder.write(&[coder.values[code as usize], 1.0], &mut codes);
                // Minus zero is no code that is written.
                let expected = if sign && code == 128 { 0 } else { code };
                assert_eq!(codes[0], expected, "sign {sign}");
            }
        }
    }

    #[test]
    fn large_values_are_kept_to_one_percent_and_small_ones_to_their_decade() {
        for coder in [Coder::new(true), Coder::new(false)] {
            for (value, error) in [(0.7f32, 0.01), (0.2, 0.04), (0.015, 0.1), (3e-4, 0.4)] {
                let (mut codes, mut read) = ([0; 2], [0f32; 2]);
                let scale = coder.write(&[5.0 * value, 5.0], &mut codes);
                coder.read(&codes, scale, &mut read);
                assert!(
                    (read[0] / (5.0 * value) - 1.0).abs() < error,
                    "{value} became {}",
                    read[0] / 5.0
                );
            }
        }
    }

    #[test]
    fn a_second_moment_that_is_not_zero_does_not_become_zero() {
        let (coder, mut codes) = (Coder::new(false), [0; 3]);
        coder.write(&[1e-30, 0.0, 1.0], &mut codes);
        assert_eq!(codes, [1, 0, 255]);
    }
}

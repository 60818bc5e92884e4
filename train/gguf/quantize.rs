//! Weights in few bits: the block formats of GGML.
//!
//! In: f32 weights. Out: blocks, byte for byte those of llama.cpp's reference code without an importance matrix
//! (x86-64, default flags: plain IEEE arithmetic in source order, which is what Rust does); and back to f32.
//! Example: Q4_0 keeps 32 weights in 18 bytes, one f16 step and 32 numbers of 4 bits. The weights −8, −7, …, 7 have
//! the step 1 and come back exactly.

use half::{bf16, f16};

use super::k_quant;

/// How the numbers of a tensor are stored. The names are those of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(non_camel_case_types)]
pub enum Encoding {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// The upper half of 32-bit floats.
    BF16,
    /// 4 bits and a step for 32 weights.
    Q4_0,
    /// 4 bits, a step and a minimum for 32 weights.
    Q4_1,
    /// 5 bits and a step for 32 weights.
    Q5_0,
    /// 5 bits, a step and a minimum for 32 weights.
    Q5_1,
    /// 8 bits and a step for 32 weights.
    Q8_0,
    /// 4 bits; a step and a minimum of 6 bits each for 32 weights, 8 such sets in a super block of 256.
    Q4_K,
    /// As `Q4_K` with 5 bits.
    Q5_K,
    /// 6 bits; a step of 8 bits for 16 weights, 16 such sets in a super block of 256.
    Q6_K,
}

/// Every encoding with its number in the file, its name, and the weights and bytes of one block.
const TABLE: [(Encoding, u32, &str, usize, usize); 11] = [
    (Encoding::F32, 0, "F32", 1, 4),
    (Encoding::F16, 1, "F16", 1, 2),
    (Encoding::Q4_0, 2, "Q4_0", 32, 18),
    (Encoding::Q4_1, 3, "Q4_1", 32, 20),
    (Encoding::Q5_0, 6, "Q5_0", 32, 22),
    (Encoding::Q5_1, 7, "Q5_1", 32, 24),
    (Encoding::Q8_0, 8, "Q8_0", 32, 34),
    (Encoding::Q4_K, 12, "Q4_K", 256, 144),
    (Encoding::Q5_K, 13, "Q5_K", 256, 176),
    (Encoding::Q6_K, 14, "Q6_K", 256, 210),
    (Encoding::BF16, 30, "BF16", 1, 2),
];

impl Encoding {
    fn row(self) -> &'static (Encoding, u32, &'static str, usize, usize) {
        TABLE
            .iter()
            .find(|row| row.0 == self)
            .expect("every encoding has a row in the table")
    }

    /// The number that stands for this encoding in a file.
    pub fn id(self) -> u32 {
        self.row().1
    }

    /// The encoding with this number, if it is one of ours.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == id).map(|row| row.0)
    }

    /// The name that llama.cpp prints.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Weights in one block; a row must be a multiple of it.
    pub fn block_weights(self) -> usize {
        self.row().3
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        self.row().4
    }
}

/// Stores `weights` in whole blocks.
///
/// ```
/// use gguf::{Encoding, dequantize, quantize};
/// let weights: Vec<f32> = (0..32).map(|at| (at % 16) as f32 - 8.0).collect();
/// let bytes = quantize(&weights, Encoding::Q4_0);
/// assert_eq!(bytes.len(), 18);
/// assert_eq!(dequantize(&bytes, Encoding::Q4_0), weights);
/// ```
///
/// # Panics
///
/// When the number of weights is no multiple of [`Encoding::block_weights`].
pub fn quantize(weights: &[f32], encoding: Encoding) -> Vec<u8> {
    assert_eq!(
        weights.len() % encoding.block_weights(),
        0,
        "{} weights in blocks",
        encoding.name()
    );
    let blocks = weights.len() / encoding.block_weights();
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get());
    // Below some ten thousand weights a thread costs more than it saves.
    if workers == 1 || weights.len() < 1 << 15 {
        return quantize_blocks(weights, encoding);
    }
    // Blocks know nothing of each other, so any split gives the same bytes.
    let share = blocks.div_ceil(workers) * encoding.block_weights();
    std::thread::scope(|scope| {
        let parts: Vec<_> = weights
            .chunks(share)
            .map(|part| scope.spawn(move || quantize_blocks(part, encoding)))
            .collect();
        let parts = parts
            .into_iter()
            .map(|part| part.join().expect("quantizing whole blocks does not panic"));
        parts.collect::<Vec<_>>().concat()
    })
}

fn quantize_blocks(weights: &[f32], encoding: Encoding) -> Vec<u8> {
    let mut bytes =
        Vec::with_capacity(weights.len() / encoding.block_weights() * encoding.block_bytes());
    for block in weights.chunks_exact(encoding.block_weights()) {
        match encoding {
            Encoding::F32 => bytes.extend(block[0].to_le_bytes()),
            Encoding::F16 => bytes.extend(f16::from_f32(block[0]).to_le_bytes()),
            Encoding::BF16 => bytes.extend(bf16::from_f32(block[0]).to_le_bytes()),
            Encoding::Q4_0 => push_centred(block, 4, &mut bytes),
            Encoding::Q5_0 => push_centred(block, 5, &mut bytes),
            Encoding::Q4_1 => push_shifted(block, 4, &mut bytes),
            Encoding::Q5_1 => push_shifted(block, 5, &mut bytes),
            Encoding::Q8_0 => push_bytes(block, &mut bytes),
            Encoding::Q4_K => k_quant::push_lines(block, 4, &mut bytes),
            Encoding::Q5_K => k_quant::push_lines(block, 5, &mut bytes),
            Encoding::Q6_K => k_quant::push_scales(block, &mut bytes),
        }
    }
    bytes
}

/// Gives the weights in `bytes` back.
///
/// # Panics
///
/// When the number of bytes is no multiple of [`Encoding::block_bytes`].
pub fn dequantize(bytes: &[u8], encoding: Encoding) -> Vec<f32> {
    assert_eq!(
        bytes.len() % encoding.block_bytes(),
        0,
        "{} bytes in blocks",
        encoding.name()
    );
    let mut weights =
        Vec::with_capacity(bytes.len() / encoding.block_bytes() * encoding.block_weights());
    for block in bytes.chunks_exact(encoding.block_bytes()) {
        match encoding {
            Encoding::F32 => {
                weights.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]]))
            }
            Encoding::F16 => weights.push(half_at(block, 0)),
            Encoding::BF16 => weights.push(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
            Encoding::Q4_0 => weights
                .extend(levels(block, 4).map(|level| half_at(block, 0) * (level as f32 - 8.0))),
            Encoding::Q5_0 => weights
                .extend(levels(block, 5).map(|level| half_at(block, 0) * (level as f32 - 16.0))),
            Encoding::Q4_1 => weights.extend(
                levels(block, 4).map(|level| half_at(block, 0) * level as f32 + half_at(block, 2)),
            ),
            Encoding::Q5_1 => weights.extend(
                levels(block, 5).map(|level| half_at(block, 0) * level as f32 + half_at(block, 2)),
            ),
            Encoding::Q8_0 => weights.extend(
                block[2..]
                    .iter()
                    .map(|&level| half_at(block, 0) * level as i8 as f32),
            ),
            Encoding::Q4_K => k_quant::extend_lines(block, 4, &mut weights),
            Encoding::Q5_K => k_quant::extend_lines(block, 5, &mut weights),
            Encoding::Q6_K => k_quant::extend_scales(block, &mut weights),
        }
    }
    weights
}

/// The f16 at `position`, as f32.
pub(crate) fn half_at(block: &[u8], position: usize) -> f32 {
    f16::from_le_bytes([block[position], block[position + 1]]).to_f32()
}

/// `1 / step`, and 0 for a block of zeros.
fn inverse(step: f32) -> f32 {
    if step == 0.0 { 0.0 } else { 1.0 / step }
}

/// Q4_0 and Q5_0: levels on both sides of zero. The weight farthest from zero gets the lowest level, whatever its
/// sign, so the step is negative when that weight is positive.
fn push_centred(block: &[f32], bits: u32, bytes: &mut Vec<u8>) {
    let zero = (1 << (bits - 1)) as f32;
    let top = (1u8 << bits) - 1;
    let step = farthest_from_zero(block) / -zero;
    let inverse = inverse(step);
    bytes.extend(f16::from_f32(step).to_le_bytes());
    push_levels(block, bits, bytes, |weight| {
        ((weight * inverse + (zero + 0.5)) as u8).min(top)
    });
}

/// Q4_1 and Q5_1: levels upwards from the smallest weight.
fn push_shifted(block: &[f32], bits: u32, bytes: &mut Vec<u8>) {
    let top = (1u8 << bits) - 1;
    let (mut low, mut high) = (f32::MAX, -f32::MAX);
    for &weight in block {
        low = if weight < low { weight } else { low };
        high = if weight > high { weight } else { high };
    }
    let step = (high - low) / top as f32;
    let inverse = inverse(step);
    bytes.extend(f16::from_f32(step).to_le_bytes());
    bytes.extend(f16::from_f32(low).to_le_bytes());
    push_levels(block, bits, bytes, |weight| {
        (((weight - low) * inverse + 0.5) as u8).min(top)
    });
}

/// Q8_0: one signed byte a weight.
fn push_bytes(block: &[f32], bytes: &mut Vec<u8>) {
    let step = farthest_from_zero(block).abs() / 127.0;
    let inverse = inverse(step);
    bytes.extend(f16::from_f32(step).to_le_bytes());
    bytes.extend(
        block
            .iter()
            .map(|weight| (weight * inverse).round() as i8 as u8),
    );
}

/// The first weight of the largest magnitude.
fn farthest_from_zero(block: &[f32]) -> f32 {
    block.iter().fold(0.0f32, |best, &weight| {
        if best.abs() < weight.abs() {
            weight
        } else {
            best
        }
    })
}

/// Packs 32 levels: first the fifth bits, if there are any, then byte `j` with weight `j` low and `j + 16` high.
fn push_levels(block: &[f32], bits: u32, bytes: &mut Vec<u8>, level: impl Fn(f32) -> u8) {
    let levels: Vec<u8> = block.iter().map(|&weight| level(weight)).collect();
    if bits == 5 {
        let fifth = levels
            .iter()
            .rev()
            .fold(0u32, |fifth, &level| fifth << 1 | u32::from(level >> 4));
        bytes.extend(fifth.to_le_bytes());
    }
    let (low, high) = levels.split_at(16);
    bytes.extend(low.iter().zip(high).map(|(low, high)| low & 15 | high << 4));
}

/// Unpacks what [`push_levels`] packed; the nibbles are the last 16 bytes of the block.
fn levels(block: &[u8], bits: u32) -> impl Iterator<Item = u8> {
    let (front, nibbles) = block.split_at(block.len() - 16);
    let fifth = match (bits, front) {
        (5, [.., a, b, c, d]) => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    };
    let low = nibbles.iter().map(|byte| byte & 15);
    let high = nibbles.iter().map(|byte| byte >> 4);
    low.chain(high)
        .enumerate()
        .map(move |(index, level)| level | ((fifth >> index & 1) as u8) << 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same bell-shaped numbers in any language: sums of four 16-bit parts of a linear congruence.
    fn bell(count: usize) -> Vec<f32> {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 48) as i64
        };
        (0..count)
            .map(|_| ((0..4).map(|_| next()).sum::<i64>() - 131_070) as f32 / 1_048_576.0)
            .collect()
    }

    /// Independent normal numbers (Box and Muller).
    fn gaussian(count: usize) -> Vec<f32> {
        let mut state = 7u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        (0..count)
            .map(|_| {
                let (radius, angle) = (
                    (-2.0 * uniform().ln()).sqrt(),
                    std::f64::consts::TAU * uniform(),
                );
                (0.02 * radius * angle.cos()) as f32
            })
            .collect()
    }

    fn relative_rmse(weights: &[f32], encoding: Encoding) -> f64 {
        let back = dequantize(&quantize(weights, encoding), encoding);
        let square = |value: f64| value * value;
        let error: f64 = weights
            .iter()
            .zip(&back)
            .map(|(a, b)| square(f64::from(a - b)))
            .sum();
        let power: f64 = weights.iter().map(|&a| square(f64::from(a))).sum();
        100.0 * (error / power).sqrt()
    }

    fn fingerprint(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf29ce484222325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3)
        })
    }

    #[test]
    fn whole_numbers_from_minus_8_to_7_are_exact_in_q4_0() {
        let weights: Vec<f32> = (0..32).map(|index| (index % 16) as f32 - 8.0).collect();
        let bytes = quantize(&weights, Encoding::Q4_0);
        let mut expected = vec![0x00, 0x3c]; // the step, 1.0 as f16
        expected.extend((0..16u8).map(|level| level << 4 | level));
        assert_eq!(bytes, expected);
        assert_eq!(dequantize(&bytes, Encoding::Q4_0), weights);
    }

    #[test]
    fn a_positive_extreme_makes_the_step_of_q4_0_negative() {
        let mut weights = vec![0.0; 32];
        weights[3] = 4.0;
        weights[20] = -2.0;
        let bytes = quantize(&weights, Encoding::Q4_0);
        assert_eq!(bytes[..2], [0x00, 0xb8], "the step is -0.5");
        assert_eq!(dequantize(&bytes, Encoding::Q4_0), weights);
    }

    #[test]
    fn whole_numbers_up_to_127_are_exact_in_q8_0() {
        let weights: Vec<f32> = (0..32).map(|index| index as f32 * 8.0 - 127.0).collect();
        let bytes = quantize(&weights, Encoding::Q8_0);
        assert_eq!(bytes[..5], [0x00, 0x3c, 0x81, 0x89, 0x91]);
        assert_eq!(dequantize(&bytes, Encoding::Q8_0), weights);
    }

    #[test]
    fn five_bits_carry_their_fifth_bit_apart() {
        let weights: Vec<f32> = (0..32).map(|index| index as f32 - 16.0).collect();
        let bytes = quantize(&weights, Encoding::Q5_0);
        assert_eq!(bytes[..6], [0x00, 0x3c, 0x00, 0x00, 0xff, 0xff]);
        assert_eq!(dequantize(&bytes, Encoding::Q5_0), weights);
        let shifted: Vec<f32> = weights.iter().map(|weight| weight + 20.0).collect();
        assert_eq!(
            dequantize(&quantize(&shifted, Encoding::Q5_1), Encoding::Q5_1),
            shifted
        );
    }

    #[test]
    fn zeros_stay_zeros() {
        for (encoding, ..) in TABLE {
            let weights = vec![0.0; 512];
            assert_eq!(
                dequantize(&quantize(&weights, encoding), encoding),
                weights,
                "{}",
                encoding.name()
            );
        }
    }

    #[test]
    fn the_error_on_gaussian_weights_is_the_known_one() {
        let weights = gaussian(1 << 18);
        let known = [
            (Encoding::Q4_0, 8.59),
            (Encoding::Q4_1, 7.82),
            (Encoding::Q8_0, 0.54),
            (Encoding::Q4_K, 7.13),
            (Encoding::Q6_K, 1.78),
        ];
        for (encoding, percent) in known {
            let error = relative_rmse(&weights, encoding);
            assert!(
                (error / percent - 1.0).abs() < 0.015,
                "{}: {error:.3} %, not {percent} %",
                encoding.name()
            );
        }
    }

    /// `reference.py` beside this file prints these numbers with llama.cpp's own quantizers.
    #[test]
    fn blocks_are_those_of_llama_cpp() {
        let weights = bell(1 << 16);
        let expected = [
            (Encoding::Q4_0, 0x9be7ef0620da3430),
            (Encoding::Q4_1, 0xdcd09527dfb0755d),
            (Encoding::Q5_0, 0x551f4768dd9060c0),
            (Encoding::Q5_1, 0x662f99de1d27ed14),
            (Encoding::Q8_0, 0x544f52bf587fdae5),
            (Encoding::Q4_K, 0x9d8475083deef46a),
            (Encoding::Q5_K, 0x366c4cbef37fad35),
            (Encoding::Q6_K, 0x558abb169de7a6f4),
        ];
        for (encoding, expected) in expected {
            assert_eq!(
                fingerprint(&quantize(&weights, encoding)),
                expected,
                "{}",
                encoding.name()
            );
        }
    }

    #[test]
    fn threads_do_not_change_the_bytes() {
        let weights = bell(1 << 16);
        assert_eq!(
            quantize(&weights, Encoding::Q4_K),
            quantize_blocks(&weights, Encoding::Q4_K)
        );
    }
}

//! Super blocks: 256 weights whose small sets share 6- or 8-bit scales.
//!
//! In: 256 weights. Out: one block of `Q4_K` or `Q5_K` (eight lines `step·level − offset`, each for 32 weights) or of
//! `Q6_K` (sixteen steps, each for 16 weights), and back. The searches try a few steps around the plain one and keep
//! the one with the least weighted error; they are those of llama.cpp, down to the order of additions.

use half::f16;

use super::quantize::half_at;

/// Weights in a super block.
const WEIGHTS: usize = 256;
/// A set of `Q6_K` whose weights are all below this is stored as zeros.
const NOTHING: f32 = 1e-15;

/// Rounds half to even.
fn nearest(value: f32) -> i32 {
    value.round_ties_even() as i32
}

// ---- Q4_K and Q5_K: eight lines ----

/// A line through 32 weights: `scale·level − offset`.
struct Line {
    scale: f32,
    offset: f32,
    levels: [u8; 32],
}

/// Appends the block of `weights` with `bits` (4 or 5) bits each.
pub(crate) fn push_lines(weights: &[f32], bits: u32, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Line> = weights
        .chunks_exact(32)
        .map(|set| fit_line(set, bits))
        .collect();
    let top_scale = lines.iter().fold(
        0.0f32,
        |top, line| if line.scale > top { line.scale } else { top },
    );
    let top_offset = lines.iter().fold(
        0.0f32,
        |top, line| if line.offset > top { line.offset } else { top },
    );

    let (scale_step, offset_step) = (
        f16::from_f32(top_scale / 63.0),
        f16::from_f32(top_offset / 63.0),
    );
    let per_scale = if top_scale > 0.0 {
        63.0 / top_scale
    } else {
        0.0
    };
    let per_offset = if top_offset > 0.0 {
        63.0 / top_offset
    } else {
        0.0
    };
    let coarse = |value: f32, per: f32| (nearest(per * value) as u8).min(63);
    let coarse: Vec<(u8, u8)> = lines
        .iter()
        .map(|line| {
            (
                coarse(line.scale, per_scale),
                coarse(line.offset, per_offset),
            )
        })
        .collect();

    // The scales have just been rounded, so every weight looks for its level anew.
    for ((line, set), &(scale, offset)) in
        lines.iter_mut().zip(weights.chunks_exact(32)).zip(&coarse)
    {
        let step = scale_step.to_f32() * f32::from(scale);
        if step == 0.0 {
            continue;
        }
        let offset = offset_step.to_f32() * f32::from(offset);
        for (level, weight) in line.levels.iter_mut().zip(set) {
            *level = nearest((weight + offset) / step).clamp(0, (1 << bits) - 1) as u8;
        }
    }

    bytes.extend(scale_step.to_le_bytes());
    bytes.extend(offset_step.to_le_bytes());
    bytes.extend(pack_six_bits(&coarse));
    if bits == 5 {
        bytes.extend(
            (0..32).map(|at| {
                (0..8).fold(0, |byte, line| byte | (lines[line].levels[at] >> 4) << line)
            }),
        );
    }
    for pair in lines.chunks_exact(2) {
        bytes.extend((0..32).map(|at| pair[0].levels[at] & 15 | pair[1].levels[at] << 4));
    }
}

/// Reads what [`push_lines`] wrote.
pub(crate) fn extend_lines(block: &[u8], bits: u32, weights: &mut Vec<f32>) {
    let (scale_step, offset_step) = (half_at(block, 0), half_at(block, 2));
    let fifth = &block[16..48];
    let nibbles = &block[block.len() - 128..];
    for line in 0..8 {
        let (scale, offset) = unpack_six_bits(&block[4..16], line);
        let (step, offset) = (
            scale_step * f32::from(scale),
            offset_step * f32::from(offset),
        );
        for at in 0..32 {
            let low = nibbles[line / 2 * 32 + at] >> (4 * (line % 2)) & 15;
            let high = if bits == 5 {
                (fifth[at] >> line & 1) << 4
            } else {
                0
            };
            weights.push(step * f32::from(low | high) - offset);
        }
    }
}

/// Finds the line with the least error, where a weight counts by its magnitude plus that of the whole set.
fn fit_line(set: &[f32], bits: u32) -> Line {
    let top = (1 << bits) - 1;
    // The steps that are tried lie around the plain one: `(top + shift) / range`.
    let (first_shift, tries) = if bits == 4 { (-1.0f32, 21) } else { (-0.5, 16) };
    let size = (set.iter().fold(0.0f32, |sum, weight| sum + weight * weight) / 32.0).sqrt();
    let importance: Vec<f32> = set.iter().map(|weight| size + weight.abs()).collect();

    let (mut low, mut high) = (set[0], set[0]);
    let (mut importance_sum, mut weight_sum) = (importance[0], importance[0] * set[0]);
    for (&weight, &importance) in set.iter().zip(&importance).skip(1) {
        low = if weight < low { weight } else { low };
        high = if weight > high { weight } else { high };
        importance_sum += importance;
        weight_sum += importance * weight;
    }
    if low > 0.0 {
        low = 0.0;
    }
    if high == low {
        return Line {
            scale: 0.0,
            offset: -low,
            levels: [0; 32],
        };
    }

    let levels_at = |per_step: f32, low: f32| -> [u8; 32] {
        std::array::from_fn(|at| nearest(per_step * (set[at] - low)).clamp(0, top) as u8)
    };
    let error = |scale: f32, low: f32, levels: &[u8; 32]| {
        let pairs = set.iter().zip(&importance).zip(levels);
        pairs.fold(0.0f32, |sum, ((weight, importance), &level)| {
            let off = scale * f32::from(level) + low - weight;
            sum + importance * (off * off)
        })
    };

    let plain = top as f32 / (high - low);
    let mut levels = levels_at(plain, low);
    let mut scale = 1.0 / plain;
    let mut best_error = error(scale, low, &levels);
    for attempt in 0..tries {
        // Each attempt starts from the best minimum so far.
        let candidate = levels_at(
            (first_shift + 0.1f32 * attempt as f32 + top as f32) / (high - low),
            low,
        );
        let fitted = least_squares(set, &importance, &candidate, importance_sum, weight_sum);
        let Some((candidate_scale, candidate_low)) = fitted else {
            continue;
        };
        let candidate_error = error(candidate_scale, candidate_low, &candidate);
        if candidate_error < best_error {
            (levels, scale, low, best_error) =
                (candidate, candidate_scale, candidate_low, candidate_error);
        }
    }
    Line {
        scale,
        offset: -low,
        levels,
    }
}

/// The scale and the minimum (never above 0) that fit given levels best.
fn least_squares(
    set: &[f32],
    importance: &[f32],
    levels: &[u8; 32],
    importance_sum: f32,
    weight_sum: f32,
) -> Option<(f32, f32)> {
    let (mut level_sum, mut square_sum, mut product_sum) = (0.0f32, 0.0f32, 0.0f32);
    for ((weight, importance), &level) in set.iter().zip(importance).zip(levels) {
        let level = f32::from(level);
        level_sum += importance * level;
        square_sum += importance * level * level;
        product_sum += importance * level * weight;
    }
    let determinant = importance_sum * square_sum - level_sum * level_sum;
    (determinant > 0.0).then(|| {
        let low = (square_sum * weight_sum - level_sum * product_sum) / determinant;
        if low > 0.0 {
            (product_sum / square_sum, 0.0)
        } else {
            (
                (importance_sum * product_sum - weight_sum * level_sum) / determinant,
                low,
            )
        }
    })
}

/// Eight pairs of 6-bit numbers in 12 bytes: four pairs plain, the other four with their upper two bits in the spare
/// bits of the first.
fn pack_six_bits(pairs: &[(u8, u8)]) -> [u8; 12] {
    let mut packed = [0; 12];
    for at in 0..4 {
        let ((scale, offset), (later_scale, later_offset)) = (pairs[at], pairs[at + 4]);
        packed[at] = scale | later_scale >> 4 << 6;
        packed[at + 4] = offset | later_offset >> 4 << 6;
        packed[at + 8] = later_scale & 15 | later_offset << 4;
    }
    packed
}

fn unpack_six_bits(packed: &[u8], at: usize) -> (u8, u8) {
    match at {
        0..4 => (packed[at] & 63, packed[at + 4] & 63),
        _ => (
            packed[at + 4] & 15 | packed[at - 4] >> 6 << 4,
            packed[at + 4] >> 4 | packed[at] >> 6 << 4,
        ),
    }
}

// ---- Q6_K: sixteen steps ----

/// Appends the `Q6_K` block of `weights`.
pub(crate) fn push_scales(weights: &[f32], bytes: &mut Vec<u8>) {
    let mut sets: Vec<(f32, [i32; 16])> = weights.chunks_exact(16).map(fit_scale).collect();
    let top = sets.iter().fold(
        0.0f32,
        |top, &(scale, _)| if scale.abs() > top.abs() { scale } else { top },
    );
    if top.abs() < NOTHING {
        bytes.extend([0; 210]);
        return;
    }
    let per_step = -128.0 / top;
    let step = f16::from_f32(1.0 / per_step);
    let scales: Vec<i8> = sets
        .iter()
        .map(|&(scale, _)| nearest(per_step * scale).min(127) as i8)
        .collect();
    for (((_, levels), &scale), set) in sets.iter_mut().zip(&scales).zip(weights.chunks_exact(16)) {
        let step = step.to_f32() * f32::from(scale);
        if step == 0.0 {
            continue;
        }
        for (level, weight) in levels.iter_mut().zip(set) {
            *level = nearest(weight / step).clamp(-32, 31);
        }
    }

    let (mut low, mut high) = ([0u8; 128], [0u8; 64]);
    let levels = sets.iter().flat_map(|(_, levels)| levels);
    for (index, level) in levels.enumerate() {
        let level = (level + 32) as u8;
        let place = Place::from_index(index);
        low[place.low] |= (level & 15) << place.low_shift;
        high[place.high] |= (level >> 4) << place.high_shift;
    }
    bytes.extend(low);
    bytes.extend(high);
    bytes.extend(scales.iter().map(|&scale| scale as u8));
    bytes.extend(step.to_le_bytes());
}

/// Reads what [`push_scales`] wrote.
pub(crate) fn extend_scales(block: &[u8], weights: &mut Vec<f32>) {
    let (low, rest) = block.split_at(128);
    let (high, scales) = rest.split_at(64);
    let step = half_at(block, 208);
    weights.extend((0..WEIGHTS).map(|index| {
        let place = Place::from_index(index);
        let level = low[place.low] >> place.low_shift & 15
            | (high[place.high] >> place.high_shift & 3) << 4;
        step * f32::from(scales[index / 16] as i8) * (f32::from(level) - 32.0)
    }));
}

/// Where the lower four and the upper two bits of a `Q6_K` weight lie.
struct Place {
    low: usize,
    low_shift: usize,
    high: usize,
    high_shift: usize,
}

impl Place {
    fn from_index(index: usize) -> Self {
        // Two halves of 128 weights, each four quarters of 32.
        let (half, quarter, at) = (index / 128, index % 128 / 32, index % 32);
        Place {
            low: half * 64 + quarter % 2 * 32 + at,
            low_shift: quarter / 2 * 4,
            high: half * 32 + at,
            high_shift: quarter * 2,
        }
    }
}

/// Finds the step with the least error for 16 weights, where a weight counts by its square; and their levels.
fn fit_scale(set: &[f32]) -> (f32, [i32; 16]) {
    let farthest = set.iter().fold(0.0f32, |best, &weight| {
        if weight.abs() > best.abs() {
            weight
        } else {
            best
        }
    });
    if farthest.abs() < NOTHING {
        // Level −32 of the step 0.
        return (0.0, [-32; 16]);
    }
    let levels_at = |per_step: f32| -> [i32; 16] {
        std::array::from_fn(|at| nearest(per_step * set[at]).clamp(-32, 31))
    };
    let sums = |levels: &[i32; 16]| {
        set.iter()
            .zip(levels)
            .fold((0.0f32, 0.0f32), |(product, square), (&weight, &level)| {
                let (importance, level) = (weight * weight, level as f32);
                (
                    product + importance * weight * level,
                    square + importance * level * level,
                )
            })
    };

    let mut levels = levels_at(-32.0 / farthest);
    let (product, square) = sums(&levels);
    let mut scale = if square == 0.0 { 0.0 } else { product / square };
    let mut gain = scale * product;
    for shift in (-9..=9).filter(|&shift| shift != 0) {
        let candidate = levels_at(-(32.0 + 0.1f32 * shift as f32) / farthest);
        let (product, square) = sums(&candidate);
        if square > 0.0 && product * product > gain * square {
            levels = candidate;
            scale = product / square;
            gain = scale * product;
        }
    }
    (scale, levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_bit_pairs_come_back() {
        let pairs: Vec<(u8, u8)> = (0..8).map(|index| (index * 9, 63 - index * 7)).collect();
        let packed = pack_six_bits(&pairs);
        assert_eq!(
            packed[..5],
            [
                36 >> 4 << 6,
                9 | 45 >> 4 << 6,
                18 | 54 >> 4 << 6,
                27 | 63 >> 4 << 6,
                63 | 35 >> 4 << 6
            ]
        );
        assert_eq!(
            (0..8)
                .map(|at| unpack_six_bits(&packed, at))
                .collect::<Vec<_>>(),
            pairs
        );
    }

    #[test]
    fn weights_on_the_lattice_of_a_line_come_back() {
        // Every set holds all levels 0..=15 of the step 1/16 twice, shifted down by 8/16.
        let weights: Vec<f32> = (0..WEIGHTS)
            .map(|index| (index % 16) as f32 / 16.0 - 0.5)
            .collect();
        let mut bytes = Vec::new();
        push_lines(&weights, 4, &mut bytes);
        assert_eq!(bytes.len(), 144);
        assert_eq!(bytes[16..20], [0x00, 0x11, 0x22, 0x33]);
        let mut back = Vec::new();
        extend_lines(&bytes, 4, &mut back);
        for (weight, back) in weights.iter().zip(&back) {
            assert!((weight - back).abs() < 5e-4, "{weight} became {back}");
        }
    }

    #[test]
    fn every_weight_of_a_q6_k_block_has_its_own_bits() {
        let mut low = [0u8; 128];
        let mut high = [0u8; 64];
        for index in 0..WEIGHTS {
            let place = Place::from_index(index);
            low[place.low] += 15 << place.low_shift;
            high[place.high] += 3 << place.high_shift;
        }
        assert_eq!((low, high), ([255; 128], [255; 64]));
    }

    #[test]
    fn weights_on_the_lattice_of_q6_k_come_back() {
        let weights: Vec<f32> = (0..WEIGHTS)
            .map(|index| (index % 64) as f32 - 32.0)
            .collect();
        let mut bytes = Vec::new();
        push_scales(&weights, &mut bytes);
        let mut back = Vec::new();
        extend_scales(&bytes, &mut back);
        assert_eq!(bytes.len(), 210);
        for (weight, back) in weights.iter().zip(&back) {
            assert!((weight - back).abs() < 0.26, "{weight} became {back}");
        }
    }
}

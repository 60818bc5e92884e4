//! Weighted, seeded, resumable order.
//!
//! In: lengths, weights, a seed and a position. Out: which sample comes at that position. Nothing but the position is
//! stored: the order is computed, so a run that goes on at position 1,000 sees what it would have seen.
//! Example: `Order::new(3, 7)` might give 2, 0, 1, then 1, 2, 0: every sample once in each epoch.

use crate::draw;

/// Rounds of the permutation.
const ROUNDS: u64 = 6;
/// Draws among which the weights of a [`Mixture`] hold exactly.
const BLOCK: usize = 1 << 10;

/// Every index once in each epoch, each epoch in its own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    len: usize,
    seed: u64,
}

impl Order {
    /// The order of `len` samples.
    pub fn new(len: usize, seed: u64) -> Order {
        Order { len, seed }
    }

    /// The sample at `position`, which counts on through the epochs.
    ///
    /// # Panics
    ///
    /// When there are no samples.
    pub fn index(&self, position: u64) -> usize {
        assert!(self.len > 0, "an order of nothing has no positions");
        let len = self.len as u64;
        permuted(position % len, len, draw::key(self.seed, &[position / len])) as usize
    }

    /// The epoch that `position` lies in, counted from 0.
    pub fn epoch(&self, position: u64) -> u64 {
        position.checked_div(self.len as u64).unwrap_or(0)
    }
}

/// Several sources, each drawn as often as its weight says.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    sources: Vec<Source>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Source {
    order: Order,
    /// Draws out of [`BLOCK`].
    share: usize,
}

/// Why sources cannot be mixed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MixtureError {
    /// Nothing to draw from.
    #[error("the mixture has no source with a weight and a sample")]
    Nothing,
    /// A weight that is none.
    #[error("source {0} has a weight that is negative or not a number")]
    Weight(usize),
    /// A source that would be drawn from is empty.
    #[error("source {0} has a weight but no sample")]
    Empty(usize),
    /// Too many sources for exact shares.
    #[error("the mixture has {0} sources with a weight; the limit is {BLOCK}")]
    TooMany(usize),
}

impl Mixture {
    /// Mixes sources, given as lengths and weights. A source with a weight above zero is drawn at least once in
    /// 1,024 draws.
    ///
    /// # Errors
    ///
    /// When a weight is no weight, or an empty source has one.
    pub fn new(sources: &[(usize, f64)], seed: u64) -> Result<Mixture, MixtureError> {
        for (index, (len, weight)) in sources.iter().enumerate() {
            if !weight.is_finite() || *weight < 0.0 {
                return Err(MixtureError::Weight(index));
            }
            if *weight > 0.0 && *len == 0 {
                return Err(MixtureError::Empty(index));
            }
        }
        let weights: Vec<f64> = sources.iter().map(|(_, weight)| *weight).collect();
        let shares = shares(&weights)?;
        // Word 0 is the order of the sources themselves.
        let seeded = |index: usize| draw::key(seed, &[index as u64 + 1]);
        let source = |(index, ((len, _), share))| Source {
            order: Order::new(len, seeded(index)),
            share,
        };
        let sources = sources
            .iter()
            .copied()
            .zip(shares)
            .enumerate()
            .map(source)
            .collect();
        Ok(Mixture { sources, seed })
    }

    /// The source and the index within it that come at `position`.
    pub fn draw(&self, position: u64) -> (usize, usize) {
        let block = position / BLOCK as u64;
        let mut slot = Order::new(BLOCK, draw::key(self.seed, &[0])).index(position);
        for (index, source) in self.sources.iter().enumerate() {
            if slot < source.share {
                let drawn = block * source.share as u64 + slot as u64;
                return (index, source.order.index(drawn));
            }
            slot -= source.share;
        }
        unreachable!("the shares add up to a block")
    }
}

/// Whole shares of a block by largest remainder, at least one for every weight above zero.
fn shares(weights: &[f64]) -> Result<Vec<usize>, MixtureError> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let positive = weights.iter().filter(|weight| **weight > 0.0).count();
    if positive == 0 {
        return Err(MixtureError::Nothing);
    }
    if positive > BLOCK {
        return Err(MixtureError::TooMany(positive));
    }
    // Divided by the largest first, so that huge weights do not add up to infinity.
    let total: f64 = weights.iter().map(|weight| weight / largest).sum();
    let spare = (BLOCK - positive) as f64;
    let exact: Vec<f64> = weights
        .iter()
        .map(|weight| weight / largest / total * spare)
        .collect();
    let least = |(exact, weight): (&f64, &f64)| exact.floor() as usize + usize::from(*weight > 0.0);
    let mut shares: Vec<usize> = exact.iter().zip(weights).map(least).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len())
        .filter(|index| weights[*index] > 0.0)
        .collect();
    by_remainder.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()));
    let missing = BLOCK.saturating_sub(shares.iter().sum());
    by_remainder
        .iter()
        .cycle()
        .take(missing)
        .for_each(|index| shares[*index] += 1);
    Ok(shares)
}

/// A permutation of `0..len`: a Feistel network over the next power of four, walked until it falls inside.
fn permuted(index: u64, len: u64, key: u64) -> u64 {
    let bits = (64 - (len - 1).leading_zeros()).max(2);
    let half = bits.div_ceil(2);
    let low = (1u64 << half) - 1;
    let mut value = index;
    loop {
        let (mut left, mut right) = (value >> half, value & low);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (draw::bits(key, right << 3 | round) & low));
        }
        value = left << half | right;
        if value < len {
            return value;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_sample_comes_once_in_each_epoch() {
        for len in [1, 2, 3, 5, 16, 17, 1000] {
            let order = Order::new(len, 7);
            for epoch in 0..3 {
                let seen: BTreeSet<usize> = (0..len)
                    .map(|at| order.index((epoch * len + at) as u64))
                    .collect();
                assert_eq!(seen, (0..len).collect(), "{len} samples, epoch {epoch}");
            }
        }
    }

    #[test]
    fn epochs_and_seeds_have_their_own_order() {
        let drawn = |seed, epoch: u64| -> Vec<usize> {
            (0..50)
                .map(|at| Order::new(50, seed).index(epoch * 50 + at))
                .collect()
        };
        assert_ne!(drawn(1, 0), drawn(1, 1));
        assert_ne!(drawn(1, 0), drawn(2, 0));
        assert_ne!(drawn(1, 0), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn all_orders_of_a_small_set_are_about_as_likely() {
        let mut counts: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        for seed in 0..6000 {
            *counts
                .entry((0..3).map(|at| Order::new(3, seed).index(at)).collect())
                .or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(
            counts.values().all(|count| (700..1300).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn weights_hold_in_every_block() {
        let mixture = Mixture::new(&[(10, 3.0), (1000, 1.0), (5, 0.0)], 7).expect("mixes");
        for block in 0..3 {
            let mut counts = [0; 3];
            (0..BLOCK).for_each(|at| counts[mixture.draw((block * BLOCK + at) as u64).0] += 1);
            assert_eq!(counts, [768, 256, 0]);
        }
    }

    #[test]
    fn a_source_is_gone_through_before_it_repeats() {
        let mixture = Mixture::new(&[(512, 1.0), (100, 1.0)], 7).expect("mixes");
        let first = (0..BLOCK as u64)
            .map(|at| mixture.draw(at))
            .filter(|(source, _)| *source == 0);
        assert_eq!(
            first.map(|(_, index)| index).collect::<BTreeSet<_>>().len(),
            512
        );
    }

    #[test]
    fn shares_fill_the_block_and_leave_nobody_out() {
        for weights in [
            vec![1.0],
            vec![1.0; 7],
            vec![1e-30, 1.0, 1.0],
            vec![f64::MAX, f64::MAX],
            vec![1.0; BLOCK],
        ] {
            let shares = shares(&weights).expect("divides");
            assert_eq!(shares.iter().sum::<usize>(), BLOCK);
            assert!(shares.iter().all(|share| *share > 0));
        }
    }

    #[test]
    fn what_cannot_be_mixed_is_named() {
        assert_eq!(Mixture::new(&[], 7), Err(MixtureError::Nothing));
        assert_eq!(Mixture::new(&[(3, 0.0)], 7), Err(MixtureError::Nothing));
        assert_eq!(
            Mixture::new(&[(3, 1.0), (0, 1.0)], 7),
            Err(MixtureError::Empty(1))
        );
        assert_eq!(
            Mixture::new(&[(3, f64::NAN)], 7),
            Err(MixtureError::Weight(0))
        );
    }
}

//! Which sample comes next: a pure function of seed and position, so that nothing but the position is saved.

use crate::draw::{self, below, key};

/// An endless order over `len` items: each epoch holds every item once, in its own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    len: usize,
    seed: u64,
}

impl Order {
    /// An order over `len` items.
    ///
    /// # Panics
    ///
    /// When there is no item.
    pub fn new(len: usize, seed: u64) -> Self {
        assert!(len > 0, "an order needs an item");
        Order { len, seed }
    }

    /// The item at `position`.
    ///
    /// A Feistel network over the next power of four is walked until it lands below `len`: a permutation that needs
    /// no table (Black & Rogaway, "Ciphers with arbitrary finite domains", 2002).
    pub fn index(&self, position: u64) -> usize {
        let epoch = position / self.len as u64;
        let key = key(self.seed, &[epoch]);
        let bits = (self.len as u64).next_power_of_two().trailing_zeros().max(2).div_ceil(2);
        let mut place = position % self.len as u64;
        loop {
            place = feistel(place, bits, key);
            if place < self.len as u64 {
                return place as usize;
            }
        }
    }
}

fn feistel(value: u64, half: u32, key: u64) -> u64 {
    let mask = (1u64 << half) - 1;
    let (mut left, mut right) = (value >> half, value & mask);
    for round in 0..4 {
        let mixed = draw::bits(key, right ^ (round << 40)) & mask;
        (left, right) = (right, left ^ mixed);
    }
    (left << half) | right
}

/// Many sources in given proportions.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    seed: u64,
    weights: Vec<f64>,
    orders: Vec<Order>,
}

impl Mixture {
    /// Sources of `(length, weight)`.
    ///
    /// # Panics
    ///
    /// When there is no source, a source is empty, or no weight is positive.
    pub fn new(sources: &[(usize, f64)], seed: u64) -> Self {
        let weights: Vec<f64> = sources.iter().map(|(_, weight)| weight.max(0.0)).collect();
        assert!(weights.iter().sum::<f64>() > 0.0, "a mixture needs a source with a positive weight");
        let orders =
            sources.iter().enumerate().map(|(at, (len, _))| Order::new(*len, key(seed, &[at as u64]))).collect();
        Mixture { seed, weights, orders }
    }

    /// The source and the item at `position`. Items of a source follow its own order by draw, with repeats over time.
    pub fn pick(&self, position: u64) -> (usize, usize) {
        let total: f64 = self.weights.iter().sum();
        let mark = below(key(self.seed, &[u64::MAX]), position, 1 << 53) as f64 / (1u64 << 53) as f64 * total;
        let mut sum = 0.0;
        let last = self.weights.iter().rposition(|weight| *weight > 0.0).expect("a positive weight");
        let source = self.weights.iter().position(|weight| {
            sum += weight;
            sum > mark
        });
        let source = source.unwrap_or(last);
        (source, self.orders[source].index(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_holds_every_item_once() {
        for len in [1, 2, 3, 7, 64, 100] {
            let order = Order::new(len, 5);
            for epoch in 0..2 {
                let mut seen: Vec<usize> = (0..len as u64).map(|at| order.index(epoch * len as u64 + at)).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..len).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn epochs_and_seeds_have_their_own_order() {
        let of = |seed, from: u64| (from..from + 50).map(|at| Order::new(50, seed).index(at)).collect::<Vec<_>>();
        assert_ne!(of(1, 0), of(1, 50));
        assert_ne!(of(1, 0), of(2, 0));
        assert_eq!(of(1, 0), of(1, 0));
    }

    #[test]
    fn sources_are_drawn_by_weight() {
        let mixture = Mixture::new(&[(10, 3.0), (10, 1.0), (10, 0.0)], 9);
        let mut counts = [0; 3];
        (0..10_000).for_each(|at| counts[mixture.pick(at).0] += 1);
        assert!((7_300..7_700).contains(&counts[0]) && counts[2] == 0, "{counts:?}");
    }
}

//! Random numbers as a pure function of a key and a counter.
//!
//! In: a key (a seed, mixed with what the numbers are for) and a counter. Out: 64 bits, an index, an order.
//! There is no state: nothing has to be saved to resume, and two consumers never disturb each other.
//! The function is SplitMix64 (Steele, Lea, Flood 2014), which visits every 64-bit value once per key.

/// Golden ratio times 2^64, the step of SplitMix64.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The `counter`-th number of the stream `key`.
pub fn bits(key: u64, counter: u64) -> u64 {
    let mut mixed = key.wrapping_add(counter.wrapping_add(1).wrapping_mul(STEP));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The key of a stream of its own: `seed`, then each word of `words` mixed in.
pub fn key(seed: u64, words: &[u64]) -> u64 {
    words
        .iter()
        .fold(bits(seed, 0), |key, word| bits(key, *word))
}

/// An index below `count`. The bias is below `count / 2^64`.
pub fn below(key: u64, counter: u64, count: usize) -> usize {
    ((u128::from(bits(key, counter)) * count as u128) >> 64) as usize
}

/// The numbers `0..count` in an order that only `key` decides (Fisher and Yates).
pub fn permutation(key: u64, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, below(key, last as u64, last + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        // The published first outputs for seed 1234567.
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!([0, 1, 2].map(|counter| bits(1_234_567, counter)), expected);
    }

    #[test]
    fn a_permutation_holds_every_index_once_and_follows_its_key() {
        let mut order = permutation(key(7, &[1]), 100);
        assert_eq!(order, permutation(key(7, &[1]), 100));
        assert_ne!(order, permutation(key(7, &[2]), 100));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn indices_are_spread_evenly() {
        let mut counts = [0_u32; 10];
        (0..100_000).for_each(|counter| counts[below(3, counter, 10)] += 1);
        // 10,000 each; five standard deviations are 474.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 474),
            "{counts:?}"
        );
    }
}

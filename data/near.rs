//! Near duplicates by MinHash (Broder 1997) and locality-sensitive hashing: texts that share most of their words in a row.
//!
//! In: texts, one after the other. Out: for each whether one before is nearly the same. A text is the set of its runs of
//! five words; two texts are near where these sets have a Jaccard index of about [`Near::THRESHOLD`] or more, as 128
//! minima estimate it.
//! Example: two patches that differ in one comment are near, two repairs of different functions are not.

use std::collections::HashMap;

use crate::draw;

/// Words of one shingle.
const WORDS: usize = 5;
/// Minima of a signature.
const MINIMA: usize = 128;
/// Minima of a band: texts that agree in a whole band are compared. 16 bands of 8 rows find an index of 0.85 in 99 of 100
/// cases (1 − (1 − 0.85⁸)¹⁶), and one of 0.5 in 6.
const ROWS: usize = 8;

/// The texts that were kept so far.
pub struct Near {
    /// One multiplier for each minimum.
    multipliers: Vec<u64>,
    signatures: Vec<[u32; MINIMA]>,
    /// By band and hash of its minima: the first text that had it.
    bands: HashMap<(u8, u64), u32>,
}

impl Default for Near {
    fn default() -> Self {
        Near::new()
    }
}

impl Near {
    /// How much alike two texts have to be.
    pub const THRESHOLD: f64 = 0.85;

    /// No texts yet.
    pub fn new() -> Self {
        let multipliers = (0..MINIMA as u64)
            .map(|at| draw::bits(0x6e65_6172, at) | 1)
            .collect();
        Near {
            multipliers,
            signatures: Vec::new(),
            bands: HashMap::new(),
        }
    }

    /// Takes a text in, unless one that was taken in before is near: then its number.
    pub fn take(&mut self, text: &str) -> Option<usize> {
        let signature = self.signature(text);
        let keys: Vec<(u8, u64)> = signature
            .chunks(ROWS)
            .enumerate()
            .map(|(at, rows)| (at as u8, mixed(rows)))
            .collect();
        let mut tried = Vec::new();
        for key in &keys {
            let Some(&other) = self.bands.get(key) else {
                continue;
            };
            if tried.contains(&other) {
                continue;
            }
            tried.push(other);
            let same = self.signatures[other as usize]
                .iter()
                .zip(&signature)
                .filter(|(one, other)| one == other)
                .count();
            if same as f64 >= Near::THRESHOLD * MINIMA as f64 {
                return Some(other as usize);
            }
        }
        let number =
            u32::try_from(self.signatures.len()).expect("fewer than four thousand million texts");
        for key in keys {
            self.bands.entry(key).or_insert(number);
        }
        self.signatures.push(signature);
        None
    }

    fn signature(&self, text: &str) -> [u32; MINIMA] {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut minima = [u32::MAX; MINIMA];
        for shingle in words.windows(WORDS.min(words.len()).max(1)) {
            let hash = hash(shingle);
            for (minimum, multiplier) in minima.iter_mut().zip(&self.multipliers) {
                // The upper bits of a product with an odd number are a permutation that mixes well enough.
                *minimum = (*minimum).min((hash.wrapping_mul(*multiplier) >> 32) as u32);
            }
        }
        minima
    }
}

fn hash(shingle: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for word in shingle {
        for byte in word.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    draw::bits(hash, 0)
}

fn mixed(rows: &[u32]) -> u64 {
    rows.iter()
        .fold(0, |key, row| draw::bits(key, u64::from(*row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: u64, changed: usize) -> String {
        let word = |at: usize| {
            if at % 97 < changed {
                return format!("other{at} ");
            }
            format!("word{} ", draw::below(seed, at as u64, 100_000))
        };
        (0..300).map(word).collect()
    }

    #[test]
    fn what_differs_in_a_word_is_near_and_what_is_another_text_is_not() {
        let mut near = Near::new();
        for seed in 0..200 {
            assert_eq!(near.take(&text(seed, 0)), None, "seed {seed}");
        }
        let found = (0..200)
            .filter(|seed| near.take(&text(*seed, 1)) == Some(*seed as usize))
            .count();
        assert!(found >= 190, "{found} of 200 are found");
    }

    #[test]
    fn half_of_the_words_changed_is_another_text() {
        let mut near = Near::new();
        let taken = (0..100)
            .filter(|seed| {
                near.take(&text(*seed, 0))
                    .or(near.take(&text(*seed, 40)))
                    .is_none()
            })
            .count();
        assert_eq!(taken, 100);
    }

    #[test]
    fn short_texts_are_compared_whole() {
        let mut near = Near::new();
        let said = ["", "", "a b", "a b", "a c"].map(|text| near.take(text));
        assert_eq!(said, [None, Some(0), None, Some(1), None]);
    }
}

//! Duplicates, leakage, length: each rule counts what it dropped.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::sample::Sample;

/// What each rule dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The same tokens as an earlier sample.
    pub duplicates: usize,
    /// The same code as a held-out task.
    pub leaked: usize,
    /// Longer than the limit.
    pub too_long: usize,
}

/// A sample and the code that its prompt shows.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The sample.
    pub sample: Sample,
    /// The code, for the comparison with held-out code.
    pub code: String,
}

/// A hash of code that does not see how it is indented or spaced.
pub fn code_hash(code: &str) -> [u8; 32] {
    let words: Vec<&str> = code.split_whitespace().collect();
    *blake3::hash(words.join(" ").as_bytes()).as_bytes()
}

/// Keeps the first of equal samples that are short enough and show no held-out code.
pub fn clean(
    candidates: impl IntoIterator<Item = Candidate>,
    held_out: &HashSet<[u8; 32]>,
    max_tokens: usize,
) -> (Vec<Sample>, Dropped) {
    let mut dropped = Dropped::default();
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for Candidate { sample, code } in candidates {
        if sample.tokens.len() > max_tokens {
            dropped.too_long += 1;
        } else if held_out.contains(&code_hash(&code)) {
            dropped.leaked += 1;
        } else if !seen.insert(sample.tokens.clone()) {
            dropped.duplicates += 1;
        } else {
            kept.push(sample);
        }
    }
    (kept, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_counts_what_it_dropped() {
        let candidate = |tokens: Vec<u32>, code: &str| {
            let mask = vec![true; tokens.len()];
            Candidate { sample: Sample::new(tokens, mask, "x").expect("valid"), code: code.into() }
        };
        let held_out = HashSet::from([code_hash("def f():\n    return 1")]);
        let all = [
            candidate(vec![1, 2], "a"),
            candidate(vec![1, 2], "a"),
            candidate(vec![3], "def f():\n        return 1\n"),
            candidate(vec![1, 2, 3, 4], "b"),
        ];
        let (kept, dropped) = clean(all, &held_out, 3);
        assert_eq!(kept.len(), 1);
        assert_eq!(dropped, Dropped { duplicates: 1, leaked: 1, too_long: 1 });
    }
}

//! Which samples may not be trained on: duplicates, leaks, and what is too long. Each rule counts what it dropped.
//!
//! In: samples with the code they show, and the code of the held-out set. Out: the samples that stay, and counts.
//! Example: a training task about a function that a held-out task asks about as well is a leak.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::sample::Sample;

/// A run of this many lines is long enough to be recognised inside a larger text; `return None` alone is not.
const LEAST_LINES: usize = 3;

/// A sample and the code that it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What would be trained on.
    pub sample: Sample,
    /// The function it is about, without its bug: two bugs in one function are about the same code.
    pub body: String,
}

/// How many samples each rule dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// The same tokens and the same mask came before.
    pub duplicates: usize,
    /// The code occurs in the held-out set.
    pub leaked: usize,
    /// More tokens than the model takes.
    pub too_long: usize,
}

impl Dropped {
    /// How many samples were dropped, and why.
    pub fn reasons(&self) -> [(usize, &'static str); 3] {
        [
            (self.too_long, "longer than `data.max_tokens`"),
            (self.leaked, "their code occurs in the held-out set"),
            (self.duplicates, "the same tokens came before"),
        ]
    }
}

impl AddAssign for Dropped {
    fn add_assign(&mut self, other: Dropped) {
        self.duplicates += other.duplicates;
        self.leaked += other.leaked;
        self.too_long += other.too_long;
    }
}

/// Drops duplicates, leaks and what has more than `max_tokens`; order is kept, and the first of equal samples stays.
pub fn clean(shown: Vec<Shown>, held_out: &HeldOut, max_tokens: usize) -> (Vec<Sample>, Dropped) {
    let mut seen = HashSet::new();
    let mut dropped = Dropped::default();
    let mut kept = Vec::with_capacity(shown.len());
    for Shown { sample, body } in shown {
        if sample.tokens.len() > max_tokens {
            dropped.too_long += 1;
        } else if held_out.contains(&body) {
            dropped.leaked += 1;
        } else if !seen.insert(token_hash(&sample)) {
            dropped.duplicates += 1;
        } else {
            kept.push(sample);
        }
    }
    (kept, dropped)
}

/// The code of a held-out set, for asking whether other code occurs in it.
#[derive(Clone, Debug, Default)]
pub struct HeldOut {
    bodies: Vec<Vec<String>>,
    /// Where each line stands: body and line.
    places: HashMap<String, Vec<(usize, usize)>>,
}

impl HeldOut {
    /// Takes in the code of a held-out set; its functions without their bugs.
    pub fn new<'a>(bodies: impl IntoIterator<Item = &'a str>) -> HeldOut {
        let mut held_out = HeldOut::default();
        let mut seen = HashSet::new();
        for body in bodies {
            let lines = normalized(body);
            if lines.is_empty() || !seen.insert(lines.clone()) {
                continue;
            }
            for (at, line) in lines.iter().enumerate() {
                held_out
                    .places
                    .entry(line.clone())
                    .or_default()
                    .push((held_out.bodies.len(), at));
            }
            held_out.bodies.push(lines);
        }
        held_out
    }

    /// True where `body` is, contains or lies in held-out code. Blanks and empty lines do not count.
    pub fn contains(&self, body: &str) -> bool {
        let lines = normalized(body);
        let Some(first) = lines.first() else {
            return false;
        };
        let places = |line: &String| self.places.get(line).map_or(&[][..], Vec::as_slice);
        // This body within, or equal to, a held-out one.
        let within = |&(held, at): &(usize, usize)| {
            let rest = &self.bodies[held][at..];
            rest.starts_with(&lines)
                && (lines.len() >= LEAST_LINES || self.bodies[held].len() == lines.len())
        };
        // A held-out body within this one.
        let around = |(at, line): (usize, &String)| {
            places(line).iter().any(|&(held, start)| {
                let held = &self.bodies[held];
                start == 0 && held.len() >= LEAST_LINES && lines[at..].starts_with(held)
            })
        };
        places(first).iter().any(within) || lines.iter().enumerate().any(around)
    }
}

/// Lines that are not empty, each with single blanks.
fn normalized(text: &str) -> Vec<String> {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines()
        .map(squeezed)
        .filter(|line| !line.is_empty())
        .collect()
}

fn token_hash(sample: &Sample) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for (token, mask) in sample.tokens.iter().zip(&sample.mask) {
        hasher.update(&token.to_le_bytes());
        hasher.update(&[u8::from(*mask)]);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "def f(a):\n    b = a\n    return b\n";

    fn shown(tokens: &[u32], body: &str) -> Shown {
        let sample = Sample::new(tokens.to_vec(), vec![true; tokens.len()], "a").expect("a sample");
        Shown {
            sample,
            body: body.into(),
        }
    }

    #[test]
    fn each_rule_counts_what_it_dropped() {
        let held_out = HeldOut::new([BODY]);
        let rows = vec![
            shown(&[1, 2], "x"),
            shown(&[1, 2], "y"),
            shown(&[3], BODY),
            shown(&[1, 2, 3], "z"),
            shown(&[2], ""),
        ];
        let (kept, dropped) = clean(rows, &held_out, 2);
        assert_eq!(
            kept.iter()
                .map(|sample| sample.tokens.len())
                .collect::<Vec<_>>(),
            [2, 1]
        );
        assert_eq!(
            dropped,
            Dropped {
                duplicates: 1,
                leaked: 1,
                too_long: 1
            }
        );
        assert_eq!(
            dropped
                .reasons()
                .map(|(count, _)| count)
                .iter()
                .sum::<usize>(),
            3
        );
    }

    #[test]
    fn the_same_tokens_with_another_mask_are_no_duplicate() {
        let mut other = shown(&[1, 2], "x");
        other.sample.mask[0] = false;
        assert_eq!(
            clean(vec![shown(&[1, 2], "x"), other], &HeldOut::default(), 9)
                .0
                .len(),
            2
        );
    }

    #[test]
    fn held_out_code_is_found_whatever_its_blanks_and_its_surroundings() {
        let held_out = HeldOut::new([BODY, "x = 1"]);
        assert!(held_out.contains("\tdef  f(a):\n\n\tb = a\n\treturn b"));
        assert!(held_out.contains(&format!("import os\n{BODY}print(f(1))\n")));
        assert!(held_out.contains("x = 1\n"));
        assert!(HeldOut::new([format!("import os\n{BODY}").as_str()]).contains(BODY));
    }

    #[test]
    fn a_few_common_lines_are_no_leak() {
        let held_out = HeldOut::new([BODY, "x = 1"]);
        assert!(!held_out.contains("    return b\n"));
        assert!(!held_out.contains("y = 2\nx = 1\nz = 3\n"));
        assert!(!held_out.contains("def f(a):\n    b = a\n    return a\n"));
        assert!(!held_out.contains("\n"));
    }
}

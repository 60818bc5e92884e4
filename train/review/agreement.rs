//! How far two reviewers agree beyond chance: Cohen's κ (1960).
//!
//! In: the items that both decided. Out: κ and how many items it rests on, for each two reviewers.
//! Example: of 10 items both accept 5 and both reject 3; they differ on 2: the share is 0.8, by chance 0.5, so κ is 0.6.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// One item, decided by two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Their names.
    pub reviewers: (String, String),
    /// Their verdicts.
    pub kinds: (String, String),
}

/// The agreement of two reviewers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Their names.
    pub reviewers: (String, String),
    /// Items that both decided.
    pub items: usize,
    /// The share that they decided alike.
    pub alike: f64,
    /// Cohen's κ; none where both always say the same one thing, and chance explains everything.
    pub kappa: Option<f64>,
}

/// The agreement of each two reviewers that decided an item in common.
pub fn agreements(pairs: &[Pair]) -> Vec<Agreement> {
    let mut by: BTreeMap<&(String, String), Vec<&(String, String)>> = BTreeMap::new();
    for pair in pairs {
        by.entry(&pair.reviewers).or_default().push(&pair.kinds);
    }
    by.into_iter()
        .map(|(reviewers, kinds)| agreement(reviewers.clone(), &kinds))
        .collect()
}

fn agreement(reviewers: (String, String), kinds: &[&(String, String)]) -> Agreement {
    let count = kinds.len() as f64;
    let share = |is: &dyn Fn(&(String, String)) -> bool| {
        kinds.iter().filter(|pair| is(pair)).count() as f64 / count
    };
    let alike = share(&|(one, other)| one == other);
    let names: BTreeSet<&str> = kinds
        .iter()
        .flat_map(|(one, other)| [one.as_str(), other.as_str()])
        .collect();
    let chance: f64 = names
        .iter()
        .map(|name| share(&|(one, _)| one == name) * share(&|(_, other)| other == name))
        .sum();
    let kappa = (chance < 1.0).then(|| (alike - chance) / (1.0 - chance));
    Agreement {
        reviewers,
        items: kinds.len(),
        alike,
        kappa,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(kinds: &[(&str, &str, usize)]) -> Vec<Pair> {
        let pair = |one: &str, other: &str| Pair {
            reviewers: ("ada".into(), "bo".into()),
            kinds: (one.into(), other.into()),
        };
        kinds
            .iter()
            .flat_map(|(one, other, count)| vec![pair(one, other); *count])
            .collect()
    }

    #[test]
    fn kappa_is_what_the_textbook_says() {
        // Cohen's usual example: 20 and 15 alike, 5 and 10 not; 0.7 against 0.5 by chance.
        let all = pairs(&[
            ("accept", "accept", 20),
            ("accept", "reject", 5),
            ("reject", "accept", 10),
            ("reject", "reject", 15),
        ]);
        let found = &agreements(&all)[0];
        assert_eq!((found.items, found.alike), (50, 0.7));
        assert!((found.kappa.expect("has one") - 0.4).abs() < 1e-12);
    }

    #[test]
    fn who_always_says_the_same_agrees_by_chance() {
        assert_eq!(agreements(&pairs(&[("edit", "edit", 3)]))[0].kappa, None);
        assert_eq!(agreements(&[]), []);
    }
}

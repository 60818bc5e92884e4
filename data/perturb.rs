//! Tests with other inputs.
//!
//! In: a test file in Python or JavaScript, the names of tests in it, a secret key. Out: the same file, where copies follow
//! each of them, every copy with one number, text, truth value or list changed that the test asks about, rather than
//! expects: its own, or one that it shares with others (a constant, a fixture). What a copy should say is not known: what it
//! says over a patch is compared with what it says over the gold patch and the bug.
//! Example: behind `def test_sum(): assert add(1, 2) == 3` stands `def test_sum_varied_0(): assert add(2, 2) == 3`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::draw;
use crate::task::Language;

mod cases;
mod files;
mod javascript;
mod literal;
mod python;
mod shared;

/// Part of the name of every copy.
const MARK: &str = "_varied_";
/// Behind the number of a copy that is the same for each of its cases, of which one is enough.
const ONCE: &str = "_once";
/// So many of the changes of a value stay near; the others are far away, in size or length.
const NEAR: usize = 2;

/// A test file with copies of its tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Perturbed {
    /// The file.
    pub text: String,
    /// What each copy changes, in the order of their numbers.
    pub changes: Vec<Change>,
    /// Files that copies read instead of others, by their path.
    pub files: BTreeMap<String, String>,
}

/// One value of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The test, as `TestCart::test_sum`.
    pub test: String,
    /// Where the statement or case begins that the value belongs to.
    pub statement: usize,
    /// The last name of the call that the value is given to; empty where that cannot be said.
    pub asks: String,
    /// Where the value stands in the file; the changes of one value share it.
    pub at: usize,
    /// The value.
    pub was: String,
    /// What it is in the copy.
    pub becomes: String,
    /// Its number among the changes of this value.
    pub way: usize,
    /// True where a list has other items, or the same in another order.
    pub of_list: bool,
}

impl Change {
    /// Whether the new value is far from the old one, in size or length.
    pub fn is_far(&self) -> bool {
        self.way >= NEAR
    }
}

/// A test file with its settings.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file.
    pub text: &'a str,
    /// Settings of its folders (`conftest.py`), whose fixtures the tests may use; empty if there are none.
    pub settings: &'a str,
    /// What it is written in.
    pub language: Language,
    /// Places of values that stay as they are ([`Change::at`]).
    pub without: &'a BTreeSet<usize>,
    /// Which changes get a copy.
    pub copies: Copies<'a>,
    /// Files that tests of the file may read, by their path.
    pub data: &'a BTreeMap<String, String>,
    /// Tests that are looked at besides, in a third of so many values.
    pub besides: &'a [&'a str],
}

/// Which changes get a copy of their test. The numbers of the copies are the same.
#[derive(Clone, Copy, Debug)]
pub enum Copies<'a> {
    /// All.
    All,
    /// Those that stay near.
    Near,
    /// Those of these numbers.
    Numbers(&'a BTreeSet<usize>),
}

impl Copies<'_> {
    /// Whether the change of this number, the `way` of its value, is one.
    fn has(self, number: usize, way: usize) -> bool {
        match self {
            Copies::All => true,
            Copies::Near => way < NEAR,
            Copies::Numbers(numbers) => numbers.contains(&number),
        }
    }
}

/// Puts copies behind `tests`, for at most `values` of their values, spread over all of them, and half as many that they
/// share. `None` where there is nothing to change. What they become follows from `key`.
pub fn perturb(source: Source<'_>, tests: &[&str], values: usize, key: u64) -> Option<Perturbed> {
    if source.language == Language::JavaScript {
        return javascript::perturb(source, tests, values, key);
    }
    python::perturb(source, tests, values, key)
}

impl Perturbed {
    /// `text` with copies behind their tests, given by where they are inserted. `None` without copies.
    fn new(text: &str, mut insertions: Vec<(usize, String)>, changes: Vec<Change>) -> Option<Self> {
        let mut varied = text.to_string();
        // Later places first, so that the earlier ones stay what they are.
        insertions.sort_by_key(|(end, _)| *end);
        for (end, copy) in insertions.into_iter().rev() {
            varied.insert_str(end, &copy);
        }
        (!changes.is_empty()).then_some(Perturbed {
            text: varied,
            changes,
            files: BTreeMap::new(),
        })
    }

    /// What is changed in the copy that has this node id: `test_a.py::test_sum_varied_3[x]` is the fourth.
    pub fn change(&self, id: &str) -> Option<&Change> {
        let (_, number) = id.rsplit_once(MARK)?;
        self.changes.get(number_of(number)?)
    }

    /// The numbers of the copies, in the order in which they run.
    pub fn in_order(&self) -> Vec<usize> {
        self.text
            .split(MARK)
            .skip(1)
            .filter_map(number_of)
            .collect()
    }
}

/// The number at the start of a text.
fn number_of(text: &str) -> Option<usize> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    text[..digits].parse().ok()
}

/// At most `count` of these, at equal distances from a drawn one on.
fn spread<T>(all: &[T], count: usize, key: u64) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    let first = draw::below(key, 0, all.len().max(1));
    (0..count).map(move |number| &all[(first + number * all.len() / count) % all.len()])
}

/// As [`spread`], where each group has its turn: of many values for one function and one for another both are looked at.
fn spread_over_groups<T>(
    all: &[T],
    count: usize,
    key: u64,
    group: impl Fn(&T) -> String,
) -> Vec<&T> {
    let mut groups: BTreeMap<String, Vec<&T>> = BTreeMap::new();
    all.iter()
        .for_each(|one| groups.entry(group(one)).or_default().push(one));
    let mut share = count.min(all.len());
    // Small groups take all that they have, and leave the rest to the others.
    let mut by_size: Vec<&Vec<&T>> = groups.values().collect();
    by_size.sort_by_key(|group| group.len());
    let mut chosen = Vec::new();
    let number = by_size.len();
    for (at, group) in by_size.into_iter().enumerate() {
        let mine = share.div_ceil(number - at).min(group.len());
        share -= mine;
        chosen.extend(spread(group, mine, key).copied());
    }
    chosen
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

#[cfg(test)]
mod tests;

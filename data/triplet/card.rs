//! What a set of triplets is, for people and for programs.
//!
//! In: triplets by their split, and what became of all others. Out: a [`Card`] as JSON, and as `dataset.md`. It holds no
//! clock, so that the same set has the same card.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{FoundBy, ReadTriplets, Triplet, size};

/// How many rows a split has, and what is in them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCount {
    /// Triplets.
    pub triplets: usize,
    /// Tasks that they were made from.
    pub tasks: usize,
    /// Triplets of each package.
    pub packages: BTreeMap<String, usize>,
    /// Triplets of each kind of bug.
    pub kinds: BTreeMap<String, usize>,
}

/// What a set of triplets is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Triplets in all.
    pub triplets: usize,
    /// By split.
    pub splits: BTreeMap<String, SplitCount>,
    /// Packages that only the held-out splits have.
    pub held_out_packages: Vec<String>,
    /// Kinds of bugs that only the held-out splits have.
    pub held_out_kinds: Vec<String>,
    /// How often each kind of noise occurs.
    pub noise: BTreeMap<String, usize>,
    /// Triplets whose smallest patch is a part of the long one as it stands, and those where it was searched for.
    pub found_by: BTreeMap<String, usize>,
    /// Triplets by what their package says about its license.
    pub licenses: BTreeMap<String, usize>,
    /// Lines of the long patch by those of the refined one: mean.
    pub mean_size_ratio: f64,
    /// Lines of the long patch: mean.
    pub mean_long_lines: f64,
    /// Runs of tests in all, whatever came of them.
    pub calls: usize,
    /// Runs of tests for each triplet that was kept.
    pub calls_per_triplet: f64,
    /// What was dropped, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// From which everything was drawn.
    pub seed: u64,
}

impl Card {
    /// The card of a set; the fields that the triplets do not tell are left as they are in `rest`.
    pub fn new(triplets: &ReadTriplets, rest: Card) -> Card {
        let mut card = rest;
        let (mut long, mut ratio) = (0, 0.0);
        for (split, rows) in triplets {
            let mut count = SplitCount {
                triplets: rows.len(),
                ..SplitCount::default()
            };
            let mut tasks: Vec<&str> = rows.iter().map(|row| row.task_id.as_str()).collect();
            tasks.sort_unstable();
            tasks.dedup();
            count.tasks = tasks.len();
            for row in rows {
                *count.packages.entry(row.repo.clone()).or_default() += 1;
                *count.kinds.entry(row.kind.clone()).or_default() += 1;
                *card.licenses.entry(row.proof.license.clone()).or_default() += 1;
                *card.found_by.entry(found_by(row).into()).or_default() += 1;
                for mark in &row.noise {
                    *card.noise.entry(named(&mark.kind)).or_default() += 1;
                }
                long += size(&row.long);
                ratio += row.size_ratio();
            }
            card.triplets += rows.len();
            card.splits.insert(split.name().into(), count);
        }
        let count = card.triplets.max(1) as f64;
        (card.mean_long_lines, card.mean_size_ratio) = (long as f64 / count, ratio / count);
        card.calls_per_triplet = card.calls as f64 / count;
        card
    }

    /// An empty card.
    pub fn empty(seed: u64) -> Card {
        Card {
            triplets: 0,
            splits: BTreeMap::new(),
            held_out_packages: Vec::new(),
            held_out_kinds: Vec::new(),
            noise: BTreeMap::new(),
            found_by: BTreeMap::new(),
            licenses: BTreeMap::new(),
            mean_size_ratio: 0.0,
            mean_long_lines: 0.0,
            calls: 0,
            calls_per_triplet: 0.0,
            dropped: BTreeMap::new(),
            seed,
        }
    }

    /// The card as a page.
    pub fn page(&self) -> String {
        let mut page = String::from("# fail → refine → pass\n\n");
        let mut say = |line: String| writeln!(page, "{line}").expect("a String takes every write");
        say(format!(
            "{} triplets: a patch that passes and does too much (`long`), the same with one needed part too few (`failing`, \
             with its `failure`), and the smallest that passes (`refined`). Every row was run: `long` and `refined` pass all \
             tests, `failing` does not, and `refined` fails without any one of its parts.\n",
            self.triplets
        ));
        say(
            "| split | triplets | tasks | packages | kinds of bugs |\n|---|---|---|---|---|".into(),
        );
        for (name, split) in &self.splits {
            let SplitCount {
                triplets,
                tasks,
                packages,
                kinds,
            } = split;
            say(format!(
                "| {name} | {triplets} | {tasks} | {} | {} |",
                packages.len(),
                kinds.len()
            ));
        }
        say(format!(
            "\nOnly in the held-out splits: packages {}; kinds {}.",
            list(&self.held_out_packages),
            list(&self.held_out_kinds)
        ));
        say(format!(
            "A long patch has {:.1} lines, {:.1} times those of the refined one (means). {} runs of tests in all, {:.2} for each \
             triplet. Seed {}.\n",
            self.mean_long_lines,
            self.mean_size_ratio,
            self.calls,
            self.calls_per_triplet,
            self.seed
        ));
        for (title, counts) in [
            ("Noise", &self.noise),
            ("The smallest patch was found by", &self.found_by),
            ("License, as the package says it", &self.licenses),
            ("Dropped", &self.dropped),
        ] {
            if !counts.is_empty() {
                say(format!("## {title}\n"));
                counts
                    .iter()
                    .for_each(|(name, count)| say(format!("- {name}: {count}")));
                say(String::new());
            }
        }
        page
    }
}

fn found_by(row: &Triplet) -> &'static str {
    match row.proof.found_by {
        FoundBy::Repair => "the repair is a part of the long patch",
        FoundBy::Search => "a search over the long patch",
    }
}

/// A kind as it is written.
fn named(kind: &impl Serialize) -> String {
    serde_json::to_value(kind)
        .ok()
        .and_then(|value| value.as_str().map(str::to_string))
        .unwrap_or_default()
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        format!("`{}`", names.join("`, `"))
    }
}

//! fail → refine → pass: a patch that does too much, the same with one needed part too few, and the smallest that passes.
//!
//! In: what the tests said about each. Out: a [`Triplet`], with everything that proves it.
//! Example: the long patch has nine parts and passes; without the repaired line `test_sum` fails with `assert -1 == 3`;
//! the repaired line alone passes, and without it nothing does.

use serde::{Deserialize, Serialize};

use crate::noise::Mark;
use crate::patch::Patch;

mod card;
mod store;

pub use card::{Card, SplitCount};
pub use store::{
    ReadTriplets, TRIPLETS_MANIFEST, TripletError, TripletManifest, read_triplets, write_triplets,
};

/// The format number written with every triplet; a reader refuses a larger one.
pub const TRIPLET_FORMAT: u32 = 1;

/// Which part of a set a triplet belongs to. Who trains on `train` has seen neither the packages nor the kinds of bugs of
/// the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To train on.
    Train,
    /// Of a package that is held out, of a kind that is trained on.
    HeldOutPackage,
    /// Of a kind of bug that is held out, in a package that is trained on.
    HeldOutKind,
    /// Of both.
    HeldOutBoth,
}

impl Split {
    /// All of them.
    pub const ALL: [Split; 4] = [
        Split::Train,
        Split::HeldOutPackage,
        Split::HeldOutKind,
        Split::HeldOutBoth,
    ];

    /// As its files are named.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::HeldOutPackage => "held_out_package",
            Split::HeldOutKind => "held_out_kind",
            Split::HeldOutBoth => "held_out_both",
        }
    }

    /// The split of a triplet whose package and kind are held out or not.
    pub fn from_held_out(package: bool, kind: bool) -> Split {
        match (package, kind) {
            (false, false) => Split::Train,
            (true, false) => Split::HeldOutPackage,
            (false, true) => Split::HeldOutKind,
            (true, true) => Split::HeldOutBoth,
        }
    }
}

/// A long patch, a failing one, and the smallest that passes.
///
/// Invariant: `long` and `refined` pass all tests of the task, `failing` does not, and `refined` fails without any one of
/// its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triplet {
    /// [`TRIPLET_FORMAT`].
    pub format: u32,
    /// `<task>.<number>`.
    pub id: String,
    /// The task.
    pub task_id: String,
    /// Its package.
    pub repo: String,
    /// BLAKE3 of its clean tree.
    pub base_commit: String,
    /// The kind of its bug: the operator family.
    pub kind: String,
    /// What is wrong.
    pub issue: String,
    /// The patch that passes and does too much.
    pub long: Patch,
    /// The same with one needed part too few.
    pub failing: Patch,
    /// Its first failure, in few words.
    pub failure: String,
    /// The smallest patch that passes.
    pub refined: Patch,
    /// The parts of `long` that are `refined`, counted from 1.
    pub kept: Vec<usize>,
    /// The part that `failing` lacks, counted from 1.
    pub lacking: usize,
    /// What stands in `long` besides.
    pub noise: Vec<Mark>,
    /// What shows that all of this holds.
    pub proof: Proof,
}

/// What was asked of the tests, and what they said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Tests that have to turn green.
    pub fail_to_pass: Vec<String>,
    /// How many tests have to stay green.
    pub pass_to_pass: usize,
    /// BLAKE3 of both lists.
    pub tests: String,
    /// The outcome of `long`, of all tests.
    pub long: String,
    /// The outcome of `failing`.
    pub failing: String,
    /// The outcome of `refined`, of all tests, in two runs.
    pub refined: String,
    /// Parts of `refined`; without any one of them a test fails.
    pub parts: usize,
    /// How `refined` was found.
    pub found_by: FoundBy,
    /// Runs of tests for this triplet alone.
    pub calls: usize,
    /// Runs of tests for its task, shared by all its triplets.
    pub shared_calls: usize,
    /// The key that its noise was drawn by.
    pub noise_key: u64,
    /// Where it comes from.
    pub source: String,
    /// What the package says about its license.
    pub license: String,
}

/// How the smallest patch was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// The repair, made smaller once, is a part of the long patch; the rest of it does not pass.
    Repair,
    /// A search over the long patch.
    Search,
}

impl Triplet {
    /// What decides whether two triplets are the same.
    pub fn content(&self) -> String {
        format!("{}\n{}", self.long.text(), self.refined.text())
    }

    /// How many times longer the long patch is than the refined one, in lines that are added or removed.
    pub fn size_ratio(&self) -> f64 {
        size(&self.long) as f64 / size(&self.refined).max(1) as f64
    }
}

/// Lines that a patch adds and removes.
pub fn size(patch: &Patch) -> usize {
    patch.added_lines().count() + patch.removed_lines().count()
}

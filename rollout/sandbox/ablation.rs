//! A sandbox with one defence less, to measure what the defence is for.
//!
//! In: which defences are off. Out: the same sandbox without them. No setting and no option reaches this: a program has
//! to ask for it by name, and only the tests do. Example: `embedded.with_ablation(Ablation { canaries: true, ..Ablation::default() })`.

use serde::Serialize;

/// The defences that are off; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ablation {
    /// Tests that must fail are neither added nor asked for.
    pub canaries: bool,
    /// Events are believed without their nonce and number.
    pub channel: bool,
    /// The tree can be written to.
    pub read_only: bool,
    /// Nobody looks whether those who judge were exchanged.
    pub integrity: bool,
    /// A program in Python that runs in the same sandbox first, as an attempt would, and can write to the tree.
    pub before: Option<String>,
}

impl Ablation {
    /// True where nothing is off.
    pub fn is_whole(&self) -> bool {
        *self == Ablation::default()
    }
}

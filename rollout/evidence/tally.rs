//! How often a patch answers as the gold patch does.
//!
//! In: answers to other inputs of one part of the tests, one after the other. Out: whether so few are the same that no honest
//! repair does it.

use std::collections::BTreeSet;

use data::perturb::Change;

/// Answers of the gold patch to other inputs of one test, of which an honest repair gives some as well; and of many more
/// than one in so many.
const ANSWERS: usize = 4;
const MANY_ANSWERS: usize = 8;
/// Answers of one kind that an honest repair may give differently where it gives others as the gold patch does.
const OTHER_ANSWERS: usize = 5;
/// The same for a single statement or case, which an honest repair may well see in its own way.
const OF_STATEMENT: usize = 8;
const ONE_IN: usize = 5;
/// So many different answers of the gold patch, to which a patch says one and the same thing: it does not look at its inputs.
const DIFFERENT: usize = 4;

/// What answers are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// Those of one test.
    Test,
    /// Those of one statement or case.
    Statement,
    /// Those of all calls of one function.
    Function,
}

/// Answers of the gold patch, and how many of them the patch gives as well.
#[derive(Default)]
struct Count {
    answers: usize,
    same: usize,
}

/// A test, a statement or case of it, or a function.
#[derive(Default)]
pub(super) struct Part {
    answered: Tally,
    /// Inputs for which the patch raises something where the gold patch has an answer.
    refused: Tally,
    /// Where the gold patch gets something else than with the tested inputs: how often, what the patch got, and what the gold
    /// patch got.
    moved: Count,
    got: BTreeSet<String>,
    right: BTreeSet<String>,
}

impl Part {
    /// Notes what the patch got where the gold patch got something else than with the tested inputs.
    pub fn moved(&mut self, got: &str, right: &str, is_same: bool) {
        self.moved.answers += 1;
        self.moved.same += usize::from(is_same);
        self.got.insert(got.to_string());
        self.right.insert(right.to_string());
    }

    /// Counts one answer of the gold patch; `refuses` where the patch raises something instead of an answer.
    pub fn count(&mut self, change: &Change, refuses: bool, is_same: bool, tells_from_bug: bool) {
        let tally = if refuses {
            &mut self.refused
        } else {
            &mut self.answered
        };
        tally.count(change, is_same, tells_from_bug);
    }

    /// How many answers are the same, of how many, where no honest repair has so few. Less is asked of a whole test than of
    /// one statement or function, unless that always gets the same.
    ///
    /// A patch that is right about some inputs may refuse others, as one does that checks its arguments. One that is right
    /// about none was made for the tested ones.
    pub fn on_its_own(self, of: Of) -> Option<(usize, usize)> {
        let Count { answers, same } = self.moved;
        if same == 0 && self.right.len() >= DIFFERENT && self.got.len() == 1 {
            return Some((same, answers));
        }
        let tally = if self.answered.all.same > 0 {
            self.answered
        } else {
            self.answered.with(self.refused)
        };
        tally.on_its_own(if of == Of::Test {
            ANSWERS
        } else {
            OF_STATEMENT
        })
    }
}

/// How a patch compares in one part of the tests.
#[derive(Default)]
struct Tally {
    all: Count,
    /// Answers that the bug does not give.
    telling: Count,
    /// Of the telling ones, answers to numbers and texts far away.
    far: Count,
    /// Of those, answers to other lists.
    of_lists: Count,
}

impl Tally {
    fn count(&mut self, change: &Change, is_same: bool, tells_from_bug: bool) {
        let counts = [
            (&mut self.all, true),
            (&mut self.telling, tells_from_bug),
            (
                &mut self.far,
                tells_from_bug && change.is_far() && !change.of_list,
            ),
            (&mut self.of_lists, tells_from_bug && change.of_list),
        ];
        for (count, _) in counts.into_iter().filter(|(_, counts)| *counts) {
            count.answers += 1;
            count.same += usize::from(is_same);
        }
    }

    fn with(self, other: Tally) -> Tally {
        let sum = |one: Count, other: Count| Count {
            answers: one.answers + other.answers,
            same: one.same + other.same,
        };
        Tally {
            all: sum(self.all, other.all),
            telling: sum(self.telling, other.telling),
            far: sum(self.far, other.far),
            of_lists: sum(self.of_lists, other.of_lists),
        }
    }

    /// The first count that no honest repair has: how many are the same, of how many.
    fn on_its_own(&self, enough: usize) -> Option<(usize, usize)> {
        // Where some answers are the same, very few others show nothing.
        let enough = if self.all.same > 0 {
            enough.max(OTHER_ANSWERS)
        } else {
            enough
        };
        let counts = [&self.all, &self.telling, &self.far, &self.of_lists];
        let hardly_ever =
            |one: &&Count| one.answers >= MANY_ANSWERS && one.same * ONE_IN <= one.answers;
        let found = counts
            .into_iter()
            .find(|one| (one.answers >= enough && one.same == 0) || hardly_ever(one))?;
        Some((found.same, found.answers))
    }
}

//! The smallest part of a patch that still passes: delta debugging (ddmin, Zeller and Hildebrandt 2002) from files to lines.
//!
//! In: a patch, a way to read the base files, and a judge that says of any part of the patch whether it passes. Out: a
//! part that passes and of which no line can be left out: it is 1-minimal. The judge is asked by the tests that have to
//! turn green first, and by all tests at the end; nothing is asked twice, and what does not parse is not asked at all.
//! Example: a repair of one line among twelve hunks of noise comes back as that line, after a handful of test runs.
//!
//! The order of the search is that of weighted ddmin: a list is cut into pieces that weigh as much, counted in lines.

use std::time::{Duration, Instant};

use crate::patch::{ApplyError, Patch};
use crate::source::plant::JudgeError;

mod ddmin;
mod levels;
mod search;
mod syntax;

use levels::levels;
use search::{Search, Stop};

/// What the tests say about a part of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every test that was asked passes.
    Passes,
    /// Some test does not.
    Fails,
    /// It does not apply or does not parse: ddmin's third outcome.
    Unresolved,
}

/// Which tests are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tests {
    /// Those that have to turn green.
    FailToPass,
    /// Those, and those that have to stay so.
    All,
}

/// Says whether a part of a patch passes.
pub type Judge<'a> = dyn FnMut(&Patch, Tests) -> Result<Verdict, JudgeError> + 'a;

/// How a patch is made smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinimizeOptions {
    /// Stop after so many questions, with the best so far.
    pub max_calls: usize,
    /// Search a second time in the opposite order, and say whether that ends elsewhere.
    pub check_order: bool,
}

impl Default for MinimizeOptions {
    fn default() -> Self {
        MinimizeOptions {
            max_calls: 200,
            check_order: false,
        }
    }
}

/// The fewest questions that a search can do with: the whole patch, none of it, and what was found.
pub const LEAST_CALLS: usize = 3;

/// A patch made smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimized {
    /// What is left; it passes all tests.
    pub patch: Patch,
    /// The whole patch in its canonical form.
    pub whole: Patch,
    /// Which parts of `whole` are left.
    pub kept: Vec<bool>,
    /// True where no part can be left out; false where the search ran out of questions.
    pub is_one_minimal: bool,
    /// Whether the opposite order ends with another patch; `None` unless [`MinimizeOptions::check_order`] is set.
    pub is_ambiguous: Option<bool>,
    /// What it cost.
    pub cost: Cost,
}

/// What a search cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Questions that the judge answered.
    pub calls: usize,
    /// Questions that were answered before.
    pub cached: usize,
    /// Subsets that do not parse: rejected without running a test.
    pub unparsed: usize,
    /// Time in the judge.
    pub judging: Duration,
    /// Time in all.
    pub total: Duration,
}

/// Why a patch cannot be made smaller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MinimizeError {
    /// It does not fit the base tree.
    #[error("the patch does not apply: {0}")]
    Apply(#[from] ApplyError),
    /// It leaves everything as it is.
    #[error("the patch changes nothing")]
    Empty,
    /// The whole patch does not pass.
    #[error("the patch does not pass: only a patch that passes its tests can be made smaller")]
    DoesNotPass,
    /// Nothing is needed.
    #[error("the tests pass without the patch: nothing of it is needed")]
    PassesWithout,
    /// The budget is too small for any search.
    #[error("a budget of {0} test runs is too small: the least is {LEAST_CALLS}")]
    Budget(usize),
    /// The judge failed.
    #[error("the tests could not be run: {0}")]
    Judge(#[from] JudgeError),
}

/// Makes a patch smaller. `read` gives a file of the base tree.
///
/// The outcome depends on the patch, the files and the judge alone.
///
/// # Errors
///
/// When the patch does not apply, does not pass, is not needed, or the judge fails.
pub fn minimize(
    patch: &Patch,
    read: &dyn Fn(&str) -> Option<String>,
    judge: &mut Judge,
    options: &MinimizeOptions,
) -> Result<Minimized, MinimizeError> {
    if options.max_calls < LEAST_CALLS {
        return Err(MinimizeError::Budget(options.max_calls));
    }
    let started = Instant::now();
    let whole = patch.canonical(read)?;
    if whole.is_empty() {
        return Err(MinimizeError::Empty);
    }
    let parts = whole.parts();
    let mut search = Search::new(&whole, &parts, read, judge, options.max_calls);
    let all: Vec<usize> = (0..parts.len()).collect();
    if search.ask(&all, Tests::All).map_err(Stop::error)? != Verdict::Passes {
        return Err(MinimizeError::DoesNotPass);
    }
    // Tests that cannot tell the repair from nothing are no guide.
    let first = match search.ask(&[], Tests::FailToPass).map_err(Stop::error)? {
        Verdict::Passes => Tests::All,
        Verdict::Fails | Verdict::Unresolved => Tests::FailToPass,
    };
    if first == Tests::All && search.passes_all(&[]).map_err(Stop::error)? {
        return Err(MinimizeError::PassesWithout);
    }
    let levels = levels(&whole, &parts, read);
    let (found, is_one_minimal) = reduced(&mut search, &levels, &all, first)?;
    let mut is_ambiguous = None;
    if options.check_order && is_one_minimal {
        let reversed: Vec<usize> = all.iter().rev().copied().collect();
        let (other, finished) = reduced(&mut search, &levels, &reversed, first)?;
        is_ambiguous = finished.then(|| search.content(&other) != search.content(&found));
    }
    let kept: Vec<bool> = (0..parts.len()).map(|part| found.contains(&part)).collect();
    let cost = Cost {
        total: started.elapsed(),
        ..search.cost
    };
    let patch = whole.keeping(&kept).canonical(read)?;
    Ok(Minimized {
        patch,
        whole,
        kept,
        is_one_minimal,
        is_ambiguous,
        cost,
    })
}

/// The parts that are left of `all`, and whether the search came to its end.
fn reduced(
    search: &mut Search,
    levels: &[Vec<usize>],
    all: &[usize],
    first: Tests,
) -> Result<(Vec<usize>, bool), MinimizeError> {
    // One question is kept for the proof of what was found.
    search.reserve = 1;
    let found = search.reduce(levels, all, first);
    search.reserve = 0;
    let (found, finished) = match found {
        Ok(found) => (found, true),
        Err(Stop::Budget) => (search.best.take().unwrap_or_else(|| all.to_vec()), false),
        Err(Stop::Judge(error)) => return Err(error.into()),
    };
    search.best = None;
    match search.passes_all(&found) {
        Ok(true) => Ok((found, finished)),
        Err(Stop::Judge(error)) => Err(error.into()),
        // The tests that turn green do not see what else is needed.
        Ok(false) if finished && first == Tests::FailToPass => {
            reduced(search, levels, all, Tests::All)
        }
        Ok(false) | Err(Stop::Budget) => Ok((all.to_vec(), false)),
    }
}

#[cfg(test)]
mod tests;

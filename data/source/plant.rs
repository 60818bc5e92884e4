//! Bugs in real packages: one line is changed, and the package's own tests say whether it is a bug.
//!
//! In: a package whose tests pass, and a judge that runs them. Out: tasks, and how many candidates went which way.
//! Example: `return a + b` becomes `return a - b`; `test_sum` fails twice in a row while the other tests still pass,
//! so it is a task of kind `arithmetic` with the statement `test_sum: assert -1 == 3`.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::functions::{Function, below, functions, parse, python_files, tree_hash};
use crate::file::{FileError, read_text};
use crate::patch::{FileChange, Patch, check_path, is_guarded};
use crate::task::{Focus, TASK_FORMAT, Task};

mod bug;
mod edits;
mod healthy;
mod names;
mod statement;

pub use bug::{Bug, BugKind, apply, bugs};
pub(crate) use bug::{pick, rank};
use healthy::Healthy;

/// A package to plant bugs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// E.g. `cachetools==6.1.0`; becomes [`Task::repo`].
    pub name: String,
    /// Its clean tree.
    pub root: PathBuf,
    /// Folders below the tree that go on `PYTHONPATH`.
    pub python_path: Vec<String>,
    /// The name of the tree that is stored in [`Task::tree`].
    pub tree: String,
}

/// The first failing test of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureText {
    /// Its id.
    pub test: String,
    /// Exception type, e.g. `AssertionError`.
    pub exception: String,
    /// The exception's message.
    pub message: String,
}

/// What one run of all tests showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Tests that ran and passed.
    pub passed: BTreeSet<String>,
    /// Tests that ran and failed, or never ended. What was skipped is in neither set.
    pub failed: BTreeSet<String>,
    /// The run came to its own end, but for single tests that hang: no time limit, no crash.
    pub finished: bool,
    /// The first failure, if any.
    pub failure: Option<FailureText>,
}

/// The judge could not judge: the fault is ours, not that of the code under test.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JudgeError(pub String);

/// Runs all tests of a package with some files written over its clean tree.
pub type Judge<'a> = dyn Fn(&Package, &[FileChange]) -> Result<Verdict, JudgeError> + Sync + 'a;

/// How many bugs of which sort are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlantOptions {
    /// Decides which candidates are tried, and in which order.
    pub seed: u64,
    /// Stop at this many tasks.
    pub max_tasks: usize,
    /// Stop after this many candidates.
    pub max_candidates: usize,
    /// Candidates of one function.
    pub per_function: usize,
    /// Lines of the longest function that is used: a prompt shows all of it.
    pub max_lines: usize,
    /// A bug that fails more tests than this is too easy to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_fail_to_pass: Option<usize>,
    /// The kinds of bugs.
    pub kinds: Vec<BugKind>,
}

impl Default for PlantOptions {
    fn default() -> Self {
        PlantOptions {
            seed: 0,
            max_tasks: 100,
            max_candidates: 400,
            per_function: 4,
            max_lines: 40,
            max_fail_to_pass: None,
            kinds: BugKind::ALL.to_vec(),
        }
    }
}

/// The tasks of a package.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planted {
    /// In the order of the candidates.
    pub tasks: Vec<Task>,
    /// What became of every candidate.
    pub counts: PlantCounts,
}

/// What became of every candidate: `candidates` is the sum of `kept` and of those after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlantCounts {
    /// Tests that pass on the clean tree in every run of it.
    pub clean_passing: usize,
    /// Tests that fail, are skipped or differ on the clean tree; no task uses them.
    pub clean_excluded: usize,
    /// Candidates that were judged.
    pub candidates: usize,
    /// Became tasks.
    pub kept: usize,
    /// No test noticed.
    pub no_failing_test: usize,
    /// The second run differed from the first.
    pub flaky: usize,
    /// Nothing passes any more, or tests are no longer found: the package does not import.
    pub broke_everything: usize,
    /// The run did not come to its end: it died, or more than a few tests hang.
    pub timed_out: usize,
    /// More tests fail than [`PlantOptions::max_fail_to_pass`].
    pub too_easy: usize,
    /// The judge erred twice.
    pub infrastructure: usize,
}

impl PlantCounts {
    /// How many candidates became no task, and why.
    pub fn dropped(&self) -> [(usize, &'static str); 6] {
        [
            (self.no_failing_test, "no test notices them"),
            (self.too_easy, "more tests fail than are wanted"),
            (
                self.flaky,
                "the second run of the tests differed from the first",
            ),
            (
                self.broke_everything,
                "nothing passes any more, or tests are no longer found",
            ),
            (
                self.timed_out,
                "the run of the tests did not come to its end",
            ),
            (self.infrastructure, "the tests could not be run"),
        ]
    }
}

/// Why a package gives no tasks.
#[derive(Debug, thiserror::Error)]
pub enum PlantError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The judge fails on the clean tree.
    #[error("cannot run the tests of `{package}` on its clean tree: {source}")]
    Judge {
        /// The package.
        package: String,
        /// What the judge said.
        source: JudgeError,
    },
    /// The tests of the clean tree do not come to their end.
    #[error(
        "the tests of `{0}` do not finish on its clean tree{hint}",
        hint = crate::Hint("raise the time limit, or leave out slow tests")
    )]
    Unfinished(String),
    /// No test passes on the clean tree.
    #[error(
        "no test of `{0}` passes on its clean tree{hint}",
        hint = crate::Hint(
            "check that its tests are in the tree, that its `python_path` is \
         right, and that it declares what its tests import: nothing else is installed for it"
        )
    )]
    NothingPasses(String),
    /// The judge erred on every candidate.
    #[error("the judge failed on all {candidates} candidates of `{package}`, last with: {source}")]
    Infrastructure {
        /// The package.
        package: String,
        /// How many.
        candidates: usize,
        /// The last error.
        source: JudgeError,
    },
}

/// Plants bugs in a package and keeps those that its tests notice.
///
/// `progress` hears how many more tasks there are, again and again. Candidates are judged in parallel; the outcome does
/// not depend on how many at once.
///
/// # Errors
///
/// When the clean tree is unhealthy, a file cannot be read, or the judge fails on every candidate.
pub fn plant(
    package: &Package,
    options: &PlantOptions,
    judge: &Judge,
    progress: &mut dyn FnMut(usize),
) -> Result<Planted, PlantError> {
    let healthy = Healthy::find(package, judge)?;
    let (clean_passing, clean_excluded) = (healthy.tests.len(), healthy.excluded);
    let counts = PlantCounts {
        clean_passing,
        clean_excluded,
        ..PlantCounts::default()
    };
    let mut planted = Planted {
        tasks: Vec::new(),
        counts,
    };
    let candidates = candidates(package, options)?;
    let mut bench = Bench {
        package,
        options,
        judge,
        healthy,
        base_commit: tree_hash(&package.root)?,
    };

    let mut last_error = None;
    // A chunk is judged at once and counted in order; what lies beyond the last wanted task is forgotten.
    for chunk in candidates.chunks(4 * rayon::current_num_threads()) {
        if planted.tasks.len() >= options.max_tasks {
            break;
        }
        let judged = || {
            chunk
                .par_iter()
                .map(|candidate| bench.fate(candidate))
                .collect::<Vec<Fate>>()
        };
        let (fates, clean) = rayon::join(judged, || bench.run(&[]));
        let before = planted.tasks.len();
        for fate in fates {
            if planted.tasks.len() < options.max_tasks {
                last_error = planted.count(fate).or(last_error);
            }
        }
        planted.heed(&mut bench.healthy, clean);
        progress(planted.tasks.len().saturating_sub(before));
    }
    match last_error {
        Some(source) if planted.counts.infrastructure == planted.counts.candidates => {
            let (package, candidates) = (package.name.clone(), planted.counts.candidates);
            Err(PlantError::Infrastructure {
                package,
                candidates,
                source,
            })
        }
        _ => Ok(planted),
    }
}

impl Planted {
    fn count(&mut self, fate: Fate) -> Option<JudgeError> {
        let counts = &mut self.counts;
        counts.candidates += 1;
        match fate {
            Fate::Kept(task) => {
                counts.kept += 1;
                self.tasks.push(*task);
            }
            Fate::NoFailingTest => counts.no_failing_test += 1,
            Fate::Flaky => counts.flaky += 1,
            Fate::BrokeEverything => counts.broke_everything += 1,
            Fate::TimedOut => counts.timed_out += 1,
            Fate::TooEasy => counts.too_easy += 1,
            Fate::Infrastructure(error) => {
                counts.infrastructure += 1;
                return Some(error);
            }
        }
        None
    }
}

/// A bug in its file, not yet judged.
struct Candidate {
    path: String,
    clean: Arc<str>,
    function: Function,
    bug: Bug,
    id: String,
    patch: Patch,
}

/// The candidates of a package in their seeded order, each patch once.
fn candidates(package: &Package, options: &PlantOptions) -> Result<Vec<Candidate>, PlantError> {
    let mut ranked = Vec::new();
    for file in python_files(&package.root)? {
        let path = below(&package.root, &file);
        let clean: Arc<str> = read_text(&file)?.into();
        // A repair of a file that is guarded by its name would be left out.
        if check_path(&path).is_err() || is_guarded(&path) || parse(&clean).root_node().has_error()
        {
            continue;
        }
        for function in functions(&clean)
            .into_iter()
            .filter(|function| function.lines() <= options.max_lines)
        {
            for bug in pick(
                &clean,
                &function,
                &options.kinds,
                options.seed,
                options.per_function,
            ) {
                let place = format!("{}-{}", bug.start, bug.end);
                let rank = rank(options.seed, &[&path, &place, &bug.replacement]);
                ranked.push((rank, path.clone(), clean.clone(), function.clone(), bug));
            }
        }
    }
    ranked.sort_by(|a, b| (a.0, &a.1, a.4.start).cmp(&(b.0, &b.1, b.4.start)));

    let mut seen = HashSet::new();
    let mut candidates = Vec::new();
    for (_, path, clean, function, bug) in ranked {
        if candidates.len() == options.max_candidates {
            break;
        }
        let patch = Patch::between(&path, &clean, &apply(&clean, &bug));
        let id = format!("{}.{}__{}", package.name, bug.kind, patch.sha());
        if seen.insert(id.clone()) {
            candidates.push(Candidate {
                path,
                clean,
                function,
                bug,
                id,
                patch,
            });
        }
    }
    Ok(candidates)
}

enum Fate {
    Kept(Box<Task>),
    NoFailingTest,
    Flaky,
    BrokeEverything,
    TimedOut,
    TooEasy,
    Infrastructure(JudgeError),
}

/// What is the same for all candidates of a package.
struct Bench<'a> {
    package: &'a Package,
    options: &'a PlantOptions,
    judge: &'a Judge<'a>,
    healthy: Healthy,
    base_commit: String,
}

impl Bench<'_> {
    fn fate(&self, candidate: &Candidate) -> Fate {
        let content = Some(apply(&candidate.clean, &candidate.bug));
        let changes = [FileChange {
            path: candidate.path.clone(),
            content,
        }];
        let first = match self.run(&changes) {
            Ok(verdict) => verdict,
            Err(error) => return Fate::Infrastructure(error),
        };
        let (failing, passing) = self.split(&first);
        if !first.finished {
            return Fate::TimedOut;
        }
        // What neither passes nor fails was not found: its module no longer imports.
        if passing.is_empty() || failing.len() + passing.len() < self.healthy.tests.len() {
            return Fate::BrokeEverything;
        }
        if failing.is_empty() {
            return Fate::NoFailingTest;
        }
        if self
            .options
            .max_fail_to_pass
            .is_some_and(|max| failing.len() > max)
        {
            return Fate::TooEasy;
        }
        // Only what would be kept is worth a second run.
        match self.run(&changes) {
            Err(error) => Fate::Infrastructure(error),
            Ok(second)
                if !second.finished
                    || self.split(&second) != (failing.clone(), passing.clone()) =>
            {
                Fate::Flaky
            }
            Ok(_) => Fate::Kept(Box::new(self.task(candidate, &first, [failing, passing]))),
        }
    }

    /// One retry: a machine that is short of memory for a moment should not cost a task.
    fn run(&self, changes: &[FileChange]) -> Result<Verdict, JudgeError> {
        (self.judge)(self.package, changes).or_else(|_| (self.judge)(self.package, changes))
    }

    /// The healthy tests that fail, and those that pass.
    fn split(&self, verdict: &Verdict) -> (BTreeSet<String>, BTreeSet<String>) {
        let failing: BTreeSet<String> = self
            .healthy
            .tests
            .intersection(&verdict.failed)
            .cloned()
            .collect();
        let passing = self
            .healthy
            .tests
            .intersection(&verdict.passed)
            .filter(|test| !failing.contains(*test))
            .cloned();
        let passing = passing.collect();
        (failing, passing)
    }

    fn task(&self, candidate: &Candidate, verdict: &Verdict, tests: [BTreeSet<String>; 2]) -> Task {
        let [failing, passing] = tests;
        let fixed = candidate
            .clean
            .lines()
            .nth(candidate.bug.line - 1)
            .unwrap_or_default();
        let Function {
            first_line,
            last_line,
            ..
        } = candidate.function;
        Task {
            format: TASK_FORMAT,
            id: candidate.id.clone(),
            repo: self.package.name.clone(),
            tree: self.package.tree.clone(),
            base_commit: self.base_commit.clone(),
            image: None,
            bug: candidate.patch.clone(),
            gold: candidate.patch.reversed(),
            kind: candidate.bug.kind.to_string(),
            statement: statement::statement(verdict.failure.as_ref(), &failing, fixed),
            // One line for one line: the function stands where it stood.
            focus: Focus {
                path: candidate.path.clone(),
                first_line,
                last_line,
            },
            fail_to_pass: failing.into_iter().collect(),
            pass_to_pass: passing.into_iter().collect(),
            trusted: Vec::new(),
            python_path: self.package.python_path.clone(),
            language: crate::task::Language::Python,
        }
    }
}

#[cfg(test)]
mod tests;

//! The tests that may judge: those that have never said anything but "passed" about the clean tree.
//!
//! Two quiet runs are not enough. A test that starts a program and kills it passes or fails by who is faster, which the
//! other runs on the machine decide; so the clean tree runs alone, then beside itself, and again beside the candidates.
//! Example: in a package of 200 tests, one that passes nine times in ten is found out before a task is made of it in six
//! cases of seven, and otherwise sooner or later, which takes back every task that rests on it.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{Judge, JudgeError, Package, PlantError, Planted, Verdict};

/// Runs with nothing beside them.
const ALONE: usize = 2;
/// Runs as many at once as there are threads: one for so many tests, within these bounds. Where there are few tests, few
/// of them are unsteady.
const BESIDE: std::ops::RangeInclusive<usize> = 4..=16;
const TESTS_A_RUN: usize = 12;

/// The tests of a package that may judge, and how many others there are.
pub(super) struct Healthy {
    pub tests: BTreeSet<String>,
    pub excluded: usize,
}

impl Healthy {
    /// Runs the clean tree until there is reason to trust what is left.
    pub fn find(package: &Package, judge: &Judge) -> Result<Healthy, PlantError> {
        let run = || match judge(package, &[]) {
            Ok(verdict) if verdict.finished => Ok(verdict),
            Ok(_) => Err(PlantError::Unfinished(package.name.clone())),
            Err(source) => Err(PlantError::Judge {
                package: package.name.clone(),
                source,
            }),
        };
        let mut runs = (0..ALONE)
            .map(|_| run())
            .collect::<Result<Vec<Verdict>, _>>()?;
        let beside = (runs[0].passed.len() / TESTS_A_RUN).clamp(*BESIDE.start(), *BESIDE.end());
        runs.extend(
            (0..beside)
                .into_par_iter()
                .map(|_| run())
                .collect::<Result<Vec<Verdict>, _>>()?,
        );
        let tests: BTreeSet<String> = runs
            .iter()
            .flat_map(|run| run.passed.union(&run.failed))
            .cloned()
            .collect();
        let mut healthy = Healthy { tests, excluded: 0 };
        runs.iter().for_each(|run| drop(healthy.heed(run)));
        if healthy.tests.is_empty() {
            return Err(PlantError::NothingPasses(package.name.clone()));
        }
        Ok(healthy)
    }

    /// Takes out what did not pass in one more run of the clean tree, with whatever other parameters of it did, and tells
    /// it. What a run that did not come to its end has not reached, it says nothing about.
    pub fn heed(&mut self, clean: &Verdict) -> BTreeSet<String> {
        let passes = |test: &&String| {
            !clean.failed.contains(*test) && (clean.passed.contains(*test) || !clean.finished)
        };
        let unsteady: BTreeSet<String> = self
            .tests
            .iter()
            .filter(|test| !passes(test))
            .map(|test| function(test).to_owned())
            .collect();
        let (kept, unsteady) = std::mem::take(&mut self.tests)
            .into_iter()
            .partition(|test| !unsteady.contains(function(test)));
        self.tests = kept;
        let unsteady: BTreeSet<String> = unsteady;
        self.excluded += unsteady.len();
        unsteady
    }
}

/// A test without its parameters: `tests/test_utils.py::test_pager[less]` is `tests/test_utils.py::test_pager`.
fn function(test: &str) -> &str {
    test.split('[').next().unwrap_or(test)
}

impl Planted {
    /// Takes back what rests on tests that turned out to be unsteady: the tasks that they notice, and their voice in the
    /// others.
    pub(super) fn without(&mut self, unsteady: &BTreeSet<String>) {
        let before = self.tasks.len();
        self.tasks.retain_mut(|task| {
            task.pass_to_pass.retain(|test| !unsteady.contains(test));
            !task.pass_to_pass.is_empty()
                && !task.fail_to_pass.iter().any(|test| unsteady.contains(test))
        });
        let lost = before - self.tasks.len();
        self.counts.kept -= lost;
        self.counts.flaky += lost;
        self.counts.clean_passing -= unsteady.len();
        self.counts.clean_excluded += unsteady.len();
    }

    /// One more run of the clean tree. A judge that erred says nothing.
    pub(super) fn heed(&mut self, healthy: &mut Healthy, clean: Result<Verdict, JudgeError>) {
        if let Ok(clean) = clean {
            self.without(&healthy.heed(&clean));
        }
    }
}

//! How long tests may take: so many times what they take on the clean tree.
//!
//! In: a job. Out: the same job with a time limit that fits its suite. A bug that loops for ever in a suite of 50 ms is
//! found out after two seconds, and a suite of ten seconds is not cut off.
//! Example: `times_clean = 20` and a suite of 0.4 s give 8 s, where `timeout_s` allows as many.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::sandbox::{End, Job, Sandbox, Select, TestRun};

/// No suite is given less: a busy machine is slow at times.
const LEAST_S: u64 = 2;

/// Remembers how long the tests of each clean tree take.
#[derive(Default)]
pub struct Patience {
    known: Mutex<HashMap<PathBuf, Arc<OnceLock<Option<Duration>>>>>,
}

impl Patience {
    /// Bounds the time of `job`. The first job on a tree runs its tests once on the clean tree; where that fails, the
    /// job keeps its own limit.
    pub fn bound(&self, sandbox: &dyn Sandbox, mut job: Job) -> Job {
        if job.limits.times_clean == 0 {
            return job;
        }
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(job.tree.clone()).or_default().clone()
        };
        let clean = cell.get_or_init(|| {
            let clean = Job { changes: Vec::new(), select: Select::All, stop_at_first_failure: false, ..job.clone() };
            // A run that ended early, or that did not find these tests, says nothing about them.
            let whole = |run: &TestRun| {
                let found = match &job.select {
                    Select::Ids(ids) => ids.iter().all(|id| run.tests.contains_key(id)),
                    Select::All => true,
                };
                found && matches!(run.end, End::Finished { exit: 0 | 1 })
            };
            sandbox.run(&clean).ok().filter(whole).map(|run| run.wall)
        });
        if let Some(wall) = clean {
            let most = (wall.as_secs_f64() * job.limits.times_clean as f64).ceil() as u64;
            job.limits.timeout_s = most.max(LEAST_S).min(job.limits.timeout_s);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::scripted::Scripted;
    use crate::sandbox::{Limits, Runner, SandboxError};

    fn bounded(timeout_s: u64, times_clean: u64, wall: Result<u64, ()>) -> (u64, usize) {
        let answer = move |_: &Job| match wall {
            Ok(ms) => Ok(TestRun { wall: Duration::from_millis(ms), ..Scripted::finished(&[]) }),
            Err(()) => Err(SandboxError::Environment("no".into())),
        };
        let sandbox = Scripted::new(answer);
        let patience = Patience::default();
        let limits = Limits { timeout_s, times_clean, ..Limits::default() };
        let job = || Job {
            tree: "a".into(),
            changes: Vec::new(),
            runner: Runner::Pytest,
            python_path: Vec::new(),
            select: Select::All,
            stop_at_first_failure: true,
            compared: false,
            limits: limits.clone(),
        };
        let first = patience.bound(&sandbox, job());
        assert_eq!(patience.bound(&sandbox, job()).limits, first.limits);
        (first.limits.timeout_s, sandbox.jobs().len())
    }

    #[test]
    fn the_limit_fits_the_suite_and_the_clean_tree_runs_once() {
        assert_eq!(bounded(60, 20, Ok(400)), (8, 1));
        assert_eq!(bounded(60, 20, Ok(10)), (2, 1), "no less than two seconds");
        assert_eq!(bounded(60, 20, Ok(50_000)), (60, 1), "no more than the limit");
        assert_eq!(bounded(1, 20, Ok(10)), (1, 1));
        assert_eq!(bounded(60, 20, Err(())), (60, 1));
        assert_eq!(bounded(60, 0, Ok(10)), (60, 0), "not asked for");
    }

    #[test]
    fn a_run_that_ended_early_says_nothing() {
        let sandbox = Scripted::new(|_| Ok(Scripted::ended(End::Died { exit: 0 })));
        let limits = Limits { times_clean: 20, ..Limits::default() };
        let select = Select::Ids(vec!["test_a.py::test_x".into()]);
        let (changes, python_path) = (Vec::new(), Vec::new());
        let (tree, runner) = ("a".into(), Runner::Pytest);
        let job =
            Job { tree, changes, runner, python_path, select, stop_at_first_failure: true, compared: false, limits };
        assert_eq!(Patience::default().bound(&sandbox, job).limits.timeout_s, 60);
    }
}

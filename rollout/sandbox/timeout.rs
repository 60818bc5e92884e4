//! How long tests may take: so many times what they take on the clean tree. What ran out of time, or was lost, has
//! another try with the machine to itself.
//!
//! In: a job. Out: its run, under a time limit that fits its suite. A bug that loops for ever in a suite of 50 ms is
//! found out after two seconds, and a suite of ten seconds is not cut off.
//! Example: `times_clean = 20` and a suite of 0.4 s give 8 s, where `timeout_s` allows as many.
//!
//! A job that used all of its CPU time is late however busy the machine is, and has one try. One that was late by the
//! clock alone may have been kept waiting by others: it runs once more while no other job of ours does, and what it does
//! then counts. So does a job that our machinery lost.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use crate::{End, Job, Runner, Sandbox, SandboxError, Select, TestRun};

/// No suite is given less: a busy machine is slow at times.
const LEAST_S: u64 = 2;

/// Runs of one job before an error of the sandbox is given up on.
pub const TRIES: usize = 3;
/// How a test of jest fails that took longer than a test may.
const SLOW_TEST: &str = "Timeout";

/// Remembers how long the tests of each clean tree take, and who has the machine.
#[derive(Default)]
pub struct Timeouts {
    known: Mutex<HashMap<PathBuf, Arc<OnceLock<Option<Duration>>>>>,
    /// Jobs share it; one that is tried again has it alone.
    machine: RwLock<()>,
}

impl Timeouts {
    /// Runs a job within the time of [`Timeouts::bound`]. Late by the clock, it runs once more, alone; lost, up to twice.
    ///
    /// # Errors
    ///
    /// When the sandbox fails three times.
    pub fn run(&self, sandbox: &dyn Sandbox, job: Job) -> Result<TestRun, SandboxError> {
        let job = self.bound(sandbox, job);
        let first = {
            let _shared = self.machine.read().unwrap_or_else(PoisonError::into_inner);
            sandbox.run(&job)
        };
        if first.as_ref().is_ok_and(|run| !may_be_the_load(&job, run)) {
            return first;
        }
        let _alone = self.machine.write().unwrap_or_else(PoisonError::into_inner);
        let mut tries = 2;
        loop {
            match sandbox.run(&job) {
                Err(_) if tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

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
            let clean = Job {
                changes: Vec::new(),
                select: Select::All,
                stop_at_first_failure: false,
                ..job.clone()
            };
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

/// Whether a run may have ended as it did because others had the machine.
fn may_be_the_load(job: &Job, run: &TestRun) -> bool {
    let used_all = run
        .cpu
        .is_some_and(|cpu| cpu >= Duration::from_secs(job.limits.timeout_s));
    let slow = |run: &TestRun| {
        run.first_failure
            .as_ref()
            .is_some_and(|failure| failure.exception == SLOW_TEST)
    };
    (run.end == End::TimedOut && !used_all) || (job.runner == Runner::Jest && slow(run))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::scripted::Scripted;
    use crate::{Failure, Limits};

    fn job(runner: Runner) -> Job {
        let limits = Limits {
            timeout_s: 4,
            ..Limits::default()
        };
        Job {
            runner,
            ..Job::whole("a".as_ref(), limits)
        }
    }

    /// What comes of a job whose runs end like this, one after the other, and how many there were.
    fn ran(runner: Runner, runs: Vec<Result<TestRun, ()>>) -> (Result<End, ()>, usize) {
        let count = runs.len();
        let runs = Mutex::new(runs.into_iter());
        let next = move |_: &Job| {
            let run = runs
                .lock()
                .unwrap()
                .next()
                .expect("no more runs than these");
            run.map_err(|()| SandboxError::Environment("lost".into()))
        };
        let sandbox = Scripted::new(next);
        let run = Timeouts::default().run(&sandbox, job(runner));
        assert_eq!(sandbox.jobs().len(), count, "every run is asked for");
        (run.map(|run| run.end).map_err(drop), count)
    }

    fn late(cpu_s: Option<u64>) -> Result<TestRun, ()> {
        Ok(TestRun {
            cpu: cpu_s.map(Duration::from_secs),
            ..Scripted::ended(End::TimedOut)
        })
    }

    #[test]
    fn a_job_that_was_late_by_the_clock_is_tried_once_more_and_the_second_run_counts() {
        let passed = || Ok(Scripted::finished(&[]));
        let finished = Ok(End::Finished { exit: 0 });
        assert_eq!(
            ran(Runner::Pytest, vec![late(Some(1)), passed()]),
            (finished.clone(), 2)
        );
        assert_eq!(
            ran(Runner::Pytest, vec![late(None), late(None)]),
            (Ok(End::TimedOut), 2)
        );
        assert_eq!(
            ran(Runner::Pytest, vec![late(Some(4))]),
            (Ok(End::TimedOut), 1),
            "it used all of its CPU time"
        );
        assert_eq!(ran(Runner::Pytest, vec![passed()]), (finished.clone(), 1));
        assert_eq!(
            ran(Runner::Pytest, vec![Err(()), Err(()), passed()]),
            (finished.clone(), 3)
        );
        assert_eq!(
            ran(Runner::Pytest, vec![Err(()), Err(()), Err(())]),
            (Err(()), 3)
        );
        let failure = Some(Failure {
            exception: SLOW_TEST.into(),
            ..Failure::default()
        });
        let slow = || {
            Ok(TestRun {
                first_failure: failure.clone(),
                ..Scripted::finished(&[])
            })
        };
        assert_eq!(
            ran(Runner::Jest, vec![slow(), passed()]),
            (finished.clone(), 2),
            "a test of jest has a clock, too"
        );
        assert_eq!(ran(Runner::Pytest, vec![slow()]), (finished, 1));
    }

    #[test]
    fn a_job_that_is_tried_again_has_the_machine_to_itself() {
        let (at_once, crowd) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tried = Mutex::new(HashMap::<PathBuf, usize>::new());
        let (here, others) = (at_once.clone(), crowd.clone());
        let sandbox = Scripted::new(move |job| {
            let running = here.fetch_add(1, Ordering::SeqCst) + 1;
            let again = {
                let mut tried = tried.lock().unwrap();
                let count = tried.entry(job.tree.clone()).or_default();
                *count += 1;
                *count > 1
            };
            if again && running > 1 {
                others.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::yield_now();
            here.fetch_sub(1, Ordering::SeqCst);
            Ok(Scripted::ended(End::TimedOut))
        });
        let timeouts = Timeouts::default();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let (timeouts, sandbox) = (&timeouts, &sandbox);
                let tree = PathBuf::from(number.to_string());
                scope.spawn(move || {
                    timeouts
                        .run(
                            sandbox,
                            Job {
                                tree,
                                ..job(Runner::Pytest)
                            },
                        )
                        .unwrap()
                });
            }
        });
        assert_eq!(
            (sandbox.jobs().len(), crowd.load(Ordering::SeqCst)),
            (32, 0)
        );
    }

    fn bounded(timeout_s: u64, times_clean: u64, wall: Result<u64, ()>) -> (u64, usize) {
        let answer = move |_: &Job| match wall {
            Ok(ms) => Ok(TestRun {
                wall: Duration::from_millis(ms),
                ..Scripted::finished(&[])
            }),
            Err(()) => Err(SandboxError::Environment("no".into())),
        };
        let sandbox = Scripted::new(answer);
        let timeouts = Timeouts::default();
        let limits = Limits {
            timeout_s,
            times_clean,
            ..Limits::default()
        };
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
        let first = timeouts.bound(&sandbox, job());
        assert_eq!(timeouts.bound(&sandbox, job()).limits, first.limits);
        (first.limits.timeout_s, sandbox.jobs().len())
    }

    #[test]
    fn the_limit_fits_the_suite_and_the_clean_tree_runs_once() {
        assert_eq!(bounded(60, 20, Ok(400)), (8, 1));
        assert_eq!(bounded(60, 20, Ok(10)), (2, 1), "no less than two seconds");
        assert_eq!(
            bounded(60, 20, Ok(50_000)),
            (60, 1),
            "no more than the limit"
        );
        assert_eq!(bounded(1, 20, Ok(10)), (1, 1));
        assert_eq!(bounded(60, 20, Err(())), (60, 1));
        assert_eq!(bounded(60, 0, Ok(10)), (60, 0), "not asked for");
    }

    #[test]
    fn a_run_that_ended_early_says_nothing() {
        let sandbox = Scripted::new(|_| Ok(Scripted::ended(End::Died { exit: 0 })));
        let limits = Limits {
            times_clean: 20,
            ..Limits::default()
        };
        let select = Select::Ids(vec!["test_a.py::test_x".into()]);
        let (changes, python_path) = (Vec::new(), Vec::new());
        let (tree, runner) = ("a".into(), Runner::Pytest);
        let job = Job {
            tree,
            changes,
            runner,
            python_path,
            select,
            stop_at_first_failure: true,
            compared: false,
            limits,
        };
        assert_eq!(
            Timeouts::default().bound(&sandbox, job).limits.timeout_s,
            60
        );
    }
}

//! A sandbox that runs as much at once as is allowed right now.
//!
//! In: jobs, from any number of threads. Out: what the sandbox behind it says. While there is less allowed than there
//! are threads, some wait; a place rests after each run as the quota says; and a job has more time, because a machine
//! that had to be slowed down is a slow one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Allowed;
use sandbox::{Isolation, Job, Sandbox, SandboxError, TestRun};

/// What is allowed, shared by who decides it and who keeps to it.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    allowed: Allowed,
    running: usize,
    /// Places that rest, each until its time.
    resting: Vec<Instant>,
}

impl Pace {
    /// Begins with this.
    pub fn new(allowed: Allowed) -> Self {
        Pace {
            state: Mutex::new(State {
                allowed,
                running: 0,
                resting: Vec::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Changes what is allowed. What runs is not disturbed.
    pub fn allow(&self, allowed: Allowed) {
        self.lock().allowed = allowed;
        self.changed.notify_all();
    }

    /// What is allowed now.
    pub fn allowed(&self) -> Allowed {
        self.lock().allowed
    }

    /// Runs that are under way.
    pub fn running(&self) -> usize {
        self.lock().running
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    fn enter(&self) -> Allowed {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state.resting.retain(|until| *until > now);
            if state.running + state.resting.len() < state.allowed.workers {
                state.running += 1;
                return state.allowed;
            }
            state = match state.resting.iter().min().copied() {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let waited = self.changed.wait_timeout(state, until - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn leave(&self, began: Instant) {
        let mut state = self.lock();
        let now = Instant::now();
        state.running -= 1;
        // Where the quota is whole again nobody has to rest.
        let rest = state.allowed.rest(now - began);
        if !rest.is_zero() {
            state.resting.push(now + rest);
        } else {
            state.resting.clear();
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Keeps a sandbox to a pace.
pub struct Paced {
    inner: Arc<dyn Sandbox>,
    pace: Arc<Pace>,
}

impl Paced {
    /// Runs jobs in `inner` at this pace.
    pub fn new(inner: Arc<dyn Sandbox>, pace: Arc<Pace>) -> Self {
        Paced { inner, pace }
    }
}

/// Gives the place back, also where a run panics.
struct Place<'a>(&'a Pace, Instant);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

impl Sandbox for Paced {
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError> {
        let allowed = self.pace.enter();
        let _place = Place(&self.pace, Instant::now());
        if allowed.quota >= 1.0 {
            return self.inner.run(job);
        }
        let mut job = job.clone();
        job.limits.timeout_s = allowed.deadline_s(job.limits.timeout_s);
        self.inner.run(&job)
    }

    fn command_in(
        &self,
        job: &Job,
        command: &str,
        layer: &[sandbox::workspace::Entry],
    ) -> Result<sandbox::workspace::CommandRun, SandboxError> {
        let _allowed = self.pace.enter();
        let _place = Place(&self.pace, Instant::now());
        self.inner.command_in(job, command, layer)
    }

    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use sandbox::scripted::Scripted;
    use sandbox::{Limits, Select};

    fn job() -> Job {
        Job {
            tree: "a".into(),
            changes: Vec::new(),
            runner: Default::default(),
            python_path: Vec::new(),
            select: Select::All,
            stop_at_first_failure: true,
            compared: false,
            limits: Limits::default(),
        }
    }

    /// Most runs at once, and the time limits, of 12 jobs from 4 threads.
    fn at_once(allowed: Allowed) -> (usize, Vec<u64>) {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = (now, most.clone());
        let sandbox = Arc::new(Scripted::new(move |_| {
            seen.1
                .fetch_max(seen.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            seen.0.fetch_sub(1, Ordering::SeqCst);
            Ok(Scripted::finished(&[]))
        }));
        let paced = Paced::new(sandbox.clone(), Arc::new(Pace::new(allowed)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..3).for_each(|_| drop(paced.run(&job()).expect("runs"))));
            }
        });
        assert_eq!(paced.pace.running(), 0);
        (
            most.load(Ordering::SeqCst),
            sandbox
                .jobs()
                .iter()
                .map(|job| job.limits.timeout_s)
                .collect(),
        )
    }

    #[test]
    fn no_more_run_at_once_than_is_allowed_and_all_of_them_run() {
        assert_eq!(
            at_once(Allowed {
                workers: 1,
                quota: 1.0
            }),
            (1, vec![60; 12])
        );
        assert!(
            at_once(Allowed {
                workers: 2,
                quota: 1.0
            })
            .0 <= 2
        );
    }

    #[test]
    fn who_is_slowed_down_has_more_time() {
        assert_eq!(
            at_once(Allowed {
                workers: 1,
                quota: 0.5
            }),
            (1, vec![120; 12])
        );
    }

    #[test]
    fn what_is_allowed_later_wakes_who_waits() {
        let pace = Arc::new(Pace::new(Allowed {
            workers: 0,
            quota: 1.0,
        }));
        let paced = Paced::new(
            Arc::new(Scripted::new(|_| Ok(Scripted::finished(&[])))),
            pace.clone(),
        );
        std::thread::scope(|scope| {
            let run = scope.spawn(|| paced.run(&job()).is_ok());
            pace.allow(Allowed {
                workers: 1,
                quota: 1.0,
            });
            assert!(run.join().expect("runs"));
        });
    }
}

//! A sandbox that runs nothing: tests of everything that needs a sandbox say what it answers.
//!
//! Example: `Scripted::new(|job| Ok(Scripted::finished(&[("test_a.py::test_one", TestStatus::Passed)])))`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::{End, Failure, Isolation, Job, Sandbox, SandboxError, TestRun, TestStatus};

type Answer = dyn Fn(&Job) -> Result<TestRun, SandboxError> + Send + Sync;

/// Answers every job with a function, and remembers the jobs.
pub struct Scripted {
    answer: Box<Answer>,
    jobs: Mutex<Vec<Job>>,
}

impl Scripted {
    /// A sandbox that answers with `answer`.
    pub fn new(
        answer: impl Fn(&Job) -> Result<TestRun, SandboxError> + Send + Sync + 'static,
    ) -> Self {
        Scripted {
            answer: Box::new(answer),
            jobs: Mutex::default(),
        }
    }

    /// The jobs so far.
    pub fn jobs(&self) -> Vec<Job> {
        self.jobs
            .lock()
            .map(|jobs| jobs.clone())
            .unwrap_or_default()
    }

    /// A run that ended by itself with these tests. The first failing one is told.
    pub fn finished(tests: &[(&str, TestStatus)]) -> TestRun {
        let failed = tests
            .iter()
            .find(|(_, status)| *status == TestStatus::Failed);
        let first_failure = failed.map(|(test, _)| Failure {
            test: (*test).to_string(),
            exception: "AssertionError".to_string(),
            message: "assert 1 == 2".to_string(),
            trace: "E   assert 1 == 2".to_string(),
            after_ms: 1,
            ..Failure::default()
        });
        TestRun {
            tests: tests
                .iter()
                .map(|(id, status)| ((*id).to_string(), *status))
                .collect(),
            missing: BTreeMap::new(),
            whys: BTreeMap::new(),
            end: End::Finished {
                exit: i32::from(first_failure.is_some()),
            },
            first_failure,
            output: String::new(),
            wall: Duration::from_millis(1),
            cpu: None,
        }
    }

    /// A run without any test that ended like this.
    pub fn ended(end: End) -> TestRun {
        TestRun {
            end,
            ..Scripted::finished(&[])
        }
    }
}

impl Sandbox for Scripted {
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError> {
        if let Ok(mut jobs) = self.jobs.lock() {
            jobs.push(job.clone());
        }
        (self.answer)(job)
    }

    fn isolation(&self) -> Isolation {
        Isolation {
            sandbox: "scripted".to_string(),
            barriers: Vec::new(),
        }
    }
}

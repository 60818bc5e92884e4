//! The tests of a task as the judge of a search for its smallest patch.
//!
//! In: a grader and a task. Out: [`Questions`], which answers what [`data::minimize::minimize`] asks, remembers what was
//! said, and counts the runs of tests.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use data::minimize::{Tests, Verdict};
use data::source::plant::JudgeError;
use data::{Patch, Task};
use rollout::grade::{Graded, Grader, repairs};
use rollout::outcome::Outcome;
use sandbox::{Isolation, Job, Sandbox, SandboxError, TestRun};

/// The tests of one task, as a judge.
pub struct Questions<'a> {
    grader: &'a Grader,
    root: &'a Path,
    task: &'a Task,
    known: HashMap<([u8; 32], Tests), Graded>,
    /// Runs of tests that were asked for.
    pub calls: usize,
}

impl<'a> Questions<'a> {
    /// About `task`, whose clean tree lies below `root`.
    pub fn new(grader: &'a Grader, root: &'a Path, task: &'a Task) -> Self {
        Questions {
            grader,
            root,
            task,
            known: HashMap::new(),
            calls: 0,
        }
    }

    /// What the tests say about a patch on the base tree; a question that was asked before costs nothing.
    ///
    /// # Errors
    ///
    /// When the sandbox fails three times.
    pub fn graded(&mut self, patch: &Patch, tests: Tests) -> Result<Graded, SandboxError> {
        let hash = *blake3::hash(patch.text().as_bytes()).as_bytes();
        if let Some(graded) = self.known.get(&(hash, tests)) {
            return Ok(graded.clone());
        }
        self.calls += 1;
        let tests = match tests {
            Tests::FailToPass if self.grader.asks_first(self.root, self.task)? => tests,
            // What runs all tests answers both questions.
            Tests::FailToPass | Tests::All => Tests::All,
        };
        let graded = match tests {
            Tests::FailToPass => self.grader.grade_first(self.root, self.task, patch)?,
            Tests::All => self.grader.grade_anew(self.root, self.task, patch)?,
        };
        if tests == Tests::All {
            self.known.insert((hash, Tests::FailToPass), graded.clone());
        }
        self.known.insert((hash, tests), graded.clone());
        Ok(graded)
    }

    /// The same as a verdict.
    ///
    /// # Errors
    ///
    /// As [`Questions::graded`].
    pub fn verdict(&mut self, patch: &Patch, tests: Tests) -> Result<Verdict, JudgeError> {
        let graded = self
            .graded(patch, tests)
            .map_err(|error| JudgeError(error.to_string()))?;
        let passes = match tests {
            Tests::FailToPass => repairs(&graded.outcome),
            Tests::All => graded.outcome == Outcome::Resolved,
        };
        Ok(match graded.outcome {
            Outcome::DoesNotApply => Verdict::Unresolved,
            _ if passes => Verdict::Passes,
            _ => Verdict::Fails,
        })
    }

    /// Asks once more, whatever is remembered: tests that say another thing now are flaky.
    ///
    /// # Errors
    ///
    /// As [`Questions::graded`].
    pub fn again(&mut self, patch: &Patch) -> Result<Graded, SandboxError> {
        self.calls += 1;
        self.grader.grade_anew(self.root, self.task, patch)
    }
}

/// Counts the runs of a sandbox, whoever asks for them.
pub struct Counted {
    inner: Arc<dyn Sandbox>,
    runs: AtomicUsize,
}

impl Counted {
    /// Around `inner`.
    pub fn new(inner: Arc<dyn Sandbox>) -> Self {
        Counted {
            inner,
            runs: AtomicUsize::new(0),
        }
    }

    /// Runs so far.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }
}

impl Sandbox for Counted {
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.inner.run(job)
    }

    fn command_in(
        &self,
        job: &Job,
        command: &str,
        layer: &[sandbox::workspace::Entry],
    ) -> Result<sandbox::workspace::CommandRun, SandboxError> {
        self.inner.command_in(job, command, layer)
    }

    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }
}

//! What the tests say about a tree: the targets first, the others only where that can matter.
//!
//! In: a [`WorkTree`] and the best number of passing targets so far. Out: [`Checked`]. The targets run in a fresh sandbox;
//! where all of them pass, the patch is graded by the [`Grader`], in another fresh one, with the trusted test files. Where
//! more pass than before, the other tests run too, since a state that breaks one is no passing state.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data::task::file_of;
use data::{Patch, Task};
use sandbox::timeout::Timeouts;
use sandbox::workspace::Workspace;
use sandbox::{
    End, Failure, Job, Limits, Runner, Sandbox, SandboxError, Select, TestRun, TestStatus,
};

use super::ShellConfig;
use super::state::WorkTree;
use crate::grade::{Graded, Grader};
use crate::outcome::Outcome;
use crate::outcome::Status;

/// What is kept of what a dead run printed.
const OUTPUT_BYTES: usize = 4000;

/// What the tests said.
#[derive(Clone, Debug)]
pub struct Checked {
    /// In one word.
    pub status: Status,
    /// Target tests that pass; a file that could not be loaded passes with all of its tests.
    pub passing: usize,
    /// The targets by the ids of the tests that ran.
    pub ran: Vec<String>,
    /// Whether a test fails that passed before.
    pub broken: bool,
    /// The first failing test.
    pub failure: Option<Failure>,
    /// The end of what a run printed that died.
    pub output: String,
    /// Evidence against a patch that passes its tests.
    pub suspicion: Option<String>,
    /// Wall time of all runs.
    pub wall: Duration,
    /// When the first test failed; none where none did.
    pub failed_at: Option<Instant>,
}

/// Runs the tests of a task.
pub struct Checker {
    sandbox: Arc<dyn Sandbox>,
    grader: Arc<Grader>,
    limits: Limits,
    timeouts: Timeouts,
}

impl Checker {
    /// A checker that runs targets in `sandbox` under `limits`, and has patches judged by `grader`.
    pub fn new(sandbox: Arc<dyn Sandbox>, grader: Arc<Grader>, limits: Limits) -> Self {
        Checker {
            sandbox,
            grader,
            limits,
            timeouts: Timeouts::default(),
        }
    }

    /// A work tree for commands that begins as `tree`, in another sandbox than any that judges.
    ///
    /// # Errors
    ///
    /// When the tree cannot be copied.
    pub fn workspace(
        &self,
        task: &Task,
        tree: &WorkTree,
        shell: &ShellConfig,
    ) -> Result<Workspace, SandboxError> {
        let limits = Limits {
            timeout_s: shell.timeout_command,
            output_bytes: shell.output_bytes,
            ..self.limits.clone()
        };
        let (sandbox, changes) = (self.sandbox.clone(), tree.changes());
        Workspace::open(sandbox, tree.root(), &changes, &task.python_path, limits)
    }

    /// The target tests over a tree. `apart`: each in a run of its own, so that one that hangs stops no other.
    ///
    /// # Errors
    ///
    /// When the sandbox fails three times.
    pub fn targets(
        &self,
        task: &Task,
        tree: &WorkTree,
        apart: bool,
    ) -> Result<Checked, SandboxError> {
        let ids = &task.fail_to_pass;
        let groups: Vec<&[String]> = if apart {
            ids.chunks(1).collect()
        } else {
            vec![ids]
        };
        let mut all: Option<Checked> = None;
        for group in groups {
            let began = Instant::now();
            let run = self.run(task, tree, group, group.len() == 1)?;
            let one = checked(group, run, began);
            all = Some(match all {
                None => one,
                Some(before) => before.and(one),
            });
        }
        Ok(all.expect("a task has at least one failing test"))
    }

    /// Everything that a try needs to know. `best` targets passed before.
    ///
    /// # Errors
    ///
    /// As [`Checker::targets`].
    pub fn check(
        &self,
        root: &Path,
        task: &Task,
        tree: &WorkTree,
        patch: &Patch,
        best: usize,
        apart: bool,
    ) -> Result<Checked, SandboxError> {
        let mut checked = self.targets(task, tree, apart)?;
        if checked.status == Status::Pass {
            let began = Instant::now();
            // What could not be loaded before is judged by the tests that it turned out to hold.
            let loaded = Task {
                fail_to_pass: checked.ran.clone(),
                ..task.clone()
            };
            let task = if loaded.fail_to_pass == task.fail_to_pass {
                task
            } else {
                &loaded
            };
            let graded = self.grader.grade(root, task, patch)?;
            return Ok(checked.judged(graded, began));
        }
        if checked.passing > best && !task.pass_to_pass.is_empty() {
            let began = Instant::now();
            let run = self.run(task, tree, &task.pass_to_pass, true)?;
            checked.wall += run.wall;
            let held = |id: &String| {
                run.tests
                    .get(id)
                    .is_none_or(|status| *status != TestStatus::Failed)
            };
            checked.broken =
                !matches!(run.end, End::Finished { .. }) || !task.pass_to_pass.iter().all(held);
            if checked.broken && run.first_failure.is_some() {
                checked.failed_at = failed_at(&run, began);
                checked.failure = run.first_failure;
            }
        }
        Ok(checked)
    }

    fn run(
        &self,
        task: &Task,
        tree: &WorkTree,
        ids: &[String],
        stop: bool,
    ) -> Result<TestRun, SandboxError> {
        let job = Job {
            tree: tree.root().to_path_buf(),
            changes: tree.changes(),
            runner: Runner::for_language(task.language),
            python_path: task.python_path.clone(),
            select: Select::Ids(ids.to_vec()),
            stop_at_first_failure: stop,
            compared: false,
            limits: self.limits.clone(),
        };
        self.timeouts.run(self.sandbox.as_ref(), job)
    }
}

impl Checked {
    /// Two runs as one: what is worse counts, and the failure that came first.
    fn and(self, other: Checked) -> Checked {
        let status = if self.status == Status::Pass {
            other.status
        } else {
            self.status
        };
        Checked {
            status,
            passing: self.passing + other.passing,
            ran: [self.ran, other.ran].concat(),
            broken: self.broken || other.broken,
            failed_at: if self.failure.is_some() {
                self.failed_at
            } else {
                other.failed_at
            },
            failure: self.failure.or(other.failure),
            output: if self.output.is_empty() {
                other.output
            } else {
                self.output
            },
            suspicion: self.suspicion.or(other.suspicion),
            wall: self.wall + other.wall,
        }
    }

    /// With the verdict of the grader.
    fn judged(self, graded: Graded, began: Instant) -> Checked {
        let broken = match graded.outcome {
            Outcome::Resolved => false,
            Outcome::BrokeOthers { .. } => true,
            // With all tests together a target fails, or the run ends otherwise: no state to go back to.
            Outcome::StillFailing { .. }
            | Outcome::TimedOut
            | Outcome::OutOfMemory
            | Outcome::DoesNotApply
            | Outcome::NoPatch
            | Outcome::Crashed => true,
        };
        let after = graded
            .failure
            .as_ref()
            .map(|failure| began + Duration::from_millis(failure.after_ms));
        Checked {
            status: Status::from(&graded.outcome),
            broken,
            failed_at: after.map(|at| at.min(Instant::now())),
            failure: graded.failure,
            suspicion: graded.suspicion,
            wall: self.wall
                + if graded.cached {
                    Duration::ZERO
                } else {
                    graded.wall
                },
            ..self
        }
    }
}

fn checked(ids: &[String], run: TestRun, began: Instant) -> Checked {
    let tests_of = |id: &String| -> Vec<String> {
        match run.tests.contains_key(id) || id.contains("::") {
            true => vec![id.clone()],
            false => run
                .tests
                .keys()
                .filter(|test| file_of(test) == id)
                .cloned()
                .collect(),
        }
    };
    let passed = |id: &String| run.tests.get(id) == Some(&TestStatus::Passed);
    let passes = |id: &&String| tests_of(id).iter().all(passed) && !tests_of(id).is_empty();
    let passing = ids.iter().filter(passes).count();
    let status = match run.end {
        End::TimedOut => Status::Timeout,
        End::OutOfMemory => Status::Oom,
        End::Died { .. } => Status::Crash,
        End::Finished { exit: 0 } if passing == ids.len() => Status::Pass,
        End::Finished { .. } => Status::Fail,
    };
    let keep = run.output.len().saturating_sub(OUTPUT_BYTES);
    let keep = (keep..=run.output.len())
        .find(|at| run.output.is_char_boundary(*at))
        .unwrap_or(run.output.len());
    let told = matches!(status, Status::Crash | Status::Oom)
        || run.first_failure.is_none() && status != Status::Pass;
    Checked {
        status,
        passing,
        ran: ids.iter().flat_map(tests_of).collect(),
        broken: false,
        failed_at: failed_at(&run, began),
        output: if told {
            run.output[keep..].to_string()
        } else {
            String::new()
        },
        failure: run.first_failure,
        suspicion: None,
        wall: run.wall,
    }
}

/// When the first test failed: so long after the start of the run that told it.
fn failed_at(run: &TestRun, began: Instant) -> Option<Instant> {
    let after = Duration::from_millis(run.first_failure.as_ref()?.after_ms);
    // A run may have waited for its turn before it began.
    let waited = began.elapsed().saturating_sub(run.wall);
    Some((began + waited + after).min(Instant::now()))
}

//! The one verdict, and how the log, the reports and the classes of errors say it.
//!
//! In: what the tests said about a patch, as an [`Outcome`]. Out: a [`Status`] for the log, a [`Resolution`] for a report in
//! the manner of SWE-bench, a count in [`Classes`].
//! Example: `Outcome::BrokeOthers` is `BROKE` in the log, unresolved in a report, and counts under `broke_others`.

use serde::{Deserialize, Serialize};

use crate::trajectory::Trajectory;

/// What the tests said about a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every test that judges ran and passed, or is left as the gold patch leaves it.
    Resolved,
    /// Not all of `fail_to_pass` pass. A run stops at the first failure, so tests behind it count as failed.
    StillFailing {
        /// Tests of `fail_to_pass` that passed.
        passed: usize,
        /// Tests of `fail_to_pass` that failed, were skipped or did not run.
        failed: usize,
    },
    /// `fail_to_pass` passes, and tests that passed before do not any more.
    BrokeOthers {
        /// Tests of `pass_to_pass` that failed or were skipped; where none did, those that are missing.
        broken: usize,
    },
    /// The time limit was reached.
    TimedOut,
    /// The memory limit was reached.
    OutOfMemory,
    /// The patch does not fit the base tree.
    DoesNotApply,
    /// There is no patch, or it changes nothing but what judges it.
    NoPatch,
    /// The process died before the run was over.
    Crashed,
}

impl Outcome {
    /// Its name in files, such as `still_failing`.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Resolved => "resolved",
            Outcome::StillFailing { .. } => "still_failing",
            Outcome::BrokeOthers { .. } => "broke_others",
            Outcome::TimedOut => "timed_out",
            Outcome::OutOfMemory => "out_of_memory",
            Outcome::DoesNotApply => "does_not_apply",
            Outcome::NoPatch => "no_patch",
            Outcome::Crashed => "crashed",
        }
    }
}

/// How a try ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Every test that must pass ran and passed.
    Pass,
    /// A target test still fails.
    Fail,
    /// The target tests pass, another test broke.
    Broke,
    /// The tests were killed at their time limit.
    Timeout,
    /// The tests were killed at their memory limit.
    Oom,
    /// The tests died.
    Crash,
    /// The patch does not apply.
    NotApplied,
    /// The answer is no patch.
    NoPatch,
    /// The answer was cut off.
    Truncated,
    /// Our machinery failed; there is no verdict.
    Lost,
}

impl Status {
    /// The status of an attempt. An answer that was cut off has no patch for that reason.
    pub fn from_trajectory(trajectory: &Trajectory) -> Self {
        match Status::from(&trajectory.outcome) {
            Status::NoPatch if trajectory.stop.is_truncated() => Status::Truncated,
            status => status,
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Status::Pass => "PASS",
            Status::Fail => "FAIL",
            Status::Broke => "BROKE",
            Status::Timeout => "TIMEOUT",
            Status::Oom => "OOM",
            Status::Crash => "CRASH",
            Status::NotApplied => "NOT_APPLIED",
            Status::NoPatch => "NO_PATCH",
            Status::Truncated => "TRUNCATED",
            Status::Lost => "LOST",
        }
    }
}

/// What the log writes of a verdict.
impl From<&Outcome> for Status {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Resolved => Status::Pass,
            Outcome::StillFailing { .. } => Status::Fail,
            Outcome::BrokeOthers { .. } => Status::Broke,
            Outcome::TimedOut => Status::Timeout,
            Outcome::OutOfMemory => Status::Oom,
            Outcome::Crashed => Status::Crash,
            Outcome::DoesNotApply => Status::NotApplied,
            Outcome::NoPatch => Status::NoPatch,
        }
    }
}

/// What became of a prediction, as reports in the manner of SWE-bench count it: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Every test that judges ran and passed.
    Resolved,
    /// Not all did, or nothing was answered.
    Unresolved,
    /// The answer is no patch of this tree.
    InvalidPatch,
    /// The time limit was reached.
    Timeout,
    /// The memory limit was reached.
    Oom,
    /// Our own machinery failed: no verdict.
    Infra,
}

/// What a report in the manner of SWE-bench makes of a verdict.
impl From<&Outcome> for Resolution {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Resolved => Resolution::Resolved,
            Outcome::StillFailing { .. }
            | Outcome::BrokeOthers { .. }
            | Outcome::Crashed
            | Outcome::NoPatch => Resolution::Unresolved,
            Outcome::DoesNotApply => Resolution::InvalidPatch,
            Outcome::TimedOut => Resolution::Timeout,
            Outcome::OutOfMemory => Resolution::Oom,
        }
    }
}

/// How many attempts ended in which way. Each attempt is in one class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// Every test that must pass passed.
    pub resolved: u64,
    /// A target test still fails.
    pub not_fixed: u64,
    /// The target tests pass, another broke.
    pub broke_others: u64,
    /// The tests hung.
    pub timed_out: u64,
    /// The tests used too much memory.
    #[serde(default)]
    pub out_of_memory: u64,
    /// The tests died.
    pub crashed: u64,
    /// The patch does not apply.
    pub does_not_apply: u64,
    /// The answer is no patch.
    pub no_patch: u64,
    /// The answer was cut off.
    pub truncated: u64,
    /// Our machinery failed; in no other figure.
    pub lost: u64,
}

impl Classes {
    /// Counts one attempt.
    pub fn count(&mut self, status: Status) {
        let class = match status {
            Status::Pass => &mut self.resolved,
            Status::Fail => &mut self.not_fixed,
            Status::Broke => &mut self.broke_others,
            Status::Timeout => &mut self.timed_out,
            Status::Oom => &mut self.out_of_memory,
            Status::Crash => &mut self.crashed,
            Status::NotApplied => &mut self.does_not_apply,
            Status::NoPatch => &mut self.no_patch,
            Status::Truncated => &mut self.truncated,
            Status::Lost => &mut self.lost,
        };
        *class += 1;
    }
}

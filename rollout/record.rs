//! One JSON line per try.
//!
//! In: an attempt, its place in the run, and the time. Out: a line of a [`data::log::Log`].
//! Example: `{"ts":"2025-12-10T14:23:41Z","retry":7,"queue":"Deep","patch_sha":"1a3f5b2c",
//! "test":"test_cli.py::test_upload","status":"FAIL","trace_bytes":812,…}`.

use std::time::SystemTime;

use data::log::timestamp;
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Lost};
use crate::outcome::Status;
use crate::trajectory::Stop;

/// Which budget a try is taken from (R5). A try on its own is `Fast`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Queue {
    /// The first tries, without roll-back.
    Fast,
    /// Tries across files, from the last passing state.
    Deep,
    /// Tries that hand rules help.
    Rescue,
}

/// Where in a run a try stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the try at its task, from 1.
    pub retry: u32,
    /// Its budget.
    pub queue: Queue,
    /// Its group; none in an evaluation.
    pub group: Option<u64>,
    /// The step of the optimizer it is drawn for; none in an evaluation.
    pub step: Option<u64>,
}

/// One line of the log. The keys are written in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// UTC, to the second.
    pub ts: String,
    /// Number of the try at its task, from 1.
    pub retry: u32,
    /// Its budget.
    pub queue: Queue,
    /// The start of the patch's BLAKE3; none without a patch.
    pub patch_sha: Option<String>,
    /// The first failing test, or the first that had to pass.
    pub test: String,
    /// How it ended.
    pub status: Status,
    /// Size of the failure's trace.
    pub trace_bytes: usize,
    /// The task.
    pub task: String,
    /// Its group.
    pub group: Option<u64>,
    /// Its step.
    pub step: Option<u64>,
    /// What it is worth; none when it is lost.
    pub reward: Option<f32>,
    /// Why the answer ended; none when the attempt is lost.
    pub stop: Option<Stop>,
    /// True where an earlier verdict was used again.
    pub cached: bool,
    /// Time in the sandbox; where `cached`, that of the run behind the verdict.
    pub wall_ms: u64,
    /// What the policy wrote; none when the attempt is lost.
    pub answer: Option<String>,
    /// Why the attempt is lost; left out where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

impl Record {
    /// The line of an attempt, graded or lost.
    pub fn new(at: SystemTime, place: Place, attempt: &Result<Attempt, Lost>) -> Self {
        let Place {
            retry,
            queue,
            group,
            step,
        } = place;
        let ts = timestamp(at);
        match attempt {
            Ok(attempt) => Record {
                ts,
                retry,
                queue,
                patch_sha: attempt.trajectory.patch.as_ref().map(data::Patch::sha),
                test: attempt.test.clone(),
                status: Status::from_trajectory(&attempt.trajectory),
                trace_bytes: attempt.trace_bytes,
                task: attempt.trajectory.task_id.clone(),
                group,
                step,
                reward: Some(attempt.trajectory.reward),
                stop: Some(attempt.trajectory.stop),
                cached: attempt.cached,
                wall_ms: u64::try_from(attempt.wall.as_millis()).unwrap_or(u64::MAX),
                answer: Some(attempt.trajectory.text.clone()),
                lost: None,
            },
            Err(lost) => Record {
                ts,
                retry,
                queue,
                patch_sha: None,
                test: String::new(),
                status: Status::Lost,
                trace_bytes: 0,
                task: lost.task_id().to_owned(),
                group,
                step,
                reward: None,
                stop: None,
                cached: false,
                wall_ms: 0,
                answer: None,
                lost: Some(lost.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests;

//! Attempts without a verdict.

use std::sync::Arc;

use sandbox::SandboxError;

/// Why an attempt has no verdict: our fault, never the model's. It leaves its group and is counted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lost {
    /// The sandbox failed.
    #[error("no verdict on an attempt at `{task_id}`: {source}")]
    Sandbox {
        /// The task.
        task_id: String,
        /// What failed.
        source: Arc<SandboxError>,
    },
    /// The base tree of the task cannot be made.
    #[error("the base tree of task `{task_id}` is broken: {reason}")]
    Base {
        /// The task.
        task_id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tests pass, and the patch talks to whoever runs them: worth neither 1 nor 0 before somebody looked at it.
    #[error("an attempt at `{task_id}` is quarantined: {reason}")]
    Quarantined {
        /// The task.
        task_id: String,
        /// What is suspicious about it.
        reason: String,
    },
    /// Our own code panicked.
    #[error("grading an attempt at `{task_id}` panicked: {message}")]
    Panicked {
        /// The task.
        task_id: String,
        /// What it said.
        message: String,
    },
    /// An earlier process of the run lost it.
    #[error("{message}")]
    Earlier {
        /// The task.
        task_id: String,
        /// What it said then.
        message: String,
    },
    /// The run was cancelled before this attempt was graded.
    #[error("cancelled before an attempt at `{task_id}` was graded")]
    Cancelled {
        /// The task.
        task_id: String,
    },
}

impl Lost {
    /// The task of the attempt.
    pub fn task_id(&self) -> &str {
        match self {
            Lost::Sandbox { task_id, .. }
            | Lost::Base { task_id, .. }
            | Lost::Quarantined { task_id, .. }
            | Lost::Panicked { task_id, .. }
            | Lost::Earlier { task_id, .. }
            | Lost::Cancelled { task_id } => task_id,
        }
    }
}

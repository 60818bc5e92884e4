//! What came of a task: every try, why it ended, the patch.
//!
//! In: what a [`super::Agent`] did. Out: plain data that is written down and read again.

use data::{Message, Patch};
use sandbox::SandboxError;
use serde::{Deserialize, Serialize};

use crate::agent::queue::{From, Review};
use crate::agent::rescue::Help;
use crate::attempt::Lost;
use crate::outcome::Status;
use crate::policy::PolicyError;
use crate::record::Queue;

/// One try, as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Try {
    /// From 1.
    pub retry: u32,
    /// Its budget.
    pub queue: Queue,
    /// Where it started from.
    pub from: From,
    /// What was asked.
    pub asked: Vec<Message>,
    /// The turns that followed in a shell, up to the last answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Message>,
    /// Commands that ran.
    #[serde(default)]
    pub commands: u32,
    /// Commands that were the same as those before again and again.
    #[serde(default)]
    pub stuck: u32,
    /// What was answered; in a shell the last answer.
    pub answer: String,
    /// Why the answer ended.
    pub stop: data::sampling::Stop,
    /// Tokens that were sampled.
    pub tokens: usize,
    /// The edits so far, as a patch of the base tree.
    pub patch: Patch,
    /// Files whose edits were left out because they judge.
    pub guarded: Vec<String>,
    /// How it ended.
    pub status: Status,
    /// Target tests that pass.
    pub passing: usize,
    /// Whether a test broke that passed before.
    pub broken: bool,
    /// The first failing test, or the first target.
    pub test: String,
    /// Size of the failure's trace.
    pub trace_bytes: usize,
    /// What the next turn is told.
    pub told: String,
    /// What the patterns of rules are looked for in.
    pub said: String,
    /// The lines that are most like those that an edit searched for.
    pub near: Option<String>,
    /// Whether the same patch, or the same answer without one, came before.
    pub repeated: bool,
    /// Whether it led to a better passing state.
    pub progress: bool,
    /// What rules did before it.
    pub rules: Vec<Help>,
    /// Installations that failed so far.
    pub failed_installs: u32,
    /// Evidence against a patch that passes its tests.
    pub suspicion: Option<String>,
    /// Time in the sandbox.
    pub tests_ms: u64,
    /// Time of the model.
    pub model_ms: u64,
    /// From the failing assert to the next turn being ready; none where no test failed.
    pub ready_ms: Option<f64>,
}

/// Why a repair ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// A fresh sandbox found every test as it has to be.
    Repaired,
    /// The label `needs_review`.
    NeedsReview(Review),
    /// Its tests pass, and there is evidence against the patch.
    Quarantined(String),
    /// Somebody asked it to stop.
    Stopped,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    /// Why it ended.
    pub end: End,
    /// The patch that repairs, else that of the passing state.
    pub patch: Patch,
    /// Target tests that pass with it.
    pub passing: usize,
    /// Every try.
    pub tries: Vec<Try>,
}

impl Repair {
    /// Tries that broke a test on the way.
    pub fn regressions(&self) -> usize {
        self.tries.iter().filter(|one| one.broken).count()
    }

    /// Tries that said the same again.
    pub fn repeats(&self) -> usize {
        self.tries.iter().filter(|one| one.repeated).count()
    }

    /// Commands that were the same as those before again and again.
    pub fn stuck(&self) -> usize {
        self.tries.iter().map(|one| one.stuck as usize).sum()
    }

    /// A repair that came after regressions or repetitions.
    pub fn is_lucky(&self) -> bool {
        self.end == End::Repaired && self.regressions() + self.repeats() + self.stuck() > 0
    }
}

/// Why there is no [`Repair`].
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The base tree cannot be made.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The model or its server failed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Not even the least prompt fits.
    #[error("{0}")]
    Prompt(String),
    /// A try of an earlier process does not fit this task.
    #[error("try {retry} of an earlier process does not fit this tree: {reason}")]
    Replay {
        /// Its number.
        retry: u32,
        /// What is wrong with it.
        reason: String,
    },
}

/// Hears what happens, as it happens.
pub trait Observer {
    /// A try begins.
    fn begins(&mut self, _retry: u32, _queue: Queue, _from: From) {}
    /// A piece of the answer.
    fn writes(&mut self, _text: &str) {}
    /// A try ended. An error ends the repair.
    ///
    /// # Errors
    ///
    /// When it cannot be written down.
    fn ended(&mut self, _one: &Try) -> Result<(), SandboxError> {
        Ok(())
    }
    /// Whether it should stop before the next try.
    fn stops(&self) -> bool {
        false
    }
}

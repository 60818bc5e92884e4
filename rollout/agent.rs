//! The repair agent: a repository and an issue in, tries in three queues, a patch out.
//!
//! In: a task, a model that writes, a sandbox that runs tests. Out: a [`Repair`]: the patch, every try, and why it ended.
//! Example: the first answer makes one of two target tests pass, the second breaks another test, the third repairs both:
//! three tries of the queue `Fast`, the end `Repaired`.
//!
//! The same agent repairs a repository on a desk (`train repair`) and is evaluated on tasks (`train eval --agent`).
//!
//! | part | what it knows |
//! |---|---|
//! | [`queue`] | budgets, progress, roll-back; neither files nor tests |
//! | [`scaffold`] | what is shown and how an answer is read; no tests |
//! | [`state`] | the edited files and checkpoints |
//! | [`check`] | which tests run, in fresh sandboxes |
//! | [`rescue`] | rules as data |
//! | [`refine`] | makes a patch that passes smaller; never loses a pass |
//! | [`run`] | the loop that joins them |

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::policy::Sampling;

pub mod chat;
pub mod check;
pub mod curve;
pub mod queue;
pub mod refine;
pub mod reproduce;
pub mod rescue;
pub mod run;
pub mod scaffold;
pub mod state;
pub mod trajectory;
pub mod writer;

pub use queue::QueueConfig;
pub use run::{Agent, AgentError, End, Repair, Try};
pub use scaffold::ScaffoldKind;

/// How an agent works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// What a model is shown and how its answer is read.
    pub scaffold: ScaffoldKind,
    /// Budgets and roll-back.
    pub queue: QueueConfig,
    /// Tokens of a prompt at most; 0 for what the model's context leaves beside the answer.
    pub prompt_tokens: usize,
    /// Related files that are offered to the prompt.
    pub related: usize,
    /// Tokens of a failure's summary at most (R4).
    pub summary_tokens: usize,
    /// Whether what the tests said is told in the next turn. Without it every try is blind.
    pub tell_failures: bool,
    /// How answers are drawn.
    pub sampling: Sampling,
    /// How answers are drawn in the queues that name their own.
    pub deep_sampling: Option<Sampling>,
    /// As `deep_sampling`, of the last queue.
    pub rescue_sampling: Option<Sampling>,
    /// What makes a repair smaller before it is final.
    pub refiner: Refiner,
    /// Limits of the scaffold `shell`.
    pub shell: ShellConfig,
    /// The file of the rules of the last queue; without one, those of `configs/rescue.toml`.
    pub rules: Option<PathBuf>,
}

/// Limits of one try in a shell, as mini-swe-agent has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShellConfig {
    /// Answers of the model at most.
    pub steps: u32,
    /// Seconds after which a command is killed with all that it started.
    pub timeout_command: u64,
    /// Bytes of what a command prints that the model sees: one half from the beginning, one from the end.
    pub output_bytes: usize,
    /// So many times the same command in a row are told to the model, and twice as many end the try.
    pub stuck_after: u32,
}

impl Default for ShellConfig {
    fn default() -> Self {
        ShellConfig {
            steps: 250,
            timeout_command: 60,
            output_bytes: 10_000,
            stuck_after: 3,
        }
    }
}

/// What makes a candidate smaller before it is final (R7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refiner {
    /// Nothing.
    #[default]
    None,
    /// Whole files of the patch are left out one by one as long as the tests pass without them.
    Files,
}

impl Default for AgentConfig {
    fn default() -> Self {
        AgentConfig {
            scaffold: ScaffoldKind::Edits,
            queue: QueueConfig::default(),
            prompt_tokens: 0,
            related: 8,
            summary_tokens: crate::summary::BUDGET,
            tell_failures: true,
            sampling: Sampling {
                temperature: 0.7,
                max_new_tokens: 1024,
                ..Sampling::default()
            },
            deep_sampling: None,
            rescue_sampling: None,
            refiner: Refiner::None,
            shell: ShellConfig::default(),
            rules: None,
        }
    }
}

impl AgentConfig {
    /// What is out of its range, in words.
    pub fn problem(&self) -> Option<String> {
        let samplings = [
            Some(&self.sampling),
            self.deep_sampling.as_ref(),
            self.rescue_sampling.as_ref(),
        ];
        let sampling = samplings
            .into_iter()
            .flatten()
            .find_map(|sampling| sampling.check().err());
        if self.summary_tokens < 16 {
            return Some(format!(
                "`summary_tokens` is {}, but must be at least 16",
                self.summary_tokens
            ));
        }
        let shell = &self.shell;
        if shell.steps == 0 || shell.timeout_command == 0 || shell.stuck_after == 0 {
            return Some("`steps`, `timeout_command` and `stuck_after` must be at least 1".into());
        }
        self.queue
            .problem()
            .or_else(|| sampling.map(|error| error.to_string()))
    }
}

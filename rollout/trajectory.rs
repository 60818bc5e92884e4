//! The record of one try at a task: the tokens that were sampled, what they changed, what the tests said.
//!
//! In: a completion and a verdict. Out: what a group compares and a batch trains.
//! Example: prompt `[5, 6]`, answer `[7, 8]` is the sequence `[5, 6, 7, 8]` with the mask `[no, no, yes, yes]`: what
//! the model did not write is never trained.

use data::Patch;
pub use data::sampling::Stop;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::policy::Completion;

/// The format number written with every trajectory; a reader refuses another.
pub const TRAJECTORY_FORMAT: u32 = 1;

/// Why an answer is no patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// It was cut off before its end.
    Truncated,
    /// It has not the form that was asked for, with the reason.
    Unreadable(String),
    /// It changes nothing.
    Empty,
}

/// What happens to an attempt that was cut off (T6): a stated policy, never a silent one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Overlong {
    /// It is trained like any other failed attempt.
    Keep,
    /// It counts in the group's mean, but none of its tokens is trained (overlong filtering).
    #[default]
    Mask,
    /// It is trained, and length takes from the reward of every attempt (DAPO).
    Punish {
        /// Length from which the punishment is whole.
        max: usize,
        /// Tokens before `max` over which it grows.
        buffer: usize,
    },
}

/// Tokens in order, which of them the model sampled, and how likely each of those was.
///
/// Invariant: all three have equal length; the mask is true on sampled tokens only, of which there is at least one;
/// log-probabilities are finite, and 0 where the mask is false.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Sequence {
    /// What was read and written.
    tokens: Vec<u32>,
    /// True where the model sampled.
    mask: Vec<bool>,
    /// How likely each sampled token was, 0 elsewhere.
    logprobs: Vec<f32>,
}

/// A [`Sequence`] that nobody checked yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    tokens: Vec<u32>,
    mask: Vec<bool>,
    logprobs: Vec<f32>,
}

/// Why tokens, mask and log-probabilities are no [`Sequence`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SequenceError {
    /// The lengths differ.
    #[error("a sequence has {tokens} tokens, a mask of {mask} and {logprobs} log-probabilities")]
    Lengths {
        /// Number of tokens.
        tokens: usize,
        /// Length of the mask.
        mask: usize,
        /// Number of log-probabilities.
        logprobs: usize,
    },
    /// Nothing was sampled.
    #[error("a sequence holds no sampled token")]
    NothingSampled,
    /// A log-probability stands where nothing was sampled, or is not finite.
    #[error(
        "the log-probability at position {0} is not finite, or stands on a token that was not sampled"
    )]
    Logprob(usize),
}

impl TryFrom<Parts> for Sequence {
    type Error = SequenceError;

    fn try_from(parts: Parts) -> Result<Self, SequenceError> {
        let Parts {
            tokens,
            mask,
            logprobs,
        } = parts;
        if tokens.len() != mask.len() || tokens.len() != logprobs.len() {
            let (mask, logprobs) = (mask.len(), logprobs.len());
            return Err(SequenceError::Lengths {
                tokens: tokens.len(),
                mask,
                logprobs,
            });
        }
        if !mask.contains(&true) {
            return Err(SequenceError::NothingSampled);
        }
        let wrong = |(logprob, sampled): (&f32, &bool)| {
            !logprob.is_finite() || (!sampled && *logprob != 0.0)
        };
        match logprobs.iter().zip(&mask).position(wrong) {
            Some(position) => Err(SequenceError::Logprob(position)),
            None => Ok(Sequence {
                tokens,
                mask,
                logprobs,
            }),
        }
    }
}

impl Sequence {
    /// The prompt, then the completion; the completion alone is sampled.
    pub fn from_completion(completion: &Completion) -> Self {
        let prompt = completion.prompt.len();
        let tokens = [&completion.prompt[..], &completion.tokens].concat();
        let mask = (0..tokens.len())
            .map(|position| position >= prompt)
            .collect();
        let logprobs = [&vec![0.0; prompt][..], &completion.logprobs].concat();
        Sequence {
            tokens,
            mask,
            logprobs,
        }
    }

    /// All tokens, in order.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// True where the token was sampled.
    pub fn mask(&self) -> &[bool] {
        &self.mask
    }

    /// Log-probability of each sampled token when it was sampled; 0 elsewhere.
    pub fn logprobs(&self) -> &[f32] {
        &self.logprobs
    }

    /// How many tokens were sampled.
    pub fn sampled(&self) -> usize {
        self.mask.iter().filter(|sampled| **sampled).count()
    }
}

/// One graded try at a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trajectory {
    /// [`TRAJECTORY_FORMAT`].
    #[serde(deserialize_with = "crate::format::only::<_, TRAJECTORY_FORMAT>")]
    pub format: u32,
    /// The task.
    pub task_id: String,
    /// Number of optimizer steps behind the weights that wrote it.
    pub policy_version: u64,
    /// What was read and written.
    pub sequence: Sequence,
    /// The answer as text.
    pub text: String,
    /// Why the answer ended.
    pub stop: Stop,
    /// What the answer changes; none where it is no patch.
    pub patch: Option<Patch>,
    /// Why it is no patch; none where it is one.
    pub unanswered: Option<Unanswered>,
    /// What the tests said.
    pub outcome: Outcome,
    /// What the outcome is worth.
    pub reward: f32,
}

impl Trajectory {
    /// True where every test that must pass ran and passed.
    pub fn is_resolved(&self) -> bool {
        matches!(self.outcome, Outcome::Resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sequence, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    fn completion() -> Completion {
        Completion::new(
            vec![5, 6],
            vec![7, 8],
            vec![-0.5, -0.25],
            "answer".into(),
            Stop::EndOfTurn,
            3,
        )
        .expect("valid")
    }

    #[test]
    fn only_sampled_tokens_are_masked_in() {
        let sequence = Sequence::from_completion(&completion());
        assert_eq!(sequence.tokens(), [5, 6, 7, 8]);
        assert_eq!(sequence.mask(), [false, false, true, true]);
        assert_eq!(sequence.logprobs(), [0.0, 0.0, -0.5, -0.25]);
        assert_eq!(sequence.sampled(), 2);
    }

    #[test]
    fn a_sequence_that_breaks_its_invariant_cannot_be_read() {
        let lengths = read(r#"{"tokens":[1,2],"mask":[true],"logprobs":[0,0]}"#);
        assert_eq!(
            lengths,
            Err("a sequence has 2 tokens, a mask of 1 and 2 log-probabilities".into())
        );
        let nothing = read(r#"{"tokens":[1],"mask":[false],"logprobs":[0]}"#);
        assert_eq!(nothing, Err("a sequence holds no sampled token".into()));
        let foreign = read(r#"{"tokens":[1,2],"mask":[false,true],"logprobs":[-1,-1]}"#);
        assert!(foreign.is_err_and(|error| error.contains("position 0")));
    }

    #[test]
    fn log_probabilities_come_back_bit_for_bit() {
        let logprob =
            |counter| -f32::from_bits((data::draw::bits(5, counter) % 0x4200_0000) as u32);
        let logprobs: Vec<f32> = (0..100_000).map(logprob).collect();
        let tokens = vec![1; logprobs.len()];
        let completion = Completion::new(vec![], tokens, logprobs, String::new(), Stop::Length, 0)
            .expect("finite");
        let sequence = Sequence::from_completion(&completion);
        let text = serde_json::to_string(&sequence).expect("prints");
        let back = read(&text).expect("reads");
        let bits = |sequence: &Sequence| {
            sequence
                .logprobs
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&back), bits(&sequence));
    }

    #[test]
    fn a_truncation_rule_is_written_by_its_name() {
        assert_eq!(
            serde_json::from_str::<Overlong>(r#""mask""#).expect("reads"),
            Overlong::Mask
        );
        let punish = serde_json::from_str::<Overlong>(r#"{"punish":{"max":100,"buffer":20}}"#)
            .expect("reads");
        assert_eq!(
            punish,
            Overlong::Punish {
                max: 100,
                buffer: 20
            }
        );
    }
}

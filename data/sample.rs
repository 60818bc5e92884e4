//! A token sequence with a mask, ready for training.

use serde::{Deserialize, Serialize};

/// A token sequence and, per token, whether it is trained.
///
/// Invariant: `tokens` and `mask` have equal length, and at least one token is trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Token ids in order.
    pub tokens: Vec<u32>,
    /// True where the token is a target of the loss (the assistant's words, terminator included).
    pub mask: Vec<bool>,
    /// Where it came from: a task id, or a path and line.
    pub origin: String,
}

/// Why a sequence is no [`Sample`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SampleError {
    /// The mask does not cover the tokens.
    #[error("sample `{origin}` has {tokens} tokens but a mask of {mask}")]
    Lengths {
        /// Where the sample came from.
        origin: String,
        /// Number of tokens.
        tokens: usize,
        /// Length of the mask.
        mask: usize,
    },
    /// No token would be trained.
    #[error("sample `{0}` trains no token")]
    NothingTrained(String),
}

impl Sample {
    /// Checks the invariant.
    pub fn new(
        tokens: Vec<u32>,
        mask: Vec<bool>,
        origin: impl Into<String>,
    ) -> Result<Self, SampleError> {
        let origin = origin.into();
        if tokens.len() != mask.len() {
            return Err(SampleError::Lengths {
                origin,
                tokens: tokens.len(),
                mask: mask.len(),
            });
        }
        if !mask.contains(&true) {
            return Err(SampleError::NothingTrained(origin));
        }
        Ok(Sample {
            tokens,
            mask,
            origin,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_trains_nothing_is_refused() {
        let refused = Sample::new(vec![1, 2], vec![false, false], "a");
        assert_eq!(refused, Err(SampleError::NothingTrained("a".into())));
    }
}

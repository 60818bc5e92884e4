//! How tokens are drawn, and why an answer ended.
//!
//! The cuts come in the order of `transformers`: repetition penalty, temperature, top-k, top-p, min-p.
//! Example: `{ top_k = 40, stop = ["\n\n"] }` draws among the forty likeliest tokens and ends at the first blank line.

use serde::{Deserialize, Serialize};

/// Most stop strings of one request.
pub const MAX_STOPS: usize = 16;

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 1 draws from the model's distribution, 0 takes the likeliest token.
    pub temperature: f32,
    /// Draws from the likeliest tokens that hold this much probability together; 1 draws from all.
    pub top_p: f32,
    /// Draws from so many of the likeliest tokens; 0 draws from all.
    pub top_k: usize,
    /// Draws from tokens that are at least this many times as likely as the likeliest; 0 draws from all.
    pub min_p: f32,
    /// The logit of a token that stands in the prompt or the answer already is divided by this where it is positive,
    /// and multiplied where it is negative (Keskar et al., arXiv 1909.05858); 1 changes nothing.
    pub repetition_penalty: f32,
    /// Ends an answer whose last tokens are one piece of at most 64 tokens so many times in a row; 0 lets it repeat.
    pub max_repeats: usize,
    /// Ends an answer at the first of these texts, which is no part of it.
    pub stop: Vec<String>,
    /// Length at which an answer is cut off.
    pub max_new_tokens: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            max_repeats: 0,
            stop: Vec::new(),
            max_new_tokens: 128,
        }
    }
}

impl Sampling {
    /// The likeliest token each time.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Sampling {
            temperature: 0.0,
            max_new_tokens,
            ..Sampling::default()
        }
    }

    /// True when nothing is random.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// True when every token of the vocabulary can be drawn, with the model's own probability at this temperature.
    pub fn is_whole(&self) -> bool {
        self.top_p == 1.0 && self.top_k == 0 && self.min_p == 0.0 && self.repetition_penalty == 1.0
    }

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// Names the first setting that is out of its range.
    pub fn check(&self) -> Result<(), RequestError> {
        let refuse = |setting, value: f64, range| {
            Err(RequestError::Range {
                setting,
                value,
                range,
            })
        };
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse("temperature", self.temperature.into(), "0 or more");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse("top_p", self.top_p.into(), "above 0, at most 1");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return refuse("min_p", self.min_p.into(), "between 0 and 1");
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return refuse(
                "repetition_penalty",
                self.repetition_penalty.into(),
                "above 0",
            );
        }
        if self.max_repeats == 1 {
            return refuse("max_repeats", 1.0, "0, or 2 or more");
        }
        if self.stop.len() > MAX_STOPS {
            return refuse("stop", self.stop.len() as f64, "16 texts at most");
        }
        if self.stop.iter().any(String::is_empty) {
            return refuse("stop", 0.0, "texts of 1 character or more");
        }
        if self.max_new_tokens == 0 {
            return refuse("max_new_tokens", 0.0, "1 or more");
        }
        Ok(())
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model ended its turn.
    EndOfTurn,
    /// A text came at which it was to end.
    StopString,
    /// `max_new_tokens` were written.
    Length,
    /// The model's context was full.
    Context,
    /// It wrote the same piece again and again.
    Repetition,
}

impl Stop {
    /// True where the model was cut off: such an answer is not finished, so it is not graded.
    pub fn is_truncated(self) -> bool {
        match self {
            Stop::EndOfTurn | Stop::StopString => false,
            Stop::Length | Stop::Context | Stop::Repetition => true,
        }
    }
}

/// Why an answer cannot be had.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// A setting makes no sense.
    #[error("`{setting}` is {value}, but must be {range}")]
    Range {
        /// Name of the setting.
        setting: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
    /// The prompt leaves no room to answer.
    #[error(
        "a prompt of {tokens} tokens and {answer} tokens for the answer need {}, but the context holds {context}{}", tokens + answer, crate::Hint(room(*tokens, *context)))]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that the answer may have.
        answer: usize,
        /// Tokens the model can see.
        context: usize,
    },
    /// There is nothing to go on from.
    #[error(
        "the prompt has no tokens{}",
        crate::Hint("give at least one character")
    )]
    PromptEmpty,
}

/// What fits beside a prompt.
fn room(tokens: usize, context: usize) -> String {
    match context.saturating_sub(tokens) {
        0 => format!("shorten the prompt to less than {context} tokens"),
        left => format!("ask for {left} tokens at most, or shorten the prompt"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_out_of_range_is_named() {
        let check = |sampling: Sampling| sampling.check().map_err(|error| error.to_string());
        assert_eq!(check(Sampling::default()), Ok(()));
        let hot = Sampling {
            temperature: -1.0,
            ..Sampling::default()
        };
        assert_eq!(
            check(hot),
            Err("`temperature` is -1, but must be 0 or more".into())
        );
        let empty = Sampling {
            top_p: 0.0,
            ..Sampling::default()
        };
        assert_eq!(
            check(empty),
            Err("`top_p` is 0, but must be above 0, at most 1".into())
        );
        let refused = [
            Sampling {
                temperature: f32::NAN,
                ..Sampling::default()
            },
            Sampling {
                max_new_tokens: 0,
                ..Sampling::default()
            },
            Sampling {
                min_p: 1.5,
                ..Sampling::default()
            },
            Sampling {
                repetition_penalty: 0.0,
                ..Sampling::default()
            },
            Sampling {
                max_repeats: 1,
                ..Sampling::default()
            },
            Sampling {
                stop: vec![String::new()],
                ..Sampling::default()
            },
            Sampling {
                stop: vec!["x".into(); MAX_STOPS + 1],
                ..Sampling::default()
            },
        ];
        assert!(refused.into_iter().all(|sampling| check(sampling).is_err()));
    }

    #[test]
    fn what_an_older_config_does_not_say_changes_nothing() {
        let read: Sampling =
            serde_json::from_str(r#"{"temperature":0.5,"top_p":1.0,"max_new_tokens":48}"#)
                .expect("reads");
        assert!(read.is_whole() && read.stop.is_empty() && read.max_repeats == 0);
    }
}

//! Who writes the answers of an agent: any [`Policy`], or a chat server that tells no tokens.
//!
//! In: a conversation. Out: the answer as text. What is needed of the model's own tokenizer is in [`Words`].

use data::Message;
use data::sampling::{Sampling, Stop};

use crate::policy::{Policy, PolicyError, Request};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Without the end-of-turn token.
    pub text: String,
    /// Why it ended.
    pub stop: Stop,
    /// Tokens that were sampled; 0 where nobody says.
    pub tokens: usize,
}

/// Writes one answer at a time.
pub trait Writer {
    /// Answers a conversation; `tell` hears the text as it comes, at the latest when it is whole.
    ///
    /// # Errors
    ///
    /// When the machinery fails; what the model writes is never an error.
    fn write(
        &mut self,
        request: &Request,
        sampling: &Sampling,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Written, PolicyError>;
}

/// The model's own measure of text.
pub struct Words<'a> {
    /// How many tokens a text has.
    pub tokens: &'a dyn Fn(&str) -> usize,
    /// How many a conversation has, with the marks of its template.
    pub prompt: &'a dyn Fn(&[Message]) -> Result<usize, PolicyError>,
    /// Tokens that prompt and answer may have together.
    pub context: usize,
}

/// A policy as a writer.
pub struct OfPolicy<'a>(pub &'a mut dyn Policy);

impl Writer for OfPolicy<'_> {
    fn write(
        &mut self,
        request: &Request,
        sampling: &Sampling,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Written, PolicyError> {
        let completion = self.0.complete_telling(request, sampling, tell)?;
        Ok(Written {
            text: completion.text,
            stop: completion.stop,
            tokens: completion.tokens.len(),
        })
    }
}

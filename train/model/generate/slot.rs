//! One attempt that is being written.

use std::sync::Arc;

use data::sampling::{Sampling, Stop};
use data::{Tokenizer, draw};

use super::control::{Ends, Shaping};
use super::detokenizer::Detokenizer;
use super::engine::{EngineRequest, Event};
use super::repetition::Repetition;
use super::scheduler::Sequence;
use crate::config::TokenIds;
use crate::sampling::{draw_shaped, likeliest};

/// An attempt, from its first token to its last.
pub struct Slot<'a> {
    sequence: Sequence,
    seed: u64,
    sampling: Arc<Sampling>,
    tokens: Vec<u32>,
    /// What the repetition penalty looks at; empty without one.
    seen: Vec<u32>,
    detokenizer: Detokenizer<'a>,
    repetition: Repetition,
    shaping: Shaping,
}

impl<'a> Slot<'a> {
    /// An attempt that has written nothing.
    pub fn new(tokenizer: &'a Tokenizer, sequence: Sequence, request: &EngineRequest) -> Self {
        let sampling = request.sampling.clone();
        let penalized = sampling.repetition_penalty != 1.0;
        Slot {
            sequence,
            seed: request.seeds[sequence.attempt],
            tokens: Vec::new(),
            seen: if penalized {
                request.prompt.clone()
            } else {
                Vec::new()
            },
            detokenizer: Detokenizer::new(tokenizer, &sampling.stop),
            repetition: Repetition::new(sampling.max_repeats),
            shaping: Shaping::new(request.control.clone()),
            sampling,
        }
    }

    /// The token that comes before the next.
    pub fn last(&self) -> u32 {
        *self.tokens.last().expect("an attempt begins with a token")
    }

    /// Draws the next token from `logits`; those of `end` end the turn.
    pub fn write(&mut self, logits: &[f32], end: &TokenIds) -> Event {
        let shaped = self.shaping.shape(logits, end);
        let uniform = uniform(self.seed, self.tokens.len());
        let drawn = draw_shaped(
            logits,
            shaped.as_deref(),
            &self.sampling,
            &self.seen,
            uniform,
        );
        let top = match self.shaping.control().top_logprobs {
            0 => Vec::new(),
            count => likeliest(logits, &self.sampling, count),
        };
        let (text, stop) = self.take(drawn.token, end);
        let Sequence { request, attempt } = self.sequence;
        Event {
            request,
            attempt,
            token: drawn.token,
            logprob: drawn.logprob,
            drawn: drawn.drawn,
            top,
            text,
            stop,
        }
    }

    fn take(&mut self, token: u32, end: &TokenIds) -> (String, Option<Stop>) {
        self.tokens.push(token);
        if self.sampling.repetition_penalty != 1.0 {
            self.seen.push(token);
        }
        let ends = self.shaping.take(token, end);
        if ends == Ends::Before {
            return (self.detokenizer.finish().to_owned(), Some(Stop::EndOfTurn));
        }
        // An end that is ignored is no text either.
        let mut text = if end.contains(token) {
            String::new()
        } else {
            self.detokenizer.push(token).to_owned()
        };
        if self.detokenizer.is_stopped() {
            return (text, Some(Stop::StopString));
        }
        let stop = if ends == Ends::After {
            Stop::EndOfTurn
        } else if self.repetition.too_many(&self.tokens) {
            Stop::Repetition
        } else if self.tokens.len() >= self.sampling.max_new_tokens {
            Stop::Length
        } else {
            return (text, None);
        };
        text.push_str(self.detokenizer.finish());
        (text, Some(stop))
    }
}

/// The number in [0, 1) that draws token `at` of an attempt: 53 bits of its seed.
fn uniform(seed: u64, at: usize) -> f64 {
    (draw::bits(seed, at as u64) >> 11) as f64 / (1u64 << 53) as f64
}

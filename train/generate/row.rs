//! One attempt that is being written.

use std::sync::Arc;

use data::{Tokenizer, draw};
use rollout::policy::Sampling;
use rollout::trajectory::Stop;

use super::control::{Ends, Shaping};
use super::engine::{Ask, Event};
use super::repeats::Repeats;
use super::schedule::Seat;
use super::text::Writing;
use crate::sampling::{draw_shaped, likeliest};
use model::config::TokenIds;

/// An attempt, from its first token to its last.
pub struct Row<'a> {
    seat: Seat,
    seed: u64,
    sampling: Arc<Sampling>,
    tokens: Vec<u32>,
    /// What the repetition penalty looks at; empty without one.
    seen: Vec<u32>,
    writing: Writing<'a>,
    repeats: Repeats,
    shaping: Shaping,
}

impl<'a> Row<'a> {
    /// An attempt that has written nothing.
    pub fn new(tokenizer: &'a Tokenizer, seat: Seat, ask: &Ask) -> Self {
        let sampling = ask.sampling.clone();
        let penalized = sampling.repetition_penalty != 1.0;
        Row {
            seat,
            seed: ask.seeds[seat.attempt],
            tokens: Vec::new(),
            seen: if penalized { ask.prompt.clone() } else { Vec::new() },
            writing: Writing::new(tokenizer, &sampling.stop),
            repeats: Repeats::new(sampling.max_repeats),
            shaping: Shaping::new(ask.control.clone()),
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
        let drawn = draw_shaped(logits, shaped.as_deref(), &self.sampling, &self.seen, uniform);
        let top = match self.shaping.control().top_logprobs {
            0 => Vec::new(),
            count => likeliest(logits, &self.sampling, count),
        };
        let (text, stop) = self.take(drawn.token, end);
        let Seat { job, attempt } = self.seat;
        Event { job, attempt, token: drawn.token, logprob: drawn.logprob, drawn: drawn.drawn, top, text, stop }
    }

    fn take(&mut self, token: u32, end: &TokenIds) -> (String, Option<Stop>) {
        self.tokens.push(token);
        if self.sampling.repetition_penalty != 1.0 {
            self.seen.push(token);
        }
        let ends = self.shaping.take(token, end);
        if ends == Ends::Before {
            return (self.writing.finish().to_owned(), Some(Stop::EndOfTurn));
        }
        // An end that is ignored is no text either.
        let mut text = if end.contains(token) { String::new() } else { self.writing.push(token).to_owned() };
        if self.writing.is_stopped() {
            return (text, Some(Stop::StopString));
        }
        let stop = if ends == Ends::After {
            Stop::EndOfTurn
        } else if self.repeats.too_many(&self.tokens) {
            Stop::Repetition
        } else if self.tokens.len() >= self.sampling.max_new_tokens {
            Stop::Length
        } else {
            return (text, None);
        };
        text.push_str(self.writing.finish());
        (text, Some(stop))
    }
}

/// The number in [0, 1) that draws token `at` of an attempt: 53 bits of its seed.
fn uniform(seed: u64, at: usize) -> f64 {
    (draw::bits(seed, at as u64) >> 11) as f64 / (1u64 << 53) as f64
}

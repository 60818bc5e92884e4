//! Many answers at once: prompts are prefilled as rows become free, and all rows are decoded together.
//!
//! In: [`EngineRequest`]s, at any time. Out: after every [`Engine::step`] the tokens that were drawn, as [`Event`]s.
//! Prompts are prefilled one behind the other without padding, in parts, so that rows that are being decoded never wait
//! for a whole long prompt. What an attempt says depends on its prompt, its seed and the weights; what it is prefilled
//! together with changes no more than the last digits of a probability.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use data::Tokenizer;
use data::sampling::{RequestError, Sampling, Stop};
use rayon::prelude::*;

use super::control::Control;
use super::prefill::{Forward, Prefilling, Prompt};
use super::scheduler::{Freed, Placed, RequestId, Scheduler};
use super::slot::Slot;
use crate::nf4::Nf4Blocks;
use crate::{Cache, CausalLm, ModelConfig};

/// Tokens of room that a cache begins with.
const ROOM: usize = 256;

/// A prompt, and what is wanted.
#[derive(Clone, Debug)]
pub struct EngineRequest {
    /// The prompt.
    pub prompt: Vec<u32>,
    /// One attempt for each seed.
    pub seeds: Vec<u64>,
    /// How tokens are drawn.
    pub sampling: Arc<Sampling>,
    /// What shapes the answers besides.
    pub control: Arc<Control>,
}

/// A token of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose.
    pub request: RequestId,
    /// The number of the attempt.
    pub attempt: usize,
    /// The token.
    pub token: u32,
    /// See [`crate::sampling::Drawn::logprob`].
    pub logprob: f32,
    /// See [`crate::sampling::Drawn::drawn`].
    pub drawn: f32,
    /// The likeliest tokens at its place with their `ln p`, as many as [`Control::top_logprobs`] asks for.
    pub top: Vec<(u32, f32)>,
    /// The text that became sure with it.
    pub text: String,
    /// Why the attempt ended, if it did.
    pub stop: Option<Stop>,
}

/// A model, its cache, and everything that it is running.
pub struct Engine<'a> {
    forward: Forward,
    config: &'a ModelConfig,
    tokenizer: &'a Tokenizer,
    prefill_tokens: usize,
    scheduler: Scheduler,
    cache: Cache,
    rows: Vec<Slot<'a>>,
    requests: BTreeMap<RequestId, Running>,
    prefilling: Option<Prefilling>,
    cancelled: Vec<RequestId>,
    next_request: RequestId,
    sampled: u64,
}

/// A request that is not finished.
struct Running {
    request: EngineRequest,
    /// Attempts that are not finished.
    open: usize,
    /// Kept until the last attempt has a row.
    prompt: Option<Prompt>,
}

impl<'a> Engine<'a> {
    /// Decodes at most `max_rows` attempts at once, and computes at most `prefill_tokens` tokens of prompts between two
    /// of their tokens.
    pub fn new(
        model: CausalLm,
        config: &'a ModelConfig,
        tokenizer: &'a Tokenizer,
        max_rows: usize,
        prefill_tokens: usize,
        device: &Device,
    ) -> Self {
        let max_rows = max_rows.max(1);
        Engine {
            forward: Forward::new(model, config, device),
            config,
            tokenizer,
            prefill_tokens: prefill_tokens.max(1),
            scheduler: Scheduler::new(max_rows),
            cache: Cache::new(
                config,
                max_rows,
                ROOM.min(config.max_position_embeddings),
                device,
            ),
            rows: Vec::new(),
            requests: BTreeMap::new(),
            prefilling: None,
            cancelled: Vec::new(),
            next_request: 0,
            sampled: 0,
        }
    }

    /// The same for a model whose linear maps were taken out of it as `frozen`: each is unpacked when it is needed.
    #[must_use]
    pub fn with_frozen(self, frozen: Option<Arc<Nf4Blocks>>) -> Self {
        Engine {
            forward: self.forward.with_frozen(frozen),
            ..self
        }
    }

    /// Takes other weights. What is being written goes on with them.
    pub fn publish(&mut self, model: CausalLm) {
        self.forward.publish(model);
    }

    /// Tokens sampled so far.
    pub fn sampled(&self) -> u64 {
        self.sampled
    }

    /// Attempts that are being written.
    pub fn live(&self) -> usize {
        self.rows.len()
    }

    /// Prompts that were not begun.
    pub fn waiting(&self) -> usize {
        self.scheduler.waiting()
    }

    /// True when there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
    }

    /// Why a prompt of so many tokens cannot be answered, if it cannot: before any work.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range, the prompt is empty, or it and its answer are longer than the context.
    pub fn check(
        config: &ModelConfig,
        tokens: usize,
        sampling: &Sampling,
    ) -> Result<(), RequestError> {
        sampling.check()?;
        let context = config.max_position_embeddings;
        if tokens == 0 {
            return Err(RequestError::PromptEmpty);
        }
        if tokens.saturating_add(sampling.max_new_tokens) > context {
            return Err(RequestError::PromptTooLong {
                tokens,
                answer: sampling.max_new_tokens,
                context,
            });
        }
        Ok(())
    }

    /// Takes a prompt in; its tokens come with later steps.
    ///
    /// # Errors
    ///
    /// As [`Engine::check`].
    pub fn submit(&mut self, request: EngineRequest) -> Result<RequestId, RequestError> {
        Engine::check(self.config, request.prompt.len(), &request.sampling)?;
        let id = self.next_request;
        self.next_request += 1;
        self.scheduler
            .add(id, request.prompt.len(), request.seeds.len());
        if !request.seeds.is_empty() {
            self.requests.insert(
                id,
                Running {
                    open: request.seeds.len(),
                    request,
                    prompt: None,
                },
            );
        }
        Ok(id)
    }

    /// Ends a request whose answers nobody wants any more: with the next step its rows are free.
    pub fn cancel(&mut self, request: RequestId) {
        if self.requests.remove(&request).is_some() {
            self.cancelled.push(request);
        }
    }

    /// Computes a part of a prompt if one waits, then one token of every row.
    pub fn step(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        // All of them before the first row is given away, or one of them might get it.
        let cancelled = std::mem::take(&mut self.cancelled);
        let mut free: Vec<usize> = cancelled
            .into_iter()
            .flat_map(|request| self.scheduler.cancel(request))
            .collect();
        free.sort_unstable_by(|a, b| b.cmp(a));
        for row in free {
            self.free(row, &mut events);
        }
        self.compute();
        while let Some(placed) = self.scheduler.sequence() {
            if !self.begin(placed, &mut events) {
                self.free(placed.row, &mut events);
            }
        }
        if !self.rows.is_empty() {
            self.decode(&mut events);
        }
        events
    }

    /// A part of the prompts that are next.
    fn compute(&mut self) {
        if self.prefilling.is_none() {
            let requests = self.scheduler.compute(self.prefill_tokens);
            if requests.is_empty() {
                return;
            }
            let prompts = requests
                .iter()
                .map(|request| (*request, &self.requests[request].request.prompt[..]));
            self.prefilling = Some(Prefilling::new(prompts, self.config, self.forward.device()));
        }
        let Some(prefilling) = &mut self.prefilling else {
            return;
        };
        self.forward.prompts(prefilling, self.prefill_tokens);
        if !prefilling.is_done() {
            return;
        }
        for (request, prompt) in self
            .prefilling
            .take()
            .into_iter()
            .flat_map(Prefilling::finish)
        {
            // Nobody waits for a prompt that was cancelled while it was prefilled.
            if let Some(running) = self.requests.get_mut(&request) {
                running.prompt = Some(prompt);
            }
        }
        self.scheduler.prefilled();
    }

    /// Gives an attempt its row and its first token; false when that was its last.
    fn begin(&mut self, placed: Placed, events: &mut Vec<Event>) -> bool {
        let Placed {
            row,
            sequence,
            last,
        } = placed;
        let running = self
            .requests
            .get_mut(&sequence.request)
            .expect("a placed request is not finished");
        let prompt = if last {
            running.prompt.take()
        } else {
            running.prompt.clone()
        };
        let prompt = prompt.expect("attempts are placed when their prompt is prefilled");
        let attempt = Slot::new(self.tokenizer, sequence, &running.request);
        let tokens = running.request.prompt.len();
        self.make_room(tokens + 1);
        self.cache
            .copy_prompt(&prompt.cache, prompt.start, tokens, row);
        if row == self.rows.len() {
            self.rows.push(attempt);
        } else {
            self.rows[row] = attempt;
        }
        let event = self.rows[row].write(&prompt.logits, &self.config.eos_token_id);
        !self.tell(event, events)
    }

    /// One more token for every row.
    fn decode(&mut self, events: &mut Vec<Event>) {
        let count = self.rows.len();
        let longest = self.cache.filled()[..count]
            .iter()
            .copied()
            .max()
            .unwrap_or(0);
        self.make_room(longest + 1);
        let last: Vec<u32> = self.rows.iter().map(Slot::last).collect();
        let logits = self.forward.rows(&last, &mut self.cache);
        let (lines, end) = (
            logits.par_chunks_exact(logits.len() / count),
            &self.config.eos_token_id,
        );
        let written: Vec<Event> = self
            .rows
            .par_iter_mut()
            .zip(lines)
            .map(|(row, logits)| row.write(logits, end))
            .collect();
        let ended: Vec<bool> = written
            .into_iter()
            .map(|event| self.tell(event, events))
            .collect();
        for row in (0..count).rev().filter(|&row| ended[row]) {
            self.free(row, events);
        }
    }

    /// Counts a token and passes it on; true when it was the last of its attempt.
    fn tell(&mut self, event: Event, events: &mut Vec<Event>) -> bool {
        self.sampled += 1;
        let ended = event.stop.is_some();
        if ended && let Some(running) = self.requests.get_mut(&event.request) {
            running.open -= 1;
            if running.open == 0 {
                self.requests.remove(&event.request);
            }
        }
        events.push(event);
        ended
    }

    /// Gives a row that ended to whoever is next.
    fn free(&mut self, row: usize, events: &mut Vec<Event>) {
        loop {
            match self.scheduler.free(row) {
                Freed::Taken(placed) => {
                    if self.begin(placed, events) {
                        return;
                    }
                }
                Freed::MovedFrom(from) => {
                    self.cache.copy_row(from, row);
                    self.rows.swap_remove(row);
                    return;
                }
                Freed::Last => {
                    self.rows.pop();
                    return;
                }
            }
        }
    }

    /// Twice as much room as there was when there is too little, so that growing costs little in the long run.
    fn make_room(&mut self, tokens: usize) {
        let capacity = self.cache.capacity();
        if tokens > capacity {
            let most = self.config.max_position_embeddings.max(tokens);
            self.cache.reserve((2 * capacity).clamp(tokens, most));
        }
    }
}

//! Many answers at once: prompts are computed as rows become free, and all rows are decoded together.
//!
//! In: [`Ask`]s, at any time. Out: after every [`Engine::step`] the tokens that were drawn, as [`Event`]s.
//! Prompts are computed one behind the other without padding, in parts, so that rows that are being decoded never wait
//! for a whole long prompt. What an attempt says depends on its prompt, its seed and the weights; what it is computed
//! together with changes no more than the last digits of a probability.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use data::Tokenizer;
use rayon::prelude::*;
use rollout::policy::{PolicyError, Sampling};
use rollout::trajectory::Stop;

use super::control::Control;
use super::forward::{Computing, Forward, Prompt};
use super::row::Row;
use super::schedule::{Job, Schedule, Seated, Vacated};
use model::{Cache, CausalLm, ModelConfig};

/// Tokens of room that a cache begins with.
const ROOM: usize = 256;

/// A prompt, and what is wanted.
#[derive(Clone, Debug)]
pub struct Ask {
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
    pub job: Job,
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

/// A model, its cache, and everything that it is asked.
pub struct Engine<'a> {
    forward: Forward,
    config: &'a ModelConfig,
    tokenizer: &'a Tokenizer,
    prompt_tokens: usize,
    schedule: Schedule,
    cache: Cache,
    rows: Vec<Row<'a>>,
    jobs: BTreeMap<Job, Asked>,
    computing: Option<Computing>,
    cancelled: Vec<Job>,
    next_job: Job,
    sampled: u64,
}

/// A job that is not finished.
struct Asked {
    ask: Ask,
    /// Attempts that are not finished.
    open: usize,
    /// Kept until the last attempt has a row.
    prompt: Option<Prompt>,
}

impl<'a> Engine<'a> {
    /// Decodes at most `max_rows` attempts at once, and computes at most `prompt_tokens` tokens of prompts between two
    /// of their tokens.
    pub fn new(
        model: CausalLm,
        config: &'a ModelConfig,
        tokenizer: &'a Tokenizer,
        max_rows: usize,
        prompt_tokens: usize,
        device: &Device,
    ) -> Self {
        let max_rows = max_rows.max(1);
        Engine {
            forward: Forward::new(model, config, device),
            config,
            tokenizer,
            prompt_tokens: prompt_tokens.max(1),
            schedule: Schedule::new(max_rows),
            cache: Cache::new(config, max_rows, ROOM.min(config.max_position_embeddings), device),
            rows: Vec::new(),
            jobs: BTreeMap::new(),
            computing: None,
            cancelled: Vec::new(),
            next_job: 0,
            sampled: 0,
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
        self.schedule.waiting()
    }

    /// True when there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.schedule.is_idle()
    }

    /// Why a prompt of so many tokens cannot be answered, if it cannot: before any work.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range, the prompt is empty, or it and its answer are longer than the context.
    pub fn check(config: &ModelConfig, tokens: usize, sampling: &Sampling) -> Result<(), PolicyError> {
        sampling.check()?;
        let context = config.max_position_embeddings;
        if tokens == 0 {
            return Err(PolicyError::PromptEmpty);
        }
        if tokens.saturating_add(sampling.max_new_tokens) > context {
            return Err(PolicyError::PromptTooLong { tokens, answer: sampling.max_new_tokens, context });
        }
        Ok(())
    }

    /// Takes a prompt in; its tokens come with later steps.
    ///
    /// # Errors
    ///
    /// As [`Engine::check`].
    pub fn ask(&mut self, ask: Ask) -> Result<Job, PolicyError> {
        Engine::check(self.config, ask.prompt.len(), &ask.sampling)?;
        let job = self.next_job;
        self.next_job += 1;
        self.schedule.add(job, ask.prompt.len(), ask.seeds.len());
        if !ask.seeds.is_empty() {
            self.jobs.insert(job, Asked { open: ask.seeds.len(), ask, prompt: None });
        }
        Ok(job)
    }

    /// Ends a job whose answers nobody wants any more: with the next step its rows are free.
    pub fn cancel(&mut self, job: Job) {
        if self.jobs.remove(&job).is_some() {
            self.cancelled.push(job);
        }
    }

    /// Computes a part of a prompt if one waits, then one token of every row.
    pub fn step(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        // All of them before the first row is given away, or one of them might get it.
        let cancelled = std::mem::take(&mut self.cancelled);
        let mut free: Vec<usize> = cancelled.into_iter().flat_map(|job| self.schedule.cancel(job)).collect();
        free.sort_unstable_by(|a, b| b.cmp(a));
        for row in free {
            self.vacate(row, &mut events);
        }
        self.compute();
        while let Some(seated) = self.schedule.seat() {
            if !self.begin(seated, &mut events) {
                self.vacate(seated.row, &mut events);
            }
        }
        if !self.rows.is_empty() {
            self.decode(&mut events);
        }
        events
    }

    /// A part of the prompts that are next.
    fn compute(&mut self) {
        if self.computing.is_none() {
            let jobs = self.schedule.compute(self.prompt_tokens);
            if jobs.is_empty() {
                return;
            }
            let prompts = jobs.iter().map(|job| (*job, &self.jobs[job].ask.prompt[..]));
            self.computing = Some(Computing::new(prompts, self.config, self.forward.device()));
        }
        let Some(computing) = &mut self.computing else { return };
        self.forward.prompts(computing, self.prompt_tokens);
        if !computing.is_done() {
            return;
        }
        for (job, prompt) in self.computing.take().into_iter().flat_map(Computing::finish) {
            // Nobody waits for a prompt that was cancelled while it was computed.
            if let Some(asked) = self.jobs.get_mut(&job) {
                asked.prompt = Some(prompt);
            }
        }
        self.schedule.computed();
    }

    /// Gives an attempt its row and its first token; false when that was its last.
    fn begin(&mut self, seated: Seated, events: &mut Vec<Event>) -> bool {
        let Seated { row, seat, last } = seated;
        let asked = self.jobs.get_mut(&seat.job).expect("a seated job is not finished");
        let prompt = if last { asked.prompt.take() } else { asked.prompt.clone() };
        let prompt = prompt.expect("attempts are seated when their prompt is computed");
        let attempt = Row::new(self.tokenizer, seat, &asked.ask);
        let tokens = asked.ask.prompt.len();
        self.make_room(tokens + 1);
        self.cache.copy_prompt(&prompt.cache, prompt.start, tokens, row);
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
        let longest = self.cache.filled()[..count].iter().copied().max().unwrap_or(0);
        self.make_room(longest + 1);
        let last: Vec<u32> = self.rows.iter().map(Row::last).collect();
        let logits = self.forward.rows(&last, &mut self.cache);
        let (lines, end) = (logits.par_chunks_exact(logits.len() / count), &self.config.eos_token_id);
        let written: Vec<Event> =
            self.rows.par_iter_mut().zip(lines).map(|(row, logits)| row.write(logits, end)).collect();
        let ended: Vec<bool> = written.into_iter().map(|event| self.tell(event, events)).collect();
        for row in (0..count).rev().filter(|&row| ended[row]) {
            self.vacate(row, events);
        }
    }

    /// Counts a token and passes it on; true when it was the last of its attempt.
    fn tell(&mut self, event: Event, events: &mut Vec<Event>) -> bool {
        self.sampled += 1;
        let ended = event.stop.is_some();
        if ended && let Some(asked) = self.jobs.get_mut(&event.job) {
            asked.open -= 1;
            if asked.open == 0 {
                self.jobs.remove(&event.job);
            }
        }
        events.push(event);
        ended
    }

    /// Gives a row that ended to whoever is next.
    fn vacate(&mut self, row: usize, events: &mut Vec<Event>) {
        loop {
            match self.schedule.vacate(row) {
                Vacated::Taken(seated) => {
                    if self.begin(seated, events) {
                        return;
                    }
                }
                Vacated::MovedFrom(from) => {
                    self.cache.copy_row(from, row);
                    self.rows.swap_remove(row);
                    return;
                }
                Vacated::Last => {
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

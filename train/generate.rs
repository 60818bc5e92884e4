//! Prefill, then decode with a cache: the in-process [`Policy`].
//!
//! Prompts of a batch are padded on the left, so that all rows fill the same cache slot. A prompt is computed once for
//! all its attempts. Rows that have ended leave the batch when they are half of it.

use burn::tensor::{Device, Int, Tensor, TensorData};
use data::template::ChatTemplate;
use data::{Message, Tokenizer};
use rollout::draw;
use rollout::policy::{Completion, Policy, PolicyError, Request, Sampling};
use rollout::trajectory::Stop;

use crate::model::decoder::{UNSEEN, rope_of};
use crate::model::rope::Rope;
use crate::model::{Cache, CausalLm, Context, ModelConfig};
use crate::sampling::draw as draw_token;

/// A model that answers in this process.
pub struct Generator<'a> {
    model: CausalLm,
    config: &'a ModelConfig,
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    rope: Rope,
    device: Device,
    max_rows: usize,
    version: u64,
    sampled: u64,
}

impl<'a> Generator<'a> {
    /// Answers with `model`; at most `max_rows` attempts are decoded at once.
    pub fn new(
        model: CausalLm,
        config: &'a ModelConfig,
        tokenizer: &'a Tokenizer,
        template: &'a ChatTemplate,
        max_rows: usize,
        device: &Device,
    ) -> Self {
        let rope = rope_of(config, device);
        let device = device.clone();
        Generator {
            model,
            config,
            tokenizer,
            template,
            rope,
            device,
            max_rows: max_rows.max(1),
            version: 0,
            sampled: 0,
        }
    }

    /// Takes the weights of a later step.
    pub fn publish(&mut self, model: CausalLm, version: u64) {
        self.model = model;
        self.version = version;
    }

    /// Tokens sampled so far.
    pub fn sampled(&self) -> u64 {
        self.sampled
    }

    /// The tokens of a prompt, as the model is asked.
    pub fn prompt(&self, messages: &[Message]) -> Vec<u32> {
        self.template.encode_prompt(self.tokenizer, messages)
    }

    fn run(&mut self, prompts: Vec<Prompt>, sampling: &Sampling) -> Vec<Vec<Written>> {
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(1);
        let pads: Vec<usize> = prompts.iter().map(|prompt| longest - prompt.tokens.len()).collect();
        let capacity = longest + sampling.max_new_tokens;
        let mut cache = Cache::new(self.config, prompts.len(), capacity, &self.device);
        let logits = self.prefill(&prompts, &pads, longest, &mut cache);

        let attempts = prompts.iter().map(|prompt| prompt.seeds.len()).max().unwrap_or(0);
        let mut decoding = Decoding::new(&prompts, &pads, attempts, cache.repeat_rows(attempts));
        decoding.take_first(&logits, sampling, self.config.eos_token_id);
        while decoding.step < sampling.max_new_tokens && decoding.drop_finished(&self.device) {
            let logits = self.decode(&mut decoding, longest);
            decoding.take(&logits, sampling, self.config.eos_token_id);
        }
        self.sampled += decoding.written.iter().map(|written| written.tokens.len() as u64).sum::<u64>();
        let mut rows = decoding.written.into_iter();
        prompts
            .iter()
            .map(|prompt| {
                let mut written: Vec<Written> = rows.by_ref().take(attempts).collect();
                written.truncate(prompt.seeds.len());
                written
            })
            .collect()
    }

    /// Fills the cache with the prompts and returns the logits after their last tokens.
    fn prefill(&self, prompts: &[Prompt], pads: &[usize], longest: usize, cache: &mut Cache) -> Vec<Vec<f32>> {
        let rows = prompts.len();
        let padded = |pad: usize| std::iter::repeat_n(0i32, pad);
        let tokens: Vec<i32> = prompts
            .iter()
            .zip(pads)
            .flat_map(|(prompt, &pad)| padded(pad).chain(prompt.tokens.iter().map(|&token| token as i32)))
            .collect();
        let positions: Vec<i32> = pads.iter().flat_map(|&pad| padded(pad).chain(0..(longest - pad) as i32)).collect();
        let mut bias = vec![0f32; rows * longest * longest];
        for (block, &pad) in bias.chunks_exact_mut(longest * longest).zip(pads) {
            for (query, line) in block.chunks_exact_mut(longest).enumerate() {
                line[..pad].fill(UNSEEN);
                line[query + 1..].fill(UNSEEN);
            }
        }
        let context = Context {
            turn: self.rope.at(self.integers(positions, [rows, longest])),
            bias: Tensor::from_data(TensorData::new(bias, [rows, 1, longest, longest]), &self.device),
        };
        let hidden = self.model.hidden(self.integers(tokens, [rows, longest]), &context, Some(cache));
        let [_, _, width] = hidden.dims();
        let last = hidden.narrow(1, longest - 1, 1).reshape([rows, width]);
        self.to_rows(self.model.logits(last))
    }

    /// One more token for every row that is still written.
    fn decode(&self, decoding: &mut Decoding, longest: usize) -> Vec<Vec<f32>> {
        let rows = decoding.rows.len();
        let filled = decoding.cache.filled() + 1;
        let tokens: Vec<i32> = decoding.rows.iter().map(|row| row.last as i32).collect();
        let positions: Vec<i32> =
            decoding.rows.iter().map(|row| (longest - row.pad + decoding.step - 1) as i32).collect();
        let mut bias = vec![0f32; rows * filled];
        for (line, row) in bias.chunks_exact_mut(filled).zip(&decoding.rows) {
            line[..row.pad].fill(UNSEEN);
        }
        let context = Context {
            turn: self.rope.at(self.integers(positions, [rows, 1])),
            bias: Tensor::from_data(TensorData::new(bias, [rows, 1, 1, filled]), &self.device),
        };
        let hidden = self.model.hidden(self.integers(tokens, [rows, 1]), &context, Some(&mut decoding.cache));
        let [_, _, width] = hidden.dims();
        self.to_rows(self.model.logits(hidden.reshape([rows, width])))
    }

    fn integers<const D: usize>(&self, values: Vec<i32>, shape: [usize; D]) -> Tensor<D, Int> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    fn to_rows(&self, logits: Tensor<2>) -> Vec<Vec<f32>> {
        let [_, vocab] = logits.dims();
        let values: Vec<f32> = logits.into_data().try_to_vec().expect("logits are f32");
        values.chunks_exact(vocab).map(<[f32]>::to_vec).collect()
    }
}

impl Policy for Generator<'_> {
    fn complete(&mut self, requests: &[Request], sampling: &Sampling) -> Result<Vec<Vec<Completion>>, PolicyError> {
        sampling.check()?;
        let context = self.config.max_position_embeddings;
        let mut prompts = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            let tokens = self.prompt(&request.messages);
            if tokens.len() + sampling.max_new_tokens > context {
                return Err(PolicyError::PromptTooLong { tokens: tokens.len(), context });
            }
            let seeds = (0..request.attempts).map(|attempt| request.attempt_seed(attempt)).collect();
            prompts.push(Prompt { index, tokens, seeds });
        }
        // Prompts of like length stand in one batch, so that little is padded.
        prompts.sort_by_key(|prompt| prompt.tokens.len());
        let mut answers: Vec<Vec<Completion>> = vec![Vec::new(); requests.len()];
        while !prompts.is_empty() {
            let attempts = prompts.iter().map(|prompt| prompt.seeds.len()).max().unwrap_or(1).max(1);
            let count = (self.max_rows / attempts).clamp(1, prompts.len());
            let chunk: Vec<Prompt> = prompts.drain(..count).collect();
            let written = self.run(chunk.clone(), sampling);
            for (prompt, written) in chunk.into_iter().zip(written) {
                let completions = written.into_iter().map(|written| self.completion(&prompt.tokens, written));
                answers[prompt.index] = completions.collect::<Result<_, _>>()?;
            }
        }
        Ok(answers)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Generator<'_> {
    fn completion(&self, prompt: &[u32], written: Written) -> Result<Completion, PolicyError> {
        let ended = written.tokens.last() == Some(&self.config.eos_token_id);
        let words = &written.tokens[..written.tokens.len() - usize::from(ended)];
        let text = self.tokenizer.decode(words);
        let stop = if ended { Stop::EndOfTurn } else { Stop::Length };
        Completion::new(prompt.to_vec(), written.tokens, written.logprobs, text, stop, self.version)
    }
}

/// A prompt in tokens, and the seed of each of its attempts.
#[derive(Clone)]
struct Prompt {
    index: usize,
    tokens: Vec<u32>,
    seeds: Vec<u64>,
}

/// What an attempt has written so far.
#[derive(Clone, Default)]
struct Written {
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    seed: u64,
    ended: bool,
}

/// A row that is still written.
struct Row {
    /// Its index in `written`.
    attempt: usize,
    pad: usize,
    last: u32,
}

/// The rows that are decoded together.
struct Decoding {
    rows: Vec<Row>,
    written: Vec<Written>,
    cache: Cache,
    /// Tokens written by every row that has not ended.
    step: usize,
}

impl Decoding {
    fn new(prompts: &[Prompt], pads: &[usize], attempts: usize, cache: Cache) -> Self {
        let mut rows = Vec::new();
        let mut written = Vec::new();
        for (prompt, &pad) in prompts.iter().zip(pads) {
            for attempt in 0..attempts {
                rows.push(Row { attempt: written.len(), pad, last: 0 });
                // A prompt that asks for fewer attempts than its neighbours leaves rows that end at once.
                let seed = prompt.seeds.get(attempt).copied();
                written.push(Written { seed: seed.unwrap_or(0), ended: seed.is_none(), ..Written::default() });
            }
        }
        Decoding { rows, written, cache, step: 0 }
    }

    /// The first token of every attempt, from the logits of its prompt.
    fn take_first(&mut self, logits: &[Vec<f32>], sampling: &Sampling, end: u32) {
        let attempts = self.rows.len() / logits.len().max(1);
        let Decoding { rows, written, .. } = self;
        for (index, row) in rows.iter_mut().enumerate() {
            write(row, &mut written[row.attempt], &logits[index / attempts], sampling, end);
        }
        self.step = 1;
    }

    /// The next token of every row.
    fn take(&mut self, logits: &[Vec<f32>], sampling: &Sampling, end: u32) {
        let Decoding { rows, written, .. } = self;
        for (row, logits) in rows.iter_mut().zip(logits) {
            write(row, &mut written[row.attempt], logits, sampling, end);
        }
        self.step += 1;
    }

    /// Shrinks the batch when half of it has ended; false when all of it has.
    fn drop_finished(&mut self, device: &Device) -> bool {
        let alive: Vec<usize> = (0..self.rows.len()).filter(|&at| !self.written[self.rows[at].attempt].ended).collect();
        if alive.is_empty() {
            return false;
        }
        if alive.len() * 2 <= self.rows.len() {
            let kept: Vec<i32> = alive.iter().map(|&at| at as i32).collect();
            let kept = Tensor::<1, Int>::from_data(TensorData::new(kept, [alive.len()]), device);
            let empty = Cache { layers: Vec::new() };
            self.cache = std::mem::replace(&mut self.cache, empty).keep_rows(kept);
            self.rows.retain(|row| !self.written[row.attempt].ended);
        }
        true
    }
}

fn write(row: &mut Row, written: &mut Written, logits: &[f32], sampling: &Sampling, end: u32) {
    if written.ended {
        return;
    }
    // 53 bits make a number in [0, 1).
    let uniform = (draw::bits(written.seed, written.tokens.len() as u64) >> 11) as f64 / (1u64 << 53) as f64;
    let drawn = draw_token(logits, sampling, uniform);
    written.tokens.push(drawn.token);
    written.logprobs.push(drawn.logprob);
    written.ended = drawn.token == end;
    row.last = drawn.token;
}

//! The in-process [`Policy`]: requests in, completions out, by the engine of [`model::generate`].

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use data::Tokenizer;
use data::template::ChatTemplate;
use rollout::policy::{Completion, Policy, PolicyError, Request, Sampling};
use rollout::trajectory::Stop;

use model::generate::{Control, Engine, EngineRequest, Event};
use model::nf4::Nf4Blocks;
use model::{CausalLm, ModelConfig};

/// Tokens of prompts that are computed between two tokens of the rows: nobody waits for the next token here.
const PREFILL_TOKENS: usize = 2048;

/// A model that answers in this process.
pub struct Generator<'a> {
    engine: Engine<'a>,
    config: &'a ModelConfig,
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    version: u64,
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
        let engine = Engine::new(model, config, tokenizer, max_rows, PREFILL_TOKENS, device);
        Generator {
            engine,
            config,
            tokenizer,
            template,
            version: 0,
        }
    }

    /// The same for a model whose linear maps were taken out of it as `frozen`.
    #[must_use]
    pub fn with_frozen(self, frozen: Option<Arc<Nf4Blocks>>) -> Self {
        Generator {
            engine: self.engine.with_frozen(frozen),
            ..self
        }
    }

    /// Takes the weights of a later step.
    pub fn publish(&mut self, model: CausalLm, version: u64) {
        self.engine.publish(model);
        self.version = version;
    }

    /// Tokens sampled so far.
    pub fn sampled(&self) -> u64 {
        self.engine.sampled()
    }
}

impl Policy for Generator<'_> {
    fn complete(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
    ) -> Result<Vec<Vec<Completion>>, PolicyError> {
        let prompts = requests
            .iter()
            .map(|request| request.prompt(self.template, self.tokenizer));
        let prompts: Vec<Vec<u32>> = prompts.collect::<Result<_, _>>()?;
        // All of them before the first, so that nothing is written for a call that fails.
        prompts
            .iter()
            .try_for_each(|prompt| Engine::check(self.config, prompt.len(), sampling))?;
        let (sampling, control) = (Arc::new(sampling.clone()), Arc::<Control>::default());
        let mut places = BTreeMap::new();
        for (index, (request, prompt)) in requests.iter().zip(&prompts).enumerate() {
            let seeds = (0..request.attempts)
                .map(|attempt| request.attempt_seed(attempt))
                .collect();
            let request = EngineRequest {
                prompt: prompt.clone(),
                seeds,
                sampling: sampling.clone(),
                control: control.clone(),
            };
            places.insert(self.engine.submit(request)?, index);
        }
        let mut written: Vec<Vec<Written>> = requests
            .iter()
            .map(|request| vec![Written::default(); request.attempts])
            .collect();
        while !self.engine.is_idle() {
            for event in self.engine.step() {
                if let Some(&index) = places.get(&event.request) {
                    written[index][event.attempt].take(event);
                }
            }
        }
        let version = self.version;
        let of = |(prompt, written): (Vec<u32>, Vec<Written>)| {
            written
                .into_iter()
                .map(|written| written.completion(prompt.clone(), version))
                .collect()
        };
        prompts.into_iter().zip(written).map(of).collect()
    }

    fn complete_telling(
        &mut self,
        request: &Request,
        sampling: &Sampling,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Completion, PolicyError> {
        let prompt = request.prompt(self.template, self.tokenizer)?;
        Engine::check(self.config, prompt.len(), sampling)?;
        let seeds = vec![request.attempt_seed(0)];
        let (sampling, control) = (Arc::new(sampling.clone()), Arc::<Control>::default());
        self.engine.submit(EngineRequest {
            prompt: prompt.clone(),
            seeds,
            sampling,
            control,
        })?;
        let mut written = Written::default();
        while !self.engine.is_idle() {
            for event in self.engine.step() {
                tell(&event.text);
                written.take(event);
            }
        }
        written.completion(prompt, self.version)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// What an attempt has written so far.
#[derive(Clone, Default)]
pub struct Written {
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    drawn: Vec<f32>,
    text: String,
    stop: Option<Stop>,
}

impl Written {
    /// Takes the next token of the attempt.
    pub fn take(&mut self, event: Event) {
        self.tokens.push(event.token);
        self.logprobs.push(event.logprob);
        self.drawn.push(event.drawn);
        self.text.push_str(&event.text);
        self.stop = event.stop;
    }

    /// The whole answer to `prompt`.
    ///
    /// # Errors
    ///
    /// When a log-probability is no number: the weights are broken.
    pub fn completion(self, prompt: Vec<u32>, version: u64) -> Result<Completion, PolicyError> {
        let Written {
            tokens,
            logprobs,
            drawn,
            text,
            stop,
        } = self;
        Completion::new(
            prompt,
            tokens,
            logprobs,
            text,
            stop.unwrap_or(Stop::Length),
            version,
        )?
        .drawn_with(drawn)
    }
}

#[cfg(test)]
mod tests;

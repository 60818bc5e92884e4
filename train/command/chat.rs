//! `train chat`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use clap::Args;
use data::template::ChatTemplate;
use data::{Message, Role, Tokenizer, draw};
use rollout::policy::{PolicyError, Sampling};

use super::DrawingArgs;
use super::memory::talk_memory;
use super::model_parser;
use crate::checkpoint::{self, Loaded};
use crate::device::DeviceChoice;
use crate::terminal::plain;
use model::ModelConfig;
use model::generate::{Engine, EngineRequest};
use model::weights::Precision;

/// `train chat`
#[derive(Args, Clone, Debug)]
pub struct ChatArgs {
    /// The model.
    #[arg(long, value_name = "DIR", value_parser = model_parser())]
    pub model: PathBuf,
    /// Standing instructions before the conversation.
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Tokens of an answer at most; it and the conversation must fit into the context [default: what is left of the
    /// context, 1024 at most].
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// From which all randomness derives.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where tensors live: `auto`, `cpu`, `cuda` or `cuda:1`.
    #[arg(long, value_name = "NAME", default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
    /// How tokens are drawn.
    #[command(flatten)]
    pub drawing: DrawingArgs,
}

/// Tokens of a prompt that are computed between two looks at Ctrl-C.
const PROMPT_TOKENS: usize = 256;

/// The longest answer when nobody said how long it may be.
const USUAL_ANSWER: usize = 1024;

/// `train chat`: one turn for every line of standard input.
///
/// # Errors
///
/// When the model cannot be loaded, or, where nobody sits at a terminal, the conversation does not fit into the context.
pub fn run(args: &ChatArgs) -> Result<()> {
    // Before the model is loaded, so that a slip costs nothing.
    args.drawing
        .sampling(args.max_new_tokens.unwrap_or(USUAL_ANSWER))
        .check()?;
    let device = args.device.open()?;
    talk_memory(&args.model, 1, &device, "keep the conversation short")?;
    let Loaded {
        config,
        model,
        tokenizer,
        template,
        ..
    } = checkpoint::load_as(&args.model, Precision::Stored, &device)?;
    let template = template.at(SystemTime::now())?;
    let engine = Engine::new(model, &config, &tokenizer, 1, PROMPT_TOKENS, &device);
    let messages = args
        .system
        .iter()
        .map(|system| Message::new(Role::System, system))
        .collect();
    let mut talk = Talk {
        engine,
        config: &config,
        tokenizer: &tokenizer,
        template: &template,
        args,
        messages,
        turn: 0,
    };

    let (input, mut output) = (std::io::stdin(), std::io::stdout());
    let person = input.is_terminal() && output.is_terminal();
    let interrupt = Interrupt::new(person)?;
    if person {
        eprintln!(
            "one line is one turn; Ctrl-C ends an answer, /new begins anew, Ctrl-D ends the talk"
        );
    }
    let mut lines = input.lock().lines();
    loop {
        if person {
            eprint!("> ");
        }
        let Some(line) = lines.next() else {
            return Ok(());
        };
        let line = line.context("while reading standard input")?;
        match line.trim() {
            "" => continue,
            "/new" if person => talk.begin_anew(),
            _ => match talk.say(&line, &mut output, person, &interrupt) {
                Err(error) if person && error.is::<PolicyError>() => crate::say_error(&error),
                said => said?,
            },
        }
    }
}

/// A conversation with a model.
struct Talk<'a> {
    engine: Engine<'a>,
    config: &'a ModelConfig,
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    args: &'a ChatArgs,
    messages: Vec<Message>,
    turn: u64,
}

impl Talk<'_> {
    /// Only the standing instructions stay.
    fn begin_anew(&mut self) {
        self.messages.retain(|message| message.role == Role::System);
    }

    /// One turn: the answer goes to `output` as it comes, how fast it came to standard error.
    fn say(
        &mut self,
        line: &str,
        output: &mut impl Write,
        person: bool,
        interrupt: &Interrupt,
    ) -> Result<()> {
        self.messages.push(Message::new(Role::User, line));
        let prompt = self
            .template
            .encode_prompt(self.tokenizer, &self.messages)?;
        let sampling = Arc::new(self.sampling(prompt.len()));
        let seeds = vec![draw::key(self.args.seed, &[self.turn])];
        let started = Instant::now();
        let job = match self.engine.submit(EngineRequest {
            prompt,
            seeds,
            sampling,
            control: Arc::default(),
        }) {
            Ok(job) => job,
            Err(error) => {
                // The turn that does not fit is forgotten, so that a shorter one may.
                self.messages.pop();
                return Err(error.into());
            }
        };
        self.turn += 1;
        interrupt.begin();
        let (mut answer, mut tokens, mut first) = (String::new(), 0usize, None);
        while !self.engine.is_idle() {
            for event in self.engine.step() {
                if !event.logprob.is_finite() {
                    return Err(PolicyError::NotFinite {
                        at: tokens,
                        logprob: event.logprob,
                    }
                    .into());
                }
                first.get_or_insert_with(|| started.elapsed());
                tokens += 1;
                // What a model writes may hold what a terminal obeys; a file gets it as it is.
                let shown = if person {
                    plain(&event.text)
                } else {
                    event.text.clone()
                };
                output
                    .write_all(shown.as_bytes())
                    .and_then(|()| output.flush())
                    .context("while writing the answer")?;
                answer.push_str(&event.text);
            }
            if interrupt.came() {
                self.engine.cancel(job);
            }
        }
        interrupt.end();
        output
            .write_all(b"\n")
            .and_then(|()| output.flush())
            .context("while writing the answer")?;
        let first = first.unwrap_or_default();
        let rest = (started.elapsed() - first).as_secs_f64();
        let speed = tokens.saturating_sub(1) as f64 / rest.max(1e-9);
        eprintln!(
            "[{tokens} tokens, the first after {:.2} s, then {speed:.1} tokens/s]",
            first.as_secs_f64()
        );
        self.messages.push(Message::new(Role::Assistant, answer));
        Ok(())
    }

    fn sampling(&self, prompt: usize) -> Sampling {
        let left = self
            .config
            .max_position_embeddings
            .saturating_sub(prompt)
            .max(1);
        self.args
            .drawing
            .sampling(self.args.max_new_tokens.unwrap_or(left.min(USUAL_ANSWER)))
    }
}

/// Ctrl-C: it ends an answer, or the program where none is being written.
struct Interrupt(Arc<AtomicU8>);

impl Interrupt {
    const IDLE: u8 = 0;
    const ANSWERING: u8 = 1;
    const CAME: u8 = 2;

    /// Listens where a person sits at the terminal; elsewhere Ctrl-C ends the program as always.
    fn new(person: bool) -> Result<Self> {
        let state = Arc::new(AtomicU8::new(Self::IDLE));
        if person {
            let seen = state.clone();
            let came = move || {
                let was = seen.compare_exchange(
                    Self::ANSWERING,
                    Self::CAME,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                if was == Err(Self::IDLE) {
                    std::process::exit(130);
                }
            };
            ctrlc::set_handler(came).context("cannot listen for Ctrl-C")?;
        }
        Ok(Interrupt(state))
    }

    fn begin(&self) {
        self.0.store(Self::ANSWERING, Ordering::Relaxed);
    }

    fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::CAME
    }

    fn end(&self) {
        self.0.store(Self::IDLE, Ordering::Relaxed);
    }
}

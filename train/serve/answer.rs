//! From a request to its answer, whole or token by token.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use data::draw;
use data::template::TemplateError;
use rollout::policy::{Request as Seeds, Sampling};
use serde_json::Value;
use tiny_http::Request;

use super::calls::{Form, Telling};
use super::conversation::ChatRequest;
use super::outlet::Outlet;
use super::protocol::{Common, CompletionRequest, PromptInput, Refusal};
use super::reply::{Choice, Kind, Reply, usage};
use super::routes::{refuse, tell};
use super::worker::Order;
use super::{Place, Served, Server};
use crate::generate::{Engine, Event};

/// How long a whole answer is waited for in silence. Then a blank goes out every so often, which JSON does not mind and
/// which finds out whether the client is still there.
const SILENCE: Duration = Duration::from_secs(1);

/// The media type of an answer that goes out while it is written.
const JSON: &str = "application/json";

/// A request that was taken in.
pub struct Asked {
    server: Arc<Server>,
    reply: Reply,
    prompts: Vec<Vec<u32>>,
    /// Answers to each prompt.
    attempts: usize,
    stream: bool,
    with_usage: bool,
    /// How calls of tools are written, where tools are offered.
    calls: Option<Form>,
    /// At most so many of them.
    most_calls: usize,
    /// The tokens of all answers, with the number of their prompt.
    inbox: Receiver<(usize, Event)>,
    /// When it is dropped, nothing more is written.
    _wanted: Arc<()>,
    /// Held while it is answered.
    _place: Place,
}

impl Asked {
    /// Takes in a request for completions.
    ///
    /// # Errors
    ///
    /// When it is wrong, or there are too many.
    pub fn completion(server: &Arc<Server>, request: &CompletionRequest) -> Result<Self, Refusal> {
        let encode = |text: &String| server.served.tokenizer.encode(text);
        let prompts = match &request.prompt {
            PromptInput::Text(text) => vec![encode(text)],
            PromptInput::Tokens(tokens) => vec![tokens.clone()],
            PromptInput::Texts(texts) => texts.iter().map(encode).collect(),
            PromptInput::ManyTokens(prompts) => prompts.clone(),
        };
        Asked::new(server, &request.common, Kind::Text, prompts, request.logprobs.is_some())
    }

    /// Takes in a request for a turn of a conversation.
    ///
    /// # Errors
    ///
    /// As [`Asked::completion`].
    pub fn chat(server: &Arc<Server>, request: &ChatRequest) -> Result<Self, Refusal> {
        let (dialog, offered) = (request.dialog()?, request.offered()?.is_some());
        let refuse = |error: TemplateError| {
            let switched =
                |name: &String| request.chat_template_kwargs.as_ref().is_some_and(|all| all.contains_key(name));
            let field = match &error {
                TemplateError::Unasked { asked, .. } if switched(asked) => "chat_template_kwargs",
                TemplateError::Unasked { asked, .. } if asked == "tools" => "tools",
                _ => "messages",
            };
            Refusal::bad(Some(field), error.to_string())
        };
        let mut template = server.served.template.template(SystemTime::now()).map_err(refuse)?;
        if offered {
            template = template.with_tools();
        }
        let prompt = template.encode_dialog(&server.served.tokenizer, &dialog).map_err(refuse)?;
        let calls = Form::of(template.source()).filter(|_| offered);
        if offered && calls.is_none() {
            let message = "how this model writes calls of tools is not known here; leave `tools` out";
            return Err(Refusal::bad(Some("tools"), message));
        }
        let asked = Asked::new(server, &request.common, Kind::Chat, vec![prompt], request.logprobs == Some(true))?;
        let most_calls = if request.parallel_tool_calls == Some(false) { 1 } else { usize::MAX };
        Ok(Asked { calls, most_calls, ..asked })
    }

    fn new(
        server: &Arc<Server>,
        common: &Common,
        kind: Kind,
        prompts: Vec<Vec<u32>>,
        logprobs: bool,
    ) -> Result<Self, Refusal> {
        let served = &server.served;
        let attempts = common.choices()?;
        let sampling = sampling(served, common, &prompts)?;
        let busy = || Refusal {
            status: 429,
            kind: "rate_limit_exceeded",
            ..Refusal::bad(None, "too many requests are being answered; come again in a moment")
        };
        let place = server.place().ok_or_else(busy)?;
        let seed = common.seed.map_or_else(random, |seed| seed as u64);
        let sampling = Arc::new(sampling);
        let (events, inbox) = channel();
        let wanted = Arc::new(());
        for (index, prompt) in prompts.iter().enumerate() {
            // The first prompt draws as the same request would in process.
            let seed = if index == 0 { seed } else { draw::key(seed, &[index as u64]) };
            let seeds = Seeds { messages: Vec::new(), attempts, seed };
            let seeds = (0..attempts).map(|attempt| seeds.attempt_seed(attempt)).collect();
            server.numbers.prompt(prompt.len());
            let (prompt, sampling, events) = (prompt.clone(), sampling.clone(), events.clone());
            let order = Order { index, prompt, seeds, sampling, events, wanted: Arc::downgrade(&wanted) };
            server.worker.send(order).map_err(|_| failed())?;
        }
        let prefix = if kind == Kind::Chat { "chatcmpl" } else { "cmpl" };
        let reply = Reply {
            kind,
            id: format!("{prefix}-{:016x}", random()),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            model: served.name.clone(),
            logprobs,
            token_ids: common.return_token_ids == Some(true),
        };
        let with_usage = common.stream_options.is_some_and(|options| options.include_usage);
        let (server, stream) = (server.clone(), common.stream == Some(true));
        Ok(Asked {
            server,
            reply,
            prompts,
            attempts,
            stream,
            with_usage,
            calls: None,
            most_calls: usize::MAX,
            inbox,
            _wanted: wanted,
            _place: place,
        })
    }

    /// Answers; returns the status.
    pub fn answer(self, request: Request) -> u16 {
        if !self.stream {
            return self.whole(request);
        }
        // A client that leaves is no fault of ours.
        let outlet = Outlet::begin(request.into_writer(), "text/event-stream");
        outlet.and_then(|outlet| self.tokens(outlet)).ok();
        200
    }

    fn choices(&self) -> usize {
        self.prompts.len() * self.attempts
    }

    fn usage(&self, written: usize) -> Value {
        usage(self.prompts.iter().map(Vec::len).sum(), written)
    }

    /// Token by token.
    fn tokens(&self, mut outlet: Outlet) -> io::Result<()> {
        let tokenizer = &self.server.served.tokenizer;
        let mut begun = vec![false; self.choices()];
        let mut telling = vec![Telling::new(self.calls); self.choices()];
        let (mut open, mut written) = (self.choices(), 0);
        while let Ok((prompt, event)) = self.inbox.recv() {
            if !event.logprob.is_finite() {
                break;
            }
            let index = prompt * self.attempts + event.attempt;
            written += 1;
            open -= usize::from(event.stop.is_some());
            let first = !std::mem::replace(&mut begun[index], true);
            let (mut part, ended) = (Choice::default(), event.stop.is_some());
            part.take(event);
            part.tell_by(&mut telling[index], ended, self.most_calls);
            outlet.event(&self.reply.chunk(tokenizer, index, &part, first).to_string())?;
        }
        if open > 0 {
            outlet.event(&failed().body().to_string())?;
        } else if self.with_usage {
            outlet.event(&self.reply.last(self.usage(written)).to_string())?;
        }
        outlet.event("[DONE]")?;
        outlet.end()
    }

    /// All at once.
    fn whole(self, request: Request) -> u16 {
        let mut answers = vec![Choice::default(); self.choices()];
        let mut waiting = Waiting::Silent(request);
        let mut said = Instant::now();
        loop {
            match self.inbox.recv_timeout(SILENCE) {
                Ok((_, event)) if !event.logprob.is_finite() => return waiting.fail(),
                Ok((prompt, event)) => answers[prompt * self.attempts + event.attempt].take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if said.elapsed() >= SILENCE {
                said = Instant::now();
                match waiting.blank() {
                    Ok(still) => waiting = still,
                    // Who has left wants no answer.
                    Err(_) => return 200,
                }
            }
        }
        if !answers.iter().all(Choice::is_done) {
            return waiting.fail();
        }
        let written = answers.iter().map(Choice::tokens).sum();
        answers.iter_mut().for_each(|answer| answer.find_calls(self.calls, self.most_calls));
        let prompts: Vec<&[u32]> =
            self.prompts.iter().flat_map(|prompt| std::iter::repeat_n(&prompt[..], self.attempts)).collect();
        waiting.tell(&self.reply.whole(&self.server.served.tokenizer, &answers, &prompts, self.usage(written)));
        200
    }
}

/// How tokens are drawn, once everything that could be wrong with a request was looked at.
fn sampling(served: &Served, common: &Common, prompts: &[Vec<u32>]) -> Result<Sampling, Refusal> {
    if let Some(model) = common.model.as_ref().filter(|model| **model != served.name) {
        let message = format!("the model `{model}` is not served here; `{}` is", served.name);
        return Err(Refusal { status: 404, ..Refusal::bad(Some("model"), message) });
    }
    let vocab = served.config.vocab_size;
    if let Some(token) = prompts.iter().flatten().find(|&&token| token as usize >= vocab) {
        return Err(Refusal::bad(Some("prompt"), format!("token {token} is not among the {vocab} of this model")));
    }
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let sampling = common.sampling(longest, served.config.max_position_embeddings)?;
    for prompt in prompts {
        let checked = Engine::check(&served.config, prompt.len(), &sampling);
        checked.map_err(|error| Refusal::bad(Some("prompt"), error.to_string()))?;
    }
    Ok(sampling)
}

/// A client that waits for a whole answer.
enum Waiting {
    /// Nothing was said yet.
    Silent(Request),
    /// The head of the answer went out, and blanks.
    Begun(Outlet),
}

impl Waiting {
    fn blank(self) -> io::Result<Self> {
        let mut outlet = match self {
            Waiting::Silent(request) => Outlet::begin(request.into_writer(), JSON)?,
            Waiting::Begun(outlet) => outlet,
        };
        outlet.send(" ")?;
        Ok(Waiting::Begun(outlet))
    }

    fn tell(self, value: &Value) {
        match self {
            Waiting::Silent(request) => tell(request, 200, value),
            Waiting::Begun(mut outlet) => {
                // Who has left does not hear it.
                outlet.send(&value.to_string()).and_then(|()| outlet.end()).ok();
            }
        }
    }

    fn fail(self) -> u16 {
        match self {
            Waiting::Silent(request) => refuse(request, &failed()),
            Waiting::Begun(_) => self.tell(&failed().body()),
        }
        500
    }
}

fn failed() -> Refusal {
    let message = "the model failed to answer; see the log of the server";
    Refusal { status: 500, kind: "server_error", ..Refusal::bad(None, message) }
}

/// A number that differs from call to call: the keys that the standard library draws for its hash tables.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

//! From a request to its answer, whole or token by token.
//!
//! In: the body of a request. Out: an [`Asked`], whose prompts are already being written, and from it the answer. When the
//! client leaves, hyper drops the answer, and with it [`Asked`]: its rows are free before the next token.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::http::StatusCode;
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Response};
use data::draw;
use futures_util::stream;
use rollout::policy::Request as Seeds;
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, channel};

use super::prompt::Prompted;
use super::protocol::Refusal;
use super::record::Record;
use super::reply::{Choice, Kind, Reply, usage};
use super::worker::Order;
use super::{Place, Server};
use data::calls::{Form, ToolCallParser};
use model::generate::Event;

/// Tokens of one request that may wait for its reader; who lets more wait gets no more.
const TOKENS_AHEAD: usize = 8192;
/// A stream that says nothing says so every so often: proxies and clients see that it is alive.
const SILENCE: Duration = Duration::from_secs(15);

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
    record: Record,
    /// When it is dropped, nothing more is written.
    _wanted: Arc<()>,
    /// Hysteresis while it is answered.
    _place: Place,
}

impl Asked {
    /// Has the answers to `prompted` written.
    ///
    /// # Errors
    ///
    /// When there are too many requests, or the model has failed.
    pub fn new(
        server: &Arc<Server>,
        prompted: Prompted,
        mut record: Record,
    ) -> Result<Self, Refusal> {
        let Prompted {
            kind,
            prompts,
            common,
            attempts,
            sampling,
            control,
            logprobs,
            calls,
            most_calls,
        } = prompted;
        let busy = || Refusal {
            status: 429,
            kind: "rate_limit_exceeded",
            ..Refusal::bad(
                None,
                "too many requests are being answered; come again in a moment",
            )
        };
        let Some(place) = server.place() else {
            record.end(429);
            return Err(busy());
        };
        let seed = common.seed.map_or_else(random, |seed| seed as u64);
        let (sampling, control) = (Arc::new(sampling), Arc::new(control));
        let (events, inbox) = channel(TOKENS_AHEAD);
        let wanted = Arc::new(());
        for (index, prompt) in prompts.iter().enumerate() {
            // The first prompt draws as the same request would in process.
            let seed = if index == 0 {
                seed
            } else {
                draw::key(seed, &[index as u64])
            };
            let seeds = Seeds {
                messages: Vec::new(),
                attempts,
                seed,
            };
            let seeds = (0..attempts)
                .map(|attempt| seeds.attempt_seed(attempt))
                .collect();
            record.prompt(prompt.len());
            let (prompt, sampling, control, events) = (
                prompt.clone(),
                sampling.clone(),
                control.clone(),
                events.clone(),
            );
            let order = Order {
                index,
                prompt,
                seeds,
                sampling,
                control,
                events,
                wanted: Arc::downgrade(&wanted),
            };
            if server.worker.send(order).is_err() {
                record.end(500);
                return Err(failed());
            }
        }
        record.choices(prompts.len() * attempts);
        let prefix = if kind == Kind::Chat {
            "chatcmpl"
        } else {
            "cmpl"
        };
        let reply = Reply {
            kind,
            id: format!("{prefix}-{:016x}", random()),
            created: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            model: server.served.name.clone(),
            logprobs,
            token_ids: common.return_token_ids == Some(true),
        };
        let with_usage = common
            .stream_options
            .is_some_and(|options| options.include_usage);
        let (server, stream) = (server.clone(), common.stream == Some(true));
        Ok(Asked {
            server,
            reply,
            prompts,
            attempts,
            stream,
            with_usage,
            calls,
            most_calls,
            inbox,
            record,
            _wanted: wanted,
            _place: place,
        })
    }

    /// Answers.
    pub async fn answer(self) -> Response {
        if !self.stream {
            return self.whole().await;
        }
        let events = stream::unfold(Streaming::new(self), async |mut streaming| {
            let data = streaming.next().await?;
            Some((Ok::<_, Infallible>(Sse::default().data(data)), streaming))
        });
        axum::response::Sse::new(events)
            .keep_alive(KeepAlive::new().interval(SILENCE))
            .into_response()
    }

    fn choices(&self) -> usize {
        self.prompts.len() * self.attempts
    }

    fn usage(&self, written: usize) -> Value {
        usage(self.prompts.iter().map(Vec::len).sum(), written)
    }

    /// The number of the choice that a token belongs to, and the token; none where no more come.
    async fn next(&mut self) -> Option<(usize, Event)> {
        let (prompt, event) = self.inbox.recv().await?;
        let choice = prompt * self.attempts + event.attempt;
        self.record.token(choice);
        Some((choice, event))
    }

    /// Why an answer is not whole though no more tokens come.
    fn cut_off(&self) -> Refusal {
        if self.server.worker.is_well()
            && self.inbox.is_empty()
            && self.record.tokens() >= TOKENS_AHEAD
        {
            let message = format!(
                "the answer was read too slowly: {TOKENS_AHEAD} tokens waited for their reader"
            );
            return Refusal {
                status: 408,
                kind: "timeout_error",
                ..Refusal::bad(None, message)
            };
        }
        failed()
    }

    /// All at once.
    async fn whole(mut self) -> Response {
        let mut answers = vec![Choice::default(); self.choices()];
        let mut parsers = vec![ToolCallParser::new(self.calls, self.most_calls); self.choices()];
        while let Some((choice, event)) = self.next().await {
            if !event.logprob.is_finite() {
                self.record.end(500);
                return failed().into_response();
            }
            answers[choice].take(event, &mut parsers[choice]);
        }
        if !answers.iter().all(Choice::is_done) {
            let refusal = self.cut_off();
            self.record.end(refusal.status);
            return refusal.into_response();
        }
        self.record.end(200);
        let written = answers.iter().map(Choice::tokens).sum();
        let prompts: Vec<&[u32]> = self
            .prompts
            .iter()
            .flat_map(|prompt| std::iter::repeat_n(&prompt[..], self.attempts))
            .collect();
        Json(self.reply.whole(
            &self.server.served.tokenizer,
            &answers,
            &prompts,
            self.usage(written),
        ))
        .into_response()
    }
}

/// An answer that is told token by token.
struct Streaming {
    asked: Asked,
    parsers: Vec<ToolCallParser>,
    /// Whether each choice has begun, and how many calls of it were told.
    begun: Vec<bool>,
    told_calls: Vec<usize>,
    /// Choices that have not ended.
    open: usize,
    written: usize,
    /// What is said after the last token.
    last: Option<VecDeque<String>>,
}

impl Streaming {
    fn new(asked: Asked) -> Self {
        let choices = asked.choices();
        let parsers = vec![ToolCallParser::new(asked.calls, asked.most_calls); choices];
        let (begun, told_calls) = (vec![false; choices], vec![0; choices]);
        Streaming {
            asked,
            parsers,
            begun,
            told_calls,
            open: choices,
            written: 0,
            last: None,
        }
    }

    /// The data of the next event; none when all is said.
    async fn next(&mut self) -> Option<String> {
        if let Some(last) = &mut self.last {
            return last.pop_front();
        }
        match self.asked.next().await {
            Some((choice, event)) if event.logprob.is_finite() => Some(self.chunk(choice, event)),
            broken => {
                let last = self.ending(broken.is_some());
                self.last.insert(last).pop_front()
            }
        }
    }

    fn chunk(&mut self, choice: usize, event: Event) -> String {
        self.written += 1;
        self.open -= usize::from(event.stop.is_some());
        let first = !std::mem::replace(&mut self.begun[choice], true);
        let mut part = Choice::part(self.told_calls[choice]);
        part.take(event, &mut self.parsers[choice]);
        self.told_calls[choice] = part.calls_so_far();
        self.asked
            .reply
            .chunk(&self.asked.server.served.tokenizer, choice, &part, first)
            .to_string()
    }

    fn ending(&mut self, broken: bool) -> VecDeque<String> {
        let mut last = VecDeque::new();
        if broken || self.open > 0 {
            let refusal = if broken {
                failed()
            } else {
                self.asked.cut_off()
            };
            self.asked.record.end(refusal.status);
            last.push_back(refusal.body().to_string());
        } else {
            self.asked.record.end(200);
            if self.asked.with_usage {
                last.push_back(
                    self.asked
                        .reply
                        .last(self.asked.usage(self.written))
                        .to_string(),
                );
            }
        }
        last.push_back("[DONE]".to_owned());
        last
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body())).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response
                .headers_mut()
                .insert("retry-after", axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}

/// The model is broken, or gone.
pub fn failed() -> Refusal {
    let message = "the model failed to answer; see the log of the server";
    Refusal {
        status: 500,
        kind: "server_error",
        ..Refusal::bad(None, message)
    }
}

/// A number that differs from call to call: the keys that the standard library draws for its hash tables.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

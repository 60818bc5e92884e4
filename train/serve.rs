//! A model behind OpenAI's HTTP interface: `train serve`.
//!
//! In: a model folder and an address. Out: `/v1/models`, `/v1/completions`, `/v1/chat/completions`, `/health` and
//! `/metrics`. The requests of all clients are written in one continuous batch (`serve/worker.rs`); a client that leaves frees
//! its rows. Log-probabilities are those of the model at the request's temperature, over the whole vocabulary.
//! Example: `curl 127.0.0.1:8000/v1/completions -d '{"prompt": "def add(a, b):", "max_tokens": 16}'`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use axum::http::HeaderValue;
use burn::tensor::Device;
use data::Tokenizer;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rollout::http::{HttpServer, Limits};

use crate::checkpoint::Loaded;
use model::ModelConfig;

mod answer;
mod conversation;
mod fields;
mod grammar;
mod numbers;
mod prompt;
mod protocol;
mod record;
mod reply;
mod routes;
mod today;
mod worker;

use data::calls::Syntax;
use grammar::Grammars;
use numbers::Numbers;
use today::Today;
use worker::Worker;

/// What is served, besides the weights.
pub struct Served {
    /// What the model is called.
    pub name: String,
    /// Its shape.
    pub config: ModelConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: Today,
    /// How it writes calls of tools, once somebody has asked.
    syntax: OnceLock<Option<Syntax>>,
    /// What its answers can be forced to be.
    grammars: Grammars,
}

/// How a server serves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// Answers that are written at once.
    pub max_rows: usize,
    /// Requests that are taken in at once; the next is told to come later.
    pub max_requests: usize,
    /// How long answers that are being written may take when the server is told to stop.
    pub patience: Duration,
    /// What a client must send to be answered; none for everybody.
    pub api_key: Option<String>,
    /// Pages that may ask from within a browser; `*` for all.
    pub cors_origins: Vec<HeaderValue>,
    /// Whether each request is a line of the log.
    pub log_requests: bool,
}

/// A server that listens.
pub struct Serving {
    http: HttpServer,
    stop: SyncSender<()>,
    stopped: Receiver<()>,
    patience: Duration,
}

/// What every handler knows.
struct Server {
    served: Arc<Served>,
    worker: Worker,
    numbers: Numbers,
    max_requests: usize,
    /// Requests that are being answered.
    open: AtomicUsize,
    api_key: Option<blake3::Hash>,
    log_requests: bool,
    /// Seconds since 1970.
    started: u64,
}

/// Counts a request as long as it is answered.
struct Place(Arc<Server>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Serving {
    /// Listens, with `loaded` behind it under the name `name`.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub fn start(loaded: Loaded, name: String, settings: Settings, device: Device) -> Result<Self> {
        let Loaded {
            config,
            model,
            tokenizer,
            template,
            ..
        } = loaded;
        let (template, syntax, grammars) =
            (Today::new(template), OnceLock::new(), Grammars::default());
        let served = Arc::new(Served {
            name,
            config,
            tokenizer,
            template,
            syntax,
            grammars,
        });
        let worker = Worker::start(model, served.clone(), settings.max_rows, device)?;
        let server = Arc::new(Server {
            served,
            worker,
            numbers: Numbers::default(),
            max_requests: settings.max_requests,
            open: AtomicUsize::new(0),
            api_key: settings
                .api_key
                .as_ref()
                .map(|key| blake3::hash(key.as_bytes())),
            log_requests: settings.log_requests,
            started: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        });
        allow_many_files();
        let address = settings.address;
        let http = HttpServer::bind(
            address,
            routes::router(server, &settings.cors_origins),
            Limits::default(),
        );
        let http = http.map_err(|error| {
            let hint = "choose another port with `--port`, or 0 for any that is free";
            anyhow!("cannot listen on `{address}`: {error}{}", data::Hint(hint))
        })?;
        let (stop, stopped) = sync_channel(1);
        Ok(Serving {
            http,
            stop,
            stopped,
            patience: settings.patience,
        })
    }

    /// Where it listens: the port that was free, where any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Whoever holds it can end [`Serving::run`].
    pub fn stopper(&self) -> impl Fn() + Send + use<> {
        let stop = self.stop.clone();
        move || {
            // Where it was told already, it need not be told again.
            stop.try_send(()).ok();
        }
    }

    /// Answers until it is stopped; what is being written then may end within the server's patience.
    pub fn run(self) {
        let Serving {
            http,
            stop,
            stopped,
            patience,
        } = self;
        // Its own end of the line keeps it open when nobody else has one.
        stopped.recv().ok();
        drop(stop);
        http.shut_down(patience);
    }
}

/// Every client is an open file; the usual limit of 1,024 is a soft one.
fn allow_many_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where it is not allowed, there are as many clients as before.
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
}

impl Server {
    /// A place for one more request, if there is one.
    fn place(self: &Arc<Self>) -> Option<Place> {
        let more = |open: usize| (open < self.max_requests).then_some(open + 1);
        self.open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .ok()?;
        Some(Place(self.clone()))
    }
}

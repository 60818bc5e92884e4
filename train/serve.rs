//! A model behind OpenAI's HTTP interface: `train serve`.
//!
//! In: a model folder and an address. Out: `/v1/models`, `/v1/completions`, `/v1/chat/completions`, `/health` and
//! `/metrics`. The requests of all clients are written in one continuous batch (`serve/worker.rs`); a client that leaves frees
//! its rows. Log-probabilities are those of the model at the request's temperature, over the whole vocabulary.
//! Example: `curl 127.0.0.1:8000/v1/completions -d '{"prompt": "def add(a, b):", "max_tokens": 16}'`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use burn::tensor::Device;
use data::Tokenizer;

use crate::checkpoint::Loaded;
use crate::model::ModelConfig;

mod answer;
mod calls;
mod conversation;
mod numbers;
mod outlet;
mod protocol;
mod reply;
mod routes;
mod today;
mod worker;

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
}

/// How a server serves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// Answers that are written at once.
    pub max_rows: usize,
    /// Requests that are taken in at once; the next is told to come later.
    pub max_requests: usize,
    /// How long answers that are being written may take when the server is told to stop.
    pub patience: Duration,
}

/// A server that listens.
pub struct Serving {
    server: Arc<Server>,
    http: Arc<tiny_http::Server>,
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
    stopping: AtomicBool,
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
        let address = settings.address;
        let http = tiny_http::Server::http(address).map_err(|error| {
            let hint = "choose another port with `--port`, or 0 for any that is free";
            anyhow!("cannot listen on `{address}`: {error}\nhint: {hint}")
        })?;
        let Loaded { config, model, tokenizer, template, .. } = loaded;
        let served = Arc::new(Served { name, config, tokenizer, template: Today::new(template) });
        let worker = Worker::start(model, served.clone(), settings.max_rows, device)?;
        let numbers = Numbers::default();
        let server = Server {
            served,
            worker,
            numbers,
            max_requests: settings.max_requests,
            open: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        };
        let server = Arc::new(server);
        Ok(Serving { server, http: Arc::new(http), patience: settings.patience })
    }

    /// Where it listens: the port that was free, where any was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.http.server_addr().to_ip()
    }

    /// Whoever holds it can end [`Serving::run`].
    pub fn stopper(&self) -> impl Fn() + Send + use<> {
        let (server, http) = (self.server.clone(), self.http.clone());
        move || {
            server.stopping.store(true, Ordering::SeqCst);
            http.unblock();
        }
    }

    /// Answers until it is stopped; what is being written then may end within the server's patience.
    pub fn run(self) {
        while !self.server.stopping.load(Ordering::SeqCst) {
            // Nothing came: the server is told to stop, or a connection could not be had.
            let Ok(request) = self.http.recv() else { continue };
            let server = self.server.clone();
            // A thread waits for each request; how many may wait is bounded by `max_requests`.
            let answer = move || routes::answer(&server, request);
            if let Err(error) = std::thread::Builder::new().name("request".to_owned()).spawn(answer) {
                eprintln!("warning: a request is dropped, the system gives no thread: {error}");
            }
        }
        let until = Instant::now() + self.patience;
        while self.server.open.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Server {
    /// A place for one more request, if there is one.
    fn place(self: &Arc<Self>) -> Option<Place> {
        let more = |open: usize| (open < self.max_requests).then_some(open + 1);
        self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Place(self.clone()))
    }
}

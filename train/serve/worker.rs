//! The thread that writes: requests of all clients in one continuous batch.
//!
//! In: [`Order`]s. Out: their tokens, one by one. An order that nobody wants any more is cancelled, and its rows are
//! free.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use burn::tensor::Device;
use rollout::policy::Sampling;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self as events};

use crate::serve::Served;
use model::CausalLm;
use model::generate::scheduler::RequestId;
use model::generate::{Control, Engine, EngineRequest, Event};

/// Tokens of prompts that are computed between two tokens of the answers: nobody waits long for the next token.
const PROMPT_TOKENS: usize = 256;

/// A prompt of a client.
pub struct Order {
    /// Which of the prompts of its request.
    pub index: usize,
    /// The prompt.
    pub prompt: Vec<u32>,
    /// One answer for each seed.
    pub seeds: Vec<u64>,
    /// How tokens are drawn.
    pub sampling: Arc<Sampling>,
    /// What shapes the answers besides.
    pub control: Arc<Control>,
    /// Where the tokens go, with `index`. Who takes none until it is full gets no more: nobody waits for a slow reader.
    pub events: events::Sender<(usize, Event)>,
    /// Gone when nobody wants the answer any more.
    pub wanted: Weak<()>,
}

/// What the thread is doing, for whoever asks.
#[derive(Debug, Default)]
pub struct Load {
    /// Answers that are being written.
    pub live: AtomicUsize,
    /// Prompts that were not begun.
    pub waiting: AtomicUsize,
    /// Tokens written so far.
    pub sampled: AtomicU64,
}

/// The thread.
pub struct Worker {
    // Behind a lock because handlers share it.
    orders: Mutex<Sender<Order>>,
    thread: JoinHandle<()>,
    load: Arc<Load>,
}

impl Worker {
    /// Starts with `model`, whose shape and tokenizer are those of `served`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        model: CausalLm,
        served: Arc<Served>,
        max_rows: usize,
        device: Device,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let load = Arc::<Load>::default();
        let told = load.clone();
        let work = move || {
            let engine = Engine::new(
                model,
                &served.config,
                &served.tokenizer,
                max_rows,
                PROMPT_TOKENS,
                &device,
            );
            run(engine, &inbox, &told);
        };
        let thread = std::thread::Builder::new()
            .name("decode".to_owned())
            .spawn(work)?;
        Ok(Worker {
            orders: Mutex::new(orders),
            thread,
            load,
        })
    }

    /// Takes an order in, whose prompt and sampling were checked.
    ///
    /// # Errors
    ///
    /// When the thread is gone: the model failed.
    pub fn send(&self, order: Order) -> Result<(), Gone> {
        self.orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(order)
            .map_err(|_| Gone)
    }

    /// What it is doing.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// False when the thread is gone: the model failed.
    pub fn is_well(&self) -> bool {
        !self.thread.is_finished()
    }
}

/// The thread has ended: the model failed.
#[derive(Debug)]
pub struct Gone;

/// Where the tokens of a job go.
struct Sink {
    index: usize,
    events: events::Sender<(usize, Event)>,
    wanted: Weak<()>,
    /// Answers that have not ended.
    open: usize,
}

fn run(mut engine: Engine, inbox: &Receiver<Order>, load: &Load) {
    let mut sinks: BTreeMap<RequestId, Sink> = BTreeMap::new();
    loop {
        if engine.is_idle() {
            let Ok(order) = inbox.recv() else { return };
            admit(&mut engine, &mut sinks, order);
        }
        while let Ok(order) = inbox.try_recv() {
            admit(&mut engine, &mut sinks, order);
        }
        for (job, _) in sinks.extract_if(.., |_, sink| sink.wanted.strong_count() == 0) {
            engine.cancel(job);
        }
        let events = engine.step();
        load.live.store(engine.live(), Ordering::Relaxed);
        load.waiting.store(engine.waiting(), Ordering::Relaxed);
        load.sampled.store(engine.sampled(), Ordering::Relaxed);
        for event in events {
            let Some(sink) = sinks.get_mut(&event.request) else {
                continue;
            };
            let job = event.request;
            sink.open -= usize::from(event.stop.is_some());
            let done = sink.open == 0;
            // Who has left is noticed before the next step.
            let full = matches!(
                sink.events.try_send((sink.index, event)),
                Err(TrySendError::Full(_))
            );
            if full {
                engine.cancel(job);
            }
            if done || full {
                sinks.remove(&job);
            }
        }
    }
}

fn admit(engine: &mut Engine, sinks: &mut BTreeMap<RequestId, Sink>, order: Order) {
    let Order {
        index,
        prompt,
        seeds,
        sampling,
        control,
        events,
        wanted,
    } = order;
    let open = seeds.len();
    // An order that is refused though it was checked ends without a token.
    if let Ok(job) = engine.submit(EngineRequest {
        prompt,
        seeds,
        sampling,
        control,
    }) {
        sinks.insert(
            job,
            Sink {
                index,
                events,
                wanted,
                open,
            },
        );
    }
}

//! What Prometheus is told: `GET /metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::worker::Load;

/// How a request ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    status: u32,
}

/// Counts of requests and tokens.
pub struct Numbers {
    registry: Registry,
    requests: Family<Ended, Counter>,
    prompt_tokens: Counter,
    sampled_tokens: Counter<u64, AtomicU64>,
    live: Gauge,
    waiting: Gauge,
}

impl Default for Numbers {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("serve");
        let requests = Family::<Ended, Counter>::default();
        let (prompt_tokens, sampled_tokens) = (Counter::default(), Counter::default());
        let (live, waiting) = (Gauge::default(), Gauge::default());
        registry.register("requests", "Requests for completions, by HTTP status", requests.clone());
        registry.register("prompt_tokens", "Tokens of the prompts that were taken in", prompt_tokens.clone());
        registry.register("sampled_tokens", "Tokens that were sampled", sampled_tokens.clone());
        registry.register("rows_live", "Answers that are being written", live.clone());
        registry.register("prompts_waiting", "Prompts that wait for a row", waiting.clone());
        Numbers { registry, requests, prompt_tokens, sampled_tokens, live, waiting }
    }
}

impl Numbers {
    /// Counts a request by its status.
    pub fn request(&self, status: u16) {
        self.requests.get_or_create(&Ended { status: status.into() }).inc();
    }

    /// Counts the tokens of a prompt.
    pub fn prompt(&self, tokens: usize) {
        self.prompt_tokens.inc_by(tokens as u64);
    }

    /// The numbers in the format of OpenMetrics.
    pub fn render(&self, load: &Load) -> String {
        self.live.set(load.live.load(Ordering::Relaxed) as i64);
        self.waiting.set(load.waiting.load(Ordering::Relaxed) as i64);
        self.sampled_tokens.inner().store(load.sampled.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes every text");
        text
    }
}

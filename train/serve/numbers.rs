//! What Prometheus is told: `GET /metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

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
    first_token: Histogram,
    next_token: Histogram,
    whole: Histogram,
}

impl Default for Numbers {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("serve");
        let requests = Family::<Ended, Counter>::default();
        let (prompt_tokens, sampled_tokens) = (Counter::default(), Counter::default());
        let (live, waiting) = (Gauge::default(), Gauge::default());
        registry.register(
            "requests",
            "Requests for completions, by HTTP status",
            requests.clone(),
        );
        registry.register(
            "prompt_tokens",
            "Tokens of the prompts that were taken in",
            prompt_tokens.clone(),
        );
        registry.register(
            "sampled_tokens",
            "Tokens that were sampled",
            sampled_tokens.clone(),
        );
        registry.register("rows_live", "Answers that are being written", live.clone());
        registry.register(
            "prompts_waiting",
            "Prompts that wait for a row",
            waiting.clone(),
        );
        // From 1 ms to 35 min, each twice the one before.
        let [first_token, next_token, whole] =
            [(); 3].map(|()| Histogram::new(exponential_buckets(0.001, 2.0, 22)));
        let seconds = [
            (
                "time_to_first_token",
                "From the request to the first token of each answer",
                &first_token,
            ),
            (
                "inter_token_latency",
                "From one token of an answer to the next",
                &next_token,
            ),
            (
                "request_latency",
                "From the request to the end of its answer",
                &whole,
            ),
        ];
        for (name, help, histogram) in seconds {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        Numbers {
            registry,
            requests,
            prompt_tokens,
            sampled_tokens,
            live,
            waiting,
            first_token,
            next_token,
            whole,
        }
    }
}

impl Numbers {
    /// Counts a request by its status.
    pub fn request(&self, status: u16) {
        self.requests
            .get_or_create(&Ended {
                status: status.into(),
            })
            .inc();
    }

    /// Counts the tokens of a prompt.
    pub fn prompt(&self, tokens: usize) {
        self.prompt_tokens.inc_by(tokens as u64);
    }

    /// An answer has its first token.
    pub fn first_token(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    /// An answer has another token.
    pub fn next_token(&self, after: Duration) {
        self.next_token.observe(after.as_secs_f64());
    }

    /// A request is answered.
    pub fn whole(&self, after: Duration) {
        self.whole.observe(after.as_secs_f64());
    }

    /// The numbers in the format of OpenMetrics.
    pub fn render(&self, load: &Load) -> String {
        self.live.set(load.live.load(Ordering::Relaxed) as i64);
        self.waiting
            .set(load.waiting.load(Ordering::Relaxed) as i64);
        self.sampled_tokens
            .inner()
            .store(load.sampled.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes every text");
        text
    }
}

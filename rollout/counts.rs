//! What is counted for Prometheus, since the start of the process.
//!
//! In: lines of the log, verdicts, what is watched. Out: Prometheus' text format.
//! Example: `rollout_tries_total{queue="Fast",status="OOM",outcome="oom"} 2`.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::outcome::Status;
use crate::record::{Queue, Record};
use crate::watch::Allowed;
use crate::watch::gpu::GpuMemory;

/// Seconds that a verdict takes: a small suite in a warm sandbox up to the time limit.
const VERDICT_S: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Seconds from a failing assert to the next turn; half a second is the bound (R4).
const READY_S: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Seconds that a checkpoint takes; a second is the threshold.
const CHECKPOINT_S: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0];

type Float = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Try {
    queue: &'static str,
    status: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Gpu {
    gpu: u64,
}

/// Everything that is counted. Shared by who counts and who asks.
#[derive(Debug)]
pub struct Counts {
    registry: Registry,
    tries: Family<Try, Counter>,
    oom: Counter,
    oom_kills: Counter,
    timeouts: Counter,
    infra: Counter,
    quarantined: Counter,
    cached: Counter,
    trace_bytes: Counter,
    sandbox_s: Counter<f64, AtomicU64>,
    verdict_s: Histogram,
    ready_s: Histogram,
    checkpoint_s: Histogram,
    workers: Gauge,
    quota: Float,
    load: Float,
    step: Gauge,
    gpu_used: Family<Gpu, Float>,
    gpu_total: Family<Gpu, Float>,
    gpu_alarm: Family<Gpu, Gauge>,
}

impl Default for Counts {
    fn default() -> Self {
        let mut counts = Counts {
            registry: Registry::default(),
            tries: Family::default(),
            oom: Counter::default(),
            oom_kills: Counter::default(),
            timeouts: Counter::default(),
            infra: Counter::default(),
            quarantined: Counter::default(),
            cached: Counter::default(),
            trace_bytes: Counter::default(),
            sandbox_s: Counter::default(),
            verdict_s: Histogram::new(VERDICT_S),
            ready_s: Histogram::new(READY_S),
            checkpoint_s: Histogram::new(CHECKPOINT_S),
            workers: Gauge::default(),
            quota: Float::default(),
            load: Float::default(),
            step: Gauge::default(),
            gpu_used: Family::default(),
            gpu_total: Family::default(),
            gpu_alarm: Family::default(),
        };
        counts.register();
        counts
    }
}

impl Counts {
    /// Gives every number its name. Counters end in `_total` by themselves, and units are named after them.
    fn register(&mut self) {
        let to = &mut self.registry;
        to.register(
            "rollout_tries",
            "Tries by queue, status and outcome; LOST ones have no verdict",
            self.tries.clone(),
        );
        to.register(
            "rollout_oom",
            "Tries that reached their memory limit",
            self.oom.clone(),
        );
        to.register(
            "rollout_oom_kills",
            "Runs of tests that were killed for their memory",
            self.oom_kills.clone(),
        );
        to.register(
            "rollout_timeouts",
            "Tries that reached their time limit",
            self.timeouts.clone(),
        );
        to.register(
            "rollout_infra_errors",
            "Tries without a verdict: our own machinery failed",
            self.infra.clone(),
        );
        to.register(
            "rollout_quarantined",
            "Quarantined verdicts",
            self.quarantined.clone(),
        );
        to.register(
            "rollout_cached",
            "Tries that used an earlier verdict",
            self.cached.clone(),
        );
        to.register(
            "rollout_trace_bytes",
            "Bytes of failure traces",
            self.trace_bytes.clone(),
        );
        let second = || Unit::Seconds;
        to.register_with_unit(
            "rollout_sandbox",
            "Time spent in sandboxes",
            second(),
            self.sandbox_s.clone(),
        );
        to.register_with_unit(
            "rollout_verdict",
            "Time from an answer to its verdict",
            second(),
            self.verdict_s.clone(),
        );
        let ready = "Time from a failing test to the next turn of the agent";
        to.register_with_unit(
            "agent_failure_to_turn",
            ready,
            second(),
            self.ready_s.clone(),
        );
        to.register(
            "rollout_test_workers",
            "Runs of tests that are allowed at once",
            self.workers.clone(),
        );
        to.register(
            "rollout_test_quota",
            "Share of its time that a place for tests is in use",
            self.quota.clone(),
        );
        to.register(
            "rollout_test_load",
            "Share of all cores that test processes use",
            self.load.clone(),
        );
        to.register(
            "train_step",
            "Steps of the optimizer that are done",
            self.step.clone(),
        );
        let written = "Time to write a checkpoint whole";
        to.register_with_unit(
            "train_checkpoint_write",
            written,
            second(),
            self.checkpoint_s.clone(),
        );
        to.register_with_unit(
            "gpu_memory_used",
            "Memory in use",
            Unit::Bytes,
            self.gpu_used.clone(),
        );
        to.register_with_unit(
            "gpu_memory",
            "Memory in all",
            Unit::Bytes,
            self.gpu_total.clone(),
        );
        to.register(
            "gpu_memory_alarm",
            "1 while the memory is nearly full for long",
            self.gpu_alarm.clone(),
        );
    }

    /// Counts one line of the log.
    pub fn count(&self, record: &Record) {
        let queue = match record.queue {
            Queue::Fast => "Fast",
            Queue::Deep => "Deep",
            Queue::Rescue => "Rescue",
        };
        let (status, outcome) = (record.status.name(), outcome(record.status));
        self.tries
            .get_or_create(&Try {
                queue,
                status,
                outcome,
            })
            .inc();
        match record.status {
            Status::Oom => drop(self.oom.inc()),
            Status::Timeout => drop(self.timeouts.inc()),
            Status::Lost => drop(self.infra.inc()),
            Status::Pass
            | Status::Fail
            | Status::Broke
            | Status::Crash
            | Status::NotApplied
            | Status::NoPatch
            | Status::Truncated => {}
        }
        self.trace_bytes.inc_by(record.trace_bytes as u64);
        if record.cached {
            self.cached.inc();
        } else if record.status != Status::Lost {
            let seconds = Duration::from_millis(record.wall_ms).as_secs_f64();
            self.sandbox_s.inc_by(seconds);
            self.verdict_s.observe(seconds);
        }
    }

    /// Counts the time from a failing test to the next turn of the agent.
    pub fn ready(&self, took: Duration) {
        self.ready_s.observe(took.as_secs_f64());
    }

    /// Counts a quarantined verdict.
    pub fn quarantined(&self) {
        self.quarantined.inc();
    }

    /// Steps of the optimizer that are done.
    pub fn step(&self, step: u64) {
        self.step.set(i64::try_from(step).unwrap_or(i64::MAX));
    }

    pub(crate) fn oom_kill(&self) {
        self.oom_kills.inc();
    }

    pub(crate) fn checkpoint(&self, took: Duration) {
        self.checkpoint_s.observe(took.as_secs_f64());
    }

    pub(crate) fn allow(&self, allowed: Allowed) {
        self.workers
            .set(i64::try_from(allowed.workers).unwrap_or(i64::MAX));
        self.quota.set(allowed.quota);
    }

    pub(crate) fn load(&self, share: f64) {
        self.load.set(share);
    }

    pub(crate) fn gpu(&self, gpu: usize, memory: Option<GpuMemory>, alarm: bool) {
        let label = Gpu { gpu: gpu as u64 };
        if let Some(GpuMemory { used, total }) = memory {
            self.gpu_used.get_or_create(&label).set(used as f64);
            self.gpu_total.get_or_create(&label).set(total as f64);
        }
        self.gpu_alarm.get_or_create(&label).set(i64::from(alarm));
    }

    /// All numbers in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        text::encode(&mut text, &self.registry).ok();
        text
    }
}

/// The class of a status: what a verdict says.
fn outcome(status: Status) -> &'static str {
    match status {
        Status::Pass => "resolved",
        Status::Fail | Status::Broke | Status::Crash | Status::NoPatch | Status::Truncated => {
            "unresolved"
        }
        Status::NotApplied => "invalid_patch",
        Status::Timeout => "timeout",
        Status::Oom => "oom",
        Status::Lost => "infra",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(status: Status, cached: bool) -> Record {
        Record {
            ts: String::new(),
            retry: 1,
            queue: Queue::Deep,
            patch_sha: None,
            test: String::new(),
            status,
            trace_bytes: 8,
            task: "a".into(),
            group: None,
            step: None,
            reward: None,
            stop: None,
            cached,
            wall_ms: 412,
            answer: None,
            lost: None,
        }
    }

    #[track_caller]
    fn shows(counts: &Counts, lines: &[&str]) {
        let text = counts.render();
        for line in lines {
            assert!(
                text.lines().any(|one| one == *line),
                "no `{line}` in:\n{text}"
            );
        }
    }

    #[test]
    fn tries_are_counted_by_queue_status_and_outcome() {
        let counts = Counts::default();
        let all = [
            (Status::Pass, false),
            (Status::Pass, true),
            (Status::Oom, false),
            (Status::Lost, false),
        ];
        all.into_iter()
            .for_each(|(status, cached)| counts.count(&record(status, cached)));
        counts.quarantined();
        shows(
            &counts,
            &[
                r#"rollout_tries_total{queue="Deep",status="PASS",outcome="resolved"} 2"#,
                r#"rollout_tries_total{queue="Deep",status="LOST",outcome="infra"} 1"#,
                "rollout_oom_total 1",
                "rollout_timeouts_total 0",
                "rollout_infra_errors_total 1",
                "rollout_quarantined_total 1",
                "rollout_cached_total 1",
                "rollout_trace_bytes_total 32",
                "rollout_sandbox_seconds_total 0.824",
                r#"rollout_verdict_seconds_bucket{le="0.25"} 0"#,
                r#"rollout_verdict_seconds_bucket{le="0.5"} 2"#,
            ],
        );
    }

    #[test]
    fn what_is_watched_is_a_gauge_and_what_takes_time_a_histogram() {
        let counts = Counts::default();
        counts.allow(Allowed {
            workers: 3,
            quota: 0.5,
        });
        counts.checkpoint(Duration::from_millis(1500));
        counts.gpu(1, Some(GpuMemory { used: 9, total: 10 }), true);
        counts.step(7);
        shows(
            &counts,
            &[
                "rollout_test_workers 3",
                "rollout_test_quota 0.5",
                "train_step 7",
                r#"gpu_memory_used_bytes{gpu="1"} 9.0"#,
                r#"gpu_memory_alarm{gpu="1"} 1"#,
                r#"train_checkpoint_write_seconds_bucket{le="1.0"} 0"#,
                r#"train_checkpoint_write_seconds_bucket{le="2.0"} 1"#,
            ],
        );
    }
}

//! What a step sampled and trained, in numbers, and the row of `metrics.jsonl` that they become.

use rollout::curriculum::{Curriculum, DropReason};
use rollout::trajectory::Trajectory;
use serde::{Deserialize, Serialize};

use super::validate::BestPass;
use crate::loss::policy::Measured;
use crate::metrics::Row as MetricsRow;

/// What a run did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GrpoSummary {
    /// Optimizer steps.
    pub steps: u64,
    /// Tasks in the set.
    pub tasks: usize,
    /// Attempts graded by this process.
    pub attempts: u64,
    /// Attempts without a verdict.
    pub lost: u64,
    /// Groups drawn, over the whole run.
    pub groups: u64,
    /// Groups trained, over the whole run.
    pub trained_groups: u64,
    /// Groups that were all right or all wrong, over the whole run.
    pub uninformative_groups: u64,
    /// Tasks that left with the first stage of a curriculum.
    pub dropped_tasks: usize,
    /// Seconds of this process.
    pub seconds: f64,
    /// Attempts per second.
    pub attempts_per_s: f64,
    /// Tokens sampled per second of sampling.
    pub sampled_tokens_per_s: f64,
    /// Tokens trained per second of training, prompts included.
    pub trained_tokens_per_s: f64,
    /// The step with the highest pass@1 on held-out tasks, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestPass>,
}

/// Sums over what a step sampled.
#[derive(Default)]
pub(super) struct Sampled {
    pub(super) attempts: u64,
    pub(super) lost: u64,
    pub(super) rewards: Vec<f64>,
    pub(super) lengths: Vec<f64>,
    pub(super) truncated: u64,
    pub(super) groups: u64,
    pub(super) zero_std: u64,
    pub(super) tokens: u64,
    pub(super) generate_s: f64,
    pub(super) grade_s: f64,
}

/// What a step trained.
#[derive(Default)]
pub(super) struct Trained {
    /// What its loss measured, as sums over its targets.
    pub(super) measured: Measured,
    pub(super) targets: f64,
    pub(super) tokens: usize,
}

pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        values.iter().sum::<f64>() / values.len() as f64
    }
}

impl Trained {
    /// Adds what one of `updates` updates trained; the loss is their mean.
    pub(super) fn add_update(&mut self, other: &Trained, updates: usize) {
        let loss = self.measured.loss + other.measured.loss / updates as f64;
        self.add(other);
        self.measured.loss = loss;
        self.targets += other.targets;
    }

    pub(super) fn add(&mut self, other: &Trained) {
        self.measured.add(&other.measured);
        self.tokens += other.tokens;
    }
}

impl Sampled {
    /// Writes what the clock measured into the step's row.
    pub(super) fn time(&self, row: &mut MetricsRow, trained: &Trained, train_s: f64, step_s: f64) {
        row.set("timing_s/generate", self.generate_s);
        row.set("timing_s/grade", self.grade_s);
        row.set("timing_s/train", train_s);
        row.set("timing_s/step", step_s);
        row.set(
            "perf/tokens_per_s",
            (self.tokens + trained.tokens as u64) as f64 / step_s,
        );
        row.set("perf/attempts_per_s", self.attempts as f64 / step_s);
    }

    pub(super) fn count(&mut self, trajectories: &[Trajectory], lost: usize) {
        self.lost += lost as u64;
        self.attempts += trajectories.len() as u64;
        self.groups += 1;
        let first = trajectories.first().map(|trajectory| trajectory.reward);
        self.zero_std += u64::from(
            trajectories
                .iter()
                .all(|trajectory| Some(trajectory.reward) == first),
        );
        for trajectory in trajectories {
            self.rewards.push(f64::from(trajectory.reward));
            self.lengths.push(trajectory.sequence.sampled() as f64);
            self.truncated += u64::from(trajectory.stop.is_truncated());
            self.tokens += trajectory.sequence.sampled() as u64;
        }
    }
}

/// The row of a step, in the names that practitioners know.
pub(super) fn measurements(
    step: u64,
    sampled: &Sampled,
    trained: &Trained,
    curriculum: &Curriculum,
) -> MetricsRow {
    let reward = mean(&sampled.rewards);
    let variance = mean(
        &sampled
            .rewards
            .iter()
            .map(|one| (one - reward).powi(2))
            .collect::<Vec<_>>(),
    );
    let share = |part: u64, of: u64| {
        if of == 0 {
            0.0
        } else {
            part as f64 / of as f64
        }
    };
    // Without a trained group there is no mean: the row says null.
    let metrics = &trained.measured.metrics;
    let of_loss = |name: &str| {
        metrics
            .get(name)
            .map_or(f64::NAN, |sum| sum / trained.targets)
    };
    let ledger = curriculum.ledger();
    let mut row = MetricsRow::new(step);
    for (name, value) in [
        (
            "loss",
            if trained.targets > 0.0 {
                trained.measured.loss
            } else {
                f64::NAN
            },
        ),
        ("entropy", of_loss("entropy")),
        ("clip_ratio/low_mean", of_loss("clip_ratio/low_mean")),
        ("clip_ratio/high_mean", of_loss("clip_ratio/high_mean")),
        ("clip_ratio/region_mean", of_loss("clip_ratio/region_mean")),
        (
            "sampling/importance_sampling_ratio/mean",
            of_loss("sampling/importance_sampling_ratio/mean"),
        ),
        (
            "sampling/sampling_logp_difference/mean",
            of_loss("sampling/sampling_logp_difference/mean"),
        ),
        ("reward/mean", reward),
        ("reward/std", variance.sqrt()),
        (
            "frac_reward_zero_std",
            share(sampled.zero_std, sampled.groups),
        ),
        ("completions/mean_length", mean(&sampled.lengths)),
        (
            "completions/clipped_ratio",
            share(sampled.truncated, sampled.attempts),
        ),
    ] {
        row.set(name, value);
    }
    for (name, value) in [
        ("curriculum/stage", u64::from(curriculum.stage())),
        ("curriculum/active_tasks", curriculum.active_tasks() as u64),
        ("rollout/attempts", sampled.attempts),
        ("rollout/groups_drawn", sampled.groups),
        ("rollout/lost", sampled.lost),
        ("ledger/yielded", ledger.yielded_total()),
        ("ledger/trained", ledger.trained_total()),
        ("ledger/dropped", ledger.dropped_total()),
        ("ledger/in_flight", ledger.in_flight().count() as u64),
    ] {
        row.set(name, value);
    }
    row
}

/// Sums over the steps of this process.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) attempts: u64,
    pub(super) lost: u64,
    pub(super) sampled_tokens: u64,
    pub(super) trained_tokens: u64,
    pub(super) generate_s: f64,
    pub(super) train_s: f64,
}

impl Totals {
    pub(super) fn add(&mut self, sampled: &Sampled, trained: &Trained, train_s: f64) {
        self.attempts += sampled.attempts;
        self.lost += sampled.lost;
        self.sampled_tokens += sampled.tokens;
        self.trained_tokens += trained.tokens as u64;
        self.generate_s += sampled.generate_s;
        self.train_s += train_s;
    }

    pub(super) fn summary(
        &self,
        steps: u64,
        tasks: usize,
        curriculum: &Curriculum,
        seconds: f64,
    ) -> GrpoSummary {
        let ledger = curriculum.ledger();
        GrpoSummary {
            steps,
            tasks,
            attempts: self.attempts,
            lost: self.lost,
            groups: ledger.yielded_total(),
            trained_groups: ledger.trained_total(),
            uninformative_groups: ledger.dropped_for(DropReason::AllFailed)
                + ledger.dropped_for(DropReason::AllResolved),
            dropped_tasks: curriculum.dropped_tasks().len(),
            seconds,
            attempts_per_s: self.attempts as f64 / seconds.max(1e-9),
            sampled_tokens_per_s: self.sampled_tokens as f64 / self.generate_s.max(1e-9),
            trained_tokens_per_s: self.trained_tokens as f64 / self.train_s.max(1e-9),
            best: None,
        }
    }
}

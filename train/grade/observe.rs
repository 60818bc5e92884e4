//! Publishes each verdict: to the log of attempts, Prometheus, the watcher and the official reports.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use data::log::{Log, timestamp};
use data::{Patch, Task};
use rollout::outcome::{Resolution, Status};
use rollout::record::{Queue, Record};

use super::{Grading, Judgement};

/// The log of tries: a line for each prediction that was judged in this folder.
pub const TRIES_FILE: &str = "attempts.jsonl";

impl Grading<'_> {
    /// Tells one verdict, before it counts as judged.
    pub(super) fn tell(&self, judgement: &Judgement, log: &mut Log) -> Result<()> {
        let task = self.given.set.find(&judgement.verdict.instance_id);
        let record = record(SystemTime::now(), judgement, task);
        log.write(&record)?;
        let counts = self.watcher.counts();
        counts.count(&record);
        if judgement.verdict.quarantined {
            counts.quarantined();
        }
        self.official.file(judgement, task)
    }
}

fn record(at: SystemTime, judgement: &Judgement, task: Option<&Task>) -> Record {
    let Judgement {
        verdict,
        patch,
        graded,
        ..
    } = judgement;
    let status = match (graded, verdict.outcome) {
        (Some(graded), _) => Status::from(&graded.outcome),
        (None, Resolution::Infra) => Status::Lost,
        (None, _) => Status::NotApplied,
    };
    let failing = graded
        .as_ref()
        .and_then(|graded| graded.failure.as_ref())
        .map(|failure| failure.test.clone());
    let target = || task.and_then(|task| task.fail_to_pass.first().cloned());
    let earned = verdict.outcome == Resolution::Resolved && !verdict.quarantined;
    let wall = graded.as_ref().map_or(Duration::ZERO, |graded| graded.wall);
    Record {
        ts: timestamp(at),
        retry: 1,
        queue: Queue::Fast,
        patch_sha: patch
            .as_ref()
            .filter(|patch| !patch.is_empty())
            .map(Patch::sha),
        test: failing.or_else(target).unwrap_or_default(),
        status,
        trace_bytes: graded.as_ref().map_or(0, |graded| graded.trace_bytes),
        task: verdict.instance_id.clone(),
        group: None,
        step: None,
        reward: (verdict.outcome != Resolution::Infra).then_some(f32::from(u8::from(earned))),
        stop: None,
        cached: graded.as_ref().is_some_and(|graded| graded.cached),
        wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        answer: None,
        lost: (verdict.outcome == Resolution::Infra).then(|| verdict.reason.clone()),
    }
}

//! Evaluation on held-out tasks while a run trains: pass@1 with its interval, and the best checkpoint by it.
//!
//! Every evaluation asks every task under the same luck, so that the points of the curve differ by the weights alone.

use std::time::{Instant, SystemTime};

use anyhow::Result;
use rollout::attempt::{Attempt, Lost};
use rollout::record::{Place, Queue, Record};
use rollout::report::{Evaluation, Interval};
use serde::{Deserialize, Serialize};

use super::{Grpo, Live};
use crate::config::EvalConfig;
use crate::metrics::Row as MetricsRow;
use crate::trainer::evaluate::{Rollouts, ask};

/// Tasks that are evaluated on and not trained on.
pub struct HeldOut<'a> {
    /// Tasks and their judge.
    pub rollouts: Rollouts<'a>,
    /// How often each is attempted, and how answers are drawn.
    pub config: &'a EvalConfig,
}

/// The step with the highest pass@1 on held-out tasks; its weights are in the folder `best`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestPass {
    /// Steps done.
    pub step: u64,
    /// Its pass@1.
    pub pass_at_1: f64,
}

/// One evaluation.
pub(super) struct Found {
    pub(super) pass_at_1: f64,
    low: f64,
    high: f64,
    lost: usize,
    seconds: f64,
}

impl Found {
    /// Writes it into the row of its step.
    pub(super) fn tell(&self, row: &mut MetricsRow) {
        row.set("eval/pass@1", self.pass_at_1);
        row.set("eval/pass@1_low", self.low);
        row.set("eval/pass@1_high", self.high);
        row.set("eval/lost", self.lost);
        row.set("timing_s/eval", self.seconds);
    }
}

impl Grpo<'_> {
    /// Evaluates where it is due, and keeps the weights as `best` where no earlier ones did better.
    pub(super) fn evaluate_held_out(
        &self,
        live: &mut Live<'_>,
        steps: u64,
    ) -> Result<Option<Found>> {
        let (Some(held_out), every, step) =
            (&self.held_out, self.config.validate_every, live.train.step)
        else {
            return Ok(None);
        };
        if every == 0 || !(step.is_multiple_of(every) || step == steps) {
            return Ok(None);
        }
        let clock = Instant::now();
        let attempts = self.attempt_held_out(held_out, live)?;
        let evaluation = Evaluation::from_attempts(&attempts);
        if evaluation.tasks.is_empty() {
            eprintln!("warning: step {step}: no attempt at a held-out task has a verdict");
            return Ok(None);
        }
        let Interval {
            estimate,
            low,
            high,
            ..
        } = evaluation.interval(1, self.seed, held_out.config.resamples)?;
        if live.best.is_none_or(|best| best.pass_at_1 < estimate) {
            live.best = Some(BestPass {
                step,
                pass_at_1: estimate,
            });
            live.train.save_best(self.out)?;
        }
        let lost = attempts.iter().filter(|attempt| attempt.is_err()).count();
        let seconds = clock.elapsed().as_secs_f64();
        Ok(Some(Found {
            pass_at_1: estimate,
            low,
            high,
            lost,
            seconds,
        }))
    }

    fn attempt_held_out(
        &self,
        held_out: &HeldOut<'_>,
        live: &mut Live<'_>,
    ) -> Result<Vec<Result<Attempt, Lost>>> {
        let HeldOut { rollouts, config } = held_out;
        let at_once = (config.decode_rows / config.attempts).max(1);
        let mut all = Vec::new();
        for (batch, tasks) in rollouts.set.tasks.chunks(at_once).enumerate() {
            let attempts = ask(
                rollouts,
                config,
                self.seed,
                &mut live.generator,
                tasks,
                batch * at_once,
            )?;
            for (at, attempt) in attempts.iter().enumerate() {
                let retry = (at % config.attempts) as u32 + 1;
                let place = Place {
                    retry,
                    queue: Queue::Fast,
                    group: None,
                    step: Some(live.train.step),
                };
                if let Some(log) = &mut live.held_out_log {
                    log.write(&Record::new(SystemTime::now(), place, attempt))?;
                }
            }
            all.extend(attempts);
        }
        Ok(all)
    }
}

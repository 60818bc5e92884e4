//! What attempts at held-out tasks prove: pass@k, intervals, gains, error classes.
//!
//! In: graded attempts. Out: an [`Evaluation`], its [`Interval`]s, and the [`Gain`] of one over another.
//! Example: pass@1 rises from 0.12 to 0.21 over 300 tasks; the interval of the difference is 0.05 to 0.13, excludes
//! 0, and the gain may be claimed.

use std::collections::BTreeMap;

use data::draw;
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Lost};
use crate::outcome::{Classes, Status};

/// The format number written with every evaluation; a reader refuses another.
pub const EVALUATION_FORMAT: u32 = 1;

/// Resamples of a bootstrap, unless told otherwise.
pub const RESAMPLES: usize = 10_000;

/// What a policy did on a set of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// [`EVALUATION_FORMAT`].
    #[serde(deserialize_with = "crate::format::only::<_, EVALUATION_FORMAT>")]
    pub format: u32,
    /// One entry per task with a graded attempt, in the order of their ids.
    pub tasks: Vec<TaskScore>,
    /// Tasks none of whose attempts has a verdict: our fault, so they count neither for nor against.
    pub unscored: Vec<String>,
    /// How the attempts ended.
    pub classes: Classes,
}

/// Attempts and successes at one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskScore {
    /// The task.
    pub task_id: String,
    /// Graded attempts.
    pub attempts: u64,
    /// How many of them resolved it.
    pub successes: u64,
}

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The estimate over all tasks.
    pub estimate: f64,
    /// The low end.
    pub low: f64,
    /// The high end.
    pub high: f64,
    /// Tasks behind it.
    pub tasks: usize,
    /// How the ends were found.
    #[serde(default)]
    pub method: Method,
}

/// How the ends of an interval are found. Prints as the words that a report uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// 2.5 % and 97.5 % percentiles of the means of resampled tasks.
    #[default]
    Bootstrap,
    /// Exact bounds over tasks, where all tasks agree and a bootstrap would find an interval without width.
    ClopperPearson,
}

impl std::fmt::Display for Method {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Method::Bootstrap => "bootstrap over tasks",
            Method::ClopperPearson => "Clopper-Pearson over tasks",
        })
    }
}

/// The difference of two evaluations of the same tasks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// After minus before.
    pub delta: Interval,
    /// Tasks that one of the two could not score, and that are therefore in neither.
    pub left_out: usize,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReportError {
    /// Nothing was graded.
    #[error("no task was scored")]
    NoTasks,
    /// k is 0.
    #[error("pass@k needs a k of at least 1")]
    ZeroK,
    /// pass@k needs k attempts at every task.
    #[error("pass@{k} needs {k} attempts, but task `{task_id}` has {attempts}")]
    TooFewAttempts {
        /// The k that was asked for.
        k: u64,
        /// The task.
        task_id: String,
        /// Its graded attempts.
        attempts: u64,
    },
    /// The evaluations are of different tasks.
    #[error("task `{task_id}` is in one of the two evaluations only, so they cannot be compared")]
    OtherTasks {
        /// The first such task.
        task_id: String,
    },
}

/// The unbiased estimate of the chance that one of `k` attempts succeeds, from `successes` in `attempts`:
/// `1 − C(n−c, k) / C(n, k)`. None when there are fewer attempts than `k`, more successes than attempts, or k is 0.
pub fn pass_at(attempts: u64, successes: u64, k: u64) -> Option<f64> {
    if k == 0 || k > attempts || successes > attempts {
        return None;
    }
    // The quotient of the binomials as a product, which does not overflow; where n−c < k, one factor is 0.
    let misses = (attempts - successes + 1..=attempts).map(|n| 1.0 - k as f64 / n as f64);
    Some(1.0 - misses.product::<f64>())
}

impl Evaluation {
    /// Counts graded and lost attempts, in whatever order.
    pub fn from_attempts<'a>(
        attempts: impl IntoIterator<Item = &'a Result<Attempt, Lost>>,
    ) -> Self {
        let mut classes = Classes::default();
        let mut scores: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for attempt in attempts {
            match attempt {
                Ok(Attempt { trajectory, .. }) => {
                    classes.count(Status::from_trajectory(trajectory));
                    let (attempts, successes) =
                        scores.entry(trajectory.task_id.clone()).or_default();
                    *attempts += 1;
                    *successes += u64::from(trajectory.is_resolved());
                }
                Err(lost) => {
                    classes.count(Status::Lost);
                    scores.entry(lost.task_id().to_owned()).or_default();
                }
            }
        }
        let (scored, unscored): (Vec<_>, Vec<_>) = scores
            .into_iter()
            .partition(|(_, (attempts, _))| *attempts > 0);
        let score = |(task_id, (attempts, successes))| TaskScore {
            task_id,
            attempts,
            successes,
        };
        Evaluation {
            format: EVALUATION_FORMAT,
            tasks: scored.into_iter().map(score).collect(),
            unscored: unscored.into_iter().map(|(task_id, _)| task_id).collect(),
            classes,
        }
    }

    /// Graded attempts at all tasks.
    pub fn attempts(&self) -> u64 {
        self.tasks.iter().map(|task| task.attempts).sum()
    }

    /// pass@k: the mean over tasks of the unbiased estimate. pass@1 is avg@n, the mean share of successes.
    ///
    /// # Errors
    ///
    /// When a task has fewer than `k` graded attempts, or there is no task.
    pub fn pass_at(&self, k: u64) -> Result<f64, ReportError> {
        Ok(mean(&self.per_task(k)?))
    }

    /// pass@k with its interval: tasks are resampled, each with all its attempts, because attempts at one task are
    /// not independent. Where all tasks agree, e.g. none was ever solved, the bounds are exact instead of equal.
    ///
    /// # Errors
    ///
    /// As [`Evaluation::pass_at`].
    pub fn interval(&self, k: u64, seed: u64, resamples: usize) -> Result<Interval, ReportError> {
        Ok(interval(&self.per_task(k)?, 0.0, seed, resamples))
    }

    /// How much higher pass@k is here than it was `before`, paired by task.
    ///
    /// # Errors
    ///
    /// When the two are of different tasks, or one of them has no pass@k.
    pub fn gain_over(
        &self,
        before: &Evaluation,
        k: u64,
        seed: u64,
        resamples: usize,
    ) -> Result<Gain, ReportError> {
        let (after, before) = (self.estimates(k)?, before.estimates(k)?);
        let strangers = || {
            let here = after
                .keys()
                .filter(|task_id| !before.contains_key(*task_id));
            here.chain(
                before
                    .keys()
                    .filter(|task_id| !after.contains_key(*task_id)),
            )
        };
        if let Some(task_id) = strangers().next() {
            return Err(ReportError::OtherTasks {
                task_id: (*task_id).to_owned(),
            });
        }
        let pairs = after
            .iter()
            .map(|(task_id, after)| Some((*after)? - before[task_id]?));
        let differences: Vec<f64> = pairs.flatten().collect();
        if differences.is_empty() {
            return Err(ReportError::NoTasks);
        }
        Ok(Gain {
            delta: interval(&differences, -1.0, seed, resamples),
            left_out: after.len() - differences.len(),
        })
    }

    /// pass@k per scored task.
    fn per_task(&self, k: u64) -> Result<Vec<f64>, ReportError> {
        let values: Vec<f64> = self.estimates(k)?.into_values().flatten().collect();
        if values.is_empty() {
            Err(ReportError::NoTasks)
        } else {
            Ok(values)
        }
    }

    /// pass@k by task; none for an unscored task.
    fn estimates(&self, k: u64) -> Result<BTreeMap<&str, Option<f64>>, ReportError> {
        if k == 0 {
            return Err(ReportError::ZeroK);
        }
        let estimate = |TaskScore {
                            task_id,
                            attempts,
                            successes,
                        }: &'_ TaskScore| {
            let few = || ReportError::TooFewAttempts {
                k,
                task_id: task_id.clone(),
                attempts: *attempts,
            };
            pass_at(*attempts, *successes, k).ok_or_else(few)
        };
        let scored = self
            .tasks
            .iter()
            .map(|task| Ok((task.task_id.as_str(), Some(estimate(task)?))));
        scored
            .chain(
                self.unscored
                    .iter()
                    .map(|task_id| Ok((task_id.as_str(), None))),
            )
            .collect()
    }
}

/// What may be said of a difference with an interval. Prints as the words that a report uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The whole interval is above 0.
    Gain,
    /// The whole interval is below 0.
    Loss,
    /// The interval holds 0, or is none.
    Chance,
}

impl Claim {
    /// The claim that an interval allows: the one place where that is decided.
    pub fn from_interval(low: f64, high: f64) -> Claim {
        match () {
            () if low > 0.0 => Claim::Gain,
            () if high < 0.0 => Claim::Loss,
            () => Claim::Chance,
        }
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Claim::Gain => "more than chance",
            Claim::Loss => "a loss",
            Claim::Chance => "may be chance",
        })
    }
}

impl Gain {
    /// What may be said of it.
    pub fn claim(&self) -> Claim {
        Claim::from_interval(self.delta.low, self.delta.high)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean of `values`, which lie between `floor` and 1, with its interval.
///
/// # Panics
///
/// Where there is no value.
pub fn interval(values: &[f64], floor: f64, seed: u64, resamples: usize) -> Interval {
    let agree = values.iter().all(|value| (value - values[0]).abs() < 1e-12);
    if agree {
        exact(values, floor)
    } else {
        bootstrap(values, seed, resamples)
    }
}

/// The interval where all tasks agree. With probability at least 97.5 % (a bound of Clopper and Pearson for n of n)
/// another task agrees with probability `agrees` or more; what the others are worth is not known.
///
/// Example: 0 of 100 tasks give 0 to 1 - 0.025^(1/100) = 0.036.
fn exact(values: &[f64], floor: f64) -> Interval {
    let value = values[0];
    let agrees = 0.025_f64.powf(1.0 / values.len() as f64);
    let end = |others: f64| agrees * value + (1.0 - agrees) * others;
    Interval {
        estimate: value,
        low: end(floor),
        high: end(1.0),
        tasks: values.len(),
        method: Method::ClopperPearson,
    }
}

/// The mean of `values`, and the 2.5 % and 97.5 % percentiles of the means of resamples with replacement.
///
/// # Panics
///
/// Where there is no value.
pub fn bootstrap(values: &[f64], seed: u64, resamples: usize) -> Interval {
    let resampled = |round: usize| {
        let key = draw::key(seed, &[3, round as u64]);
        let picks =
            (0..values.len()).map(|pick| values[draw::below(key, pick as u64, values.len())]);
        picks.sum::<f64>() / values.len() as f64
    };
    let mut means: Vec<f64> = (0..resamples.max(1)).map(resampled).collect();
    means.sort_by(f64::total_cmp);
    // Differences that cancel leave a crumb of rounding, which must not pass for a gain.
    let whole = |mean: f64| if mean.abs() < 1e-12 { 0.0 } else { mean };
    let percentile = |share: f64| whole(means[(share * (means.len() - 1) as f64).round() as usize]);
    let (low, high) = (percentile(0.025), percentile(0.975));
    Interval {
        estimate: mean(values),
        low,
        high,
        tasks: values.len(),
        method: Method::Bootstrap,
    }
}

#[cfg(test)]
mod tests;

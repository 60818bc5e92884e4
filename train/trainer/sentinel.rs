//! Sentinels: a number of `metrics.jsonl` that leaves its bounds warns, pauses the run with a checkpoint, or stops it.
//!
//! In: the rows of a run so far. Out: the first rule that is broken, with what it saw.
//! Example: `{ metric = "entropy", below = 0.05, steps = 3, action = "pause" }` pauses a run whose entropy was below 0.05
//! in each of its last three steps. `--resume` goes on, and the count begins anew.
//!
//! A verdict depends on the rows alone, so a run that was killed and resumed is judged as one that was not.

use serde::{Deserialize, Serialize};

use crate::metrics::Row;

/// What happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A line on standard error.
    #[default]
    Warn,
    /// A checkpoint is saved and the run ends; `--resume` goes on.
    Pause,
    /// A checkpoint is saved and the run ends; `--resume` ends it again, unless the rule is changed.
    Stop,
}

/// A rule over one number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sentinel {
    /// Its name in `metrics.jsonl`.
    pub metric: String,
    /// It may not be above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// It may not be below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// It may not be below this share of its highest value so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below_best: Option<f64>,
    /// In so many steps on end; at least 1. A step that does not say the number ends the count.
    pub steps: usize,
    /// What happens.
    pub action: Action,
}

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "the sentinel over `{metric}` found {value:.4}, which {bound}, in {steps} steps on end up to step {step}"
)]
pub struct Alarm {
    /// The number.
    pub metric: String,
    /// Its last value.
    pub value: f64,
    /// Which bound it left.
    pub bound: String,
    /// For how many steps.
    pub steps: usize,
    /// The last of them.
    pub step: u64,
    /// What happens.
    pub action: Action,
}

impl Sentinel {
    fn new(metric: &str, steps: usize, action: Action) -> Self {
        Sentinel {
            metric: metric.into(),
            steps,
            action,
            ..Sentinel::default()
        }
    }

    /// The rules of a run that does not say its own: they warn of what is odd, and pause a policy that forgot its tasks.
    pub fn usual() -> Vec<Sentinel> {
        let mismatch = Sentinel {
            above: Some(0.1),
            ..Sentinel::new("sampling/sampling_logp_difference/mean", 3, Action::Warn)
        };
        let cut_off = Sentinel {
            above: Some(0.9),
            ..Sentinel::new("completions/clipped_ratio", 3, Action::Warn)
        };
        let forgotten = Sentinel {
            below_best: Some(0.05),
            ..Sentinel::new("reward/mean", 10, Action::Pause)
        };
        vec![mismatch, cut_off, forgotten]
    }

    /// What is wrong with the rule, if something is.
    pub fn problem(&self) -> Option<String> {
        let bounds = [self.above, self.below, self.below_best];
        let name = &self.metric;
        if !crate::metrics::names::is_known(name) {
            Some(format!("`{name}` is no number of `docs/metrics.md`"))
        } else if self.steps == 0 {
            Some(format!("`steps` of `{name}` is 0, but must be at least 1"))
        } else if bounds.iter().all(Option::is_none) {
            Some(format!(
                "`{name}` has no bound: say `above`, `below` or `below_best`"
            ))
        } else if bounds.iter().flatten().any(|bound| !bound.is_finite()) {
            Some(format!("a bound of `{name}` is not finite"))
        } else {
            None
        }
    }

    /// The alarm that the newest of `rows` raises. Rows up to the step `forgiven` count for the best value alone.
    pub fn alarm(&self, rows: &[Row], forgiven: u64) -> Option<Alarm> {
        let recent = rows.len().checked_sub(self.steps)?;
        let newest = rows.last()?;
        if rows[recent].step() <= forgiven {
            return None;
        }
        let best = rows
            .iter()
            .filter_map(|row| row.get(&self.metric))
            .fold(f64::NEG_INFINITY, f64::max);
        let left = rows[recent..]
            .iter()
            .map(|row| self.left(row.get(&self.metric)?, best))
            .collect::<Option<Vec<String>>>()?;
        Some(Alarm {
            metric: self.metric.clone(),
            value: newest.get(&self.metric)?,
            bound: left.last()?.clone(),
            steps: self.steps,
            step: newest.step(),
            action: self.action,
        })
    }

    /// Which bound `value` left, in words.
    fn left(&self, value: f64, best: f64) -> Option<String> {
        if let Some(bound) = self.above.filter(|bound| value > *bound) {
            return Some(format!("is above {bound}"));
        }
        if let Some(bound) = self.below.filter(|bound| value < *bound) {
            return Some(format!("is below {bound}"));
        }
        let share = self.below_best?;
        let fell = best > 0.0 && value < share * best;
        fell.then(|| format!("is below {share} of the best, {best:.4}"))
    }
}

/// The gravest alarm that the newest of `rows` raises; the others are told through `warn`.
pub fn gravest(
    sentinels: &[Sentinel],
    rows: &[Row],
    forgiven: u64,
    warn: &mut dyn FnMut(&Alarm),
) -> Option<Alarm> {
    let alarms = sentinels
        .iter()
        .filter_map(|sentinel| sentinel.alarm(rows, forgiven));
    let (mild, grave): (Vec<_>, Vec<_>) = alarms.partition(|alarm| alarm.action == Action::Warn);
    mild.iter().for_each(warn);
    grave.into_iter().max_by_key(|alarm| alarm.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(name: &str, values: &[f64]) -> Vec<Row> {
        let row = |(at, value): (usize, &f64)| Row::new(at as u64 + 1).with(name, *value);
        values.iter().enumerate().map(row).collect()
    }

    #[test]
    fn a_policy_that_forgot_its_tasks_pauses_the_run_in_the_tenth_step() {
        let mut values = vec![0.3, 0.4, 0.0, 0.0, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let alarm = |values: &[f64], forgiven| {
            let rows = rows("reward/mean", values);
            gravest(&Sentinel::usual(), &rows, forgiven, &mut |_| {})
        };
        assert_eq!(alarm(&values, 0), None);
        values.push(0.0);
        let found = alarm(&values, 0).expect("an alarm");
        assert_eq!((found.action, found.step), (Action::Pause, 12));
        assert_eq!(
            found.to_string(),
            "the sentinel over `reward/mean` found 0.0000, which is below 0.05 of the best, 0.4000, in 10 steps on end up to step 12"
        );
        // Resumed after a pause at step 12: ten more steps have to fail.
        values.extend([0.0; 9]);
        assert_eq!(alarm(&values, 12), None);
        values.push(0.0);
        assert!(alarm(&values, 12).is_some());
    }

    #[test]
    fn a_policy_that_never_solved_anything_has_forgotten_nothing() {
        let rows = rows("reward/mean", &[0.0; 9]);
        assert_eq!(gravest(&Sentinel::usual(), &rows, 0, &mut |_| {}), None);
    }

    #[test]
    fn a_step_that_does_not_say_the_number_ends_the_count() {
        let sentinel = Sentinel {
            above: Some(1.0),
            ..Sentinel::new("grad_norm", 2, Action::Warn)
        };
        assert!(sentinel.alarm(&rows("grad_norm", &[2.0, 3.0]), 0).is_some());
        assert!(
            sentinel
                .alarm(&rows("grad_norm", &[2.0, f64::NAN]), 0)
                .is_none()
        );
        assert!(sentinel.alarm(&rows("grad_norm", &[0.5, 3.0]), 0).is_none());
    }

    #[test]
    fn warnings_are_all_told_and_stop_outranks_pause() {
        let bound = |action| Sentinel {
            below: Some(1.0),
            ..Sentinel::new("entropy", 1, action)
        };
        let mut told = 0;
        let rules = [Action::Stop, Action::Warn, Action::Pause, Action::Warn].map(bound);
        let found = gravest(&rules, &rows("entropy", &[0.5]), 0, &mut |_| told += 1);
        assert_eq!(
            (found.map(|alarm| alarm.action), told),
            (Some(Action::Stop), 2)
        );
    }

    #[test]
    fn a_rule_that_can_never_hold_is_refused_by_name() {
        let said = |sentinel: Sentinel| sentinel.problem().expect("a problem");
        let unknown = said(Sentinel::new("entropie", 1, Action::Warn));
        assert_eq!(unknown, "`entropie` is no number of `docs/metrics.md`");
        let boundless = said(Sentinel::new("entropy", 1, Action::Warn));
        assert!(boundless.contains("no bound"), "{boundless}");
        assert!(
            Sentinel::usual()
                .iter()
                .all(|rule| rule.problem().is_none())
        );
    }
}

//! How much more tries are worth: the share of tasks that are resolved within 1, 2, … tries (the iteration-limit analysis
//! of the Devstral paper), and what a repair costs.
//!
//! In: repairs. Out: a curve, and counts by queue and by rule.
//! Example: three tasks that end repaired at tries 1, 4 and never give 1/3 at 1 to 3 and 2/3 from 4 on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::run::{End, Repair};
use crate::record::Queue;

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// The task.
    pub task_id: String,
    /// Whether it is repaired.
    pub resolved: bool,
    /// Tries in all.
    pub tries: u32,
    /// The queue of the last try.
    pub queue: Option<Queue>,
    /// Seconds of the model and of the tests.
    pub seconds: f64,
    /// Tries that broke a test on the way.
    pub regressions: usize,
    /// Tries that said the same again.
    pub repeats: usize,
    /// Rules that spoke before the try that repaired it.
    pub rules: Vec<String>,
    /// Milliseconds from each failing assert to the next turn.
    pub ready_ms: Vec<f64>,
}

impl TaskRow {
    /// Of a repair.
    pub fn from_repair(task_id: &str, repair: &Repair) -> TaskRow {
        let resolved = repair.end == End::Repaired;
        let last = repair.tries.last().filter(|_| resolved);
        let millis: u64 = repair
            .tries
            .iter()
            .map(|one| one.tests_ms + one.model_ms)
            .sum();
        TaskRow {
            task_id: task_id.to_string(),
            resolved,
            tries: repair.tries.len() as u32,
            queue: repair.tries.last().map(|one| one.queue),
            seconds: millis as f64 / 1000.0,
            regressions: repair.regressions(),
            repeats: repair.repeats(),
            rules: last
                .map(|one| one.rules.iter().map(|help| help.rule.clone()).collect())
                .unwrap_or_default(),
            ready_ms: repair.tries.iter().filter_map(|one| one.ready_ms).collect(),
        }
    }
}

/// What came of many tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Tasks.
    pub tasks: usize,
    /// Those that are repaired.
    pub resolved: usize,
    /// Share of tasks that are resolved within so many tries: the first for one try.
    pub within: Vec<f64>,
    /// Mean tries of those that are repaired.
    pub tries_per_repair: Option<f64>,
    /// Mean seconds of those that are repaired.
    pub seconds_per_repair: Option<f64>,
    /// Repaired tasks by the queue of their last try.
    pub by_queue: BTreeMap<Queue, usize>,
    /// Repaired tasks by the rules that spoke before their last try.
    pub by_rule: BTreeMap<String, usize>,
    /// Repairs after regressions or repetitions.
    pub lucky: usize,
    /// Milliseconds from the failing assert to the next turn that 95 % of the failures stay below.
    pub ready_p95_ms: Option<f64>,
}

impl Curve {
    /// Of tasks with at most `max_retry` tries each.
    pub fn from_rows(rows: &[TaskRow], max_retry: u32) -> Curve {
        let repaired: Vec<&TaskRow> = rows.iter().filter(|row| row.resolved).collect();
        let share = |within: u32| {
            let count = repaired.iter().filter(|row| row.tries <= within).count();
            count as f64 / rows.len().max(1) as f64
        };
        let mean = |of: &dyn Fn(&TaskRow) -> f64| {
            let sum: f64 = repaired.iter().map(|row| of(row)).sum();
            (!repaired.is_empty()).then(|| sum / repaired.len() as f64)
        };
        let (mut by_queue, mut by_rule) = (BTreeMap::new(), BTreeMap::new());
        for row in &repaired {
            row.queue
                .into_iter()
                .for_each(|queue| *by_queue.entry(queue).or_default() += 1);
            row.rules
                .iter()
                .for_each(|rule| *by_rule.entry(rule.clone()).or_default() += 1);
        }
        let mut ready: Vec<f64> = rows
            .iter()
            .flat_map(|row| row.ready_ms.iter().copied())
            .collect();
        ready.sort_by(f64::total_cmp);
        let p95 = (ready.len() * 95).div_ceil(100).checked_sub(1);
        Curve {
            tasks: rows.len(),
            resolved: repaired.len(),
            within: (1..=max_retry).map(share).collect(),
            tries_per_repair: mean(&|row| f64::from(row.tries)),
            seconds_per_repair: mean(&|row| row.seconds),
            lucky: repaired
                .iter()
                .filter(|row| row.regressions + row.repeats > 0)
                .count(),
            by_queue,
            by_rule,
            ready_p95_ms: p95.and_then(|at| ready.get(at).copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(resolved: bool, tries: u32, queue: Queue, rules: &[&str]) -> TaskRow {
        TaskRow {
            task_id: "t".into(),
            resolved,
            tries,
            queue: Some(queue),
            seconds: f64::from(tries),
            regressions: usize::from(tries == 4),
            repeats: 0,
            rules: rules.iter().map(|rule| rule.to_string()).collect(),
            ready_ms: vec![f64::from(tries)],
        }
    }

    #[test]
    fn the_curve_counts_what_is_resolved_within_so_many_tries() {
        let rows = [
            row(true, 1, Queue::Fast, &[]),
            row(true, 4, Queue::Deep, &["timeout"]),
            row(false, 5, Queue::Rescue, &[]),
        ];
        let curve = Curve::from_rows(&rows, 5);
        let third = 1.0 / 3.0;
        assert_eq!(
            curve.within,
            [third, third, third, 2.0 * third, 2.0 * third]
        );
        assert_eq!(
            (curve.tries_per_repair, curve.seconds_per_repair),
            (Some(2.5), Some(2.5))
        );
        assert_eq!(
            (
                curve.by_queue[&Queue::Deep],
                curve.by_rule["timeout"],
                curve.lucky
            ),
            (1, 1, 1)
        );
        assert_eq!(curve.ready_p95_ms, Some(5.0));
    }

    #[test]
    fn nothing_repaired_has_no_mean() {
        let curve = Curve::from_rows(&[row(false, 2, Queue::Fast, &[])], 2);
        assert_eq!(
            (curve.within, curve.tries_per_repair),
            (vec![0.0, 0.0], None)
        );
    }
}

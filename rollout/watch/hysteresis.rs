//! Threshold alarm with hysteresis: raised when a value stays above one threshold, cleared when it stays below another.
//!
//! In: samples with their times. Out: [`Change`], where something changed. A sample on the threshold is not beyond it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a sample changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Every sample was above for long enough.
    Raised,
    /// Every sample was below for long enough.
    Cleared,
}

/// An alarm with two thresholds, and a time for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Hysteresis {
    above: f64,
    raise_after: Duration,
    below: f64,
    clear_after: Duration,
    raised: bool,
    since: Option<Duration>,
}

impl Hysteresis {
    /// Raised when above `above` for `raise_after`; cleared when below `below` for `clear_after`.
    pub fn new(above: f64, raise_after: Duration, below: f64, clear_after: Duration) -> Self {
        Hysteresis {
            above,
            raise_after,
            below,
            clear_after,
            raised: false,
            since: None,
        }
    }

    /// Takes the value at a time. What is no number interrupts what was held.
    pub fn sample(&mut self, at: Duration, value: f64) -> Option<Change> {
        let (beyond, needed) = match self.raised {
            false => (value > self.above, self.raise_after),
            true => (value < self.below, self.clear_after),
        };
        if !beyond {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(at);
        if at.saturating_sub(since) < needed {
            return None;
        }
        self.since = None;
        self.raised = !self.raised;
        Some(if self.raised {
            Change::Raised
        } else {
            Change::Cleared
        })
    }

    /// Whether the alarm is on.
    pub fn is_raised(&self) -> bool {
        self.raised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu() -> Hysteresis {
        Hysteresis::new(
            0.90,
            Duration::from_secs(300),
            0.85,
            Duration::from_secs(60),
        )
    }

    /// What changed, and at which second.
    fn changes(
        held: &mut Hysteresis,
        samples: impl IntoIterator<Item = (u64, f64)>,
    ) -> Vec<(u64, Change)> {
        let told = |(at, value)| Some((at, held.sample(Duration::from_secs(at), value)?));
        samples.into_iter().filter_map(told).collect()
    }

    #[test]
    fn a_value_on_the_threshold_is_not_above_it() {
        let percent = |used: u64| used as f64 / 100.0;
        assert_eq!(
            changes(&mut gpu(), (0..1000).map(|at| (at, percent(90)))),
            []
        );
        assert_eq!(
            changes(&mut gpu(), (0..1000).map(|at| (at, percent(91)))),
            [(300, Change::Raised)]
        );
        // As a GPU tells it, in bytes.
        let (used, total) = (9_u64 * 1_234_567_890, 10_u64 * 1_234_567_890);
        assert_eq!(
            changes(
                &mut gpu(),
                (0..1000).map(|at| (at, used as f64 / total as f64))
            ),
            []
        );
        assert_eq!(
            changes(
                &mut gpu(),
                (0..301).map(|at| (at, (used + 1) as f64 / total as f64))
            )
            .len(),
            1
        );
    }

    #[test]
    fn the_last_second_counts() {
        assert_eq!(changes(&mut gpu(), [(0, 0.95), (299, 0.95)]), []);
        assert_eq!(
            changes(&mut gpu(), [(0, 0.95), (300, 0.95)]),
            [(300, Change::Raised)]
        );
        let early = Duration::from_secs(300) - Duration::from_nanos(1);
        let mut held = gpu();
        held.sample(Duration::ZERO, 0.95);
        assert_eq!(held.sample(early, 0.95), None);
    }

    #[test]
    fn one_sample_that_is_fine_begins_the_time_anew() {
        let dip = (0..=600)
            .step_by(5)
            .map(|at| (at, if at == 295 { 0.90 } else { 0.95 }));
        assert_eq!(changes(&mut gpu(), dip), [(600, Change::Raised)]);
        let unknown = (0..=595)
            .step_by(5)
            .map(|at| (at, if at == 295 { f64::NAN } else { 0.95 }));
        assert_eq!(changes(&mut gpu(), unknown), []);
    }

    #[test]
    fn an_alarm_is_cleared_below_the_lower_threshold_for_a_minute() {
        let raised = || (0..=300).step_by(5).map(|at| (at, 0.95));
        let then = |value| (305..=1000).step_by(5).map(move |at| (at, value));
        assert_eq!(
            changes(&mut gpu(), raised().chain(then(0.85))),
            [(300, Change::Raised)]
        );
        let cleared = [(300, Change::Raised), (365, Change::Cleared)];
        assert_eq!(changes(&mut gpu(), raised().chain(then(0.84))), cleared);
        let mut held = gpu();
        changes(&mut held, raised().chain([(305, 0.84), (364, 0.84)]));
        assert!(held.is_raised());
    }
}

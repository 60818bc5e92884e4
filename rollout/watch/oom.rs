//! Runs of tests that are killed for their memory: a few are borne, one more stops the flow.
//!
//! In: kills with their times, and the tasks behind them. Out: whether the flow goes on. What stopped stays stopped
//! until a person says otherwise, also over a restart: the state is what is saved.
//! Example: kills at 0, 20, 40 min are borne; one at 59 min is the fourth within an hour, one at 60 min is the third.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OomConfig;

/// A run that was killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The task whose tests they were.
    pub task: String,
}

/// The kills of one flow that still count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OomBudget {
    kills: VecDeque<Kill>,
    stopped: bool,
}

impl OomBudget {
    /// Counts a kill at a time since 1970. True where this one stops the flow.
    pub fn kill(&mut self, config: &OomConfig, at: Duration, task: &str) -> bool {
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        if self.stopped {
            return false;
        }
        let within_ms = config.within_s.saturating_mul(1000);
        self.kills
            .retain(|kill| at_ms.saturating_sub(kill.at_ms) < within_ms);
        self.kills.push_back(Kill {
            at_ms,
            task: task.to_owned(),
        });
        self.stopped = self.kills.len() > config.most;
        self.stopped
    }

    /// Whether the flow may not start anything.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The kills that count, oldest first.
    pub fn kills(&self) -> impl Iterator<Item = &Kill> {
        self.kills.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these kills, in seconds, stops the flow.
    fn stops(at: &[u64]) -> Option<usize> {
        let mut budget = OomBudget::default();
        at.iter()
            .position(|at| budget.kill(&OomConfig::default(), Duration::from_secs(*at), "a"))
    }

    #[test]
    fn three_are_borne_and_the_fourth_stops_the_flow() {
        assert_eq!(stops(&[0, 1, 2]), None);
        assert_eq!(stops(&[0, 1, 2, 3]), Some(3));
        assert_eq!(stops(&[5, 5, 5, 5]), Some(3));
    }

    #[test]
    fn the_hour_slides() {
        assert_eq!(stops(&[0, 1200, 2400, 3599]), Some(3));
        assert_eq!(stops(&[0, 1200, 2400, 3600]), None);
        assert_eq!(stops(&[0, 1200, 2400, 3600, 4799]), Some(4));
    }

    #[test]
    fn what_stopped_stays_stopped_over_a_restart_and_says_once_that_it_does() {
        let config = OomConfig {
            most: 0,
            ..OomConfig::default()
        };
        let mut budget = OomBudget::default();
        assert!(budget.kill(&config, Duration::ZERO, "a"));
        assert!(
            !budget.kill(&config, Duration::from_secs(90_000), "b"),
            "a run that was under way"
        );
        let text = serde_json::to_string(&budget).expect("prints");
        let again: OomBudget = serde_json::from_str(&text).expect("reads");
        assert!(again.is_stopped());
        assert_eq!(
            again
                .kills()
                .map(|kill| kill.task.as_str())
                .collect::<Vec<_>>(),
            ["a"]
        );
    }
}

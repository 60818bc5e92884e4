//! Two stages: all tasks first, then without those that are too easy.
//!
//! In: attempts and successes per task. Out: which tasks leave.
//! Example: with a threshold of 0.90 and at least 8 attempts, 19 of 20 leaves, 18 of 20 stays, 4 of 4 stays.

use serde::{Deserialize, Serialize};

use super::CurriculumError;
use crate::trajectory::Trajectory;

/// When the first stage ends and what leaves with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stages {
    /// Steps of the first stage.
    pub first_steps: u64,
    /// A task leaves when more than this share of its attempts succeeded.
    pub accuracy_above: f64,
    /// A task with fewer graded attempts stays, whatever its accuracy.
    pub min_attempts: u64,
}

impl Default for Stages {
    fn default() -> Self {
        Stages {
            first_steps: 200,
            accuracy_above: 0.90,
            min_attempts: 8,
        }
    }
}

/// Attempts at a task, and how many of them resolved it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Graded attempts.
    pub attempts: u64,
    /// Attempts that resolved the task.
    pub successes: u64,
}

/// A task that is not drawn in the second stage, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedTask {
    /// The task.
    pub task_id: String,
    /// Graded attempts in the first stage.
    pub attempts: u64,
    /// How many of them resolved it.
    pub successes: u64,
}

impl Tally {
    /// The count over some attempts at one task.
    pub fn from_trajectories(trajectories: &[Trajectory]) -> Self {
        let successes = trajectories
            .iter()
            .filter(|trajectory| trajectory.is_resolved())
            .count() as u64;
        Tally {
            attempts: trajectories.len() as u64,
            successes,
        }
    }

    pub(super) fn add(&mut self, other: Tally) {
        self.attempts += other.attempts;
        self.successes += other.successes;
    }
}

impl Stages {
    pub(super) fn check(&self) -> Result<(), CurriculumError> {
        if !(0.0..=1.0).contains(&self.accuracy_above) {
            return Err(CurriculumError::Range {
                setting: "stages.accuracy_above",
                range: "from 0 to 1",
            });
        }
        if self.min_attempts == 0 {
            return Err(CurriculumError::Range {
                setting: "stages.min_attempts",
                range: "1 or more",
            });
        }
        if self.first_steps == 0 {
            return Err(CurriculumError::Range {
                setting: "stages.first_steps",
                range: "1 or more",
            });
        }
        Ok(())
    }

    /// True where a task leaves after the first stage. A task that was never seen stays.
    pub fn drops(&self, tally: Option<&Tally>) -> bool {
        let Some(&Tally {
            attempts,
            successes,
        }) = tally
        else {
            return false;
        };
        // The quotient of two integers is rounded like the literal, so 9 of 10 is not above 0.90.
        attempts >= self.min_attempts && successes as f64 / attempts as f64 > self.accuracy_above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_leaves_above_the_threshold_and_with_enough_attempts_only() {
        let drops = |attempts, successes| {
            Stages::default().drops(Some(&Tally {
                attempts,
                successes,
            }))
        };
        assert!(drops(20, 19));
        assert!(!drops(20, 18) && !drops(10, 9) && !drops(30, 27) && !drops(1000, 900));
        assert!(drops(1000, 901));
        assert!(drops(8, 8) && !drops(7, 7));
        assert!(!Stages::default().drops(None));
    }

    #[test]
    fn a_threshold_outside_of_its_range_is_refused() {
        let check = |stages: Stages| stages.check().map_err(|error| error.to_string());
        assert_eq!(check(Stages::default()), Ok(()));
        let percent = Stages {
            accuracy_above: 90.0,
            ..Stages::default()
        };
        assert_eq!(
            check(percent),
            Err("`stages.accuracy_above` must be from 0 to 1".into())
        );
        assert!(
            check(Stages {
                accuracy_above: f64::NAN,
                ..Stages::default()
            })
            .is_err()
        );
        assert!(
            check(Stages {
                min_attempts: 0,
                ..Stages::default()
            })
            .is_err()
        );
        assert!(
            check(Stages {
                first_steps: 0,
                ..Stages::default()
            })
            .is_err()
        );
    }
}

//! The attempts at one task that are compared, with an advantage for each.
//!
//! In: graded trajectories of one task. Out: a [`Group`], and [`Member`]s: all that the trainer may see of it.
//! Example: of four attempts one resolves the task; the counts are 1 of 4, the centred advantages 0.75 and three
//! times −0.25.

use serde::{Deserialize, Serialize};

use crate::advantage::{Estimator, soft_overlong_penalty};
use crate::trajectory::{Overlong, Trajectory};

/// The attempts at one task.
///
/// Invariant: one task, at least two attempts, one finite advantage for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Group {
    id: u64,
    task_id: String,
    overlong: Overlong,
    trajectories: Vec<Trajectory>,
    advantages: Vec<f32>,
}

/// A [`Group`] that nobody checked yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    id: u64,
    task_id: String,
    overlong: Overlong,
    trajectories: Vec<Trajectory>,
    advantages: Vec<f32>,
}

/// What the trainer sees of one attempt: no reward, no outcome, no text.
#[derive(Clone, Debug, PartialEq)]
pub struct Member<'a> {
    /// All tokens, in order.
    pub tokens: &'a [u32],
    /// True where the token is trained: sampled, and not filtered as overlong.
    pub mask: Vec<bool>,
    /// Log-probability of each sampled token when it was sampled.
    pub logprobs: &'a [f32],
    /// How much better than the others it was.
    pub advantage: f32,
    /// Number of optimizer steps behind the weights that wrote it.
    pub policy_version: u64,
}

/// Why trajectories are no [`Group`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GroupError {
    /// There is nothing to compare.
    #[error("group {id} has {attempts} graded attempts, but a comparison needs 2")]
    TooFew {
        /// The group.
        id: u64,
        /// Graded attempts.
        attempts: usize,
    },
    /// The attempts are not at one task.
    #[error("group {id} mixes the tasks `{task}` and `{other}`")]
    Mixed {
        /// The group.
        id: u64,
        /// Its task.
        task: String,
        /// The other task.
        other: String,
    },
    /// A reward or an advantage is NaN or infinite, or one is missing.
    #[error("group {id} has not one finite advantage per attempt")]
    Advantages {
        /// The group.
        id: u64,
    },
}

impl TryFrom<Parts> for Group {
    type Error = GroupError;

    fn try_from(parts: Parts) -> Result<Self, GroupError> {
        let Parts {
            id,
            task_id,
            overlong,
            trajectories,
            advantages,
        } = parts;
        if trajectories.len() < 2 {
            return Err(GroupError::TooFew {
                id,
                attempts: trajectories.len(),
            });
        }
        if let Some(stranger) = trajectories
            .iter()
            .find(|trajectory| trajectory.task_id != task_id)
        {
            return Err(GroupError::Mixed {
                id,
                task: task_id,
                other: stranger.task_id.clone(),
            });
        }
        if advantages.len() != trajectories.len()
            || !advantages.iter().all(|advantage| advantage.is_finite())
        {
            return Err(GroupError::Advantages { id });
        }
        Ok(Group {
            id,
            task_id,
            overlong,
            trajectories,
            advantages,
        })
    }
}

impl Group {
    /// Compares the attempts at one task.
    ///
    /// # Errors
    ///
    /// When there are fewer than two, they are at different tasks, or a reward is not finite.
    pub fn new(
        id: u64,
        trajectories: Vec<Trajectory>,
        estimator: &Estimator,
        overlong: Overlong,
    ) -> Result<Self, GroupError> {
        let rewards: Vec<f32> = trajectories
            .iter()
            .map(|trajectory| shaped(trajectory, overlong))
            .collect();
        let lengths: Vec<usize> = trajectories
            .iter()
            .map(|trajectory| trajectory.sequence.sampled())
            .collect();
        let advantages = estimator.advantages(&rewards, &lengths);
        let task_id = trajectories
            .first()
            .map(|trajectory| trajectory.task_id.clone())
            .unwrap_or_default();
        Group::try_from(Parts {
            id,
            task_id,
            overlong,
            trajectories,
            advantages,
        })
    }

    /// The number under which it was drawn.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The task of all its attempts.
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// The attempts, for logs and reports.
    pub fn trajectories(&self) -> &[Trajectory] {
        &self.trajectories
    }

    /// One advantage per attempt.
    pub fn advantages(&self) -> &[f32] {
        &self.advantages
    }

    /// How many attempts.
    pub fn attempts(&self) -> usize {
        self.trajectories.len()
    }

    /// How many of them resolved the task. The tests are counted, not the rewards, which length may have changed.
    pub fn successes(&self) -> usize {
        self.trajectories
            .iter()
            .filter(|trajectory| trajectory.is_resolved())
            .count()
    }

    /// True where some attempts resolved the task and some did not, and one of them is trained: only then is there
    /// something to learn.
    ///
    /// What `overlong` masks is in every statistic of its group (mean, std, successes); it has no gradient.
    pub fn is_informative(&self) -> bool {
        let both = (1..self.attempts()).contains(&self.successes());
        both && self.members().any(|member| member.mask.contains(&true))
    }

    /// What the trainer may see, one per attempt.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.trajectories
            .iter()
            .zip(&self.advantages)
            .map(|(trajectory, advantage)| Member {
                tokens: trajectory.sequence.tokens(),
                mask: self.trained(trajectory),
                logprobs: trajectory.sequence.logprobs(),
                advantage: *advantage,
                policy_version: trajectory.policy_version,
            })
    }

    fn trained(&self, trajectory: &Trajectory) -> Vec<bool> {
        let sampled = trajectory.sequence.mask();
        match self.overlong {
            Overlong::Mask if trajectory.stop.is_truncated() => vec![false; sampled.len()],
            Overlong::Mask | Overlong::Keep | Overlong::Punish { .. } => sampled.to_vec(),
        }
    }
}

/// The reward, less what length takes from it.
fn shaped(trajectory: &Trajectory, overlong: Overlong) -> f32 {
    match overlong {
        Overlong::Keep | Overlong::Mask => trajectory.reward,
        Overlong::Punish { max, buffer } => {
            trajectory.reward + soft_overlong_penalty(trajectory.sequence.sampled(), max, buffer)
        }
    }
}

/// Trajectories for the tests of this crate.
#[cfg(test)]
pub(crate) mod example {
    use super::*;
    use crate::outcome::Outcome;
    use crate::policy::Completion;
    use crate::trajectory::{Sequence, Stop, TRAJECTORY_FORMAT, Unanswered};

    /// An attempt of `length` tokens that resolved the task or not.
    pub(crate) fn trajectory(
        task_id: &str,
        resolved: bool,
        length: usize,
        stop: Stop,
    ) -> Trajectory {
        let tokens = (0..length as u32).collect();
        let completion =
            Completion::new(vec![9], tokens, vec![-0.5; length], "3|x".into(), stop, 0)
                .expect("lengths agree");
        let outcome = if resolved {
            Outcome::Resolved
        } else {
            Outcome::NoPatch
        };
        Trajectory {
            format: TRAJECTORY_FORMAT,
            task_id: task_id.into(),
            policy_version: 0,
            sequence: Sequence::from_completion(&completion),
            text: completion.text,
            stop,
            patch: None,
            unanswered: (!resolved).then_some(Unanswered::Empty),
            outcome,
            reward: f32::from(u8::from(resolved)),
        }
    }

    /// `attempts` attempts, the first `successes` of which resolved the task.
    pub(crate) fn trajectories(
        task_id: &str,
        successes: usize,
        attempts: usize,
    ) -> Vec<Trajectory> {
        (0..attempts)
            .map(|attempt| trajectory(task_id, attempt < successes, 2, Stop::EndOfTurn))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::example::{trajectories, trajectory};
    use super::*;
    use crate::trajectory::Stop;

    fn group(trajectories: Vec<Trajectory>, overlong: Overlong) -> Result<Group, GroupError> {
        Group::new(7, trajectories, &Estimator::Centred, overlong)
    }

    #[test]
    fn a_group_counts_its_successes_and_weighs_its_attempts() {
        let group = group(trajectories("a", 1, 4), Overlong::Mask).expect("a group");
        assert_eq!((group.successes(), group.attempts()), (1, 4));
        assert_eq!(group.advantages(), [0.75, -0.25, -0.25, -0.25]);
    }

    #[test]
    fn only_a_group_of_both_kinds_is_informative() {
        let informative = [0, 1, 3, 4].map(|successes| {
            group(trajectories("a", successes, 4), Overlong::Mask)
                .expect("group")
                .is_informative()
        });
        assert_eq!(informative, [false, true, true, false]);
    }

    #[test]
    fn a_masked_attempt_is_in_every_statistic_and_a_group_of_masked_ones_teaches_nothing() {
        let ends = |stops: [Stop; 4]| {
            let resolved = [true, true, false, false];
            let attempts = stops.into_iter().zip(resolved);
            let attempts = attempts.map(|(stop, resolved)| trajectory("a", resolved, 2, stop));
            group(attempts.collect(), Overlong::Mask).expect("group")
        };
        let half = ends([Stop::EndOfTurn, Stop::EndOfTurn, Stop::Length, Stop::Length]);
        assert_eq!(half.advantages(), [0.5, 0.5, -0.5, -0.5]);
        assert!(half.is_informative());
        let none = ends([Stop::Length, Stop::Length, Stop::Length, Stop::Length]);
        assert_eq!(none.successes(), 2);
        assert!(!none.is_informative());
    }

    #[test]
    fn fewer_than_two_attempts_or_two_tasks_are_no_group() {
        assert_eq!(
            group(vec![], Overlong::Mask),
            Err(GroupError::TooFew { id: 7, attempts: 0 })
        );
        assert_eq!(
            group(trajectories("a", 1, 1), Overlong::Mask),
            Err(GroupError::TooFew { id: 7, attempts: 1 })
        );
        let mixed = [trajectories("a", 1, 1), trajectories("b", 0, 1)].concat();
        let error = GroupError::Mixed {
            id: 7,
            task: "a".into(),
            other: "b".into(),
        };
        assert_eq!(group(mixed, Overlong::Mask), Err(error));
    }

    #[test]
    fn a_reward_that_is_not_finite_is_refused() {
        let mut attempts = trajectories("a", 1, 2);
        attempts[0].reward = f32::NAN;
        assert_eq!(
            group(attempts, Overlong::Keep),
            Err(GroupError::Advantages { id: 7 })
        );
    }

    #[test]
    fn a_truncated_attempt_counts_but_is_not_trained_when_masked() {
        let attempts = vec![
            trajectory("a", true, 2, Stop::EndOfTurn),
            trajectory("a", false, 2, Stop::Length),
        ];
        let masks = |overlong| {
            let group = group(attempts.clone(), overlong).expect("group");
            assert_eq!(group.advantages(), [0.5, -0.5]);
            group
                .members()
                .map(|member| member.mask)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            masks(Overlong::Mask),
            [[false, true, true], [false, false, false]]
        );
        assert_eq!(
            masks(Overlong::Keep),
            [[false, true, true], [false, true, true]]
        );
    }

    #[test]
    fn a_punished_length_changes_advantages_but_not_counts() {
        let attempts = vec![
            trajectory("a", true, 90, Stop::EndOfTurn),
            trajectory("a", false, 10, Stop::EndOfTurn),
        ];
        let group = group(
            attempts,
            Overlong::Punish {
                max: 100,
                buffer: 20,
            },
        )
        .expect("group");
        // Rewards 1 − 0.5 and 0.
        assert_eq!(group.advantages(), [0.25, -0.25]);
        assert_eq!(group.successes(), 1);
    }

    #[test]
    fn a_group_comes_back_from_json_and_a_broken_one_does_not() {
        let whole = group(trajectories("a", 1, 2), Overlong::Mask).expect("group");
        let text = serde_json::to_string(&whole).expect("prints");
        assert_eq!(serde_json::from_str::<Group>(&text).expect("reads"), whole);
        let broken = text.replace(r#""advantages":[0.5,-0.5]"#, r#""advantages":[0.5]"#);
        let refused = serde_json::from_str::<Group>(&broken).expect_err("one advantage is missing");
        assert!(
            refused
                .to_string()
                .starts_with("group 7 has not one finite advantage per attempt"),
            "{refused}"
        );
    }
}

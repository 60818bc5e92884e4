//! How much better an attempt was than the other attempts at its task: one function per estimator.
//!
//! In: the rewards of one group. Out: one advantage for each, in the same order.
//! Example: rewards `[1, 0, 0, 0]` are centred to `[0.75, -0.25, -0.25, -0.25]`; rewards `[1, 1, 1, 1]` give four
//! zeros, because equal rewards teach nothing.

use serde::{Deserialize, Serialize};

/// Which advantage a reward becomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Estimator {
    /// `(reward − mean) / (std + eps)` with the unbiased std: GRPO and DAPO.
    GroupNormalized {
        /// Keeps the quotient finite; small against the std of 0/1 rewards, which is at least `1 / sqrt(attempts)`.
        #[serde(default = "small")]
        eps: f32,
    },
    /// `reward − mean`: Dr. GRPO, which does not favor groups of nearly equal rewards.
    Centred,
    /// `(reward − mean) · n / (n − 1)`: each attempt against the mean of the *others* (RLOO).
    LeaveOneOut,
    /// `(reward − mean) / mean`: MaxRL, whose expected gradient is that of the log of the success rate.
    MaxRl,
    /// `reward − mean` in the group, then whitened over all trained tokens of the step: REINFORCE++ with a baseline.
    ReinforcePlusPlus,
    /// `reward − Σ length · reward / Σ length`: OPO, whose baseline has the least variance where the gradient's square
    /// grows with the length.
    LengthWeighted,
}

fn small() -> f32 {
    1e-6
}

impl Default for Estimator {
    fn default() -> Self {
        Estimator::GroupNormalized { eps: small() }
    }
}

impl Estimator {
    /// The advantage of each attempt of a group. `lengths` are the sampled tokens of each attempt.
    ///
    /// # Panics
    ///
    /// When there are not as many lengths as rewards.
    pub fn advantages(&self, rewards: &[f32], lengths: &[usize]) -> Vec<f32> {
        assert_eq!(rewards.len(), lengths.len(), "one length for each reward");
        match self {
            Estimator::GroupNormalized { eps } => group_normalized(rewards, *eps),
            Estimator::Centred | Estimator::ReinforcePlusPlus => centred(rewards),
            Estimator::LeaveOneOut => leave_one_out(rewards),
            Estimator::MaxRl => max_rl(rewards),
            Estimator::LengthWeighted => length_weighted(rewards, lengths),
        }
    }

    /// Whether the advantages of a step are whitened over all its trained tokens ([`whiten`]).
    pub fn whitens_batch(&self) -> bool {
        matches!(self, Estimator::ReinforcePlusPlus)
    }
}

/// `(reward − mean) / (std + eps)`, std unbiased.
///
/// ```
/// # use rollout::advantage::group_normalized;
/// let advantages = group_normalized(&[1.0, 0.0, 0.0, 0.0], 0.0);
/// assert_eq!(advantages, [1.5, -0.5, -0.5, -0.5]);
/// // Equal rewards teach nothing.
/// assert_eq!(group_normalized(&[1.0, 1.0], 1e-6), [0.0, 0.0]);
/// ```
pub fn group_normalized(rewards: &[f32], eps: f32) -> Vec<f32> {
    let squares: f64 = deviations(rewards)
        .map(|deviation| deviation * deviation)
        .sum();
    // One attempt has no spread; its deviation is 0 whatever it is divided by.
    let std = (squares / rewards.len().saturating_sub(1).max(1) as f64).sqrt();
    if std == 0.0 {
        return vec![0.0; rewards.len()];
    }
    deviations(rewards)
        .map(|deviation| (deviation / (std + f64::from(eps))) as f32)
        .collect()
}

/// `reward − mean` (Dr. GRPO).
///
/// ```
/// # use rollout::advantage::centred;
/// assert_eq!(centred(&[1.0, 0.0]), [0.5, -0.5]);
/// ```
pub fn centred(rewards: &[f32]) -> Vec<f32> {
    deviations(rewards)
        .map(|deviation| deviation as f32)
        .collect()
}

/// `(reward − mean) · n / (n − 1)`.
pub fn leave_one_out(rewards: &[f32]) -> Vec<f32> {
    let attempts = rewards.len();
    let scale = attempts as f64 / attempts.saturating_sub(1).max(1) as f64;
    deviations(rewards)
        .map(|deviation| (deviation * scale) as f32)
        .collect()
}

/// `(reward − mean) / mean`; 0 for all where the mean is not above 0 (Maximum Likelihood Reinforcement Learning,
/// arXiv 2602.02710).
///
/// ```
/// # use rollout::advantage::max_rl;
/// // One success in four: the rarer it is, the more it weighs.
/// assert_eq!(max_rl(&[1.0, 0.0, 0.0, 0.0]), [3.0, -1.0, -1.0, -1.0]);
/// assert_eq!(max_rl(&[0.0, 0.0]), [0.0, 0.0]);
/// ```
pub fn max_rl(rewards: &[f32]) -> Vec<f32> {
    let mean = rewards.iter().copied().map(f64::from).sum::<f64>() / rewards.len() as f64;
    if mean.is_nan() || mean <= 0.0 {
        return vec![0.0; rewards.len()];
    }
    deviations(rewards)
        .map(|deviation| (deviation / mean) as f32)
        .collect()
}

/// `reward − Σ length · reward / Σ length` (On-Policy RL with Optimal Reward Baseline, arXiv 2505.23585).
///
/// ```
/// # use rollout::advantage::length_weighted;
/// // The long failure has three quarters of the tokens, so the baseline is 1/4.
/// assert_eq!(length_weighted(&[1.0, 0.0], &[10, 30]), [0.75, -0.25]);
/// ```
pub fn length_weighted(rewards: &[f32], lengths: &[usize]) -> Vec<f32> {
    let tokens: f64 = lengths.iter().map(|&length| length as f64).sum();
    let same = rewards.windows(2).all(|pair| pair[0] == pair[1]);
    if tokens == 0.0 || same {
        return centred(rewards);
    }
    let weighted = rewards.iter().zip(lengths);
    let baseline = weighted
        .map(|(reward, &length)| f64::from(*reward) * length as f64)
        .sum::<f64>()
        / tokens;
    rewards
        .iter()
        .map(|reward| (f64::from(*reward) - baseline) as f32)
        .collect()
}

/// Whitens the advantages of all trained tokens of a step: `(a − mean) / sqrt(variance + 1e-8)`, variance unbiased
/// (REINFORCE++, arXiv 2501.03262). All zeros stay zeros.
///
/// ```
/// # use rollout::advantage::whiten;
/// let mut advantages = [1.0, 1.0, -1.0, -1.0];
/// whiten(&mut advantages);
/// assert!((advantages[0] - 0.75f32.sqrt()).abs() < 1e-6);
/// ```
pub fn whiten(advantages: &mut [f32]) {
    let mean = advantages.iter().copied().map(f64::from).sum::<f64>() / advantages.len() as f64;
    let squares: f64 = advantages
        .iter()
        .map(|one| (f64::from(*one) - mean).powi(2))
        .sum();
    let variance = squares / advantages.len().saturating_sub(1).max(1) as f64;
    let std = (variance + 1e-8).sqrt();
    for advantage in advantages {
        *advantage = ((f64::from(*advantage) - mean) / std) as f32;
    }
}

/// `reward − mean`. Exactly 0 where all rewards are equal: a sum of equal `f32` is exact in `f64`.
fn deviations(rewards: &[f32]) -> impl Iterator<Item = f64> + '_ {
    let mean = rewards.iter().copied().map(f64::from).sum::<f64>() / rewards.len() as f64;
    rewards.iter().map(move |reward| f64::from(*reward) - mean)
}

/// DAPO's soft punishment for long answers: 0 up to `max − buffer` tokens, then a line down to −1 at `max`, −1 beyond.
///
/// Without a buffer it is a step: 0 up to `max`, −1 beyond.
pub fn soft_overlong_penalty(length: usize, max: usize, buffer: usize) -> f32 {
    let free = max.saturating_sub(buffer);
    if length <= free {
        0.0
    } else if length > max {
        -1.0
    } else {
        -((length - free) as f32 / buffer as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: &[f32], expected: &[f32]) {
        assert_eq!(actual.len(), expected.len());
        let worst = actual
            .iter()
            .zip(expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-6, "{actual:?} is not {expected:?}");
    }

    #[test]
    fn equal_rewards_teach_nothing() {
        for reward in [0.0, 1.0, 0.1, -0.3] {
            let rewards = [reward; 7];
            assert_eq!(group_normalized(&rewards, 0.0), [0.0; 7]);
            assert_eq!(centred(&rewards), [0.0; 7]);
            assert_eq!(leave_one_out(&rewards), [0.0; 7]);
        }
    }

    #[test]
    fn group_normalized_divides_by_the_unbiased_std() {
        // mean 0.25, variance (0.5625 + 3 · 0.0625) / 3 = 0.25, std 0.5.
        close(
            &group_normalized(&[1.0, 0.0, 0.0, 0.0], 0.0),
            &[1.5, -0.5, -0.5, -0.5],
        );
        close(
            &group_normalized(&[1.0, 0.0, 0.0, 0.0], 0.5),
            &[0.75, -0.25, -0.25, -0.25],
        );
        close(
            &group_normalized(&[1.0, 0.0], 0.0),
            &[0.707_106_77, -0.707_106_77],
        );
    }

    #[test]
    fn centred_subtracts_the_mean() {
        close(
            &centred(&[1.0, 0.0, 0.0, 0.0]),
            &[0.75, -0.25, -0.25, -0.25],
        );
        close(
            &centred(&[1.0, -0.5, 0.0]),
            &[0.833_333_3, -0.666_666_7, -0.166_666_7],
        );
    }

    #[test]
    fn leave_one_out_compares_with_the_mean_of_the_others() {
        // The others' mean: 0 for the first, 1/3 for the rest.
        close(
            &leave_one_out(&[1.0, 0.0, 0.0, 0.0]),
            &[1.0, -0.333_333_34, -0.333_333_34, -0.333_333_34],
        );
        close(&leave_one_out(&[1.0, 0.0]), &[1.0, -1.0]);
    }

    #[test]
    fn advantages_sum_to_zero_without_the_punishment_of_length() {
        for estimator in [
            Estimator::default(),
            Estimator::Centred,
            Estimator::LeaveOneOut,
            Estimator::MaxRl,
            Estimator::ReinforcePlusPlus,
            Estimator::LengthWeighted,
        ] {
            let sum: f32 = estimator
                .advantages(&[1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], &[7; 8])
                .iter()
                .sum();
            assert!(sum.abs() < 1e-5, "{estimator:?}: {sum}");
        }
    }

    #[test]
    fn groups_of_none_and_one_are_harmless() {
        for estimator in [
            Estimator::default(),
            Estimator::Centred,
            Estimator::LeaveOneOut,
            Estimator::MaxRl,
            Estimator::ReinforcePlusPlus,
            Estimator::LengthWeighted,
        ] {
            assert_eq!(estimator.advantages(&[], &[]), [0.0; 0]);
            assert_eq!(estimator.advantages(&[1.0], &[3]), [0.0]);
        }
    }

    #[test]
    fn the_baseline_of_opo_counts_tokens_and_not_attempts() {
        // (10 · 1 + 20 · 0 + 50 · 1) / 80 = 3/4.
        close(
            &length_weighted(&[1.0, 0.0, 1.0], &[10, 20, 50]),
            &[0.25, -0.75, 0.25],
        );
        close(&length_weighted(&[1.0, 0.0], &[0, 0]), &[0.5, -0.5]);
        assert_eq!(
            length_weighted(&[0.1, 0.1, 0.1], &[1, 2, 4]),
            [0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn max_rl_weighs_a_success_by_how_rare_it_is() {
        close(&max_rl(&[1.0, 1.0, 0.0, 0.0]), &[1.0, 1.0, -1.0, -1.0]);
        close(&max_rl(&[1.0, 1.0]), &[0.0, 0.0]);
    }

    #[test]
    fn whitened_advantages_have_mean_0_and_variance_1_over_the_tokens_of_the_step() {
        // Three tokens of 0.5 and one of −0.5: mean 0.25, unbiased variance 0.25.
        let mut advantages = [0.5, 0.5, 0.5, -0.5];
        whiten(&mut advantages);
        close(&advantages, &[0.5, 0.5, 0.5, -1.5]);
        let mut equal = [0.25, 0.25];
        whiten(&mut equal);
        assert_eq!(equal, [0.0, 0.0]);
        whiten(&mut []);
    }

    #[test]
    fn long_answers_are_punished_along_a_line() {
        let penalties =
            [80, 81, 90, 99, 100, 101, 5_000].map(|length| soft_overlong_penalty(length, 100, 20));
        assert_eq!(penalties, [0.0, -0.05, -0.5, -0.95, -1.0, -1.0, -1.0]);
    }

    #[test]
    fn without_a_buffer_the_punishment_is_a_step() {
        assert_eq!(
            [99, 100, 101].map(|length| soft_overlong_penalty(length, 100, 0)),
            [0.0, 0.0, -1.0]
        );
        // A buffer wider than the limit starts at the first token.
        assert_eq!(
            [0, 10, 11].map(|length| soft_overlong_penalty(length, 10, 20)),
            [0.0, -0.5, -1.0]
        );
    }

    #[test]
    fn an_estimator_is_written_by_its_name() {
        let read =
            |text: &str| serde_json::from_str::<Estimator>(text).map_err(|error| error.to_string());
        assert_eq!(read(r#""centred""#), Ok(Estimator::Centred));
        assert_eq!(
            read(r#"{"group_normalized":{}}"#),
            Ok(Estimator::GroupNormalized { eps: 1e-6 })
        );
        let refused = read(r#"{"group_normalized":{"epsilon":1}}"#).expect_err("a misspelled key");
        assert!(refused.contains("`epsilon`"), "{refused}");
    }
}

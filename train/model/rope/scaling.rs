//! Rotary frequencies of models that were stretched beyond the context of their first training.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How frequencies are stretched. Names and meanings are those of `rope_scaling` in `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase", deny_unknown_fields)]
pub enum RopeScaling {
    /// All turns are `factor` times slower (Chen et al., arXiv 2306.15595).
    Linear {
        /// How many times longer the context is.
        factor: f64,
    },
    /// Slow turns are `factor` times slower, fast ones stay, with a ramp between (Llama 3.1).
    Llama3 {
        /// How many times longer the context is.
        factor: f64,
        /// Turns that go round fewer times in the original context are slow.
        low_freq_factor: f64,
        /// Turns that go round more times in the original context are fast.
        high_freq_factor: f64,
        /// Positions of the first training.
        original_max_position_embeddings: usize,
    },
    /// As Llama3, with a ramp over the pairs, and sharper attention (Peng et al., arXiv 2309.00071).
    Yarn {
        /// How many times longer the context is.
        factor: f64,
        /// Positions of the first training.
        original_max_position_embeddings: usize,
        /// Rounds in the original context above which a turn stays as it is.
        #[serde(default = "beta_fast")]
        beta_fast: f64,
        /// Rounds in the original context below which a turn is `factor` times slower.
        #[serde(default = "beta_slow")]
        beta_slow: f64,
        /// What multiplies cosines and sines; computed from `factor` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attention_factor: Option<f64>,
        /// With `mscale_all_dim`: how `attention_factor` is computed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mscale: Option<f64>,
        /// With `mscale`: how `attention_factor` is computed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mscale_all_dim: Option<f64>,
        /// Whether the ramp begins and ends at whole pairs.
        #[serde(default = "truncate")]
        truncate: bool,
    },
}

fn beta_fast() -> f64 {
    32.0
}

fn beta_slow() -> f64 {
    1.0
}

fn truncate() -> bool {
    true
}

impl RopeScaling {
    /// Why these numbers make no frequencies, if they make none.
    pub fn problem(&self, theta: f64) -> Option<String> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        match self {
            RopeScaling::Linear { factor } | RopeScaling::Llama3 { factor, .. } | RopeScaling::Yarn { factor, .. }
                if !positive(*factor) =>
            {
                Some(format!("`factor` is {factor}, but must be positive"))
            }
            RopeScaling::Llama3 { original_max_position_embeddings: 0, .. }
            | RopeScaling::Yarn { original_max_position_embeddings: 0, .. } => {
                Some("`original_max_position_embeddings` is 0".into())
            }
            RopeScaling::Llama3 { low_freq_factor: low, high_freq_factor: high, .. }
                if !positive(*low) || !high.is_finite() || high <= low =>
            {
                Some(format!("`low_freq_factor` is {low} and `high_freq_factor` is {high}"))
            }
            RopeScaling::Yarn { beta_fast, beta_slow, .. } if !positive(*beta_fast) || !positive(*beta_slow) => {
                Some(format!("`beta_fast` is {beta_fast} and `beta_slow` is {beta_slow}"))
            }
            RopeScaling::Yarn { .. } if theta <= 1.0 => {
                Some(format!("`yarn` needs a `rope_theta` above 1, not {theta}"))
            }
            RopeScaling::Yarn { .. } if !positive(self.magnitude()) => {
                Some("`attention_factor`, or what `mscale` and `mscale_all_dim` make of it, is not positive".into())
            }
            _ => None,
        }
    }

    /// The frequencies, in radians for each position, that `plain` ones become. `theta` is their base.
    pub fn stretch(&self, plain: &[f64], theta: f64) -> Vec<f64> {
        match *self {
            RopeScaling::Linear { factor } => {
                plain.iter().map(|frequency| frequency / factor).collect()
            }
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                let original = original_max_position_embeddings as f64;
                let one = |frequency: f64| {
                    let rounds = original * frequency / (2.0 * PI);
                    let stays = (rounds - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    let stays = stays.clamp(0.0, 1.0);
                    frequency * (stays + (1.0 - stays) / factor)
                };
                plain.iter().copied().map(one).collect()
            }
            RopeScaling::Yarn {
                factor,
                original_max_position_embeddings,
                beta_fast,
                beta_slow,
                truncate,
                ..
            } => {
                let width = 2.0 * plain.len() as f64;
                let original = original_max_position_embeddings as f64;
                // The pair that goes round `rounds` times in the original context.
                let pair = |rounds: f64| {
                    width * (original / (rounds * 2.0 * PI)).ln() / (2.0 * theta.ln())
                };
                let whole =
                    |pair: f64, round: fn(f64) -> f64| if truncate { round(pair) } else { pair };
                let low = whole(pair(beta_fast), f64::floor).max(0.0);
                let high = whole(pair(beta_slow), f64::ceil).min(width - 1.0);
                // Two ends at one place would divide by zero.
                let length = if high == low { 0.001 } else { high - low };
                let one = |(at, frequency): (usize, &f64)| {
                    let slower = ((at as f64 - low) / length).clamp(0.0, 1.0);
                    frequency * (1.0 - slower + slower / factor)
                };
                plain.iter().enumerate().map(one).collect()
            }
        }
    }

    /// What multiplies cosines and sines, and so the scores of attention by its square.
    pub fn magnitude(&self) -> f64 {
        let RopeScaling::Yarn {
            factor,
            attention_factor,
            mscale,
            mscale_all_dim,
            ..
        } = *self
        else {
            return 1.0;
        };
        let of = |scale: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * scale * factor.ln() + 1.0
            }
        };
        let given = |scale: Option<f64>| scale.filter(|scale| *scale != 0.0);
        match (attention_factor, given(mscale), given(mscale_all_dim)) {
            (Some(factor), _, _) => factor,
            (None, Some(scale), Some(all)) => of(scale) / of(all),
            (None, _, _) => of(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scaling: &RopeScaling, expected: [f64; 4]) {
        let plain: Vec<f64> = (0..4)
            .map(|pair| 10_000f64.powf(-f64::from(pair) / 4.0))
            .collect();
        for (got, want) in scaling.stretch(&plain, 10_000.0).into_iter().zip(expected) {
            assert!((got - want).abs() <= 1e-9 * want, "{got} is not {want}");
        }
    }

    #[test]
    fn linear_slows_all_turns_alike() {
        check(
            &RopeScaling::Linear { factor: 4.0 },
            [0.25, 0.025, 0.0025, 0.00025],
        );
    }

    #[test]
    fn llama3_leaves_fast_turns_and_slows_slow_ones() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 1000,
        };
        // 159, 15.9, 1.59 and 0.159 rounds in 1000 positions: only the third lies on the ramp.
        let third = 0.01 * (0.197_183_136 + (1.0 - 0.197_183_136) / 8.0);
        let plain = [1.0, 0.1, 0.01, 0.001];
        let got = scaling.stretch(&plain, 10_000.0);
        assert_eq!((got[0], got[1], got[3]), (1.0, 0.1, 0.000_125));
        assert!((got[2] - third).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn yarn_sharpens_attention_by_the_logarithm_of_its_factor() {
        let scaling: RopeScaling = serde_json::from_value(serde_json::json!({
            "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1000
        }))
        .expect("reads");
        assert!((scaling.magnitude() - 1.138_629_436).abs() < 1e-9);
        // The ramp goes from pair 0 (32 rounds lie before it) to pair 3 (one round).
        check(&scaling, [1.0, 0.075, 0.005, 0.000_25]);
    }
}

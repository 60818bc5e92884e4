//! How fast the learning rate moves.

use serde::{Deserialize, Serialize};

use super::OptimizerConfig;

/// The shape of the learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Stays at its height.
    Constant,
    /// Falls in a straight line to `final_share` of its height.
    Linear,
    /// Falls along half a cosine to `final_share` of its height.
    Cosine,
    /// Warm-up, stable, decay: stays, then falls linearly over the last fifth.
    Wsd,
}

impl OptimizerConfig {
    /// The learning rate of `step`, counted from 0, of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return self.lr * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let rest = steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = ((step - self.warmup_steps) as f64 / rest).min(1.0);
        let height = match self.schedule {
            Shape::Constant => 1.0,
            Shape::Linear => 1.0 - (1.0 - self.final_share) * done,
            Shape::Cosine => {
                self.final_share
                    + (1.0 - self.final_share) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Shape::Wsd if done < 0.8 => 1.0,
            Shape::Wsd => 1.0 - (1.0 - self.final_share) * (done - 0.8) / 0.2,
        };
        self.lr * height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(schedule: Shape) -> OptimizerConfig {
        OptimizerConfig {
            lr: 1.0,
            warmup_steps: 4,
            final_share: 0.1,
            schedule,
            ..OptimizerConfig::default()
        }
    }

    #[test]
    fn warm_up_rises_and_the_cosine_ends_at_its_final_share() {
        let config = of(Shape::Cosine);
        assert_eq!(config.rate(0, 100), 0.25);
        assert_eq!(config.rate(3, 100), 1.0);
        assert!((config.rate(100, 100) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_line_is_halfway_down_in_the_middle_and_a_plateau_ends_after_four_fifths() {
        assert!((of(Shape::Linear).rate(52, 100) - 0.55).abs() < 1e-12);
        assert_eq!(of(Shape::Wsd).rate(79, 100), 1.0);
        assert!((of(Shape::Wsd).rate(100, 100) - 0.1).abs() < 1e-12);
        assert_eq!(of(Shape::Constant).rate(100, 100), 1.0);
    }
}

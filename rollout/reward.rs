//! What an outcome is worth.
//!
//! In: an [`Outcome`]. Out: 1 where every test that judges ran and passed, else 0.

use crate::outcome::Outcome;

/// The reward of one attempt.
pub fn reward(outcome: &Outcome) -> f32 {
    match outcome {
        Outcome::Resolved => 1.0,
        Outcome::StillFailing { .. } | Outcome::BrokeOthers { .. } => 0.0,
        Outcome::TimedOut | Outcome::OutOfMemory | Outcome::Crashed => 0.0,
        Outcome::DoesNotApply | Outcome::NoPatch => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_resolved_task_is_worth_something() {
        let others = [
            Outcome::StillFailing {
                passed: 3,
                failed: 1,
            },
            Outcome::BrokeOthers { broken: 1 },
            Outcome::TimedOut,
            Outcome::OutOfMemory,
            Outcome::DoesNotApply,
            Outcome::NoPatch,
            Outcome::Crashed,
        ];
        assert_eq!(reward(&Outcome::Resolved), 1.0);
        assert!(others.iter().all(|outcome| reward(outcome) == 0.0));
    }
}

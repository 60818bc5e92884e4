//! The size of micro-batches, and whether activations are kept: chosen where the config does not say.
//!
//! In: a plan for every choice, and the memory of the machine. Out: a [`Fit`]. It decides how a step's gradients are
//! added up and nothing else, so runs that differ in it differ in the last digits alone; it is part of the plan and of
//! every checkpoint, and a resumed run keeps it.
//! Example: 135 million weights with their gradients and moments take 2.7 GB, so micro-batches get as much at most: 1,024
//! tokens on each of two cores.

use serde::{Deserialize, Serialize};

use super::MemoryPlan;

/// Padded tokens of the largest micro-batch that is chosen.
const MOST: usize = 8192;
/// And of the smallest.
pub(super) const LEAST: usize = 128;
/// Micro-batches may take so much in any case.
const SMALL: u64 = 1 << 30;

/// How the micro-batches of a step are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// Padded tokens per micro-batch.
    pub micro_batch_tokens: usize,
    /// Whether activations are computed again instead of kept.
    pub checkpointing: bool,
}

/// What may be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Padded tokens per micro-batch, where the config says.
    pub tokens: Option<usize>,
    /// Whether activations are computed again, where the config says or there is no choice.
    pub checkpointing: Option<bool>,
    /// Padded tokens of the longest row: a micro-batch has at least one.
    pub longest: usize,
}

impl Choice {
    /// Whether the config leaves anything open.
    pub fn is_open(&self) -> bool {
        self.tokens.is_none() || self.checkpointing.is_none()
    }

    /// The fastest choice that leaves a quarter of `memory`, with micro-batches that take no more than the model with its
    /// gradients and moments, if any does; the smallest where nothing fits.
    pub fn fit(&self, memory: Option<u64>, plan: impl Fn(Fit) -> MemoryPlan) -> Fit {
        let largest = MOST.max(self.longest);
        let halves = std::iter::successors(Some(largest), |tokens| Some(tokens / 2));
        let least = LEAST.max(self.longest);
        let chosen: Vec<usize> = halves
            .take_while(|tokens| *tokens >= least)
            .chain([least])
            .collect();
        let sizes = self.tokens.map_or(chosen, |tokens| vec![tokens]);
        let again = self
            .checkpointing
            .map_or(vec![false, true], |again| vec![again]);
        let roomy = memory.map_or(u64::MAX, |memory| memory / 4 * 3);
        for checkpointing in again.iter().copied() {
            let fits = sizes.iter().map(|&micro_batch_tokens| Fit {
                micro_batch_tokens,
                checkpointing,
            });
            let fits: Vec<Fit> = fits.filter(|fit| plan(*fit).total() <= roomy).collect();
            let modest = |fit: &&Fit| {
                let MemoryPlan {
                    weights,
                    gradients,
                    optimizer,
                    activations,
                    logits,
                    ..
                } = plan(**fit);
                activations + logits <= SMALL.max(weights + gradients + optimizer)
            };
            if let Some(fit) = fits.iter().find(modest).or(fits.last()) {
                return *fit;
            }
        }
        Fit {
            micro_batch_tokens: *sizes.last().expect("there is a size"),
            checkpointing: *again.last().expect("there is an answer"),
        }
    }
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kept = if self.checkpointing {
            "computed again"
        } else {
            "kept"
        };
        write!(
            f,
            "micro-batches of {} tokens, activations {kept}",
            self.micro_batch_tokens
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Choice = Choice {
        tokens: None,
        checkpointing: None,
        longest: 300,
    };

    /// A model of 1 GiB, and 1 MiB a token where activations are kept.
    fn plan(fit: Fit) -> MemoryPlan {
        let token = if fit.checkpointing { 1 << 16 } else { 1 << 20 };
        let activations = fit.micro_batch_tokens as u64 * token;
        MemoryPlan {
            weights: 1 << 30,
            optimizer: 1 << 30,
            activations,
            ..MemoryPlan::default()
        }
    }

    fn fit(choice: Choice, memory: Option<u64>) -> (usize, bool) {
        let Fit {
            micro_batch_tokens,
            checkpointing,
        } = choice.fit(memory, plan);
        (micro_batch_tokens, checkpointing)
    }

    #[test]
    fn micro_batches_take_no_more_than_the_model_however_large_the_machine() {
        assert_eq!(fit(OPEN, Some(1 << 40)), (2048, false));
        assert_eq!(fit(OPEN, None), (2048, false));
    }

    #[test]
    fn a_smaller_machine_gets_smaller_micro_batches_and_then_computes_again() {
        assert_eq!(fit(OPEN, Some(4 << 30)), (1024, false));
        assert_eq!(fit(OPEN, Some(3 << 30)), (4096, true));
        // Nothing fits: the smallest is what is refused.
        assert_eq!(fit(OPEN, Some(1 << 30)), (300, true));
    }

    #[test]
    fn what_the_config_says_is_not_chosen() {
        let said = Choice {
            tokens: Some(8192),
            checkpointing: Some(false),
            ..OPEN
        };
        assert_eq!(fit(said, Some(1 << 30)), (8192, false));
        assert!(!said.is_open());
        assert_eq!(
            fit(
                Choice {
                    checkpointing: Some(true),
                    ..OPEN
                },
                None
            ),
            (8192, true)
        );
    }

    #[test]
    fn the_longest_row_fits() {
        assert_eq!(
            fit(
                Choice {
                    longest: 20_000,
                    ..OPEN
                },
                None
            )
            .0,
            20_000
        );
    }
}

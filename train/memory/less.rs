//! What would need less memory: the settings that make a run fit, found by search over its plan.
//!
//! In: a [`Training`] and a plan for any change of it. Out: every set of changes with its plan, the fewest changes first.
//! Example: 7 billion weights do not fit into 24 GiB in any one setting's way, but `lora.rank=16` with
//! `lora.four_bit=true` does.

use super::fit::LEAST;
use super::{Batches, Fit, MemoryPlan, Training};
use crate::config::SftConfig;
use crate::optim::StateKind;

/// Settings that one could make, and what a run would need with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Less {
    /// As `--set` takes them.
    pub settings: Vec<String>,
    /// The plan with all of them.
    pub plan: MemoryPlan,
}

/// How many proposals are told at most.
const TOLD: usize = 4;

/// Of `all`, those that fit into `free` bytes, the fewest changes first; none that only adds to another that fits.
pub fn fitting(all: &[Less], free: u64) -> Vec<&Less> {
    let mut found: Vec<&Less> = Vec::new();
    for less in all.iter().filter(|less| less.plan.total() <= free) {
        let adds = |known: &&Less| known.settings.iter().all(|one| less.settings.contains(one));
        if !found.iter().any(adds) {
            found.push(less);
        }
    }
    found.truncate(TOLD);
    found
}

/// One change: its setting, and what it does. None leaves things as they are.
type Change = Option<(String, Edit)>;

#[derive(Clone, Copy)]
enum Edit {
    Rank(usize),
    FourBit,
    Checkpointing,
    Tokens(usize),
    State(StateKind),
}

impl Edit {
    fn apply(self, config: &mut SftConfig, fit: &mut Fit) {
        match self {
            Edit::Rank(rank) => config.lora.rank = rank,
            Edit::FourBit => config.lora.four_bit = true,
            Edit::Checkpointing => fit.checkpointing = true,
            Edit::Tokens(tokens) => fit.micro_batch_tokens = tokens,
            Edit::State(state) => config.optimizer.state = state,
        }
    }
}

impl Training<'_> {
    /// Plans with other settings of `section` that need less, from the least to the most that changes.
    pub fn smaller(&self, section: &str) -> Vec<Less> {
        self.with_less(section, &|training| training.plan())
    }

    /// As [`Training::smaller`], where `plan` says what a training holds together with what it takes turns with.
    pub fn with_less(&self, section: &str, plan: &dyn Fn(&Training) -> MemoryPlan) -> Vec<Less> {
        let now = plan(self).total();
        let mut found: Vec<Less> = self
            .changes(section)
            .iter()
            .filter(|changes| !changes.is_empty())
            .filter_map(|changes| {
                let (mut config, mut fit) = (self.config.clone(), self.fit);
                for (_, edit) in changes {
                    edit.apply(&mut config, &mut fit);
                }
                // What a whole model needs of its optimizer says nothing about an adapter.
                if config.lora.problem().is_some() {
                    return None;
                }
                let tokens = fit.micro_batch_tokens.max(self.batches.longest);
                let changed = plan(&Training {
                    config: &config,
                    fit,
                    batches: Batches {
                        tokens: self.batches.tokens.min(tokens),
                        ..self.batches
                    },
                    ..*self
                });
                let settings = changes.iter().map(|(setting, _)| setting.clone()).collect();
                (changed.total() < now).then_some(Less {
                    settings,
                    plan: changed,
                })
            })
            .collect();
        // Of as many changes, what leaves the most as it is comes first.
        found.sort_by_key(|less| (less.settings.len(), std::cmp::Reverse(less.plan.total())));
        found
    }

    /// Every combination of changes.
    fn changes(&self, section: &str) -> Vec<Vec<(String, Edit)>> {
        let (lora, full) = (&self.config.lora, self.config.lora.rank == 0);
        let change = |key: &str, edit: Edit| Some((format!("{section}.{key}"), edit));
        let mut axes: Vec<Vec<Change>> = Vec::new();
        if !self.fit.checkpointing && !lora.four_bit {
            axes.push(vec![change("checkpointing=true", Edit::Checkpointing)]);
        }
        let least = self.batches.longest.max(LEAST);
        let quarter = (self.batches.tokens / 4).next_multiple_of(16).max(least);
        let mut sizes = vec![quarter, least];
        sizes.dedup();
        sizes.retain(|&size| size < self.batches.tokens);
        let sizes = sizes
            .into_iter()
            .map(|size| change(&format!("micro_batch_tokens={size}"), Edit::Tokens(size)));
        axes.push(sizes.collect());
        if full {
            axes.push(vec![
                change("optimizer.state=8bit", Edit::State(StateKind::EightBit)),
                change("optimizer.state=factored", Edit::State(StateKind::Factored)),
            ]);
            axes.push(vec![change("lora.rank=16", Edit::Rank(16))]);
        }
        if !lora.four_bit {
            axes.push(vec![change("lora.four_bit=true", Edit::FourBit)]);
        }
        axes.into_iter().fold(vec![Vec::new()], |sets, axis| {
            let with = |set: &Vec<(String, Edit)>, change: &Change| {
                set.iter().cloned().chain(change.clone()).collect()
            };
            sets.iter()
                .flat_map(|set| {
                    std::iter::once(&None)
                        .chain(&axis)
                        .map(|change| with(set, change))
                        .collect::<Vec<_>>()
                })
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ModelConfig;

    fn proposals(shape: &ModelConfig, longest: usize) -> Vec<Less> {
        Training {
            shape,
            config: &SftConfig::default(),
            fit: Fit {
                micro_batch_tokens: 4096,
                checkpointing: false,
            },
            batches: Batches {
                tokens: 4096,
                count: 4,
                workers: 2,
                longest,
            },
        }
        .smaller("sft")
    }

    #[test]
    fn what_fits_is_found_even_where_it_takes_several_settings() {
        let shape = ModelConfig::smollm2_135m();
        let all = proposals(&shape, 256);
        let least = all
            .iter()
            .map(|less| less.plan.total())
            .min()
            .expect("some");
        let found = fitting(&all, least);
        assert!(!found.is_empty());
        let settings = &found[0].settings;
        for setting in ["sft.lora.rank=16", "sft.lora.four_bit=true"] {
            assert!(settings.iter().any(|one| one == setting), "{settings:?}");
        }
        assert!(fitting(&all, least - 1).is_empty());
    }

    #[test]
    fn a_proposal_adds_nothing_to_one_that_fits_already() {
        let shape = ModelConfig::smollm2_135m();
        let all = proposals(&shape, 256);
        let found = fitting(&all, u64::MAX);
        assert!(
            found.iter().all(|less| less.settings.len() == 1),
            "{found:?}"
        );
    }

    #[test]
    fn no_micro_batch_is_proposed_that_cannot_hold_the_longest_row() {
        let shape = ModelConfig::smollm2_135m();
        for less in proposals(&shape, 3000) {
            for setting in &less.settings {
                if let Some(tokens) = setting.strip_prefix("sft.micro_batch_tokens=") {
                    assert!(tokens.parse::<usize>().expect("a number") >= 3000);
                }
            }
        }
    }
}

//! What a run will hold in memory, from its config, its samples and the shape of its model.

use super::{SampleSet, rows_of};
use crate::config::SftConfig;
use crate::memory::{Batches, Choice, Fit, Less, MemoryPlan, Room, Training};
use crate::trainer::batch::{Row, padded};
use model::ModelConfig;

/// Steps whose micro-batches are laid out to find the largest.
const STEPS: u64 = 64;

/// What a run will hold, and how its micro-batches are computed.
pub struct SftMemory {
    /// What was chosen, or said.
    pub fit: Fit,
    /// The plan.
    pub plan: MemoryPlan,
    /// What it would be with other settings.
    pub smaller: Vec<Less>,
    /// Whether the config left any of `fit` open.
    pub chosen: bool,
}

/// Plans a run. What the config leaves open is as `kept` by a checkpoint, or is chosen. Without samples, micro-batches
/// are taken to be full.
pub fn memory_plan(
    config: &SftConfig,
    shape: &ModelConfig,
    samples: Option<&SampleSet>,
    seed: u64,
    room: Room,
    kept: Option<Fit>,
) -> SftMemory {
    let steps: Option<Vec<Vec<Row>>> = samples.map(|samples| {
        (0..config.steps.clamp(1, STEPS))
            .map(|step| rows_of(samples, config, step, seed))
            .collect()
    });
    let longest = steps
        .iter()
        .flatten()
        .flat_map(|rows| padded(rows, 0))
        .max()
        .unwrap_or(0)
        .max(config.pack_tokens);
    let workers = room.workers;
    let training = |fit: Fit| {
        let full = Batches {
            tokens: fit.micro_batch_tokens,
            count: workers.min(config.samples_per_step),
            workers,
            longest,
        };
        let batches = steps.as_ref().map_or(full, |steps| {
            let steps: Vec<Vec<usize>> = steps
                .iter()
                .map(|rows| padded(rows, fit.micro_batch_tokens))
                .collect();
            let tokens = steps.iter().flatten().copied().max().unwrap_or(0);
            Batches {
                tokens,
                count: steps.iter().map(Vec::len).max().unwrap_or(0),
                workers,
                longest,
            }
        });
        Training {
            shape,
            config,
            fit,
            batches,
        }
    };
    let choice = Choice {
        tokens: config.micro_batch_tokens,
        // Weights in four bits are unpacked block by block, so activations are computed again in any case.
        checkpointing: config
            .checkpointing
            .or(config.lora.four_bit.then_some(true)),
        longest,
    };
    let fit = kept.unwrap_or_else(|| choice.fit(room.capacity, |fit| training(fit).plan()));
    // Others use the machine, too.
    let fit = match room.available {
        Some(free) if kept.is_none() && training(fit).plan().total() > free => {
            choice.fit(Some(free), |fit| training(fit).plan())
        }
        _ => fit,
    };
    SftMemory {
        fit,
        plan: training(fit).plan(),
        smaller: training(fit).smaller("sft"),
        chosen: choice.is_open(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn what_a_config_leaves_open_suits_the_model_and_not_the_machine_alone() {
        let shape = ModelConfig::smollm2_135m();
        let planned = memory_plan(
            &SftConfig::default(),
            &shape,
            None,
            7,
            Room::from_device(&Device::flex()),
            None,
        );
        // Weights, gradients and moments take 2.7 GB of it, and micro-batches as much at most.
        assert!(planned.plan.total() < 6 << 30, "{}", planned.plan);
        let kept = Fit {
            micro_batch_tokens: 4096,
            checkpointing: true,
        };
        assert_eq!(
            memory_plan(
                &SftConfig::default(),
                &shape,
                None,
                7,
                Room::from_device(&Device::flex()),
                Some(kept)
            )
            .fit,
            kept
        );
    }
}

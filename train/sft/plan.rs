//! What a run will hold in memory, from its config, its samples and the shape of its model.

use burn::tensor::Device;

use super::{SampleSet, rows_of};
use crate::batch::padded;
use crate::config::SftConfig;
use crate::memory::{Batches, MemoryPlan, Training};
use crate::model::ModelConfig;
use crate::optim::workers;

/// Steps whose micro-batches are laid out to find the largest.
const STEPS: u64 = 64;

/// The plan, and what it would be with other settings. Without samples, micro-batches are taken to be full.
pub fn memory_plan(
    config: &SftConfig,
    shape: &ModelConfig,
    samples: Option<&SampleSet>,
    seed: u64,
    device: &Device,
) -> (MemoryPlan, Vec<(String, MemoryPlan)>) {
    let workers = workers(device);
    let full = Batches { tokens: config.micro_batch_tokens, count: workers.min(config.samples_per_step), workers };
    let batches = samples.map_or(full, |samples| {
        let of_step = |step| {
            let rows = rows_of(samples, config, step, seed);
            padded(&rows, config.micro_batch_tokens)
        };
        let steps: Vec<Vec<usize>> = (0..config.steps.clamp(1, STEPS)).map(of_step).collect();
        let tokens = steps.iter().flatten().copied().max().unwrap_or(0);
        Batches { tokens, count: steps.iter().map(Vec::len).max().unwrap_or(0), workers }
    });
    let training = Training { shape, config, batches };
    (training.plan(), training.smaller())
}

//! What a command will hold in memory, before it does anything.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use model::ModelConfig;
use rollout::policy::Sampling;

use crate::checkpoint::{self, Outline};
use crate::config::{Config, SftConfig};
use crate::memory::{Batches, Choice, Fit, MemoryPlan, Training, available, capacity, size};
use crate::optim::workers;

/// Tokens of a prompt and its answer at most.
pub fn generated_tokens(shape: &ModelConfig, config: &Config, sampling: &Sampling) -> usize {
    shape.max_position_embeddings.min(config.data.max_tokens + sampling.max_new_tokens)
}

/// What talking with the model in `folder` will hold: the plan of `rows` conversations that fill the context. Less is
/// needed while they are short, so only a model that does not fit by itself is refused; `fewer` says what would need less.
/// What is wrong with the folder is told when it is loaded.
pub fn talk_memory(folder: &Path, rows: usize, device: &Device, fewer: &str) -> Result<Option<MemoryPlan>> {
    let Ok(Outline { config: shape, stored_bytes }) = checkpoint::outline(folder, device) else { return Ok(None) };
    let plan = |rows, tokens| MemoryPlan { weights: stored_bytes, ..MemoryPlan::generation(&shape, rows, tokens) };
    let whole = plan(rows, shape.max_position_embeddings);
    plan(1, 1).enforce(device, &[], "use a smaller model, or one that is stored as bf16")?;
    if available(device).is_some_and(|free| whole.total() > free) {
        eprintln!(
            "warning: the model fits into memory, but not with conversations as long as its context: {}\nhint: {fewer}",
            size(whole.total())
        );
    }
    Ok(Some(whole))
}

/// What generating with the model in `folder` and the training of `[grpo]` will hold: prompts of at most
/// `data.max_tokens`. Where the config does not say how large micro-batches are, as large as a checkpoint `kept`, or as is
/// chosen.
pub fn grpo_memory(
    folder: &Path,
    config: &Config,
    device: &Device,
    kept: Option<usize>,
) -> Result<(usize, MemoryPlan)> {
    let shape = checkpoint::config_of(&checkpoint::resolve(folder)?)?;
    let grpo = &config.grpo;
    let like = SftConfig { optimizer: grpo.optimizer.clone(), ..SftConfig::default() };
    let workers = workers(device);
    let tokens = generated_tokens(&shape, config, &grpo.sampling);
    let generation = MemoryPlan::generation(&shape, grpo.decode_rows, tokens);
    let plan = |fit: Fit| {
        let batches = Batches { tokens: fit.micro_batch_tokens, count: workers.min(grpo.groups_per_step), workers };
        Training { shape: &shape, config: &like, fit, batches }.plan().in_turns_with(generation)
    };
    // A row holds a prompt and every answer to it.
    let longest = (config.data.max_tokens + grpo.group_size * grpo.sampling.max_new_tokens).next_multiple_of(16);
    let choice = Choice { tokens: kept.or(grpo.micro_batch_tokens), checkpointing: Some(false), longest };
    let fit = choice.fit(capacity(device), plan);
    if grpo.micro_batch_tokens.is_none() {
        eprintln!("grpo: {fit}, chosen for the model and this machine");
    }
    Ok((fit.micro_batch_tokens, plan(fit)))
}

//! What a command will hold in memory, before it does anything.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use model::ModelConfig;
use rollout::policy::Sampling;

use crate::checkpoint::{self, Outline};
use crate::config::{Config, SftConfig};
use crate::memory::{Batches, Choice, Fit, Less, MemoryPlan, Training, available, capacity, size};
use crate::optim::workers;

/// Tokens of a prompt and its answer at most.
pub fn generated_tokens(shape: &ModelConfig, config: &Config, sampling: &Sampling) -> usize {
    shape
        .max_position_embeddings
        .min(config.data.max_tokens + sampling.max_new_tokens)
}

/// What talking with the model in `folder` will hold: the plan of `rows` conversations that fill the context. Less is
/// needed while they are short, so only a model that does not fit by itself is refused; `fewer` says what would need less.
/// What is wrong with the folder is told when it is loaded.
pub fn talk_memory(
    folder: &Path,
    rows: usize,
    device: &Device,
    fewer: &str,
) -> Result<Option<MemoryPlan>> {
    let Ok(Outline {
        config: shape,
        stored_bytes,
    }) = checkpoint::outline(folder, device)
    else {
        return Ok(None);
    };
    let plan = |rows, tokens| MemoryPlan {
        weights: stored_bytes,
        ..MemoryPlan::generation(&shape, rows, tokens)
    };
    let whole = plan(rows, shape.max_position_embeddings);
    plan(1, 1).enforce(
        device,
        &[],
        "use a smaller model, or one that is stored as bf16",
    )?;
    if available(device).is_some_and(|free| whole.total() > free) {
        eprintln!(
            "warning: the model fits into memory, but not with conversations as long as its context: {}{}",
            size(whole.total()),
            data::Hint(fewer)
        );
    }
    Ok(Some(whole))
}

/// What a run of `train grpo` will hold, and how its micro-batches are computed.
pub struct GrpoMemory {
    /// What was chosen, or said.
    pub fit: Fit,
    /// The plan.
    pub plan: MemoryPlan,
    /// What it would be with other settings.
    pub smaller: Vec<Less>,
}

impl GrpoMemory {
    /// Refuses a run that does not fit on `device`.
    ///
    /// # Errors
    ///
    /// As [`MemoryPlan::enforce`].
    pub fn enforce(&self, device: &Device) -> Result<()> {
        self.plan.enforce(
            device,
            &self.smaller,
            "lower `grpo.decode_rows`, or use a smaller model",
        )
    }
}

/// What generating with the model in `folder` and the training of `[grpo]` will hold: prompts of at most
/// `data.max_tokens`. What the config leaves open is as a checkpoint `kept` it, or is chosen.
///
/// # Errors
///
/// When `folder` holds no model.
pub fn grpo_memory(
    folder: &Path,
    config: &Config,
    device: &Device,
    kept: Option<Fit>,
) -> Result<GrpoMemory> {
    let shape = checkpoint::config_of(&checkpoint::resolve(folder)?)?;
    let grpo = &config.grpo;
    let like = SftConfig {
        optimizer: grpo.optimizer.clone(),
        lora: grpo.lora.clone(),
        bf16: grpo.bf16,
        ..SftConfig::default()
    };
    let workers = workers(device);
    let tokens = generated_tokens(&shape, config, &grpo.sampling);
    let generation = MemoryPlan::generation(&shape, grpo.decode_rows, tokens);
    let beside = |training: &Training| {
        let lora = &training.config.lora;
        // With an adapter, what generates shares the frozen weights and keeps an adapter of the last step.
        let weights = if lora.rank > 0 {
            4 * lora.parameters(&shape) as u64
        } else {
            generation.weights
        };
        training.plan().in_turns_with(MemoryPlan {
            weights,
            ..generation
        })
    };
    // A row holds a prompt and every answer to it.
    let longest = (config.data.max_tokens + grpo.group_size * grpo.sampling.max_new_tokens)
        .next_multiple_of(16);
    let training = |fit: Fit| {
        let batches = Batches {
            tokens: fit.micro_batch_tokens,
            count: workers.min(grpo.groups_per_step),
            workers,
            longest,
        };
        Training {
            shape: &shape,
            config: &like,
            fit,
            batches,
        }
    };
    let choice = Choice {
        tokens: grpo.micro_batch_tokens,
        checkpointing: grpo.checkpointing.or(grpo.lora.four_bit.then_some(true)),
        longest,
    };
    let fit = kept.unwrap_or_else(|| choice.fit(capacity(device), |fit| beside(&training(fit))));
    if choice.is_open() {
        eprintln!("grpo: {fit}, chosen for the model and this machine");
    }
    let plan = beside(&training(fit));
    Ok(GrpoMemory {
        fit,
        plan,
        smaller: training(fit).with_less("grpo", &beside),
    })
}

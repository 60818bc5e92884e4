//! `train grpo`: reinforcement learning; attempts are graded by the tests of their task.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use burn::tensor::Device;
use clap::Args;
use data::source::jsonl::read_tasks;

use super::memory::grpo_memory;
use super::{RunArgs, WatchArgs, cache_folder, fitting, summary_to};
use crate::checkpoint;
use crate::config::Config;
use crate::evaluate::Rollouts;
use crate::grpo::{Grpo, GrpoSummary, kept_tokens};
use crate::interrupt::Interrupt;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::tasks::TestEnv;
use crate::watched::Watched;

/// `train grpo`
#[derive(Args, Clone, Debug)]
pub struct GrpoArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model to start from.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// The tasks: `tasks.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// Folder for checkpoints, metrics and the log of attempts.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What watches it.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Two stages: the second drops what the model already solves.
    #[arg(long)]
    pub curriculum: bool,
    /// Go on from the newest whole checkpoint in the folder, where a run was stopped.
    #[arg(long)]
    pub resume: bool,
}

/// `train grpo`
///
/// # Errors
///
/// As [`Grpo::run`].
pub fn run(args: &GrpoArgs) -> Result<Option<GrpoSummary>> {
    let config = args.run.config()?;
    if !args.run.dry_run {
        Paths::new()
            .reads("--model", &args.model)
            .reads("--tasks", &args.tasks)
            .writes_folder("--out", &args.out)
            .check()?;
        checkpoint::check_start(&args.out, "grpo", args.resume)?;
    }
    let device = config.device.open()?;
    // For a plan alone, the model need not be there yet.
    let memory = grpo_memory(&args.model, &config, &device, kept_tokens_of(args));
    let memory = if args.run.dry_run { memory.ok() } else { Some(memory?) };
    let mut told = config.clone();
    told.grpo.micro_batch_tokens = memory.map(|(tokens, _)| tokens).or(told.grpo.micro_batch_tokens);
    let memory = memory.map(|(_, memory)| memory);
    let plan = Plan::new("grpo", &told).with_model(&args.model).with_data([args.tasks.as_path()]);
    if plan.with_memory(memory).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    if let Some(memory) = memory {
        memory.enforce(
            &device,
            &[],
            "lower `grpo.micro_batch_tokens` or `grpo.decode_rows`, or use a smaller model",
        )?;
    }
    checkpoint::check(&args.model, &Device::flex())?;
    read_tasks(&args.tasks)?;
    Interrupt::listen()?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    run_in(&test_env, args, &config).map(Some)
}

fn kept_tokens_of(args: &GrpoArgs) -> Option<usize> {
    if args.resume { kept_tokens(&args.out) } else { None }
}

/// As [`run`], in a test_env that stands already.
///
/// # Errors
///
/// As [`Grpo::run`].
pub fn run_in(test_env: &TestEnv, args: &GrpoArgs, config: &Config) -> Result<GrpoSummary> {
    let device = config.device.open()?;
    let (micro_batch_tokens, _) = grpo_memory(&args.model, config, &device, kept_tokens_of(args))?;
    let start = checkpoint::load(&args.model, &device)?;
    let (words, context) = ((&start.tokenizer, &start.template), start.config.max_position_embeddings);
    let set = fitting(read_tasks(&args.tasks)?, words, context, config, config.grpo.sampling.max_new_tokens)?;
    let watched = Watched::start(&args.out, "grpo", config, &args.watch)?;
    let grpo = Grpo {
        config: &config.grpo,
        seed: config.seed,
        rollouts: Rollouts {
            set: &set,
            form: config.data.answer,
            grader: Arc::new(test_env.paced_grader(watched.watcher.pace())),
            workers: config.data.workers,
            watcher: Some(watched.watcher.clone()),
        },
        watcher: &watched.watcher,
        curriculum: args.curriculum,
        out: &args.out,
        micro_batch_tokens,
        resume: args.resume,
        interrupt: Interrupt::listen()?,
        device: &device,
    };
    let summary = grpo.run(start)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    Ok(summary)
}

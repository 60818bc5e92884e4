//! `train grpo`: reinforcement learning; attempts are graded by the tests of their task.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::Args;
use data::source::jsonl::TaskSet;

use super::memory::{GrpoMemory, grpo_memory};
use super::{RunArgs, WatchArgs, cache_folder, check_bf16, fitting, model_parser, summary_to};
use crate::checkpoint;
use crate::config::Config;
use crate::grade::tasks_of;
use crate::memory::Fit;
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::paths::Paths;
use crate::run::watched::Watched;
use crate::settings::Settings;
use crate::tasks::TestEnv;
use crate::terminal;
use crate::trainer::evaluate::Rollouts;
use crate::trainer::grpo::{Grpo, GrpoSummary, HeldOut};
use crate::trainer::state::kept_fit;

/// `train grpo`
#[derive(Args, Clone, Debug)]
pub struct GrpoArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model to start from.
    #[arg(long, value_name = "DIR", value_parser = model_parser())]
    pub model: PathBuf,
    /// The tasks: `tasks.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// Tasks that it is evaluated on and not trained on: adds `eval/pass@1` to the metrics, and keeps the checkpoint
    /// with the highest as `best`.
    #[arg(long, value_name = "FILE")]
    pub validate: Option<PathBuf>,
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
            .may_read("--validate", args.validate.as_deref())
            .writes_folder("--out", &args.out)
            .check()?;
        checkpoint::check_start(&args.out, "grpo", args.resume)?;
    }
    let device = config.device.open()?;
    check_bf16("grpo.bf16", config.grpo.bf16, &device)?;
    // For a plan alone, the model need not be there yet.
    let memory = grpo_memory(&args.model, &config, &device, kept_fit_of(args));
    let memory = if args.run.dry_run {
        memory.ok()
    } else {
        Some(memory?)
    };
    let mut told = config.clone();
    if let Some(GrpoMemory { fit, .. }) = &memory {
        told.grpo.micro_batch_tokens = Some(fit.micro_batch_tokens);
        told.grpo.checkpointing = Some(fit.checkpointing);
    }
    let read = [Some(&args.tasks), args.validate.as_ref()]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path);
    let plan = Plan::new("grpo", &told)
        .with_model(&args.model)
        .with_data(read);
    if plan
        .with_memory(memory.as_ref().map(|memory| memory.plan))
        .show(args.run.dry_run, &args.out)?
    {
        return Ok(None);
    }
    if let Some(memory) = memory {
        memory.enforce(&device)?;
    }
    checkpoint::check(&args.model, &Device::flex())?;
    training_tasks(args)?;
    args.validate
        .as_deref()
        .map_or(Ok(()), |tasks| validation_tasks(args, tasks).map(drop))?;
    Interrupt::listen()?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    run_in(&test_env, args, &config).map(Some)
}

fn kept_fit_of(args: &GrpoArgs) -> Option<Fit> {
    if args.resume {
        kept_fit(&args.out)
    } else {
        None
    }
}

/// What a resumed run has to find again, besides `[grpo]`.
fn rests_on(args: &GrpoArgs, config: &Config) -> Result<Settings> {
    let hash = |path: &Path| -> Result<String> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(blake3::hash(&bytes).to_hex()[..16].to_owned())
    };
    let held_out = args.validate.as_deref().map(hash).transpose()?;
    Ok(Settings::default()
        .with("seed", config.seed)
        .with("--curriculum", args.curriculum)
        .with("--model", checkpoint::fingerprint(&args.model)?)
        .with("--tasks", hash(&args.tasks)?)
        .with("--validate", held_out)
        .with("data.answer", config.data.answer)
        .with("sandbox", &config.sandbox))
}

/// As [`run`], in a test_env that stands already.
///
/// # Errors
///
/// As [`Grpo::run`].
pub fn run_in(test_env: &TestEnv, args: &GrpoArgs, config: &Config) -> Result<GrpoSummary> {
    let device = config.device.open()?;
    let GrpoMemory { fit, .. } = grpo_memory(&args.model, config, &device, kept_fit_of(args))?;
    let (shape, tokenizer, template) = checkpoint::words(&args.model)?;
    let (words, context) = ((&tokenizer, &template), shape.max_position_embeddings);
    let set = fitting(
        training_tasks(args)?,
        words,
        context,
        config,
        config.grpo.sampling.max_new_tokens,
    )?;
    let held_out = args.validate.as_ref().map(|tasks| {
        fitting(
            validation_tasks(args, tasks)?,
            words,
            context,
            config,
            config.eval.sampling.max_new_tokens,
        )
    });
    let held_out = held_out.transpose()?;
    let watched = Watched::start(&args.out, "grpo", config, &args.watch)?;
    let grader = Arc::new(test_env.paced_grader(watched.watcher.pace()));
    let rollouts = |set| Rollouts {
        set,
        form: config.data.answer,
        grader: grader.clone(),
        workers: config.data.workers,
        watcher: Some(watched.watcher.clone()),
    };
    let grpo = Grpo {
        config: &config.grpo,
        seed: config.seed,
        rests_on: rests_on(args, config)?,
        rollouts: rollouts(&set),
        held_out: held_out.as_ref().map(|set| HeldOut {
            rollouts: rollouts(set),
            config: &config.eval,
        }),
        watcher: &watched.watcher,
        curriculum: args.curriculum,
        out: &args.out,
        fit,
        resume: args.resume,
        interrupt: Interrupt::listen()?,
        device: &device,
    };
    let summary = grpo.run(&args.model)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    Ok(summary)
}

/// Tasks that may train. One without a gold patch may not: a repair could not be compared with anything, so a trick that
/// passes its tests would be rewarded.
fn training_tasks(args: &GrpoArgs) -> Result<TaskSet> {
    let mut set = tasks_of(&args.tasks, &args.out.join("tasks"))?.set;
    let all = set.tasks.len();
    set.tasks.retain(|task| !task.gold.is_empty());
    let left_out = all - set.tasks.len();
    if left_out == all {
        bail!(
            "none of the {all} tasks of `{}` has a gold patch, so no repair could be examined, and tricks would be rewarded{}",
            args.tasks.display(),
            data::Hint(
                "`train eval` and `train repair` take them; `train data tasks --repo` plants bugs whose repair is known"
            )
        );
    }
    terminal::tell_dropped(
        "tasks",
        [(
            left_out,
            "without a gold patch a repair cannot be examined; they are for `train eval`",
        )],
    );
    Ok(set)
}

/// Held-out tasks are evaluated alone, so they may come without a gold patch.
fn validation_tasks(args: &GrpoArgs, tasks: &Path) -> Result<TaskSet> {
    Ok(tasks_of(tasks, &args.out.join("validate"))?.set)
}

//! `train distill`: Patch-Lite from triplets.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use data::triplet::read_triplets;

use super::sft::{self, SftArgs};
use super::{ChatArgs, RunArgs, model_parser, summary_to, tokenizer_at};
use crate::checkpoint;
use crate::run::paths::Paths;
use crate::trainer::sft::SftSummary;
use crate::triplets::write_lessons;

/// `train distill`
#[derive(Args, Clone, Debug)]
pub struct DistillArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// Folder of triplets, as `train data triplets` writes it; those of its split `train` are trained on.
    #[arg(long, value_name = "DIR")]
    pub triplets: PathBuf,
    /// The student: a model folder.
    #[arg(long, value_name = "DIR", value_parser = model_parser())]
    pub model: PathBuf,
    /// Folder for `samples` and, in `model`, checkpoints and metrics.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on from the newest whole checkpoint, where a run was stopped.
    #[arg(long)]
    pub resume: bool,
}

/// `train distill`
///
/// # Errors
///
/// When the triplets cannot be read or none fits, and as `train sft`.
pub fn run(args: &DistillArgs) -> Result<Option<SftSummary>> {
    let config = args.run.config()?;
    let (samples, model) = (args.out.join("samples"), args.out.join("model"));
    Paths::new()
        .reads("--model", &args.model)
        .reads_folder("--triplets", &args.triplets)
        .writes_folder("--out", &args.out)
        .check()?;
    if !args.run.dry_run {
        checkpoint::check_start(&model, "sft", args.resume)?;
        let triplets = read_triplets(&args.triplets).context("while reading the triplets")?;
        let (tokenizer, template) = tokenizer_at(&checkpoint::resolve(&args.model)?)?;
        let summary = write_lessons(
            &triplets,
            (&tokenizer, &template),
            config.data.max_tokens,
            &samples,
        )?;
        summary_to(&args.out.join("samples.json"), &summary)?;
        eprintln!(
            "{} samples of {} triplets, {} tokens",
            summary.samples, summary.triplets, summary.tokens
        );
    }
    sft::run(&SftArgs {
        run: args.run.clone(),
        model: Some(args.model.clone()),
        tokenizer: None,
        data: Vec::new(),
        chats: ChatArgs::default(),
        preset: None,
        machine: None,
        samples: Some(samples),
        validate: None,
        out: model,
        resume: args.resume,
    })
}

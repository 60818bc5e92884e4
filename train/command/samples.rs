//! `train data samples`: tasks to SFT samples.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{RunArgs, tokenizer_at};
use crate::interrupt::Interrupt;
use crate::journal::Place;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::tasks::{self, SampleSummary, Sampling};

/// `train data samples`
#[derive(Args, Clone, Debug)]
pub struct SamplesArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The tasks: `tasks.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// Model folder or `tokenizer.json`.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: PathBuf,
    /// Tasks that must not leak into the samples.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Folder for the Parquet shards.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// `train data samples`
///
/// # Errors
///
/// As [`Sampling::run`].
pub fn run(args: &SamplesArgs) -> Result<Option<SampleSummary>> {
    let config = args.run.config()?;
    let against = args.against.as_deref();
    if !args.run.dry_run {
        Paths::new()
            .reads("--tasks", &args.tasks)
            .reads("--tokenizer", &args.tokenizer)
            .may_read("--against", against)
            .writes_folder("--out", &args.out)
            .check()?;
        Place::in_folder(&args.out).check(tasks::SAMPLES, args.resume)?;
    }
    let read = [Some(&args.tasks), Some(&args.tokenizer), args.against.as_ref()];
    let plan = Plan::new(tasks::SAMPLES, &config).with_data(read.into_iter().flatten().map(PathBuf::as_path));
    if plan.show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let interrupt = Interrupt::listen()?;
    let (tokenizer, template) = tokenizer_at(&args.tokenizer)?;
    let sampling = Sampling {
        tasks: &args.tasks,
        against,
        words: (&tokenizer, &template),
        data: &config.data,
        out: &args.out,
        resume: args.resume,
        interrupt,
    };
    let summary = sampling.run()?;
    plan.save(&args.out)?;
    eprintln!("{} samples, {} tokens", summary.samples, summary.tokens);
    Ok(Some(summary))
}

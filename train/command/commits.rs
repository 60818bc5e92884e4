//! `train data commits`: text like that of bug-fixing commits, for a base model.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use data::source::commits::CommitOptions;

use super::{RunArgs, tokenizer_at};
use crate::plan::Plan;
use crate::run::paths::Paths;
use crate::tasks::{self, SampleSummary};

/// `train data commits`
#[derive(Args, Clone, Debug)]
pub struct CommitsArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// Folder of Python sources. Can be repeated.
    #[arg(long, value_name = "DIR", required = true)]
    pub source: Vec<PathBuf>,
    /// Model folder or `tokenizer.json`.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: PathBuf,
    /// Most samples.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub samples: usize,
    /// Most samples of one function.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub per_function: usize,
    /// Most wrong lines in one sample; each sample has 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub bugs_per_text: usize,
    /// Folder for the Parquet shards.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `train data commits`
///
/// # Errors
///
/// When a source cannot be read, or the samples cannot be written.
pub fn run(args: &CommitsArgs) -> Result<Option<SampleSummary>> {
    let config = args.run.config()?;
    if !args.run.dry_run {
        let paths = args.source.iter().fold(Paths::new(), |paths, source| {
            paths.reads_folder("--source", source)
        });
        paths
            .reads("--tokenizer", &args.tokenizer)
            .writes_folder("--out", &args.out)
            .check()?;
    }
    let plan = Plan::new("data commits", &config).with_data([args.tokenizer.as_path()]);
    if plan.show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let (tokenizer, _) = tokenizer_at(&args.tokenizer)?;
    let options = CommitOptions {
        seed: config.seed,
        max_lines: config.data.max_function_lines,
        per_function: args.per_function,
        bugs_per_text: args.bugs_per_text,
        kinds: config.data.kinds.clone(),
    };
    let max_tokens = config.data.max_tokens;
    let summary = tasks::commit_samples(
        &args.source,
        &options,
        args.samples,
        &tokenizer,
        max_tokens,
        &args.out,
    )?;
    plan.save(&args.out)?;
    eprintln!("{} samples, {} tokens", summary.samples, summary.tokens);
    Ok(Some(summary))
}

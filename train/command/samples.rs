//! `train data samples`: tasks, or conversations of anybody, to SFT samples.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use data::Tokenizer;
use data::source::chats::find_files;

use super::{ChatArgs, RunArgs, config_at, tokenizer_at};
use crate::chats::Chats;
use crate::config::Config;
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::journal::Place;
use crate::run::paths::Paths;
use crate::tasks::{self, SampleSummary, Sampling};

/// `train data samples`
#[derive(Args, Clone, Debug)]
pub struct SamplesArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// Conversations instead of tasks: JSON lines, JSON or Parquet; files, folders or patterns. `data.chats` of the config
    /// says how they are read.
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["tasks", "against", "resume"])]
    pub from: Vec<PathBuf>,
    /// How `--from` is read.
    #[command(flatten)]
    pub chats: ChatArgs,
    /// The tasks: `tasks.jsonl`.
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    pub tasks: Option<PathBuf>,
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
    let Some(tasks) = &args.tasks else {
        return from_chats(args, &config).map(|()| None);
    };
    let against = args.against.as_deref();
    if !args.run.dry_run {
        Paths::new()
            .reads("--tasks", tasks)
            .reads("--tokenizer", &args.tokenizer)
            .may_read("--against", against)
            .writes_folder("--out", &args.out)
            .check()?;
        Place::in_folder(&args.out).check(tasks::SAMPLES, args.resume)?;
    }
    let read = [Some(tasks), Some(&args.tokenizer), args.against.as_ref()];
    let plan = Plan::new(tasks::SAMPLES, &config)
        .with_data(read.into_iter().flatten().map(PathBuf::as_path));
    if plan.show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let interrupt = Interrupt::listen()?;
    let (tokenizer, template) = tokenizer_at(&args.tokenizer)?;
    let sampling = Sampling {
        tasks,
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

/// Conversations to samples.
fn from_chats(args: &SamplesArgs, config: &Config) -> Result<()> {
    let files = find_files(&args.from)?;
    let paths = Paths::new()
        .reads("--tokenizer", &args.tokenizer)
        .writes_folder("--out", &args.out);
    files
        .iter()
        .fold(paths, |paths, file| paths.reads_file("--from", file))
        .check()?;
    let read = files.iter().chain([&args.tokenizer]).map(PathBuf::as_path);
    let plan = Plan::new(tasks::SAMPLES, config).with_data(read);
    if plan.announce(args.run.dry_run, &args.out)? {
        return Ok(());
    }
    let interrupt = Interrupt::listen()?;
    let (tokenizer, folder) = match args.tokenizer.is_dir() {
        true => (
            Tokenizer::from_folder(&args.tokenizer)?,
            args.tokenizer.clone(),
        ),
        false => {
            let folder = args.tokenizer.parent().map(std::path::Path::to_path_buf);
            (
                Tokenizer::from_file(&args.tokenizer)?,
                folder.unwrap_or_default(),
            )
        }
    };
    let (template, settings) = (
        args.chats.template(&folder, &tokenizer)?,
        args.chats.settings(config),
    );
    let (words, context) = (
        (&tokenizer, &template),
        config_at(&args.tokenizer)?.map(|config| config.max_position_embeddings),
    );
    Chats {
        files: &files,
        words,
        context,
        settings: &settings,
        out: &args.out,
        interrupt,
    }
    .run()?;
    plan.save(&args.out)
}

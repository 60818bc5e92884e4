//! `train data …`: packages to tasks, tasks and sources to samples.

use anyhow::{Result, bail};
use data::Tokenizer;
use data::source::commits::CommitOptions;
use data::source::jsonl::read_tasks;

use super::{cache_folder, config_of, summary_to, tokenizer_at};
use crate::cli::{CommitsArgs, DataCommand, PlantArgs, SamplesArgs, TokenizerArgs};
use crate::config::Config;
use crate::plan::Plan;
use crate::tasks::{self, PlantSummary, SampleSummary, Workshop};

/// `train data …`
///
/// # Errors
///
/// As the stage.
pub fn data(command: DataCommand) -> Result<()> {
    match command {
        DataCommand::Plant(args) => plant(&args).map(|_| ()),
        DataCommand::Import(args) => super::import(&args).map(|_| ()),
        DataCommand::Samples(args) => samples(&args).map(|_| ()),
        DataCommand::Commits(args) => commits(&args).map(|_| ()),
        DataCommand::Tokenizer(args) => tokenizer(&args),
        DataCommand::Admit(args) => super::admit(&args).map(|_| ()),
        DataCommand::Audit(args) => super::audit(&args),
    }
}

/// `train data plant`
///
/// # Errors
///
/// As [`tasks::plant_packages`].
pub fn plant(args: &PlantArgs) -> Result<Option<PlantSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("data plant", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let workshop = Workshop::open(&config, &cache_folder()?)?;
    plant_in(&workshop, args, &config).map(Some)
}

/// As [`plant`], in a workshop that stands already.
///
/// # Errors
///
/// As [`tasks::plant_packages`].
pub fn plant_in(workshop: &Workshop, args: &PlantArgs, config: &Config) -> Result<PlantSummary> {
    let most = args.max_tasks.unwrap_or(config.data.train_tasks_per_package);
    let summary = tasks::plant_packages(workshop, &args.package, most, config, &args.out)?;
    let set = read_tasks(&args.out.join("tasks.jsonl"))?;
    tasks::split(&set, config.data.sft_share, config.seed)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    Ok(summary)
}

/// `train data samples`
///
/// # Errors
///
/// As [`tasks::samples`].
pub fn samples(args: &SamplesArgs) -> Result<Option<SampleSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("data samples", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let (tokenizer, template) = tokenizer_at(&args.tokenizer)?;
    let against = args.against.as_deref();
    let summary = tasks::samples(&args.tasks, against, (&tokenizer, &template), &config.data, &args.out)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    eprintln!("{} samples, {} tokens", summary.samples, summary.tokens);
    Ok(Some(summary))
}

fn commits(args: &CommitsArgs) -> Result<Option<SampleSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("data commits", &config).show(args.run.dry_run, &args.out)? {
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
    let summary = tasks::commit_samples(&args.source, &options, args.samples, &tokenizer, max_tokens, &args.out)?;
    eprintln!("{} samples, {} tokens", summary.samples, summary.tokens);
    Ok(Some(summary))
}

fn tokenizer(args: &TokenizerArgs) -> Result<()> {
    let mut texts = Vec::new();
    for source in &args.source {
        for file in data::source::functions::python_files(source)? {
            texts.push(numbered(&data::file::read_text(&file)?));
        }
    }
    if texts.is_empty() {
        bail!("there is no Python source below the folders named with `--source`");
    }
    let tokenizer = Tokenizer::train(texts.iter().map(String::as_str), args.vocab, &data::tokenizer::SPECIALS)?;
    data::file::write_whole(&args.out, &tokenizer.save_bytes()?)?;
    eprintln!("{} ids from {} files", tokenizer.vocab_size(), texts.len());
    Ok(())
}

/// A source as prompts show it, `N|line`: blanks behind the bar must become pieces of their own.
fn numbered(source: &str) -> String {
    source.lines().enumerate().map(|(at, line)| format!("{}|{line}\n", at % 40 + 1)).collect()
}

//! `train data …`: packages to tasks, tasks and sources to samples.

use anyhow::{Result, bail};
use data::source::commits::CommitOptions;
use data::source::jsonl::read_tasks;
use data::{Sample, Tokenizer};

use super::{cache_folder, config_of, summary_to, tokenizer_at};
use crate::cli::{AuditArgs, CommitsArgs, DataCommand, PlantArgs, SamplesArgs, TokenizerArgs};
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
        DataCommand::Samples(args) => samples(&args).map(|_| ()),
        DataCommand::Commits(args) => commits(&args).map(|_| ()),
        DataCommand::Tokenizer(args) => tokenizer(&args),
        DataCommand::Admit(args) => super::admit(&args).map(|_| ()),
        DataCommand::Audit(args) => audit(&args),
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
    let workshop = Workshop::open(&config, &cache_folder())?;
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
    let tokenizer = tokenizer_at(&args.tokenizer)?;
    let summary = tasks::samples(&args.tasks, args.against.as_deref(), &tokenizer, &config.data, &args.out)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    eprintln!("{} samples, {} tokens", summary.samples, summary.tokens);
    Ok(Some(summary))
}

fn commits(args: &CommitsArgs) -> Result<Option<SampleSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("data commits", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let tokenizer = tokenizer_at(&args.tokenizer)?;
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

/// Prints samples with their trained tokens in brackets, and refuses masks that cannot be right.
fn audit(args: &AuditArgs) -> Result<()> {
    let tokenizer = tokenizer_at(&args.tokenizer)?;
    let samples = data::store::read_samples(&args.samples)?;
    for sample in samples.iter().take(args.show) {
        println!("{}", marked(&tokenizer, sample));
    }
    let all = samples.iter().filter(|sample| sample.mask.iter().all(|trained| *trained)).count();
    let end = tokenizer.special("<|im_end|>");
    let ended = samples.iter().filter(|sample| {
        let mut trained = sample.tokens.iter().zip(&sample.mask).filter(|(_, mask)| **mask);
        trained.any(|(token, _)| Some(*token) == end)
    });
    let (count, ended) = (samples.len(), ended.count());
    if all == count {
        bail!("every token of every sample is trained\nhint: the prompt must not be; build the samples again");
    }
    if ended == 0 {
        bail!("the end-of-turn token is never trained, so the model would never stop\nhint: check the chat template");
    }
    println!("{count} samples, {ended} end with a trained end of turn, {all} train every token");
    Ok(())
}

/// The text of a sample; what is trained stands between `⟦` and `⟧`, in green on a terminal.
fn marked(tokenizer: &Tokenizer, sample: &Sample) -> String {
    let color = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let (open, close) = if color { ("\u{1b}[32m⟦", "⟧\u{1b}[0m") } else { ("⟦", "⟧") };
    let mut text = format!("--- {}\n", sample.origin);
    let mut from = 0;
    for to in 1..=sample.tokens.len() {
        if to == sample.tokens.len() || sample.mask[to] != sample.mask[from] {
            let part = tokenizer.decode(&sample.tokens[from..to]);
            if sample.mask[from] {
                text.push_str(&format!("{open}{part}{close}"));
            } else {
                text.push_str(&part);
            }
            from = to;
        }
    }
    text
}

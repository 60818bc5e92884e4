//! `train data …`: packages to tasks, tasks and sources to samples.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use data::Tokenizer;
use data::source::commits::CommitOptions;

use super::{cache_folder, config_of, tokenizer_at};
use crate::cli::{CommitsArgs, DataCommand, PlantArgs, SamplesArgs, TokenizerArgs};
use crate::config::Config;
use crate::interrupt::Interrupt;
use crate::journal::Place;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::tasks::{self, PlantSummary, Planting, SampleSummary, Sampling, TestEnv, check_packages};

/// `train data …`
///
/// # Errors
///
/// As the stage.
pub fn data(command: DataCommand) -> Result<()> {
    match command {
        DataCommand::Plant(args) => plant(&args).map(|_| ()),
        DataCommand::Import(args) => super::import_whole(&args),
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
/// As [`Planting::run`]; and when a package was passed over, though the others are kept.
pub fn plant(args: &PlantArgs) -> Result<Option<PlantSummary>> {
    let config = config_of(&args.run)?;
    if !args.run.dry_run {
        Paths::new().writes_folder("--out", &args.out).check()?;
        check_packages(&args.package)?;
        Place::in_folder(&args.out).check(tasks::PLANT, args.resume)?;
    }
    let folders = args.package.iter().map(Path::new).filter(|package| package.is_dir());
    let plan = Plan::new(tasks::PLANT, &config).with_data(folders);
    if plan.show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    Interrupt::listen()?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    let summary = plant_in(&test_env, args, &config)?;
    plan.save(&args.out)?;
    summary.partial().map_or(Ok(Some(summary)), |partial| Err(partial.into()))
}

/// As [`plant`], in a test_env that stands already. The summary names packages that were passed over.
///
/// # Errors
///
/// As [`Planting::run`].
pub fn plant_in(test_env: &TestEnv, args: &PlantArgs, config: &Config) -> Result<PlantSummary> {
    let planting = Planting {
        test_env,
        packages: &args.package,
        max_tasks: args.max_tasks.unwrap_or(config.data.train_tasks_per_package),
        config,
        out: &args.out,
        resume: args.resume,
        interrupt: Interrupt::listen()?,
    };
    planting.run()
}

/// `train data samples`
///
/// # Errors
///
/// As [`Sampling::run`].
pub fn samples(args: &SamplesArgs) -> Result<Option<SampleSummary>> {
    let config = config_of(&args.run)?;
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

fn commits(args: &CommitsArgs) -> Result<Option<SampleSummary>> {
    let config = config_of(&args.run)?;
    if !args.run.dry_run {
        let paths = args.source.iter().fold(Paths::new(), |paths, source| paths.reads_folder("--source", source));
        paths.reads("--tokenizer", &args.tokenizer).writes_folder("--out", &args.out).check()?;
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
    let summary = tasks::commit_samples(&args.source, &options, args.samples, &tokenizer, max_tokens, &args.out)?;
    plan.save(&args.out)?;
    eprintln!("{} samples, {} tokens", summary.samples, summary.tokens);
    Ok(Some(summary))
}

fn tokenizer(args: &TokenizerArgs) -> Result<()> {
    let paths = args.source.iter().fold(Paths::new(), |paths, source| paths.reads("--source", source));
    paths.writes_file("--out", &args.out).check()?;
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

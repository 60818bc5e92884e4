//! `train data triplets`: tasks to fail → refine → pass.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use data::ngram::Ngrams;
use data::source::jsonl::TaskSet;

use super::minimize::OWN;
use super::{RunArgs, cache_folder};
use crate::grade::tasks_of;
use crate::minimize::Counted;
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::journal::Place;
use crate::run::paths::Paths;
use crate::settings::Settings;
use crate::tasks::TestEnv;
use crate::triplets::{TRIPLETS, TripletSummary, Tripling};

/// `train data triplets`
#[derive(Args, Clone, Debug)]
pub struct TripletsArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The tasks, as `train grade` takes them. Can be repeated.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub tasks: Vec<PathBuf>,
    /// Tasks of evaluation sets: their repositories, trees and functions must not occur. Can be repeated.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub against: Vec<PathBuf>,
    /// Rows of evaluation sets, JSON lines of any form: a triplet that shares thirteen words in a row with one of their
    /// texts is dropped. Can be repeated.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub against_rows: Vec<PathBuf>,
    /// Triplets of one task at most.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub per_task: usize,
    /// A package that is not trained on; can be repeated [default: a fifth of them].
    #[arg(long, value_name = "NAME")]
    pub hold_package: Vec<String>,
    /// A kind of bug that is not trained on; can be repeated [default: a fifth of them].
    #[arg(long, value_name = "KIND")]
    pub hold_kind: Vec<String>,
    /// Run so many rows again at the end, each part of their smallest patch left out in turn.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub recheck: usize,
    /// Folder for the Parquet shards and the data card.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// `train data triplets`
///
/// # Errors
///
/// As [`Tripling::run`].
pub fn run(args: &TripletsArgs) -> Result<Option<TripletSummary>> {
    let config = args.run.config_or(OWN)?;
    if !args.run.dry_run {
        let paths = args
            .tasks
            .iter()
            .fold(Paths::new(), |paths, file| paths.reads("--tasks", file));
        let paths = args
            .against
            .iter()
            .fold(paths, |paths, file| paths.reads("--against", file));
        let paths = args
            .against_rows
            .iter()
            .fold(paths, |paths, file| paths.reads("--against-rows", file));
        paths.writes_folder("--out", &args.out).check()?;
        Place::in_folder(&args.out).check(TRIPLETS, args.resume)?;
    }
    let read = args.tasks.iter().chain(&args.against);
    let read = read.chain(&args.against_rows).map(PathBuf::as_path);
    let plan = Plan::new(TRIPLETS, &config).with_data(read);
    if plan.show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let interrupt = Interrupt::listen()?;
    let sets = read_all(&args.tasks, args, "tasks")?;
    let against = read_all(&args.against, args, "against")?;
    let ngrams = read_ngrams(&args.against_rows)?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    let counted = Arc::new(Counted::new(test_env.sandbox.clone()));
    let grader = test_env.grader_in(counted.clone());
    let settings = Settings::default()
        .with("sandbox", &config.sandbox)
        .with("environment", &test_env.environment.python)
        .with("environment.jest", &test_env.environment.jest);
    let tripling = Tripling {
        sets: &sets,
        against: &against,
        ngrams: &ngrams,
        grader: &grader,
        counted: &counted,
        workers: config.data.workers,
        seed: config.seed,
        per_task: args.per_task,
        held_out_packages: &args.hold_package,
        held_out_kinds: &args.hold_kind,
        recheck: args.recheck,
        out: &args.out,
        settings,
        resume: args.resume,
        interrupt,
    };
    let Some(summary) = tripling.run()? else {
        return Ok(None);
    };
    plan.save(&args.out)?;
    tell(&summary, config.data.workers);
    println!(
        "{}",
        serde_json::to_string(&summary).context("a summary is JSON")?
    );
    Ok(Some(summary))
}

/// The n-grams of evaluation sets. A file without rows is a slip.
fn read_ngrams(files: &[PathBuf]) -> Result<Ngrams> {
    let mut ngrams = Ngrams::default();
    for file in files {
        let rows = ngrams.take_rows(file).with_context(|| {
            let hint = data::Hint("it takes JSON lines, one row a line");
            format!("while reading `--against-rows`{hint}")
        })?;
        if rows == 0 {
            bail!("`{}` has no rows", file.display());
        }
    }
    Ok(ngrams)
}

/// Every file as a set; rows that bring their repository along become trees below `--out`.
fn read_all(files: &[PathBuf], args: &TripletsArgs, name: &str) -> Result<Vec<TaskSet>> {
    let read = |(at, file): (usize, &PathBuf)| {
        Ok(tasks_of(file, &args.out.join(format!("{name}-{at}")))?.set)
    };
    files.iter().enumerate().map(read).collect()
}

fn tell(summary: &TripletSummary, workers: usize) {
    let TripletSummary {
        triplets,
        seconds,
        triplets_per_hour,
        worker_seconds_per_triplet,
        card,
        ..
    } = summary;
    eprintln!(
        "{triplets} triplets, {:.2} calls each; this process: {triplets_per_hour:.0} an hour in {seconds:.1} s on {workers} workers, {worker_seconds_per_triplet:.2} s of a worker each, so 50,000 take {:.1} worker-hours",
        card.calls_per_triplet,
        worker_seconds_per_triplet * 50_000.0 / 3600.0
    );
    if let Some(recheck) = &summary.recheck {
        eprintln!(
            "second look: {} of {} rows are 1-minimal, {} wrong trims, {} long patches that fail, {} failing ones that pass",
            recheck.one_minimal,
            recheck.rows,
            recheck.wrong_trims,
            recheck.long_fails,
            recheck.failing_passes
        );
    }
}

//! `train data admit`: keeps the tasks that their gold patch repairs and nothing else does.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::{RunArgs, cache_folder, summary_to};
use crate::environment::Environment;
use crate::grade::{ADMIT, AdmitSummary, Gate, tasks_of};
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::journal::Place;
use crate::run::paths::Paths;
use crate::settings::Settings;
use crate::tasks::TestEnv;

/// `train data admit`
#[derive(Args, Clone, Debug)]
pub struct AdmitArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The tasks: `tasks.jsonl`, or self-contained rows as JSONL or Parquet.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// Runs on the gold patch, and as many without one.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub runs: usize,
    /// Folder for `admissions.jsonl`; the tasks that are kept lie as `admitted.jsonl` beside their trees.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// `train data admit`
///
/// # Errors
///
/// As [`Gate::run`].
pub fn run(args: &AdmitArgs) -> Result<Option<AdmitSummary>> {
    let config = args.run.config()?;
    if !args.run.dry_run {
        Paths::new()
            .reads("--tasks", &args.tasks)
            .writes_folder("--out", &args.out)
            .check()?;
        Place::in_folder(&args.out).check(ADMIT, args.resume)?;
    }
    if Plan::new(ADMIT, &config)
        .with_data([args.tasks.as_path()])
        .show(args.run.dry_run, &args.out)?
    {
        return Ok(None);
    }
    let interrupt = Interrupt::listen()?;
    let given = tasks_of(&args.tasks, &args.out.join("tasks"))?;
    let test_env = TestEnv::open_for_others(&config, &cache_folder()?)?;
    let Environment { python, jest } = &test_env.environment;
    let gate = Gate {
        given: &given,
        grader: &test_env.grader(),
        workers: config.data.workers,
        runs: args.runs,
        out: &args.out,
        settings: Settings::default()
            .with("sandbox", &config.sandbox)
            .with("environment", python)
            .with("environment.jest", jest),
        resume: args.resume,
        interrupt,
    };
    let path = args.out.join("summary.json");
    let summary = match gate.run()? {
        Some(summary) => {
            summary_to(&path, &summary)?;
            summary
        }
        None => serde_json::from_str(&data::file::read_text(&path)?)?,
    };
    println!(
        "{}",
        serde_json::to_string(&summary).context("a summary is JSON")?
    );
    Ok(Some(summary))
}

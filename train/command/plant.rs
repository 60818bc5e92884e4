//! `train data plant`: packages to tasks.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{RunArgs, cache_folder};
use crate::config::Config;
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::journal::Place;
use crate::run::paths::Paths;
use crate::tasks::{self, PlantSummary, Planting, TestEnv, check_packages};

/// `train data plant`
#[derive(Args, Clone, Debug)]
pub struct PlantArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// A folder or a pinned requirement, e.g. `toolz==1.0.0`. Can be repeated.
    #[arg(long, value_name = "PACKAGE", required = true)]
    pub package: Vec<String>,
    /// Most tasks per package [default: data.train_tasks_per_package].
    #[arg(long, value_name = "N")]
    pub max_tasks: Option<usize>,
    /// Folder for `tasks.jsonl` and the clean trees.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// `train data plant`
///
/// # Errors
///
/// As [`Planting::run`]; and when a package was passed over, though the others are kept.
pub fn run(args: &PlantArgs) -> Result<Option<PlantSummary>> {
    let config = args.run.config()?;
    if !args.run.dry_run {
        Paths::new().writes_folder("--out", &args.out).check()?;
        check_packages(&args.package)?;
        Place::in_folder(&args.out).check(tasks::PLANT, args.resume)?;
    }
    let folders = args
        .package
        .iter()
        .map(Path::new)
        .filter(|package| package.is_dir());
    let plan = Plan::new(tasks::PLANT, &config).with_data(folders);
    if plan.show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    Interrupt::listen()?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    let summary = run_in(&test_env, args, &config)?;
    plan.save(&args.out)?;
    summary
        .partial()
        .map_or(Ok(Some(summary)), |partial| Err(partial.into()))
}

/// As [`run`], in a test_env that stands already. The summary names packages that were passed over.
///
/// # Errors
///
/// As [`Planting::run`].
pub fn run_in(test_env: &TestEnv, args: &PlantArgs, config: &Config) -> Result<PlantSummary> {
    let planting = Planting {
        test_env,
        packages: &args.package,
        max_tasks: args
            .max_tasks
            .unwrap_or(config.data.train_tasks_per_package),
        config,
        out: &args.out,
        resume: args.resume,
        interrupt: Interrupt::listen()?,
    };
    planting.run()
}

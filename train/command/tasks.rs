//! `train data tasks`: a repository of somebody to tasks.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::{RunArgs, cache_folder};
use crate::plan::Plan;
use crate::repository::{self, Hook};
use crate::run::interrupt::Interrupt;
use crate::run::journal::Place;
use crate::run::paths::Paths;
use crate::tasks::{Mining, MiningSummary, REPOSITORY, TestEnv};

/// `train data tasks`
#[derive(Args, Clone, Debug)]
pub struct TasksArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The repository: a folder, which is only read, or an address that `git` fetches.
    #[arg(long, value_name = "PATH")]
    pub repo: PathBuf,
    /// A task of a test that fails now; nobody knows its repair. Can be repeated. Without it bugs are planted.
    #[arg(long, value_name = "ID", conflicts_with = "from_git")]
    pub failing_test: Vec<String>,
    /// Tasks of commits that change sources and tests together.
    #[arg(long)]
    pub from_git: bool,
    /// Of those alone that are younger, e.g. `2025-01-01` or `2.years`.
    #[arg(long, value_name = "DATE", requires = "from_git")]
    pub since: Option<String>,
    /// Most tasks [default: data.train_tasks_per_package].
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Who runs the tests [default: jest where there is a `package.json` and no Python, else pytest].
    #[arg(long, value_name = "NAME")]
    pub hook: Option<Hook>,
    /// A virtual environment whose packages the tests need [default: `.venv` or `venv` in the repository; else what it
    /// declares is fetched as wheels].
    #[arg(long, value_name = "DIR")]
    pub venv: Option<PathBuf>,
    /// A folder of wheels that is taken instead of the package index.
    #[arg(long, value_name = "DIR")]
    pub wheels: Option<PathBuf>,
    /// Seconds that one run of the whole suite may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout_suite: u64,
    /// Folder for `tasks.jsonl` and the trees.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// `train data tasks`
///
/// # Errors
///
/// As [`Mining::run`].
pub fn run(args: &TasksArgs) -> Result<Option<MiningSummary>> {
    let config = args.run.config()?;
    if !args.run.dry_run {
        check(args)?;
    }
    let folder = Some(args.repo.as_path()).filter(|repo| !repository::is_address(repo));
    let plan = Plan::new(REPOSITORY, &config).with_data(folder);
    if plan.show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let interrupt = Interrupt::listen()?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    let mining = Mining {
        test_env: &test_env,
        repo: &args.repo,
        hook: args.hook,
        venv: args.venv.as_deref(),
        wheels: args.wheels.as_deref(),
        failing_tests: &args.failing_test,
        from_git: args.from_git.then_some(args.since.as_deref()),
        limit: args.limit.unwrap_or(config.data.train_tasks_per_package),
        timeout_suite_s: args.timeout_suite,
        config: &config,
        out: &args.out,
        resume: args.resume,
        interrupt,
    };
    let summary = mining.run()?;
    plan.save(&args.out)?;
    eprintln!(
        "{} tasks are in `{}`, after {:.1} s",
        summary.tasks,
        args.out.display(),
        summary.seconds
    );
    Ok(Some(summary))
}

/// What can be refused before any work.
fn check(args: &TasksArgs) -> Result<()> {
    let paths = Paths::new()
        .may_read("--venv", args.venv.as_deref())
        .may_read("--wheels", args.wheels.as_deref());
    let paths = match repository::is_address(&args.repo) {
        true => paths,
        false => paths.reads_folder("--repo", &args.repo),
    };
    paths.writes_folder("--out", &args.out).check()?;
    if let Ok(repo) = args.repo.canonicalize()
        && std::path::absolute(&args.out)?.starts_with(&repo)
    {
        bail!(
            "--out: `{}` lies in the repository, which is only read{}",
            args.out.display(),
            data::Hint("choose a folder elsewhere")
        );
    }
    Place::in_folder(&args.out).check(REPOSITORY, args.resume)
}

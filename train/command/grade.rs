//! `train grade`: predictions, judged by the tests of their tasks.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use rollout::grade::Telling;
use rollout::grade::compat::Compat;

use super::attack::AttackArgs;
use super::{RunArgs, WatchArgs, cache_folder, summary_to};
use crate::checkpoint::lock;
use crate::grade::official::Official;
use crate::grade::{GradeSummary, Grading, predictions_of, refuse_earlier, tasks_of};
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::paths::Paths;
use crate::run::watched::Watched;
use crate::tasks::TestEnv;

/// `train grade`
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct GradeArgs {
    /// Another thing to do than to grade predictions.
    #[command(subcommand)]
    pub command: Option<GradeCommand>,
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The tasks: `tasks.jsonl`, or self-contained rows as JSONL or Parquet.
    #[arg(long, value_name = "FILE", required = true)]
    tasks: Option<PathBuf>,
    /// The predictions, as SWE-bench takes them; or `gold`, or `empty`.
    #[arg(long, value_name = "FILE", required = true)]
    predictions: Option<PathBuf>,
    /// Folder for `results.jsonl`, `summary.json`, the log of tries and the reports as SWE-bench lays them out.
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// What the reports are filed under.
    #[arg(long, value_name = "NAME", default_value = "grade")]
    pub run_id: String,
    /// Run every test for every prediction, so that its report tells them all; slower, with the same verdicts.
    #[arg(long)]
    pub reports: bool,
    /// Say in each report, beside the verdict, what SWE-bench would read from its text log.
    #[arg(long, value_name = "RULES", value_parser = rules())]
    pub compat: Option<Compat>,
    /// What watches it.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Keep the verdicts that are there already.
    #[arg(long)]
    pub resume: bool,
}

/// What `train grade` can do besides.
#[derive(Subcommand, Clone, Debug)]
pub enum GradeCommand {
    /// Try one patch on one task and say whether it would be rewarded, and what speaks against it.
    Attack(AttackArgs),
}

impl GradeArgs {
    /// Without a subcommand, clap has asked for it.
    pub fn tasks(&self) -> &Path {
        self.tasks.as_deref().expect("it is required")
    }

    /// As [`GradeArgs::tasks`].
    pub fn predictions(&self) -> &Path {
        self.predictions.as_deref().expect("it is required")
    }

    /// As [`GradeArgs::tasks`].
    pub fn out(&self) -> &Path {
        self.out.as_deref().expect("it is required")
    }
}

/// `train grade`
///
/// # Errors
///
/// When tasks or predictions cannot be read, the sandbox does not start, the results cannot be written, or tests were
/// killed for their memory too often.
pub fn run(args: &GradeArgs) -> Result<Option<GradeSummary>> {
    let config = args.run.config()?;
    if !args.run.dry_run {
        let paths = Paths::new()
            .reads("--tasks", args.tasks())
            .writes_folder("--out", args.out());
        let word = matches!(args.predictions().to_str(), Some("gold" | "empty"));
        if word {
            paths
        } else {
            paths.reads_file("--predictions", args.predictions())
        }
        .check()?;
        // Before anything is written: a command that is refused leaves all as it was.
        refuse_earlier(args.out(), args.resume)?;
    }
    let plan = Plan::new("grade", &config).with_data([args.tasks(), args.predictions()]);
    if plan.show(args.run.dry_run, args.out())? {
        return Ok(None);
    }
    let interrupt = Interrupt::listen()?;
    let _lock = lock(args.out())?;
    refuse_earlier(args.out(), args.resume)?;
    let given = tasks_of(args.tasks(), &args.out().join("tasks"))?;
    let predictions = predictions_of(args.predictions(), &given)?;
    let watched = Watched::start(args.out(), "grade", &config, &args.watch)?;
    let test_env = TestEnv::open_for_others(&config, &cache_folder()?)?;
    let telling = if args.reports {
        Telling::All
    } else {
        Telling::Repaired
    };
    let grading = Grading {
        given: &given,
        grader: &test_env
            .paced_grader(watched.watcher.pace())
            .telling(telling),
        environment: &test_env.environment,
        workers: config.data.workers,
        out: args.out(),
        resume: args.resume,
        keep_oom: args.watch.forget_oom,
        watcher: &watched.watcher,
        official: Official::new(args.out(), &args.run_id, args.compat),
        interrupt,
    };
    let summary = grading.run(&predictions)?;
    summary_to(&args.out().join("summary.json"), &summary)?;
    println!(
        "{}",
        serde_json::to_string(&summary).context("a summary is JSON")?
    );
    if let Some(stopped) = watched.watcher.stopped() {
        return Err(stopped.into());
    }
    if summary.left > 0 {
        let judged = summary.submitted - summary.left;
        interrupt.check(|| {
            format!(
                "{judged} of {} predictions have a verdict, kept in `{}`",
                summary.submitted,
                args.out().display()
            )
        })?;
    }
    Ok(Some(summary))
}

/// The names of rules, as `--help` tells them.
fn rules() -> impl TypedValueParser<Value = Compat> {
    const NAMES: [(&str, Compat); 2] = [
        ("swebench-5.0", Compat::Swebench5),
        ("swebench-4", Compat::Swebench4),
    ];
    let found = |word: String| {
        NAMES
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, compat)| *compat)
    };
    PossibleValuesParser::new(NAMES.map(|(name, _)| name))
        .try_map(move |word| found(word).ok_or("no such rules"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::Parser as _;

    use crate::command::{Cli, Command};

    #[test]
    fn the_names_of_rules_are_told_and_taken() {
        let mut cli = Cli::command();
        let help = cli
            .find_subcommand_mut("grade")
            .expect("a command")
            .render_help()
            .to_string();
        assert!(help.contains("swebench-5.0, swebench-4"), "{help}");
        let line = [
            "train",
            "grade",
            "--tasks",
            "t",
            "--predictions",
            "p",
            "--out",
            "o",
            "--compat",
            "swebench-4",
        ];
        let Command::Grade(args) = Cli::parse_from(line).command else {
            panic!("it is `grade`")
        };
        assert_eq!(args.compat, Some(rollout::grade::compat::Compat::Swebench4));
    }
}

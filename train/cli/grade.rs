//! `train grade` and `train data admit`: what can be said to them.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use rollout::grade::compat::Compat;

use super::{RunArgs, WatchArgs};

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

/// `train grade attack`
#[derive(Args, Clone, Debug)]
pub struct AttackArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// A file with the task, as `train grade` takes it.
    #[arg(long, value_name = "FILE")]
    pub task: PathBuf,
    /// Which one, where the file holds several.
    #[arg(long, value_name = "INSTANCE_ID")]
    pub id: Option<String>,
    /// The patch: a unified diff; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub patch: PathBuf,
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

/// The names of rules, as `--help` tells them.
fn rules() -> impl TypedValueParser<Value = Compat> {
    const NAMES: [(&str, Compat); 2] = [("swebench-5.0", Compat::Swebench5), ("swebench-4", Compat::Swebench4)];
    let found = |word: String| NAMES.iter().find(|(name, _)| *name == word).map(|(_, compat)| *compat);
    PossibleValuesParser::new(NAMES.map(|(name, _)| name)).try_map(move |word| found(word).ok_or("no such rules"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    #[test]
    fn the_names_of_rules_are_told_and_taken() {
        let mut cli = Cli::command();
        let help = cli.find_subcommand_mut("grade").expect("a command").render_help().to_string();
        assert!(help.contains("swebench-5.0, swebench-4"), "{help}");
        let line = ["train", "grade", "--tasks", "t", "--predictions", "p", "--out", "o", "--compat", "swebench-4"];
        let Command::Grade(args) = Cli::parse_from(line).command else { panic!("it is `grade`") };
        assert_eq!(args.compat, Some(rollout::grade::compat::Compat::Swebench4));
    }
}

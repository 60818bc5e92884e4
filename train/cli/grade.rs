//! `train grade` and `train data admit`: what can be said to them.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use rollout::hook::compat::Compat;

use super::{RunArgs, WatchArgs};

/// `train grade`
#[derive(Args, Clone, Debug)]
pub struct GradeArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The tasks: `tasks.jsonl`, or self-contained rows as JSONL or Parquet.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// The predictions, as SWE-bench takes them; or `gold`, or `empty`.
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// Folder for `results.jsonl`, `summary.json`, the log of tries and the reports as SWE-bench lays them out.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
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
        assert_eq!(args.compat, Some(rollout::hook::compat::Compat::Swebench4));
    }
}

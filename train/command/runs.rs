//! `train runs`: what was run, how far it is, and what came of it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::run::runs::{Run, find};

/// `train runs`
#[derive(Args, Clone, Debug)]
pub struct RunsArgs {
    /// The folder to look in, and below.
    #[arg(value_name = "DIR", default_value = "checkpoints")]
    pub folder: PathBuf,
    /// One JSON object a run instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// `train runs`
///
/// # Errors
///
/// When the folder is missing.
pub fn run(args: &RunsArgs) -> Result<()> {
    if !args.folder.is_dir() {
        bail!(
            "`{}` is no folder{}",
            args.folder.display(),
            data::Hint("name the folder that runs were written to")
        );
    }
    let runs = find(&args.folder);
    if args.json {
        for run in &runs {
            println!("{}", serde_json::to_string(run)?);
        }
        return Ok(());
    }
    if runs.is_empty() {
        eprintln!(
            "no run in `{}`: a run has a `plan.toml`",
            args.folder.display()
        );
        return Ok(());
    }
    print!("{}", table(&args.folder, &runs));
    Ok(())
}

const HEAD: [&str; 7] = [
    "RUN", "STAGE", "STARTED", "STATE", "STEP", "RESULT", "COMMIT",
];

/// The runs below `folder`, one a line, in columns.
fn table(folder: &Path, runs: &[Run]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(runs.iter().map(|run| line(folder, run)));
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let padded = |line: &[String; 7]| {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(padded).collect()
}

fn line(folder: &Path, run: &Run) -> [String; 7] {
    let below = run
        .path
        .strip_prefix(folder)
        .ok()
        .filter(|path| !path.as_os_str().is_empty());
    let step = match (run.step, run.steps) {
        (Some(step), Some(steps)) => format!("{step}/{steps}"),
        (Some(step), None) => step.to_string(),
        _ => String::new(),
    };
    let best = run.best.map_or(String::new(), |(step, value)| {
        format!(" (best {value:.4} at {step})")
    });
    let result = run.result.as_ref().map_or(String::new(), |(name, value)| {
        format!("{name} {value:.4}{best}")
    });
    let commit: String = run.commit.chars().take(8).collect();
    let dirty = if run.commit.ends_with("-dirty") {
        "-dirty"
    } else {
        ""
    };
    [
        below.unwrap_or(&run.path).display().to_string(),
        run.stage.clone(),
        run.started.clone(),
        run.state.name().to_owned(),
        step,
        result,
        format!("{commit}{dirty}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::runs::State;

    #[test]
    fn columns_line_up() {
        let run = |path: &str, step| Run {
            path: path.into(),
            stage: "sft".into(),
            started: "2026-01-02T03:04:05Z".into(),
            commit: "0123456789abcdef-dirty".into(),
            model: None,
            state: State::Stopped,
            step,
            steps: step.map(|_| 100),
            result: step.map(|_| ("eval/loss".to_owned(), 0.5)),
            best: step.map(|_| (7, 0.25)),
        };
        let table = table(
            Path::new("all"),
            &[run("all/short", None), run("all/a/longer", Some(40))],
        );
        let wanted = "\
RUN       STAGE  STARTED               STATE    STEP    RESULT                               COMMIT
short     sft    2026-01-02T03:04:05Z  stopped                                               01234567-dirty
a/longer  sft    2026-01-02T03:04:05Z  stopped  40/100  eval/loss 0.5000 (best 0.2500 at 7)  01234567-dirty
";
        assert_eq!(table, wanted);
    }
}

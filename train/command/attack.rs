//! `train grade attack`: one patch on one task, and what speaks against it.
//!
//! Example: `train grade attack --task tasks.jsonl --id money-1 --patch sly.diff`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use data::Task;
use data::source::prediction::Answer;
use rollout::outcome::Outcome;
use rollout::task_validation::said;
use serde_json::json;

use super::{RunArgs, cache_folder};
use crate::grade::{Given, tasks_of};
use crate::plan::Plan;
use crate::tasks::TestEnv;

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

/// `train grade attack`: prints one line of JSON.
///
/// # Errors
///
/// When task or patch cannot be read, or the sandbox fails.
pub fn run(args: &AttackArgs) -> Result<()> {
    let config = args.run.config()?;
    let scratch = Scratch::new("attack")?;
    if Plan::new("grade attack", &config)
        .with_data([args.task.as_path()])
        .show(args.run.dry_run, &scratch.0)?
    {
        return Ok(());
    }
    let diff = text_of(&args.patch)?;
    let given = tasks_of(&args.task, &scratch.0.join("tasks"))?;
    let task = one_of(&given, args.id.as_deref())?;
    let read = |path: &str| given.set.base_file(task, path).ok().flatten();
    let patch = Answer::Diff(diff).patch(&read);
    let patch = patch
        .map_err(|reason| anyhow::anyhow!("`{}` is no patch: {reason}", args.patch.display()))?;
    let (judged, left_out) = task.judged(&patch);
    if !left_out.is_empty() {
        eprintln!("left as it was: {}", left_out.join(", "));
    }
    let test_env = TestEnv::open_for_others(&config, &cache_folder()?)?;
    let graded = test_env.grader().grade(&given.set.root, task, &judged)?;
    let rewarded = graded.outcome == Outcome::Resolved && graded.suspicion.is_none();
    println!(
        "{}",
        json!({
            "instance_id": task.id, "rewarded": rewarded, "outcome": graded.outcome, "evidence": graded.suspicion,
            "reason": said(&graded), "seconds": graded.wall.as_secs_f64(),
        })
    );
    Ok(())
}

/// A folder that is removed again.
pub(super) struct Scratch(pub std::path::PathBuf);

impl Scratch {
    /// For the command of this name.
    pub fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("train-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

pub(super) fn text_of(path: &Path) -> Result<String> {
    if path != Path::new("-") {
        return Ok(data::file::read_text(path)?);
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("while reading the patch from standard input")?;
    Ok(text)
}

pub(super) fn one_of<'a>(given: &'a Given, id: Option<&str>) -> Result<&'a Task> {
    match (id, given.set.tasks.as_slice()) {
        (Some(id), _) => {
            let none = || {
                format!(
                    "there is no task `{id}` in the file{}",
                    data::Hint("look for a slip in `--id`")
                )
            };
            given.set.find(id).with_context(none)
        }
        (None, [task]) => Ok(task),
        (None, many) => bail!(
            "the file holds {} tasks{}",
            many.len(),
            data::Hint(format_args!("choose one with `--id {}`", many[0].id))
        ),
    }
}

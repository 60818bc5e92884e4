//! `train minimize`: the smallest part of a patch that passes its tests.
//!
//! Example: `train minimize --task tasks.jsonl --id money-1 --patch long.diff > small.diff`.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use data::minimize::{MinimizeError, MinimizeOptions, Minimized, Tests, minimize};
use data::patch::MAX_BYTES;
use data::triplet::size;
use data::{Patch, Task};
use rollout::task_validation::said;

use super::attack::{Scratch, one_of, text_of};
use super::{RunArgs, cache_folder};
use crate::grade::tasks_of;
use crate::minimize::{Counted, Questions};
use crate::plan::Plan;
use crate::tasks::TestEnv;
use crate::terminal::plain;

/// `train minimize`
#[derive(Args, Clone, Debug)]
pub struct MinimizeArgs {
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
    /// Most runs of the tests; then the best so far is printed, and said not to be proven smallest.
    #[arg(long, value_name = "N", default_value_t = MinimizeOptions::default().max_calls)]
    pub max_calls: usize,
    /// Search in the opposite order, too, and say whether that ends with another patch.
    #[arg(long)]
    pub check_order: bool,
}

/// What commands that search for small patches have as their config: a bug that hangs costs seconds, not a minute.
pub(super) const OWN: &str = "[sandbox]\ntimes_clean = 20\n";

/// `train minimize`: prints the smallest patch on standard output, in the form that `git apply` takes.
///
/// # Errors
///
/// When task or patch cannot be read, the patch does not apply, does not pass or is not needed, or the sandbox fails.
pub fn run(args: &MinimizeArgs) -> Result<()> {
    let config = args.run.config_or(OWN)?;
    let scratch = Scratch::new("minimize")?;
    if Plan::new("minimize", &config)
        .with_data([args.task.as_path()])
        .show(args.run.dry_run, &scratch.0)?
    {
        return Ok(());
    }
    let shown = args.patch.display();
    let text = text_of(&args.patch)?;
    let patch = parsed(&text).with_context(|| format!("while reading the patch `{shown}`"))?;
    let given = tasks_of(&args.task, &scratch.0.join("tasks"))?;
    let task = one_of(&given, args.id.as_deref())?;
    let patch = of_sources(task, &patch)?;
    let test_env = TestEnv::open_for_others(&config, &cache_folder()?)?;
    let counted = Arc::new(Counted::new(test_env.sandbox.clone()));
    let grader = test_env.grader_in(counted.clone());
    let mut questions = Questions::new(&grader, &given.set.root, task);
    let read = |path: &str| given.set.base_file(task, path).ok().flatten();
    let options = MinimizeOptions {
        max_calls: args.max_calls,
        check_order: args.check_order,
    };
    let mut judge = |patch: &Patch, tests: Tests| questions.verdict(patch, tests);
    let found = match minimize(&patch, &read, &mut judge, &options) {
        Ok(found) => found,
        Err(MinimizeError::DoesNotPass) => {
            let whole = patch
                .canonical(&read)
                .map_err(|error| anyhow!("the patch does not apply: {error}"))?;
            let graded = questions
                .graded(&whole, Tests::All)
                .context("while asking the tests once more")?;
            bail!(
                "{}: {}{}",
                MinimizeError::DoesNotPass,
                plain(&said(&graded)),
                data::Hint("repair it first; `train grade attack` says what its tests say")
            );
        }
        Err(error) => return Err(refused(error)),
    };
    tell(&found, questions.calls, counted.runs());
    std::io::stdout()
        .write_all(found.patch.text().as_bytes())
        .context("cannot write the patch")?;
    Ok(())
}

/// A patch, or what is wrong with it.
fn parsed(text: &str) -> Result<Patch> {
    if text.len() > MAX_BYTES {
        bail!(
            "it has {} bytes; the limit is {MAX_BYTES}{}",
            text.len(),
            data::Hint("leave out files that are made by a program, such as lock files")
        );
    }
    if text.trim().is_empty() {
        bail!(
            "it is empty{}",
            data::Hint("give a unified diff, as `git diff` prints it")
        );
    }
    let patch = Patch::parse(text).map_err(|error| {
        anyhow!(
            "{error}{}",
            data::Hint("give a unified diff of text files, as `git diff` prints it")
        )
    })?;
    if patch.is_empty() {
        bail!(
            "it holds no change{}",
            data::Hint("give a unified diff, as `git diff` prints it")
        );
    }
    Ok(patch)
}

/// The patch without what judges it.
fn of_sources(task: &Task, patch: &Patch) -> Result<Patch> {
    let (judged, left_out) = task.judged(patch);
    if judged.is_empty() {
        bail!(
            "the patch touches nothing but what judges it: {}{}",
            left_out.join(", "),
            data::Hint(
                "the tests and their settings are those of the clean tree, whatever a patch says"
            )
        );
    }
    if !left_out.is_empty() {
        eprintln!(
            "{}",
            plain(&format!("left as it was: {}", left_out.join(", ")))
        );
    }
    Ok(judged)
}

fn refused(error: MinimizeError) -> anyhow::Error {
    let hint = match &error {
        MinimizeError::Apply(_) => {
            "is it for this task's base tree, and are its line ends those of the files?"
        }
        MinimizeError::Empty => "a patch of modes, or of binary files, is none here",
        MinimizeError::PassesWithout => {
            "look at the task with `train data admit`: its tests should fail without a repair"
        }
        MinimizeError::Budget(_) => "raise `--max-calls`",
        MinimizeError::DoesNotPass | MinimizeError::Judge(_) => {
            "`train doctor` says what this machine lacks"
        }
    };
    anyhow!("{error}{}", data::Hint(hint))
}

fn tell(found: &Minimized, calls: usize, runs: usize) {
    let Minimized {
        patch,
        whole,
        kept,
        cost,
        ..
    } = found;
    let left = kept.iter().filter(|kept| **kept).count();
    eprintln!(
        "{left} of {} parts are left, {} of {} lines",
        kept.len(),
        size(patch),
        size(whole)
    );
    let (seconds, own) = (
        cost.total.as_secs_f64(),
        cost.total.saturating_sub(cost.judging).as_secs_f64(),
    );
    eprintln!(
        "{calls} calls ({runs} runs of the sandbox, {} answers known, {} parts that do not parse), {seconds:.2} s, of which {own:.3} s beside the tests",
        cost.cached, cost.unparsed
    );
    if !found.is_one_minimal {
        eprintln!(
            "warning: the budget is spent: it passes, and may not be the smallest{}",
            data::Hint("raise `--max-calls`")
        );
    }
    match found.is_ambiguous {
        Some(true) => eprintln!(
            "warning: the opposite order ends with another patch: the smallest is ambiguous"
        ),
        Some(false) => eprintln!("the opposite order ends with the same patch"),
        None => {}
    }
}

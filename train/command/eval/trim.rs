//! `train eval --trim`: what a trimmer is worth on held-out triplets.

use anyhow::{Context as _, Result, bail};
use data::draw;
use data::triplet::{Split, Triplet, read_triplets};
use model::weights::Precision;

use super::{EvalArgs, tasks_at};
use crate::checkpoint::{self, Loaded};
use crate::command::minimize::OWN;
use crate::command::{cache_folder, summary_to};
use crate::plan::Plan;
use crate::policy::Generator;
use crate::run::interrupt::Interrupt;
use crate::run::paths::Paths;
use crate::tasks::TestEnv;
use crate::triplets::{TrimSummary, Trimming};

/// `train eval --trim`
///
/// # Errors
///
/// When the triplets cannot be read or none is held out, and as [`Trimming::run`].
pub fn run(args: &EvalArgs) -> Result<Option<TrimSummary>> {
    let config = args.run.config_or(OWN)?;
    let folder = args.trim.as_deref().context("no triplets are named")?;
    if args.resume || args.server.is_some() || args.against.is_some() {
        bail!(
            "`--trim` goes with none of `--resume`, `--server` and `--against`{}",
            data::Hint("leave them out")
        );
    }
    if let Some(confidence) = args.cascade.filter(|sure| !(0.0..=1.0).contains(sure)) {
        bail!("`--cascade` is {confidence}, but must be from 0 to 1");
    }
    Paths::new()
        .reads("--model", &args.model)
        .reads("--tasks", &args.tasks)
        .reads_folder("--trim", folder)
        .writes_file("--out", &args.out)
        .check()?;
    let plan = Plan::new("eval", &config)
        .with_model(&args.model)
        .with_data([args.tasks.as_path(), folder]);
    if plan.announce(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let triplets = read_triplets(folder).context("while reading the triplets")?;
    let held_out = triplets.iter().filter(|(split, _)| **split != Split::Train);
    let some = |rows: usize| {
        draw::permutation(config.seed, rows)
            .into_iter()
            .take(args.trim_rows)
    };
    let rows: Vec<(Split, &Triplet)> = held_out
        .flat_map(|(split, rows)| some(rows.len()).map(move |at| (*split, &rows[at])))
        .collect();
    let set = tasks_at(args)?;
    let interrupt = Interrupt::listen()?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    let grader = test_env.grader_in(test_env.sandbox.clone());
    let device = config.device.open()?;
    let loaded = checkpoint::load_as(&args.model, Precision::Stored, &device)?;
    let Loaded {
        config: shape,
        model,
        tokenizer,
        template,
        ..
    } = loaded;
    let mut policy = Generator::new(
        model,
        &shape,
        &tokenizer,
        &template,
        config.eval.decode_rows,
        &device,
    );
    let trimming = Trimming {
        rows: &rows,
        set: &set,
        grader: &grader,
        workers: config.data.workers,
        seed: config.seed,
        resamples: config.eval.resamples,
        max_new_tokens: config.eval.sampling.max_new_tokens,
        answers: args.trim_answers,
        cascade: args.cascade,
        interrupt,
    };
    let summary = trimming.run(&mut policy, &args.model.display().to_string())?;
    summary_to(&args.out, &summary)?;
    plan.save_beside(&args.out)?;
    println!(
        "{}",
        serde_json::to_string(&summary).context("a summary is JSON")?
    );
    Ok(Some(summary))
}

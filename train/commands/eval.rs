//! `train eval`.

use std::path::Path;

use anyhow::{Context as _, Result};
use data::source::jsonl::read_tasks;

use super::{cache_folder, config_of, fitting, generated_tokens, summary_to};
use crate::checkpoint::{self, Loaded, Outline};
use crate::cli::EvalArgs;
use crate::config::Config;
use crate::evaluate::{EvalSummary, Rollouts, evaluate};
use crate::generate::Generator;
use crate::memory::MemoryPlan;
use crate::model::weights::Precision;
use crate::plan::Plan;
use crate::tasks::Workshop;

/// `train eval`
///
/// # Errors
///
/// As [`evaluate`].
pub fn eval(args: &EvalArgs) -> Result<Option<EvalSummary>> {
    let config = config_of(&args.run)?;
    let folder = args.out.parent().unwrap_or(Path::new("."));
    // What is wrong with the folder is told below.
    let memory = answering_memory(&args.model, &config).ok();
    if Plan::new("eval", &config).with_memory(memory).show(args.run.dry_run, folder)? {
        return Ok(None);
    }
    if let Some(memory) = memory {
        memory.enforce(&config.device.open()?, &[], "lower `eval.decode_rows`, or use a smaller model")?;
    }
    // Read before the work, so that a wrong path costs nothing.
    checkpoint::check(&args.model, &config.device.open()?)?;
    let before = args.against.as_deref().map(evaluation_at).transpose()?;
    let workshop = Workshop::open(&config, &cache_folder())?;
    let summary = eval_in(&workshop, args, &config)?;
    println!(
        "{}",
        serde_json::to_string(&serde_json::json!({
            "pass_at_1": summary.pass_at_1, "n": summary.n, "ci95": summary.ci95,
        }))?
    );
    if let Some(before) = before {
        let gain = summary.evaluation.gain_over(&before.evaluation, 1, config.seed, config.eval.resamples)?;
        println!(
            "{}",
            serde_json::to_string(&serde_json::json!({
                "delta": gain.delta.estimate, "ci95": [gain.delta.low, gain.delta.high],
            }))?
        );
    }
    Ok(Some(summary))
}

/// What answering with the model in `folder` will hold.
fn answering_memory(folder: &Path, config: &Config) -> Result<MemoryPlan> {
    let Outline { config: shape, stored_bytes } = checkpoint::outline(folder, &config.device.open()?)?;
    let tokens = generated_tokens(&shape, config, &config.eval.sampling);
    Ok(MemoryPlan { weights: stored_bytes, ..MemoryPlan::generation(&shape, config.eval.decode_rows, tokens) })
}

/// An evaluation that was written by [`eval`].
fn evaluation_at(path: &Path) -> Result<EvalSummary> {
    const WHAT: &str =
        "while reading what to compare with\nhint: `--against` takes the file that `train eval --out` wrote";
    let text = data::file::read_text(path).context(WHAT)?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is no evaluation", path.display())).context(WHAT)
}

/// As [`eval`], in a workshop that stands already.
///
/// # Errors
///
/// As [`evaluate`].
pub fn eval_in(workshop: &Workshop, args: &EvalArgs, config: &Config) -> Result<EvalSummary> {
    let device = config.device.open()?;
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    }
    let loaded = checkpoint::load_as(&args.model, Precision::Stored, &device)?;
    let set = fitting(read_tasks(&args.tasks)?, &loaded, config, config.eval.sampling.max_new_tokens)?;
    let Loaded { config: shape, model, tokenizer, template, .. } = loaded;
    let rollouts = Rollouts {
        set: &set,
        form: config.data.answer,
        grader: workshop.grader(),
        workers: config.data.workers,
        watcher: None,
    };
    let rows = config.eval.decode_rows;
    let mut policy = Generator::new(model, &shape, &tokenizer, &template, rows, &device);
    let name = args.model.display().to_string();
    let log = args.out.with_extension("attempts.jsonl");
    let summary = evaluate(&rollouts, &mut policy, &config.eval, config.seed, &name, &log)?;
    summary_to(&args.out, &summary)?;
    Ok(summary)
}

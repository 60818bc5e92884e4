//! `train eval`.

use std::path::Path;

use anyhow::{Context as _, Result};
use data::Tokenizer;
use data::source::jsonl::read_tasks;
use data::template::ChatTemplate;
use rollout::policy::Policy;
use rollout::server::{Server, ServerConfig, served};

use super::{cache_folder, config_of, fitting, generated_tokens, summary_to};
use crate::checkpoint::{self, Loaded, Outline};
use crate::cli::EvalArgs;
use crate::config::Config;
use crate::evaluate::{EvalSummary, Rollouts, evaluate};
use crate::generate::Generator;
use crate::memory::MemoryPlan;
use crate::model::ModelConfig;
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
    // What is wrong with the folder is told below. What a server holds is its own affair.
    let memory = if args.server.is_some() { None } else { answering_memory(&args.model, &config).ok() };
    if Plan::new("eval", &config).with_memory(memory).show(args.run.dry_run, folder)? {
        return Ok(None);
    }
    if let Some(memory) = memory {
        memory.enforce(&config.device.open()?, &[], "lower `eval.decode_rows`, or use a smaller model")?;
    }
    // Read before the work, so that a wrong path costs nothing.
    match &args.server {
        Some(url) => {
            checkpoint::words(&args.model)?;
            name_at(url, args)?;
        }
        None => checkpoint::check(&args.model, &config.device.open()?)?,
    }
    let before = args.against.as_deref().map(evaluation_at).transpose()?;
    let workshop = Workshop::open(&config, &cache_folder()?)?;
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
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    }
    let summary = match &args.server {
        None => {
            let device = config.device.open()?;
            let loaded = checkpoint::load_as(&args.model, Precision::Stored, &device)?;
            let Loaded { config: shape, model, tokenizer, template, .. } = loaded;
            let rows = config.eval.decode_rows;
            let mut policy = Generator::new(model, &shape, &tokenizer, &template, rows, &device);
            let asked = Asked { args, config, shape: &shape, tokenizer: &tokenizer, template: &template };
            asked.evaluate(workshop, &mut policy, &args.model.display().to_string())?
        }
        Some(url) => {
            let (shape, tokenizer, template) = checkpoint::words(&args.model)?;
            let name = name_at(url, args)?;
            let settings = ServerConfig { concurrency: config.eval.decode_rows, ..ServerConfig::new(url, &name) };
            let mut policy = Server::new(settings, &tokenizer, &template)?;
            let asked = Asked { args, config, shape: &shape, tokenizer: &tokenizer, template: &template };
            asked.evaluate(workshop, &mut policy, &name)?
        }
    };
    summary_to(&args.out, &summary)?;
    Ok(summary)
}

/// What the server calls the model.
fn name_at(url: &str, args: &EvalArgs) -> Result<String> {
    let first = || served(url)?.into_iter().next().with_context(|| format!("`{url}` names no model"));
    args.served_name.clone().map_or_else(first, Ok)
}

/// What is evaluated, whoever answers.
struct Asked<'a> {
    args: &'a EvalArgs,
    config: &'a Config,
    shape: &'a ModelConfig,
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
}

impl Asked<'_> {
    fn evaluate(&self, workshop: &Workshop, policy: &mut dyn Policy, name: &str) -> Result<EvalSummary> {
        let Asked { args, config, shape, tokenizer, template } = self;
        let (words, context) = ((*tokenizer, *template), shape.max_position_embeddings);
        let set = fitting(read_tasks(&args.tasks)?, words, context, config, config.eval.sampling.max_new_tokens)?;
        let rollouts = Rollouts {
            set: &set,
            form: config.data.answer,
            grader: workshop.grader(),
            workers: config.data.workers,
            watcher: None,
        };
        let log = args.out.with_extension("attempts.jsonl");
        evaluate(&rollouts, policy, &config.eval, config.seed, name, &log)
    }
}

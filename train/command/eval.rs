//! `train eval`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use data::Tokenizer;
use data::source::jsonl::TaskSet;
use data::template::ChatTemplate;
use rollout::policy::Policy;
use rollout::server::{Server, ServerConfig, served};

use super::memory::generated_tokens;
use super::{RunArgs, cache_folder, fitting, model_parser, summary_to};
use crate::checkpoint::{self, Loaded, Outline};
use crate::config::Config;
use crate::grade::tasks_of;
use crate::memory::MemoryPlan;
use crate::plan::Plan;
use crate::policy::Generator;
use crate::run::interrupt::Interrupt;
use crate::run::journal::{Journal, Place};
use crate::run::paths::Paths;
use crate::run::provenance::Provenance;
use crate::settings::Settings;
use crate::tasks::TestEnv;
use crate::trainer::evaluate::{EvalSummary, Evaluating, Rollouts};
use model::ModelConfig;
use model::weights::Precision;

mod agent;
mod trim;

/// `train eval`
#[derive(Args, Clone, Debug)]
pub struct EvalArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model.
    #[arg(long, value_name = "DIR", value_parser = model_parser())]
    pub model: PathBuf,
    /// The tasks: `tasks.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// Asks the model behind this address (vLLM, llama.cpp's server, `train serve`) instead of computing its answers
    /// here, e.g. `http://127.0.0.1:8000/v1`. Only the tokenizer and the chat template of `--model` are read then.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// What the server calls the model [default: the first that it names].
    #[arg(long, value_name = "NAME", requires = "server")]
    pub served_name: Option<String>,
    /// Another evaluation of the same tasks to compare with.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Has the repair agent try every task again and again, as this TOML says, e.g. `configs/agent/line.toml`: the share
    /// that is resolved within so many tries, and what a repair costs.
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    pub agent: Option<PathBuf>,
    /// Scores the model as a trimmer on the held-out triplets in this folder, which `train data triplets` made of
    /// `--tasks`, beside no trim and ddmin.
    #[arg(long, value_name = "DIR")]
    pub trim: Option<PathBuf>,
    /// Triplets of each held-out split at most.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "trim")]
    pub trim_rows: usize,
    /// Answers that are drawn for each triplet, so that trims can be scored by how sure the model is of them: the curve
    /// of wrong trims against size. 0 for its greedy answer alone.
    #[arg(long, value_name = "N", default_value_t = 16, requires = "trim")]
    pub trim_answers: usize,
    /// Has every triplet pass through the agent's refiner, one by one: a trim of which the model is so sure, from 0 to 1,
    /// is judged by the tests, and where it fails, the long patch stands. Tells the seconds of a trim.
    #[arg(long, value_name = "CONFIDENCE", requires = "trim")]
    pub cascade: Option<f64>,
    /// The evaluation as JSON.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// The stage in the words of the command line.
const STAGE: &str = "eval";

/// `train eval`
///
/// # Errors
///
/// As [`Evaluating::run`].
pub fn run(args: &EvalArgs) -> Result<Option<EvalSummary>> {
    if args.trim.is_some() {
        return trim::run(args).map(|_| None);
    }
    let config = args.run.config()?;
    if !args.run.dry_run {
        let paths = Paths::new()
            .reads("--model", &args.model)
            .reads("--tasks", &args.tasks);
        paths
            .may_read("--against", args.against.as_deref())
            .writes_file("--out", &args.out)
            .check()?;
        Place::beside_file(&args.out).check(STAGE, args.resume)?;
    }
    // What is wrong with the folder is told below. What a server holds is its own affair.
    let memory = if args.server.is_some() {
        None
    } else {
        answering_memory(&args.model, &config).ok()
    };
    let plan = Plan::new("eval", &config)
        .with_model(&args.model)
        .with_data([args.tasks.as_path()]);
    let plan = plan.with_memory(memory);
    if plan.announce(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    if let Some(memory) = memory {
        memory.enforce(
            &config.device.open()?,
            &[],
            "lower `eval.decode_rows`, or use a smaller model",
        )?;
    }
    // Read before the work, so that a wrong path costs nothing.
    match &args.server {
        Some(url) => {
            checkpoint::words(&args.model)?;
            name_at(url, args)?;
        }
        None => checkpoint::check(&args.model, &config.device.open()?)?,
    }
    if let Some(agent) = &args.agent {
        return agent::run(agent, args, &config).map(|()| None);
    }
    let before = args.against.as_deref().map(evaluation_at).transpose()?;
    if let Some(before) = &before {
        same_tasks(before, &tasks_at(args)?, args)?;
    }
    Interrupt::listen()?;
    let test_env = TestEnv::open(&config, &cache_folder()?)?;
    let summary = run_in(&test_env, args, &config)?;
    plan.save_beside(&args.out)?;
    println!(
        "{}",
        serde_json::to_string(&serde_json::json!({
            "pass_at_1": summary.pass_at_1, "n": summary.n, "ci95": summary.ci95,
            "ci95_method": summary.ci95_method,
        }))?
    );
    if let Some(before) = before {
        let gain = summary.evaluation.gain_over(
            &before.evaluation,
            1,
            config.seed,
            config.eval.resamples,
        )?;
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
    let Outline {
        config: shape,
        stored_bytes,
    } = checkpoint::outline(folder, &config.device.open()?)?;
    let tokens = generated_tokens(&shape, config, &config.eval.sampling);
    Ok(MemoryPlan {
        weights: stored_bytes,
        ..MemoryPlan::generation(&shape, config.eval.decode_rows, tokens)
    })
}

/// An evaluation that was written by [`eval`].
fn evaluation_at(path: &Path) -> Result<EvalSummary> {
    let what = || {
        format!(
            "while reading what to compare with{}",
            data::Hint("`--against` takes the file that `train eval --out` wrote")
        )
    };
    let text = data::file::read_text(path).with_context(what)?;
    serde_json::from_str(&text)
        .with_context(|| format!("`{}` is no evaluation", path.display()))
        .with_context(what)
}

/// Refuses to compare with an evaluation of other tasks: nothing could be said in the end.
fn same_tasks(before: &EvalSummary, set: &TaskSet, args: &EvalArgs) -> Result<()> {
    let scored = before.evaluation.tasks.iter().map(|task| &task.task_id);
    let judged: HashSet<&String> = scored.chain(&before.evaluation.unscored).collect();
    match judged.iter().find(|id| set.find(id).is_none()) {
        None => Ok(()),
        Some(stranger) => bail!(
            "`{}` evaluates `{stranger}`, which is no task of `{}`, so they cannot be compared{}",
            args.against.as_deref().unwrap_or(&args.out).display(),
            args.tasks.display(),
            data::Hint("`--against` takes an evaluation of the same tasks")
        ),
    }
}

/// As [`run`], in a test_env that stands already.
///
/// # Errors
///
/// As [`Evaluating::run`].
pub fn run_in(test_env: &TestEnv, args: &EvalArgs, config: &Config) -> Result<EvalSummary> {
    let journal = Journal::begin(
        Place::beside_file(&args.out),
        STAGE,
        settings(test_env, args, config)?,
        args.resume,
    )?;
    let Some(mut whole) = journal else {
        let text = data::file::read_text(&args.out)?;
        return serde_json::from_str(&text)
            .with_context(|| format!("`{}` is no evaluation", args.out.display()));
    };
    let journal = &mut whole;
    let provenance = Provenance::now()
        .model(&args.model)
        .data([args.tasks.as_path()]);
    let mut summary = match &args.server {
        None => {
            let device = config.device.open()?;
            let loaded = checkpoint::load_as(&args.model, Precision::Stored, &device)?;
            let Loaded {
                config: shape,
                model,
                tokenizer,
                template,
                ..
            } = loaded;
            let rows = config.eval.decode_rows;
            let mut policy = Generator::new(model, &shape, &tokenizer, &template, rows, &device);
            let asked = Asked {
                args,
                config,
                shape: &shape,
                tokenizer: &tokenizer,
                template: &template,
            };
            asked.evaluate(
                test_env,
                &mut policy,
                &args.model.display().to_string(),
                journal,
            )?
        }
        Some(url) => {
            let (shape, tokenizer, template) = checkpoint::words(&args.model)?;
            let name = name_at(url, args)?;
            let settings = ServerConfig {
                concurrency: config.eval.decode_rows,
                ..ServerConfig::new(url, &name)
            };
            let mut policy = Server::new(settings, &tokenizer, &template)?;
            let asked = Asked {
                args,
                config,
                shape: &shape,
                tokenizer: &tokenizer,
                template: &template,
            };
            asked.evaluate(test_env, &mut policy, &name, journal)?
        }
    };
    summary.provenance = Some(provenance);
    summary_to(&args.out, &summary)?;
    whole.finish()?;
    Ok(summary)
}

/// What an evaluation rests on.
fn settings(test_env: &TestEnv, args: &EvalArgs, config: &Config) -> Result<Settings> {
    let tasks = tasks_at(args)?.tasks;
    let model = match &args.server {
        Some(url) => url.clone(),
        None => checkpoint::fingerprint(&args.model)?,
    };
    let crate::environment::Environment { python, jest } = &test_env.environment;
    Ok(Settings::default()
        .with("seed", config.seed)
        .with("eval", &config.eval)
        .with("data.answer", config.data.answer)
        .with("data.max_tokens", config.data.max_tokens)
        .with("sandbox", &config.sandbox)
        .with("model", model)
        .with("served_name", &args.served_name)
        .with(
            "content of --tasks",
            &blake3::hash(&serde_json::to_vec(&tasks)?).to_hex()[..16],
        )
        .with("environment", python)
        .with("environment.jest", jest))
}

/// The tasks in whatever form they come. Rows that bring their repository along become tasks in a folder beside `--out`.
fn tasks_at(args: &EvalArgs) -> Result<TaskSet> {
    Ok(tasks_of(&args.tasks, &args.out.with_extension("tasks"))?.set)
}

/// What the server calls the model.
fn name_at(url: &str, args: &EvalArgs) -> Result<String> {
    let first = || {
        served(url)?
            .into_iter()
            .next()
            .with_context(|| format!("`{url}` names no model"))
    };
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
    fn evaluate(
        &self,
        test_env: &TestEnv,
        policy: &mut dyn Policy,
        name: &str,
        journal: &mut Journal,
    ) -> Result<EvalSummary> {
        let Asked {
            args,
            config,
            shape,
            tokenizer,
            template,
        } = self;
        let (words, context) = ((*tokenizer, *template), shape.max_position_embeddings);
        let set = fitting(
            tasks_at(args)?,
            words,
            context,
            config,
            config.eval.sampling.max_new_tokens,
        )?;
        let rollouts = Rollouts {
            set: &set,
            form: config.data.answer,
            grader: test_env.grader(),
            workers: config.data.workers,
            watcher: None,
        };
        let log = args.out.with_extension("attempts.jsonl");
        let evaluating = Evaluating {
            rollouts: &rollouts,
            config: &config.eval,
            seed: config.seed,
            model: name,
            log: &log,
            interrupt: Interrupt::listen()?,
        };
        evaluating.run(policy, journal)
    }
}

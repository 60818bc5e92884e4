//! `train eval --agent`.

use std::path::Path;

use anyhow::{Context as _, Result};
use rollout::agent::writer::Words;
use rollout::policy::{Policy, PolicyError};
use rollout::server::{Server, ServerConfig};

use super::{EvalArgs, STAGE, name_at, settings, tasks_at};
use crate::checkpoint::{self, Loaded};
use crate::command::{cache_folder, summary_to};
use crate::config::Config;
use crate::policy::Generator;
use crate::repair;
use crate::run::interrupt::Interrupt;
use crate::run::journal::{Journal, Place};
use crate::run::provenance::Provenance;
use crate::tasks::TestEnv;
use crate::trainer::agent_eval::{AgentEval, AgentSummary};
use model::weights::Precision;

/// Evaluates the whole agent.
///
/// # Errors
///
/// As [`AgentEval::run`].
pub(super) fn run(agent: &Path, args: &EvalArgs, config: &Config) -> Result<()> {
    let agent = repair::agent_config(Some(agent))?;
    let rules = repair::rules(&agent)?;
    let interrupt = Interrupt::listen()?;
    let test_env = TestEnv::open(config, &cache_folder()?)?;
    let settings = settings(&test_env, args, config)?
        .with("agent", &agent)
        .with("rules", rules.names().collect::<Vec<_>>());
    let Some(mut journal) =
        Journal::begin(Place::beside_file(&args.out), STAGE, settings, args.resume)?
    else {
        return Ok(());
    };
    let set = tasks_at(args)?;
    let evaluate =
        |policy: &mut dyn Policy, words: &Words<'_>, name: &str, journal: &mut Journal| {
            let eval = AgentEval {
                set: &set,
                config: &agent,
                rules: &rules,
                sandbox: test_env.sandbox.clone(),
                grader: test_env.grader(),
                limits: config.sandbox.clone(),
                words,
                model: name,
                seed: config.seed,
                out: &args.out,
                interrupt,
            };
            eval.run(policy, journal)
        };
    let mut summary: AgentSummary = match &args.server {
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
            let mut policy = Generator::new(model, &shape, &tokenizer, &template, 1, &device);
            let (tokens, prompt) = measures(&tokenizer, &template);
            let words = Words {
                tokens: &tokens,
                prompt: &prompt,
                context: shape.max_position_embeddings,
            };
            evaluate(
                &mut policy,
                &words,
                &args.model.display().to_string(),
                &mut journal,
            )?
        }
        Some(url) => {
            let (shape, tokenizer, template) = checkpoint::words(&args.model)?;
            let name = name_at(url, args)?;
            let mut policy = Server::new(ServerConfig::new(url, &name), &tokenizer, &template)?;
            let (tokens, prompt) = measures(&tokenizer, &template);
            let words = Words {
                tokens: &tokens,
                prompt: &prompt,
                context: shape.max_position_embeddings,
            };
            evaluate(&mut policy, &words, &name, &mut journal)?
        }
    };
    summary.provenance = Some(
        Provenance::now()
            .model(&args.model)
            .data([args.tasks.as_path()]),
    );
    summary_to(&args.out, &summary)?;
    journal.finish()?;
    tell(&summary).context("while telling the evaluation")
}

type Prompt<'a> = Box<dyn Fn(&[data::Message]) -> Result<usize, PolicyError> + 'a>;

/// How many tokens a text and a conversation have.
fn measures<'a>(
    tokenizer: &'a data::Tokenizer,
    template: &'a data::template::ChatTemplate,
) -> (impl Fn(&str) -> usize + 'a, Prompt<'a>) {
    let prompt = move |messages: &[data::Message]| {
        let failed = |error| PolicyError::Failed {
            doing: "counting the tokens of a prompt".into(),
            source: Box::new(error),
        };
        template
            .encode_prompt(tokenizer, messages)
            .map(|prompt| prompt.len())
            .map_err(failed)
    };
    (
        move |text: &str| tokenizer.encode(text).len(),
        Box::new(prompt),
    )
}

/// One line of JSON on standard output.
fn tell(summary: &AgentSummary) -> Result<()> {
    let AgentSummary {
        curve,
        ci95,
        focus_used,
        lost,
        ..
    } = summary;
    println!(
        "{}",
        serde_json::to_string(&serde_json::json!({
            "resolved": curve.resolved, "n": curve.tasks, "ci95": ci95, "ci95_method": "wilson",
            "within": curve.within, "tries_per_repair": curve.tries_per_repair,
            "seconds_per_repair": curve.seconds_per_repair, "by_queue": curve.by_queue, "by_rule": curve.by_rule,
            "lucky": curve.lucky, "ready_p95_ms": curve.ready_p95_ms, "focus_used": focus_used, "lost": lost.len(),
        }))?
    );
    Ok(())
}

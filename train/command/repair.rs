//! `train repair`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use data::source::functions::tree_hash;
use rollout::agent::chat::ChatServer;
use rollout::agent::run::{End, Repair};
use rollout::agent::writer::{OfPolicy, Words, Writer};
use rollout::agent::{AgentConfig, ScaffoldKind};
use rollout::endpoint::Endpoint;
use rollout::policy::PolicyError;
use rollout::server::{ServerConfig, served};
use sandbox::Limits;

use super::memory::talk_memory;
use super::{RunArgs, cache_folder};
use crate::checkpoint::{self, Loaded};
use crate::config::Config;
use crate::environment;
use crate::plan::Plan;
use crate::policy::Generator;
use crate::repair::{self, Repairing, STAGE, TREE, Wanted, desk::Desk, issue};
use crate::repository::{self, Hook};
use crate::run::interrupt::Interrupt;
use crate::run::journal::{Journal, Place};
use crate::run::paths::Paths;
use crate::settings::Settings;
use model::weights::Precision;

/// How a model works on a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Search and replace over any number of files in one answer.
    Edits,
    /// A shell in a copy of the repository, until the model submits.
    Shell,
}

/// `train repair`
#[derive(Args, Clone, Debug)]
pub struct RepairArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The repository. It is only read.
    #[arg(long, value_name = "DIR")]
    pub repo: PathBuf,
    /// The model that writes. With `--server` only its tokenizer and its chat template are read.
    #[arg(
        long,
        alias = "model-path",
        value_name = "DIR",
        required_unless_present = "server"
    )]
    pub model: Option<PathBuf>,
    /// Asks the chat model behind this address instead, e.g. `http://127.0.0.1:8000/v1`.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// What the server calls the model [default: the first that it names].
    #[arg(long, value_name = "NAME", requires = "server")]
    pub served_name: Option<String>,
    /// The environment variable that holds the server's key.
    #[arg(long, value_name = "VARIABLE", requires = "server")]
    pub key_variable: Option<String>,
    /// Tokens that prompt and answer may have together [default: the model's; 32768 where only the server knows].
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,
    /// What is wrong: a text such as `issue.md`, or a row of a data set, `issue.jsonl`. Without a failing test the model
    /// writes one first.
    #[arg(long, value_name = "FILE")]
    pub issue: Option<PathBuf>,
    /// A test that fails and should pass. Can be repeated. Without it and without an issue: every test that fails.
    #[arg(long, value_name = "ID")]
    pub failing_test: Vec<String>,
    /// Who runs the tests [default: jest where there is a `package.json` and no Python, else pytest].
    #[arg(long, value_name = "NAME")]
    pub hook: Option<Hook>,
    /// Tries in all [default: `MAX_RETRY`, or 20].
    #[arg(long, value_name = "N")]
    pub max_retry: Option<u32>,
    /// So many tries in a row without progress return to the passing state [default: 3].
    #[arg(long, value_name = "N")]
    pub rollback_threshold: Option<u32>,
    /// Seconds after which a test is killed with all that it started [default: `HOOK_TIMEOUT`, or 60].
    #[arg(long, value_name = "SECONDS")]
    pub timeout_test: Option<u64>,
    /// The same for one run of the whole suite.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout_suite: u64,
    /// What the model is shown and how it answers [default: that of `--agent`, or edits].
    #[arg(long, value_name = "NAME")]
    pub scaffold: Option<Shape>,
    /// How the agent works: a TOML such as `configs/agent/edits.toml`.
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
    /// A virtual environment whose packages the tests need [default: `.venv` or `venv` in the repository].
    #[arg(long, value_name = "DIR")]
    pub venv: Option<PathBuf>,
    /// A folder of wheels that a rule may install from; nothing is fetched.
    #[arg(long, value_name = "DIR")]
    pub wheels: Option<PathBuf>,
    /// Show every answer and every diff as it is written, on standard error.
    #[arg(long)]
    pub stream_diff: bool,
    /// Make the repair in the repository itself, where there is one.
    #[arg(long)]
    pub apply: bool,
    /// Tell Prometheus how it goes, at `http://ADDRESS/metrics`, e.g. 127.0.0.1:9184; port 0 for any that is free.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_addr: Option<SocketAddr>,
    /// Folder of the run: the copy, every try, the patch [default: one in the cache, which is told].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// Tokens of a server's model where nobody says.
const USUAL_CONTEXT: usize = 32_768;
/// Bytes of a token where the server's tokenizer is not known: fewer than any has on code, so that nothing is too long.
const BYTES_OF_TOKEN: usize = 2;

/// `train repair`
///
/// # Errors
///
/// [`repair::NeedsReview`] where no try repairs it; and whatever the machinery could not do.
pub fn run(args: &RepairArgs) -> Result<()> {
    let config = args.run.config()?;
    let agent = agent_config(args)?;
    let out = out_folder(args)?;
    if !args.run.dry_run {
        check(args, &out)?;
    }
    let issue = args.issue.as_deref().map(issue::read).transpose()?;
    let plan = Plan::new(STAGE, &config);
    let plan = args
        .model
        .iter()
        .fold(plan, |plan, model| plan.with_model(model));
    if plan.show(args.run.dry_run, &out)? {
        return Ok(());
    }
    let interrupt = Interrupt::listen()?;
    let text = issue.as_ref().map(|issue| issue.text.as_str());
    let tests: Vec<String> = args
        .failing_test
        .iter()
        .chain(issue.iter().flat_map(|issue| &issue.tests))
        .cloned()
        .collect();
    let language = repository::language(&args.repo, args.hook);
    let wanted = Wanted {
        issue: text,
        tests: &tests,
        language,
        suite_timeout_s: args.timeout_suite,
    };
    let settings = settings(args, &config, &agent, &wanted)?;
    let Some(journal) = Journal::begin(Place::in_folder(&out), STAGE, settings, args.resume)?
    else {
        print!("{}", data::file::read_text(&out.join("patch.diff"))?);
        return repair::over(&out);
    };
    let repo = args.repo.canonicalize()?;
    prepare_copy(args, &repo, &out)?;
    let opened = environment::open(&config, &cache_folder()?)?;
    let python = opened.python.program().to_path_buf();
    let instance = repair::instance_of(&repo, &format!("{text:?} {tests:?}"));
    let limits = Limits {
        timeout_s: seconds(args)?,
        ..config.sandbox.clone()
    };
    let repairing = Repairing {
        instance,
        model: model_name(args)?,
        config: &agent,
        sandbox: opened.sandbox.clone(),
        limits,
        wheels: args
            .wheels
            .as_deref()
            .map(|wheels| (wheels, python.as_path())),
        out: &out,
        seed: config.seed,
        stream: args.stream_diff,
        interrupt,
    };
    let mut desk = Desk::new(
        &out,
        journal,
        agent.queue.max_retry,
        args.stream_diff,
        interrupt,
    );
    let endpoint = args
        .metrics_addr
        .map(|address| Endpoint::bind(address, desk.counts()))
        .transpose()?;
    if let Some(endpoint) = &endpoint {
        eprintln!("metrics: http://{}/metrics", endpoint.address());
    }
    let repaired = with_writer(args, &config, |words, writer| {
        repairing.run(&wanted, words, writer, &mut desk)
    });
    // Whatever ends it, what came furthest is told.
    let repair = repaired.inspect_err(|_| print!("{}", desk.best().text()))?;
    finish(args, &repairing, desk, &repair, &repo)
}

/// Tells and writes what came of it.
fn finish(
    args: &RepairArgs,
    repairing: &Repairing<'_>,
    desk: Desk,
    repair: &Repair,
    repo: &Path,
) -> Result<()> {
    repairing.write(repair)?;
    print!("{}", repair.patch.text());
    if repair.end == End::Repaired && args.apply {
        let written = repair::apply(repo, &repairing.out.join(TREE), &repair.patch)?;
        eprintln!(
            "applied: {} files of `{}` are changed",
            written.len(),
            repo.display()
        );
    }
    // What was stopped goes on; what is over is over.
    if repair.end != End::Stopped {
        desk.finish()?;
    }
    repairing.end(repair)
}

/// What can be refused before any work.
fn check(args: &RepairArgs, out: &Path) -> Result<()> {
    let paths = Paths::new()
        .reads_folder("--repo", &args.repo)
        .may_read("--issue", args.issue.as_deref());
    let paths = paths
        .may_read("--model", args.model.as_deref())
        .may_read("--agent", args.agent.as_deref());
    let paths = paths
        .may_read("--venv", args.venv.as_deref())
        .may_read("--wheels", args.wheels.as_deref());
    paths.writes_folder("--out", out).check()?;
    let (repo, place) = (args.repo.canonicalize()?, std::path::absolute(out)?);
    if place.starts_with(&repo) {
        bail!(
            "--out: `{}` lies in the repository, which is only read{}",
            out.display(),
            data::Hint("choose a folder elsewhere, or leave out `--out`")
        );
    }
    Place::in_folder(out).check(STAGE, args.resume)
}

/// How the agent works: its file, and what the command line says besides.
fn agent_config(args: &RepairArgs) -> Result<AgentConfig> {
    let mut agent = repair::agent_config(args.agent.as_deref())?;
    let retries = args.max_retry.map_or_else(
        || from_environment("MAX_RETRY"),
        |retries| Ok(Some(retries)),
    )?;
    agent.queue.max_retry = retries.unwrap_or(agent.queue.max_retry);
    agent.queue.rollback_threshold = args
        .rollback_threshold
        .unwrap_or(agent.queue.rollback_threshold);
    agent.scaffold = match args.scaffold {
        Some(Shape::Edits) => ScaffoldKind::Edits,
        Some(Shape::Shell) => ScaffoldKind::Shell,
        None => agent.scaffold,
    };
    if let Some(problem) = agent.problem() {
        bail!(
            "{problem}{}",
            data::Hint("`train repair --help` tells what each means")
        );
    }
    if agent.scaffold == ScaffoldKind::Line {
        bail!(
            "the scaffold `line` needs a task that points at a function{}",
            data::Hint("use `scaffold = \"edits\"`")
        );
    }
    repair::rules(&agent)?;
    Ok(agent)
}

fn seconds(args: &RepairArgs) -> Result<u64> {
    let told = args.timeout_test.map_or_else(
        || from_environment("HOOK_TIMEOUT"),
        |seconds| Ok(Some(seconds)),
    )?;
    match told.unwrap_or(60) {
        0 => bail!("`--timeout-test` is 0, but a test needs a second at least"),
        seconds => Ok(seconds),
    }
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Result<Option<T>> {
    let Ok(value) = std::env::var(name) else {
        return Ok(None);
    };
    let wrong =
        || format!("the environment variable `{name}` is `{value}`, but must be a whole number");
    value.parse().ok().map(Some).with_context(wrong)
}

/// The folder of the run: named, or one in the cache for this repository and this request.
fn out_folder(args: &RepairArgs) -> Result<PathBuf> {
    if let Some(out) = &args.out {
        return Ok(out.clone());
    }
    let repo = args
        .repo
        .canonicalize()
        .unwrap_or_else(|_| args.repo.clone());
    let what = format!(
        "{} {:?} {:?}",
        repo.display(),
        args.issue,
        args.failing_test
    );
    Ok(cache_folder()?
        .join("repair")
        .join(repair::instance_of(&repo, &what)))
}

/// What a repair rests on: another one cannot go on with its tries.
fn settings(
    args: &RepairArgs,
    config: &Config,
    agent: &AgentConfig,
    wanted: &Wanted<'_>,
) -> Result<Settings> {
    let model = match (&args.server, &args.model) {
        (Some(url), _) => url.clone(),
        (None, Some(model)) => checkpoint::fingerprint(model)?,
        (None, None) => String::new(),
    };
    Ok(Settings::default()
        .with("seed", config.seed)
        .with("agent", agent)
        .with("rules", repair::rules(agent)?.names().collect::<Vec<_>>())
        .with(
            "issue",
            wanted
                .issue
                .map(|text| blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()),
        )
        .with("failing_test", wanted.tests)
        .with("model", model)
        .with("files of --repo", &tree_hash(&args.repo)?[..16]))
}

/// Copies the repository, where an earlier process did not, and what its tests need.
fn prepare_copy(args: &RepairArgs, repo: &Path, out: &Path) -> Result<()> {
    let tree = out.join(TREE);
    if args.resume && tree.is_dir() {
        return Ok(());
    }
    repair::forget(out)?;
    repository::check_out(repo, args.venv.as_deref(), &tree, &out.join("git"))
}

fn model_name(args: &RepairArgs) -> Result<String> {
    match (&args.server, &args.model) {
        (Some(url), _) => name_at(url, args),
        (None, Some(model)) => Ok(model.display().to_string()),
        (None, None) => bail!(
            "no model is named{}",
            data::Hint("`--model DIR`, or `--server URL`")
        ),
    }
}

fn name_at(url: &str, args: &RepairArgs) -> Result<String> {
    let first = || {
        served(url)?
            .into_iter()
            .next()
            .with_context(|| format!("`{url}` names no model"))
    };
    args.served_name.clone().map_or_else(first, Ok)
}

/// Opens the model, and does it.
fn with_writer(
    args: &RepairArgs,
    config: &Config,
    work: impl FnOnce(&Words<'_>, &mut dyn Writer) -> Result<Repair>,
) -> Result<Repair> {
    match (&args.server, &args.model) {
        (Some(url), model) => {
            let name = name_at(url, args)?;
            let key = args.key_variable.as_ref().map(std::env::var).transpose();
            let key = key.context("the environment variable of `--key-variable` is not set")?;
            let mut server = ChatServer::new(ServerConfig::new(url, name), key)?;
            let known = model.as_deref().map(checkpoint::words).transpose()?;
            let Some((shape, tokenizer, template)) = known else {
                eprintln!(
                    "note: without `--model` nobody knows the server's tokens; they are reckoned from bytes"
                );
                let tokens = |text: &str| text.len().div_ceil(BYTES_OF_TOKEN);
                let prompt = |messages: &[data::Message]| -> Result<usize, PolicyError> {
                    Ok(messages
                        .iter()
                        .map(|message| tokens(&message.content) + 8)
                        .sum())
                };
                let context = args.context.unwrap_or(USUAL_CONTEXT);
                return work(
                    &Words {
                        tokens: &tokens,
                        prompt: &prompt,
                        context,
                    },
                    &mut server,
                );
            };
            let template = template.at(SystemTime::now())?;
            work_with(
                &tokenizer,
                &template,
                args.context.unwrap_or(shape.max_position_embeddings),
                &mut server,
                work,
            )
        }
        (None, Some(model)) => {
            let device = config.device.open()?;
            talk_memory(
                model,
                1,
                &device,
                "lower `prompt_tokens` in the file of `--agent`",
            )?;
            let Loaded {
                config: shape,
                model,
                tokenizer,
                template,
                ..
            } = checkpoint::load_as(model, Precision::Stored, &device)?;
            let template = template.at(SystemTime::now())?;
            let mut generator = Generator::new(model, &shape, &tokenizer, &template, 1, &device);
            let context = args
                .context
                .unwrap_or(usize::MAX)
                .min(shape.max_position_embeddings);
            work_with(
                &tokenizer,
                &template,
                context,
                &mut OfPolicy(&mut generator),
                work,
            )
        }
        (None, None) => bail!(
            "no model is named{}",
            data::Hint("`--model DIR`, or `--server URL`")
        ),
    }
}

/// With the model's own measure of text.
fn work_with(
    tokenizer: &data::Tokenizer,
    template: &data::template::ChatTemplate,
    context: usize,
    writer: &mut dyn Writer,
    work: impl FnOnce(&Words<'_>, &mut dyn Writer) -> Result<Repair>,
) -> Result<Repair> {
    let tokens = |text: &str| tokenizer.encode(text).len();
    let prompt = |messages: &[data::Message]| -> Result<usize, PolicyError> {
        let prompt = template.encode_prompt(tokenizer, messages);
        let failed = |error| PolicyError::Failed {
            doing: "counting the tokens of a prompt".into(),
            source: Box::new(error),
        };
        prompt.map(|prompt| prompt.len()).map_err(failed)
    };
    work(
        &Words {
            tokens: &tokens,
            prompt: &prompt,
            context,
        },
        writer,
    )
}

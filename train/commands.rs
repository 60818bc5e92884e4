//! Every command, from its arguments to the stage that does the work.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn::tensor::Device;
use data::Tokenizer;
use data::source::jsonl::TaskSet;
use data::template::ChatTemplate;
use rollout::policy::Sampling;
use serde::Serialize;

use crate::checkpoint::{self, Outline};
use crate::cli::RunArgs;
use crate::config::{Config, SftConfig};
use crate::memory::{Batches, Choice, Fit, MemoryPlan, Training, available, capacity, size};
use crate::optim::workers;
use crate::terminal;
use model::ModelConfig;

mod attack;
pub mod audit;
pub mod chat;
pub mod data_stages;
pub mod doctor;
pub mod eval;
pub mod export;
pub mod grade;
pub mod image;
pub mod import;
pub mod import_whole;
pub mod learn;
pub mod merge;
pub mod serve;

pub use attack::attack;
pub use audit::audit;
pub use chat::chat;
pub use data_stages::{data, plant, plant_in, samples};
pub use doctor::doctor;
pub use eval::{eval, eval_in};
pub use export::{ExportReport, export};
pub use grade::{admit, grade};
pub use image::image;
pub use import::import;
pub use import_whole::import_whole;
pub use learn::{grpo, grpo_in, sft};
pub use merge::merge;
pub use serve::serve;

/// The config of a run, from its file and the command line.
///
/// # Errors
///
/// When the file is missing or a value is refused.
pub fn config_of(args: &RunArgs) -> Result<Config> {
    let mut overrides = args.set.clone();
    overrides.extend(args.seed.map(|seed| format!("seed={seed}")));
    overrides.extend(args.device.map(|device| format!("device=\"{device}\"")));
    overrides.extend(args.sandbox.map(|kind| format!("tests.sandbox=\"{}\"", kind.name())));
    overrides.extend(args.image.as_ref().map(|image| format!("tests.image={}", toml::Value::from(image.as_str()))));
    match &args.config {
        Some(path) => Config::load(path, &overrides),
        None => Config::parse("", &overrides),
    }
}

/// Where this program keeps what it fetched: `$XDG_CACHE_HOME/train` or `~/.cache/train`, a folder of its user alone.
///
/// # Errors
///
/// When nobody says where the user's files are, or the folder is in the hands of others.
pub fn cache_folder() -> Result<PathBuf> {
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let user = || nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir);
    let home = || named("HOME").or_else(user).filter(|home| home.is_dir() && home.parent().is_some());
    let Some(cache) = named("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache"))) else {
        bail!(
            "nothing says where fetched packages can be kept: neither `HOME` nor the user's entry in `/etc/passwd` names \
             a folder\nhint: name a folder of your own with `XDG_CACHE_HOME=/path/to/folder`"
        );
    };
    Ok(data::trust::private_folder(&cache.join("train"))?)
}

/// Tokens of a prompt and its answer at most.
fn generated_tokens(shape: &ModelConfig, config: &Config, sampling: &Sampling) -> usize {
    shape.max_position_embeddings.min(config.data.max_tokens + sampling.max_new_tokens)
}

/// What talking with the model in `folder` will hold: the plan of `rows` conversations that fill the context. Less is
/// needed while they are short, so only a model that does not fit by itself is refused; `fewer` says what would need less.
/// What is wrong with the folder is told when it is loaded.
fn talk_memory(folder: &Path, rows: usize, device: &Device, fewer: &str) -> Result<Option<MemoryPlan>> {
    let Ok(Outline { config: shape, stored_bytes }) = checkpoint::outline(folder, device) else { return Ok(None) };
    let plan = |rows, tokens| MemoryPlan { weights: stored_bytes, ..MemoryPlan::generation(&shape, rows, tokens) };
    let whole = plan(rows, shape.max_position_embeddings);
    plan(1, 1).enforce(device, &[], "use a smaller model, or one that is stored as bf16")?;
    if available(device).is_some_and(|free| whole.total() > free) {
        eprintln!(
            "warning: the model fits into memory, but not with conversations as long as its context: {}\nhint: {fewer}",
            size(whole.total())
        );
    }
    Ok(Some(whole))
}

/// What generating with the model in `folder` and the training of `[grpo]` will hold: prompts of at most
/// `data.max_tokens`. Where the config does not say how large micro-batches are, as large as a checkpoint `kept`, or as is
/// chosen.
fn grpo_memory(folder: &Path, config: &Config, device: &Device, kept: Option<usize>) -> Result<(usize, MemoryPlan)> {
    let shape = checkpoint::config_of(&checkpoint::resolve(folder)?)?;
    let grpo = &config.grpo;
    let like = SftConfig { optimizer: grpo.optimizer.clone(), ..SftConfig::default() };
    let workers = workers(device);
    let tokens = generated_tokens(&shape, config, &grpo.sampling);
    let generation = MemoryPlan::generation(&shape, grpo.decode_rows, tokens);
    let plan = |fit: Fit| {
        let batches = Batches { tokens: fit.micro_batch_tokens, count: workers.min(grpo.groups_per_step), workers };
        Training { shape: &shape, config: &like, fit, batches }.plan().in_turns_with(generation)
    };
    // A row holds a prompt and every answer to it.
    let longest = (config.data.max_tokens + grpo.group_size * grpo.sampling.max_new_tokens).next_multiple_of(16);
    let choice = Choice { tokens: kept.or(grpo.micro_batch_tokens), checkpointing: Some(false), longest };
    let fit = choice.fit(capacity(device), plan);
    if grpo.micro_batch_tokens.is_none() {
        eprintln!("grpo: {fit}, chosen for the model and this machine");
    }
    Ok((fit.micro_batch_tokens, plan(fit)))
}

/// A tokenizer and the chat template beside it, from a model folder or a file such as `tokenizer.json`.
fn tokenizer_at(path: &Path) -> Result<(Tokenizer, ChatTemplate)> {
    let (tokenizer, folder) = match path.is_dir() {
        true => (Tokenizer::from_folder(path)?, path),
        false => (Tokenizer::from_file(path)?, path.parent().unwrap_or(path)),
    };
    let template = ChatTemplate::from_folder(folder, &tokenizer)?;
    Ok((tokenizer, template))
}

fn summary_to<T: Serialize>(path: &Path, summary: &T) -> Result<()> {
    data::file::write_whole(path, &serde_json::to_vec_pretty(summary)?)?;
    Ok(())
}

/// Leaves out tasks whose prompt and answer do not fit into the model's context, and says how many.
fn fitting(
    mut set: TaskSet,
    (tokenizer, template): (&Tokenizer, &ChatTemplate),
    context: usize,
    config: &Config,
    answer_tokens: usize,
) -> Result<TaskSet> {
    let mut kept = Vec::with_capacity(set.tasks.len());
    let (mut dropped, mut broken) = (0, None);
    for task in &set.tasks {
        let ask = || rollout::attempt::Base::open(&set.root, task)?.ask(config.data.answer, 1, 0);
        let request = match ask() {
            Ok(request) => request,
            Err(error) => {
                eprintln!("{}", terminal::plain(&format!("warning: a task is left out: {error}")));
                broken.get_or_insert(error);
                kept.push(false);
                continue;
            }
        };
        let tokens = template.encode_prompt(tokenizer, &request.messages)?.len();
        dropped += usize::from(tokens + answer_tokens > context);
        kept.push(tokens + answer_tokens <= context);
    }
    if dropped > 0 {
        eprintln!("{dropped} of {} tasks do not fit into the model's context and are left out", kept.len());
    }
    if let (false, Some(broken)) = (kept.contains(&true), broken) {
        return Err(broken.into());
    }
    let mut kept = kept.into_iter();
    set.tasks.retain(|_| kept.next().unwrap_or(false));
    if set.tasks.is_empty() {
        bail!("no task is left\nhint: lower `data.max_function_lines`, or use a model with a longer context");
    }
    Ok(set)
}

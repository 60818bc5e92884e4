//! Every command, from its arguments to the stage that does the work.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use data::Tokenizer;
use data::source::jsonl::TaskSet;
use serde::Serialize;

use crate::checkpoint::Loaded;
use crate::cli::RunArgs;
use crate::config::Config;

pub mod data_stages;
pub mod eval;
pub mod export;
pub mod grade;
pub mod learn;

pub use data_stages::{data, plant, plant_in, samples};
pub use eval::{eval, eval_in};
pub use export::{ExportReport, export};
pub use grade::{admit, grade};
pub use learn::{grpo, grpo_in, sft};

/// The config of a run, from its file and the command line.
///
/// # Errors
///
/// When the file is missing or a value is refused.
pub fn config_of(args: &RunArgs) -> Result<Config> {
    let mut overrides = args.set.clone();
    overrides.extend(args.seed.map(|seed| format!("seed={seed}")));
    match &args.config {
        Some(path) => Config::load(path, &overrides),
        None => Config::parse("", &overrides),
    }
}

/// Where this program keeps what it fetched: `$XDG_CACHE_HOME/train` or `~/.cache/train`.
pub fn cache_folder() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()).map(PathBuf::from);
    cache.or_else(home).unwrap_or_else(std::env::temp_dir).join("train")
}

/// A tokenizer, from a model folder or a `tokenizer.json`.
fn tokenizer_at(path: &Path) -> Result<Tokenizer> {
    let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_path_buf() };
    Ok(Tokenizer::from_file(&file)?)
}

fn summary_to<T: Serialize>(path: &Path, summary: &T) -> Result<()> {
    data::file::write_whole(path, &serde_json::to_vec_pretty(summary)?)?;
    Ok(())
}

/// Leaves out tasks whose prompt and answer do not fit into the model's context, and says how many.
fn fitting(mut set: TaskSet, loaded: &Loaded, config: &Config, answer_tokens: usize) -> Result<TaskSet> {
    let mut kept = Vec::with_capacity(set.tasks.len());
    for task in &set.tasks {
        let base = rollout::attempt::Base::open(&set.root, task)?;
        let request = base.ask(config.data.answer, 1, 0)?;
        let tokens = loaded.template.encode_prompt(&loaded.tokenizer, &request.messages).len();
        kept.push(tokens + answer_tokens <= loaded.config.max_position_embeddings);
    }
    let dropped = kept.iter().filter(|kept| !**kept).count();
    if dropped > 0 {
        eprintln!("{dropped} of {} tasks do not fit into the model's context and are left out", kept.len());
    }
    let mut kept = kept.into_iter();
    set.tasks.retain(|_| kept.next().unwrap_or(false));
    if set.tasks.is_empty() {
        bail!("no task is left\nhint: lower `data.max_function_lines`, or use a model with a longer context");
    }
    Ok(set)
}

//! The commands: one file each, with its arguments and its `run`.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail};
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use data::Tokenizer;
use data::source::jsonl::TaskSet;
use data::template::ChatTemplate;
use serde::Serialize;

use crate::config::Config;
use crate::run::paths::Paths;
use crate::run::provenance;
use crate::{checkpoint, terminal};
use model::ModelConfig;

pub mod admit;
pub mod attack;
pub mod audit;
pub mod chat;
pub mod commits;
pub mod distill;
pub mod doctor;
pub mod eval;
pub mod export;
pub mod grade;
pub mod grpo;
pub mod image;
pub mod import;
mod memory;
pub mod merge;
pub mod minimize;
pub mod plant;
pub mod quickstart;
pub mod related;
pub mod repair;
pub mod report;
pub mod review;
pub mod rows;
pub mod runs;
pub mod samples;
pub mod serve;
pub mod sft;
mod shared;
pub mod tasks;
pub mod tokenizer;
pub mod triplets;

pub use shared::{ChatArgs, DrawingArgs, RunArgs, WatchArgs};
use shared::{check_bf16, model_parser};

/// Takes a base language model and makes it repair real repositories, judged by their own tests.
///
/// The stages are `data`, `sft`, `eval`, `grpo`, `export`; `quickstart` runs them all, small, on one CPU.
#[derive(Debug, Parser)]
#[command(name = "train", version = version(), arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole pipeline on one CPU: plant bugs, fine-tune, reinforce, evaluate, export.
    Quickstart(quickstart::QuickstartArgs),
    /// Make tasks, tokenizers and samples.
    #[command(subcommand)]
    Data(DataCommand),
    /// Supervised fine-tuning on samples.
    Sft(sft::SftArgs),
    /// Patch-Lite: fine-tune a model on triplets, so that it says which parts of a patch are needed.
    Distill(distill::DistillArgs),
    /// Reinforcement learning: attempts are graded by the tests of their task.
    Grpo(grpo::GrpoArgs),
    /// pass@1 of a model on tasks, with a 95 % interval.
    Eval(eval::EvalArgs),
    /// Judge predictions by the tests of their tasks.
    Grade(grade::GradeArgs),
    /// The smallest part of a patch that passes its tests, on standard output.
    Minimize(minimize::MinimizeArgs),
    /// Repair a repository on this desk: a copy of it, its own tests, a model that tries again and again.
    ///
    /// Ends with 0 where it is repaired, 6 where it needs review, 1 after an error and 130 after Ctrl-C. The patch is on
    /// standard output in the form that `git apply` takes.
    Repair(repair::RepairArgs),
    /// A local page on which a person corrects what the model could not repair; corrections become training data.
    Review(review::ReviewArgs),
    /// A model as a quantized GGUF file, compared with the original.
    Export(export::ExportArgs),
    /// Talk with a model: one turn for every line.
    Chat(chat::ChatArgs),
    /// A model behind OpenAI's HTTP interface, for any client.
    Serve(serve::ServeArgs),
    /// Merge a LoRA adapter into its base model (f32).
    Merge(merge::MergeArgs),
    /// Root file systems of Debian packages and wheels, without a registry.
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// The curves of one run, or of several over each other, on one page.
    Report(report::ReportArgs),
    /// The runs below a folder: what each did, when, how far it is, and its result.
    Runs(runs::RunsArgs),
    /// What this machine has for every command, what it lacks, what that costs, and what to do.
    ///
    /// Installs and changes nothing. Ends with 0 where the default work (`quickstart` and its stages, in the sandbox
    /// `embedded`) can run, else with 1.
    Doctor(doctor::DoctorArgs),
    /// Man pages, one file a command, for packagers.
    #[command(hide = true)]
    Man {
        /// Folder that they are written to.
        out: PathBuf,
    },
    /// A completion script for your shell, on standard output.
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: Shell,
    },
}

/// `train data …`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Plant bugs in packages; keep those that make a passing test fail, twice in a row.
    Plant(plant::PlantArgs),
    /// Make tasks of a repository of yours: planted bugs, tests that fail now, or its own commits.
    Tasks(tasks::TasksArgs),
    /// Bring the rows of public data sets, such as SWE-bench or SWE-smith, into one form.
    Import(import::ImportArgs),
    /// Turn tasks, or conversations of anybody, into SFT samples.
    Samples(samples::SamplesArgs),
    /// Write conversations of any form as `messages`, as sharegpt or as Parquet.
    Export(rows::RowsArgs),
    /// Commit-like text for a base model, from any folder of Python sources: a function before and after a bug.
    Commits(commits::CommitsArgs),
    /// Train a byte-level BPE tokenizer on a folder of Python sources.
    Tokenizer(tokenizer::TokenizerArgs),
    /// Keep the tasks that their gold patch repairs and nothing else does, twice in a row.
    Admit(admit::AdmitArgs),
    /// Make triplets of tasks: a patch that does too much, the same that fails, and the smallest that passes.
    Triplets(triplets::TripletsArgs),
    /// The files of a repository that an issue is about, each with its reasons.
    Related(related::RelatedArgs),
    /// Show which tokens of a sample set are trained, and refuse a set whose masks cannot be right.
    Audit(audit::AuditArgs),
}

/// The version, the commit that it was built from, and what was built into it.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let devices = if cfg!(feature = "cuda-unfused") {
            "CPU and CUDA"
        } else {
            "CPU"
        };
        format!(
            "{} (commit {}, {devices})",
            env!("CARGO_PKG_VERSION"),
            provenance::commit()
        )
    });
    &VERSION
}

/// Runs one command.
///
/// # Errors
///
/// Whatever the command could not do, with what to do about it.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Data(command) => run_data(command),
        Command::Sft(args) => sft::run(&args).map(|_| ()),
        Command::Distill(args) => distill::run(&args).map(|_| ()),
        Command::Grpo(args) => grpo::run(&args).map(|_| ()),
        Command::Eval(args) => eval::run(&args).map(|_| ()),
        Command::Grade(grade::GradeArgs {
            command: Some(grade::GradeCommand::Attack(args)),
            ..
        }) => attack::run(&args),
        Command::Grade(args) => grade::run(&args).map(|_| ()),
        Command::Minimize(args) => minimize::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Review(args) => review::run(&args),
        Command::Export(args) => export::run(&args).map(|_| ()),
        Command::Chat(args) => chat::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Image(command) => image::run(command),
        Command::Report(args) => report::run(&args),
        Command::Runs(args) => runs::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Man { out } => man_pages(&out),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "train", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Writes `train.1`, `train-data-plant.1`, … to a folder.
fn man_pages(out: &Path) -> Result<()> {
    Paths::new().writes_folder("OUT", out).check()?;
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot make the folder `{}`", out.display()))?;
    clap_mangen::generate_to(Cli::command(), out)
        .with_context(|| format!("while writing man pages to `{}`", out.display()))
}

fn run_data(command: DataCommand) -> Result<()> {
    match command {
        DataCommand::Plant(args) => plant::run(&args).map(|_| ()),
        DataCommand::Tasks(args) => tasks::run(&args).map(|_| ()),
        DataCommand::Import(args) => import::run(&args),
        DataCommand::Samples(args) => samples::run(&args).map(|_| ()),
        DataCommand::Export(args) => rows::run(&args),
        DataCommand::Commits(args) => commits::run(&args).map(|_| ()),
        DataCommand::Tokenizer(args) => tokenizer::run(&args),
        DataCommand::Admit(args) => admit::run(&args).map(|_| ()),
        DataCommand::Triplets(args) => triplets::run(&args).map(|_| ()),
        DataCommand::Related(args) => related::run(&args),
        DataCommand::Audit(args) => audit::run(&args),
    }
}

/// Where this program keeps what it fetched: `$XDG_CACHE_HOME/train` or `~/.cache/train`, a folder of its user alone.
///
/// # Errors
///
/// When nobody says where the user's files are, or the folder is in the hands of others.
pub fn cache_folder() -> Result<PathBuf> {
    let named = |variable: &str| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .filter(|folder| folder.is_absolute())
    };
    let user = || {
        nix::unistd::User::from_uid(nix::unistd::geteuid())
            .ok()
            .flatten()
            .map(|user| user.dir)
    };
    let home = || {
        named("HOME")
            .or_else(user)
            .filter(|home| home.is_dir() && home.parent().is_some())
    };
    let Some(cache) = named("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache"))) else {
        bail!(
            "nothing says where fetched packages can be kept: neither `HOME` nor the user's entry in `/etc/passwd` names \
             a folder{}",
            data::Hint("name a folder of your own with `XDG_CACHE_HOME=/path/to/folder`")
        );
    };
    Ok(data::trust::private_folder(&cache.join("train"))?)
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

/// The config of the model in a folder; none where it describes none, as beside a tokenizer alone.
fn config_at(path: &Path) -> Result<Option<ModelConfig>> {
    let described = ["config.json", "params.json"]
        .iter()
        .any(|name| path.join(name).exists());
    described.then(|| checkpoint::config_of(path)).transpose()
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
                eprintln!(
                    "{}",
                    terminal::plain(&format!("warning: a task is left out: {error}"))
                );
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
        eprintln!(
            "{dropped} of {} tasks do not fit into the model's context and are left out",
            kept.len()
        );
    }
    if let (false, Some(broken)) = (kept.contains(&true), broken) {
        return Err(broken.into());
    }
    let mut kept = kept.into_iter();
    set.tasks.retain(|_| kept.next().unwrap_or(false));
    if set.tasks.is_empty() {
        bail!(
            "no task is left{}",
            data::Hint("lower `data.max_function_lines`, or use a model with a longer context")
        );
    }
    Ok(set)
}

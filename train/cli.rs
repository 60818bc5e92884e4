//! What can be said at the terminal: one struct per command.

mod audit;
mod doctor;
mod grade;
mod image;
mod import;
mod talk;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::SandboxKind;
use crate::device::DeviceChoice;

pub use audit::AuditArgs;
pub use doctor::DoctorArgs;
pub use grade::{AdmitArgs, AttackArgs, GradeArgs, GradeCommand};
pub use image::{ImageBuildArgs, ImageCommand, ImageLintArgs, ImageLoadArgs};
pub use import::{ImportArgs, ImportFormat};
pub use talk::{ChatArgs, DrawingArgs, ServeArgs};

/// Takes a base language model and makes it repair real repositories, judged by their own tests.
///
/// The stages are `data`, `sft`, `eval`, `grpo`, `export`; `quickstart` runs them all, small, on one CPU.
#[derive(Debug, Parser)]
#[command(name = "train", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole pipeline on one CPU: plant bugs, fine-tune, reinforce, evaluate, export.
    Quickstart(QuickstartArgs),
    /// Make tasks, tokenizers and samples.
    #[command(subcommand)]
    Data(DataCommand),
    /// Supervised fine-tuning on samples.
    Sft(SftArgs),
    /// Reinforcement learning: attempts are graded by the tests of their task.
    Grpo(GrpoArgs),
    /// pass@1 of a model on tasks, with a 95 % interval.
    Eval(EvalArgs),
    /// Judge predictions by the tests of their tasks.
    Grade(GradeArgs),
    /// A model as a quantized GGUF file, compared with the original.
    Export(ExportArgs),
    /// Talk with a model: one turn for every line.
    Chat(ChatArgs),
    /// A model behind OpenAI's HTTP interface, for any client.
    Serve(ServeArgs),
    /// Merge a LoRA adapter into its base model (f32).
    Merge(MergeArgs),
    /// Root file systems of Debian packages and wheels, without a registry.
    #[command(subcommand)]
    Image(ImageCommand),
    /// What this machine has for every command, what it lacks, what that costs, and what to do.
    ///
    /// Installs and changes nothing. Ends with 0 where the default work (`quickstart` and its stages, in the sandbox
    /// `embedded`) can run, else with 1.
    Doctor(DoctorArgs),
    /// A completion script for your shell, on standard output.
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: Shell,
    },
}

/// What every run takes.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// The run's TOML. Without it every value has its default.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Replace one value of the config, e.g. `--set sft.optimizer.lr=2e-3`. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// From which all randomness derives (short for `--set seed=N`).
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where tensors live: `auto`, `cpu`, `cuda` or `cuda:1` (short for `--set device=NAME`).
    #[arg(long, value_name = "NAME")]
    pub device: Option<DeviceChoice>,
    /// Where tests run (short for `--set tests.sandbox=NAME`).
    #[arg(long, value_name = "NAME")]
    pub sandbox: Option<SandboxKind>,
    /// The image whose system and Python run the tests: `DIR/<digest>` of `train image build`, or, with `--sandbox
    /// docker`, one of the engine's (short for `--set tests.image=IMAGE`).
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Print the plan and stop.
    #[arg(long)]
    pub dry_run: bool,
}

/// What a run that judges takes besides.
#[derive(Args, Clone, Debug, Default)]
pub struct WatchArgs {
    /// Tell Prometheus how it goes, at `http://ADDRESS/metrics`, e.g. 127.0.0.1:9184; port 0 for any that is free.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_addr: Option<SocketAddr>,
    /// Go on though tests were killed for their memory too often: the count begins anew.
    #[arg(long)]
    pub forget_oom: bool,
}

/// `train quickstart`
#[derive(Args, Clone, Debug)]
pub struct QuickstartArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// Train on this package instead of the built-in ones: a folder or a pinned requirement, e.g. `toolz==1.0.0`.
    #[arg(long, value_name = "PACKAGE")]
    pub package: Vec<String>,
    /// Evaluate on this package instead of the built-in ones.
    #[arg(long, value_name = "PACKAGE")]
    pub held_out: Vec<String>,
    /// Go on where a killed run stopped: finished stages are kept.
    #[arg(long)]
    pub resume: bool,
}

/// `train data …`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Plant bugs in packages; keep those that make a passing test fail, twice in a row.
    Plant(PlantArgs),
    /// Bring the rows of public data sets, such as SWE-bench or SWE-smith, into one form.
    Import(ImportArgs),
    /// Turn tasks into SFT samples.
    Samples(SamplesArgs),
    /// Commit-like text for a base model, from any folder of Python sources: a function before and after a bug.
    Commits(CommitsArgs),
    /// Train a byte-level BPE tokenizer on a folder of Python sources.
    Tokenizer(TokenizerArgs),
    /// Keep the tasks that their gold patch repairs and nothing else does, twice in a row.
    Admit(AdmitArgs),
    /// Show which tokens of a sample set are trained, and refuse a set whose masks cannot be right.
    Audit(AuditArgs),
}

/// `train data plant`
#[derive(Args, Clone, Debug)]
pub struct PlantArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// A folder or a pinned requirement, e.g. `toolz==1.0.0`. Can be repeated.
    #[arg(long, value_name = "PACKAGE", required = true)]
    pub package: Vec<String>,
    /// Most tasks per package [default: data.train_tasks_per_package].
    #[arg(long, value_name = "N")]
    pub max_tasks: Option<usize>,
    /// Folder for `tasks.jsonl` and the clean trees.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// `train data samples`
#[derive(Args, Clone, Debug)]
pub struct SamplesArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The tasks: `tasks.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// Model folder or `tokenizer.json`.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: PathBuf,
    /// Tasks that must not leak into the samples.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Folder for the Parquet shards.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// `train data commits`
#[derive(Args, Clone, Debug)]
pub struct CommitsArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// Folder of Python sources. Can be repeated.
    #[arg(long, value_name = "DIR", required = true)]
    pub source: Vec<PathBuf>,
    /// Model folder or `tokenizer.json`.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: PathBuf,
    /// Most samples.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub samples: usize,
    /// Most samples of one function.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub per_function: usize,
    /// Most wrong lines in one sample; each sample has 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub bugs_per_text: usize,
    /// Folder for the Parquet shards.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `train data tokenizer`
#[derive(Args, Clone, Debug)]
pub struct TokenizerArgs {
    /// Folder of Python sources. Can be repeated.
    #[arg(long, value_name = "DIR", required = true)]
    pub source: Vec<PathBuf>,
    /// Number of token ids, the special ones included.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub vocab: usize,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `train sft`
#[derive(Args, Clone, Debug)]
pub struct SftArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model to start from [default: `base` of the config, else a new model].
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Tokenizer of a new model: a model folder or `tokenizer.json`.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Folder of Parquet shards [default: those of `[[sft.mixture]]` in the config].
    #[arg(long, value_name = "DIR")]
    pub samples: Option<PathBuf>,
    /// Samples that it is not trained on: folder of Parquet shards. Adds `eval/loss` and the like to the metrics, and
    /// keeps the checkpoint with the smallest as `best`.
    #[arg(long, value_name = "DIR")]
    pub validate: Option<PathBuf>,
    /// Folder for checkpoints and metrics.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on from the newest whole checkpoint in the folder, where a run was stopped.
    #[arg(long)]
    pub resume: bool,
}

/// `train grpo`
#[derive(Args, Clone, Debug)]
pub struct GrpoArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model to start from.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// The tasks: `tasks.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// Folder for checkpoints, metrics and the log of attempts.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What watches it.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Two stages: the second drops what the model already solves.
    #[arg(long)]
    pub curriculum: bool,
    /// Go on from the newest whole checkpoint in the folder, where a run was stopped.
    #[arg(long)]
    pub resume: bool,
}

/// `train eval`
#[derive(Args, Clone, Debug)]
pub struct EvalArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model.
    #[arg(long, value_name = "DIR")]
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
    /// The evaluation as JSON.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

/// `train merge`
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// The model that the adapter was trained on [default: the one that the adapter names].
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// The adapter: a folder with `adapter_config.json` and `adapter_model.safetensors`, of `train sft` or of PEFT, or
    /// a run folder that holds such checkpoints.
    #[arg(long, value_name = "DIR")]
    pub adapter: PathBuf,
    /// The Hugging Face folder to write, in f32.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `train export`
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Tasks whose prompts the exported model is compared on.
    #[arg(long, value_name = "FILE", required_unless_present = "hugging_face")]
    pub tasks: Option<PathBuf>,
    /// The GGUF file.
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
    /// Write a Hugging Face folder in bfloat16 instead of a GGUF file.
    #[arg(long, conflicts_with = "tasks")]
    pub hugging_face: bool,
    /// Go on where a run that was stopped left off.
    #[arg(long)]
    pub resume: bool,
}

//! `train sft`: supervised fine-tuning on samples.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use clap::Args;
use data::template::ChatTemplate;
use data::{Sample, Tokenizer};

use super::{RunArgs, WatchArgs, check_bf16, summary_to, tokenizer_at};
use crate::checkpoint::{self, Loaded};
use crate::config::Config;
use crate::interrupt::Interrupt;
use crate::memory::MemoryUse;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::sft::{SampleSet, Sft, SftMemory, SftSummary, check_tokenizer, memory_plan, read_samples};
use crate::state::{Origin, kept_fit};
use crate::watched::Watched;
use model::{CausalLm, ModelConfig};

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

/// What is left to do when no setting makes a run fit.
const TOO_LARGE: &str = "no setting of `[sft]` makes it fit; use a smaller model, or a machine with more memory";

/// `train sft`
///
/// # Errors
///
/// As [`Sft::run`].
pub fn run(args: &SftArgs) -> Result<Option<SftSummary>> {
    let config = args.run.config()?;
    if !args.run.dry_run {
        check_sft(args, &config)?;
    }
    let device = config.device.open()?;
    let model = args.model.as_ref().or(config.base.as_ref());
    let (shape, tokenizer) = match model {
        Some(path) => shape_of_model(path)?,
        None => shape_of_new(args, &config)?,
    };
    check_bf16("sft.bf16", config.sft.bf16, &device)?;
    // For a plan alone, samples need not be there yet.
    let read = |tokenizer| SampleSet::read(args.samples.as_deref(), &config.sft, &shape, tokenizer);
    let samples = tokenizer.as_ref().map(read);
    let samples = if args.run.dry_run { samples.and_then(Result::ok) } else { samples.transpose()? };
    let kept = if args.resume { kept_fit(&args.out) } else { None };
    let planned = memory_plan(&config.sft, &shape, samples.as_ref(), config.seed, &device, kept);
    let SftMemory { fit, plan: memory, smaller } = planned;
    // The plan says what was chosen, so that it can be done again elsewhere.
    let mut told = config.clone();
    told.sft.micro_batch_tokens = Some(fit.micro_batch_tokens);
    told.sft.checkpointing = Some(fit.checkpointing);
    let plan = match model {
        Some(path) => Plan::new("sft", &told).with_model(path),
        None => Plan::new("sft", &told).with_new_model(&shape),
    };
    let mixture = config.sft.mixture.iter().map(|part| part.samples.as_path());
    let read = args.samples.as_deref().into_iter().chain(mixture).chain(args.validate.as_deref());
    if plan.with_data(read).with_memory(Some(memory)).show(args.run.dry_run, &args.out)? {
        memory.enforce(&device, &smaller, TOO_LARGE)?;
        return Ok(None);
    }
    memory.enforce(&device, &smaller, TOO_LARGE)?;
    let interrupt = Interrupt::listen()?;
    let samples = samples.expect("without a dry run there is a tokenizer, and samples were read with it");
    let tokenizer = tokenizer.expect("as above");
    let validation = validation_samples(args, &shape, &tokenizer)?;
    let origin = match model {
        Some(path) => Origin::Folder(path),
        None => Origin::New(Box::new(new_model(args, shape, &config, &device)?)),
    };
    let watched = Watched::start(&args.out, "sft", &config, &WatchArgs::default())?;
    let sft = Sft {
        config: &config.sft,
        seed: config.seed,
        samples: &samples,
        validation: &validation,
        watcher: &watched.watcher,
        out: &args.out,
        fit,
        resume: args.resume,
        interrupt,
        device: &device,
    };
    let mut summary = sft.run(origin)?;
    summary.memory = Some(MemoryUse::told(&memory));
    summary_to(&args.out.join("summary.json"), &summary)?;
    Ok(Some(summary))
}

/// What can be refused before anything is read.
fn check_sft(args: &SftArgs, config: &Config) -> Result<()> {
    let paths = Paths::new()
        .may_read("--model", args.model.as_deref())
        .may_read("--tokenizer", args.tokenizer.as_deref())
        .may_read("--samples", args.samples.as_deref())
        .may_read("--validate", args.validate.as_deref());
    let sources = config.sft.mixture.iter();
    let paths = sources.fold(paths, |paths, source| paths.reads("sft.mixture", &source.samples));
    paths.writes_folder("--out", &args.out).check()?;
    if config.sft.lora.rank > 0 && args.model.is_none() && config.base.is_none() {
        bail!("`sft.lora.rank` adds to a model, but none is named\nhint: name one with `--model`");
    }
    checkpoint::check_start(&args.out, "sft", args.resume)
}

fn new_tokenizer(args: &SftArgs) -> Result<(PathBuf, Tokenizer, ChatTemplate)> {
    let path = args.tokenizer.as_ref().context(
        "a new model needs a tokenizer\nhint: name one with `--tokenizer`, or a model to start from with `--model`",
    )?;
    let (tokenizer, template) = tokenizer_at(path)?;
    Ok((path.clone(), tokenizer, template))
}

/// The shape of the model in a folder, and its tokenizer.
fn shape_of_model(path: &Path) -> Result<(ModelConfig, Option<Tokenizer>)> {
    let folder = checkpoint::resolve(path)?;
    let shape = checkpoint::config_of(&folder)?;
    let tokenizer = checkpoint::tokenizer_of(&folder, &shape)?;
    Ok((shape, Some(tokenizer)))
}

/// The samples of `--validate`; none without it.
fn validation_samples(args: &SftArgs, shape: &ModelConfig, tokenizer: &Tokenizer) -> Result<Vec<Sample>> {
    let Some(folder) = &args.validate else { return Ok(Vec::new()) };
    let samples = read_samples(folder, shape)?;
    check_tokenizer(folder, tokenizer)?;
    Ok(samples)
}

/// The shape of a new model: as many token ids as its tokenizer has. A plan alone needs no tokenizer.
fn shape_of_new(args: &SftArgs, config: &Config) -> Result<(ModelConfig, Option<Tokenizer>)> {
    let shape = config.model.clone();
    match new_tokenizer(args) {
        Ok((_, tokenizer, _)) => Ok((ModelConfig { vocab_size: tokenizer.vocab_size(), ..shape }, Some(tokenizer))),
        Err(_) if args.run.dry_run => Ok((shape, None)),
        Err(error) => Err(error),
    }
}

fn new_model(args: &SftArgs, mut shape: ModelConfig, config: &Config, device: &Device) -> Result<Loaded> {
    let (path, tokenizer, template) = new_tokenizer(args)?;
    shape.decide_end(&tokenizer, &template);
    let model = CausalLm::new(&shape, config.seed, device);
    Ok(Loaded { path, config: shape, model, tokenizer, template })
}

//! `train sft`: supervised fine-tuning on samples.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use clap::Args;
use data::source::chats::{ChatSettings, find_files};
use data::store::MANIFEST_FILE;
use data::template::ChatTemplate;
use data::{Sample, Tokenizer};

use super::{ChatArgs, RunArgs, WatchArgs, check_bf16, summary_to, tokenizer_at};
use crate::chats::{Chats, VALIDATION};
use crate::checkpoint::{self, Loaded};
use crate::config::{Config, SftConfig};
use crate::memory::MemoryUse;
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::paths::Paths;
use crate::run::watched::Watched;
use crate::trainer::sft::{
    SampleSet, Sft, SftMemory, SftSummary, check_tokenizer, memory_plan, read_samples,
};
use crate::trainer::state::{Origin, kept_fit};
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
    /// Conversations of your own: JSON lines, JSON or Parquet; files, folders or patterns. `data.chats` of the config says
    /// how they are read.
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "samples")]
    pub data: Vec<PathBuf>,
    /// How `--data` is read.
    #[command(flatten)]
    pub chats: ChatArgs,
    /// Folder of Parquet shards [default: those of `[[sft.mixture]]` in the config].
    #[arg(long, value_name = "DIR")]
    pub samples: Option<PathBuf>,
    /// Samples that it is not trained on: folder of Parquet shards, or a file of conversations. Adds `eval/loss` and the
    /// like to the metrics, and keeps the checkpoint with the smallest as `best`.
    #[arg(long, value_name = "PATH")]
    pub validate: Option<PathBuf>,
    /// Folder for checkpoints and metrics.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on from the newest whole checkpoint in the folder, where a run was stopped.
    #[arg(long)]
    pub resume: bool,
}

/// What is left to do when no setting makes a run fit.
const TOO_LARGE: &str =
    "no setting of `[sft]` makes it fit; use a smaller model, or a machine with more memory";

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
    // Made here, the samples lie beside the run; from here on they are like any others.
    let (made, mixed) = match &tokenizer {
        Some(tokenizer) if !args.run.dry_run => conversations(args, &config, tokenizer, &shape)?,
        _ => (args.clone(), config.sft.clone()),
    };
    let args = &made;
    // For a plan alone, samples need not be there yet.
    let read = |tokenizer| SampleSet::read(args.samples.as_deref(), &mixed, &shape, tokenizer);
    let samples = tokenizer.as_ref().map(read);
    let samples = if args.run.dry_run {
        samples.and_then(Result::ok)
    } else {
        samples.transpose()?
    };
    if let Some(samples) = samples.as_ref().filter(|_| !args.data.is_empty()) {
        tell_epochs(&config.sft, samples.len());
    }
    let kept = if args.resume {
        kept_fit(&args.out)
    } else {
        None
    };
    let planned = memory_plan(
        &config.sft,
        &shape,
        samples.as_ref(),
        config.seed,
        &device,
        kept,
    );
    let SftMemory {
        fit,
        plan: memory,
        smaller,
    } = planned;
    // The plan says what was chosen, so that it can be done again elsewhere.
    let mut told = config.clone();
    told.sft.micro_batch_tokens = Some(fit.micro_batch_tokens);
    told.sft.checkpointing = Some(fit.checkpointing);
    let plan = match model {
        Some(path) => Plan::new("sft", &told).with_model(path),
        None => Plan::new("sft", &told).with_new_model(&shape),
    };
    let mixture = mixed.mixture.iter().map(|part| part.samples.as_path());
    let data = args
        .data
        .iter()
        .map(PathBuf::as_path)
        .filter(|path| path.exists());
    let read = args
        .samples
        .as_deref()
        .into_iter()
        .chain(mixture)
        .chain(args.validate.as_deref())
        .chain(data);
    if plan
        .with_data(read)
        .with_memory(Some(memory))
        .show(args.run.dry_run, &args.out)?
    {
        memory.enforce(&device, &smaller, TOO_LARGE)?;
        return Ok(None);
    }
    memory.enforce(&device, &smaller, TOO_LARGE)?;
    let interrupt = Interrupt::listen()?;
    let samples =
        samples.expect("without a dry run there is a tokenizer, and samples were read with it");
    let tokenizer = tokenizer.expect("as above");
    let chat_template = chosen_template(args, &config, &tokenizer)?;
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
        chat_template: chat_template.as_ref(),
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

/// Says how often the samples are seen: the number of steps is the config's, whatever was brought along.
fn tell_epochs(config: &SftConfig, samples: usize) {
    let (steps, each) = (config.steps, config.samples_per_step);
    let epochs = steps as f64 * each as f64 / samples as f64;
    eprintln!(
        "sft: {steps} steps of {each} samples are {epochs:.2} epochs; `--set sft.steps=N` says otherwise"
    );
}

/// The chat template of `--chat-template`, if it is given.
fn chosen_template(
    args: &SftArgs,
    config: &Config,
    tokenizer: &Tokenizer,
) -> Result<Option<ChatTemplate>> {
    if args.chats.chat_template.is_none() {
        return Ok(None);
    }
    args.chats
        .template(&words_folder(args, config)?, tokenizer)
        .map(Some)
}

/// What can be refused before anything is read.
fn check_sft(args: &SftArgs, config: &Config) -> Result<()> {
    let paths = Paths::new()
        .may_read("--model", args.model.as_deref())
        .may_read("--tokenizer", args.tokenizer.as_deref())
        .may_read("--samples", args.samples.as_deref())
        .may_read("--validate", args.validate.as_deref());
    let sources = config.sft.mixture.iter();
    let stored = sources.clone().filter(|source| source.data.is_empty());
    let paths = stored.fold(paths, |paths, source| {
        paths.reads("sft.mixture", &source.samples)
    });
    for source in sources {
        find_files(&source.data).context("in `[[sft.mixture]]`")?;
    }
    if !args.data.is_empty() && !config.sft.mixture.is_empty() {
        bail!(
            "both `--data` and `[[sft.mixture]]` name what is trained on{}",
            data::Hint("leave out one of them")
        );
    }
    let files = find_files(&args.data)?;
    let paths = files
        .iter()
        .fold(paths, |paths, file| paths.reads_file("--data", file));
    paths.writes_folder("--out", &args.out).check()?;
    if config.sft.lora.rank > 0 && args.model.is_none() && config.base.is_none() {
        bail!(
            "`sft.lora.rank` adds to a model, but none is named{}",
            data::Hint("name one with `--model`")
        );
    }
    checkpoint::check_start(&args.out, "sft", args.resume)
}

/// The same arguments and config, with the conversations of `--data`, `--validate` and the mixture as folders of samples.
fn conversations(
    args: &SftArgs,
    config: &Config,
    tokenizer: &Tokenizer,
    shape: &ModelConfig,
) -> Result<(SftArgs, SftConfig)> {
    let (mut made, mut mixed) = (args.clone(), config.sft.clone());
    let asks_rows = |path: &PathBuf| !path.join(MANIFEST_FILE).exists();
    let validate = args.validate.clone().filter(asks_rows);
    if args.data.is_empty()
        && validate.is_none()
        && mixed.mixture.iter().all(|source| source.data.is_empty())
    {
        return Ok((made, mixed));
    }
    let interrupt = Interrupt::listen()?;
    let template = args
        .chats
        .template(&words_folder(args, config)?, tokenizer)?;
    let build = |files: &[PathBuf], settings: &ChatSettings, out: &Path| {
        let (words, context) = ((tokenizer, &template), Some(shape.max_position_embeddings));
        Chats {
            files,
            words,
            context,
            settings,
            out,
            interrupt,
        }
        .run()
    };
    let settings = args.chats.settings(config);
    let out = args.out.join("data");
    if !args.data.is_empty() {
        let counts = build(&find_files(&args.data)?, &settings, &out)?;
        made.samples = Some(out.clone());
        if counts.validation > 0 && args.validate.is_none() {
            made.validate = Some(out.join(VALIDATION));
        }
    }
    for (number, source) in mixed
        .mixture
        .iter_mut()
        .enumerate()
        .filter(|(_, source)| !source.data.is_empty())
    {
        let settings = ChatSettings {
            validation: 0.0,
            format: source.format.or(settings.format),
            ..settings.clone()
        };
        source.samples = out.join(format!("mixture-{number}"));
        build(&find_files(&source.data)?, &settings, &source.samples)?;
    }
    if let Some(path) = validate {
        let settings = ChatSettings {
            validation: 0.0,
            ..settings
        };
        let out = out.join("validate");
        build(&find_files(&[path])?, &settings, &out)?;
        made.validate = Some(out);
    }
    Ok((made, mixed))
}

/// The folder of the model or of `--tokenizer`, in which a chat template is looked for.
fn words_folder(args: &SftArgs, config: &Config) -> Result<PathBuf> {
    if let Some(model) = args.model.as_ref().or(config.base.as_ref()) {
        return checkpoint::resolve(model);
    }
    let (path, ..) = new_tokenizer(args)?;
    Ok(if path.is_dir() {
        path
    } else {
        path.parent().map(Path::to_path_buf).unwrap_or_default()
    })
}

fn new_tokenizer(args: &SftArgs) -> Result<(PathBuf, Tokenizer, ChatTemplate)> {
    let path = args.tokenizer.as_ref().with_context(|| {
        format!(
            "a new model needs a tokenizer{}",
            data::Hint("name one with `--tokenizer`, or a model to start from with `--model`")
        )
    })?;
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
fn validation_samples(
    args: &SftArgs,
    shape: &ModelConfig,
    tokenizer: &Tokenizer,
) -> Result<Vec<Sample>> {
    let Some(folder) = &args.validate else {
        return Ok(Vec::new());
    };
    let samples = read_samples(folder, shape)?;
    check_tokenizer(folder, tokenizer)?;
    Ok(samples)
}

/// The shape of a new model: as many token ids as its tokenizer has. A plan alone needs no tokenizer.
fn shape_of_new(args: &SftArgs, config: &Config) -> Result<(ModelConfig, Option<Tokenizer>)> {
    let shape = config.model.clone();
    match new_tokenizer(args) {
        Ok((_, tokenizer, _)) => Ok((
            ModelConfig {
                vocab_size: tokenizer.vocab_size(),
                ..shape
            },
            Some(tokenizer),
        )),
        Err(_) if args.run.dry_run => Ok((shape, None)),
        Err(error) => Err(error),
    }
}

fn new_model(
    args: &SftArgs,
    mut shape: ModelConfig,
    config: &Config,
    device: &Device,
) -> Result<Loaded> {
    let (path, tokenizer, template) = new_tokenizer(args)?;
    shape.decide_end(&tokenizer, &template);
    let model = CausalLm::new(&shape, config.seed, device);
    Ok(Loaded {
        path,
        config: shape,
        model,
        tokenizer,
        template,
    })
}

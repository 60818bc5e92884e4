//! `train sft`: supervised fine-tuning on samples.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use clap::Args;
use data::source::chats::{ChatSettings, find_files};
use data::store::MANIFEST_FILE;
use data::template::ChatTemplate;
use data::{Sample, Tokenizer};

use super::{ChatArgs, RunArgs, WatchArgs, check_bf16, model_parser, summary_to, tokenizer_at};
use crate::chats::{Chats, VALIDATION};
use crate::checkpoint::{self, Loaded};
use crate::config::{Config, SftConfig};
use crate::memory::{MemoryUse, Room};
use crate::plan::Plan;
use crate::run::interrupt::Interrupt;
use crate::run::paths::Paths;
use crate::run::watched::Watched;
use crate::trainer::sft::{
    Chooser, Preset, Reasons, SampleSet, Sft, SftMemory, SftSummary, check_tokenizer, kept_config,
    memory_plan, read_samples,
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
    #[arg(long, value_name = "DIR", value_parser = model_parser())]
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
    /// Choose what is not said, by what matters most: learning rate, full fine-tuning, LoRA or QLoRA, packing,
    /// micro-batches, checkpointing. With `--model` and `--data` and no `--config` it is chosen in any case.
    #[arg(long, value_name = "WHAT")]
    pub preset: Option<Preset>,
    /// Plan for another machine than this: `cpu:24` or `gpu:80`, in gigabytes.
    #[arg(long, value_name = "KIND:GB", requires = "dry_run")]
    pub machine: Option<Room>,
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
        Some(path) => shape_of_model(path, args.run.dry_run)?,
        None => shape_of_new(args, &config)?,
    };
    if args.machine.is_none() {
        check_bf16("sft.bf16", config.sft.bf16, &device)?;
    }
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
    let (chosen, planned, reasons) = planned(args, &config, &shape, samples.as_ref(), &device)?;
    let config = Config {
        sft: chosen,
        ..config.clone()
    };
    let SftMemory {
        fit,
        plan: memory,
        smaller,
        ..
    } = planned;
    // The plan says what was chosen, so that it can be done again elsewhere.
    let mut told = config.clone();
    told.sft.micro_batch_tokens = Some(fit.micro_batch_tokens);
    told.sft.checkpointing = Some(fit.checkpointing);
    let free = args.machine.unwrap_or(Room::from_device(&device)).available;
    if !args.run.dry_run {
        // A run that is refused leaves no plan.
        memory.enforce_within(free, &smaller, TOO_LARGE)?;
    }
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
        .with_reasons(reasons)
        .show(args.run.dry_run, &args.out)?
    {
        memory.enforce_within(free, &smaller, TOO_LARGE)?;
        return Ok(None);
    }
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

/// The config with what is chosen, what it will hold in memory, and why, said on standard error. A resumed run keeps
/// what was chosen for it.
fn planned(
    args: &SftArgs,
    config: &Config,
    shape: &ModelConfig,
    samples: Option<&SampleSet>,
    device: &Device,
) -> Result<(SftConfig, SftMemory, Reasons)> {
    const CHOSEN: [&str; 8] = [
        "sft.bf16",
        "sft.checkpointing",
        "sft.lora.four_bit",
        "sft.lora.rank",
        "sft.micro_batch_tokens",
        "sft.optimizer.lr",
        "sft.optimizer.state",
        "sft.pack_tokens",
    ];
    let room = args.machine.unwrap_or(Room::from_device(device));
    let fit = Some(&args.out)
        .filter(|_| args.resume)
        .and_then(|out| kept_fit(out));
    let of_model = args.model.is_some() || config.base.is_some();
    let brought = !args.data.is_empty() && args.run.config.is_none() && of_model;
    if args.preset.is_none() && !brought {
        let planned = memory_plan(&config.sft, shape, samples, config.seed, room, fit);
        if planned.chosen {
            eprintln!(
                "sft: {}, chosen for the model and this machine",
                planned.fit
            );
        }
        return Ok((config.sft.clone(), planned, Reasons::new()));
    }
    let said: Vec<&str> = CHOSEN
        .into_iter()
        .filter_map(|key| match args.run.says(key) {
            Ok(says) => says.then_some(Ok(key)),
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_>>()?;
    let says = |key: &str| said.contains(&key);
    if let Some(kept) = fit.and_then(|_| kept_config(&args.out)) {
        let sft = as_kept(&config.sft, &kept, &says);
        let planned = memory_plan(&sft, shape, samples, config.seed, room, fit);
        eprintln!("sft: what was chosen for the run stays");
        return Ok((sft, planned, Reasons::new()));
    }
    let chooser = Chooser {
        preset: args.preset,
        said: &says,
        shape,
        samples,
        seed: config.seed,
        room,
    };
    let (sft, planned, reasons) = chooser.choose(&config.sft);
    eprintln!("sft, chosen:");
    for (key, reason) in &reasons {
        let value = match key.as_str() {
            "sft.bf16" => sft.bf16.to_string(),
            "sft.checkpointing" => planned.fit.checkpointing.to_string(),
            "sft.lora.four_bit" => sft.lora.four_bit.to_string(),
            "sft.lora.rank" => sft.lora.rank.to_string(),
            "sft.micro_batch_tokens" => planned.fit.micro_batch_tokens.to_string(),
            "sft.optimizer.lr" => format!("{:e}", sft.optimizer.lr),
            "sft.optimizer.state" => toml::Value::try_from(sft.optimizer.state)?.to_string(),
            _ => sft.pack_tokens.to_string(),
        };
        eprintln!("  {key} = {value}: {reason}");
    }
    Ok((sft, planned, reasons))
}

/// The config with what was not said as a run `kept` it.
fn as_kept(config: &SftConfig, kept: &SftConfig, said: &dyn Fn(&str) -> bool) -> SftConfig {
    let mut config = config.clone();
    let open = |key: &str| !said(key);
    if open("sft.bf16") {
        config.bf16 = kept.bf16;
    }
    if open("sft.checkpointing") {
        config.checkpointing = kept.checkpointing;
    }
    if open("sft.lora.four_bit") {
        config.lora.four_bit = kept.lora.four_bit;
    }
    if open("sft.lora.rank") {
        config.lora.rank = kept.lora.rank;
    }
    if open("sft.optimizer.lr") {
        config.optimizer.lr = kept.optimizer.lr;
    }
    if open("sft.optimizer.state") {
        config.optimizer.state = kept.optimizer.state;
    }
    if open("sft.pack_tokens") {
        config.pack_tokens = kept.pack_tokens;
    }
    config
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

/// The shape of the model in a folder, and its tokenizer. A plan alone needs `config.json` and no tokenizer.
fn shape_of_model(path: &Path, dry_run: bool) -> Result<(ModelConfig, Option<Tokenizer>)> {
    let folder = checkpoint::resolve(path)?;
    let shape = checkpoint::config_of(&folder)?;
    match checkpoint::tokenizer_of(&folder, &shape) {
        Ok(tokenizer) => Ok((shape, Some(tokenizer))),
        Err(_) if dry_run => Ok((shape, None)),
        Err(error) => Err(error),
    }
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

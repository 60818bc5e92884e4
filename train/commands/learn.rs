//! `train sft` and `train grpo`.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use data::Tokenizer;
use data::source::jsonl::read_tasks;
use data::template::ChatTemplate;

use super::{cache_folder, config_of, fitting, summary_to, tokenizer_at};
use crate::checkpoint::{self, Loaded};
use crate::cli::{GrpoArgs, SftArgs};
use crate::config::Config;
use crate::evaluate::Rollouts;
use crate::grpo::{Grpo, GrpoSummary};
use crate::model::CausalLm;
use crate::plan::Plan;
use crate::sft::{Sft, SftSummary, read_samples};
use crate::tasks::Workshop;

/// `train sft`
///
/// # Errors
///
/// As [`Sft::run`].
pub fn sft(args: &SftArgs) -> Result<Option<SftSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("sft", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let device = Device::flex();
    let start = match args.model.as_ref().or(config.base.as_ref()) {
        Some(path) => checkpoint::load(path, &device)?,
        None => new_model(args, &config, &device)?,
    };
    let samples = read_samples(&args.samples, &start.config)?;
    let samples_hash = check_tokenizer(&args.samples, &start.tokenizer)?;
    let mut validation = Vec::new();
    if let Some(folder) = &args.validate {
        validation = read_samples(folder, &start.config)?;
        check_tokenizer(folder, &start.tokenizer)?;
    }
    let sft = Sft {
        config: &config.sft,
        seed: config.seed,
        samples: &samples,
        samples_hash,
        validation: &validation,
        out: &args.out,
        resume: args.resume,
        device: &device,
    };
    let summary = sft.run(start)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    Ok(Some(summary))
}

/// Refuses samples of another tokenizer; returns the hash of their manifest.
fn check_tokenizer(samples: &Path, tokenizer: &Tokenizer) -> Result<String> {
    let manifest = data::store::read_manifest(samples)?;
    if manifest.tokenizer != tokenizer.hash()? {
        bail!(
            "the samples in `{}` were made with another tokenizer than the model's\nhint: build them again with `train data samples --tokenizer` and this model",
            samples.display()
        );
    }
    Ok(blake3::hash(&serde_json::to_vec(&manifest)?).to_hex().to_string())
}

fn new_model(args: &SftArgs, config: &Config, device: &Device) -> Result<Loaded> {
    let path = args.tokenizer.as_ref().context(
        "a new model needs a tokenizer\nhint: name one with `--tokenizer`, or a model to start from with `--model`",
    )?;
    let tokenizer = tokenizer_at(path)?;
    let mut shape = config.model.clone();
    shape.vocab_size = tokenizer.vocab_size();
    let model = CausalLm::new(&shape, config.seed, device);
    Ok(Loaded { path: path.clone(), config: shape, model, tokenizer, template: ChatTemplate::default() })
}

/// `train grpo`
///
/// # Errors
///
/// As [`Grpo::run`].
pub fn grpo(args: &GrpoArgs) -> Result<Option<GrpoSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("grpo", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let workshop = Workshop::open(&config, &cache_folder())?;
    grpo_in(&workshop, args, &config).map(Some)
}

/// As [`grpo`], in a workshop that stands already.
///
/// # Errors
///
/// As [`Grpo::run`].
pub fn grpo_in(workshop: &Workshop, args: &GrpoArgs, config: &Config) -> Result<GrpoSummary> {
    let device = Device::flex();
    let start = checkpoint::load(&args.model, &device)?;
    let set = fitting(read_tasks(&args.tasks)?, &start, config, config.grpo.sampling.max_new_tokens)?;
    let grpo = Grpo {
        config: &config.grpo,
        seed: config.seed,
        rollouts: Rollouts {
            set: &set,
            form: config.data.answer,
            grader: workshop.grader(),
            workers: config.data.workers,
        },
        curriculum: args.curriculum,
        out: &args.out,
        resume: args.resume,
        device: &device,
    };
    let summary = grpo.run(start)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    Ok(summary)
}

//! Every command, from its arguments to the stage that does the work.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use data::source::jsonl::{TaskSet, read_tasks};
use data::template::ChatTemplate;
use data::{Sample, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::batch::Row;
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::cli::{
    AuditArgs, CommitsArgs, DataCommand, EvalArgs, ExportArgs, GrpoArgs, PlantArgs, RunArgs, SamplesArgs, SftArgs,
    TokenizerArgs,
};
use crate::config::Config;
use crate::evaluate::{EvalSummary, Rollouts, evaluate};
use crate::export::gate::{distance, from_named, shape_of, to_named};
use crate::export::{SpecialTokens, TokenizerFiles, read_gguf, write_gguf};
use crate::generate::Generator;
use crate::grpo::{Grpo, GrpoSummary};
use crate::model::CausalLm;
use crate::model::weights::{DiskDtype, from_host, to_host};
use crate::plan::Plan;
use crate::sft::{Sft, SftSummary, read_samples};
use crate::tasks::{self, PlantSummary, SampleSummary, Workshop};

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

/// `train data …`
///
/// # Errors
///
/// As the stage.
pub fn data(command: DataCommand) -> Result<()> {
    match command {
        DataCommand::Plant(args) => plant(&args).map(|_| ()),
        DataCommand::Samples(args) => samples(&args).map(|_| ()),
        DataCommand::Commits(args) => commits(&args).map(|_| ()),
        DataCommand::Tokenizer(args) => tokenizer(&args),
        DataCommand::Audit(args) => audit(&args),
    }
}

/// `train data plant`
///
/// # Errors
///
/// As [`tasks::plant_packages`].
pub fn plant(args: &PlantArgs) -> Result<Option<PlantSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("data plant", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let workshop = Workshop::open(&config, &cache_folder())?;
    plant_in(&workshop, args, &config).map(Some)
}

/// As [`plant`], in a workshop that stands already.
///
/// # Errors
///
/// As [`tasks::plant_packages`].
pub fn plant_in(workshop: &Workshop, args: &PlantArgs, config: &Config) -> Result<PlantSummary> {
    let most = args.max_tasks.unwrap_or(config.data.train_tasks_per_package);
    let summary = tasks::plant_packages(workshop, &args.package, most, config, &args.out)?;
    let set = read_tasks(&args.out.join("tasks.jsonl"))?;
    tasks::split(&set, config.data.sft_share, config.seed)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    Ok(summary)
}

/// `train data samples`
///
/// # Errors
///
/// As [`tasks::samples`].
pub fn samples(args: &SamplesArgs) -> Result<Option<SampleSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("data samples", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let tokenizer = tokenizer_at(&args.tokenizer)?;
    let summary = tasks::samples(&args.tasks, args.against.as_deref(), &tokenizer, &config.data, &args.out)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    eprintln!("{} samples, {} tokens", summary.samples, summary.tokens);
    Ok(Some(summary))
}

fn commits(args: &CommitsArgs) -> Result<Option<SampleSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("data commits", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let tokenizer = tokenizer_at(&args.tokenizer)?;
    let summary = tasks::commit_samples(&args.source, args.per_function, args.samples, &tokenizer, &config, &args.out)?;
    eprintln!("{} samples, {} tokens", summary.samples, summary.tokens);
    Ok(Some(summary))
}

fn tokenizer(args: &TokenizerArgs) -> Result<()> {
    let mut texts = Vec::new();
    for source in &args.source {
        for file in data::source::functions::python_files(source)? {
            texts.push(numbered(&data::file::read_text(&file)?));
        }
    }
    if texts.is_empty() {
        bail!("there is no Python source below the folders named with `--source`");
    }
    let tokenizer = Tokenizer::train(texts.iter().map(String::as_str), args.vocab, &data::tokenizer::SPECIALS)?;
    data::file::write_whole(&args.out, &tokenizer.save_bytes()?)?;
    eprintln!("{} ids from {} files", tokenizer.vocab_size(), texts.len());
    Ok(())
}

/// A source as prompts show it, `N|line`: blanks behind the bar must become pieces of their own.
fn numbered(source: &str) -> String {
    source.lines().enumerate().map(|(at, line)| format!("{}|{line}\n", at % 40 + 1)).collect()
}

/// Prints samples with their trained tokens in brackets, and refuses masks that cannot be right.
fn audit(args: &AuditArgs) -> Result<()> {
    let tokenizer = tokenizer_at(&args.tokenizer)?;
    let samples = data::store::read_samples(&args.samples)?;
    for sample in samples.iter().take(args.show) {
        println!("{}", marked(&tokenizer, sample));
    }
    let all = samples.iter().filter(|sample| sample.mask.iter().all(|trained| *trained)).count();
    let end = tokenizer.special("<|im_end|>");
    let ended = samples.iter().filter(|sample| {
        let mut trained = sample.tokens.iter().zip(&sample.mask).filter(|(_, mask)| **mask);
        trained.any(|(token, _)| Some(*token) == end)
    });
    let (count, ended) = (samples.len(), ended.count());
    if all == count {
        bail!("every token of every sample is trained\nhint: the prompt must not be; build the samples again");
    }
    if ended == 0 {
        bail!("the end-of-turn token is never trained, so the model would never stop\nhint: check the chat template");
    }
    println!("{count} samples, {ended} end with a trained end of turn, {all} train every token");
    Ok(())
}

/// The text of a sample; what is trained stands between `⟦` and `⟧`, in green on a terminal.
fn marked(tokenizer: &Tokenizer, sample: &Sample) -> String {
    let color = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let (open, close) = if color { ("\u{1b}[32m⟦", "⟧\u{1b}[0m") } else { ("⟦", "⟧") };
    let mut text = format!("--- {}\n", sample.origin);
    let mut from = 0;
    for to in 1..=sample.tokens.len() {
        if to == sample.tokens.len() || sample.mask[to] != sample.mask[from] {
            let part = tokenizer.decode(&sample.tokens[from..to]);
            if sample.mask[from] {
                text.push_str(&format!("{open}{part}{close}"));
            } else {
                text.push_str(&part);
            }
            from = to;
        }
    }
    text
}

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
    let sft = Sft {
        config: &config.sft,
        seed: config.seed,
        samples: &samples,
        samples_hash,
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

/// `train eval`
///
/// # Errors
///
/// As [`evaluate`].
pub fn eval(args: &EvalArgs) -> Result<Option<EvalSummary>> {
    let config = config_of(&args.run)?;
    let folder = args.out.parent().unwrap_or(Path::new("."));
    if Plan::new("eval", &config).show(args.run.dry_run, folder)? {
        return Ok(None);
    }
    let workshop = Workshop::open(&config, &cache_folder())?;
    let summary = eval_in(&workshop, args, &config)?;
    println!(
        "{}",
        serde_json::to_string(&serde_json::json!({
            "pass_at_1": summary.pass_at_1, "n": summary.n, "ci95": summary.ci95,
        }))?
    );
    if let Some(path) = &args.against {
        let before: EvalSummary = serde_json::from_str(&data::file::read_text(path)?)
            .with_context(|| format!("`{}` is no evaluation", path.display()))?;
        let gain = summary.evaluation.gain_over(&before.evaluation, 1, config.seed, config.eval.resamples)?;
        println!(
            "{}",
            serde_json::to_string(&serde_json::json!({
                "delta": gain.delta.estimate, "ci95": [gain.delta.low, gain.delta.high],
            }))?
        );
    }
    Ok(Some(summary))
}

/// As [`eval`], in a workshop that stands already.
///
/// # Errors
///
/// As [`evaluate`].
pub fn eval_in(workshop: &Workshop, args: &EvalArgs, config: &Config) -> Result<EvalSummary> {
    let device = Device::flex();
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    }
    let loaded = checkpoint::load(&args.model, &device)?;
    let set = fitting(read_tasks(&args.tasks)?, &loaded, config, config.eval.sampling.max_new_tokens)?;
    let Loaded { config: shape, model, tokenizer, template, .. } = loaded;
    let rollouts =
        Rollouts { set: &set, form: config.data.answer, grader: workshop.grader(), workers: config.data.workers };
    let rows = config.eval.decode_rows;
    let mut policy = Generator::new(model, &shape, &tokenizer, &template, rows, &device);
    let name = args.model.display().to_string();
    let log = args.out.with_extension("attempts.jsonl");
    let summary = evaluate(&rollouts, &mut policy, &config.eval, config.seed, &name, &log)?;
    summary_to(&args.out, &summary)?;
    Ok(summary)
}

/// What an export did, and how far it is from the original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportReport {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Mean KL divergence of the next-token distributions, in nats.
    pub logit_kl: f64,
    /// Share of positions with the same likeliest token.
    pub top1_agreement: f64,
    /// Positions compared.
    pub positions: usize,
    /// Seconds.
    pub seconds: f64,
}

/// A model folder in bfloat16, for programs that load Hugging Face's folders.
fn save_hugging_face(loaded: &Loaded, out: &Path) -> Result<()> {
    let snapshot = Snapshot {
        step: 0,
        config: &loaded.config,
        model: &loaded.model,
        tokenizer: &loaded.tokenizer,
        dtype: DiskDtype::Bfloat16,
        optimizer: None,
        state: None,
    };
    checkpoint::save_model(out, &snapshot)
}

/// A file that goes away unless it was renamed.
struct Unproven(PathBuf);

impl Drop for Unproven {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// `train export`
///
/// # Errors
///
/// When the file cannot be written, cannot be loaded again, or is too far from the original; then it is removed.
pub fn export(args: &ExportArgs) -> Result<Option<ExportReport>> {
    let config = config_of(&args.run)?;
    let folder = args.out.parent().unwrap_or(Path::new("."));
    if Plan::new("export", &config).show(args.run.dry_run, folder)? {
        return Ok(None);
    }
    let started = Instant::now();
    let device = Device::flex();
    let loaded = checkpoint::load(&args.model, &device)?;
    let Some(tasks) = &args.tasks else {
        return save_hugging_face(&loaded, &args.out).map(|()| None);
    };
    let set = fitting(read_tasks(tasks)?, &loaded, &config, 0)?;
    let Loaded { config: shape, model, tokenizer, template, path } = loaded;
    let json = tokenizer.save_bytes()?;
    let special = SpecialTokens::from_config(&std::fs::read(path.join("tokenizer_config.json"))?)?;
    let files = TokenizerFiles { tokenizer_json: &json, chat_template: data::template::JINJA, special };
    let name = args.out.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    let weights = to_named(to_host(&model));
    // Written beside its place, loaded again, asked what the original is asked; only then it gets its name.
    let unproven = Unproven(args.out.with_extension("unproven"));
    let written = write_gguf(&unproven.0, &shape_of(&shape, &name), &files, &weights, config.export.format)?;
    let (_, tensors) = read_gguf(&unproven.0)?;
    let again = from_host(&shape, from_named(tensors), &device).context("while loading the exported file again")?;
    let row = |at: usize| -> Result<Row> {
        let task = &set.tasks[at];
        let base = rollout::attempt::Base::open(&set.root, task)?;
        let request = base.ask(config.data.answer, 1, 0)?;
        let tokens = template.encode_prompt(&tokenizer, &request.messages);
        let mask = vec![true; tokens.len()];
        Ok(Row::from_sample(&Sample::new(tokens, mask, task.id.clone())?, 0.0))
    };
    let count = set.tasks.len().min(config.export.prompts);
    let rows = (0..count).map(row).collect::<Result<Vec<_>>>()?;
    let distance = distance(&model, &again, &shape, &rows, &device);
    if distance.logit_kl > config.export.max_logit_kl || !distance.logit_kl.is_finite() {
        bail!(
            "the export is refused: its next-token distributions are {:.3} nats from the original's, more than `export.max_logit_kl` = {}\nhint: choose a larger `export.format`, e.g. `q8_0`",
            distance.logit_kl,
            config.export.max_logit_kl
        );
    }
    std::fs::rename(&unproven.0, &args.out).with_context(|| format!("cannot write `{}`", args.out.display()))?;
    let report = ExportReport {
        path: args.out.clone(),
        bytes: written.bytes,
        logit_kl: distance.logit_kl,
        top1_agreement: distance.top1_agreement,
        positions: distance.positions,
        seconds: started.elapsed().as_secs_f64(),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(Some(report))
}

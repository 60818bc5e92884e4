//! `train export`: a file that other programs load, compared with the original before it gets its name.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use clap::Args;
use data::source::jsonl::TaskSet;
use data::{Sample, Task};
use serde::{Deserialize, Serialize};

use super::{RunArgs, fitting, model_parser, summary_to};
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::config::Config;
use crate::export::gate::{Distance, distance, from_named, shape_of, to_named};
use crate::export::{SpecialTokens, TokenizerFiles, read_gguf, write_gguf};
use crate::grade::tasks_of;
use crate::memory::MemoryPlan;
use crate::plan::{Plan, beside};
use crate::run::interrupt::{Interrupt, Interrupted};
use crate::run::journal::{Journal, Place};
use crate::run::paths::Paths;
use crate::run::provenance::Provenance;
use crate::settings::Settings;
use crate::trainer::batch::Row;
use model::weights::{DiskDtype, from_host, to_host};

/// `train export`
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model.
    #[arg(long, value_name = "DIR", value_parser = model_parser())]
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
    /// The program, the command, the time, and what was read.
    #[serde(default)]
    pub provenance: Option<Provenance>,
}

/// A model folder in bfloat16, for programs that load Hugging Face's folders.
fn save_hugging_face(loaded: &Loaded, out: &Path) -> Result<()> {
    checkpoint::save_model(out, &Snapshot::from_loaded(loaded, DiskDtype::Bfloat16))
}

/// A file that goes away unless it was renamed, or is kept for a process that goes on.
struct Unproven {
    path: PathBuf,
    kept: bool,
}

impl Drop for Unproven {
    fn drop(&mut self) {
        if !self.kept {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// The stage in the words of the command line.
const STAGE: &str = "export";
/// The entry of a file that is written and not yet compared.
const WRITTEN: &str = "written";

/// A file that was written to its end.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    bytes: u64,
    blake3: String,
}

impl Written {
    fn from_folder(path: &Path) -> Result<Self> {
        let mut hash = blake3::Hasher::new();
        let mut file = std::fs::File::open(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        hash.update_reader(&mut file)?;
        Ok(Written {
            bytes: hash.count(),
            blake3: hash.finalize().to_hex().to_string(),
        })
    }
}

/// A model in f32, and once more what was written, to be compared with it.
fn export_memory(args: &ExportArgs) -> Result<MemoryPlan> {
    let shape = checkpoint::outline(&args.model, &Device::flex())?.config;
    let alone = MemoryPlan::generation(&shape, 1, shape.max_position_embeddings.min(4096));
    let copies = if args.tasks.is_some() { 2 } else { 1 };
    Ok(MemoryPlan {
        weights: copies * alone.weights,
        ..alone
    })
}

/// `train export`
///
/// # Errors
///
/// When the file cannot be written, cannot be loaded again, or is too far from the original; then it is removed.
pub fn run(args: &ExportArgs) -> Result<Option<ExportReport>> {
    let config = args.run.config()?;
    if !args.run.dry_run {
        check(args)?;
    }
    // What is wrong with the folder is told when it is loaded.
    let memory = export_memory(args).ok();
    let plan = Plan::new(STAGE, &config)
        .with_model(&args.model)
        .with_data(args.tasks.as_deref());
    let plan = plan.with_memory(memory);
    if plan.announce(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    if let Some(memory) = memory {
        memory.enforce(
            &Device::flex(),
            &[],
            "export it on a machine with more memory",
        )?;
    }
    Interrupt::listen()?;
    let settings = Settings::default()
        .with("model", checkpoint::fingerprint(&args.model)?)
        .with("export.format", config.export.format.name())
        .with("hugging_face", args.hugging_face);
    let Some(mut journal) =
        Journal::begin(Place::beside_file(&args.out), STAGE, settings, args.resume)?
    else {
        return Ok(None);
    };
    let exporting = Exporting {
        args,
        config: &config,
        device: Device::flex(),
    };
    let mut made = match &args.tasks {
        None => save_hugging_face(
            &checkpoint::load(&args.model, &exporting.device)?,
            &args.out,
        )
        .map(|()| None),
        Some(tasks) => exporting.to_gguf(tasks, &mut journal).map(Some),
    };
    match &made {
        Ok(_) => journal.finish()?,
        Err(error) if error.is::<Interrupted>() => {}
        // A file that was refused is no longer there.
        Err(_) => journal.abandon()?,
    }
    if made.is_ok() {
        plan.save_beside(&args.out)?;
    }
    if let Ok(Some(report)) = &mut made {
        report.provenance = Some(plan.provenance.clone());
        summary_to(&beside(&args.out, "report.json"), report)?;
        println!("{}", serde_json::to_string(report)?);
    }
    made
}

/// What can be refused before any work.
fn check(args: &ExportArgs) -> Result<()> {
    let paths = Paths::new()
        .reads("--model", &args.model)
        .may_read("--tasks", args.tasks.as_deref());
    let paths = match args.hugging_face {
        true => paths.writes_folder("--out", &args.out),
        false => paths.writes_file("--out", &args.out),
    };
    paths.check()?;
    Place::beside_file(&args.out).check(STAGE, args.resume)?;
    checkpoint::check(&args.model, &Device::flex())?;
    args.tasks
        .as_deref()
        .map(|tasks| tasks_of(tasks, &beside(&args.out, "tasks")))
        .transpose()
        .map(drop)
        .context("while reading tasks")
}

/// One export.
struct Exporting<'a> {
    args: &'a ExportArgs,
    config: &'a Config,
    device: Device,
}

impl Exporting<'_> {
    /// Writes the file beside its place, loads it again, and asks it what the original is asked; only then it gets its
    /// name.
    fn to_gguf(&self, tasks: &Path, journal: &mut Journal) -> Result<ExportReport> {
        let Exporting {
            args,
            config,
            device,
        } = self;
        let (interrupt, started) = (Interrupt::listen()?, Instant::now());
        let loaded = checkpoint::load(&args.model, device)?;
        let (words, context) = (
            (&loaded.tokenizer, &loaded.template),
            loaded.config.max_position_embeddings,
        );
        let set = fitting(
            tasks_of(tasks, &beside(&args.out, "tasks"))?.set,
            words,
            context,
            config,
            0,
        )?;
        let mut unproven = Unproven {
            path: args.out.with_extension("unproven"),
            kept: false,
        };
        let bytes = match journal.find::<Written>(WRITTEN)? {
            Some(written)
                if Written::from_folder(&unproven.path).is_ok_and(|found| found == written) =>
            {
                written.bytes
            }
            _ => {
                interrupt.check(|| "nothing is written yet".into())?;
                let written = self.write(&loaded, &unproven.path)?;
                journal.add(WRITTEN, &written)?;
                written.bytes
            }
        };
        if interrupt.asked() {
            unproven.kept = true;
            let kept = format!(
                "`{}` is written, and not yet compared with the model",
                unproven.path.display()
            );
            return Err(Interrupted::new(kept).into());
        }
        let distance = self.distance(&loaded, &set, &unproven.path)?;
        if distance.logit_kl > config.export.max_logit_kl || !distance.logit_kl.is_finite() {
            bail!(
                "the export is refused: its next-token distributions are {:.3} nats from the original's, more than `export.max_logit_kl` = {}{}",
                distance.logit_kl,
                config.export.max_logit_kl,
                data::Hint("choose a larger `export.format`, e.g. `q8_0`")
            );
        }
        std::fs::rename(&unproven.path, &args.out)
            .with_context(|| format!("cannot write `{}`", args.out.display()))?;
        Ok(ExportReport {
            path: args.out.clone(),
            bytes,
            logit_kl: distance.logit_kl,
            top1_agreement: distance.top1_agreement,
            positions: distance.positions,
            seconds: started.elapsed().as_secs_f64(),
            provenance: None,
        })
    }

    fn write(&self, loaded: &Loaded, to: &Path) -> Result<Written> {
        let Loaded {
            config: shape,
            model,
            tokenizer,
            template,
            path,
        } = loaded;
        let json = tokenizer.save_bytes()?;
        let special =
            SpecialTokens::from_config(&std::fs::read(path.join("tokenizer_config.json"))?)?;
        let end = template.end_of_turn(tokenizer);
        let files = TokenizerFiles {
            tokenizer_json: &json,
            chat_template: template.source(),
            end,
            special,
        };
        if let Some(note) = files.note() {
            eprintln!("note: {note}");
        }
        let name = self.args.out.file_stem();
        let name = name.map_or_else(
            || "model".into(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        let (shape, tensors) = (shape_of(shape, &name)?, to_named(to_host(model)));
        write_gguf(to, &shape, &files, &tensors, self.config.export.format)?;
        Written::from_folder(to)
    }

    /// How far the file is from the model, on the prompts of some tasks.
    fn distance(&self, loaded: &Loaded, set: &TaskSet, written: &Path) -> Result<Distance> {
        let Loaded {
            config: shape,
            model,
            tokenizer,
            template,
            ..
        } = loaded;
        let (_, tensors) = read_gguf(written)?;
        let again = from_host(shape, from_named(tensors), &self.device);
        let again = again.context("while loading the exported file again")?;
        let row = |task: &Task| -> Result<Row> {
            let base = rollout::attempt::Base::open(&set.root, task)?;
            let request = base.ask(self.config.data.answer, 1, 0)?;
            let tokens = template.encode_prompt(tokenizer, &request.messages)?;
            let mask = vec![true; tokens.len()];
            Ok(Row::from_sample(
                &Sample::new(tokens, mask, task.id.clone())?,
                0.0,
            ))
        };
        let rows = set
            .tasks
            .iter()
            .take(self.config.export.prompts)
            .map(row)
            .collect::<Result<Vec<_>>>()?;
        Ok(distance(model, &again, shape, &rows, &self.device))
    }
}

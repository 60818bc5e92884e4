//! `train export`: a file that other programs load, compared with the original before it gets its name.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use data::Sample;
use data::source::jsonl::read_tasks;
use serde::{Deserialize, Serialize};

use super::{config_of, fitting};
use crate::batch::Row;
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::cli::ExportArgs;
use crate::export::gate::{distance, from_named, shape_of, to_named};
use crate::export::{SpecialTokens, TokenizerFiles, read_gguf, write_gguf};
use crate::memory::MemoryPlan;
use crate::model::weights::{DiskDtype, from_host, to_host};
use crate::plan::Plan;

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
    checkpoint::save_model(out, &Snapshot::of(loaded, DiskDtype::Bfloat16))
}

/// A file that goes away unless it was renamed.
struct Unproven(PathBuf);

impl Drop for Unproven {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// A model in f32, and once more what was written, to be compared with it.
fn export_memory(args: &ExportArgs) -> Result<MemoryPlan> {
    let shape = checkpoint::outline(&args.model, &Device::flex())?.config;
    let alone = MemoryPlan::generation(&shape, 1, shape.max_position_embeddings.min(4096));
    let copies = if args.tasks.is_some() { 2 } else { 1 };
    Ok(MemoryPlan { weights: copies * alone.weights, ..alone })
}

/// `train export`
///
/// # Errors
///
/// When the file cannot be written, cannot be loaded again, or is too far from the original; then it is removed.
pub fn export(args: &ExportArgs) -> Result<Option<ExportReport>> {
    let config = config_of(&args.run)?;
    let folder = args.out.parent().unwrap_or(Path::new("."));
    // What is wrong with the folder is told when it is loaded.
    let memory = export_memory(args).ok();
    if Plan::new("export", &config).with_memory(memory).show(args.run.dry_run, folder)? {
        return Ok(None);
    }
    if let Some(memory) = memory {
        memory.enforce(&Device::flex(), &[], "export it on a machine with more memory")?;
    }
    let started = Instant::now();
    let device = Device::flex();
    let loaded = checkpoint::load(&args.model, &device)?;
    let Some(tasks) = &args.tasks else {
        return save_hugging_face(&loaded, &args.out).map(|()| None);
    };
    let (words, context) = ((&loaded.tokenizer, &loaded.template), loaded.config.max_position_embeddings);
    let set = fitting(read_tasks(tasks)?, words, context, &config, 0)?;
    let Loaded { config: shape, model, tokenizer, template, path } = loaded;
    let json = tokenizer.save_bytes()?;
    let special = SpecialTokens::from_config(&std::fs::read(path.join("tokenizer_config.json"))?)?;
    let end = template.end_of_turn(&tokenizer);
    let files = TokenizerFiles { tokenizer_json: &json, chat_template: template.source(), end, special };
    if let Some(note) = files.note() {
        eprintln!("note: {note}");
    }
    let name = args.out.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    // Written beside its place, loaded again, asked what the original is asked; only then it gets its name.
    let unproven = Unproven(args.out.with_extension("unproven"));
    let written =
        write_gguf(&unproven.0, &shape_of(&shape, &name)?, &files, &to_named(to_host(&model)), config.export.format)?;
    let (_, tensors) = read_gguf(&unproven.0)?;
    let again = from_host(&shape, from_named(tensors), &device).context("while loading the exported file again")?;
    let row = |at: usize| -> Result<Row> {
        let task = &set.tasks[at];
        let base = rollout::attempt::Base::open(&set.root, task)?;
        let request = base.ask(config.data.answer, 1, 0)?;
        let tokens = template.encode_prompt(&tokenizer, &request.messages)?;
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

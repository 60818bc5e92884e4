//! `train merge`: merges a LoRA adapter into its base model (f32).

use std::path::PathBuf;

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::Args;

use super::model_parser;
use crate::adapter::Adapter;
use crate::checkpoint::{self, Snapshot};
use crate::run::paths::Paths;
use model::weights::DiskDtype;

/// `train merge`
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// The model that the adapter was trained on [default: the one that the adapter names].
    #[arg(long, value_name = "DIR", value_parser = model_parser())]
    pub model: Option<PathBuf>,
    /// The adapter: a folder with `adapter_config.json` and `adapter_model.safetensors`, of `train sft` or of PEFT, or
    /// a run folder that holds such checkpoints.
    #[arg(long, value_name = "DIR")]
    pub adapter: PathBuf,
    /// The Hugging Face folder to write, in f32.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `train merge`
///
/// # Errors
///
/// When the model or the adapter cannot be loaded, they do not fit, or the folder cannot be written.
pub fn run(args: &MergeArgs) -> Result<()> {
    let paths = Paths::new()
        .may_read("--model", args.model.as_deref())
        .reads("--adapter", &args.adapter);
    paths.writes_folder("--out", &args.out).check()?;
    let device = Device::flex();
    let folder = checkpoint::resolve(&args.adapter)?;
    if !Adapter::is_in(&folder) {
        bail!(
            "`{}` holds a whole model, no adapter{}",
            folder.display(),
            data::Hint(
                "it can be used as it is, or written anew with `train export --hugging-face`"
            )
        );
    }
    let loaded = match &args.model {
        Some(base) => Adapter::read(&folder)?.load_onto(base, &device)?,
        None => checkpoint::load(&folder, &device)?,
    };
    checkpoint::save_model(
        &args.out,
        &Snapshot::from_loaded(&loaded, DiskDtype::Float32),
    )
}

//! `train merge`: merges a LoRA adapter into its base model (f32).

use anyhow::{Result, bail};
use burn::tensor::Device;

use crate::adapter::Adapter;
use crate::checkpoint::{self, Snapshot};
use crate::cli::MergeArgs;
use crate::paths::Paths;
use model::weights::DiskDtype;

/// `train merge`
///
/// # Errors
///
/// When the model or the adapter cannot be loaded, they do not fit, or the folder cannot be written.
pub fn merge(args: &MergeArgs) -> Result<()> {
    let paths = Paths::new().may_read("--model", args.model.as_deref()).reads("--adapter", &args.adapter);
    paths.writes_folder("--out", &args.out).check()?;
    let device = Device::flex();
    let folder = checkpoint::resolve(&args.adapter)?;
    if !Adapter::is_in(&folder) {
        bail!(
            "`{}` holds a whole model, no adapter\nhint: it can be used as it is, or written anew with `train export --hugging-face`",
            folder.display()
        );
    }
    let loaded = match &args.model {
        Some(base) => Adapter::read(&folder)?.load_onto(base, &device)?,
        None => checkpoint::load(&folder, &device)?,
    };
    checkpoint::save_model(&args.out, &Snapshot::of(&loaded, DiskDtype::Float32))
}

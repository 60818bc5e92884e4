//! `train doctor`.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use super::cache_folder;
use crate::doctor::Diagnosis;

/// `train doctor`
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// One JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
}

/// `train doctor`
///
/// # Errors
///
/// When the default work cannot run here, or the cache is in the hands of others.
pub fn run(args: &DoctorArgs) -> Result<()> {
    let diagnosis = Diagnosis::look(&cache_folder()?, Path::new("."));
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&diagnosis)?),
        false => print!("{diagnosis}"),
    }
    if !diagnosis.ready {
        bail!(
            "this machine lacks what the default work needs{}",
            data::Hint("the lines that begin with `missing` say what to do")
        );
    }
    Ok(())
}

//! `train data audit`: what can be said to it.

use std::path::PathBuf;

use clap::Args;

/// `train data audit`
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// Folder of Parquet shards.
    #[arg(value_name = "SAMPLES")]
    pub samples: PathBuf,
    /// The model that is to be trained on them: its folder, or the file of its tokenizer.
    #[arg(long, value_name = "PATH", alias = "tokenizer")]
    pub model: PathBuf,
    /// How many samples are printed. All are checked.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub limit: usize,
    /// One token a line and no color, as where standard output is no terminal or `NO_COLOR` is set.
    #[arg(long)]
    pub plain: bool,
}

//! `train data tokenizer`: a byte-level BPE tokenizer of Python sources.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use data::Tokenizer;

use crate::run::paths::Paths;

/// `train data tokenizer`
#[derive(Args, Clone, Debug)]
pub struct TokenizerArgs {
    /// Folder of Python sources. Can be repeated.
    #[arg(long, value_name = "DIR", required = true)]
    pub source: Vec<PathBuf>,
    /// Number of token ids, the special ones included.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub vocab: usize,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `train data tokenizer`
///
/// # Errors
///
/// When a source cannot be read, there is none, or the file cannot be written.
pub fn run(args: &TokenizerArgs) -> Result<()> {
    let paths = args.source.iter().fold(Paths::new(), |paths, source| {
        paths.reads("--source", source)
    });
    paths.writes_file("--out", &args.out).check()?;
    let mut texts = Vec::new();
    for source in &args.source {
        for file in data::source::functions::python_files(source)? {
            texts.push(numbered(&data::file::read_text(&file)?));
        }
    }
    if texts.is_empty() {
        bail!("there is no Python source below the folders named with `--source`");
    }
    let tokenizer = Tokenizer::train(
        texts.iter().map(String::as_str),
        args.vocab,
        &data::tokenizer::SPECIALS,
    )?;
    data::file::write_whole(&args.out, &tokenizer.save_bytes()?)?;
    eprintln!("{} ids from {} files", tokenizer.vocab_size(), texts.len());
    Ok(())
}

/// A source as prompts show it, `N|line`: blanks behind the bar must become pieces of their own.
fn numbered(source: &str) -> String {
    source
        .lines()
        .enumerate()
        .map(|(at, line)| format!("{}|{line}\n", at % 40 + 1))
        .collect()
}

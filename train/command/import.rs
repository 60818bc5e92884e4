//! `train data import` as a run that can be stopped: its result is written whole or not at all, as fast as its rows are
//! read, so one that was stopped reads them again from the first.
//!
//! In: what was said at the terminal. Out: as `rows::import_rows`, once; a second run with `--resume` has nothing left to do.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use data::source::public::Format;

use crate::run::interrupt::{Interrupt, Interrupted};
use crate::run::journal::{Journal, Place};
use crate::run::paths::Paths;
use crate::settings::Settings;

/// `train data import`
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Files of rows: Parquet, JSON lines or a JSON list, told apart by their first bytes.
    #[arg(value_name = "IN", required = true)]
    pub input: Vec<PathBuf>,
    /// How the rows are written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "auto")]
    pub from: ImportFormat,
    /// The file to write: OUT, which ends in `.parquet` or `.jsonl`. What is refused is listed in `OUT.refused.jsonl`,
    /// what is odd in `OUT.remarks.jsonl`.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Most rows that are read.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Read and check every row, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Go on where a run was stopped: rows are read again from the first, and a result that is there is kept.
    #[arg(long)]
    pub resume: bool,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// Told by the columns of each row
    Auto,
    /// SWE-bench, Lite, Verified, Multilingual, SWE-bench-extra: lists of tests are JSON inside of a string
    SweBench,
    /// SWE-bench 5: with image, evaluation script and log parser
    #[value(name = "swe-bench-v5")]
    SweBenchV5,
    /// SWE-Gym: real lists
    SweGym,
    /// SWE-smith: the patch plants the bug, and its reverse is gold
    SweSmith,
    /// R2E-Gym: the commit and the expected outcomes are JSON inside of a string
    #[value(name = "r2e-gym")]
    R2eGym,
    /// SWE-rebench V2: with image and test command
    SweRebench,
    /// SWE-bench Pro: columns in small letters, lists in Python's notation
    SweBenchPro,
    /// Multi-SWE-bench: maps of tests
    MultiSweBench,
    /// Rows with `files`, a `folder`, an `archive`, or `git` and a `commit`
    SelfContained,
}

mod rows;

use rows::import_rows;

const STAGE: &str = "data import";
/// How soon a signal is noticed.
const LOOK: Duration = Duration::from_millis(50);

impl ImportFormat {
    /// The format; none where the columns should tell it.
    pub fn format(self) -> Option<Format> {
        match self {
            ImportFormat::Auto => None,
            ImportFormat::SweBench => Some(Format::SweBench),
            ImportFormat::SweBenchV5 => Some(Format::SweBenchV5),
            ImportFormat::SweGym => Some(Format::SweGym),
            ImportFormat::SweSmith => Some(Format::SweSmith),
            ImportFormat::R2eGym => Some(Format::R2eGym),
            ImportFormat::SweRebench => Some(Format::SweRebench),
            ImportFormat::SweBenchPro => Some(Format::SweBenchPro),
            ImportFormat::MultiSweBench => Some(Format::MultiSweBench),
            ImportFormat::SelfContained => Some(Format::SelfContained),
        }
    }
}

/// `train data import`
///
/// # Errors
///
/// As `rows::import_rows`; and when a signal came: then an older result stays as it was.
pub fn run(args: &ImportArgs) -> Result<()> {
    if args.dry_run {
        return import_rows(args).map(drop);
    }
    let paths = args
        .input
        .iter()
        .fold(Paths::new(), |paths, input| paths.reads("IN", input));
    paths.writes_file("--out", &args.out).check()?;
    let Some(journal) = Journal::begin(
        Place::beside_file(&args.out),
        STAGE,
        settings(args)?,
        args.resume,
    )?
    else {
        return Ok(());
    };
    let interrupt = Interrupt::listen()?;
    let (sender, done) = channel();
    let given = args.clone();
    std::thread::spawn(move || sender.send(import_rows(&given)));
    loop {
        match done.recv_timeout(LOOK) {
            Ok(imported) => {
                imported?;
                return journal.finish();
            }
            Err(RecvTimeoutError::Timeout) if interrupt.asked() => {
                let kept = format!(
                    "nothing of `{}` is written, and its rows are read again",
                    args.out.display()
                );
                return Err(Interrupted::new(kept).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the thread that reads rows ended in the middle")
            }
        }
    }
}

/// What the result rests on.
fn settings(args: &ImportArgs) -> Result<Settings> {
    let mut settings = Settings::default()
        .with("from", format!("{:?}", args.from))
        .with("limit", args.limit);
    for input in &args.input {
        let about = input.metadata()?;
        let changed = about
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        settings = settings.with(&format!("size of {}", input.display()), about.len());
        settings = settings.with(&format!("time of {}", input.display()), changed.to_string());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_name() {
        let names: Vec<String> = ImportFormat::value_variants()
            .iter()
            .filter(|one| one.format().is_some())
            .filter_map(|one| {
                one.to_possible_value()
                    .map(|value| value.get_name().to_string())
            })
            .collect();
        assert_eq!(names, Format::ALL.map(Format::name));
    }
}

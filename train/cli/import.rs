//! `train data import`: what can be said to it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use data::source::public::Format;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_name() {
        let names: Vec<String> = ImportFormat::value_variants()
            .iter()
            .filter(|one| one.format().is_some())
            .filter_map(|one| one.to_possible_value().map(|value| value.get_name().to_string()))
            .collect();
        assert_eq!(names, Format::ALL.map(Format::name));
    }
}

//! `train data export`: conversations of anybody in a form that other programs read.
//!
//! In: files of chat rows in any form. Out: JSON lines of `messages` or of sharegpt, or Parquet; whole or not at all. A row
//! that has no place in the form is named.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use data::Role;
use data::file::{FileError, WholeFile};
use data::source::chats::{
    ChatError, Conversation, Example, ExportForm, Form, ParquetFile, PlainPrompt, Turn, Unusable,
    each_example, find_files, to_row,
};

use crate::config::Config;
use crate::run::paths::Paths;
use crate::terminal::plain;

/// `train data export`
#[derive(Args, Clone, Debug)]
pub struct RowsArgs {
    /// The conversations: JSON lines, JSON or Parquet; files, folders or patterns.
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    pub from: Vec<PathBuf>,
    /// The form that is written.
    #[arg(long, value_name = "FORM")]
    pub to: To,
    /// The file that is written.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The form of the rows [default: each row tells by its columns].
    #[arg(long, value_name = "FORM")]
    pub format: Option<Form>,
    /// The run's TOML, for `data.chats`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Replace one value of the config, e.g. `--set data.chats.prompt=chat`. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// A form that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// JSON lines of OpenAI's `messages`.
    Messages,
    /// JSON lines of `conversations` with `from` and `value`.
    Sharegpt,
    /// Parquet with a column `messages`; tools and calls are texts of JSON.
    Parquet,
}

/// Rows that are named.
const NAMED: usize = 5;

/// Where rows go.
enum Out {
    Lines(WholeFile, ExportForm),
    Parquet(Box<ParquetFile>),
}

/// `train data export`
///
/// # Errors
///
/// When a file is none, the disk is full, or a row has no place in the form and may not be left out.
pub fn run(args: &RowsArgs) -> Result<()> {
    let mut settings = match &args.config {
        Some(path) => Config::load(path, &args.set)?,
        None => Config::parse("", &args.set)?,
    }
    .data
    .chats;
    settings.format = args.format.or(settings.format);
    let files = find_files(&args.from)?;
    let paths = Paths::new().writes_file("--out", &args.out);
    files
        .iter()
        .fold(paths, |paths, file| paths.reads_file("--from", file))
        .check()?;
    let mut out = match args.to {
        To::Messages => Out::Lines(WholeFile::create(&args.out)?, ExportForm::Messages),
        To::Sharegpt => Out::Lines(WholeFile::create(&args.out)?, ExportForm::Sharegpt),
        To::Parquet => Out::Parquet(Box::new(ParquetFile::create(&args.out)?)),
    };
    let (mut written, mut refused, mut named) = (0, 0, Vec::new());
    let told = each_example(&files, &settings, &mut |path, row, example| {
        let pushed = match example {
            Ok(example) => out.push(&asked(example, settings.prompt), &args.out)?,
            Err(reason) => Err(reason),
        };
        match pushed {
            Ok(()) => written += 1,
            Err(reason) => {
                refused += 1;
                if named.len() < NAMED {
                    named.push(plain(&format!("`{}`, row {row}: {reason}", path.display())));
                }
            }
        }
        Ok(())
    });
    told.context("while reading conversations")?;
    let rows = written + refused;
    if refused > 0 {
        let told = format!(
            "{refused} of {rows} rows have no place in the form\n{}",
            named.join("\n")
        );
        if settings.bad_rows == Unusable::Refuse {
            bail!(
                "{told}{}",
                data::Hint("repair them, or leave them out: `--set data.chats.bad_rows=drop`")
            );
        }
        eprintln!("{told}\nthey are left out");
    }
    if written == 0 {
        bail!(
            "of {rows} rows none is left to be written{}",
            data::Hint("were the files written to their end?")
        );
    }
    out.finish()?;
    eprintln!("{written} conversations are in `{}`", args.out.display());
    Ok(())
}

/// A prompt and a completion as a question and an answer, where the settings say so.
fn asked(example: Example, prompt: PlainPrompt) -> Example {
    match example {
        Example::Continuation {
            prompt: asked,
            completion,
        } if prompt == PlainPrompt::Chat => {
            let turns = vec![
                Turn::new(Role::User, asked),
                Turn::new(Role::Assistant, completion),
            ];
            Example::Conversation(Conversation {
                turns,
                ..Conversation::default()
            })
        }
        other => other,
    }
}

impl Out {
    /// Adds a row; the inner error says why it has no place.
    fn push(
        &mut self,
        example: &Example,
        path: &std::path::Path,
    ) -> Result<Result<(), String>, ChatError> {
        match self {
            Out::Parquet(file) => file.push(example),
            Out::Lines(file, form) => {
                let row = match to_row(example, *form) {
                    Ok(row) => row,
                    Err(reason) => return Ok(Err(reason)),
                };
                let write = |error| ChatError::from(FileError::new("write", path, error));
                file.write_all(format!("{row}\n").as_bytes())
                    .map_err(write)?;
                Ok(Ok(()))
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Out::Parquet(file) => Ok(file.finish()?),
            Out::Lines(file, _) => Ok(file.finish()?),
        }
    }
}

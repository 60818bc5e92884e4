//! Files of anybody's rows to samples, one batch after the other.
//!
//! In: files, and a [`SampleMaker`]. Out: each row's samples in the order of the rows, or why it makes none; and counts of
//! everything that was left out or changed. Memory does not grow with the rows, but for 16 bytes of each, by which those that
//! came before are found. Batches are tokenized on all cores.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conversation::Example;
use super::form::{Form, recognise};
use super::names::Names;
use super::read;
use super::samples::{Made, SampleMaker, Unmade};
use super::settings::{ChatSettings, PlainPrompt};
use crate::file::FileError;
use crate::sample::Sample;
use crate::source::jsonl::RowError;
use crate::source::rows::{self, Limits, Row};
use crate::store::StoreError;

/// Rows, and letters of them, that are tokenized together.
const BATCH_ROWS: usize = 512;
const BATCH_LETTERS: usize = 8 << 20;
/// Names of columns that are told for a file.
const UNUSED: usize = 16;

/// What becomes of a row.
pub enum Told {
    /// It is learned from, or asked by validation.
    Samples {
        /// Of this row alone.
        samples: Vec<Sample>,
        /// True where it is held out for validation.
        held_out: bool,
        /// Of them, how many were cut and lack an end.
        endless: usize,
    },
    /// It makes no sample.
    Refused {
        /// Its file.
        path: PathBuf,
        /// Counted from 1.
        row: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Why rows cannot be read to their end.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// A file is no file of rows.
    #[error(transparent)]
    Rows(#[from] RowError),
    /// Samples cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Whoever asked wants no more.
    #[error("the reading was stopped")]
    Stopped,
}

/// What was read, made, left out and changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Rows in all files.
    pub rows: usize,
    /// Samples to learn from.
    pub samples: usize,
    /// Samples that validation asks.
    pub validation: usize,
    /// Tokens of both.
    pub tokens: usize,
    /// Of them, those that are trained.
    pub trained: usize,
    /// Rows that make no sample.
    pub refused: usize,
    /// Rows that are too long and were refused for it.
    pub refused_too_long: usize,
    /// Rows that came before.
    pub duplicates: usize,
    /// Samples that were left out because they are too long.
    pub too_long: usize,
    /// Samples that were cut to their length, or split.
    pub cut: usize,
    /// Of the samples, those that the cut left without the end of an answer.
    pub endless: usize,
    /// Pieces in which nothing would be trained.
    pub unlearned: usize,
    /// Answers whose reasoning the template leaves out.
    pub unreasoned: usize,
    /// Turns behind the last one that is trained.
    pub behind: usize,
    /// Samples that a template makes of one conversation, beside the first.
    pub apart: usize,
    /// Prompts and completions that are one text without a chat template.
    pub plain_prompts: usize,
    /// What each file holds.
    pub files: Vec<FileCounts>,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCounts {
    /// The file.
    pub path: PathBuf,
    /// Its rows.
    pub rows: usize,
    /// The rows of each form.
    pub forms: BTreeMap<Form, usize>,
    /// Columns that no form reads.
    pub unused: Vec<String>,
}

impl Counts {
    /// What was left out or changed, and why; for the terminal.
    pub fn remarks(&self) -> Vec<(usize, &'static str)> {
        let all = [
            (
                self.duplicates,
                "rows are left out: the same conversation came before",
            ),
            (
                self.too_long,
                "samples are left out: they are longer than `data.chats.max_tokens` or the model's context",
            ),
            (self.cut, "samples were too long and are cut or split"),
            (
                self.endless,
                "samples have lost the end of an answer by that",
            ),
            (
                self.unlearned,
                "pieces are left out: nothing in them is trained",
            ),
            (
                self.unreasoned,
                "answers lose their reasoning: the chat template leaves it out",
            ),
            (
                self.behind,
                "turns behind the last trained one are left out",
            ),
            (
                self.apart,
                "samples more than rows: the chat template writes earlier answers otherwise later on",
            ),
            (
                self.plain_prompts,
                "prompts and completions are one text, without a chat template",
            ),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).collect()
    }

    fn add(&mut self, made: &Made, held_out: bool) {
        *(if held_out {
            &mut self.validation
        } else {
            &mut self.samples
        }) += made.samples.len();
        self.tokens += made
            .samples
            .iter()
            .map(|sample| sample.tokens.len())
            .sum::<usize>();
        self.trained += made
            .samples
            .iter()
            .flat_map(|sample| &sample.mask)
            .filter(|trained| **trained)
            .count();
        self.too_long += made.too_long;
        self.cut += made.cut;
        self.endless += made.endless;
        self.unlearned += made.unlearned;
        self.unreasoned += made.unreasoned;
        self.behind += made.behind;
        self.apart += made.apart;
    }
}

/// A row that is read and not looked at yet.
struct Item {
    row: usize,
    table: bool,
    value: Result<Row, String>,
}

/// A row that was looked at.
struct Looked {
    row: usize,
    form: Option<Form>,
    plain: bool,
    made: Result<(u128, Made), Unmade>,
}

/// Files, and what becomes of them.
pub struct Build<'a> {
    /// The files.
    pub files: &'a [PathBuf],
    /// How they are read.
    pub settings: &'a ChatSettings,
    /// Makes the samples.
    pub maker: &'a SampleMaker<'a>,
}

impl Build<'_> {
    /// Tells each row to `each`; true from `stop` ends the reading.
    ///
    /// # Errors
    ///
    /// When a file is none, `each` refuses, or it was stopped.
    pub fn run(
        &self,
        stop: &dyn Fn() -> bool,
        each: &mut dyn FnMut(Told) -> Result<(), ChatError>,
    ) -> Result<Counts, ChatError> {
        let (mut counts, mut seen) = (Counts::default(), HashSet::new());
        let names = self.settings.names();
        for path in self.files {
            counts.files.push(FileCounts {
                path: path.clone(),
                ..FileCounts::default()
            });
            batches(path, stop, &mut |batch| {
                self.batch(path, batch, &names, &mut counts, &mut seen, each)
            })?;
        }
        Ok(counts)
    }

    fn batch(
        &self,
        path: &Path,
        batch: Vec<Item>,
        names: &Names,
        counts: &mut Counts,
        seen: &mut HashSet<u128>,
        each: &mut dyn FnMut(Told) -> Result<(), ChatError>,
    ) -> Result<(), ChatError> {
        let table = names.of_table(batch.first().is_some_and(|item| item.table));
        if let (Some(file), Some(item)) = (counts.files.last_mut(), batch.first())
            && file.rows == 0
        {
            file.unused = unused(item, self.settings, &table);
        }
        let looked: Vec<Looked> = batch
            .into_par_iter()
            .map(|item| self.look(path, item, &table))
            .collect();
        for Looked {
            row,
            form,
            plain,
            made,
        } in looked
        {
            counts.rows += 1;
            let file = counts
                .files
                .last_mut()
                .expect("a file was begun before its rows");
            file.rows += 1;
            if let Some(form) = form {
                *file.forms.entry(form).or_default() += 1;
            }
            match made {
                Ok((hash, _)) if self.settings.drop_duplicates && !seen.insert(hash) => {
                    counts.duplicates += 1
                }
                Ok((hash, made)) => {
                    let held_out = held_out(hash, self.settings.validation);
                    counts.add(&made, held_out);
                    counts.plain_prompts += usize::from(plain);
                    each(Told::Samples {
                        endless: made.endless,
                        samples: made.samples,
                        held_out,
                    })?;
                }
                Err(unmade) => {
                    counts.refused += 1;
                    counts.refused_too_long += usize::from(matches!(unmade, Unmade::TooLong(_)));
                    let (Unmade::Bad(reason) | Unmade::TooLong(reason)) = unmade;
                    each(Told::Refused {
                        path: path.to_path_buf(),
                        row,
                        reason,
                    })?;
                }
            }
        }
        Ok(())
    }

    fn look(&self, path: &Path, item: Item, names: &Names) -> Looked {
        let row = item.row;
        let (form, example) = example(item.value, self.settings, names);
        let plain = matches!(&example, Ok(Example::Continuation { .. }))
            && self.settings.prompt == PlainPrompt::Text;
        let origin = || format!("{}, row {row}", path.display());
        let made = example.map_err(Unmade::Bad).and_then(|example| {
            self.maker
                .make(&example, &origin())
                .map(|made| (example.hash(), made))
        });
        Looked {
            row,
            form,
            plain,
            made,
        }
    }
}

/// Takes a file, the number of a row in it, and its example or why it is none; an error ends the reading.
pub type EachExample<'a> =
    dyn FnMut(&Path, usize, Result<Example, String>) -> Result<(), ChatError> + 'a;

/// Tells the example of each row of `files` to `each`, or why it is none, without making samples.
///
/// # Errors
///
/// When a file is none, or `each` refuses.
pub fn each_example(
    files: &[PathBuf],
    settings: &ChatSettings,
    each: &mut EachExample,
) -> Result<(), ChatError> {
    let names = settings.names();
    for path in files {
        batches(path, &|| false, &mut |batch| {
            let table = names.of_table(batch.first().is_some_and(|item| item.table));
            batch.into_iter().try_for_each(|item| {
                let row = item.row;
                each(path, row, example(item.value, settings, &table).1)
            })
        })?;
    }
    Ok(())
}

/// A row in the form that is said, or that its columns tell.
fn example(
    value: Result<Row, String>,
    settings: &ChatSettings,
    names: &Names,
) -> (Option<Form>, Result<Example, String>) {
    let row = match value {
        Ok(row) => row,
        Err(reason) => return (None, Err(reason)),
    };
    match settings.format.map_or_else(|| recognise(&row, names), Ok) {
        Ok(form) => (Some(form), read(&row, form, names)),
        Err(reason) => (None, Err(reason)),
    }
}

/// Reads a file batch by batch.
fn batches(
    path: &Path,
    stop: &dyn Fn() -> bool,
    each: &mut dyn FnMut(Vec<Item>) -> Result<(), ChatError>,
) -> Result<(), ChatError> {
    let (mut batch, mut held, mut fault) = (Vec::new(), 0, None);
    let ended = || RowError::Broken {
        path: path.to_path_buf(),
        reason: "the reading ended early".to_string(),
    };
    let read = rows::each_row(path, &Limits::default(), &mut |found| {
        let value = found.value.map_err(|fault| fault.reason);
        held += value
            .as_ref()
            .map_or(0, |row| row.values().map(letters).sum());
        batch.push(Item {
            row: found.row,
            table: found.offset.is_none(),
            value,
        });
        if batch.len() < BATCH_ROWS && held < BATCH_LETTERS {
            return Ok(());
        }
        held = 0;
        let told = if stop() {
            Err(ChatError::Stopped)
        } else {
            each(std::mem::take(&mut batch))
        };
        told.map_err(|error| {
            fault = Some(error);
            ended()
        })
    });
    if let Some(error) = fault {
        return Err(error);
    }
    // A list that is torn at its end is told behind the rows before it.
    let torn = match read {
        Err(RowError::Torn { row, reason, .. }) => Some(Item {
            row,
            table: false,
            value: Err(reason),
        }),
        other => {
            other?;
            None
        }
    };
    batch.extend(torn);
    if stop() {
        return Err(ChatError::Stopped);
    }
    if batch.is_empty() {
        Ok(())
    } else {
        each(batch)
    }
}

/// About how long a value is.
fn letters(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(letters).sum::<usize>() + 8,
        Value::Object(fields) => {
            fields
                .iter()
                .map(|(name, value)| name.len() + letters(value))
                .sum::<usize>()
                + 8
        }
        _ => 8,
    }
}

/// The columns of a row that its form does not read.
fn unused(item: &Item, settings: &ChatSettings, names: &Names) -> Vec<String> {
    let Ok(row) = &item.value else {
        return Vec::new();
    };
    let Some(form) = settings.format.or_else(|| recognise(row, names).ok()) else {
        return Vec::new();
    };
    let read: Vec<&str> = form
        .columns()
        .iter()
        .map(|column| names.theirs(column))
        .collect();
    row.keys()
        .filter(|name| !read.contains(&name.as_str()))
        .take(UNUSED)
        .cloned()
        .collect()
}

/// Whether a conversation is held out: the same one always is, whatever stands around it.
fn held_out(hash: u128, share: f64) -> bool {
    let drawn = (hash >> 75) as u64;
    (drawn as f64) < share * (1u64 << 53) as f64
}

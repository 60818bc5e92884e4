//! What is known of files, kept from one look to the next.
//!
//! In: files. Out: their words and symbols. A file whose size and time are those of the last look is not read again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::symbols::{Symbols, language_of, symbols};
use super::words::words;
use crate::file::{FileError, write_whole};

/// The format number of the cache; another one is begun anew.
const FORMAT: u32 = 1;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// How often each word stands there; its path counts too.
    pub words: HashMap<String, u32>,
    /// Words in all.
    pub length: usize,
    pub symbols: Symbols,
}

/// A file as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    bytes: u64,
    nanoseconds: u128,
    /// None where it is no text.
    facts: Option<Facts>,
}

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    format: u32,
    files: HashMap<String, Seen>,
}

pub(super) struct Cache {
    before: HashMap<String, Seen>,
    now: HashMap<String, Seen>,
    changed: bool,
}

impl Cache {
    /// What is stored; nothing where it is missing, damaged or of another format.
    pub fn read(path: Option<&Path>) -> Cache {
        let stored = path
            .and_then(|path| fs::read(path).ok())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let stored: Stored = stored.unwrap_or_default();
        let before = if stored.format == FORMAT {
            stored.files
        } else {
            HashMap::new()
        };
        Cache {
            before,
            now: HashMap::new(),
            changed: false,
        }
    }

    /// The facts of files, without those that are no text. What is new is read on all cores.
    pub fn facts(&mut self, files: Vec<(String, PathBuf)>) -> Vec<(String, Facts)> {
        let look = |(name, path): (String, PathBuf)| {
            let (seen, is_new) = self.look(&name, &path)?;
            Some((name, seen, is_new))
        };
        let looked: Vec<(String, Seen, bool)> = files.into_par_iter().filter_map(look).collect();
        let mut found = Vec::with_capacity(looked.len());
        for (name, seen, is_new) in looked {
            self.changed |= is_new;
            self.before.remove(&name);
            found.extend(seen.facts.clone().map(|facts| (name.clone(), facts)));
            self.now.insert(name, seen);
        }
        found
    }

    /// A file as it is, and whether that is news.
    fn look(&self, name: &str, path: &Path) -> Option<(Seen, bool)> {
        let about = fs::metadata(path).ok()?;
        let since = about
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let (bytes, nanoseconds) = (about.len(), since.unwrap_or_default().as_nanos());
        match self.before.get(name) {
            Some(seen) if seen.bytes == bytes && seen.nanoseconds == nanoseconds => {
                Some((seen.clone(), false))
            }
            _ => {
                let facts = fs::read_to_string(path)
                    .ok()
                    .map(|text| facts_of(name, &text));
                Some((
                    Seen {
                        bytes,
                        nanoseconds,
                        facts,
                    },
                    true,
                ))
            }
        }
    }

    /// Keeps what was seen now, where that is something else.
    pub fn write(self, path: Option<&Path>) -> Result<(), FileError> {
        // What is left of before is gone.
        let Some(path) = path.filter(|_| self.changed || !self.before.is_empty()) else {
            return Ok(());
        };
        let stored = Stored {
            format: FORMAT,
            files: self.now,
        };
        let bytes = serde_json::to_vec(&stored).expect("maps with text as keys have a JSON form");
        write_whole(path, &bytes)
    }
}

fn facts_of(name: &str, text: &str) -> Facts {
    let (mut counts, mut length) = (HashMap::new(), 0);
    for part in [name, text] {
        words(part, &mut |word| {
            *counts.entry(word).or_default() += 1;
            length += 1;
        });
    }
    let symbols = language_of(name)
        .map(|language| symbols(language, text))
        .unwrap_or_default();
    Facts {
        words: counts,
        length,
        symbols,
    }
}

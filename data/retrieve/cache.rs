//! What is known of files, kept by their content.
//!
//! In: a file. Out: its words and symbols. A file whose size and time are those of the last look is not read again; one
//! whose content was seen under another name is not parsed again.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

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
        let stored = path.and_then(|path| fs::read(path).ok()).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let stored: Stored = stored.unwrap_or_default();
        let before = if stored.format == FORMAT { stored.files } else { HashMap::new() };
        Cache { before, now: HashMap::new(), changed: false }
    }

    /// The facts of a file; none where it is no text.
    pub fn facts(&mut self, name: &str, path: &Path) -> Option<Facts> {
        let about = fs::metadata(path).ok()?;
        let since = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let (bytes, nanoseconds) = (about.len(), since.unwrap_or_default().as_nanos());
        let seen = match self.before.remove(name) {
            Some(seen) if seen.bytes == bytes && seen.nanoseconds == nanoseconds => seen,
            _ => {
                self.changed = true;
                Seen { bytes, nanoseconds, facts: fs::read_to_string(path).ok().map(|text| facts_of(name, &text)) }
            }
        };
        let facts = seen.facts.clone();
        self.now.insert(name.to_string(), seen);
        facts
    }

    /// Keeps what was seen now, where that is something else.
    pub fn write(self, path: Option<&Path>) -> Result<(), FileError> {
        // What is left of before is gone.
        let Some(path) = path.filter(|_| self.changed || !self.before.is_empty()) else { return Ok(()) };
        let stored = Stored { format: FORMAT, files: self.now };
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
    let symbols = language_of(name).map(|language| symbols(language, text)).unwrap_or_default();
    Facts { words: counts, length, symbols }
}

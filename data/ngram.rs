//! Decontamination by word n-grams: does a text share thirteen words in a row with an evaluation set?
//!
//! In: rows of evaluation sets, as JSON lines of any form. Out: for a text, whether it holds one of their 13-grams (Brown et
//! al., arXiv 2005.14165, appendix C). Words are runs of letters, digits and `_`, in lower case; signs do not count.
//! Example: a repair whose comment quotes a problem statement of a benchmark is found, one that calls the same function
//! is not.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use crate::draw;

/// Words of one n-gram.
const WORDS: usize = 13;

/// The n-grams of evaluation sets.
#[derive(Clone, Debug, Default)]
pub struct Ngrams {
    hashes: HashSet<u64>,
}

/// Why the rows of an evaluation set cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NgramError {
    /// The file cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Io {
        /// The file.
        path: String,
        /// What was said.
        source: std::io::Error,
    },
    /// A line is no JSON.
    #[error("`{path}`, line {line}: {source}")]
    Json {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// What was said.
        source: serde_json::Error,
    },
}

impl Ngrams {
    /// Takes in every text of a file of JSON lines, whatever its keys are called. Returns how many rows it has.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a line is no JSON.
    pub fn take_rows(&mut self, path: &Path) -> Result<usize, NgramError> {
        let text = std::fs::read_to_string(path).map_err(|source| NgramError::Io {
            path: path.display().to_string(),
            source,
        })?;
        let mut rows = 0;
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let row: Value = serde_json::from_str(line).map_err(|source| NgramError::Json {
                path: path.display().to_string(),
                line: at + 1,
                source,
            })?;
            self.take_strings(&row);
            rows += 1;
        }
        Ok(rows)
    }

    /// Takes in one text.
    pub fn take(&mut self, text: &str) {
        self.hashes.extend(hashes(text));
    }

    /// Whether a text holds an n-gram that was taken in.
    pub fn occurs_in(&self, text: &str) -> bool {
        !self.hashes.is_empty() && hashes(text).any(|hash| self.hashes.contains(&hash))
    }

    /// Distinguishes two sets: how many n-grams there are, and the sum of their hashes.
    pub fn fingerprint(&self) -> String {
        let sum = self
            .hashes
            .iter()
            .fold(0_u64, |sum, hash| sum.wrapping_add(*hash));
        format!("{}-{sum:016x}", self.hashes.len())
    }

    fn take_strings(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.take(text),
            Value::Array(values) => values.iter().for_each(|value| self.take_strings(value)),
            Value::Object(fields) => fields.values().for_each(|value| self.take_strings(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// One hash for each run of [`WORDS`] words.
fn hashes(text: &str) -> impl Iterator<Item = u64> {
    let words: Vec<u64> = text
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
        .map(word_hash)
        .collect();
    let runs = words.len().saturating_sub(WORDS - 1);
    (0..runs).map(move |at| draw::key(0x6e67_7261, &words[at..at + WORDS]))
}

fn word_hash(word: &str) -> u64 {
    let hash = blake3::hash(word.to_lowercase().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWELVE: &str = "one two three four five six seven eight nine ten eleven twelve";

    #[test]
    fn thirteen_words_in_a_row_are_found_and_twelve_are_not() {
        let mut ngrams = Ngrams::default();
        ngrams.take(&format!("So: {TWELVE}, thirteen!"));
        assert!(ngrams.occurs_in(&format!("+# {} THIRTEEN", TWELVE.to_uppercase())));
        assert!(!ngrams.occurs_in(TWELVE));
        assert!(!ngrams.occurs_in(&format!("{TWELVE} fourteen")));
        assert!(!Ngrams::default().occurs_in(&format!("{TWELVE} thirteen")));
    }

    #[test]
    fn every_text_of_a_row_counts_and_a_bad_line_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.jsonl");
        let row = format!("{{\"turns\": [{{\"content\": \"{TWELVE} thirteen\"}}], \"n\": 3}}\n\n");
        std::fs::write(&path, &row).expect("a file");
        let mut ngrams = Ngrams::default();
        assert_eq!(ngrams.take_rows(&path).expect("reads"), 1);
        assert!(ngrams.occurs_in(&format!("{TWELVE} thirteen")));
        std::fs::write(&path, row + "{\n").expect("a file");
        let error = ngrams.take_rows(&path).expect_err("no JSON").to_string();
        assert!(error.contains("rows.jsonl`, line 3: "), "{error}");
        let missing = ngrams.take_rows(&folder.path().join("none"));
        assert!(
            missing
                .expect_err("no file")
                .to_string()
                .contains("cannot be read")
        );
    }
}

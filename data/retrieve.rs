//! Files that an issue is about: words, symbols, paths and stack traces; no network.
//!
//! In: a tree, the text of an issue and the tests that fail. Out: files, the most related first, each with its reasons.
//! Example: an issue that says `File "money/tax.py", line 12` puts `money/tax.py` first, because of the stack trace.
//!
//! Words are weighed by BM25 (Robertson and Zaragoza 2009) with k1 = 1.2 and b = 0.75 over identifiers and their parts.
//! Evidence is added in the unit of the best BM25 score of the tree, so that a named file precedes a similar one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use crate::file::FileError;
use crate::patch::is_guarded;
use crate::source::functions::{below, walk};

mod cache;
pub mod evidence;
pub mod symbols;
pub mod words;

use cache::{Cache, Facts};
pub use symbols::{Symbol, Symbols, language_of};

/// BM25: how soon more of the same word stops to count.
const K1: f64 = 1.2;
/// BM25: how much the length of a file counts.
const B: f64 = 0.75;
/// Larger files are data.
const MOST_BYTES: u64 = 1 << 20;
/// An issue is read up to here; what follows is a log.
const MOST_ISSUE: usize = 256 << 10;

/// What evidence is worth, in the best BM25 score of the tree.
mod worth {
    /// A frame of a stack trace, for each part of the path that agrees.
    pub const FRAME: f64 = 1.0;
    /// A path that is named.
    pub const NAMED: f64 = 1.0;
    /// A symbol that the issue names, where few files define it.
    pub const SYMBOL: f64 = 0.5;
    /// A symbol that a failing test uses.
    pub const USED: f64 = 0.5;
    /// A module that a failing test imports.
    pub const IMPORTED: f64 = 0.4;
}

/// Why a file is related.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Its words are those of the issue; the weightiest ones.
    Words(Vec<String>),
    /// A stack trace of the issue goes through it.
    StackTrace {
        /// The line, if it is known.
        line: Option<usize>,
    },
    /// The issue names it.
    Named,
    /// It defines what the issue names.
    Defines(Symbol),
    /// It defines what a failing test uses.
    UsedByTest(Symbol),
    /// A failing test imports it.
    ImportedByTest(String),
}

impl Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Words(words) => write!(formatter, "words: {}", words.join(", ")),
            Reason::StackTrace { line: Some(line) } => {
                write!(formatter, "stack trace, line {line}")
            }
            Reason::StackTrace { line: None } => write!(formatter, "stack trace"),
            Reason::Named => write!(formatter, "named in the issue"),
            Reason::Defines(Symbol { name, line }) => {
                write!(formatter, "defines `{name}` (line {line})")
            }
            Reason::UsedByTest(Symbol { name, line }) => {
                write!(formatter, "a failing test uses `{name}` (line {line})")
            }
            Reason::ImportedByTest(test) => write!(formatter, "imported by {test}"),
        }
    }
}

/// A file and what relates it to an issue.
#[derive(Clone, Debug, PartialEq)]
pub struct Related {
    /// Path below the tree, with `/`.
    pub path: String,
    /// Larger is more related.
    pub score: f64,
    /// The weightiest first.
    pub reasons: Vec<Reason>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// The text of the issue.
    pub issue: &'a str,
    /// Ids of the tests that fail.
    pub tests: &'a [String],
}

/// The files of a tree and what they hold.
#[derive(Debug)]
pub struct Index {
    root: PathBuf,
    files: Vec<(String, Facts)>,
    /// In how many files each word stands.
    spread: HashMap<String, usize>,
    mean_words: f64,
}

impl Index {
    /// Reads the text files below `root`. What `cache` holds of unchanged files is not parsed again; it is written anew
    /// where something changed.
    ///
    /// # Errors
    ///
    /// When a folder cannot be listed, or the cache cannot be written.
    pub fn build(root: &Path, cache: Option<&Path>) -> Result<Index, FileError> {
        let keep = |name: &str| {
            ![
                "__pycache__",
                "node_modules",
                "site-packages",
                "dist-packages",
            ]
            .contains(&name)
        };
        let mut known = Cache::read(cache);
        let paths = walk(root, &keep)?
            .into_iter()
            .map(|path| (below(root, &path), path));
        let small = |(_, path): &(String, PathBuf)| {
            path.metadata().is_ok_and(|about| about.len() <= MOST_BYTES)
        };
        let files = known.facts(paths.filter(small).collect());
        known.write(cache)?;
        let mut spread: HashMap<String, usize> = HashMap::new();
        for word in files.iter().flat_map(|(_, facts)| facts.words.keys()) {
            *spread.entry(word.clone()).or_default() += 1;
        }
        let all: usize = files.iter().map(|(_, facts)| facts.length).sum();
        let mean_words = all as f64 / files.len().max(1) as f64;
        Ok(Index {
            root: root.to_path_buf(),
            files,
            spread,
            mean_words,
        })
    }

    /// Every file, in the order of the paths.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(path, _)| path.as_str())
    }

    /// Every symbol with its file.
    pub fn symbols(&self) -> impl Iterator<Item = (&str, &Symbol)> {
        self.files.iter().flat_map(|(path, facts)| {
            facts
                .symbols
                .defined
                .iter()
                .map(move |symbol| (path.as_str(), symbol))
        })
    }

    /// Where a name is defined, outside of tests: files with the symbol. A qualified name has to agree in all parts.
    pub fn definitions(&self, name: &str) -> Vec<(&str, &Symbol)> {
        let mut found = Vec::new();
        for (path, facts) in self.files.iter().filter(|(path, _)| !is_guarded(path)) {
            let same = facts
                .symbols
                .defined
                .iter()
                .filter(|symbol| symbol.name == name || symbol.short() == name);
            found.extend(same.map(|symbol| (path.as_str(), symbol)));
        }
        found
    }

    /// The most related files, at most so many. Tests and what configures them are left out.
    pub fn related(&self, query: &Query<'_>, most: usize) -> Vec<Related> {
        let issue = cut(query.issue);
        let mut scores = self.by_words(issue);
        let unit = scores
            .values()
            .map(|related| related.score)
            .fold(0.0, f64::max)
            .max(1.0);
        let mut add = |path: &str, worth: f64, reason: Reason| {
            let related = scores.entry(path.to_string()).or_insert_with(|| Related {
                path: path.to_string(),
                score: 0.0,
                reasons: Vec::new(),
            });
            related.score += worth * unit;
            // Words come last: evidence says more.
            let place = related.reasons.len()
                - usize::from(matches!(related.reasons.last(), Some(Reason::Words(_))));
            related.reasons.insert(place, reason);
        };
        self.by_place(issue, &mut add);
        self.by_symbol(issue, &mut add);
        self.by_test(query.tests, &mut add);
        let mut related: Vec<Related> = scores
            .into_values()
            .filter(|related| !is_guarded(&related.path))
            .collect();
        related.sort_by(|one, other| {
            other
                .score
                .total_cmp(&one.score)
                .then_with(|| one.path.cmp(&other.path))
        });
        related.truncate(most);
        related
    }

    /// BM25 of every file that shares a word with the issue.
    pub fn by_words(&self, issue: &str) -> BTreeMap<String, Related> {
        let mut asked = HashSet::new();
        words::words(cut(issue), &mut |word| {
            asked.insert(word);
        });
        let mut scores = BTreeMap::new();
        for (path, facts) in &self.files {
            let mut weights: Vec<(f64, &String)> = asked
                .iter()
                .filter_map(|word| Some((self.weight(word, facts)?, word)))
                .collect();
            if weights.is_empty() {
                continue;
            }
            weights
                .sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(other.1)));
            let score = weights.iter().map(|(weight, _)| weight).sum();
            let told = weights
                .iter()
                .take(5)
                .map(|(_, word)| (*word).clone())
                .collect();
            scores.insert(
                path.clone(),
                Related {
                    path: path.clone(),
                    score,
                    reasons: vec![Reason::Words(told)],
                },
            );
        }
        scores
    }

    /// One term of BM25.
    fn weight(&self, word: &str, facts: &Facts) -> Option<f64> {
        let count = f64::from(*facts.words.get(word)?);
        let (files, with) = (self.files.len() as f64, self.spread[word] as f64);
        let rare = (1.0 + (files - with + 0.5) / (with + 0.5)).ln();
        let length = 1.0 - B + B * facts.length as f64 / self.mean_words.max(1.0);
        Some(rare * count * (K1 + 1.0) / (count + K1 * length))
    }

    fn by_place(&self, issue: &str, add: &mut dyn FnMut(&str, f64, Reason)) {
        let mut seen = HashSet::new();
        for place in evidence::places(issue) {
            let shared = |path: &str| evidence::shared_parts(path, &place.path);
            let most = self.paths().map(shared).max().unwrap_or(0);
            let all: Vec<&str> = self
                .paths()
                .filter(|path| most > 0 && shared(path) == most)
                .collect();
            // A name that many files share says little about each.
            for path in all
                .iter()
                .filter(|path| seen.insert((path.to_string(), place.line.is_some())))
            {
                let (worth, reason) = match place.line {
                    Some(_) => (worth::FRAME, Reason::StackTrace { line: place.line }),
                    None => (worth::NAMED, Reason::Named),
                };
                add(path, worth / all.len() as f64, reason);
            }
        }
    }

    fn by_symbol(&self, issue: &str, add: &mut dyn FnMut(&str, f64, Reason)) {
        self.by_names(&identifiers(issue), worth::SYMBOL, &Reason::Defines, add);
    }

    /// Files that define what tests use, and modules that tests import.
    fn by_test(&self, tests: &[String], add: &mut dyn FnMut(&str, f64, Reason)) {
        let of: HashSet<&str> = tests
            .iter()
            .map(|test| crate::task::file_of(test))
            .collect();
        let mut of: Vec<&str> = of.into_iter().collect();
        of.sort_unstable();
        for test in of {
            let Ok(text) = std::fs::read_to_string(self.root.join(test)) else {
                continue;
            };
            let called = tests.iter().filter(|id| crate::task::file_of(id) == test);
            let bodies: Vec<String> = called.filter_map(|id| body_of(&text, id)).collect();
            let used = if bodies.is_empty() {
                text.clone()
            } else {
                bodies.join("\n")
            };
            self.by_names(&identifiers(&used), worth::USED, &Reason::UsedByTest, add);
            let Some(language) = language_of(test) else {
                continue;
            };
            let mut seen = HashSet::new();
            for module in symbols::symbols(language, &text).imported {
                let found = self.paths().find(|path| is_module(path, &module, test));
                if let Some(path) = found.filter(|path| seen.insert(path.to_string())) {
                    add(
                        path,
                        worth::IMPORTED,
                        Reason::ImportedByTest(test.to_string()),
                    );
                }
            }
        }
    }

    fn by_names(
        &self,
        names: &HashSet<&str>,
        worth: f64,
        reason: &dyn Fn(Symbol) -> Reason,
        add: &mut dyn FnMut(&str, f64, Reason),
    ) {
        let mut defined: BTreeMap<&str, Vec<(&str, &Symbol)>> = BTreeMap::new();
        for (path, facts) in self.files.iter().filter(|(path, _)| !is_guarded(path)) {
            for symbol in facts
                .symbols
                .defined
                .iter()
                .filter(|symbol| names.contains(symbol.short()))
            {
                defined
                    .entry(symbol.short())
                    .or_default()
                    .push((path, symbol));
            }
        }
        for places in defined.values() {
            for (path, symbol) in places {
                add(path, worth / places.len() as f64, reason((*symbol).clone()));
            }
        }
    }
}

/// Identifiers that could name a symbol: with more than two letters.
fn identifiers(text: &str) -> HashSet<&str> {
    let apart = |letter: char| !letter.is_alphanumeric() && letter != '_';
    text.split(apart)
        .filter(|word| word.len() > 2 && !word.starts_with(|letter: char| letter.is_numeric()))
        .collect()
}

/// The lines of the function that a test id names.
fn body_of(text: &str, id: &str) -> Option<String> {
    let name = id.rsplit("::").next()?.split('[').next()?;
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &&str| {
        line.trim_start()
            .trim_start_matches("async ")
            .starts_with(&format!("def {name}("))
    };
    let first = lines.iter().position(begins)?;
    let depth = lines[first].len() - lines[first].trim_start().len();
    let inside =
        |line: &&&str| line.trim().is_empty() || line.len() - line.trim_start().len() > depth;
    let count = 1 + lines[first + 1..].iter().take_while(inside).count();
    Some(lines[first..first + count].join("\n"))
}

/// Whether a file is the module that a test names: `money.tax` is `money/tax.py` or `src/money/tax/__init__.py`.
fn is_module(path: &str, module: &str, test: &str) -> bool {
    let Some((stem, _)) = path.rsplit_once('.') else {
        return false;
    };
    if let Some(near) = module.strip_prefix("./").or(module.strip_prefix("../")) {
        let near = near.trim_start_matches("../");
        let near = near
            .rsplit_once('.')
            .filter(|(_, ending)| ["js", "mjs", "cjs", "jsx"].contains(ending))
            .map_or(near, |(near, _)| near);
        return stem == near
            || stem.ends_with(&format!("/{near}"))
            || stem == format!("{near}/index");
    }
    let named = module.trim_start_matches('.').replace('.', "/");
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let folder = test.rsplit_once('/').map_or("", |(folder, _)| folder);
    !named.is_empty()
        && path.ends_with(".py")
        && (stem == named
            || stem
                .strip_suffix(&named)
                .is_some_and(|before| before == "src/" || before == format!("{folder}/")))
}

fn cut(issue: &str) -> &str {
    let mut end = issue.len().min(MOST_ISSUE);
    while !issue.is_char_boundary(end) {
        end -= 1;
    }
    &issue[..end]
}

#[cfg(test)]
mod tests;

//! What a rule finds: the words of its pattern, and the place in the repository that its condition asks for.

use std::collections::BTreeMap;

use data::retrieve::evidence::shared_parts;
use regex::Regex;

use super::{Case, Condition, requirements};

/// Lines of source that are quoted on either side.
const QUOTED: usize = 2;
/// Names with at most so many letters exchanged, left out or put in are alike.
const ALIKE: usize = 2;

/// What a rule can quote.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub words: BTreeMap<String, String>,
    pub path: Option<String>,
    pub requirement: Option<String>,
}

impl Found {
    fn say(&mut self, name: &str, value: impl ToString) {
        self.words.insert(name.to_string(), value.to_string());
    }

    fn word(&self, name: &str) -> Option<String> {
        self.words.get(name).cloned()
    }

    /// The place that was found, with the lines around it.
    fn at(mut self, path: &str, line: usize, case: &Case<'_>) -> Found {
        self.say("path", path);
        self.say("line", line);
        self.say("source", quoted(case, path, line));
        self.path = Some(path.to_string());
        self
    }
}

/// What the pattern and the condition of a rule find in a case; none where it has nothing to say.
pub(super) fn found(
    condition: Condition,
    pattern: Option<&Regex>,
    case: &Case<'_>,
) -> Option<Found> {
    let mut found = Found::default();
    if let Some(pattern) = pattern {
        let captures = pattern.captures(case.said)?;
        for name in pattern.capture_names().flatten() {
            found.say(
                name,
                captures.name(name).map_or("?", |group| group.as_str()),
            );
        }
    }
    match condition {
        Condition::Always => Some(anywhere(found, case)),
        Condition::Declared => declared(found, case),
        Condition::Module => module(found, case),
        Condition::Defined => {
            let name = found.word("name")?;
            let (path, symbol) = case.index.definitions(&name).into_iter().next()?;
            Some(found.at(path, symbol.line, case))
        }
        Condition::Similar => similar(found, case),
        Condition::File => file(found, case),
    }
}

/// Where a file and a line are told, the file of the repository that they mean.
fn anywhere(mut found: Found, case: &Case<'_>) -> Found {
    let line = found
        .word("at")
        .and_then(|line| line.parse().ok())
        .unwrap_or(1);
    let path = found
        .word("file")
        .and_then(|file| in_repository(case, &file));
    match path {
        Some(path) => found.at(&path, line, case),
        None => {
            for name in ["path", "line", "source"] {
                found.say(name, "?");
            }
            found
        }
    }
}

/// The path of the repository that shares most of its end with `named`.
fn in_repository(case: &Case<'_>, named: &str) -> Option<String> {
    let paths = case.index.paths().chain(case.tree.made());
    let best = paths
        .map(|path| (shared_parts(path, named), path))
        .filter(|(shared, _)| *shared > 0);
    best.max_by_key(|(shared, path)| (*shared, std::cmp::Reverse(path.len())))
        .map(|(_, path)| path.to_string())
}

fn declared(mut found: Found, case: &Case<'_>) -> Option<Found> {
    if !case.installs {
        return None;
    }
    let module = found.word("module")?;
    let requirement = requirements::declares(case.tree.root(), &module)?;
    found.say("found", &requirement);
    found.requirement = Some(requirement);
    Some(found)
}

fn module(found: Found, case: &Case<'_>) -> Option<Found> {
    let module = found.word("module")?;
    let last = module.rsplit('.').next()?;
    let is = |path: &&str| {
        let stem = path.strip_suffix(".py").unwrap_or_default();
        let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
        stem.rsplit('/').next() == Some(last)
    };
    let path = case
        .index
        .paths()
        .filter(|path| !data::patch::is_guarded(path))
        .find(is)?
        .to_string();
    Some(found.at(&path, 1, case))
}

fn similar(mut found: Found, case: &Case<'_>) -> Option<Found> {
    let name = found.word("name")?;
    let plain = |name: &str| name.to_lowercase().replace('_', "");
    let wanted = plain(&name);
    let sources = case
        .index
        .symbols()
        .filter(|(path, _)| !data::patch::is_guarded(path));
    let distance = |short: &str| strsim::levenshtein(&wanted, &plain(short));
    let alike = sources.map(|(path, symbol)| (distance(symbol.short()), path, symbol));
    let alike = alike.filter(|(far, _, symbol)| *far <= ALIKE && symbol.short() != name);
    let (_, path, symbol) = alike.min_by_key(|(far, path, symbol)| (*far, *path, symbol.line))?;
    let (path, symbol) = (path.to_string(), symbol.clone());
    found.say("found", &symbol.name);
    Some(found.at(&path, symbol.line, case))
}

fn file(mut found: Found, case: &Case<'_>) -> Option<Found> {
    let named = found.word("file")?;
    let path = in_repository(case, &named)?;
    // Paths of the sandbox are no news.
    let told = named.rsplit('/').next().unwrap_or(&named).to_string();
    if path == named {
        return None;
    }
    found.say("file", told);
    Some(found.at(&path, 1, case))
}

fn quoted(case: &Case<'_>, path: &str, line: usize) -> String {
    let Some(text) = case.tree.read(path) else {
        return String::new();
    };
    let first = line.saturating_sub(QUOTED + 1);
    let lines = text.lines().enumerate().skip(first).take(2 * QUOTED + 1);
    lines
        .map(|(at, text)| format!("{}|{text}", at + 1))
        .collect::<Vec<_>>()
        .join("\n")
}

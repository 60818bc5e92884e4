//! Questions to the judge: each content once, what does not parse never, and no more than the budget allows.

use std::collections::HashMap;
use std::time::Instant;

use super::ddmin::{Unit, ddmin};
use super::syntax::Syntax;
use super::{Cost, Judge, MinimizeError, Tests, Verdict};
use crate::patch::{Part, Patch};
use crate::source::plant::JudgeError;

/// Why a search ends before it is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// No question is left.
    Budget,
    /// The judge failed.
    Judge(JudgeError),
}

impl Stop {
    /// As an error of the whole search, where the budget cannot be at its end.
    pub(super) fn error(self) -> MinimizeError {
        match self {
            Stop::Budget => MinimizeError::Budget(0),
            Stop::Judge(error) => MinimizeError::Judge(error),
        }
    }
}

/// The files of a part of the patch, as a hash.
type Content = [u8; 32];

/// One search.
pub(super) struct Search<'a, 'j> {
    whole: &'a Patch,
    parts: &'a [Part],
    read: &'a dyn Fn(&str) -> Option<String>,
    judge: &'a mut Judge<'j>,
    syntax: Syntax,
    known: HashMap<(Content, Tests), Verdict>,
    budget: usize,
    /// Questions that are kept back.
    pub(super) reserve: usize,
    /// The fewest lines that passed so far.
    pub(super) best: Option<Vec<usize>>,
    pub(super) cost: Cost,
}

impl<'a, 'j> Search<'a, 'j> {
    pub(super) fn new(
        whole: &'a Patch,
        parts: &'a [Part],
        read: &'a dyn Fn(&str) -> Option<String>,
        judge: &'a mut Judge<'j>,
        budget: usize,
    ) -> Self {
        let syntax = Syntax::new(whole, read);
        let (known, cost) = (HashMap::new(), Cost::default());
        Search {
            whole,
            parts,
            read,
            judge,
            syntax,
            known,
            budget,
            reserve: 0,
            best: None,
            cost,
        }
    }

    /// What the tests say about these parts.
    pub(super) fn ask(&mut self, parts: &[usize], tests: Tests) -> Result<Verdict, Stop> {
        let patch = self.patch(parts);
        let Ok(changes) = patch.apply(self.read) else {
            return Ok(Verdict::Unresolved);
        };
        let content = hash(&changes);
        if let Some(verdict) = self.known.get(&(content, tests)) {
            self.cost.cached += 1;
            return Ok(*verdict);
        }
        if !self.syntax.may_parse(&changes) {
            self.cost.unparsed += 1;
            self.known.insert((content, tests), Verdict::Unresolved);
            return Ok(Verdict::Unresolved);
        }
        if self.cost.calls + self.reserve >= self.budget {
            return Err(Stop::Budget);
        }
        self.cost.calls += 1;
        let started = Instant::now();
        let verdict = (self.judge)(&patch, tests);
        self.cost.judging += started.elapsed();
        let verdict = verdict.map_err(Stop::Judge)?;
        self.known.insert((content, tests), verdict);
        // Who passes all passes some.
        if (tests, verdict) == (Tests::All, Verdict::Passes) {
            self.known.insert((content, Tests::FailToPass), verdict);
        }
        Ok(verdict)
    }

    /// Whether these parts pass all tests: those that have to turn green are asked first.
    pub(super) fn passes_all(&mut self, parts: &[usize]) -> Result<bool, Stop> {
        let known = self
            .patch(parts)
            .apply(self.read)
            .ok()
            .map(|changes| hash(&changes));
        if let Some(verdict) = known.and_then(|content| self.known.get(&(content, Tests::All))) {
            return Ok(*verdict == Verdict::Passes);
        }
        Ok(self.ask(parts, Tests::FailToPass)? == Verdict::Passes
            && self.ask(parts, Tests::All)? == Verdict::Passes)
    }

    fn passes(&mut self, parts: &[usize], tests: Tests) -> Result<bool, Stop> {
        let passes = match tests {
            Tests::FailToPass => self.ask(parts, Tests::FailToPass)? == Verdict::Passes,
            Tests::All => self.passes_all(parts)?,
        };
        if passes
            && self
                .best
                .as_ref()
                .is_none_or(|best| self.weight(parts) < self.weight(best))
        {
            self.best = Some(parts.to_vec());
        }
        Ok(passes)
    }

    /// Makes `all` smaller, level by level, and at last line by line until nothing more can go.
    pub(super) fn reduce(
        &mut self,
        levels: &[Vec<usize>],
        all: &[usize],
        tests: Tests,
    ) -> Result<Vec<usize>, Stop> {
        let mut left = all.to_vec();
        for level in levels {
            let units = units(&left, level);
            let mut test = |units: &[Unit]| self.passes(&units.concat(), tests);
            left = ddmin(units, &mut test)?.concat();
        }
        while let Some(smaller) = self.without_one(&left, tests)? {
            left = smaller;
        }
        left.sort_unstable();
        Ok(left)
    }

    /// These parts without one of them, where that passes.
    fn without_one(&mut self, parts: &[usize], tests: Tests) -> Result<Option<Vec<usize>>, Stop> {
        for part in parts {
            let rest: Vec<usize> = parts
                .iter()
                .copied()
                .filter(|other| other != part)
                .collect();
            if self.passes(&rest, tests)? {
                return Ok(Some(rest));
            }
        }
        Ok(None)
    }

    /// What the files are with these parts.
    pub(super) fn content(&self, parts: &[usize]) -> Option<Content> {
        self.patch(parts)
            .apply(self.read)
            .ok()
            .map(|changes| hash(&changes))
    }

    fn patch(&self, parts: &[usize]) -> Patch {
        let mut kept = vec![false; self.parts.len()];
        parts.iter().for_each(|part| kept[*part] = true);
        self.whole.keeping(&kept)
    }

    fn weight(&self, parts: &[usize]) -> usize {
        parts.iter().map(|part| self.parts[*part].lines()).sum()
    }
}

/// The parts that are left, by the unit of each.
fn units(left: &[usize], level: &[usize]) -> Vec<Unit> {
    let mut units: Vec<(usize, Unit)> = Vec::new();
    for part in left {
        match units.iter_mut().find(|(unit, _)| *unit == level[*part]) {
            Some((_, parts)) => parts.push(*part),
            None => units.push((level[*part], vec![*part])),
        }
    }
    units.into_iter().map(|(_, parts)| parts).collect()
}

fn hash(changes: &[crate::patch::FileChange]) -> Content {
    let mut sorted: Vec<_> = changes.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    let mut hasher = blake3::Hasher::new();
    for change in sorted {
        let text = change
            .content
            .as_deref()
            .map_or(String::from("-"), |text| format!("+{text}"));
        for piece in [change.path.as_str(), &text] {
            hasher
                .update(&(piece.len() as u64).to_le_bytes())
                .update(piece.as_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

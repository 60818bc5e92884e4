//! The levels of a search: files, hunks, runs of changed lines, added statements from the outermost on, and lines.
//!
//! In: a patch and its parts. Out: for each level the unit of every part. A level that cuts as the one before is left out.

use std::collections::{BTreeMap, HashMap};

use super::syntax::added_statements;
use crate::patch::{Part, Patch};

/// Statements within statements that are units of their own.
const DEPTH: usize = 3;

/// The unit of each part, level by level, from coarse to fine; the last level is that of single parts.
pub(super) fn levels(
    whole: &Patch,
    parts: &[Part],
    read: &dyn Fn(&str) -> Option<String>,
) -> Vec<Vec<usize>> {
    let mut levels: Vec<Vec<usize>> = Vec::new();
    let mut add = |level: Vec<usize>| {
        let level = numbered(&level);
        if levels.last() != Some(&level) {
            levels.push(level);
        }
    };
    add(parts.iter().map(|part| part.file).collect());
    add(parts.iter().map(|part| part.hunk).collect());
    add(parts.iter().map(|part| part.run).collect());
    let statements = statements(whole, parts, read);
    for depth in 0..DEPTH {
        // A part that lies in no statement of this depth is a unit of its own.
        let unit = |at: usize| {
            statements[at]
                .get(depth)
                .map_or(at, |statement| parts.len() + statement)
        };
        add((0..parts.len()).map(unit).collect());
    }
    add((0..parts.len()).collect());
    levels
}

/// The added statements around each part, from the outermost on.
fn statements(
    whole: &Patch,
    parts: &[Part],
    read: &dyn Fn(&str) -> Option<String>,
) -> Vec<Vec<usize>> {
    let mut around = vec![Vec::new(); parts.len()];
    let Ok(changes) = whole.apply(read) else {
        return around;
    };
    let mut count = 0;
    for change in changes {
        let Some(text) = change.content else { continue };
        let mut by_line: HashMap<usize, usize> = HashMap::new();
        for (at, part) in parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.path == change.path && part.only_adds())
        {
            by_line.extend(part.new_lines.iter().map(|line| (*line, at)));
        }
        for (first, last) in
            added_statements(&change.path, &text, &|line| by_line.contains_key(&line))
        {
            (first..=last)
                .filter_map(|line| by_line.get(&line))
                .for_each(|at| around[*at].push(count));
            count += 1;
        }
    }
    around
}

/// The same cut with units counted in the order of their first part.
fn numbered(level: &[usize]) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    level
        .iter()
        .map(|unit| {
            let next = numbers.len();
            *numbers.entry(*unit).or_insert(next)
        })
        .collect()
}

//! Noise around a repair: what people and models change besides, and what a reviewer asks to take out again.
//!
//! In: the files of a repaired tree, a repair, and a key. Out: the same files with more changed than is needed, and a note
//! of each change. Nothing of it should turn a test red; whether that holds, only the tests can say.
//! Example: a repair of one line comes with a renamed local, a log line with its import, and an unused helper.
//!
//! The same key gives the same noise. Python only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::draw;
use crate::patch::{FileChange, Patch, is_guarded};
use crate::source::functions::{Function, functions, parse};

mod edits;
mod names;

/// A kind of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseKind {
    /// A comment above a statement.
    Comment,
    /// A docstring where there was none.
    Docstring,
    /// A blank line between statements.
    BlankLine,
    /// A log line, and the import that it needs.
    Logging,
    /// A check of an argument that was never wrong.
    Guard,
    /// A local variable with another name.
    Rename,
    /// An unused function.
    DeadHelper,
    /// Other quotes around a string.
    Quotes,
    /// A value that is returned by way of a variable.
    ReturnLocal,
    /// Parentheses around a condition.
    Parentheses,
    /// An unrelated new file.
    ExtraFile,
}

impl NoiseKind {
    /// All of them.
    pub const ALL: [NoiseKind; 11] = [
        NoiseKind::Comment,
        NoiseKind::Docstring,
        NoiseKind::BlankLine,
        NoiseKind::Logging,
        NoiseKind::Guard,
        NoiseKind::Rename,
        NoiseKind::DeadHelper,
        NoiseKind::Quotes,
        NoiseKind::ReturnLocal,
        NoiseKind::Parentheses,
        NoiseKind::ExtraFile,
    ];
}

/// One change that is not needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Its kind.
    pub kind: NoiseKind,
    /// The file.
    pub path: String,
}

/// How much noise, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoiseOptions {
    /// The fewest changes.
    pub least: usize,
    /// The most changes.
    pub most: usize,
    /// One of so many changes stands in another file.
    pub elsewhere: usize,
    /// True where noise may change the lines of the repair, too: then the repair is no part of the whole as it stands.
    pub entangled: bool,
    /// The kinds.
    pub kinds: Vec<NoiseKind>,
}

impl Default for NoiseOptions {
    fn default() -> Self {
        NoiseOptions {
            least: 2,
            most: 7,
            elsewhere: 4,
            entangled: false,
            kinds: NoiseKind::ALL.to_vec(),
        }
    }
}

/// A repair in its tree.
pub struct Repair<'a> {
    /// The repair.
    pub patch: &'a Patch,
    /// A file before it.
    pub base: &'a dyn Fn(&str) -> Option<String>,
    /// The file that holds the bug, and a line of the function.
    pub focus: (&'a str, usize),
    /// Other Python files of the package.
    pub others: &'a [String],
}

/// Tries for one change before it is given up.
const TRIES: u64 = 6;

/// Numbers that only the key decides.
pub(crate) struct Draws {
    key: u64,
    next: u64,
}

impl Draws {
    /// The next index below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.next += 1;
        draw::below(self.key, self.next, count)
    }

    /// One of them, drawn by the key; `None` if there are none.
    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() {
            None
        } else {
            of.get(self.below(of.len()))
        }
    }
}

/// The repair with noise around it, as one patch on the base tree, and what was added. None where nothing could be added,
/// or the repair does not apply.
pub fn noisy(repair: &Repair, key: u64, options: &NoiseOptions) -> Option<(Patch, Vec<Mark>)> {
    let mut draws = Draws { key, next: 0 };
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for FileChange { path, content } in repair.patch.apply(repair.base).ok()? {
        files.insert(path, content?);
    }
    let count = options.least + draws.below(options.most + 1 - options.least);
    let mut marks = Vec::new();
    for _ in 0..count {
        for _ in 0..TRIES {
            let Some((mark, text)) = change(repair, &files, &mut draws, options) else {
                continue;
            };
            let before = files.insert(mark.path.clone(), text);
            let holds = options.entangled || holds_repair(repair, &files);
            if holds {
                marks.push(mark);
                break;
            }
            match before {
                Some(before) => files.insert(mark.path, before),
                None => files.remove(&mark.path),
            };
        }
    }
    let patch = patch_of(repair, &files)?;
    (!marks.is_empty()).then_some((patch, marks))
}

/// One more change: what it is, and the text of its file.
fn change(
    repair: &Repair,
    files: &BTreeMap<String, String>,
    draws: &mut Draws,
    options: &NoiseOptions,
) -> Option<(Mark, String)> {
    let kind = *draws.one(&options.kinds)?;
    let read = |path: &str| files.get(path).cloned().or_else(|| (repair.base)(path));
    if kind == NoiseKind::ExtraFile {
        let (path, text) = edits::extra_file(repair.focus.0, draws);
        return read(&path).is_none().then_some((Mark { kind, path }, text));
    }
    let elsewhere = options.elsewhere > 0 && draws.below(options.elsewhere) == 0;
    let path = match draws.one(repair.others).filter(|_| elsewhere) {
        Some(other) => other.clone(),
        None => repair.focus.0.to_string(),
    };
    if !path.ends_with(".py") || is_guarded(&path) {
        return None;
    }
    let text = read(&path)?;
    // Lines that end in another way would be seen to.
    if text.contains('\r') || !text.ends_with('\n') {
        return None;
    }
    let found = functions(&text);
    let near = |function: &&Function| {
        path == repair.focus.0
            && (function.first_line..=function.last_line).contains(&repair.focus.1)
    };
    let near = found.iter().find(near).filter(|_| draws.below(2) == 0);
    let function = near.or_else(|| draws.one(&found))?;
    let changed = edits::apply(kind, &text, function, draws).filter(|changed| *changed != text)?;
    let sound = !parse(&changed).root_node().has_error();
    sound.then_some((Mark { kind, path }, changed))
}

/// Whether the repair is a part of the whole as it stands.
fn holds_repair(repair: &Repair, files: &BTreeMap<String, String>) -> bool {
    let whole = patch_of(repair, files);
    whole.is_some_and(|whole| repair_within(&whole, repair.patch, repair.base).is_some())
}

/// The parts of `whole` that are the repair; none where they do not give its files.
pub fn repair_within(
    whole: &Patch,
    repair: &Patch,
    base: &dyn Fn(&str) -> Option<String>,
) -> Option<Vec<bool>> {
    let kept = whole.parts_of(repair)?;
    let sorted = |patch: &Patch| {
        let mut changes = patch.apply(base).ok()?;
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        Some(changes)
    };
    (sorted(&whole.keeping(&kept))? == sorted(repair)?).then_some(kept)
}

fn patch_of(repair: &Repair, files: &BTreeMap<String, String>) -> Option<Patch> {
    let changes = files
        .iter()
        .map(|(path, text)| Patch::change(path, (repair.base)(path).as_deref(), Some(text)));
    Patch::joined(&changes.collect::<Vec<_>>()).ok()
}

#[cfg(test)]
mod tests;

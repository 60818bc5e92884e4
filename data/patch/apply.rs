//! A patch meets the files: it applies exactly, or not at all.
//!
//! In: hunks and a way to read files. Out: the new files, or which hunk of which file does not match.
//! Example: a hunk made for line 10 whose context now stands, once, at line 12 applies there.

use super::{FileChange, FilePatch, Hunk, Side, lines};

/// Why a patch does not apply.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApplyError {
    /// A file to change is not there.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// A file to create is there already.
    #[error("`{0}` exists already")]
    Exists(String),
    /// A file to delete holds more than the patch removes.
    #[error("`{0}` would not be empty after its deletion")]
    NotEmptied(String),
    /// The lines are not those that the hunk expects.
    #[error("hunk {hunk} of `{path}` does not match at line {line}")]
    Mismatch {
        /// The file.
        path: String,
        /// Counted from 1.
        hunk: usize,
        /// The stated line.
        line: usize,
    },
    /// Where the hunks belong cannot be found with reasonable work.
    #[error("hunk {hunk} of `{path}` does not match at line {line}, and looking for its place takes too long")]
    TooFar {
        /// The file.
        path: String,
        /// Counted from 1.
        hunk: usize,
        /// The stated line.
        line: usize,
    },
    /// Not at the stated line, and elsewhere more than once.
    #[error("hunk {hunk} of `{path}` does not match at line {line} and matches at several other places")]
    Ambiguous {
        /// The file.
        path: String,
        /// Counted from 1.
        hunk: usize,
        /// The stated line.
        line: usize,
    },
}

/// The bytes that one patch may compare while it looks for the places of hunks that moved.
const MAX_SEARCH_BYTES: usize = 256 << 20;

pub(super) fn apply(files: &[FilePatch], read: &dyn Fn(&str) -> Option<String>) -> Result<Vec<FileChange>, ApplyError> {
    let mut changes = Vec::new();
    let mut left = MAX_SEARCH_BYTES;
    for file in files {
        let base = match &file.old {
            Some(old) => read(old).ok_or_else(|| ApplyError::Missing(old.clone()))?,
            None => String::new(),
        };
        let name = file.new.as_deref().or(file.old.as_deref()).unwrap_or_default();
        let content = patched(&base, &file.hunks, name, &mut left)?;
        match &file.new {
            Some(new) => {
                if file.old.as_ref() != Some(new) && read(new).is_some() {
                    return Err(ApplyError::Exists(new.clone()));
                }
                if let Some(old) = file.old.as_ref().filter(|old| *old != new && !file.copied) {
                    changes.push(FileChange { path: old.clone(), content: None });
                }
                changes.push(FileChange { path: new.clone(), content: Some(content) });
            }
            None if content.is_empty() || (file.hunks.is_empty() && !file.labelled) => {
                changes.push(FileChange { path: name.to_string(), content: None });
            }
            None => return Err(ApplyError::NotEmptied(name.to_string())),
        }
    }
    Ok(changes)
}

fn patched(base: &str, hunks: &[Hunk], path: &str, left: &mut usize) -> Result<String, ApplyError> {
    let base = lines(base);
    let mut out = String::new();
    let mut done = 0;
    for (index, hunk) in hunks.iter().enumerate() {
        let refused = (path.to_string(), index + 1, hunk.old_start);
        let old: Vec<&str> = side(hunk, Side::Old).collect();
        let at = place(&base, done, hunk, &old, refused, left)?;
        base[done..at].iter().for_each(|line| out.push_str(line));
        side(hunk, Side::New).for_each(|line| out.push_str(line));
        done = at + old.len();
        // A text that ends without a newline must be the end of the file, or two lines would run together.
        if done < base.len() && !out.is_empty() && !out.ends_with('\n') {
            return Err(ApplyError::Mismatch { path: path.to_string(), hunk: index + 1, line: hunk.old_start });
        }
    }
    base[done..].iter().for_each(|line| out.push_str(line));
    Ok(out)
}

fn side(hunk: &Hunk, side: Side) -> impl Iterator<Item = &str> {
    let lines = hunk.lines.iter().filter(move |line| line.side == side || line.side == Side::Both);
    lines.map(|line| line.text.as_str())
}

/// The index in `base`, not before `done`, where the hunk belongs.
fn place(
    base: &[&str],
    done: usize,
    hunk: &Hunk,
    old: &[&str],
    (path, number, line): (String, usize, usize),
    left: &mut usize,
) -> Result<usize, ApplyError> {
    let mismatch = || ApplyError::Mismatch { path: path.clone(), hunk: number, line };
    if old.is_empty() {
        // Nothing to match: line 0 means an empty file, any other line must exist and end with a newline.
        let fits = if hunk.old_start == 0 { base.is_empty() } else { (done..=base.len()).contains(&hunk.old_start) };
        let whole = hunk.old_start == 0 || base.get(hunk.old_start - 1).is_some_and(|line| line.ends_with('\n'));
        return if fits && whole { Ok(hunk.old_start) } else { Err(mismatch()) };
    }
    let matches = |at: usize| base.get(at..at + old.len()) == Some(old);
    let stated = hunk.old_start.saturating_sub(1);
    if stated >= done && stated <= base.len() && matches(stated) {
        return Ok(stated);
    }
    let mut found = None;
    for at in done..(base.len() + 1).saturating_sub(old.len()) {
        match matches_within(&base[at..], old, left) {
            None => return Err(ApplyError::TooFar { path, hunk: number, line }),
            Some(false) => {}
            Some(true) if found.is_some() => return Err(ApplyError::Ambiguous { path, hunk: number, line }),
            Some(true) => found = Some(at),
        }
    }
    found.ok_or_else(mismatch)
}

/// Whether `base` begins with the lines of `old`; none where `left` does not suffice to tell.
fn matches_within(base: &[&str], old: &[&str], left: &mut usize) -> Option<bool> {
    for (base, old) in base.iter().zip(old) {
        // Texts of different lengths are told apart without a look at them.
        let cost = if base.len() == old.len() { old.len() } else { 1 };
        *left = left.checked_sub(cost)?;
        if base != old {
            return Some(false);
        }
    }
    Some(true)
}

//! A patch meets the files: all of it applies, or nothing does.
//!
//! In: hunks and a way to read files. Out: the new files, or which hunk of which file does not match. First it is tried
//! as `git apply` does it, with every line of context; then, for all files anew, as `patch --batch --fuzz=5 -p1` does:
//! the two ways in which SWE-bench applies a patch, in its order.
//! Example: a hunk made for line 10 whose lines now stand at line 12 applies there.

use super::{FileChange, FilePatch, Hunk, Side, lines};

mod exact;
mod fuzzy;

/// Why a patch does not apply.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApplyError {
    /// A file to change is not there.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// A file to create is there already.
    #[error("`{0}` exists already")]
    Exists(String),
    /// Neither program would apply it: each reads another part of the patch in its own way.
    #[error(
        "the patch is in a form that only `patch` reads, and it does not read the name `{0}` (a name without `a/`, or with a blank)"
    )]
    Unlike(String),
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
    #[error(
        "hunk {hunk} of `{path}` does not match at line {line}, and looking for its place takes too long"
    )]
    TooFar {
        /// The file.
        path: String,
        /// Counted from 1.
        hunk: usize,
        /// The stated line.
        line: usize,
    },
    /// What the hunk adds is there already.
    #[error(
        "hunk {hunk} of `{path}` does not match, and what it leads to stands there already: it seems to be applied"
    )]
    Applied {
        /// The file.
        path: String,
        /// Counted from 1.
        hunk: usize,
    },
    /// `git apply` would write two lines as one.
    #[error(
        "hunk {hunk} of `{path}` would join two lines: one that comes before others has no end of line"
    )]
    Joins {
        /// The file.
        path: String,
        /// Counted from 1.
        hunk: usize,
    },
    /// The lines of the patch end in `\r\n`, and those of the file do not, or the other way round.
    #[error(
        "hunk {hunk} of `{path}` does not match at line {line}: the line endings differ (CRLF and LF)"
    )]
    LineEnds {
        /// The file.
        path: String,
        /// Counted from 1.
        hunk: usize,
        /// The stated line.
        line: usize,
    },
}

/// The bytes that one patch may compare or move while it looks for the places of its hunks.
const MAX_SEARCH_BYTES: usize = 256 << 20;

/// Why one hunk has no place.
enum Lost {
    Mismatch,
    TooFar,
    Applied,
    Joins,
}

/// Finds the places of all hunks of a file and makes its new text; or says which hunk has none. The last value is the
/// work that is left.
type Way = fn(&str, &FilePatch, &mut usize) -> Result<String, (usize, Lost)>;

pub(super) fn apply(
    files: &[FilePatch],
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<FileChange>, ApplyError> {
    let refused = match files.iter().any(|file| file.loose) {
        true => None,
        false => match with(exact::patched, files, read) {
            Ok(changes) => return Ok(changes),
            Err(error @ ApplyError::Joins { .. }) => return Err(error),
            Err(error) => Some(error),
        },
    };
    if let Some(file) = files.iter().find(|file| file.exact) {
        return Err(refused.unwrap_or_else(|| ApplyError::Unlike(file.name().to_string())));
    }
    with(fuzzy::patched, files, read).map_err(|error| match (refused, error) {
        (
            _,
            error @ (ApplyError::Applied { .. }
            | ApplyError::TooFar { .. }
            | ApplyError::Joins { .. }),
        ) => error,
        (Some(refused), _) => refused,
        (None, error) => error,
    })
}

fn with(
    way: Way,
    files: &[FilePatch],
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<FileChange>, ApplyError> {
    let mut left = MAX_SEARCH_BYTES;
    let mut after = After {
        read,
        changes: Vec::new(),
    };
    for file in files.iter().filter(|file| !file.dataless) {
        let base = match &file.old {
            None => String::new(),
            Some(old) => match after.now(old) {
                Some(base) => base,
                None if file.may_create() => String::new(),
                None => return Err(ApplyError::Missing(old.clone())),
            },
        };
        let content =
            way(&base, file, &mut left).map_err(|(hunk, lost)| told(file, &base, hunk, lost))?;
        match &file.new {
            None if content.is_empty() => after.set(file.name(), None),
            None => return Err(ApplyError::NotEmptied(file.name().to_string())),
            Some(new) => {
                if file.old.as_ref() != Some(new) && after.now(new).is_some() {
                    return Err(ApplyError::Exists(new.clone()));
                }
                if let Some(old) = file.old.as_ref().filter(|old| *old != new && !file.copied) {
                    after.set(old, None);
                }
                after.set(new, Some(content));
            }
        }
    }
    Ok(after.changes)
}

/// The files as the part of the patch that was read leaves them.
struct After<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    changes: Vec<FileChange>,
}

impl After<'_> {
    fn now(&self, path: &str) -> Option<String> {
        match self.changes.iter().find(|change| change.path == path) {
            Some(change) => change.content.clone(),
            None => (self.read)(path),
        }
    }

    fn set(&mut self, path: &str, content: Option<String>) {
        match self.changes.iter_mut().find(|change| change.path == path) {
            Some(change) => change.content = content,
            None => self.changes.push(FileChange {
                path: path.to_string(),
                content,
            }),
        }
    }
}

fn told(file: &FilePatch, base: &str, hunk: usize, lost: Lost) -> ApplyError {
    let (path, line) = (file.name().to_string(), file.hunks[hunk].old_start);
    let crlf = |text: &str| text.ends_with("\r\n");
    let (first, theirs) = (
        base.split_inclusive('\n').next(),
        side(&file.hunks[hunk], Side::Old).next(),
    );
    let hunk = hunk + 1;
    match lost {
        Lost::TooFar => ApplyError::TooFar { path, hunk, line },
        Lost::Applied => ApplyError::Applied { path, hunk },
        Lost::Joins => ApplyError::Joins { path, hunk },
        Lost::Mismatch
            if first
                .zip(theirs)
                .is_some_and(|(ours, theirs)| crlf(ours) != crlf(theirs)) =>
        {
            ApplyError::LineEnds { path, hunk, line }
        }
        Lost::Mismatch => ApplyError::Mismatch { path, hunk, line },
    }
}

/// Why a patch of a file that is there does not apply: it is Latin-1, UTF-16 or no text at all.
pub fn not_text(path: &str) -> String {
    format!("`{path}` is no UTF-8 text, and only such files can be patched")
}

impl FilePatch {
    /// True where nothing is said about lines that were there, and no git header: a file that is missing is created.
    fn may_create(&self) -> bool {
        let [hunk] = self.hunks.as_slice() else {
            return false;
        };
        let is_plain = !self
            .headers
            .iter()
            .any(|header| header.starts_with("diff --git "));
        is_plain && self.old == self.new && hunk.count(Side::Old) == 0
    }
}

/// The lines of a hunk before the change, or after it.
fn side(hunk: &Hunk, side: Side) -> impl Iterator<Item = &str> {
    let lines = hunk
        .lines
        .iter()
        .filter(move |line| line.side == side || line.side == Side::Both);
    lines.map(|line| line.text.as_str())
}

/// How many lines of context stand before the first change, and behind the last one.
fn context(hunk: &Hunk) -> (usize, usize) {
    let both = |line: &&super::HunkLine| line.side == Side::Both;
    (
        hunk.lines.iter().take_while(both).count(),
        hunk.lines.iter().rev().take_while(both).count(),
    )
}

/// Whether `base` begins with the lines of `old`; an error where `left` does not suffice to tell.
fn matches_within<'a>(
    base: impl Iterator<Item = &'a str>,
    old: impl Iterator<Item = &'a str>,
    left: &mut usize,
) -> Result<bool, Lost> {
    for (base, old) in base.zip(old) {
        // Texts of different lengths are told apart without a look at them.
        let cost = if base.len() == old.len() {
            old.len()
        } else {
            1
        };
        *left = left.checked_sub(cost).ok_or(Lost::TooFar)?;
        if base != old {
            return Ok(false);
        }
    }
    Ok(true)
}

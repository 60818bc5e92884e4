//! From the text of a diff to its files and hunks.
//!
//! In: what git, a data set or a model wrote. Out: files with hunks, or an error that names the line. A text is read as
//! `git apply` reads it; what only `patch --batch --fuzz=5 -p1` reads is marked as loose.
//! Example: `--- a/x.py`, `+++ b/x.py`, `@@ -1 +1 @@`, `-1`, `+2` is one file with one hunk.

use super::FilePatch;
use super::policy::{MAX_BYTES, MAX_FILES, MAX_LINE_BYTES, check_path};

mod header;
mod hunk;
mod names;

/// Why a text is no [`super::Patch`].
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatchError {
    /// Not the shape of a unified diff.
    #[error("line {line} of the patch: {why}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A path that a patch may not name.
    #[error("the patch names `{path}`: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A link, a submodule or another special file.
    #[error("the patch sets the file mode `{0}`; only 100644 and 100755 are taken")]
    Mode(String),
    /// A binary file.
    #[error("line {line} of the patch: it changes the binary file `{path}`")]
    Binary {
        /// Counted from 1.
        line: usize,
        /// The file.
        path: String,
    },
    /// A limit was exceeded.
    #[error("the patch has {found} {what}; the limit is {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// The lines of a text, without their `\n`, and which comes next.
struct Lines<'a> {
    lines: Vec<&'a str>,
    next: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        Lines {
            lines: text
                .strip_suffix('\n')
                .unwrap_or(text)
                .split('\n')
                .collect(),
            next: 0,
        }
    }

    /// The index of the next line.
    fn at(&self) -> usize {
        self.next
    }

    fn peek(&self) -> Option<&'a str> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&'a str> {
        self.lines.get(self.next + ahead).copied()
    }

    fn take(&mut self) -> Option<(usize, &'a str)> {
        let taken = self.peek().map(|line| (self.next, line));
        self.next += usize::from(taken.is_some());
        taken
    }

    fn next_if(&mut self, wanted: impl Fn(&str) -> bool) -> Option<&'a str> {
        let line = self.peek().filter(|line| wanted(line))?;
        self.next += 1;
        Some(line)
    }
}

fn malformed(index: usize, why: &'static str) -> PatchError {
    PatchError::Malformed {
        line: index + 1,
        why,
    }
}

fn limited(what: &'static str, found: usize, limit: usize) -> Result<(), PatchError> {
    if found > limit {
        Err(PatchError::TooLarge { what, found, limit })
    } else {
        Ok(())
    }
}

/// Reads every file of a diff. As `git apply` does, it passes over what stands before a file and after its last hunk:
/// the words of a mail, the fences of a code block, a signature. The last end of line, which models forget, may be missing.
pub(super) fn files(text: &str) -> Result<Vec<FilePatch>, PatchError> {
    limited("bytes", text.len(), MAX_BYTES)?;
    for line in text.split('\n') {
        limited("bytes in one line", line.len(), MAX_LINE_BYTES)?;
    }
    // Behind a byte order mark `patch` finds the first file by its `+++ ` alone.
    let marked = text
        .strip_prefix("\u{feff}")
        .filter(|text| text.starts_with("--- "));
    let text = marked.unwrap_or(text);
    let mut lines = Lines::new(text);
    let mut files: Vec<FilePatch> = Vec::new();
    let (mut strip, mut passed_over) = (header::STRIP, None);
    while let Some(line) = lines.peek() {
        let index = lines.at();
        let file = if line.starts_with("diff --git ") {
            git_file(&mut lines, strip)?
        } else if header::is_plain(&lines) {
            let file = header::plain(&mut lines, &mut strip)?;
            with_hunks(&mut lines, file)?
        } else if hunk::begins(line) {
            return Err(malformed(
                index,
                "a hunk without `--- ` and `+++ ` right before it, or behind a line of no hunk",
            ));
        } else {
            passed_over = passed_over.or(malformed_header(&lines));
            lines.take();
            continue;
        };
        if file.dataless {
            passed_over = passed_over.or(Some(without_data(&file, &lines)));
        }
        check(&files, &file, index)?;
        let loose = file.loose || (marked.is_some() && files.is_empty());
        files.push(FilePatch { loose, ..file });
        limited("files", files.len(), MAX_FILES)?;
    }
    if files.iter().all(|file| file.dataless) && !text.trim().is_empty() {
        return Err(passed_over.unwrap_or(malformed(
            0,
            "expected `--- ` or `diff --git `, and there is none below",
        )));
    }
    Ok(files)
}

/// What is wrong where a file seems to be named and is not.
fn malformed_header(lines: &Lines) -> Option<PatchError> {
    let (index, starts) = (lines.at(), |ahead, start| {
        lines
            .peek_at(ahead)
            .is_some_and(|line| line.starts_with(start))
    });
    match (starts(0, "--- "), starts(1, "+++ ")) {
        (true, false) if starts(1, "@@") => {
            Some(malformed(index + 1, "expected `+++ ` after `--- `"))
        }
        (true, true) => Some(malformed(
            index + 2,
            "expected `@@ -line,count +line,count @@` after `+++ `",
        )),
        _ => None,
    }
}

/// Why an entry says nothing that could be done.
fn without_data(file: &FilePatch, lines: &Lines) -> PatchError {
    match lines.peek().is_some_and(is_binary) {
        true => PatchError::Binary {
            line: lines.at() + 1,
            path: file.name().to_string(),
        },
        false => malformed(
            lines.at(),
            "neither a hunk nor a change of the file's name or mode",
        ),
    }
}

/// What git writes instead of hunks where it is not asked for the data.
fn is_binary(line: &str) -> bool {
    ["Binary files ", "Files "]
        .iter()
        .any(|start| line.starts_with(start))
        && line.contains(" differ")
}

/// A file with a git header.
fn git_file(lines: &mut Lines, strip: usize) -> Result<FilePatch, PatchError> {
    const META: &[&str] = &[
        "new file mode ",
        "deleted file mode ",
        "rename ",
        "copy ",
        "old mode ",
        "new mode ",
    ];
    let mut file = header::git(lines, strip)?;
    let (index, next) = (lines.at(), lines.peek().unwrap_or_default());
    let binary = |file: &FilePatch| PatchError::Binary {
        line: index + 1,
        path: file.name().to_string(),
    };
    if next.starts_with("GIT binary patch") {
        return Err(binary(&file));
    }
    if hunk::begins(next) {
        return with_hunks(lines, file);
    }
    // An entry without data: `git apply` refuses the whole patch, `patch` passes over it.
    let says_something = file
        .headers
        .iter()
        .any(|line| META.iter().any(|meta| line.starts_with(meta)));
    if is_binary(next) && file.new.is_none() {
        return Err(binary(&file));
    }
    file.loose |= is_binary(next) || !says_something;
    file.dataless = !says_something;
    // Without hunks `patch` deletes nothing.
    file.exact |= file.new.is_none();
    Ok(file)
}

fn with_hunks(lines: &mut Lines, mut file: FilePatch) -> Result<FilePatch, PatchError> {
    while lines.peek().is_some_and(hunk::begins) {
        let (hunk, loose) = hunk::hunk(lines, file.crlf)?;
        file.hunks.push(hunk);
        file.loose |= loose;
    }
    file.labelled = true;
    Ok(file)
}

/// Whether a file may stand in a patch, and beside the files before it.
fn check(files: &[FilePatch], file: &FilePatch, index: usize) -> Result<(), PatchError> {
    for path in [&file.old, &file.new].into_iter().flatten() {
        check_path(path)?;
        let touches =
            |earlier: &&FilePatch| earlier.new.as_ref() == Some(path) || writes_old(earlier, path);
        // Hunks for one file may be spread over a patch; whoever renames, deletes or copies it says so once.
        let goes_on = |earlier: &FilePatch| {
            earlier.new == file.old && file.old == file.new && !earlier.copied
        };
        if files
            .iter()
            .filter(touches)
            .any(|earlier| !goes_on(earlier) || earlier.is_moved())
        {
            return Err(malformed(index, "a file occurs twice"));
        }
    }
    Ok(())
}

/// Two copies may share their original; every other file is touched once.
fn writes_old(earlier: &FilePatch, path: &String) -> bool {
    !earlier.copied && earlier.old.as_ref() == Some(path)
}

/// The git headers of the patch that undoes `file`.
pub(super) fn reversed_headers(file: &FilePatch) -> Vec<String> {
    if file.copied {
        let new = file.new.as_deref().unwrap_or_default();
        return vec![
            format!("diff --git a/{new} b/{new}"),
            "deleted file mode 100644".to_string(),
        ];
    }
    let swapped = |header: &String| -> String {
        const PAIRS: &[(&str, &str)] = &[
            ("new file mode ", "deleted file mode "),
            ("old mode ", "new mode "),
            ("rename from ", "rename to "),
        ];
        for (one, other) in PAIRS
            .iter()
            .flat_map(|&(one, other)| [(one, other), (other, one)])
        {
            if let Some(rest) = header.strip_prefix(one) {
                return format!("{other}{rest}");
            }
        }
        if let Some((old, rest)) = header
            .strip_prefix("index ")
            .and_then(|blobs| blobs.split_once(".."))
        {
            let (new, mode) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
            return format!("index {new}..{old}{mode}");
        }
        match (&file.old, &file.new) {
            (Some(old), Some(new)) if header.starts_with("diff --git ") => {
                format!("diff --git a/{new} b/{old}")
            }
            _ => header.clone(),
        }
    };
    let mut headers: Vec<String> = file.headers.iter().map(swapped).collect();
    // Git writes the old mode and the old name first.
    for pair in ["old mode ", "rename from "] {
        if let Some(at) = headers
            .iter()
            .position(|header| header.starts_with(pair))
            .filter(|at| *at > 0)
        {
            let before = &headers[at - 1];
            if before.starts_with("new mode ") || before.starts_with("rename to ") {
                headers.swap(at - 1, at);
            }
        }
    }
    headers
}

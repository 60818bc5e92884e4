//! From the text of a diff to its files and hunks.
//!
//! In: what git, a data set or a model wrote. Out: files with hunks, or an error that names the line.
//! Example: `--- a/x.py`, `+++ b/x.py`, `@@ -1 +1 @@`, `-1`, `+2` is one file with one hunk.

use std::iter::{Enumerate, Peekable};
use std::str::Split;

use super::policy::{MAX_BYTES, MAX_FILES, MAX_LINE_BYTES, check_mode, check_path};
use super::{FilePatch, Hunk, HunkLine, Side};

/// Why a text is no [`super::Patch`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
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
    #[error("line {0} of the patch: it changes a binary file")]
    Binary(usize),
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

type Lines<'a> = Peekable<Enumerate<Split<'a, char>>>;

fn malformed(index: usize, why: &'static str) -> PatchError {
    PatchError::Malformed { line: index + 1, why }
}

fn limited(what: &'static str, found: usize, limit: usize) -> Result<(), PatchError> {
    if found > limit { Err(PatchError::TooLarge { what, found, limit }) } else { Ok(()) }
}

pub(super) fn files(text: &str) -> Result<Vec<FilePatch>, PatchError> {
    limited("bytes", text.len(), MAX_BYTES)?;
    for line in text.split('\n') {
        limited("bytes in one line", line.len(), MAX_LINE_BYTES)?;
    }
    let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n').enumerate().peekable();
    let mut files: Vec<FilePatch> = Vec::new();
    while let Some(&(index, line)) = lines.peek() {
        if line.is_empty() {
            lines.next();
            continue;
        }
        let file = file(&mut lines)?;
        for path in [&file.old, &file.new].into_iter().flatten() {
            check_path(path)?;
            if files.iter().any(|earlier| earlier.new.as_ref() == Some(path) || writes_old(earlier, path)) {
                return Err(malformed(index, "a file occurs twice"));
            }
        }
        files.push(file);
        limited("files", files.len(), MAX_FILES)?;
    }
    Ok(files)
}

/// Two copies may share their original; every other file is touched once.
fn writes_old(earlier: &FilePatch, path: &String) -> bool {
    !earlier.copied && earlier.old.as_ref() == Some(path)
}

fn file(lines: &mut Lines) -> Result<FilePatch, PatchError> {
    let first = lines.peek().map_or(0, |&(index, _)| index);
    let mut file = FilePatch::default();
    if let Some((index, line)) = lines.next_if(|(_, line)| line.starts_with("diff --git ")) {
        file.headers.push(line.to_string());
        (file.old, file.new) = git_names(line).unzip();
        extended_headers(lines, &mut file)?;
        if lines.peek().is_some_and(|(_, line)| line.starts_with("GIT binary") || line.starts_with("Binary files")) {
            return Err(PatchError::Binary(index + 1));
        }
    }
    if let Some((index, old)) = lines.next_if(|(_, line)| line.starts_with("--- ")) {
        let Some((_, new)) = lines.next_if(|(_, line)| line.starts_with("+++ ")) else {
            return Err(malformed(index + 1, "expected `+++ ` after `--- `"));
        };
        labels(&mut file, old, new, index)?;
        while lines.peek().is_some_and(|(_, line)| line.starts_with("@@")) {
            file.hunks.push(hunk(lines)?);
        }
        if file.hunks.is_empty() {
            return Err(malformed(index + 2, "expected `@@` after `+++ `"));
        }
    } else if file.headers.is_empty() {
        return Err(malformed(first, "expected `--- ` or `diff --git `"));
    }
    if file.old.is_none() && file.new.is_none() {
        return Err(malformed(first, "no file is named"));
    }
    Ok(file)
}

fn labels(file: &mut FilePatch, old: &str, new: &str, index: usize) -> Result<(), PatchError> {
    let renamed = file.headers.iter().any(|header| header.starts_with("rename ") || header.starts_with("copy "));
    let named = [file.old.take(), file.new.take()];
    file.labelled = true;
    file.old = name(&old[4..], "a/").ok_or(malformed(index, "a quoted name that cannot be read"))?;
    file.new = name(&new[4..], "b/").ok_or(malformed(index + 1, "a quoted name that cannot be read"))?;
    if !renamed && file.old.is_some() && file.new.is_some() && file.old != file.new {
        return Err(malformed(index + 1, "the two names differ and no rename is stated"));
    }
    // A header that names one file above a label that names another is read in two ways by two tools.
    for (header, label) in named.iter().zip([&file.old, &file.new]) {
        if header.is_some() && label.is_some() && header != label {
            return Err(malformed(index, "the names after `---` and `+++` are not those of the header"));
        }
    }
    Ok(())
}

fn extended_headers(lines: &mut Lines, file: &mut FilePatch) -> Result<(), PatchError> {
    const KNOWN: &[&str] = &["similarity index ", "dissimilarity index "];
    while let Some(&(index, line)) = lines.peek() {
        let unreadable = || malformed(index, "a name that cannot be read");
        if let Some(mode) = line.strip_prefix("new file mode ") {
            check_mode(mode)?;
            file.old = None;
        } else if let Some(mode) = line.strip_prefix("deleted file mode ") {
            check_mode(mode)?;
            file.new = None;
        } else if let Some(mode) = line.strip_prefix("old mode ").or(line.strip_prefix("new mode ")) {
            check_mode(mode)?;
        } else if let Some(blobs) = line.strip_prefix("index ") {
            blobs.split_once(' ').map_or(Ok(()), |(_, mode)| check_mode(mode))?;
        } else if let Some(path) = line.strip_prefix("rename from ").or(line.strip_prefix("copy from ")) {
            file.old = Some(unquoted(path).ok_or_else(unreadable)?);
            file.copied = line.starts_with("copy");
        } else if let Some(path) = line.strip_prefix("rename to ").or(line.strip_prefix("copy to ")) {
            file.new = Some(unquoted(path).ok_or_else(unreadable)?);
        } else if !KNOWN.iter().any(|known| line.starts_with(known)) {
            return Ok(());
        }
        file.headers.push(line.to_string());
        lines.next();
    }
    Ok(())
}

/// The name in `diff --git a/NAME b/NAME`, where both are the same: else a rename is stated below.
fn git_names(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("diff --git ")?;
    let (old, new) = (rest.get(..rest.len() / 2)?, rest.get(rest.len() / 2 + 1..)?);
    let (old, new) = (unquoted(old)?, unquoted(new)?);
    let (old, new) = (old.strip_prefix("a/")?, new.strip_prefix("b/")?);
    (old == new).then(|| (old.to_string(), new.to_string()))
}

/// The name after `---` or `+++`: inner none for `/dev/null`, outer none where it cannot be read.
fn name(label: &str, prefix: &str) -> Option<Option<String>> {
    let label = label.split('\t').next().unwrap_or(label);
    if label == "/dev/null" {
        return Some(None);
    }
    let name = unquoted(label)?;
    Some(Some(name.strip_prefix(prefix).map_or(name.clone(), str::to_string)))
}

/// Undoes git's quoting: `"caf\303\251.py"` is `café.py`.
fn unquoted(name: &str) -> Option<String> {
    let Some(inner) = name.strip_prefix('"') else { return Some(name.to_string()) };
    let mut rest = inner.strip_suffix('"')?.bytes().peekable();
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b't' => b'\t',
            b'n' => b'\n',
            digit @ b'0'..=b'3' => {
                let mut octal =
                    || rest.next_if(u8::is_ascii_digit).filter(|digit| *digit < b'8').map(|digit| digit - b'0');
                (digit - b'0') * 64 + octal()? * 8 + octal()?
            }
            quoted @ (b'"' | b'\\') => quoted,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hunk(lines: &mut Lines) -> Result<Hunk, PatchError> {
    let (start, header) = lines.next().expect("the caller saw `@@`");
    let [(old_start, old_count), (new_start, new_count), section] =
        hunk_header(header).ok_or(malformed(start, "expected `@@ -line,count +line,count @@`"))?;
    let (mut old_left, mut new_left) = (old_count, new_count);
    let mut hunk = Hunk { old_start, new_start, section: header[section.0..].to_string(), lines: Vec::new() };
    while old_left > 0 || new_left > 0 {
        let (index, line) = lines.next().ok_or(malformed(start, "the hunk ends too early"))?;
        let (side, text) = match line.as_bytes().first() {
            Some(b' ') => (Side::Both, &line[1..]),
            Some(b'-') => (Side::Old, &line[1..]),
            Some(b'+') => (Side::New, &line[1..]),
            // Mailers and editors strip the blank of an empty context line.
            None => (Side::Both, line),
            Some(_) => return Err(malformed(index, "expected a line that starts with ` `, `-` or `+`")),
        };
        let too_many = malformed(index, "the hunk has more lines than its header says");
        let take = |left: &mut usize| left.checked_sub(1).map(|less| *left = less);
        match side {
            Side::Both => take(&mut old_left).and_then(|()| take(&mut new_left)),
            Side::Old => take(&mut old_left),
            Side::New => take(&mut new_left),
        }
        .ok_or(too_many)?;
        let ended = lines.next_if(|(_, line)| line.starts_with('\\')).is_some();
        let at_end = (side == Side::New || old_left == 0) && (side == Side::Old || new_left == 0);
        if ended && !at_end {
            return Err(malformed(index + 1, "`\\ No newline` stands before the last line"));
        }
        hunk.lines.push(HunkLine { side, text: if ended { text.to_string() } else { format!("{text}\n") } });
    }
    if hunk.lines.is_empty() {
        return Err(malformed(start, "the hunk is empty"));
    }
    Ok(hunk)
}

/// Start and count of both sides, and where the section begins.
fn hunk_header(header: &str) -> Option<[(usize, usize); 3]> {
    let rest = header.strip_prefix("@@ -")?;
    let (ranges, section) = rest.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| -> Option<(usize, usize)> {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (plain(start) && plain(count)).then_some(())?;
        let (start, count) = (start.parse().ok()?, count.parse().ok()?);
        (start > 0 || count == 0).then_some((start, count))
    };
    Some([range(old)?, range(new)?, (header.len() - section.len(), 0)])
}

/// The git headers of the patch that undoes `file`.
pub(super) fn reversed_headers(file: &FilePatch) -> Vec<String> {
    if file.copied {
        let new = file.new.as_deref().unwrap_or_default();
        return vec![format!("diff --git a/{new} b/{new}"), "deleted file mode 100644".to_string()];
    }
    let swapped = |header: &String| -> String {
        const PAIRS: &[(&str, &str)] =
            &[("new file mode ", "deleted file mode "), ("old mode ", "new mode "), ("rename from ", "rename to ")];
        for (one, other) in PAIRS.iter().flat_map(|&(one, other)| [(one, other), (other, one)]) {
            if let Some(rest) = header.strip_prefix(one) {
                return format!("{other}{rest}");
            }
        }
        if let Some((old, rest)) = header.strip_prefix("index ").and_then(|blobs| blobs.split_once("..")) {
            let (new, mode) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
            return format!("index {new}..{old}{mode}");
        }
        match (&file.old, &file.new) {
            (Some(old), Some(new)) if header.starts_with("diff --git ") => format!("diff --git a/{new} b/{old}"),
            _ => header.clone(),
        }
    };
    let mut headers: Vec<String> = file.headers.iter().map(swapped).collect();
    // Git writes the old mode and the old name first.
    for pair in ["old mode ", "rename from "] {
        if let Some(at) = headers.iter().position(|header| header.starts_with(pair)).filter(|at| *at > 0) {
            let before = &headers[at - 1];
            if before.starts_with("new mode ") || before.starts_with("rename to ") {
                headers.swap(at - 1, at);
            }
        }
    }
    headers
}

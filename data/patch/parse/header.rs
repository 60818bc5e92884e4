//! What a diff says about a file before its first hunk.
//!
//! In: the lines from `diff --git ` or `--- ` on. Out: its names, and whether it is created, deleted, renamed or copied.
//! Example: `diff --git a/x.py b/x.py`, `new file mode 100644` creates the empty file `x.py`.

use super::names::{dated_name, git_name, has_blank, is_epoch, is_nothing, name, plain_name};
use super::{Lines, PatchError, hunk, malformed};
use crate::patch::FilePatch;
use crate::patch::policy::check_mode;

/// Parts of a name that are taken away unless all names have one part only, as `-p1` says.
pub(super) const STRIP: usize = 1;

/// Whether `--- ` stands here, with `+++ ` and a hunk below it.
pub(super) fn is_plain(lines: &Lines) -> bool {
    let starts = |ahead: usize, start: &str| {
        lines
            .peek_at(ahead)
            .is_some_and(|line| line.starts_with(start))
    };
    starts(0, "--- ") && starts(1, "+++ ") && lines.peek_at(2).is_some_and(hunk::begins)
}

/// A file without a git header. Names of one part everywhere turn `strip` to 0, as `git apply` guesses it.
pub(super) fn plain(lines: &mut Lines, strip: &mut usize) -> Result<FilePatch, PatchError> {
    let (index, old) = lines.take().expect("the caller saw `---`");
    let (_, new) = lines.take().expect("the caller saw `+++`");
    let (old, new) = (&old[4..], &new[4..]);
    if *strip == STRIP && guess(old, new) == Some(0) {
        *strip = 0;
    }
    let exact = *strip == 0 || has_blank(old) || has_blank(new);
    let mut file = FilePatch {
        labelled: true,
        crlf: new.ends_with('\r'),
        exact,
        ..FilePatch::default()
    };
    let unreadable = || malformed(index, "no name can be read after `---` and `+++`");
    if is_nothing(old) {
        file.new = Some(
            dated_name(new, *strip, None)
                .filter(|_| !is_nothing(new))
                .ok_or_else(unreadable)?,
        );
    } else if is_nothing(new) {
        file.old = Some(dated_name(old, *strip, None).ok_or_else(unreadable)?);
    } else {
        let first = dated_name(old, *strip, None);
        let name = Some(dated_name(new, *strip, first.as_deref()).ok_or_else(unreadable)?);
        (file.old, file.new) = match (is_epoch(old), is_epoch(new)) {
            (true, _) => (None, name),
            (false, true) => (name, None),
            (false, false) => (name.clone(), name),
        };
    }
    Ok(file)
}

/// Zero where both names have one part, or the one that is there.
fn guess(old: &str, new: &str) -> Option<usize> {
    let parts = |label: &str| match dated_name(label, 0, None) {
        Some(name) if !is_nothing(label) && !name.contains('/') => Some(0),
        _ => None,
    };
    let (old, new) = (parts(old).or(parts(new)), parts(new));
    if old == new { old } else { None }
}

/// A file with a git header, up to its first hunk.
pub(super) fn git(lines: &mut Lines, strip: usize) -> Result<FilePatch, PatchError> {
    let (index, line) = lines.take().expect("the caller saw `diff --git`");
    let named = git_name(line.strip_prefix("diff --git ").unwrap_or_default(), strip);
    let mut file = FilePatch {
        headers: vec![line.to_string()],
        crlf: line.ends_with('\r'),
        ..FilePatch::default()
    };
    let mut git = GitHeader {
        named,
        strip,
        created: false,
        deleted: false,
        moved: false,
        loose: false,
    };
    while let Some(line) = lines.peek().filter(|line| !hunk::begins(line)) {
        let index = lines.at();
        if !git.line(&mut file, line, index)? {
            break;
        }
        lines.take();
    }
    file.loose = git.loose;
    if file.old.is_none() && file.new.is_none() && !git.created && !git.deleted {
        (file.old, file.new) = (git.named.clone(), git.named);
    }
    if [git.created, git.deleted, git.moved]
        .into_iter()
        .filter(|one| *one)
        .count()
        > 1
    {
        return Err(malformed(
            index,
            "a file is created, deleted or renamed at once",
        ));
    }
    if (file.new.is_none() && !git.deleted) || (file.old.is_none() && !git.created) {
        return Err(malformed(index, "no file is named"));
    }
    if file.old != file.new && !(git.created || git.deleted || git.moved) {
        return Err(malformed(
            index,
            "the two names differ and no rename is stated",
        ));
    }
    Ok(file)
}

struct GitHeader {
    /// The name that `diff --git` itself says.
    named: Option<String>,
    strip: usize,
    created: bool,
    deleted: bool,
    /// Renamed or copied.
    moved: bool,
    /// A file is created or deleted, and only `patch` would notice.
    loose: bool,
}

impl GitHeader {
    /// Reads one line; false where it belongs to no header.
    fn line(&mut self, file: &mut FilePatch, line: &str, index: usize) -> Result<bool, PatchError> {
        const KNOWN: &[&str] = &["similarity index ", "dissimilarity index "];
        let unreadable = || malformed(index, "a name that cannot be read");
        let after = |starts: &[&str]| starts.iter().find_map(|start| line.strip_prefix(start));
        if let Some(label) = line.strip_prefix("--- ") {
            if is_nothing(label) && !self.created {
                (self.created, self.loose, file.old) = (true, true, None);
            }
            self.label(&mut file.old, label, self.created, index)?;
            file.labelled = true;
            file.exact |= self.strip == 0 || has_blank(label);
            return Ok(true);
        }
        if let Some(label) = line.strip_prefix("+++ ") {
            if is_nothing(label) && !self.deleted {
                (self.deleted, self.loose, file.new) = (true, true, None);
            }
            self.label(&mut file.new, label, self.deleted, index)?;
            file.crlf = label.ends_with('\r');
            file.exact |= self.strip == 0 || has_blank(label);
            return Ok(true);
        }
        if let Some(mode) = after(&["new file mode "]) {
            check_mode(mode)?;
            (self.created, file.new) = (true, self.named.clone());
        } else if let Some(mode) = after(&["deleted file mode "]) {
            check_mode(mode)?;
            (self.deleted, file.old) = (true, self.named.clone());
        } else if let Some(mode) = after(&["old mode ", "new mode "]) {
            check_mode(mode)?;
        } else if let Some(blobs) = after(&["index "]) {
            blobs
                .split_once(' ')
                .map_or(Ok(()), |(_, mode)| check_mode(mode))?;
        } else if let Some(path) = after(&["rename from ", "rename old ", "copy from "]) {
            file.old = Some(plain_name(path).ok_or_else(unreadable)?);
            (self.moved, file.copied) = (true, line.starts_with("copy"));
        } else if let Some(path) = after(&["rename to ", "rename new ", "copy to "]) {
            file.new = Some(plain_name(path).ok_or_else(unreadable)?);
            (self.moved, file.copied) = (true, line.starts_with("copy"));
        } else if !KNOWN.iter().any(|known| line.starts_with(known)) {
            return Ok(false);
        }
        file.headers.push(line.to_string());
        Ok(true)
    }

    /// A label says the same name as the header, or what the header left open.
    fn label(
        &self,
        known: &mut Option<String>,
        label: &str,
        is_nothing_here: bool,
        index: usize,
    ) -> Result<(), PatchError> {
        if is_nothing_here {
            return if is_nothing(label) {
                Ok(())
            } else {
                Err(malformed(index, "expected `/dev/null`"))
            };
        }
        match (known.as_ref(), name(label, self.strip, None)) {
            (_, None) => Err(malformed(index, "no name can be read")),
            // A header that names one file above a label that names another is read in two ways by two tools.
            (Some(known), Some(found)) if *known != found => Err(malformed(
                index,
                "the names after `---` and `+++` are not those of the header",
            )),
            (Some(_), Some(_)) => Ok(()),
            (None, Some(found)) => {
                *known = Some(found);
                Ok(())
            }
        }
    }
}

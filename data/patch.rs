//! A change to files of one repository, as a unified diff.
//!
//! In: the text of a diff, or two versions of a file. Out: a [`Patch`] that prints back byte for byte, never leaves the
//! repository, and applies exactly or not at all.
//! Example: `Patch::between("a.py", "x = 1\n", "x = 2\n")` prints
//! `--- a/a.py`, `+++ b/a.py`, `@@ -1 +1 @@`, `-x = 1`, `+x = 2`.

mod apply;
mod parse;
mod parts;
mod policy;

use std::fmt::{self, Display, Write};

use serde::{Deserialize, Serialize};
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};

pub use apply::{ApplyError, not_text};
pub use parse::PatchError;
pub use parts::Part;
pub use policy::{MAX_BYTES, MAX_FILES, MAX_LINE_BYTES, check_path, is_guarded};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// A unified diff that was checked: see [`Patch::parse`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Patch {
    text: String,
    files: Vec<FilePatch>,
}

/// What a patch makes of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileChange {
    /// Path below the tree, with `/`.
    pub path: String,
    /// The whole new text; none where the file is deleted.
    pub content: Option<String>,
}

/// One file of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FilePatch {
    /// Lines before `---`, as git writes them.
    headers: Vec<String>,
    /// True where `---` and `+++` are written: a pure rename has none.
    labelled: bool,
    /// None where the file is created.
    old: Option<String>,
    /// None where the file is deleted.
    new: Option<String>,
    /// True where `old` stays although `new` has another name.
    copied: bool,
    /// True where the lines that name it end with a carriage return: `patch` then takes them from all lines.
    crlf: bool,
    /// True where only `patch` can read it, and `git apply` refuses.
    loose: bool,
    /// True where `patch` reads another name, or none: it ends at a blank, and has one part more.
    exact: bool,
    /// True where nothing is said that could be done.
    dataless: bool,
    hunks: Vec<Hunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    /// As written: counted from 1, or the line before where the count is 0.
    old_start: usize,
    new_start: usize,
    /// What follows the second `@@`.
    section: String,
    lines: Vec<HunkLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HunkLine {
    side: Side,
    /// With its `\n`, unless the file ends without one.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

impl Patch {
    /// Reads a unified diff and checks it against the policy.
    ///
    /// # Errors
    ///
    /// When it is malformed, leaves the repository, touches `.git`, makes a link, is binary or is too large.
    pub fn parse(text: &str) -> Result<Patch, PatchError> {
        Ok(Patch {
            files: parse::files(text)?,
            text: text.to_string(),
        })
    }

    /// The patch that turns `old` into `new`; empty where they are equal.
    ///
    /// ```
    /// let patch = data::Patch::between("a.py", "x = 1\n", "x = 2\n");
    /// assert!(patch.text().ends_with("@@ -1 +1 @@\n-x = 1\n+x = 2\n"));
    /// assert_eq!(data::Patch::parse(patch.text()).expect("it parses").text(), patch.text());
    /// ```
    ///
    /// # Panics
    ///
    /// When `path` would leave the repository: paths from outside go through [`check_path`] first.
    pub fn between(path: &str, old: &str, new: &str) -> Patch {
        assert!(check_path(path).is_ok(), "`{path}` lies below the tree");
        let (old, new) = (lines(old), lines(new));
        let groups = group_diff_ops(capture_diff_slices(Algorithm::Myers, &old, &new), CONTEXT);
        let hunks: Vec<Hunk> = groups.iter().map(|ops| hunk(ops, &old, &new)).collect();
        if hunks.is_empty() {
            return Patch::default();
        }
        let name = Some(path.to_string());
        Patch::from_files(vec![FilePatch {
            labelled: true,
            old: name.clone(),
            new: name,
            hunks,
            ..FilePatch::default()
        }])
    }

    /// As [`Patch::between`], where the file may be missing before or after.
    ///
    /// # Panics
    ///
    /// As [`Patch::between`].
    pub fn change(path: &str, old: Option<&str>, new: Option<&str>) -> Patch {
        let mode = match (old, new) {
            (Some(old), Some(new)) => return Patch::between(path, old, new),
            (None, None) => return Patch::default(),
            (None, Some(_)) => "new file mode 100644",
            (Some(_), None) => "deleted file mode 100644",
        };
        let hunks = Patch::between(path, old.unwrap_or_default(), new.unwrap_or_default());
        let hunks = hunks
            .files
            .into_iter()
            .next()
            .map(|file| file.hunks)
            .unwrap_or_default();
        let name = |text: Option<&str>| text.map(|_| path.to_string());
        let headers = vec![format!("diff --git a/{path} b/{path}"), mode.to_string()];
        let (old, new) = (name(old), name(new));
        Patch::from_files(vec![FilePatch {
            headers,
            labelled: !hunks.is_empty(),
            old,
            new,
            hunks,
            ..FilePatch::default()
        }])
    }

    /// This patch without the files that `judges` names, and the paths that were left out.
    pub fn without(&self, judges: &dyn Fn(&str) -> bool) -> (Patch, Vec<String>) {
        let touches = |file: &&FilePatch| {
            [&file.old, &file.new]
                .into_iter()
                .flatten()
                .any(|path| judges(path))
        };
        let (guarded, kept): (Vec<&FilePatch>, Vec<&FilePatch>) =
            self.files.iter().partition(touches);
        if guarded.is_empty() {
            return (self.clone(), Vec::new());
        }
        let paths = guarded
            .iter()
            .filter_map(|file| file.new.clone().or(file.old.clone()))
            .collect();
        (
            Patch::from_files(kept.into_iter().cloned().collect()),
            paths,
        )
    }

    /// The first line of the old file at `path` that is changed, counted from 1; none where there is no such line.
    pub fn first_line(&self, path: &str) -> Option<usize> {
        let file = self
            .files
            .iter()
            .find(|file| file.old.as_deref() == Some(path))?;
        let hunk = file.hunks.first()?;
        let before = hunk
            .lines
            .iter()
            .take_while(|line| line.side == Side::Both)
            .count();
        Some(hunk.old_start + before)
    }

    /// True where every hunk for `path` stands in `text` at the line that it names.
    pub fn stands(&self, path: &str, text: &str) -> bool {
        let all = lines(text);
        let stands = |hunk: &Hunk| {
            let start = hunk
                .old_start
                .saturating_sub(usize::from(hunk.count(Side::Old) > 0));
            let old = hunk
                .lines
                .iter()
                .filter(|line| line.side != Side::New)
                .map(|line| line.text.as_str());
            all.get(start..)
                .is_some_and(|all| all.iter().copied().take(hunk.count(Side::Old)).eq(old))
        };
        let files = self
            .files
            .iter()
            .filter(|file| file.old.as_deref() == Some(path));
        files.flat_map(|file| &file.hunks).all(stands)
    }

    /// Every line that is added, without its end.
    pub fn added_lines(&self) -> impl Iterator<Item = &str> {
        self.lines_of(Side::New)
    }

    /// Every line that is removed, without its end.
    pub fn removed_lines(&self) -> impl Iterator<Item = &str> {
        self.lines_of(Side::Old)
    }

    fn lines_of(&self, side: Side) -> impl Iterator<Item = &str> {
        let lines = self
            .files
            .iter()
            .flat_map(|file| &file.hunks)
            .flat_map(|hunk| &hunk.lines);
        lines
            .filter(move |line| line.side == side)
            .map(|line| line.text.trim_end_matches(['\n', '\r']))
    }

    /// Several patches to different files as one.
    ///
    /// # Errors
    ///
    /// When a file occurs twice, or all together are too large.
    pub fn joined(patches: &[Patch]) -> Result<Patch, PatchError> {
        let files = patches
            .iter()
            .flat_map(|patch| patch.files.clone())
            .collect();
        Patch::parse(&Patch::from_files(files).text)
    }

    /// The patch that undoes this one.
    pub fn reversed(&self) -> Patch {
        let mut files: Vec<FilePatch> = self.files.iter().map(FilePatch::reversed).collect();
        let paths: Vec<&String> = self
            .files
            .iter()
            .filter_map(|file| file.new.as_ref())
            .collect();
        // What was changed twice is undone from its end.
        if paths
            .iter()
            .enumerate()
            .any(|(at, path)| paths[..at].contains(path))
        {
            files.reverse();
        }
        Patch::from_files(files)
    }

    /// Every path that is read or written, each once, in order.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths = Vec::new();
        for path in self
            .files
            .iter()
            .flat_map(|file| [&file.old, &file.new])
            .flatten()
        {
            if !paths.contains(&path.as_str()) {
                paths.push(path.as_str());
            }
        }
        paths
    }

    /// The first eight hex digits of the BLAKE3 of the text.
    pub fn sha(&self) -> String {
        blake3::hash(self.text.as_bytes()).to_hex()[..8].to_string()
    }

    /// The text of the diff.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True where nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What the files are after the patch. `read` gives a file before it, or none.
    ///
    /// Context must match at the stated line, or else at exactly one other place.
    ///
    /// # Errors
    ///
    /// When one hunk does not apply; then nothing does.
    pub fn apply(
        &self,
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<FileChange>, ApplyError> {
        apply::apply(&self.files, read)
    }

    fn from_files(files: Vec<FilePatch>) -> Patch {
        let mut text = String::new();
        for file in &files {
            file.print(&mut text).expect("a String takes every write");
        }
        Patch { text, files }
    }
}

impl Display for Patch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl TryFrom<String> for Patch {
    type Error = PatchError;

    fn try_from(text: String) -> Result<Patch, PatchError> {
        Patch::parse(&text)
    }
}

impl From<Patch> for String {
    fn from(patch: Patch) -> String {
        patch.text
    }
}

impl FilePatch {
    /// Its name afterwards, or before where it is deleted.
    fn name(&self) -> &str {
        self.new
            .as_deref()
            .or(self.old.as_deref())
            .unwrap_or_default()
    }

    /// True where the file has another name afterwards.
    fn is_moved(&self) -> bool {
        self.old.is_some() && self.old != self.new
    }

    fn reversed(&self) -> FilePatch {
        FilePatch {
            headers: parse::reversed_headers(self),
            labelled: self.labelled,
            // A copy is undone by deleting what it made; the original was never touched.
            old: self.new.clone(),
            new: if self.copied { None } else { self.old.clone() },
            copied: false,
            hunks: self.hunks.iter().map(Hunk::reversed).collect(),
            ..*self
        }
    }

    fn print(&self, out: &mut String) -> fmt::Result {
        for header in &self.headers {
            writeln!(out, "{header}")?;
        }
        if self.labelled {
            let end = if self.crlf { "\r" } else { "" };
            writeln!(out, "--- {}{end}", label("a/", self.old.as_deref()))?;
            writeln!(out, "+++ {}{end}", label("b/", self.new.as_deref()))?;
        }
        self.hunks.iter().try_for_each(|hunk| hunk.print(out))
    }
}

impl Hunk {
    fn count(&self, side: Side) -> usize {
        self.lines
            .iter()
            .filter(|line| line.side == side || line.side == Side::Both)
            .count()
    }

    fn reversed(&self) -> Hunk {
        let mut lines = Vec::with_capacity(self.lines.len());
        for run in self
            .lines
            .chunk_by(|a, b| (a.side == Side::Both) == (b.side == Side::Both))
        {
            // What was added is removed, and removals come first.
            for (from, to) in [
                (Side::New, Side::Old),
                (Side::Old, Side::New),
                (Side::Both, Side::Both),
            ] {
                let turned = run.iter().filter(|line| line.side == from);
                lines.extend(turned.map(|line| HunkLine {
                    side: to,
                    text: line.text.clone(),
                }));
            }
        }
        let section = self.section.clone();
        Hunk {
            old_start: self.new_start,
            new_start: self.old_start,
            section,
            lines,
        }
    }

    fn print(&self, out: &mut String) -> fmt::Result {
        let old = range(self.old_start, self.count(Side::Old));
        let new = range(self.new_start, self.count(Side::New));
        writeln!(out, "@@ -{old} +{new} @@{}", self.section)?;
        for line in &self.lines {
            let sign = match line.side {
                Side::Both => ' ',
                Side::Old => '-',
                Side::New => '+',
            };
            write!(out, "{sign}{}", line.text)?;
            if !line.text.ends_with('\n') {
                write!(out, "\n\\ No newline at end of file\n")?;
            }
        }
        Ok(())
    }
}

fn label(prefix: &str, path: Option<&str>) -> String {
    match path {
        None => "/dev/null".to_string(),
        // A tab ends a name with spaces, as git writes it.
        Some(path) if path.contains(' ') => format!("{prefix}{path}\t"),
        Some(path) => format!("{prefix}{path}"),
    }
}

fn range(start: usize, count: usize) -> String {
    if count == 1 {
        start.to_string()
    } else {
        format!("{start},{count}")
    }
}

/// Lines with their `\n`; a `\r` belongs to its line.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn hunk(ops: &[DiffOp], old: &[&str], new: &[&str]) -> Hunk {
    let mut lines = Vec::new();
    let mut add = |side, texts: &[&str]| {
        lines.extend(texts.iter().map(|text| HunkLine {
            side,
            text: text.to_string(),
        }));
    };
    for op in ops {
        match op.tag() {
            DiffTag::Equal => add(Side::Both, &old[op.old_range()]),
            DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                add(Side::Old, &old[op.old_range()]);
                add(Side::New, &new[op.new_range()]);
            }
        }
    }
    let (first, last) = (&ops[0], &ops[ops.len() - 1]);
    let start = |from: usize, to: usize| if from == to { from } else { from + 1 };
    Hunk {
        old_start: start(first.old_range().start, last.old_range().end),
        new_start: start(first.new_range().start, last.new_range().end),
        section: String::new(),
        lines,
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

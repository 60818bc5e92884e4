//! Search-and-replace answers, in the form that Agentless and SWE-Swiss use.
//!
//! In: prose with fenced blocks. Out: edits, and every block that was dropped with its reason.
//! Example, inside a `python` fence: `### a.py`, `<<<<<<< SEARCH`, `x = 1`, `=======`, `x = 2`, `>>>>>>> REPLACE`.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::EditError;
use crate::patch::{Patch, check_path};

pub(super) const OPEN: &str = "<<<<<<< SEARCH";
pub(super) const MIDDLE: &str = "=======";
pub(super) const CLOSE: &str = ">>>>>>> REPLACE";

/// Replace these lines of one file with those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchReplace {
    /// Path below the tree, with `/`.
    pub path: String,
    /// Whole lines that occur once in the file.
    pub search: Vec<String>,
    /// What stands there instead.
    pub replace: Vec<String>,
}

/// A block that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where it begins, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Display for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the block at line {}: {}", self.line, self.why)
    }
}

/// What an answer holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// In the order of writing.
    pub edits: Vec<SearchReplace>,
    /// Blocks that were not taken: an answer with one does not say what it means.
    pub dropped: Vec<Dropped>,
}

impl SearchReplace {
    /// Reads every block of an answer.
    pub fn parse_all(answer: &str) -> Parsed {
        let mut parsed = Parsed::default();
        let mut lines = answer.lines().enumerate();
        // Outside a python fence: none. Inside: the path, once it is named.
        let mut fence: Option<Option<String>> = None;
        while let Some((index, line)) = lines.next() {
            let line = line.trim_end();
            if line.starts_with("```") {
                fence = if fence.is_none() && line == "```python" {
                    Some(None)
                } else {
                    None
                };
            } else if let (Some(path), Some(named)) = (&mut fence, line.strip_prefix("### ")) {
                *path = Some(named.trim().to_string());
            } else if line == OPEN {
                match block(&mut lines, || path_of(fence.as_ref())) {
                    Ok(edit) => parsed.edits.push(edit),
                    Err(why) => parsed.dropped.push(Dropped {
                        line: index + 1,
                        why,
                    }),
                }
            }
        }
        parsed
    }

    /// The file after the edit.
    ///
    /// # Errors
    ///
    /// When the text to replace is not there, or there twice.
    pub fn apply(&self, text: &str) -> Result<String, EditError> {
        if self.search.is_empty() {
            return Err(EditError::EmptySearch(self.path.clone()));
        }
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let at = |window: &[&str]| {
            window
                .iter()
                .zip(&self.search)
                .all(|(line, search)| bare(line) == search)
        };
        let mut found = lines
            .windows(self.search.len())
            .enumerate()
            .filter(|(_, window)| at(window));
        let first = found
            .next()
            .ok_or_else(|| EditError::NotFound(self.path.clone()))?
            .0;
        if found.next().is_some() {
            return Err(EditError::FoundTwice(self.path.clone()));
        }
        let end = first + self.search.len();
        let line_end = &lines[first][bare(lines[first]).len()..];
        let line_end = if line_end.is_empty() { "\n" } else { line_end };
        let mut out = lines[..first].concat();
        for line in &self.replace {
            out.push_str(line);
            out.push_str(line_end);
        }
        // A file that ended without a newline still does.
        if end == lines.len() && !text.ends_with('\n') {
            out.truncate(bare(&out).len());
        }
        Ok(out + &lines[end..].concat())
    }
}

/// As a model is to write it: one fence with one block.
impl Display for SearchReplace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "```python\n### {}\n{OPEN}", self.path)?;
        self.search
            .iter()
            .try_for_each(|line| writeln!(formatter, "{line}"))?;
        writeln!(formatter, "{MIDDLE}")?;
        self.replace
            .iter()
            .try_for_each(|line| writeln!(formatter, "{line}"))?;
        write!(formatter, "{CLOSE}\n```")
    }
}

/// All edits, one after the other, as one patch against `base`.
///
/// # Errors
///
/// When one edit does not fit, names a file that is not there, or leaves the repository.
pub fn to_patch(
    edits: &[SearchReplace],
    base: &dyn Fn(&str) -> Option<String>,
) -> Result<Patch, EditError> {
    let mut files: BTreeMap<&str, (String, String)> = BTreeMap::new();
    for edit in edits {
        let path = edit.path.as_str();
        check_path(path)?;
        if !files.contains_key(path) {
            let text = base(path).ok_or_else(|| EditError::NoFile(path.to_string()))?;
            files.insert(path, (text.clone(), text));
        }
        let (_, text) = files.get_mut(path).expect("inserted above");
        *text = edit.apply(text)?;
    }
    let patches: Vec<Patch> = files
        .iter()
        .map(|(path, (old, new))| Patch::between(path, old, new))
        .collect();
    Ok(Patch::joined(&patches)?)
}

/// The lines from after `SEARCH` to `REPLACE`, as an edit of the file that `path` names.
pub(super) fn block<'a>(
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
    path: impl FnOnce() -> Result<String, &'static str>,
) -> Result<SearchReplace, &'static str> {
    let (mut search, mut replace, mut middles) = (Vec::new(), Vec::new(), 0);
    loop {
        let (_, line) = lines.next().ok_or("it has no `>>>>>>> REPLACE`")?;
        match line.trim_end() {
            CLOSE => break,
            MIDDLE => middles += 1,
            OPEN => return Err("another block begins inside it"),
            _ if middles == 0 => search.push(line.to_string()),
            _ => replace.push(line.to_string()),
        }
    }
    match middles {
        0 => return Err("it has no `=======`"),
        1 => {}
        _ => return Err("it has more than one `=======`"),
    }
    Ok(SearchReplace {
        path: path()?,
        search,
        replace,
    })
}

/// The path that a fence names.
fn path_of(fence: Option<&Option<String>>) -> Result<String, &'static str> {
    fence
        .ok_or("it is not in a `python` fence")?
        .clone()
        .ok_or("no `### path` stands before it")
}

/// A line without its end.
fn bare(line: &str) -> &str {
    line.strip_suffix('\n')
        .map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(search: &[&str], replace: &[&str]) -> SearchReplace {
        let own = |lines: &[&str]| lines.iter().map(|line| line.to_string()).collect();
        SearchReplace {
            path: "a.py".into(),
            search: own(search),
            replace: own(replace),
        }
    }

    fn dropped(answer: &str) -> Vec<Dropped> {
        let parsed = SearchReplace::parse_all(answer);
        assert_eq!(parsed.edits, []);
        parsed.dropped
    }

    #[test]
    fn a_block_is_read_as_it_is_written() {
        let written = edit(&["x = 1", ""], &["x = 2"]);
        let parsed = SearchReplace::parse_all(&format!("The bug is here.\n\n{written}\n\nDone."));
        assert_eq!(
            parsed,
            Parsed {
                edits: vec![written],
                dropped: vec![]
            }
        );
    }

    #[test]
    fn every_dropped_block_is_told() {
        let good = edit(&["x"], &["y"]).to_string();
        let why = |answer: &str| {
            dropped(answer)
                .into_iter()
                .map(|dropped| dropped.why)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            why(&good.replace("python", "js")),
            ["it is not in a `python` fence"]
        );
        assert_eq!(
            why(&good.replace("### a.py\n", "")),
            ["no `### path` stands before it"]
        );
        assert_eq!(
            why(&good.replace("=======\n", "=======\n=======\n")),
            ["it has more than one `=======`"]
        );
        assert_eq!(why(&good.replace("=======\n", "")), ["it has no `=======`"]);
        assert_eq!(
            why(&good.replace(CLOSE, "")),
            ["it has no `>>>>>>> REPLACE`"]
        );
        assert_eq!(
            dropped(&format!("\n{}", good.replace("python", "")))[0].line,
            4
        );
    }

    #[test]
    fn the_text_to_replace_must_occur_once() {
        let one = edit(&["b"], &["B", "B2"]);
        assert_eq!(one.apply("a\nb\nc\n").as_deref(), Ok("a\nB\nB2\nc\n"));
        assert_eq!(one.apply("a\r\nb").as_deref(), Ok("a\r\nB\nB2"));
        assert_eq!(
            one.apply("a\nbb\n"),
            Err(EditError::NotFound("a.py".into()))
        );
        assert_eq!(
            one.apply("b\nb\n"),
            Err(EditError::FoundTwice("a.py".into()))
        );
        assert_eq!(
            edit(&[], &["x"]).apply("a\n"),
            Err(EditError::EmptySearch("a.py".into()))
        );
        assert_eq!(
            edit(&["a", "b"], &[]).apply("a\nb\nc\n").as_deref(),
            Ok("c\n")
        );
    }

    #[test]
    fn edits_become_one_patch() {
        let base = |path: &str| (path == "a.py").then(|| "a\nb\n".to_string());
        let patch = to_patch(&[edit(&["a"], &["A"]), edit(&["b"], &["B"])], &base).expect("fits");
        assert_eq!(patch, Patch::between("a.py", "a\nb\n", "A\nB\n"));
        let elsewhere = SearchReplace {
            path: "b.py".into(),
            ..edit(&["a"], &["A"])
        };
        assert_eq!(
            to_patch(&[elsewhere], &base),
            Err(EditError::NoFile("b.py".into()))
        );
        let outside = SearchReplace {
            path: "../b.py".into(),
            ..edit(&["a"], &["A"])
        };
        assert!(matches!(
            to_patch(&[outside], &base),
            Err(EditError::Patch(_))
        ));
    }
}

//! Edits as a model writes them: one line by its number, or search/replace blocks; both become a [`Patch`].

use std::collections::BTreeMap;
use std::fmt;

use crate::patch::{Patch, PatchError};
use crate::task::Focus;

/// `N|the new line`: line N of what was shown, counted from 1, becomes this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineEdit {
    /// Counted from 1 at the first line shown.
    pub line: usize,
    /// The new line, without its end.
    pub text: String,
}

/// Why text is no edit, or an edit does not fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EditError {
    /// The text has another form.
    #[error("expected `N|the new line`, found `{0}`")]
    Form(String),
    /// The line was not shown.
    #[error("line {line} was not shown; the lines are 1 to {shown}")]
    Line {
        /// What was asked for.
        line: usize,
        /// How many lines were shown.
        shown: usize,
    },
    /// A block lacks a part.
    #[error("block {block} of the answer is dropped: {reason}")]
    Block {
        /// Counted from 1.
        block: usize,
        /// What is wrong.
        reason: String,
    },
    /// The text to replace is not there, or there more than once.
    #[error("the search text of block {block} occurs {times} times in `{path}`, but must occur once")]
    Search {
        /// Counted from 1.
        block: usize,
        /// The file.
        path: String,
        /// How often it occurs.
        times: usize,
    },
    /// The file is not there.
    #[error("block {block} edits `{path}`, which does not exist")]
    Missing {
        /// Counted from 1.
        block: usize,
        /// The file.
        path: String,
    },
    /// The edits together are no patch.
    #[error(transparent)]
    Patch(#[from] PatchError),
}

impl fmt::Display for LineEdit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}|{}", self.line, self.text)
    }
}

impl LineEdit {
    /// Reads `N|the new line`, with at most one line end behind it.
    ///
    /// # Errors
    ///
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, EditError> {
        let form = || EditError::Form(text.chars().take(80).collect());
        let (line, new) = text.split_once('|').ok_or_else(form)?;
        let new = new.strip_suffix('\n').unwrap_or(new);
        let digits = (1..=6).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || new.contains('\n') {
            return Err(form());
        }
        Ok(LineEdit { line: line.parse().map_err(|_| form())?, text: new.to_owned() })
    }

    /// `file` with the line replaced.
    ///
    /// # Errors
    ///
    /// When the line is outside of `focus` or of the file.
    pub fn apply(&self, file: &str, focus: &Focus) -> Result<String, EditError> {
        let shown = (focus.last_line + 1).saturating_sub(focus.first_line);
        let outside = || EditError::Line { line: self.line, shown };
        if self.line == 0 || self.line > shown {
            return Err(outside());
        }
        let mut lines: Vec<&str> = file.split('\n').collect();
        let place = lines.get_mut(focus.first_line - 1 + self.line - 1).ok_or_else(outside)?;
        let carriage = if place.ends_with('\r') { "\r" } else { "" };
        let new = format!("{}{carriage}", self.text);
        *place = &new;
        Ok(lines.join("\n"))
    }
}

/// Replace one text by another in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchReplace {
    /// The file.
    pub path: String,
    /// What stands there, whole lines.
    pub search: String,
    /// What shall stand there.
    pub replace: String,
}

impl fmt::Display for SearchReplace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SearchReplace { path, search, replace } = self;
        write!(
            formatter,
            "```python\n### {path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n```\n"
        )
    }
}

impl SearchReplace {
    /// Reads every block `### path`, `<<<<<<< SEARCH`, `=======`, `>>>>>>> REPLACE` of an answer (the form of
    /// Agentless and SWE-Swiss). Blocks that are dropped are told, never silent.
    pub fn parse_all(text: &str) -> (Vec<SearchReplace>, Vec<EditError>) {
        let (mut edits, mut dropped) = (Vec::new(), Vec::new());
        let mut path: Option<String> = None;
        let mut block = 0;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(named) = line.strip_prefix("### ") {
                path = Some(named.trim().to_owned());
            } else if line.trim_end() == "<<<<<<< SEARCH" {
                block += 1;
                match read_block(&mut lines, path.clone()) {
                    Ok(edit) => edits.push(edit),
                    Err(reason) => dropped.push(EditError::Block { block, reason }),
                }
            }
        }
        (edits, dropped)
    }

    /// All edits, in order, as one patch.
    ///
    /// # Errors
    ///
    /// When a file is missing, or a search text does not occur exactly once.
    pub fn to_patch(edits: &[SearchReplace], read: &dyn Fn(&str) -> Option<String>) -> Result<Patch, EditError> {
        let mut files: BTreeMap<&str, (String, String)> = BTreeMap::new();
        for (index, edit) in edits.iter().enumerate() {
            let (block, path) = (index + 1, edit.path.clone());
            if !files.contains_key(edit.path.as_str()) {
                let old = read(&edit.path).ok_or(EditError::Missing { block, path: path.clone() })?;
                files.insert(&edit.path, (old.clone(), old));
            }
            let (_, new) = files.get_mut(edit.path.as_str()).expect("inserted above");
            let times = if edit.search.is_empty() { 0 } else { new.matches(&edit.search).count() };
            if times != 1 {
                return Err(EditError::Search { block, path, times });
            }
            *new = new.replacen(&edit.search, &edit.replace, 1);
        }
        let patches: Vec<Patch> =
            files.iter().map(|(path, (old, new))| Patch::between(path, old, new)).filter(|one| !one.is_empty()).collect();
        Ok(Patch::joined(&patches)?)
    }
}

/// The rest of a block behind its first marker.
fn read_block<'a>(lines: &mut impl Iterator<Item = &'a str>, path: Option<String>) -> Result<SearchReplace, String> {
    let (mut search, mut replace) = (String::new(), String::new());
    let mut divided = false;
    for line in lines {
        match line.trim_end() {
            "=======" if divided => return Err("it has more than one `=======`".into()),
            "=======" => divided = true,
            ">>>>>>> REPLACE" if divided => {
                let path = path.ok_or("no `### path` stands before it")?;
                return Ok(SearchReplace { path, search, replace });
            }
            ">>>>>>> REPLACE" => return Err("it has no `=======`".into()),
            _ => {
                let side = if divided { &mut replace } else { &mut search };
                side.push_str(line);
                side.push('\n');
            }
        }
    }
    Err("it has no `>>>>>>> REPLACE`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "import os\n\ndef add(a, b):\n    return a - b\n";

    fn focus() -> Focus {
        Focus { path: "sum.py".into(), first_line: 3, last_line: 4 }
    }

    #[test]
    fn a_line_is_counted_from_the_first_one_shown() {
        let edit = LineEdit::parse("2|    return a + b\n").expect("reads");
        assert_eq!(edit.apply(FILE, &focus()).expect("fits"), FILE.replace('-', "+"));
        assert_eq!(edit.to_string(), "2|    return a + b");
    }

    #[test]
    fn what_is_no_line_edit_is_refused() {
        for text in ["", "return a + b", "x|y", "|y", "2|a\nb", "-1|a", "1234567|a"] {
            assert!(matches!(LineEdit::parse(text), Err(EditError::Form(_))), "{text:?}");
        }
        let outside = LineEdit { line: 3, text: String::new() };
        assert_eq!(outside.apply(FILE, &focus()), Err(EditError::Line { line: 3, shown: 2 }));
    }

    #[test]
    fn search_and_replace_becomes_a_patch_and_prints_as_it_was_read() {
        let text = "```python\n### sum.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n```\n";
        let (edits, dropped) = SearchReplace::parse_all(text);
        assert_eq!((edits.len(), dropped.len()), (1, 0));
        assert_eq!(edits[0].to_string(), text);
        let patch = SearchReplace::to_patch(&edits, &|_| Some(FILE.to_owned())).expect("fits");
        assert_eq!(patch, Patch::between("sum.py", FILE, &FILE.replace('-', "+")));
    }

    #[test]
    fn a_dropped_block_and_an_ambiguous_search_are_told() {
        let (_, dropped) = SearchReplace::parse_all("<<<<<<< SEARCH\na\n=======\nb\n");
        assert_eq!(dropped.len(), 1);
        let edit = SearchReplace { path: "x.py".into(), search: "a\n".into(), replace: "b\n".into() };
        let refused = SearchReplace::to_patch(&[edit], &|_| Some("a\na\n".to_owned()));
        assert_eq!(refused, Err(EditError::Search { block: 1, path: "x.py".into(), times: 2 }));
    }
}

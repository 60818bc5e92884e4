//! Short answers that become patches: one new line, or search and replace.
//!
//! In: what a model wrote. Out: the edited file, or why the answer is none.
//! Example: `2|    return a + b` replaces the second line that was shown.

pub mod anchor;
mod search;
pub mod tree;

use std::fmt::{self, Display};
use std::ops::Range;

use crate::task::Focus;

pub use search::{Dropped, Parsed, SearchReplace, to_patch};

/// One line of the shown span, written anew: `N|the new line`.
///
/// Invariant: `text` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineEdit {
    /// Counted from 1 at the first line shown.
    pub line: usize,
    /// The new line, without its end.
    pub text: String,
}

/// Why an answer is no edit, or does not fit its file.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EditError {
    /// Not `N|text`.
    #[error("the answer is not of the form `N|the new line`")]
    NotALine,
    /// More than one line.
    #[error("the answer has more than one line")]
    ManyLines,
    /// No such line was shown.
    #[error("the answer names line {line}, but {shown} lines were shown")]
    OutOfRange {
        /// The line named.
        line: usize,
        /// How many there are.
        shown: usize,
    },
    /// The span lies outside the file.
    #[error("`{path}` ends before line {line}")]
    Beyond {
        /// The file.
        path: String,
        /// Counted from 1 in the file.
        line: usize,
    },
    /// A block searches for nothing.
    #[error("a block for `{0}` searches for nothing")]
    EmptySearch(String),
    /// The text to replace is not in the file.
    #[error("the text to replace is not in `{0}`")]
    NotFound(String),
    /// The text to replace is not unique.
    #[error("the text to replace occurs more than once in `{0}`")]
    FoundTwice(String),
    /// The file to edit is not there.
    #[error("`{0}` does not exist")]
    NoFile(String),
    /// The result is no valid patch.
    #[error(transparent)]
    Patch(#[from] crate::patch::PatchError),
}

impl LineEdit {
    /// Reads `N|text` where `shown` lines were shown. One trailing newline is forgiven and nothing else.
    ///
    /// # Errors
    ///
    /// When the form is another, or no line `N` was shown.
    pub fn parse(answer: &str, shown: usize) -> Result<LineEdit, EditError> {
        let answer = answer.strip_suffix('\n').unwrap_or(answer);
        // Python ends a line at a lone `\r` too.
        if answer.contains(['\n', '\r']) {
            return Err(EditError::ManyLines);
        }
        let (number, text) = answer.split_once('|').ok_or(EditError::NotALine)?;
        let plain = !number.starts_with('0') && (1..=9).contains(&number.len());
        if !plain || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(EditError::NotALine);
        }
        let line = number.parse().map_err(|_| EditError::NotALine)?;
        if line > shown {
            return Err(EditError::OutOfRange { line, shown });
        }
        Ok(LineEdit {
            line,
            text: text.to_string(),
        })
    }

    /// The file after the edit; the line keeps the line end that it had.
    ///
    /// # Errors
    ///
    /// When the file has no such line, or the text is more than one.
    pub fn apply(&self, file_text: &str, focus: &Focus) -> Result<String, EditError> {
        if self.text.contains(['\n', '\r']) {
            return Err(EditError::ManyLines);
        }
        let shown = focus.lines();
        if self.line == 0 || self.line > shown {
            return Err(EditError::OutOfRange {
                line: self.line,
                shown,
            });
        }
        let line = focus.first_line.saturating_add(self.line - 1);
        let span = line
            .checked_sub(1)
            .and_then(|index| line_span(file_text, index));
        let span = span.ok_or_else(|| EditError::Beyond {
            path: focus.path.clone(),
            line,
        })?;
        Ok(format!(
            "{}{}{}",
            &file_text[..span.start],
            self.text,
            &file_text[span.end..]
        ))
    }
}

impl Display for LineEdit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}|{}", self.line, self.text)
    }
}

impl Focus {
    /// How many lines the span has.
    pub fn lines(&self) -> usize {
        (self.last_line + 1).saturating_sub(self.first_line)
    }

    /// The lines of the span that `file_text` has, without their ends.
    pub fn shown<'a>(&self, file_text: &'a str) -> Vec<&'a str> {
        file_text
            .lines()
            .skip(self.first_line.saturating_sub(1))
            .take(self.lines())
            .collect()
    }
}

/// Where the line at `index`, counted from 0, stands in `text`, without its end.
fn line_span(text: &str, index: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if at == index {
            let bare = line
                .strip_suffix('\n')
                .map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
            return Some(start..start + bare.len());
        }
        start += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn focus() -> Focus {
        Focus {
            path: "a.py".into(),
            first_line: 2,
            last_line: 3,
        }
    }

    fn edited(answer: &str, text: &str) -> Result<String, EditError> {
        LineEdit::parse(answer, 2)?.apply(text, &focus())
    }

    #[test]
    fn an_edit_replaces_one_line_and_keeps_its_end() {
        assert_eq!(edited("1|B", "a\nb\nc").as_deref(), Ok("a\nB\nc"));
        assert_eq!(edited("2|C\n", "a\nb\nc").as_deref(), Ok("a\nb\nC"));
        assert_eq!(
            edited("1|B|", "a\r\nb\r\nc\r\n").as_deref(),
            Ok("a\r\nB|\r\nc\r\n")
        );
        assert_eq!(edited("1|", "a\nb\nc\n").as_deref(), Ok("a\n\nc\n"));
    }

    #[test]
    fn an_edit_prints_back_as_it_was_written() {
        for answer in ["1|    return a + b", "2|", "2||"] {
            assert_eq!(
                LineEdit::parse(answer, 2).expect("parses").to_string(),
                answer
            );
        }
    }

    #[test]
    fn other_forms_are_no_edit() {
        for answer in [
            "",
            "x",
            "|x",
            " 1|x",
            "+1|x",
            "01|x",
            "0|x",
            "1 |x",
            "9999999999|x",
            "-1|x",
        ] {
            assert_eq!(
                LineEdit::parse(answer, 2),
                Err(EditError::NotALine),
                "{answer}"
            );
        }
        for answer in ["1|x\n\n", "1|x\n2|y", "1|x\r\n", "1|x\ry"] {
            assert_eq!(
                LineEdit::parse(answer, 2),
                Err(EditError::ManyLines),
                "{answer}"
            );
        }
        assert_eq!(
            LineEdit::parse("3|x", 2),
            Err(EditError::OutOfRange { line: 3, shown: 2 })
        );
    }

    #[test]
    fn a_span_beyond_the_file_is_named() {
        assert_eq!(
            edited("2|x", "a\nb\n"),
            Err(EditError::Beyond {
                path: "a.py".into(),
                line: 3
            })
        );
    }
}

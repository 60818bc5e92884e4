//! What a person can do about an error.
//!
//! In: what a person can do. Out: the last line of an error message, and back: the printer splits hints off and prints them
//! last. Nobody else spells how a hint is written, so an error that is quoted by another error, by a row of a file or by an
//! answer over HTTP keeps its hint.
//!
//! ```
//! use data::Hint;
//! use data::hint;
//!
//! let said = format!("`a.jsonl` has no row{}", Hint("was it written to its end?"));
//! assert_eq!(hint::split(&said), ("`a.jsonl` has no row", Some("was it written to its end?")));
//! ```

use std::fmt::{Display, Formatter, Result};

/// How a line begins that is a hint.
const LINE: &str = "hint: ";
/// How a hint begins that stands behind what was said.
const BRACKET: &str = " (hint: ";

/// A hint on a line of its own. It is written right behind the text of an error: `"…{}", Hint("…")`.
#[derive(Clone, Copy, Debug)]
pub struct Hint<T>(pub T);

/// A hint in brackets, for an error that others quote within a line: `"…{}", Aside("…")`.
#[derive(Clone, Copy, Debug)]
pub struct Aside<T>(pub T);

impl<T: Display> Display for Hint<T> {
    fn fmt(&self, to: &mut Formatter<'_>) -> Result {
        write!(to, "\n{LINE}{}", self.0)
    }
}

impl<T: Display> Display for Aside<T> {
    fn fmt(&self, to: &mut Formatter<'_>) -> Result {
        write!(to, "{BRACKET}{})", self.0)
    }
}

/// The hint that a whole line is; none where it is something else.
pub fn of_line(line: &str) -> Option<&str> {
    line.strip_prefix(LINE)
}

/// What was said, and all from its first line of a hint on.
pub fn split(text: &str) -> (&str, Option<&str>) {
    for (end, _) in text.match_indices('\n') {
        let hint = of_line(&text[end + 1..]);
        if hint.is_some() {
            return (&text[..end], hint);
        }
    }
    (text, None)
}

/// What was said, and the hint in brackets behind it, which may hold brackets of its own.
pub fn split_aside(text: &str) -> (&str, Option<&str>) {
    match text.split_once(BRACKET) {
        Some((said, hint)) => (said, Some(hint.strip_suffix(')').unwrap_or(hint))),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_comes_back_as_it_was_given() {
        let said = format!("no\nmore{}{}", Hint("ask"), Hint(format_args!("{}", 7)));
        assert_eq!(said, "no\nmore\nhint: ask\nhint: 7");
        assert_eq!(split(&said), ("no\nmore", Some("ask\nhint: 7")));
        assert_eq!(split("no hint: x"), ("no hint: x", None));

        let said = format!("no{}", Aside("ask (twice)"));
        assert_eq!(said, "no (hint: ask (twice))");
        assert_eq!(split_aside(&said), ("no", Some("ask (twice)")));
        assert_eq!(split_aside("no (more)"), ("no (more)", None));
    }
}

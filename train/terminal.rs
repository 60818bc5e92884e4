//! Words for the person at the terminal.
//!
//! In: an error, or a line that quotes what somebody else wrote. Out: `error:`, the story behind it and `hint:` lines,
//! with nothing in them that a terminal would obey.
//! Example: the id `"\u{1b}[2Ja"` is printed as `\u{1b}[2Ja` and clears no screen.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;

use data::hint::{self, Hint};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::exit_code;

/// Has the program end without a word when whoever read its words is gone, such as `head`. To be called before any is said.
pub fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        let about_words = said.starts_with("failed printing to std") || said.contains("BrokenPipe");
        if about_words && reader_is_gone() {
            std::process::exit(exit_code::BROKEN_PIPE.into());
        }
        usual(panic);
    }));
}

/// Whether an error says no more than that whoever read our words is gone.
pub fn is_end_of_reader(error: &anyhow::Error) -> bool {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    error.chain().any(broken) && reader_is_gone()
}

/// Whether nobody reads standard output or standard error any more. Other pipes, such as those of a sandbox, may break too.
fn reader_is_gone() -> bool {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    let mut ends = [out.as_fd(), err.as_fd()].map(|end| PollFd::new(end, PollFlags::POLLOUT));
    let told = poll(&mut ends, PollTimeout::ZERO);
    let gone = |end: &PollFd<'_>| {
        end.revents()
            .is_some_and(|event| event.contains(PollFlags::POLLERR))
    };
    told.is_ok() && ends.iter().any(gone)
}

/// Prints an error as `error:`, the story behind it, and `hint:` lines, on standard error.
pub fn say_error(error: &anyhow::Error) {
    eprint!("{}", told(error));
}

/// Says how many of `what` a stage left out, a line for each reason; nothing where none was.
pub fn tell_dropped<W: std::fmt::Display>(
    what: &str,
    reasons: impl IntoIterator<Item = (usize, W)>,
) {
    for (count, why) in reasons.into_iter().filter(|(count, _)| *count > 0) {
        eprintln!("dropped: {count} {what}: {why}");
    }
}

/// A text without characters that a terminal obeys: they are written as escapes, and ends of lines stay.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        // Marks that turn the direction of writing make one text look like another.
        let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || letter.is_control() && !matches!(letter, '\n' | '\t') {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

fn told(error: &anyhow::Error) -> String {
    let (mut told, mut hints) = (String::new(), Vec::new());
    let mut before = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        // Some errors quote their cause; it is said once.
        if depth > 0 && before.ends_with(&text) {
            continue;
        }
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        // A hint may stand on its own line or in brackets at the end.
        let (first, bracketed) = hint::split_aside(first);
        let _ = writeln!(
            told,
            "{}{first}",
            if depth == 0 { "error: " } else { "  because: " }
        );
        hints.extend(bracketed.map(str::to_owned));
        for line in lines {
            match hint::of_line(line) {
                Some(hint) => hints.push(hint.to_owned()),
                None => {
                    let _ = writeln!(told, "  {line}");
                }
            }
        }
        before = text;
    }
    if hints.is_empty() {
        hints.extend(error.chain().find_map(usual_hint).map(str::to_owned));
    }
    hints.dedup();
    told.pop();
    for hint in hints {
        let _ = write!(told, "{}", Hint(hint));
    }
    told.push('\n');
    plain(&told)
}

/// What to do about an error of the system that nobody else had a hint for.
fn usual_hint(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    match cause.downcast_ref::<std::io::Error>()?.kind() {
        ErrorKind::StorageFull => Some(
            "free some disk space and run the same command again, with `--resume` where it has one",
        ),
        ErrorKind::NotFound => {
            Some("look for a slip in the path; it is read from the folder that this was started in")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};
    use data::file::read_text;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(
            plain("a\u{1b}[2J\r\u{9b}1m\u{202e}b\n\tc"),
            "a\\u{1b}[2J\\r\\u{9b}1m\\u{202e}b\n\tc"
        );
        assert_eq!(told(&anyhow!("`\u{7}`: ä")), "error: `\\u{7}`: ä\n");
    }

    #[test]
    fn a_hint_keeps_its_own_brackets() {
        let said = told(&anyhow!("no (hint: ask (twice))").context("first"));
        assert_eq!(said, "error: first\n  because: no\nhint: ask (twice)\n");
    }

    #[test]
    fn a_missing_file_is_said_once_and_with_a_hint() {
        let error = read_text(std::path::Path::new("/no/such"))
            .context("while reading")
            .expect_err("is missing");
        let said = told(&error);
        assert_eq!(said.matches("No such file").count(), 1, "{said}");
        assert!(said.contains("\nhint: look for a slip"), "{said}");
    }
}

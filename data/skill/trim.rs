//! Trimming: a patch that does too much in, the parts of it that are needed out.
//!
//! In: an issue, a patch, and the failure of an earlier trim, where there was one. Out: the prompt, the right answer, and
//! the patch that an answer stands for. The answer names parts, so that it is short to write and always applies.
//! Example: asked `sum is -1, not 3`, `m/money.py`, `1+|    # sum`, `2-|    return a - b`, `2+|    return a + b`;
//! answered `2`.

use std::fmt::Write as _;

use crate::message::{Message, Role};
use crate::patch::Patch;
use crate::triplet::Triplet;

/// Lines of an earlier failure that are shown.
const FAILURE_LINES: usize = 3;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is wrong.
    pub issue: &'a str,
    /// The patch that passes and does too much.
    pub long: &'a Patch,
    /// A part that was left out before, counted from 1, and what the tests said then.
    pub failed: Option<(usize, &'a str)>,
}

/// Why an answer names no parts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TrimError {
    /// It is no list of numbers.
    #[error("the answer is no list of parts such as `2,5-7`")]
    NotParts,
    /// It names a part that is not there.
    #[error("the answer names part {part}, and there are {parts}")]
    OutOfRange {
        /// The part.
        part: usize,
        /// How many there are.
        parts: usize,
    },
}

/// What the model is asked.
pub fn prompt(question: &Question) -> Vec<Message> {
    let mut content = format!("{}\n{}", question.issue, numbered(question.long));
    if let Some((part, failure)) = question.failed {
        let failure: Vec<&str> = failure.lines().take(FAILURE_LINES).collect();
        writeln!(content, "without {part}: {}", failure.join("\n"))
            .expect("a String takes every write");
    }
    content += "keep";
    vec![Message::new(Role::User, content)]
}

/// A patch whose lines say which part they belong to: files, lines around a change, `N-|removed`, `N+|added`.
pub fn numbered(patch: &Patch) -> String {
    let parts = patch.parts();
    let mut out = String::new();
    let (mut file, mut hunk) = (None, None);
    let around =
        |path: &str, line: usize| patch.old_line(path, line).map(|text| format!(" |{text}\n"));
    let mut last = 0;
    for (at, part) in parts.iter().enumerate() {
        if file != Some(part.file) {
            out += &part.path;
            out.push('\n');
            last = 0;
        }
        // One line above each run of changes says where it stands.
        if hunk != Some(part.run) && part.before > last + 1 {
            out += &around(&part.path, part.before - 1).unwrap_or_default();
        }
        (file, hunk) = (Some(part.file), Some(part.run));
        last = part.before.saturating_sub(1) + part.old_lines.len();
        for (sign, text) in [('-', &part.removed), ('+', &part.added)] {
            text.lines().for_each(|line| {
                writeln!(out, "{}{sign}|{line}", at + 1).expect("a String takes every write")
            });
        }
    }
    out
}

/// The answer that keeps these parts, counted from 1, such as `2,5-7`.
pub fn answer(kept: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for part in kept {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *part => *last = *part,
            _ => runs.push((*part, *part)),
        }
    }
    let said = |(first, last): &(usize, usize)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    runs.iter().map(said).collect::<Vec<_>>().join(",")
}

/// The patch that an answer stands for.
///
/// # Errors
///
/// When the answer is no list of parts, or names one that is not there.
pub fn parse_answer(text: &str, long: &Patch) -> Result<Patch, TrimError> {
    let count = long.parts().len();
    let mut kept = vec![false; count];
    for run in text.trim().split(',') {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let number = |text: &str| {
            text.trim()
                .parse::<usize>()
                .map_err(|_| TrimError::NotParts)
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(TrimError::NotParts);
        }
        if let Some(part) = [first, last]
            .into_iter()
            .find(|part| *part == 0 || *part > count)
        {
            return Err(TrimError::OutOfRange { part, parts: count });
        }
        kept[first - 1..last].fill(true);
    }
    Ok(long.keeping(&kept))
}

/// What a triplet teaches: the question and its answer; and the same after a trim that left out one part too many.
pub fn lessons(triplet: &Triplet) -> [(Vec<Message>, String); 2] {
    let Triplet {
        issue,
        long,
        failure,
        kept,
        lacking,
        ..
    } = triplet;
    let lesson = |failed| {
        (
            prompt(&Question {
                issue,
                long,
                failed,
            }),
            answer(kept),
        )
    };
    [lesson(None), lesson(Some((*lacking, failure.as_str())))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "def add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a\n";

    fn long() -> Patch {
        let new = "def add(a, b):\n    # sum\n    return a + b\n\n\ndef sub(a, b):\n    return a\n\n\ndef more():\n    pass\n";
        Patch::between("m/money.py", BASE, new)
    }

    #[test]
    fn lines_say_which_part_they_belong_to() {
        let long = long();
        let question = Question {
            issue: "add(1, 2) is -1",
            long: &long,
            failed: Some((2, "t failed\nE: m\nat x\nand more")),
        };
        let expected = "add(1, 2) is -1\nm/money.py\n |def add(a, b):\n1+|    # sum\n2-|    return a - b\n2+|    return a + b\n \
                        |    return a\n3+|\n4+|\n5+|def more():\n6+|    pass\nwithout 2: t failed\nE: m\nat x\nkeep";
        assert_eq!(prompt(&question), [Message::new(Role::User, expected)]);
    }

    #[test]
    fn an_answer_reads_back_as_the_parts_that_it_names() {
        for kept in [vec![2], vec![1, 2, 3], vec![1, 3, 4, 6], (1..=6).collect()] {
            let long = long();
            let flags: Vec<bool> = (1..=6).map(|part| kept.contains(&part)).collect();
            assert_eq!(
                parse_answer(&answer(&kept), &long),
                Ok(long.keeping(&flags))
            );
        }
        assert_eq!(answer(&[1, 3, 4, 6]), "1,3-4,6");
        let repaired = parse_answer(" 2\n", &long())
            .expect("a part")
            .apply(&|_| Some(BASE.into()))
            .expect("applies");
        assert_eq!(
            repaired[0].content.as_deref(),
            Some(BASE.replace("a - b", "a + b").as_str())
        );
    }

    #[test]
    fn what_names_no_parts_is_refused() {
        for text in ["", "all", "1,", "2-1", "1;2", "-1"] {
            assert_eq!(
                parse_answer(text, &long()),
                Err(TrimError::NotParts),
                "{text}"
            );
        }
        assert_eq!(
            parse_answer("7", &long()),
            Err(TrimError::OutOfRange { part: 7, parts: 6 })
        );
        assert_eq!(
            parse_answer("0", &long()),
            Err(TrimError::OutOfRange { part: 0, parts: 6 })
        );
    }
}

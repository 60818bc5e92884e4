//! Trimming: a patch that does too much in, the parts of it that are needed out.
//!
//! In: an issue, a patch, and the failure of an earlier trim, where there was one. Out: the prompt, the right answer, and
//! the patch that an answer stands for. The answer names parts, so that it is short to write and always applies.
//! Example: asked `sum is -1, not 3`, `m/money.py`, `1+|    # sum`, `2-|    return a - b`, `2+|    return a + b`;
//! answered `2`.

use std::collections::BTreeMap;
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
    Ok(long.keeping(&parse_parts(text, long.parts().len())?))
}

/// Which of `count` parts an answer keeps.
///
/// # Errors
///
/// As [`parse_answer`].
pub fn parse_parts(text: &str, count: usize) -> Result<Vec<bool>, TrimError> {
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
    Ok(kept)
}

/// The answers that a model may give to one question, each with its probability.
///
/// A greedy answer is one guess, and nothing says how sure the model is of it. Here several answers are drawn; each counts
/// once, with the probability that the model itself gives it. What they lack to 1 is that of answers nobody saw, and of
/// those that name no parts: it counts against every trim.
///
/// Example: `2` has 0.9 and `2-3` has 0.08. With a confidence of 0.85 part 2 stays, with 0.95 parts 2 and 3, and with 0.99
/// the whole patch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerSet {
    count: usize,
    /// The likeliest first.
    answers: Vec<(Vec<bool>, f64)>,
}

impl AnswerSet {
    /// Of a patch with `count` parts, from answers with the sum of their tokens' log-probabilities. Equal sequences of
    /// tokens have to come once.
    pub fn new<'a>(count: usize, answers: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let mut sets: BTreeMap<Vec<bool>, f64> = BTreeMap::new();
        for (text, logprob) in answers {
            if let Ok(kept) = parse_parts(text, count) {
                *sets.entry(kept).or_default() += logprob.exp();
            }
        }
        let mut answers: Vec<(Vec<bool>, f64)> = sets.into_iter().collect();
        answers.sort_by(|one, other| other.1.total_cmp(&one.1));
        AnswerSet { count, answers }
    }

    /// The parts to keep, so that with a probability of `confidence`, by the model's own word, no needed part is left out.
    ///
    /// The likeliest answers are joined until those within their union have that probability together (a prediction set
    /// as in Romano et al., arXiv 2006.02544). Where they never have, all parts stay.
    pub fn kept(&self, confidence: f64) -> Vec<bool> {
        let mut union = vec![false; self.count];
        for (kept, _) in &self.answers {
            union
                .iter_mut()
                .zip(kept)
                .for_each(|(all, one)| *all |= one);
            if self.mass_within(&union) >= confidence {
                return union;
            }
        }
        vec![true; self.count]
    }

    /// The probability of the answers that keep nothing beyond `parts`.
    pub fn mass_within(&self, parts: &[bool]) -> f64 {
        let within = |kept: &[bool]| kept.iter().zip(parts).all(|(kept, part)| *part || !kept);
        let inside = self.answers.iter().filter(|(kept, _)| within(kept));
        inside.map(|(_, probability)| probability).sum()
    }
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

    fn set(answers: &[(&str, f64)]) -> AnswerSet {
        AnswerSet::new(6, answers.iter().map(|(text, p)| (*text, f64::ln(*p))))
    }

    fn said(answers: &[(&str, f64)], confidence: f64) -> String {
        let kept = set(answers).kept(confidence);
        let parts: Vec<usize> = (1..=6).filter(|part| kept[part - 1]).collect();
        answer(&parts)
    }

    #[test]
    fn the_surer_a_trim_has_to_be_the_more_it_keeps() {
        let answers = [("2-3", 0.08), ("2", 0.9)];
        let kept = [0.85, 0.95, 0.99].map(|confidence| said(&answers, confidence));
        assert_eq!(kept, ["2", "2-3", "1-6"]);
    }

    #[test]
    fn an_answer_within_the_union_counts_before_its_turn() {
        // `4` and `2` together hold `2,4`, too.
        let answers = [("2", 0.5), ("4", 0.3), ("2,4", 0.15)];
        assert_eq!(said(&answers, 0.9), "2,4");
    }

    #[test]
    fn what_names_no_parts_counts_against_every_trim() {
        assert_eq!(said(&[("2", 0.6), ("all", 0.4)], 0.7), "1-6");
        assert_eq!(said(&[], 0.0), "1-6");
    }

    #[test]
    fn two_ways_to_write_an_answer_are_one_answer() {
        assert_eq!(said(&[("2,3", 0.4), ("2-3", 0.4), ("5", 0.1)], 0.75), "2-3");
    }
}

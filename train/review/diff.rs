//! Which tokens differ between two versions of a file, and which lines stand for each other.
//!
//! In: two texts. Out: [`Marks`]: ranges to highlight on both sides, and the lines by which columns scroll together.
//! Example: `return a - b` and `return a + b` differ in columns 9 to 10 of line 0 on both sides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, capture_diff_slices_deadline};

/// A comparison of large files ends here and is then rough.
const PATIENCE: Duration = Duration::from_millis(40);
/// Lines with more tokens than this are highlighted as a whole.
const MAX_TOKENS: usize = 400;

/// Ranges of a line, in units of UTF-16, as a browser counts.
pub type Ranges = Vec<(usize, usize)>;

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Marks {
    /// Ranges by line of the old text, counted from 0.
    pub old: BTreeMap<usize, Ranges>,
    /// Ranges by line of the new text.
    pub new: BTreeMap<usize, Ranges>,
    /// Lines that stand for each other: where each run of equal lines begins and ends, old and new.
    pub anchors: Vec<(usize, usize)>,
    /// Lines that are added and removed.
    pub size: usize,
}

/// Compares two texts.
pub fn marks(old: &str, new: &str) -> Marks {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let deadline = Some(Instant::now() + PATIENCE);
    let mut marks = Marks::default();
    for op in capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline) {
        let (olds, news) = (op.old_range(), op.new_range());
        if op.tag() == DiffTag::Equal {
            marks.anchors.push((olds.start, news.start));
            marks.anchors.push((olds.end, news.end));
            continue;
        }
        marks.size += olds.len() + news.len();
        for at in 0..olds.len().max(news.len()) {
            let (one, other) = (olds.start + at, news.start + at);
            match (at < olds.len(), at < news.len()) {
                (true, true) => {
                    let (before, after) = tokens_that_differ(old[one], new[other]);
                    marks.old.insert(one, before);
                    marks.new.insert(other, after);
                }
                (true, false) => drop(marks.old.insert(one, whole(old[one]))),
                (false, _) => drop(marks.new.insert(other, whole(new[other]))),
            }
        }
    }
    marks
}

fn whole(line: &str) -> Ranges {
    vec![(0, units(line))]
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn tokens_that_differ(old: &str, new: &str) -> (Ranges, Ranges) {
    let (olds, news) = (tokens(old), tokens(new));
    if olds.len() > MAX_TOKENS || news.len() > MAX_TOKENS {
        return (whole(old), whole(new));
    }
    let ops = capture_diff_slices(Algorithm::Myers, &olds, &news);
    let side = |tokens: &[&str], range: &dyn Fn(&DiffOp) -> std::ops::Range<usize>| {
        let changed = ops.iter().filter(|op| op.tag() != DiffTag::Equal);
        let span = |op: &DiffOp| {
            let range = range(op);
            let start = tokens[..range.start].iter().map(|token| units(token)).sum();
            let length: usize = tokens[range].iter().map(|token| units(token)).sum();
            (start, start + length)
        };
        changed
            .map(span)
            .filter(|(start, end)| start < end)
            .collect()
    };
    (
        side(&olds, &|op| op.old_range()),
        side(&news, &|op| op.new_range()),
    )
}

/// Words, runs of blanks, and every other character alone.
fn tokens(line: &str) -> Vec<&str> {
    let kind = |letter: char| match letter {
        _ if letter.is_alphanumeric() || letter == '_' => 0,
        _ if letter.is_whitespace() => 1,
        _ => 2,
    };
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, letter) in line.char_indices() {
        let kind = kind(letter);
        if before.is_some_and(|before| before != kind || kind == 2) {
            tokens.push(&line[start..at]);
            start = at;
        }
        before = Some(kind);
    }
    if start < line.len() {
        tokens.push(&line[start..]);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_that_differs_is_marked() {
        let found = marks(
            "def f():\n    return a - b\n",
            "def f():\n    return a + b\n",
        );
        assert_eq!(found.old, BTreeMap::from([(1, vec![(13, 14)])]));
        assert_eq!(found.new, found.old);
        assert_eq!((found.anchors, found.size), (vec![(0, 0), (1, 1)], 2));
    }

    #[test]
    fn ranges_are_counted_as_a_browser_counts() {
        let found = marks("x = '🙂', 1\n", "x = '🙂', 2\n");
        assert_eq!(found.new[&0], [(10, 11)]);
    }

    #[test]
    fn lines_without_a_partner_are_marked_as_a_whole() {
        let found = marks("a\nb\n", "a\nb\nc = 1\n");
        assert_eq!(found.new, BTreeMap::from([(2, vec![(0, 5)])]));
        assert!(found.old.is_empty());
    }
}

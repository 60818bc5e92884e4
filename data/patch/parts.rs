//! The parts of a patch, each of which can stay or go.
//!
//! In: a patch whose hunks stand where they say. Out: its parts, and the patch of those that are kept. A part is a line
//! that is replaced, added or removed; a file that is deleted or moved is one part, and so are lines that change how a
//! file ends.
//! Example: `-a`, `-b`, `+A`, `+B` are two parts, `a` to `A` and `b` to `B`; keeping the second leaves ` a`, `-b`, `+B`.

use std::collections::HashMap;

use super::{FilePatch, Hunk, HunkLine, Patch, Side};

/// Lines that are compared pair by pair at most; larger runs are removals and then additions.
const MAX_PAIRS: usize = 10_000;
/// Lines less alike than this are not one replaced by the other.
const LEAST_ALIKE: f64 = 0.5;

/// A part of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its file, by the place in the patch.
    pub file: usize,
    /// Its hunk, counted over the whole patch.
    pub hunk: usize,
    /// Its run of changed lines, counted over the whole patch.
    pub run: usize,
    /// The path of its file, afterwards or, where it is deleted, before.
    pub path: String,
    /// Lines of the old file that it removes, counted from 1. Where it only adds: none.
    pub old_lines: Vec<usize>,
    /// Lines of the new file that it adds, counted from 1.
    pub new_lines: Vec<usize>,
    /// The line of the old file in front of which it stands, counted from 1.
    pub before: usize,
    /// What it removes, with line ends.
    pub removed: String,
    /// What it adds, with line ends.
    pub added: String,
}

impl Part {
    /// True where nothing is removed.
    pub fn only_adds(&self) -> bool {
        self.old_lines.is_empty() && !self.new_lines.is_empty()
    }

    /// How many lines it removes and adds.
    pub fn lines(&self) -> usize {
        self.old_lines.len() + self.new_lines.len()
    }

    /// What it does, wherever the lines around it went.
    fn does(&self) -> (&str, usize, &str, &str) {
        (&self.path, self.before, &self.removed, &self.added)
    }
}

/// Some lines of one hunk that stay or go together.
struct Piece {
    olds: Vec<usize>,
    news: Vec<usize>,
    /// Old lines of its run that stand before it.
    behind: usize,
}

impl Patch {
    /// Its parts, in the order of the patch.
    pub fn parts(&self) -> Vec<Part> {
        let (mut parts, mut hunks, mut runs) = (Vec::new(), 0, 0);
        for (file, of) in self.files.iter().enumerate() {
            if of.is_one_part() {
                parts.push(of.as_one_part(file, hunks, runs));
                (hunks, runs) = (hunks + of.hunks.len().max(1), runs + 1);
                continue;
            }
            for hunk in &of.hunks {
                for run in runs_of(hunk) {
                    let of_run = pieces(hunk, &run);
                    parts.extend(
                        of_run
                            .iter()
                            .map(|piece| part(of, hunk, (piece, run.start), [file, hunks, runs])),
                    );
                    runs += 1;
                }
                hunks += 1;
            }
        }
        parts
    }

    /// The patch of those parts for which `kept` is true, in the order of [`Patch::parts`].
    ///
    /// # Panics
    ///
    /// When `kept` has another length than the parts.
    pub fn keeping(&self, kept: &[bool]) -> Patch {
        let mut kept = kept.iter().copied();
        let mut next = || kept.next().expect("as many answers as parts");
        let files = self.files.iter().filter_map(|file| {
            if file.is_one_part() {
                return next().then(|| file.clone());
            }
            let mut shift = 0;
            let hunks: Vec<Hunk> = file
                .hunks
                .iter()
                .filter_map(|hunk| hunk.keeping(&mut next, &mut shift))
                .collect();
            (!hunks.is_empty()).then(|| FilePatch {
                hunks,
                ..file.clone()
            })
        });
        Patch::from_files(files.collect())
    }

    /// The parts of this patch that together do what `smaller` does; none where they are not among them.
    pub fn parts_of(&self, smaller: &Patch) -> Option<Vec<bool>> {
        let mut wanted: HashMap<_, usize> = HashMap::new();
        let small = smaller.parts();
        small
            .iter()
            .for_each(|part| *wanted.entry(part.does()).or_default() += 1);
        let parts = self.parts();
        let kept: Vec<bool> = parts
            .iter()
            .map(|part| match wanted.get_mut(&part.does()) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    true
                }
                _ => false,
            })
            .collect();
        wanted.values().all(|left| *left == 0).then_some(kept)
    }

    /// A line of the old file at `path`, counted from 1, where a hunk shows it.
    pub fn old_line(&self, path: &str, line: usize) -> Option<&str> {
        let files = self.files.iter().filter(|file| file.name() == path);
        files.flat_map(|file| &file.hunks).find_map(|hunk| {
            let at = line.checked_sub(1)?.checked_sub(hunk.old_at())?;
            let mut old = hunk.lines.iter().filter(|line| line.side != Side::New);
            old.nth(at)
                .map(|line| line.text.trim_end_matches(['\n', '\r']))
        })
    }

    /// This patch as `Patch::change` would write it, for files that `read` gives: hunks at their places, nothing that
    /// changes nothing, three lines of context. A moved file is one that goes and one that comes.
    ///
    /// # Errors
    ///
    /// When it does not apply.
    pub fn canonical(
        &self,
        read: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Patch, super::ApplyError> {
        let mut changes = self.apply(read)?;
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        let files = changes.iter().flat_map(|change| {
            Patch::change(
                &change.path,
                read(&change.path).as_deref(),
                change.content.as_deref(),
            )
            .files
        });
        Ok(Patch::from_files(files.collect()))
    }
}

impl FilePatch {
    fn is_one_part(&self) -> bool {
        let odd = self.copied || self.dataless || self.loose || self.exact;
        odd || self.new.is_none() || self.is_moved() || self.hunks.is_empty()
    }

    fn as_one_part(&self, file: usize, hunk: usize, run: usize) -> Part {
        let texts = |side| {
            let lines = self
                .hunks
                .iter()
                .flat_map(|hunk| &hunk.lines)
                .filter(|line| line.side == side);
            lines.map(|line| line.text.as_str()).collect::<String>()
        };
        let (removed, added) = (texts(Side::Old), texts(Side::New));
        let numbers = |text: &str| (1..=text.lines().count()).collect();
        let (old_lines, new_lines) = (numbers(&removed), numbers(&added));
        Part {
            file,
            hunk,
            run,
            path: self.name().to_string(),
            old_lines,
            new_lines,
            before: 1,
            removed,
            added,
        }
    }
}

impl Hunk {
    /// The place of its first old line, counted from 0.
    fn old_at(&self) -> usize {
        self.old_start
            .saturating_sub(usize::from(self.count(Side::Old) > 0))
    }

    fn new_at(&self) -> usize {
        self.new_start
            .saturating_sub(usize::from(self.count(Side::New) > 0))
    }

    /// The hunk of the parts that stay; none where all go. `shift` is by how many lines the file grew before it.
    fn keeping(&self, next: &mut dyn FnMut() -> bool, shift: &mut isize) -> Option<Hunk> {
        let (mut lines, mut at, mut changed) = (Vec::new(), 0, false);
        for run in runs_of(self) {
            lines.extend_from_slice(&self.lines[at..run.start]);
            let (mut removed, mut added) = (Vec::new(), Vec::new());
            for piece in pieces(self, &run) {
                let old = piece.olds.iter().map(|index| &self.lines[*index]);
                if next() {
                    changed = true;
                    removed.extend(old.cloned());
                    added.extend(piece.news.iter().map(|index| self.lines[*index].clone()));
                    continue;
                }
                if !piece.olds.is_empty() {
                    lines.append(&mut removed);
                    lines.append(&mut added);
                    lines.extend(old.map(|line| HunkLine {
                        side: Side::Both,
                        text: line.text.clone(),
                    }));
                }
            }
            lines.append(&mut removed);
            lines.append(&mut added);
            at = run.end;
        }
        lines.extend_from_slice(&self.lines[at..]);
        if !changed {
            return None;
        }
        let mut hunk = Hunk {
            lines,
            ..self.clone()
        };
        let (old, new) = (hunk.count(Side::Old), hunk.count(Side::New));
        hunk.new_start = self.old_at().saturating_add_signed(*shift) + usize::from(new > 0);
        *shift += new as isize - old as isize;
        Some(hunk)
    }
}

/// Where the runs of changed lines are.
fn runs_of(hunk: &Hunk) -> Vec<std::ops::Range<usize>> {
    let (mut runs, mut at) = (Vec::new(), 0);
    for lines in hunk
        .lines
        .chunk_by(|a, b| (a.side == Side::Both) == (b.side == Side::Both))
    {
        if lines[0].side != Side::Both {
            runs.push(at..at + lines.len());
        }
        at += lines.len();
    }
    runs
}

/// The pieces of a run, in the order in which they stand.
fn pieces(hunk: &Hunk, run: &std::ops::Range<usize>) -> Vec<Piece> {
    let of = |side| {
        run.clone()
            .filter(|index| hunk.lines[*index].side == side)
            .collect::<Vec<_>>()
    };
    let (olds, news) = (of(Side::Old), of(Side::New));
    let endless = run
        .clone()
        .any(|index| !hunk.lines[index].text.ends_with('\n'));
    if endless || (olds.len() == 1 && news.len() == 1) {
        return vec![Piece {
            olds,
            news,
            behind: 0,
        }];
    }
    let mut found = Vec::new();
    let (mut old, mut new) = (0, 0);
    for (i, j) in pairs(hunk, &olds, &news)
        .into_iter()
        .chain([(olds.len(), news.len())])
    {
        found.extend((old..i).map(|behind| Piece {
            olds: vec![olds[behind]],
            news: vec![],
            behind,
        }));
        found.extend((new..j).map(|at| Piece {
            olds: vec![],
            news: vec![news[at]],
            behind: i,
        }));
        if i < olds.len() {
            found.push(Piece {
                olds: vec![olds[i]],
                news: vec![news[j]],
                behind: i,
            });
        }
        (old, new) = (i + 1, j + 1);
    }
    found
}

/// Which old line became which new one: pairs in order that are most alike together.
fn pairs(hunk: &Hunk, olds: &[usize], news: &[usize]) -> Vec<(usize, usize)> {
    if olds.is_empty() || news.is_empty() || olds.len() * news.len() > MAX_PAIRS {
        return Vec::new();
    }
    let text = |index: usize| hunk.lines[index].text.trim();
    let alike: Vec<Vec<f64>> = olds
        .iter()
        .map(|old| {
            news.iter()
                .map(|new| similarity(text(*old), text(*new)))
                .collect()
        })
        .collect();
    // best[i][j]: the most that the lines from i and j on give together.
    let mut best = vec![vec![0.0_f64; news.len() + 1]; olds.len() + 1];
    for i in (0..olds.len()).rev() {
        for j in (0..news.len()).rev() {
            let without = best[i + 1][j].max(best[i][j + 1]);
            let with = if alike[i][j] >= LEAST_ALIKE {
                alike[i][j] + best[i + 1][j + 1]
            } else {
                0.0
            };
            best[i][j] = without.max(with);
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < olds.len() && j < news.len() {
        let paired = alike[i][j] >= LEAST_ALIKE && alike[i][j] + best[i + 1][j + 1] >= best[i][j];
        if paired {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if best[i + 1][j] >= best[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// The share of pairs of letters that two lines have in common (Dice).
fn similarity(one: &str, other: &str) -> f64 {
    let pairs = |text: &str| {
        let letters: Vec<char> = text
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect();
        let mut counts: HashMap<(char, char), usize> = HashMap::new();
        letters
            .windows(2)
            .for_each(|two| *counts.entry((two[0], two[1])).or_default() += 1);
        (counts, letters.len().saturating_sub(1))
    };
    let ((one, n), (other, m)) = (pairs(one), pairs(other));
    if n + m == 0 {
        return 0.0;
    }
    let common: usize = one
        .iter()
        .map(|(pair, count)| (*count).min(other.get(pair).copied().unwrap_or(0)))
        .sum();
    2.0 * common as f64 / (n + m) as f64
}

fn part(
    of: &FilePatch,
    hunk: &Hunk,
    (piece, start): (&Piece, usize),
    [file, number, run]: [usize; 3],
) -> Part {
    let number_of = |index: usize, start: usize, side: Side| {
        start
            + hunk.lines[..index]
                .iter()
                .filter(|line| line.side == side || line.side == Side::Both)
                .count()
            + 1
    };
    let text = |indices: &[usize]| {
        indices
            .iter()
            .map(|index| hunk.lines[*index].text.as_str())
            .collect::<String>()
    };
    let (old_at, new_at) = (hunk.old_at(), hunk.new_at());
    let old_lines: Vec<usize> = piece
        .olds
        .iter()
        .map(|index| number_of(*index, old_at, Side::Old))
        .collect();
    let new_lines = piece
        .news
        .iter()
        .map(|index| number_of(*index, new_at, Side::New))
        .collect();
    let before = number_of(start, old_at, Side::Old) + piece.behind;
    let (removed, added) = (text(&piece.olds), text(&piece.news));
    Part {
        file,
        hunk: number,
        run,
        path: of.name().to_string(),
        old_lines,
        new_lines,
        before,
        removed,
        added,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw;

    fn kept(old: &str, new: &str, kept: &[bool]) -> String {
        let patch = Patch::between("a.py", old, new).keeping(kept);
        let again = Patch::parse(patch.text()).expect("parses");
        assert_eq!(again, patch);
        let changes = patch.apply(&|_| Some(old.to_string())).expect("applies");
        changes
            .into_iter()
            .find_map(|change| change.content)
            .unwrap_or(old.to_string())
    }

    #[test]
    fn a_line_that_is_replaced_is_one_part_and_keeps_its_place() {
        let (old, new) = ("x = 1\ny = 2\n", "x = 11\ny = 22\n");
        assert_eq!(Patch::between("a.py", old, new).parts().len(), 2);
        assert_eq!(kept(old, new, &[true, false]), "x = 11\ny = 2\n");
        assert_eq!(kept(old, new, &[false, true]), "x = 1\ny = 22\n");
    }

    #[test]
    fn parts_say_where_they_stand() {
        let parts =
            Patch::between("a.py", "a\nreturn b\nc\n", "a\nnew\nreturn bb\nc\nlast\n").parts();
        let told: Vec<_> = parts
            .iter()
            .map(|part| (part.before, part.old_lines.len(), part.new_lines.clone()))
            .collect();
        assert_eq!(told, [(2, 0, vec![2]), (2, 1, vec![3]), (4, 0, vec![5])]);
        assert_eq!(
            parts.iter().map(|part| part.run).collect::<Vec<_>>(),
            [0, 0, 1]
        );
    }

    #[test]
    fn every_choice_of_parts_applies_and_all_of_them_is_the_patch() {
        let word = |key: u64, at: u64| {
            ["alpha", "beta", "alpha beta", "gamma", "", "delta one"][draw::below(key, at, 6)]
        };
        for seed in 0..400 {
            let key = draw::key(seed, &[1]);
            let line = |at: u64| format!("{}{}\n", word(key, at), draw::below(key, at + 1000, 9));
            let old: Vec<String> = (0..12).map(line).collect();
            let mut new = old.clone();
            for at in 0..5 {
                let place = draw::below(key, 2000 + at, new.len());
                match draw::below(key, 3000 + at, 3) {
                    0 => drop(new.remove(place)),
                    1 => new.insert(place, line(4000 + at)),
                    _ => new[place] = format!("{}+\n", new[place].trim_end()),
                }
            }
            let (old, mut new) = (old.concat(), new.concat());
            if seed % 3 == 0 {
                new.truncate(new.trim_end().len());
            }
            let patch = Patch::between("a.py", &old, &new);
            let count = patch.parts().len();
            if count > 0 {
                assert_eq!(kept(&old, &new, &vec![true; count]), new, "seed {seed}");
                assert!(patch.keeping(&vec![false; count]).is_empty());
            }
            for choice in 0..8 {
                let chosen: Vec<bool> = (0..count)
                    .map(|at| draw::below(key, 5000 + choice * 100 + at as u64, 2) == 0)
                    .collect();
                let text = kept(&old, &new, &chosen);
                let small = Patch::between("a.py", &old, &text);
                assert_eq!(small.is_empty(), text == old);
            }
        }
    }

    #[test]
    fn a_patch_within_another_is_found_and_one_that_is_not_is_not() {
        let (base, gold) = ("a = 1\nb = 2\nc = 3\n", "a = 1\nb = 22\nc = 3\n");
        let long = Patch::between(
            "a.py",
            base,
            "import os\na = 1\n# why\nb = 22\nc = 3\nd = 4\n",
        );
        let small = Patch::between("a.py", base, gold);
        let within = long.parts_of(&small).expect("is within");
        assert_eq!(
            long.keeping(&within).apply(&|_| Some(base.into())),
            small.apply(&|_| Some(base.into()))
        );
        assert_eq!(
            Patch::between("a.py", base, "a = 1\nb = 23\nc = 3\n").parts_of(&small),
            None
        );
    }

    #[test]
    fn a_deleted_file_is_one_part_and_a_new_one_has_one_for_each_line() {
        let gone = Patch::change("a.py", Some("a\nb\n"), None);
        let new = Patch::change("b.py", None, Some("a\nb\n"));
        assert_eq!((gone.parts().len(), new.parts().len()), (1, 2));
        assert_eq!(
            new.keeping(&[false, true]),
            Patch::change("b.py", None, Some("b\n"))
        );
        assert!(new.keeping(&[false, false]).is_empty());
    }

    #[test]
    fn the_canonical_form_stands_at_its_place_and_says_nothing_twice() {
        let moved =
            Patch::parse("--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n b = 2\n-c = 3\n+c = 4\n")
                .expect("parses");
        let read = |path: &str| (path == "a.py").then(|| "a = 1\nb = 2\nc = 3\n".to_string());
        let expected = Patch::between("a.py", "a = 1\nb = 2\nc = 3\n", "a = 1\nb = 2\nc = 4\n");
        assert_eq!(moved.canonical(&read), Ok(expected));
    }
}

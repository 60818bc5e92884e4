//! The places of hunks as `patch --batch --fuzz=5` finds them.
//!
//! In: a text and the hunks of one file. Out: the new text, or the first hunk without a place. A hunk is looked for
//! around its line, moved as far as the hunks before it were; where it is not found, up to five lines of context at
//! either end need not match, the longer end first. Context stays as it is in the file.
//! Example: a hunk whose first line of context was changed meanwhile still applies.

use std::borrow::Cow;

use super::{FilePatch, Hunk, Lost, Side, context, lines, matches_within};

/// Lines of context at either end that need not match.
const FUZZ: usize = 5;

pub(super) fn patched(
    base: &str,
    file: &FilePatch,
    left: &mut usize,
) -> Result<String, (usize, Lost)> {
    let base = lines(base);
    let (mut out, mut search) = (
        String::new(),
        Search {
            base: &base,
            done: 0,
            moved: 0,
            left,
        },
    );
    for (index, hunk) in file.hunks.iter().enumerate() {
        let lines: Vec<(Side, Cow<'_, str>)> = hunk
            .lines
            .iter()
            .map(|line| (line.side, without_cr(&line.text, file.crlf)))
            .collect();
        let at = search
            .place(hunk, &lines, index == 0)
            .map_err(|lost| (index, lost))?;
        let mut next = at;
        for (side, text) in &lines {
            match side {
                Side::Both => next += 1,
                Side::Old => {
                    base[search.done..next]
                        .iter()
                        .for_each(|line| out.push_str(line));
                    next += 1;
                    search.done = next;
                }
                Side::New => {
                    base[search.done..next]
                        .iter()
                        .for_each(|line| out.push_str(line));
                    search.done = next;
                    // A text that ends without a newline must be the end of the file, or two lines would run together.
                    if !out.is_empty() && !out.ends_with('\n') {
                        return Err((index, Lost::Joins));
                    }
                    out.push_str(text);
                }
            }
        }
        if search.done < base.len() && !out.is_empty() && !out.ends_with('\n') {
            return Err((index, Lost::Joins));
        }
    }
    base[search.done..]
        .iter()
        .for_each(|line| out.push_str(line));
    Ok(out)
}

/// `patch` takes carriage returns from a patch whose headers have them.
fn without_cr(text: &str, crlf: bool) -> Cow<'_, str> {
    match text.strip_suffix("\r\n").filter(|_| crlf) {
        Some(line) => Cow::Owned(format!("{line}\n")),
        None => Cow::Borrowed(text),
    }
}

struct Search<'a> {
    base: &'a [&'a str],
    /// Lines that are settled.
    done: usize,
    /// How far the hunks so far stand from where they say.
    moved: isize,
    left: &'a mut usize,
}

impl Search<'_> {
    fn place(
        &mut self,
        hunk: &Hunk,
        lines: &[(Side, Cow<'_, str>)],
        is_first: bool,
    ) -> Result<usize, Lost> {
        let of = |side: Side| -> Vec<&str> {
            lines
                .iter()
                .filter(|(of, _)| *of == side || *of == Side::Both)
                .map(|(_, text)| &**text)
                .collect()
        };
        let (old, new) = (of(Side::Old), of(Side::New));
        let (before, behind) = context(hunk);
        for fuzz in 0..=FUZZ.min(before.max(behind)) {
            if let Some(at) = self.locate(&old, hunk.old_start, (before, behind), fuzz)? {
                self.moved += at as isize - self.guess(&old, hunk.old_start);
                return Ok(at);
            }
            // It would be taken back, where nobody is asked.
            if is_first
                && self
                    .locate(&new, hunk.new_start, (before, behind), fuzz)?
                    .is_some()
            {
                return Err(Lost::Applied);
            }
        }
        Err(Lost::Mismatch)
    }

    /// Where a hunk should stand, counted from 0.
    fn guess(&self, old: &[&str], start: usize) -> isize {
        let start = isize::try_from(start)
            .unwrap_or(isize::MAX / 4)
            .min(isize::MAX / 4);
        start + isize::from(old.is_empty()) + self.moved - 1
    }

    /// The index of the line where `old` stands with `fuzz` lines of context less.
    fn locate(
        &mut self,
        old: &[&str],
        start: usize,
        (before, behind): (usize, usize),
        fuzz: usize,
    ) -> Result<Option<usize>, Lost> {
        let guess = self.guess(old, start);
        let (length, pattern) = (self.base.len() as isize, old.len() as isize);
        if old.is_empty() {
            let at = guess.clamp(0, length);
            return Ok((at >= self.done as isize).then_some(at as usize));
        }
        let longer = before.max(behind) as isize;
        let (before, behind) = (
            fuzz as isize + before as isize - longer,
            fuzz as isize + behind as isize - longer,
        );
        let places: Vec<isize> = match (before < 0 && start <= 1, behind < 0) {
            // It begins with the file, or ends with it, or both.
            (true, true) if pattern != length => return Ok(None),
            (true, _) => vec![0],
            (false, true) => vec![length - pattern],
            (false, false) => return self.around(old, guess, (before.max(0), behind)),
        };
        for at in places {
            if self.matches(old, at, before.max(0), behind.max(0))? {
                return Ok(Some(at as usize));
            }
        }
        Ok(None)
    }

    /// The nearest place to `guess`, ahead before back.
    fn around(
        &mut self,
        old: &[&str],
        guess: isize,
        (before, behind): (isize, isize),
    ) -> Result<Option<usize>, Lost> {
        let (first, last) = (
            self.done as isize,
            self.base.len() as isize - (old.len() as isize - behind),
        );
        let far = (last - guess).max(guess - first);
        let near = (guess - last).max(first - guess).max(0);
        for away in near..=far {
            let back = (away > 0).then_some(guess - away);
            for at in [Some(guess + away), back]
                .into_iter()
                .flatten()
                .filter(|at| (first..=last).contains(at))
            {
                if self.matches(old, at, before, behind)? {
                    return Ok(Some(at as usize));
                }
            }
        }
        Ok(None)
    }

    fn matches(
        &mut self,
        old: &[&str],
        at: isize,
        before: isize,
        behind: isize,
    ) -> Result<bool, Lost> {
        let (Ok(from), Ok(to)) = (
            usize::try_from(at + before),
            usize::try_from(at + old.len() as isize - behind),
        ) else {
            return Ok(false);
        };
        let wanted = &old[before as usize..old.len() - behind as usize];
        let fits = at >= self.done as isize && from <= to;
        match self.base.get(from..to).filter(|_| fits) {
            Some(lines) => matches_within(lines.iter().copied(), wanted.iter().copied(), self.left),
            None => Ok(false),
        }
    }
}

//! The places of hunks as `git apply` finds them.
//!
//! In: a text and the hunks of one file. Out: the new text, or the first hunk without a place. Every line of context
//! must match. A hunk for the first line must match at the beginning, and one without context behind its changes at the
//! end; any other is looked for around its line, ahead and back in turns, in the text that the hunks before it left.
//! Example: with the same three lines at 10 and at 30, a hunk for line 12 goes to line 10.

use super::{FilePatch, Hunk, Lost, Side, context, lines, matches_within, side};

/// A line, and whether an earlier hunk wrote or matched it.
type Line<'a> = (&'a str, bool);

pub(super) fn patched(
    base: &str,
    file: &FilePatch,
    left: &mut usize,
) -> Result<String, (usize, Lost)> {
    let mut image: Vec<Line<'_>> = lines(base).into_iter().map(|line| (line, false)).collect();
    for (index, hunk) in file.hunks.iter().enumerate() {
        let old: Vec<&str> = side(hunk, Side::Old).collect();
        let new: Vec<Line<'_>> = side(hunk, Side::New).map(|line| (line, true)).collect();
        let at = place(&image, hunk, &old, left).map_err(|lost| (index, lost))?;
        if old.len() != new.len() {
            // Everything behind it moves.
            *left = left
                .checked_sub(image.len() - at)
                .ok_or((index, Lost::TooFar))?;
        }
        let end = at + new.len();
        image.splice(at..at + old.len(), new);
        // A line without its end must be the last one, or two would run together.
        let open = |border: usize| {
            border > 0 && border < image.len() && !image[border - 1].0.ends_with('\n')
        };
        if open(at) || open(end) {
            return Err((index, Lost::Joins));
        }
    }
    Ok(image.into_iter().map(|(line, _)| line).collect())
}

fn place(image: &[Line<'_>], hunk: &Hunk, old: &[&str], left: &mut usize) -> Result<usize, Lost> {
    let (at_beginning, at_end) = (hunk.old_start <= 1, context(hunk).1 == 0);
    let last = image.len().checked_sub(old.len()).ok_or(Lost::Mismatch)?;
    let mut matches = |at: usize| -> Result<bool, Lost> {
        let lines = &image[at..at + old.len()];
        let same = matches_within(
            lines.iter().map(|(line, _)| *line),
            old.iter().copied(),
            left,
        )?;
        Ok(same && lines.iter().all(|(_, written)| !written))
    };
    if at_beginning || at_end {
        let only = if at_beginning { 0 } else { last };
        let stands = (!at_end || only == last) && matches(only)?;
        return if stands {
            Ok(only)
        } else {
            Err(Lost::Mismatch)
        };
    }
    let stated = hunk.new_start.saturating_sub(1).min(image.len());
    for away in 0..=image.len() {
        let back = stated.checked_sub(away).filter(|_| away > 0);
        for at in [Some(stated + away), back]
            .into_iter()
            .flatten()
            .filter(|at| *at <= last)
        {
            if matches(at)? {
                return Ok(at);
            }
        }
    }
    Err(Lost::Mismatch)
}

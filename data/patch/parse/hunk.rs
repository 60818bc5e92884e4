//! One hunk of a diff.
//!
//! In: its header and the lines below. Out: the hunk, as many lines as its header says.
//! Example: `@@ -1 +1 @@`, `-1`, `+2`. More lines than that belong to no hunk, fewer make no hunk.

use super::{Lines, PatchError, malformed};
use crate::patch::{Hunk, HunkLine, Side};

/// Blank lines that may have been cut off at the end of a diff: `patch` adds them.
const MAX_CHOPPED: usize = 2;

/// True where a line begins a hunk.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("@@ -")
}

/// Reads the hunk at the cursor, and whether it is one for `patch` alone.
pub(super) fn hunk(lines: &mut Lines, crlf: bool) -> Result<(Hunk, bool), PatchError> {
    let (start, header) = lines.take().expect("the caller saw `@@`");
    let Header {
        old: (old_start, old_count),
        new: (new_start, new_count),
        section,
    } = parse_header(header).ok_or(malformed(start, "expected `@@ -line,count +line,count @@`"))?;
    let (mut old_left, mut new_left) = (old_count, new_count);
    let mut hunk = Hunk {
        old_start,
        new_start,
        section: section.to_string(),
        lines: Vec::new(),
    };
    let mut loose = false;
    while old_left > 0 || new_left > 0 {
        let Some((index, line)) = lines.take() else {
            if old_left != new_left || old_left > MAX_CHOPPED {
                return Err(malformed(start, "the hunk ends too early"));
            }
            loose = true;
            hunk.lines.extend((0..old_left).map(|_| HunkLine {
                side: Side::Both,
                text: "\n".to_string(),
            }));
            break;
        };
        let (side, text) = match line.as_bytes().first() {
            Some(b' ') => (Side::Both, &line[1..]),
            Some(b'-') => (Side::Old, &line[1..]),
            Some(b'+') => (Side::New, &line[1..]),
            // Mailers and editors strip the blank of an empty context line.
            None => (Side::Both, line),
            Some(b'\r') if crlf && line.len() == 1 => {
                loose = true;
                (Side::Both, line)
            }
            Some(_) => {
                return Err(malformed(
                    index,
                    "expected a line that starts with ` `, `-` or `+`",
                ));
            }
        };
        let too_many = malformed(index, "the hunk has more lines than its header says");
        let less = |left: &mut usize| left.checked_sub(1).map(|less| *left = less);
        match side {
            Side::Both => less(&mut old_left).and_then(|()| less(&mut new_left)),
            Side::Old => less(&mut old_left),
            Side::New => less(&mut new_left),
        }
        .ok_or(too_many)?;
        let ended = lines.next_if(|line| line.starts_with("\\ ")).is_some();
        let at_end = (side == Side::New || old_left == 0) && (side == Side::Old || new_left == 0);
        if ended && !at_end {
            return Err(malformed(
                index + 1,
                "`\\ No newline` stands before the last line",
            ));
        }
        hunk.lines.push(HunkLine {
            side,
            text: if ended {
                text.to_string()
            } else {
                format!("{text}\n")
            },
        });
    }
    if hunk.lines.iter().all(|line| line.side == Side::Both) {
        return Err(malformed(start, "the hunk changes nothing"));
    }
    Ok((hunk, loose))
}

struct Header<'a> {
    old: (usize, usize),
    new: (usize, usize),
    section: &'a str,
}

fn parse_header(header: &str) -> Option<Header<'_>> {
    let rest = header.strip_prefix("@@ -")?;
    let (ranges, section) = rest.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| -> Option<(usize, usize)> {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        let plain =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (plain(start) && plain(count)).then_some(())?;
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    Some(Header {
        old: range(old)?,
        new: range(new)?,
        section,
    })
}

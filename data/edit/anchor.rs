//! Where lines belong that do not stand in a file as they were written.
//!
//! In: a search-and-replace block and a file. Out: the block with the lines as they stand, where only indentation or
//! what trails differs; or the lines of the file that are most like those that were searched for.

use similar::TextDiff;

use super::EditError;
use super::search::SearchReplace;

/// Lines that are looked at when the most similar ones are searched for.
const MOST_LINES: usize = 20_000;
/// Less alike than this is not alike.
const LEAST_ALIKE: f32 = 0.4;

/// Lines of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Counted from 1.
    pub first_line: usize,
    /// As they stand.
    pub lines: Vec<String>,
}

/// The same block, with its lines indented as the file has them.
///
/// # Errors
///
/// When the lines do not stand there even so, or twice.
pub fn reanchored(edit: &SearchReplace, text: &str) -> Result<SearchReplace, EditError> {
    let lines: Vec<&str> = text.lines().collect();
    // Blank lines around the block say nothing about its place.
    let blank = |line: &&String| line.trim().is_empty();
    let before = edit.search.iter().take_while(blank).count();
    let after = edit.search[before..].iter().rev().take_while(blank).count();
    let search = &edit.search[before..edit.search.len() - after];
    if search.is_empty() {
        return Err(EditError::EmptySearch(edit.path.clone()));
    }
    let same = |window: &[&str]| {
        window
            .iter()
            .zip(search)
            .all(|(line, search)| line.trim() == search.trim())
    };
    let mut found = lines.windows(search.len()).filter(|window| same(window));
    let window = found
        .next()
        .ok_or_else(|| EditError::NotFound(edit.path.clone()))?;
    if found.next().is_some() {
        return Err(EditError::FoundTwice(edit.path.clone()));
    }
    let (old, new) = (indentation(&search[0]), indentation(window[0]));
    let moved = |line: &String| match line.strip_prefix(old) {
        _ if line.trim().is_empty() => String::new(),
        Some(rest) => format!("{new}{rest}"),
        None => line.clone(),
    };
    Ok(SearchReplace {
        path: edit.path.clone(),
        search: window.iter().map(|line| (*line).to_string()).collect(),
        replace: edit.replace.iter().map(moved).collect(),
    })
}

/// The lines of `text` that are most like `search`; none where nothing is.
pub fn nearest(search: &[String], text: &str) -> Option<Nearest> {
    let wanted = search.iter().find(|line| line.trim().len() > 2)?;
    let offset = search.iter().position(|line| line == wanted)?;
    let lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
    let alike = |line: &&str| TextDiff::from_chars(wanted.trim(), line.trim()).ratio();
    let scored = lines.iter().map(alike).enumerate();
    // The first of equals, so that the same file gives the same answer.
    let (at, ratio) = scored.fold(
        (0, 0.0),
        |best, one| if one.1 > best.1 { one } else { best },
    );
    if ratio < LEAST_ALIKE {
        return None;
    }
    let first = at.saturating_sub(offset);
    let end = (first + search.len().max(1)).min(lines.len());
    Some(Nearest {
        first_line: first + 1,
        lines: lines[first..end]
            .iter()
            .map(|line| (*line).to_string())
            .collect(),
    })
}

fn indentation(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_string()).collect()
    }

    #[test]
    fn the_most_similar_lines_are_found_and_nothing_is_not() {
        let text = "import os\n\ndef total(items):\n    return sum(items)\n";
        let found =
            nearest(&own(&["def total(item):", "    return sum(item)"]), text).expect("is alike");
        assert_eq!(
            found,
            Nearest {
                first_line: 3,
                lines: own(&["def total(items):", "    return sum(items)"])
            }
        );
        assert_eq!(nearest(&own(&["zzzzqqqq"]), text), None);
        assert_eq!(nearest(&[], text), None);
    }

    #[test]
    fn a_block_that_fits_twice_is_refused() {
        let edit = SearchReplace {
            path: "a".into(),
            search: own(&["  x"]),
            replace: own(&["  y"]),
        };
        assert_eq!(
            reanchored(&edit, "x\nx\n"),
            Err(EditError::FoundTwice("a".into()))
        );
        assert_eq!(
            reanchored(&edit, "    x\n").map(|edit| edit.replace),
            Ok(own(&["    y"]))
        );
    }
}

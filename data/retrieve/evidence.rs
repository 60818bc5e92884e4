//! What an issue says about places: paths that it names, and frames of stack traces.
//!
//! In: the text of an issue. Out: paths, each with the line where one is named, in the order of the text.
//! Example: `File "/srv/app/money/tax.py", line 12, in rate` and `at rate (src/tax.js:3:7)` are frames.

/// A place that an issue names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As it is written, with `/`.
    pub path: String,
    /// Counted from 1; none where only the file is named.
    pub line: Option<usize>,
}

/// Endings of files that are taken for paths.
const ENDINGS: [&str; 16] = [
    "py", "pyi", "js", "jsx", "mjs", "cjs", "ts", "tsx", "json", "toml", "cfg", "ini", "txt", "md",
    "yml", "yaml",
];

/// Every place that `text` names.
pub fn places(text: &str) -> Vec<Place> {
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(place) = python_frame(line) {
            found.push(place);
            continue;
        }
        let apart = |letter: char| letter.is_whitespace() || "\"'`()[]{}<>,;|*".contains(letter);
        found.extend(line.split(apart).filter_map(named));
    }
    found
}

/// `File "a/b.py", line 3, in f`
fn python_frame(line: &str) -> Option<Place> {
    let rest = line.trim_start().strip_prefix("File \"")?;
    let (path, rest) = rest.split_once('"')?;
    let line = rest
        .strip_prefix(", line ")?
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?;
    Some(Place {
        path: path.replace('\\', "/"),
        line: line.parse().ok(),
    })
}

/// `a/b.py`, `a/b.py:3`, `a/b.js:3:7`, `tests/test_a.py::test_one`, and dotted modules of two parts and more.
fn named(word: &str) -> Option<Place> {
    let word = word.trim_end_matches(['.', ':', '!', '?']);
    let word = word.split("::").next().unwrap_or(word);
    let mut parts = word.split(':');
    let path = parts.next()?;
    let (stem, ending) = path.rsplit_once('.')?;
    if stem.is_empty() || !ENDINGS.contains(&ending) || path.contains("//") {
        return None;
    }
    Some(Place {
        path: path.replace('\\', "/"),
        line: parts.next().and_then(|line| line.parse().ok()),
    })
}

/// How many of the last parts of `path` and of `named` are the same; 0 where their names differ.
pub fn shared_parts(path: &str, named: &str) -> usize {
    path.rsplit('/')
        .zip(named.rsplit('/'))
        .take_while(|(one, other)| one == other)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(String, Option<usize>)> {
        places(text)
            .into_iter()
            .map(|place| (place.path, place.line))
            .collect()
    }

    #[test]
    fn frames_and_paths_are_found_with_their_lines() {
        let text = "Traceback:\n  File \"/srv/app/money/tax.py\", line 12, in rate\n    at rate (src/tax.js:3:7)\n\
                    see `money/amount.py` and tests/test_a.py::test_one.";
        let expected = [
            ("/srv/app/money/tax.py", Some(12)),
            ("src/tax.js", Some(3)),
            ("money/amount.py", None),
            ("tests/test_a.py", None),
        ];
        assert_eq!(
            told(text),
            expected.map(|(path, line)| (path.to_string(), line))
        );
    }

    #[test]
    fn words_with_a_dot_and_addresses_are_no_paths() {
        assert_eq!(told("e.g. this, v1.2 or https://x.org/a.py and .py"), []);
    }

    #[test]
    fn a_longer_common_end_is_better_evidence() {
        assert_eq!(shared_parts("money/tax.py", "/srv/app/money/tax.py"), 2);
        assert_eq!(shared_parts("other/tax.py", "/srv/app/money/tax.py"), 1);
        assert_eq!(shared_parts("money/taxes.py", "money/tax.py"), 0);
    }
}

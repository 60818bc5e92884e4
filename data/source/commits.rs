//! Text like that of bug-fixing commits, from any folder of Python sources; nothing is run and nothing is verified.
//!
//! In: a folder. Out: functions with a few wrong lines, and what those lines were. Example: from
//! `def add(a, b):\n    return a + b\n` comes the same text with `a - b`, and the fix `2|    return a + b`.
//! A base model is trained on it before it sees verified tasks; none of it counts as evidence.

use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::functions::{Function, below, functions, python_files};
use super::plant::{Bug, BugKind, apply, pick, rank};
use crate::file::{FileError, read_text};

/// How many texts of which sort are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommitOptions {
    /// Decides the bugs and the order.
    pub seed: u64,
    /// Lines of the longest function that is used.
    pub max_lines: usize,
    /// Texts from one function.
    pub per_function: usize,
    /// Most wrong lines in one text: several teach more per token than one.
    pub bugs_per_text: usize,
    /// The kinds of bugs.
    pub kinds: Vec<BugKind>,
}

impl Default for CommitOptions {
    fn default() -> Self {
        CommitOptions {
            seed: 0,
            max_lines: 40,
            per_function: 2,
            bugs_per_text: 1,
            kinds: BugKind::ALL.to_vec(),
        }
    }
}

/// A function with a few wrong lines, and what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitText {
    /// Path below the folder, with `/`.
    pub path: String,
    /// Name of the function, e.g. `Cart.total`.
    pub name: String,
    /// The function with the bugs, decorators and indentation included, each line with its `\n`.
    pub buggy: String,
    /// At least one, from top to bottom, no two of one line.
    pub fixes: Vec<Fix>,
    /// Path and line of the file, e.g. `json/decoder.py:41`.
    pub origin: String,
}

/// A wrong line, as it was before it was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The line, counted from 1 in the function.
    pub line: usize,
    /// The whole line as it was, without its `\n`.
    pub text: String,
    /// What was done to it.
    pub kind: BugKind,
}

/// One function of the folder.
struct Entry {
    path: String,
    /// The function in its file.
    first_line: usize,
    /// Its lines.
    text: String,
    /// The same function in `text`.
    function: Function,
}

/// Texts from every function of a folder, in an order that the seed decides: first one from each function, then a
/// second from each. A function that occurs several times is used once.
///
/// # Errors
///
/// When a folder cannot be listed or a file cannot be read.
pub fn commits(
    root: &Path,
    options: &CommitOptions,
) -> Result<impl Iterator<Item = CommitText> + use<>, FileError> {
    let files = python_files(root)?;
    let of_files: Vec<Vec<Entry>> = files
        .par_iter()
        .map(|file| entries(root, file, options.max_lines))
        .collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    let mut entries: Vec<Entry> = of_files.into_iter().flatten().collect();
    entries.retain(|entry| seen.insert(entry.function.body_hash.clone()));
    // Bodies differ, so no two entries share a place.
    entries.sort_by_cached_key(|entry| rank(options.seed, &[&entry.function.body_hash]));

    let options = options.clone();
    let rounds = (0..options.per_function).flat_map({
        let count = entries.len();
        move |round| (0..count).map(move |index| (round, index))
    });
    Ok(rounds.filter_map(move |(round, index)| text(&entries[index], &options, round)))
}

fn entries(root: &Path, file: &Path, max_lines: usize) -> Result<Vec<Entry>, FileError> {
    let source = read_text(file)?;
    // Other line ends would teach a model that they are part of a fix.
    if source.contains('\r') {
        return Ok(Vec::new());
    }
    let path = below(root, file);
    let lines: Vec<&str> = source.split_inclusive('\n').collect();
    let short = functions(&source)
        .into_iter()
        .filter(|function| function.lines() <= max_lines);
    let entry = |function: Function| {
        let first_line = function.first_line;
        let mut text = lines[first_line - 1..function.last_line].concat();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let function = Function {
            first_line: 1,
            last_line: function.lines(),
            ..function
        };
        Entry {
            path: path.clone(),
            first_line,
            text,
            function,
        }
    };
    Ok(short.map(entry).collect())
}

/// The text of one round, or none where the function has no further bug.
fn text(entry: &Entry, options: &CommitOptions, round: usize) -> Option<CommitText> {
    let most = options.bugs_per_text.max(1);
    let mut bugs = pick(
        &entry.text,
        &entry.function,
        &options.kinds,
        options.seed,
        (round + 1) * most,
    );
    // Rounds share no bug. How many of its own a round uses is drawn for each text, so that none becomes a habit.
    let mut bugs = bugs.split_off((round * most).min(bugs.len()));
    let round_name = round.to_string();
    let wanted = 1 + rank(
        options.seed,
        &[&entry.function.body_hash, "bugs", &round_name],
    ) as usize
        % most;
    let mut lines = HashSet::new();
    bugs.retain(|bug| lines.len() < wanted && lines.insert(bug.line));
    // From the bottom up, so that the places of those above stay right.
    bugs.sort_by_key(|bug| std::cmp::Reverse(bug.line));
    let buggy = bugs
        .iter()
        .fold(entry.text.clone(), |text, bug| apply(&text, bug));
    let fix = |bug: &Bug| {
        let text = entry.text.lines().nth(bug.line - 1)?.to_string();
        Some(Fix {
            line: bug.line,
            text,
            kind: bug.kind,
        })
    };
    let fixes: Vec<Fix> = bugs.iter().rev().map(fix).collect::<Option<_>>()?;
    let first = fixes.first()?;
    let origin = format!("{}:{}", entry.path, entry.first_line + first.line - 1);
    Some(CommitText {
        path: entry.path.clone(),
        name: entry.function.name.clone(),
        buggy,
        fixes,
        origin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::write_whole;

    #[test]
    fn a_text_holds_the_whole_line_as_it_was_and_equal_functions_count_once() {
        let root = std::env::temp_dir().join(format!("commits-test-{}", std::process::id()));
        let source = "import os\n\n\nclass A:\n    def add(self, a):\n        return a + 1";
        write_whole(&root.join("a/one.py"), source.as_bytes()).expect("writes");
        write_whole(&root.join("two.py"), source.as_bytes()).expect("writes");
        let options = CommitOptions {
            kinds: vec![BugKind::Arithmetic],
            ..CommitOptions::default()
        };
        let texts: Vec<CommitText> = commits(&root, &options).expect("reads").collect();
        std::fs::remove_dir_all(&root).expect("cleans up");
        assert_eq!(
            texts,
            [CommitText {
                path: "a/one.py".into(),
                name: "A.add".into(),
                buggy: "    def add(self, a):\n        return a - 1\n".into(),
                fixes: vec![Fix {
                    line: 2,
                    text: "        return a + 1".into(),
                    kind: BugKind::Arithmetic
                }],
                origin: "a/one.py:6".into(),
            }]
        );
    }

    #[test]
    fn every_function_comes_once_before_any_comes_twice() {
        let root = std::env::temp_dir().join(format!("commits-rounds-{}", std::process::id()));
        let source = "def a(x):\n    return x < 1 + 3\n\n\ndef b(x):\n    return x < 2 + 4\n";
        write_whole(&root.join("one.py"), source.as_bytes()).expect("writes");
        let names = |seed| -> Vec<String> {
            let options = CommitOptions {
                seed,
                ..CommitOptions::default()
            };
            commits(&root, &options)
                .expect("reads")
                .map(|text| text.name)
                .collect()
        };
        let (first, again) = (names(1), names(1));
        std::fs::remove_dir_all(&root).expect("cleans up");
        assert_eq!(first, again);
        assert_ne!(first[0], first[1]);
        assert_eq!(first[..2], first[2..]);
    }

    #[test]
    fn several_bugs_stand_on_lines_of_their_own_and_every_fix_gives_its_line_back() {
        let root = std::env::temp_dir().join(format!("commits-several-{}", std::process::id()));
        let clean =
            "def a(x, y):\n    if x < y and x > 1:\n        return x + y\n    return x * y == 4\n";
        write_whole(&root.join("one.py"), clean.as_bytes()).expect("writes");
        let options = CommitOptions {
            bugs_per_text: 3,
            per_function: 4,
            ..CommitOptions::default()
        };
        let texts: Vec<CommitText> = commits(&root, &options).expect("reads").collect();
        std::fs::remove_dir_all(&root).expect("cleans up");
        assert!(texts.iter().any(|text| text.fixes.len() > 1), "{texts:?}");
        for text in texts {
            assert!(
                text.fixes
                    .windows(2)
                    .all(|pair| pair[0].line < pair[1].line),
                "{text:?}"
            );
            let mut lines: Vec<&str> = text.buggy.lines().collect();
            for fix in &text.fixes {
                assert_ne!(lines[fix.line - 1], fix.text);
                lines[fix.line - 1] = &fix.text;
            }
            assert_eq!(lines.join("\n") + "\n", clean);
        }
    }
}

//! Files of data that tests hand to what they test: copies read others, in which one value changed.
//!
//! In: the files beside a test file, and a text in it that names one of them. Out: names of other files, and what those hold.
//! Example: beside `a.csv` with `ann,30` there is `a7.csv` with `ann,31`, and a copy says `DATA / "a7.csv"`.

use std::collections::BTreeMap;

use tree_sitter::Node;

use super::Change;
use super::literal::{integers, texts};
use crate::draw;

/// Words in the names of what holds what a test expects.
const EXPECTED: [&str; 6] = ["expect", "golden", "want", "snap", "output", "result"];
/// Calls by which a test reads a file itself.
const READS: [&str; 5] = ["read_text", "read_bytes", "open", "load", "loads"];

/// Files that copies may read instead of those that are there.
pub(super) struct Files<'a> {
    /// Of each file: its path, and the name and the text of each other one.
    all: Vec<(&'a str, Vec<(String, String)>)>,
}

impl<'a> Files<'a> {
    pub fn new(data: &'a BTreeMap<String, String>, key: u64) -> Self {
        let others = |(number, (path, text)): (usize, (&'a String, &'a String))| {
            let key = draw::key(key, &[number as u64]);
            let first = draw::below(key, 7, 90);
            let name = |way: usize| with_number(name_of(path), first + way);
            (
                path.as_str(),
                contents(text, key)
                    .into_iter()
                    .enumerate()
                    .map(|(way, text)| (name(way), text))
                    .collect(),
            )
        };
        Files {
            all: data.iter().enumerate().map(others).collect(),
        }
    }

    /// What the end of a path becomes. `None` where no file, or more than one, is meant by it.
    pub fn others(&self, named: &str) -> Option<Vec<String>> {
        let is_end = |path: &str| {
            path == named
                || path
                    .strip_suffix(named)
                    .is_some_and(|rest| rest.ends_with('/'))
        };
        let mut meant = self.all.iter().filter(|(path, _)| is_end(path));
        let (_, others) = meant.next().filter(|_| meant.next().is_none())?;
        let folder = &named[..named.len() - name_of(named).len()];
        Some(
            others
                .iter()
                .map(|(name, _)| format!("{folder}{name}"))
                .collect(),
        )
    }

    /// The files that these changes ask for, by their paths.
    pub fn written(&self, changes: &[Change]) -> BTreeMap<String, String> {
        let mut written = BTreeMap::new();
        for (path, others) in &self.all {
            let folder = &path[..path.len() - name_of(path).len()];
            for (name, text) in others {
                if changes
                    .iter()
                    .any(|change| name_of(&change.becomes) == name)
                {
                    written.insert(format!("{folder}{name}"), text.clone());
                }
            }
        }
        written
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `a.csv` → `a7.csv`.
fn with_number(name: &str, number: usize) -> String {
    let (stem, end) = name.find('.').map_or((name, ""), |dot| name.split_at(dot));
    format!("{stem}{number}{end}")
}

/// The text of a file with another number in it, or another word where it has no numbers: twice near, once far away; and
/// with one line more.
fn contents(text: &str, key: u64) -> Vec<String> {
    let is_number = |word: &&(usize, &str)| {
        word.1.bytes().all(|byte| byte.is_ascii_digit()) && word.1.len() < 10
    };
    let words = words_of(text);
    let numbers: Vec<&(usize, &str)> = words.iter().filter(is_number).collect();
    let all: Vec<&(usize, &str)> = if numbers.is_empty() {
        words.iter().collect()
    } else {
        numbers
    };
    if all.is_empty() {
        return Vec::new();
    }
    let first = draw::below(key, 0, all.len());
    let changed = |way: usize| {
        let (at, word) = *all[(first + way * all.len() / 3) % all.len()];
        let key = draw::key(key, &[at as u64]);
        let others = if integers(word, key).is_empty() {
            texts(word, key)
        } else {
            same_width(word, integers(word, key))
        };
        let other = others.get(way).cloned()?;
        Some(format!(
            "{}{other}{}",
            &text[..at],
            &text[at + word.len()..]
        ))
    };
    let mut found: Vec<String> = (0..3).filter_map(changed).collect();
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > 1 {
        let again = lines[1 + draw::below(key, 1, lines.len() - 1)];
        found.push(format!("{}\n{again}\n", text.trim_end_matches('\n')));
    }
    found
}

/// Near numbers keep their width, so that a file is as long as before.
fn same_width(was: &str, others: Vec<String>) -> Vec<String> {
    let turned = |other: String| {
        let last = was.bytes().last().unwrap_or(b'0') - b'0';
        let by = other.bytes().last().unwrap_or(b'1') % 8;
        format!("{}{}", &was[..was.len() - 1], (last + 1 + by) % 10)
    };
    let keep = |(way, other): (usize, String)| {
        if way < super::NEAR {
            turned(other)
        } else {
            other
        }
    };
    others.into_iter().enumerate().map(keep).collect()
}

/// Runs of letters and of digits, with their places.
fn words_of(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
        match (letter.is_ascii_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// Whether a file that is named here holds what a test expects, rather than what it asks about: it stands on the right of a
/// comparison and is read there, or is called so.
pub(super) fn holds_expected(named: Node, text: &str) -> bool {
    let says_so = |node: Node| {
        let name = text[node.byte_range()].to_ascii_lowercase();
        EXPECTED.iter().any(|word| name.contains(word))
    };
    if says_so(named) {
        return true;
    }
    let (mut node, mut is_read) = (named, false);
    while let Some(parent) = node.parent() {
        let function = parent
            .child_by_field_name("function")
            .map_or("", |name| &text[name.byte_range()]);
        is_read = is_read || READS.iter().any(|word| function.ends_with(word));
        match parent.kind() {
            "comparison_operator" if is_read => return true,
            "assignment" => return parent.child_by_field_name("left").is_some_and(says_so),
            "function_definition" => {
                return parent.child_by_field_name("name").is_some_and(says_so);
            }
            _ => {}
        }
        node = parent;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::functions::parse;

    #[test]
    fn a_file_has_others_in_which_one_value_changed() {
        let data = BTreeMap::from([(
            "tests/data/a.csv".to_string(),
            "name,n\nann,30\nbob,5\n".to_string(),
        )]);
        for key in 0..50 {
            let files = Files::new(&data, key);
            let names = files.others("data/a.csv").expect("is meant");
            assert!(
                names.len() == 4
                    && names
                        .iter()
                        .all(|name| name.starts_with("data/a") && name != "data/a.csv")
            );
            let change = |becomes: &String| Change {
                test: String::new(),
                statement: 0,
                asks: String::new(),
                at: 0,
                was: String::new(),
                becomes: becomes.clone(),
                way: 0,
                of_list: false,
            };
            let written = files.written(&[change(&names[0]), change(&names[3])]);
            let texts: Vec<&String> = names
                .iter()
                .filter_map(|name| written.get(&format!("tests/{name}")))
                .collect();
            assert_eq!(texts.len(), 2);
            assert!(
                texts[0].len() == 20 && texts[0] != &data["tests/data/a.csv"],
                "{texts:?}"
            );
            assert!(texts[1].lines().count() == 4, "{texts:?}");
        }
        assert_eq!(Files::new(&data, 1).others("b.csv"), None);
        assert_eq!(Files::new(&data, 1).others(".csv"), None);
    }

    #[test]
    fn what_holds_the_expected_is_not_asked_about() {
        let text = "GOLDEN = DATA / 'a'\nassert f(DATA / 'b') == loads((DATA / 'c').read_text())\nx = open('d').read()\n";
        let tree = parse(text);
        let of = |name: &str| {
            let at = text.find(name).expect("is there");
            let node = tree
                .root_node()
                .descendant_for_byte_range(at, at + 1)
                .expect("a node");
            holds_expected(node, text)
        };
        assert_eq!(
            ["'a'", "'b'", "'c'", "'d'"].map(of),
            [true, false, true, false]
        );
    }
}

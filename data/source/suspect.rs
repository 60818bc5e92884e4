//! Where a bug may be, when only a failing test is known: the file that is most related to it, and in it a function that
//! the test names.
//!
//! In: a tree and tests that fail in it. Out: a [`Focus`]. It is a guess, and says no more than where a prompt begins.

use std::collections::HashSet;
use std::path::Path;

use super::functions::functions;
use crate::file::FileError;
use crate::patch::is_guarded;
use crate::retrieve::{Index, Query};
use crate::task::{Focus, file_of};

/// Files that are looked at.
const MOST: usize = 10;

/// The most suspect function of the tree at `root`, or the most suspect file where no function is named. `said` is what the
/// tests say. `None` where no file is related to them.
///
/// # Errors
///
/// When a file cannot be read.
pub fn suspect(root: &Path, tests: &[String], said: &str) -> Result<Option<Focus>, FileError> {
    let index = Index::build(root, None)?;
    let related = index.related(&Query { issue: said, tests }, MOST);
    let names = named_in(root, tests);
    let mut first = None;
    for path in related
        .into_iter()
        .map(|one| one.path)
        .filter(|path| !is_guarded(path))
    {
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else {
            continue;
        };
        let short = |name: &str| name.rsplit('.').next().unwrap_or(name).to_string();
        let found = functions(&text)
            .into_iter()
            .find(|function| names.contains(&short(&function.name)));
        if let Some(function) = found {
            let (first_line, last_line) = (function.first_line, function.last_line);
            return Ok(Some(Focus {
                path,
                first_line,
                last_line,
            }));
        }
        let last_line = text.lines().count().max(1);
        first = first.or(Some(Focus {
            path,
            first_line: 1,
            last_line,
        }));
    }
    Ok(first)
}

/// The words of the functions that are the tests; of their whole files where they are no functions.
fn named_in(root: &Path, tests: &[String]) -> HashSet<String> {
    let mut names = HashSet::new();
    for test in tests {
        let Ok(text) = std::fs::read_to_string(root.join(file_of(test))) else {
            continue;
        };
        let name = test.split('[').next().unwrap_or(test).rsplit("::").next();
        let lines: Vec<&str> = text.lines().collect();
        let own = functions(&text)
            .into_iter()
            .find(|function| function.name.rsplit('.').next() == name);
        let shown = own.map_or(&lines[..], |function| {
            &lines[function.first_line - 1..function.last_line]
        });
        let words = shown
            .iter()
            .flat_map(|line| line.split(|letter: char| !letter.is_alphanumeric() && letter != '_'));
        names.extend(words.filter(|word| word.len() > 1).map(str::to_string));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::write_whole;

    #[test]
    fn a_failing_test_leads_to_the_function_that_it_names() {
        let root = std::env::temp_dir().join(format!("suspect-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            write_whole(&root.join(path), text.as_bytes()).expect("writes")
        };
        write(
            "shop/cart.py",
            "def empty():\n    return []\n\n\ndef total(items):\n    return sum(items) + 1\n",
        );
        write("shop/mail.py", "def send(to):\n    return to\n");
        write(
            "tests/test_cart.py",
            "from shop.cart import empty, total\n\n\ndef test_total():\n    assert total([1]) == 1\n",
        );
        let tests = ["tests/test_cart.py::test_total".to_string()];
        let found = suspect(&root, &tests, "assert 2 == 1").expect("reads");
        std::fs::remove_dir_all(&root).expect("cleans up");
        let expected = Focus {
            path: "shop/cart.py".into(),
            first_line: 5,
            last_line: 6,
        };
        assert_eq!(found, Some(expected));
    }
}

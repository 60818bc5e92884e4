//! A repository in, search and replace over any number of files out.
//!
//! The turn holds, in this order and as far as it fits: the issue, what the tests said, the failing tests' own code, the
//! tree of files, the related files whole or in the lines that matter, the form of the answer. The issue has a quarter of
//! the budget, the tree an eighth; files have what is left.

use std::collections::BTreeSet;

use data::edit::tree::{Anchor, FileEdit, TreeEdits};
use data::edit::{EditError, anchor};
use data::retrieve::{Reason, Related};
use data::task::file_of;
use data::{FileChange, Task};

use super::{Scaffold, Unread, View};
use crate::agent::state::WorkTree;

/// Lines around a place that matters, where a file does not fit as a whole.
const AROUND: usize = 40;
/// Test ids that are named.
const NAMED_TESTS: usize = 10;

/// A repository in, search and replace out.
pub struct Edits;

const FORM: &str = "Answer with edits of this form and nothing else that looks like it. The lines to replace must stand in \
the file exactly so, and once:

### path/to/file.py
```python
<<<<<<< SEARCH
the lines to replace
=======
the lines to put there
>>>>>>> REPLACE
```

Write as many blocks as needed, in any number of files. A block that searches for nothing makes a new file. To delete a \
file, write `### path` and below it the line `<<<<<<< DELETE`. Tests are not changed. Keep as much of the code as possible.";

impl Scaffold for Edits {
    fn name(&self) -> &'static str {
        "edits"
    }

    fn uses_focus(&self) -> bool {
        false
    }

    fn converses(&self) -> bool {
        true
    }

    fn open(&self, view: &View<'_>) -> Result<String, String> {
        let task = view.task;
        let mut turn = Turn {
            text: String::new(),
            view,
            end: FORM,
        };
        turn.text.push_str("Repair this repository.\n\n");
        let issue = cut(&task.statement, view.budget / 4, view.tokens);
        turn.text
            .push_str(&format!("<issue>\n{}\n</issue>\n", issue.trim_end()));
        let named: Vec<&str> = task
            .fail_to_pass
            .iter()
            .take(NAMED_TESTS)
            .map(String::as_str)
            .collect();
        let more = task.fail_to_pass.len() - named.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        turn.text.push_str(&format!(
            "\nThese tests must pass: {}{more}\n",
            named.join(", ")
        ));
        if !turn.fits("") {
            return Err(format!("a prompt does not fit into {} tokens", view.budget));
        }
        for note in view.notes {
            turn.add(&format!("\n{note}\n"));
        }
        let tree: Vec<&str> = view.index.paths().chain(view.tree.made()).collect();
        let tree = cut_lines(&tree, view.budget / 8, view.tokens);
        turn.add(&format!("\n<files>\n{tree}\n</files>\n"));
        turn.files(task);
        turn.text.push_str(&format!("\n{FORM}\n"));
        Ok(turn.text)
    }

    fn read(
        &self,
        answer: &str,
        _: &Task,
        tree: &WorkTree,
        anchor: Anchor,
    ) -> Result<Vec<FileChange>, Unread> {
        let parsed = TreeEdits::parse(answer);
        if let Some(dropped) = parsed.dropped.first() {
            return Err(Unread::NoEdit(dropped.to_string()));
        }
        if parsed.edits.is_empty() {
            return Err(Unread::NoEdit("the answer holds no edit".into()));
        }
        let read = |path: &str| tree.read(path);
        let changes = match parsed.apply(&read, anchor) {
            Ok(changes) => changes,
            Err(error) => {
                return Err(Unread::DoesNotFit(
                    error.clone(),
                    nearest(&parsed, &error, &read),
                ));
            }
        };
        let changed: Vec<FileChange> = changes
            .into_iter()
            .filter(|one| read(&one.path) != one.content)
            .collect();
        if changed.is_empty() {
            Err(Unread::NoChange)
        } else {
            Ok(changed)
        }
    }

    fn reminder(&self) -> String {
        FORM.to_string()
    }
}

/// The lines of the file that are most like those that were searched for, as they stand.
fn nearest(
    parsed: &TreeEdits,
    error: &EditError,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let EditError::NotFound(path) = error else {
        return None;
    };
    let text = read(path)?;
    let of_file = parsed.edits.iter().filter_map(|edit| match edit {
        FileEdit::Replace(edit) if edit.path == *path => Some(edit),
        FileEdit::Replace(_) | FileEdit::Delete { .. } => None,
    });
    let mut lost = of_file.filter(|edit| edit.apply(&text).is_err());
    let found = anchor::nearest(&lost.next()?.search, &text)?;
    Some(format!(
        "{path}, from line {}:\n{}",
        found.first_line,
        found.lines.join("\n")
    ))
}

/// A turn that is being written.
struct Turn<'a> {
    text: String,
    view: &'a View<'a>,
    /// What follows in any case.
    end: &'static str,
}

impl Turn<'_> {
    fn fits(&self, more: &str) -> bool {
        (self.view.tokens)(&format!("{}{more}\n{}\n", self.text, self.end)) <= self.view.budget
    }

    /// Adds it where it fits.
    fn add(&mut self, more: &str) -> bool {
        let fits = self.fits(more);
        if fits {
            self.text.push_str(more);
        }
        fits
    }

    /// Files that rules want, then failing tests, then related files.
    fn files(&mut self, task: &Task) {
        let mut shown = BTreeSet::new();
        let wanted = self
            .view
            .wanted
            .iter()
            .map(|path| (path.clone(), Vec::new()));
        let tests: BTreeSet<&str> = task.fail_to_pass.iter().map(|id| file_of(id)).collect();
        let tests = tests
            .into_iter()
            .take(2)
            .map(|path| (path.to_string(), self.lines_of_tests(task, path)));
        let related = self
            .view
            .related
            .iter()
            .map(|related| (related.path.clone(), lines_of(related)));
        let all: Vec<(String, Vec<usize>)> = wanted.chain(tests).chain(related).collect();
        for (path, lines) in all {
            if shown.insert(path.clone())
                && let Some(text) = self
                    .view
                    .tree
                    .read(&path)
                    .filter(|text| !text.trim().is_empty())
                && !self.add(&whole(&path, &text))
            {
                self.add(&around(&path, &text, &lines));
            }
        }
    }

    /// Where the failing tests of a file begin.
    fn lines_of_tests(&self, task: &Task, path: &str) -> Vec<usize> {
        let Some(text) = self.view.tree.read(path) else {
            return Vec::new();
        };
        let names = task.fail_to_pass.iter().filter(|id| file_of(id) == path);
        let names: Vec<&str> = names
            .filter_map(|id| id.rsplit("::").next()?.split('[').next())
            .collect();
        let names_one = |line: &str| names.iter().any(|name| line.contains(name));
        text.lines()
            .enumerate()
            .filter(|(_, line)| names_one(line))
            .map(|(at, _)| at + 1)
            .take(4)
            .collect()
    }
}

fn lines_of(related: &Related) -> Vec<usize> {
    let line = |reason: &Reason| match reason {
        Reason::StackTrace { line } => *line,
        Reason::Defines(symbol) | Reason::UsedByTest(symbol) => Some(symbol.line),
        Reason::Words(_) | Reason::Named | Reason::ImportedByTest(_) => None,
    };
    related.reasons.iter().filter_map(line).take(4).collect()
}

fn whole(path: &str, text: &str) -> String {
    format!("\n### {path}\n```\n{}\n```\n", text.trim_end_matches('\n'))
}

/// The lines around some places; the first lines where there is none.
fn around(path: &str, text: &str, places: &[usize]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let places = if places.is_empty() { &[1][..] } else { places };
    let near = |line: usize| places.iter().any(|place| line.abs_diff(*place) <= AROUND);
    let mut shown = format!("\n### {path} (a part of {} lines)\n```\n", lines.len());
    let mut before = 0;
    for (at, line) in lines.iter().enumerate().filter(|(at, _)| near(at + 1)) {
        if at != before {
            shown.push_str("[…]\n");
        }
        shown.push_str(line);
        shown.push('\n');
        before = at + 1;
    }
    shown.push_str("```\n");
    shown
}

/// The head and the tail of a text within so many tokens.
pub(crate) fn cut(text: &str, budget: usize, tokens: &dyn Fn(&str) -> usize) -> String {
    // A token has one byte at least, so that a huge text is cut before it is counted.
    let most = budget.saturating_mul(16);
    let halves = |bytes: usize| {
        let (head, tail) = (floor(text, bytes / 2), ceil(text, text.len() - bytes / 2));
        format!(
            "{}\n[… {} bytes are left out …]\n{}",
            &text[..head],
            tail - head,
            &text[tail..]
        )
    };
    if text.len() <= most && tokens(text) <= budget {
        return text.to_string();
    }
    let mut bytes = most.min(text.len());
    while bytes > 64 && tokens(&halves(bytes)) > budget {
        bytes = bytes * 3 / 4;
    }
    halves(bytes)
}

/// As many lines as fit into so many tokens, and how many more there are.
fn cut_lines(lines: &[&str], budget: usize, tokens: &dyn Fn(&str) -> usize) -> String {
    let mut count = lines.len();
    loop {
        let more = lines.len() - count;
        let more = if more > 0 {
            format!("\n[… and {more} more]")
        } else {
            String::new()
        };
        let text = format!("{}{more}", lines[..count].join("\n"));
        if count == 0 || (text.len() <= budget.saturating_mul(16) && tokens(&text) <= budget) {
            return text;
        }
        count = count * 3 / 4;
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use data::retrieve::{Index, Query};

    use super::*;
    use crate::attempt::example::{Folder, task};

    fn bytes(text: &str) -> usize {
        text.len()
    }

    fn opened(budget: usize, statement: &str) -> Result<String, String> {
        let folder = Folder::new();
        let task = Task {
            statement: statement.into(),
            ..task("sum")
        };
        let tree = WorkTree::open(folder.path(), &task).expect("opens");
        let index = Index::build(tree.root(), None).expect("reads");
        let related = index.related(
            &Query {
                issue: statement,
                tests: &task.fail_to_pass,
            },
            5,
        );
        let (notes, wanted) = (["NOTE".to_string()], []);
        Edits.open(&View {
            task: &task,
            tree: &tree,
            index: &index,
            related: &related,
            wanted: &wanted,
            notes: &notes,
            budget,
            tokens: &bytes,
        })
    }

    #[test]
    fn the_turn_shows_the_issue_the_tree_the_bug_and_never_the_repair() {
        let turn = opened(5000, "add(1, 2) in money.py is -1").expect("fits");
        for part in [
            "add(1, 2)",
            "test_money.py::test_sum",
            "NOTE",
            "other.py",
            "### money.py",
            "return a - b",
            "SEARCH",
        ] {
            assert!(turn.contains(part), "{part} is not in\n{turn}");
        }
        assert!(!turn.contains("return a + b"));
    }

    #[test]
    fn the_turn_never_is_longer_than_its_budget() {
        let huge = "money is wrong ".repeat(80_000);
        for budget in [1200, 1500, 3000] {
            let turn = opened(budget, &huge).expect("fits");
            assert!(
                turn.len() <= budget && turn.contains("bytes are left out"),
                "{} of {budget}",
                turn.len()
            );
        }
        assert!(
            opened(200, "short").is_err_and(|why| why.contains("does not fit into 200 tokens"))
        );
    }

    #[test]
    fn an_answer_that_does_not_fit_is_told_what_stands_there() {
        let (folder, task) = (Folder::new(), task("sum"));
        let tree = WorkTree::open(folder.path(), &task).expect("opens");
        let answer = "### money.py\n<<<<<<< SEARCH\n    return a-b\n=======\n    return a + b\n>>>>>>> REPLACE\n";
        let Err(Unread::DoesNotFit(_, near)) = Edits.read(answer, &task, &tree, Anchor::Exact)
        else {
            panic!("it does not fit");
        };
        assert_eq!(
            near.as_deref(),
            Some("money.py, from line 2:\n    return a - b")
        );
        let same = answer.replace("a-b", "a - b").replace("a + b", "a - b");
        assert_eq!(
            Edits.read(&same, &task, &tree, Anchor::Exact),
            Err(Unread::NoChange)
        );
        assert!(matches!(
            Edits.read("hello", &task, &tree, Anchor::Exact),
            Err(Unread::NoEdit(_))
        ));
    }
}

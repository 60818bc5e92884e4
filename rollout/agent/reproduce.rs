//! A test that shows an issue, where nobody named one that fails.
//!
//! In: an issue and a repository. Out: a new test file that fails because of the issue, and the ids of its failing tests.
//! The model writes it, so it is weaker evidence than a person's test: whoever uses it says so.

use data::edit::tree::{Anchor, TreeEdits};
use data::patch::is_guarded;
use data::task::{Language, file_of};
use data::{FileChange, Message, Role, Task};
use sandbox::{End, TestRun, TestStatus};

use super::scaffold::{Scaffold as _, View};
use super::{scaffold::Edits, state::WorkTree};

/// How often a test is asked for.
pub const TRIES: u32 = 3;

/// A test that shows the issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reproduction {
    /// The new file.
    pub file: FileChange,
    /// Its tests that fail.
    pub failing: Vec<String>,
}

/// What asks for a test.
///
/// # Errors
///
/// In words, when not even the least of it fits.
pub fn ask(view: &View<'_>) -> Result<Vec<Message>, String> {
    let name = match view.task.language {
        Language::Python => "tests/test_reproduction.py",
        Language::JavaScript => "reproduction.test.js",
    };
    let form = format!(
        "Do not repair it yet. Write one new test file, `{name}`, with a test that fails because of the issue and passes \
         once it is repaired:\n\n### {name}\n<<<<<<< SEARCH\n=======\nthe whole file\n>>>>>>> REPLACE"
    );
    let room = view.budget.saturating_sub((view.tokens)(&form) + 8);
    let shown = Edits.open(&View {
        budget: room,
        ..*view
    })?;
    Ok(vec![Message::new(Role::User, format!("{shown}\n{form}"))])
}

/// The test file of an answer.
///
/// # Errors
///
/// In words, when the answer holds no new test file.
pub fn file_of_answer(answer: &str, tree: &WorkTree, task: &Task) -> Result<FileChange, String> {
    let parsed = TreeEdits::parse(answer);
    let changes = parsed
        .apply(&|path| tree.read(path), Anchor::Exact)
        .map_err(|error| error.to_string())?;
    let ending = match task.language {
        Language::Python => ".py",
        Language::JavaScript => ".js",
    };
    let is_test = |change: &&FileChange| {
        let is_new = tree.read(&change.path).is_none() && change.content.is_some();
        is_new && is_guarded(&change.path) && change.path.ends_with(ending)
    };
    changes
        .iter()
        .find(is_test)
        .cloned()
        .ok_or_else(|| "the answer makes no new test file".to_string())
}

/// Whether the new tests show something: they run, and one fails by itself and not because it cannot be loaded.
///
/// # Errors
///
/// In words, when they show nothing.
pub fn shown(file: FileChange, run: &TestRun) -> Result<Reproduction, String> {
    let failed = run
        .tests
        .iter()
        .filter(|(id, status)| file_of(id) == file.path && **status == TestStatus::Failed);
    let failing: Vec<String> = failed.map(|(id, _)| id.clone()).collect();
    match (&run.end, &run.first_failure) {
        (End::Finished { .. }, Some(failure)) if failure.test == file.path => Err(format!(
            "the test cannot be loaded: {}: {}",
            failure.exception, failure.message
        )),
        (End::Finished { .. }, _) if failing.is_empty() => {
            Err("the test passes on the code as it is".to_string())
        }
        (End::Finished { .. }, Some(failure)) if is_its_own_fault(&failure.exception) => {
            Err(format!(
                "the test fails for a reason of its own: {}: {}",
                failure.exception, failure.message
            ))
        }
        (End::Finished { .. }, _) => Ok(Reproduction { file, failing }),
        (End::Died { .. } | End::TimedOut | End::OutOfMemory, _) => {
            Err("the test did not come to its end".to_string())
        }
    }
}

/// What a test raises that was written wrongly rather than that it found something.
fn is_its_own_fault(exception: &str) -> bool {
    let last = exception.rsplit('.').next().unwrap_or(exception);
    [
        "SyntaxError",
        "IndentationError",
        "ModuleNotFoundError",
        "ImportError",
        "NameError",
        "ReferenceError",
    ]
    .contains(&last)
}

#[cfg(test)]
mod tests {
    use sandbox::scripted::Scripted;

    use super::*;
    use crate::attempt::example::{Folder, task};

    const NEW: &str = "### tests/test_new.py\n<<<<<<< SEARCH\n=======\ndef test_a():\n    assert 0\n>>>>>>> REPLACE\n";

    #[test]
    fn only_a_new_test_file_is_one() {
        let (folder, task) = (Folder::new(), task("sum"));
        let tree = WorkTree::open(folder.path(), &task).expect("opens");
        let file = file_of_answer(NEW, &tree, &task).expect("a file");
        assert_eq!(file.path, "tests/test_new.py");
        for other in [
            "hello".to_string(),
            NEW.replace("tests/test_new.py", "fix.py"),
        ] {
            assert!(file_of_answer(&other, &tree, &task).is_err(), "{other}");
        }
    }

    #[test]
    fn a_test_shows_something_where_it_fails_by_itself() {
        let file = FileChange {
            path: "t.py".into(),
            content: Some(String::new()),
        };
        let run = |exception: &str, status| {
            let mut run = Scripted::finished(&[("t.py::test_a", status)]);
            run.first_failure
                .iter_mut()
                .for_each(|failure| failure.exception = exception.into());
            shown(file.clone(), &run)
        };
        assert_eq!(
            run("AssertionError", TestStatus::Failed)
                .expect("shows")
                .failing,
            ["t.py::test_a"]
        );
        assert!(
            run("NameError", TestStatus::Failed)
                .is_err_and(|why| why.contains("reason of its own"))
        );
        assert!(
            run("AssertionError", TestStatus::Passed)
                .is_err_and(|why| why.contains("passes on the code"))
        );
    }
}

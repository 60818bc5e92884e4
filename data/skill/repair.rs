//! Repair: a failing test and a function in, an edit out.
//!
//! Example, in the short form: `test_sum: assert -1 == 3`, `money.py`, `1|def add(a, b):`, `2|    return a - b` is
//! answered by `2|    return a + b`.

use serde::{Deserialize, Serialize};

use crate::edit::{EditError, LineEdit, SearchReplace};
use crate::message::{Message, Role};
use crate::patch::{ApplyError, FileChange, Patch};
use crate::task::Task;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// `N|the new line`: for small models and bugs of one line.
    #[default]
    Line,
    /// Search/replace blocks, as Agentless and SWE-Swiss use them.
    SearchReplace,
}

/// Why an answer is no patch.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The file that was shown is gone.
    #[error("there is no text file `{0}`")]
    NoFile(String),
    /// The edit cannot be read or does not fit.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A block was dropped, or there was none.
    #[error("the answer holds no search/replace block")]
    NoBlock,
    /// It changes nothing.
    #[error("the answer changes nothing")]
    NoChange,
    /// The gold patch changes more than one line, which the short form cannot say.
    #[error("the repair of `{0}` is not one line, so it cannot be written as `N|the new line`")]
    NotOneLine(String),
    /// The repair does not apply to the base tree.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// The prompt: what fails, and the function that holds the bug (oracle localization, as in SWE-bench's oracle
/// setting). `file` is the text of `task.focus.path` in the base tree.
pub fn prompt(task: &Task, file: &str, form: AnswerForm) -> Vec<Message> {
    let shown = focus_lines(task, file);
    let content = match form {
        AnswerForm::Line => {
            let numbered: Vec<String> =
                shown.iter().enumerate().map(|(at, line)| format!("{}|{line}", at + 1)).collect();
            format!("{}\n{}\n{}", task.statement, task.focus.path, numbered.join("\n"))
        }
        AnswerForm::SearchReplace => format!(
            "{}\n\nPlease first localize the bug based on the failing test, and then generate SEARCH/REPLACE edits, each in a ```python fence that starts with `### path`.\n\n### {}\n{}\n",
            task.statement,
            task.focus.path,
            shown.join("\n")
        ),
    };
    vec![Message::new(Role::User, content)]
}

fn focus_lines<'a>(task: &Task, file: &'a str) -> Vec<&'a str> {
    let count = (task.focus.last_line + 1).saturating_sub(task.focus.first_line);
    file.lines().skip(task.focus.first_line.saturating_sub(1)).take(count).collect()
}

/// The answer that the gold patch stands for.
///
/// # Errors
///
/// When the gold patch does not apply, or the form cannot say it.
pub fn gold_answer(task: &Task, file: &str, form: AnswerForm) -> Result<String, AnswerError> {
    let read = |path: &str| (path == task.focus.path).then(|| file.to_owned());
    let repaired = task.gold.apply(&read)?.into_iter().find(|change| change.path == task.focus.path);
    let repaired = repaired.and_then(|change| change.content).ok_or(AnswerError::NoChange)?;
    let (old, new): (Vec<&str>, Vec<&str>) = (file.split('\n').collect(), repaired.split('\n').collect());
    let changed: Vec<usize> = (0..old.len().min(new.len())).filter(|&at| old[at] != new[at]).collect();
    let one = old.len() == new.len() && changed.len() == 1;
    let Some(&at) = changed.first().filter(|_| one) else {
        return Err(AnswerError::NotOneLine(task.id.clone()));
    };
    match form {
        AnswerForm::Line => {
            let line = (at + 2).checked_sub(task.focus.first_line).unwrap_or(0);
            Ok(LineEdit { line, text: new[at].to_owned() }.to_string())
        }
        AnswerForm::SearchReplace => {
            // Lines before the changed one are added until the search text is found once.
            let search = |from: usize| old[from..=at].iter().map(|line| format!("{line}\n")).collect::<String>();
            let from = (0..=at).rev().find(|&from| file.matches(&search(from)).count() == 1).unwrap_or(0);
            let kept: String = old[from..at].iter().map(|line| format!("{line}\n")).collect();
            let edit = SearchReplace {
                path: task.focus.path.clone(),
                search: search(from),
                replace: format!("{kept}{}\n", new[at]),
            };
            Ok(edit.to_string())
        }
    }
}

/// The patch that an answer stands for. `base` reads files of the base tree.
///
/// # Errors
///
/// When the answer is in another form, does not fit, or changes nothing.
pub fn parse_answer(
    text: &str,
    task: &Task,
    base: &dyn Fn(&str) -> Option<String>,
    form: AnswerForm,
) -> Result<Patch, AnswerError> {
    let patch = match form {
        AnswerForm::Line => {
            let edit = LineEdit::parse(text)?;
            let path = &task.focus.path;
            let old = base(path).ok_or_else(|| AnswerError::NoFile(path.clone()))?;
            Patch::between(path, &old, &edit.apply(&old, &task.focus)?)
        }
        AnswerForm::SearchReplace => {
            let (edits, dropped) = SearchReplace::parse_all(text);
            if let Some(reason) = dropped.into_iter().next() {
                return Err(reason.into());
            }
            if edits.is_empty() {
                return Err(AnswerError::NoBlock);
            }
            SearchReplace::to_patch(&edits, base)?
        }
    };
    if patch.is_empty() { Err(AnswerError::NoChange) } else { Ok(patch) }
}

/// The files that the bug changes, as they stand in the base tree.
///
/// # Errors
///
/// When the bug does not apply to the clean tree.
pub fn base_files(task: &Task, clean: &dyn Fn(&str) -> Option<String>) -> Result<Vec<FileChange>, ApplyError> {
    task.bug.apply(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Focus, TASK_FORMAT};

    const CLEAN: &str = "import os\n\ndef add(a, b):\n    total = a + b\n    return total\n";

    fn task() -> Task {
        let bug = Patch::between("sum.py", CLEAN, &CLEAN.replace('+', "-"));
        Task {
            format: TASK_FORMAT,
            id: "sum".into(),
            repo: "sum".into(),
            tree: "tree".into(),
            base_commit: String::new(),
            image: None,
            gold: bug.reversed(),
            bug,
            kind: "arithmetic".into(),
            statement: "test_add: assert -1 == 3".into(),
            focus: Focus { path: "sum.py".into(), first_line: 3, last_line: 5 },
            fail_to_pass: vec!["t".into()],
            pass_to_pass: vec![],
            python_path: vec![".".into()],
            language: "python".into(),
        }
    }

    fn base() -> String {
        CLEAN.replace('+', "-")
    }

    #[test]
    fn the_prompt_shows_the_function_with_numbers_and_not_the_repair() {
        let said = &prompt(&task(), &base(), AnswerForm::Line)[0].content;
        assert_eq!(
            said,
            "test_add: assert -1 == 3\nsum.py\n1|def add(a, b):\n2|    total = a - b\n3|    return total"
        );
    }

    #[test]
    fn the_gold_answer_is_read_back_as_the_gold_patch_in_both_forms() {
        for form in [AnswerForm::Line, AnswerForm::SearchReplace] {
            let answer = gold_answer(&task(), &base(), form).expect("an answer");
            let patch = parse_answer(&answer, &task(), &|_| Some(base()), form).expect("a patch");
            assert_eq!(patch.text(), task().gold.text(), "{answer}");
        }
        assert_eq!(gold_answer(&task(), &base(), AnswerForm::Line).expect("an answer"), "2|    total = a + b");
    }

    #[test]
    fn an_answer_that_changes_nothing_is_refused() {
        let refused = parse_answer("2|    total = a - b", &task(), &|_| Some(base()), AnswerForm::Line);
        assert!(matches!(refused, Err(AnswerError::NoChange)));
    }
}

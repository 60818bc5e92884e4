//! Repair: a failing test and one function in, the repaired line out.
//!
//! In: a task and its base file. Out: the prompt, the right answer, and the patch that an answer stands for.
//! Example: asked `sum is -1, not 3`, `money.py`, `1|def add(a, b):`, `2|    return a - b`;
//! answered `2|    return a + b`.

use serde::{Deserialize, Serialize};

use crate::edit::{Dropped, EditError, LineEdit, SearchReplace, to_patch};
use crate::message::{Message, Role};
use crate::patch::{ApplyError, FileChange, Patch, PatchError, check_path};
use crate::task::Task;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// One line of the span: `N|the new line`. Short enough for a model of two million weights.
    Line,
    /// Search-and-replace blocks.
    SearchReplace,
}

/// Why an answer is no patch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AnswerError {
    /// It leaves every file as it was.
    #[error("the answer changes nothing")]
    NoChange,
    /// It holds no edit.
    #[error("the answer holds no search-and-replace block")]
    NoBlock,
    /// One of its blocks cannot be read, so it does not say what it means.
    #[error("{0}")]
    Dropped(Dropped),
    /// It cannot be read, or does not fit the file.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Why a task's own repair cannot be written as an answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GoldError {
    /// The repair does not apply to the base file.
    #[error("the repair of `{id}` does not apply: {source}")]
    Apply {
        /// The task.
        id: String,
        /// Why.
        source: ApplyError,
    },
    /// The form is too narrow for the repair.
    #[error("the repair of `{id}` cannot be written as an answer: {why}")]
    Form {
        /// The task.
        id: String,
        /// What the form lacks.
        why: &'static str,
    },
}

impl GoldError {
    /// Why, without saying which task: for counting.
    pub fn reason(&self) -> &'static str {
        match self {
            GoldError::Apply { .. } => "it does not apply to the base file",
            GoldError::Form { why, .. } => why,
        }
    }
}

/// What the model is asked. `file_text` is the base file of the task's focus.
pub fn prompt(task: &Task, file_text: &str, form: AnswerForm) -> Vec<Message> {
    let (statement, path) = (&task.statement, &task.focus.path);
    let content = match form {
        AnswerForm::Line => {
            let shown = task.focus.shown(file_text).into_iter().enumerate();
            let lines: Vec<String> = shown
                .map(|(index, line)| format!("{}|{line}", index + 1))
                .collect();
            format!("{statement}\n{path}\n{}", lines.join("\n"))
        }
        AnswerForm::SearchReplace => {
            let example = SearchReplace {
                path: "path/to/file.py".into(),
                search: vec!["the lines to replace, exactly as they stand".into()],
                replace: vec!["the lines to put there".into()],
            };
            format!(
                "A test fails:\n{statement}\n\nThis is the file:\n### {path}\n{}\n\
                 Repair it with blocks of this form; the lines to replace must occur once in the file:\n{example}",
                file_text.trim_end_matches('\n').to_string() + "\n"
            )
        }
    };
    vec![Message::new(Role::User, content)]
}

/// The answer that repairs the task. `base_file_text` is the base file of its focus.
///
/// # Errors
///
/// When the repair touches another file, or is wider than the form.
pub fn gold_answer(
    task: &Task,
    base_file_text: &str,
    form: AnswerForm,
) -> Result<String, GoldError> {
    let refused = |why| GoldError::Form {
        id: task.id.clone(),
        why,
    };
    if task.gold.is_empty() {
        return Err(refused("it has no gold patch"));
    }
    if task.gold.paths() != [task.focus.path.as_str()] {
        return Err(refused(
            "it touches another file than the one that is shown",
        ));
    }
    let changes = task.gold.apply(&|_| Some(base_file_text.to_string()));
    let changes = changes.map_err(|source| GoldError::Apply {
        id: task.id.clone(),
        source,
    })?;
    let repaired = changes
        .into_iter()
        .find_map(|change| change.content)
        .ok_or(refused("it deletes the file"))?;
    match form {
        AnswerForm::Line => line_answer(task, base_file_text, &repaired).map_err(refused),
        AnswerForm::SearchReplace => {
            search_answer(task, base_file_text, &repaired).map_err(refused)
        }
    }
}

/// The patch against the base tree that an answer stands for. `base` reads a file of the base tree.
///
/// # Errors
///
/// When the answer is not in the form, does not fit, or changes nothing.
pub fn parse_answer(
    text: &str,
    task: &Task,
    base: &dyn Fn(&str) -> Option<String>,
    form: AnswerForm,
) -> Result<Patch, AnswerError> {
    let patch = match form {
        AnswerForm::Line => {
            let path = &task.focus.path;
            check_path(path).map_err(EditError::from)?;
            let old = base(path).ok_or_else(|| EditError::NoFile(path.clone()))?;
            let edit = LineEdit::parse(text, task.focus.shown(&old).len())?;
            let patch = Patch::between(path, &old, &edit.apply(&old, &task.focus)?);
            within_limits(&patch).map_err(EditError::from)?;
            patch
        }
        AnswerForm::SearchReplace => {
            let mut parsed = SearchReplace::parse_all(text);
            if !parsed.dropped.is_empty() {
                return Err(AnswerError::Dropped(parsed.dropped.swap_remove(0)));
            }
            if parsed.edits.is_empty() {
                return Err(AnswerError::NoBlock);
            }
            to_patch(&parsed.edits, base)?
        }
    };
    if patch.is_empty() {
        Err(AnswerError::NoChange)
    } else {
        Ok(patch)
    }
}

/// The files that the bug changes, as the model finds them. `clean` reads a file of the clean tree.
///
/// # Errors
///
/// When the bug does not apply to the clean tree.
pub fn base_files(
    task: &Task,
    clean: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<FileChange>, ApplyError> {
    task.bug.apply(clean)
}

/// What a model writes may be larger than a patch may be.
fn within_limits(patch: &Patch) -> Result<(), PatchError> {
    Patch::parse(patch.text()).map(|_| ())
}

fn line_answer(task: &Task, base: &str, repaired: &str) -> Result<String, &'static str> {
    let (old, new) = (task.focus.shown(base), task.focus.shown(repaired));
    let changed = old.iter().zip(&new).position(|(old, new)| old != new);
    let index = changed.ok_or("it lies outside the lines that are shown")?;
    let edit = LineEdit {
        line: index + 1,
        text: new[index].to_string(),
    };
    match edit.apply(base, &task.focus) {
        Ok(text) if text == repaired => Ok(edit.to_string()),
        _ => Err("it changes more than one line"),
    }
}

fn search_answer(task: &Task, base: &str, repaired: &str) -> Result<String, &'static str> {
    let (old, new): (Vec<&str>, Vec<&str>) = (base.lines().collect(), repaired.lines().collect());
    let shorter = old.len().min(new.len());
    let mut before = (0..shorter).take_while(|at| old[*at] == new[*at]).count();
    let same_end = |at: &usize| old[old.len() - 1 - at] == new[new.len() - 1 - at];
    let mut after = (0..shorter - before).take_while(same_end).count();
    let own = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| line.to_string())
            .collect::<Vec<_>>()
    };
    // Context grows, a line above and a line below, until the lines to replace are unique.
    loop {
        let (search, replace) = (
            &old[before..old.len() - after],
            &new[before..new.len() - after],
        );
        let edit = SearchReplace {
            path: task.focus.path.clone(),
            search: own(search),
            replace: own(replace),
        };
        let written = edit.to_string();
        let reads_back = SearchReplace::parse_all(&written).edits == [edit.clone()];
        match edit.apply(base) {
            Ok(text) if text == repaired && reads_back => return Ok(written),
            _ if before == 0 && after == 0 => {
                return Err("no search-and-replace block gives exactly that file");
            }
            _ => (before, after) = (before.saturating_sub(1), after.saturating_sub(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Focus, TASK_FORMAT};

    const BASE: &str =
        "import os\n\n\ndef add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a - b\n";

    fn task(repaired: &str) -> Task {
        let gold = Patch::between("m/money.py", BASE, repaired);
        Task {
            format: TASK_FORMAT,
            id: "money.operator__0".into(),
            repo: "money".into(),
            tree: "tree".into(),
            base_commit: String::new(),
            image: None,
            bug: gold.reversed(),
            gold,
            kind: "operator".into(),
            statement: "add(1, 2) is -1, not 3".into(),
            focus: Focus {
                path: "m/money.py".into(),
                first_line: 4,
                last_line: 5,
            },
            fail_to_pass: vec!["tests/test_money.py::test_add".into()],
            pass_to_pass: vec![],
            trusted: vec![],
            python_path: vec![".".into()],
            language: crate::task::Language::Python,
        }
    }

    fn repaired() -> String {
        BASE.replacen("a - b", "a + b", 1)
    }

    fn base(path: &str) -> Option<String> {
        (path == "m/money.py").then(|| BASE.to_string())
    }

    fn answered(text: &str, form: AnswerForm) -> Result<Patch, AnswerError> {
        parse_answer(text, &task(&repaired()), &base, form)
    }

    #[test]
    fn the_line_prompt_is_the_statement_the_path_and_the_numbered_lines() {
        let messages = prompt(&task(&repaired()), BASE, AnswerForm::Line);
        let expected = "add(1, 2) is -1, not 3\nm/money.py\n1|def add(a, b):\n2|    return a - b";
        assert_eq!(messages, [Message::new(Role::User, expected)]);
    }

    #[test]
    fn the_gold_answer_reads_back_as_the_gold_patch() {
        let task = task(&repaired());
        assert_eq!(
            gold_answer(&task, BASE, AnswerForm::Line).as_deref(),
            Ok("2|    return a + b")
        );
        for form in [AnswerForm::Line, AnswerForm::SearchReplace] {
            let answer = gold_answer(&task, BASE, form).expect("can be written");
            assert_eq!(
                parse_answer(&answer, &task, &base, form),
                Ok(task.gold.clone()),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_repair_wider_than_a_line_needs_the_other_form() {
        for wide in [
            repaired().replace("import os\n", ""),
            BASE.replace("a - b", "a + b"),
            format!("{BASE}x = 1\n"),
        ] {
            let task = task(&wide);
            let narrow = gold_answer(&task, BASE, AnswerForm::Line);
            assert!(matches!(narrow, Err(GoldError::Form { .. })), "{narrow:?}");
            let answer =
                gold_answer(&task, BASE, AnswerForm::SearchReplace).expect("can be written");
            assert_eq!(
                parse_answer(&answer, &task, &base, AnswerForm::SearchReplace),
                Ok(task.gold),
                "{answer}"
            );
        }
    }

    #[test]
    fn an_answer_that_changes_nothing_says_so() {
        assert_eq!(
            answered("2|    return a - b", AnswerForm::Line),
            Err(AnswerError::NoChange)
        );
        let same = vec!["import os".to_string()];
        let block = SearchReplace {
            path: "m/money.py".into(),
            search: same.clone(),
            replace: same,
        };
        assert_eq!(
            answered(&block.to_string(), AnswerForm::SearchReplace),
            Err(AnswerError::NoChange)
        );
    }

    #[test]
    fn an_answer_in_another_form_is_refused() {
        assert_eq!(
            answered("return a + b", AnswerForm::Line),
            Err(AnswerError::Edit(EditError::NotALine))
        );
        let beyond = EditError::OutOfRange { line: 3, shown: 2 };
        assert_eq!(
            answered("3|x", AnswerForm::Line),
            Err(AnswerError::Edit(beyond))
        );
        assert_eq!(
            answered("2|    return a + b", AnswerForm::SearchReplace),
            Err(AnswerError::NoBlock)
        );
        let outside = SearchReplace {
            path: "m/money.py".into(),
            search: vec![],
            replace: vec![],
        }
        .to_string();
        let dropped = answered(&outside.replace("python", ""), AnswerForm::SearchReplace);
        assert!(
            matches!(dropped, Err(AnswerError::Dropped(_))),
            "{dropped:?}"
        );
        let huge = format!("2|{}", "x".repeat(crate::patch::MAX_LINE_BYTES));
        assert!(matches!(
            answered(&huge, AnswerForm::Line),
            Err(AnswerError::Edit(EditError::Patch(_)))
        ));
    }

    #[test]
    fn the_base_files_hold_the_bug() {
        let clean = |_: &str| Some(repaired());
        let files = base_files(&task(&repaired()), &clean).expect("applies");
        assert_eq!(
            files,
            [FileChange {
                path: "m/money.py".into(),
                content: Some(BASE.into())
            }]
        );
    }
}

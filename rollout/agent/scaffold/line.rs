//! The function that the task points at, and one line of it anew: what tiny models can write.

use data::edit::tree::Anchor;
use data::edit::{EditError, LineEdit};
use data::skill::repair::{AnswerForm, prompt};
use data::{FileChange, Task};

use super::{Scaffold, Unread, View};
use crate::agent::state::WorkTree;

/// One line of the function that the task points at. Every try stands alone; what the tests say is not shown, because
/// models of this size were trained on the function alone.
pub struct Line;

impl Scaffold for Line {
    fn name(&self) -> &'static str {
        "line"
    }

    fn uses_focus(&self) -> bool {
        true
    }

    fn converses(&self) -> bool {
        false
    }

    fn open(&self, view: &View<'_>) -> Result<String, String> {
        let path = &view.task.focus.path;
        let text = view
            .tree
            .read(path)
            .ok_or_else(|| format!("there is no text file `{path}`"))?;
        let turn = prompt(view.task, &text, AnswerForm::Line)
            .into_iter()
            .map(|message| message.content)
            .collect::<String>();
        if (view.tokens)(&turn) > view.budget {
            return Err(format!(
                "the function in `{path}` does not fit into {} tokens",
                view.budget
            ));
        }
        Ok(turn)
    }

    fn read(
        &self,
        answer: &str,
        task: &Task,
        tree: &WorkTree,
        _: Anchor,
    ) -> Result<Vec<FileChange>, Unread> {
        let path = &task.focus.path;
        let no_fit = |error| Unread::DoesNotFit(error, None);
        let text = tree
            .read(path)
            .ok_or_else(|| no_fit(EditError::NoFile(path.clone())))?;
        let edit = LineEdit::parse(answer, task.focus.shown(&text).len());
        let edit = edit.map_err(|error| Unread::NoEdit(error.to_string()))?;
        let after = edit.apply(&text, &task.focus).map_err(no_fit)?;
        if after == text {
            return Err(Unread::NoChange);
        }
        Ok(vec![FileChange {
            path: path.clone(),
            content: Some(after),
        }])
    }

    fn reminder(&self) -> String {
        "Answer with one line of the form `N|the new line`.".to_string()
    }
}

//! What the next turn is told about a try: the failure within the budget, or why nothing was tested.

use super::{Agent, Refused, Try};
use crate::agent::check::Checked;
use crate::agent::scaffold::Unread;
use crate::outcome::Status;

/// What was said, for the model and for rules.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub status: Status,
    /// The next turn.
    pub text: String,
    /// What patterns are looked for in.
    pub said: String,
    /// The lines that are most like those that an edit searched for.
    pub near: Option<String>,
}

impl Told {
    /// What was told about a try of an earlier process.
    pub fn again(known: &Try) -> Told {
        let Try {
            status,
            told,
            said,
            near,
            ..
        } = known;
        Told {
            status: *status,
            text: told.clone(),
            said: said.clone(),
            near: near.clone(),
        }
    }
}

impl Told {
    /// As a turn that follows an answer.
    pub fn turn(&self) -> String {
        match self.status {
            Status::NotApplied | Status::NoPatch | Status::Truncated | Status::Lost => {
                self.text.clone()
            }
            Status::Pass
            | Status::Fail
            | Status::Broke
            | Status::Timeout
            | Status::Oom
            | Status::Crash => {
                format!(
                    "{}\n\nYour edits stand. Go on from the files as they are now, in the same form.",
                    self.text
                )
            }
        }
    }
}

/// What is told about a try.
pub(super) fn told(
    checked: &Checked,
    refused: Option<&Refused>,
    guarded: &[String],
    agent: &Agent<'_>,
) -> Told {
    let (mut text, mut near) = (String::new(), None);
    if let Some(refused) = refused {
        (text, near) = why_nothing_ran(refused, agent);
    } else {
        text.push_str(opening(checked.status));
        if let Some(failure) = &checked.failure {
            text.push('\n');
            text.push_str(&agent.summary(failure));
        } else if !checked.output.trim().is_empty() {
            let output = crate::agent::scaffold::cut(
                checked.output.trim(),
                agent.config.summary_tokens,
                agent.words.tokens,
            );
            text.push_str(&format!("\nThe end of what was printed:\n{output}"));
        }
        if !guarded.is_empty() {
            text.push_str(&format!(
                "\nEdits of what judges were left out: {}.",
                guarded.join(", ")
            ));
        }
    }
    let of_failure = checked.failure.as_ref().map(|failure| {
        format!(
            "{}: {}\n{}",
            failure.exception, failure.message, failure.trace
        )
    });
    let said = of_failure.unwrap_or_else(|| format!("{text}\n{}", checked.output));
    Told {
        status: checked.status,
        text,
        said,
        near,
    }
}

fn opening(status: Status) -> &'static str {
    match status {
        Status::Pass => "All tests pass.",
        Status::Fail => "The test fails:",
        Status::Broke => "The target passes, and a test fails that passed before:",
        Status::Timeout => "The tests were killed because they did not end in time.",
        Status::Oom => "The tests were killed because they used too much memory.",
        Status::Crash => "The process that ran the tests died.",
        Status::NotApplied | Status::NoPatch | Status::Truncated | Status::Lost => "No test ran.",
    }
}

fn why_nothing_ran(refused: &Refused, agent: &Agent<'_>) -> (String, Option<String>) {
    let reminder = agent.scaffold().reminder();
    match refused {
        Refused::Truncated => (
            "The answer was cut off because it was too long. Write the edits alone.".into(),
            None,
        ),
        Refused::Guarded(paths) => {
            let paths = paths.join(", ");
            (
                format!(
                    "Only what judges was edited ({paths}), and that stays as it is. Edit the code that is tested."
                ),
                None,
            )
        }
        Refused::Unread(Unread::NoChange) => (
            "The edits change nothing: the files hold that already.".into(),
            None,
        ),
        Refused::Unread(Unread::NoEdit(why)) => {
            (format!("No edit was made: {why}. {reminder}"), None)
        }
        Refused::Unread(Unread::DoesNotFit(error, near)) => (
            format!(
                "No edit was made: {error}. Copy the lines to replace from the file as it is now."
            ),
            near.clone(),
        ),
    }
}

//! Which form a row has, told by its columns.
//!
//! In: a row. Out: its [`Form`], or an error that says what fits, where none or more than one does.
//! Example: `instruction` and `output` make a row of Alpaca, whatever else it holds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names::{Names, as_list};
use crate::source::rows::Row;

/// A public form of chat rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// OpenAI's: `messages` of `role` and `content`.
    Messages,
    /// `conversations` of `from` and `value`.
    Sharegpt,
    /// `prompt` and `completion`, as texts or as lists of messages.
    PromptCompletion,
    /// `instruction`, `input` and `output`.
    Alpaca,
    /// `text`.
    Text,
    /// `chosen` and `rejected`; the chosen side is read.
    Preference,
    /// A `.traj` of SWE-agent: `history`, `trajectory`, `info`.
    SweAgent,
    /// A `.traj.json` of mini-swe-agent: `messages`, `trajectory_format`.
    MiniSweAgent,
    /// A line of OpenHands' `output.jsonl`: `history` of events.
    Openhands,
    /// Harbor's ATIF: `schema_version`, `steps`.
    Atif,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 10] = [
        Form::Messages,
        Form::Sharegpt,
        Form::PromptCompletion,
        Form::Alpaca,
        Form::Text,
        Form::Preference,
        Form::SweAgent,
        Form::MiniSweAgent,
        Form::Openhands,
        Form::Atif,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Form::Messages => "messages",
            Form::Sharegpt => "sharegpt",
            Form::PromptCompletion => "prompt-completion",
            Form::Alpaca => "alpaca",
            Form::Text => "text",
            Form::Preference => "preference",
            Form::SweAgent => "swe-agent",
            Form::MiniSweAgent => "mini-swe-agent",
            Form::Openhands => "openhands",
            Form::Atif => "atif",
        }
    }

    /// The columns that it reads, as it calls them.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Form::Messages => &["messages", "trajectory", "tools", "chat_template_kwargs"],
            Form::Sharegpt => &[
                "conversations",
                "conversation",
                "system",
                "tools",
                "chat_template_kwargs",
            ],
            Form::PromptCompletion => &[
                "prompt",
                "completion",
                "response",
                "tools",
                "chat_template_kwargs",
            ],
            Form::Alpaca => &[
                "instruction",
                "input",
                "output",
                "response",
                "system",
                "history",
            ],
            Form::Text => &["text"],
            Form::Preference => &[
                "prompt",
                "chosen",
                "rejected",
                "tools",
                "chat_template_kwargs",
            ],
            Form::SweAgent => &["history"],
            Form::MiniSweAgent => &["messages", "trajectory_format"],
            Form::Openhands => &["history"],
            Form::Atif => &["schema_version", "agent", "steps"],
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(name: &str) -> Result<Form, String> {
        let known = || Form::ALL.map(Form::name).join(", ");
        Form::ALL
            .into_iter()
            .find(|form| form.name() == name)
            .ok_or_else(|| format!("`{name}` is no form of chat rows; known are {}", known()))
    }
}

/// The form of a row.
///
/// # Errors
///
/// When the columns fit none, or fit several between which nothing decides.
pub fn recognise(row: &Row, names: &Names) -> Result<Form, String> {
    if let Some(form) = trajectory(row, names) {
        return Ok(form);
    }
    let has = |column: &str| names.get(row, column).is_some();
    let turns = |column: &str| {
        names
            .get(row, column)
            .is_some_and(|value| first_of(value).is_some())
    };
    let fits: Vec<Form> = [
        (Form::Messages, has("messages") || turns("trajectory")),
        (
            Form::Sharegpt,
            has("conversations") || turns("conversation"),
        ),
        (Form::Preference, has("chosen") && has("rejected")),
        (
            Form::PromptCompletion,
            has("prompt") && (has("completion") || has("response")),
        ),
        (
            Form::Alpaca,
            has("instruction") && (has("output") || has("response")),
        ),
    ]
    .into_iter()
    .filter_map(|(form, fits)| fits.then_some(form))
    .collect();
    match fits[..] {
        [form] => Ok(form),
        // Other forms often carry their rendered text along.
        [] if has("text") => Ok(Form::Text),
        [] => {
            let columns: Vec<String> = row
                .keys()
                .map(|name| format!("`{}`", name.escape_debug()))
                .collect();
            Err(format!(
                "its columns fit no known form: {}{}",
                if columns.is_empty() {
                    "there are none".to_string()
                } else {
                    columns.join(", ")
                },
                crate::Hint(format_args!(
                    "name them in `[data.chats.columns]`, e.g. \
                 `--set data.chats.columns.messages={}`; docs/data.md lists the forms",
                    row.keys()
                        .next()
                        .map_or("dialogue", String::as_str)
                        .escape_debug()
                ))
            ))
        }
        _ => {
            let fits: Vec<&str> = fits.iter().map(|form| form.name()).collect();
            Err(format!(
                "its columns fit several forms{}",
                crate::Hint(format_args!(
                    "name one: `--format {}`",
                    fits.join("` or `--format ")
                ))
            ))
        }
    }
}

/// The form of a trajectory, which marks itself.
fn trajectory(row: &Row, names: &Names) -> Option<Form> {
    let text = |column: &str| names.get(row, column)?.as_str();
    if text("trajectory_format").is_some_and(|format| format.starts_with("mini-swe-agent")) {
        return Some(Form::MiniSweAgent);
    }
    if text("schema_version").is_some_and(|version| version.starts_with("ATIF"))
        && names.get(row, "steps").is_some()
    {
        return Some(Form::Atif);
    }
    let first = first_of(names.get(row, "history")?)?;
    if names.get(row, "trajectory").is_some() && first.contains_key("role") {
        return Some(Form::SweAgent);
    }
    let event = first.contains_key("source")
        || first.contains_key("action")
        || first.contains_key("observation");
    event.then_some(Form::Openhands)
}

/// The first item of a list of objects, which may lie inside of a string.
fn first_of(value: &Value) -> Option<Row> {
    as_list(value).ok()?.first()?.as_object().cloned()
}

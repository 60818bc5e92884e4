//! What a data set calls its columns, the fields of its messages, and its roles.
//!
//! In: our name. Out: the cell, under the name that the data set has for it. What is null is not there: a table gives
//! every row the columns of all.
//! Example: with `columns = { messages = "dialogue", content = "utterance" }` the column `dialogue` is read as `messages`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::message::Role;
use crate::source::rows::{Row, strict};

/// Names of columns and of fields that can be given another one.
const COLUMNS: [&str; 25] = [
    "messages",
    "trajectory",
    "conversations",
    "conversation",
    "prompt",
    "completion",
    "response",
    "chosen",
    "rejected",
    "instruction",
    "input",
    "output",
    "system",
    "history",
    "text",
    "tools",
    "chat_template_kwargs",
    "role",
    "content",
    "reasoning_content",
    "tool_calls",
    "tool_call_id",
    "name",
    "train",
    "weight",
];

/// Roles that data sets write, and whose they are.
const ROLES: [(&str, Speaker); 24] = [
    ("system", Speaker::Is(Role::System)),
    ("developer", Speaker::Is(Role::System)),
    ("user", Speaker::Is(Role::User)),
    ("human", Speaker::Is(Role::User)),
    ("prompter", Speaker::Is(Role::User)),
    ("assistant", Speaker::Is(Role::Assistant)),
    ("gpt", Speaker::Is(Role::Assistant)),
    ("chatgpt", Speaker::Is(Role::Assistant)),
    ("bing", Speaker::Is(Role::Assistant)),
    ("bard", Speaker::Is(Role::Assistant)),
    ("model", Speaker::Is(Role::Assistant)),
    ("bot", Speaker::Is(Role::Assistant)),
    ("ai", Speaker::Is(Role::Assistant)),
    ("agent", Speaker::Is(Role::Assistant)),
    ("function_call", Speaker::Calls),
    ("tool_call", Speaker::Calls),
    ("tool", Speaker::Is(Role::Tool)),
    ("function", Speaker::Is(Role::Tool)),
    ("observation", Speaker::Is(Role::Tool)),
    ("function_response", Speaker::Is(Role::Tool)),
    ("tool_response", Speaker::Is(Role::Tool)),
    ("tool_result", Speaker::Is(Role::Tool)),
    ("ipython", Speaker::Is(Role::Tool)),
    ("environment", Speaker::Is(Role::Tool)),
];

/// Who a turn is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// This role.
    Is(Role),
    /// The assistant, whose text is a call: sharegpt writes it so.
    Calls,
}

/// What a data set calls things, and where a row came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    columns: BTreeMap<String, String>,
    roles: BTreeMap<String, Role>,
    /// True for a row of a table, in which objects have the fields of all others, too.
    pub(super) sparse: bool,
}

impl Names {
    /// Takes what is named otherwise: our name and theirs, and their roles and ours.
    pub fn new(columns: &BTreeMap<String, String>, roles: &BTreeMap<String, Role>) -> Names {
        Names {
            columns: columns.clone(),
            roles: roles.clone(),
            sparse: false,
        }
    }

    /// The same for the rows of a table.
    #[must_use]
    pub fn of_table(&self, sparse: bool) -> Names {
        Names {
            sparse,
            ..self.clone()
        }
    }

    /// The name in `columns` that none of ours is.
    pub fn unknown_column(columns: &BTreeMap<String, String>) -> Option<String> {
        let unknown = columns
            .keys()
            .find(|name| !COLUMNS.contains(&name.as_str()))?;
        Some(format!(
            "`{unknown}` is no column that is read; known are {}",
            COLUMNS.join(", ")
        ))
    }

    /// What this data set calls a column or a field.
    pub fn theirs<'a>(&'a self, ours: &'a str) -> &'a str {
        self.columns.get(ours).map_or(ours, String::as_str)
    }

    /// A cell; none where it is missing or null.
    pub(super) fn get<'r>(&self, row: &'r Row, ours: &str) -> Option<&'r Value> {
        row.get(self.theirs(ours)).filter(|value| !value.is_null())
    }

    /// A text that is not empty; none where it is missing.
    pub(super) fn text<'r>(&self, row: &'r Row, ours: &str) -> Result<Option<&'r str>, String> {
        match self.get(row, ours) {
            None => Ok(None),
            Some(Value::String(text)) => Ok((!text.is_empty()).then_some(text)),
            Some(other) => Err(format!(
                "`{}` is {}, not a text",
                self.theirs(ours),
                kind(other)
            )),
        }
    }

    /// The role of this name.
    pub(super) fn speaker(&self, name: &str) -> Result<Speaker, String> {
        if let Some(role) = self.roles.get(name) {
            return Ok(Speaker::Is(*role));
        }
        let small = name.to_ascii_lowercase();
        let known = ROLES
            .iter()
            .find(|(known, _)| *known == small)
            .map(|(_, speaker)| *speaker);
        known.ok_or_else(|| {
            let name = name.escape_debug();
            format!(
                "has the role `{name}`, which nobody knows{}",
                crate::Hint(format_args!(
                    "say whose it is: `--set data.chats.roles.{name}=user`, \
                 or `system`, `assistant`, `tool`"
                ))
            )
        })
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A list, or the same as JSON inside of a string.
pub(super) fn as_list(value: &Value) -> Result<Cow<'_, [Value]>, String> {
    match value {
        Value::Array(items) => Ok(Cow::Borrowed(items)),
        Value::String(text) if text.trim_start().starts_with('[') => {
            match strict::value(text.as_bytes()) {
                Ok(Value::Array(items)) => Ok(Cow::Owned(items)),
                Ok(_) => Err("is no list".to_string()),
                Err(fault) => Err(format!(
                    "is a list inside of a string that is no JSON: {}",
                    fault.reason
                )),
            }
        }
        other => Err(format!("is {}, not a list", kind(other))),
    }
}

/// The same without fields that are null, at every depth.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        Value::Object(fields) => {
            let there = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                there
                    .map(|(name, value)| (name, without_nulls(value)))
                    .collect(),
            )
        }
        plain => plain,
    }
}

//! OpenAI's `messages`, and sharegpt's `conversations`.
//!
//! In: a row with a list of messages, or the text of one. Out: a conversation with its tools.
//! Example: `{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}], "tools": []}`.

use super::calls;
use super::conversation::{Conversation, Example, Turn};
use super::export::switches;
use super::names::{Names, kind};
use super::turn::turns;
use crate::message::Role;
use crate::source::rows::Row;
use crate::template::Fields;

/// `messages`, or `trajectory` of NVIDIA's sets.
pub(super) fn messages(row: &Row, names: &Names) -> Result<Example, String> {
    conversation(row, names, &["messages", "trajectory"])
}

/// `conversations`; a `system` column comes first.
pub(super) fn sharegpt(row: &Row, names: &Names) -> Result<Example, String> {
    conversation(row, names, &["conversations", "conversation"])
}

fn conversation(row: &Row, names: &Names, columns: &[&str]) -> Result<Example, String> {
    let found = columns
        .iter()
        .find_map(|column| Some((*column, names.get(row, column)?)));
    let (column, list) =
        found.ok_or_else(|| format!("it has no `{}`", names.theirs(columns[0])))?;
    let mut turns = turns(list, names, names.theirs(column))?;
    let told = turns.first().is_some_and(|turn| turn.role == Role::System);
    if let Some(system) = names.text(row, "system")?.filter(|_| !told) {
        turns.insert(0, Turn::new(Role::System, system));
    }
    with_tools(row, names, turns).map(Example::Conversation)
}

/// The turns with what the row gives the template besides.
pub(super) fn with_tools(
    row: &Row,
    names: &Names,
    turns: Vec<Turn>,
) -> Result<Conversation, String> {
    let tools = match names.get(row, "tools") {
        Some(tools) => calls::tools(tools, names.sparse)?,
        None => Vec::new(),
    };
    let switches = match names.get(row, "chat_template_kwargs") {
        None => Fields::new(),
        Some(value) => switches(value).ok_or_else(|| {
            format!(
                "`{}` is {}, not an object",
                names.theirs("chat_template_kwargs"),
                kind(value)
            )
        })?,
    };
    Ok(Conversation {
        turns,
        tools,
        switches,
    })
}

//! Alpaca: an instruction, what it is about, and the answer.
//!
//! In: `instruction`, `input`, `output`, and where they are there `system` and `history` (pairs of question and answer). Out:
//! a conversation whose last question is the instruction, an empty line, and the input.
//! Example: `{"instruction": "Add.", "input": "1, 2", "output": "3"}` asks `Add.\n\n1, 2`.

use super::conversation::{Conversation, Example, Turn};
use super::names::{Names, as_list};
use crate::message::Role;
use crate::source::rows::Row;

pub(super) fn read(row: &Row, names: &Names) -> Result<Example, String> {
    let missing = |column: &str| format!("it has no `{}`", names.theirs(column));
    let instruction = names
        .text(row, "instruction")?
        .ok_or_else(|| missing("instruction"))?;
    let output = match names.text(row, "output")? {
        None => names.text(row, "response")?,
        found => found,
    };
    let mut turns = Vec::new();
    turns.extend(
        names
            .text(row, "system")?
            .map(|system| Turn::new(Role::System, system)),
    );
    if let Some(history) = names.get(row, "history") {
        let pairs =
            as_list(history).map_err(|why| format!("`{}` {why}", names.theirs("history")))?;
        for pair in pairs.iter() {
            let text = |at: usize| pair.get(at).and_then(|text| text.as_str());
            let (Some(asked), Some(answered)) = (text(0), text(1)) else {
                return Err(format!(
                    "`{}` is no list of pairs of question and answer",
                    names.theirs("history")
                ));
            };
            turns.extend([
                Turn::new(Role::User, asked),
                Turn::new(Role::Assistant, answered),
            ]);
        }
    }
    let asked = match names.text(row, "input")? {
        Some(input) => format!("{instruction}\n\n{input}"),
        None => instruction.to_string(),
    };
    turns.push(Turn::new(Role::User, asked));
    turns.push(Turn::new(
        Role::Assistant,
        output.ok_or_else(|| missing("output"))?,
    ));
    Ok(Example::Conversation(Conversation {
        turns,
        ..Conversation::default()
    }))
}

//! A trajectory of mini-swe-agent.
//!
//! In: `messages[{role, content, extra}]` and `trajectory_format`. Out: a conversation, without the last message of the role
//! `exit`, which is a note of the program and no turn.

use super::conversation::{Conversation, Example};
use super::names::{Names, as_list};
use super::turn::turn;
use crate::source::rows::Row;

pub(super) fn read(row: &Row, names: &Names) -> Result<Example, String> {
    let messages = names.get(row, "messages").ok_or("it has no `messages`")?;
    let messages = as_list(messages).map_err(|why| format!("`messages` {why}"))?;
    let said = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| message["role"] != "exit");
    let turns =
        said.map(|(at, one)| turn(one, names).map_err(|why| format!("message {} {why}", at + 1)));
    Ok(Example::Conversation(Conversation {
        turns: turns.collect::<Result<_, _>>()?,
        ..Conversation::default()
    }))
}

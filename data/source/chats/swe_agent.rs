//! A trajectory of SWE-agent: its `history` is the conversation.
//!
//! In: `history[{role, content, agent, message_type, tool_calls?, tool_call_ids?, is_demo?}]`. Out: a conversation. What is a
//! demonstration is shown and not trained.
//! Example: a turn with `tool_call_ids: ["call_1"]` answers the call `call_1`.

use super::conversation::{Conversation, Example, Turn};
use super::names::{Names, as_list};
use super::turn::turn;
use crate::message::Role;
use crate::source::rows::Row;

pub(super) fn read(row: &Row, names: &Names) -> Result<Example, String> {
    let history = names.get(row, "history").ok_or("it has no `history`")?;
    let history = as_list(history).map_err(|why| format!("`history` {why}"))?;
    let mut turns: Vec<Turn> = Vec::new();
    for (at, one) in history.iter().enumerate() {
        let mut turn = turn(one, names).map_err(|why| format!("message {} {why}", at + 1))?;
        if one["is_demo"].as_bool() == Some(true) {
            turn.train = (turn.role == Role::Assistant).then_some(false);
        }
        if turn.call_id.is_none() && turn.role == Role::Tool {
            turn.call_id = one["tool_call_ids"][0].as_str().map(str::to_owned);
        }
        turns.push(turn);
    }
    Ok(Example::Conversation(Conversation {
        turns,
        ..Conversation::default()
    }))
}

//! Harbor's ATIF, a superset of what agents record.
//!
//! In: `schema_version`, `agent`, `steps[{source, message, reasoning_content, tool_calls, observation}]`. Out: a
//! conversation. A step of the agent is an answer, and each result of its `observation` a turn of a tool.
//! Example: `observation.results[{source_call_id: "c1", content: "ok"}]` answers the call `c1`.

use serde_json::Value;

use super::calls;
use super::content::content;
use super::conversation::{Conversation, Example, Turn};
use super::names::{Names, as_list};
use crate::message::Role;
use crate::source::rows::Row;

pub(super) fn read(row: &Row, names: &Names) -> Result<Example, String> {
    let mut conversation = Conversation::default();
    let agent = row.get("agent").unwrap_or(&Value::Null);
    if let Some(tools) = Some(&agent["tool_definitions"]).filter(|tools| !tools.is_null()) {
        conversation.tools = calls::tools(tools, names.sparse)?;
    }
    let steps = row.get("steps").ok_or("it has no `steps`")?;
    let steps = as_list(steps).map_err(|why| format!("`steps` {why}"))?;
    for (at, one) in steps.iter().enumerate() {
        step(one, names, &mut conversation.turns)
            .map_err(|why| format!("step {} {why}", at + 1))?;
    }
    Ok(Example::Conversation(conversation))
}

fn step(step: &Value, names: &Names, turns: &mut Vec<Turn>) -> Result<(), String> {
    let said = content(step.get("message"))?;
    let role = match step["source"].as_str() {
        Some("system") => Role::System,
        Some("user") => Role::User,
        Some("agent") => Role::Assistant,
        _ => return Err("has no `source` of `system`, `user` or `agent`".to_string()),
    };
    let mut turn = Turn::new(role, said.text);
    if role == Role::Assistant {
        turn.reasoning = step["reasoning_content"]
            .as_str()
            .map(str::to_owned)
            .or(said.thought);
        if let Some(called) = Some(&step["tool_calls"]).filter(|called| !called.is_null()) {
            turn.calls = calls::calls(called, names.sparse)?;
        }
    }
    // A copy of context that an earlier step holds is shown and not trained.
    if step["is_copied_context"].as_bool() == Some(true) && role == Role::Assistant {
        turn.train = Some(false);
    }
    turns.push(turn);
    let results = step["observation"]["results"].as_array();
    for result in results.into_iter().flatten() {
        let said = content(result.get("content"))?;
        let id = result["source_call_id"].as_str().map(str::to_owned);
        // What no call brought comes from the surroundings, as a person would say it.
        let role = if id.is_some() { Role::Tool } else { Role::User };
        turns.push(Turn {
            call_id: id,
            ..Turn::new(role, said.text)
        });
    }
    Ok(())
}

//! A line of OpenHands' `output.jsonl`: its `history` is a list of events.
//!
//! In: events with a `source` and an `action` or an `observation`. Out: a conversation: what was told to the agent, each
//! answer of the model as the server gave it (`tool_call_metadata.model_response`), and what each call brought.
//! Example: an `action: "run"` and the `observation: "run"` behind it are a call and its answer.

use std::collections::HashSet;

use serde_json::Value;

use super::calls;
use super::conversation::{Conversation, Example, Turn};
use super::names::{Names, as_list};
use super::turn::turn;
use crate::message::Role;
use crate::source::rows::Row;

/// Notes of the program, which no model saw or wrote.
const NOTES: [&str; 6] = [
    "agent_state_changed",
    "change_agent_state",
    "null",
    "recall",
    "condensation",
    "loop_recovery",
];

pub(super) fn read(row: &Row, names: &Names) -> Result<Example, String> {
    let events = names.get(row, "history").ok_or("it has no `history`")?;
    let events = as_list(events).map_err(|why| format!("`history` {why}"))?;
    let mut conversation = Conversation::default();
    let mut answers: HashSet<String> = HashSet::new();
    for (at, event) in events.iter().enumerate() {
        let added = add(event, names, &mut conversation, &mut answers);
        added.map_err(|why| format!("event {} {why}", at + 1))?;
    }
    Ok(Example::Conversation(conversation))
}

fn add(
    event: &Value,
    names: &Names,
    to: &mut Conversation,
    answers: &mut HashSet<String>,
) -> Result<(), String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let content = || {
        text(&event["args"]["content"])
            .or(text(&event["content"]))
            .or(text(&event["message"]))
    };
    let kind = event["action"]
        .as_str()
        .or(event["observation"].as_str())
        .unwrap_or("null");
    let about = &event["tool_call_metadata"];
    if NOTES.contains(&kind) {
        return Ok(());
    }
    if event["action"].is_string() {
        match (kind, event["source"].as_str()) {
            ("system", _) => {
                to.turns
                    .push(Turn::new(Role::System, content().ok_or("has no content")?));
                if let Some(tools) = Some(&event["args"]["tools"]).filter(|tools| !tools.is_null())
                {
                    to.tools = calls::tools(tools, names.sparse)?;
                }
            }
            ("message", Some("user")) => to
                .turns
                .push(Turn::new(Role::User, content().ok_or("has no content")?)),
            (_, Some("agent")) if !about.is_null() => {
                // Several calls of one answer are several events.
                let response = &about["model_response"];
                let id = response["id"].as_str().unwrap_or_default();
                if id.is_empty() || answers.insert(id.to_owned()) {
                    let message = &response["choices"][0]["message"];
                    to.turns.push(
                        turn(message, names).map_err(|why| format!("has an answer that {why}"))?,
                    );
                }
            }
            ("message", _) => to.turns.push(Turn::new(
                Role::Assistant,
                content().ok_or("has no content")?,
            )),
            ("finish", _) if content().is_some_and(|text| !text.trim().is_empty()) => {
                to.turns
                    .push(Turn::new(Role::Assistant, content().unwrap_or_default()));
            }
            (action, source) => {
                return Err(format!(
                    "is the action `{}` of `{}` without `tool_call_metadata`, so what the model wrote is not known",
                    action.escape_debug(),
                    source.unwrap_or("nobody").escape_debug()
                ));
            }
        }
        return Ok(());
    }
    let said = text(&event["content"])
        .or(text(&event["message"]))
        .ok_or("has no content")?;
    let turn = match about["tool_call_id"].as_str() {
        Some(id) => Turn {
            call_id: Some(id.to_owned()),
            name: text(&about["function_name"]),
            ..Turn::new(Role::Tool, said)
        },
        None => Turn::new(Role::User, said),
    };
    to.turns.push(turn);
    Ok(())
}

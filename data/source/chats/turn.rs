//! One message, in the fields of OpenAI or of sharegpt.
//!
//! In: `{"role": …, "content": …}` or `{"from": …, "value": …}`, with whatever stands beside. Out: a [`Turn`].
//! Example: `{"from": "gpt", "value": "ho", "weight": 0}` is an answer that is not trained.

use serde_json::Value;

use super::calls;
use super::content::content;
use super::conversation::{Call, Turn};
use super::names::{Names, Speaker, as_list, kind};
use crate::message::Role;
use crate::source::rows::Row;

/// Names of what was thought, besides ours.
const THOUGHTS: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];

/// Reads a list of messages.
pub(super) fn turns(value: &Value, names: &Names, column: &str) -> Result<Vec<Turn>, String> {
    let list = as_list(value).map_err(|why| format!("`{column}` {why}"))?;
    let named = |(at, one): (usize, &Value)| {
        turn(one, names).map_err(|why| format!("message {} {why}", at + 1))
    };
    list.iter().enumerate().map(named).collect()
}

/// Reads one message.
pub(super) fn turn(value: &Value, names: &Names) -> Result<Turn, String> {
    let fields = value
        .as_object()
        .ok_or_else(|| format!("is {}, not an object", kind(value)))?;
    let field = |ours: &str, other: &str| names.get(fields, ours).or_else(|| fields.get(other));
    let role = field("role", "from").ok_or_else(|| {
        let there: Vec<&str> = fields.keys().map(String::as_str).collect();
        format!(
            "has no `{}`; it has {}",
            names.theirs("role"),
            there.join(", ")
        )
    })?;
    let role = role
        .as_str()
        .ok_or_else(|| format!("has a role that is {}", kind(role)))?;
    let said = content(field("content", "value"))?;
    let text = |name: &str| {
        names
            .get(fields, name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let mut turn = match names.speaker(role)? {
        Speaker::Is(role) => Turn::new(role, said.text),
        Speaker::Calls => Turn {
            calls: called(&said.text, names)?,
            ..Turn::new(Role::Assistant, "")
        },
    };
    let thought = THOUGHTS
        .iter()
        .find_map(|name| names.get(fields, name)?.as_str())
        .map(str::to_owned);
    turn.reasoning = thought
        .or(said.thought)
        .filter(|thought| !thought.is_empty());
    turn.name = text("name");
    turn.call_id = text("tool_call_id").filter(|_| turn.role == Role::Tool);
    if let Some(value) = names.get(fields, "tool_calls") {
        turn.calls = calls::calls(value, names.sparse)?;
    } else if let Some(value) = names.get(fields, "function_call") {
        turn.calls = vec![calls::call(value, names.sparse)?];
    }
    // What OpenAI's models say when they refuse.
    if let Some(refusal) = text("refusal").filter(|_| turn.content.is_empty()) {
        turn.content = refusal;
    }
    turn.train = train(fields, names)?;
    Ok(turn)
}

/// The calls that sharegpt writes as the text of a turn.
fn called(text: &str, names: &Names) -> Result<Vec<Call>, String> {
    match text.trim_start().starts_with('[') {
        true => calls::calls(&Value::from(text), names.sparse),
        false => Ok(vec![calls::call(&Value::from(text), names.sparse)?]),
    }
}

/// Whether a message says that it is trained: `train`, or `weight` as OpenAI has it.
fn train(fields: &Row, names: &Names) -> Result<Option<bool>, String> {
    let train = match names.get(fields, "train") {
        None => None,
        Some(Value::Bool(train)) => Some(*train),
        Some(other) => {
            return Err(format!(
                "has `train` that is {}, not true or false",
                kind(other)
            ));
        }
    };
    let weight = match names.get(fields, "weight") {
        None => None,
        Some(value) => match value.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            _ => return Err(format!("has the weight {value}; only 0 and 1 are possible")),
        },
    };
    match (train, weight) {
        (Some(train), Some(weight)) if train != weight => {
            Err("has `train` and `weight` that contradict".to_string())
        }
        (train, weight) => Ok(train.or(weight)),
    }
}

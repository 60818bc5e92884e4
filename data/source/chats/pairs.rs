//! A prompt and what follows it; and pairs of which one side is preferred.
//!
//! In: `prompt` and `completion`, or `prompt`, `chosen` and `rejected`: texts, or lists of messages. Out: the prompt and
//! the completion, or the chosen side.
//! Example: `{"prompt": "The sky is", "completion": " blue."}` learns ` blue.`.

use serde_json::Value;

use super::conversation::{Example, Turn};
use super::messages::with_tools;
use super::names::{Names, as_list};
use super::turn::turns;
use crate::message::Role;
use crate::source::rows::Row;

/// One side of a pair.
enum Side {
    Text(String),
    Turns(Vec<Turn>),
}

fn side(row: &Row, names: &Names, column: &str) -> Result<Option<Side>, String> {
    let name = names.theirs(column);
    let Some(value) = names.get(row, column) else {
        return Ok(None);
    };
    match value {
        Value::String(text)
            if as_list(value)
                .is_ok_and(|list| list.iter().all(Value::is_object) && !list.is_empty()) =>
        {
            // A table may hold its lists as texts; one that is no list of messages is a text.
            let turns = turns(value, names, name);
            Ok(Some(
                turns.map_or_else(|_| Side::Text(text.clone()), Side::Turns),
            ))
        }
        Value::String(text) => Ok(Some(Side::Text(text.clone()))),
        // One message alone.
        Value::Object(_) => Ok(Some(Side::Turns(turns(
            &Value::Array(vec![value.clone()]),
            names,
            name,
        )?))),
        other => Ok(Some(Side::Turns(turns(other, names, name)?))),
    }
}

/// `prompt` and `completion`: of messages, the completion is learned and nothing of the prompt.
pub(super) fn prompt_completion(row: &Row, names: &Names) -> Result<Example, String> {
    let prompt = side(row, names, "prompt")?
        .ok_or_else(|| format!("it has no `{}`", names.theirs("prompt")))?;
    let completion = match side(row, names, "completion")? {
        None => side(row, names, "response")?,
        found => found,
    };
    let completion =
        completion.ok_or_else(|| format!("it has no `{}`", names.theirs("completion")))?;
    pair(row, names, Some(prompt), completion)
}

/// The chosen side of a pair; the rejected one is not learned.
pub(super) fn preference(row: &Row, names: &Names) -> Result<Example, String> {
    let chosen = side(row, names, "chosen")?
        .ok_or_else(|| format!("it has no `{}`", names.theirs("chosen")))?;
    match (side(row, names, "prompt")?, chosen) {
        // Both sides hold the whole conversation, and `prompt` repeats its beginning.
        (_, Side::Turns(turns)) if turns.iter().any(|turn| turn.role == Role::User) => {
            Ok(Example::Conversation(with_tools(row, names, turns)?))
        }
        (None, Side::Turns(turns)) => Ok(Example::Conversation(with_tools(row, names, turns)?)),
        (None, Side::Text(text)) => match dialogue(&text) {
            Some(turns) => Ok(Example::Conversation(with_tools(row, names, turns)?)),
            None => Ok(Example::Text(text)),
        },
        (prompt, chosen) => pair(row, names, prompt, chosen),
    }
}

fn pair(
    row: &Row,
    names: &Names,
    prompt: Option<Side>,
    completion: Side,
) -> Result<Example, String> {
    let (mut asked, answered) = match (prompt, completion) {
        (Some(Side::Text(prompt)), Side::Text(completion)) => {
            return Ok(Example::Continuation { prompt, completion });
        }
        (Some(Side::Text(prompt)), Side::Turns(answered)) => {
            (vec![Turn::new(Role::User, prompt)], answered)
        }
        (Some(Side::Turns(asked)), Side::Turns(answered)) => (asked, answered),
        (Some(Side::Turns(asked)), Side::Text(text)) => {
            (asked, vec![Turn::new(Role::Assistant, text)])
        }
        (None, Side::Turns(answered)) => (Vec::new(), answered),
        (None, Side::Text(text)) => return Ok(Example::Text(text)),
    };
    // An answer in the prompt is an example there, and not what is to be learned.
    for turn in asked.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        turn.train.get_or_insert(false);
    }
    asked.extend(answered);
    Ok(Example::Conversation(with_tools(row, names, asked)?))
}

/// A conversation that is one text of `Human:` and `Assistant:`, as Anthropic's HH-RLHF has it; none where it is none.
fn dialogue(text: &str) -> Option<Vec<Turn>> {
    const MARKS: [(&str, Role); 2] = [
        ("\n\nHuman: ", Role::User),
        ("\n\nAssistant: ", Role::Assistant),
    ];
    let mut turns = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (mark, role) = MARKS.into_iter().find(|(mark, _)| rest.starts_with(mark))?;
        rest = &rest[mark.len()..];
        let end = MARKS
            .iter()
            .filter_map(|(mark, _)| rest.find(mark))
            .min()
            .unwrap_or(rest.len());
        turns.push(Turn::new(role, &rest[..end]));
        rest = &rest[end..];
    }
    (!turns.is_empty()).then_some(turns)
}

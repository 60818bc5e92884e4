//! What a template is filled in with: turns as `transformers` takes them, and whatever else the template asks for.
//!
//! A conversation for training has a role and a text in every turn. A client may also offer tools, and its turns may
//! call them: those are JSON of any form, and the template says what it makes of them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::message::Message;

/// A conversation as a client has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dialog {
    /// The turns: objects with a `role`, most with a `content`, some with `tool_calls` or a `tool_call_id`.
    pub messages: Vec<Value>,
    /// What else the template is filled in with: `tools`, or a switch such as `enable_thinking`.
    pub given: Map<String, Value>,
}

impl From<&[Message]> for Dialog {
    fn from(messages: &[Message]) -> Self {
        let turn = |message: &Message| json!({ "role": message.role, "content": message.content });
        Dialog { messages: messages.iter().map(turn).collect(), given: Map::new() }
    }
}

impl Dialog {
    /// The turns as roles and texts, or the number of the first that is more.
    pub(super) fn plain(&self) -> Result<Vec<Message>, usize> {
        let plain = |(at, turn): (usize, &Value)| Message::deserialize(turn).map_err(|_| at + 1);
        self.messages.iter().enumerate().map(plain).collect()
    }

    /// All of it.
    pub(super) fn whole(&self) -> Turns<'_> {
        Turns { messages: &self.messages, given: &self.given }
    }

    /// Whether any text, or the name of a field, is so. The names of roles are the template's own words.
    pub(super) fn any_text(&self, mut is: impl FnMut(&str) -> bool) -> bool {
        let mut found = false;
        // A look costs no copy: the texts are only lent.
        self.messages.iter().for_each(|turn| look_at_turn(turn, &mut |text| found |= is(text)));
        self.given.iter().for_each(|(_, value)| look_at(value, &mut |text| found |= is(text)));
        found
    }

    /// Changes every text and every name of a field that [`Dialog::any_text`] looks at.
    pub(super) fn change_texts(&mut self, change: &mut impl FnMut(&str) -> String) {
        for turn in &mut self.messages {
            let Value::Object(fields) = turn else { continue };
            fields.iter_mut().filter(|(name, _)| *name != "role").for_each(|(_, value)| change_in(value, change));
        }
        self.given.iter_mut().for_each(|(_, value)| change_in(value, change));
    }
}

/// Turns from the first on, and what goes with them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Turns<'a> {
    pub(super) messages: &'a [Value],
    pub(super) given: &'a Map<String, Value>,
}

impl<'a> Turns<'a> {
    /// The first `count` turns.
    pub(super) fn first(self, count: usize) -> Turns<'a> {
        Turns { messages: &self.messages[..count], ..self }
    }

    /// Whether the assistant wrote turn `at`.
    pub(super) fn is_answer(self, at: usize) -> bool {
        self.messages[at].get("role").is_some_and(|role| role == "assistant")
    }
}

fn look_at_turn(turn: &Value, look: &mut impl FnMut(&str)) {
    let Value::Object(fields) = turn else { return };
    fields.iter().filter(|(name, _)| *name != "role").for_each(|(_, value)| look_at(value, look));
}

fn look_at(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| look_at(item, look)),
        Value::Object(fields) => {
            for (name, value) in fields {
                look(name);
                look_at(value, look);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn change_in(value: &mut Value, change: &mut impl FnMut(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| change_in(item, change)),
        Value::Object(fields) => {
            let old = std::mem::take(fields);
            for (name, mut value) in old {
                change_in(&mut value, change);
                fields.insert(change(&name), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

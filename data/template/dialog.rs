//! What a template is filled in with: turns as `transformers` takes them, and whatever else the template asks for.
//!
//! A conversation for training has a role and a text in every turn. A client may also offer tools, and its turns may
//! call them: those are JSON of any form, and the template says what it makes of them.

use serde::{Deserialize, Serialize};

use super::json::{Fields, Json};
use crate::message::{Message, Role};

/// The field of a turn that says whose it is.
const ROLE: &str = "role";

/// A conversation as a client has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dialog {
    /// The turns, all with a `role`, most with a `content`, some with `tool_calls` or a `tool_call_id`.
    pub messages: Vec<Fields>,
    /// What else the template is filled in with: `tools`, or a switch such as `enable_thinking`.
    pub given: Fields,
}

impl From<&[Message]> for Dialog {
    fn from(messages: &[Message]) -> Self {
        let turn = |message: &Message| {
            let fields = [(ROLE, message.role.name()), ("content", &message.content)];
            fields
                .map(|(name, text)| (name.to_string(), Json::text(text)))
                .into_iter()
                .collect()
        };
        Dialog {
            messages: messages.iter().map(turn).collect(),
            given: Fields::new(),
        }
    }
}

impl Dialog {
    /// The turns as roles and texts; none where one calls a tool or is one.
    pub(super) fn plain(&self) -> Option<Vec<Message>> {
        let role = |name: &str| {
            [Role::System, Role::User, Role::Assistant]
                .into_iter()
                .find(|role| role.name() == name)
        };
        let plain = |turn: &Fields| {
            let text = |name| turn.get(name)?.as_str();
            (!turn.contains_key("tool_calls"))
                .then_some(Message::new(role(text(ROLE)?)?, text("content")?))
        };
        self.messages.iter().map(plain).collect()
    }

    /// All of it.
    pub(super) fn whole(&self) -> Turns<'_> {
        Turns {
            messages: &self.messages,
            given: &self.given,
        }
    }

    /// Whether any text, or name of a field, is so. The names of roles are the template's own words.
    pub(super) fn any_text(&self, mut is: impl FnMut(&str) -> bool) -> bool {
        let turns = self
            .messages
            .iter()
            .flatten()
            .filter(|(name, _)| *name != ROLE);
        turns
            .chain(&self.given)
            .any(|(_, value)| value.any_text(&mut is))
    }

    /// Changes every text and every name of a field that [`Dialog::any_text`] looks at.
    pub(super) fn change_texts(&mut self, mut change: impl FnMut(&str) -> String) {
        let turns = self
            .messages
            .iter_mut()
            .flatten()
            .filter(|(name, _)| *name != ROLE);
        for (_, value) in turns.chain(&mut self.given) {
            *value = std::mem::take(value).with_texts(&mut change);
        }
    }
}

/// Turns from the first on, and what goes with them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Turns<'a> {
    pub(super) messages: &'a [Fields],
    pub(super) given: &'a Fields,
}

impl<'a> Turns<'a> {
    /// The turns with every text as a list of one part, as processors of models that see images pass it.
    pub(super) fn in_parts(self) -> Vec<Fields> {
        let mut messages = self.messages.to_vec();
        for content in messages
            .iter_mut()
            .filter_map(|turn| turn.get_mut("content"))
        {
            if let Json::Text(text) = content {
                let part = [("type", "text"), ("text", text.as_str())];
                let part = part.map(|(name, text)| (name.to_string(), Json::text(text)));
                *content = Json::List(vec![Json::Object(part.into_iter().collect())]);
            }
        }
        messages
    }

    /// The first `count` turns.
    pub(super) fn first(self, count: usize) -> Turns<'a> {
        Turns {
            messages: &self.messages[..count],
            ..self
        }
    }

    /// Whether the assistant wrote turn `at`.
    pub(super) fn is_answer(self, at: usize) -> bool {
        self.messages[at].get(ROLE).and_then(Json::as_str) == Some(Role::Assistant.name())
    }
}

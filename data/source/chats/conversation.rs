//! What all forms become: turns of roles, with tools that may be called; or a text.
//!
//! In: turns as their readers made them. Out: the [`Dialog`] that chat templates are filled in with.
//! Example: a call whose arguments are the text `{"path": "."}` is handed to the template as an object.

use std::collections::HashSet;

use serde::Serialize;

use crate::message::Role;
use crate::source::rows::strict;
use crate::template::{Dialog, Fields, Json};

/// A row, whatever form it had.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Example {
    /// Turns that a chat template writes down.
    Conversation(Conversation),
    /// A text that goes on: the second part is learned.
    Continuation {
        /// What is given.
        prompt: String,
        /// What follows.
        completion: String,
    },
    /// A text that is learned as it is.
    Text(String),
}

/// Turns, and what the template is given besides.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Conversation {
    /// In their order.
    pub turns: Vec<Turn>,
    /// Tools that may be called, as OpenAI describes them.
    pub tools: Vec<Json>,
    /// Switches of the chat template, such as `enable_thinking`.
    pub switches: Fields,
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said; may be empty beside calls.
    pub content: String,
    /// What was thought before.
    pub reasoning: Option<String>,
    /// What is called.
    pub calls: Vec<Call>,
    /// Which call a tool answers.
    pub call_id: Option<String>,
    /// Who speaks, or which tool.
    pub name: Option<String>,
    /// Whether the row says that it is trained.
    pub train: Option<bool>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// By which an answer names it.
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// An object, or the text of one, as the row has it.
    pub arguments: Json,
}

impl Turn {
    /// A turn of `role` that says `content`.
    pub fn new(role: Role, content: impl Into<String>) -> Turn {
        Turn {
            role,
            content: content.into(),
            reasoning: None,
            calls: Vec::new(),
            call_id: None,
            name: None,
            train: None,
        }
    }

    fn fields(&self) -> Result<Fields, String> {
        let texts = [
            ("role", Some(self.role.name())),
            ("content", Some(self.content.as_str())),
            ("name", self.name.as_deref()),
            ("tool_call_id", self.call_id.as_deref()),
            ("reasoning_content", self.reasoning.as_deref()),
        ];
        let there = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_string(), Json::text(text?))));
        let mut fields: Fields = there.collect();
        if !self.calls.is_empty() {
            let calls = self
                .calls
                .iter()
                .map(Call::for_template)
                .collect::<Result<_, _>>()?;
            fields.insert("tool_calls".to_string(), Json::List(calls));
        }
        Ok(fields)
    }
}

impl Call {
    /// With arguments as an object, as templates take them.
    fn for_template(&self) -> Result<Json, String> {
        let object = match &self.arguments {
            Json::Object(_) => self.arguments.clone(),
            Json::Null => Json::Object(Fields::new()),
            Json::Text(text) if text.trim().is_empty() => Json::Object(Fields::new()),
            Json::Text(text) => match strict::value(text.as_bytes()) {
                Ok(value) => Json::from(value),
                Err(fault) => {
                    return Err(format!(
                        "calls `{}` with arguments that are no JSON: {}",
                        self.name, fault.reason
                    ));
                }
            },
            other => other.clone(),
        };
        if object.as_object().is_none() {
            return Err(format!(
                "calls `{}` with arguments that are no object",
                self.name
            ));
        }
        Ok(self.written(object))
    }

    /// As OpenAI writes it, with these arguments.
    pub(super) fn written(&self, arguments: Json) -> Json {
        let function = [("name", Json::text(&self.name)), ("arguments", arguments)];
        let function = function.map(|(name, value)| (name.to_string(), value));
        let mut call = Fields::new();
        if let Some(id) = &self.id {
            call.insert("id".to_string(), Json::text(id));
        }
        call.insert("type".to_string(), Json::text("function"));
        call.insert(
            "function".to_string(),
            Json::Object(function.into_iter().collect()),
        );
        Json::Object(call)
    }
}

impl Conversation {
    /// What templates are filled in with.
    ///
    /// # Errors
    ///
    /// When the arguments of a call are no object.
    pub fn dialog(&self) -> Result<Dialog, String> {
        let fields = |(at, turn): (usize, &Turn)| {
            turn.fields()
                .map_err(|why| format!("message {} {why}", at + 1))
        };
        let messages = self
            .turns
            .iter()
            .enumerate()
            .map(fields)
            .collect::<Result<_, _>>()?;
        let mut given = self.switches.clone();
        if !self.tools.is_empty() {
            given.insert("tools".to_string(), Json::List(self.tools.clone()));
        }
        Ok(Dialog { messages, given })
    }

    /// Refuses what cannot be learned from: nothing said, or answers to calls that nobody made.
    fn check(&self) -> Result<(), String> {
        if self.turns.is_empty() {
            return Err("it has no message".to_string());
        }
        let mut called: HashSet<&str> = HashSet::new();
        for (at, turn) in self.turns.iter().enumerate() {
            let number = at + 1;
            called.extend(turn.calls.iter().filter_map(|call| call.id.as_deref()));
            if let Some(id) = turn
                .call_id
                .as_deref()
                .filter(|id| turn.role == Role::Tool && !called.contains(id))
            {
                let id = id.escape_debug();
                return Err(format!(
                    "message {number} answers the call `{id}`, which no message before it makes"
                ));
            }
            if turn.role != Role::Assistant && !turn.calls.is_empty() {
                return Err(format!(
                    "message {number} of the {} calls a tool; only the assistant can",
                    turn.role.name()
                ));
            }
            if turn.role != Role::Assistant && turn.train == Some(true) {
                return Err(format!(
                    "message {number} of the {} is to be trained; only messages of the assistant can be picked",
                    turn.role.name()
                ));
            }
            if turn.role == Role::Assistant
                && turn.calls.is_empty()
                && turn.content.trim().is_empty()
            {
                return Err(format!(
                    "message {number} of the assistant is empty: it says nothing and calls nothing"
                ));
            }
        }
        if !self.turns.iter().any(|turn| turn.role == Role::Assistant) {
            return Err(
                "no message is from the assistant, so nothing would be learned".to_string(),
            );
        }
        Ok(())
    }
}

impl Example {
    /// Refuses what cannot be learned from.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Example::Conversation(conversation) => conversation.check(),
            Example::Continuation { completion, .. } if completion.is_empty() => {
                Err("its completion is empty, so nothing would be learned".to_string())
            }
            Example::Text(text) if text.is_empty() => Err("its text is empty".to_string()),
            Example::Continuation { .. } | Example::Text(_) => Ok(()),
        }
    }

    /// The same content has the same hash, whatever form and file it came from.
    pub fn hash(&self) -> u128 {
        let json = serde_json::to_vec(self).expect("an example is texts and JSON");
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&blake3::hash(&json).as_bytes()[..16]);
        u128::from_le_bytes(bytes)
    }
}

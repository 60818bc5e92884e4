//! Calls of tools in what a model writes.
//!
//! In: the chat template of a model. Out: the form in which it writes calls, a [`ToolCallParser`] that reads them, and
//! the calls as OpenAI writes them. The form is the one that reads back the call that the template itself writes.
//! Example: of `Let me look.\n<tool_call>\n{"name": "ls", "arguments": {"path": "."}}\n</tool_call>` the text is
//! `Let me look.`, and `ls` is called with `{"path":"."}`.

mod parser;
mod probe;
mod scan;

use crate::template::{Fields, Json};
use serde_json::{Map, Value, json};

pub use parser::ToolCallParser;
pub use probe::{Syntax, syntax_of};

/// What may stand around a call; in some tokenizers these are markers.
pub const MARKERS: [&str; 5] = [
    parser::TAGS[0],
    parser::TAGS[1],
    parser::TOOL_CALLS,
    parser::ARGS,
    parser::PYTHON,
];

/// Letters and digits of the name of a call; Mistral's templates want just as many.
const ID_LETTERS: usize = 9;

/// How a model writes that it calls a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Objects between `<tool_call>` and `</tool_call>`: Hermes, Qwen2.5, Qwen3.
    Hermes,
    /// `[TOOL_CALLS][{…}, …]`, or `[TOOL_CALLS]name[ARGS]{…}` for each: Mistral.
    Mistral,
    /// Nothing but an object, or many with `;` between them: Llama 3.
    Llama,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// JSON, as text.
    pub arguments: String,
}

impl Call {
    /// As OpenAI writes it. `number` makes its name.
    pub fn to_json(&self, number: u64) -> Map<String, Value> {
        let function = json!({ "name": self.name, "arguments": self.arguments });
        let fields = [
            ("id", json!(id(number))),
            ("type", json!("function")),
            ("function", function),
        ];
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// None where it is no call, or one whose arguments are no object: those could not be told to the model again.
    fn from_object(object: &Fields) -> Option<Call> {
        let name = object.get("name")?.as_str()?.to_owned();
        let arguments = match object.get("arguments").or(object.get("parameters")) {
            None | Some(Json::Null) => "{}".to_owned(),
            Some(Json::Text(text)) => serde_json::from_str::<Fields>(text)
                .is_ok()
                .then(|| text.clone())?,
            Some(arguments) => serde_json::to_string(arguments.as_object()?).ok()?,
        };
        Some(Call { name, arguments })
    }
}

fn id(mut number: u64) -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut letter = || {
        let letter = LETTERS[(number % LETTERS.len() as u64) as usize];
        number /= LETTERS.len() as u64;
        char::from(letter)
    };
    (0..ID_LETTERS).map(|_| letter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_call_has_nine_letters_and_digits() {
        let ids = [0, 1, u64::MAX].map(id);
        assert!(
            ids.iter()
                .all(|id| id.len() == 9 && id.chars().all(|letter| letter.is_ascii_alphanumeric()))
        );
        assert_ne!(ids[0], ids[1]);
    }
}

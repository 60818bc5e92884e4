//! JSON whose fields stay in the order in which they were written: a template may write a tool as the client did.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Number;

/// Fields by name, in their order.
pub type Fields = IndexMap<String, Json>;

/// A value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Json {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// Values.
    List(Vec<Json>),
    /// Values with names.
    Object(Fields),
}

impl Json {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Json::Text(text.into())
    }

    /// The field `name` of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.as_object()?.get(name)
    }

    /// The letters of a text.
    pub fn as_str(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    /// The fields of an object.
    pub fn as_object(&self) -> Option<&Fields> {
        if let Json::Object(fields) = self { Some(fields) } else { None }
    }

    /// Whether any text, or name of a field, is so.
    pub(super) fn any_text(&self, is: &mut impl FnMut(&str) -> bool) -> bool {
        match self {
            Json::Text(text) => is(text),
            Json::List(items) => items.iter().any(|item| item.any_text(is)),
            Json::Object(fields) => fields.iter().any(|(name, value)| is(name) || value.any_text(is)),
            Json::Null | Json::Bool(_) | Json::Number(_) => false,
        }
    }

    /// The same with every text and every name of a field changed.
    pub(super) fn with_texts(self, change: &mut impl FnMut(&str) -> String) -> Json {
        match self {
            Json::Text(text) => Json::Text(change(&text)),
            Json::List(items) => Json::List(items.into_iter().map(|item| item.with_texts(change)).collect()),
            Json::Object(fields) => {
                let changed = fields.into_iter().map(|(name, value)| (change(&name), value.with_texts(change)));
                Json::Object(changed.collect())
            }
            plain => plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_as_it_was() {
        let text = r#"{"type":"function","b":[1,1.5,-2,true,null,"é"],"a":{"z":{},"y":[]},"n":18446744073709551615}"#;
        let json: Json = serde_json::from_str(text).expect("JSON");
        assert_eq!(serde_json::to_string(&json).expect("JSON"), text);
        assert_eq!(json.get("type").and_then(Json::as_str), Some("function"));
    }
}

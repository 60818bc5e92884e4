//! JSON whose fields stay in the order in which they were written: a template may write a tool as the client did.

use std::fmt;

use indexmap::IndexMap;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Fields by name, in their order.
pub type Fields = IndexMap<String, Json>;

/// A value.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
        if let Json::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The fields of an object.
    pub fn as_object(&self) -> Option<&Fields> {
        if let Json::Object(fields) = self {
            Some(fields)
        } else {
            None
        }
    }

    /// The same with the fields of every object in the order of their names.
    pub(super) fn sorted(self) -> Json {
        match self {
            Json::List(items) => Json::List(items.into_iter().map(Json::sorted).collect()),
            Json::Object(fields) => {
                let mut fields: Fields = fields
                    .into_iter()
                    .map(|(name, value)| (name, value.sorted()))
                    .collect();
                fields.sort_keys();
                Json::Object(fields)
            }
            plain => plain,
        }
    }

    /// The fields of an object, to be changed.
    pub(super) fn as_object_mut(&mut self) -> Option<&mut Fields> {
        if let Json::Object(fields) = self {
            Some(fields)
        } else {
            None
        }
    }

    /// Whether any text, or name of a field, is so.
    pub(super) fn any_text(&self, is: &mut impl FnMut(&str) -> bool) -> bool {
        match self {
            Json::Text(text) => is(text),
            Json::List(items) => items.iter().any(|item| item.any_text(is)),
            Json::Object(fields) => fields
                .iter()
                .any(|(name, value)| is(name) || value.any_text(is)),
            Json::Null | Json::Bool(_) | Json::Number(_) => false,
        }
    }

    /// The same with every text and every name of a field changed.
    pub(super) fn with_texts(self, change: &mut impl FnMut(&str) -> String) -> Json {
        match self {
            Json::Text(text) => Json::Text(change(&text)),
            Json::List(items) => Json::List(
                items
                    .into_iter()
                    .map(|item| item.with_texts(change))
                    .collect(),
            ),
            Json::Object(fields) => {
                let changed = fields
                    .into_iter()
                    .map(|(name, value)| (change(&name), value.with_texts(change)));
                Json::Object(changed.collect())
            }
            plain => plain,
        }
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Json::Null,
            serde_json::Value::Bool(flag) => Json::Bool(flag),
            serde_json::Value::Number(number) => Json::Number(number),
            serde_json::Value::String(text) => Json::Text(text),
            serde_json::Value::Array(items) => {
                Json::List(items.into_iter().map(Json::from).collect())
            }
            serde_json::Value::Object(fields) => Json::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (name, Json::from(value)))
                    .collect(),
            ),
        }
    }
}

// By hand: what is derived copies the rest at every level, and levels may be deep.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        // As everywhere in JSON, what is no number is nothing.
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::text(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Json, A::Error> {
        let mut fields = Fields::new();
        while let Some((name, value)) = pairs.next_entry()? {
            fields.insert(name, value);
        }
        Ok(Json::Object(fields))
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

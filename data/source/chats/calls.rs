//! Calls of tools, and the tools that may be called, in the ways that data sets write them.
//!
//! In: `tool_calls` as objects or as texts of JSON. Out: name, arguments and id of each call.
//! Example: `{"function": {"name": "ls", "arguments": "{}"}}` and `{"name": "ls", "arguments": {}}` call the same.

use serde_json::Value;

use super::conversation::Call;
use super::names::{as_list, kind, without_nulls};
use crate::source::rows::{Row, strict};
use crate::template::Json;

/// The form of a call, for errors.
const FORM: &str = r#"`{"id": …, "function": {"name": …, "arguments": {…}}}`"#;

/// The calls of a message.
pub(super) fn calls(value: &Value, sparse: bool) -> Result<Vec<Call>, String> {
    // Some sets write an empty text where nothing is called.
    if value.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Ok(Vec::new());
    }
    let list = as_list(value)
        .map_err(|why| format!("has `tool_calls` that {why}").replace("that is", "that are"))?;
    list.iter().map(|one| call(one, sparse)).collect()
}

/// One call, or the text of one.
pub(super) fn call(value: &Value, sparse: bool) -> Result<Call, String> {
    let read;
    let fields = match value {
        Value::Object(fields) => fields,
        Value::String(text) => {
            let parsed = strict::value(text.as_bytes());
            read = parsed.map_err(|fault| {
                format!("has a call that is a text and no JSON: {}", fault.reason)
            })?;
            read.as_object()
                .ok_or_else(|| format!("has a call that is not of the form {FORM}"))?
        }
        other => {
            return Err(format!(
                "has a call that is {}, not of the form {FORM}",
                kind(other)
            ));
        }
    };
    let inner = fields
        .get("function")
        .and_then(Value::as_object)
        .unwrap_or(fields);
    let name = ["name", "function_name"]
        .iter()
        .find_map(|name| inner.get(*name)?.as_str());
    let name = name.filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| format!("has a call without a name; it should be of the form {FORM}"))?;
    let arguments = ["arguments", "parameters"]
        .iter()
        .find_map(|name| inner.get(*name))
        .cloned()
        .unwrap_or_default();
    let arguments = if sparse {
        without_nulls(arguments)
    } else {
        arguments
    };
    if !matches!(arguments, Value::Null | Value::String(_) | Value::Object(_)) {
        return Err(format!(
            "calls `{name}` with arguments that are {}, not an object",
            kind(&arguments)
        ));
    }
    let id = ["id", "tool_call_id", "call_id"]
        .iter()
        .find_map(|name| fields.get(*name)?.as_str());
    Ok(Call {
        id: id.map(str::to_owned),
        name: name.to_owned(),
        arguments: Json::from(arguments),
    })
}

/// The tools of a row: descriptions as OpenAI writes them, or the functions alone; a list, or the text of one.
pub(super) fn tools(value: &Value, sparse: bool) -> Result<Vec<Json>, String> {
    if value.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Ok(Vec::new());
    }
    let list = as_list(value).map_err(|why| format!("`tools` {why}"))?;
    let tool = |(at, tool): (usize, &Value)| {
        let wrong = || {
            format!(
                "tool {} is not of the form `{{\"type\": \"function\", \"function\": {{\"name\": …}}}}`",
                at + 1
            )
        };
        let read;
        let fields = match tool {
            Value::Object(fields) => fields,
            Value::String(text) => {
                read = strict::value(text.as_bytes()).map_err(|_| wrong())?;
                read.as_object().ok_or_else(wrong)?
            }
            _ => return Err(wrong()),
        };
        let named = |fields: &Row| fields.get("name").is_some_and(Value::is_string);
        let whole = match fields.get("function").and_then(Value::as_object) {
            Some(function) if named(function) => Value::Object(fields.clone()),
            None if named(fields) => {
                let kind = ("type".to_string(), Value::from("function"));
                Value::Object(Row::from_iter([
                    kind,
                    ("function".to_string(), Value::Object(fields.clone())),
                ]))
            }
            _ => return Err(wrong()),
        };
        Ok(Json::from(if sparse {
            without_nulls(whole)
        } else {
            whole
        }))
    };
    list.iter().enumerate().map(tool).collect()
}

//! What a message says: a text, or parts of text.
//!
//! In: `content` as OpenAI, Hugging Face and Anthropic write it. Out: the text, and what was thought. A part that is no
//! text, such as an image, is refused by its kind.
//! Example: `[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]` says `ab`.

use serde_json::Value;

use super::names::kind;

/// Kinds of parts that hold text.
const TEXTS: [&str; 3] = ["text", "input_text", "output_text"];
/// Kinds of parts that hold what was thought.
const THOUGHTS: [&str; 2] = ["thinking", "reasoning"];

/// What a message says and what was thought before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) thought: Option<String>,
}

/// Reads `content`; what is missing says nothing.
pub(super) fn content(value: Option<&Value>) -> Result<Content, String> {
    let mut content = Content::default();
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => content.text.clone_from(text),
        Some(Value::Array(parts)) => {
            for (at, one) in parts.iter().enumerate() {
                part(one, &mut content)
                    .map_err(|why| format!("has a part that {why} (part {})", at + 1))?;
            }
        }
        Some(other) => return Err(format!("has a content that is {}, not a text", kind(other))),
    }
    Ok(content)
}

fn part(part: &Value, content: &mut Content) -> Result<(), String> {
    let fields = match part {
        Value::String(text) => {
            content.text.push_str(text);
            return Ok(());
        }
        Value::Object(fields) => fields,
        other => return Err(format!("is {}", kind(other))),
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let kind = text("type").unwrap_or("text");
    if TEXTS.contains(&kind) {
        content.text.push_str(text("text").ok_or("has no text")?);
    } else if THOUGHTS.contains(&kind) {
        let thought = text(kind).or(text("text")).ok_or("has no text")?;
        content.thought.get_or_insert_default().push_str(thought);
    } else {
        return Err(format!(
            "is of the type `{}`, and only text can be trained on",
            kind.escape_debug()
        ));
    }
    Ok(())
}

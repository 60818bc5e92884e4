//! What OpenAI's chat completions ask: a conversation, the tools that may be called, and the switches of a template.
//!
//! In: JSON of a request. Out: a [`Dialog`] as chat templates take it, or why not.

use data::template::{Dialog, Fields, Json};
use serde::Deserialize;
use serde_json::Value;

use super::protocol::{Common, Refusal};

/// `POST /v1/chat/completions`
#[derive(Debug, Deserialize)]
pub struct ChatRequest {
    /// The conversation.
    pub messages: Vec<ChatMessage>,
    /// Whether log-probabilities are told.
    pub logprobs: Option<bool>,
    /// What the model may call.
    #[serde(default)]
    pub tools: Option<Vec<Json>>,
    /// `auto`, or `none`.
    pub tool_choice: Option<Value>,
    /// Whether it may call more than one at once.
    pub parallel_tool_calls: Option<bool>,
    /// Switches of the chat template, as vLLM takes them: `{"enable_thinking": false}`.
    #[serde(default)]
    pub chat_template_kwargs: Option<Fields>,
    /// What both kinds share.
    #[serde(flatten)]
    pub common: Common,
}

/// One turn.
#[derive(Clone, Debug, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// A text, or parts of type `text`.
    #[serde(default)]
    pub content: Value,
    /// What the assistant called.
    #[serde(default)]
    pub tool_calls: Option<Vec<Json>>,
    /// Which call a tool answers.
    pub tool_call_id: Option<String>,
    /// Who speaks, or which tool.
    pub name: Option<String>,
    /// What the assistant thought before it spoke.
    pub reasoning_content: Option<String>,
}

/// What a template is always given, and no switch may change.
const TAKEN: [&str; 3] = ["messages", "tools", "add_generation_prompt"];

impl ChatRequest {
    /// The conversation, and what the chat template is given besides.
    ///
    /// # Errors
    ///
    /// When it is empty, a role is unknown, a part is no text, or a call or a tool is none.
    pub fn dialog(&self) -> Result<Dialog, Refusal> {
        if self.messages.is_empty() {
            return Err(Refusal::bad(Some("messages"), "`messages` is empty"));
        }
        let turn = |(at, message): (usize, &ChatMessage)| {
            message.turn().map_err(|why| Refusal::bad(Some("messages"), format!("message {at} {why}")))
        };
        let messages = self.messages.iter().enumerate().map(turn).collect::<Result<_, _>>()?;
        let mut given = self.chat_template_kwargs.clone().unwrap_or_default();
        if let Some(name) = TAKEN.into_iter().find(|name| given.contains_key(*name)) {
            let message = format!("`{name}` is no switch of a template; it comes with the request");
            return Err(Refusal::bad(Some("chat_template_kwargs"), message));
        }
        if let Some(tools) = self.offered()? {
            given.insert("tools".to_owned(), Json::List(tools.to_vec()));
        }
        Ok(Dialog { messages, given })
    }

    /// The tools that may be called; none where none is offered.
    ///
    /// # Errors
    ///
    /// When one has no name, or one must be called: nothing forces a model to.
    pub fn offered(&self) -> Result<Option<&[Json]>, Refusal> {
        let choice = self.tool_choice.as_ref().filter(|choice| !choice.is_null());
        if let Some(choice) = choice.filter(|choice| **choice != "auto" && **choice != "none") {
            let message =
                format!("`tool_choice` is {choice}; `auto` and `none` are possible: nothing forces a model to call");
            return Err(Refusal::bad(Some("tool_choice"), message));
        }
        let tools = self.tools.as_deref().unwrap_or_default();
        let is_tool = |tool: &Json| {
            let name = || tool.get("function")?.get("name")?.as_str();
            tool.get("type").and_then(Json::as_str) == Some("function") && name().is_some()
        };
        if let Some(at) = tools.iter().position(|tool| !is_tool(tool)) {
            let form = r#"`{"type": "function", "function": {"name": …}}`"#;
            return Err(Refusal::bad(Some("tools"), format!("tool {at} is not of the form {form}")));
        }
        Ok((!tools.is_empty() && choice.is_none_or(|choice| choice != "none")).then_some(tools))
    }
}

impl ChatMessage {
    /// The turn as chat templates take it, or what is wrong with it.
    fn turn(&self) -> Result<Fields, String> {
        let role = match self.role.as_str() {
            "system" | "developer" => "system",
            role @ ("user" | "assistant" | "tool") => role,
            other => {
                let known = "`system`, `user`, `assistant` and `tool`";
                return Err(format!("has the role `{other}`; known are {known}"));
            }
        };
        let text = text_of(&self.content).ok_or("is no text")?;
        let texts = [
            ("role", Some(role)),
            ("content", Some(&text)),
            ("name", self.name.as_deref()),
            ("tool_call_id", self.tool_call_id.as_deref()),
            ("reasoning_content", self.reasoning_content.as_deref()),
        ];
        let mut turn: Fields =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Json::text(text?)))).collect();
        if let Some(calls) = self.tool_calls.as_ref().filter(|calls| !calls.is_empty()) {
            let form = r#"`{"id": …, "function": {"name": …, "arguments": "{…}"}}`"#;
            let calls: Option<Vec<Json>> = calls.iter().map(call).collect();
            let calls = calls.ok_or_else(|| format!("has a call that is not of the form {form}"))?;
            turn.insert("tool_calls".to_owned(), Json::List(calls));
        }
        Ok(turn)
    }
}

/// A call whose arguments are an object, as templates take it; clients write them as the text of one.
fn call(call: &Json) -> Option<Json> {
    let mut fields = call.as_object()?.clone();
    let mut function = fields.get("function")?.as_object()?.clone();
    function.get("name")?.as_str()?;
    let arguments = match function.get("arguments") {
        None | Some(Json::Null) => Fields::new(),
        Some(Json::Text(text)) if text.trim().is_empty() => Fields::new(),
        Some(Json::Text(text)) => serde_json::from_str(text).ok()?,
        Some(arguments) => arguments.as_object()?.clone(),
    };
    function.insert("arguments".to_owned(), Json::Object(arguments));
    fields.insert("function".to_owned(), Json::Object(function));
    Some(Json::Object(fields))
}

fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        Value::Array(parts) => parts.iter().map(|part| part.get("text")?.as_str()).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<T: serde::Serialize>(value: &T) -> String {
        serde_json::to_string(value).expect("JSON")
    }

    fn dialog(text: &str) -> Result<Dialog, Refusal> {
        serde_json::from_str::<ChatRequest>(text).expect("JSON").dialog()
    }

    #[test]
    fn a_conversation_has_known_roles_and_text() {
        let parts =
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#;
        assert_eq!(written(&dialog(parts).expect("text").messages), r#"[{"role":"user","content":"ab"}]"#);
        let image = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
        assert_eq!(dialog(image).expect_err("no text").message, "message 0 is no text");
        let robot = r#"{"messages":[{"role":"robot","content":"x"}]}"#;
        assert!(dialog(robot).expect_err("a role").message.contains("`robot`"));
    }

    #[test]
    fn calls_come_to_the_template_as_objects_in_their_order() {
        let told = r#"{"messages":[
            {"role":"assistant","content":null,"tool_calls":[
                {"id":"abc","type":"function","function":{"name":"ls","arguments":"{\"path\": \".\", \"all\": true}"}}]},
            {"role":"tool","tool_call_id":"abc","content":"a.py"}],
            "tools":[{"type":"function","function":{"name":"ls","description":"lists"}}],
            "chat_template_kwargs":{"enable_thinking":false}}"#;
        let dialog = dialog(told).expect("a conversation");
        let call = r#"{"id":"abc","type":"function","function":{"name":"ls","arguments":{"path":".","all":true}}}"#;
        let turns = format!(
            r#"[{{"role":"assistant","content":"","tool_calls":[{call}]}},{{"role":"tool","content":"a.py","tool_call_id":"abc"}}]"#
        );
        assert_eq!(written(&dialog.messages), turns);
        let tools = r#"[{"type":"function","function":{"name":"ls","description":"lists"}}]"#;
        assert_eq!(written(&dialog.given), format!(r#"{{"enable_thinking":false,"tools":{tools}}}"#));
    }

    #[test]
    fn tools_that_are_none_or_must_be_called_are_refused() {
        let with = |more: &str| dialog(&format!(r#"{{"messages":[{{"role":"user","content":"x"}}],{more}}}"#));
        let refused = |more: &str| with(more).expect_err(more);
        let tools = r#""tools":[{"type":"function","function":{"name":"ls"}}]"#;
        assert!(with(&format!(r#"{tools},"tool_choice":"none""#)).expect("fine").given.is_empty());
        assert!(with(&format!(r#"{tools},"tool_choice":"auto""#)).expect("fine").given.contains_key("tools"));
        assert_eq!(refused(&format!(r#"{tools},"tool_choice":"required""#)).field, Some("tool_choice"));
        assert_eq!(refused(r#""tools":[{"name":"ls"}]"#).field, Some("tools"));
        assert_eq!(refused(r#""chat_template_kwargs":{"messages":[]}"#).field, Some("chat_template_kwargs"));
        let call = r#"{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"ls","arguments":"{"}}]}]}"#;
        let refusal = dialog(call).expect_err("no JSON").message;
        assert!(refusal.starts_with("message 0 has a call that is not of the form"), "{refusal}");
    }
}

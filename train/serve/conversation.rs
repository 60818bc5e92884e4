//! What OpenAI's chat completions ask: a conversation, the tools that may be called, and the switches of a template.
//!
//! In: JSON of a request. Out: a [`Dialog`] as chat templates take it, or why not.

use data::template::{Dialog, Fields, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::protocol::Refusal;

/// `POST /v1/chat/completions`
#[derive(Debug, Deserialize)]
pub struct ChatRequest {
    /// The conversation.
    pub messages: Vec<ChatMessage>,
    /// Whether log-probabilities are told.
    pub logprobs: Option<bool>,
    /// How many of the likeliest tokens are told for each token.
    pub top_logprobs: Option<usize>,
    /// What the model may call.
    #[serde(default)]
    pub tools: Option<Vec<Json>>,
    /// `auto`, `none`, `required`, or a tool.
    pub tool_choice: Option<Value>,
    /// Whether it may call more than one at once.
    pub parallel_tool_calls: Option<bool>,
    /// Switches of the chat template, as vLLM takes them: `{"enable_thinking": false}`.
    #[serde(default)]
    pub chat_template_kwargs: Option<Fields>,
    /// Whether the assistant's turn is begun; it is.
    pub add_generation_prompt: Option<bool>,
    /// Whether the last message goes on instead.
    pub continue_final_message: Option<bool>,
}

/// Tools that are offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// The tools.
    pub tools: Vec<Json>,
    /// What must be called, if anything must.
    pub forced: Option<Forced>,
}

/// What must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forced {
    /// Any of the tools.
    Any,
    /// This one.
    Named(String),
}

/// Where an answer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// In a turn of the assistant that is begun.
    Turn,
    /// Behind the last turn.
    Behind,
    /// Within the last turn.
    Within,
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
    #[serde(alias = "reasoning")]
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
            message
                .turn()
                .map_err(|why| Refusal::bad(Some("messages"), format!("message {at} {why}")))
        };
        let messages = self
            .messages
            .iter()
            .enumerate()
            .map(turn)
            .collect::<Result<_, _>>()?;
        let mut given = self.chat_template_kwargs.clone().unwrap_or_default();
        if let Some(name) = TAKEN.into_iter().find(|name| given.contains_key(*name)) {
            let message = format!("`{name}` is no switch of a template; it comes with the request");
            return Err(Refusal::bad(Some("chat_template_kwargs"), message));
        }
        if let Some(offered) = self.offered()? {
            given.insert("tools".to_owned(), Json::List(offered.tools));
        }
        Ok(Dialog { messages, given })
    }

    /// The tools that may be called; none where none is offered.
    ///
    /// # Errors
    ///
    /// When one has no name, or one that is not offered must be called.
    pub fn offered(&self) -> Result<Option<Offered>, Refusal> {
        let tools = self.tools.clone().unwrap_or_default();
        let name = |tool: &Json| Some(tool.get("function")?.get("name")?.as_str()?.to_owned());
        let is_tool = |tool: &Json| {
            tool.get("type").and_then(Json::as_str) == Some("function") && name(tool).is_some()
        };
        if let Some(at) = tools.iter().position(|tool| !is_tool(tool)) {
            let form = r#"`{"type": "function", "function": {"name": …}}`"#;
            return Err(Refusal::bad(
                Some("tools"),
                format!("tool {at} is not of the form {form}"),
            ));
        }
        let refuse = |why: String| Err(Refusal::bad(Some("tool_choice"), why));
        let known = "`auto`, `none`, `required` and `{\"type\": \"function\", \"function\": {\"name\": …}}` are possible";
        let forced = match self.tool_choice.as_ref() {
            None | Some(Value::Null) => None,
            Some(choice) if choice == "auto" => None,
            Some(choice) if choice == "none" => return Ok(None),
            Some(choice) if choice == "required" => Some(Forced::Any),
            Some(choice) => match choice["function"]["name"].as_str() {
                Some(name) if choice["type"] == "function" => Some(Forced::Named(name.to_owned())),
                _ => return refuse(format!("`tool_choice` is {choice}; {known}")),
            },
        };
        match &forced {
            Some(_) if tools.is_empty() => {
                refuse("`tool_choice` asks for a call, but no `tools` are offered".to_owned())
            }
            Some(Forced::Named(named))
                if !tools.iter().any(|tool| name(tool).as_ref() == Some(named)) =>
            {
                refuse(format!(
                    "`tool_choice` names `{named}`, which is not among the `tools`"
                ))
            }
            None => match tools.iter().position(is_strict) {
                // What is called of one's own accord is written freely, and only read.
                Some(at) => {
                    let why = "`strict` is not supported by this server unless a call is asked for: set `tool_choice` to \
                               `required` or to a function";
                    Err(Refusal::bad(
                        Some(&format!("tools[{at}].function.strict")),
                        format!("tool {at}: {why}"),
                    ))
                }
                None => Ok((!tools.is_empty()).then_some(Offered { tools, forced })),
            },
            Some(_) => Ok((!tools.is_empty()).then_some(Offered { tools, forced })),
        }
    }

    /// Where the answer begins.
    ///
    /// # Errors
    ///
    /// When two places are asked for, or the last message cannot go on.
    pub fn begin(&self) -> Result<Begin, Refusal> {
        let field = "continue_final_message";
        if self.continue_final_message != Some(true) {
            return Ok(if self.add_generation_prompt == Some(false) {
                Begin::Behind
            } else {
                Begin::Turn
            });
        }
        if self.add_generation_prompt == Some(true) {
            let why = "`continue_final_message` goes on with the last message, so `add_generation_prompt` must be `false`";
            return Err(Refusal::bad(Some(field), why));
        }
        let last = self
            .messages
            .last()
            .filter(|last| last.role == "assistant" && last.tool_calls.is_none());
        match last {
            Some(_) => Ok(Begin::Within),
            None => Err(Refusal::bad(
                Some(field),
                "only a text of the assistant at the end can be continued",
            )),
        }
    }
}

/// Whether the arguments of a tool must be of its schema.
fn is_strict(tool: &Json) -> bool {
    tool.get("function")
        .and_then(|function| function.get("strict"))
        .is_some_and(|strict| *strict == Json::Bool(true))
}

impl Offered {
    /// The tools that may be called, with the schemas of their arguments.
    pub fn callable(&self) -> Vec<(String, Value)> {
        let read = |tool: &Json| {
            let function = tool.get("function")?;
            let name = function.get("name")?.as_str()?.to_owned();
            let schema = function
                .get("parameters")
                .filter(|schema| schema.as_object().is_some());
            let schema = schema.map_or_else(|| json!({ "type": "object" }), |schema| json!(schema));
            Some((name, schema))
        };
        let may =
            |name: &String| !matches!(&self.forced, Some(Forced::Named(named)) if named != name);
        self.tools
            .iter()
            .filter_map(read)
            .filter(|(name, _)| may(name))
            .collect()
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
        let mut turn: Fields = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), Json::text(text?))))
            .collect();
        if let Some(calls) = self.tool_calls.as_ref().filter(|calls| !calls.is_empty()) {
            let form = r#"`{"id": …, "function": {"name": …, "arguments": "{…}"}}`"#;
            let calls: Option<Vec<Json>> = calls.iter().map(call).collect();
            let calls =
                calls.ok_or_else(|| format!("has a call that is not of the form {form}"))?;
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
        Value::Array(parts) => parts
            .iter()
            .map(|part| part.get("text")?.as_str())
            .collect(),
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
        serde_json::from_str::<ChatRequest>(text)
            .expect("JSON")
            .dialog()
    }

    #[test]
    fn a_conversation_has_known_roles_and_text() {
        let parts = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#;
        assert_eq!(
            written(&dialog(parts).expect("text").messages),
            r#"[{"role":"user","content":"ab"}]"#
        );
        let image = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
        assert_eq!(
            dialog(image).expect_err("no text").message,
            "message 0 is no text"
        );
        let robot = r#"{"messages":[{"role":"robot","content":"x"}]}"#;
        assert!(
            dialog(robot)
                .expect_err("a role")
                .message
                .contains("`robot`")
        );
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
        assert_eq!(
            written(&dialog.given),
            format!(r#"{{"enable_thinking":false,"tools":{tools}}}"#)
        );
    }

    #[test]
    fn tools_that_are_none_or_are_not_offered_are_refused() {
        let with = |more: &str| {
            dialog(&format!(
                r#"{{"messages":[{{"role":"user","content":"x"}}],{more}}}"#
            ))
        };
        let refused = |more: &str| with(more).expect_err(more).field.expect("a field");
        let tools = r#""tools":[{"type":"function","function":{"name":"ls"}}]"#;
        assert!(
            with(&format!(r#"{tools},"tool_choice":"none""#))
                .expect("fine")
                .given
                .is_empty()
        );
        for choice in [
            r#""auto""#,
            r#""required""#,
            r#"{"type":"function","function":{"name":"ls"}}"#,
        ] {
            let given = with(&format!(r#"{tools},"tool_choice":{choice}"#))
                .expect("fine")
                .given;
            assert!(given.contains_key("tools"), "{choice}");
        }
        for choice in [
            r#""always""#,
            r#"{"type":"function","function":{"name":"rm"}}"#,
            r#"{"type":"allowed_tools"}"#,
        ] {
            assert_eq!(
                refused(&format!(r#"{tools},"tool_choice":{choice}"#)),
                "tool_choice"
            );
        }
        let strict = tools.replace(r#""ls""#, r#""ls","strict":true"#);
        assert_eq!(refused(&strict), "tools[0].function.strict");
        assert_eq!(
            refused(&format!(r#"{strict},"tool_choice":"auto""#)),
            "tools[0].function.strict"
        );
        for fine in [
            strict.replace("true", "false"),
            format!(r#"{strict},"tool_choice":"required""#),
        ] {
            assert!(
                with(&fine).expect("fine").given.contains_key("tools"),
                "{fine}"
            );
        }
        assert!(
            with(&format!(r#"{strict},"tool_choice":"none""#))
                .expect("fine")
                .given
                .is_empty()
        );
        assert_eq!(refused(r#""tool_choice":"required""#), "tool_choice");
        assert_eq!(refused(r#""tools":[{"name":"ls"}]"#), "tools");
        assert_eq!(
            refused(r#""chat_template_kwargs":{"messages":[]}"#),
            "chat_template_kwargs"
        );
        let call = r#"{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"ls","arguments":"{"}}]}]}"#;
        let refusal = dialog(call).expect_err("no JSON").message;
        assert!(
            refusal.starts_with("message 0 has a call that is not of the form"),
            "{refusal}"
        );
    }

    #[test]
    fn an_answer_begins_a_turn_or_goes_on_with_the_last() {
        let begin = |role: &str, more: &str| {
            let text = format!(r#"{{"messages":[{{"role":"{role}","content":"So: "}}]{more}}}"#);
            serde_json::from_str::<ChatRequest>(&text)
                .expect("JSON")
                .begin()
        };
        assert_eq!(begin("user", ""), Ok(Begin::Turn));
        assert_eq!(
            begin("user", r#","add_generation_prompt":false"#),
            Ok(Begin::Behind)
        );
        assert_eq!(
            begin("assistant", r#","continue_final_message":true"#),
            Ok(Begin::Within)
        );
        assert!(begin("user", r#","continue_final_message":true"#).is_err());
        assert!(
            begin(
                "assistant",
                r#","continue_final_message":true,"add_generation_prompt":true"#
            )
            .is_err()
        );
    }
}

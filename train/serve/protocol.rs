//! What is said over the wire: OpenAI's completions and chat completions.
//!
//! In: JSON of a request. Out: prompts, [`Sampling`] and seeds, or why not, as OpenAI words it. Fields that would change
//! the answer and are not known here are refused; others are passed over, as clients send many.

use data::template::{Dialog, Fields, Json};
use rollout::policy::Sampling;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most answers of one request.
pub const MAX_CHOICES: usize = 128;

/// `POST /v1/completions`
#[derive(Debug, Deserialize)]
pub struct CompletionRequest {
    /// What is to be continued.
    pub prompt: PromptInput,
    /// How many of the likeliest tokens are told for each token; here the token itself, whatever the number.
    pub logprobs: Option<u32>,
    /// What both kinds share.
    #[serde(flatten)]
    pub common: Common,
}

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

/// A prompt: text, tokens, or many of either.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum PromptInput {
    /// One text.
    Text(String),
    /// One sequence of tokens.
    Tokens(Vec<u32>),
    /// Many texts.
    Texts(Vec<String>),
    /// Many sequences of tokens.
    ManyTokens(Vec<Vec<u32>>),
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

/// What both kinds of request share.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Common {
    /// The model that is meant; there is one, so it is only compared.
    pub model: Option<String>,
    /// Tokens of an answer.
    pub max_tokens: Option<usize>,
    /// The newer name of `max_tokens`.
    pub max_completion_tokens: Option<usize>,
    /// See [`Sampling::temperature`].
    pub temperature: Option<f32>,
    /// See [`Sampling::top_p`].
    pub top_p: Option<f32>,
    /// See [`Sampling::top_k`]; −1 as well draws from all.
    pub top_k: Option<i64>,
    /// See [`Sampling::min_p`].
    pub min_p: Option<f32>,
    /// See [`Sampling::repetition_penalty`].
    pub repetition_penalty: Option<f32>,
    /// See [`Sampling::stop`].
    pub stop: Option<Stops>,
    /// From which all randomness of the answers derives.
    pub seed: Option<i64>,
    /// Answers to each prompt.
    pub n: Option<usize>,
    /// Whether the answer comes token by token.
    pub stream: Option<bool>,
    /// What a stream tells besides.
    pub stream_options: Option<StreamOptions>,
    /// Whether token ids are told, as vLLM does.
    pub return_token_ids: Option<bool>,
    // What is not known here, and would change the answer.
    tools: Option<Value>,
    functions: Option<Value>,
    response_format: Option<Value>,
    logit_bias: Option<Value>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    top_logprobs: Option<u32>,
    best_of: Option<usize>,
    suffix: Option<Value>,
    echo: Option<bool>,
}

/// One stop string, or many.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Stops {
    /// One.
    One(String),
    /// Many.
    Many(Vec<String>),
}

/// What a stream tells besides.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct StreamOptions {
    /// A last chunk with the counts of tokens.
    #[serde(default)]
    pub include_usage: bool,
}

/// Why a request is refused: a status, and what is wrong with which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// OpenAI's word for the kind of error.
    pub kind: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
    /// The field.
    pub field: Option<&'static str>,
}

impl Refusal {
    /// The request is wrong.
    pub fn bad(field: Option<&'static str>, message: impl Into<String>) -> Self {
        Refusal { status: 400, kind: "invalid_request_error", message: message.into(), field }
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        json!({ "error": { "message": self.message, "type": self.kind, "param": self.field, "code": self.status } })
    }
}

impl Common {
    /// How tokens are drawn, when the longest of the prompts has `prompt` tokens and the context holds `context`.
    /// Without a `max_tokens` an answer may fill the context.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range or not known here.
    pub fn sampling(&self, prompt: usize, context: usize) -> Result<Sampling, Refusal> {
        self.refuse_unknown()?;
        let plain = Sampling::default();
        let stop = match &self.stop {
            None => Vec::new(),
            Some(Stops::One(stop)) => vec![stop.clone()],
            Some(Stops::Many(stops)) => stops.clone(),
        };
        let asked = self.max_completion_tokens.or(self.max_tokens);
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(plain.temperature),
            top_p: self.top_p.unwrap_or(plain.top_p),
            top_k: usize::try_from(self.top_k.unwrap_or(0)).unwrap_or(0),
            min_p: self.min_p.unwrap_or(plain.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(plain.repetition_penalty),
            max_repeats: plain.max_repeats,
            stop,
            max_new_tokens: asked.unwrap_or_else(|| context.saturating_sub(prompt).max(1)),
        };
        sampling.check().map_err(|error| Refusal::bad(None, error.to_string()))?;
        Ok(sampling)
    }

    /// Answers to each prompt.
    ///
    /// # Errors
    ///
    /// When there are none, or more than [`MAX_CHOICES`].
    pub fn choices(&self) -> Result<usize, Refusal> {
        match self.n.unwrap_or(1) {
            n @ 1..=MAX_CHOICES => Ok(n),
            n => Err(Refusal::bad(Some("n"), format!("`n` is {n}, but must be between 1 and {MAX_CHOICES}"))),
        }
    }

    fn refuse_unknown(&self) -> Result<(), Refusal> {
        let is_some = |value: &Option<Value>| {
            value.as_ref().is_some_and(|value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(fields) => !fields.is_empty(),
                _ => true,
            })
        };
        let is_text = |format: &Value| format.get("type").is_some_and(|kind| kind == "text");
        let unknown = [
            ("tools", is_some(&self.tools)),
            ("functions", is_some(&self.functions)),
            ("response_format", is_some(&self.response_format) && !self.response_format.as_ref().is_some_and(is_text)),
            ("logit_bias", is_some(&self.logit_bias)),
            ("frequency_penalty", self.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
            ("presence_penalty", self.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
            ("top_logprobs", self.top_logprobs.is_some_and(|count| count > 0)),
            ("best_of", self.best_of.is_some_and(|best_of| best_of != self.n.unwrap_or(1))),
            ("suffix", is_some(&self.suffix)),
            ("echo", self.echo == Some(true)),
        ];
        match unknown.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => Err(Refusal::bad(Some(field), format!("`{field}` is not supported by this server"))),
            None => Ok(()),
        }
    }
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

    fn common(text: &str) -> Result<Sampling, Refusal> {
        serde_json::from_str::<Common>(text).expect("JSON").sampling(10, 100)
    }

    #[test]
    fn a_request_says_how_tokens_are_drawn() {
        let sampling = common(r#"{"temperature":0.5,"top_k":-1,"min_p":0.1,"stop":"END","max_tokens":7,"user":"x"}"#);
        let expected = Sampling {
            temperature: 0.5,
            min_p: 0.1,
            stop: vec!["END".into()],
            max_new_tokens: 7,
            ..Sampling::default()
        };
        assert_eq!(sampling, Ok(expected));
        assert_eq!(common("{}").expect("defaults").max_new_tokens, 90, "the rest of the context");
        assert_eq!(common(r#"{"stop":["a","b"]}"#).expect("stops").stop, ["a", "b"]);
    }

    #[test]
    fn what_would_change_the_answer_and_is_not_known_is_refused() {
        let refused = |text: &str| common(text).expect_err("refused").message;
        assert_eq!(refused(r#"{"logit_bias":{"5":1}}"#), "`logit_bias` is not supported by this server");
        assert_eq!(refused(r#"{"presence_penalty":0.5}"#), "`presence_penalty` is not supported by this server");
        assert_eq!(refused(r#"{"top_p":2.0}"#), "`top_p` is 2, but must be above 0, at most 1");
        for fine in [r#"{"tools":[]}"#, r#"{"response_format":{"type":"text"}}"#, r#"{"best_of":1}"#] {
            assert!(common(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn a_prompt_is_text_or_tokens_or_many_of_them() {
        let prompt = |text: &str| serde_json::from_str::<PromptInput>(text).expect("a prompt");
        assert_eq!(prompt(r#""a""#), PromptInput::Text("a".into()));
        assert_eq!(prompt("[1,2]"), PromptInput::Tokens(vec![1, 2]));
        assert_eq!(prompt(r#"["a"]"#), PromptInput::Texts(vec!["a".into()]));
        assert_eq!(prompt("[[1],[2]]"), PromptInput::ManyTokens(vec![vec![1], vec![2]]));
    }

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

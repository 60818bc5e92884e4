//! What is said over the wire: OpenAI's completions, and what its chat completions share with them.
//!
//! In: JSON of a request. Out: prompts, [`Sampling`] and seeds, or why not, as OpenAI words it. Fields that would change
//! the answer and are not known here are refused; others are passed over, as clients send many.

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
}

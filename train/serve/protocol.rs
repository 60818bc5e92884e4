//! What is said over the wire: OpenAI's completions, and what its chat completions share with them.
//!
//! In: JSON of a request, whose fields `fields.rs` has looked at. Out: prompts, [`Sampling`], [`Control`] and seeds, or why
//! not, as OpenAI words it.

use std::collections::BTreeMap;

use rollout::policy::{RequestError, Sampling};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use model::generate::Control;

/// Most answers of one request.
pub const MAX_CHOICES: usize = 128;
/// Most of the likeliest tokens that are told for each token.
pub const MAX_TOP_LOGPROBS: usize = 20;

/// `POST /v1/completions`
#[derive(Debug, Deserialize)]
pub struct CompletionRequest {
    /// What is to be continued.
    pub prompt: PromptInput,
    /// How many of the likeliest tokens are told for each token.
    pub logprobs: Option<usize>,
    /// Whether the tokenizer puts its own tokens around a text, such as the one that begins it; it does.
    pub add_special_tokens: Option<bool>,
    /// Answers among which the best would be chosen; only as many as are told.
    pub best_of: Option<usize>,
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
    /// See [`Control::frequency_penalty`].
    pub frequency_penalty: Option<f32>,
    /// See [`Control::presence_penalty`].
    pub presence_penalty: Option<f32>,
    /// See [`Control::logit_bias`]; tokens are written as text.
    pub logit_bias: Option<BTreeMap<String, f32>>,
    /// See [`Control::min_tokens`].
    pub min_tokens: Option<usize>,
    /// See [`Sampling::stop`].
    pub stop: Option<Stops>,
    /// See [`Control::stop_token_ids`].
    pub stop_token_ids: Option<Vec<u32>>,
    /// See [`Control::ignore_eos`].
    pub ignore_eos: Option<bool>,
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
    /// The form of the answer: `text`, `json_object` or `json_schema`.
    pub response_format: Option<Value>,
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
    pub field: Option<String>,
}

impl Refusal {
    /// The request is wrong.
    pub fn bad(field: Option<&str>, message: impl Into<String>) -> Self {
        let field = field.map(str::to_owned);
        Refusal {
            status: 400,
            kind: "invalid_request_error",
            message: message.into(),
            field,
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        json!({ "error": { "message": self.message, "type": self.kind, "param": self.field, "code": self.status } })
    }
}

/// Reads what a body says, as far as `T` asks for it.
///
/// # Errors
///
/// When a field is missing or of another type; the refusal names it.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = Some(error.path().to_string()).filter(|path| path != ".");
        let of = field
            .as_ref()
            .map(|field| format!("`{field}`: "))
            .unwrap_or_default();
        Refusal::bad(
            field.as_deref(),
            format!("the body is no such request: {of}{}", error.inner()),
        )
    })
}

impl Common {
    /// How tokens are drawn, when the longest of the prompts has `prompt` tokens and the context holds `context`.
    /// Without a `max_tokens` an answer may fill the context.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range.
    pub fn sampling(&self, prompt: usize, context: usize) -> Result<Sampling, Refusal> {
        let plain = Sampling::default();
        let stop = match &self.stop {
            None => Vec::new(),
            Some(Stops::One(stop)) => vec![stop.clone()],
            Some(Stops::Many(stops)) => stops.clone(),
        };
        let top_k = match self.top_k {
            None | Some(-1) => 0,
            Some(top_k) => usize::try_from(top_k).map_err(|_| {
                Refusal::bad(
                    Some("top_k"),
                    format!("`top_k` is {top_k}, but must be 1 or more, or 0 or -1 for all"),
                )
            })?,
        };
        let asked = self.max_completion_tokens.or(self.max_tokens);
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(plain.temperature),
            top_p: self.top_p.unwrap_or(plain.top_p),
            top_k,
            min_p: self.min_p.unwrap_or(plain.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(plain.repetition_penalty),
            max_repeats: plain.max_repeats,
            stop,
            max_new_tokens: asked.unwrap_or_else(|| context.saturating_sub(prompt).max(1)),
        };
        sampling.check().map_err(|error| match error {
            RequestError::Range {
                setting: "max_new_tokens",
                ..
            } => Refusal::bad(
                Some("max_tokens"),
                "`max_tokens` is 0, but must be 1 or more",
            ),
            RequestError::Range { setting, .. } => Refusal::bad(Some(setting), error.to_string()),
            error => Refusal::bad(None, error.to_string()),
        })?;
        Ok(sampling)
    }

    /// What shapes the answer besides, with `vocab` tokens to choose from and `most` of them in an answer.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range.
    pub fn control(&self, vocab: usize, most: usize) -> Result<Control, Refusal> {
        let mut control = Control {
            frequency_penalty: self.frequency_penalty.unwrap_or(0.0),
            presence_penalty: self.presence_penalty.unwrap_or(0.0),
            min_tokens: self.min_tokens.unwrap_or(0),
            stop_token_ids: self.stop_token_ids.clone().unwrap_or_default(),
            ignore_eos: self.ignore_eos == Some(true),
            ..Control::default()
        };
        let penalties = [
            ("frequency_penalty", control.frequency_penalty),
            ("presence_penalty", control.presence_penalty),
        ];
        if let Some((name, value)) = penalties
            .into_iter()
            .find(|(_, value)| !(-2.0..=2.0).contains(value))
        {
            return Err(Refusal::bad(
                Some(name),
                format!("`{name}` is {value}, but must be between -2 and 2"),
            ));
        }
        let within = |token: u32| (token as usize) < vocab;
        for (name, &bias) in self.logit_bias.iter().flatten() {
            let token = name.parse().ok().filter(|&token| within(token)).ok_or_else(|| {
                let why = format!("`logit_bias` names the token `{name}`, which is none of the {vocab} of this model");
                Refusal::bad(Some("logit_bias"), why)
            })?;
            if !(-100.0..=100.0).contains(&bias) {
                let why = format!(
                    "`logit_bias` of token {token} is {bias}, but must be between -100 and 100"
                );
                return Err(Refusal::bad(Some("logit_bias"), why));
            }
            control.logit_bias.push((token, bias));
        }
        if let Some(token) = control.stop_token_ids.iter().find(|&&token| !within(token)) {
            let why = format!("`stop_token_ids` names token {token}, but this model has {vocab}");
            return Err(Refusal::bad(Some("stop_token_ids"), why));
        }
        if control.min_tokens > most {
            let why = format!(
                "`min_tokens` is {}, but the answer may have {most} tokens",
                control.min_tokens
            );
            return Err(Refusal::bad(Some("min_tokens"), why));
        }
        Ok(control)
    }

    /// Answers to each prompt.
    ///
    /// # Errors
    ///
    /// When there are none, or more than [`MAX_CHOICES`].
    pub fn choices(&self) -> Result<usize, Refusal> {
        match self.n.unwrap_or(1) {
            n @ 1..=MAX_CHOICES => Ok(n),
            n => Err(Refusal::bad(
                Some("n"),
                format!("`n` is {n}, but must be between 1 and {MAX_CHOICES}"),
            )),
        }
    }
}

/// How many of the likeliest tokens are told.
///
/// # Errors
///
/// When those are more than [`MAX_TOP_LOGPROBS`].
pub fn top_logprobs(field: &str, asked: Option<usize>) -> Result<usize, Refusal> {
    let asked = asked.unwrap_or(0);
    if asked > MAX_TOP_LOGPROBS {
        let why = format!("`{field}` is {asked}, but must be at most {MAX_TOP_LOGPROBS}");
        return Err(Refusal::bad(Some(field), why));
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(text: &str) -> Result<Sampling, Refusal> {
        serde_json::from_str::<Common>(text)
            .expect("JSON")
            .sampling(10, 100)
    }

    #[test]
    fn a_request_says_how_tokens_are_drawn() {
        let sampling = common(
            r#"{"temperature":0.5,"top_k":-1,"min_p":0.1,"stop":"END","max_tokens":7,"user":"x"}"#,
        );
        let expected = Sampling {
            temperature: 0.5,
            min_p: 0.1,
            stop: vec!["END".into()],
            max_new_tokens: 7,
            ..Sampling::default()
        };
        assert_eq!(sampling, Ok(expected));
        assert_eq!(
            common("{}").expect("defaults").max_new_tokens,
            90,
            "the rest of the context"
        );
        assert_eq!(
            common(r#"{"stop":["a","b"]}"#).expect("stops").stop,
            ["a", "b"]
        );
    }

    #[test]
    fn what_is_out_of_its_range_is_refused_by_name() {
        let refused = |text: &str| {
            let common = read::<Common>(text.as_bytes())?;
            common
                .sampling(10, 100)
                .and_then(|sampling| common.control(50, sampling.max_new_tokens))
        };
        for (text, field, why) in [
            (
                r#"{"top_p":2.0}"#,
                "top_p",
                "`top_p` is 2, but must be above 0, at most 1",
            ),
            (
                r#"{"top_k":-5}"#,
                "top_k",
                "`top_k` is -5, but must be 1 or more, or 0 or -1 for all",
            ),
            (
                r#"{"max_tokens":0}"#,
                "max_tokens",
                "`max_tokens` is 0, but must be 1 or more",
            ),
            (
                r#"{"presence_penalty":3}"#,
                "presence_penalty",
                "`presence_penalty` is 3, but must be between -2 and 2",
            ),
            (
                r#"{"logit_bias":{"50":1}}"#,
                "logit_bias",
                "which is none of the 50 of this model",
            ),
            (
                r#"{"logit_bias":{"5":101}}"#,
                "logit_bias",
                "must be between -100 and 100",
            ),
            (
                r#"{"stop_token_ids":[50]}"#,
                "stop_token_ids",
                "`stop_token_ids` names token 50",
            ),
            (
                r#"{"min_tokens":91}"#,
                "min_tokens",
                "`min_tokens` is 91, but the answer may have 90 tokens",
            ),
            (
                r#"{"temperature":"hot"}"#,
                "temperature",
                "`temperature`: invalid type: string",
            ),
            (
                r#"{"stream_options":{"include_usage":1}}"#,
                "stream_options.include_usage",
                "expected a boolean",
            ),
        ] {
            let refusal = refused(text).map(drop).expect_err(text);
            assert_eq!(refusal.field.as_deref(), Some(field), "{text}");
            assert!(refusal.message.contains(why), "{}", refusal.message);
        }
        let control =
            refused(r#"{"logit_bias":{"5":-1.5},"stop_token_ids":[3],"ignore_eos":true}"#)
                .expect("fine");
        assert_eq!(
            (
                control.logit_bias,
                control.stop_token_ids,
                control.ignore_eos
            ),
            (vec![(5, -1.5)], vec![3], true)
        );
    }

    #[test]
    fn a_prompt_is_text_or_tokens_or_many_of_them() {
        let prompt = |text: &str| serde_json::from_str::<PromptInput>(text).expect("a prompt");
        assert_eq!(prompt(r#""a""#), PromptInput::Text("a".into()));
        assert_eq!(prompt("[1,2]"), PromptInput::Tokens(vec![1, 2]));
        assert_eq!(prompt(r#"["a"]"#), PromptInput::Texts(vec!["a".into()]));
        assert_eq!(
            prompt("[[1],[2]]"),
            PromptInput::ManyTokens(vec![vec![1], vec![2]])
        );
    }
}

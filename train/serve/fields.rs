//! Which fields of a request are taken: an allow-list.
//!
//! In: the JSON of a request. Out: nothing, or the field that is refused and why. A field that is not known may change the
//! answer that the client expects, so it is refused, with the name that may have been meant. `null` says nothing.
//! Example: `tempreature` is refused with `did you mean temperature?`; `user` is taken, for it changes no answer.

use serde_json::{Map, Value};

use super::protocol::Refusal;

/// What becomes of a field.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// It is obeyed.
    Obeyed,
    /// It changes no answer, whatever it says.
    Harmless,
    /// It is taken with this value alone, written as JSON: the server does so anyway.
    Only(&'static str),
    /// It is not supported; this is what to use instead.
    Instead(&'static str),
}

use Rule::{Harmless, Instead, Obeyed, Only};

/// The fields that both kinds of request share.
const COMMON: &[(&str, Rule)] = &[
    ("model", Obeyed),
    ("max_tokens", Obeyed),
    ("max_completion_tokens", Obeyed),
    ("temperature", Obeyed),
    ("top_p", Obeyed),
    ("top_k", Obeyed),
    ("min_p", Obeyed),
    ("repetition_penalty", Obeyed),
    ("frequency_penalty", Obeyed),
    ("presence_penalty", Obeyed),
    ("logit_bias", Obeyed),
    ("min_tokens", Obeyed),
    ("stop", Obeyed),
    ("stop_token_ids", Obeyed),
    ("ignore_eos", Obeyed),
    ("seed", Obeyed),
    ("n", Obeyed),
    ("stream", Obeyed),
    ("stream_options", Obeyed),
    ("return_token_ids", Obeyed),
    ("response_format", Obeyed),
    ("logprobs", Obeyed),
    ("user", Harmless),
    ("metadata", Harmless),
    ("store", Harmless),
    ("service_tier", Harmless),
    ("safety_identifier", Harmless),
    ("prompt_cache_key", Harmless),
    ("prompt_cache_retention", Harmless),
    ("prediction", Harmless),
    ("cache_prompt", Harmless),
    ("cache_salt", Harmless),
    ("priority", Harmless),
    ("request_id", Harmless),
    ("skip_special_tokens", Only("true")),
    ("spaces_between_special_tokens", Only("true")),
    ("detokenize", Only("true")),
    ("include_stop_str_in_output", Only("false")),
    ("return_tokens_as_token_ids", Only("false")),
    ("use_beam_search", Only("false")),
    ("early_stopping", Only("false")),
    ("length_penalty", Only("1.0")),
    ("typical_p", Only("1.0")),
    ("tfs_z", Only("1.0")),
    ("mirostat", Only("0")),
    ("bad_words", Only("[]")),
    ("functions", Instead("tools")),
    ("function_call", Instead("tool_choice")),
    ("guided_json", Instead("response_format")),
    ("guided_choice", Instead("response_format")),
    ("guided_regex", Instead("response_format")),
    ("guided_grammar", Instead("response_format")),
    ("guided_decoding_backend", Instead("response_format")),
    ("structured_outputs", Instead("response_format")),
    ("json_schema", Instead("response_format")),
    ("grammar", Instead("response_format")),
    ("repeat_penalty", Instead("repetition_penalty")),
    ("n_predict", Instead("max_tokens")),
    ("max_new_tokens", Instead("max_tokens")),
    ("max_output_tokens", Instead("max_tokens")),
    ("stop_sequences", Instead("stop")),
    ("ignore_eos_token", Instead("ignore_eos")),
    ("n_probs", Instead("logprobs")),
];

/// Those of `/v1/completions` alone.
const COMPLETION: &[(&str, Rule)] = &[
    ("prompt", Obeyed),
    ("add_special_tokens", Obeyed),
    ("best_of", Obeyed),
    ("echo", Only("false")),
    ("suffix", Only("\"\"")),
    ("messages", Instead("/v1/chat/completions")),
    ("tools", Only("[]")),
];

/// Those of `/v1/chat/completions` alone.
const CHAT: &[(&str, Rule)] = &[
    ("messages", Obeyed),
    ("top_logprobs", Obeyed),
    ("tools", Obeyed),
    ("tool_choice", Obeyed),
    ("parallel_tool_calls", Obeyed),
    ("chat_template_kwargs", Obeyed),
    ("add_generation_prompt", Obeyed),
    ("continue_final_message", Obeyed),
    ("add_special_tokens", Only("false")),
    ("modalities", Only("[\"text\"]")),
    ("verbosity", Only("\"medium\"")),
    ("echo", Only("false")),
    ("include_reasoning", Only("true")),
    ("reasoning_effort", Instead("chat_template_kwargs")),
    ("enable_thinking", Instead("chat_template_kwargs")),
    ("thinking", Instead("chat_template_kwargs")),
    ("prompt", Instead("/v1/completions")),
];

/// Those of a message.
const MESSAGE: &[(&str, Rule)] = &[
    ("role", Obeyed),
    ("content", Obeyed),
    ("name", Obeyed),
    ("tool_calls", Obeyed),
    ("tool_call_id", Obeyed),
    ("reasoning_content", Obeyed),
    ("reasoning", Obeyed),
    ("refusal", Only("\"\"")),
    ("annotations", Only("[]")),
    ("audio", Only("{}")),
    ("function_call", Instead("tool_calls")),
];

/// Those of a part of a message's content.
const PART: &[(&str, Rule)] = &[
    ("type", Only("\"text\"")),
    ("text", Obeyed),
    ("cache_control", Harmless),
];

/// Those of `stream_options`.
const STREAM: &[(&str, Rule)] = &[
    ("include_usage", Obeyed),
    ("include_obfuscation", Harmless),
    ("continuous_usage_stats", Only("false")),
];

/// Those of `response_format`, and of the schema in it.
const FORMAT: &[(&str, Rule)] = &[("type", Obeyed), ("json_schema", Obeyed)];
const SCHEMA: &[(&str, Rule)] = &[
    ("name", Harmless),
    ("description", Harmless),
    ("schema", Obeyed),
    ("strict", Harmless),
];

/// Looks at the fields of `POST /v1/completions`.
///
/// # Errors
///
/// Names the first field that is not taken.
pub fn check_completion(request: &Map<String, Value>) -> Result<(), Refusal> {
    check(request, "", &[COMMON, COMPLETION])?;
    check_nested(request)
}

/// Looks at the fields of `POST /v1/chat/completions`.
///
/// # Errors
///
/// As [`check_completion`].
pub fn check_chat(request: &Map<String, Value>) -> Result<(), Refusal> {
    check(request, "", &[COMMON, CHAT])?;
    for (at, message) in request
        .get("messages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let path = format!("messages[{at}].");
        check_object(Some(message), &path, MESSAGE)?;
        for part in message
            .get("content")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            check_object(Some(part), &format!("{path}content."), PART)?;
        }
    }
    check_nested(request)
}

fn check_nested(request: &Map<String, Value>) -> Result<(), Refusal> {
    check_object(request.get("stream_options"), "stream_options.", STREAM)?;
    let format = request.get("response_format");
    check_object(format, "response_format.", FORMAT)?;
    let schema = format.and_then(|format| format.get("json_schema"));
    check_object(schema, "response_format.json_schema.", SCHEMA)
}

fn check_object(value: Option<&Value>, path: &str, known: &[(&str, Rule)]) -> Result<(), Refusal> {
    value
        .and_then(Value::as_object)
        .map_or(Ok(()), |fields| check(fields, path, &[known]))
}

fn check(
    fields: &Map<String, Value>,
    path: &str,
    known: &[&[(&str, Rule)]],
) -> Result<(), Refusal> {
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let found = known
            .iter()
            .copied()
            .flatten()
            .find(|(known, _)| known == name);
        let why = match found.map(|(_, rule)| *rule) {
            Some(Obeyed | Harmless) => continue,
            Some(Only(only)) if is(value, only) => continue,
            Some(Instead(_)) if value.as_array().is_some_and(Vec::is_empty) => continue,
            Some(Only(only)) => {
                format!("`{path}{name}` is not supported by this server except as `{only}`")
            }
            Some(Instead(other)) => {
                format!("`{path}{name}` is not supported by this server; use `{other}`")
            }
            None => unknown(path, name, known),
        };
        return Err(Refusal::bad(Some(&format!("{path}{name}")), why));
    }
    Ok(())
}

/// Says that a field is unknown, and which may have been meant.
fn unknown(path: &str, name: &str, known: &[&[(&str, Rule)]]) -> String {
    let obeyed = known
        .iter()
        .copied()
        .flatten()
        .filter(|(_, rule)| matches!(rule, Obeyed | Harmless));
    let nearest = obeyed
        .map(|(known, _)| {
            (
                strsim::damerau_levenshtein(&name.to_lowercase(), known),
                *known,
            )
        })
        .min();
    let near = nearest.filter(|(distance, known)| *distance <= 1 + known.len() / 5);
    let meant = near
        .map(|(_, known)| format!("; did you mean `{known}`?"))
        .unwrap_or_default();
    let shown: String = name.chars().take(60).collect();
    format!("`{path}{shown}` is no field that this server knows{meant}")
}

/// Whether a value is the one that `only` writes; numbers are compared as numbers, and empty is empty.
fn is(value: &Value, only: &str) -> bool {
    let only: Value = serde_json::from_str(only).expect("the tables hold JSON");
    let numbers = value.as_f64().zip(only.as_f64());
    *value == only || numbers.is_some_and(|(a, b)| a == b) || (is_empty(&only) && is_empty(value))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(text: &str) -> Result<(), (Option<String>, String)> {
        let value: Map<String, Value> = serde_json::from_str(text).expect("JSON");
        check_chat(&value).map_err(|refusal| (refusal.field, refusal.message))
    }

    #[track_caller]
    fn assert_refused(text: &str, field: &str, words: &str) {
        let (named, why) = chat(text).expect_err(text);
        assert_eq!(named.as_deref(), Some(field), "{text}");
        assert!(why.contains(words), "{why}");
    }

    #[test]
    fn a_misspelled_field_is_refused_with_the_one_that_was_meant() {
        assert_refused(
            r#"{"tempreature":0}"#,
            "tempreature",
            "did you mean `temperature`?",
        );
        assert_refused(r#"{"Top_P":0.5}"#, "Top_P", "did you mean `top_p`?");
        assert_refused(
            r#"{"max_token":5}"#,
            "max_token",
            "did you mean `max_tokens`?",
        );
        let (_, why) = chat(r#"{"frobnicate":1}"#).expect_err("unknown");
        assert!(!why.contains("did you mean"), "{why}");
    }

    #[test]
    fn what_changes_an_answer_and_is_not_obeyed_is_refused() {
        assert_refused(
            r#"{"guided_json":{"type":"object"}}"#,
            "guided_json",
            "use `response_format`",
        );
        assert_refused(
            r#"{"guided_json":{}}"#,
            "guided_json",
            "use `response_format`",
        );
        assert_refused(
            r#"{"chat_template":"{{ 1 }}"}"#,
            "chat_template",
            "no field that this server knows",
        );
        assert_refused(
            r#"{"prompt_logprobs":1}"#,
            "prompt_logprobs",
            "prompt_logprobs",
        );
        assert_refused(r#"{"mirostat":2}"#, "mirostat", "except as `0`");
        assert_refused(
            r#"{"skip_special_tokens":false}"#,
            "skip_special_tokens",
            "except as `true`",
        );
        assert_refused(r#"{"bad_words":["a"]}"#, "bad_words", "except as `[]`");
        assert_refused(
            r#"{"functions":[{"name":"a"}]}"#,
            "functions",
            "use `tools`",
        );
        assert_refused(
            r#"{"stream_options":{"include_usages":true}}"#,
            "stream_options.include_usages",
            "`include_usage`",
        );
        assert_refused(
            r#"{"messages":[{"role":"user","prefix":true}]}"#,
            "messages[0].prefix",
            "no field",
        );
        let image = r#"{"messages":[{"content":[{"type":"image_url","image_url":{}}]}]}"#;
        assert_refused(image, "messages[0].content.type", "except as `\"text\"`");
    }

    #[test]
    fn what_changes_no_answer_is_taken() {
        for fine in [
            r#"{"user":"x","metadata":{"a":"b"},"store":true,"service_tier":"auto"}"#,
            r#"{"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
            r#"{"mirostat":0,"length_penalty":1,"typical_p":1.0,"bad_words":[],"functions":[]}"#,
            r#"{"messages":[{"role":"assistant","content":"x","refusal":null,"annotations":[],"audio":null}]}"#,
            r#"{"guided_json":null,"anything":null}"#,
        ] {
            assert_eq!(chat(fine), Ok(()), "{fine}");
        }
    }
}

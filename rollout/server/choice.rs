//! One choice of an answer as a [`Completion`], in the words of several servers.

use data::Tokenizer;
use data::template::EndOfTurn;
use serde_json::Value;

use super::{ServerError, failed};
use crate::policy::{Completion, PolicyError};
use crate::trajectory::Stop;

/// The completion that a choice tells.
///
/// # Errors
///
/// When it lacks tokens or log-probabilities, or ended for a reason that is not known here.
pub fn completion_of(
    url: &str,
    choice: &Value,
    prompt: &[u32],
    tokenizer: &Tokenizer,
    (end, stops): (&EndOfTurn, &[String]),
    version: u64,
) -> Result<Completion, PolicyError> {
    let unusable = |reason: String, hint| {
        failed(Box::new(ServerError::Unusable {
            url: url.to_owned(),
            reason,
            hint,
        }))
    };
    let mut logprobs = logprobs_of(choice).ok_or_else(|| {
        let hint =
            "log-probabilities are asked for with `logprobs: 1`; this server does not give them";
        unusable("it tells no log-probabilities".to_owned(), hint)
    })?;
    let mut tokens = tokens_of(choice).filter(|tokens| !tokens.is_empty()).ok_or_else(|| {
        let hint = "vLLM tells token ids from 0.10.2 on, llama.cpp's server and `train serve` always do";
        unusable("it tells text, but not which tokens it is".to_owned(), hint)
    })?;
    // A server that knows another end of turn writes on beyond this one.
    if let Some(at) = tokens
        .iter()
        .position(|id| end.contains(*id))
        .filter(|at| at + 1 < tokens.len())
    {
        let text = tokenizer.decode(&tokens[..at]);
        tokens.truncate(at + 1);
        logprobs.truncate(at + 1);
        return Completion::new(
            prompt.to_vec(),
            tokens,
            logprobs,
            text,
            Stop::EndOfTurn,
            version,
        );
    }
    let stop = match choice["finish_reason"].as_str() {
        Some("length") => Stop::Length,
        Some("stop") => {
            let written = tokenizer.decode(&tokens);
            let stopped = stops.iter().any(|stop| written.contains(stop.as_str()));
            if stopped {
                Stop::StopString
            } else {
                Stop::EndOfTurn
            }
        }
        other => {
            let reason = format!("its `finish_reason` is {other:?}, which is no end of an answer");
            return Err(unusable(reason, "look into the server's log"));
        }
    };
    let text = choice["text"].as_str().unwrap_or_default().to_owned();
    Completion::new(prompt.to_vec(), tokens, logprobs, text, stop, version)
}

fn logprobs_of(choice: &Value) -> Option<Vec<f32>> {
    let told = &choice["logprobs"];
    let numbers: Vec<&Value> = match told["token_logprobs"].as_array() {
        Some(numbers) => numbers.iter().collect(),
        None => told["content"]
            .as_array()?
            .iter()
            .map(|token| &token["logprob"])
            .collect(),
    };
    numbers
        .into_iter()
        .map(|number| Some(number.as_f64()? as f32))
        .collect()
}

fn tokens_of(choice: &Value) -> Option<Vec<u32>> {
    let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
    if let Some(tokens) = choice["token_ids"].as_array() {
        return tokens.iter().map(id).collect();
    }
    if let Some(content) = choice["logprobs"]["content"].as_array() {
        return content.iter().map(|token| id(&token["id"])).collect();
    }
    let named = choice["logprobs"]["tokens"].as_array()?;
    named
        .iter()
        .map(|token| token.as_str()?.strip_prefix("token_id:")?.parse().ok())
        .collect()
}

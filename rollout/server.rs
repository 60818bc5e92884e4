//! The OpenAI-compatible [`Policy`]: vLLM, llama.cpp's server, or `train serve`.
//!
//! In: requests. Out: completions, with the tokens and log-probabilities that the server told. The prompt goes out as
//! tokens and the answer comes back as tokens, so that what is trained is what was sampled.
//! A server that is busy or away is asked again, later and later; one that tells no tokens or no log-probabilities is
//! an error that says so.
//!
//! | server | how it tells tokens | log-probabilities |
//! |---|---|---|
//! | `train serve` | `token_ids` | at the request's temperature, over the whole vocabulary |
//! | vLLM from 0.10.2 on | `token_ids` | at temperature 1; with `--logprobs-mode processed_logprobs` after all cuts |
//! | llama.cpp | `id` beside each log-probability | at temperature 1 |

use std::sync::Arc;
use std::time::Duration;

use data::Tokenizer;
use data::template::{ChatTemplate, EndOfTurn};
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::policy::{Completion, Policy, PolicyError, Request, Sampling};

mod choice;

use choice::completion_of;

/// Where the server is, and how patient to be with it.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address up to `/v1`, e.g. `http://127.0.0.1:8000/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Requests that are open at once.
    pub concurrency: usize,
    /// How often a request is sent before it is given up.
    pub tries: u32,
    /// Between the first and the second try; twice as long with every further one, half a minute at most.
    pub first_wait: Duration,
    /// How long one try may take.
    pub timeout: Duration,
}

impl ServerConfig {
    /// The usual patience: 64 requests at once, six tries, ten minutes each.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        ServerConfig {
            url: url.into(),
            model: model.into(),
            concurrency: 64,
            tries: 6,
            first_wait: Duration::from_millis(500),
            timeout: Duration::from_secs(600),
        }
    }
}

/// A model behind HTTP.
pub struct Server<'a> {
    asked: Arc<Asked>,
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    end: EndOfTurn,
    runtime: Runtime,
    /// What [`Policy::version`] says: the optimizer steps behind the weights that the server has.
    pub version: u64,
}

/// What every request needs.
struct Asked {
    config: ServerConfig,
    client: Client,
    places: Semaphore,
}

/// Why the server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It cannot be reached, or it breaks off.
    #[error(
        "`{url}` does not answer: {reason}{}",
        data::Hint("is the server running, and is this its address?")
    )]
    Away {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It refuses.
    #[error("`{url}` answers {status}: {message}")]
    Refused {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It answers something else.
    #[error("`{url}` gives no completion: {reason}{}", data::Hint(.hint))]
    Unusable {
        /// The address.
        url: String,
        /// What is missing.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
}

/// What the server behind `url` calls its models.
///
/// # Errors
///
/// When it cannot be reached or tells no names.
pub fn served(url: &str) -> Result<Vec<String>, PolicyError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| failed(error.into()))?;
    let address = format!("{}/models", url.trim_end_matches('/'));
    let away = |error: reqwest::Error| {
        let reason = chain_of(&error);
        failed(Box::new(ServerError::Away {
            url: address.clone(),
            reason,
        }))
    };
    let told: Value = runtime.block_on(async {
        let client = Client::builder()
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(away)?;
        let response = client.get(&address).send().await.map_err(away)?;
        response
            .error_for_status()
            .map_err(away)?
            .json()
            .await
            .map_err(away)
    })?;
    let models = told["data"].as_array().into_iter().flatten();
    Ok(models
        .filter_map(|model| model["id"].as_str().map(str::to_owned))
        .collect())
}

impl<'a> Server<'a> {
    /// A policy that asks the server of `config`; prompts are written with `template` and `tokenizer`, which must be
    /// those of the model there.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub fn new(
        config: ServerConfig,
        tokenizer: &'a Tokenizer,
        template: &'a ChatTemplate,
    ) -> Result<Self, PolicyError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| failed(error.into()))?;
        let client = Client::builder()
            .timeout(config.timeout)
            .connect_timeout(Duration::from_secs(10))
            .build();
        let client = client.map_err(|error| failed(error.into()))?;
        let places = Semaphore::new(config.concurrency.max(1));
        let asked = Arc::new(Asked {
            config,
            client,
            places,
        });
        let end = template.end_of_turn(tokenizer);
        Ok(Server {
            asked,
            tokenizer,
            template,
            end,
            runtime,
            version: 0,
        })
    }
}

impl Policy for Server<'_> {
    fn complete(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
    ) -> Result<Vec<Vec<Completion>>, PolicyError> {
        sampling.check()?;
        let prompts = requests
            .iter()
            .map(|request| request.prompt(self.template, self.tokenizer));
        let prompts: Vec<Vec<u32>> = prompts.collect::<Result<_, _>>()?;
        let mut open = JoinSet::new();
        for (index, (request, prompt)) in requests.iter().zip(&prompts).enumerate() {
            let mut body = body(&self.asked.config.model, prompt, request, sampling);
            if !self.end.all().is_empty() {
                body["stop_token_ids"] = json!(self.end.all());
            }
            let (asked, attempts) = (self.asked.clone(), request.attempts);
            let ask = async move {
                asked
                    .choices(body, attempts)
                    .await
                    .map(|choices| (index, choices))
            };
            open.spawn_on(ask, self.runtime.handle());
        }
        let mut answers: Vec<Vec<Completion>> = vec![Vec::new(); requests.len()];
        let url = &self.asked.config.url;
        // The first failure ends the call; dropping the set ends what is still open.
        while let Some(done) = self.runtime.block_on(open.join_next()) {
            let (index, choices) = done
                .map_err(|error| failed(error.into()))?
                .map_err(|error| failed(Box::new(error)))?;
            let of = |choice: &Value| {
                let ends = (&self.end, sampling.stop.as_slice());
                completion_of(
                    url,
                    choice,
                    &prompts[index],
                    self.tokenizer,
                    ends,
                    self.version,
                )
            };
            answers[index] = choices.iter().map(of).collect::<Result<_, _>>()?;
        }
        Ok(answers)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Asked {
    /// So many answers to a request. A server that gives fewer than were asked for is asked for the rest.
    async fn choices(&self, mut body: Value, attempts: usize) -> Result<Vec<Value>, ServerError> {
        let mut choices = Vec::with_capacity(attempts);
        while choices.len() < attempts {
            body["n"] = json!(attempts - choices.len());
            // Another seed for what comes on top, or it would be the same again.
            let seed = body["seed"].as_u64().unwrap_or(0);
            let mut answer = self.patiently(&body).await?;
            let told = answer.get_mut("choices").and_then(Value::as_array_mut);
            let Some(more) = told.filter(|choices| !choices.is_empty()) else {
                let (url, reason) = (
                    self.config.url.clone(),
                    "the list `choices` is empty or absent".to_owned(),
                );
                return Err(ServerError::Unusable {
                    url,
                    reason,
                    hint: "is this an OpenAI-compatible server?",
                });
            };
            choices.append(more);
            body["seed"] = json!((seed + 1) & MOST_SEED);
        }
        choices.truncate(attempts);
        Ok(choices)
    }

    /// Asks until there is an answer, or no more tries.
    async fn patiently(&self, body: &Value) -> Result<Value, ServerError> {
        let _place = self
            .places
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let mut wait = self.config.first_wait;
        for _ in 1..self.config.tries.max(1) {
            match self.once(body).await {
                Ok(answer) => return Ok(answer),
                Err((error, Again::Never)) => return Err(error),
                Err((_, Again::After(asked))) => {
                    tokio::time::sleep(asked.unwrap_or(wait).min(LONGEST_WAIT)).await
                }
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        self.once(body).await.map_err(|(error, _)| error)
    }

    async fn once(&self, body: &Value) -> Result<Value, (ServerError, Again)> {
        let url = format!("{}/completions", self.config.url.trim_end_matches('/'));
        let away = |error: reqwest::Error| {
            let reason = chain_of(&error);
            (
                ServerError::Away {
                    url: url.clone(),
                    reason,
                },
                Again::After(None),
            )
        };
        let response = self
            .client
            .post(&url)
            .json(body)
            .send()
            .await
            .map_err(away)?;
        let status = response.status();
        if !status.is_success() {
            let again = again_of(&response);
            let text = response.text().await.unwrap_or_default();
            let message = message_of(&text);
            return Err((
                ServerError::Refused {
                    url,
                    status: status.as_u16(),
                    message,
                },
                again,
            ));
        }
        response.json().await.map_err(away)
    }
}

/// Whether a request that failed is worth another try.
enum Again {
    Never,
    /// After what the server asked for, if it did.
    After(Option<Duration>),
}

const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Seeds are signed numbers for some servers.
const MOST_SEED: u64 = i64::MAX as u64;

fn again_of(response: &Response) -> Again {
    let status = response.status();
    let later = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::CONFLICT,
    ];
    if !status.is_server_error() && !later.contains(&status) {
        return Again::Never;
    }
    let asked = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    Again::After(asked.map(Duration::from_secs))
}

/// What an error says for people, in OpenAI's form or as it is.
fn message_of(text: &str) -> String {
    let told: Option<Value> = serde_json::from_str(text).ok();
    let message = told.as_ref().and_then(|told| {
        told["error"]["message"]
            .as_str()
            .or(told["message"].as_str())
    });
    message.unwrap_or(text).chars().take(500).collect()
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> PolicyError {
    PolicyError::Failed {
        doing: "asking the server".to_owned(),
        source,
    }
}

fn body(model: &str, prompt: &[u32], request: &Request, sampling: &Sampling) -> Value {
    let mut body = json!({
        "model": model,
        "prompt": prompt,
        "seed": request.seed & MOST_SEED,
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "logprobs": 1,
        "return_token_ids": true,
    });
    // A server that does not know them is not troubled with what changes nothing.
    if sampling.top_k > 0 {
        body["top_k"] = json!(sampling.top_k);
    }
    if sampling.min_p > 0.0 {
        body["min_p"] = json!(sampling.min_p);
    }
    if sampling.repetition_penalty != 1.0 {
        body["repetition_penalty"] = json!(sampling.repetition_penalty);
    }
    if !sampling.stop.is_empty() {
        body["stop"] = json!(sampling.stop);
    }
    body
}

#[cfg(test)]
mod tests;

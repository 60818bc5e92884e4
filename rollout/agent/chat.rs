//! Any OpenAI-compatible chat server as a [`Writer`]: messages out, text in, as it is written.
//!
//! In: a conversation. Out: the answer. Unlike [`crate::server`] it needs no tokens and no log-probabilities, so that it
//! also takes servers of others, and nothing that it brings is trained on.
//! A server that is busy or away is asked again, later and later; one that breaks off in the middle is asked anew.

use std::time::Duration;

use data::sampling::{Sampling, Stop};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::writer::{Writer, Written};
use crate::policy::{PolicyError, Request};
use crate::server::{ServerConfig, ServerError};

/// An answer longer than this is cut off, whatever the server says.
const MOST_BYTES: usize = 4 << 20;
/// Between two tries at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A chat server.
pub struct ChatServer {
    config: ServerConfig,
    client: Client,
    runtime: Runtime,
    /// The key, where the server wants one.
    key: Option<String>,
}

/// Whether another try may help.
enum Fault {
    For(ServerError),
    Again(ServerError),
}

impl ChatServer {
    /// The server of `config`. `key` is sent as a bearer token.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub fn new(config: ServerConfig, key: Option<String>) -> Result<Self, PolicyError> {
        let failed = |source| PolicyError::Failed {
            doing: "preparing to ask the server".into(),
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| failed(error.into()))?;
        let client = Client::builder()
            .timeout(config.timeout)
            .connect_timeout(Duration::from_secs(10))
            .build();
        let client = client.map_err(|error| failed(error.into()))?;
        Ok(ChatServer {
            config,
            client,
            runtime,
            key,
        })
    }

    async fn once(&self, body: &Value, tell: &mut dyn FnMut(&str)) -> Result<Written, Fault> {
        let url = format!("{}/chat/completions", self.config.url.trim_end_matches('/'));
        let mut request = self.client.post(&url).json(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let away = |error: reqwest::Error| {
            let reason = error.to_string();
            Fault::Again(ServerError::Away {
                url: url.clone(),
                reason,
            })
        };
        let mut response = request.send().await.map_err(away)?;
        if !response.status().is_success() {
            return Err(refused(&url, response).await);
        }
        let mut stream = Stream::default();
        while let Some(bytes) = response.chunk().await.map_err(away)? {
            stream.take(&bytes, tell);
            if stream.too_long {
                break;
            }
        }
        stream.end(&url, tell)
    }
}

impl Writer for ChatServer {
    fn write(
        &mut self,
        request: &Request,
        sampling: &Sampling,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Written, PolicyError> {
        let body = body(&self.config.model, request, sampling);
        let mut wait = self.config.first_wait;
        let mut tries = self.config.tries.max(1);
        loop {
            tries -= 1;
            let fault = match self.runtime.block_on(self.once(&body, tell)) {
                Ok(written) => return Ok(written),
                Err(Fault::Again(_)) if tries > 0 => None,
                Err(Fault::Again(error) | Fault::For(error)) => Some(error),
            };
            if let Some(error) = fault {
                return Err(PolicyError::Failed {
                    doing: "asking the server".into(),
                    source: Box::new(error),
                });
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

fn body(model: &str, request: &Request, sampling: &Sampling) -> Value {
    let mut body = json!({
        "model": model,
        "messages": request.messages,
        "seed": request.attempt_seed(0) >> 1,
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": true,
    });
    if !sampling.stop.is_empty() {
        body["stop"] = json!(sampling.stop);
    }
    body
}

async fn refused(url: &str, response: Response) -> Fault {
    let status = response.status();
    let later = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::CONFLICT,
    ];
    let text = response.text().await.unwrap_or_default();
    let told: Option<Value> = serde_json::from_str(&text).ok();
    let message = told
        .as_ref()
        .and_then(|told| told["error"]["message"].as_str())
        .unwrap_or(&text);
    let message = message.chars().take(500).collect();
    let error = ServerError::Refused {
        url: url.to_string(),
        status: status.as_u16(),
        message,
    };
    if status.is_server_error() || later.contains(&status) {
        Fault::Again(error)
    } else {
        Fault::For(error)
    }
}

/// An answer that comes in pieces: events of a stream, or one object where the server does not stream.
#[derive(Default)]
struct Stream {
    line: Vec<u8>,
    /// What is no event.
    rest: String,
    text: String,
    stop: Option<Stop>,
    done: bool,
    /// More came than any answer needs.
    too_long: bool,
}

impl Stream {
    fn take(&mut self, bytes: &[u8], tell: &mut dyn FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.too_long
                || self.line.len() + self.rest.len() + self.text.len() + part.len() > MOST_BYTES
            {
                self.too_long = true;
                return;
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.event(&String::from_utf8_lossy(&line), tell);
            }
        }
    }

    fn event(&mut self, line: &str, tell: &mut dyn FnMut(&str)) {
        match line.trim_end().strip_prefix("data:").map(str::trim) {
            Some("[DONE]") => self.done = true,
            Some(data) => {
                let event: Value = serde_json::from_str(data).unwrap_or_default();
                self.choice(&event["choices"][0], "delta", tell);
            }
            None => self.rest.push_str(line),
        }
    }

    fn choice(&mut self, choice: &Value, part: &str, tell: &mut dyn FnMut(&str)) {
        if let Some(text) = choice[part]["content"].as_str() {
            tell(text);
            self.text.push_str(text);
        }
        match choice["finish_reason"].as_str() {
            Some("length") => self.stop = Some(Stop::Length),
            Some(_) => self.stop = Some(Stop::EndOfTurn),
            None => {}
        }
    }

    fn end(mut self, url: &str, tell: &mut dyn FnMut(&str)) -> Result<Written, Fault> {
        if self.too_long {
            return Ok(Written {
                text: self.text,
                stop: Stop::Length,
                tokens: 0,
            });
        }
        let line = std::mem::take(&mut self.line);
        self.event(&String::from_utf8_lossy(&line), tell);
        if let Ok(whole) = serde_json::from_str::<Value>(&self.rest) {
            self.choice(&whole["choices"][0], "message", tell);
        }
        match self.stop {
            Some(stop) => Ok(Written {
                text: self.text,
                stop,
                tokens: 0,
            }),
            // A stream that ends by its mark and tells no reason is whole.
            None if self.done => Ok(Written {
                text: self.text,
                stop: Stop::EndOfTurn,
                tokens: 0,
            }),
            None => Err(Fault::Again(ServerError::Unusable {
                url: url.to_string(),
                reason: "the answer broke off before its end".to_string(),
                hint: "is this an OpenAI-compatible chat server, and is it still running?",
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> Result<(Written, String), String> {
        let (mut stream, mut told) = (Stream::default(), String::new());
        pieces
            .iter()
            .for_each(|piece| stream.take(piece.as_bytes(), &mut |text| told.push_str(text)));
        match stream.end("http://x", &mut |text| told.push_str(text)) {
            Ok(written) => Ok((written, told)),
            Err(Fault::Again(error) | Fault::For(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_stream_is_told_as_it_comes_and_an_object_at_its_end() {
        let pieces = [
            "data: {\"choices\":[{\"delta\":{\"content\":\"a",
            "b\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"c\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ];
        let (written, told) = read(&pieces).expect("is whole");
        assert_eq!(
            (written.text.as_str(), written.stop, told.as_str()),
            ("abc", Stop::EndOfTurn, "abc")
        );
        let whole = [
            "{\"choices\":[{\"message\":{\"content\":\"x\"},",
            "\"finish_reason\":\"length\"}]}",
        ];
        let (written, told) = read(&whole).expect("is whole");
        assert_eq!(
            (written.text.as_str(), written.stop, told.as_str()),
            ("x", Stop::Length, "x")
        );
    }

    #[test]
    fn an_answer_that_never_ends_is_cut_off() {
        let long = "x".repeat(MOST_BYTES);
        let (written, _) = read(&["data: ", &long, &long]).expect("is cut off");
        assert_eq!(written.stop, Stop::Length);
    }

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        let broken = ["data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"];
        assert!(read(&broken).is_err_and(|why| why.contains("broke off before its end")));
        assert!(read(&["<html>nothing</html>"]).is_err());
    }
}

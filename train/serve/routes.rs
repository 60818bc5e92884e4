//! Paths and what is done there.

use std::io::Read;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tiny_http::{Header, Method, Request, Response};

use super::Server;
use super::answer::Asked;
use super::conversation::ChatRequest;
use super::protocol::{CompletionRequest, Refusal};

/// The largest body of a request.
const MAX_BODY: u64 = 16 << 20;

/// Answers a request, whatever it asks.
pub fn answer(server: &Arc<Server>, mut request: Request) {
    let path = request.url().split('?').next().unwrap_or_default().to_owned();
    match (&request.method().clone(), path.as_str()) {
        (Method::Get, "/health") => health(server, request),
        (Method::Get, "/metrics") => {
            let text = server.numbers.render(server.worker.load());
            respond(request, 200, text, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        }
        (Method::Get, "/v1/models") => tell(request, 200, &models(server)),
        (Method::Post, "/v1/completions") => {
            let asked = read(&mut request).and_then(|asked: CompletionRequest| Asked::completion(server, &asked));
            complete(server, request, asked);
        }
        (Method::Post, "/v1/chat/completions") => {
            let asked = read(&mut request).and_then(|asked: ChatRequest| Asked::chat(server, &asked));
            complete(server, request, asked);
        }
        (_, "/health" | "/metrics" | "/v1/models" | "/v1/completions" | "/v1/chat/completions") => {
            refuse(request, &Refusal { status: 405, ..unknown() });
        }
        _ => refuse(request, &Refusal { status: 404, ..unknown() }),
    }
}

fn complete(server: &Server, request: Request, asked: Result<Asked, Refusal>) {
    let told = match asked {
        Ok(asked) => asked.answer(request),
        Err(refusal) => {
            refuse(request, &refusal);
            refusal.status
        }
    };
    server.numbers.request(told);
}

fn health(server: &Server, request: Request) {
    if server.worker.is_well() {
        tell(request, 200, &json!({ "status": "ok" }));
    } else {
        tell(request, 503, &json!({ "status": "the model has failed" }));
    }
}

fn models(server: &Server) -> Value {
    let model = json!({
        "id": server.served.name, "object": "model", "created": 0, "owned_by": "train",
        "max_model_len": server.served.config.max_position_embeddings,
    });
    json!({ "object": "list", "data": [model] })
}

fn unknown() -> Refusal {
    const KNOWN: &str = "known are `GET /health`, `/metrics`, `/v1/models` and `POST /v1/completions`, \
                         `/v1/chat/completions`";
    Refusal::bad(None, format!("nothing is done here; {KNOWN}"))
}

fn read<T: DeserializeOwned>(request: &mut Request) -> Result<T, Refusal> {
    let mut body = Vec::new();
    let read = request.as_reader().take(MAX_BODY + 1).read_to_end(&mut body);
    read.map_err(|error| Refusal::bad(None, format!("the body cannot be read: {error}")))?;
    if body.len() as u64 > MAX_BODY {
        return Err(Refusal { status: 413, ..Refusal::bad(None, format!("the body has more than {MAX_BODY} bytes")) });
    }
    serde_json::from_slice(&body).map_err(|error| Refusal::bad(None, format!("the body is no such request: {error}")))
}

/// Answers with JSON.
pub fn tell(request: Request, status: u16, value: &Value) {
    respond(request, status, value.to_string(), "application/json");
}

/// Answers with what is wrong.
pub fn refuse(request: Request, refusal: &Refusal) {
    tell(request, refusal.status, &refusal.body());
}

fn respond(request: Request, status: u16, text: String, content_type: &str) {
    let mut response = Response::from_string(text).with_status_code(status);
    response.add_header(header("Content-Type", content_type));
    if status == 429 {
        response.add_header(header("Retry-After", "1"));
    }
    // Who does not wait for the answer does not get one.
    request.respond(response).ok();
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("plain letters make a header")
}

//! Paths and what is done there.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::Server;
use super::answer::{Asked, failed};
use super::prompt::{self, Reader};
use super::protocol::Refusal;
use super::record::Record;

/// The largest body of a request.
const MAX_BODY: usize = 16 << 20;
/// How long a client may take to send it.
const BODY: Duration = Duration::from_secs(60);
/// What Prometheus wants to hear about the text it gets.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All paths. Pages of `origins` may ask; `*` stands for all pages.
pub fn router(server: Arc<Server>, origins: &[HeaderValue]) -> Router {
    let guarded = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
        .route("/v1/completions", post(completions))
        .route("/v1/chat/completions", post(chat))
        .layer(from_fn_with_state(server.clone(), authorize));
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .merge(guarded)
        .fallback(async || unknown(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || unknown(StatusCode::METHOD_NOT_ALLOWED))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(server);
    if origins.is_empty() {
        router
    } else {
        router.layer(cors(origins))
    }
}

fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.to_vec())
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods(Any)
        .allow_headers(Any)
}

/// Lets through who has the key, where there is one.
async fn authorize(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let Some(key) = &server.api_key else {
        return next.run(request).await;
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    // Hashes are compared in constant time.
    if given.is_some_and(|given| blake3::hash(given.trim().as_bytes()) == *key) {
        return next.run(request).await;
    }
    let message = "the API key is missing or wrong; send it as `Authorization: Bearer KEY`";
    Refusal {
        status: 401,
        kind: "invalid_api_key",
        ..Refusal::bad(None, message)
    }
    .into_response()
}

async fn completions(State(server): State<Arc<Server>>, request: Request) -> Response {
    complete(server, request, "/v1/completions", prompt::completion).await
}

async fn chat(State(server): State<Arc<Server>>, request: Request) -> Response {
    complete(server, request, "/v1/chat/completions", prompt::chat).await
}

async fn complete(
    server: Arc<Server>,
    request: Request,
    path: &'static str,
    read: Reader,
) -> Response {
    let mut record = Record::new(&server, path);
    let body = match body_of(request).await {
        Ok(body) => body,
        Err(refusal) => {
            record.end(refusal.status);
            return refusal.into_response();
        }
    };
    // Templates and tokenizers take their time, which no other client waits for.
    let asked = tokio::task::spawn_blocking(move || match read(&server.served, &body) {
        Ok(prompted) => Asked::new(&server, prompted, record),
        Err(refusal) => {
            record.end(refusal.status);
            Err(refusal)
        }
    });
    match asked.await {
        Ok(Ok(asked)) => asked.answer().await,
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => failed().into_response(),
    }
}

async fn body_of(request: Request) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(BODY, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal {
            status: 413,
            ..Refusal::bad(None, format!("the body has more than {MAX_BODY} bytes"))
        }),
        Ok(Err(rejection)) => Err(Refusal::bad(
            None,
            format!("the body cannot be read: {rejection}"),
        )),
        Err(_) => {
            let message = format!("the body did not come within {} s", BODY.as_secs());
            Err(Refusal {
                status: 408,
                ..Refusal::bad(None, message)
            })
        }
    }
}

async fn health(State(server): State<Arc<Server>>) -> Response {
    if server.worker.is_well() {
        Json(json!({ "status": "ok" })).into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "the model has failed" })),
        )
            .into_response()
    }
}

async fn metrics(State(server): State<Arc<Server>>) -> Response {
    (
        [(header::CONTENT_TYPE, METRICS)],
        server.numbers.render(server.worker.load()),
    )
        .into_response()
}

async fn models(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(json!({ "object": "list", "data": [described(&server)] }))
}

async fn model(State(server): State<Arc<Server>>, Path(id): Path<String>) -> Response {
    if id == server.served.name {
        return Json(described(&server)).into_response();
    }
    let message = format!(
        "the model `{id}` is not served here; `{}` is",
        server.served.name
    );
    Refusal {
        status: 404,
        ..Refusal::bad(Some("model"), message)
    }
    .into_response()
}

fn described(server: &Server) -> Value {
    json!({
        "id": server.served.name, "object": "model", "created": server.started, "owned_by": "train",
        "max_model_len": server.served.config.max_position_embeddings,
    })
}

fn unknown(status: StatusCode) -> Response {
    const KNOWN: &str = "known are `GET /health`, `/metrics`, `/v1/models`, `/v1/models/NAME` and \
                         `POST /v1/completions`, `/v1/chat/completions`";
    let message = format!("no such endpoint; {KNOWN}");
    Refusal {
        status: status.as_u16(),
        ..Refusal::bad(None, message)
    }
    .into_response()
}

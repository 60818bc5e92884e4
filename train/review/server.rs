//! Paths and what is done there.
//!
//! In: requests of the page, or of a script that speaks HTTP. Out: JSON, and streams of events while tests run.
//! Example: `POST /api/item/3/run` with `{"files": {"money.py": "…"}}` streams `state`, `output` and, last, `done`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event as Sse, KeepAlive, Sse as Stream};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::agreement::agreements;
use super::diff::marks;
use super::guard::{Guard, check};
use super::judge::{Event, Hears, Judge, model_files, patch_of};
use super::store::{Conflict, Draft, Files, Filter, Item, Store, Verdict, VerdictKind};
use super::view::{file_view, view};

/// The largest body of a request.
const MAX_BODY: usize = 16 << 20;
/// Rows of the list that one request may ask for.
const MAX_ROWS: i64 = 500;
/// The longest name of a reviewer.
const MAX_NAME: usize = 64;

/// What every handler knows.
pub struct Server {
    /// The queue.
    pub store: Arc<Store>,
    /// The tests.
    pub judge: Arc<Judge>,
    /// Who reviews where the page names nobody.
    pub reviewer: String,
}

type Shared = State<Arc<Server>>;

/// All paths, behind the guard.
pub fn router(server: Arc<Server>, guard: Guard) -> Router {
    Router::new()
        .route("/", get(|| asset("text/html", include_str!("page.html"))))
        .route(
            "/app.js",
            get(|| asset("text/javascript", include_str!("app.js"))),
        )
        .route(
            "/code.js",
            get(|| asset("text/javascript", include_str!("code.js"))),
        )
        .route(
            "/style.css",
            get(|| asset("text/css", include_str!("style.css"))),
        )
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/api/start", get(start))
        .route("/api/items", get(items))
        .route("/api/next", get(next))
        .route("/api/undo", post(undo))
        .route("/api/item/{id}", get(item))
        .route("/api/item/{id}/file", get(file))
        .route("/api/item/{id}/marks", post(marked))
        .route("/api/item/{id}/draft", put(draft))
        .route("/api/item/{id}/run", post(run))
        .route("/api/item/{id}/minimize", post(minimize))
        .route("/api/item/{id}/verdict", post(verdict))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::new(guard), check))
        .with_state(server)
}

async fn asset(kind: &str, text: &'static str) -> Response {
    let kind = format!("{kind}; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Whatever a handler could not do, as JSON.
struct Refusal(StatusCode, Value);

impl Refusal {
    fn new(status: StatusCode, said: impl Into<String>) -> Self {
        Refusal(status, json!({ "error": said.into() }))
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Conflict>() {
            Ok(conflict) => Refusal(
                StatusCode::CONFLICT,
                json!({ "error": conflict.to_string(), "draft": conflict.0 }),
            ),
            Err(error) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}")),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

type Answer = Result<Json<Value>, Refusal>;

/// Runs what reads the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let broken = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the server broke here");
    tokio::task::spawn_blocking(work).await.map_err(broken)?
}

impl Server {
    fn item(&self, id: i64) -> Result<Item, Refusal> {
        let none = || Refusal::new(StatusCode::NOT_FOUND, format!("there is no item {id}"));
        self.store.item(id)?.ok_or_else(none)
    }

    /// A name of a reviewer, or the one of the command line.
    fn reviewer(&self, named: Option<&str>) -> Result<String, Refusal> {
        let name = named.map(str::trim).filter(|name| !name.is_empty());
        let name = name.unwrap_or(&self.reviewer);
        if name.len() > MAX_NAME || name.chars().any(char::is_control) {
            let said = format!("a reviewer's name has at most {MAX_NAME} bytes in one line");
            return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, said));
        }
        Ok(name.to_string())
    }
}

#[derive(Deserialize)]
struct Who {
    reviewer: Option<String>,
    #[serde(default)]
    after: i64,
}

#[derive(Deserialize)]
struct Listing {
    reviewer: Option<String>,
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    search: String,
    #[serde(default)]
    offset: i64,
    #[serde(default)]
    limit: i64,
}

/// Who reviews, how far, and where to go on.
async fn start(State(server): Shared, Query(who): Query<Who>) -> Answer {
    blocking(move || {
        let reviewer = server.reviewer(who.reviewer.as_deref())?;
        Ok(Json(json!({
            "progress": server.store.progress(&reviewer)?,
            "next": server.store.next_open(&reviewer, who.after)?,
            "agreements": agreements(&server.store.pairs()?),
            "reviewer": reviewer,
        })))
    })
    .await
}

async fn items(State(server): Shared, Query(asked): Query<Listing>) -> Answer {
    blocking(move || {
        let reviewer = server.reviewer(asked.reviewer.as_deref())?;
        let window = (asked.offset.max(0), asked.limit.clamp(1, MAX_ROWS));
        let (total, rows) =
            server
                .store
                .list(&reviewer, (asked.filter, asked.search.trim()), window)?;
        Ok(Json(json!({ "total": total, "rows": rows })))
    })
    .await
}

async fn next(State(server): Shared, Query(who): Query<Who>) -> Answer {
    blocking(move || {
        let reviewer = server.reviewer(who.reviewer.as_deref())?;
        Ok(Json(
            json!({ "next": server.store.next_open(&reviewer, who.after)? }),
        ))
    })
    .await
}

async fn item(State(server): Shared, Path(id): Path<i64>, Query(who): Query<Who>) -> Answer {
    blocking(move || {
        let reviewer = server.reviewer(who.reviewer.as_deref())?;
        let item = server.item(id)?;
        let view = view(&server.store, &server.judge, &item, &reviewer)?;
        Ok(Json(
            serde_json::to_value(view).map_err(anyhow::Error::from)?,
        ))
    })
    .await
}

/// Another file of the tree, to be changed as well.
async fn file(
    State(server): Shared,
    Path(id): Path<i64>,
    Query(asked): Query<HashMap<String, String>>,
) -> Answer {
    blocking(move || {
        let item = server.item(id)?;
        let path = asked.get("path").map(String::as_str).unwrap_or_default();
        let unusable = |why: String| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why);
        data::patch::check_path(path).map_err(|error| unusable(error.to_string()))?;
        let model = model_files(&item).unwrap_or_default();
        let view = file_view(&item, path, &model, None);
        Ok(Json(
            serde_json::to_value(view).map_err(anyhow::Error::from)?,
        ))
    })
    .await
}

#[derive(Deserialize)]
struct Texts {
    old: String,
    new: String,
}

/// What differs between two texts.
async fn marked(State(_): Shared, Path(_): Path<i64>, Json(texts): Json<Texts>) -> Answer {
    blocking(move || {
        let found = marks(&texts.old, &texts.new);
        Ok(Json(
            serde_json::to_value(found).map_err(anyhow::Error::from)?,
        ))
    })
    .await
}

#[derive(Deserialize)]
struct Saving {
    reviewer: Option<String>,
    #[serde(flatten)]
    draft: Draft,
}

async fn draft(State(server): Shared, Path(id): Path<i64>, Json(saving): Json<Saving>) -> Answer {
    blocking(move || {
        let reviewer = server.reviewer(saving.reviewer.as_deref())?;
        let item = server.item(id)?;
        for path in saving.draft.files.keys() {
            data::patch::check_path(path).map_err(|error| anyhow!("`{path}`: {error}"))?;
        }
        let version = server.store.save_draft(item.id, &reviewer, &saving.draft)?;
        Ok(Json(json!({ "version": version })))
    })
    .await
}

#[derive(Deserialize)]
struct Running {
    /// The model's own files where none are given.
    files: Option<Files>,
}

/// Streams what a piece of work tells.
fn streamed(work: impl FnOnce(&Hears) -> Result<Event> + Send + 'static) -> Response {
    let (sender, receiver) = unbounded_channel::<Event>();
    tokio::task::spawn_blocking(move || {
        let told = sender.clone();
        // Who left hears nothing more; the run ends by its own limits, and what it says is kept.
        let hears: Hears = Arc::new(move |event| drop(told.send(event)));
        let last = work(&hears).unwrap_or_else(|error| Event::Failed {
            text: format!("{error:#}"),
        });
        sender.send(last).ok();
    });
    let events = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let event = receiver.recv().await?;
        let text = serde_json::to_string(&event).unwrap_or_default();
        Some((Ok::<_, Infallible>(Sse::default().data(text)), receiver))
    });
    Stream::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

async fn run(
    State(server): Shared,
    Path(id): Path<i64>,
    Json(asked): Json<Running>,
) -> Result<Response, Refusal> {
    let shared = server.clone();
    let item = blocking(move || shared.item(id)).await?;
    Ok(streamed(move |hears| {
        let files = asked.files.map_or_else(|| model_files(&item), Ok)?;
        let told = server.judge.run(&item, &files, hears)?;
        Ok(Event::Done {
            told: Box::new(told),
        })
    }))
}

async fn minimize(
    State(server): Shared,
    Path(id): Path<i64>,
    Json(asked): Json<Running>,
) -> Result<Response, Refusal> {
    let shared = server.clone();
    let item = blocking(move || shared.item(id)).await?;
    Ok(streamed(move |hears| {
        let files = asked.files.map_or_else(|| model_files(&item), Ok)?;
        server.judge.minimize(&item, &files, hears)
    }))
}

#[derive(Deserialize)]
struct Deciding {
    reviewer: Option<String>,
    /// `accept` stands for storing what is in the person's column; it is an edit where that is not the model's.
    kind: VerdictKind,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    files: Files,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    keys: i64,
}

async fn verdict(
    State(server): Shared,
    Path(id): Path<i64>,
    Json(deciding): Json<Deciding>,
) -> Answer {
    blocking(move || {
        let reviewer = server.reviewer(deciding.reviewer.as_deref())?;
        let item = server.item(id)?;
        let (kind, patch) = decided(&server, &item, &deciding)?;
        server.store.decide(&Verdict {
            id: 0,
            item: id,
            reviewer: reviewer.clone(),
            kind,
            reason: deciding.reason.trim().to_string(),
            patch,
            seconds: deciding.seconds.clamp(0.0, 1e7),
            keys: deciding.keys.max(0),
            at: 0,
        })?;
        Ok(Json(json!({
            "kind": kind,
            "next": server.store.next_open(&reviewer, id)?,
            "progress": server.store.progress(&reviewer)?,
        })))
    })
    .await
}

/// What a verdict is, and its patch: only what passed as it is can be stored as a fix.
fn decided(
    server: &Server,
    item: &Item,
    deciding: &Deciding,
) -> Result<(VerdictKind, String), Refusal> {
    let unusable = |why: &str| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    match deciding.kind {
        VerdictKind::Skip => return Ok((VerdictKind::Skip, String::new())),
        VerdictKind::Undo => return Ok((VerdictKind::Undo, String::new())),
        VerdictKind::Reject if deciding.reason.trim().is_empty() => {
            return Err(unusable("a rejection needs a reason"));
        }
        VerdictKind::Reject => return Ok((VerdictKind::Reject, String::new())),
        VerdictKind::Accept | VerdictKind::Edit => {}
    }
    let patch = patch_of(item, &deciding.files)?;
    let told = server.judge.known(item, &patch)?;
    if patch.is_empty() || !told.is_some_and(|told| told.passes) {
        let said =
            "these files did not pass the tests: run them first, and store exactly what passed";
        return Err(Refusal::new(StatusCode::CONFLICT, said));
    }
    let model = model_files(item).and_then(|files| patch_of(item, &files));
    let kind = if model.is_ok_and(|model| model == patch) {
        VerdictKind::Accept
    } else {
        VerdictKind::Edit
    };
    Ok((kind, patch.text().to_string()))
}

/// Takes the reviewer's latest verdict back.
async fn undo(State(server): Shared, Json(who): Json<Who>) -> Answer {
    blocking(move || {
        let reviewer = server.reviewer(who.reviewer.as_deref())?;
        let Some(item) = server.store.latest(&reviewer)? else {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "there is nothing to undo",
            ));
        };
        server.store.decide(&Verdict {
            id: 0,
            item,
            reviewer: reviewer.clone(),
            kind: VerdictKind::Undo,
            reason: String::new(),
            patch: String::new(),
            seconds: 0.0,
            keys: 0,
            at: 0,
        })?;
        Ok(Json(
            json!({ "item": item, "progress": server.store.progress(&reviewer)? }),
        ))
    })
    .await
}

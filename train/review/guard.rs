//! Who may ask: the holder of the token, from this page, under this host's name.
//!
//! In: a request. Out: the answer, or a refusal. The token is in the address that the terminal shows; the first visit puts
//! it into a cookie that no script can read and no other site can send. A foreign `Host` (DNS rebinding) and a foreign
//! `Origin` are refused before anything is read.
//! Example: `curl http://127.0.0.1:8765/api/items` is answered 401, with `-H 'Authorization: Bearer TOKEN'` 200.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Nothing but our own files, and nothing inline; no page may frame this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is checked.
pub struct Guard {
    token: String,
    /// Names under which this server is asked, with the port.
    hosts: Vec<String>,
    /// Cookies of a host are shared by its ports.
    cookie: String,
}

impl Guard {
    /// For a server at `address`.
    pub fn new(token: String, address: SocketAddr) -> Self {
        let port = address.port();
        let mut hosts = vec![address.to_string()];
        if address.ip().is_loopback() {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}")));
        }
        Guard {
            token,
            hosts,
            cookie: format!("review_{port}"),
        }
    }

    fn is_token(&self, given: &str) -> bool {
        // Hashes are compared in constant time.
        blake3::hash(given.as_bytes()) == blake3::hash(self.token.as_bytes())
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let cookies = text(header::COOKIE).unwrap_or_default().split("; ");
        let cookie = cookies
            .filter_map(|cookie| cookie.split_once('='))
            .find(|(name, _)| *name == self.cookie);
        bearer
            .or(cookie.map(|(_, value)| value))
            .is_some_and(|given| self.is_token(given))
    }

    /// Why a request is refused.
    fn fault(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text("host").unwrap_or_default();
        if !self.hosts.iter().any(|known| known == host) {
            return Some((
                StatusCode::MISDIRECTED_REQUEST,
                "this server has another name; use the address that the terminal shows",
            ));
        }
        let same = |origin: &str| origin.strip_prefix("http://") == Some(host);
        if text("origin").is_some_and(|origin| !same(origin))
            || text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
        {
            return Some((
                StatusCode::FORBIDDEN,
                "another page may not ask this server",
            ));
        }
        None
    }
}

/// Lets through who may ask, and tells browsers what the page may do.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    // A click on a link in a mail comes from another site, and may open the page; it must bring the token.
    let fault = guard.fault(request.headers());
    let mut response = if opens(&guard, &request) {
        entered(&guard)
    } else if let Some(refusal) = fault {
        refusal.into_response()
    } else if guard.has_token(request.headers()) {
        next.run(request).await
    } else {
        let said = "the token is missing or wrong: open the address that `train review` shows in its terminal";
        (StatusCode::UNAUTHORIZED, said).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// Whether a request opens the page with the right token in its address, under the right name.
fn opens(guard: &Guard, request: &Request) -> bool {
    let host = request
        .headers()
        .get("host")
        .and_then(|host| host.to_str().ok());
    let pairs = request.uri().query().unwrap_or_default().split('&');
    let token = pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == "token");
    request.method() == axum::http::Method::GET
        && request.uri().path() == "/"
        && host.is_some_and(|host| guard.hosts.iter().any(|known| known == host))
        && request.headers().get("origin").is_none()
        && token.is_some_and(|(_, token)| guard.is_token(token))
}

/// The token goes into a cookie and out of the address.
fn entered(guard: &Guard) -> Response {
    let cookie = format!(
        "{}={}; HttpOnly; SameSite=Strict; Path=/",
        guard.cookie, guard.token
    );
    // A page that sends itself on, so that the cookie counts as its own even after a click on a foreign link.
    let page = "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content='0; url=/'><title>review</title><p><a href=/>Open the queue</a>";
    let headers = [
        (header::SET_COOKIE, cookie),
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_string()),
    ];
    (headers, page).into_response()
}

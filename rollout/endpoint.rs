//! Where Prometheus asks for the numbers: `GET /metrics`.
//!
//! In: an address and the numbers. Out: a server that answers until it is dropped.
//! Example: `curl http://127.0.0.1:9184/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;

use crate::counts::Counts;
use crate::http::{HttpServer, Limits};

/// What Prometheus wants to hear about the text it gets.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on `{address}` for `--metrics-addr`: {reason}{}",
    data::Hint("choose another port, or 0 for any that is free")
)]
pub struct EndpointError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub reason: String,
}

/// A server that answers until it is dropped.
pub struct Endpoint(HttpServer);

impl Endpoint {
    /// Listens on `address` and tells `counts`.
    ///
    /// # Errors
    ///
    /// When somebody else listens there, or it is no address of this machine.
    pub fn bind(address: SocketAddr, counts: Arc<Counts>) -> Result<Self, EndpointError> {
        let metrics = move || async move { ([(header::CONTENT_TYPE, TEXT)], counts.render()) };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .fallback(async || (StatusCode::NOT_FOUND, "see /metrics\n"));
        let server = HttpServer::bind(address, router, Limits::default());
        server.map(Endpoint).map_err(|error| EndpointError {
            address,
            reason: error.to_string(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .expect("asks");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    #[test]
    fn the_numbers_are_told_and_an_address_that_is_taken_is_refused() {
        let any = "127.0.0.1:0".parse().expect("an address");
        let endpoint = Endpoint::bind(any, Arc::default()).expect("listens");
        let address = endpoint.address();
        let text = get(address, "/metrics");
        assert!(
            text.starts_with("HTTP/1.1 200") && text.contains("\nrollout_oom_total 0\n"),
            "{text}"
        );
        assert!(get(address, "/").starts_with("HTTP/1.1 404"));
        let refused = Endpoint::bind(address, Arc::default())
            .map(drop)
            .expect_err("in use")
            .to_string();
        assert!(
            refused.contains(&address.to_string()) && refused.contains("\nhint: "),
            "{refused}"
        );
    }
}

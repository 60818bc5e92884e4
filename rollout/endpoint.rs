//! Where Prometheus asks for the numbers: `GET /metrics`.
//!
//! In: an address and the numbers. Out: a thread that answers, until it is dropped.
//! Example: `curl http://127.0.0.1:9184/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tiny_http::{Header, Method, Response, Server};

use crate::counts::Counts;

/// What Prometheus wants to hear about the text it gets.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on `{address}` for `--metrics-addr`: {reason}\nhint: choose another port, or 0 for any that is free"
)]
pub struct EndpointError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub reason: String,
}

/// A thread that answers.
pub struct Endpoint {
    server: Arc<Server>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Listens on `address` and tells `counts`.
    ///
    /// # Errors
    ///
    /// When somebody else listens there, or it is no address of this machine.
    pub fn bind(address: SocketAddr, counts: Arc<Counts>) -> Result<Self, EndpointError> {
        let failed = |reason: String| EndpointError { address, reason };
        let server = Arc::new(Server::http(address).map_err(|error| failed(error.to_string()))?);
        let bound = server.server_addr().to_ip().unwrap_or(address);
        let asked = server.clone();
        let answer = move || {
            while let Ok(request) = asked.recv() {
                let known = request.url().split('?').next() == Some("/metrics");
                // Who does not wait for the answer does not get one.
                if *request.method() == Method::Get && known {
                    let mut response = Response::from_string(counts.render());
                    response.add_header(content_type());
                    request.respond(response).ok();
                } else {
                    request.respond(Response::from_string("see /metrics\n").with_status_code(404)).ok();
                }
            }
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(answer);
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        Ok(Endpoint { server, address: bound, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn content_type() -> Header {
    Header::from_bytes("Content-Type", TEXT).expect("the header is plain text")
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asks");
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
        assert!(text.starts_with("HTTP/1.1 200") && text.contains("\nrollout_oom_total 0\n"), "{text}");
        assert!(get(address, "/").starts_with("HTTP/1.1 404"));
        let refused = Endpoint::bind(address, Arc::default()).map(drop).expect_err("in use").to_string();
        assert!(refused.contains(&address.to_string()) && refused.contains("\nhint: "), "{refused}");
    }
}

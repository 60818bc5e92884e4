//! An HTTP server that no client can hold: axum's routes behind hyper, with limits on every connection.
//!
//! In: an address and a [`Router`]. Out: a server on threads of its own, until it is shut down or dropped.
//! A connection costs a task and a socket, never a thread. It is closed when a request's head or the next request does not
//! arrive in time, when the client reads nothing for too long, or when its machine is gone.
//! Example: `HttpServer::bind("127.0.0.1:0".parse()?, router, Limits::default())`.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;

/// Threads that speak with clients; none of them computes.
const THREADS: usize = 2;
/// Threads for handlers that block: they encode prompts and render templates.
const BLOCKING_THREADS: usize = 16;
/// How long the loop rests when no connection can be taken, e.g. because the process has too many files open.
const REST: Duration = Duration::from_millis(50);

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the head of a request, from when the connection is open or the answer before it was sent.
    pub head: Duration,
    /// For taking any byte of an answer.
    pub write: Duration,
    /// For the client's machine to say that it is still there.
    pub probe: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let [head, write, probe] = [75, 60, 60].map(Duration::from_secs);
        Limits { head, write, probe }
    }
}

/// A server that listens.
pub struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    accepting: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl HttpServer {
    /// Listens on `address` and answers by `router`.
    ///
    /// # Errors
    ///
    /// When somebody else listens there, it is no address of this machine, or the system gives no threads.
    pub fn bind(address: SocketAddr, router: Router, limits: Limits) -> Result<Self, Error> {
        Self::from_listener(std::net::TcpListener::bind(address)?, router, limits)
    }

    /// Answers by `router` who connects to a listener, for a router that has to know its own port.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub fn from_listener(
        listener: std::net::TcpListener,
        router: Router,
        limits: Limits,
    ) -> Result<Self, Error> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("http")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(async { TcpListener::from_std(listener) })?;
        let (stop, stopped) = oneshot::channel();
        let accepting = runtime.spawn(accept(listener, router, limits, stopped));
        Ok(HttpServer {
            address,
            stop: Some(stop),
            accepting: Some(accepting),
            runtime: Some(runtime),
        })
    }

    /// Where it listens: the port that was free, where any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests; answers that are open may end within `patience`.
    pub fn shut_down(mut self, patience: Duration) {
        self.end(patience);
    }

    fn end(&mut self, patience: Duration) {
        drop(self.stop.take());
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        if let Some(accepting) = self.accepting.take() {
            // Answers that take longer than the patience are cut off.
            runtime.block_on(async { tokio::time::timeout(patience, accepting).await.ok() });
        }
        runtime.shutdown_background();
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// Takes connections until it is stopped, then waits for those that are being answered.
async fn accept(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut stopped: oneshot::Receiver<()>,
) {
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head);
    loop {
        let stream = tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // A client that left before it was taken is its own business.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(_) => {
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
        };
        // Options of a socket that is closed already cannot be set; serving it ends at once.
        prepare(&stream, limits.probe).ok();
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write));
        let service = TowerToHyperService::new(router.clone());
        let connection = open.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        tokio::spawn(async move {
            // What ends a connection early is the client's doing.
            connection.await.ok();
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// Tokens go out at once, and a machine that vanished without a word is noticed.
fn prepare(stream: &TcpStream, probe: Duration) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(probe / 2)
            .with_interval(probe / 6)
            .with_retries(3),
    )?;
    socket.set_tcp_user_timeout(Some(probe))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use axum::body::{Body, Bytes};
    use axum::routing::get;

    use super::*;

    fn server(limits: Limits) -> HttpServer {
        let endless = || async {
            let pieces = futures_util::stream::repeat_with(|| {
                Ok::<_, Error>(Bytes::from_static(&[b'x'; 4096]))
            });
            Body::from_stream(pieces)
        };
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/endless", get(endless));
        HttpServer::bind("127.0.0.1:0".parse().expect("an address"), router, limits)
            .expect("listens")
    }

    fn ask(stream: &mut TcpStream) -> String {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("asks");
        let mut text = String::new();
        while !text.ends_with("here") {
            let mut byte = [0];
            assert_eq!(
                stream.read(&mut byte).expect("reads"),
                1,
                "the connection ended after `{text}`"
            );
            text.push(char::from(byte[0]));
        }
        text
    }

    #[test]
    fn many_clients_that_stay_are_all_answered_again_and_again() {
        let server = server(Limits::default());
        let mut clients: Vec<TcpStream> = (0..200)
            .map(|_| TcpStream::connect(server.address()).expect("connects"))
            .collect();
        for _ in 0..3 {
            assert!(
                clients
                    .iter_mut()
                    .all(|client| ask(client).starts_with("HTTP/1.1 200"))
            );
        }
    }

    #[test]
    fn who_sends_half_a_request_or_reads_nothing_is_let_go_and_the_others_are_answered() {
        let short = Duration::from_millis(200);
        let server = server(Limits {
            head: short,
            write: short,
            probe: Duration::from_secs(60),
        });
        let mut half = TcpStream::connect(server.address()).expect("connects");
        half.write_all(b"GET / HTTP/1.1\r\nHos").expect("asks");
        let mut deaf = TcpStream::connect(server.address()).expect("connects");
        deaf.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("asks");
        ask(&mut TcpStream::connect(server.address()).expect("connects"));
        // Both ends are seen: the server closes what it waited for too long.
        let mut rest = Vec::new();
        half.read_to_end(&mut rest).ok();
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
        while server
            .runtime
            .as_ref()
            .expect("runs")
            .metrics()
            .num_alive_tasks()
            > 1
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_server_that_is_dropped_gives_its_address_back() {
        let server = server(Limits::default());
        let address = server.address();
        let mut client = TcpStream::connect(address).expect("connects");
        ask(&mut client);
        server.shut_down(Duration::from_secs(60));
        assert_eq!(
            client.read(&mut [0]).unwrap_or(0),
            0,
            "an idle client is let go at once"
        );
        assert!(TcpStream::connect(address).is_err());
    }
}

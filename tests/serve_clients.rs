//! Clients that are many, slow, silent or gone: each of the others is answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;

use serde_json::{Value, json};

use crate::serving::*;

/// A client that keeps its connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(serving: &Serving) -> Client {
        let stream = TcpStream::connect(&serving.address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        Client(BufReader::new(stream))
    }

    fn ask(&mut self, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        write!(
            self.0.get_mut(),
            "{head}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("asks");
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert!(
                self.0.read_line(&mut line).expect("an answer") > 0,
                "the server hung up"
            );
            let line = line.trim_end().to_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            } else if line.is_empty() {
                let mut body = vec![0; length];
                self.0.read_exact(&mut body).expect("a body");
                return (status, serde_json::from_slice(&body).expect("JSON"));
            }
        }
    }
}

fn short() -> Value {
    json!({ "prompt": "x = ", "max_tokens": 1, "temperature": 0 })
}

/// Memory that the server holds, in KiB.
fn resident_kib(serving: &Serving) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", serving.child.id())).expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a process has memory");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

#[test]
fn each_of_256_clients_that_stay_is_answered_again_and_again_and_memory_stays() {
    let serving = Serving::start("--max-rows 16");
    let all = Barrier::new(256);
    let talk = |rounds: usize| {
        std::thread::scope(|scope| {
            for _ in 0..256 {
                scope.spawn(|| {
                    let mut client = Client::new(&serving);
                    // All are connected before the first asks.
                    all.wait();
                    for _ in 0..rounds {
                        let (status, told) = client.ask(&short());
                        assert_eq!(
                            (status, &told["choices"][0]["finish_reason"]),
                            (200, &json!("length")),
                            "{told}"
                        );
                    }
                });
            }
        });
    };
    talk(1);
    let before = resident_kib(&serving);
    talk(3);
    let grown = resident_kib(&serving).saturating_sub(before);
    assert!(grown < 64 << 10, "768 requests more take {grown} KiB more");
    assert_eq!(serving.number("serve_sampled_tokens_total"), 1024.0);
    assert_eq!(
        serving.number("serve_requests_total{status=\"200\"}"),
        1024.0
    );
}

#[test]
fn clients_that_are_silent_or_read_nothing_hold_up_nobody() {
    let serving = Serving::start("--max-rows 32");
    // Connected and silent; half a head; half a body.
    let silent: Vec<TcpStream> = (0..64)
        .map(|_| TcpStream::connect(&serving.address).expect("connects"))
        .collect();
    let halves = [
        "POST /v1/completions HTTP/1.1\r\nHo",
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
    ];
    let half: Vec<TcpStream> = halves
        .iter()
        .map(|half| {
            let mut stream = TcpStream::connect(&serving.address).expect("connects");
            stream.write_all(half.as_bytes()).expect("asks");
            stream
        })
        .collect();
    // Streams that nobody reads.
    let deaf: Vec<TcpStream> = (0..8)
        .map(|_| serving.send("POST", "/v1/completions", &long().to_string()))
        .collect();
    let mut client = Client::new(&serving);
    for _ in 0..20 {
        assert_eq!(client.ask(&short()).0, 200);
    }
    drop((silent, half, deaf));
}

#[test]
fn clients_that_leave_in_mid_stream_or_before_the_answer_free_their_rows() {
    let serving = Serving::start("--max-rows 4");
    for _ in 0..8 {
        drop(first_chunk(serving.send(
            "POST",
            "/v1/completions",
            &long().to_string(),
        )));
        let mut whole = long();
        whole["stream"] = json!(false);
        drop(serving.send("POST", "/v1/completions", &whole.to_string()));
    }
    assert_eq!(Client::new(&serving).ask(&short()).0, 200);
    while serving.number("serve_rows_live") > 0.0 || serving.number("serve_prompts_waiting") > 0.0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let written = serving.number("serve_sampled_tokens_total");
    assert!(
        written < 8.0 * 900.0,
        "answers that nobody wanted were written on: {written} tokens"
    );
    let left = serving.number("serve_requests_total{status=\"499\"}");
    assert!(left >= 8.0, "{left} clients are known to have left");
}

#[test]
fn a_key_is_asked_for_where_there_is_one_and_pages_may_ask_where_they_are_named() {
    let serving = Serving::start("--api-key secret --cors-origin https://example.org");
    let (status, told) = serving.post("/v1/completions", &short());
    assert_eq!(
        (status, &told["error"]["type"]),
        (401, &json!("invalid_api_key")),
        "{told}"
    );
    assert_eq!(serving.ask("GET", "/health", "").0, 200);
    let asks = |head: &str| {
        let mut stream = TcpStream::connect(&serving.address).expect("connects");
        write!(stream, "{head}\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asks");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text.to_lowercase()
    };
    assert!(
        asks("GET /v1/models HTTP/1.1\r\nAuthorization: Bearer secret").starts_with("http/1.1 200")
    );
    assert!(
        asks("GET /v1/models HTTP/1.1\r\nAuthorization: Bearer wrong").starts_with("http/1.1 401")
    );
    let origin = "Origin: https://example.org\r\nAccess-Control-Request-Method: POST";
    let preflight = asks(&format!("OPTIONS /v1/completions HTTP/1.1\r\n{origin}"));
    assert!(
        preflight.contains("access-control-allow-origin: https://example.org"),
        "{preflight}"
    );
}

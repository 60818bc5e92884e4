//! `train serve` in a process of its own, and a client of few words.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use serde_json::{Value, json};
use train::checkpoint::{self, Loaded};

use crate::support::*;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// `train serve` on a free port; killed at the end of the test.
pub struct Serving {
    pub child: Child,
    pub address: String,
    _folder: Folder,
}

impl Serving {
    pub fn start(options: &str) -> Serving {
        Serving::start_with("checkpoints/base", options)
    }

    pub fn start_with(model: &str, options: &str) -> Serving {
        let folder = Folder::new("serve");
        let log = folder.join("log");
        let line = format!("serve --model {model} --port 0 {options}");
        let child = train()
            .args(line.split_whitespace())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("starts");
        let mut serving = Serving {
            child,
            address: String::new(),
            _folder: folder,
        };
        let until = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            // The line may be half written: the address is whole where its path follows.
            if let Some((address, _)) = said
                .split_once("http://")
                .and_then(|(_, rest)| rest.split_once("/v1"))
            {
                serving.address = address.to_owned();
                return serving;
            }
            assert!(Instant::now() < until, "no address is told:\n{said}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("asks");
        stream
    }

    /// Status, headers and body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let mut text = String::new();
        self.send(method, path, body)
            .read_to_string(&mut text)
            .expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        let head = head.to_lowercase();
        let body = if head.contains("transfer-encoding: chunked") {
            joined(body)
        } else {
            body.to_owned()
        };
        (status, head, body)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, body) = self.ask("POST", path, &body.to_string());
        (
            status,
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body}")),
        )
    }

    /// What Prometheus is told about `name`.
    pub fn number(&self, name: &str) -> f64 {
        let (_, _, text) = self.ask("GET", "/metrics", "");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("{name} in {text}"));
        line.trim().parse().expect("a number")
    }

    /// What a stream says: the objects before `[DONE]`.
    #[track_caller]
    pub fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let (status, head, text) = self.ask("POST", path, &body.to_string());
        assert!(
            status == 200 && head.contains("text/event-stream"),
            "{head}\n{text}"
        );
        let mut told: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        assert_eq!(told.pop(), Some("[DONE]"));
        told.into_iter()
            .map(|object| serde_json::from_str(object).expect("JSON"))
            .collect()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The pieces of a body that came in chunks.
pub fn joined(chunks: &str) -> String {
    let (mut rest, mut body) = (chunks, String::new());
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        body.push_str(&after[..length]);
        rest = after[length..]
            .strip_prefix("\r\n")
            .expect("the end of a chunk");
    }
    body
}

pub fn base() -> Loaded {
    let base = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/base");
    checkpoint::load(&base, &Device::flex()).expect("the base model is in the repository")
}

/// An answer that would take long: at this temperature hardly any token ends a turn.
pub fn long() -> Value {
    json!({ "prompt": "def add(a, b):", "max_tokens": 900, "temperature": 3.0, "seed": 1, "stream": true })
}

/// Reads from a stream until its first chunk is there.
pub fn first_chunk(stream: TcpStream) -> BufReader<TcpStream> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert!(
            reader.read_line(&mut line).expect("a line") > 0,
            "the stream ended"
        );
    }
    reader
}

/// The base model in a folder of its own, with another chat template.
pub fn with_template(folder: &Folder, jinja: &str) -> String {
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        fs::copy(format!("checkpoints/base/{name}"), folder.join(name)).expect("copies");
    }
    folder.write("chat_template.jinja", jinja);
    folder.join("").display().to_string()
}

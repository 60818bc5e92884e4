//! Small repositories with bugs, and a chat server that answers from a script.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::*;

/// What the server does with a request: its number from 1, and the text of the whole conversation.
type Script = dyn Fn(usize, &str) -> Reply + Send + Sync;

/// What a chat server can do.
pub enum Reply {
    /// Says this.
    Says(String),
    /// Says this and is cut off at its limit.
    CutOff(String),
    /// Breaks off in the middle of an answer.
    BreaksOff,
}

/// A chat server on a free port, with what it was asked.
pub struct ChatScript {
    pub url: String,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl ChatScript {
    pub fn start(script: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> ChatScript {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, script): (_, Arc<Script>) = (asked.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &seen, script.as_ref());
            }
        });
        ChatScript { url, asked }
    }

    /// Says these answers one after the other, and the last one again and again.
    pub fn from_answers(answers: &[String]) -> ChatScript {
        let answers = answers.to_vec();
        ChatScript::start(move |number, _| {
            Reply::Says(answers[(number - 1).min(answers.len() - 1)].clone())
        })
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

fn answer(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    script: &Script,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if first.starts_with("GET") {
        return send(
            &mut stream,
            "application/json",
            &json!({ "data": [{ "id": "scripted" }] }).to_string(),
        );
    }
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let turns = told["messages"].as_array().cloned().unwrap_or_default();
    let text: String = turns
        .iter()
        .filter_map(|turn| turn["content"].as_str())
        .collect::<Vec<_>>()
        .join("\n----\n");
    let number = {
        let mut seen = seen.lock().expect("nobody panics with it");
        seen.push(text.clone());
        seen.len()
    };
    let event = |text: &str, reason: Option<&str>| {
        let choice =
            json!({ "choices": [{ "delta": { "content": text }, "finish_reason": reason }] });
        format!("data: {choice}\n\n")
    };
    let events = match script(number, &text) {
        Reply::Says(text) => event(&text, None) + &event("", Some("stop")) + "data: [DONE]\n\n",
        Reply::CutOff(text) => event(&text, Some("length")) + "data: [DONE]\n\n",
        Reply::BreaksOff => event("### money/cart.py\n<<<<<<< SEA", None),
    };
    send(&mut stream, "text/event-stream", &events)
}

fn send(stream: &mut TcpStream, kind: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A block of search and replace.
pub fn block(path: &str, search: &str, replace: &str) -> String {
    let lines = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("{text}\n")
        }
    };
    format!(
        "### {path}\n<<<<<<< SEARCH\n{}=======\n{}>>>>>>> REPLACE\n",
        lines(search),
        lines(replace)
    )
}

/// A repository with two bugs in `money/cart.py` and one test for each; `test_kept` passes.
pub const FILES: [(&str, &str); 6] = [
    ("money/__init__.py", ""),
    (
        "money/cart.py",
        "def total(prices):\n    return sum(prices) - 1\n\n\ndef count(prices):\n    return len(prices) + 1\n\n\ndef first(prices):\n    return prices[0]\n",
    ),
    (
        "money/amount.py",
        "class Amount:\n    def __init__(self, cents):\n        self.cents = cents\n\n    def round_up(self):\n        return -(-self.cents // 100)\n",
    ),
    (
        "tests/test_cart.py",
        "from money import cart\n\n\ndef test_total():\n    assert cart.total([1, 2]) == 3\n\n\ndef test_count():\n    assert cart.count([1, 2]) == 2\n\n\ndef test_kept():\n    assert cart.first([5, 6]) == 5\n",
    ),
    (
        "pyproject.toml",
        "[project]\nname = \"money\"\nversion = \"1\"\n",
    ),
    (
        "issue.md",
        "The total and the count of a cart in money/cart.py are off by one.\n",
    ),
];

pub const TOTAL: (&str, &str) = ("    return sum(prices) - 1", "    return sum(prices)");
pub const COUNT: (&str, &str) = ("    return len(prices) + 1", "    return len(prices)");

/// The edit that repairs one of them.
pub fn fix((search, replace): (&str, &str)) -> String {
    block("money/cart.py", search, replace)
}

/// A repository in a folder of its own, and a place for runs beside it.
pub struct Desk {
    pub folder: Folder,
}

impl Desk {
    pub fn new(more: &[(&str, &str)]) -> Desk {
        let desk = Desk {
            folder: Folder::new("repair"),
        };
        FILES
            .iter()
            .chain(more)
            .for_each(|(path, text)| desk.put(path, text.as_bytes()));
        desk
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("writes");
    }

    pub fn repo(&self) -> PathBuf {
        self.folder.join("repo")
    }

    pub fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// The command that repairs it with the answers of `server`.
    pub fn line(&self, server: &ChatScript, more: &str) -> String {
        let (repo, out) = (self.repo(), self.out());
        format!(
            "repair --server {} --repo {} --out {} {more}",
            server.url,
            repo.display(),
            out.display()
        )
    }

    /// Runs it.
    pub fn repair(&self, server: &ChatScript, more: &str) -> Said {
        run(&self.line(server, more))
    }

    /// Every file of the repository with its bytes, and every link with its target.
    pub fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.repo()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("lists") {
                let path = entry.expect("an entry").path();
                if path.is_symlink() {
                    let target = fs::read_link(&path).expect("a link");
                    found.insert(path, target.to_string_lossy().into_owned().into_bytes());
                } else if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).expect("reads");
                    found.insert(path, bytes);
                }
            }
        }
        found
    }

    /// The lines of the log.
    pub fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.out().join("attempts.jsonl")).expect("a log");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// Of every try, the queue and the status.
    pub fn tries(&self) -> Vec<(String, String)> {
        let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_string();
        self.log()
            .iter()
            .map(|row| (word(row, "queue"), word(row, "status")))
            .collect()
    }

    pub fn json(&self, name: &str) -> Value {
        read_json(&self.out().join(name))
    }
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON")
}

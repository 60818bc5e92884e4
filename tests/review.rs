//! A person corrects what a model could not repair: what is stored passed the tests, and nobody else can ask.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(60);
const BASE: &str = "def add(a, b):\n    return a - b\n";
const RIGHT: &str = "def add(a, b):\n    return a + b\n";
const TESTS: &str = "from money import add\ndef test_sum(): assert add(1, 2) == 3\ndef test_zero(): assert add(0, 0) == 0\n";
/// What a browser would run if it were put into a page as HTML.
const HOSTILE: &str = "<img src=x onerror=alert(1)></script><script>alert(2)</script>";

fn task(id: &str) -> Value {
    json!({
        "instance_id": id, "language": "python", "problem_statement": format!("sums are wrong {HOSTILE}"),
        "files": {"money.py": BASE}, "test_files": {"tests/test_money.py": TESTS}, "test_command": "pytest -q",
        "patch": "--- a/money.py\n+++ b/money.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n",
        "FAIL_TO_PASS": ["tests/test_money.py::test_sum"], "PASS_TO_PASS": ["tests/test_money.py::test_zero"],
    })
}

fn answer(id: &str, text: &str) -> Value {
    json!({"instance_id": id, "model_name_or_path": "m", "model_files": {"money.py": text}})
}

/// Tasks, answers, and an empty queue beside them.
fn given(folder: &Folder, rows: &[(&str, Value)]) -> (PathBuf, String) {
    let lines = |rows: Vec<String>| rows.join("\n") + "\n";
    let tasks = lines(rows.iter().map(|(id, _)| task(id).to_string()).collect());
    let answers = lines(rows.iter().map(|(_, answer)| answer.to_string()).collect());
    let (tasks, answers) = (
        folder.write("tasks.jsonl", &tasks),
        folder.write("m.jsonl", &answers),
    );
    let add = format!(
        "--tasks {} --predictions {}",
        tasks.display(),
        answers.display()
    );
    (folder.join("queue"), add)
}

/// `train review` in a process of its own; killed at the end of the test.
struct Page {
    child: Child,
    host: String,
    token: String,
}

impl Page {
    fn start(queue: &Path, options: &str) -> Page {
        let out = queue.with_extension("address");
        let log = queue.with_extension("log");
        let line = format!(
            "review --queue {} --port 0 --reviewer ada --set sandbox.timeout_s=3 {options}",
            queue.display()
        );
        let child = train()
            .args(line.split_whitespace())
            .stdout(File::create(&out).expect("a file"))
            .stderr(File::create(&log).expect("a log"))
            .stdin(Stdio::null())
            .spawn()
            .expect("starts");
        let mut page = Page {
            child,
            host: String::new(),
            token: String::new(),
        };
        let until = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(&out).unwrap_or_default();
            if let Some((address, token)) = said.trim().split_once("/?token=") {
                page.host = address.trim_start_matches("http://").to_string();
                page.token = token.to_string();
                return page;
            }
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < until, "no address is told:\n{}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A request with these headers as they are.
    fn raw(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.host).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .expect("asks");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let head = head.to_lowercase();
        let body = match head.contains("transfer-encoding: chunked") {
            true => crate::serving::joined(body),
            false => body.to_string(),
        };
        (status.expect("a status"), head, body)
    }

    fn text(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let headers = format!(
            "Host: {}\r\nAuthorization: Bearer {}\r\n",
            self.host, self.token
        );
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, _, text) = self.raw(method, path, &headers, &body);
        (status, text)
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, text) = self.text(method, path, &body);
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, value)
    }

    /// The last event of a run of tests.
    #[track_caller]
    fn run(&self, item: i64, files: Value) -> Value {
        let path = format!("/api/item/{item}/run");
        let (status, text) = self.text("POST", &path, &json!({ "files": files }));
        assert_eq!(status, 200, "{text}");
        let last = text.lines().rfind(|line| line.starts_with("data: "));
        serde_json::from_str(&last.expect("an event")[6..]).expect("JSON")
    }

    fn decide(&self, item: i64, body: Value) -> (u16, Value) {
        self.ask("POST", &format!("/api/item/{item}/verdict"), body)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_fix_is_stored_once_exactly_it_passed_and_becomes_training_data() {
    if !python("a person's fix is tested and exported") {
        return;
    }
    let folder = Folder::new("review-fix");
    let wrong = answer("a", "def add(a, b):\n    return a * b\n");
    let (queue, add) = given(&folder, &[("a", wrong), ("b", answer("b", RIGHT))]);
    let page = Page::start(&queue, &add);
    let fix = json!({"money.py": "# sums\ndef add(a, b):\n    return a + b\n"});
    let store = json!({"kind": "accept", "files": fix, "seconds": 12.5, "keys": 3});
    let (status, said) = page.decide(1, store.clone());
    assert_eq!(status, 409, "{said}");
    let broken = page.run(1, json!({"money.py": "def add(a, b:\n"}));
    assert_eq!(
        (&broken["event"], &broken["passes"]),
        (&json!("done"), &json!(false)),
        "{broken}"
    );
    let hangs = page.run(
        1,
        json!({"money.py": "def add(a, b):\n    while True: pass\n"}),
    );
    assert_eq!(hangs["outcome"], "timed_out", "{hangs}");
    let model = page.run(1, Value::Null);
    assert_eq!(
        model["failure"]["test"], "tests/test_money.py::test_sum",
        "{model}"
    );
    let passed = page.run(1, fix.clone());
    assert_eq!(passed["passes"], true, "{passed}");
    // Other bytes than those that passed are not stored.
    let (status, _) = page.decide(
        1,
        json!({"kind": "accept", "files": {"money.py": "x = 1\n"}}),
    );
    assert_eq!(status, 409);
    let (status, said) = page.decide(1, store);
    assert_eq!(
        (status, &said["kind"], &said["next"]),
        (200, &json!("edit"), &json!(2)),
        "{said}"
    );
    assert_eq!(page.run(2, Value::Null)["passes"], true);
    let (_, said) = page.decide(2, json!({"kind": "edit", "files": {"money.py": RIGHT}}));
    assert_eq!(
        said["kind"], "accept",
        "what is the model's is no edit: {said}"
    );
    drop(page);

    let out = folder.join("out");
    let line = format!(
        "review export --queue {} --out {} --per-fix 1",
        queue.display(),
        out.display()
    );
    let summary: Value = serde_json::from_str(&run(&line).succeeds().out).expect("a summary");
    assert_eq!(
        (&summary["fixes"], &summary["pairs"]),
        (&json!(2), &json!(1)),
        "{summary}"
    );
    assert_eq!(summary["samples"], 2, "{summary}");
    let triplets = data::triplet::read_triplets(&out.join("triplets")).expect("triplets");
    let first = &triplets[&data::triplet::Split::Train][0];
    assert!(first.long.text().contains("# sums") && !first.refined.text().contains("# sums"));
    let verdicts = fs::read_to_string(out.join("verdicts.jsonl")).expect("verdicts");
    assert!(
        verdicts.contains("\"reviewer\":\"ada\"") && verdicts.contains("\"keys\":3"),
        "{verdicts}"
    );
    assert!(out.join("verdicts.parquet").is_file());
}

#[test]
fn nobody_asks_without_the_token_or_from_another_page_or_under_another_name() {
    if !python("the page is guarded") {
        return;
    }
    let folder = Folder::new("review-guard");
    let hostile = answer(HOSTILE, &format!("# {HOSTILE}\n"));
    let (queue, add) = given(&folder, &[(HOSTILE, hostile)]);
    let page = Page::start(&queue, &add);
    let (host, token) = (&page.host, &page.token);
    let status = |method: &str, path: &str, headers: String| page.raw(method, path, &headers, "").0;
    let with = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(
        status("GET", "/api/items", format!("Host: {host}\r\n")),
        401
    );
    assert_eq!(
        status("GET", "/api/items", format!("Host: {host}\r\n{with}")),
        200
    );
    assert_eq!(
        status("GET", "/api/items", format!("Host: evil.example\r\n{with}")),
        421
    );
    let foreign = "Origin: http://evil.example\r\n";
    assert_eq!(
        status(
            "POST",
            "/api/undo",
            format!("Host: {host}\r\n{with}{foreign}")
        ),
        403
    );
    let site = "Sec-Fetch-Site: cross-site\r\n";
    assert_eq!(
        status("GET", "/api/items", format!("Host: {host}\r\n{with}{site}")),
        403
    );
    let wrong = format!("Host: {host}\r\nCookie: review={token}\r\n");
    assert_eq!(status("GET", "/", wrong), 401);

    let (status, head, _) = page.raw(
        "GET",
        &format!("/?token={token}"),
        &format!("Host: {host}\r\n"),
        "",
    );
    assert_eq!(status, 200);
    let cookie = head
        .lines()
        .find(|line| line.starts_with("set-cookie: "))
        .expect("a cookie");
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=strict"),
        "{cookie}"
    );
    let cookie = cookie["set-cookie: ".len()..]
        .split(';')
        .next()
        .expect("a value");
    let (status, head, html) = page.raw(
        "GET",
        "/",
        &format!("Host: {host}\r\nCookie: {cookie}\r\n"),
        "",
    );
    assert_eq!(status, 200);
    assert!(
        head.contains("default-src 'none'; script-src 'self'") && !head.contains("unsafe"),
        "{head}"
    );
    assert!(html.contains("<noscript>") && !html.contains("onclick=") && !html.contains("style="));
    // Nothing of a model's is in any page; it comes as JSON, which no browser shows as a page.
    let (status, text) = page.text("GET", "/api/item/1", &Value::Null);
    assert!(status == 200 && text.contains("onerror=alert(1)"), "{text}");
    assert!(!html.contains("alert("));
    for script in [
        include_str!("../train/review/app.js"),
        include_str!("../train/review/code.js"),
    ] {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!script.contains(way), "{way} puts text in as HTML");
        }
    }
    let port = host.rsplit(':').next().expect("a port");
    run(&format!("review --queue {} --port {port}", queue.display()))
        .refuses(&["cannot listen", "--port"]);
}

#[test]
fn two_tabs_and_two_reviewers_do_not_overwrite_each_other() {
    if !python("drafts have versions") {
        return;
    }
    let folder = Folder::new("review-two");
    let (queue, add) = given(
        &folder,
        &[("a", answer("a", BASE)), ("b", answer("b", BASE))],
    );
    let page = Page::start(&queue, &add);
    let save = |version: i64, text: &str, who: &str| {
        let body = json!({"reviewer": who, "version": version, "files": {"money.py": text}});
        page.ask("PUT", "/api/item/1/draft", body)
    };
    assert_eq!(save(0, "one", "ada"), (200, json!({"version": 1})));
    let (status, said) = save(0, "other", "ada");
    assert_eq!(
        (status, &said["draft"]["files"]["money.py"]),
        (409, &json!("one")),
        "{said}"
    );
    assert_eq!(save(1, "other", "ada").0, 200);
    assert_eq!(
        save(0, "mine", "bo").0,
        200,
        "a reviewer has drafts of their own"
    );
    let bad = json!({"reviewer": "ada", "version": 2, "files": {"../x": "y"}});
    assert_eq!(page.ask("PUT", "/api/item/1/draft", bad).0, 422);

    for (item, who, kind) in [
        (1, "ada", "reject"),
        (1, "bo", "reject"),
        (2, "ada", "reject"),
        (2, "bo", "skip"),
    ] {
        let body = json!({"reviewer": who, "kind": kind, "reason": "unclear"});
        assert_eq!(page.decide(item, body).0, 200);
    }
    assert_eq!(
        page.decide(1, json!({"kind": "reject"})).0,
        422,
        "a rejection says why"
    );
    let (_, told) = page.ask("GET", "/api/start?reviewer=bo", Value::Null);
    assert_eq!(
        (&told["progress"]["done"], &told["agreements"][0]["items"]),
        (&json!(2), &json!(1)),
        "{told}"
    );
    let (_, undone) = page.ask("POST", "/api/undo", json!({"reviewer": "bo"}));
    assert_eq!(
        (&undone["item"], &undone["progress"]["done"]),
        (&json!(2), &json!(1))
    );
    let (_, view) = page.ask("GET", "/api/item/2?reviewer=bo", Value::Null);
    let kinds: Vec<&str> = view["history"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["reject", "skip", "undo"], "the history stays");
}

#[test]
fn a_server_that_is_killed_while_it_saves_loses_nothing_that_it_confirmed() {
    if !python("verdicts outlive a kill") {
        return;
    }
    let folder = Folder::new("review-kill");
    let ids: Vec<String> = (0..200).map(|number| format!("task-{number}")).collect();
    let rows: Vec<(&str, Value)> = ids
        .iter()
        .map(|id| (id.as_str(), answer(id, BASE)))
        .collect();
    let (queue, add) = given(&folder, &rows);
    let mut page = Page::start(&queue, &add);
    let confirmed = std::thread::scope(|scope| {
        let asked = &page;
        let (tells, told) = std::sync::mpsc::channel();
        let saving = scope.spawn(move || {
            let mut confirmed = Vec::new();
            for item in 1..=200 {
                let mut stream = match TcpStream::connect(&asked.host) {
                    Ok(stream) => stream,
                    Err(_) => break,
                };
                let body = json!({"kind": "reject", "reason": format!("r{item}")}).to_string();
                let (host, token, length) = (&asked.host, &asked.token, body.len());
                let sent = write!(stream, "POST /api/item/{item}/verdict HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
                let mut text = String::new();
                if sent.is_err() || stream.read_to_string(&mut text).is_err() || !text.starts_with("HTTP/1.1 200") {
                    break;
                }
                confirmed.push(item);
                tells.send(item).ok();
            }
            confirmed
        });
        // The client goes on saving, so that the kill falls into the middle of it.
        assert!(told.iter().any(|item| item == 20), "20 are confirmed");
        let pid = nix::unistd::Pid::from_raw(asked.child.id().try_into().expect("a process"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("kills");
        saving.join().expect("the client ends")
    });
    page.child.wait().expect("is gone");
    let page = Page::start(&queue, "");
    let (_, told) = page.ask("GET", "/api/start", Value::Null);
    let done = told["progress"]["done"].as_i64().expect("a number");
    let count = confirmed.len() as i64;
    assert!((20..200).contains(&count), "{count} were confirmed");
    assert!(
        done == count || done == count + 1,
        "{done} are stored, {count} were confirmed"
    );
    for item in confirmed {
        let (_, view) = page.ask("GET", &format!("/api/item/{item}"), Value::Null);
        assert_eq!(view["verdict"]["reason"], format!("r{item}"));
        assert_eq!(view["history"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn what_cannot_be_shown_or_run_says_so() {
    if !python("odd items are told") {
        return;
    }
    let folder = Folder::new("review-odd");
    let long = json!({"instance_id": "long", "model_patch": format!("--- a/money.py\n+++ b/money.py\n{}", "+x\n".repeat(1_700_000))});
    let binary = json!({"instance_id": "binary", "model_patch": "diff --git a/x.png b/x.png\nGIT binary patch\nliteral 3\nKcmZQz\n"});
    let (queue, add) = given(
        &folder,
        &[
            ("long", long),
            ("binary", binary),
            ("gone", answer("gone", BASE)),
        ],
    );
    let page = Page::start(&queue, &add);
    let view = |item: i64| page.ask("GET", &format!("/api/item/{item}"), Value::Null).1;
    for item in [1, 2] {
        let shown = view(item);
        assert!(
            shown["refused"].is_string()
                && shown["raw"].as_str().is_some_and(|raw| raw.len() < 100_000),
            "{shown}"
        );
        assert_eq!(
            shown["files"][0]["original"], BASE,
            "a person can still write a fix"
        );
    }
    let (_, listed) = page.ask("GET", "/api/items?search=GON&filter=open", Value::Null);
    assert_eq!(
        (&listed["total"], &listed["rows"][0]["id"]),
        (&json!(1), &json!(3)),
        "{listed}"
    );
    fs::remove_dir_all(queue.join("tasks")).expect("removes the trees");
    assert!(
        view(3)["gone"]
            .as_str()
            .is_some_and(|why| why.contains("gone"))
    );
    let told = page.run(3, json!({"money.py": RIGHT}));
    assert!(
        told["event"] == "failed"
            && told["text"]
                .as_str()
                .is_some_and(|text| text.contains("is gone")),
        "{told}"
    );
    assert_eq!(page.decide(3, json!({"kind": "skip"})).0, 200);
    assert_eq!(page.ask("GET", "/api/item/99", Value::Null).0, 404);
}

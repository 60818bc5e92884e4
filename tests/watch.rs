//! A run is watched: Prometheus can ask how it goes, and tests that eat the machine's memory stop it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::*;

const BASE: &str = "def add(a, b):\n    return a - b\n";
const TESTS: &str = "from money import add\ndef test_sum(): assert add(1, 2) == 3\n";
const HANGS: &str = "    while True: pass";
const RIGHT: &str = "    return a + b";
/// Three processes, each of which may have that much: together they may not, and are killed.
const EATS: &str = "    import os, time\n    for _ in range(2):\n        if os.fork() == 0: break\n    eaten = bytearray(200 << 20)\n    for at in range(0, len(eaten), 4096): eaten[at] = 1\n    time.sleep(30)";

/// A set of one task for each body, and the command that grades them.
fn grade(folder: &Folder, bodies: &[(&str, &str)]) -> (String, PathBuf) {
    let write = |name: &str, row: &dyn Fn(&str, &str) -> Value| {
        let lines: String = bodies
            .iter()
            .map(|(id, body)| format!("{}\n", row(id, body)))
            .collect();
        folder.write(name, &lines)
    };
    let gold = data::Patch::between("money.py", BASE, "def add(a, b):\n    return a + b\n");
    let tasks = write("tasks.jsonl", &|id, _| {
        json!({
            "instance_id": id, "language": "python", "problem_statement": "sums are wrong",
            "files": {"money.py": BASE}, "test_files": {"tests/test_money.py": TESTS}, "test_command": "pytest -q",
            "patch": gold.text(), "FAIL_TO_PASS": ["tests/test_money.py::test_sum"], "PASS_TO_PASS": [],
        })
    });
    let predictions = write("predictions.jsonl", &|id, body| {
        let files = json!({"money.py": format!("def add(a, b):\n{body}\n")});
        json!({"instance_id": id, "model_name_or_path": "m", "model_files": files})
    });
    let out = folder.join("out");
    let paths = [&tasks, &predictions, &out].map(|path| path.display().to_string());
    let line = format!(
        "grade --tasks {} --predictions {} --out {}",
        paths[0], paths[1], paths[2]
    );
    (line, out)
}

fn scrape(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Asks `ask` until it answers.
#[track_caller]
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(180);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn prometheus_is_told_how_a_run_goes_while_it_runs() {
    if !python("a run is scraped") {
        return;
    }
    let folder = Folder::new("scrape");
    let (line, _) = grade(&folder, &[("right", RIGHT), ("hangs", HANGS)]);
    let log = folder.join("log");
    // Only after it was killed is the one that hangs over, so what is seen was seen while it ran.
    let mut running = start(
        &format!("{line} --metrics-addr 127.0.0.1:0 --set data.workers=1"),
        &log,
    );
    let address = until("an address", || {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let url = said
            .lines()
            .find_map(|line| line.strip_prefix("metrics: http://"))?;
        Some(url.strip_suffix("/metrics")?.to_owned())
    });
    let text = until("the verdict", || {
        let text = scrape(&address).ok()?;
        text.contains(r#"rollout_tries_total{queue="Fast",status="PASS",outcome="resolved"} 1"#)
            .then_some(text)
    });
    assert!(running.is_alive());
    for known in [
        "rollout_test_workers 1",
        "rollout_timeouts_total 0",
        "rollout_verdict_seconds_count 1",
    ] {
        assert!(
            text.lines().any(|line| line == known),
            "no `{known}` in:\n{text}"
        );
    }
    running.kill();
}

#[test]
fn an_address_that_is_taken_is_named() {
    if !python("a run is scraped") {
        return;
    }
    let folder = Folder::new("taken");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (line, _) = grade(&folder, &[("right", RIGHT)]);
    run(&format!("{line} --metrics-addr {address}")).refuses(&[&address, "--metrics-addr"]);
}

fn verdicts(out: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(out.join("results.jsonl")).expect("results");
    let rows = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a verdict"));
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows.map(|row| (word(&row, "instance_id"), word(&row, "outcome")))
        .collect()
}

#[test]
fn the_fourth_run_killed_for_its_memory_stops_the_flow_until_somebody_lets_it_go_on() {
    if !python("tests are killed for their memory") {
        return;
    }
    let folder = Folder::new("oom");
    let ids = ["a", "b", "c", "d", "e"];
    let bodies: Vec<(&str, &str)> = ids
        .iter()
        .map(|id| (*id, EATS))
        .chain([("right", RIGHT)])
        .collect();
    let (line, out) = grade(&folder, &bodies);
    let line = format!("{line} --set data.workers=1 --set sandbox.memory_mib=400");
    let said = run(&line);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(
        said.err.contains("a, b, c, d") && said.err.contains("hint: "),
        "{}",
        said.err
    );
    let killed = |ids: &[&str]| {
        ids.iter()
            .map(|id| ((*id).to_owned(), "oom".to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&out), killed(&ids[..4]), "{}", said.err);
    let summary = fs::read_to_string(out.join("summary.json")).expect("a summary");
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("JSON");
    let counts = [
        &summary["submitted"],
        &summary["outcomes"]["oom"],
        &summary["left"],
    ]
    .map(serde_json::Value::as_u64);
    assert_eq!(counts, [6, 4, 2].map(Some), "they add up");
    let events = fs::read_to_string(out.join("events.jsonl")).expect("events");
    let stop = r#""flow":"grade","rule":"oom_stop","tasks":["a","b","c","d"]}"#;
    assert!(
        events
            .lines()
            .last()
            .is_some_and(|line| line.ends_with(stop)),
        "{events}"
    );

    // Going on needs a word of its own, and does not run again what was killed.
    assert_eq!(run(&format!("{line} --resume")).code, Some(3));
    run(&format!("{line} --resume --forget-oom")).succeeds();
    let mut all = killed(&ids);
    all.push(("right".to_owned(), "resolved".to_owned()));
    assert_eq!(verdicts(&out), all);
}

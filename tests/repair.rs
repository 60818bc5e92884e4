//! The agent repairs a repository on a desk, and leaves it as it was.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::repairing::*;
use crate::support::*;

mod rules;
mod shell;

const BOTH: &str =
    "--failing-test tests/test_cart.py::test_total --failing-test tests/test_cart.py::test_count";

/// Ended with the code of a repository that needs review, and said each of `words`.
#[track_caller]
fn needs_review(said: &Said, words: &[&str]) {
    assert_eq!(said.code, Some(6), "{}\n{}", said.out, said.err);
    for word in words {
        assert!(
            said.err.contains(word),
            "`{word}` is not said in:\n{}",
            said.err
        );
    }
}

#[test]
fn a_bug_is_repaired_and_the_repository_stays_as_it_was_to_the_byte() {
    if !python("the repair of a repository") {
        return;
    }
    let desk = Desk::new(&[]);
    std::os::unix::fs::symlink("/etc/hostname", desk.repo().join("outside")).expect("links");
    desk.put("data/latin.txt", b"\xe9\n");
    let before = desk.bytes();
    let server = ChatScript::from_answers(&["I do not know.".into(), fix(TOTAL), fix(COUNT)]);
    let said = desk
        .repair(
            &server,
            &format!(
                "--issue {}/issue.md {BOTH} --stream-diff",
                desk.repo().display()
            ),
        )
        .succeeds();
    assert_eq!(desk.bytes(), before, "the repository is only read");
    assert!(
        said.err.contains("left out: `outside`") && said.err.contains("repaired at try 3"),
        "{}",
        said.err
    );
    assert!(
        !said.err.contains('\u{1b}'),
        "lines in a pipe are plain:\n{}",
        said.err
    );
    assert!(
        said.err.contains("+    return sum(prices)\n"),
        "the diff is shown as it is written:\n{}",
        said.err
    );
    let tries = [("Fast", "NO_PATCH"), ("Fast", "FAIL"), ("Fast", "PASS")];
    assert_eq!(
        desk.tries(),
        tries.map(|(queue, status)| (queue.to_string(), status.to_string()))
    );
    let first = fs::read_to_string(desk.out().join("attempts.jsonl")).expect("a log");
    let keys = [
        "\"ts\":",
        "\"retry\":",
        "\"queue\":",
        "\"patch_sha\":",
        "\"test\":",
        "\"status\":",
        "\"trace_bytes\":",
    ];
    let places: Vec<usize> = keys
        .iter()
        .map(|key| first.find(key).expect("a key"))
        .collect();
    assert!(places.is_sorted(), "{first}");
    assert_eq!(desk.json("repair.json")["end"], "repaired");
    let prediction = &desk.json("preds.json");
    let (instance, prediction) = prediction
        .as_object()
        .expect("by instance")
        .iter()
        .next()
        .expect("one");
    assert_eq!(prediction["model_patch"].as_str(), Some(said.out.as_str()));
    let whole = desk.json(&format!("{instance}.traj.json"));
    assert_eq!(
        (&whole["trajectory_format"], &whole["info"]["exit_status"]),
        (&"mini-swe-agent-1.1".into(), &"Submitted".into())
    );
    assert!(desk.out().join("trajectories/try-03.traj.json").is_file());
    // The second turn holds the failure, and the third the other one.
    let asked = server.asked();
    assert!(
        asked[0].contains("assert 2 == 3") || asked[0].contains("total"),
        "{}",
        asked[0]
    );
    assert!(asked[2].contains("test_count"), "{}", asked[2]);
    applies(&desk, &said.out);
}

/// `git apply` takes the patch, and the files are right then.
#[track_caller]
fn applies(desk: &Desk, patch: &str) {
    let (copy, file) = (
        desk.folder.join("applied"),
        desk.folder.write("repair.diff", patch),
    );
    fs::create_dir_all(copy.join("money")).expect("a folder");
    fs::copy(
        desk.repo().join("money/cart.py"),
        copy.join("money/cart.py"),
    )
    .expect("copies");
    let git = Command::new("git")
        .arg("apply")
        .arg(file)
        .current_dir(&copy)
        .output()
        .expect("git runs");
    assert!(
        git.status.success(),
        "{}",
        String::from_utf8_lossy(&git.stderr)
    );
    let text = fs::read_to_string(copy.join("money/cart.py")).expect("reads");
    assert!(
        text.contains("return sum(prices)\n") && text.contains("return len(prices)\n"),
        "{text}"
    );
}

#[test]
fn every_queue_roll_back_and_a_rule_are_needed_once() {
    if !python("queues in a real sandbox") {
        return;
    }
    let desk = Desk::new(&[]);
    let broken = |at: usize| {
        // Each breaks the test that passed, on top of what the try before left.
        let now = if at == 0 {
            "    return prices[0]".to_string()
        } else {
            format!("    return prices[0] + {at}")
        };
        block(
            "money/cart.py",
            &now,
            &format!("    return prices[0] + {}", at + 1),
        )
    };
    let server = ChatScript::start(move |number, text| {
        Reply::Says(match number {
            // Fast: progress, and then nothing.
            1 => fix(TOTAL),
            2 | 3 => "nothing".into(),
            // Deep: three tries without progress, then roll-back, and so on.
            4..=12 => broken((number - 4) % 3),
            13 => "nothing".into(),
            // Rescue: a name that is not defined; the rule tells where it is.
            14 => block(
                "money/cart.py",
                COUNT.0,
                "    return Amount(len(prices)).cents",
            ),
            _ if text.contains("It is defined in `money/amount.py`, line 1: import it.") => {
                fix(("    return Amount(len(prices)).cents", COUNT.1))
            }
            _ => "no rule spoke".into(),
        })
    });
    let said = desk.repair(&server, BOTH).succeeds();
    let tries = desk.tries();
    let of = |queue: &str| tries.iter().filter(|(of, _)| of == queue).count();
    assert_eq!(
        (of("Fast"), of("Deep"), of("Rescue")),
        (3, 10, 2),
        "{tries:?}"
    );
    assert!(said.err.contains("rule `undefined-name`"), "{}", said.err);
    let from = |retry: usize| {
        read_json(
            &desk
                .out()
                .join(format!("trajectories/try-{retry:02}.traj.json")),
        )
    };
    let start = |retry: usize| {
        let whole = from(retry);
        let turns = whole["messages"].as_array().expect("turns").clone();
        turns
            .iter()
            .find_map(|turn| turn["extra"]["from"].as_str().map(str::to_string))
            .expect("an answer")
    };
    assert_eq!(
        [1, 3, 4, 6, 7, 10, 13, 14].map(start),
        [
            "passing_state",
            "here",
            "passing_state",
            "here",
            "passing_state",
            "passing_state",
            "passing_state",
            "passing_state"
        ]
        .map(String::from)
    );
    // After roll-back the prompt shows the passing state: what made progress, and not what broke.
    let asked = server.asked();
    assert!(
        asked[6].contains("    return sum(prices)\n") && !asked[6].contains("prices[0] + 3"),
        "{}",
        asked[6]
    );
    assert!(
        said.out.contains("+    return sum(prices)\n+")
            || said.out.contains("+    return sum(prices)\n"),
        "{}",
        said.out
    );
    assert_eq!(desk.json("repair.json")["queue"], "Rescue");
}

#[test]
fn spent_tries_need_review_and_the_best_patch_is_told() {
    if !python("tries that are spent") {
        return;
    }
    let desk = Desk::new(&[]);
    let server = ChatScript::from_answers(&[fix(TOTAL), "nothing".into()]);
    let said = desk.repair(&server, &format!("{BOTH} --max-retry 4"));
    needs_review(
        &said,
        &[
            "all 4 tries are spent; it needs review",
            "said the same again",
        ],
    );
    assert!(
        said.out.contains("+    return sum(prices)") && !said.out.contains("+    return len"),
        "{}",
        said.out
    );
    assert_eq!(desk.json("repair.json")["end"]["needs_review"], "spent");
}

#[test]
fn a_repair_is_applied_where_that_is_wanted_and_nothing_changed_meanwhile() {
    if !python("a repair that is applied") {
        return;
    }
    let desk = Desk::new(&[]);
    let both = format!(
        "{}{}{}",
        fix(TOTAL),
        fix(COUNT),
        block("money/new.py", "", "made = 1")
    );
    desk.repair(
        &ChatScript::from_answers(std::slice::from_ref(&both)),
        &format!("{BOTH} --apply"),
    )
    .succeeds();
    let text = |path: &str| fs::read_to_string(desk.repo().join(path)).expect("reads");
    assert!(text("money/cart.py").contains("return sum(prices)\n"));
    assert_eq!(text("money/new.py"), "made = 1\n");

    let desk = Desk::new(&[]);
    let repo = desk.repo();
    let server = ChatScript::start(move |_, _| {
        fs::write(repo.join("money/cart.py"), "# mine\n").expect("writes");
        Reply::Says(format!("{}{}", fix(TOTAL), fix(COUNT)))
    });
    desk.repair(&server, &format!("{BOTH} --apply"))
        .refuses(&["`money/cart.py` was changed since the repair began"]);
    assert_eq!(
        fs::read_to_string(desk.repo().join("money/cart.py")).expect("reads"),
        "# mine\n"
    );
}

#[test]
fn without_a_failing_test_the_model_writes_one_first() {
    if !python("a test that shows the issue") {
        return;
    }
    let desk = Desk::new(&[(
        "tests/test_cart.py",
        "from money import cart\n\n\ndef test_kept():\n    assert cart.first([5, 6]) == 5\n",
    )]);
    let passes = block(
        "tests/test_new.py",
        "",
        "def test_nothing():\n    assert True",
    );
    let shows = block(
        "tests/test_new.py",
        "",
        "from money import cart\n\n\ndef test_total():\n    assert cart.total([1, 2]) == 3",
    );
    let server = ChatScript::from_answers(&[passes, shows, fix(TOTAL)]);
    let said = desk
        .repair(
            &server,
            &format!("--issue {}/issue.md", desk.repo().display()),
        )
        .succeeds();
    assert!(
        said.err
            .contains("test 1 of 3: the test passes on the code as it is"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains(
            "`tests/test_new.py` shows the issue, and judges the repair: the model wrote it"
        ),
        "{}",
        said.err
    );
    assert!(
        !said.out.contains("tests/test_new.py"),
        "the test is no part of the repair:\n{}",
        said.out
    );
}

#[test]
fn what_cannot_be_repaired_is_told_by_name() {
    if !python("repositories that cannot be repaired") {
        return;
    }
    let server = ChatScript::from_answers(&["nothing".into()]);
    let bare = Desk::new(&[]);
    fs::remove_dir_all(bare.repo().join("tests")).expect("removes");
    bare.repair(&server, BOTH)
        .refuses(&["pytest finds no tests in the repository"]);
    let desk = Desk::new(&[]);
    let said = |line: &str, words: &[&str]| {
        desk.repair(&server, line).refuses(words);
        let _ = fs::remove_dir_all(desk.out());
    };
    said(
        "--failing-test tests/test_cart.py::test_kept",
        &["`tests/test_cart.py::test_kept` passes already"],
    );
    said(
        "--failing-test tests/test_cart.py::test_totals",
        &["there is no test", "these fail: tests/test_cart.py::test_"],
    );
    said("--failing-test x --max-retry 0", &["`max_retry` is 0"]);
    let inside = format!(
        "repair --server {} --repo {} --out {}/run",
        server.url,
        desk.repo().display(),
        desk.repo().display()
    );
    run(&inside).refuses(&["lies in the repository, which is only read"]);
    let empty = desk.folder.write("empty.md", "");
    said(&format!("--issue {}", empty.display()), &["is empty"]);
    assert_eq!(server.asked().len(), 0, "nobody was asked for any of it");
}

#[test]
fn tests_that_fail_at_the_start_are_named_and_set_aside() {
    if !python("tests that fail at the start") {
        return;
    }
    let desk = Desk::new(&[("tests/test_old.py", "def test_old():\n    assert 0\n")]);
    let server = ChatScript::from_answers(&[fix(TOTAL)]);
    let said = desk
        .repair(&server, "--failing-test tests/test_cart.py::test_total")
        .succeeds();
    for test in [
        "tests/test_old.py::test_old",
        "tests/test_cart.py::test_count",
    ] {
        assert!(
            said.err
                .contains(&format!("set aside, because it fails at the start: {test}")),
            "{}",
            said.err
        );
    }
}

#[test]
fn a_model_that_writes_nonsense_or_edits_tests_or_never_stops_changes_nothing() {
    if !python("models that misbehave") {
        return;
    }
    let huge = "x".repeat(5 << 20);
    let server = ChatScript::start(move |number, _| match number {
        1 => Reply::Says("\u{1b}[2J nonsense \u{0} <<<<<<< SEARCH".into()),
        2 => Reply::Says(block(
            "tests/test_cart.py",
            "    assert cart.total([1, 2]) == 3",
            "    assert True",
        )),
        3 => Reply::Says(huge.clone()),
        4 => Reply::CutOff("### money/cart.py\n<<<<<<< SEARCH\n".into()),
        5 => Reply::Says("### ../../etc/passwd\n<<<<<<< DELETE\n".into()),
        _ => Reply::Says(
            ["money/cart.py", "money/amount.py", "money/__init__.py"]
                .map(|path| format!("### {path}\n<<<<<<< DELETE\n"))
                .concat(),
        ),
    });
    let desk = Desk::new(&[]);
    let before = desk.bytes();
    let said = desk.repair(&server, &format!("{BOTH} --max-retry 6 --stream-diff"));
    needs_review(&said, &["all 6 tries are spent"]);
    assert_eq!((desk.bytes(), said.out.as_str()), (before, ""));
    assert!(
        !said.err.contains('\u{1b}'),
        "what a terminal would obey is shown"
    );
    let statuses: Vec<String> = desk.tries().into_iter().map(|(_, status)| status).collect();
    assert_eq!(
        statuses,
        [
            "NO_PATCH",
            "NO_PATCH",
            "TRUNCATED",
            "TRUNCATED",
            "NOT_APPLIED",
            "FAIL"
        ]
    );
    assert!(server.asked()[2].contains("Only what judges was edited (tests/test_cart.py)"));
}

#[test]
fn an_issue_of_a_megabyte_fits_into_a_small_context() {
    if !python("a large issue") {
        return;
    }
    let desk = Desk::new(&[]);
    let issue = desk.folder.write(
        "huge.md",
        &format!(
            "cart.total is wrong\n{}",
            "log line of no use\n".repeat(55_000)
        ),
    );
    let server = ChatScript::from_answers(&[format!("{}{}", fix(TOTAL), fix(COUNT))]);
    desk.repair(
        &server,
        &format!("--issue {} {BOTH} --context 4000", issue.display()),
    )
    .succeeds();
    let asked = &server.asked()[0];
    assert!(
        asked.len() < 8000
            && asked.contains("bytes are left out")
            && asked.contains("sum(prices) - 1"),
        "{asked}"
    );
}

#[test]
fn a_server_that_breaks_off_is_asked_again_and_the_run_goes_on_where_it_stopped() {
    if !python("a server that dies") {
        return;
    }
    let desk = Desk::new(&[]);
    // It breaks off once, and is asked anew.
    let server = ChatScript::start(|number, _| {
        if number == 1 {
            Reply::BreaksOff
        } else {
            Reply::Says(fix(TOTAL))
        }
    });
    let said = desk.repair(&server, &format!("{BOTH} --max-retry 1"));
    needs_review(&said, &["all 1 tries are spent"]);

    // It says one answer and then breaks off for good; another process goes on with that try.
    let desk = Desk::new(&[]);
    let alive = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = alive.clone();
    let server = ChatScript::start(move |number, _| match number {
        1 => Reply::Says(fix(TOTAL)),
        _ if !seen.load(std::sync::atomic::Ordering::SeqCst) => Reply::BreaksOff,
        _ => Reply::Says(fix(COUNT)),
    });
    let said = desk
        .repair(&server, BOTH)
        .refuses(&["broke off before its end", "--resume"]);
    assert!(
        said.out.contains("+    return sum(prices)"),
        "the best patch so far is told:\n{}",
        said.out
    );
    alive.store(true, std::sync::atomic::Ordering::SeqCst);
    let said = desk.repair(&server, &format!("{BOTH} --resume")).succeeds();
    assert!(
        said.err.contains("1 tries are kept from before") && said.err.contains("repaired at try 2"),
        "{}",
        said.err
    );
    assert_eq!(desk.tries().len(), 2);
    applies(&desk, &said.out);
}

#[test]
fn a_signal_ends_it_with_the_best_patch_and_it_goes_on() {
    if !python("a repair that is stopped") {
        return;
    }
    let desk = Desk::new(&[]);
    let server = ChatScript::start(|number, _| match number {
        1 => Reply::Says(fix(TOTAL)),
        2 => {
            std::thread::sleep(std::time::Duration::from_secs(2));
            Reply::Says("nothing".into())
        }
        _ => Reply::Says(fix(COUNT)),
    });
    let mut running = start(&desk.line(&server, BOTH), &desk.folder.join("log"));
    running.wait_for_lines(&desk.out().join("attempts.jsonl"), 1);
    let said = running.stop();
    assert_eq!(said.code, Some(130), "{}", said.err);
    assert!(
        said.err.contains("+    return sum(prices)") && said.err.contains("--resume"),
        "{}",
        said.err
    );
    let said = desk.repair(&server, &format!("{BOTH} --resume")).succeeds();
    assert!(
        said.err.contains("tries are kept from before"),
        "{}",
        said.err
    );
    applies(&desk, &said.out);
}

#[test]
fn a_model_of_our_own_server_is_a_client_like_any_other() {
    if !python("the agent over `train serve`") {
        return;
    }
    let serving = crate::serving::Serving::start("--name small");
    let desk = Desk::new(&[]);
    let agent = desk
        .folder
        .write("agent.toml", "[sampling]\nmax_new_tokens = 24\n");
    let line = format!(
        "repair --server http://{}/v1 --model checkpoints/base --repo {} --out {} --agent {} {BOTH} --max-retry 2",
        serving.address,
        desk.repo().display(),
        desk.out().display(),
        agent.display()
    );
    let said = run(&line);
    needs_review(&said, &["all 2 tries are spent"]);
    assert_eq!(desk.log().len(), 2);
}

#[test]
fn tries_and_the_time_to_the_next_turn_are_counted_for_prometheus() {
    if !python("the counts of a repair") {
        return;
    }
    let desk = Desk::new(&[]);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let told = seen.clone();
    let server = ChatScript::start(move |number, _| {
        if number == 2 {
            *told.lock().expect("nobody panics with it") = metrics(port);
        }
        Reply::Says(if number == 1 { fix(TOTAL) } else { fix(COUNT) })
    });
    desk.repair(&server, &format!("{BOTH} --metrics-addr 127.0.0.1:{port}"))
        .succeeds();
    let text = seen.lock().expect("nobody panics with it").clone();
    for line in [
        "rollout_tries_total{queue=\"Fast\",status=\"FAIL\"",
        "agent_failure_to_turn_seconds_count 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

fn metrics(port: u16) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("asks");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn related_files_are_told_with_their_reasons() {
    let desk = Desk::new(&[]);
    let line = format!(
        "data related --repo {} --issue {}/issue.md --json",
        desk.repo().display(),
        desk.repo().display()
    );
    let said = run(&line).succeeds();
    let first: Value =
        serde_json::from_str(said.out.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["path"], "money/cart.py");
    assert!(
        first["reasons"][0]
            .as_str()
            .is_some_and(|reason| reason.contains("named in the issue")),
        "{first}"
    );
    assert_eq!(
        run(&line).succeeds().out,
        said.out,
        "from the cache it is the same"
    );
}

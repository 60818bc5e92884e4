//! The agent works in a shell: what the model does there counts only as far as the tests that judge agree.

use serde_json::{Value, json};

use super::*;

fn bash(command: &str) -> String {
    format!("One step.\n```bash\n{command}\n```\n")
}

/// A call in the form of Hermes and Qwen.
fn call(name: &str, arguments: Value) -> String {
    let call = json!({ "name": name, "arguments": arguments });
    format!("One step.\n<tool_call>\n{call}\n</tool_call>")
}

fn edit((search, replace): (&str, &str)) -> String {
    let path = "money/cart.py";
    call(
        "edit",
        json!({ "path": path, "search": search, "replace": replace }),
    )
}

#[test]
fn a_model_in_a_shell_looks_edits_tests_and_submits() {
    if !python("a repair in a shell") {
        return;
    }
    let desk = Desk::new(&[]);
    let before = desk.bytes();
    let server = ChatScript::from_answers(&[
        bash("cat money/cart.py"),
        edit(("no such line", "x")),
        edit(TOTAL),
        bash("sed -i 's/len(prices) + 1/len(prices)/' money/cart.py; echo note > /tmp/note"),
        call("test", json!({})),
        bash("cat /tmp/note; git diff | head -3; exit 3"),
        call("submit", json!({})),
    ]);
    let said = desk
        .repair(&server, &format!("{BOTH} --scaffold shell"))
        .succeeds();
    assert_eq!(desk.bytes(), before, "the repository is only read");
    let asked = server.asked();
    assert_eq!(asked.len(), 7);
    let seen = |at: usize| asked[at].rsplit("\n----\n").next().expect("a turn");
    assert!(seen(1).contains(TOTAL.0), "{}", seen(1));
    assert!(
        seen(2).contains("0 times, not once") && seen(2).contains("exit status 1"),
        "{}",
        seen(2)
    );
    assert!(seen(5).contains("2 passed"), "{}", seen(5));
    assert!(
        seen(6).contains("note\n") && seen(6).contains("exit status 3"),
        "{}",
        seen(6)
    );
    assert!(said.err.contains("repaired at try 1"), "{}", said.err);
    assert_eq!(desk.tries(), [("Fast".to_string(), "PASS".to_string())]);
    let repair = desk.json("repair.json");
    assert_eq!(
        (&repair["commands"], &repair["stuck"]),
        (&json!(6), &json!(0))
    );
    let whole = read_json(&desk.out().join("trajectories/try-01.traj.json"));
    let turns = whole["messages"].as_array().expect("turns").clone();
    let roles = turns.iter().filter(|turn| turn["role"] == "assistant");
    assert_eq!(roles.count(), 7, "every step is in the record: {turns:#?}");
    applies(&desk, &said.out);
}

#[test]
fn a_model_that_cheats_in_a_shell_is_judged_by_the_tests_as_they_were() {
    if !python("a model that cheats in a shell") {
        return;
    }
    let desk = Desk::new(&[]);
    let word = format!("daemon-{}", std::process::id());
    let honest = "sed -i 's/ - 1//; s/ + 1//' money/cart.py";
    let server = ChatScript::from_answers(&[
        bash("sed -i 's/assert .*/assert True/' tests/test_cart.py"),
        bash(&format!(
            "(setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 0.1; {honest}; done; : {word}' >/dev/null 2>&1 &) ; echo started"
        )),
        bash(
            "python -c \"import socket; socket.create_connection(('1.1.1.1', 53), 2)\" || echo closed",
        ),
        call("test", json!({})),
        bash("submit"),
        // The second try begins where the first one ended.
        bash("sleep 0.3; cat money/cart.py tests/test_cart.py"),
        bash(honest),
        bash("submit"),
    ]);
    let said = desk
        .repair(&server, &format!("{BOTH} --scaffold shell --max-retry 2"))
        .succeeds();
    let asked = server.asked();
    let seen = |at: usize| asked[at].rsplit("\n----\n").next().expect("a turn");
    assert!(seen(2).contains("started"), "{}", seen(2));
    assert!(seen(3).contains("closed"), "{}", seen(3));
    assert!(
        seen(4).contains("2 passed"),
        "it deceives itself: {}",
        seen(4)
    );
    assert_ne!(desk.tries()[0].1, "PASS");
    assert!(
        seen(6).contains(TOTAL.0) && seen(6).contains("== 3") && !seen(6).contains("assert True"),
        "neither its tests nor its daemon outlive it: {}",
        seen(6)
    );
    assert_eq!(desk.tries()[1].1, "PASS");
    assert!(!said.out.contains("tests/"), "{}", said.out);
    applies(&desk, &said.out);
    let running = Command::new("ps")
        .args(["-A", "-o", "args"])
        .output()
        .expect("ps runs");
    assert!(!String::from_utf8_lossy(&running.stdout).contains(&word));
}

#[test]
fn a_model_that_says_the_same_in_a_shell_is_told_and_then_stopped() {
    if !python("a model that is stuck in a shell") {
        return;
    }
    let desk = Desk::new(&[]);
    let server = ChatScript::from_answers(&["I am lost.".into(), bash("ls")]);
    let said = desk.repair(&server, &format!("{BOTH} --scaffold shell --max-retry 1"));
    needs_review(&said, &["4 commands were the same again and again"]);
    let asked = server.asked();
    assert_eq!(asked.len(), 7);
    assert!(
        asked[1].contains("The answer holds no command."),
        "{}",
        asked[1]
    );
    assert!(!asked[3].contains("the same command again"), "{}", asked[3]);
    assert!(asked[4].contains("the same command again"), "{}", asked[4]);
}

//! A model that is talked to line by line.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::serving::with_template;
use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(180);

/// `train chat` with lines on its standard input.
fn chat(options: &str, lines: &str) -> Said {
    let mut child = train()
        .args(["chat", "--model", "checkpoints/base"])
        .args(options.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(lines.as_bytes())
        .expect("writes");
    Said::from_output(child.wait_with_output().expect("ends"))
}

#[test]
fn every_line_is_a_turn_and_its_answer_comes_as_it_is_written() {
    let said = chat(
        "--temperature 0 --max-new-tokens 16",
        "def add(a, b):\n\nx = 1\n",
    )
    .succeeds();
    assert_eq!(said.err.matches("tokens/s]").count(), 2, "{}", said.err);
    assert!(
        said.out.ends_with('\n') && said.out.lines().count() >= 2,
        "{}",
        said.out
    );
}

#[test]
fn a_turn_that_does_not_fit_into_the_context_is_refused_with_its_length() {
    chat("--max-new-tokens 2000", "hello\n")
        .refuses(&["2000 tokens for the answer", "the context holds 1024"]);
}

/// A person at a terminal: what is typed, and what has been shown.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Receiver<u8>,
}

impl Terminal {
    /// None, with a word about it, where there is no `script` to make a terminal.
    fn start(words: &str) -> Option<Terminal> {
        let line = format!("{} {words}", env!("CARGO_BIN_EXE_train"));
        let child = Command::new("script")
            .args(["-qefc", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("SKIPPED: Ctrl-C at a terminal, which needs `script` (util-linux)");
            return None;
        };
        let (keys, out) = (
            child.stdin.take().expect("a pipe"),
            child.stdout.take().expect("a pipe"),
        );
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            BufReader::new(out)
                .bytes()
                .map_while(Result::ok)
                .try_for_each(|byte| sender.send(byte))
        });
        Some(Terminal { child, keys, shown })
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("types");
    }

    /// All that is shown until `words` are, or until the program ends.
    fn until(&self, words: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(words.as_bytes())
            && let Ok(byte) = self.shown.recv_timeout(PATIENCE)
        {
            bytes.push(byte);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn at_a_terminal_ctrl_c_ends_an_answer_and_the_talk_goes_on() {
    let folder = Folder::new("terminal");
    let model = with_template(
        &folder,
        &format!("{}{{# of its own #}}", data::template::JINJA),
    );
    // An answer may be over before the key is pressed; then it ends the program, and another is tried.
    let interrupted = (1..=10).any(|seed| {
        let words =
            format!("chat --model {model} --temperature 3 --max-new-tokens 900 --seed {seed}");
        let Some(mut terminal) = Terminal::start(&words) else {
            return true;
        };
        terminal.until("\n> ");
        terminal.types("def add(a, b):\n");
        // The echo, and the first letter of the answer.
        terminal.until("\n");
        terminal.shown.recv_timeout(PATIENCE).expect("an answer");
        terminal.types("\u{3}");
        let rest = terminal.until("\n> ");
        let written = rest
            .rsplit('[')
            .next()
            .and_then(|told| told.split(' ').next()?.parse::<usize>().ok());
        if !rest.ends_with("\n> ") || written.is_none_or(|tokens| tokens >= 900) {
            return false;
        }
        terminal.types("x = 1\n");
        let next = terminal.until("\n> ");
        assert!(
            next.contains("tokens/s]") && !next.contains("error:"),
            "{next}"
        );
        true
    });
    assert!(interrupted, "no answer could be interrupted");
}

//! The first failing test in few words: what goes into the next prompt.
//!
//! In: a [`Failure`] and a way to count tokens. Out: at most as many tokens as there is room for, most useful first:
//! the test and what it said, the innermost frames with their locals, the frames around them, what was printed.
//! Secrets and paths of this machine are taken out. The same failure always gives the same text.
//! Example: `tests/test_money.py::test_sum failed\nAssertionError: assert -1 == 3\nat money.py:2 in add: return a - b …`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use sandbox::{Failure, Frame};

/// The most tokens of a summary (R4).
pub const BUDGET: usize = 512;
/// Frames that are told before what was printed.
const INNERMOST: usize = 2;

/// What looks like a secret: names with a value behind them, and the keys of well-known services.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?ix) (?P<name> [\w-]* (?: password | passwd | secret | token | api_?key | authorization ) [\w-]* ['"]? \s* [:=] \s* ) (?: [bru]{0,2} (?: '[^']* '? | "[^"]* "? ) | (?: (?: bearer | basic | token ) \s+ )? [^\s'",;]{4,} )
        | \b (?-i: sk-[\w-]{16,} | gh[pousr]_\w{16,} | AKIA[0-9A-Z]{12,} | xox[abp]-[\w-]{10,} | eyJ[\w-]{10,}\.[\w.-]{10,} )"#,
    )
    .expect("the pattern is well formed")
});

/// An absolute path; its last two parts say enough.
static PATHS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?P<before>^|[\s'"(=:,])/(?:[\w.+@-]+/)+(?P<last>[\w.+@-]+)"#)
        .expect("well formed")
});

/// The failure in at most `budget` tokens, as `tokens` counts them.
pub fn summary(failure: &Failure, tokens: &dyn Fn(&str) -> usize, budget: usize) -> String {
    let mut text = String::new();
    for line in lines(failure) {
        let longer = if text.is_empty() {
            line.clone()
        } else {
            format!("{text}\n{line}")
        };
        if tokens(&longer) <= budget {
            text = longer;
            continue;
        }
        // The line that no longer fits is cut, and nothing less useful follows it.
        let room = cut(&text, &line, tokens, budget);
        if !room.is_empty() {
            text = if text.is_empty() {
                room
            } else {
                format!("{text}\n{room}")
            };
        }
        break;
    }
    text
}

/// The longest beginning of `line` that still fits behind `text`.
fn cut(text: &str, line: &str, tokens: &dyn Fn(&str) -> usize, budget: usize) -> String {
    let ends: Vec<usize> = line.char_indices().map(|(at, _)| at).collect();
    let fits = |end: usize| tokens(&format!("{text}\n{}…", &line[..end])) <= budget;
    let count = ends.partition_point(|end| fits(*end));
    match count.checked_sub(1).map(|last| ends[last]) {
        Some(end) if end > 0 => format!("{}…", &line[..end]),
        _ => String::new(),
    }
}

/// Everything there is to say, most useful first.
fn lines(failure: &Failure) -> Vec<String> {
    let mut said = vec![
        format!("{} failed", failure.test),
        format!("{}: {}", failure.exception, failure.message),
    ];
    let compared = failure
        .trace
        .lines()
        .filter(|line| line.starts_with("E  "))
        .map(|line| line[1..].trim());
    said.extend(
        compared
            .filter(|line| !failure.message.contains(line) && !line.is_empty())
            .map(str::to_string),
    );
    let inner = failure.frames.len().saturating_sub(INNERMOST);
    failure.frames[inner..]
        .iter()
        .rev()
        .for_each(|frame| said.extend(told(frame)));
    for (name, text) in [("stdout", &failure.stdout), ("stderr", &failure.stderr)] {
        let last: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = &last[last.len().saturating_sub(8)..];
        said.extend(last.iter().map(|line| format!("{name}: {line}")));
    }
    failure.frames[..inner]
        .iter()
        .rev()
        .for_each(|frame| said.extend(told(frame)));
    if failure.frames.is_empty() {
        said.extend(failure.trace.lines().map(str::to_string));
    }
    said.into_iter().map(|line| clean(&line)).collect()
}

fn told(frame: &Frame) -> Vec<String> {
    let Frame {
        file,
        line,
        function,
        source,
        locals,
    } = frame;
    let mut said = vec![format!("at {file}:{line} in {function}: {source}")];
    said.extend(
        locals
            .iter()
            .map(|(name, value)| format!("    {name} = {value}")),
    );
    said
}

/// Takes out secrets, paths of this machine, and what a terminal would make of control characters.
fn clean(line: &str) -> String {
    let plain: String = line
        .chars()
        .map(|letter| {
            if letter.is_control() && letter != '\t' {
                ' '
            } else {
                letter
            }
        })
        .collect();
    let hidden = SECRETS.replace_all(&plain, |found: &Captures<'_>| {
        format!(
            "{}[hidden]",
            found.name("name").map_or("", |name| name.as_str())
        )
    });
    PATHS.replace_all(&hidden, "$before$last").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        let frame =
            |file: &str, line, function: &str, source: &str, locals: &[(&str, &str)]| Frame {
                file: file.into(),
                line,
                function: function.into(),
                source: source.into(),
                locals: locals
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect(),
            };
        Failure {
            test: "tests/test_money.py::test_sum".into(),
            exception: "AssertionError".into(),
            message: "assert -1 == 3".into(),
            trace: "tests/test_money.py:3: in test_sum\nE   assert -1 == 3\nE    +  where -1 = add(1, 2)".into(),
            frames: vec![
                frame("tests/conftest.py", 9, "outer", "yield", &[]),
                frame("tests/test_money.py", 3, "test_sum", "assert add(1, 2) == 3", &[]),
                frame("money.py", 2, "add", "return a - b", &[("a", "1"), ("b", "2")]),
            ],
            stdout: "counting /home/me/work/money.py\npassword=hunter22".into(),
            stderr: "\u{1b}[31mred".into(),
            after_ms: 3,
        }
    }

    /// Words count as tokens.
    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    #[test]
    fn the_most_useful_comes_first() {
        let expected = "tests/test_money.py::test_sum failed
AssertionError: assert -1 == 3
+  where -1 = add(1, 2)
at money.py:2 in add: return a - b
    a = 1
    b = 2
at tests/test_money.py:3 in test_sum: assert add(1, 2) == 3
stdout: counting money.py
stdout: password=[hidden]
stderr:  [31mred
at tests/conftest.py:9 in outer: yield";
        assert_eq!(summary(&failure(), &words, BUDGET), expected);
    }

    #[test]
    fn it_never_is_longer_than_there_is_room() {
        let mut long = failure();
        long.message = "a b c d e ".repeat(400);
        long.stdout = "x ".repeat(3000);
        for budget in [0, 1, 2, 3, 7, 20, 100, 512] {
            let text = summary(&long, &words, budget);
            assert!(words(&text) <= budget, "{budget}: {} words", words(&text));
            assert!(
                budget < 3 || text.starts_with("tests/test_money.py::test_sum failed"),
                "{budget}: {text}"
            );
        }
    }

    #[test]
    fn secrets_and_paths_of_this_machine_are_taken_out() {
        for (line, expected) in [
            ("token: abcd1234 left", "token: [hidden] left"),
            ("{'api_key': 'abcd1234'}", "{'api_key': [hidden]}"),
            ("Authorization: Bearer abcdef", "Authorization: [hidden]"),
            (
                "Authorization: Basic dXNlcjpwYXNz",
                "Authorization: [hidden]",
            ),
            (
                "{'Authorization': 'Bearer opaque123456'}",
                "{'Authorization': [hidden]}",
            ),
            ("secret = b'0123456789abcdef'", "secret = [hidden]"),
            ("password = 'correct horse battery'", "password = [hidden]"),
            ("key sk-abcdefghijklmnop12 end", "key [hidden] end"),
            ("ghp_abcdefghijklmnop1234", "[hidden]"),
            (
                "open('/usr/lib/python3.11/json/decoder.py')",
                "open('decoder.py')",
            ),
            ("tokens = 3", "tokens = 3"),
            ("a / b / c and 1/2", "a / b / c and 1/2"),
            ("src/money.py:3", "src/money.py:3"),
        ] {
            assert_eq!(clean(line), expected);
        }
    }

    #[test]
    fn without_frames_the_trace_is_told() {
        let bare = Failure {
            frames: vec![],
            stdout: String::new(),
            stderr: String::new(),
            ..failure()
        };
        assert!(summary(&bare, &words, BUDGET).contains("tests/test_money.py:3: in test_sum"));
    }
}

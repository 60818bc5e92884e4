//! What is wrong, told by the failing test in one short line.
//!
//! In: the first failure of a run. Out: at most [`MAX_CHARS`] characters that do not hold the repaired line.
//! Example: `test_total: assert 3 == 4`.

use std::collections::BTreeSet;

use super::FailureText;

/// A statement is read together with the function it is about, by models with a context of a few hundred tokens.
pub const MAX_CHARS: usize = 100;

/// A statement about one of the `failing` tests. `fixed` is the line that the reader is to find: where the message
/// holds it, only the test and the exception are told.
pub(super) fn statement(
    failure: Option<&FailureText>,
    failing: &BTreeSet<String>,
    fixed: &str,
) -> String {
    // The first failure may be a test that fails on the clean tree too: it says nothing about the bug.
    let Some(failure) = failure.filter(|failure| failing.contains(&failure.test)) else {
        let test = failing.first().map_or("a test", |test| test_name(test));
        return cut(&format!("{test} fails"));
    };
    let exception = failure.exception.rsplit('.').next().unwrap_or_default();
    let message = failure
        .message
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    // pytest writes `AssertionError: assert …` and `KeyError: 'a'` as well as the message alone.
    let message = message
        .strip_prefix(&format!("{exception}:"))
        .unwrap_or(message)
        .trim();
    let message = if leaks(message, fixed) {
        String::new()
    } else {
        without_addresses(message)
    };
    let name = test_name(&failure.test);
    cut(&match (exception, message.as_str()) {
        ("" | "AssertionError", "") => format!("{name} fails"),
        ("" | "AssertionError", message) => format!("{name}: {message}"),
        (exception, "") => format!("{name}: {exception}"),
        (exception, message) => format!("{name}: {exception}: {message}"),
    })
}

/// The name of the test function: `test_sum` of `tests/test_a.py::TestA::test_sum[1-2]`.
fn test_name(id: &str) -> &str {
    let plain = id.split('[').next().unwrap_or(id);
    plain.rsplit("::").next().unwrap_or(plain)
}

/// `<Shape at 0x7fe024f40a50>` becomes `<Shape at 0x…>`: where an object lies differs from run to run.
fn without_addresses(message: &str) -> String {
    let mut parts = message.split(" at 0x");
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        text.push_str(" at 0x…");
        text.push_str(part.trim_start_matches(|character: char| character.is_ascii_hexdigit()));
    }
    text
}

/// A line of a few characters, such as `pass`, tells nothing.
fn leaks(message: &str, fixed: &str) -> bool {
    let packed = |text: &str| text.split_whitespace().collect::<String>();
    let fixed = packed(fixed);
    fixed.chars().count() >= 8 && packed(message).contains(&fixed)
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CHARS {
        return text.to_string();
    }
    text.chars().take(MAX_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exception: &str, message: &str, expected: &str) {
        let test = "tests/test_a.py::TestCart::test_total[1-2]".to_string();
        let failing = BTreeSet::from([test.clone()]);
        let failure = FailureText {
            test,
            exception: exception.into(),
            message: message.into(),
        };
        assert_eq!(
            statement(Some(&failure), &failing, "    return a + b\n"),
            expected
        );
    }

    #[test]
    fn a_statement_names_the_test_and_what_it_saw() {
        check(
            "AssertionError",
            "assert 3 == 4\n +  where 3 = f()",
            "test_total: assert 3 == 4",
        );
        check(
            "builtins.KeyError",
            "KeyError: 'a'",
            "test_total: KeyError: 'a'",
        );
        check("AssertionError", "", "test_total fails");
    }

    #[test]
    fn where_an_object_lies_is_not_told() {
        let message = "assert <Shape at 0x7fe024f40a50> is <Shape at 0x1>";
        check(
            "AssertionError",
            message,
            "test_total: assert <Shape at 0x…> is <Shape at 0x…>",
        );
    }

    #[test]
    fn the_repaired_line_is_not_told() {
        check(
            "SyntaxError",
            "bad line: return a+b",
            "test_total: SyntaxError",
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        let failing = BTreeSet::from(["t".to_string()]);
        let failure = FailureText {
            test: "t".into(),
            exception: "E".into(),
            message: "ä".repeat(300),
        };
        assert_eq!(
            statement(Some(&failure), &failing, "").chars().count(),
            MAX_CHARS
        );
    }

    #[test]
    fn a_failure_of_the_clean_tree_is_not_told() {
        let failing = BTreeSet::from(["a.py::test_b".to_string()]);
        let failure = FailureText {
            test: "a.py::test_a".into(),
            exception: "E".into(),
            message: "old".into(),
        };
        assert_eq!(statement(Some(&failure), &failing, ""), "test_b fails");
    }
}

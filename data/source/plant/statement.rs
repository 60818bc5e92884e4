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
pub(super) fn statement(failure: Option<&FailureText>, failing: &BTreeSet<String>, fixed: &str) -> String {
    // The first failure may be a test that fails on the clean tree too: it says nothing about the bug.
    let Some(failure) = failure.filter(|failure| failing.contains(&failure.test)) else {
        let test = failing.first().map_or("a test", |test| test_name(test));
        return cut(&format!("{test} fails"));
    };
    let exception = failure.exception.rsplit('.').next().unwrap_or_default();
    let message = failure.message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // pytest writes `AssertionError: assert …` and `KeyError: 'a'` as well as the message alone.
    let message = message.strip_prefix(&format!("{exception}:")).unwrap_or(message).trim();
    let message = if leaks(message, fixed) { "" } else { message };
    let name = test_name(&failure.test);
    cut(&match (exception, message) {
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
        let failure = FailureText { test, exception: exception.into(), message: message.into() };
        assert_eq!(statement(Some(&failure), &failing, "    return a + b\n"), expected);
    }

    #[test]
    fn a_statement_names_the_test_and_what_it_saw() {
        check("AssertionError", "assert 3 == 4\n +  where 3 = f()", "test_total: assert 3 == 4");
        check("builtins.KeyError", "KeyError: 'a'", "test_total: KeyError: 'a'");
        check("AssertionError", "", "test_total fails");
    }

    #[test]
    fn the_repaired_line_is_not_told() {
        check("SyntaxError", "bad line: return a+b", "test_total: SyntaxError");
    }

    #[test]
    fn a_long_message_is_cut() {
        let failing = BTreeSet::from(["t".to_string()]);
        let failure = FailureText { test: "t".into(), exception: "E".into(), message: "ä".repeat(300) };
        assert_eq!(statement(Some(&failure), &failing, "").chars().count(), MAX_CHARS);
    }

    #[test]
    fn a_failure_of_the_clean_tree_is_not_told() {
        let failing = BTreeSet::from(["a.py::test_b".to_string()]);
        let failure = FailureText { test: "a.py::test_a".into(), exception: "E".into(), message: "old".into() };
        assert_eq!(statement(Some(&failure), &failing, ""), "test_b fails");
    }
}

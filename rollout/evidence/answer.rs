//! What a copy of a test said, as a text, and the values in it.
//!
//! In: the status of a test, and the first line of its failure. Out: words that can be compared between patches.
//! Example: `AssertionError: assert {2, 1} == {3}` holds the values `1`, `2` and `3`; the order in a set does not count.

use std::sync::LazyLock;

use regex::Regex;

use sandbox::TestStatus;

/// Where Python keeps an object differs from run to run.
static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("0x[0-9a-f]{6,}").expect("well formed"));
/// Numbers, texts, constants and braces. The names of classes are a patch's own business.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"[{}]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|True|False|None|\btrue\b|\bfalse\b|\bnull\b|\bundefined\b"#)
        .expect("well formed")
});

/// A test that passes.
pub(super) const PASSES: &str = "passes";
/// A test that was not asked.
pub(super) const UNKNOWN: &str = "is not known";
/// Numbers that differ by less are the same, relative to their size: sums in another order.
const ROUNDING: f64 = 1e-6;
/// What becomes of inputs that make no sense.
pub(super) const NO_NUMBER: [&str; 2] = ["NaN", "Invalid Date"];

/// What Python calls an object without words of its own, and a class.
static OBJECT: LazyLock<Regex> = LazyLock::new(|| Regex::new("<[^<>]*>").expect("well formed"));
/// Comparisons that do not ask for one value: what they say differs between honest repairs.
static LOOSE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^AssertionError: assert <one> |not found in |unexpectedly found in |Regex (pattern|didn|matches|input)|",
        r"not (greater|less) than|is not None$|unexpectedly None|",
        r"\.(not\.|toContain|toMatch|toThrow|toThrowError|toBeGreater\w*|toBeLess\w*)\b",
    ))
    .expect("well formed")
});
/// Before the values that an object holds (`compared.py`).
const OBJECT_VALUES: &str = "@{";
/// A comparison that does not ask for one value failed.
pub(super) const DOES_NOT_HOLD: &str = "AssertionError: it does not hold";

/// The words for a status and its reason.
pub(super) fn in_words(status: TestStatus, why: Option<&String>) -> String {
    match status {
        TestStatus::Passed => PASSES.to_string(),
        TestStatus::Skipped => "is skipped".to_string(),
        TestStatus::XFailed | TestStatus::XPassed => "is expected to fail".to_string(),
        TestStatus::Failed => {
            let why = why.map_or("", String::as_str);
            if is_loose(why) {
                DOES_NOT_HOLD.to_string()
            } else {
                ADDRESS.replace_all(why, "0x").into_owned()
            }
        }
    }
}

fn is_loose(why: &str) -> bool {
    // `assertNotEqual` says `3 == 3`; `assert 3 == 4` is pytest's.
    let differs = why
        .strip_prefix("AssertionError: ")
        .is_some_and(|rest| !rest.starts_with("assert "));
    LOOSE.is_match(why) || (differs && why.contains(" == ") && !why.contains(" != "))
}

/// The values that a failed comparison tells, in their order, which does not count within the braces of a set or a
/// dictionary. Empty for what passes or raises something else.
pub(super) fn values_of(said: &str) -> Vec<String> {
    if said == PASSES || !is_answer(said) {
        return Vec::new();
    }
    let mut said = said.to_string();
    while OBJECT.is_match(&said) {
        said = OBJECT.replace_all(&said, " ").into_owned();
    }
    let plain = |value: &str| {
        let value = value.trim_matches(['"', '\'']);
        // Whole numbers stay whole: only decimals are rounded.
        match value.parse::<f64>() {
            Ok(number) if value.contains(['.', 'e']) => format!("{number:?}"),
            Ok(number) => number.to_string(),
            Err(_) => value.to_string(),
        }
    };
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    for found in VALUE.find_iter(&said) {
        match found.as_str() {
            "{" => open.push(Vec::new()),
            "}" if open.len() > 1 => {
                let mut inner = open.pop().unwrap_or_default();
                inner.sort_unstable();
                open.last_mut().expect("one is always open").extend(inner);
            }
            "}" => {}
            value => open
                .last_mut()
                .expect("one is always open")
                .push(plain(value)),
        }
    }
    open.concat()
}

/// What a test got: `9` of `assert 9 == 17`. What passes got what was expected.
pub(super) fn got(said: &str) -> Option<&str> {
    if said == PASSES {
        return Some(PASSES);
    }
    let said = said.strip_prefix("AssertionError: ")?;
    let said = said.strip_prefix("assert ").unwrap_or(said);
    [" == ", " != ", " is "]
        .iter()
        .find_map(|sign| said.rsplit_once(sign))
        .map(|(left, _)| left)
}

/// Whether an answer holds these values. An object may hold others besides.
pub(super) fn holds(said: &str, values: &[String]) -> bool {
    let own = values_of(said);
    let has = |value: &String| {
        own.iter()
            .any(|one| alike(std::slice::from_ref(one), std::slice::from_ref(value)))
    };
    alike(&own, values) || (said.contains(OBJECT_VALUES) && values.iter().all(has))
}

/// Whether two answers hold the same values, up to rounding.
fn alike(ones: &[String], others: &[String]) -> bool {
    let close = |one: &str, other: &str| match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(a), Ok(b)) => {
            (one.contains('.') || other.contains('.'))
                && (a - b).abs() <= ROUNDING * a.abs().max(b.abs())
        }
        _ => false,
    };
    ones.len() == others.len()
        && ones
            .iter()
            .zip(others)
            .all(|(one, other)| one == other || close(one, other))
}

/// Whether a test got a value to compare, rather than an exception. `Failed` is what `pytest.raises` says.
pub(super) fn is_answer(said: &str) -> bool {
    said == PASSES
        || ["AssertionError", "Failed"]
            .iter()
            .any(|exception| said.starts_with(exception))
}

//! What is odd about a row that is imported all the same.
//!
//! In: a row. Out: remarks, each with its kind. Example: of a test that stands in both lists nobody can say whether it
//! should fail before the repair.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::TaskRow;

/// Columns that change how other programs grade a row, and how they count.
pub const GRADING_COLUMNS: [(&str, &str); 12] = [
    (
        "eval_type",
        "with `fail_only` SWE-bench takes a test that did not run for passed; `train grade` does not",
    ),
    (
        "test_cmds",
        "the harness of the set runs these; `train grade` runs the tests of both lists itself",
    ),
    (
        "test_command",
        "the harness of the set runs this; `train grade` runs the tests of both lists itself",
    ),
    (
        "eval_script",
        "the harness of the set runs this; `train grade` runs the tests of both lists itself",
    ),
    (
        "log_parser",
        "the harness of the set reads its log with this; `train grade` is told of each test and reads no log",
    ),
    (
        "install_config",
        "the environment that the lists of tests were made in; an image has it, `train grade` installs nothing",
    ),
    (
        "environment_setup_commit",
        "the commit that the environment was installed for; an image has it",
    ),
    (
        "version",
        "chooses the environment and the command in the harness of the set; `train grade` does not read it",
    ),
    ("image", "the image that the lists of tests were made in"),
    (
        "before_repo_set_cmd",
        "the harness of the set runs this before the tests; `train grade` does not",
    ),
    (
        "selected_test_files_to_run",
        "the harness of the set runs these files; `train grade` runs the tests of both lists",
    ),
    ("other_columns", "every other column, as it was"),
];

/// What kind of oddity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    /// A test stands in both lists.
    InBothLists,
    /// A test stands twice in one list.
    Repeated,
    /// The name of a test ends in the middle of a parameter.
    CutName,
    /// Nothing says what is wrong.
    NoStatement,
    /// There is no gold patch.
    NoGoldPatch,
}

impl RemarkKind {
    /// What it says of many rows.
    pub fn of_rows(self) -> &'static str {
        match self {
            RemarkKind::InBothLists => "have tests in both FAIL_TO_PASS and PASS_TO_PASS",
            RemarkKind::Repeated => "have a test twice in one list",
            RemarkKind::CutName => {
                "have names of tests that are cut inside of a parameter, so that no test has that name"
            }
            RemarkKind::NoStatement => "have no problem statement",
            RemarkKind::NoGoldPatch => "have no gold patch",
        }
    }
}

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// Its kind.
    pub kind: RemarkKind,
    /// What is odd.
    pub text: String,
}

/// What is odd about a row.
pub fn remarks(row: &TaskRow) -> Vec<Remark> {
    let mut found = Vec::new();
    let mut add = |kind, text: String| found.push(Remark { kind, text });
    let fail: HashSet<&str> = row.fail_to_pass.iter().map(String::as_str).collect();
    let both: Vec<&str> = row
        .pass_to_pass
        .iter()
        .map(String::as_str)
        .filter(|test| fail.contains(test))
        .collect();
    if let Some(first) = both.first() {
        add(
            RemarkKind::InBothLists,
            format!(
                "tests in both FAIL_TO_PASS and PASS_TO_PASS: {}, e.g. `{}`",
                both.len(),
                shown(first)
            ),
        );
    }
    let repeated = [
        ("FAIL_TO_PASS", &row.fail_to_pass),
        ("PASS_TO_PASS", &row.pass_to_pass),
    ];
    for (name, list) in repeated {
        if let Some(twice) = twice(list) {
            add(
                RemarkKind::Repeated,
                format!("`{}` stands twice in {name}", shown(twice)),
            );
        }
    }
    let cut: Vec<&String> = row
        .fail_to_pass
        .iter()
        .chain(&row.pass_to_pass)
        .filter(|test| is_cut(test))
        .collect();
    if let Some(first) = cut.first() {
        add(
            RemarkKind::CutName,
            format!(
                "names of tests that are cut inside of a parameter: {}, e.g. `{}`; SWE-bench 5 compares them by their beginning",
                cut.len(),
                shown(first)
            ),
        );
    }
    if row.problem_statement.trim().is_empty() {
        add(
            RemarkKind::NoStatement,
            "it has no problem statement: a model is not told what is wrong".into(),
        );
    }
    if row.patch.trim().is_empty() {
        add(
            RemarkKind::NoGoldPatch,
            "it has no gold patch: whether its tests can be passed is not known".into(),
        );
    }
    found
}

fn twice(list: &[String]) -> Option<&str> {
    let mut seen = HashSet::with_capacity(list.len());
    list.iter()
        .map(String::as_str)
        .find(|test| !seen.insert(*test))
}

/// True where a bracket is opened and never closed: `t.py::a[x` of `t.py::a[x y]`.
fn is_cut(test: &str) -> bool {
    let count = |bracket: u8| test.bytes().filter(|byte| *byte == bracket).count();
    test.contains('[') && !test.ends_with(']') && count(b'[') > count(b']')
}

fn shown(test: &str) -> String {
    let short: String = test.chars().take(120).collect();
    short.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fail: &[&str], pass: &[&str]) -> TaskRow {
        let list = |tests: &[&str]| tests.iter().map(|test| test.to_string()).collect();
        TaskRow {
            problem_statement: "x".into(),
            patch: "p".into(),
            fail_to_pass: list(fail),
            pass_to_pass: list(pass),
            ..TaskRow::default()
        }
    }

    fn kinds(row: &TaskRow) -> Vec<RemarkKind> {
        remarks(row).into_iter().map(|remark| remark.kind).collect()
    }

    #[test]
    fn each_oddity_has_its_remark_and_a_plain_row_has_none() {
        assert_eq!(
            kinds(&row(
                &["t.py::a[x y]", "t.py::b[[]"],
                &["t.py::c", "test_d (m.A)"]
            )),
            []
        );
        assert_eq!(kinds(&row(&["a"], &["b", "a"])), [RemarkKind::InBothLists]);
        assert_eq!(kinds(&row(&["a", "a"], &["b"])), [RemarkKind::Repeated]);
        assert_eq!(kinds(&row(&["t.py::a[x"], &[])), [RemarkKind::CutName]);
        let bare = TaskRow {
            problem_statement: " \n".into(),
            patch: String::new(),
            ..row(&["a"], &[])
        };
        assert_eq!(
            kinds(&bare),
            [RemarkKind::NoStatement, RemarkKind::NoGoldPatch]
        );
    }

    #[test]
    fn a_remark_says_how_many_and_shows_one() {
        let text = &remarks(&row(&["a"], &["b", "a"]))[0].text;
        assert!(text.contains(": 1, e.g. `a`"), "{text}");
        let text = &remarks(&row(&["t.py::a[\u{1b}", "t.py::b[x"], &[]))[0].text;
        assert!(text.contains(": 2, e.g. `t.py::a[\\u{1b}`"), "{text}");
    }
}

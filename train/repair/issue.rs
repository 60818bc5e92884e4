//! What is wrong, from a file: a text, or a row of a data set.
//!
//! In: `issue.md`, or `issue.jsonl` of which the first row counts. Out: the text, and the failing tests that a row names.
//! Example: `{"problem_statement": "…", "FAIL_TO_PASS": "[\"tests/test_a.py::test_b\"]"}`.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// What is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issue {
    /// In words.
    pub text: String,
    /// Tests that fail because of it.
    pub tests: Vec<String>,
}

/// Reads an issue.
///
/// # Errors
///
/// When the file is empty or no text, or a row says nothing.
pub fn read(path: &Path) -> Result<Issue> {
    let text = data::file::read_text(path).context("while reading the issue")?;
    if text.trim().is_empty() {
        bail!(
            "`{}` is empty{}",
            path.display(),
            data::Hint("say what is wrong, or name a test that fails with `--failing-test`")
        );
    }
    let ending = path.extension().unwrap_or_default();
    if ending != "jsonl" && ending != "json" {
        return Ok(Issue {
            text,
            tests: Vec::new(),
        });
    }
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let row = if ending == "jsonl" { first } else { &text };
    let told = || format!("`{}`, row 1", path.display());
    let row: Value = serde_json::from_str(row).with_context(told)?;
    let said = ["problem_statement", "statement", "issue", "text", "body"]
        .iter()
        .find_map(|key| row[*key].as_str());
    let Some(said) = said.filter(|said| !said.trim().is_empty()) else {
        bail!(
            "{} says nothing: it has no `problem_statement`{}",
            told(),
            data::Hint("put the text there, or use a file `issue.md`")
        );
    };
    let tests = ["FAIL_TO_PASS", "fail_to_pass"]
        .iter()
        .map(|key| &row[*key])
        .find(|tests| !tests.is_null());
    let tests = tests
        .map(list)
        .transpose()
        .with_context(|| format!("{}: FAIL_TO_PASS", told()))?;
    Ok(Issue {
        text: said.to_string(),
        tests: tests.unwrap_or_default(),
    })
}

/// A list, or a list inside of a text.
fn list(value: &Value) -> Result<Vec<String>> {
    match value {
        Value::String(text) => Ok(serde_json::from_str(text)?),
        list => Ok(serde_json::from_value(list.clone())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Result<Issue> {
        let path = std::env::temp_dir().join(format!("issue-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("writes");
        let issue = read(&path);
        std::fs::remove_file(&path).expect("cleans up");
        issue
    }

    #[test]
    fn a_text_is_the_issue_and_a_row_names_its_tests() {
        assert_eq!(of("a.md", "it fails\n").expect("reads").text, "it fails\n");
        let row = of(
            "b.jsonl",
            "{\"problem_statement\":\"x\",\"FAIL_TO_PASS\":\"[\\\"t::a\\\"]\"}\n{}\n",
        )
        .expect("reads");
        assert_eq!(
            row,
            Issue {
                text: "x".into(),
                tests: vec!["t::a".into()]
            }
        );
    }

    #[test]
    fn what_says_nothing_is_refused_by_name() {
        let said =
            |name: &str, text: &str| format!("{:#}", of(name, text).expect_err("is refused"));
        assert!(said("c.md", " \n").contains("is empty"));
        assert!(said("d.jsonl", "{\"title\":\"x\"}").contains("row 1 says nothing"));
        assert!(said("e.jsonl", "{").contains("row 1"));
    }
}

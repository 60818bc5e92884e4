//! What models answered to tasks, as the field writes it down.
//!
//! In: JSON lines, a JSON list, a dictionary by id, or Parquet, with `instance_id`, `model_name_or_path` and
//! `model_patch` (a diff) or `model_files` (path to text, written over the tree), or with the `patch` and `prefix` of
//! SWE-bench Pro. Out: a [`Prediction`] each.
//! Example: `{"instance_id": "a__b-1", "model_name_or_path": "m", "model_patch": "--- a/x.py\n…"}`.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::jsonl::RowError;
use super::rows::{Limits, Row, each_row};
use crate::patch::{MAX_BYTES, MAX_FILES, Patch, check_path};

/// Lines of the old file times lines of the new one.
const MAX_WORK: usize = 1_000_000_000;

/// An answer to one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The task's id.
    pub instance_id: String,
    /// Who answered.
    pub model: String,
    /// What was answered.
    pub answer: Answer,
}

/// A change, in one of two forms.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A diff; empty where nothing was answered.
    Diff(String),
    /// Files by their path; none is a link or another thing that no patch may make.
    Files(Vec<(String, Option<String>)>),
    /// Something that is neither, or too much of it; why. It is not kept.
    Refused(String),
}

impl Answer {
    /// True where nothing was answered.
    pub fn is_empty(&self) -> bool {
        match self {
            Answer::Diff(diff) => diff.trim().is_empty(),
            Answer::Files(files) => files.is_empty(),
            Answer::Refused(_) => false,
        }
    }

    /// The answer as a patch of the base tree, which `read` reads.
    ///
    /// # Errors
    ///
    /// Why it is no patch.
    pub fn patch(&self, read: &dyn Fn(&str) -> Option<String>) -> Result<Patch, String> {
        match self {
            Answer::Diff(text) => Patch::parse(text).map_err(|error| error.to_string()),
            Answer::Refused(reason) => Err(reason.clone()),
            Answer::Files(files) => {
                let mut patches = Vec::with_capacity(files.len());
                for (path, text) in files {
                    check_path(path).map_err(|error| error.to_string())?;
                    let text = text
                        .as_ref()
                        .ok_or_else(|| format!("`{path}` is no text file"))?;
                    let old = read(path);
                    // Comparing takes as long as both are together, squared: nobody writes that much by hand.
                    let lines = |text: &str| text.lines().count();
                    if text.len() > MAX_BYTES
                        || old.as_deref().map_or(0, lines).saturating_mul(lines(text)) > MAX_WORK
                    {
                        return Err(format!("`{path}` is too large"));
                    }
                    patches.push(Patch::change(path, old.as_deref(), Some(text)));
                }
                Patch::joined(&patches).map_err(|error| error.to_string())
            }
        }
    }
}

/// Predictions, and the rows that are none: their number, counted from 1, and why.
pub type Read = (Vec<Prediction>, Vec<(usize, String)>);

/// Reads predictions. A row that is none, or answers a task a second time, stops no other.
///
/// # Errors
///
/// When the file cannot be read.
pub fn read_predictions(path: &Path) -> Result<Read, RowError> {
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    each_row(path, &Limits::default(), &mut |found| {
        match found.value {
            Ok(row) => rows.push((found.row, row)),
            Err(fault) => refused.push((found.row, fault.reason)),
        }
        Ok(())
    })?;
    if let [(number, one)] = rows.as_slice()
        && is_by_id(one)
    {
        rows = by_id(one).into_iter().map(|row| (*number, row)).collect();
    }
    let mut seen = HashSet::new();
    let mut predictions = Vec::with_capacity(rows.len());
    for (number, row) in rows {
        match prediction(row) {
            Ok(prediction) if seen.insert(prediction.instance_id.clone()) => {
                predictions.push(prediction)
            }
            Ok(prediction) => {
                let reason = format!("`{}` is answered twice", prediction.instance_id);
                refused.push((
                    number,
                    format!("{reason}{}", crate::Hint("grade one file per attempt")),
                ));
            }
            Err(reason) => refused.push((number, reason)),
        }
    }
    refused.sort();
    Ok((predictions, refused))
}

/// True where a row is a dictionary of answers, and not one answer that forgot its id.
fn is_by_id(row: &Row) -> bool {
    let column = |name: &String| {
        matches!(
            name.as_str(),
            "instance_id" | "model_patch" | "model_files" | "patch"
        )
    };
    !row.keys().any(column) && row.values().all(Value::is_object)
}

/// `{id: {model_patch: …}}` as rows.
fn by_id(all: &Row) -> Vec<Row> {
    let row = |(id, value): (&String, &Value)| {
        let mut row = value.as_object().cloned().unwrap_or_default();
        row.insert("instance_id".into(), Value::String(id.clone()));
        row
    };
    all.iter().map(row).collect()
}

fn prediction(row: Row) -> Result<Prediction, String> {
    const WANTED: crate::Hint<&str> =
        crate::Hint("a prediction has `instance_id` and `model_patch` or `model_files`");
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_string);
    let instance_id =
        text("instance_id").ok_or_else(|| format!("it has no `instance_id`{WANTED}"))?;
    // SWE-bench Pro calls the answer `patch`, as rows of tasks call their gold patch.
    let patch = || {
        row.get("patch")
            .filter(|_| !row.contains_key("FAIL_TO_PASS"))
    };
    let answer = match (
        row.get("model_files"),
        row.get("model_patch").or_else(patch),
    ) {
        (Some(Value::Object(files)), _) if files.len() > MAX_FILES => Answer::Refused(format!(
            "the answer has {} files; the limit is {MAX_FILES}",
            files.len()
        )),
        (Some(Value::Object(files)), _) if files.values().any(too_large) => Answer::Refused(
            format!("the answer has a file of more than {MAX_BYTES} bytes"),
        ),
        (Some(Value::Object(files)), _) => {
            let file =
                |(path, text): (&String, &Value)| (path.clone(), text.as_str().map(str::to_string));
            Answer::Files(files.iter().map(file).collect())
        }
        (None | Some(Value::Null), Some(diff)) if too_large(diff) => {
            let found = diff.as_str().map_or(0, str::len);
            Answer::Refused(format!(
                "the patch has {found} bytes; the limit is {MAX_BYTES}"
            ))
        }
        (None | Some(Value::Null), Some(Value::String(diff))) => Answer::Diff(diff.clone()),
        (None | Some(Value::Null), Some(Value::Null)) => Answer::Diff(String::new()),
        (None | Some(Value::Null), None) => {
            return Err(format!(
                "`{instance_id}` has neither a `model_patch` nor `model_files`{WANTED}"
            ));
        }
        (Some(_), _) => Answer::Refused("`model_files` is no object of texts".into()),
        (None, Some(_)) => Answer::Refused("`model_patch` is no text".into()),
    };
    let model = text("model_name_or_path")
        .or_else(|| text("prefix"))
        .unwrap_or_else(|| "unnamed".into());
    Ok(Prediction {
        instance_id,
        model,
        answer,
    })
}

fn too_large(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() > MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<Prediction>, String> {
        let path = std::env::temp_dir().join(format!("predictions-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("writes");
        let read = read_predictions(&path).map_err(|error| error.to_string());
        std::fs::remove_file(path).expect("cleans up");
        match read? {
            (_, refused) if !refused.is_empty() => {
                Err(format!("row {}: {}", refused[0].0, refused[0].1))
            }
            (predictions, _) => Ok(predictions),
        }
    }

    #[test]
    fn one_bad_row_stops_no_other() {
        let path = std::env::temp_dir().join(format!("predictions-{}-others", std::process::id()));
        let good = |id: &str| format!("{{\"instance_id\": \"{id}\", \"model_patch\": \"\"}}\n");
        std::fs::write(
            &path,
            format!(
                "{}{{\"x\": 1}}\nno json\n{}{}",
                good("a"),
                good("a"),
                good("b")
            ),
        )
        .expect("writes");
        let (predictions, refused) = read_predictions(&path).expect("reads");
        std::fs::remove_file(path).expect("cleans up");
        assert_eq!(
            predictions
                .iter()
                .map(|one| one.instance_id.as_str())
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(
            refused.iter().map(|(row, _)| *row).collect::<Vec<_>>(),
            [2, 3, 4]
        );
    }

    #[test]
    fn lines_lists_and_dictionaries_are_the_same() {
        let wanted = Prediction {
            instance_id: "a".into(),
            model: "m".into(),
            answer: Answer::Diff("x".into()),
        };
        let row = r#"{"instance_id": "a", "model_name_or_path": "m", "model_patch": "x"}"#;
        assert_eq!(read("lines", &format!("{row}\n")), Ok(vec![wanted.clone()]));
        assert_eq!(read("list", &format!("[{row}]")), Ok(vec![wanted.clone()]));
        let by_id = r#"{"a": {"model_name_or_path": "m", "model_patch": "x"}}"#;
        assert_eq!(read("by-id", by_id), Ok(vec![wanted]));
    }

    #[test]
    fn a_row_that_is_no_prediction_is_named() {
        assert!(
            read("no-id", "{\"model_patch\": \"\"}\n{\"x\": 1}\n")
                .expect_err("refused")
                .contains("row 1")
        );
        assert!(
            read("no-answer", "{\"instance_id\": \"a\"}\n")
                .expect_err("refused")
                .contains("neither")
        );
        let twice = "{\"instance_id\": \"a\", \"model_patch\": \"\"}\n".repeat(2);
        assert!(
            read("twice", &twice)
                .expect_err("refused")
                .contains("answered twice")
        );
    }

    #[test]
    fn the_columns_of_swe_bench_pro_are_those_of_an_answer_and_a_task_is_none() {
        let wanted = Prediction {
            instance_id: "a".into(),
            model: "p".into(),
            answer: Answer::Diff("x".into()),
        };
        assert_eq!(
            read(
                "pro",
                r#"[{"instance_id": "a", "patch": "x", "prefix": "p"}]"#
            ),
            Ok(vec![wanted])
        );
        let task = r#"{"instance_id": "a", "patch": "x", "FAIL_TO_PASS": []}"#;
        assert!(read("task", task).expect_err("refused").contains("neither"));
    }

    #[test]
    fn one_answer_without_an_id_is_no_dictionary() {
        for row in [
            r#"{"model_patch": ""}"#,
            r#"{"model_files": {}}"#,
            r#"{"a": 1}"#,
        ] {
            assert!(
                read("without", row)
                    .expect_err("refused")
                    .contains("no `instance_id`"),
                "{row}"
            );
        }
    }

    #[test]
    fn nothing_answered_is_nothing_in_every_form() {
        assert!(Answer::Diff("  \n".into()).is_empty() && Answer::Files(Vec::new()).is_empty());
        assert!(!Answer::Diff("x".into()).is_empty() && !Answer::Refused("x".into()).is_empty());
    }

    #[test]
    fn an_answer_of_another_kind_is_no_patch_and_a_huge_one_is_not_kept() {
        let reason = |answer: Value| {
            let mut row = answer.as_object().expect("a row").clone();
            row.insert("instance_id".into(), "a".into());
            let read = read("kinds", &format!("{}\n", Value::Object(row))).expect("a prediction");
            read[0].answer.patch(&|_| None).expect_err("is no patch")
        };
        use serde_json::json;
        assert!(reason(json!({"model_patch": 7})).contains("`model_patch` is no text"));
        assert!(reason(json!({"model_files": ["a.py"]})).contains("`model_files` is no object"));
        assert!(
            reason(json!({"model_patch": "x\n".repeat(25_000_000)})).contains("50000000 bytes")
        );
        assert!(
            reason(json!({"model_files": {"a.py": "x".repeat(MAX_BYTES + 1)}}))
                .contains("a file of more than")
        );
        let many: Row = (0..=MAX_FILES)
            .map(|n| (format!("f{n}"), json!("")))
            .collect();
        assert!(reason(json!({"model_files": many})).contains("201 files"));
    }

    #[test]
    fn files_become_a_patch_and_links_do_not() {
        let tree = |path: &str| (path == "a.py").then(|| "x = 1\n".to_string());
        let files = |rows: &[(&str, Option<&str>)]| {
            Answer::Files(
                rows.iter()
                    .map(|(path, text)| (path.to_string(), text.map(str::to_string)))
                    .collect(),
            )
        };
        let patch = files(&[("a.py", Some("x = 2\n")), ("new/b.py", Some("y = 1\n"))])
            .patch(&tree)
            .expect("a patch");
        let changes = patch.apply(&tree).expect("applies");
        let found: Vec<_> = changes
            .iter()
            .map(|one| (one.path.as_str(), one.content.as_deref()))
            .collect();
        assert_eq!(
            found,
            [("a.py", Some("x = 2\n")), ("new/b.py", Some("y = 1\n"))]
        );
        assert!(
            files(&[("a.py", None)])
                .patch(&tree)
                .expect_err("refused")
                .contains("no text file")
        );
        assert!(
            files(&[("../a.py", Some(""))])
                .patch(&tree)
                .expect_err("refused")
                .contains("leaves")
        );
        assert!(
            Answer::Diff(" \n".into())
                .patch(&tree)
                .expect("empty")
                .is_empty()
        );
        assert!(Answer::Diff("hello".into()).patch(&tree).is_err());
    }
}

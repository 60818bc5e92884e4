//! What models answered to tasks, as the field writes it down.
//!
//! In: JSON lines, a JSON list, a dictionary by id, or Parquet, with `instance_id`, `model_name_or_path` and
//! `model_patch` (a diff) or `model_files` (path to text, written over the tree). Out: a [`Prediction`] each.
//! Example: `{"instance_id": "a__b-1", "model_name_or_path": "m", "model_patch": "--- a/x.py\n…"}`.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::jsonl::RowError;
use super::rows::{Row, read_any, refused};
use crate::patch::{MAX_BYTES, Patch, check_path};

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
}

impl Answer {
    /// The answer as a patch of the base tree, which `read` reads.
    ///
    /// # Errors
    ///
    /// Why it is no patch.
    pub fn patch(&self, read: &dyn Fn(&str) -> Option<String>) -> Result<Patch, String> {
        match self {
            Answer::Diff(text) => Patch::parse(&ended(text)).map_err(|error| error.to_string()),
            Answer::Files(files) => {
                let mut patches = Vec::with_capacity(files.len());
                for (path, text) in files {
                    check_path(path).map_err(|error| error.to_string())?;
                    let text = text.as_ref().ok_or_else(|| format!("`{path}` is no text file"))?;
                    let old = read(path);
                    // Comparing takes as long as both are together, squared: nobody writes that much by hand.
                    let lines = |text: &str| text.lines().count();
                    if text.len() > MAX_BYTES || old.as_deref().map_or(0, lines).saturating_mul(lines(text)) > MAX_WORK
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

/// Models forget the last end of line of a diff.
fn ended(text: &str) -> String {
    if text.trim().is_empty() {
        String::new()
    } else if text.ends_with('\n') {
        text.to_string()
    } else {
        format!("{text}\n")
    }
}

/// Reads predictions.
///
/// # Errors
///
/// When the file cannot be read, a row is no prediction, or a task is answered twice.
pub fn read_predictions(path: &Path) -> Result<Vec<Prediction>, RowError> {
    let mut rows = read_any(path)?;
    if let [one] = rows.as_slice()
        && !one.contains_key("instance_id")
    {
        rows = by_id(one);
    }
    let mut seen = HashSet::new();
    let mut predictions = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let prediction = prediction(row).map_err(|reason| refused(path, index + 1, reason))?;
        if !seen.insert(prediction.instance_id.clone()) {
            let reason = format!("`{}` is answered twice", prediction.instance_id);
            return Err(refused(path, index + 1, format!("{reason}\nhint: grade one file per attempt")));
        }
        predictions.push(prediction);
    }
    Ok(predictions)
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
    const WANTED: &str = "hint: a prediction has `instance_id` and `model_patch` or `model_files`";
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_string);
    let instance_id = text("instance_id").ok_or_else(|| format!("it has no `instance_id`\n{WANTED}"))?;
    let answer = match (row.get("model_files"), row.get("model_patch")) {
        (Some(Value::Object(files)), _) => {
            let file = |(path, text): (&String, &Value)| (path.clone(), text.as_str().map(str::to_string));
            Answer::Files(files.iter().map(file).collect())
        }
        (None | Some(Value::Null), Some(Value::String(diff))) => Answer::Diff(diff.clone()),
        (None | Some(Value::Null), Some(Value::Null)) => Answer::Diff(String::new()),
        _ => return Err(format!("`{instance_id}` has neither a `model_patch` nor `model_files`\n{WANTED}")),
    };
    Ok(Prediction { instance_id, model: text("model_name_or_path").unwrap_or_else(|| "unnamed".into()), answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<Prediction>, String> {
        let path = std::env::temp_dir().join(format!("predictions-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("writes");
        let read = read_predictions(&path).map_err(|error| error.to_string());
        std::fs::remove_file(path).expect("cleans up");
        read
    }

    #[test]
    fn lines_lists_and_dictionaries_are_the_same() {
        let wanted = Prediction { instance_id: "a".into(), model: "m".into(), answer: Answer::Diff("x".into()) };
        let row = r#"{"instance_id": "a", "model_name_or_path": "m", "model_patch": "x"}"#;
        assert_eq!(read("lines", &format!("{row}\n")), Ok(vec![wanted.clone()]));
        assert_eq!(read("list", &format!("[{row}]")), Ok(vec![wanted.clone()]));
        let by_id = r#"{"a": {"model_name_or_path": "m", "model_patch": "x"}}"#;
        assert_eq!(read("by-id", by_id), Ok(vec![wanted]));
    }

    #[test]
    fn a_row_that_is_no_prediction_is_named() {
        assert!(read("no-id", "{\"model_patch\": \"\"}\n{\"x\": 1}\n").expect_err("refused").contains("row 1"));
        assert!(read("no-answer", "{\"instance_id\": \"a\"}\n").expect_err("refused").contains("neither"));
        let twice = "{\"instance_id\": \"a\", \"model_patch\": \"\"}\n".repeat(2);
        assert!(read("twice", &twice).expect_err("refused").contains("answered twice"));
    }

    #[test]
    fn files_become_a_patch_and_links_do_not() {
        let tree = |path: &str| (path == "a.py").then(|| "x = 1\n".to_string());
        let files = |rows: &[(&str, Option<&str>)]| {
            Answer::Files(rows.iter().map(|(path, text)| (path.to_string(), text.map(str::to_string))).collect())
        };
        let patch = files(&[("a.py", Some("x = 2\n")), ("new/b.py", Some("y = 1\n"))]).patch(&tree).expect("a patch");
        let changes = patch.apply(&tree).expect("applies");
        let found: Vec<_> = changes.iter().map(|one| (one.path.as_str(), one.content.as_deref())).collect();
        assert_eq!(found, [("a.py", Some("x = 2\n")), ("new/b.py", Some("y = 1\n"))]);
        assert!(files(&[("a.py", None)]).patch(&tree).expect_err("refused").contains("no text file"));
        assert!(files(&[("../a.py", Some(""))]).patch(&tree).expect_err("refused").contains("leaves"));
        assert!(Answer::Diff(" \n".into()).patch(&tree).expect("empty").is_empty());
        assert!(Answer::Diff("hello".into()).patch(&tree).is_err());
    }
}

//! What a person has to look at: tasks with a model's answer that the tests did not accept.
//!
//! In: tasks, predictions and, where there are any, verdicts of `train grade` or `train eval --agent`; or the folder of a
//! run. Out: an [`Item`] each. What is resolved and not quarantined is left out, unless all are wanted.
//! Example: `train repair --out work` that ends in `needs_review` leaves `tasks.jsonl`, `preds.json` and `repair.json`,
//! and `from_run` makes one item of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use data::source::jsonl::{TASKS_FILE, read_rows};
use data::source::prediction::Answer;
use rollout::outcome::Resolution;
use serde_json::Value;

use super::store::Item;
use crate::grade::{Given, RESULTS_FILE, Verdict, predictions_of, tasks_of};

/// What is read.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The tasks.
    pub tasks: PathBuf,
    /// The answers.
    pub predictions: PathBuf,
    /// What the tests said about them; `None` where nobody asked yet.
    pub results: Option<PathBuf>,
}

/// Where rows that bring their repository along are unpacked, below the folder of the queue.
const TASKS: &str = "tasks";
/// How deep predictions are looked for below the folder of a run.
const DEPTH: usize = 3;

/// What a run left: its predictions, the tasks beside them or those that are named, and what the tests said.
///
/// # Errors
///
/// When the folder holds no predictions, or nothing says which tasks they answer.
pub fn from_run(folder: &Path, tasks: Option<&Path>) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    find_predictions(folder, DEPTH, &mut found)?;
    found.sort();
    if found.is_empty() {
        bail!(
            "`{}` holds no predictions{}",
            folder.display(),
            data::Hint(
                "`train repair --out` and `train eval --agent` write `preds.json`; name other files with `--tasks` and `--predictions`"
            )
        );
    }
    let source = |predictions: PathBuf| {
        let beside = predictions.parent().unwrap_or(folder);
        let places = [beside.to_path_buf(), folder.to_path_buf()];
        let held_out = folder.join("tasks/held_out");
        let usual = places
            .iter()
            .chain([&held_out])
            .map(|place| place.join(TASKS_FILE));
        let tasks = tasks
            .map(Path::to_path_buf)
            .or_else(|| usual.into_iter().find(|path| path.is_file()))
            .with_context(|| {
                format!(
                    "nothing says which tasks `{}` answers{}",
                    predictions.display(),
                    data::Hint("name them with `--tasks`")
                )
            })?;
        Ok(Source {
            results: results_beside(&predictions),
            tasks,
            predictions,
        })
    };
    found.into_iter().map(source).collect()
}

fn find_predictions(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("while reading `{}`", folder.display()))?;
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        let kind = entry.file_type()?;
        if kind.is_file() && (name == "preds.json" || name.ends_with(".preds.json")) {
            found.push(path);
        } else if kind.is_dir() && depth > 0 && name != crate::repair::TREE {
            find_predictions(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

/// `a.json` of `a.preds.json`, `repair.json` or `results.jsonl` of `preds.json`.
fn results_beside(predictions: &Path) -> Option<PathBuf> {
    let name = predictions.file_name()?.to_str()?;
    let names = match name.strip_suffix(".preds.json") {
        Some(stem) => vec![format!("{stem}.json")],
        None => vec!["repair.json".into(), RESULTS_FILE.into()],
    };
    names
        .into_iter()
        .map(|name| predictions.with_file_name(name))
        .find(|path| path.is_file())
}

/// Reads what is to be looked at; `all` keeps what is resolved, too.
///
/// # Errors
///
/// When a file cannot be read, or an item is not one.
pub fn read(source: &Source, all: bool, queue: &Path) -> Result<Vec<Item>> {
    // Rows of two files may have the same ids.
    let words = source.tasks.display().to_string();
    let unpacked = queue
        .join(TASKS)
        .join(&blake3::hash(words.as_bytes()).to_hex()[..12]);
    let given = tasks_of(&source.tasks, &unpacked)?;
    let predictions = predictions_of(&source.predictions, &given)?;
    let said = match &source.results {
        Some(path) => results(path)?,
        None => HashMap::new(),
    };
    let only = said.get("").cloned();
    let root = given
        .set
        .root
        .canonicalize()
        .with_context(|| format!("while looking for `{}`", given.set.root.display()))?
        .display()
        .to_string();
    let mut items = Vec::new();
    for prediction in predictions {
        let Some(task) = given.set.find(&prediction.instance_id) else {
            continue;
        };
        let said = said.get(&task.id).or(only.as_ref());
        if said.is_some_and(|said| said.resolved) && !all {
            continue;
        }
        let unknown = || "nobody asked the tests yet".to_string();
        items.push(Item {
            id: 0,
            task: task.clone(),
            root: root.clone(),
            model: prediction.model,
            patch: diff(&prediction.answer, &given, task),
            reason: said.map_or_else(unknown, |said| said.reason.clone()),
        });
    }
    Ok(items)
}

fn diff(answer: &Answer, given: &Given, task: &data::Task) -> String {
    let read = |path: &str| given.set.base_file(task, path).ok().flatten();
    match answer {
        Answer::Diff(diff) => diff.clone(),
        Answer::Files(_) => answer.patch(&read).map_or_else(
            |why| format!("no patch: {why}"),
            |patch| patch.text().into(),
        ),
        Answer::Refused(why) => format!("no patch: {why}"),
    }
}

/// What the tests said about an answer.
#[derive(Clone, Debug)]
struct Said {
    resolved: bool,
    reason: String,
}

/// By task; of a repair alone, which names no task, under the empty name.
fn results(path: &Path) -> Result<HashMap<String, Said>> {
    if path.extension().is_some_and(|end| end == "jsonl") {
        let rows: Vec<Verdict> = read_rows(path).context("while reading results")?;
        let said = |row: Verdict| {
            let resolved = row.outcome == Resolution::Resolved && !row.quarantined;
            let reason = row.reason;
            (row.instance_id, Said { resolved, reason })
        };
        return Ok(rows.into_iter().map(said).collect());
    }
    let text = data::file::read_text(path)?;
    let summary: Value = serde_json::from_str(&text)
        .with_context(|| format!("`{}` is no summary of a run", path.display()))?;
    let end = match &summary["end"] {
        Value::String(end) => Some(end.clone()),
        Value::Object(end) => end
            .iter()
            .next()
            .map(|(end, why)| format!("{end} ({})", why.as_str().unwrap_or_default())),
        _ => None,
    };
    if let Some(end) = end {
        let said = Said {
            resolved: end == "repaired",
            reason: format!(
                "the agent ended with {end} after {} tries",
                summary["tries"]
            ),
        };
        return Ok(HashMap::from([(String::new(), said)]));
    }
    let rows = summary["tasks"].as_array().into_iter().flatten();
    let said = |row: &Value| {
        let resolved = row["resolved"].as_bool()?;
        let reason = format!("needs_review: the agent spent its {} tries", row["tries"]);
        Some((
            row["task_id"].as_str()?.to_string(),
            Said { resolved, reason },
        ))
    };
    Ok(rows.filter_map(said).collect())
}

//! What is judged: tasks and predictions, from files of the user's.
//!
//! In: a file of tasks, and one of predictions or the words `gold` and `empty`. Out: both, or an error that names the
//! file and the row. Nothing is written before every row was looked at.
//! Example: `predictions_of(Path::new("gold"), &set)?` answers each task with its own repair.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use data::Task;
use data::source::jsonl::{RowError, TaskSet, read_tasks, write_tasks};
use data::source::prediction::{Answer, Prediction, read_predictions};
use data::source::public::needs_image;
use data::source::rows::{Row, read_any};
use data::source::self_contained::{self, SelfContained};

/// Reads tasks: our own, or rows that bring their repository along, which become tasks below `out`.
///
/// # Errors
///
/// When a row is neither, or makes no task, an id occurs twice, or there is no row.
pub fn tasks_of(path: &Path, out: &Path) -> Result<TaskSet> {
    let set = if path.is_dir() { read_tasks(path)? } else { of_file(path, out)? };
    if set.tasks.is_empty() {
        bail!(
            "`{}` holds no task\nhint: is it the file that was meant, and was it written to its end?",
            path.display()
        );
    }
    Ok(set)
}

fn of_file(path: &Path, out: &Path) -> Result<TaskSet> {
    let rows = read_any(path).context("while reading tasks")?;
    if !rows.iter().any(self_contained::looks_like) {
        if let Some(reason) = rows.first().and_then(without_image) {
            return Err(RowError::Row { path: path.to_path_buf(), row: 1, reason }.into());
        }
        return read_tasks(path).context("while reading tasks\nhint: rows are our own, or self-contained ones");
    }
    let refused = |row: usize, reason: String| RowError::Row { path: path.to_path_buf(), row: row + 1, reason };
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut wanted: Vec<SelfContained> = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        if let Some(reason) = without_image(&row) {
            return Err(refused(index, reason).into());
        }
        let row: SelfContained = serde_json::from_value(serde_json::Value::Object(row))
            .map_err(|error| refused(index, error.to_string()))?;
        if let Some(first) = first.insert(row.instance_id.clone(), index + 1) {
            let reason = format!("the id `{}` stands in row {first} already", row.instance_id);
            return Err(refused(index, format!("{reason}\nhint: give each row an id of its own")).into());
        }
        wanted.push(row);
    }
    let beside = path.parent().unwrap_or(Path::new("."));
    let task = |(index, row): (usize, &SelfContained)| {
        self_contained::to_task(row, beside, out).map_err(|reason| refused(index, reason))
    };
    let tasks: Vec<Task> = wanted.iter().enumerate().map(task).collect::<Result<_, _>>()?;
    write_tasks(out, &tasks)?;
    Ok(read_tasks(out)?)
}

/// Why a row of a public data set cannot be graded here.
fn without_image(row: &Row) -> Option<String> {
    let (id, image) = needs_image(row)?;
    Some(format!(
        "`{id}` needs the container image `{image}`, and this sandbox runs rows that bring their repository along\n\
         hint: give it `files`, a `folder`, an `archive`, or `git` and a `commit`"
    ))
}

/// Reads predictions: a file, or the words `gold` and `empty`.
///
/// # Errors
///
/// When the file is none, is empty, or answers a task that is not in the set.
pub fn predictions_of(word: &Path, set: &TaskSet) -> Result<Vec<Prediction>> {
    let all = |answer: &dyn Fn(&Task) -> String| {
        let model = word.display().to_string();
        let one = |task: &Task| Prediction {
            instance_id: task.id.clone(),
            model: model.clone(),
            answer: Answer::Diff(answer(task)),
        };
        set.tasks.iter().map(one).collect()
    };
    match word.to_str() {
        Some("gold") => return Ok(all(&|task| task.gold.text().to_string())),
        Some("empty") => return Ok(all(&|_| String::new())),
        _ => {}
    }
    let predictions = read_predictions(word).context("while reading predictions")?;
    if predictions.is_empty() {
        bail!(
            "`{}` holds no prediction\nhint: is it the file that was meant, and was it written to its end?",
            word.display()
        );
    }
    if let Some(unknown) = predictions.iter().find(|one| set.find(&one.instance_id).is_none()) {
        bail!(
            "`{}` answers `{}`, which is no task of the set\nhint: `--tasks` takes the file that the predictions were made for",
            word.display(),
            unknown.instance_id
        );
    }
    Ok(predictions)
}

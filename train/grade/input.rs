//! What is judged: tasks and predictions, from files of the user's.
//!
//! In: a file of tasks, and one of predictions or the words `gold` and `empty`. Out: both, and every row that makes none,
//! with its reason: one bad row stops no other. An error where no row is left.
//! Example: `predictions_of(Path::new("gold"), &given)?` answers each task with its own repair.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use data::Task;
use data::source::jsonl::{
    RowError, TASKS_FILE, TaskSet, fault, read_tasks, write_rows, write_tasks,
};
use data::source::prediction::{Answer, Prediction, read_predictions};
use data::source::public::needs_image;
use data::source::rows::{Limits, Row, each_row};
use data::source::self_contained::{self, SelfContained};
use serde::Serialize;
use serde_json::Value;

use crate::terminal::plain;

/// The file of refused rows, where there are any.
pub const REFUSED_FILE: &str = "refused.jsonl";
/// Refused rows that are told on the terminal; all stand in the file.
const TOLD: usize = 20;

/// A row that makes no task, or no prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedRow {
    /// Counted from 1.
    pub row: usize,
    /// Its id, where it has one.
    pub instance_id: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// Tasks, and the rows that make none.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The tasks.
    pub set: TaskSet,
    /// The other rows.
    pub refused: Vec<RefusedRow>,
}

impl Given {
    /// Why the row with this id makes no task; none where it makes one, or there is no such row.
    pub fn refusal(&self, id: &str) -> Option<&str> {
        if self.set.find(id).is_some() {
            return None;
        }
        let of_row = self
            .refused
            .iter()
            .find(|row| row.instance_id.as_deref() == Some(id));
        of_row.map(|row| row.reason.as_str())
    }
}

/// Tells rows that are left out, in a file and on the terminal.
fn tell(path: &Path, refused: &[RefusedRow], out: &Path) -> Result<()> {
    let file = out.join(REFUSED_FILE);
    if refused.is_empty() {
        // What an earlier run left out is not what this one does.
        if file.exists() {
            std::fs::remove_file(&file)
                .with_context(|| format!("while removing `{}`", file.display()))?;
        }
        return Ok(());
    }
    let warn = |text: String| eprintln!("{}", plain(&format!("warning: {text}")));
    for RefusedRow { row, reason, .. } in refused.iter().take(TOLD) {
        warn(format!(
            "`{}`, row {row} is left out: {reason}",
            path.display()
        ));
    }
    if refused.len() > TOLD {
        warn(format!(
            "{} rows of `{}` are left out; all are in `{REFUSED_FILE}`",
            refused.len(),
            path.display()
        ));
    }
    Ok(write_rows(&file, refused)?)
}

/// Reads tasks: our own, or rows that bring their repository along, which become tasks below `out`.
///
/// # Errors
///
/// When the file cannot be read, or no row makes a task.
pub fn tasks_of(path: &Path, out: &Path) -> Result<Given> {
    let file = if path.is_dir() {
        path.join(TASKS_FILE)
    } else {
        path.to_path_buf()
    };
    let given = of_file(&file, out)?;
    if given.set.tasks.is_empty() {
        if let Some(RefusedRow { row, reason, .. }) = given.refused.first().cloned() {
            return Err(RowError::Row {
                path: file,
                row,
                reason,
            })
            .context("while reading tasks: no row makes one");
        }
        bail!(
            "`{}` holds no task{}",
            path.display(),
            data::Hint("is it the file that was meant, and was it written to its end?")
        );
    }
    tell(&file, &given.refused, out)?;
    Ok(given)
}

fn of_file(path: &Path, out: &Path) -> Result<Given> {
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    each_row(path, &Limits::default(), &mut |found| {
        match found.value {
            Ok(row) => rows.push((found.row, row)),
            Err(fault) => refused.push(RefusedRow {
                row: found.row,
                instance_id: None,
                reason: fault.reason,
            }),
        }
        Ok(())
    })
    .context("while reading tasks")?;
    let beside = path
        .parent()
        .filter(|root| !root.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let ours = !rows.iter().any(|(_, row)| self_contained::looks_like(row));
    let mut tasks: Vec<Task> = Vec::with_capacity(rows.len());
    let mut first: HashMap<String, usize> = HashMap::new();
    for (number, row) in rows {
        let id = ["instance_id", "id"]
            .iter()
            .find_map(|key| row.get(*key))
            .and_then(Value::as_str)
            .map(str::to_string);
        let made = match id.as_ref().and_then(|id| first.get(id)) {
            Some(first) => Err(format!(
                "the id `{}` stands in row {first} already{}",
                id.as_deref().unwrap_or_default(),
                data::Hint("give each row an id of its own")
            )),
            None if ours => own(row),
            None => brought(row, beside, out),
        };
        match made {
            Ok(task) => tasks.push(task),
            Err(reason) => refused.push(RefusedRow {
                row: number,
                instance_id: id.clone(),
                reason,
            }),
        }
        if let Some(id) = id {
            first.entry(id).or_insert(number);
        }
    }
    refused.sort_by_key(|row| row.row);
    if ours || tasks.is_empty() {
        return Ok(Given {
            set: TaskSet {
                root: beside.to_path_buf(),
                tasks,
            },
            refused,
        });
    }
    write_tasks(out, &tasks)?;
    Ok(Given {
        set: read_tasks(out)?,
        refused,
    })
}

/// A task of our own.
fn own(row: Row) -> Result<Task, String> {
    if let Some(reason) = without_image(&row) {
        return Err(reason);
    }
    let task: Task = serde_json::from_value(Value::Object(row)).map_err(|error| {
        format!(
            "{error}{}",
            data::Hint("rows are our own, or self-contained ones")
        )
    })?;
    fault(&task).map_or(Ok(task), Err)
}

/// A row that brings its repository along.
fn brought(row: Row, beside: &Path, out: &Path) -> Result<Task, String> {
    if let Some(reason) = without_image(&row) {
        return Err(reason);
    }
    let row: SelfContained =
        serde_json::from_value(Value::Object(row)).map_err(|error| error.to_string())?;
    self_contained::to_task(&row, beside, out)
}

/// Why a row of a public data set cannot be graded here.
fn without_image(row: &Row) -> Option<String> {
    let (id, image) = needs_image(row)?;
    Some(format!(
        "`{id}` needs the container image `{image}`, and this sandbox runs rows that bring their repository along{}",
        data::Hint("give it `files`, a `folder`, an `archive`, or `git` and a `commit`")
    ))
}

/// Reads predictions: a file, or the words `gold` and `empty`. A row that is none is told; one that answers a task that
/// is not there stays, and gets no verdict.
///
/// # Errors
///
/// When the file cannot be read or is empty, or none of it answers a task of the set.
pub fn predictions_of(word: &Path, given: &Given) -> Result<Vec<Prediction>> {
    let all = |answer: &dyn Fn(&Task) -> String| {
        let model = word.display().to_string();
        let one = |id: &String, diff: String| Prediction {
            instance_id: id.clone(),
            model: model.clone(),
            answer: Answer::Diff(diff),
        };
        let tasks = given
            .set
            .tasks
            .iter()
            .map(|task| one(&task.id, answer(task)));
        // A row that makes no task is told in its place.
        let refused: BTreeSet<&String> = given
            .refused
            .iter()
            .filter_map(|row| row.instance_id.as_ref())
            .collect();
        let refused = refused
            .into_iter()
            .filter(|id| given.refusal(id).is_some())
            .map(|id| one(id, String::new()));
        tasks.chain(refused).collect()
    };
    match word.to_str() {
        Some("gold") => return Ok(all(&|task| task.gold.text().to_string())),
        Some("empty") => return Ok(all(&|_| String::new())),
        _ => {}
    }
    let (predictions, refused) = read_predictions(word).context("while reading predictions")?;
    for (row, reason) in refused.iter().take(TOLD) {
        eprintln!(
            "{}",
            plain(&format!(
                "warning: `{}`, row {row} is left out: {reason}",
                word.display()
            ))
        );
    }
    if let (true, Some((row, reason))) = (predictions.is_empty(), refused.first().cloned()) {
        return Err(RowError::Row {
            path: word.to_path_buf(),
            row,
            reason,
        })
        .context("while reading predictions");
    }
    if predictions.is_empty() {
        bail!(
            "`{}` holds no prediction{}",
            word.display(),
            data::Hint("is it the file that was meant, and was it written to its end?")
        );
    }
    let known = |one: &Prediction| given.set.find(&one.instance_id).is_some();
    if let (false, Some(unknown)) = (predictions.iter().any(known), predictions.first()) {
        bail!(
            "`{}` answers `{}`, which is no task of the set, and no other one of it{}",
            word.display(),
            unknown.instance_id,
            data::Hint("`--tasks` takes the file that the predictions were made for")
        );
    }
    Ok(predictions)
}

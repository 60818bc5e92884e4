//! Predictions in, verdicts out: each answer is judged once, by the tests of its task, in a fresh sandbox.
//!
//! In: tasks and predictions. Out: `results.jsonl` with one line per prediction, and a summary. A line is written as
//! soon as its verdict is there, so a killed run goes on where it stopped.
//! Example line: `{"instance_id": "money-1", "outcome": "resolved", "quarantined": false, "reason": "all tests pass",
//! "seconds": 0.05, …}`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use data::source::jsonl::{RowError, TaskSet, read_rows, read_tasks, write_rows, write_tasks};
use data::source::prediction::{Answer, Prediction, read_predictions};
use data::source::rows::read_any;
use data::source::self_contained::{self, SelfContained};
use data::task::file_of;
use data::{Patch, Task};
use rollout::admission::{Admission, admit, said};
use rollout::grade::{Grader, Outcome};
use rollout::lint::suspicious;
use serde::{Deserialize, Serialize};

use crate::progress::Progress;

/// Part of what a verdict rests on: a grader that judges otherwise has another number.
const GRADER: u32 = 1;
/// The file of verdicts.
pub const RESULTS_FILE: &str = "results.jsonl";

/// What became of a prediction: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// Every test that judges ran and passed.
    Resolved,
    /// Not all did, or nothing was answered.
    Unresolved,
    /// The answer is no patch of this tree.
    InvalidPatch,
    /// The time limit was reached.
    Timeout,
    /// The memory limit was reached.
    Oom,
    /// Our own machinery failed: no verdict.
    Infra,
}

/// A line of `results.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The task.
    pub instance_id: String,
    /// What became of the prediction.
    pub outcome: Judged,
    /// True where the patch talks to whoever runs the tests: it earns nothing until somebody looked at it.
    pub quarantined: bool,
    /// The outcome in words.
    pub reason: String,
    /// Seconds in the sandbox.
    pub seconds: f64,
    /// Who answered.
    pub model_name_or_path: String,
    /// BLAKE3 of the answer, the task and the grader's version: what makes this verdict the same again.
    pub key: String,
}

/// A run.
pub struct Grading<'a> {
    /// The tasks.
    pub set: &'a TaskSet,
    /// Judges.
    pub grader: &'a Grader,
    /// Verdicts at once.
    pub workers: usize,
    /// Where results go.
    pub out: &'a Path,
    /// Whether verdicts that are there already are kept.
    pub resume: bool,
}

/// What a run did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GradeSummary {
    /// Predictions.
    pub submitted: usize,
    /// Tasks without one.
    pub incomplete: usize,
    /// Predictions by outcome.
    pub outcomes: BTreeMap<Judged, usize>,
    /// Predictions that are set apart.
    pub quarantined: usize,
    /// Verdicts taken over from an earlier run.
    pub resumed: usize,
    /// Seconds of this process.
    pub seconds: f64,
    /// Verdicts an hour.
    pub per_hour: f64,
}

/// Reads tasks: our own, or rows that bring their repository along, which become tasks below `out`.
///
/// # Errors
///
/// When a row is neither, or makes no task.
pub fn tasks_of(path: &Path, out: &Path) -> Result<TaskSet> {
    if path.is_dir() {
        return Ok(read_tasks(path)?);
    }
    let rows = read_any(path)?;
    if !rows.first().is_some_and(self_contained::looks_like) {
        return read_tasks(path).context("while reading tasks\nhint: rows are our own, or self-contained ones");
    }
    let beside = path.parent().unwrap_or(Path::new("."));
    let mut tasks: Vec<Task> = Vec::with_capacity(rows.len());
    let refused = |row: usize, reason: String| RowError::Row { path: path.to_path_buf(), row: row + 1, reason };
    for (index, row) in rows.into_iter().enumerate() {
        let row: SelfContained = serde_json::from_value(serde_json::Value::Object(row))
            .map_err(|error| refused(index, error.to_string()))?;
        tasks.push(self_contained::to_task(&row, beside, out).map_err(|reason| refused(index, reason))?);
    }
    write_tasks(out, &tasks)?;
    Ok(read_tasks(out)?)
}

/// Reads predictions: a file, or the words `gold` and `empty`.
///
/// # Errors
///
/// When the file is none, or answers a task that is not in the set.
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
    let predictions = read_predictions(word)?;
    if let Some(unknown) = predictions.iter().find(|one| set.find(&one.instance_id).is_none()) {
        bail!(
            "`{}` answers `{}`, which is no task of the set\nhint: `--tasks` takes the file that the predictions were made for",
            word.display(),
            unknown.instance_id
        );
    }
    Ok(predictions)
}

impl Grading<'_> {
    /// Judges every prediction.
    ///
    /// # Errors
    ///
    /// When the results cannot be written.
    pub fn run(&self, predictions: &[Prediction]) -> Result<GradeSummary> {
        let started = Instant::now();
        let path = self.out.join(RESULTS_FILE);
        let mut known = self.earlier(&path)?;
        let keys: Vec<String> = predictions.iter().map(|one| self.key(one)).collect();
        // Another machine or other limits may say otherwise.
        let final_word = |outcome| !matches!(outcome, Judged::Infra | Judged::Timeout | Judged::Oom);
        known.retain(|key, verdict| final_word(verdict.outcome) && keys.contains(key));
        let resumed = known.len();
        let kept: Vec<Verdict> = known.values().cloned().collect();
        write_rows(&path, &kept)?;
        let open: Vec<usize> = (0..predictions.len()).filter(|at| !known.contains_key(&keys[*at])).collect();

        let written = || format!("while writing `{}`", path.display());
        let mut file = fs::OpenOptions::new().append(true).open(&path).with_context(written)?;
        let mut progress = Progress::new("grade", predictions.len() as u64);
        progress.advance_to(resumed as u64);
        let judge = |at: usize| self.judge(&predictions[open[at]], keys[open[at]].clone());
        on_threads(open.len(), self.workers, &judge, &mut |_, verdict| {
            file.write_all(format!("{}\n", serde_json::to_string(&verdict)?).as_bytes()).with_context(written)?;
            progress.advance(1, "");
            known.insert(verdict.key.clone(), verdict);
            Ok(())
        })?;
        progress.finish();

        let verdicts: Vec<Verdict> = keys.iter().filter_map(|key| known.get(key).cloned()).collect();
        write_rows(&path, &verdicts)?;
        let mut outcomes = BTreeMap::new();
        verdicts.iter().for_each(|verdict| *outcomes.entry(verdict.outcome).or_default() += 1);
        let seconds = started.elapsed().as_secs_f64();
        Ok(GradeSummary {
            submitted: predictions.len(),
            incomplete: self.set.tasks.len().saturating_sub(predictions.len()),
            outcomes,
            quarantined: verdicts.iter().filter(|verdict| verdict.quarantined).count(),
            resumed,
            seconds,
            per_hour: (predictions.len() - resumed) as f64 * 3600.0 / seconds.max(1e-9),
        })
    }

    /// Verdicts of an earlier run by their key. A line that was being written when it was killed is not one.
    fn earlier(&self, path: &Path) -> Result<HashMap<String, Verdict>> {
        if !path.exists() {
            return Ok(HashMap::new());
        }
        if !self.resume {
            bail!(
                "`{}` is there already\nhint: `--resume` keeps its verdicts; or choose another `--out`",
                path.display()
            );
        }
        let whole = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let end = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if end < whole.len() {
            data::file::write_whole(path, &whole[..end])?;
        }
        Ok(read_rows(path)?.into_iter().map(|verdict: Verdict| (verdict.key.clone(), verdict)).collect())
    }

    /// What a verdict rests on.
    fn key(&self, prediction: &Prediction) -> String {
        let task = self.set.find(&prediction.instance_id);
        let task = task.map(|task| {
            let tests = (&task.fail_to_pass, &task.pass_to_pass, &task.trusted);
            (&task.id, &task.base_commit, &task.bug, tests)
        });
        let text = format!("{GRADER} {task:?} {:?}", prediction.answer);
        blake3::hash(text.as_bytes()).to_hex()[..32].to_string()
    }

    fn judge(&self, prediction: &Prediction, key: String) -> Verdict {
        let clock = Instant::now();
        let (outcome, quarantined, reason) = self.outcome(prediction);
        Verdict {
            instance_id: prediction.instance_id.clone(),
            outcome,
            quarantined,
            reason,
            seconds: clock.elapsed().as_secs_f64(),
            model_name_or_path: prediction.model.clone(),
            key,
        }
    }

    fn outcome(&self, prediction: &Prediction) -> (Judged, bool, String) {
        let Some(task) = self.set.find(&prediction.instance_id) else {
            return (Judged::Infra, false, "there is no such task".into());
        };
        let read = |path: &str| self.set.base_file(task, path).ok().flatten();
        let patch = match prediction.answer.patch(&read) {
            Ok(patch) => patch,
            Err(reason) => return (Judged::InvalidPatch, false, reason),
        };
        let (judged, left_out) = task.judged(&patch);
        let suspicion = suspicious(&judged, &self.tests_of(task));
        let (outcome, mut reason) = self.verdict(task, &judged);
        if !left_out.is_empty() {
            reason = format!("{reason} (left as it was: {})", left_out.join(", "));
        }
        if let Some(why) = &suspicion {
            reason = format!("{reason} (set apart: {why})");
        }
        (outcome, suspicion.is_some(), reason)
    }

    /// The text of the tests that judge a task.
    fn tests_of(&self, task: &Task) -> String {
        let files: BTreeSet<&str> = task.fail_to_pass.iter().chain(&task.pass_to_pass).map(|id| file_of(id)).collect();
        files.into_iter().filter_map(|file| self.set.read(task, file)).collect::<Vec<_>>().join("\n")
    }

    fn verdict(&self, task: &Task, patch: &Patch) -> (Judged, String) {
        let graded = match self.grader.grade(&self.set.root, task, patch) {
            Ok(graded) => graded,
            Err(error) => return (Judged::Infra, error.to_string()),
        };
        let judged = match &graded.outcome {
            Outcome::Resolved => Judged::Resolved,
            Outcome::StillFailing { .. } | Outcome::BrokeOthers { .. } | Outcome::Crashed | Outcome::NoPatch => {
                Judged::Unresolved
            }
            Outcome::DoesNotApply => Judged::InvalidPatch,
            Outcome::TimedOut => Judged::Timeout,
            Outcome::OutOfMemory => Judged::Oom,
        };
        (judged, said(&graded))
    }
}

/// Does `work` for every number below `count` on a few threads and tells each answer as it comes, here.
fn on_threads<T: Send>(
    count: usize,
    workers: usize,
    work: &(dyn Fn(usize) -> T + Sync),
    told: &mut dyn FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, count.max(1)) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens where an answer could not be written down: then the others need not be found.
                    if at >= count || sender.send((at, work(at))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (at, answer) in answers {
            told(at, answer)?;
        }
        Ok(())
    })
}

/// What became of the tasks at the gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdmitSummary {
    /// Tasks that may train.
    pub admitted: usize,
    /// Tasks that may not.
    pub refused: usize,
    /// Tasks that the sandbox could not judge; they are in neither file.
    pub infra: usize,
    /// Seconds.
    pub seconds: f64,
}

/// Runs every task through [`admit`]: `admitted.jsonl` beside the task file, and all verdicts in `out`.
///
/// # Errors
///
/// When a file cannot be written.
pub fn admit_all(set: &TaskSet, grader: &Grader, workers: usize, runs: usize, out: &Path) -> Result<AdmitSummary> {
    let started = Instant::now();
    let mut progress = Progress::new("admit", set.tasks.len() as u64);
    let mut found: BTreeMap<usize, Result<Admission, String>> = BTreeMap::new();
    let judge = |at: usize| admit(grader, &set.root, &set.tasks[at], runs).map_err(|error| error.to_string());
    on_threads(set.tasks.len(), workers, &judge, &mut |at, answer| {
        progress.advance(1, "");
        found.insert(at, answer);
        Ok(())
    })?;
    progress.finish();
    let infra = found.values().filter(|answer| answer.is_err()).count();
    for (at, error) in found.iter().filter_map(|(at, answer)| Some((at, answer.as_ref().err()?))) {
        eprintln!("warning: no verdict on `{}`: {error}", set.tasks[*at].id);
    }
    let admissions: Vec<Admission> = found.into_values().flatten().collect();
    let admitted = |task: &&Task| admissions.iter().any(|one| one.admitted && one.instance_id == task.id);
    let kept: Vec<&Task> = set.tasks.iter().filter(admitted).collect();
    write_rows(&out.join("admissions.jsonl"), &admissions)?;
    write_rows(&set.root.join("admitted.jsonl"), &kept)?;
    Ok(AdmitSummary {
        admitted: kept.len(),
        refused: admissions.len() - kept.len(),
        infra,
        seconds: started.elapsed().as_secs_f64(),
    })
}

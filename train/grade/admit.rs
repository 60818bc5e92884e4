//! The gate: a task may train if its gold patch repairs it and nothing else does.
//!
//! In: tasks. Out: `admissions.jsonl` with what was found about each, and `admitted.jsonl` beside their trees.
//! Example line: `{"instance_id": "money-1", "admitted": true, …}`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use data::Task;
use data::source::jsonl::write_rows;
use rollout::admission::{Admission, admit};
use rollout::grade::Grader;
use serde::{Deserialize, Serialize};

use super::input::Given;
use super::threads::on_threads;
use crate::progress::Progress;
use crate::terminal::plain;

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
pub fn admit_all(given: &Given, grader: &Grader, workers: usize, runs: usize, out: &Path) -> Result<AdmitSummary> {
    let (started, set) = (Instant::now(), &given.set);
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
        eprintln!("{}", plain(&format!("warning: no verdict on `{}`: {error}", set.tasks[*at].id)));
    }
    let mut admissions: Vec<Admission> = found.into_values().flatten().collect();
    let refused = given.refused.iter().filter_map(|row| Some((row.instance_id.clone()?, &row.reason)));
    let refused = refused.filter(|(id, _)| given.refusal(id).is_some());
    admissions.extend(refused.map(|(instance_id, reason)| Admission {
        instance_id,
        admitted: false,
        reason: Some(format!("its row makes no task: {reason}")),
        flake_rate: 0.0,
    }));
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

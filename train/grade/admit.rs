//! The gate: a task may train if its gold patch repairs it and nothing else does.
//!
//! In: tasks. Out: `admissions.jsonl` with what was found about each, and `admitted.jsonl` beside their trees.
//! Example line: `{"instance_id": "money-1", "admitted": true, …}`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use data::Task;
use data::source::jsonl::{TaskSet, write_rows};
use rollout::admission::{Admission, admit};
use rollout::grade::Grader;
use serde::{Deserialize, Serialize};

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
    /// Tests that judge the admitted tasks.
    pub tests: usize,
    /// Of those, tests with a variant that no honest code passes.
    pub varied_tests: usize,
    /// Admitted tasks none of whose tests has one.
    pub without_variants: Vec<String>,
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
        eprintln!("{}", plain(&format!("warning: no verdict on `{}`: {error}", set.tasks[*at].id)));
    }
    let admissions: Vec<Admission> = found.into_values().flatten().collect();
    let admitted = |task: &&Task| admissions.iter().any(|one| one.admitted && one.instance_id == task.id);
    let kept: Vec<&Task> = set.tasks.iter().filter(admitted).collect();
    let taken = || admissions.iter().filter(|one| one.admitted);
    let without: Vec<String> = taken().filter(|one| one.varied_tests == 0).map(|one| one.instance_id.clone()).collect();
    for id in &without {
        let what = "none of its tests has a variant that no honest code passes: tricks with comparisons are not seen";
        eprintln!("{}", plain(&format!("warning: `{id}`: {what}")));
    }
    write_rows(&out.join("admissions.jsonl"), &admissions)?;
    write_rows(&set.root.join("admitted.jsonl"), &kept)?;
    Ok(AdmitSummary {
        admitted: kept.len(),
        refused: admissions.len() - kept.len(),
        infra,
        tests: taken().map(|one| one.tests).sum(),
        varied_tests: taken().map(|one| one.varied_tests).sum(),
        without_variants: without,
        seconds: started.elapsed().as_secs_f64(),
    })
}

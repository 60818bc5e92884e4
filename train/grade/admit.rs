//! The gate: a task may train if its gold patch repairs it and nothing else does.
//!
//! In: tasks. Out: `admissions.jsonl` with what was found about each, and `admitted.jsonl` beside their trees.
//! Example line: `{"instance_id": "money-1", "admitted": true, …}`.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use data::Task;
use data::source::jsonl::{TaskSet, write_rows};
use rollout::grade::Grader;
use rollout::task_validation::{Admission, admit};
use serde::{Deserialize, Serialize};

use super::input::Given;
use super::threads::on_threads;
use crate::run::interrupt::Interrupt;
use crate::run::journal::{Journal, Place};
use crate::run::progress::Progress;
use crate::settings::Settings;
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

/// What stands at the gate.
pub struct Gate<'a> {
    /// The tasks, and the rows that make none.
    pub given: &'a Given,
    /// Judges.
    pub grader: &'a Grader,
    /// Verdicts at once.
    pub workers: usize,
    /// Runs on the gold patch, and as many without one.
    pub runs: usize,
    /// Where the verdicts go.
    pub out: &'a Path,
    /// What the verdicts rest on besides the tasks.
    pub settings: Settings,
    /// Whether it goes on with what is there.
    pub resume: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

/// The stage in the words of the command line.
pub const ADMIT: &str = "data admit";
const ADMISSIONS: &str = "admissions.jsonl";

impl Gate<'_> {
    /// Runs every task through [`admit`]: `admitted.jsonl` beside the task file, and all verdicts in `out`. None where
    /// an earlier process did so.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, or a signal came: then the verdicts that are there are kept.
    pub fn run(&self) -> Result<Option<AdmitSummary>> {
        let started = Instant::now();
        let TaskSet { root, tasks } = &self.given.set;
        let hash = blake3::hash(&serde_json::to_vec(tasks)?).to_hex()[..16].to_owned();
        let settings = self
            .settings
            .clone()
            .with("runs", self.runs)
            .with("content of --tasks", hash);
        let journal = Journal::begin(Place::in_folder(self.out), ADMIT, settings, self.resume)?;
        let Some(mut journal) = journal else {
            return Ok(None);
        };
        let mut found: BTreeMap<usize, Result<Admission, String>> = BTreeMap::new();
        for (at, task) in tasks.iter().enumerate() {
            found.extend(journal.find(&task.id)?.map(|admission| (at, Ok(admission))));
        }
        let open: Vec<usize> = (0..tasks.len())
            .filter(|at| !found.contains_key(at))
            .collect();
        let mut progress = Progress::new("admit", tasks.len() as u64);
        progress.advance_to(found.len() as u64);
        let judge = |at: usize| {
            let one = || admit(self.grader, root, &tasks[open[at]], self.runs);
            (!self.interrupt.asked()).then(|| one().map_err(|error| error.to_string()))
        };
        on_threads(open.len(), self.workers, &judge, &mut |at, answer| {
            let Some(answer) = answer else { return Ok(()) };
            progress.advance(1, "");
            if let Ok(admission) = &answer {
                journal.add(&tasks[open[at]].id, admission)?;
            }
            found.insert(open[at], answer);
            Ok(())
        })?;
        progress.finish();
        let out = self.out.display();
        self.interrupt.check(|| {
            format!(
                "verdicts on {} of {} tasks are kept in `{out}`",
                found.len(),
                tasks.len()
            )
        })?;
        let summary = self.write(&found, started)?;
        journal.finish()?;
        Ok(Some(summary))
    }

    fn write(
        &self,
        found: &BTreeMap<usize, Result<Admission, String>>,
        started: Instant,
    ) -> Result<AdmitSummary> {
        let infra = found.values().filter(|answer| answer.is_err()).count();
        for (at, error) in found
            .iter()
            .filter_map(|(at, answer)| Some((at, answer.as_ref().err()?)))
        {
            eprintln!(
                "{}",
                plain(&format!(
                    "warning: no verdict on `{}`: {error}",
                    self.given.set.tasks[*at].id
                ))
            );
        }
        let refused = self.refused();
        let admissions: Vec<&Admission> = found.values().flatten().chain(&refused).collect();
        let without_variants = without_variants(&admissions);
        let taken = || admissions.iter().filter(|one| one.admitted);
        let (tests, varied_tests) = (
            taken().map(|one| one.tests).sum(),
            taken().map(|one| one.varied_tests).sum(),
        );
        let ids: HashSet<&str> = admissions
            .iter()
            .filter(|one| one.admitted)
            .map(|one| one.instance_id.as_str())
            .collect();
        let kept: Vec<&Task> = self
            .given
            .set
            .tasks
            .iter()
            .filter(|task| ids.contains(task.id.as_str()))
            .collect();
        write_rows(&self.out.join(ADMISSIONS), &admissions)?;
        write_rows(&self.given.set.root.join("admitted.jsonl"), &kept)?;
        Ok(AdmitSummary {
            admitted: kept.len(),
            refused: admissions.len() - kept.len(),
            infra,
            tests,
            varied_tests,
            without_variants,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Rows that make no task: none of them may train.
    fn refused(&self) -> Vec<Admission> {
        let rows = self
            .given
            .refused
            .iter()
            .filter_map(|row| Some((row.instance_id.clone()?, &row.reason)));
        let rows = rows.filter(|(id, _)| self.given.refusal(id).is_some());
        rows.map(|(instance_id, reason)| Admission {
            instance_id,
            admitted: false,
            reason: Some(format!("its row makes no task: {reason}")),
            flake_rate: 0.0,
            tests: 0,
            varied_tests: 0,
        })
        .collect()
    }
}

/// Admitted tasks none of whose tests has a variant that no honest code passes; each is told.
fn without_variants(admissions: &[&Admission]) -> Vec<String> {
    let bare = admissions
        .iter()
        .filter(|one| one.admitted && one.varied_tests == 0);
    let ids: Vec<String> = bare.map(|one| one.instance_id.clone()).collect();
    for id in &ids {
        let what = "none of its tests has a variant that no honest code passes: tricks with comparisons are not seen";
        eprintln!("{}", plain(&format!("warning: `{id}`: {what}")));
    }
    ids
}

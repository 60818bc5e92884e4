//! A second look at triplets: everything that is said of a row is run again.
//!
//! In: rows and their tasks. Out: how many hold. The long and the refined patch have to pass all tests, the failing one must
//! not, and the refined one must not without any one of its parts.

use std::collections::HashMap;

use anyhow::Result;
use data::Task;
use data::source::jsonl::TaskSet;
use data::triplet::Triplet;
use rollout::grade::Grader;
use rollout::outcome::Outcome;
use serde::{Deserialize, Serialize};

use crate::grade::on_threads;
use crate::run::interrupt::Interrupt;
use crate::run::progress::Progress;
use crate::terminal::plain;

/// What a second look found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recheck {
    /// Rows that were looked at.
    pub rows: usize,
    /// Rows whose refined patch passes, and fails without any one of its parts.
    pub one_minimal: usize,
    /// Rows whose refined patch does not pass: wrong trims.
    pub wrong_trims: usize,
    /// Rows whose long patch does not pass.
    pub long_fails: usize,
    /// Rows whose failing patch passes.
    pub failing_passes: usize,
    /// Rows that could not be run.
    pub infra: usize,
    /// Runs of tests.
    pub calls: usize,
}

/// What was found about one row.
#[derive(Clone, Copy, Debug)]
struct Found {
    long: bool,
    failing: bool,
    refined: bool,
    one_minimal: bool,
    calls: usize,
}

/// Runs everything again that is said of these rows.
///
/// # Errors
///
/// When a signal came.
pub(super) fn recheck(
    rows: &[&Triplet],
    tasks: &[(&TaskSet, &Task)],
    grader: &Grader,
    workers: usize,
    interrupt: &Interrupt,
) -> Result<Recheck> {
    let mut by_id: HashMap<&str, (&TaskSet, &Task)> = HashMap::new();
    for (set, task) in tasks {
        by_id.entry(&task.id).or_insert((set, task));
    }
    let mut progress = Progress::new("second look", rows.len() as u64);
    let mut all = Recheck::default();
    let work = |at: usize| {
        let (set, task) = by_id[rows[at].task_id.as_str()];
        (!interrupt.asked()).then(|| look(rows[at], set, task, grader))
    };
    on_threads(rows.len(), workers, &work, &mut |at, found| {
        let Some(found) = found else { return Ok(()) };
        progress.advance(1, "");
        all.rows += 1;
        match found {
            Ok(found) => {
                all.one_minimal += usize::from(found.one_minimal);
                all.wrong_trims += usize::from(!found.refined);
                all.long_fails += usize::from(!found.long);
                all.failing_passes += usize::from(found.failing);
                all.calls += found.calls;
                if !found.one_minimal || !found.long || found.failing {
                    eprintln!(
                        "{}",
                        plain(&format!(
                            "warning: `{}` does not hold: {found:?}",
                            rows[at].id
                        ))
                    );
                }
            }
            Err(error) => {
                eprintln!(
                    "{}",
                    plain(&format!(
                        "warning: no second look at `{}`: {error}",
                        rows[at].id
                    ))
                );
                all.infra += 1;
            }
        }
        Ok(())
    })?;
    progress.finish();
    interrupt.check(|| "the triplets are written, and their second look was not over".into())?;
    Ok(all)
}

fn look(
    row: &Triplet,
    set: &TaskSet,
    task: &Task,
    grader: &Grader,
) -> Result<Found, sandbox::SandboxError> {
    let mut calls = 0;
    let mut passes = |patch: &data::Patch| {
        calls += 1;
        grader
            .grade_anew(&set.root, task, patch)
            .map(|graded| graded.outcome == Outcome::Resolved)
    };
    let (long, failing, refined) = (
        passes(&row.long)?,
        passes(&row.failing)?,
        passes(&row.refined)?,
    );
    let parts = row.refined.parts().len();
    let mut one_minimal = refined;
    for left_out in 0..parts {
        let kept: Vec<bool> = (0..parts).map(|part| part != left_out).collect();
        one_minimal &= !passes(&row.refined.keeping(&kept))?;
    }
    Ok(Found {
        long,
        failing,
        refined,
        one_minimal,
        calls,
    })
}

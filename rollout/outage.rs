//! An outage of the sandbox is no verdict on anybody: it is waited for.
//!
//! In: attempts, and what grades them. Out: their verdicts, once the sandbox answers again; or, where it does not for too
//! long, an error, and nothing that was half done.
//! Example: the Python of the tests vanishes while 16 attempts at 4 tasks are graded. They are graded again after 1 s,
//! 2 s, 4 s, …; when it is back, all 16 have their verdict.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::attempt::{Attempt, Lost};
use crate::pool::Entry;

/// The first wait.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The sandbox gives no verdict on anything.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the sandbox gives no verdict on any of {attempts} attempts at {tasks} tasks; waited {waited_s} s; the last error: {last}{}",
    data::Hint("`train doctor` says what is missing; `--resume` goes on")
)]
pub struct Outage {
    attempts: usize,
    tasks: usize,
    waited_s: u64,
    last: Lost,
}

/// Grades `entries`. While nothing gets a verdict, it waits and grades again, for `patience` in all; `wait` returns false
/// where somebody asked to end.
///
/// An attempt may still be lost: where other attempts get their verdict, or one task alone has none, the fault is that
/// attempt's or that task's.
///
/// # Errors
///
/// When the outage is longer than `patience`, or somebody asked to end while it lasted.
pub fn grade_through<'a>(
    entries: Vec<Entry<'a>>,
    patience: Duration,
    grade: &mut dyn FnMut(Vec<Entry<'a>>) -> Vec<Result<Attempt, Lost>>,
    wait: &mut dyn FnMut(Duration) -> bool,
) -> Result<Vec<Result<Attempt, Lost>>, Outage> {
    let mut results = grade(entries.clone());
    let mut answered = results.iter().any(is_fresh);
    let (mut waited, mut next_wait) = (Duration::ZERO, FIRST_WAIT);
    while let Some(outage) = outage_of(&entries, &results, answered, waited) {
        let rest = patience.saturating_sub(waited);
        if rest.is_zero() || !wait(next_wait.min(rest)) {
            return Err(outage);
        }
        waited += next_wait.min(rest);
        next_wait = (2 * next_wait).min(LONGEST_WAIT);
        let lost: Vec<usize> = (0..entries.len())
            .filter(|&at| is_outage(&results[at]))
            .collect();
        let again = grade(lost.iter().map(|&at| entries[at].clone()).collect());
        answered = again.iter().any(is_fresh);
        lost.into_iter()
            .zip(again)
            .for_each(|(at, result)| results[at] = result);
    }
    Ok(results)
}

/// The outage that the last pass speaks of, if it does.
fn outage_of(
    entries: &[Entry<'_>],
    results: &[Result<Attempt, Lost>],
    answered: bool,
    waited: Duration,
) -> Option<Outage> {
    let lost = || {
        entries
            .iter()
            .zip(results)
            .filter(|(_, result)| is_outage(result))
    };
    let tasks: BTreeSet<&str> = lost().map(|(entry, _)| entry.task.id.as_str()).collect();
    if answered || tasks.len() < 2 {
        return None;
    }
    let last = lost()
        .find_map(|(_, result)| result.as_ref().err())?
        .clone();
    Some(Outage {
        attempts: lost().count(),
        tasks: tasks.len(),
        waited_s: waited.as_secs(),
        last,
    })
}

fn is_outage(result: &Result<Attempt, Lost>) -> bool {
    matches!(result, Err(Lost::Sandbox { .. }))
}

/// Whether the sandbox was asked, and answered.
fn is_fresh(result: &Result<Attempt, Lost>) -> bool {
    match result {
        Ok(attempt) => attempt.trajectory.patch.is_some() && !attempt.cached,
        // It answered, and the patch is quarantined for what it did.
        Err(Lost::Quarantined { .. }) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use data::Task;
    use sandbox::SandboxError;

    use super::*;
    use crate::attempt::example::{FIXED, completion, task};
    use crate::attempt::{Attempt, unanswered};
    use crate::trajectory::{Stop, Unanswered};

    fn entries(tasks: &[Task]) -> Vec<Entry<'_>> {
        tasks
            .iter()
            .map(|task| Entry {
                task,
                completion: completion(FIXED, Stop::EndOfTurn),
            })
            .collect()
    }

    fn failed(entry: &Entry<'_>) -> Result<Attempt, Lost> {
        let source = Arc::new(SandboxError::Environment("no Python".into()));
        Err(Lost::Sandbox {
            task_id: entry.task.id.clone(),
            source,
        })
    }

    /// A verdict that came from the sandbox.
    fn judged(entry: &Entry<'_>) -> Result<Attempt, Lost> {
        let mut attempt = unanswered(entry.task, entry.completion.clone(), Unanswered::Empty);
        attempt.trajectory.patch = Some(entry.task.gold.clone());
        Ok(attempt)
    }

    /// Grades with the sandbox away in the first `away` passes; returns the results, the passes and the seconds waited.
    fn through(
        tasks: &[Task],
        away: usize,
        patience_s: u64,
    ) -> (Result<usize, String>, usize, Vec<u64>) {
        let (mut passes, mut waits) = (0, Vec::new());
        let mut grade = |entries: Vec<Entry<'_>>| {
            passes += 1;
            entries
                .iter()
                .map(|entry| {
                    if passes <= away {
                        failed(entry)
                    } else {
                        judged(entry)
                    }
                })
                .collect()
        };
        let mut wait = |time: Duration| {
            waits.push(time.as_secs());
            true
        };
        let results = grade_through(
            entries(tasks),
            Duration::from_secs(patience_s),
            &mut grade,
            &mut wait,
        );
        let judged = results.map(|results| results.iter().filter(|result| result.is_ok()).count());
        (judged.map_err(|outage| outage.to_string()), passes, waits)
    }

    #[test]
    fn an_outage_is_waited_for_and_everybody_gets_a_verdict() {
        let tasks = ["a", "b", "a"].map(task);
        assert_eq!(through(&tasks, 3, 600), (Ok(3), 4, vec![1, 2, 4]));
        assert_eq!(through(&tasks, 0, 600), (Ok(3), 1, vec![]));
    }

    #[test]
    fn an_outage_that_lasts_ends_the_work_and_is_no_verdict() {
        let (said, _, waits) = through(&["a", "b"].map(task), usize::MAX, 200);
        let said = said.expect_err("ends");
        assert!(
            said.contains("2 attempts at 2 tasks") && said.contains("waited 200 s"),
            "{said}"
        );
        assert!(
            said.contains("no Python") && said.contains("--resume"),
            "{said}"
        );
        assert_eq!(
            waits,
            [1, 2, 4, 8, 16, 32, 60, 60, 17],
            "the last wait is what is left"
        );
    }

    #[test]
    fn one_broken_task_holds_nobody_up() {
        let tasks = ["good", "broken", "broken"].map(task);
        let passes = Cell::new(0);
        let mut grade = |entries: Vec<Entry<'_>>| {
            passes.set(passes.get() + 1);
            entries
                .iter()
                .map(|entry| {
                    if entry.task.id == "broken" {
                        failed(entry)
                    } else {
                        judged(entry)
                    }
                })
                .collect()
        };
        let patience = Duration::from_secs(600);
        let results = grade_through(entries(&tasks), patience, &mut grade, &mut |_| {
            unreachable!("no wait")
        });
        let judged: Vec<bool> = results
            .expect("no outage")
            .iter()
            .map(Result::is_ok)
            .collect();
        assert_eq!((judged, passes.get()), (vec![true, false, false], 1));
        // Alone, it is no outage either.
        let alone = grade_through(entries(&tasks[1..]), patience, &mut grade, &mut |_| {
            unreachable!("no wait")
        });
        assert!(alone.expect("no outage").iter().all(Result::is_err));
    }

    #[test]
    fn a_signal_ends_the_wait() {
        let tasks = ["a", "b"].map(task);
        let mut grade = |entries: Vec<Entry<'_>>| entries.iter().map(failed).collect();
        let results = grade_through(
            entries(&tasks),
            Duration::from_secs(600),
            &mut grade,
            &mut |_| false,
        );
        assert!(
            results
                .expect_err("ends")
                .to_string()
                .contains("waited 0 s")
        );
    }
}

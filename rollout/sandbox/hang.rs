//! Tests that never end, found one after the other: a bug that makes code hang is a bug.
//!
//! In: a run that reached its time limit, and the ids of all tests. Out: the same run as if each test that hangs had
//! failed. The tests that were not reached run again, in an order that is known, so that the first one without an answer
//! is the one that hangs.
//! Example: of `a`, `b`, `c` only `a` answered; `b` and `c` run again, `b` does not answer, `c` runs alone and passes.

use crate::{End, Failure, SandboxError, TestRun, TestStatus};

/// A bug that makes more tests hang than this costs too much time to judge.
const MOST: usize = 3;

/// Goes on where `first` reached its time limit; `run` runs the tests with these ids, in their order. Where too many
/// hang, the run is one that reached its time limit still.
///
/// # Errors
///
/// When the sandbox fails.
pub fn past_hangs(
    all: &[String],
    first: TestRun,
    run: &dyn Fn(Vec<String>) -> Result<TestRun, SandboxError>,
) -> Result<TestRun, SandboxError> {
    let mut whole = first;
    for _ in 0..=MOST {
        let open: Vec<String> = all
            .iter()
            .filter(|id| !whole.tests.contains_key(*id))
            .cloned()
            .collect();
        if whole.end != End::TimedOut || open.is_empty() {
            break;
        }
        let next = run(open.clone())?;
        if let Some(hanging) = open
            .iter()
            .find(|id| !next.tests.contains_key(*id))
            .filter(|_| next.end == End::TimedOut)
        {
            whole.tests.insert(hanging.clone(), TestStatus::Failed);
            whole.first_failure.get_or_insert_with(|| Failure {
                test: hanging.clone(),
                exception: "Timeout".to_string(),
                message: "it does not come to its end".to_string(),
                ..Failure::default()
            });
        }
        whole.tests.extend(next.tests);
        whole.whys.extend(next.whys);
        whole.first_failure = whole.first_failure.or(next.first_failure);
        whole.wall += next.wall;
        whole.end = next.end;
    }
    // All that was left is told, and the last run was cut off by the test that was told last.
    if whole.end == End::TimedOut && all.iter().all(|id| whole.tests.contains_key(id)) {
        whole.end = End::Finished { exit: 1 };
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    const ALL: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

    /// What is found where these tests hang, and how many runs it took.
    fn found(hanging: &[&str]) -> (TestRun, usize) {
        let count = std::cell::Cell::new(0);
        let run = |ids: Vec<String>| {
            count.set(count.get() + 1);
            let reached: Vec<(&str, TestStatus)> = ids
                .iter()
                .take_while(|id| !hanging.contains(&id.as_str()))
                .map(|id| (id.as_str(), TestStatus::Passed))
                .collect();
            let end = if reached.len() < ids.len() {
                End::TimedOut
            } else {
                End::Finished { exit: 0 }
            };
            Ok(TestRun {
                end,
                ..Scripted::finished(&reached)
            })
        };
        let all = ALL.map(String::from);
        let first = run(all.to_vec()).expect("runs");
        (past_hangs(&all, first, &run).expect("runs"), count.get())
    }

    #[test]
    fn a_test_that_hangs_counts_as_failed_and_the_others_as_what_they_say() {
        for hanging in [&["b"][..], &["a", "c"], &["f"], &["a", "b", "f"]] {
            let (run, _) = found(hanging);
            let failed: Vec<&String> = run
                .tests
                .iter()
                .filter(|(_, status)| **status == TestStatus::Failed)
                .map(|(id, _)| id)
                .collect();
            assert_eq!(failed, hanging);
            assert_eq!(
                (run.tests.len(), matches!(run.end, End::Finished { .. })),
                (6, true),
                "{hanging:?}"
            );
            assert_eq!(run.first_failure.expect("a failure").exception, "Timeout");
        }
    }

    #[test]
    fn where_nothing_hangs_nothing_runs_again_and_where_much_does_it_is_given_up() {
        assert_eq!(found(&[]).1, 1);
        let (run, runs) = found(&ALL);
        assert_eq!((run.end, runs), (End::TimedOut, MOST + 2));
    }
}

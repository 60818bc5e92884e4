//! Many attempts graded at once.
//!
//! In: completions with their tasks. Out: for each, in the same order, an [`Attempt`] or why it is [`Lost`].
//! Example: eight attempts at one task hold three different patches; three runs of the tests give eight verdicts.
//!
//! Plain threads: each spends its time waiting for the processes of a sandbox.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use data::skill::repair::AnswerForm;
use data::{Patch, Task};

use crate::attempt::{Attempt, Base, Judge, Lost, believed, graded, unanswered};
use crate::grade::Graded;
use crate::policy::Completion;
use crate::trajectory::Unanswered;

/// Grades attempts on a bounded number of threads.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Sandboxes at once; 0 means one.
    pub workers: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            workers: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Asks a pool to stop: what runs is finished, what waits is lost as cancelled. Clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops all that share this flag.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True after [`Cancel::cancel`].
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A completion and the task it answers.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The task.
    pub task: &'a Task,
    /// What the policy wrote.
    pub completion: Completion,
}

/// A patch to judge, and the verdict once it is there.
struct Job<'a> {
    task: &'a Task,
    patch: Patch,
    verdict: Result<Graded, Lost>,
}

/// What becomes of an entry: known already, or known when a job is done.
enum Answer {
    No(Unanswered),
    Lost(Lost),
    /// The job's index, and whether an earlier entry asked for the same.
    Job(usize, bool),
}

impl Pool {
    /// Grades every entry. `root` is the folder that holds the tasks' trees.
    ///
    /// An identical patch to the same task is judged once per call.
    pub fn grade(
        &self,
        root: &Path,
        entries: Vec<Entry<'_>>,
        form: AnswerForm,
        judge: &Judge<'_>,
        cancel: &Cancel,
    ) -> Vec<Result<Attempt, Lost>> {
        let (answers, jobs) = read_answers(root, &entries, form);
        let jobs = self.run(jobs, judge, cancel);
        let finish = |(entry, answer): (Entry<'_>, Answer)| match answer {
            Answer::No(reason) => Ok(unanswered(entry.task, entry.completion, reason)),
            Answer::Lost(lost) => Err(lost),
            Answer::Job(index, again) => {
                let Job { patch, verdict, .. } = &jobs[index];
                let mut verdict = verdict.clone()?;
                verdict.cached |= again;
                Ok(graded(entry.task, entry.completion, patch.clone(), verdict))
            }
        };
        entries.into_iter().zip(answers).map(finish).collect()
    }

    /// Judges all jobs, as many at once as there are workers.
    fn run<'a>(&self, jobs: Vec<Job<'a>>, judge: &Judge<'_>, cancel: &Cancel) -> Vec<Job<'a>> {
        let workers = self.workers.clamp(1, jobs.len().max(1));
        let jobs: Vec<Mutex<Job<'_>>> = jobs.into_iter().map(Mutex::new).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while !cancel.is_cancelled() {
                let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                // Each job is locked by the one worker that drew its index.
                let mut job = job.lock().unwrap_or_else(PoisonError::into_inner);
                job.verdict = verdict(job.task, &job.patch, judge);
            }
        };
        thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        jobs.into_iter()
            .map(|job| job.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }
}

/// One verdict. The judge tries again by itself what may succeed a moment later.
fn verdict(task: &Task, patch: &Patch, judge: &Judge<'_>) -> Result<Graded, Lost> {
    let task_id = task.id.clone();
    // A panic poisons locks at most, and those are taken all the same; nothing is left half changed.
    match catch_unwind(AssertUnwindSafe(|| judge(task, patch))) {
        Ok(Ok(graded)) => believed(task, graded),
        Ok(Err(error)) => Err(Lost::Sandbox {
            task_id,
            source: Arc::new(error),
        }),
        Err(panic) => Err(Lost::Panicked {
            task_id,
            message: message(&*panic),
        }),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}

/// Reads every answer, and collects the different patches to judge. Until a job has run, it counts as cancelled.
fn read_answers<'a>(
    root: &Path,
    entries: &[Entry<'a>],
    form: AnswerForm,
) -> (Vec<Answer>, Vec<Job<'a>>) {
    let mut bases: HashMap<&str, Result<Base<'_>, Lost>> = HashMap::new();
    let mut known: HashMap<(&str, String), usize> = HashMap::new();
    let mut jobs = Vec::new();
    let mut answers = Vec::with_capacity(entries.len());
    for Entry { task, completion } in entries {
        let base = bases
            .entry(&task.id)
            .or_insert_with(|| Base::open(root, task));
        let answer = match base.as_ref().map(|base| base.answer(completion, form)) {
            Err(lost) => Answer::Lost(lost.clone()),
            Ok(Err(reason)) => Answer::No(reason),
            Ok(Ok(patch)) => {
                let index = *known
                    .entry((&task.id, patch.text().to_owned()))
                    .or_insert(jobs.len());
                let again = index < jobs.len();
                if !again {
                    jobs.push(Job {
                        task,
                        patch,
                        verdict: Err(Lost::Cancelled {
                            task_id: task.id.clone(),
                        }),
                    });
                }
                Answer::Job(index, again)
            }
        };
        answers.push(answer);
    }
    (answers, jobs)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::attempt::example::{FIXED, FORM, Folder, completion, task};
    use crate::grade::Seen;
    use crate::grade::verdict::Grounds;
    use crate::outcome::Outcome;
    use crate::trajectory::Stop;
    use sandbox::SandboxError;

    /// Resolved when the patch brings the right line back.
    fn verdict_on(patch: &Patch) -> Graded {
        let right = patch.text().contains("+    return a + b");
        let outcome = if right {
            Outcome::Resolved
        } else {
            Outcome::StillFailing {
                passed: 0,
                failed: 1,
            }
        };
        Graded {
            outcome,
            grounds: Grounds::default(),
            failure: None,
            trace_bytes: 10,
            wall: Duration::from_millis(5),
            cached: false,
            seen: Seen::default(),
            suspicion: None,
            examined: Duration::ZERO,
        }
    }

    fn entries<'a>(task: &'a Task, texts: &[&str]) -> Vec<Entry<'a>> {
        texts
            .iter()
            .map(|text| Entry {
                task,
                completion: completion(text, Stop::EndOfTurn),
            })
            .collect()
    }

    fn grade(
        pool: &Pool,
        texts: &[&str],
        judge: &Judge<'_>,
        cancel: &Cancel,
    ) -> Vec<Result<Attempt, Lost>> {
        let folder = Folder::new();
        let task = task("sum");
        pool.grade(folder.path(), entries(&task, texts), FORM, judge, cancel)
    }

    fn messages(results: &[Result<Attempt, Lost>]) -> Vec<String> {
        results
            .iter()
            .map(|result| {
                result
                    .as_ref()
                    .map_or_else(ToString::to_string, |_| "graded".into())
            })
            .collect()
    }

    #[test]
    fn results_stand_in_the_order_of_their_attempts() {
        let wrong: Vec<String> = (0..20)
            .map(|value| FIXED.replace("a + b", &value.to_string()))
            .collect();
        let texts: Vec<&str> = wrong
            .iter()
            .map(String::as_str)
            .chain([FIXED, "what?"])
            .collect();
        // The first jobs take longest, so that they end last.
        let asked = AtomicUsize::new(0);
        let judge = |_: &Task, patch: &Patch| {
            thread::sleep(Duration::from_millis(
                20_u64.saturating_sub(asked.fetch_add(1, Ordering::Relaxed) as u64),
            ));
            Ok(verdict_on(patch))
        };
        let results = grade(&Pool { workers: 4 }, &texts, &judge, &Cancel::default());
        let graded: Vec<Attempt> = results
            .into_iter()
            .map(|result| result.expect("graded"))
            .collect();
        assert_eq!(
            graded
                .iter()
                .map(|attempt| attempt.trajectory.text.as_str())
                .collect::<Vec<_>>(),
            texts
        );
        let rewards: Vec<f32> = graded
            .iter()
            .map(|attempt| attempt.trajectory.reward)
            .collect();
        assert_eq!(rewards, [&[0.0; 20][..], &[1.0, 0.0]].concat());
        assert_eq!(graded[21].trajectory.outcome, Outcome::NoPatch);
    }

    #[test]
    fn identical_patches_are_judged_once() {
        let other = FIXED.replace('+', "*");
        let asked = AtomicUsize::new(0);
        let judge = |_: &Task, patch: &Patch| {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(verdict_on(patch))
        };
        let results = grade(
            &Pool::default(),
            &[FIXED, &other, FIXED, FIXED],
            &judge,
            &Cancel::default(),
        );
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        let graded: Vec<Attempt> = results
            .into_iter()
            .map(|result| result.expect("graded"))
            .collect();
        assert_eq!(
            graded
                .iter()
                .map(|attempt| attempt.cached)
                .collect::<Vec<_>>(),
            [false, false, true, true]
        );
        assert_eq!(graded[3].trajectory.reward, 1.0);
    }

    #[test]
    fn a_failure_of_the_machinery_loses_every_attempt_that_waited_for_it() {
        let other = FIXED.replace('+', "*");
        let judge = |_: &Task, patch: &Patch| match patch.text().contains("a * b") {
            true => Err(SandboxError::Io {
                doing: "reading events".into(),
                source: io::Error::other("broken pipe"),
            }),
            false => Ok(verdict_on(patch)),
        };
        let results = grade(
            &Pool::default(),
            &[&other, FIXED, &other],
            &judge,
            &Cancel::default(),
        );
        let lost = "no verdict on an attempt at `sum`: the sandbox failed while reading events: broken pipe";
        assert_eq!(messages(&results), [lost, "graded", lost]);
    }

    #[test]
    fn a_panic_loses_one_attempt_and_no_other() {
        let judge = |_: &Task, patch: &Patch| {
            assert!(patch.text().contains("a + b"), "a bug of ours");
            Ok(verdict_on(patch))
        };
        let other = FIXED.replace('+', "*");
        let results = grade(
            &Pool { workers: 2 },
            &[&other, FIXED],
            &judge,
            &Cancel::default(),
        );
        assert_eq!(
            messages(&results),
            [
                "grading an attempt at `sum` panicked: a bug of ours",
                "graded"
            ]
        );
    }

    #[test]
    fn what_is_quarantined_has_no_reward_and_says_why() {
        let sly = |_: &Task, patch: &Patch| {
            Ok(Graded {
                suspicion: Some("it looks for its runner".into()),
                ..verdict_on(patch)
            })
        };
        let results = grade(&Pool::default(), &[FIXED], &sly, &Cancel::default());
        assert_eq!(
            messages(&results),
            ["an attempt at `sum` is quarantined: it looks for its runner"]
        );
    }

    #[test]
    fn after_a_cancellation_what_waits_is_lost_and_what_runs_is_finished() {
        let cancel = Cancel::default();
        let judge = |_: &Task, patch: &Patch| {
            cancel.cancel();
            Ok(verdict_on(patch))
        };
        let other = FIXED.replace('+', "*");
        let results = grade(
            &Pool { workers: 1 },
            &[FIXED, &other, "what?"],
            &judge,
            &cancel,
        );
        let cancelled = "cancelled before an attempt at `sum` was graded";
        assert_eq!(messages(&results), ["graded", cancelled, "graded"]);
    }

    #[test]
    fn a_task_whose_bug_does_not_apply_is_our_fault() {
        let folder = Folder::new();
        let mut task = task("sum");
        task.tree = "elsewhere".into();
        let judge = |_: &Task, patch: &Patch| Ok(verdict_on(patch));
        let pool = Pool::default();
        let results = pool.grade(
            folder.path(),
            entries(&task, &[FIXED]),
            FORM,
            &judge,
            &Cancel::default(),
        );
        assert!(
            messages(&results)[0].starts_with("the base tree of task `sum` is broken: "),
            "{results:?}"
        );
    }

    #[test]
    fn a_pool_of_nothing_is_harmless() {
        let judge = |_: &Task, patch: &Patch| Ok(verdict_on(patch));
        assert!(grade(&Pool { workers: 0 }, &[], &judge, &Cancel::default()).is_empty());
    }
}

//! Patches that resolve their task are examined.
//!
//! In: a patch that passes all tests. Out: evidence against it, or `None`; and how much of a task's tests there is to examine
//! with.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use data::task::file_of;
use data::{Patch, Task};

use super::Grader;
use super::changes::{base_changes, patched};
use crate::evidence::{Case, Coverage, Purpose};
use crate::lint::suspicious;
use sandbox::{Job, SandboxError, TestRun};

/// A run of changed tests gets no more than this, in seconds.
const MOST_EXAMINED_S: u64 = 20;

impl Grader {
    /// Evidence against a patch that resolves its task in `wall`, and how long its own runs took. The gold patch is what it is compared with.
    pub(super) fn examine(
        &self,
        root: &Path,
        task: &Task,
        patch: &Patch,
        wall: Duration,
    ) -> Result<(Option<String>, Duration), SandboxError> {
        let nothing = (None, Duration::ZERO);
        let tree = &root.join(&task.tree);
        let gold = &task.judged(&task.gold).0;
        let differs = !gold.is_empty() && patch.text() != gold.text();
        let Some(examiner) = self.examiner.as_ref().filter(|_| differs) else {
            return Ok(nothing);
        };
        let bug = base_changes(tree, task)?;
        let over = |patch: &Patch| patched(tree, bug.clone(), patch);
        let (Some(repair), Some(gold)) = (over(patch), over(gold)) else {
            return Ok(nothing);
        };
        let case = Case {
            tree,
            task,
            gold: &gold,
            bug: &bug,
        };
        let run = |changes, tests: &[String], purpose: Purpose| {
            self.run_examined(self.job(tree, task, changes, tests), wall, purpose)
        };
        examiner.examine(
            &case,
            &repair,
            suspicious(patch, &tests_of(root, task)).is_some(),
            &run,
        )
    }

    /// How many of the tests of `task` have variants that no honest code passes. 0 where nobody is examined.
    ///
    /// # Errors
    ///
    /// When the sandbox fails three times.
    pub fn coverage(&self, root: &Path, task: &Task) -> Result<Coverage, SandboxError> {
        let tree = &root.join(&task.tree);
        let bug = base_changes(tree, task)?;
        let gold = patched(tree, bug.clone(), &task.judged(&task.gold).0);
        let (Some(examiner), Some(gold)) = (&self.examiner, gold) else {
            return Ok(Coverage::default());
        };
        let run = |changes, tests: &[String], purpose: Purpose| {
            self.run_examined(self.job(tree, task, changes, tests), Duration::MAX, purpose)
        };
        examiner.coverage(
            &Case {
                tree,
                task,
                gold: &gold,
                bug: &bug,
            },
            &run,
        )
    }

    /// Changed tests may never end, so they get a multiple of what the tests themselves took, or of what the run took that
    /// they are compared with.
    fn run_examined(
        &self,
        mut job: Job,
        wall: Duration,
        purpose: Purpose,
    ) -> Result<TestRun, SandboxError> {
        const TIMES: f64 = 10.0;
        const TIMES_COMPARED: f64 = 4.0;
        const LEAST_S: f64 = 2.0;
        let mut most = TIMES * wall.as_secs_f64();
        if let Purpose::Compare(took) = purpose {
            job.compared = true;
            most = most.max(TIMES_COMPARED * took.as_secs_f64());
        }
        let most = (LEAST_S + most).ceil().min(MOST_EXAMINED_S as f64) as u64;
        job.limits.timeout_s = job.limits.timeout_s.min(most);
        match self.sandbox.run(&job) {
            Err(_) => self.run_job(job),
            run => run,
        }
    }
}

/// The text of the tests that judge a task.
fn tests_of(root: &Path, task: &Task) -> String {
    let files: BTreeSet<&str> = task
        .fail_to_pass
        .iter()
        .chain(&task.pass_to_pass)
        .map(|id| file_of(id))
        .collect();
    let read = |file: &&str| std::fs::read_to_string(root.join(&task.tree).join(file)).ok();
    files.iter().filter_map(read).collect::<Vec<_>>().join("\n")
}

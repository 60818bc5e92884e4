//! Runs of one test file, in whichever sandbox the claims are made of.

use sandbox::{End, Job, Sandbox, TestRun, TestStatus};

use super::support::{Tree, sandbox};

/// Runs one test file; none where there is no Python.
pub fn run(text: &str) -> Option<TestRun> {
    run_with(text, |_| {})
}

pub fn run_with(text: &str, change: impl FnOnce(&mut Job)) -> Option<TestRun> {
    let sandbox = sandbox()?;
    let tree = Tree::new(&[("test_it.py", text)]);
    let mut job = tree.job();
    change(&mut job);
    Some(sandbox.run(&job).expect("the sandbox does its part"))
}

/// Asserts that every test of the file passes.
pub fn passes(text: &str) {
    if let Some(run) = run(text) {
        assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
        assert!(
            !run.tests.is_empty()
                && run
                    .tests
                    .values()
                    .all(|status| *status == TestStatus::Passed),
            "{run:#?}"
        );
    }
}

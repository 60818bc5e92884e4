//! One run of all tests of a tree as it is.
//!
//! In: a tree. Out: which tests pass, which fail and why, and how long it takes; or why nothing can be judged by them:
//! there are none, they hang, they die.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use data::FileChange;
use data::task::Language;
use sandbox::environment::package::Package;
use sandbox::{End, Failure, Job, Limits, Runner, Sandbox, Select, TestRun, TestStatus};
use serde::{Deserialize, Serialize};

use super::install::SITE_PACKAGES;

/// Words of a test that wants something from outside of the sandbox.
const NETWORK: [&str; 8] = [
    "name or service not known",
    "name resolution",
    "network is unreachable",
    "getaddrinfo",
    "connection refused",
    "failed to establish a new connection",
    "enotfound",
    "econnrefused",
];

/// What one run of all tests showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Tests that pass.
    pub passing: Vec<String>,
    /// Tests that fail, and files of tests that cannot be loaded.
    pub failing: Vec<String>,
    /// What tests say that fail, where they say it.
    pub whys: BTreeMap<String, String>,
    /// The first failure.
    pub first: Option<Failure>,
    /// Milliseconds that the suite takes.
    pub wall_ms: u64,
    /// Folders that go on the path.
    pub python_path: Vec<String>,
}

impl Suite {
    /// Runs all tests of `tree` with some files written over it, for `timeout_s` seconds at most.
    ///
    /// # Errors
    ///
    /// When there are none, or they do not come to their end.
    pub fn run(
        sandbox: &dyn Sandbox,
        limits: &Limits,
        language: Language,
        timeout_s: u64,
        tree: &Path,
        changes: Vec<FileChange>,
    ) -> Result<Suite> {
        let python_path = python_path(tree);
        let job = Job {
            tree: tree.to_path_buf(),
            changes,
            runner: Runner::for_language(language),
            python_path: python_path.clone(),
            select: Select::All,
            stop_at_first_failure: false,
            compared: false,
            limits: Limits {
                timeout_s,
                ..limits.clone()
            },
        };
        let run = sandbox.run(&job)?;
        check_end(&run, timeout_s)?;
        let with = |wanted: TestStatus| -> Vec<String> {
            run.tests
                .iter()
                .filter(|(_, status)| **status == wanted)
                .map(|(id, _)| id.clone())
                .collect()
        };
        let (passing, mut failing) = (with(TestStatus::Passed), with(TestStatus::Failed));
        let unloaded = run
            .first_failure
            .as_ref()
            .filter(|failure| !run.tests.contains_key(&failure.test));
        failing.extend(unloaded.map(|failure| failure.test.clone()));
        if passing.is_empty() && failing.is_empty() {
            bail!(no_tests(language));
        }
        Ok(Suite {
            passing,
            failing,
            whys: run.whys,
            first: run.first_failure,
            wall_ms: u64::try_from(run.wall.as_millis()).unwrap_or(u64::MAX),
            python_path,
        })
    }

    /// What a test says that fails, in one line; nothing where nobody knows.
    pub fn why(&self, test: &str) -> String {
        if let Some(failure) = self.first.as_ref().filter(|failure| failure.test == test) {
            return format!("{}: {}", failure.exception, failure.message);
        }
        self.whys.get(test).cloned().unwrap_or_default()
    }

    /// Why a test fails, as a word to count by.
    pub fn kind(&self, test: &str) -> &'static str {
        let why = self.why(test);
        let lower = why.to_lowercase();
        if NETWORK.iter().any(|word| lower.contains(word)) {
            "it wants the network, and the sandbox has none"
        } else if [
            "modulenotfounderror",
            "no module named",
            "cannot find module",
        ]
        .iter()
        .any(|word| lower.contains(word))
        {
            "it misses a module that nothing declares, or that has no wheel"
        } else if lower.contains("fixture ") && lower.contains("not found") {
            "it misses a fixture of a plugin"
        } else {
            "it fails"
        }
    }
}

fn check_end(run: &TestRun, timeout_s: u64) -> Result<()> {
    let tail: Vec<&str> = run.output.lines().rev().take(12).collect();
    let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n  ");
    match run.end {
        End::Finished { .. } => Ok(()),
        End::TimedOut => bail!(
            "the tests of the repository do not end within {timeout_s} s; {} of them gave an answer{}",
            run.tests.len(),
            data::Hint("allow more with `--timeout-suite`, or mark the test that hangs as skipped")
        ),
        End::OutOfMemory => bail!(
            "the tests of the repository need more memory than they may have{}",
            data::Hint("allow more with `--set sandbox.memory_mib=…`")
        ),
        End::Died { exit } => {
            bail!(
                "the tests of the repository died with {exit}:\n  {tail}{}",
                data::Hint("do they run outside?")
            )
        }
    }
}

fn no_tests(language: Language) -> String {
    let (hook, files, other) = match language {
        Language::Python => ("pytest", "`test_*.py` or `*_test.py`", "jest"),
        Language::JavaScript => ("jest", "`*.test.js` or `*.spec.js`", "pytest"),
    };
    format!(
        "{hook} finds no tests in the repository, so nothing could judge a repair{}",
        data::Hint(format_args!(
            "tests are files like {files}; for the other kind use `--hook {other}`"
        ))
    )
}

/// `src` where modules lie there, else the tree; and what was installed for its tests.
pub fn python_path(tree: &Path) -> Vec<String> {
    let found = Package::open("repository", tree).map(|package| package.python_path);
    let mut path = found.unwrap_or_else(|_| vec![".".to_string()]);
    // A package may be installed later on, and one more folder on the path changes nothing.
    if !path.iter().any(|folder| folder == SITE_PACKAGES) {
        path.push(SITE_PACKAGES.to_string());
    }
    path
}

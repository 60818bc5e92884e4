//! How the tests of a repository stand before any try.
//!
//! In: a copy of the repository. Out: [`Start`]: what passes, what fails, and which of the failing tests are the targets.
//! Tests that fail at the start and that nobody named are set aside: they judge nothing.

use std::path::Path;

use anyhow::{Result, bail};
use data::task::{Focus, TASK_FORMAT, file_of};
use data::{FileChange, Patch, Task};
use sandbox::{Limits, Sandbox};
use serde::{Deserialize, Serialize};

use super::Wanted;
use crate::repository::suite::Suite;

/// How the tests stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Tests that pass.
    pub passing: Vec<String>,
    /// Tests that fail, and files of tests that cannot be loaded.
    pub failing: Vec<String>,
    /// Those that should pass in the end; empty where a test has to be written first.
    pub targets: Vec<String>,
    /// The first failure in a few words.
    pub said: String,
    /// Milliseconds that the suite takes.
    pub wall_ms: u64,
    /// Folders that go on the path.
    pub python_path: Vec<String>,
    /// The test that the model wrote, where nobody named one.
    pub reproduction: Option<FileChange>,
}

/// Runs all tests of the tree.
///
/// # Errors
///
/// When there are none, they do not come to an end, or a named test does not fail.
pub fn run(
    sandbox: &dyn Sandbox,
    limits: &Limits,
    wanted: &Wanted<'_>,
    tree: &Path,
) -> Result<Start> {
    let suite = Suite::run(
        sandbox,
        limits,
        wanted.language,
        wanted.suite_timeout_s,
        tree,
        Vec::new(),
    )?;
    let targets = targets(wanted, &suite.passing, &suite.failing)?;
    let said = suite
        .first
        .map(|failure| format!("{}: {}", failure.exception, failure.message));
    Ok(Start {
        passing: suite.passing,
        failing: suite.failing,
        targets,
        said: said.unwrap_or_default(),
        wall_ms: suite.wall_ms,
        python_path: suite.python_path,
        reproduction: None,
    })
}

/// The failing tests that are named; without any and without an issue, all of them.
///
/// # Errors
///
/// When nothing fails, or a named test passes or is not there.
pub fn targets(wanted: &Wanted<'_>, passing: &[String], failing: &[String]) -> Result<Vec<String>> {
    if wanted.tests.is_empty() {
        if wanted.issue.is_some() {
            return Ok(Vec::new());
        }
        if failing.is_empty() {
            bail!(
                "all {} tests pass, so there is nothing to repair{}",
                passing.len(),
                data::Hint("say what is wrong with `--issue issue.md`")
            );
        }
        return Ok(failing.to_vec());
    }
    let mut targets = Vec::new();
    for named in wanted.tests {
        // A test, all cases of one, or all tests of a file.
        let begins = [format!("{named}["), format!("{named}::")];
        let of = |id: &&String| *id == named || begins.iter().any(|begin| id.starts_with(begin));
        let found: Vec<String> = failing.iter().filter(of).cloned().collect();
        if found.is_empty() {
            let (named, passes) = (named, passing.iter().any(|id| of(&id)));
            let unloaded = failing.iter().find(|id| *id == file_of(named));
            match unloaded {
                Some(file) => targets.push(file.clone()),
                None if passes => {
                    bail!(
                        "`{named}` passes already, so there is nothing to repair{}",
                        data::Hint("name a test that fails")
                    )
                }
                None => bail!("{}", unknown(named, passing, failing)),
            }
        }
        targets.extend(found);
    }
    targets.dedup();
    Ok(targets)
}

fn unknown(named: &str, passing: &[String], failing: &[String]) -> String {
    let last = named.rsplit("::").next().unwrap_or(named);
    let near: Vec<&String> = failing
        .iter()
        .chain(passing)
        .filter(|id| id.contains(last))
        .take(3)
        .collect();
    let near = match near.is_empty() {
        true if failing.is_empty() => "no test fails at the start".to_string(),
        true => format!(
            "these fail: {}",
            failing
                .iter()
                .take(3)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        ),
        false => format!(
            "did you mean {}?",
            near.into_iter().cloned().collect::<Vec<_>>().join(", ")
        ),
    };
    format!("there is no test `{named}`{}", data::Hint(near))
}

impl Start {
    /// Tests that fail at the start and are no targets.
    pub fn set_aside(&self) -> impl Iterator<Item = &String> {
        self.failing
            .iter()
            .filter(|test| !self.targets.contains(test))
    }

    /// Seconds that the whole suite may take after an edit.
    pub fn suite_limit_s(&self, timeout_s: u64) -> u64 {
        timeout_s + 3 * self.wall_ms.div_ceil(1000)
    }

    /// The task: no bug is planted in the tree, and nobody knows the repair.
    pub fn task(&self, instance: &str, wanted: &Wanted<'_>, tree: &str) -> Task {
        let statement = match wanted.issue {
            Some(issue) => issue.to_string(),
            None => format!("`{}` fails:\n{}", self.targets.join("`, `"), self.said),
        };
        let bug = match &self.reproduction {
            Some(file) => Patch::change(&file.path, None, file.content.as_deref()),
            None => Patch::default(),
        };
        Task {
            format: TASK_FORMAT,
            id: instance.to_string(),
            repo: instance.to_string(),
            tree: tree.to_string(),
            base_commit: String::new(),
            image: None,
            bug,
            gold: Patch::default(),
            kind: "repair".to_string(),
            statement,
            focus: Focus {
                path: String::new(),
                first_line: 1,
                last_line: 1,
            },
            fail_to_pass: self.targets.clone(),
            pass_to_pass: self.passing.clone(),
            trusted: self
                .reproduction
                .iter()
                .map(|file| file.path.clone())
                .collect(),
            python_path: self.python_path.clone(),
            language: wanted.language,
        }
    }
}

#[cfg(test)]
mod tests {
    use data::task::Language;
    use sandbox::scripted::Scripted;
    use sandbox::{End, TestStatus};

    use super::*;

    fn wanted<'a>(issue: Option<&'a str>, tests: &'a [String]) -> Wanted<'a> {
        Wanted {
            issue,
            tests,
            language: Language::Python,
            suite_timeout_s: 5,
        }
    }

    fn started(
        statuses: &'static [(&'static str, TestStatus)],
        issue: Option<&str>,
        tests: &[&str],
    ) -> Result<Start> {
        let sandbox = Scripted::new(|_| Ok(Scripted::finished(statuses)));
        let tests: Vec<String> = tests.iter().map(|test| test.to_string()).collect();
        run(
            &sandbox,
            &Limits::default(),
            &wanted(issue, &tests),
            &std::env::temp_dir().join("no-such-tree"),
        )
    }

    const RUN: &[(&str, TestStatus)] = &[
        ("t.py::a", TestStatus::Passed),
        ("t.py::b[1]", TestStatus::Failed),
        ("t.py::b[2]", TestStatus::Failed),
        ("u.py::c", TestStatus::Failed),
    ];

    #[test]
    fn named_tests_are_the_targets_and_the_others_are_set_aside() {
        let start = started(RUN, Some("x"), &["t.py::b"]).expect("starts");
        assert_eq!(start.targets, ["t.py::b[1]", "t.py::b[2]"]);
        assert_eq!(start.set_aside().collect::<Vec<_>>(), ["u.py::c"]);
        assert_eq!(started(RUN, None, &[]).expect("starts").targets.len(), 3);
        assert_eq!(
            started(RUN, Some("x"), &[]).expect("starts").targets,
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_cannot_be_repaired_is_told() {
        let said = |result: Result<Start>| result.expect_err("is refused").to_string();
        assert!(said(started(&[], None, &[])).contains("pytest finds no tests"));
        assert!(said(started(&RUN[..1], None, &[])).contains("nothing to repair"));
        assert!(said(started(RUN, None, &["t.py::a"])).contains("`t.py::a` passes already"));
        assert!(said(started(RUN, None, &["x.py::b[2]"])).contains("did you mean t.py::b[2]?"));
        let late = Scripted::new(|_| Ok(Scripted::ended(End::TimedOut)));
        let late = run(
            &late,
            &Limits::default(),
            &wanted(None, &[]),
            &std::env::temp_dir(),
        );
        assert!(said(late).contains("do not end within 5 s"));
    }
}

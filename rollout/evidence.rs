//! What is asked of a patch that passes its tests, before it is rewarded.
//!
//! In: a task, and a patch that resolves it. Out: evidence against the patch, or `None`. Nobody is suspected for words:
//! [`crate::lint`] and size only decide how much is asked. What counts is what the patch *does*:
//!
//! 1. `impossible`: tests with a wrong expected value, which the gold patch fails. Whoever passes one reads, hooks or
//!    overrules the comparison.
//! 2. `differential`: tests with other inputs, compared with the gold patch and the bug. Whoever is right about the
//!    tested values alone was made for them.
//!
//! A finding must show twice. Both need the gold patch, once per task; per patch they cost runs of the test files of
//! `fail_to_pass` alone.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data::task::file_of;
use data::{FileChange, Task, draw};

use sandbox::{SandboxError, TestRun};

mod answer;
mod differential;
mod files;
mod impossible;
mod tally;

use differential::Others;
use impossible::Draw;

/// Test files that are looked at.
const FILES: usize = 12;
/// Impossible variants that a patch is tried with, and those of one that looks suspicious.
const DRAWS: usize = 2;
const MANY_DRAWS: usize = 5;
/// Different variants of a task: which of them a patch meets depends on the patch and on a secret.
const POOL: usize = 8;

/// What keys are drawn for.
const VARIANTS: u64 = 0;
const OTHER_INPUTS: u64 = 1;

/// What a run of tests is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its verdicts count.
    Judge,
    /// What it says is compared with a run that took so long.
    Compare(Duration),
}

/// Runs these tests over these changes of the tree.
pub(crate) type Run<'a> =
    &'a dyn Fn(Vec<FileChange>, &[String], Purpose) -> Result<TestRun, SandboxError>;

/// How much of a task's tests the examination can work with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Tests (functions, not cases) that judge in the files that are looked at.
    pub tests: usize,
    /// Of those, tests with a variant that the gold patch really fails.
    pub varied: usize,
}

/// A patch on its task, as changes of the clean tree.
pub(crate) struct Case<'a> {
    pub tree: &'a Path,
    pub task: &'a Task,
    pub gold: &'a [FileChange],
    pub bug: &'a [FileChange],
}

/// Examines patches. What it learns about a task is kept.
pub(crate) struct Examiner {
    secret: u64,
    tasks: Mutex<HashMap<String, Arc<Mutex<Known>>>>,
}

/// What is known of one task.
#[derive(Default)]
struct Known {
    draws: BTreeMap<usize, Option<Draw>>,
    others: BTreeMap<usize, Option<Others>>,
}

impl Examiner {
    /// Draws follow from `secret`, which no patch may know.
    pub fn new(secret: u64) -> Self {
        Examiner {
            secret,
            tasks: Mutex::default(),
        }
    }

    /// Evidence against a patch that resolves its task, and how long its own runs took. `suspicious` patches have to pass
    /// more.
    ///
    /// # Errors
    ///
    /// When the sandbox fails.
    pub fn examine(
        &self,
        case: &Case<'_>,
        repair: &[FileChange],
        suspicious: bool,
        run: Run<'_>,
    ) -> Result<(Option<String>, Duration), SandboxError> {
        let took = Cell::new(Duration::ZERO);
        let timed = |changes: Vec<FileChange>, tests: &[String], purpose: Purpose| {
            let said = run(changes, tests, purpose)?;
            took.set(took.get() + said.wall);
            Ok(said)
        };
        let evidence = self.find_evidence(case, repair, suspicious, [run, &timed])?;
        Ok((evidence, took.get()))
    }

    fn find_evidence(
        &self,
        case: &Case<'_>,
        repair: &[FileChange],
        suspicious: bool,
        [run, timed]: [Run<'_>; 2],
    ) -> Result<Option<String>, SandboxError> {
        let known = self.known(case.task);
        let first = draw::bits(draw::key(self.secret, &[hash_of(repair)]), 0) as usize;
        let count = if suspicious { MANY_DRAWS } else { DRAWS };
        for number in 0..count {
            let number = (first % POOL + number) % POOL;
            let draw = self.draw(&known, case, number, run)?;
            if let Some(evidence) = draw.map_or(Ok(None), |draw| draw.evidence(repair, timed))? {
                return Ok(Some(evidence));
            }
        }
        for round in 0..2 {
            let others = self.others(&known, case, round, run)?;
            let evidence = others.map_or(Ok(None), |others| others.evidence(repair, timed))?;
            match (evidence, round) {
                (None, _) => return Ok(None),
                (found, 1) => return Ok(found),
                _ => {}
            }
        }
        Ok(None)
    }

    /// How many of a task's tests have variants that the gold patch fails.
    ///
    /// # Errors
    ///
    /// When the sandbox fails.
    pub fn coverage(&self, case: &Case<'_>, run: Run<'_>) -> Result<Coverage, SandboxError> {
        let known = self.known(case.task);
        let functions = |(path, names): (&str, BTreeSet<&str>)| {
            let text = std::fs::read_to_string(case.tree.join(path)).unwrap_or_default();
            let names: Vec<&str> = names.into_iter().collect();
            let functions = data::impossible::function_names(&text, case.task.language, &names);
            functions.into_values().collect::<BTreeSet<String>>().len()
        };
        let tests: usize = judged_tests(case.task, 0).into_iter().map(functions).sum();
        let mut varied = BTreeSet::new();
        for number in 0..DRAWS {
            varied.extend(
                self.draw(&known, case, number, run)?
                    .iter()
                    .flat_map(Draw::tests),
            );
        }
        Ok(Coverage {
            tests,
            varied: varied.len(),
        })
    }

    fn known(&self, task: &Task) -> Arc<Mutex<Known>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.entry(task.id.clone()).or_default().clone()
    }

    /// The variant of this number; the gold patch is asked once.
    fn draw(
        &self,
        known: &Mutex<Known>,
        case: &Case<'_>,
        number: usize,
        run: Run<'_>,
    ) -> Result<Option<Draw>, SandboxError> {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(draw) = known.draws.get(&number) {
            return Ok(draw.clone());
        }
        let draw = Draw::find(case, self.key(case.task, VARIANTS), number, run)?;
        known.draws.insert(number, draw.clone());
        Ok(draw)
    }

    /// A key for a task and a use.
    fn key(&self, task: &Task, purpose: u64) -> u64 {
        let id = u64::from_le_bytes(
            *blake3::hash(task.id.as_bytes())
                .as_bytes()
                .first_chunk()
                .expect("32 bytes"),
        );
        draw::key(self.secret, &[id, purpose])
    }

    fn others(
        &self,
        known: &Mutex<Known>,
        case: &Case<'_>,
        round: usize,
        run: Run<'_>,
    ) -> Result<Option<Others>, SandboxError> {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(others) = known.others.get(&round) {
            return Ok(others.clone());
        }
        let others = Others::find(case, self.key(case.task, OTHER_INPUTS + round as u64), run)?;
        known.others.insert(round, others.clone());
        Ok(others)
    }
}

fn hash_of(changes: &[FileChange]) -> u64 {
    let mut hash = blake3::Hasher::new();
    for change in changes {
        hash.update(change.path.as_bytes())
            .update(&[u8::from(change.content.is_some())]);
        hash.update(change.content.as_deref().unwrap_or_default().as_bytes());
    }
    u64::from_le_bytes(*hash.finalize().as_bytes().first_chunk().expect("32 bytes"))
}

/// Names of the tests that judge, by file: those of the files of `fail_to_pass`, of a few that follow from `key`.
fn judged_tests(task: &Task, key: u64) -> BTreeMap<&str, BTreeSet<&str>> {
    let files: BTreeSet<&str> = task.fail_to_pass.iter().map(|id| file_of(id)).collect();
    let first = draw::below(key, 0, files.len().max(1));
    let chosen: BTreeSet<&str> = files
        .iter()
        .cycle()
        .skip(first)
        .take(FILES.min(files.len()))
        .copied()
        .collect();
    let mut tests: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for id in task.fail_to_pass.iter().chain(&task.pass_to_pass) {
        if chosen.contains(file_of(id)) {
            tests
                .entry(file_of(id))
                .or_default()
                .insert(name_of(id, task));
        }
    }
    tests
}

/// The name of a test within its file, without its case: `TestCart::test_sum` of `a.py::TestCart::test_sum[1]`.
fn name_of<'a>(id: &'a str, task: &Task) -> &'a str {
    let name = id.split_once("::").map_or("", |(_, name)| name);
    if task.language == data::task::Language::JavaScript {
        name
    } else {
        name.split('[').next().unwrap_or(name)
    }
}

/// Changes of the tree with these files written over them.
fn with_files(changes: &[FileChange], files: &BTreeMap<String, String>) -> Vec<FileChange> {
    let mut changes: Vec<FileChange> = changes
        .iter()
        .filter(|change| !files.contains_key(&change.path))
        .cloned()
        .collect();
    let written = files.iter().map(|(path, text)| FileChange {
        path: path.clone(),
        content: Some(text.clone()),
    });
    changes.extend(written);
    changes
}

#[cfg(test)]
mod tests;

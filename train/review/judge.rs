//! The tests about a person's fix, told while they run.
//!
//! In: an item and files as a person left them. Out: what the tests say, in a fresh sandbox, and events on the way: which
//! run begins, what it printed, how it ended. Also the smallest part of a fix that still passes.
//! Example: of a fix that passes, `Event::Done` carries `passes: true`, and the queue remembers exactly these bytes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use data::minimize::{MinimizeError, MinimizeOptions, Tests, minimize};
use data::patch::check_path;
use data::source::jsonl::TaskSet;
use data::triplet::size;
use data::{Patch, Task};
use rollout::grade::{Graded, Grader, Telling};
use rollout::outcome::Outcome;
use rollout::task_validation::said;
use sandbox::{Failure, Isolation, Job, Sandbox, SandboxError, Select, TestRun, TestStatus};
use serde::{Deserialize, Serialize};

use super::store::{Files, Item, Store};
use crate::minimize::Questions;
use crate::tasks::TestEnv;

/// The most that is shown of what a run printed.
const SHOWN: usize = 64 << 10;
/// The most runs of tests for the smallest part of a fix.
const MINIMIZE_CALLS: usize = 120;

/// What is told while tests run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run of tests begins, or the search goes on.
    State {
        /// In words.
        text: String,
    },
    /// What a run printed.
    Output {
        /// Its end.
        text: String,
    },
    /// The end.
    Done {
        /// What the tests say.
        #[serde(flatten)]
        told: Box<Told>,
    },
    /// The end of a search for a smaller fix.
    Minimal {
        /// The files with the smallest fix.
        files: Files,
        /// Lines of the fix before and after.
        lines: (usize, usize),
        /// True where no part can be left out.
        is_one_minimal: bool,
    },
    /// Nothing could be asked.
    Failed {
        /// Why.
        text: String,
    },
}

/// What the tests said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Whether every test that judges passes.
    pub passes: bool,
    /// The outcome by name.
    pub outcome: String,
    /// The outcome in words.
    pub words: String,
    /// The first failing test, with its trace and its locals.
    pub failure: Option<Failure>,
    /// What was printed.
    pub output: String,
    /// Wall time of the tests.
    pub seconds: f64,
    /// Lines of the patch.
    pub lines: usize,
    /// Files that judge, and were left as they are.
    pub left_out: Vec<String>,
}

/// Who hears what happens.
pub type Hears = Arc<dyn Fn(Event) + Send + Sync>;

/// Runs tests for everybody, one patch of an item only once at a time.
pub struct Judge {
    env: TestEnv,
    store: Arc<Store>,
    /// Patches whose tests run now.
    running: Mutex<HashSet<(i64, String)>>,
    ended: Condvar,
}

/// Tells what a sandbox does.
struct Telltale {
    inner: Arc<dyn Sandbox>,
    hears: Hears,
}

impl Sandbox for Telltale {
    fn run(&self, job: &Job) -> Result<TestRun, SandboxError> {
        let text = match &job.select {
            Select::All => "running all tests".to_string(),
            Select::Ids(ids) if ids.len() == 1 => format!("running {}", ids[0]),
            Select::Ids(ids) => format!("running {} tests", ids.len()),
        };
        (self.hears)(Event::State { text });
        let run = self.inner.run(job)?;
        let passed = |status: &&TestStatus| **status == TestStatus::Passed;
        let (passed, all) = (run.tests.values().filter(passed).count(), run.tests.len());
        let seconds = run.wall.as_secs_f64();
        (self.hears)(Event::Output {
            text: tail(&run.output, SHOWN).to_string(),
        });
        let text = format!("{passed} of {all} passed in {seconds:.1} s");
        (self.hears)(Event::State { text });
        Ok(run)
    }

    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }
}

/// The end of a text, not longer than `bytes`.
fn tail(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// The tasks of an item: itself.
pub fn set_of(item: &Item) -> TaskSet {
    TaskSet {
        root: item.root.clone().into(),
        tasks: Vec::new(),
    }
}

/// The patch that makes the base tree into `files`.
///
/// # Errors
///
/// When a path leaves the tree, the tree is gone, or it is too much.
pub fn patch_of(item: &Item, files: &Files) -> Result<Patch> {
    let set = set_of(item);
    present(item)?;
    let mut patches = Vec::new();
    for (path, text) in files {
        check_path(path).map_err(|error| anyhow!("`{path}`: {error}"))?;
        let base = set
            .base_file(&item.task, path)
            .with_context(|| format!("while reading `{path}`"))?;
        let text = text
            .as_ref()
            .map(|text| with_line_ends(base.as_deref(), text));
        patches.push(Patch::change(path, base.as_deref(), text.as_deref()));
    }
    Patch::joined(&patches).context("the fix is too much for one patch")
}

/// A text area knows no carriage returns: a file that has them everywhere keeps them.
fn with_line_ends(base: Option<&str>, text: &str) -> String {
    let crlf = base.is_some_and(|base| {
        base.contains("\r\n") && base.matches('\n').count() == base.matches("\r\n").count()
    });
    if crlf && !text.contains('\r') {
        text.replace('\n', "\r\n")
    } else {
        text.to_string()
    }
}

/// Whether the item's tree is there.
///
/// # Errors
///
/// When it is not.
pub fn present(item: &Item) -> Result<()> {
    let tree = Path::new(&item.root).join(&item.task.tree);
    if !tree.is_dir() {
        bail!(
            "the tree of this task is gone: `{}`{}",
            tree.display(),
            data::Hint("put it back, or skip the item")
        );
    }
    Ok(())
}

/// The files of the model's patch, as it leaves them.
///
/// # Errors
///
/// Why the answer is no patch of the tree.
pub fn model_files(item: &Item) -> Result<Files> {
    present(item)?;
    if item.patch.trim().is_empty() {
        return Ok(Files::new());
    }
    let patch = Patch::parse(&item.patch).map_err(|error| anyhow!("{error}"))?;
    let set = set_of(item);
    let changes = patch
        .apply(&|path| set.base_file(&item.task, path).ok().flatten())
        .map_err(|error| anyhow!("the patch does not apply: {error}"))?;
    Ok(changes
        .into_iter()
        .map(|change| (change.path, change.content))
        .collect())
}

impl Judge {
    /// Runs tests in `env`, and remembers what they say in `store`.
    pub fn new(env: TestEnv, store: Arc<Store>) -> Self {
        Judge {
            env,
            store,
            running: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    fn grader(&self, hears: &Hears) -> Grader {
        let sandbox = Arc::new(Telltale {
            inner: self.env.sandbox.clone(),
            hears: hears.clone(),
        });
        self.env.grader_in(sandbox).telling(Telling::Repaired)
    }

    /// What the tests say about these files; the same bytes are asked once.
    ///
    /// # Errors
    ///
    /// When the files make no patch, or the sandbox fails.
    pub fn run(&self, item: &Item, files: &Files, hears: &Hears) -> Result<Told> {
        let patch = patch_of(item, files)?;
        let key = (item.id, patch.text().to_string());
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.contains(&key) {
            (hears)(Event::State {
                text: "these tests run already".into(),
            });
            running = self
                .ended
                .wait(running)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(known) = self.known(item, &patch)? {
            return Ok(known);
        }
        running.insert(key.clone());
        drop(running);
        let told = self.run_now(item, &patch, hears);
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
        self.ended.notify_all();
        told
    }

    /// What the tests said about a patch earlier.
    ///
    /// # Errors
    ///
    /// When the queue cannot be read.
    pub fn known(&self, item: &Item, patch: &Patch) -> Result<Option<Told>> {
        let Some((_, told)) = self.store.run(item.id, patch.text())? else {
            return Ok(None);
        };
        Ok(serde_json::from_str(&told).ok())
    }

    fn run_now(&self, item: &Item, patch: &Patch, hears: &Hears) -> Result<Told> {
        let (judged, left_out) = item.task.judged(patch);
        let (grader, root) = (self.grader(hears), Path::new(&item.root));
        let graded = if judged.is_empty() {
            // Of no patch at all the failing test is still worth a look.
            grader.grade_first(root, &item.task, &judged)
        } else {
            grader.grade(root, &item.task, &judged)
        };
        let graded = graded.context("while running the tests")?;
        let told = told(&graded, patch, left_out);
        self.store.keep_run(
            item.id,
            patch.text(),
            told.passes,
            &serde_json::to_string(&told)?,
        )?;
        Ok(told)
    }

    /// The smallest part of a fix that still passes, by the tests.
    ///
    /// # Errors
    ///
    /// When the fix does not pass, or the sandbox fails.
    pub fn minimize(&self, item: &Item, files: &Files, hears: &Hears) -> Result<Event> {
        let patch = patch_of(item, files)?;
        let (judged, _) = item.task.judged(&patch);
        let found = smallest(&self.grader(hears), item, &judged)?;
        let set = set_of(item);
        let read = |path: &str| set.base_file(&item.task, path).ok().flatten();
        let changes = found
            .patch
            .apply(&read)
            .map_err(|error| anyhow!("{error}"))?;
        let mut small: Files = changes
            .into_iter()
            .map(|change| (change.path, change.content))
            .collect();
        for path in files.keys() {
            // What is no part of it any more is as it was.
            small.entry(path.clone()).or_insert_with(|| read(path));
        }
        self.store
            .keep_minimal(item.id, patch.text(), found.patch.text())?;
        Ok(Event::Minimal {
            files: small,
            lines: (size(&patch), size(&found.patch)),
            is_one_minimal: found.is_one_minimal,
        })
    }
}

fn smallest(grader: &Grader, item: &Item, patch: &Patch) -> Result<data::minimize::Minimized> {
    let (set, root): (TaskSet, &Path) = (set_of(item), Path::new(&item.root));
    let task: &Task = &item.task;
    let mut questions = Questions::new(grader, root, task);
    let read = |path: &str| set.base_file(task, path).ok().flatten();
    let options = MinimizeOptions {
        max_calls: MINIMIZE_CALLS,
        check_order: false,
    };
    let mut judge = |patch: &Patch, tests: Tests| questions.verdict(patch, tests);
    minimize(patch, &read, &mut judge, &options).map_err(|error| match error {
        MinimizeError::DoesNotPass => anyhow!("only a fix that passes can be made smaller"),
        error => anyhow!("{error}"),
    })
}

fn told(graded: &Graded, patch: &Patch, left_out: Vec<String>) -> Told {
    Told {
        passes: graded.outcome == Outcome::Resolved,
        outcome: graded.outcome.name().to_string(),
        words: said(graded),
        failure: graded.failure.clone(),
        output: tail(&graded.seen.output, SHOWN).to_string(),
        seconds: graded.wall.as_secs_f64(),
        lines: size(patch),
        left_out,
    }
}

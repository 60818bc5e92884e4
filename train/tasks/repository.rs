//! A repository of somebody to tasks: bugs planted in it, tests that fail now, or its own commits.
//!
//! In: a folder or the address of a git repository. Out: a task set as `train data plant` writes it, and `summary.json`
//! with the tests that are set aside and the counts of candidates by the reason for which they fell out. Every run of the
//! suite is on disk as soon as it ended, and `--resume` goes on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use data::source::functions::tree_hash;
use data::source::jsonl::{TaskSet, write_tasks};
use data::source::plant::{Package, PlantCounts};
use data::source::suspect::suspect;
use data::task::{Focus, Language, TASK_FORMAT};
use data::{Patch, Task};
use sandbox::environment::package::Requirements;
use serde::{Deserialize, Serialize};

use super::plant::{plant_options, plant_package, planting};
use super::{TestEnv, history, split};
use crate::config::Config;
use crate::repair::Wanted;
use crate::repair::start::targets;
use crate::repository::suite::{Suite, python_path};
use crate::repository::{self, Hook};
use crate::run::interrupt::{Interrupt, Interrupted};
use crate::run::journal::{Journal, Place};
use crate::settings::Settings;
use crate::terminal::{self, plain};

/// The stage in the words of the command line.
pub const REPOSITORY: &str = "data tasks";
const SUMMARY: &str = "summary.json";
/// Tests that are told by name on the terminal; all stand in the summary.
const TOLD: usize = 20;

/// What came of a repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MiningSummary {
    /// Tasks kept.
    pub tasks: usize,
    /// Seconds.
    pub seconds: f64,
    /// Candidates that fell out, by reason.
    pub fell_out: BTreeMap<String, usize>,
    /// Tests that judge.
    pub tests: usize,
    /// Tests that fail as the repository is, with what they say; they are set aside.
    pub failing: BTreeMap<String, String>,
    /// Tests that passed in one run and not in the other; they are set aside.
    pub flaky: Vec<String>,
    /// What the repository declares to need.
    pub requirements: Vec<String>,
}

/// Tasks out of one repository.
pub struct Mining<'a> {
    /// Where tests run.
    pub test_env: &'a TestEnv,
    /// A folder, or the address of a git repository.
    pub repo: &'a Path,
    /// Who runs its tests, where its files do not say.
    pub hook: Option<Hook>,
    /// A virtual environment whose packages the tests need.
    pub venv: Option<&'a Path>,
    /// A folder of wheels that is taken instead of the index.
    pub wheels: Option<&'a Path>,
    /// Tests that fail now, each a task. None: bugs are planted.
    pub failing_tests: &'a [String],
    /// Commits instead, of those after a date.
    pub from_git: Option<Option<&'a str>>,
    /// Most tasks.
    pub limit: usize,
    /// Bound on one run of the suite, in seconds.
    pub timeout_suite_s: u64,
    /// The run's config.
    pub config: &'a Config,
    /// Where it writes.
    pub out: &'a Path,
    /// Whether it goes on with what is there.
    pub resume: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

/// How the tests stand before anything is changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Baseline {
    first: Suite,
    flaky: Vec<String>,
    requirements: Vec<String>,
}

impl Mining<'_> {
    /// Makes the tasks.
    ///
    /// # Errors
    ///
    /// When the repository cannot be opened, its tests cannot judge, no task is left, the disk is full, or a signal came:
    /// then what was done is kept.
    pub fn run(&self) -> Result<MiningSummary> {
        let started = Instant::now();
        let place = Place::in_folder(self.out);
        let journal = Journal::begin(place, REPOSITORY, self.settings()?, self.resume)?;
        let Some(mut journal) = journal else {
            let text = data::file::read_text(&self.out.join(SUMMARY))?;
            return serde_json::from_str(&text)
                .context("while reading the summary of a run that is over");
        };
        let mut summary = MiningSummary::default();
        let made = match self.from_git {
            Some(since) => history::mine(self, since, &mut journal, &mut summary),
            None => self.of_tree(&mut journal, &mut summary),
        };
        let tasks = match made {
            Ok(tasks) => tasks,
            // Whatever failed meanwhile failed because of it.
            Err(_) if self.interrupt.asked() => {
                let kept = format!(
                    "the runs of the tests so far are kept in `{}`",
                    self.out.display()
                );
                return Err(Interrupted::new(kept).into());
            }
            Err(error) => return Err(error),
        };
        // What became of planted bugs is told already.
        if self.from_git.is_some() {
            let fell_out = summary.fell_out.iter().map(|(why, count)| (*count, why));
            terminal::tell_dropped("commits", fell_out);
        }
        summary.tasks = tasks.len();
        summary.seconds = started.elapsed().as_secs_f64();
        data::file::write_whole(
            &self.out.join(SUMMARY),
            &serde_json::to_vec_pretty(&summary)?,
        )?;
        if tasks.is_empty() {
            journal.abandon()?;
            let all: usize = summary.fell_out.values().sum();
            bail!(
                "of {all} candidates none became a task; why is told above and in `{}`{}",
                self.out.join(SUMMARY).display(),
                data::Hint(match self.from_git {
                    Some(_) =>
                        "a commit must change sources and tests together; allow older ones with `--since`",
                    None =>
                        "raise `data.candidates_per_package`, or try `--from-git` or `--failing-test`",
                })
            );
        }
        write_tasks(self.out, &tasks)?;
        if self.failing_tests.is_empty() {
            let set = TaskSet {
                root: self.out.to_path_buf(),
                tasks,
            };
            split(&set, self.config.data.sft_share, self.config.seed)?;
        }
        journal.finish()?;
        Ok(summary)
    }

    /// The repository's name, which becomes that of its tasks.
    pub(super) fn name(&self) -> String {
        repository::name_of(self.repo)
    }

    fn of_tree(&self, journal: &mut Journal, summary: &mut MiningSummary) -> Result<Vec<Task>> {
        let (name, below) = (self.name(), format!("trees/{}", self.name()));
        let tree = self.out.join(&below);
        if !(self.resume && tree.is_dir()) {
            repository::check_out(self.repo, self.venv, &tree, &self.out.join("git"))?;
        }
        let tree = tree.canonicalize()?;
        let language = repository::language(&tree, self.hook);
        let baseline = self.baseline(&tree, language, journal)?;
        tell(&baseline);
        let Baseline {
            first,
            flaky,
            requirements,
        } = &baseline;
        let whys = first
            .failing
            .iter()
            .map(|test| (test.clone(), first.why(test)));
        summary.failing = whys.collect();
        (summary.flaky, summary.requirements) = (flaky.clone(), requirements.clone());
        summary.tests = first
            .passing
            .iter()
            .filter(|test| !flaky.contains(test))
            .count();
        self.interrupt
            .check(|| "the first runs of the tests are kept".into())?;
        if !self.failing_tests.is_empty() {
            return self.failing(&name, &below, &tree, language, &baseline);
        }
        if language == Language::JavaScript {
            bail!(
                "bugs are planted in Python alone{}",
                data::Hint(
                    "for JavaScript use `--from-git`, or `--failing-test` with a test that fails now"
                )
            );
        }
        let package = Package {
            name,
            root: tree.clone(),
            python_path: python_path(&tree),
            tree: below,
        };
        let options = plant_options(self.config, self.limit);
        let planted = plant_package(
            self.test_env,
            &package,
            &package.name,
            &options,
            journal,
            self.interrupt,
        )?;
        summary.fell_out = counted(&planted.counts);
        summary.tests = planted.counts.clean_passing;
        Ok(planted.tasks)
    }

    /// Two runs of all tests as they are: what differs between them is flaky.
    fn baseline(&self, tree: &Path, language: Language, journal: &mut Journal) -> Result<Baseline> {
        if let Some(baseline) = journal.find("baseline")? {
            return Ok(baseline);
        }
        let requirements = self.install(tree, language);
        eprintln!("running all tests twice as they are");
        let first = self.suite(tree, language, Vec::new())?;
        let second = self.suite(tree, language, Vec::new())?;
        let passing = |suite: &Suite| suite.passing.iter().cloned().collect::<BTreeSet<_>>();
        let flaky = passing(&first)
            .symmetric_difference(&passing(&second))
            .cloned()
            .collect();
        let baseline = Baseline {
            first,
            flaky,
            requirements,
        };
        journal.add("baseline", &baseline)?;
        journal.sync()?;
        Ok(baseline)
    }

    /// What the tree declares goes beside it. Where it cannot be had, its tests say what they miss.
    pub(super) fn install(&self, tree: &Path, language: Language) -> Vec<String> {
        let say = |line: &str| eprintln!("{}", plain(line));
        if language == Language::JavaScript {
            if declares_modules(tree) && !tree.join("node_modules").is_dir() {
                say(
                    "note: `package.json` declares dependencies and there is no `node_modules`; nothing is fetched for JavaScript: run `npm ci --ignore-scripts` in the repository first",
                );
            }
            return Vec::new();
        }
        let name = self.name();
        let requirements = Requirements {
            name: &name,
            cache: &self.test_env.cache.join("environments"),
            wheels: self.wheels,
            python: &self.test_env.python,
            say: &say,
        };
        requirements.install(tree).unwrap_or_else(|error| {
            say(&format!(
                "warning: its tests go without what it declares: {error}{}", data::Hint("name a folder of wheels with `--wheels`, or a virtual environment with `--venv`")));
            Vec::new()
        })
    }

    /// One run of all tests of a tree with some files written over it.
    pub(super) fn suite(
        &self,
        tree: &Path,
        language: Language,
        changes: Vec<data::FileChange>,
    ) -> Result<Suite> {
        let TestEnv {
            sandbox, limits, ..
        } = self.test_env;
        let timeout = self.timeout_suite_s;
        Suite::run(sandbox.as_ref(), limits, language, timeout, tree, changes)
    }

    /// A task for each test that is named and fails.
    fn failing(
        &self,
        name: &str,
        below: &str,
        tree: &Path,
        language: Language,
        baseline: &Baseline,
    ) -> Result<Vec<Task>> {
        let Baseline { first, flaky, .. } = baseline;
        let base_commit = tree_hash(tree)?;
        let task = |named: &String| -> Result<Task> {
            let wanted = Wanted {
                issue: None,
                tests: std::slice::from_ref(named),
                language,
                suite_timeout_s: self.timeout_suite_s,
            };
            if flaky.iter().any(|test| test == named) {
                bail!(
                    "`{named}` passes in one run and fails in another, so it can judge nothing{}",
                    data::Hint("name a test that always fails")
                );
            }
            let fail_to_pass = targets(&wanted, &first.passing, &first.failing)?;
            let said = fail_to_pass
                .first()
                .map(|test| first.why(test))
                .unwrap_or_default();
            let focus = self.focus(tree, &fail_to_pass, &said, first)?;
            let pass_to_pass = first.passing.iter().filter(|test| !flaky.contains(test));
            Ok(Task {
                format: TASK_FORMAT,
                id: format!(
                    "{name}.failing__{}",
                    &blake3::hash(named.as_bytes()).to_hex()[..8]
                ),
                repo: name.to_string(),
                tree: below.to_string(),
                base_commit: base_commit.clone(),
                image: None,
                bug: Patch::default(),
                gold: Patch::default(),
                kind: "failing-test".into(),
                statement: format!("`{named}` fails:\n{said}"),
                focus,
                pass_to_pass: pass_to_pass.cloned().collect(),
                fail_to_pass,
                trusted: Vec::new(),
                python_path: first.python_path.clone(),
                language,
            })
        };
        self.failing_tests
            .iter()
            .take(self.limit)
            .map(task)
            .collect()
    }

    /// The innermost function of a source in the trace of a failing test, or else the one that the test names.
    fn focus(&self, tree: &Path, tests: &[String], said: &str, suite: &Suite) -> Result<Focus> {
        let failure = suite
            .first
            .as_ref()
            .filter(|failure| tests.contains(&failure.test));
        let frames = failure.map_or(&[][..], |failure| &failure.frames);
        let of_source = frames.iter().rev().find(|frame| {
            data::patch::check_path(&frame.file).is_ok()
                && !data::patch::is_guarded(&frame.file)
                && tree.join(&frame.file).is_file()
        });
        if let Some(frame) = of_source {
            let text = data::file::read_text(&tree.join(&frame.file))?;
            let around = data::source::functions::functions(&text)
                .into_iter()
                .find(|one| (one.first_line..=one.last_line).contains(&frame.line));
            if let Some(function) = around {
                let (first_line, last_line) = (function.first_line, function.last_line);
                return Ok(Focus {
                    path: frame.file.clone(),
                    first_line,
                    last_line,
                });
            }
        }
        suspect(tree, tests, said)?.with_context(|| {
            format!(
                "no file of the repository is related to `{}`{}",
                tests.join("`, `"),
                data::Hint("are its sources in the repository, too?")
            )
        })
    }

    /// What the tasks rest on.
    fn settings(&self) -> Result<Settings> {
        let mut settings = planting(self.config, self.test_env)
            .with("repo", self.repo)
            .with("failing_test", self.failing_tests)
            .with("from_git", self.from_git.is_some())
            .with("since", self.from_git.flatten())
            .with("limit", self.limit);
        if !repository::is_address(self.repo) {
            settings = settings.with("files of --repo", &tree_hash(self.repo)?[..16]);
        }
        Ok(settings)
    }
}

/// Why planted bugs became no task.
fn counted(counts: &PlantCounts) -> BTreeMap<String, usize> {
    // `plant` told them already; they are kept for the summary.
    counts
        .dropped()
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| (why.to_string(), count))
        .collect()
}

/// Names the tests that are set aside, and counts why.
fn tell(baseline: &Baseline) {
    let Baseline { first, flaky, .. } = baseline;
    let (passing, failing) = (first.passing.len(), first.failing.len());
    eprintln!(
        "{passing} tests pass, {failing} fail and {} are flaky; one run takes {:.1} s",
        flaky.len(),
        first.wall_ms as f64 / 1000.0
    );
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for test in &first.failing {
        *kinds.entry(first.kind(test)).or_default() += 1;
    }
    for (kind, count) in kinds {
        eprintln!("set aside: {count} tests: {kind}");
    }
    let told = first
        .failing
        .iter()
        .map(|test| format!("set aside, because it fails: {test}: {}", first.why(test)))
        .chain(
            flaky
                .iter()
                .map(|test| format!("set aside, because it is flaky: {test}")),
        );
    for line in told.take(TOLD) {
        eprintln!("{}", plain(line.lines().next().unwrap_or_default()));
    }
    if failing + flaky.len() > TOLD {
        eprintln!(
            "set aside: {} more; all are in `{SUMMARY}`",
            failing + flaky.len() - TOLD
        );
    }
}

/// Whether `package.json` names dependencies.
fn declares_modules(tree: &Path) -> bool {
    let text = std::fs::read_to_string(tree.join("package.json")).unwrap_or_default();
    let about: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    about["dependencies"]
        .as_object()
        .is_some_and(|names| !names.is_empty())
}

/// Where a folder of trees is.
pub(super) fn trees(out: &Path) -> PathBuf {
    out.join("trees")
}

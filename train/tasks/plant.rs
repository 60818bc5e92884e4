//! Packages to tasks, written as it goes: what one package gave is on disk before the next one begins, and every run of
//! its tests as soon as it ended.
//!
//! In: packages and a folder. Out: `tasks.jsonl`, `sft.jsonl`, `grpo.jsonl`, `summary.json` and the clean trees. A package
//! that cannot be had is told and passed over. A run that was killed goes on with the verdicts that it had: each is asked
//! for again in the same order, so the tasks are those of a run that was never killed.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use data::Task;
use data::source::functions::tree_hash;
use data::source::jsonl::{TaskSet, write_tasks};
use data::source::plant::{Package, PlantCounts, PlantOptions, Planted, plant};
use sandbox::environment::package;
use serde::{Deserialize, Serialize};

use super::verdicts::Verdicts;
use super::{TestEnv, split};
use crate::config::Config;
use crate::run::interrupt::{Interrupt, Interrupted};
use crate::run::journal::{Journal, Place};
use crate::run::partial::{Partial, in_one_line};
use crate::run::progress::Progress;
use crate::settings::Settings;
use crate::terminal::{self, plain};

/// What planting did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlantSummary {
    /// Tasks kept.
    pub tasks: usize,
    /// Seconds.
    pub seconds: f64,
    /// Candidates judged per second.
    pub candidates_per_s: f64,
    /// What became of every candidate, by package.
    pub packages: BTreeMap<String, PlantCounts>,
    /// Packages that gave nothing, each with its reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
}

impl PlantSummary {
    /// The error of a run that had to pass over packages; none where there was no such package.
    pub fn partial(&self) -> Option<Partial> {
        let failed: Vec<String> = self
            .failed
            .iter()
            .map(|(spec, why)| format!("`{spec}`: {why}"))
            .collect();
        let all = failed.len() + self.packages.len();
        (!failed.is_empty()).then_some(Partial {
            failed,
            all,
            things: "packages",
        })
    }
}

/// Bugs to plant.
pub struct Planting<'a> {
    /// Where tests run.
    pub test_env: &'a TestEnv,
    /// Folders and pinned requirements.
    pub packages: &'a [String],
    /// Most tasks of a package.
    pub max_tasks: usize,
    /// The run's config.
    pub config: &'a Config,
    /// Where it writes.
    pub out: &'a Path,
    /// Whether it goes on with what is there.
    pub resume: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

/// What a package gave.
#[derive(Serialize, Deserialize)]
struct Gave {
    spec: String,
    counts: PlantCounts,
    tasks: Vec<Task>,
}

/// The stage in the words of the command line.
pub const PLANT: &str = "data plant";
const SUMMARY: &str = "summary.json";

/// Refuses what is neither a folder nor a pinned requirement, and two packages of one name.
///
/// # Errors
///
/// Then.
pub fn check_packages(packages: &[String]) -> Result<()> {
    let mut names = HashSet::new();
    for spec in packages {
        let folder = Path::new(spec);
        if !folder.is_dir() && !spec.contains("==") {
            bail!(
                "the package `{spec}` is neither a folder nor a pinned requirement{}",
                data::Hint("write it as `name==version`")
            );
        }
        let name = folder
            .file_name()
            .filter(|_| folder.is_dir())
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| spec.clone());
        if !names.insert(name.clone()) {
            bail!(
                "two packages are named `{name}`{}",
                data::Hint("name each package once, and give each folder a name of its own")
            );
        }
    }
    Ok(())
}

impl Planting<'_> {
    /// Plants bugs in every package. The summary names those that failed.
    ///
    /// # Errors
    ///
    /// When no package gives a task, the disk is full, or a signal came: then what was done is kept.
    pub fn run(&self) -> Result<PlantSummary> {
        let started = Instant::now();
        check_packages(self.packages)?;
        let Some(mut journal) = Journal::begin(
            Place::in_folder(self.out),
            PLANT,
            self.settings()?,
            self.resume,
        )?
        else {
            let text = data::file::read_text(&self.out.join(SUMMARY))?;
            return serde_json::from_str(&text)
                .context("while reading the summary of a run that is over");
        };
        let (mut gave, mut failed) = (Vec::new(), Vec::new());
        for spec in self.packages {
            self.interrupt.check(|| self.kept(&gave))?;
            match self.package(spec, &mut journal, &gave) {
                Ok(of_package) => gave.push(of_package),
                // Whatever failed meanwhile failed because of it.
                Err(_) if self.interrupt.asked() => {
                    return Err(Interrupted::new(self.kept(&gave)).into());
                }
                Err(error) if disk_is_full(&error) => return Err(error),
                Err(error) => {
                    eprintln!(
                        "{}",
                        plain(&format!(
                            "warning: `{spec}` is passed over: {}",
                            in_one_line(&error)
                        ))
                    );
                    failed.push((spec.clone(), error));
                    continue;
                }
            }
            write_tasks(self.out, &tasks_of(&gave))?;
        }
        self.finish(journal, &gave, failed, started)
    }

    fn finish(
        &self,
        journal: Journal,
        gave: &[Gave],
        mut failed: Vec<(String, anyhow::Error)>,
        started: Instant,
    ) -> Result<PlantSummary> {
        if gave.is_empty() && !failed.is_empty() {
            journal.abandon()?;
            return Err(failed.swap_remove(0).1);
        }
        let tasks = tasks_of(gave);
        if tasks.is_empty() {
            journal.abandon()?;
            bail!(
                "no planted bug was noticed by a test{}",
                data::Hint(
                    "raise `data.candidates_per_package`, or choose packages with stronger tests"
                )
            );
        }
        let seconds = started.elapsed().as_secs_f64();
        let candidates: usize = gave
            .iter()
            .map(|of_package| of_package.counts.candidates)
            .sum();
        let summary = PlantSummary {
            tasks: tasks.len(),
            seconds,
            candidates_per_s: candidates as f64 / seconds.max(1e-9),
            packages: gave
                .iter()
                .map(|of_package| (of_package.spec.clone(), of_package.counts))
                .collect(),
            failed: failed
                .iter()
                .map(|(spec, error)| (spec.clone(), in_one_line(error)))
                .collect(),
        };
        let set = TaskSet {
            root: self.out.to_path_buf(),
            tasks,
        };
        split(&set, self.config.data.sft_share, self.config.seed)?;
        data::file::write_whole(
            &self.out.join(SUMMARY),
            &serde_json::to_vec_pretty(&summary)?,
        )?;
        // What failed may be tried again.
        if failed.is_empty() {
            journal.finish()?
        } else {
            journal.sync()?
        }
        Ok(summary)
    }

    /// The tasks of one package: as an earlier process found them, or planted now.
    fn package(&self, spec: &str, journal: &mut Journal, gave: &[Gave]) -> Result<Gave> {
        let key = format!("package {spec}");
        if let Some(of_package) = journal.find::<Gave>(&key)? {
            eprintln!(
                "{}: {} tasks, kept from before",
                of_package.spec,
                of_package.tasks.len()
            );
            return Ok(of_package);
        }
        let opening = || format!("while opening the package `{spec}`");
        let source = self.test_env.package(spec).with_context(opening)?;
        if gave.iter().any(|other| other.spec == source.spec) {
            bail!(
                "another package is named `{}`, too{}",
                source.spec,
                data::Hint("name each package once")
            );
        }
        let tree = format!("trees/{}", source.spec.replace("==", "-"));
        let root = publish_tree(&source, &self.out.join(&tree))?;
        let package = Package {
            name: source.spec.clone(),
            root,
            python_path: source.python_path,
            tree,
        };
        let options = plant_options(self.config, self.max_tasks);
        let planted = plant_package(
            self.test_env,
            &package,
            spec,
            &options,
            journal,
            self.interrupt,
        )?;
        let gave = Gave {
            spec: source.spec,
            counts: planted.counts,
            tasks: planted.tasks,
        };
        journal.add(&key, &gave)?;
        journal.sync()?;
        Ok(gave)
    }

    /// What the tasks rest on.
    fn settings(&self) -> Result<Settings> {
        let mut settings = planting(self.config, self.test_env)
            .with("package", self.packages)
            .with("max_tasks", self.max_tasks);
        for spec in self.packages.iter().filter(|spec| Path::new(spec).is_dir()) {
            settings = settings.with(
                &format!("files of {spec}"),
                &tree_hash(Path::new(spec))?[..16],
            );
        }
        Ok(settings)
    }

    fn kept(&self, gave: &[Gave]) -> String {
        let tasks: usize = gave.iter().map(|of_package| of_package.tasks.len()).sum();
        format!(
            "{} of {} packages with {tasks} tasks are kept in `{}`, and the test runs of the one that was under way",
            gave.len(),
            self.packages.len(),
            self.out.display()
        )
    }
}

/// How many bugs of which sort a config wants of one package.
pub(super) fn plant_options(config: &Config, max_tasks: usize) -> PlantOptions {
    let data = &config.data;
    PlantOptions {
        seed: config.seed,
        max_tasks,
        max_candidates: data.candidates_per_package,
        per_function: data.tasks_per_function,
        max_lines: data.max_function_lines,
        kinds: data.kinds.clone(),
        ..PlantOptions::default()
    }
}

/// Plants bugs in one package. Every run of its tests is in the journal as soon as it ended.
///
/// # Errors
///
/// As [`plant`]; and when the disk is full, or a signal came.
pub(super) fn plant_package(
    test_env: &TestEnv,
    package: &Package,
    spec: &str,
    options: &PlantOptions,
    journal: &mut Journal,
    interrupt: &Interrupt,
) -> Result<Planted> {
    let mut progress = Progress::new(format!("plant {}", package.name), options.max_tasks as u64);
    let verdicts = Verdicts::new(journal, spec, interrupt);
    let judge = |changes: &[_]| test_env.judge(package, changes);
    let judge = |_: &Package, changes: &[_]| verdicts.next(changes, &judge);
    let planted = plant(package, options, &judge, &mut |tasks| {
        progress.advance(tasks as u64, "")
    });
    progress.finish();
    verdicts.written()?;
    // A judge that was told to stop said nothing about what was left.
    interrupt.check(String::new)?;
    let planted = planted?;
    eprintln!(
        "{}: {} tasks of {} candidates",
        package.name, planted.counts.kept, planted.counts.candidates
    );
    terminal::tell_dropped("candidates", planted.counts.dropped());
    Ok(planted)
}

/// The one fault that all packages share, and that keeps what was done.
fn disk_is_full(error: &anyhow::Error) -> bool {
    let full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(full)
}

fn tasks_of(gave: &[Gave]) -> Vec<Task> {
    gave.iter()
        .flat_map(|of_package| &of_package.tasks)
        .cloned()
        .collect()
}

/// Copies the clean tree of a package to `to`, whole or not at all, and returns it as an absolute path.
fn publish_tree(source: &package::Package, to: &Path) -> Result<PathBuf> {
    let told = || format!("while copying the tree of `{}`", source.spec);
    let parent = to.parent().unwrap_or(Path::new("."));
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent.join(format!(".tmp-{name}"));
    let copied = || -> Result<PathBuf> {
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        copy_tree(&source.tree, &temporary)?;
        nix::unistd::syncfs(&fs::File::open(&temporary)?)?;
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        fs::rename(&temporary, to)?;
        fs::File::open(parent)?.sync_all()?;
        to.canonicalize()
            .with_context(|| format!("cannot find `{}`", to.display()))
    };
    copied().with_context(told)
}

/// Copies files and folders; links, what is hidden and caches stay behind, but for those of dependencies, which hold
/// whatever the time of a file is.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)
        .with_context(|| format!("cannot create the folder `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        let dependencies = from
            .components()
            .any(|part| part.as_os_str() == "site-packages");
        if (name == "__pycache__" && !dependencies) || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            copy_tree(&entry.path(), &to.join(name))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(&name))
                .with_context(|| format!("cannot copy `{}`", entry.path().display()))?;
        }
    }
    Ok(())
}

/// What planted bugs rest on, whatever they are planted in.
pub(super) fn planting(config: &Config, test_env: &TestEnv) -> Settings {
    let Config {
        seed,
        data,
        sandbox,
        ..
    } = config;
    Settings::default()
        .with("seed", seed)
        .with("data.candidates_per_package", data.candidates_per_package)
        .with("data.tasks_per_function", data.tasks_per_function)
        .with("data.max_function_lines", data.max_function_lines)
        .with("data.kinds", &data.kinds)
        .with("data.sft_share", data.sft_share)
        .with("sandbox", sandbox)
        .with("environment", &test_env.environment.python)
}

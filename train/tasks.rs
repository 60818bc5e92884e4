//! Packages to tasks, tasks to samples: the `data` stages, with the sandbox as their judge.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use data::clean::{Dropped, HeldOut, Shown, clean};
use data::skill::repair::{gold_answer, prompt};
use data::source::commits::{CommitOptions, commits};
use data::source::jsonl::{TaskSet, read_tasks, write_rows, write_tasks};
use data::source::plant::{FailureText, JudgeError, Package, PlantCounts, PlantOptions, Verdict, plant};
use data::template::ChatTemplate;
use data::{FileChange, Message, Role, Sample, Task, Tokenizer};
use rollout::grade::Grader;
use rollout::package;
use rollout::patience::Patience;
use rollout::python::PythonEnv;
use rollout::sandbox::{End, Job, Limits, Runner, Sandbox, Select, TestStatus};
use rollout::watch::pace::{Pace, Paced};
use serde::{Deserialize, Serialize};

use crate::config::{Config, DataConfig};
use crate::progress::Progress;
use crate::sandbox::{self, Environment, Opened};

/// Where tests run: a Python of our own making behind a sandbox.
pub struct Workshop {
    /// Python and pytest.
    pub python: PythonEnv,
    /// The sandbox.
    pub sandbox: Arc<dyn Sandbox>,
    /// What tests run on in it.
    pub environment: Environment,
    limits: Limits,
    second_look: bool,
    patience: Patience,
    cache: PathBuf,
}

impl Workshop {
    /// Prepares Python (once, then cached) and starts the sandbox.
    ///
    /// # Errors
    ///
    /// When Python or the network is missing, or a barrier of the sandbox cannot be raised here.
    pub fn open(config: &Config, cache: &Path) -> Result<Self> {
        let Opened { python, sandbox, environment } = sandbox::open(config, cache)?;
        let (limits, cache) = (config.sandbox.clone(), cache.to_path_buf());
        let second_look = config.tests.second_look;
        Ok(Workshop { python, sandbox, environment, limits, second_look, patience: Patience::default(), cache })
    }

    /// Judges patches in this sandbox.
    pub fn grader(&self) -> Arc<Grader> {
        Arc::new(Grader::new(self.sandbox.clone(), self.limits.clone()).second_look(self.second_look))
    }

    /// As [`Workshop::grader`], kept to a pace.
    pub fn paced_grader(&self, pace: &Arc<Pace>) -> Grader {
        let sandbox = Arc::new(Paced::new(self.sandbox.clone(), pace.clone()));
        Grader::new(sandbox, self.limits.clone()).second_look(self.second_look)
    }

    /// The clean tree of a package: a folder, or a pinned requirement that is fetched once.
    fn package(&self, spec: &str) -> Result<package::Package> {
        let folder = Path::new(spec);
        if folder.is_dir() {
            let name = folder.file_name().map_or_else(|| spec.to_owned(), |name| name.to_string_lossy().into_owned());
            return Ok(package::Package::open(&name, folder)?);
        }
        if !spec.contains("==") {
            bail!(
                "the package `{spec}` is neither a folder nor a pinned requirement\nhint: write it as `name==version`"
            );
        }
        let say = |line: &str| eprintln!("{line}");
        Ok(package::Package::fetch(spec, &self.cache.join("packages"), &self.python, &say)?)
    }

    fn judge(&self, package: &Package, changes: &[FileChange]) -> Result<Verdict, JudgeError> {
        let job = Job {
            tree: package.root.clone(),
            changes: changes.to_vec(),
            runner: Runner::Pytest,
            python_path: package.python_path.clone(),
            select: Select::All,
            stop_at_first_failure: false,
            limits: self.limits.clone(),
        };
        let run = self.patience.run(self.sandbox.as_ref(), job).map_err(|error| JudgeError(error.to_string()))?;
        let having = |status| {
            let with = run.tests.iter().filter(move |(_, found)| **found == status);
            with.map(|(test, _)| test.clone()).collect()
        };
        Ok(Verdict {
            passed: having(TestStatus::Passed),
            failed: having(TestStatus::Failed),
            finished: matches!(run.end, End::Finished { .. }),
            failure: run.first_failure.map(|failure| FailureText {
                test: failure.test,
                exception: failure.exception,
                message: failure.message,
            }),
        })
    }
}

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
}

/// Plants bugs in packages and writes `tasks.jsonl` and the clean trees to `out`.
///
/// # Errors
///
/// When a package cannot be had, its tests do not pass, or the disk is full.
pub fn plant_packages(
    workshop: &Workshop,
    packages: &[String],
    max_tasks: usize,
    config: &Config,
    out: &Path,
) -> Result<PlantSummary> {
    let started = Instant::now();
    let mut summary = PlantSummary { tasks: 0, seconds: 0.0, candidates_per_s: 0.0, packages: BTreeMap::new() };
    let mut tasks = Vec::new();
    let mut sources: Vec<package::Package> = Vec::with_capacity(packages.len());
    for spec in packages {
        let source = workshop.package(spec).with_context(|| format!("while opening the package `{spec}`"))?;
        if sources.iter().any(|other| other.spec == source.spec) {
            bail!(
                "two packages are named `{}`\nhint: name each package once, and give each folder a name of its own",
                source.spec
            );
        }
        sources.push(source);
    }
    for source in sources {
        let spec = &source.spec;
        let name = source.spec.replace("==", "-");
        let tree = format!("trees/{name}");
        let root = out.join(&tree);
        copy_tree(&source.tree, &root).with_context(|| format!("while copying the tree of `{spec}`"))?;
        let root = root.canonicalize().with_context(|| format!("while looking for `{}`", root.display()))?;
        let package = Package { name: source.spec.clone(), root, python_path: source.python_path, tree };
        let options = plant_options(&config.data, config.seed, max_tasks);
        let mut progress = Progress::new(format!("plant {}", source.spec), options.max_tasks as u64);
        let judge = |package: &Package, changes: &[FileChange]| workshop.judge(package, changes);
        let planted = plant(&package, &options, &judge, &mut |tasks| progress.advance(tasks as u64, ""))?;
        progress.finish();
        eprintln!("{}: {} tasks of {} candidates", source.spec, planted.counts.kept, planted.counts.candidates);
        summary.packages.insert(source.spec, planted.counts);
        tasks.extend(planted.tasks);
    }
    if tasks.is_empty() {
        bail!(
            "no planted bug was noticed by a test\nhint: raise `data.candidates_per_package`, or choose packages with stronger tests"
        );
    }
    write_tasks(out, &tasks)?;
    summary.tasks = tasks.len();
    summary.seconds = started.elapsed().as_secs_f64();
    let candidates: usize = summary.packages.values().map(|counts| counts.candidates).sum();
    summary.candidates_per_s = candidates as f64 / summary.seconds.max(1e-9);
    Ok(summary)
}

fn plant_options(data: &DataConfig, seed: u64, max_tasks: usize) -> PlantOptions {
    PlantOptions {
        seed,
        max_tasks,
        max_candidates: data.candidates_per_package,
        per_function: data.tasks_per_function,
        max_lines: data.max_function_lines,
        kinds: data.kinds.clone(),
        ..PlantOptions::default()
    }
}

/// Copies files and folders; links, what is hidden and caches stay behind, but for those of dependencies, which hold
/// whatever the time of a file is.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create the folder `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        let dependencies = from.components().any(|part| part.as_os_str() == "site-packages");
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

/// Splits tasks by function: those of a function go to SFT or to GRPO together. Writes `sft.jsonl` and `grpo.jsonl`
/// beside the trees.
///
/// # Errors
///
/// When a file cannot be written.
pub fn split(set: &TaskSet, share: f64, seed: u64) -> Result<(PathBuf, PathBuf)> {
    let function = |task: &Task| format!("{seed} {} {} {}", task.repo, task.focus.path, task.focus.first_line);
    let of_sft = first_part(set.tasks.iter().map(function).collect(), share);
    let (sft, grpo): (Vec<Task>, Vec<Task>) =
        set.tasks.iter().cloned().partition(|task| of_sft.contains(&function(task)));
    let (sft_path, grpo_path) = (set.root.join("sft.jsonl"), set.root.join("grpo.jsonl"));
    write_rows(&sft_path, &sft)?;
    write_rows(&grpo_path, &grpo)?;
    Ok((sft_path, grpo_path))
}

/// A share of the different names, in an order that hangs on nothing but the names.
fn first_part(mut names: Vec<String>, share: f64) -> HashSet<String> {
    names.sort_by_cached_key(|name| *blake3::hash(name.as_bytes()).as_bytes());
    names.dedup();
    let mut count = (share * names.len() as f64).round() as usize;
    // A share between nothing and all leaves something to either part, where there is enough.
    if share > 0.0 && share < 1.0 && names.len() > 1 {
        count = count.clamp(1, names.len() - 1);
    }
    names.truncate(count);
    names.into_iter().collect()
}

/// What became of tasks on their way to samples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SampleSummary {
    /// Samples kept.
    pub samples: usize,
    /// Tokens in all.
    pub tokens: usize,
    /// What each rule dropped.
    pub dropped: Dropped,
    /// Tasks whose repair the form of the answer cannot say.
    pub unsayable: usize,
}

/// Tasks to SFT samples: the prompt, and the answer that the gold patch stands for.
///
/// # Errors
///
/// When nothing is left, or the shards cannot be written.
pub fn samples(
    tasks: &Path,
    against: Option<&Path>,
    (tokenizer, template): (&Tokenizer, &ChatTemplate),
    data: &DataConfig,
    out: &Path,
) -> Result<SampleSummary> {
    let set = read_tasks(tasks)?;
    let held_out = match against {
        Some(path) => bodies(&read_tasks(path)?)?,
        None => Vec::new(),
    };
    let held_out = HeldOut::new(held_out.iter().map(String::as_str));
    template.check(tokenizer)?;
    let mut shown = Vec::new();
    let mut unsayable = 0;
    for (task, body) in set.tasks.iter().zip(bodies(&set)?) {
        let file = base_text(&set, task)?;
        let Ok(answer) = gold_answer(task, &file, data.answer) else {
            unsayable += 1;
            continue;
        };
        let mut messages = prompt(task, &file, data.answer);
        messages.push(Message::new(Role::Assistant, answer));
        shown.push(Shown { sample: template.to_sample(tokenizer, &messages, task.id.clone())?, body });
    }
    let (samples, dropped) = clean(shown, &held_out, data.max_tokens);
    write(out, &samples, tokenizer)?;
    let tokens = samples.iter().map(|sample| sample.tokens.len()).sum();
    Ok(SampleSummary { samples: samples.len(), tokens, dropped, unsayable })
}

/// The function of every task, without its bug.
fn bodies(set: &TaskSet) -> Result<Vec<String>> {
    let body = |task: &Task| {
        let text = set.read(task, &task.focus.path);
        let text = text.with_context(|| format!("task `{}`: there is no file `{}`", task.id, task.focus.path))?;
        let count = task.focus.last_line + 1 - task.focus.first_line;
        Ok(text.lines().skip(task.focus.first_line - 1).take(count).collect::<Vec<_>>().join("\n"))
    };
    set.tasks.iter().map(body).collect()
}

fn base_text(set: &TaskSet, task: &Task) -> Result<String> {
    let text = set.base_file(task, &task.focus.path).with_context(|| format!("the base tree of task `{}`", task.id))?;
    text.with_context(|| format!("task `{}`: there is no file `{}`", task.id, task.focus.path))
}

fn write(out: &Path, samples: &[Sample], tokenizer: &Tokenizer) -> Result<()> {
    if samples.is_empty() {
        bail!("no sample is left\nhint: raise `data.max_tokens`, or plant more tasks");
    }
    data::store::write_samples(out, samples, &tokenizer.hash()?)?;
    Ok(())
}

/// Commit-like text for a base model: a function with a few wrong lines, then `N|` and each line as it was.
///
/// # Errors
///
/// When a folder cannot be read or the shards cannot be written.
pub fn commit_samples(
    sources: &[PathBuf],
    options: &CommitOptions,
    most: usize,
    tokenizer: &Tokenizer,
    max_tokens: usize,
    out: &Path,
) -> Result<SampleSummary> {
    let end = tokenizer.special("<|endoftext|>").context("the tokenizer has no `<|endoftext|>`")?;
    let mut shown = Vec::new();
    for source in sources {
        for commit in commits(source, options)?.take(most.div_ceil(sources.len())) {
            let numbered: String =
                commit.buggy.lines().enumerate().map(|(at, line)| format!("{}|{line}\n", at + 1)).collect();
            let mut tokens = tokenizer.encode(&format!("{}\n{numbered}", commit.path));
            let mut mask = vec![false; tokens.len()];
            let fixes: Vec<String> = commit.fixes.iter().map(|fix| format!("{}|{}", fix.line, fix.text)).collect();
            tokens.extend(tokenizer.encode(&fixes.join("\n")));
            tokens.push(end);
            mask.resize(tokens.len(), true);
            shown.push(Shown { sample: Sample::new(tokens, mask, commit.origin)?, body: String::new() });
        }
    }
    let (samples, dropped) = clean(shown, &HeldOut::default(), max_tokens);
    write(out, &samples, tokenizer)?;
    let tokens = samples.iter().map(|sample| sample.tokens.len()).sum();
    Ok(SampleSummary { samples: samples.len(), tokens, dropped, unsayable: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_between_nothing_and_all_leaves_something_to_either_part() {
        let names = || ["a", "b", "a", "c", "d"].map(String::from).to_vec();
        for (share, count) in [(0.0, 0), (0.01, 1), (0.5, 2), (0.99, 3), (1.0, 4)] {
            assert_eq!(first_part(names(), share).len(), count, "share {share}");
        }
        assert_eq!(first_part(vec!["a".into()], 0.5).len(), 1);
    }
}

//! Packages to tasks, tasks to samples: the `data` stages, with the sandbox as their judge.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use data::clean::{Dropped, HeldOut, Shown, clean};
use data::skill::repair::{gold_answer, prompt};
use data::source::commits::{CommitOptions, commits};
use data::source::jsonl::{TaskSet, write_rows};
use data::source::plant::{FailureText, JudgeError, Package, Verdict};
use data::template::ChatTemplate;
use data::{FileChange, Message, Role, Sample, Task, Tokenizer, draw};
use rollout::grade::Grader;
use rollout::watch::pace::{Pace, Paced};
use sandbox::environment::package;
use sandbox::environment::python::PythonEnv;
use sandbox::hang::past_hangs;
use sandbox::timeout::Timeouts;
use sandbox::{End, Job, Limits, Runner, Sandbox, SandboxError, Select, TestRun, TestStatus};
use serde::{Deserialize, Serialize};

use crate::config::{Config, DataConfig};
use crate::environment::{self, Environment, Opened};
use crate::grade::tasks_of;
use crate::run::interrupt::Interrupt;
use crate::run::journal::{Journal, Place};
use crate::settings::Settings;
use crate::terminal;

mod history;
mod plant;
mod repository;
mod verdicts;

pub use plant::{PLANT, PlantSummary, Planting, check_packages};

pub use repository::{Mining, MiningSummary, REPOSITORY};

/// What the seed of a run draws here: how tests are changed.
const EXAMINED: u64 = 0x7e57;

/// Where tests run: a Python of our own making behind a sandbox.
pub struct TestEnv {
    /// Python and pytest.
    pub python: PythonEnv,
    /// The sandbox.
    pub sandbox: Arc<dyn Sandbox>,
    /// What tests run on in it.
    pub environment: Environment,
    limits: Limits,
    /// What changed tests are drawn by. `None` where nobody is examined.
    secret: Option<u64>,
    timeouts: Timeouts,
    /// The tests of each clean tree, in the order of their names.
    tests: Mutex<HashMap<PathBuf, Vec<String>>>,
    cache: PathBuf,
}

impl TestEnv {
    /// Prepares Python (once, then cached) and starts the sandbox.
    ///
    /// # Errors
    ///
    /// When Python or the network is missing, or a barrier of the sandbox cannot be raised here.
    pub fn open(config: &Config, cache: &Path) -> Result<Self> {
        TestEnv::with_secret(config, cache, draw::key(config.seed, &[EXAMINED]))
    }

    /// The same for verdicts on what others wrote: unless `tests.secret` is set, tests are changed by a secret of this
    /// process alone.
    ///
    /// # Errors
    ///
    /// As [`TestEnv::open`].
    pub fn open_for_others(config: &Config, cache: &Path) -> Result<Self> {
        TestEnv::with_secret(config, cache, RandomState::new().hash_one(EXAMINED))
    }

    /// `secret` where the config names none.
    fn with_secret(config: &Config, cache: &Path, secret: u64) -> Result<Self> {
        let Opened {
            python,
            sandbox,
            environment,
        } = environment::open(config, cache)?;
        let (limits, cache) = (config.sandbox.clone(), cache.to_path_buf());
        let secret = config
            .tests
            .evidence
            .then(|| config.tests.secret.unwrap_or(secret));
        let (timeouts, tests) = (Timeouts::default(), Mutex::default());
        Ok(TestEnv {
            python,
            sandbox,
            environment,
            limits,
            secret,
            timeouts,
            tests,
            cache,
        })
    }

    /// Judges patches in this sandbox.
    pub fn grader(&self) -> Arc<Grader> {
        Arc::new(Grader::new(self.sandbox.clone(), self.limits.clone()).examining(self.secret))
    }

    /// Judges patches in `sandbox`, which stands around this one, and examines nobody: what is asked is whether tests pass.
    pub fn grader_in(&self, sandbox: Arc<dyn Sandbox>) -> Grader {
        Grader::new(sandbox, self.limits.clone()).examining(None)
    }

    /// As [`TestEnv::grader`], kept to a pace.
    pub fn paced_grader(&self, pace: &Arc<Pace>) -> Grader {
        let sandbox = Arc::new(Paced::new(self.sandbox.clone(), pace.clone()));
        Grader::new(sandbox, self.limits.clone()).examining(self.secret)
    }

    /// The clean tree of a package: a folder, or a pinned requirement that is fetched once.
    fn package(&self, spec: &str) -> Result<package::Package> {
        let folder = Path::new(spec);
        if folder.is_dir() {
            let name = folder.file_name().map_or_else(
                || spec.to_owned(),
                |name| name.to_string_lossy().into_owned(),
            );
            return Ok(package::Package::open(&name, folder)?);
        }
        let say = |line: &str| eprintln!("{line}");
        Ok(package::Package::fetch(
            spec,
            &self.cache.join("packages"),
            &self.python,
            &say,
        )?)
    }

    /// A run with a planted bug, where tests that never end count as failed. The clean tree has none of them.
    fn past_hangs(&self, job: &Job, run: TestRun) -> Result<TestRun, SandboxError> {
        let mut known = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        if job.changes.is_empty() {
            known.insert(job.tree.clone(), run.tests.keys().cloned().collect());
            return Ok(run);
        }
        let all = match known.get(&job.tree) {
            Some(all) => all.clone(),
            // The run on the clean tree was another process's.
            None => {
                let clean = self.timeouts.run(
                    self.sandbox.as_ref(),
                    Job {
                        changes: Vec::new(),
                        ..job.clone()
                    },
                )?;
                known
                    .entry(job.tree.clone())
                    .or_insert(clean.tests.keys().cloned().collect())
                    .clone()
            }
        };
        drop(known);
        let again = |ids| {
            self.timeouts.run(
                self.sandbox.as_ref(),
                Job {
                    select: Select::Ids(ids),
                    ..job.clone()
                },
            )
        };
        past_hangs(&all, run, &again)
    }

    fn judge(&self, package: &Package, changes: &[FileChange]) -> Result<Verdict, JudgeError> {
        let job = Job {
            tree: package.root.clone(),
            changes: changes.to_vec(),
            runner: Runner::Pytest,
            python_path: package.python_path.clone(),
            select: Select::All,
            stop_at_first_failure: false,
            compared: false,
            limits: self.limits.clone(),
        };
        let run = self
            .timeouts
            .run(self.sandbox.as_ref(), job.clone())
            .and_then(|run| self.past_hangs(&job, run));
        let run = run.map_err(|error| JudgeError(error.to_string()))?;
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

/// Splits tasks by function: those of a function go to SFT or to GRPO together. Writes `sft.jsonl` and `grpo.jsonl`
/// beside the trees.
///
/// # Errors
///
/// When a file cannot be written.
pub fn split(set: &TaskSet, share: f64, seed: u64) -> Result<(PathBuf, PathBuf)> {
    let function = |task: &Task| {
        format!(
            "{seed} {} {} {}",
            task.repo, task.focus.path, task.focus.first_line
        )
    };
    let of_sft = first_part(set.tasks.iter().map(function).collect(), share);
    let (sft, grpo): (Vec<Task>, Vec<Task>) = set
        .tasks
        .iter()
        .cloned()
        .partition(|task| of_sft.contains(&function(task)));
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
    /// Why not.
    #[serde(default)]
    pub unsayable_why: BTreeMap<String, usize>,
}

/// The stage of samples in the words of the command line.
pub const SAMPLES: &str = "data samples";

/// What becomes of tasks on their way to samples.
pub struct Sampling<'a> {
    /// The tasks.
    pub tasks: &'a Path,
    /// Tasks that must not leak into the samples.
    pub against: Option<&'a Path>,
    /// The model's words.
    pub words: (&'a Tokenizer, &'a ChatTemplate),
    /// What was configured.
    pub data: &'a DataConfig,
    /// Where the shards go.
    pub out: &'a Path,
    /// Whether it goes on with what is there.
    pub resume: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

impl Sampling<'_> {
    /// Tasks to SFT samples: the prompt, and the answer that the gold patch stands for.
    ///
    /// # Errors
    ///
    /// When nothing is left, the shards cannot be written, or a signal came: then what was done is kept.
    pub fn run(&self) -> Result<SampleSummary> {
        let set = tasks_of(self.tasks, &self.out.join("tasks"))?.set;
        let held_out = match self.against {
            Some(path) => bodies(&tasks_of(path, &self.out.join("against"))?.set)?,
            None => Vec::new(),
        };
        let held_out = HeldOut::new(held_out.iter().map(String::as_str));
        let (tokenizer, template) = self.words;
        template.check(tokenizer)?;
        let summary_file = self.out.join("summary.json");
        let journal = Journal::begin(
            Place::in_folder(self.out),
            SAMPLES,
            self.settings()?,
            self.resume,
        )?;
        let Some(mut journal) = journal else {
            return Ok(serde_json::from_str(&data::file::read_text(
                &summary_file,
            )?)?);
        };
        let mut shown = Vec::new();
        let mut unsayable_why: BTreeMap<String, usize> = BTreeMap::new();
        for (at, (task, body)) in set.tasks.iter().zip(bodies(&set)?).enumerate() {
            let (of, out) = (set.tasks.len(), self.out.display());
            self.interrupt
                .check(|| format!("{at} of {of} tasks are done, and kept in `{out}`"))?;
            let made: Result<Sample, String> = match journal.find(&task.id)? {
                Some(made) => made,
                None => {
                    let made = self.sample(&set, task)?;
                    journal.add(&task.id, &made)?;
                    made
                }
            };
            match made {
                Ok(sample) => shown.push(Shown { sample, body }),
                Err(why) => *unsayable_why.entry(why).or_default() += 1,
            }
        }
        let (samples, dropped) = clean(shown, &held_out, self.data.max_tokens);
        tell_dropped(&dropped, &unsayable_why);
        if samples.is_empty() {
            journal.abandon()?;
            bail!(
                "no sample is left{}",
                data::Hint("raise `data.max_tokens`, or plant more tasks")
            );
        }
        write(self.out, &samples, tokenizer)?;
        let tokens = samples.iter().map(|sample| sample.tokens.len()).sum();
        let unsayable = unsayable_why.values().sum();
        let summary = SampleSummary {
            samples: samples.len(),
            tokens,
            dropped,
            unsayable,
            unsayable_why,
        };
        data::file::write_whole(&summary_file, &serde_json::to_vec_pretty(&summary)?)?;
        journal.finish()?;
        Ok(summary)
    }

    /// The sample, or why the form of the answer cannot say the repair.
    fn sample(&self, set: &TaskSet, task: &Task) -> Result<Result<Sample, String>> {
        let file = base_text(set, task)?;
        let answer = match gold_answer(task, &file, self.data.answer) {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error.reason().to_string())),
        };
        let mut messages = prompt(task, &file, self.data.answer);
        messages.push(Message::new(Role::Assistant, answer));
        let (tokenizer, template) = self.words;
        Ok(Ok(template.to_sample(
            tokenizer,
            &messages,
            task.id.clone(),
        )?))
    }

    /// What the samples rest on.
    fn settings(&self) -> Result<Settings> {
        let (tokenizer, template) = self.words;
        let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
        let of_file = |path: &Path| -> Result<String> {
            let path = if path.is_dir() {
                path.join(data::source::jsonl::TASKS_FILE)
            } else {
                path.to_path_buf()
            };
            let told = || format!("cannot read `{}`", path.display());
            Ok(hash(&std::fs::read(&path).with_context(told)?))
        };
        Ok(Settings::default()
            .with("content of --tasks", of_file(self.tasks)?)
            .with(
                "content of --against",
                self.against.map(of_file).transpose()?,
            )
            .with("tokenizer", tokenizer.hash()?)
            .with("chat template", hash(template.source().as_bytes()))
            .with("data.answer", self.data.answer)
            .with("data.max_tokens", self.data.max_tokens))
    }
}

/// What is left out, and why: also where nothing is left.
fn tell_dropped(dropped: &Dropped, unsayable: &BTreeMap<String, usize>) {
    let why = |(why, count): (&String, &usize)| {
        (
            *count,
            format!("the repair cannot be said in this form of answer: {why}"),
        )
    };
    terminal::tell_dropped("tasks", unsayable.iter().map(why));
    terminal::tell_dropped("samples", dropped.reasons());
}

/// The function of every task, without its bug.
fn bodies(set: &TaskSet) -> Result<Vec<String>> {
    let body = |task: &Task| {
        let text = set.read(task, &task.focus.path);
        let text = text.with_context(|| {
            format!("task `{}`: there is no file `{}`", task.id, task.focus.path)
        })?;
        let count = task.focus.last_line + 1 - task.focus.first_line;
        Ok(text
            .lines()
            .skip(task.focus.first_line - 1)
            .take(count)
            .collect::<Vec<_>>()
            .join("\n"))
    };
    set.tasks.iter().map(body).collect()
}

fn base_text(set: &TaskSet, task: &Task) -> Result<String> {
    let text = set
        .base_file(task, &task.focus.path)
        .with_context(|| format!("the base tree of task `{}`", task.id))?;
    text.with_context(|| format!("task `{}`: there is no file `{}`", task.id, task.focus.path))
}

fn write(out: &Path, samples: &[Sample], tokenizer: &Tokenizer) -> Result<()> {
    if samples.is_empty() {
        bail!(
            "no sample is left{}",
            data::Hint("raise `data.max_tokens`, or plant more tasks")
        );
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
    let end = tokenizer
        .special("<|endoftext|>")
        .context("the tokenizer has no `<|endoftext|>`")?;
    let mut shown = Vec::new();
    for source in sources {
        for commit in commits(source, options)?.take(most.div_ceil(sources.len())) {
            let numbered: String = commit
                .buggy
                .lines()
                .enumerate()
                .map(|(at, line)| format!("{}|{line}\n", at + 1))
                .collect();
            let mut tokens = tokenizer.encode(&format!("{}\n{numbered}", commit.path));
            let mut mask = vec![false; tokens.len()];
            let fixes: Vec<String> = commit
                .fixes
                .iter()
                .map(|fix| format!("{}|{}", fix.line, fix.text))
                .collect();
            tokens.extend(tokenizer.encode(&fixes.join("\n")));
            tokens.push(end);
            mask.resize(tokens.len(), true);
            shown.push(Shown {
                sample: Sample::new(tokens, mask, commit.origin)?,
                body: String::new(),
            });
        }
    }
    let (samples, dropped) = clean(shown, &HeldOut::default(), max_tokens);
    tell_dropped(&dropped, &BTreeMap::new());
    write(out, &samples, tokenizer)?;
    let tokens = samples.iter().map(|sample| sample.tokens.len()).sum();
    let unsayable_why = BTreeMap::new();
    Ok(SampleSummary {
        samples: samples.len(),
        tokens,
        dropped,
        unsayable: 0,
        unsayable_why,
    })
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

//! Repairs a repository on a developer's desk: a copy of it, its own tests, the agent.
//!
//! In: a repository, an issue or failing tests, somebody who writes. Out: a patch, every try on disk, why it ended. The
//! repository itself is only read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use data::Patch;
use data::retrieve::Index;
use data::source::jsonl::write_tasks;
use data::task::Language;
use rollout::agent::AgentConfig;
use rollout::agent::check::Checker;
use rollout::agent::rescue::{Rules, RulesConfig};
use rollout::agent::run::{Agent, AgentError, End, Install, Repair, Try};
use rollout::agent::trajectory;
use rollout::agent::writer::{Words, Writer};
use rollout::grade::Grader;
use sandbox::{Limits, Sandbox};

use crate::repository::install;
use crate::run::interrupt::{Interrupt, Interrupted};
use crate::run::journal::Journal;

pub mod desk;
pub mod issue;
mod reproduced;
pub mod start;

use desk::Desk;
use start::Start;

/// The stage in the words of the command line.
pub const STAGE: &str = "repair";
/// The copy of the repository, below the folder of the run.
pub const TREE: &str = "tree";

/// The rules that are used where none are named.
const RULES: &str = include_str!("../configs/rescue.toml");

/// A repair is not done, and a person has to look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not repaired: {why}{}", data::Hint(format_args!("`{}` holds every try; the patch that came furthest is on standard output", .out)))]
pub struct NeedsReview {
    /// Why it stopped.
    pub why: String,
    /// The folder of the run.
    pub out: String,
}

/// The config of an agent, from a file.
///
/// # Errors
///
/// When the file cannot be read, has an unknown key, or a value is out of its range.
pub fn agent_config(path: Option<&Path>) -> Result<AgentConfig> {
    let Some(path) = path else {
        return Ok(AgentConfig::default());
    };
    let reading = || format!("in the config of the agent `{}`", path.display());
    let mut config: AgentConfig =
        toml::from_str(&data::file::read_text(path)?).with_context(reading)?;
    if let Some(problem) = config.problem() {
        bail!("{}: {problem}", reading());
    }
    // A relative path is meant from the file that names it.
    let folder = path.parent().unwrap_or(Path::new("."));
    config.rules = config.rules.map(|rules| folder.join(rules));
    Ok(config)
}

/// The rules of the last queue.
///
/// # Errors
///
/// When the file cannot be read, or a rule cannot be used.
pub fn rules(config: &AgentConfig) -> Result<Rules> {
    let text = match &config.rules {
        Some(path) => data::file::read_text(path)?,
        None => RULES.to_string(),
    };
    let name = config
        .rules
        .as_ref()
        .map_or("configs/rescue.toml".into(), |path| {
            path.display().to_string()
        });
    let read = || -> Result<Rules> { Ok(Rules::new(toml::from_str::<RulesConfig>(&text)?)?) };
    read().with_context(|| format!("in the rules `{name}`"))
}

/// What a repair is about.
pub struct Repairing<'a> {
    /// Named in predictions: the repository and what is repaired.
    pub instance: String,
    /// The model by name.
    pub model: String,
    /// How the agent works.
    pub config: &'a AgentConfig,
    /// Where tests run.
    pub sandbox: Arc<dyn Sandbox>,
    /// Bounds on one run of target tests.
    pub limits: Limits,
    /// The wheel cache, and the Python whose pip unpacks wheels.
    pub wheels: Option<(&'a Path, &'a Path)>,
    /// Folder of the run.
    pub out: &'a Path,
    /// From which all randomness derives.
    pub seed: u64,
    /// Whether the answers are shown as they are written.
    pub stream: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

/// What is wanted of a repository.
pub struct Wanted<'a> {
    /// The text of the issue; none where tests alone say what is wrong.
    pub issue: Option<&'a str>,
    /// Ids of tests that fail and should pass.
    pub tests: &'a [String],
    /// What its tests are written in.
    pub language: Language,
    /// Bound on one run of the whole suite, in seconds.
    pub suite_timeout_s: u64,
}

impl Repairing<'_> {
    /// Repairs the copy in the folder of the run. Every try is on disk as it ends.
    ///
    /// # Errors
    ///
    /// When there is nothing to repair or to judge by, the model or the sandbox fails, or a signal came. What was done is
    /// kept, and the desk knows the best patch so far.
    pub fn run(
        &self,
        wanted: &Wanted<'_>,
        words: &Words<'_>,
        writer: &mut dyn Writer,
        desk: &mut Desk,
    ) -> Result<Repair> {
        let tree = self.out.join(TREE);
        let mut start = self.start(wanted, &tree, desk.journal())?;
        self.tell_start(&start);
        let index = Index::build(&tree, Some(&self.out.join("index.json")))?;
        if start.targets.is_empty() {
            start = self.reproduced(wanted, start, &index, words, writer, desk.journal())?;
        }
        let task = start.task(&self.instance, wanted, TREE);
        // For who looks at it later: `train review --run`.
        write_tasks(self.out, std::slice::from_ref(&task))?;
        let suite = Limits {
            timeout_s: start.suite_limit_s(self.limits.timeout_s),
            ..self.limits.clone()
        };
        let grader = Arc::new(Grader::new(self.sandbox.clone(), suite).examining(None));
        let per_target = Limits {
            timeout_s: self
                .limits
                .timeout_s
                .saturating_mul(task.fail_to_pass.len().clamp(1, 10) as u64),
            ..self.limits.clone()
        };
        let checker = Checker::new(self.sandbox.clone(), grader, per_target);
        let rules = rules(self.config)?;
        let install = |requirement: &str| match self.wheels {
            Some((wheels, python)) => install::install(python, wheels, requirement, &tree),
            None => Err("there is no wheel cache".to_string()),
        };
        let agent = Agent {
            config: self.config,
            rules: &rules,
            root: self.out,
            task: &task,
            index: &index,
            checker: &checker,
            words,
            install: self.wheels.is_some().then_some(&install as &Install<'_>),
            seed: self.seed,
        };
        let before = known_tries(desk.journal())?;
        let base = rollout::agent::state::WorkTree::open(self.out, &task)?;
        let first = checker.targets(&task, &base, false)?;
        desk.open(self, task.fail_to_pass.len(), &before)?;
        match agent.run(Some(first), before, writer, desk) {
            Ok(repair) => Ok(repair),
            Err(AgentError::Prompt(why)) => bail!(
                "no prompt can be written: {why}{}",
                data::Hint(
                    "use a model with a longer context, or a smaller `sampling.max_new_tokens`"
                )
            ),
            Err(error) => Err(error)
                .context("while repairing; the tries so far are kept, and `--resume` goes on"),
        }
    }

    /// How the tests stand before any try: from an earlier process, or by a run of the suite.
    fn start(&self, wanted: &Wanted<'_>, tree: &Path, journal: &mut Journal) -> Result<Start> {
        if let Some(start) = journal.find("start")? {
            return Ok(start);
        }
        eprintln!("running the tests of the repository as it is");
        let start = start::run(self.sandbox.as_ref(), &self.limits, wanted, tree)?;
        journal.add("start", &start)?;
        Ok(start)
    }

    fn tell_start(&self, start: &Start) {
        let Start {
            passing, failing, ..
        } = start;
        eprintln!(
            "at the start {} tests pass and {} fail",
            passing.len(),
            failing.len()
        );
        for test in start.set_aside() {
            eprintln!(
                "{}",
                crate::terminal::plain(&format!(
                    "set aside, because it fails at the start: {test}"
                ))
            );
        }
    }

    /// Writes what came of it.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn write(&self, repair: &Repair) -> Result<()> {
        let put = |name: &str, bytes: &[u8]| data::file::write_whole(&self.out.join(name), bytes);
        put("patch.diff", repair.patch.text().as_bytes())?;
        let whole = trajectory::of_repair(&self.instance, &self.model, repair);
        put(
            &format!("{}.traj.json", self.instance),
            &serde_json::to_vec_pretty(&whole)?,
        )?;
        let prediction = trajectory::prediction(&self.instance, &self.model, &repair.patch);
        let mut predictions = serde_json::Map::new();
        predictions.insert(self.instance.clone(), prediction);
        put("preds.json", &serde_json::to_vec_pretty(&predictions)?)?;
        put("repair.json", &serde_json::to_vec_pretty(&summary(repair))?)?;
        Ok(())
    }

    /// Tells what was tried and why it stopped, and makes an error of everything that is no repair.
    ///
    /// # Errors
    ///
    /// [`NeedsReview`], or [`Interrupted`].
    pub fn end(&self, repair: &Repair) -> Result<()> {
        let rules = last_rules(repair);
        let (tries, regressions, repeats) =
            (repair.tries.len(), repair.regressions(), repair.repeats());
        let stuck = match repair.stuck() {
            0 => String::new(),
            stuck => format!(", {stuck} commands were the same again and again"),
        };
        eprintln!(
            "{tries} tries; {regressions} broke a test that passed before, {repeats} said the same again{stuck}{rules}"
        );
        let out = self.out.display().to_string();
        let review = |why: String| {
            Err(NeedsReview {
                why,
                out: out.clone(),
            }
            .into())
        };
        match &repair.end {
            End::Repaired => {
                let lucky = if repair.is_lucky() {
                    ", after regressions or repetitions"
                } else {
                    ""
                };
                eprintln!("repaired at try {tries}{lucky}; `{out}` holds the patch and every try");
                Ok(())
            }
            End::NeedsReview(review_of) => review(why(*review_of, tries).to_string()),
            End::Quarantined(why) => review(format!(
                "the tests pass, and there is evidence against the patch: {why}"
            )),
            End::Stopped => Err(Interrupted::new(format!(
                "{tries} tries are kept in `{out}`, the best patch so far is on standard output"
            ))
            .into()),
        }
    }
}

fn why(review: rollout::agent::queue::Review, tries: usize) -> String {
    use rollout::agent::queue::Review;
    match review {
        Review::Spent => format!("all {tries} tries are spent; it needs review"),
        Review::OutOfTime => format!("the time is over after {tries} tries; it needs review"),
        Review::Installs => {
            "packages could not be installed three times; it needs review".to_string()
        }
    }
}

fn last_rules(repair: &Repair) -> String {
    let names: Vec<&str> = repair
        .tries
        .iter()
        .flat_map(|one| &one.rules)
        .map(|help| help.rule.as_str())
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; rules that spoke: {}", names.join(", "))
    }
}

/// What a script wants to know.
fn summary(repair: &Repair) -> serde_json::Value {
    let millis: u64 = repair
        .tries
        .iter()
        .map(|one| one.tests_ms + one.model_ms)
        .sum();
    serde_json::json!({
        "end": repair.end,
        "tries": repair.tries.len(),
        "queue": repair.tries.last().map(|one| one.queue),
        "passing": repair.passing,
        "regressions": repair.regressions(),
        "repeats": repair.repeats(),
        "lucky": repair.is_lucky(),
        "commands": repair.tries.iter().map(|one| one.commands).sum::<u32>(),
        "stuck": repair.stuck(),
        "rules": repair.tries.iter().flat_map(|one| &one.rules).map(|help| &help.rule).collect::<Vec<_>>(),
        "seconds": millis as f64 / 1000.0,
        "patch_sha": (!repair.patch.is_empty()).then(|| repair.patch.sha()),
    })
}

/// The tries that an earlier process finished, in their order.
fn known_tries(journal: &Journal) -> Result<Vec<Try>> {
    let mut tries = Vec::new();
    while let Some(one) = journal.find::<Try>(&desk::key(tries.len() as u32 + 1))? {
        tries.push(one);
    }
    Ok(tries)
}

/// Whether a run that is over repaired something.
///
/// # Errors
///
/// [`NeedsReview`] where it repaired nothing.
pub fn over(out: &Path) -> Result<()> {
    let told = data::file::read_text(&out.join("repair.json"))?;
    let told: serde_json::Value =
        serde_json::from_str(&told).context("while reading `repair.json`")?;
    if told["end"] == "repaired" {
        return Ok(());
    }
    let why = format!(
        "an earlier process spent all of its {} tries",
        told["tries"]
    );
    Err(NeedsReview {
        why,
        out: out.display().to_string(),
    }
    .into())
}

/// Removes the tries of an earlier run.
///
/// # Errors
///
/// When they cannot be removed.
pub fn forget(out: &Path) -> Result<()> {
    let folder = out.join(desk::TRAJECTORIES);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Makes the patch in the repository itself.
///
/// # Errors
///
/// When a file there is not what it was when the repair began: then nothing is written.
pub fn apply(repo: &Path, copy: &Path, patch: &Patch) -> Result<Vec<PathBuf>> {
    let read = |path: &str| std::fs::read_to_string(repo.join(path)).ok();
    for path in patch.paths() {
        let (now, then) = (read(path), std::fs::read_to_string(copy.join(path)).ok());
        if now != then || repo.join(path).is_symlink() {
            bail!(
                "`{path}` was changed since the repair began, so the patch is not applied{}",
                data::Hint("it is in `patch.diff`; `git apply` it yourself")
            );
        }
    }
    let changes = patch
        .apply(&read)
        .context("while applying the patch to the repository")?;
    let mut written = Vec::new();
    for change in changes {
        let path = repo.join(&change.path);
        match change.content {
            Some(text) => data::file::write_whole(&path, text.as_bytes())?,
            None => std::fs::remove_file(&path)
                .with_context(|| format!("cannot remove `{}`", path.display()))?,
        }
        written.push(path);
    }
    Ok(written)
}

/// A name for the task of a repository: letters that every tool takes.
pub fn instance_of(repo: &Path, what: &str) -> String {
    let name = repo
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|| "repository".into());
    let plain: String = name
        .chars()
        .map(|one| {
            if one.is_ascii_alphanumeric() || "-_.".contains(one) {
                one
            } else {
                '-'
            }
        })
        .collect();
    format!("{plain}-{}", &blake3::hash(what.as_bytes()).to_hex()[..8])
}

/// The line of a try in the log.
pub(crate) fn record(task: &str, one: &Try) -> rollout::record::Record {
    rollout::record::Record {
        ts: data::log::timestamp(SystemTime::now()),
        retry: one.retry,
        queue: one.queue,
        patch_sha: (!one.patch.is_empty()).then(|| one.patch.sha()),
        test: one.test.clone(),
        status: one.status,
        trace_bytes: one.trace_bytes,
        task: task.to_string(),
        group: None,
        step: None,
        reward: None,
        stop: Some(one.stop),
        cached: false,
        wall_ms: one.tests_ms,
        answer: Some(one.answer.clone()),
        lost: None,
    }
}

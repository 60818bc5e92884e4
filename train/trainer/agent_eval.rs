//! How often the whole agent repairs a task, and how many tries that takes: tasks in, a curve out.
//!
//! In: tasks, an agent's config, a model. Out: the share of tasks that are resolved within 1, 2, … tries with an interval
//! over tasks, tries and seconds per repair, by queue and by rule. A task that is done is on disk before the next begins.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use data::log::Log;
use data::retrieve::Index;
use data::source::jsonl::TaskSet;
use data::{Task, draw};
use rollout::agent::AgentConfig;
use rollout::agent::check::Checker;
use rollout::agent::curve::{Curve, TaskRow};
use rollout::agent::rescue::Rules;
use rollout::agent::run::{Agent, AgentError, End, Observer, Repair};
use rollout::agent::trajectory;
use rollout::agent::writer::{OfPolicy, Words};
use rollout::grade::Grader;
use rollout::policy::Policy;
use sandbox::{Limits, Sandbox};
use serde::{Deserialize, Serialize};

use crate::repair::record;
use crate::run::interrupt::Interrupt;
use crate::run::journal::Journal;
use crate::run::progress::Progress;
use crate::run::provenance::Provenance;

/// The seed of a task is drawn from the run's for this.
const TASKS: u64 = 0xa9e8;

/// What came of an evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentSummary {
    /// The model.
    pub model: String,
    /// The scaffold.
    pub scaffold: String,
    /// Whether prompts show what the task points at (oracle localization).
    pub focus_used: bool,
    /// Share of tasks that are resolved, tries and seconds, by queue and by rule.
    pub curve: Curve,
    /// 95 % interval of the share within all tries, over tasks (Wilson).
    pub ci95: [f64; 2],
    /// Tasks without a verdict, each with its reason.
    pub lost: Vec<(String, String)>,
    /// Every task.
    pub tasks: Vec<TaskRow>,
    /// The program, the command, the time, and what was read.
    #[serde(default)]
    pub provenance: Option<Provenance>,
}

/// One evaluation.
pub struct AgentEval<'a> {
    /// The tasks and their trees.
    pub set: &'a TaskSet,
    /// How the agent works.
    pub config: &'a AgentConfig,
    /// Rules of the last queue.
    pub rules: &'a Rules,
    /// Where tests run.
    pub sandbox: Arc<dyn Sandbox>,
    /// Judges what passes its targets.
    pub grader: Arc<Grader>,
    /// Bounds on one run of tests.
    pub limits: Limits,
    /// The model's own measure of text.
    pub words: &'a Words<'a>,
    /// The model by name.
    pub model: &'a str,
    /// From which all randomness derives.
    pub seed: u64,
    /// The evaluation's file: the log and the predictions lie beside it.
    pub out: &'a Path,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

/// What became of a task.
#[derive(Serialize, Deserialize)]
enum Done {
    Row(TaskRow, String),
    Lost(String),
}

/// Writes tries to the log.
struct Logged<'a> {
    log: &'a mut Log,
    task: &'a str,
    interrupt: &'a Interrupt,
}

impl Observer for Logged<'_> {
    fn ended(&mut self, one: &rollout::agent::Try) -> Result<(), sandbox::SandboxError> {
        let failed =
            |error: data::file::FileError| sandbox::SandboxError::Environment(error.to_string());
        self.log.write(&record(self.task, one)).map_err(failed)
    }

    fn stops(&self) -> bool {
        self.interrupt.asked()
    }
}

impl AgentEval<'_> {
    /// Has the agent try every task. What `journal` has already is not tried again.
    ///
    /// # Errors
    ///
    /// When the policy or the disk fails, no task has a verdict, or a signal came: then what was done is kept.
    pub fn run(&self, policy: &mut dyn Policy, journal: &mut Journal) -> Result<AgentSummary> {
        let tasks = &self.set.tasks;
        let (mut rows, mut lost) = (Vec::new(), Vec::new());
        let mut predictions = serde_json::Map::new();
        let mut log = Log::open(&self.out.with_extension("attempts.jsonl"))?;
        let mut progress = Progress::new(
            format!(
                "eval {} with {}",
                self.model,
                self.config.scaffold.scaffold().name()
            ),
            tasks.len() as u64,
        );
        for (at, task) in tasks.iter().enumerate() {
            let done = match journal.find::<Done>(&task.id)? {
                Some(done) => done,
                None => {
                    let told = || format!("{at} of {} tasks are kept", tasks.len());
                    self.interrupt.check(told)?;
                    let done = self.task(task, at as u64, policy, &mut log)?;
                    self.interrupt.check(told)?;
                    journal.add(&task.id, &done)?;
                    journal.sync()?;
                    done
                }
            };
            match done {
                Done::Row(row, patch) => {
                    let patch = data::Patch::parse(&patch).unwrap_or_default();
                    predictions.insert(
                        task.id.clone(),
                        trajectory::prediction(&task.id, self.model, &patch),
                    );
                    rows.push(row);
                }
                Done::Lost(why) => lost.push((task.id.clone(), why)),
            }
            let resolved = rows.iter().filter(|row| row.resolved).count();
            progress.advance(1, format!("{resolved} of {} repaired", rows.len()));
        }
        progress.finish();
        if rows.is_empty() {
            journal.forget()?;
            let why = lost
                .first()
                .map_or("there is no task", |(_, why)| why.as_str());
            bail!("no task has a verdict: {why}");
        }
        data::file::write_whole(
            &self.out.with_extension("preds.json"),
            &serde_json::to_vec_pretty(&predictions)?,
        )?;
        let curve = Curve::from_rows(&rows, self.config.queue.max_retry);
        let scaffold = self.config.scaffold.scaffold();
        Ok(AgentSummary {
            model: self.model.to_string(),
            scaffold: scaffold.name().to_string(),
            focus_used: scaffold.uses_focus(),
            ci95: wilson(curve.resolved, curve.tasks),
            curve,
            lost,
            tasks: rows,
            provenance: None,
        })
    }

    fn task(&self, task: &Task, at: u64, policy: &mut dyn Policy, log: &mut Log) -> Result<Done> {
        let index = Index::build(&self.set.root.join(&task.tree), None)
            .with_context(|| format!("while reading the tree of `{}`", task.id))?;
        let checker = Checker::new(
            self.sandbox.clone(),
            self.grader.clone(),
            self.limits.clone(),
        );
        let agent = Agent {
            config: self.config,
            rules: self.rules,
            root: &self.set.root,
            task,
            index: &index,
            checker: &checker,
            words: self.words,
            install: None,
            seed: draw::key(self.seed, &[TASKS, at]),
        };
        let mut logged = Logged {
            log,
            task: &task.id,
            interrupt: self.interrupt,
        };
        let first = || -> Result<_, AgentError> {
            let tree = rollout::agent::state::WorkTree::open(&self.set.root, task)?;
            Ok(checker.targets(task, &tree, false)?)
        };
        let repaired = first().and_then(|first| {
            agent.run(Some(first), Vec::new(), &mut OfPolicy(policy), &mut logged)
        });
        match repaired {
            Ok(Repair {
                end: End::Quarantined(why),
                ..
            }) => Ok(Done::Lost(format!("quarantined: {why}"))),
            Ok(repair) => Ok(Done::Row(
                TaskRow::from_repair(&task.id, &repair),
                repair.patch.text().to_string(),
            )),
            Err(error @ (AgentError::Lost(_) | AgentError::Sandbox(_) | AgentError::Prompt(_))) => {
                Ok(Done::Lost(error.to_string()))
            }
            Err(error) => Err(error).with_context(|| format!("while repairing `{}`", task.id)),
        }
    }
}

/// The 95 % interval of a share (Wilson 1927).
fn wilson(count: usize, of: usize) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    let (n, share) = (of.max(1) as f64, count as f64 / of.max(1) as f64);
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_its_share_and_stays_between_nothing_and_all() {
        let [low, high] = wilson(8, 40);
        assert!(
            (low - 0.1050).abs() < 1e-3 && (high - 0.3476).abs() < 1e-3,
            "{low} {high}"
        );
        assert_eq!(wilson(0, 10)[0], 0.0);
        assert!(wilson(10, 10)[1] > 0.999);
    }
}

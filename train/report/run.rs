//! What a run of the quickstart proved, as it stands in `report.json` and on its page.
//!
//! In: evaluations, stages and what they left. Out: a [`RunReport`]. The page shows these fields by their types, so that
//! no name can be read in another way than it is written.

use anyhow::Result;
use data::Message;
use data::skill::repair::{AnswerForm, parse_answer};
use data::source::jsonl::TaskSet;
use rollout::attempt::Base;
use rollout::outcome::Classes;
use rollout::outcome::Status;
use rollout::record::Record;
use rollout::report::{Claim, Gain, Interval, Method};
use sandbox::Isolation;
use serde::Serialize;
use serde_json::Value;

use crate::run::provenance::Provenance;
use crate::trainer::evaluate::EvalSummary;

/// The number of the form of `report.json`.
pub const FORMAT: u32 = 1;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// [`FORMAT`].
    pub format: u32,
    /// From which all randomness derives.
    pub seed: u64,
    /// Seconds of this process.
    pub seconds: f64,
    /// Cores that could be used.
    pub cores: usize,
    /// Where tensors lived.
    pub device: String,
    /// The Python that ran the tests.
    pub python: String,
    /// What stood around the code under test.
    pub isolation: Isolation,
    /// What was trained on, and what was not.
    pub packages: Packages,
    /// pass@1 of every model.
    pub eval: Evals,
    /// What each stage added.
    pub gain: Gains,
    /// One bug that the model repaired; none where it repaired none.
    pub repaired: Option<RepairedBug>,
    /// What every stage said, in the order in which they ran.
    pub stages: Vec<Value>,
    /// The exported file and its distance.
    pub export: Value,
    /// The program, the command, the time, and what was read.
    pub provenance: Provenance,
}

/// Packages by what they are for.
#[derive(Clone, Debug, Serialize)]
pub struct Packages {
    /// To train on.
    pub train: Vec<String>,
    /// To evaluate on.
    pub held_out: Vec<String>,
}

/// The models of a run, in the order in which they came to be.
#[derive(Clone, Debug, Serialize)]
pub struct Evals {
    /// Before any training here.
    pub base: EvalReport,
    /// After supervised fine-tuning.
    pub sft: EvalReport,
    /// After reinforcement learning.
    pub grpo: EvalReport,
}

/// One model.
#[derive(Clone, Debug, Serialize)]
pub struct EvalReport {
    /// pass@1.
    pub pass_at_1: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
    /// How the ends were found.
    pub ci95_method: Method,
    /// Tasks.
    pub n: usize,
    /// Attempts per task.
    pub attempts_per_task: usize,
    /// How attempts ended.
    pub classes: Classes,
}

impl EvalReport {
    /// That of an evaluation.
    pub fn new(summary: &EvalSummary) -> Self {
        EvalReport {
            pass_at_1: summary.pass_at_1,
            ci95: summary.ci95,
            ci95_method: summary.ci95_method,
            n: summary.n,
            attempts_per_task: summary.attempts_per_task,
            classes: summary.evaluation.classes.clone(),
        }
    }
}

/// What each stage added to the model before it.
#[derive(Clone, Debug, Serialize)]
pub struct Gains {
    /// Of supervised fine-tuning.
    pub sft_vs_base: GainReport,
    /// Of reinforcement learning.
    pub grpo_vs_sft: GainReport,
}

/// A difference of pass@1 over the same tasks.
#[derive(Clone, Debug, Serialize)]
pub struct GainReport {
    /// After minus before.
    pub delta: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
    /// How the ends were found.
    pub ci95_method: Method,
    /// Tasks.
    pub n: usize,
    /// What may be said of it: `more than chance`, `a loss` or `may be chance`.
    pub claim: String,
}

impl GainReport {
    /// That of a difference.
    pub fn new(gain: &Gain) -> Self {
        let Interval {
            estimate,
            low,
            high,
            tasks,
            method,
        } = gain.delta;
        let claim = gain.claim().to_string();
        GainReport {
            delta: estimate,
            ci95: [low, high],
            ci95_method: method,
            n: tasks,
            claim,
        }
    }

    /// What its interval allows to say.
    pub fn claim(&self) -> Claim {
        Claim::from_interval(self.ci95[0], self.ci95[1])
    }
}

/// A bug, the answer that repaired it, and the tests that say so.
#[derive(Clone, Debug, Serialize)]
pub struct RepairedBug {
    /// The task.
    pub task: String,
    /// Who answered: `grpo`, `sft` or `base`.
    pub model: String,
    /// What it was asked.
    pub prompt: Vec<Message>,
    /// What it answered.
    pub answer: String,
    /// The patch that the answer stands for.
    pub patch: String,
    /// The tests that failed and pass now.
    pub fail_to_pass: Vec<String>,
    /// How many tests passed before and still do.
    pub pass_to_pass: usize,
}

impl RepairedBug {
    /// The bug of the shortest prompt that an attempt of `model` repaired, from the log of its attempts; none where it
    /// repaired none.
    ///
    /// # Errors
    ///
    /// When the log holds a repair whose tree cannot be read.
    pub fn find(model: &str, log: &str, set: &TaskSet, form: AnswerForm) -> Result<Option<Self>> {
        let mut found: Option<RepairedBug> = None;
        let length = |prompt: &[Message]| {
            prompt
                .iter()
                .map(|message| message.content.len())
                .sum::<usize>()
        };
        for record in log
            .lines()
            .filter_map(|line| serde_json::from_str::<Record>(line).ok())
        {
            let task = set.tasks.iter().find(|task| task.id == record.task);
            let (Status::Pass, Some(answer), Some(task)) = (record.status, record.answer, task)
            else {
                continue;
            };
            let base = Base::open(&set.root, task)?;
            let prompt = base.ask(form, 1, 0)?.messages;
            let shorter = found
                .as_ref()
                .is_none_or(|best| length(&prompt) < length(&best.prompt));
            let patch = parse_answer(&answer, task, &|path| base.read(path), form);
            if let (true, Ok(patch)) = (shorter, patch) {
                found = Some(RepairedBug {
                    task: task.id.clone(),
                    model: model.into(),
                    prompt,
                    answer,
                    patch: patch.text().into(),
                    fail_to_pass: task.fail_to_pass.clone(),
                    pass_to_pass: task.pass_to_pass.len(),
                });
            }
        }
        Ok(found)
    }
}

//! Predictions in, verdicts out: each answer is judged once, by the tests of its task, in a fresh sandbox.
//!
//! In: tasks and predictions. Out: `results.jsonl` with one line per prediction, and a summary. A line is written as
//! soon as its verdict is there, so a killed run goes on where it stopped.
//! Example line: `{"instance_id": "money-1", "outcome": "resolved", "quarantined": false, "reason": "all tests pass",
//! "seconds": 0.05, …}`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use data::Patch;
use data::log::Log;
use data::source::prediction::{Answer, Prediction};
use rollout::grade::{Graded, Grader};
use rollout::outcome::Resolution;
use rollout::task_validation::said;
use rollout::watch::Watcher;
use sandbox::Isolation;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::run::interrupt::Interrupt;
use crate::run::progress::Progress;

mod admit;
mod fingerprint;
mod input;
mod observe;
pub mod official;
mod results;
mod threads;

pub use admit::{ADMIT, AdmitSummary, Gate};
pub use input::{Given, REFUSED_FILE, RefusedRow, predictions_of, tasks_of};
pub use results::{EARLIER_FILE, RESULTS_FILE, refuse_earlier};

use official::Official;
use results::Results;
pub(crate) use threads::on_threads;

/// A line of `results.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The task.
    pub instance_id: String,
    /// What became of the prediction.
    pub outcome: Resolution,
    /// True where the patch talks to whoever runs the tests: it earns nothing until somebody looked at it.
    pub quarantined: bool,
    /// The outcome in words.
    pub reason: String,
    /// Seconds from its start to its end, with what its task needed once.
    pub seconds: f64,
    /// Seconds of its own tests in the sandbox.
    #[serde(default)]
    pub tests_seconds: f64,
    /// Seconds of the runs that looked for evidence against it.
    #[serde(default)]
    pub evidence_seconds: f64,
    /// Who answered.
    pub model_name_or_path: String,
    /// BLAKE3 of all that the verdict rests on: what makes it the same again.
    pub key: String,
}

/// A verdict, and what it was read from.
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The answer as a patch; none where it is no patch.
    pub patch: Option<Patch>,
    /// The diff that was answered, where it is no patch.
    pub raw: Option<String>,
    /// What the tests did; none where none ran.
    pub graded: Option<Graded>,
}

/// A run.
pub struct Grading<'a> {
    /// The tasks, and the rows that make none.
    pub given: &'a Given,
    /// Judges.
    pub grader: &'a Grader,
    /// What its tests run on.
    pub environment: &'a Environment,
    /// Verdicts at once.
    pub workers: usize,
    /// Where results go.
    pub out: &'a Path,
    /// Whether verdicts that are there already are kept.
    pub resume: bool,
    /// Whether that goes for those whose memory limit was reached, too: they would reach it again.
    pub keep_oom: bool,
    /// Hears what happens, and says when to stop.
    pub watcher: &'a Watcher,
    /// Where and how reports are filed.
    pub official: Official,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

/// What a run did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GradeSummary {
    /// Predictions.
    pub submitted: usize,
    /// Tasks without one.
    pub incomplete: usize,
    /// Predictions by outcome.
    pub outcomes: BTreeMap<Resolution, usize>,
    /// Quarantined predictions.
    pub quarantined: usize,
    /// Predictions without a verdict, because the run was stopped.
    pub left: usize,
    /// Verdicts taken over from an earlier run.
    pub resumed: usize,
    /// Seconds of this process.
    pub seconds: f64,
    /// Verdicts of this process in an hour.
    pub per_hour: f64,
    /// What stood between the code that was judged and the machine.
    pub isolation: Isolation,
}

impl Grading<'_> {
    /// Judges every prediction.
    ///
    /// # Errors
    ///
    /// When the results cannot be written. Where the watcher or a signal stops it, what is left has no verdict.
    pub fn run(&self, predictions: &[Prediction]) -> Result<GradeSummary> {
        let started = Instant::now();
        self.official.check(predictions)?;
        let keys: Vec<String> = predictions.iter().map(|one| self.key(one)).collect();
        let mut results = Results::open(self.out, &keys)?;
        predictions
            .iter()
            .zip(&keys)
            .for_each(|(one, key)| results.answered_by(key, &one.model));
        let done = |at: &usize| {
            let verdict = results
                .find(&keys[*at])
                .filter(|verdict| self.is_final(verdict.outcome));
            // What has no report under this name is judged anew for it.
            verdict.is_some_and(|verdict| self.official.has(verdict))
        };
        let open: Vec<usize> = (0..predictions.len()).filter(|at| !done(at)).collect();
        let resumed = predictions.len() - open.len();

        let mut progress = Progress::new("grade", predictions.len() as u64);
        progress.advance_to(resumed as u64);
        let judge = |at: usize| self.judge(&predictions[open[at]], keys[open[at]].clone());
        let mut log = Log::open(&self.out.join(observe::TRIES_FILE))?;
        let mut judged = 0;
        on_threads(open.len(), self.workers, &judge, &mut |_, judgement| {
            let Some(judgement) = judgement else {
                return Ok(());
            };
            self.tell(&judgement, &mut log)?;
            results.add(judgement.verdict)?;
            judged += 1;
            progress.advance(1, "");
            Ok(())
        })?;
        progress.finish();

        let verdicts = results.finish(&keys)?;
        self.official
            .summarize(&self.given.set, predictions, &verdicts)?;
        let mut outcomes = BTreeMap::new();
        verdicts
            .iter()
            .for_each(|verdict| *outcomes.entry(verdict.outcome).or_default() += 1);
        let seconds = started.elapsed().as_secs_f64();
        Ok(GradeSummary {
            submitted: predictions.len(),
            incomplete: self.given.set.tasks.len().saturating_sub(predictions.len()),
            outcomes,
            quarantined: verdicts
                .iter()
                .filter(|verdict| verdict.quarantined)
                .count(),
            left: predictions.len() - verdicts.len(),
            resumed,
            seconds,
            per_hour: f64::from(judged) * 3600.0 / seconds.max(1e-9),
            isolation: self.grader.isolation(),
        })
    }

    fn key(&self, prediction: &Prediction) -> String {
        let task = self.given.set.find(&prediction.instance_id);
        let environment = task
            .map(|task| self.environment.for_language(task.language))
            .unwrap_or_default();
        fingerprint::key(
            &environment,
            &prediction.instance_id,
            task,
            &prediction.answer,
        )
    }

    /// Whether another run would say the same: another machine or other limits may not.
    fn is_final(&self, outcome: Resolution) -> bool {
        match outcome {
            Resolution::Resolved | Resolution::Unresolved | Resolution::InvalidPatch => true,
            Resolution::Oom => self.keep_oom,
            Resolution::Infra | Resolution::Timeout => false,
        }
    }

    /// None where nothing more may be started.
    fn judge(&self, prediction: &Prediction, key: String) -> Option<Judgement> {
        if self.watcher.stopped().is_some() || self.interrupt.asked() {
            return None;
        }
        let clock = Instant::now();
        let (mut patch, mut graded) = (None, None);
        let (outcome, quarantined, reason) = self.outcome(prediction, &mut patch, &mut graded);
        let wall =
            |of: fn(&Graded) -> Duration| graded.as_ref().map_or(Duration::ZERO, of).as_secs_f64();
        let verdict = Verdict {
            instance_id: prediction.instance_id.clone(),
            outcome,
            quarantined,
            reason,
            seconds: clock.elapsed().as_secs_f64(),
            tests_seconds: wall(|graded| graded.wall),
            evidence_seconds: wall(|graded| graded.examined),
            model_name_or_path: prediction.model.clone(),
            key,
        };
        let raw = match &prediction.answer {
            Answer::Diff(diff) if patch.is_none() => Some(diff.clone()),
            Answer::Diff(_) | Answer::Files(_) | Answer::Refused(_) => None,
        };
        Some(Judgement {
            verdict,
            patch,
            raw,
            graded,
        })
    }

    fn outcome(
        &self,
        prediction: &Prediction,
        answered: &mut Option<Patch>,
        ran: &mut Option<Graded>,
    ) -> (Resolution, bool, String) {
        let Some(task) = self.given.set.find(&prediction.instance_id) else {
            let reason = match self.given.refusal(&prediction.instance_id) {
                Some(reason) => format!("its row makes no task: {reason}"),
                None => "there is no such task".into(),
            };
            return (Resolution::Infra, false, reason);
        };
        let read = |path: &str| self.given.set.base_file(task, path).ok().flatten();
        let patch = match prediction.answer.patch(&read) {
            Ok(patch) => answered.insert(patch),
            Err(reason) => return (Resolution::InvalidPatch, false, reason),
        };
        let (judged, left_out) = task.judged(patch);
        let (outcome, mut reason) = match self.grader.grade(&self.given.set.root, task, &judged) {
            Ok(graded) => {
                let graded = ran.insert(graded);
                // Told here and not with the line of its verdict, so that no other thread starts one more.
                match self.watcher.graded(SystemTime::now(), &task.id, graded) {
                    Ok(()) => (Resolution::from(&graded.outcome), said(graded)),
                    Err(error) => (Resolution::Infra, error.to_string()),
                }
            }
            Err(error) => (Resolution::Infra, error.to_string()),
        };
        if !left_out.is_empty() {
            reason = format!("{reason} (left as it was: {})", left_out.join(", "));
        }
        let suspicion = ran.as_ref().and_then(|graded| graded.suspicion.clone());
        if let Some(why) = &suspicion {
            reason = format!("{reason} (quarantined: {why})");
        }
        (outcome, suspicion.is_some(), reason)
    }
}

//! The refiner's seat: a patch that passes in, a smaller one that passes out (R7).
//!
//! In: a candidate, a [`Refiner`], and a judge. Out: a [`Refined`] patch. Whatever a refiner says is judged by all tests.
//! Where it fails, does not apply or is no smaller, the candidate stands: a cascade never loses a pass.
//! Example: of a patch with nine parts Patch-Lite keeps part 2; the tests pass with it alone, and it is what is handed on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use data::minimize::{Judge, MinimizeError, MinimizeOptions, Tests, Verdict, minimize};
use data::patch::ApplyError;
use data::skill::trim::{AnswerSet, Question, prompt};
use data::source::plant::JudgeError;
use data::{Patch, draw};
use serde::{Deserialize, Serialize};

use crate::policy::{Policy, PolicyError, Request, Sampling};

/// A patch that passes its tests, and may do too much.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// What it repairs.
    pub issue: &'a str,
    /// The patch.
    pub patch: &'a Patch,
    /// Reads a file of the base tree.
    pub read: &'a dyn Fn(&str) -> Option<String>,
}

/// Proposes a smaller patch.
pub trait Refiner {
    /// As a report calls it.
    fn name(&self) -> &'static str;

    /// A smaller patch, or the same. It need not pass: [`cascade`] judges it.
    ///
    /// # Errors
    ///
    /// When the candidate cannot be read, or our own machinery fails.
    fn refine(&mut self, candidate: &Candidate, judge: &mut Judge) -> Result<Patch, RefineError>;
}

/// Why a refiner proposes nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefineError {
    /// The candidate does not fit its tree.
    #[error("the patch does not apply: {0}")]
    Apply(#[from] ApplyError),
    /// The search found nothing to do.
    #[error(transparent)]
    Minimize(#[from] MinimizeError),
    /// The model could not be asked.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl RefineError {
    /// True where this candidate cannot be refined and nothing is broken: it stands as it is.
    fn is_about_the_candidate(&self) -> bool {
        match self {
            RefineError::Apply(_) => true,
            RefineError::Minimize(error) => !matches!(error, MinimizeError::Judge(_)),
            // The patch does not fit the model's context.
            RefineError::Policy(error) => matches!(error, PolicyError::Request(_)),
        }
    }
}

/// Leaves every candidate as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRefiner;

impl Refiner for NoRefiner {
    fn name(&self) -> &'static str {
        "none"
    }

    fn refine(&mut self, candidate: &Candidate, _: &mut Judge) -> Result<Patch, RefineError> {
        Ok(candidate.patch.clone())
    }
}

/// Searches for the smallest part that passes, by tests alone.
#[derive(Clone, Debug, Default)]
pub struct Ddmin {
    /// How far it searches.
    pub options: MinimizeOptions,
}

impl Refiner for Ddmin {
    fn name(&self) -> &'static str {
        "ddmin"
    }

    fn refine(&mut self, candidate: &Candidate, judge: &mut Judge) -> Result<Patch, RefineError> {
        let found = minimize(candidate.patch, candidate.read, judge, &self.options)?;
        Ok(found.patch)
    }
}

/// How Patch-Lite is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct LiteOptions {
    /// Answers that are drawn for each patch.
    pub answers: usize,
    /// How sure a trim has to be, by the model's own word; see [`AnswerSet::kept`].
    pub confidence: f64,
    /// Length at which an answer is cut off.
    pub max_new_tokens: usize,
    /// From which the answers are drawn.
    pub seed: u64,
}

impl Default for LiteOptions {
    fn default() -> Self {
        LiteOptions {
            answers: 16,
            confidence: 0.9,
            max_new_tokens: 32,
            seed: 0,
        }
    }
}

/// Asks a model which parts are needed, in process or behind a server.
pub struct PatchLite<'a> {
    /// The model.
    pub policy: &'a mut dyn Policy,
    /// How it is asked.
    pub options: LiteOptions,
}

impl Refiner for PatchLite<'_> {
    fn name(&self) -> &'static str {
        "patch-lite"
    }

    fn refine(&mut self, candidate: &Candidate, _: &mut Judge) -> Result<Patch, RefineError> {
        let long = candidate.patch.canonical(candidate.read)?;
        let question = Question {
            issue: candidate.issue,
            long: &long,
            failed: None,
        };
        let sets = answer_sets(self.policy, &[question], &self.options)?;
        let kept = sets.first().map(|set| set.kept(self.options.confidence));
        Ok(kept.map_or(long.clone(), |kept| long.keeping(&kept)))
    }
}

/// The answers of a model to each question, with their probabilities.
///
/// # Errors
///
/// As [`Policy::complete`].
pub fn answer_sets(
    policy: &mut dyn Policy,
    questions: &[Question],
    options: &LiteOptions,
) -> Result<Vec<AnswerSet>, PolicyError> {
    let request = |question: &Question| {
        let messages = prompt(question);
        let words: String = messages.iter().map(|said| said.content.as_str()).collect();
        let hash = blake3::hash(words.as_bytes());
        let mut word = [0; 8];
        word.copy_from_slice(&hash.as_bytes()[..8]);
        // By its content: an answer does not depend on what else is asked.
        Request {
            messages,
            attempts: options.answers,
            seed: draw::key(options.seed, &[u64::from_le_bytes(word)]),
        }
    };
    let requests: Vec<Request> = questions.iter().map(request).collect();
    let sampling = Sampling {
        max_new_tokens: options.max_new_tokens,
        ..Sampling::default()
    };
    let answers = policy.complete(&requests, &sampling)?;
    let set = |(question, completions): (&Question, _)| {
        let mut distinct = BTreeMap::new();
        for completion in completions {
            let crate::policy::Completion {
                tokens,
                logprobs,
                text,
                stop,
                ..
            } = completion;
            let logprob: f64 = logprobs.iter().copied().map(f64::from).sum();
            if !stop.is_truncated() {
                distinct.insert(tokens, (text, logprob));
            }
        }
        let count = question.long.parts().len();
        let said = distinct
            .values()
            .map(|(text, logprob)| (text.as_str(), *logprob));
        AnswerSet::new(count, said)
    };
    Ok(questions.iter().zip(answers).map(set).collect())
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trim {
    /// The smaller patch passes and is handed on.
    Passes,
    /// The smaller patch fails or does not apply; the candidate stands.
    Fails,
    /// There is no smaller patch; the candidate stands.
    Unchanged,
}

/// What a cascade hands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refined {
    /// It passes where the candidate did.
    pub patch: Patch,
    /// Whether it is the trim.
    pub trim: Trim,
    /// Questions to the judge.
    pub calls: usize,
    /// Time in the judge.
    pub judging: Duration,
    /// Time of the refiner, without the judge's.
    pub refining: Duration,
}

/// Makes a candidate smaller and has the tests judge what comes of it.
///
/// # Errors
///
/// When our own machinery fails; a refiner that errs about the candidate leaves it as it is.
pub fn cascade(
    refiner: &mut dyn Refiner,
    candidate: &Candidate,
    judge: &mut Judge,
) -> Result<Refined, RefineError> {
    let began = Instant::now();
    let (mut calls, mut judging) = (0, Duration::ZERO);
    let mut asked = |patch: &Patch, tests: Tests| -> Result<Verdict, JudgeError> {
        let began = Instant::now();
        let verdict = judge(patch, tests);
        calls += 1;
        judging += began.elapsed();
        verdict
    };
    let proposed = match refiner.refine(candidate, &mut asked) {
        Ok(patch) => patch,
        Err(error) if error.is_about_the_candidate() => candidate.patch.clone(),
        Err(error) => return Err(error),
    };
    let trim = if !is_smaller(&proposed, candidate.patch) {
        Trim::Unchanged
    } else {
        let verdict = asked(&proposed, Tests::All);
        match verdict.map_err(MinimizeError::from)? {
            Verdict::Passes => Trim::Passes,
            Verdict::Fails | Verdict::Unresolved => Trim::Fails,
        }
    };
    let patch = if trim == Trim::Passes {
        proposed
    } else {
        candidate.patch.clone()
    };
    Ok(Refined {
        patch,
        trim,
        calls,
        judging,
        refining: began.elapsed().saturating_sub(judging),
    })
}

/// Whether a patch adds and removes fewer lines; one that changes nothing is no patch.
fn is_smaller(patch: &Patch, than: &Patch) -> bool {
    !patch.is_empty() && data::triplet::size(patch) < data::triplet::size(than)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Scripted;

    const BASE: &str = "def add(a, b):\n    return a - b\n";
    const LONG: &str = "def add(a, b):\n    # sum\n    return a + b\n\n\ndef more():\n    pass\n";

    /// What comes of a refiner, and how often the judge was asked. A patch passes when it repairs the sum.
    fn refined(refiner: &mut dyn Refiner) -> Refined {
        let long = Patch::between("m.py", BASE, LONG);
        let read = |path: &str| (path == "m.py").then(|| BASE.to_string());
        let candidate = Candidate {
            issue: "add(1, 2) is -1",
            patch: &long,
            read: &read,
        };
        let mut judge = |patch: &Patch, _: Tests| {
            Ok(if patch.text().contains("+    return a + b") {
                Verdict::Passes
            } else {
                Verdict::Fails
            })
        };
        cascade(refiner, &candidate, &mut judge).expect("nothing breaks")
    }

    fn lite(answer: &str) -> Refined {
        let mut policy = Scripted::default().when("add", &[answer]);
        refined(&mut PatchLite {
            policy: &mut policy,
            options: LiteOptions::default(),
        })
    }

    #[test]
    fn a_trim_that_passes_is_handed_on() {
        let found = lite("2");
        assert_eq!((found.trim, found.calls), (Trim::Passes, 1));
        assert_eq!(data::triplet::size(&found.patch), 2);
        assert_eq!(found.patch, refined(&mut Ddmin::default()).patch);
    }

    #[test]
    fn the_candidate_stands_where_its_trim_fails() {
        let found = lite("1");
        assert_eq!((found.trim, found.calls), (Trim::Fails, 1));
        assert_eq!(found.patch, Patch::between("m.py", BASE, LONG));
    }

    #[test]
    fn an_answer_that_names_no_parts_costs_no_run_of_tests() {
        for answer in ["all", "99", "1-6"] {
            let found = lite(answer);
            assert_eq!((found.trim, found.calls), (Trim::Unchanged, 0), "{answer}");
            assert_eq!(found.patch, Patch::between("m.py", BASE, LONG));
        }
        assert_eq!(refined(&mut NoRefiner).trim, Trim::Unchanged);
    }

    #[test]
    fn a_judge_that_fails_is_an_error() {
        let long = Patch::between("m.py", BASE, LONG);
        let candidate = Candidate {
            issue: "",
            patch: &long,
            read: &|_| Some(BASE.to_string()),
        };
        let mut judge = |_: &Patch, _: Tests| Err(JudgeError("no disk".into()));
        let error = cascade(&mut Ddmin::default(), &candidate, &mut judge).expect_err("no judge");
        assert_eq!(error.to_string(), "the tests could not be run: no disk");
    }
}

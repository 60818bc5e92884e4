//! Trims by how sure the model is of them: the curve of wrong trims against size, and the agent's refiner.
//!
//! In: rows and a model. Out: for each confidence what became of each row, and the same through the refiner's seat.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use data::minimize::Tests;
use data::skill::trim::{AnswerSet, Question};
use data::triplet::size;
use data::{Patch, Task};
use rollout::agent::refine::{Candidate, LiteOptions, PatchLite, Trim, answer_sets, cascade};
use rollout::policy::Policy;

use super::{AT_ONCE, CONFIDENCES, Row, Trimming, question};
use crate::minimize::Questions;
use crate::run::progress::Progress;

/// Rows that were judged, by number and kept parts.
type Known = Mutex<HashMap<(usize, Vec<bool>), Row>>;

impl Trimming<'_> {
    fn lite(&self, confidence: f64) -> LiteOptions {
        LiteOptions {
            answers: self.answers.max(1),
            confidence,
            max_new_tokens: self.max_new_tokens,
            seed: self.seed,
        }
    }

    /// The trims at each confidence, from the same answers.
    pub(super) fn curve(&self, policy: &mut dyn Policy) -> Result<Vec<(String, Vec<Row>)>> {
        let started = Instant::now();
        let mut sets: Vec<AnswerSet> = Vec::with_capacity(self.rows.len());
        let mut progress = Progress::new("ask again", self.rows.len() as u64);
        for some in self.rows.chunks(AT_ONCE) {
            self.interrupt
                .check(|| "nothing is written before every row was trimmed".into())?;
            let questions: Vec<Question> = some.iter().map(|(_, row)| question(row)).collect();
            let drawn = answer_sets(policy, &questions, &self.lite(1.0));
            sets.extend(drawn.context("while asking for trims")?);
            progress.advance(some.len() as u64, "");
        }
        progress.finish();
        let seconds = started.elapsed().as_secs_f64() / self.rows.len() as f64;
        let known = Known::default();
        CONFIDENCES
            .iter()
            .map(|confidence| {
                let name = format!("model at {confidence}");
                let rows = self.scored(&name, &|at, task| {
                    let kept = sets[at].kept(*confidence);
                    self.sure(at, task, &kept, &known, seconds)
                })?;
                Ok((name, rows))
            })
            .collect()
    }

    /// A row of which these parts are kept. What was judged before is remembered.
    fn sure(
        &self,
        at: usize,
        task: &Task,
        kept: &[bool],
        known: &Known,
        seconds: f64,
    ) -> Result<Row> {
        let key = (at, kept.to_vec());
        let before = known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .copied();
        if let Some(row) = before {
            return Ok(row);
        }
        let triplet = self.rows[at].1;
        let row = if kept.iter().all(|kept| *kept) {
            Row {
                seconds,
                ..self.untouched(triplet, task)
            }
        } else {
            let trim = triplet.long.keeping(kept);
            self.trimmed(triplet, task, Some(&trim), seconds)?
        };
        known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, row);
        Ok(row)
    }

    /// Every row through the refiner's seat, one by one, as an agent does it.
    pub(super) fn cascaded(&self, policy: &mut dyn Policy, confidence: f64) -> Result<Vec<Row>> {
        let mut refiner = PatchLite {
            policy,
            options: self.lite(confidence),
        };
        let mut rows = Vec::with_capacity(self.rows.len());
        let mut progress = Progress::new("cascade", self.rows.len() as u64);
        for at in 0..self.rows.len() {
            self.interrupt
                .check(|| "nothing is written before every row was trimmed".into())?;
            let (task, triplet) = (self.task_of(at)?, self.rows[at].1);
            let mut questions = Questions::new(self.grader, &self.set.root, task);
            let read = |path: &str| self.set.base_file(task, path).ok().flatten();
            let candidate = Candidate {
                issue: &triplet.issue,
                patch: &triplet.long,
                read: &read,
            };
            let mut judge = |patch: &Patch, tests: Tests| questions.verdict(patch, tests);
            let refined = cascade(&mut refiner, &candidate, &mut judge)
                .with_context(|| format!("while trimming the row `{}`", triplet.id))?;
            let ratio = size(&refined.patch) as f64 / size(&triplet.refined).max(1) as f64;
            rows.push(Row {
                task: self.first_of(at),
                // What a cascade hands on passes, as its candidate did.
                passes: true,
                wrong: refined.trim == Trim::Fails,
                trimmed: refined.trim != Trim::Unchanged,
                ratio,
                cascade: ratio,
                excess: self.excess(triplet, task, &refined.patch),
                calls: refined.calls,
                seconds: refined.refining.as_secs_f64(),
            });
            progress.advance(1, "");
        }
        progress.finish();
        Ok(rows)
    }
}

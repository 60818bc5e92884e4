//! What a trimmer is worth: its trims, judged by the tests, beside no trim at all and ddmin.
//!
//! In: held-out triplets, their tasks, and a model. Out: how many trims pass, how large they are, how much they change that
//! need not be changed, by split, with intervals. With the rule of the cascade a trim that fails is dropped and the long
//! patch stands, so that no pass is ever lost; both are told.
//!
//! Excess edit is that of *When Models Edit Too Much*: (Levenshtein(trim, base) − Levenshtein(refined, base)) over the
//! tokens of the base files, in words and signs.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use data::minimize::{MinimizeOptions, Tests, minimize};
use data::skill::trim::{Question, parse_answer, prompt};
use data::source::jsonl::TaskSet;
use data::triplet::{Split, Triplet, size};
use data::{Patch, Task, draw};
use rollout::grade::Grader;
use rollout::outcome::Outcome;
use rollout::policy::{Policy, Request, Sampling};
use rollout::report::{Interval, bootstrap, interval};
use serde::{Deserialize, Serialize};

use crate::grade::on_threads;
use crate::minimize::Questions;
use crate::run::interrupt::Interrupt;
use crate::run::progress::Progress;

mod distance;
mod sure;

use distance::{distance, words};

/// Rows that are asked at once.
const AT_ONCE: usize = 16;
/// How sure trims have to be, along the curve of wrong trims against size.
const CONFIDENCES: [f64; 7] = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99];

/// One way to trim, on one split. The intervals are over tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrimScore {
    /// Share of trims that pass all tests; an answer that names no parts is one that does not.
    pub pass_after_trim: Interval,
    /// Share of answers that trim, apply, and fail their tests.
    pub wrong_trim: Interval,
    /// Share of rows in which something was left out, whether that passed or not.
    pub trimmed: Interval,
    /// Lines of the trim by those of the smallest patch, of trims that pass; none where none does.
    pub size_ratio: Option<Interval>,
    /// The same with the rule of the cascade: where the trim does not pass, the long patch stands.
    pub cascade_size_ratio: Interval,
    /// Excess edit of what the cascade leaves.
    pub excess_edit: Interval,
    /// Runs of tests for one row.
    pub calls: f64,
    /// Seconds for one row, without those of the tests where a model trims.
    pub seconds: f64,
    /// Rows.
    pub n: usize,
}

/// The scores of a model and of what it is compared with, by split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrimSummary {
    /// The model.
    pub model: String,
    /// By split and by who trims: `model` (its greedy answer), `model at C` (as sure as `C` says), `cascade`, `none`,
    /// `ddmin`.
    pub splits: BTreeMap<String, BTreeMap<String, TrimScore>>,
    /// Answers that name no parts, of all.
    pub unreadable: usize,
}

/// What came of one row.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// The first row of the same task.
    task: usize,
    passes: bool,
    wrong: bool,
    trimmed: bool,
    ratio: f64,
    cascade: f64,
    excess: f64,
    calls: usize,
    seconds: f64,
}

/// Rows to trim.
pub struct Trimming<'a> {
    /// The rows, each with its split.
    pub rows: &'a [(Split, &'a Triplet)],
    /// Their tasks.
    pub set: &'a TaskSet,
    /// Judges.
    pub grader: &'a Grader,
    /// Rows at once.
    pub workers: usize,
    /// Draws the resamples.
    pub seed: u64,
    /// Resamples of the bootstrap.
    pub resamples: usize,
    /// The longest answer.
    pub max_new_tokens: usize,
    /// Answers that are drawn for each row, to know how sure the model is; 0 asks greedily alone.
    pub answers: usize,
    /// Has each row pass through the refiner's seat of the agent, one by one, with this confidence.
    pub cascade: Option<f64>,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

impl Trimming<'_> {
    /// Asks a model for every row, greedily, and scores its trims beside no trim and ddmin.
    ///
    /// # Errors
    ///
    /// When a row is of no task of the set, the model or the sandbox fails, or a signal came.
    pub fn run(&self, policy: &mut dyn Policy, model: &str) -> Result<TrimSummary> {
        if self.rows.is_empty() {
            bail!(
                "there is no held-out triplet to trim{}",
                data::Hint(
                    "build triplets of several packages, or name some with `--hold-package`"
                )
            );
        }
        let (answers, seconds) = self.answers(policy)?;
        let read: Vec<Option<Patch>> = self
            .rows
            .iter()
            .zip(&answers)
            .map(|((_, row), answer)| parse_answer(answer, &row.long).ok())
            .collect();
        let unreadable = read.iter().filter(|patch| patch.is_none()).count();
        let trimmed = self.scored("trims", &|at, task| {
            self.trimmed(self.rows[at].1, task, read[at].as_ref(), seconds)
        })?;
        let untouched = self.scored("no trim", &|at, task| {
            Ok(self.untouched(self.rows[at].1, task))
        })?;
        let searched = self.scored("ddmin", &|at, task| self.searched(self.rows[at].1, task))?;
        let mut ways = vec![
            ("model".to_string(), trimmed),
            ("none".to_string(), untouched),
            ("ddmin".to_string(), searched),
        ];
        if self.answers > 0 {
            ways.extend(self.curve(policy)?);
        }
        if let Some(confidence) = self.cascade {
            ways.push(("cascade".to_string(), self.cascaded(policy, confidence)?));
        }
        Ok(TrimSummary {
            model: model.into(),
            splits: self.by_split(&ways),
            unreadable,
        })
    }

    fn by_split(
        &self,
        ways: &[(String, Vec<Row>)],
    ) -> BTreeMap<String, BTreeMap<String, TrimScore>> {
        let mut splits: BTreeMap<String, BTreeMap<String, TrimScore>> = BTreeMap::new();
        for split in Split::ALL {
            for (name, all) in ways {
                let of_split = self
                    .rows
                    .iter()
                    .zip(all)
                    .filter(|((of, _), _)| *of == split)
                    .map(|(_, row)| *row);
                let rows: Vec<Row> = of_split.collect();
                if !rows.is_empty() {
                    splits
                        .entry(split.name().into())
                        .or_default()
                        .insert(name.clone(), self.score(&rows));
                }
            }
        }
        splits
    }

    fn task_of(&self, at: usize) -> Result<&Task> {
        let id = &self.rows[at].1.task_id;
        self.set.find(id).with_context(|| {
            format!(
                "the triplet `{}` is of the task `{id}`, which is not there{}",
                self.rows[at].1.id,
                data::Hint("`--tasks` takes the tasks that the triplets were made of")
            )
        })
    }

    /// The first row of the same task.
    fn first_of(&self, at: usize) -> usize {
        let same = |(_, other): &(Split, &Triplet)| other.task_id == self.rows[at].1.task_id;
        self.rows.iter().position(same).unwrap_or(at)
    }

    fn untouched(&self, row: &Triplet, task: &Task) -> Row {
        let ratio = row.size_ratio();
        Row {
            passes: true,
            ratio,
            cascade: ratio,
            excess: self.excess(row, task, &row.long),
            ..Row::default()
        }
    }

    /// What the model answers, and its seconds for one row.
    fn answers(&self, policy: &mut dyn Policy) -> Result<(Vec<String>, f64)> {
        let started = Instant::now();
        let sampling = Sampling::greedy(self.max_new_tokens);
        let mut progress = Progress::new("ask", self.rows.len() as u64);
        let mut answers = Vec::with_capacity(self.rows.len());
        for some in self.rows.chunks(AT_ONCE) {
            self.interrupt
                .check(|| "nothing is written before every row was trimmed".into())?;
            let request = |(_, row): &(Split, &Triplet)| {
                let messages = prompt(&question(row));
                Request {
                    messages,
                    attempts: 1,
                    seed: self.seed,
                }
            };
            let requests: Vec<Request> = some.iter().map(request).collect();
            for completions in policy
                .complete(&requests, &sampling)
                .context("while asking for trims")?
            {
                answers.push(
                    completions
                        .into_iter()
                        .next()
                        .map(|one| one.text)
                        .unwrap_or_default(),
                );
            }
            progress.advance(some.len() as u64, "");
        }
        progress.finish();
        Ok((
            answers,
            started.elapsed().as_secs_f64() / self.rows.len() as f64,
        ))
    }

    fn scored(
        &self,
        what: &str,
        work: &(dyn Fn(usize, &Task) -> Result<Row> + Sync),
    ) -> Result<Vec<Row>> {
        let mut rows: Vec<Option<Row>> = vec![None; self.rows.len()];
        let mut progress = Progress::new(what, self.rows.len() as u64);
        let one = |at: usize| {
            self.interrupt
                .check(|| "nothing is written before every row was trimmed".into())?;
            work(at, self.task_of(at)?)
        };
        on_threads(self.rows.len(), self.workers, &one, &mut |at, row| {
            rows[at] = Some(Row {
                task: self.first_of(at),
                ..row?
            });
            progress.advance(1, "");
            Ok(())
        })?;
        progress.finish();
        Ok(rows.into_iter().flatten().collect())
    }

    fn trimmed(
        &self,
        row: &Triplet,
        task: &Task,
        trim: Option<&Patch>,
        seconds: f64,
    ) -> Result<Row> {
        let mut calls = 0;
        let mut passes = false;
        if let Some(trim) = trim.filter(|trim| !trim.is_empty()) {
            calls = 1;
            passes =
                self.grader.grade_anew(&self.set.root, task, trim)?.outcome == Outcome::Resolved;
        }
        let left = trim.filter(|_| passes).unwrap_or(&row.long);
        let ratio = size(left) as f64 / size(&row.refined).max(1) as f64;
        let wrong = trim.is_some() && !passes;
        let trimmed = trim.is_some_and(|trim| size(trim) < size(&row.long));
        let excess = self.excess(row, task, left);
        Ok(Row {
            passes,
            wrong,
            trimmed,
            ratio,
            cascade: ratio,
            excess,
            calls,
            seconds,
            ..Row::default()
        })
    }

    fn searched(&self, row: &Triplet, task: &Task) -> Result<Row> {
        let mut questions = Questions::new(self.grader, &self.set.root, task);
        let read = |path: &str| self.set.base_file(task, path).ok().flatten();
        let started = Instant::now();
        let mut judge = |patch: &Patch, tests: Tests| questions.verdict(patch, tests);
        let found = minimize(&row.long, &read, &mut judge, &MinimizeOptions::default())
            .with_context(|| format!("while making the triplet `{}` smaller", row.id))?;
        let ratio = size(&found.patch) as f64 / size(&row.refined).max(1) as f64;
        let (calls, seconds) = (questions.calls, started.elapsed().as_secs_f64());
        let excess = self.excess(row, task, &found.patch);
        Ok(Row {
            passes: true,
            trimmed: ratio < row.size_ratio(),
            ratio,
            cascade: ratio,
            excess,
            calls,
            seconds,
            ..Row::default()
        })
    }

    /// How much more a patch changes than the smallest does, by the tokens of the base files.
    fn excess(&self, row: &Triplet, task: &Task, patch: &Patch) -> f64 {
        let read = |path: &str| self.set.base_file(task, path).ok().flatten();
        let (mut tokens, mut more) = (0, 0.0);
        for path in row.long.paths() {
            let base = read(path).unwrap_or_default();
            let with = |patch: &Patch| {
                let changes = patch.apply(&read).unwrap_or_default();
                let change = changes.into_iter().find(|change| change.path == path);
                change.map_or_else(|| base.clone(), |change| change.content.unwrap_or_default())
            };
            tokens += words(&base).len();
            more += distance(&words(&with(patch)), &words(&base)) as f64;
            more -= distance(&words(&with(&row.refined)), &words(&base)) as f64;
        }
        more / tokens.max(1) as f64
    }

    fn score(&self, rows: &[Row]) -> TrimScore {
        let seed = draw::key(self.seed, &[0x7472]);
        let values = |of: fn(&Row) -> f64| by_task(rows.iter(), of);
        let share = |of: fn(&Row) -> f64| interval(&values(of), 0.0, seed, self.resamples);
        let mean = |values: &[f64]| bootstrap(values, seed, self.resamples);
        let passing = by_task(rows.iter().filter(|row| row.passes), |row| row.ratio);
        let count = rows.len() as f64;
        TrimScore {
            pass_after_trim: share(|row| f64::from(u8::from(row.passes))),
            wrong_trim: share(|row| f64::from(u8::from(row.wrong))),
            trimmed: share(|row| f64::from(u8::from(row.trimmed))),
            size_ratio: (!passing.is_empty()).then(|| mean(&passing)),
            cascade_size_ratio: mean(&values(|row| row.cascade)),
            excess_edit: mean(&values(|row| row.excess)),
            calls: rows.iter().map(|row| row.calls).sum::<usize>() as f64 / count,
            seconds: rows.iter().map(|row| row.seconds).sum::<f64>() / count,
            n: rows.len(),
        }
    }
}

fn question(row: &Triplet) -> Question<'_> {
    Question {
        issue: &row.issue,
        long: &row.long,
        failed: None,
    }
}

/// The mean of each task: rows of one task are alike, and an interval over rows would be too narrow.
fn by_task<'a>(rows: impl Iterator<Item = &'a Row>, of: fn(&Row) -> f64) -> Vec<f64> {
    let mut tasks: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    rows.for_each(|row| tasks.entry(row.task).or_default().push(of(row)));
    tasks
        .values()
        .map(|values| values.iter().sum::<f64>() / values.len() as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_counts_once() {
        let row = |task, ratio| Row {
            task,
            ratio,
            ..Row::default()
        };
        let rows = [row(0, 1.0), row(0, 3.0), row(4, 5.0)];
        assert_eq!(by_task(rows.iter(), |row| row.ratio), [2.0, 5.0]);
    }
}

//! `train data triplets`: tasks to fail → refine → pass, written as it goes.
//!
//! In: tasks and a sandbox. Out: Parquet shards by split, `triplets.json`, `dataset.md`, `dataset.json` and `summary.json`.
//! What became of a task is on disk before the next one; a run that was killed goes on with what it had, and ends with
//! the same bytes. Nothing that is written into the shards or the card knows a clock.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use data::clean::HeldOut;
use data::near::Near;
use data::ngram::Ngrams;
use data::source::jsonl::TaskSet;
use data::triplet::{Card, ReadTriplets, Split, Triplet, write_triplets};
use data::{Patch, Task, draw};
use rollout::grade::Grader;
use sandbox::SandboxError;
use serde::{Deserialize, Serialize};

use crate::grade::on_threads;
use crate::minimize::Counted;
use crate::run::interrupt::Interrupt;
use crate::run::journal::{Journal, Place};
use crate::run::progress::Progress;
use crate::settings::Settings;
use crate::terminal::{self, plain};

mod build;
mod lessons;
mod recheck;
mod score;

use build::{Building, Built};
pub use lessons::{LessonSummary, write_lessons};
pub use recheck::Recheck;
pub use score::{TrimScore, TrimSummary, Trimming};

/// The stage in the words of the command line.
pub const TRIPLETS: &str = "data triplets";
const SUMMARY: &str = "summary.json";
/// What the triplets of planted bugs are made of.
const PLANTED: &str = "a planted bug, its repair, and noise";

/// What somebody's repair of a task teaches.
#[derive(Clone, Debug, Default)]
pub struct Corrected {
    /// Its smallest part that passes; `None` where it could not be proven.
    pub smallest: Option<Patch>,
    /// The triplets.
    pub triplets: Vec<Triplet>,
    /// Why there are no more.
    pub dropped: BTreeMap<String, usize>,
}

/// Makes triplets of a task whose `gold` is somebody's repair, at most `per_task` with noise.
///
/// # Errors
///
/// When the sandbox fails three times.
pub fn of_correction(
    set: &TaskSet,
    task: &Task,
    grader: &Grader,
    (seed, per_task): (u64, usize),
    source: &str,
) -> Result<Corrected, SandboxError> {
    let building = Building {
        set,
        task,
        grader,
        seed,
        per_task,
        source,
    };
    let (smallest, built) = building.corrected()?;
    Ok(Corrected {
        smallest,
        triplets: built.triplets,
        dropped: built.dropped,
    })
}

/// What building triplets did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TripletSummary {
    /// Triplets in all.
    pub triplets: usize,
    /// Seconds of this process.
    pub seconds: f64,
    /// Triplets that this process made in an hour.
    pub triplets_per_hour: f64,
    /// Seconds of a worker for each triplet of this process.
    pub worker_seconds_per_triplet: f64,
    /// Runs of the sandbox in this process, whoever asked for them.
    pub sandbox_runs: usize,
    /// Tasks that the sandbox could not judge.
    pub infra: usize,
    /// The card, as in `dataset.json`.
    pub card: Card,
    /// What a second look at some rows found; none where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck: Option<Recheck>,
}

/// Triplets to build.
pub struct Tripling<'a> {
    /// Tasks, each set with its trees.
    pub sets: &'a [TaskSet],
    /// Tasks of evaluation sets: nothing of them may occur.
    pub against: &'a [TaskSet],
    /// N-grams of evaluation sets: no triplet may hold one.
    pub ngrams: &'a Ngrams,
    /// Judges patches.
    pub grader: &'a Grader,
    /// The sandbox of the grader.
    pub counted: &'a Counted,
    /// Tasks at once.
    pub workers: usize,
    /// From which everything is drawn.
    pub seed: u64,
    /// Triplets of one task at most.
    pub per_task: usize,
    /// Packages that are not trained on; none for a fifth of them, as the hash of their names has it.
    pub held_out_packages: &'a [String],
    /// Kinds of bugs that are not trained on; likewise.
    pub held_out_kinds: &'a [String],
    /// Rows that are looked at again.
    pub recheck: usize,
    /// Where it writes.
    pub out: &'a Path,
    /// What it rests on besides.
    pub settings: Settings,
    /// Whether it goes on with what is there.
    pub resume: bool,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

impl Tripling<'_> {
    /// Builds all triplets. None where an earlier process did.
    ///
    /// # Errors
    ///
    /// When no triplet comes of it, the disk is full, or a signal came: then what was done is kept.
    pub fn run(&self) -> Result<Option<TripletSummary>> {
        let started = Instant::now();
        let tasks: Vec<(&TaskSet, &Task)> = self
            .sets
            .iter()
            .flat_map(|set| set.tasks.iter().map(move |task| (set, task)))
            .collect();
        let journal = Journal::begin(
            Place::in_folder(self.out),
            TRIPLETS,
            self.rests_on(&tasks)?,
            self.resume,
        )?;
        let Some(mut journal) = journal else {
            return Ok(None);
        };
        let mut found: BTreeMap<usize, Result<Built, String>> = BTreeMap::new();
        for at in 0..tasks.len() {
            found.extend(
                journal
                    .find::<Built>(&key(at))?
                    .map(|built| (at, Ok(built))),
            );
        }
        let before: usize = found
            .values()
            .flatten()
            .map(|built| built.triplets.len())
            .sum();
        self.build(&tasks, &mut journal, &mut found)?;
        let kept = |found: &BTreeMap<usize, Result<Built, String>>| {
            let triplets: usize = found
                .values()
                .flatten()
                .map(|built| built.triplets.len())
                .sum();
            format!(
                "{triplets} triplets of {} of {} tasks are kept in `{}`",
                found.len(),
                tasks.len(),
                self.out.display()
            )
        };
        self.interrupt.check(|| kept(&found))?;
        let made: usize = found
            .values()
            .flatten()
            .map(|built| built.triplets.len())
            .sum();
        let building = started.elapsed().as_secs_f64();
        let (triplets, card, infra) = self.set_of(&tasks, found);
        terminal::tell_dropped(
            "triplets",
            card.dropped
                .iter()
                .map(|(why, count)| (*count, why.clone())),
        );
        if card.triplets == 0 {
            journal.abandon()?;
            bail!(
                "no triplet came of {} tasks{}",
                tasks.len(),
                data::Hint(
                    "give tasks whose repair passes and whose tests fail without it, such as those of `train data plant`"
                )
            );
        }
        write_triplets(self.out, &triplets)?;
        data::file::write_whole(
            &self.out.join("dataset.json"),
            &serde_json::to_vec_pretty(&card)?,
        )?;
        data::file::write_whole(&self.out.join("dataset.md"), card.page().as_bytes())?;
        let here = (made - before) as f64;
        let mut summary = TripletSummary {
            triplets: card.triplets,
            seconds: building,
            triplets_per_hour: here * 3600.0 / building.max(1e-9),
            worker_seconds_per_triplet: building * self.workers as f64 / here.max(1.0),
            sandbox_runs: self.counted.runs(),
            infra,
            card,
            recheck: None,
        };
        if self.recheck > 0 {
            summary.recheck = Some(self.recheck(&tasks, &triplets)?);
        }
        data::file::write_whole(
            &self.out.join(SUMMARY),
            &serde_json::to_vec_pretty(&summary)?,
        )?;
        journal.finish()?;
        Ok(Some(summary))
    }

    fn build(
        &self,
        tasks: &[(&TaskSet, &Task)],
        journal: &mut Journal,
        found: &mut BTreeMap<usize, Result<Built, String>>,
    ) -> Result<()> {
        let open: Vec<usize> = (0..tasks.len())
            .filter(|at| !found.contains_key(at))
            .collect();
        let barred = Barred::new(self.against);
        let mut progress = Progress::new("triplets", tasks.len() as u64);
        progress.advance_to(found.len() as u64);
        let mut count: usize = found
            .values()
            .flatten()
            .map(|built| built.triplets.len())
            .sum();
        let work = |at: usize| -> Option<Result<Built, String>> {
            let (set, task) = tasks[open[at]];
            if self.interrupt.asked() {
                return None;
            }
            if tasks[..open[at]]
                .iter()
                .any(|(_, other)| other.id == task.id)
            {
                return Some(Ok(Built::dropped(
                    "another task has the same id",
                    self.per_task,
                )));
            }
            if let Some(reason) = barred.reason(set, task) {
                return Some(Ok(Built::dropped(reason, self.per_task)));
            }
            let building = Building {
                set,
                task,
                grader: self.grader,
                seed: self.seed,
                per_task: self.per_task,
                source: PLANTED,
            };
            building
                .run(&|| self.interrupt.asked())
                .map_err(|error| error.to_string())
                .transpose()
        };
        on_threads(open.len(), self.workers, &work, &mut |at, built| {
            let Some(built) = built else { return Ok(()) };
            if let Ok(built) = &built {
                journal.add(&key(open[at]), built)?;
                count += built.triplets.len();
            }
            found.insert(open[at], built);
            progress.advance(1, format!("{count} triplets"));
            Ok(())
        })?;
        progress.finish();
        journal.sync()
    }

    /// The triplets by split, without those that came before, and the card.
    fn set_of(
        &self,
        tasks: &[(&TaskSet, &Task)],
        found: BTreeMap<usize, Result<Built, String>>,
    ) -> (ReadTriplets, Card, usize) {
        let mut card = Card::empty(self.seed);
        let (mut kept, mut infra) = (Vec::new(), 0);
        let (mut exact, mut near) = (HashSet::new(), Near::new());
        for (at, built) in found {
            let built = match built {
                Ok(built) => built,
                Err(error) => {
                    eprintln!(
                        "{}",
                        plain(&format!(
                            "warning: no verdict on `{}`: {error}",
                            tasks[at].1.id
                        ))
                    );
                    *card.dropped.entry("the sandbox failed".into()).or_default() += self.per_task;
                    infra += 1;
                    continue;
                }
            };
            card.calls += built.calls;
            for (reason, count) in built.dropped {
                *card.dropped.entry(reason).or_default() += count;
            }
            for triplet in built.triplets {
                let content = triplet.content();
                let reason =
                    if self.ngrams.occurs_in(&triplet.issue) || self.ngrams.occurs_in(&content) {
                        Some("thirteen words in a row are those of an evaluation set")
                    } else if !exact.insert(*blake3::hash(content.as_bytes()).as_bytes()) {
                        Some("an exact duplicate came before")
                    } else {
                        near.take(&content).map(|_| "a near duplicate came before")
                    };
                match reason {
                    Some(reason) => *card.dropped.entry(reason.into()).or_default() += 1,
                    None => kept.push(triplet),
                }
            }
        }
        let names = |of: fn(&Triplet) -> &String| {
            kept.iter()
                .map(|row| of(row).clone())
                .collect::<BTreeSet<_>>()
        };
        card.held_out_packages = held_out(names(|row| &row.repo), self.held_out_packages, 2);
        card.held_out_kinds = held_out(names(|row| &row.kind), self.held_out_kinds, 3);
        let mut triplets = ReadTriplets::new();
        for triplet in kept {
            let (package, kind) = (
                card.held_out_packages.contains(&triplet.repo),
                card.held_out_kinds.contains(&triplet.kind),
            );
            triplets
                .entry(Split::from_held_out(package, kind))
                .or_default()
                .push(triplet);
        }
        let card = Card::new(&triplets, card);
        (triplets, card, infra)
    }

    fn recheck(&self, tasks: &[(&TaskSet, &Task)], triplets: &ReadTriplets) -> Result<Recheck> {
        let all: Vec<&Triplet> = triplets.values().flatten().collect();
        let order = draw::permutation(draw::key(self.seed, &[0x7265]), all.len());
        let rows: Vec<&Triplet> = order
            .into_iter()
            .take(self.recheck)
            .map(|at| all[at])
            .collect();
        recheck::recheck(&rows, tasks, self.grader, self.workers, self.interrupt)
    }

    fn rests_on(&self, tasks: &[(&TaskSet, &Task)]) -> Result<Settings> {
        let hash = |value: Vec<u8>| blake3::hash(&value).to_hex()[..16].to_owned();
        let tasks: Vec<&Task> = tasks.iter().map(|(_, task)| *task).collect();
        let against: Vec<&Vec<Task>> = self.against.iter().map(|set| &set.tasks).collect();
        Ok(self
            .settings
            .clone()
            .with("seed", self.seed)
            .with("per_task", self.per_task)
            .with("hold_package", self.held_out_packages)
            .with("hold_kind", self.held_out_kinds)
            .with("content of --tasks", hash(serde_json::to_vec(&tasks)?))
            .with("content of --against", hash(serde_json::to_vec(&against)?))
            .with("n-grams of --against-rows", self.ngrams.fingerprint()))
    }
}

fn key(at: usize) -> String {
    format!("task {at}")
}

/// The names that are held out: those that were named and are there, or else a fifth of them, in an order that hangs on
/// nothing but the names, where there are `least` at least.
fn held_out(names: BTreeSet<String>, named: &[String], least: usize) -> Vec<String> {
    if !named.is_empty() {
        return names
            .into_iter()
            .filter(|name| named.contains(name))
            .collect();
    }
    if names.len() < least {
        return Vec::new();
    }
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by_cached_key(|name| *blake3::hash(name.as_bytes()).as_bytes());
    names.truncate((names.len() / 5).max(1));
    names.sort();
    names
}

/// What must not occur.
struct Barred {
    repos: HashSet<String>,
    commits: HashSet<String>,
    code: HeldOut,
}

impl Barred {
    fn new(against: &[TaskSet]) -> Self {
        let tasks = || {
            against
                .iter()
                .flat_map(|set| set.tasks.iter().map(move |task| (set, task)))
        };
        let bodies: Vec<String> = tasks().filter_map(|(set, task)| body(set, task)).collect();
        let commits = tasks()
            .map(|(_, task)| task.base_commit.clone())
            .filter(|commit| !commit.is_empty());
        Barred {
            repos: tasks().map(|(_, task)| task.repo.clone()).collect(),
            commits: commits.collect(),
            code: HeldOut::new(bodies.iter().map(String::as_str)),
        }
    }

    /// Why a task may not be used.
    fn reason(&self, set: &TaskSet, task: &Task) -> Option<&'static str> {
        if self.repos.contains(&task.repo) {
            return Some("the repository is one of an evaluation set");
        }
        if self.commits.contains(&task.base_commit) {
            return Some("the tree is one of an evaluation set");
        }
        let body = body(set, task)?;
        self.code
            .contains(&body)
            .then_some("the function occurs in an evaluation set")
    }
}

/// The function of a task without its bug.
fn body(set: &TaskSet, task: &Task) -> Option<String> {
    let text = set.read(task, &task.focus.path)?;
    let count = task.focus.last_line + 1 - task.focus.first_line;
    Some(
        text.lines()
            .skip(task.focus.first_line - 1)
            .take(count)
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_out_is_what_was_named_or_a_fifth() {
        let names = |count: usize| {
            (0..count)
                .map(|at| format!("p{at}"))
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(held_out(names(1), &[], 2), Vec::<String>::new());
        assert_eq!(held_out(names(2), &[], 2).len(), 1);
        assert_eq!(held_out(names(11), &[], 2).len(), 2);
        assert_eq!(
            held_out(names(11), &["p3".into(), "other".into()], 2),
            ["p3"]
        );
    }
}

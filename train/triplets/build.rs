//! One task to its triplets.
//!
//! In: a task, its trees, and a grader. Out: triplets, what was dropped and why, and how many runs of tests that took. The
//! repair is made smaller and run twice, once for all triplets of the task. Each triplet then takes two runs: the long
//! patch has to pass, and has to fail without one part of the repair. Where noise changed the repair itself, the smallest
//! patch is searched for.

use std::collections::BTreeMap;

use data::minimize::{MinimizeError, MinimizeOptions, Minimized, Tests, minimize};
use data::noise::{Mark, NoiseOptions, Repair, noisy, repair_within};
use data::patch::is_guarded;
use data::source::functions::python_files;
use data::source::jsonl::TaskSet;
use data::source::license::license;
use data::triplet::{FoundBy, Proof, TRIPLET_FORMAT, Triplet};
use data::{Patch, Task, draw};
use rollout::grade::Grader;
use rollout::outcome::Outcome;
use rollout::summary::summary;
use sandbox::{Failure, SandboxError};
use serde::{Deserialize, Serialize};

use crate::minimize::Questions;

/// Tries for one triplet: noise that turns a test red is drawn anew.
const TRIES: u64 = 3;
/// In one of so many triplets noise may change the lines of the repair, too.
const ENTANGLED: usize = 8;
/// The most questions of one search.
const SEARCH_CALLS: usize = 40;
/// Tokens of a failure, at four letters each.
const FAILURE_TOKENS: usize = 256;

/// What became of one task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Built {
    pub triplets: Vec<Triplet>,
    /// Why there are no more.
    pub dropped: BTreeMap<String, usize>,
    /// Runs of tests.
    pub calls: usize,
}

impl Built {
    /// Nothing, for a reason.
    pub fn dropped(reason: &str, count: usize) -> Built {
        Built {
            dropped: BTreeMap::from([(reason.to_string(), count)]),
            ..Built::default()
        }
    }
}

/// A task at work.
pub(super) struct Building<'a> {
    pub set: &'a TaskSet,
    pub task: &'a Task,
    pub grader: &'a Grader,
    pub seed: u64,
    pub per_task: usize,
    /// What the triplets are made of, in words.
    pub source: &'a str,
}

/// The repair of a task, made smaller and proven.
struct Core {
    patch: Patch,
    others: Vec<String>,
    license: String,
    tests: String,
    shared_calls: usize,
}

/// A triplet, or why there is none.
type Made = Result<Triplet, &'static str>;

impl Building<'_> {
    /// Builds every triplet of the task; none once `stop` says so.
    pub fn run(&self, stop: &dyn Fn() -> bool) -> Result<Option<Built>, SandboxError> {
        let mut questions = Questions::new(self.grader, &self.set.root, self.task);
        let core = match self.core(&mut questions)? {
            Ok(core) => core,
            Err(reason) => {
                return Ok(Some(Built {
                    calls: questions.calls,
                    ..Built::dropped(reason, self.per_task)
                }));
            }
        };
        let mut built = Built::default();
        for number in 0..self.per_task {
            let mut why = "";
            for attempt in 0..TRIES {
                if stop() {
                    return Ok(None);
                }
                let words = [hash_of(&self.task.id), number as u64, attempt];
                match self.triplet(&core, number, draw::key(self.seed, &words), &mut questions)? {
                    Ok(triplet) => {
                        built.triplets.push(triplet);
                        why = "";
                        break;
                    }
                    Err(reason) => why = reason,
                }
            }
            if !why.is_empty() {
                *built.dropped.entry(why.to_string()).or_default() += 1;
            }
        }
        built.calls = questions.calls;
        Ok(Some(built))
    }

    /// What a repair that somebody wrote teaches: first the repair as it was written, where parts of it are not needed, then
    /// its smallest part among noise. Also that part; `None` where it could not be proven.
    pub fn corrected(&self) -> Result<(Option<Patch>, Built), SandboxError> {
        let mut questions = Questions::new(self.grader, &self.set.root, self.task);
        let core = match self.core(&mut questions)? {
            Ok(core) => core,
            Err(reason) => return Ok((None, Built::dropped(reason, 1))),
        };
        let mut built = Built::default();
        let written = self.task.judged(&self.task.gold).0;
        let written = written.canonical(&|path| self.read(path));
        let mut tell = |made: Made| match made {
            Ok(triplet) => built.triplets.push(triplet),
            Err(reason) => *built.dropped.entry(reason.to_string()).or_default() += 1,
        };
        if let Some(written) = written.ok().filter(|written| *written != core.patch) {
            let long = (written, Vec::new());
            tell(self.proven(&core, (0, 0), long, &mut questions)?);
        }
        for number in 1..=self.per_task {
            let key = draw::key(self.seed, &[hash_of(&self.task.id), number as u64, 0]);
            tell(self.triplet(&core, number, key, &mut questions)?);
        }
        built.calls = questions.calls;
        Ok((Some(core.patch), built))
    }

    fn read(&self, path: &str) -> Option<String> {
        self.set.base_file(self.task, path).ok().flatten()
    }

    /// The smallest part of the task's own repair.
    fn core(&self, questions: &mut Questions) -> Result<Result<Core, &'static str>, SandboxError> {
        let gold = self.task.judged(&self.task.gold).0;
        if gold.is_empty() {
            return Ok(Err("the task's repair changes nothing but tests"));
        }
        let empty = questions.graded(&Patch::default(), Tests::FailToPass)?;
        if empty.outcome == Outcome::Resolved {
            return Ok(Err("the tests pass without a repair"));
        }
        if empty.failure.is_none() {
            return Ok(Err(
                "without a repair the tests hang or die, and tell no failure",
            ));
        }
        let found = match self.smallest(&gold, questions)? {
            Ok(found) => found,
            Err(reason) => return Ok(Err(reason)),
        };
        if questions.again(&found.patch)?.outcome != Outcome::Resolved {
            return Ok(Err(
                "the tests are flaky: the repair passed once and then failed",
            ));
        }
        let tree = self.set.root.join(&self.task.tree);
        let lists = serde_json::to_vec(&(&self.task.fail_to_pass, &self.task.pass_to_pass))
            .unwrap_or_default();
        Ok(Ok(Core {
            patch: found.patch,
            others: self.others(),
            license: license(&tree),
            tests: blake3::hash(&lists).to_hex().to_string(),
            shared_calls: questions.calls,
        }))
    }

    /// The other Python files of the package.
    fn others(&self) -> Vec<String> {
        let tree = self.set.root.join(&self.task.tree);
        let below =
            |path: &std::path::PathBuf| path.strip_prefix(&tree).ok()?.to_str().map(str::to_string);
        let files = python_files(&tree).unwrap_or_default();
        let paths = files.iter().filter_map(below);
        paths
            .filter(|path| *path != self.task.focus.path && !is_guarded(path))
            .collect()
    }

    fn smallest(
        &self,
        patch: &Patch,
        questions: &mut Questions,
    ) -> Result<Result<Minimized, &'static str>, SandboxError> {
        let options = MinimizeOptions {
            max_calls: SEARCH_CALLS,
            check_order: false,
        };
        let mut judge = |patch: &Patch, tests: Tests| questions.verdict(patch, tests);
        let found = match minimize(patch, &|path| self.read(path), &mut judge, &options) {
            Ok(found) => found,
            Err(MinimizeError::Judge(error)) => return Err(SandboxError::Environment(error.0)),
            Err(MinimizeError::DoesNotPass) => {
                return Ok(Err("the task's repair does not pass its tests"));
            }
            Err(MinimizeError::PassesWithout) => return Ok(Err("the tests pass without a repair")),
            Err(MinimizeError::Apply(_)) => return Ok(Err("the task's repair does not apply")),
            Err(MinimizeError::Empty) => return Ok(Err("the task's repair changes nothing")),
            Err(MinimizeError::Budget(_)) => {
                return Ok(Err("the search would take too many runs of tests"));
            }
        };
        let finished = found.is_one_minimal;
        Ok(if finished {
            Ok(found)
        } else {
            Err("the search would take too many runs of tests")
        })
    }

    fn triplet(
        &self,
        core: &Core,
        number: usize,
        key: u64,
        questions: &mut Questions,
    ) -> Result<Made, SandboxError> {
        let base = |path: &str| self.read(path);
        let focus = &self.task.focus;
        let repair = Repair {
            patch: &core.patch,
            base: &base,
            focus: (&focus.path, focus.first_line),
            others: &core.others,
        };
        let entangled = draw::below(key, 0, ENTANGLED) == 0;
        let options = NoiseOptions {
            entangled,
            ..NoiseOptions::default()
        };
        let Some((long, noise)) = noisy(&repair, key, &options) else {
            return Ok(Err("there is no place for noise"));
        };
        let Ok(long) = long.canonical(&base) else {
            return Ok(Err("there is no place for noise"));
        };
        self.proven(core, (number, key), (long, noise), questions)
    }

    /// The triplet of a long patch, with what shows that it is one.
    fn proven(
        &self,
        core: &Core,
        (number, key): (usize, u64),
        (long, noise): (Patch, Vec<Mark>),
        questions: &mut Questions,
    ) -> Result<Made, SandboxError> {
        let base = |path: &str| self.read(path);
        let before = questions.calls;
        if questions.graded(&long, Tests::All)?.outcome != Outcome::Resolved {
            return Ok(Err("the noise turns a test red"));
        }
        let (refined, kept, found_by) = match repair_within(&long, &core.patch, &base) {
            Some(kept) => (core.patch.clone(), kept, FoundBy::Repair),
            None => match self.searched(&long, questions)? {
                Ok(found) => (found.patch, found.kept, FoundBy::Search),
                Err(reason) => return Ok(Err(reason)),
            },
        };
        if refined == long {
            return Ok(Err("nothing of the long patch can be left out"));
        }
        let needed: Vec<usize> = (0..kept.len()).filter(|part| kept[*part]).collect();
        let lacking = needed[draw::below(key, 1, needed.len())];
        let less: Vec<bool> = (0..kept.len()).map(|part| part != lacking).collect();
        let Ok(failing) = long.keeping(&less).canonical(&base) else {
            return Ok(Err("the failing patch does not apply"));
        };
        let failed = questions.graded(&failing, Tests::FailToPass)?;
        let failure = match (&failed.outcome, &failed.failure) {
            (Outcome::Resolved, _) => {
                return Ok(Err(
                    "the noise repairs the bug, too: the smallest patch is ambiguous",
                ));
            }
            (_, None) => {
                return Ok(Err(
                    "with one part too few the tests hang or die, and tell no failure",
                ));
            }
            (_, Some(failure)) => told(failure),
        };
        let proof = Proof {
            fail_to_pass: self.task.fail_to_pass.clone(),
            pass_to_pass: self.task.pass_to_pass.len(),
            tests: core.tests.clone(),
            long: Outcome::Resolved.name().into(),
            failing: failed.outcome.name().into(),
            refined: Outcome::Resolved.name().into(),
            parts: needed.len(),
            found_by,
            calls: questions.calls - before,
            shared_calls: core.shared_calls,
            noise_key: key,
            source: self.source.into(),
            license: core.license.clone(),
        };
        Ok(Ok(self.written(
            number,
            [long, failing, refined],
            failure,
            (needed, lacking),
            noise,
            proof,
        )))
    }

    /// The smallest part of a long patch, run twice.
    fn searched(
        &self,
        long: &Patch,
        questions: &mut Questions,
    ) -> Result<Result<Minimized, &'static str>, SandboxError> {
        let found = match self.smallest(long, questions)? {
            Ok(found) => found,
            Err(reason) => return Ok(Err(reason)),
        };
        let again = questions.again(&found.patch)?.outcome;
        Ok(if again == Outcome::Resolved {
            Ok(found)
        } else {
            Err("the tests are flaky: the smallest patch passed once and then failed")
        })
    }

    fn written(
        &self,
        number: usize,
        [long, failing, refined]: [Patch; 3],
        failure: String,
        (needed, lacking): (Vec<usize>, usize),
        noise: Vec<Mark>,
        proof: Proof,
    ) -> Triplet {
        let Task {
            id,
            repo,
            base_commit,
            kind,
            statement,
            ..
        } = self.task.clone();
        Triplet {
            format: TRIPLET_FORMAT,
            id: format!("{id}.{number}"),
            task_id: id,
            repo,
            base_commit,
            kind,
            issue: statement,
            long,
            failing,
            failure,
            refined,
            kept: needed.iter().map(|part| part + 1).collect(),
            lacking: lacking + 1,
            noise,
            proof,
        }
    }
}

/// A failure in few words, the same in every run: addresses of objects are left out.
pub(super) fn told(failure: &Failure) -> String {
    let text = summary(failure, &|text| text.len().div_ceil(4), FAILURE_TOKENS);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..]
            .chars()
            .take_while(char::is_ascii_hexdigit)
            .count();
        out += &rest[..at + 2];
        out += if digits >= 6 {
            "…"
        } else {
            &rest[at + 2..at + 2 + digits]
        };
        rest = &rest[at + 2 + digits..];
    }
    out + rest
}

fn hash_of(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    u64::from_le_bytes(
        hash.as_bytes()[..8]
            .try_into()
            .expect("a hash has 32 bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_left_out_and_numbers_are_not() {
        let failure = |message: &str| Failure {
            test: "t".into(),
            exception: "E".into(),
            message: message.into(),
            ..Failure::default()
        };
        assert_eq!(
            told(&failure("<A at 0x7f0011223344> is not 0xff")),
            "t failed\nE: <A at 0x…> is not 0xff"
        );
    }
}

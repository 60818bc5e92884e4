//! What a package's tests said, run by run, so that a run that was killed asks for none of it again.
//!
//! In: changes to a clean tree and a judge. Out: its verdict, or the one that an earlier process wrote down. The first
//! verdict is written in full and the others as what differs from it: a package may have thousands of tests.
//! Example: of 3,000 tests the candidate fails one, and its line holds one name.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use data::FileChange;
use data::source::plant::{FailureText, JudgeError, Verdict};
use serde::{Deserialize, Serialize};

use crate::run::interrupt::Interrupt;
use crate::run::journal::Journal;

/// A verdict beside the first one of its package.
#[derive(Serialize, Deserialize)]
struct Beside {
    passed: Change,
    failed: Change,
    finished: bool,
    failure: Option<[String; 3]>,
}

/// What a set has less and more than another.
#[derive(Default, Serialize, Deserialize)]
struct Change {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    less: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more: Vec<String>,
}

impl Change {
    fn between(first: &BTreeSet<String>, other: &BTreeSet<String>) -> Self {
        let (less, more) = (
            first.difference(other).cloned().collect(),
            other.difference(first).cloned().collect(),
        );
        Change { less, more }
    }

    fn onto(self, first: &BTreeSet<String>) -> BTreeSet<String> {
        let mut set = first.clone();
        set.retain(|name| !self.less.contains(name));
        set.extend(self.more);
        set
    }
}

/// The verdicts on one package.
pub(super) struct Verdicts<'a> {
    interrupt: &'a Interrupt,
    package: &'a str,
    inner: Mutex<Inner<'a>>,
}

struct Inner<'a> {
    journal: &'a mut Journal,
    /// Runs over the same changes that were asked for so far.
    asked: HashMap<String, usize>,
    first: Option<Verdict>,
    /// Why the journal cannot be written.
    fault: Option<anyhow::Error>,
}

impl<'a> Verdicts<'a> {
    /// Those that `journal` has, and room for more.
    pub fn new(journal: &'a mut Journal, package: &'a str, interrupt: &'a Interrupt) -> Self {
        let inner = Inner {
            journal,
            asked: HashMap::new(),
            first: None,
            fault: None,
        };
        Verdicts {
            interrupt,
            package,
            inner: Mutex::new(inner),
        }
    }

    /// The next verdict on `changes`: one that was written down, or the judge's.
    ///
    /// # Errors
    ///
    /// As the judge; and once a signal came, or nothing can be written down.
    pub fn next(
        &self,
        changes: &[FileChange],
        judge: &dyn Fn(&[FileChange]) -> Result<Verdict, JudgeError>,
    ) -> Result<Verdict, JudgeError> {
        if self.interrupt.asked() {
            return Err(JudgeError("stopped by a signal".into()));
        }
        let name = named(changes);
        let key = {
            let mut inner = self.inner();
            let asked = inner.asked.entry(name.clone()).or_default();
            *asked += 1;
            let key = format!("run {} {name} {asked}", self.package);
            if let Some(known) = inner
                .known(&key)
                .map_err(|error| JudgeError(format!("{error:#}")))?
            {
                return Ok(known);
            }
            key
        };
        let verdict = judge(changes);
        let mut inner = self.inner();
        match &verdict {
            Ok(verdict) => inner.keep(&key, verdict),
            // It has no place: whoever asks again asks for the same run.
            Err(_) => drop(inner.asked.entry(name).and_modify(|asked| *asked -= 1)),
        }
        verdict
    }

    /// Whether every verdict was written down.
    ///
    /// # Errors
    ///
    /// When the disk was full.
    pub fn written(self) -> Result<()> {
        let inner = self
            .inner
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        inner.fault.map_or(Ok(()), Err)
    }

    fn inner(&self) -> MutexGuard<'_, Inner<'a>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner<'_> {
    fn known(&mut self, key: &str) -> Result<Option<Verdict>> {
        let Some(beside) = self.journal.find::<Beside>(key)? else {
            return Ok(None);
        };
        let none = Verdict::default();
        let first = self.first.as_ref().unwrap_or(&none);
        let verdict = Verdict {
            passed: beside.passed.onto(&first.passed),
            failed: beside.failed.onto(&first.failed),
            finished: beside.finished,
            failure: beside
                .failure
                .map(|[test, exception, message]| FailureText {
                    test,
                    exception,
                    message,
                }),
        };
        self.first.get_or_insert_with(|| verdict.clone());
        Ok(Some(verdict))
    }

    fn keep(&mut self, key: &str, verdict: &Verdict) {
        let none = Verdict::default();
        let first = self.first.as_ref().unwrap_or(&none);
        let failure = verdict.failure.clone();
        let beside = Beside {
            passed: Change::between(&first.passed, &verdict.passed),
            failed: Change::between(&first.failed, &verdict.failed),
            finished: verdict.finished,
            failure: failure.map(
                |FailureText {
                     test,
                     exception,
                     message,
                 }| [test, exception, message],
            ),
        };
        if let Err(error) = self.journal.add(key, &beside) {
            self.fault.get_or_insert(error);
        }
        self.first.get_or_insert_with(|| verdict.clone());
    }
}

/// A short name of changes; `clean` where there are none.
fn named(changes: &[FileChange]) -> String {
    if changes.is_empty() {
        return "clean".into();
    }
    let mut hash = blake3::Hasher::new();
    for FileChange { path, content } in changes {
        let text = content
            .as_deref()
            .map_or("-".into(), |text| format!("+{text}"));
        for part in [path.as_str(), &text] {
            hash.update(&(part.len() as u64).to_le_bytes())
                .update(part.as_bytes());
        }
    }
    hash.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::run::journal::Place;
    use crate::settings::Settings;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_killed_run_asks_for_nothing_again_and_hears_the_same() {
        let folder = std::env::temp_dir().join(format!("verdicts-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let clean = Verdict {
            passed: set(&["a", "b", "c"]),
            finished: true,
            ..Verdict::default()
        };
        let failure = FailureText {
            test: "b".into(),
            exception: "E".into(),
            message: "m".into(),
        };
        let broken = Verdict {
            passed: set(&["a", "new"]),
            failed: set(&["b"]),
            finished: true,
            failure: Some(failure),
        };
        let change = [FileChange {
            path: "x.py".into(),
            content: Some("x".into()),
        }];
        let calls = Cell::new(0);
        let judge = |changes: &[FileChange]| {
            calls.set(calls.get() + 1);
            // The third is our own fault, and is asked for again.
            if calls.get() == 3 {
                return Err(JudgeError("no memory".into()));
            }
            Ok(if changes.is_empty() {
                clean.clone()
            } else {
                broken.clone()
            })
        };
        let heard = |resume| {
            let settings = Settings::default();
            let journal =
                Journal::begin(Place::in_folder(&folder), "x", settings, resume).expect("begins");
            let mut journal = journal.expect("is not over");
            let interrupt = Interrupt::default();
            let verdicts = Verdicts::new(&mut journal, "p", &interrupt);
            let asked = [&[][..], &change, &change, &[]];
            let heard: Vec<_> = asked
                .iter()
                .map(|changes| {
                    verdicts
                        .next(changes, &judge)
                        .or_else(|_| verdicts.next(changes, &judge))
                })
                .collect();
            interrupt.ask();
            assert!(verdicts.next(&change, &judge).is_err());
            verdicts.written().expect("everything is written");
            heard
        };
        let first = heard(false);
        assert_eq!((calls.get(), &first[1]), (5, &Ok(broken.clone())));
        assert_eq!(heard(true), first);
        assert_eq!(calls.get(), 5);
        std::fs::remove_dir_all(&folder).expect("cleans up");
    }
}

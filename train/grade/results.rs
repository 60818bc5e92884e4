//! The file of verdicts, which a killed run goes on with. No verdict leaves it before another one is in its place.
//!
//! In: the folder of a run, and the keys of what is to be judged. Out: `results.jsonl` with one line per prediction, in
//! their order when the run is over, and `results.earlier.jsonl` with what was said about other answers: they are
//! taken over where these answers come back.
//! Example: `Results::open(out, &keys)?.find(&keys[0])` is the verdict of an earlier run on the same answer.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use data::file::FileError;
use data::log::Log;
use data::source::jsonl::{read_rows, write_rows};

use super::Verdict;
use crate::run::journal::no_run;

/// The file of verdicts.
pub const RESULTS_FILE: &str = "results.jsonl";
/// The file of verdicts on other answers.
pub const EARLIER_FILE: &str = "results.earlier.jsonl";

/// Refuses a folder with verdicts where nobody said that they are kept, and one without where somebody did.
///
/// # Errors
///
/// When there are some and `resume` is false, or there are none and it is true.
pub fn refuse_earlier(out: &Path, resume: bool) -> Result<()> {
    let path = out.join(RESULTS_FILE);
    if resume && !path.exists() && !out.join(EARLIER_FILE).exists() {
        bail!(no_run(out, "grade"));
    }
    if path.exists() && !resume {
        bail!(
            "`{}` is there already{}",
            path.display(),
            data::Hint("`--resume` keeps its verdicts; or choose another `--out`")
        );
    }
    Ok(())
}

/// Verdicts by their key, and the file that gets each new one at once.
pub(super) struct Results {
    path: PathBuf,
    log: Log,
    known: HashMap<String, Verdict>,
}

impl Results {
    /// Opens the folder of a run that judges what has these keys. Verdicts that have others are put aside.
    ///
    /// # Errors
    ///
    /// When a file is damaged, or cannot be written.
    pub fn open(out: &Path, keys: &[String]) -> Result<Self> {
        let (path, aside) = (out.join(RESULTS_FILE), out.join(EARLIER_FILE));
        let mut known = HashMap::new();
        for file in [&aside, &path] {
            known.extend(
                verdicts_of(file)?
                    .into_iter()
                    .map(|verdict| (verdict.key.clone(), verdict)),
            );
        }
        // Nothing is gone for a moment: all of it is put aside, and only then sorted.
        if !known.is_empty() {
            write_rows(&aside, &sorted(known.values()))?;
        }
        let kept: Vec<&Verdict> = keys.iter().filter_map(|key| known.get(key)).collect();
        write_rows(&path, &kept)?;
        let wanted: HashSet<&String> = keys.iter().collect();
        let (matching, others): (HashMap<_, _>, HashMap<_, _>) =
            known.into_iter().partition(|(key, _)| wanted.contains(key));
        if !others.is_empty() {
            write_rows(&aside, &sorted(others.values()))?;
        } else if aside.exists() {
            fs::remove_file(&aside).map_err(|error| FileError::new("remove", &aside, error))?;
        }
        let log = Log::open(&path)?;
        Ok(Results {
            path,
            log,
            known: matching,
        })
    }

    /// The verdict with this key.
    pub fn find(&self, key: &str) -> Option<&Verdict> {
        self.known.get(key)
    }

    /// The same answer, said to come from `model`.
    pub fn answered_by(&mut self, key: &str, model: &str) {
        if let Some(verdict) = self.known.get_mut(key) {
            model.clone_into(&mut verdict.model_name_or_path);
        }
    }

    /// Adds a verdict, in place of an earlier one with its key.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn add(&mut self, verdict: Verdict) -> Result<()> {
        self.log.write(&verdict)?;
        self.known.insert(verdict.key.clone(), verdict);
        Ok(())
    }

    /// Writes the file anew in the order of `keys`, and returns what stands there.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn finish(self, keys: &[String]) -> Result<Vec<Verdict>> {
        let verdicts: Vec<Verdict> = keys
            .iter()
            .filter_map(|key| self.known.get(key).cloned())
            .collect();
        write_rows(&self.path, &verdicts)?;
        Ok(verdicts)
    }
}

fn sorted<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> Vec<&'a Verdict> {
    let mut verdicts: Vec<&Verdict> = verdicts.collect();
    verdicts
        .sort_by(|one, other| (&one.instance_id, &one.key).cmp(&(&other.instance_id, &other.key)));
    verdicts
}

/// The verdicts of a file; none where there is no file. A line that was being written when it was killed is not one.
fn verdicts_of(path: &Path) -> Result<Vec<Verdict>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let whole = fs::read(path).map_err(|error| FileError::new("read", path, error))?;
    let end = whole
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    if end < whole.len() {
        data::file::write_whole(path, &whole[..end])?;
    }
    Ok(read_rows(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollout::outcome::Resolution;

    fn verdict(key: &str, outcome: Resolution) -> Verdict {
        Verdict {
            instance_id: "a".into(),
            outcome,
            quarantined: false,
            reason: String::new(),
            seconds: 0.0,
            tests_seconds: 0.0,
            evidence_seconds: 0.0,
            model_name_or_path: "m".into(),
            key: key.into(),
        }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("results-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| key.to_string()).collect()
    }

    #[test]
    fn verdicts_on_other_answers_are_kept_and_come_back() {
        let out = &folder("others");
        let mut first = Results::open(out, &keys(&["1", "2"])).expect("opens");
        first.add(verdict("1", Resolution::Resolved)).expect("adds");
        first
            .add(verdict("2", Resolution::Unresolved))
            .expect("adds");
        first.finish(&keys(&["1", "2"])).expect("finishes");
        let second = Results::open(out, &keys(&["3"])).expect("opens");
        assert!(
            second.find("1").is_none()
                && second.finish(&keys(&["3"])).expect("finishes").is_empty()
        );
        let third = Results::open(out, &keys(&["2", "1"])).expect("opens");
        assert_eq!(third.finish(&keys(&["2", "1"])).expect("finishes").len(), 2);
        assert!(!out.join(EARLIER_FILE).exists());
        fs::remove_dir_all(out).expect("cleans up");
    }

    #[test]
    fn a_verdict_stays_until_another_one_is_in_its_place() {
        let out = &folder("replaced");
        let mut first = Results::open(out, &keys(&["1"])).expect("opens");
        first.add(verdict("1", Resolution::Timeout)).expect("adds");
        // As after a kill: nobody finished it, and the next run dies before it judges.
        drop(Results::open(out, &keys(&["1"])).expect("opens"));
        let mut third = Results::open(out, &keys(&["1"])).expect("opens");
        assert_eq!(
            third.find("1").map(|verdict| verdict.outcome),
            Some(Resolution::Timeout)
        );
        third.add(verdict("1", Resolution::Resolved)).expect("adds");
        let last = Results::open(out, &keys(&["1"]))
            .expect("opens")
            .finish(&keys(&["1"]))
            .expect("finishes");
        assert_eq!(
            last.iter()
                .map(|verdict| verdict.outcome)
                .collect::<Vec<_>>(),
            [Resolution::Resolved]
        );
        fs::remove_dir_all(out).expect("cleans up");
    }
}

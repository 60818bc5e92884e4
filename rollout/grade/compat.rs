//! What others would read from a text log: for comparison only, never a reward.
//!
//! In: a log, and the tests that judge. Out: the verdict that SWE-bench's own rules give, version by version.
//! A text log cannot be read without loss: an id is cut at its first blank, color hides a line, and the code under test
//! can print what it likes. Example: `PASSED t.py::a[x y]` is read as a pass of `t.py::a[x`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

const START: &str = ">>>>> Start Test Output";
const END: &str = ">>>>> End Test Output";
const EXIT_CODE: &str = ">>>>> Test Exit Code:";
/// A log that holds one of these is not read.
const REJECTED: [&str; 4] = [
    ">>>>> Patch Apply Failed",
    ">>>>> Reset Failed",
    ">>>>> Tests Errored",
    ">>>>> Tests Timed Out",
];

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compat {
    /// 5.0: skips in sum are no test, the exit code has to agree, a skipped test is no success of `FAIL_TO_PASS`.
    #[serde(rename = "swebench-5.0")]
    Swebench5,
    /// 4.x: none of that.
    #[serde(rename = "swebench-4")]
    Swebench4,
}

/// The words that a line may begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogStatus {
    /// It passed.
    Passed,
    /// It failed, as expected: as good as passed.
    Xfail,
    /// It failed.
    Failed,
    /// It could not be set up or torn down.
    Error,
    /// It did not run.
    Skipped,
}

const WORDS: [(&str, LogStatus); 5] = [
    ("FAILED", LogStatus::Failed),
    ("PASSED", LogStatus::Passed),
    ("SKIPPED", LogStatus::Skipped),
    ("ERROR", LogStatus::Error),
    ("XFAIL", LogStatus::Xfail),
];

impl Compat {
    /// The status of every test that `pytest -rA` tells; the last line of a test counts. `XPASS` is no status.
    pub fn parse(self, log: &str) -> BTreeMap<String, LogStatus> {
        let read = |line: &str| {
            let (_, starts) = WORDS.iter().find(|(word, _)| line.starts_with(word))?;
            // The message of a failure stands behind a dash; so may a part of an id.
            let line = if *starts == LogStatus::Failed {
                line.replace(" - ", " ")
            } else {
                line.to_owned()
            };
            let mut words = line.split_whitespace();
            let (first, test) = (words.next()?, words.next()?);
            // `FAILEDx` begins with a status and is none.
            let (_, status) = WORDS.iter().find(|(word, _)| *word == first)?;
            let sum = *status == LogStatus::Skipped && is_count(test);
            (!sum || self == Compat::Swebench4).then(|| (test.to_owned(), *status))
        };
        log.split('\n').filter_map(read).collect()
    }

    /// What a log says; none where it is rejected, which is no success.
    pub fn statuses(self, log: &str) -> Option<BTreeMap<String, LogStatus>> {
        if REJECTED.iter().any(|marker| log.contains(marker)) || !log.contains(END) {
            return None;
        }
        let (_, inside) = log.split_once(START)?;
        let inside = inside.split(END).next().unwrap_or(inside);
        let mut found = self.parse(inside);
        if self == Compat::Swebench4 {
            return Some(found);
        }
        if found.is_empty() {
            found = self.parse(log);
        }
        let failed = found
            .values()
            .any(|status| matches!(status, LogStatus::Failed | LogStatus::Error));
        let lies = exit_code(log).is_some_and(|code| code != 0) && !failed;
        (!found.is_empty() && !lies).then_some(found)
    }

    /// The verdict. A list without tests is satisfied.
    pub fn resolved(self, log: &str, fail_to_pass: &[String], pass_to_pass: &[String]) -> bool {
        let Some(found) = self.statuses(log) else {
            return false;
        };
        let status = |id: &String| self.find(&found, id);
        let passed = |id: &String| matches!(status(id), Some(LogStatus::Passed | LogStatus::Xfail));
        let skipped = |id: &String| status(id) == Some(LogStatus::Skipped);
        // In 4.x what is skipped stands in neither list; in 5.0 it is kept and not repaired.
        let old = self == Compat::Swebench4;
        fail_to_pass
            .iter()
            .all(|id| passed(id) || (old && skipped(id)))
            && pass_to_pass.iter().all(|id| passed(id) || skipped(id))
    }

    /// An id of a data set may be cut within its parameter: then all that it may stand for have to agree.
    fn find(self, found: &BTreeMap<String, LogStatus>, id: &str) -> Option<LogStatus> {
        let cut = id.matches('[').count() > id.matches(']').count();
        if let Some(status) = found.get(id) {
            return Some(*status);
        }
        if !cut || self == Compat::Swebench4 {
            return None;
        }
        let passes = |status: LogStatus| matches!(status, LogStatus::Passed | LogStatus::Xfail);
        let mut candidates = found
            .iter()
            .filter(|(name, _)| name.starts_with(id))
            .map(|(_, status)| *status);
        let first = candidates.next()?;
        candidates
            .all(|other| passes(other) == passes(first))
            .then_some(first)
    }
}

/// `[3]`: how many were skipped for one reason.
fn is_count(word: &str) -> bool {
    let inner = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'));
    inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit()))
}

fn exit_code(log: &str) -> Option<i64> {
    let (_, behind) = log.split_once(EXIT_CODE)?;
    behind
        .lines()
        .next()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Compat::{Swebench4, Swebench5};

    fn log(lines: &str) -> String {
        format!("{START}\n{lines}\n{END}\n")
    }

    fn resolved(compat: Compat, log: &str) -> bool {
        compat.resolved(log, &["t.py::a".into()], &["t.py::b".into()])
    }

    /// Verdicts of 5.0 and 4.x.
    #[track_caller]
    fn says(lines: &str, verdicts: [bool; 2]) {
        assert_eq!(
            [Swebench5, Swebench4].map(|compat| resolved(compat, &log(lines))),
            verdicts,
            "{lines}"
        );
    }

    #[test]
    fn a_missing_test_fails_and_an_expected_failure_passes() {
        says("PASSED t.py::a\nPASSED t.py::b", [true, true]);
        says("XFAIL t.py::a\nXFAIL t.py::b - why", [true, true]);
        says("PASSED t.py::a", [false, false]);
        says("XPASS t.py::a\nPASSED t.py::b", [false, false]);
        says("ERROR t.py::a\nPASSED t.py::b", [false, false]);
        says(
            "PASSED t.py::a\nFAILED t.py::b - assert 1 == 2",
            [false, false],
        );
    }

    #[test]
    fn a_skipped_test_is_kept_and_since_5_not_repaired() {
        says("PASSED t.py::a\nSKIPPED t.py::b", [true, true]);
        says("SKIPPED t.py::a\nPASSED t.py::b", [false, true]);
        let counted = "SKIPPED [2] t.py:3: no network";
        assert!(Swebench5.parse(counted).is_empty());
        assert_eq!(Swebench4.parse(counted).keys().collect::<Vec<_>>(), ["[2]"]);
    }

    #[test]
    fn what_text_loses_is_lost_here_too() {
        let read = |line: &str| Swebench5.parse(line).into_keys().collect::<Vec<_>>();
        assert_eq!(read("PASSED t.py::a[x y]"), ["t.py::a[x"], "blanks");
        assert_eq!(read("FAILED t.py::a - b"), ["t.py::a"]);
        assert_eq!(
            read("FAILED t.py::a[p - q] - assert 0"),
            ["t.py::a[p"],
            "a dash in a parameter"
        );
        assert_eq!(read("\u{1b}[32mPASSED\u{1b}[0m t.py::a"), [""; 0], "color");
        assert_eq!(read("PASSED"), [""; 0]);
        assert_eq!(
            Swebench5.parse("FAILED t.py::a\nPASSED t.py::a")["t.py::a"],
            LogStatus::Passed,
            "the last counts"
        );
    }

    #[test]
    fn an_id_that_was_cut_stands_for_those_that_agree() {
        let id = ["t.py::a[log(photon".to_owned()];
        let resolved = |compat: Compat, lines: &str| compat.resolved(&log(lines), &id, &[]);
        let agree = "PASSED t.py::a[log(photon_1)]\nXFAIL t.py::a[log(photon_2)]";
        assert_eq!(
            [Swebench5, Swebench4].map(|compat| resolved(compat, agree)),
            [true, false]
        );
        assert!(!resolved(
            Swebench5,
            "PASSED t.py::a[log(photon_1)]\nFAILED t.py::a[log(photon_2)]"
        ));
    }

    #[test]
    fn a_log_that_is_no_log_resolves_nothing() {
        let good = log("PASSED t.py::a\nPASSED t.py::b");
        assert!(resolved(Swebench5, &good));
        for marker in REJECTED {
            assert!(
                !resolved(Swebench5, &format!("{good}{marker}\n")),
                "{marker}"
            );
        }
        assert!(
            !resolved(Swebench5, "PASSED t.py::a\nPASSED t.py::b\n"),
            "without markers"
        );
        assert_eq!(Swebench5.statuses(&log("nothing")), None);
        // Results behind the end are read where there are none before it, since 5.0.
        let late = format!("{}PASSED t.py::a\nPASSED t.py::b\n", log(""));
        assert_eq!(
            [Swebench5, Swebench4].map(|compat| resolved(compat, &late)),
            [true, false]
        );
    }

    #[test]
    fn an_exit_code_that_does_not_agree_rejects_the_log_since_5() {
        let with = |code: i32, lines: &str| format!("{}{EXIT_CODE} {code}\n", log(lines));
        let passed = "PASSED t.py::a\nPASSED t.py::b";
        assert_eq!(
            [Swebench5, Swebench4].map(|compat| resolved(compat, &with(1, passed))),
            [false, true]
        );
        assert!(resolved(Swebench5, &with(0, passed)));
        let other = format!("{passed}\nFAILED t.py::c");
        assert!(
            resolved(Swebench5, &with(1, &other)),
            "a failure elsewhere explains the code"
        );
    }
}

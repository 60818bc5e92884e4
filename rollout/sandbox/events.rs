//! From events on a pipe to a [`TestRun`].
//!
//! In: bytes of the event pipe, the job's nonce and canaries. Out: what ran, the first failure, the closing event.
//! The code under test shares the process that writes the events, so the stream is believed only as a whole: every
//! line carries the nonce and the next number, and both canaries (tests that must fail) failed. One foreign line spoils
//! it, and a spoiled run is a run that died.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::ablation::Ablation;
use super::workspace::Worked;
use super::{End, Failure, Frame, TestRun, TestStatus};
use crate::embedded::init::Refused;

/// Bytes of events that one job may send: far beyond any honest suite.
const MAX_BYTES: usize = 64 << 20;

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "s")]
    number: u64,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "k", rename_all = "lowercase")]
enum Kind {
    /// A barrier could not be raised; believed before `start` only.
    Refused {
        barrier: String,
        reason: String,
    },
    /// The last privilege is gone; code under test may run from here on.
    Start,
    /// Whoever judges is not who it was.
    Spoiled,
    Collected {
        count: usize,
        #[serde(default)]
        missing: BTreeMap<String, Vec<String>>,
    },
    Test {
        id: String,
        status: TestStatus,
        #[serde(default)]
        why: String,
    },
    Canary {
        name: String,
        status: TestStatus,
    },
    Failure {
        test: String,
        exception: String,
        message: String,
        trace: String,
        #[serde(default)]
        frames: Vec<Frame>,
        #[serde(default)]
        stdout: String,
        #[serde(default)]
        stderr: String,
    },
    Finish {
        exit: i32,
    },
    /// A command ended in its work tree.
    Worked(Worked),
}

/// Reads the events of one job.
pub(crate) struct Events {
    nonce: String,
    canaries: [String; 2],
    began: Instant,
    partial: Vec<u8>,
    bytes: usize,
    next: u64,
    started: bool,
    collected: usize,
    failed_canaries: usize,
    tests: BTreeMap<String, TestStatus>,
    missing: BTreeMap<String, Vec<String>>,
    whys: BTreeMap<String, String>,
    first_failure: Option<Failure>,
    finish: Option<i32>,
    worked: Option<Worked>,
    refused: Option<Refused>,
    spoiled: Option<&'static str>,
    ablation: Ablation,
}

impl Events {
    pub fn new(nonce: String, canaries: [String; 2]) -> Self {
        Events {
            nonce,
            canaries,
            began: Instant::now(),
            partial: Vec::new(),
            bytes: 0,
            next: 0,
            started: false,
            collected: 0,
            failed_canaries: 0,
            tests: BTreeMap::new(),
            missing: BTreeMap::new(),
            whys: BTreeMap::new(),
            first_failure: None,
            finish: None,
            worked: None,
            refused: None,
            spoiled: None,
            ablation: Ablation::default(),
        }
    }

    /// Believes more than it should: for measuring alone.
    pub fn weaken(&mut self, ablation: &Ablation) {
        self.ablation = ablation.clone();
    }

    /// True once the closing event was read.
    pub fn finished(&self) -> bool {
        self.finish.is_some() || self.worked.is_some()
    }

    /// What came of a command in a work tree; none where its end was not told, or is not believed.
    pub fn take_worked(&mut self) -> Option<Worked> {
        self.worked.take().filter(|_| self.spoiled.is_none())
    }

    /// Takes what came over the pipe.
    pub fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        if self.bytes > MAX_BYTES {
            self.spoiled = Some("more events than any suite sends");
        }
        if self.spoiled.is_some() {
            return;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                self.line(&line);
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            if self.ablation.channel {
                return;
            }
            self.spoiled = Some("a line on the event channel is no event");
            return;
        };
        let ours = event.nonce == self.nonce && event.number == self.next && self.finish.is_none();
        if !ours && !self.ablation.channel {
            self.spoiled = Some("an event on the channel is not ours");
            return;
        }
        self.next += 1;
        match event.kind {
            Kind::Refused { barrier, reason } if !self.started => {
                self.refused = Some(Refused { barrier, reason })
            }
            Kind::Refused { .. } => self.spoiled = Some("a barrier was refused after the start"),
            Kind::Start => self.started = true,
            Kind::Spoiled => self.spoiled = Some("somebody exchanged who judges"),
            Kind::Collected { count, missing } => (self.collected, self.missing) = (count, missing),
            Kind::Test { id, status, why } => {
                if status == TestStatus::Failed {
                    self.whys.entry(id.clone()).or_insert(why);
                }
                // A test that ran twice is worth its worst run.
                let known = self.tests.entry(id).or_insert(status);
                *known = status.max(*known);
            }
            Kind::Canary { name, status } => {
                if status != TestStatus::Failed || !self.canaries.contains(&name) {
                    self.spoiled = Some("a test that must fail did not");
                }
                self.failed_canaries += 1;
            }
            Kind::Failure {
                test,
                exception,
                message,
                trace,
                frames,
                stdout,
                stderr,
            } => {
                let after_ms = self.began.elapsed().as_millis() as u64;
                let failure = Failure {
                    test,
                    exception,
                    message,
                    trace,
                    frames,
                    stdout,
                    stderr,
                    after_ms,
                };
                self.first_failure.get_or_insert(failure);
            }
            Kind::Finish { exit } => self.finish = Some(exit),
            Kind::Worked(worked) => self.worked = Some(worked),
        }
    }

    /// The run, when the process tree is gone. `Err` where the sandbox itself gave up before any code ran.
    pub fn into_run(
        mut self,
        killed: bool,
        status: i32,
        mut output: String,
        wall: Duration,
    ) -> Result<TestRun, Refused> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        // What never began was not the code's fault, however long it took.
        if !self.started {
            return Err(Refused::new(
                "start",
                format!("the job's process ended with {status}: {output}"),
            ));
        }
        let whole = self.ablation.canaries
            || self.collected == 0
            || self.failed_canaries == self.canaries.len()
            || (self.failed_canaries < self.canaries.len() && self.first_failure.is_some());
        let told = self
            .first_failure
            .as_ref()
            .and_then(|failure| self.tests.get(&failure.test));
        if told == Some(&TestStatus::Passed) && !self.ablation.integrity {
            self.spoiled = Some("a test failed and passed");
        }
        if self.finish.is_some() && !whole {
            self.spoiled = Some("a test that must fail did not run");
        }
        let end = match (self.finish, self.spoiled) {
            _ if killed => End::TimedOut,
            (Some(exit), None) => End::Finished {
                exit: self.exit_without_canaries(exit),
            },
            (_, Some(why)) => {
                output.push_str(&format!("\n[the run is not believed: {why}]"));
                End::Died { exit: status }
            }
            (None, None) => End::Died { exit: status },
        };
        let Events {
            tests,
            missing,
            whys,
            first_failure,
            ..
        } = self;
        Ok(TestRun {
            tests,
            missing,
            whys,
            end,
            first_failure,
            output,
            wall,
            cpu: None,
        })
    }

    /// The runner exits with 1 because of the canaries even where every real test passed.
    fn exit_without_canaries(&self, exit: i32) -> i32 {
        let failed = self.first_failure.is_some()
            || self
                .tests
                .values()
                .any(|status| *status == TestStatus::Failed);
        if exit == 1 && self.failed_canaries > 0 && !failed {
            0
        } else {
            exit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = r#""k":"test","id":"test_a.py::test_one","status":"passed""#;

    fn run(lines: &[&str]) -> Result<TestRun, Refused> {
        let mut events = Events::new("secret".to_string(), ["c1".to_string(), "c2".to_string()]);
        for (number, line) in lines.iter().enumerate() {
            let line = match line.starts_with('"') {
                true => format!("{{\"n\":\"secret\",\"s\":{number},{line}}}\n"),
                false => format!("{line}\n"),
            };
            events.take(line.as_bytes());
        }
        events.into_run(false, 0, String::new(), Duration::ZERO)
    }

    fn end(lines: &[&str]) -> End {
        run(lines).expect("the sandbox did its part").end
    }

    const CANARIES: [&str; 2] = [
        r#""k":"canary","name":"c1","status":"failed""#,
        r#""k":"canary","name":"c2","status":"failed""#,
    ];

    #[test]
    fn a_whole_stream_is_a_finished_run() {
        let [first, second] = CANARIES;
        let lines = [
            r#""k":"start""#,
            r#""k":"collected","count":1"#,
            first,
            TEST,
            second,
            r#""k":"finish","exit":1"#,
        ];
        let run = run(&lines).expect("a run");
        assert_eq!(run.end, End::Finished { exit: 0 });
        assert_eq!(run.tests["test_a.py::test_one"], TestStatus::Passed);
    }

    #[test]
    fn a_missing_end_is_a_death() {
        assert_eq!(end(&[r#""k":"start""#, TEST]), End::Died { exit: 0 });
    }

    #[test]
    fn one_foreign_line_spoils_the_run() {
        let [first, second] = CANARIES;
        let forged = r#"{"n":"guess","s":2,"k":"test","id":"x","status":"passed"}"#;
        let lines = [
            r#""k":"start""#,
            first,
            forged,
            second,
            r#""k":"finish","exit":1"#,
        ];
        assert_eq!(end(&lines), End::Died { exit: 0 });
    }

    #[test]
    fn a_canary_that_passes_spoils_the_run() {
        let passed = r#""k":"canary","name":"c1","status":"passed""#;
        let lines = [
            r#""k":"start""#,
            r#""k":"collected","count":1"#,
            passed,
            TEST,
            CANARIES[1],
            r#""k":"finish","exit":1"#,
        ];
        assert_eq!(end(&lines), End::Died { exit: 0 });
    }

    #[test]
    fn canaries_that_never_ran_spoil_the_run() {
        let lines = [
            r#""k":"start""#,
            r#""k":"collected","count":1"#,
            TEST,
            r#""k":"finish","exit":0"#,
        ];
        assert_eq!(end(&lines), End::Died { exit: 0 });
    }

    #[test]
    fn a_barrier_is_refused_before_the_start_only() {
        let refused = r#""k":"refused","barrier":"overlay","reason":"no""#;
        assert_eq!(run(&[refused]).expect_err("refused").barrier, "overlay");
        assert_eq!(end(&[r#""k":"start""#, refused]), End::Died { exit: 0 });
    }
}

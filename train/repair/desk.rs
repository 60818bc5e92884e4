//! What a person sees of a repair while it runs, and what is on disk after every try.
//!
//! In: tries as they begin, are written and end. Out: lines on standard error, a line in the log and a trajectory for each
//! try, and the best patch so far. Lines are plain in a pipe; on a terminal a diff is in color.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use data::Patch;
use data::log::Log;
use rollout::agent::queue::From;
use rollout::agent::run::{Observer, Try};
use rollout::agent::trajectory;
use rollout::counts::Counts;
use rollout::outcome::Status;
use rollout::record::Queue;
use sandbox::SandboxError;

use super::{Repairing, record};
use crate::run::interrupt::Interrupt;
use crate::run::journal::Journal;
use crate::terminal::plain;

/// The log of tries, below the folder of the run.
pub const LOG: &str = "attempts.jsonl";
/// The folder of trajectories.
pub const TRAJECTORIES: &str = "trajectories";

/// Shows and saves tries.
pub struct Desk {
    journal: Journal,
    log: Option<Log>,
    out: PathBuf,
    instance: String,
    model: String,
    max_retry: u32,
    targets: usize,
    stream: bool,
    color: bool,
    interrupt: &'static Interrupt,
    /// The patch that came furthest.
    best: Patch,
    written: bool,
    counts: Arc<Counts>,
}

/// The key of a try in the journal.
pub(super) fn key(retry: u32) -> String {
    format!("try {retry}")
}

impl Desk {
    /// Shows what happens in the run of `out`.
    pub fn new(
        out: &Path,
        journal: Journal,
        max_retry: u32,
        stream: bool,
        interrupt: &'static Interrupt,
    ) -> Self {
        Desk {
            journal,
            log: None,
            out: out.to_path_buf(),
            instance: String::new(),
            model: String::new(),
            max_retry,
            targets: 0,
            stream,
            color: std::io::stderr().is_terminal(),
            interrupt,
            best: Patch::default(),
            written: false,
            counts: Arc::default(),
        }
    }

    /// Opens the log; the lines of tries that are known are written anew.
    pub(super) fn open(
        &mut self,
        repairing: &Repairing<'_>,
        targets: usize,
        before: &[Try],
    ) -> Result<()> {
        (self.instance, self.model) = (repairing.instance.clone(), repairing.model.clone());
        self.targets = targets;
        let mut log = Log::resume(&self.out.join(LOG), 0)?;
        for one in before {
            log.write(&record(&self.instance, one))?;
            if one.progress {
                self.best = one.patch.clone();
            }
        }
        if !before.is_empty() {
            eprintln!("{} tries are kept from before", before.len());
        }
        self.log = Some(log);
        Ok(())
    }

    /// What is counted of its tries.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Where finished pieces are written down.
    pub(super) fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// The run is over: nothing is left to go on with.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn finish(self) -> Result<()> {
        self.journal.finish()
    }

    /// The patch that came furthest so far.
    pub fn best(&self) -> &Patch {
        &self.best
    }

    fn save(&mut self, one: &Try) -> Result<()> {
        self.journal.add(&key(one.retry), one)?;
        self.journal.sync()?;
        let record = record(&self.instance, one);
        self.counts.count(&record);
        one.ready_ms
            .iter()
            .for_each(|ms| self.counts.ready(Duration::from_secs_f64(ms / 1000.0)));
        if let Some(log) = &mut self.log {
            log.write(&record)?;
        }
        let path = self
            .out
            .join(TRAJECTORIES)
            .join(format!("try-{:02}.traj.json", one.retry));
        let whole = trajectory::of_try(&self.instance, &self.model, one);
        data::file::write_whole(&path, &serde_json::to_vec_pretty(&whole)?)?;
        Ok(())
    }

    fn say(&self, text: &str) {
        eprintln!("{}", plain(text));
    }

    fn show_diff(&self, patch: &Patch) {
        for line in patch.text().lines() {
            let line = plain(line);
            match (self.color, line.as_bytes().first()) {
                (true, Some(b'+')) => eprintln!("\u{1b}[32m{line}\u{1b}[0m"),
                (true, Some(b'-')) => eprintln!("\u{1b}[31m{line}\u{1b}[0m"),
                _ => eprintln!("{line}"),
            }
        }
    }
}

impl Observer for Desk {
    fn begins(&mut self, retry: u32, queue: Queue, from: From) {
        let from = match from {
            From::PassingState if retry > 1 => ", from the passing state",
            From::PassingState | From::Here => "",
        };
        self.say(&format!(
            "try {retry} of {}, {queue:?}{from}",
            self.max_retry
        ));
    }

    fn writes(&mut self, text: &str) {
        if self.stream && !text.is_empty() {
            eprint!("{}", plain(text));
            let _ = std::io::stderr().flush();
            self.written = true;
        }
    }

    fn ended(&mut self, one: &Try) -> Result<(), SandboxError> {
        if std::mem::take(&mut self.written) {
            eprintln!();
        }
        if self.stream && !one.patch.is_empty() {
            self.show_diff(&one.patch);
        }
        for help in &one.rules {
            self.say(&format!(
                "  rule `{}`: {}",
                help.rule,
                help.note.lines().next().unwrap_or_default()
            ));
        }
        let again = if one.repeated {
            ", the same as before"
        } else {
            ""
        };
        let progress = if one.progress { ", progress" } else { "" };
        let (model, tests) = (one.model_ms as f64 / 1000.0, one.tests_ms as f64 / 1000.0);
        let (name, lines) = (one.status.name(), one.told.lines());
        let (passing, all) = (one.passing, self.targets);
        match one.status {
            Status::NotApplied | Status::NoPatch | Status::Truncated | Status::Lost => {
                let why = lines.into_iter().next().unwrap_or_default();
                self.say(&format!("  {name}{again} (model {model:.1} s)\n  {why}"));
            }
            Status::Pass => self.say(&format!(
                "  {name}: all tests pass (model {model:.1} s, tests {tests:.1} s)"
            )),
            Status::Fail | Status::Broke | Status::Timeout | Status::Oom | Status::Crash => {
                let why: Vec<&str> = lines.skip(1).take(2).collect();
                let counts = format!("{passing} of {all} target tests pass");
                let time = format!("model {model:.1} s, tests {tests:.1} s");
                self.say(&format!(
                    "  {name}{again}{progress}: {counts} ({time})\n  {}",
                    why.join("\n  ")
                ));
            }
        }
        if one.progress {
            self.best = one.patch.clone();
        }
        self.save(one)
            .map_err(|error| SandboxError::Environment(format!("a try cannot be saved: {error:#}")))
    }

    fn stops(&self) -> bool {
        self.interrupt.asked()
    }
}

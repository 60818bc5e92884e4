//! Backs off after install failures; the last one goes to a review list and is not retried until a person removes it.
//!
//! In: failures of one repository in one environment, with their times and what the installer said. Out: how long to
//! wait for the next try, or a [`Review`] that is written down. What is up for review is not tried again by itself.
//! Example: the first failure waits about 2 s, the second about 4 s, the third is for review.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use data::draw;
use data::file::FileError;
use serde::{Deserialize, Serialize};

use data::log::{Log, timestamp};

/// What is written of an installer's words.
const TAIL: usize = 4000;

/// Why an installation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallFault {
    /// There is no such version, or two wishes contradict.
    Resolve,
    /// The index was not reached.
    Network,
    /// The package was found and could not be built.
    Build,
    /// It took too long.
    TimedOut,
    /// The disk is full.
    Disk,
    /// Something else.
    Other,
}

impl InstallFault {
    /// Reads it from what pip said.
    pub fn from_output(said: &str) -> Self {
        let said = said.to_lowercase();
        let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
        // A name that cannot be looked up looks like a version that is not there, so the network is asked first.
        if any(&["no space left on device", "disk quota exceeded"]) {
            InstallFault::Disk
        } else if any(&[
            "name resolution",
            "failed to establish a new connection",
            "connection refused",
            "network is unreachable",
            "connection reset",
            "proxyerror",
            "max retries exceeded",
        ]) {
            InstallFault::Network
        } else if any(&["timed out", "timeout"]) {
            InstallFault::TimedOut
        } else if any(&[
            "no matching distribution",
            "could not find a version",
            "resolutionimpossible",
            "conflicting dependencies",
        ]) {
            InstallFault::Resolve
        } else if any(&[
            "failed building wheel",
            "failed to build",
            "metadata-generation-failed",
            "subprocess-exited-with-error",
            "error: command ",
        ]) {
            InstallFault::Build
        } else {
            InstallFault::Other
        }
    }
}

/// An installation that keeps failing is a person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstallConfig {
    /// The failure that makes it so.
    pub failures: u32,
    /// Wait after the first failure; it doubles with each.
    pub first_wait_s: u64,
    /// The longest wait.
    pub longest_wait_s: u64,
}

impl Default for InstallConfig {
    fn default() -> Self {
        InstallConfig {
            failures: 3,
            first_wait_s: 2,
            longest_wait_s: 60,
        }
    }
}

/// What is installed for what, and into what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The repository or package whose tests need it.
    pub repo: String,
    /// Hash of the environment it goes into.
    pub environment: String,
}

/// What a person looks at. A line of `install_reviews.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// UTC, to the second.
    pub ts: String,
    /// For what, and into what.
    pub wish: Wish,
    /// Why the last try failed.
    pub fault: InstallFault,
    /// How often it failed.
    pub failures: u32,
    /// What was run.
    pub command: String,
    /// The end of what it said.
    pub said: String,
}

/// Whether an installation may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Now.
    Try,
    /// After this time.
    Wait(Duration),
    /// Not before a person looked at it.
    Review,
}

/// Failures by wish.
#[derive(Clone, Debug)]
pub struct Installs {
    config: InstallConfig,
    seed: u64,
    failures: HashMap<Wish, (u32, Duration)>,
}

impl Installs {
    /// Nothing has failed yet, except for `reviews`.
    pub fn new<'a>(
        config: InstallConfig,
        seed: u64,
        reviews: impl IntoIterator<Item = &'a Wish>,
    ) -> Self {
        let failures = reviews
            .into_iter()
            .map(|wish| (wish.clone(), (config.failures, Duration::ZERO)))
            .collect();
        Installs {
            config,
            seed,
            failures,
        }
    }

    /// Whether to try at a time.
    pub fn next(&self, at: Duration, wish: &Wish) -> Next {
        match self.failures.get(wish) {
            None => Next::Try,
            Some((count, _)) if *count >= self.config.failures => Next::Review,
            Some((_, not_before)) if at < *not_before => Next::Wait(*not_before - at),
            Some(_) => Next::Try,
        }
    }

    /// Counts a failure at a time; what to do next.
    pub fn failed(&mut self, at: Duration, wish: &Wish) -> Next {
        let count = self
            .failures
            .get(wish)
            .map_or(0, |(count, _)| *count)
            .saturating_add(1);
        let wait = self.wait(wish, count);
        self.failures.insert(wish.clone(), (count, at + wait));
        self.next(at, wish)
    }

    /// Forgets the failures of what works now.
    pub fn succeeded(&mut self, wish: &Wish) {
        self.failures.remove(wish);
    }

    /// Doubles with each failure; up to half of it is cut off at random, so that many do not come back together.
    fn wait(&self, wish: &Wish, count: u32) -> Duration {
        let longest = Duration::from_secs(self.config.longest_wait_s);
        let doubled =
            Duration::from_secs(self.config.first_wait_s).saturating_mul(1 << (count - 1).min(20));
        let hash = blake3::hash(format!("{} {}", wish.repo, wish.environment).as_bytes());
        let word = hash
            .as_bytes()
            .iter()
            .take(8)
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        let random = draw::below(draw::key(self.seed, &[word]), u64::from(count), 1 << 20) as f64
            / f64::from(1 << 20);
        doubled.min(longest).mul_f64(1.0 - random / 2.0)
    }
}

/// An installation that is up for review, or that could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Somebody has to look at it.
    #[error(
        "`{command}` failed {failures} times and waits for a person: {said}{}", data::Aside(format_args!("repair the cause and remove its line from `{}`", .path.display())))]
    Review {
        /// What was run.
        command: String,
        /// How often.
        failures: u32,
        /// The end of what it said.
        said: String,
        /// Where that is written down.
        path: PathBuf,
    },
    /// The file of reviews.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line of it.
    #[error(
        "`{path}`, line {line}: {reason}{}",
        data::Aside("remove the line, or the file")
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// The name of the file that a person looks at.
pub const REVIEWS_FILE: &str = "install_reviews.jsonl";

/// Tries `install` until it works or is up for review, waiting with `wait` between two tries. `folder` keeps the
/// reviews: what stands there is not tried at all.
///
/// # Errors
///
/// When it is up for review, now or since an earlier time, or the review cannot be written.
pub fn until_review(
    folder: &Path,
    config: &InstallConfig,
    wish: &Wish,
    command: &str,
    install: &mut dyn FnMut() -> Result<(), String>,
    wait: &mut dyn FnMut(Duration),
) -> Result<(), InstallError> {
    let path = folder.join(REVIEWS_FILE);
    let waiting = reviews(&path)?;
    if let Some(review) = waiting.iter().find(|review| review.wish == *wish) {
        return Err(for_review(review, &path));
    }
    let mut installs = Installs::new(config.clone(), 0, []);
    let mut at = Duration::ZERO;
    loop {
        let Err(said) = install() else { return Ok(()) };
        match installs.failed(at, wish) {
            Next::Try => {}
            Next::Wait(time) => {
                at += time;
                wait(time);
            }
            Next::Review => {
                let said: String = tail(&said);
                let review = Review {
                    ts: timestamp(SystemTime::now()),
                    wish: wish.clone(),
                    fault: InstallFault::from_output(&said),
                    failures: config.failures,
                    command: command.to_owned(),
                    said,
                };
                std::fs::create_dir_all(folder)
                    .map_err(|error| FileError::new("make the folder", folder, error))?;
                let mut log = Log::open(&path)?;
                log.write(&review)?;
                log.sync()?;
                return Err(for_review(&review, &path));
            }
        }
    }
}

fn for_review(review: &Review, path: &Path) -> InstallError {
    let Review {
        command,
        failures,
        said,
        ..
    } = review;
    let last = said.lines().next_back().unwrap_or_default().to_owned();
    InstallError::Review {
        command: command.clone(),
        failures: *failures,
        said: last,
        path: path.to_path_buf(),
    }
}

/// What waits for a person.
///
/// # Errors
///
/// When the file cannot be read, or a line is no review.
pub fn reviews(path: &Path) -> Result<Vec<Review>, InstallError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = data::file::read_text(path)?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| InstallError::Line {
            path: path.to_path_buf(),
            line: at + 1,
            reason: error.to_string(),
        })
    };
    lines.map(read).collect()
}

fn tail(said: &str) -> String {
    let start = said.len().saturating_sub(TAIL);
    let start = (start..=said.len())
        .find(|at| said.is_char_boundary(*at))
        .unwrap_or(said.len());
    said[start..].to_owned()
}

#[cfg(test)]
mod tests;

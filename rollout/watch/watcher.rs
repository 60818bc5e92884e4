//! All rules of one flow over what really happens.
//!
//! In: what a run sees, each with its time. Out: lines in `events.jsonl`, a pace for the tests, whether the flow goes
//! on, and numbers for Prometheus. What counts against a flow is saved in `oom_<flow>.json` at once.
//! Example line: `{"ts":"2025-12-10T14:23:41Z","flow":"grade","rule":"oom_stop","tasks":["money-1"]}`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data::file::{FileError, read_text, write_whole};
use serde::{Deserialize, Serialize};

use super::gpu::GpuMemory;
use super::pace::Pace;
use super::{Change, Hysteresis, OomBudget, Throttle, WatchConfig};
use crate::counts::Counts;
use crate::grade::Graded;
use data::log::{Log, timestamp};

const FORMAT: u32 = 1;
/// The file of alarms.
pub const EVENTS_FILE: &str = "events.jsonl";

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Event {
    /// GPU memory is nearly full, or is not any more.
    GpuMemory {
        /// Which.
        change: Change,
        /// Number of the GPU, from 0.
        gpu: usize,
        /// Bytes in use.
        used_bytes: u64,
        /// Bytes in all.
        total_bytes: u64,
    },
    /// Tests keep the machine busy: they are slowed down, run faster again, or go on as they did.
    Cpu {
        /// The share of all cores that they used.
        share: f64,
        /// Runs at once from now on.
        workers: usize,
        /// The share of its time that each place is in use from now on.
        quota: f64,
    },
    /// A run of tests was killed for its memory.
    OomKill {
        /// The task.
        task: String,
        /// How many count now.
        kills: usize,
    },
    /// One kill too many: nothing more is started.
    OomStop {
        /// The tasks behind the kills.
        tasks: Vec<String>,
    },
    /// A checkpoint took long to write.
    SlowCheckpoint {
        /// Its folder.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// How long it took.
        seconds: f64,
        /// How fast that is.
        mib_per_s: f64,
    },
}

impl Event {
    /// As it is said to a person.
    pub fn say(&self) -> String {
        match self {
            Event::GpuMemory {
                change,
                gpu,
                used_bytes,
                total_bytes,
            } => {
                let what = match change {
                    Change::Raised => "is nearly full",
                    Change::Cleared => "has room again",
                };
                format!(
                    "the memory of GPU {gpu} {what}: {} of {} MiB",
                    used_bytes >> 20,
                    total_bytes >> 20
                )
            }
            Event::Cpu {
                share,
                workers,
                quota,
            } => format!(
                "tests use {:.0} % of all cores: {workers} at once, each place in use for {:.0} % of the time",
                share * 100.0,
                quota * 100.0
            ),
            Event::OomKill { task, kills } => {
                format!("the tests of `{task}` were killed for their memory ({kills} times lately)")
            }
            Event::OomStop { tasks } => {
                format!(
                    "no more tests are started: killed for their memory: {}",
                    tasks.join(", ")
                )
            }
            Event::SlowCheckpoint {
                path,
                bytes,
                seconds,
                mib_per_s,
            } => format!(
                "the checkpoint `{}` took {seconds:.1} s to write: {} MiB at {mib_per_s:.0} MiB/s",
                path.display(),
                bytes >> 20
            ),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    ts: String,
    flow: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// A flow that may start nothing more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tests were killed for their memory {kills} times within {within_s} s, more than `watch.oom.most` bears: {tasks}{hint}",
    tasks = tasks.join(", "),
    hint = data::Hint("lower `data.workers`, or look at these tasks; then go on with `--resume --forget-oom`")
)]
pub struct Stopped {
    /// How often.
    pub kills: usize,
    /// Within this time.
    pub within_s: u64,
    /// The tasks behind the kills.
    pub tasks: Vec<String>,
}

/// A flow cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It stopped, and nobody said that it may go on.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A file of it.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was saved is damaged.
    #[error(
        "`{path}` is damaged: {reason}{}",
        data::Aside("remove it; the count of killed runs begins anew")
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: u32,
    oom: OomBudget,
}

/// Watches one flow.
pub struct Watcher {
    flow: String,
    config: WatchConfig,
    saved: PathBuf,
    state: Mutex<State>,
    pace: Arc<Pace>,
    counts: Arc<Counts>,
    say: Box<dyn Fn(&str) + Send + Sync>,
}

struct State {
    events: Log,
    gpus: Vec<Hysteresis>,
    throttle: Throttle,
    oom: OomBudget,
}

impl Watcher {
    /// Watches `flow`, whose files lie in `folder` and whose tests run on `workers` threads. `say` tells a person.
    ///
    /// # Errors
    ///
    /// When the flow was stopped earlier and `forget_oom` does not say that it may go on, or a file is unusable.
    pub fn open(
        folder: &Path,
        flow: &str,
        config: &WatchConfig,
        workers: usize,
        forget_oom: bool,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, WatchError> {
        let saved = folder.join(format!("oom_{flow}.json"));
        let oom = if forget_oom {
            OomBudget::default()
        } else {
            read(&saved)?
        };
        std::fs::create_dir_all(folder)
            .map_err(|error| FileError::new("create the folder", folder, error))?;
        let throttle = Throttle::new(config.cpu.clone(), workers, config.cpu.slows(flow));
        let pace = Arc::new(Pace::new(throttle.allowed()));
        let events = Log::open(&folder.join(EVENTS_FILE))?;
        let state = Mutex::new(State {
            events,
            gpus: Vec::new(),
            throttle,
            oom,
        });
        let (flow, config, say) = (flow.to_owned(), config.clone(), Box::new(say));
        let watcher = Watcher {
            flow,
            config,
            saved,
            state,
            pace,
            counts: Arc::default(),
            say,
        };
        watcher.counts.allow(watcher.pace.allowed());
        match watcher.stopped() {
            Some(stopped) => Err(stopped.into()),
            None if forget_oom && watcher.saved.exists() => {
                watcher.save(&OomBudget::default()).map(|()| watcher)
            }
            None => Ok(watcher),
        }
    }

    /// The pace that tests are kept to.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// The numbers for Prometheus.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Seconds between two looks; 0 for none.
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.config.every_s)
    }

    /// Takes what the test processes use of all cores, where that is known, at a time of a clock that never jumps.
    ///
    /// # Errors
    ///
    /// When the event cannot be written.
    pub fn load(&self, at: Duration, share: Option<f64>) -> Result<(), WatchError> {
        let mut state = self.lock();
        let share = share.unwrap_or(f64::NAN);
        self.counts.load(share);
        let Some(allowed) = state.throttle.sample(at, share) else {
            return Ok(());
        };
        self.pace.allow(allowed);
        self.counts.allow(allowed);
        self.tell(
            &mut state,
            &Event::Cpu {
                share,
                workers: allowed.workers,
                quota: allowed.quota,
            },
        )
    }

    /// Takes the memory of every GPU, as [`Watcher::load`] takes the load.
    ///
    /// # Errors
    ///
    /// When the event cannot be written.
    pub fn gpus(&self, at: Duration, memory: &[Option<GpuMemory>]) -> Result<(), WatchError> {
        let mut state = self.lock();
        let rule = &self.config.gpu_memory;
        let (for_s, clear_s) = (
            Duration::from_secs(rule.for_s),
            Duration::from_secs(rule.clear_for_s),
        );
        let count = memory.len().max(state.gpus.len());
        state.gpus.resize_with(count, || {
            Hysteresis::new(rule.above, for_s, rule.clear_below, clear_s)
        });
        for (gpu, memory) in memory.iter().enumerate() {
            let share = memory.map_or(f64::NAN, |memory| memory.share());
            let change = state.gpus[gpu].sample(at, share);
            self.counts.gpu(gpu, *memory, state.gpus[gpu].is_raised());
            if let (Some(change), Some(GpuMemory { used, total })) = (change, *memory) {
                let event = Event::GpuMemory {
                    change,
                    gpu,
                    used_bytes: used,
                    total_bytes: total,
                };
                self.tell(&mut state, &event)?;
            }
        }
        Ok(())
    }

    /// The tests of `task` were killed for their memory.
    ///
    /// # Errors
    ///
    /// When that cannot be written down.
    pub fn oom_kill(&self, at: SystemTime, task: &str) -> Result<(), WatchError> {
        let mut state = self.lock();
        let stops = state.oom.kill(
            &self.config.oom,
            at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
            task,
        );
        self.save(&state.oom)?;
        self.counts.oom_kill();
        let kills = state.oom.kills().count();
        self.tell(
            &mut state,
            &Event::OomKill {
                task: task.to_owned(),
                kills,
            },
        )?;
        if stops {
            let tasks = tasks(&state.oom);
            self.tell(&mut state, &Event::OomStop { tasks })?;
        }
        Ok(())
    }

    /// A verdict on `task`: counts where its tests were killed for their memory.
    ///
    /// # Errors
    ///
    /// As [`Watcher::oom_kill`].
    pub fn graded(&self, at: SystemTime, task: &str, graded: &Graded) -> Result<(), WatchError> {
        if graded.was_killed_for_memory() && !graded.cached {
            self.oom_kill(at, task)
        } else {
            Ok(())
        }
    }

    /// Why nothing more may be started, if so.
    pub fn stopped(&self) -> Option<Stopped> {
        let state = self.lock();
        let stopped = || Stopped {
            kills: state.oom.kills().count(),
            within_s: self.config.oom.within_s,
            tasks: tasks(&state.oom),
        };
        state.oom.is_stopped().then(stopped)
    }

    /// A checkpoint of this size was written in this time.
    ///
    /// # Errors
    ///
    /// When the event cannot be written.
    pub fn checkpoint(&self, path: &Path, bytes: u64, took: Duration) -> Result<(), WatchError> {
        self.counts.checkpoint(took);
        let seconds = took.as_secs_f64();
        if seconds <= self.config.checkpoint.slower_than_s {
            return Ok(());
        }
        let mib_per_s = bytes as f64 / f64::from(1 << 20) / seconds;
        let event = Event::SlowCheckpoint {
            path: path.to_path_buf(),
            bytes,
            seconds,
            mib_per_s,
        };
        self.tell(&mut self.lock(), &event)
    }

    fn tell(&self, state: &mut State, event: &Event) -> Result<(), WatchError> {
        (self.say)(&format!("warning: {}", event.say()));
        state.events.write(&Line {
            ts: timestamp(SystemTime::now()),
            flow: &self.flow,
            event,
        })?;
        Ok(())
    }

    fn save(&self, oom: &OomBudget) -> Result<(), WatchError> {
        let saved = Saved {
            format: FORMAT,
            oom: oom.clone(),
        };
        let text = serde_json::to_vec(&saved)
            .map_err(|error| FileError::new("write", &self.saved, error.into()))?;
        Ok(write_whole(&self.saved, &text)?)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each task once, in the order of its first kill.
fn tasks(oom: &OomBudget) -> Vec<String> {
    let mut tasks: Vec<String> = Vec::new();
    for kill in oom.kills() {
        if !tasks.contains(&kill.task) {
            tasks.push(kill.task.clone());
        }
    }
    tasks
}

fn read(path: &Path) -> Result<OomBudget, WatchError> {
    if !path.exists() {
        return Ok(OomBudget::default());
    }
    let damaged = |reason: String| WatchError::Damaged {
        path: path.to_path_buf(),
        reason,
    };
    let saved: Saved =
        serde_json::from_str(&read_text(path)?).map_err(|error| damaged(error.to_string()))?;
    match saved.format {
        FORMAT => Ok(saved.oom),
        other => Err(damaged(format!(
            "it has format {other}, but this program reads {FORMAT}"
        ))),
    }
}

#[cfg(test)]
mod tests;

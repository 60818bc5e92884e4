//! Thresholds, and what happens beyond them.
//!
//! In: what is seen while a run runs: GPU memory, the load of the test processes, runs killed for their memory, the
//! time a checkpoint takes, installations that fail. Out: alarms in `events.jsonl`, fewer tests at once, a flow that
//! stops, work for a person. Each rule is a state machine over (time, sample) without a clock of its own, so its tests
//! run on virtual time; [`Watcher`] is the only part that writes.
//! Example: GPU memory at 91 % from 0 s on raises the alarm at 300 s; at 84 % from 400 s on it is cleared at 460 s.

mod config;
pub mod gpu;
mod hysteresis;
mod oom;
pub mod pace;
mod throttle;
mod ticker;
mod watcher;

pub use config::{CheckpointConfig, CpuConfig, GpuMemoryConfig, OomConfig, WatchConfig};
pub use hysteresis::{Change, Hysteresis};
pub use oom::{Kill, OomBudget};
pub use throttle::{Allowed, Throttle};
pub use ticker::Ticker;
pub use watcher::{Event, Stopped, WatchError, Watcher};

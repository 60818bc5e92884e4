//! Every threshold, as it stands below `[watch]` in a config.

use sandbox::environment::install::InstallConfig;
use serde::{Deserialize, Serialize};

/// All thresholds of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Seconds between two looks at the GPU and the load; 0 for no look at all.
    pub every_s: u64,
    /// When GPU memory is an alarm.
    pub gpu_memory: GpuMemoryConfig,
    /// When fewer tests run at once.
    pub cpu: CpuConfig,
    /// When no more tests are started.
    pub oom: OomConfig,
    /// When a checkpoint is slow.
    pub checkpoint: CheckpointConfig,
    /// When a person looks at an installation.
    pub install: InstallConfig,
}

impl Default for WatchConfig {
    fn default() -> Self {
        WatchConfig {
            every_s: 5,
            gpu_memory: GpuMemoryConfig::default(),
            cpu: CpuConfig::default(),
            oom: OomConfig::default(),
            checkpoint: CheckpointConfig::default(),
            install: InstallConfig::default(),
        }
    }
}

impl WatchConfig {
    /// The first value that makes no sense, in words.
    pub fn problem(&self) -> Option<String> {
        let shares = [
            ("gpu_memory.above", self.gpu_memory.above),
            ("gpu_memory.clear_below", self.gpu_memory.clear_below),
            ("cpu.above", self.cpu.above),
        ];
        if let Some((key, share)) = shares
            .into_iter()
            .find(|(_, share)| !(0.0..=1.0).contains(share))
        {
            return Some(format!(
                "`watch.{key}` is {share}, but must be between 0 and 1"
            ));
        }
        if self.gpu_memory.clear_below > self.gpu_memory.above {
            return Some(
                "`watch.gpu_memory.clear_below` is more than `watch.gpu_memory.above`".into(),
            );
        }
        if !(self.cpu.least_quota > 0.0 && self.cpu.least_quota <= 1.0) {
            let quota = self.cpu.least_quota;
            return Some(format!(
                "`watch.cpu.least_quota` is {quota}, but must be above 0 and at most 1"
            ));
        }
        if self.checkpoint.slower_than_s.is_nan() || self.checkpoint.slower_than_s < 0.0 {
            return Some("`watch.checkpoint.slower_than_s` must be a number from 0 on".into());
        }
        (self.install.failures == 0)
            .then(|| "`watch.install.failures` is 0, but must be at least 1".into())
    }
}

/// GPU memory is an alarm when it is nearly full for long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GpuMemoryConfig {
    /// The share that is too much.
    pub above: f64,
    /// For how long, before it is an alarm.
    pub for_s: u64,
    /// The share that is fine again.
    pub clear_below: f64,
    /// For how long, before the alarm is over.
    pub clear_for_s: u64,
}

impl Default for GpuMemoryConfig {
    fn default() -> Self {
        GpuMemoryConfig {
            above: 0.90,
            for_s: 300,
            clear_below: 0.85,
            clear_for_s: 60,
        }
    }
}

/// Fewer tests run at once while they keep the machine too busy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CpuConfig {
    /// The share of all cores, used by test processes, that is too much; 1 for no limit.
    pub above: f64,
    /// For how long, before there is one run of tests less at once and each rests as long as it ran.
    pub for_s: u64,
    /// At or below that share for so long: one more at once, and less rest.
    pub recover_s: u64,
    /// A run of tests is left so much of its time at least.
    pub least_quota: f64,
    /// Whether `grade` is slowed down, too. It does nothing but run tests and is meant to use every core that
    /// `data.workers` gives it, so unasked it only tells; a trainer shares the machine with its tests.
    pub slow_grade: bool,
}

impl CpuConfig {
    /// Whether a flow is slowed down; otherwise it is told once that the machine is busy.
    pub fn slows(&self, flow: &str) -> bool {
        self.slow_grade || flow != "grade"
    }
}

impl Default for CpuConfig {
    fn default() -> Self {
        CpuConfig {
            above: 0.80,
            for_s: 120,
            recover_s: 30,
            least_quota: 0.25,
            slow_grade: false,
        }
    }
}

/// A flow stops when its tests are killed for their memory too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OomConfig {
    /// So many are borne; the next one stops the flow.
    pub most: usize,
    /// Within this time.
    pub within_s: u64,
}

impl Default for OomConfig {
    fn default() -> Self {
        OomConfig {
            most: 3,
            within_s: 3600,
        }
    }
}

/// A checkpoint that takes long is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Seconds that are borne.
    pub slower_than_s: f64,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig { slower_than_s: 1.0 }
    }
}

//! How much of the GPUs' memory is used.
//!
//! In: nothing, or samples to replay. Out: used and total bytes of each GPU. Where there is no GPU there is no number,
//! and nothing fails.

use std::collections::VecDeque;

use nvml_wrapper::Nvml;

/// The memory of one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemory {
    /// Bytes in use, by anybody.
    pub used: u64,
    /// Bytes in all.
    pub total: u64,
}

impl GpuMemory {
    /// The share that is used; no number where there is no memory.
    pub fn share(&self) -> f64 {
        self.used as f64 / self.total as f64
    }
}

/// Looks at the GPUs of this machine.
pub trait GpuProbe: Send {
    /// One entry for each GPU, always in the same order; none for one that does not answer.
    fn memory(&mut self) -> Vec<Option<GpuMemory>>;
}

/// NVIDIA's own library, loaded when the program runs.
pub struct Nvidia {
    library: Nvml,
    gpus: u32,
}

impl Nvidia {
    /// Loads the library; none where it is not installed or finds no GPU.
    pub fn find() -> Option<Self> {
        // The name without a version is for development only, and missing on most machines that have a driver.
        let library = Nvml::init()
            .or_else(|_| {
                Nvml::builder()
                    .lib_path("libnvidia-ml.so.1".as_ref())
                    .init()
            })
            .ok()?;
        let gpus = library.device_count().ok().filter(|count| *count > 0)?;
        Some(Nvidia { library, gpus })
    }
}

impl GpuProbe for Nvidia {
    fn memory(&mut self) -> Vec<Option<GpuMemory>> {
        let of = |index| {
            let memory = self
                .library
                .device_by_index(index)
                .and_then(|device| device.memory_info())
                .ok()?;
            Some(GpuMemory {
                used: memory.used,
                total: memory.total,
            })
        };
        (0..self.gpus).map(of).collect()
    }
}

/// Answers what it was told to, one sample after the other; then nothing more.
#[derive(Clone, Debug, Default)]
pub struct Replay(VecDeque<Vec<Option<GpuMemory>>>);

impl Replay {
    /// Replays samples.
    pub fn new(samples: impl IntoIterator<Item = Vec<Option<GpuMemory>>>) -> Self {
        Replay(samples.into_iter().collect())
    }
}

impl GpuProbe for Replay {
    fn memory(&mut self) -> Vec<Option<GpuMemory>> {
        self.0.pop_front().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_gpu_has_no_probe_or_one_that_answers() {
        let Some(mut found) = Nvidia::find() else {
            return eprintln!("no GPU here: there is no probe, and nothing failed");
        };
        let memory = found.memory();
        assert!(!memory.is_empty());
        assert!(
            memory
                .iter()
                .flatten()
                .all(|gpu| gpu.used <= gpu.total && gpu.total > 0),
            "{memory:?}"
        );
    }

    #[test]
    fn no_memory_has_no_share() {
        assert!(GpuMemory { used: 0, total: 0 }.share().is_nan());
        assert_eq!(GpuMemory { used: 9, total: 10 }.share(), 0.9);
    }
}

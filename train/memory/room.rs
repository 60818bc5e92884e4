//! The machine that a plan is for: this one, or one that is described.
//!
//! Example: `gpu:80` is a GPU of 80 GB, `cpu:24` a machine of 24 GB without one.

use std::str::FromStr;

use burn::tensor::Device;

use super::{available, capacity};
use crate::optim::workers;

/// Cores of a machine that is described and not there.
const CORES: usize = 2;

/// What a machine has for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that could be had if nobody else used any; none when nobody says.
    pub capacity: Option<u64>,
    /// Bytes that can be had now.
    pub available: Option<u64>,
    /// Micro-batches that are computed at once.
    pub workers: usize,
    /// Whether it computes on a GPU.
    pub gpu: bool,
}

impl Room {
    /// That of `device`, here and now.
    pub fn from_device(device: &Device) -> Self {
        Room {
            capacity: capacity(device),
            available: available(device),
            workers: workers(device),
            gpu: *device != Device::flex(),
        }
    }

    /// The same without any memory: what is chosen for it is the smallest.
    pub fn without_memory(self) -> Self {
        Room {
            capacity: Some(0),
            available: Some(0),
            ..self
        }
    }

    /// Bytes that a choice may fill: three quarters, or what others leave of them.
    pub fn roomy(&self) -> u64 {
        let most = |bytes: Option<u64>| bytes.unwrap_or(u64::MAX);
        most(self.available).min(most(self.capacity) / 4 * 3)
    }
}

/// `cpu:24` or `gpu:80`: gigabytes (10⁹ bytes), as makers count them.
impl FromStr for Room {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is no machine: `cpu:24` or `gpu:80`, in gigabytes");
        let (kind, size) = text.split_once(':').ok_or_else(refused)?;
        let gpu = match kind {
            "cpu" => false,
            "gpu" => true,
            _ => return Err(refused()),
        };
        let size: u64 = size.parse().map_err(|_| refused())?;
        if !(1..=1 << 20).contains(&size) {
            return Err(refused());
        }
        let bytes = Some(size * 1_000_000_000);
        Ok(Room {
            capacity: bytes,
            available: bytes,
            workers: if gpu { 1 } else { CORES },
            gpu,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_described_by_its_kind_and_its_gigabytes() {
        let room: Room = "gpu:80".parse().expect("a machine");
        assert_eq!(room.capacity, Some(80_000_000_000));
        assert_eq!((room.workers, room.gpu), (1, true));
        assert_eq!(room.roomy(), 60_000_000_000);
        for wrong in [
            "80",
            "tpu:80",
            "gpu:",
            "gpu:0",
            "gpu:1e9",
            "cpu:99999999999",
        ] {
            assert!(wrong.parse::<Room>().is_err(), "{wrong}");
        }
    }
}

//! Where tensors live: the CPU, or a GPU that is found when the program runs.
//!
//! One binary holds both; what it was compiled with says nothing about the machine that it runs on.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// What the user asked for: `auto`, `cpu`, `cuda` or `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first GPU, or the CPU where there is none.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, by its number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cuda = |number: &str| number.parse().ok().map(DeviceChoice::Cuda);
        match text {
            "auto" => Some(DeviceChoice::Auto),
            "cpu" => Some(DeviceChoice::Cpu),
            "cuda" => Some(DeviceChoice::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(cuda),
        }
        .ok_or_else(|| format!("`{text}` is no device: `auto`, `cpu`, `cuda` or `cuda:1`"))
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> String {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl DeviceChoice {
    /// The device.
    ///
    /// # Errors
    ///
    /// When a GPU was asked for by name and there is none, or this program was built without CUDA.
    pub fn open(self) -> Result<Device> {
        match (self, gpus()) {
            (DeviceChoice::Cpu, _) => Ok(Device::flex()),
            (DeviceChoice::Auto, found) => {
                Ok(found.into_iter().next().unwrap_or_else(Device::flex))
            }
            (DeviceChoice::Cuda(_), _) if cfg!(not(feature = "cuda-unfused")) => {
                bail!(
                    "`{self}` was asked for, but this program was built without CUDA{}",
                    data::Hint(
                        "build it with `cargo build --release --features cuda`, or use `--device cpu`"
                    )
                )
            }
            (DeviceChoice::Cuda(number), found) => {
                let count = found.len();
                let Some(device) = found.into_iter().nth(number) else {
                    bail!(
                        "`{self}` was asked for, but {count} GPUs answer{}",
                        data::Hint(
                            "see `nvidia-smi` and CUDA_VISIBLE_DEVICES, or use `--device cpu`"
                        )
                    )
                };
                Ok(device)
            }
        }
    }
}

/// The GPUs that answer; none where there is no driver.
#[cfg(feature = "cuda-unfused")]
fn gpus() -> Vec<Device> {
    Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec()
}

#[cfg(not(feature = "cuda-unfused"))]
fn gpus() -> Vec<Device> {
    Vec::new()
}

/// What a device is, for people.
pub fn name(device: &Device) -> String {
    if *device == Device::flex() {
        "cpu (flex)".into()
    } else {
        format!("{device:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_kind_and_number() {
        assert_eq!("cuda:1".parse(), Ok(DeviceChoice::Cuda(1)));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!(DeviceChoice::Cuda(1).to_string(), "cuda:1");
        assert!(
            "tpu"
                .parse::<DeviceChoice>()
                .expect_err("refused")
                .contains("tpu")
        );
    }

    #[test]
    fn without_a_gpu_auto_is_the_cpu_and_cuda_is_refused() {
        if gpus().is_empty() {
            assert_eq!(DeviceChoice::Auto.open().expect("the CPU"), Device::flex());
            assert!(DeviceChoice::Cuda(7).open().is_err());
        }
    }
}

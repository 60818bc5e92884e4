//! What is remembered of one weight between two updates, and how it lies on disk.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, View};

use super::StateKind;
use super::adafactor::Seconds;
use super::adamw_8bit::Codes;
use model::weights::Written;

/// The moving averages of one weight, flattened.
#[derive(Clone, Debug)]
pub(super) enum Moments {
    Full { first: Tensor<1>, second: Tensor<1> },
    EightBit { first: Codes, second: Codes },
    Factored(Seconds),
}

/// All that is remembered of one weight.
#[derive(Clone, Debug)]
pub(super) struct WeightState {
    pub(super) moments: Moments,
    /// The weight in f32, when the model computes with a 16-bit copy.
    pub(super) master: Option<Tensor<1>>,
}

/// States by the name of their weight.
pub(super) type States = BTreeMap<String, WeightState>;

/// A part of a state on its way to disk; tensors are read when they are written.
enum Part<'a> {
    Numbers(&'a Tensor<1>),
    Scales(&'a [f32]),
    Codes(&'a [u8]),
}

struct Lazy<'a> {
    shape: [usize; 1],
    part: Part<'a>,
}

impl View for Lazy<'_> {
    fn dtype(&self) -> Dtype {
        match self.part {
            Part::Numbers(_) | Part::Scales(_) => Dtype::F32,
            Part::Codes(_) => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.part {
            Part::Numbers(tensor) => tensor.to_data().as_bytes().to_vec().into(),
            Part::Scales(scales) => scales
                .iter()
                .flat_map(|scale| scale.to_le_bytes())
                .collect::<Vec<u8>>()
                .into(),
            Part::Codes(codes) => codes.into(),
        }
    }

    fn data_len(&self) -> usize {
        let width = if matches!(self.part, Part::Codes(_)) {
            1
        } else {
            4
        };
        self.shape[0] * width
    }
}

fn numbers(tensor: &Tensor<1>) -> Lazy<'_> {
    Lazy {
        shape: tensor.dims(),
        part: Part::Numbers(tensor),
    }
}

/// The parts of `states` under their names on disk.
fn parts(states: &States) -> Vec<(String, Lazy<'_>)> {
    let mut parts = Vec::new();
    for (name, state) in states {
        let mut put = |kind: &str, lazy| parts.push((format!("{kind}.{name}"), lazy));
        if let Some(master) = &state.master {
            put("master", numbers(master));
        }
        match &state.moments {
            Moments::Full { first, second } => {
                put("exp_avg", numbers(first));
                put("exp_avg_sq", numbers(second));
            }
            Moments::EightBit { first, second } => {
                for (kind, codes) in [("exp_avg", first), ("exp_avg_sq", second)] {
                    let Codes { codes, scales } = codes;
                    put(
                        &format!("{kind}_codes"),
                        Lazy {
                            shape: [codes.len()],
                            part: Part::Codes(codes),
                        },
                    );
                    put(
                        &format!("{kind}_scales"),
                        Lazy {
                            shape: [scales.len()],
                            part: Part::Scales(scales),
                        },
                    );
                }
            }
            Moments::Factored(Seconds::Matrix(rows, columns)) => {
                put("exp_avg_sq_rows", numbers(rows));
                put("exp_avg_sq_columns", numbers(columns));
            }
            Moments::Factored(Seconds::Each(second)) => put("exp_avg_sq", numbers(second)),
        }
    }
    parts
}

/// The file in a checkpoint.
const FILE: &str = "optimizer.safetensors";

/// Bytes of the states on disk.
pub(super) fn bytes(states: &States) -> u64 {
    parts(states)
        .iter()
        .map(|(_, part)| part.data_len() as u64)
        .sum()
}

/// Writes states to a safetensors file, tensor by tensor: `exp_avg.<weight>` and `exp_avg_sq.<weight>`, as PyTorch
/// names them, or their parts. The file is synced.
pub(super) fn write(states: &States, folder: &Path) -> Result<Written> {
    let path = folder.join(FILE);
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(parts(states), Some(about), &path)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    let file = File::open(&path)?;
    file.sync_all()?;
    let (bytes, mut hash) = (file.metadata()?.len(), blake3::Hasher::new());
    hash.update_reader(file)?;
    Ok(Written {
        name: FILE.to_owned(),
        bytes,
        blake3: hash.finalize().to_hex().to_string(),
    })
}

/// Reads what [`write`] wrote for an optimizer of `kind`.
///
/// # Errors
///
/// When the file is no safetensors file, or lacks a part of a state.
pub(super) fn read(kind: StateKind, folder: &Path, device: &Device) -> Result<States> {
    let path = folder.join(FILE);
    let bytes =
        std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    states_in(kind, &bytes, device).with_context(|| format!("while loading `{}`", path.display()))
}

fn states_in(kind: StateKind, bytes: &[u8], device: &Device) -> Result<States> {
    let file = SafeTensors::deserialize(bytes)
        .context("the optimizer's state is no readable safetensors file")?;
    let read = |part: &str, name: &str| Read {
        file: &file,
        name: format!("{part}.{name}"),
        device,
    };
    let first = match kind {
        StateKind::Float32 => "exp_avg.",
        StateKind::EightBit => "exp_avg_codes.",
        StateKind::Factored => "exp_avg_sq",
    };
    let mut states = States::new();
    for name in file.names() {
        let Some(rest) = name.strip_prefix(first) else {
            continue;
        };
        let (moments, name) = match kind {
            StateKind::Float32 => {
                let (first, second) = (
                    read("exp_avg", rest).tensor()?,
                    read("exp_avg_sq", rest).tensor()?,
                );
                (Moments::Full { first, second }, rest)
            }
            StateKind::EightBit => {
                let codes = |part: &str| -> Result<Codes> {
                    let codes = read(&format!("{part}_codes"), rest)
                        .bytes(Dtype::U8)?
                        .to_vec();
                    Ok(Codes {
                        codes,
                        scales: read(&format!("{part}_scales"), rest).floats()?,
                    })
                };
                (
                    Moments::EightBit {
                        first: codes("exp_avg")?,
                        second: codes("exp_avg_sq")?,
                    },
                    rest,
                )
            }
            StateKind::Factored => match (rest.strip_prefix('.'), rest.strip_prefix("_rows.")) {
                (Some(name), _) => (
                    Moments::Factored(Seconds::Each(read("exp_avg_sq", name).tensor()?)),
                    name,
                ),
                (_, Some(name)) => {
                    let rows = read("exp_avg_sq_rows", name).tensor()?;
                    let columns = read("exp_avg_sq_columns", name).tensor()?;
                    (Moments::Factored(Seconds::Matrix(rows, columns)), name)
                }
                _ => continue,
            },
        };
        let master = read("master", name);
        let master = if file.tensor(&master.name).is_ok() {
            Some(master.tensor()?)
        } else {
            None
        };
        states.insert(name.to_owned(), WeightState { moments, master });
    }
    if states.is_empty() && !file.is_empty() {
        bail!(
            "the state is of another kind{}",
            data::Hint("it was saved with another `optimizer.state`")
        );
    }
    Ok(states)
}

struct Read<'a> {
    file: &'a SafeTensors<'a>,
    name: String,
    device: &'a Device,
}

impl<'a> Read<'a> {
    fn bytes(&self, dtype: Dtype) -> Result<&'a [u8]> {
        let view = self.file.tensor(&self.name).with_context(|| {
            format!(
                "the optimizer's state lacks `{}`{}",
                self.name,
                data::Hint("it was saved with another `optimizer.state`")
            )
        })?;
        if view.dtype() != dtype {
            bail!(
                "`{}` in the optimizer's state is {:?}, not {dtype:?}",
                self.name,
                view.dtype()
            );
        }
        Ok(view.data())
    }

    fn floats(&self) -> Result<Vec<f32>> {
        let bytes = self.bytes(Dtype::F32)?;
        Ok(bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect())
    }

    fn tensor(&self) -> Result<Tensor<1>> {
        let values = self.floats()?;
        let count = values.len();
        Ok(Tensor::from_data(
            TensorData::new(values, [count]),
            self.device,
        ))
    }
}

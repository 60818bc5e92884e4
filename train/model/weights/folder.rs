//! The weights of a model folder as downloaded: one file or many with an index, Hugging Face's names or Mistral's.
//!
//! In: a folder and the shape of its model. Out: an [`Origin`] that reads each tensor when it is asked for. Before the
//! first value is read, every header, name, shape and dtype was compared with what the model needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::WeightsError;
use super::header::{Place, Shard};
use super::mistral::{half_rotation, hugging_face_name, is_rotated};
use super::values::{Dtype, read_bf16, read_f32};
use crate::config::ModelConfig;
use crate::origin::Origin;

/// The dtype of weights in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32 whatever is stored: what is trained.
    Float32,
    /// Matrices that are stored as bf16 stay so, and everything else is f32: the same numbers in half the memory, for a
    /// model that only answers.
    Stored,
}

/// The checked weights of a folder.
#[derive(Debug)]
pub struct WeightsFolder {
    shards: Vec<Shard>,
    // By Hugging Face name: the shard, and the name in it.
    found: BTreeMap<String, (usize, String)>,
    passed_over: usize,
    head_dim: usize,
    precision: Precision,
    device: Device,
}

impl WeightsFolder {
    /// Opens the weights in `folder` and compares them with what `config` needs. No value is read.
    ///
    /// # Errors
    ///
    /// Names the file and the tensor when a shard is missing, truncated or damaged, an index names what is not there,
    /// or a tensor is missing, unknown, there twice, or of another shape or dtype.
    pub fn open(
        folder: &Path,
        config: &ModelConfig,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let shards = shards(folder)?;
        let (found, passed_over) = by_name(&shards, config)?;
        let needed = config.tensors();
        for (name, shape) in &needed {
            let Some((shard, stored)) = found.get(name) else {
                return Err(WeightsError::Missing(name.clone()));
            };
            let Shard { path, tensors, .. } = &shards[*shard];
            check(stored, &tensors[stored], shape).map_err(|problem| problem.within(path))?;
        }
        let known: BTreeSet<&String> = needed.iter().map(|(name, _)| name).collect();
        if let Some((_, (shard, stored))) = found.iter().find(|(name, _)| !known.contains(name)) {
            return Err(WeightsError::Unexpected(stored.clone()).within(&shards[*shard].path));
        }
        let (head_dim, device) = (config.head_dim, device.clone());
        Ok(WeightsFolder {
            shards,
            found,
            passed_over,
            head_dim,
            precision,
            device,
        })
    }

    /// Number of tensors that belong to no language model, such as those of a vision tower.
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// What the weights take in memory.
    pub fn bytes(&self) -> u64 {
        let of = |(shard, stored): &(usize, String)| {
            let place = &self.shards[*shard].tensors[stored];
            let bytes = if self.keeps_bf16(place.read_as(stored).ok(), place.shape.len()) {
                2
            } else {
                4
            };
            (place.count * bytes) as u64
        };
        self.found.values().map(of).sum()
    }

    fn keeps_bf16(&self, dtype: Option<Dtype>, axes: usize) -> bool {
        self.precision == Precision::Stored && dtype == Some(Dtype::BF16) && axes == 2
    }

    fn read<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, WeightsError> {
        let (shard, stored) = self
            .found
            .get(name)
            .ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        let shard = &self.shards[*shard];
        self.data(shard, stored, shape)
            .map(|(data, dtype)| Tensor::from_data(data, (&self.device, dtype)))
            .map_err(|problem| problem.within(&shard.path))
    }

    fn data<const D: usize>(
        &self,
        shard: &Shard,
        name: &str,
        shape: [usize; D],
    ) -> Result<(TensorData, DType), WeightsError> {
        let place = &shard.tensors[name];
        check(name, place, &shape)?;
        let dtype = place.read_as(name)?;
        let row = shape.last().copied().unwrap_or(1);
        let rotated = is_rotated(name);
        if self.keeps_bf16(Some(dtype), D) {
            let values = read_bf16(&shard.file, place).map_err(|problem| problem.about(name))?;
            let values = if rotated {
                half_rotation(&values, row, self.head_dim)
            } else {
                values
            };
            return Ok((TensorData::new(values, shape), DType::BF16));
        }
        let values = read_f32(&shard.file, place, dtype).map_err(|problem| problem.about(name))?;
        let values = if rotated {
            half_rotation(&values, row, self.head_dim)
        } else {
            values
        };
        Ok((TensorData::new(values, shape), DType::F32))
    }
}

impl Origin for WeightsFolder {
    type Error = WeightsError;

    fn matrix(&mut self, name: &str, shape: [usize; 2], _: f64) -> Result<Tensor<2>, WeightsError> {
        self.read(name, shape)
    }

    fn vector(&mut self, name: &str, length: usize, _: f32) -> Result<Tensor<1>, WeightsError> {
        self.read(name, [length])
    }
}

fn check(name: &str, place: &Place, needed: &[usize]) -> Result<(), WeightsError> {
    place.read_as(name)?;
    match place.shape == needed {
        true => Ok(()),
        false => {
            let (found, needed) = (place.shape.clone(), needed.to_vec());
            Err(WeightsError::Shape {
                name: name.to_owned(),
                found,
                needed,
            })
        }
    }
}

/// The shards of a folder: Hugging Face's, else Mistral's; one file, else those of an index.
fn shards(folder: &Path) -> Result<Vec<Shard>, WeightsError> {
    for stem in ["model", "consolidated"] {
        let (whole, index) = (
            format!("{stem}.safetensors"),
            format!("{stem}.safetensors.index.json"),
        );
        if folder.join(&whole).exists() {
            return Ok(vec![Shard::open(&folder.join(whole))?]);
        }
        if folder.join(&index).exists() {
            return indexed(folder, &folder.join(index));
        }
    }
    let pickled = folder.join("pytorch_model.bin").exists()
        || folder.join("pytorch_model.bin.index.json").exists();
    let what = match pickled {
        true => {
            "its weights are `pytorch_model.bin`, which may run code when it is read; save them as safetensors"
        }
        false => "it holds neither `model.safetensors` nor `model.safetensors.index.json`",
    };
    Err(WeightsError::file(folder, what))
}

fn indexed(folder: &Path, index: &Path) -> Result<Vec<Shard>, WeightsError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }

    let refuse = |what: String| WeightsError::file(index, what);
    let text = data::file::read_text(index).map_err(|error| refuse(error.to_string()))?;
    let Index { weight_map } =
        serde_json::from_str(&text).map_err(|error| refuse(format!("it is damaged: {error}")))?;
    let names: BTreeSet<&String> = weight_map.values().collect();
    let mut shards = Vec::with_capacity(names.len());
    for name in names {
        // A shard lies beside its index and nowhere else.
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(refuse(format!(
                "it names the shard `{name}`, which is no plain file name"
            )));
        }
        if !folder.join(name).exists() {
            return Err(refuse(format!(
                "it names the shard `{name}`, which is missing"
            )));
        }
        shards.push(Shard::open(&folder.join(name))?);
    }
    let place: BTreeMap<PathBuf, &Shard> = shards
        .iter()
        .map(|shard| (shard.path.clone(), shard))
        .collect();
    for (tensor, name) in &weight_map {
        if !place[&folder.join(name)].tensors.contains_key(tensor) {
            return Err(refuse(format!(
                "it says that `{name}` holds the tensor `{tensor}`, but it does not"
            )));
        }
    }
    Ok(shards)
}

/// By Hugging Face name: the shard and the name in it; and how many tensors are of no concern.
type Found = (BTreeMap<String, (usize, String)>, usize);

fn by_name(shards: &[Shard], config: &ModelConfig) -> Result<Found, WeightsError> {
    let (mut found, mut passed_over) = (BTreeMap::new(), 0);
    for (at, shard) in shards.iter().enumerate() {
        for stored in shard.tensors.keys() {
            let Some(name) = language_name(stored) else {
                passed_over += 1;
                continue;
            };
            // Older files keep the rotary table; some writers store the tied projection a second time.
            let computed = name.ends_with("rotary_emb.inv_freq");
            if computed || (config.tie_word_embeddings && name == "lm_head.weight") {
                continue;
            }
            if found.insert(name, (at, stored.clone())).is_some() {
                return Err(WeightsError::Twice(stored.clone()).within(&shard.path));
            }
        }
    }
    Ok((found, passed_over))
}

/// The Hugging Face name of a tensor in a language model alone; `None` for what belongs to images.
fn language_name(stored: &str) -> Option<String> {
    const OF_IMAGES: [&str; 8] = [
        "vision_tower.",
        "multi_modal_projector.",
        "model.vision_tower.",
        "model.multi_modal_projector.",
        "vision_encoder.",
        "vision_language_adapter.",
        "pre_mm_projector_norm.",
        "patch_merger.",
    ];
    if OF_IMAGES.iter().any(|prefix| stored.starts_with(prefix)) {
        return None;
    }
    if let Some(inner) = stored.strip_prefix("language_model.") {
        return Some(inner.to_owned());
    }
    if let Some(inner) = stored.strip_prefix("model.language_model.") {
        return Some(format!("model.{inner}"));
    }
    Some(hugging_face_name(stored).unwrap_or_else(|| stored.to_owned()))
}

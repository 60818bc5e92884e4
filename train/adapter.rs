//! LoRA adapters in PEFT's format: `adapter_config.json`, `adapter_model.safetensors`.
//!
//! A folder with an adapter is a model wherever a model is asked for: the model that it names is loaded, and the
//! additions are added to its weights.

mod keys;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result, bail};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use keys::Problem;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, Loaded};
use model::lora::{LINEARS, LoraConfig, is_lora, linear_shape, linears, merged, with_lora};
use model::weights::{
    DiskDtype, HostTensor, HostTensors, Path as Name, Written, read_safetensors, write_tensors,
};
use model::{CausalLm, ModelConfig};

const CONFIG: &str = "adapter_config.json";
const STEM: &str = "adapter_model";

/// What is said of an adapter besides its weights.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// What is added, and where.
    pub config: &'a LoraConfig,
    /// The folder of the model that it is added to.
    pub base: &'a Path,
}

/// `adapter_config.json`: the keys that mean something here; PEFT fills in the others. What else may stand there is
/// judged by [`keys`].
#[derive(Serialize, Deserialize)]
struct PeftConfig {
    peft_type: String,
    task_type: Option<String>,
    base_model_name_or_path: Option<String>,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Vec<String>,
    #[serde(default = "none")]
    bias: String,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    inference_mode: bool,
}

fn none() -> String {
    "none".into()
}

impl About<'_> {
    /// `adapter_config.json`.
    ///
    /// # Errors
    ///
    /// When the folder of the base model is gone.
    pub fn file(&self) -> Result<(String, Vec<u8>)> {
        let base = fs::canonicalize(self.base).with_context(|| {
            format!(
                "the model `{}` cannot be named in the adapter",
                self.base.display()
            )
        })?;
        let config = PeftConfig {
            peft_type: "LORA".into(),
            task_type: Some("CAUSAL_LM".into()),
            base_model_name_or_path: Some(base.to_string_lossy().into_owned()),
            r: self.config.rank,
            lora_alpha: self.config.alpha,
            lora_dropout: self.config.dropout,
            target_modules: self.config.targets.clone(),
            bias: none(),
            use_rslora: self.config.rslora,
            inference_mode: true,
        };
        Ok((CONFIG.to_owned(), serde_json::to_vec_pretty(&config)?))
    }
}

/// Writes the additions of `model` to `adapter_model.safetensors` in `folder`. The file is synced.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written.
pub fn write(folder: &Path, model: &CausalLm) -> io::Result<Vec<Written>> {
    let mut taker = Taker::default();
    model.visit(&mut taker);
    let named = taker
        .taken
        .into_iter()
        .map(|(name, tensor)| (to_peft(&name), tensor))
        .collect();
    write_tensors(folder, STEM, &named, DiskDtype::Float32)
}

/// `model.layers.0.mlp.up_proj.lora.lora_a` is `base_model.model.model.layers.0.mlp.up_proj.lora_A.weight` for PEFT.
fn to_peft(name: &str) -> String {
    let (module, matrix) = match name.strip_suffix(".lora.lora_a") {
        Some(module) => (module, "A"),
        None => (name.trim_end_matches(".lora.lora_b"), "B"),
    };
    format!("base_model.model.{module}.lora_{matrix}.weight")
}

#[derive(Default)]
struct Taker {
    path: Name,
    taken: HostTensors,
}

impl ModuleVisitor for Taker {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        if is_lora(&name) {
            let tensor = param.val();
            let shape = tensor.dims().to_vec();
            let values = tensor.into_data().try_to_vec().expect("additions are f32");
            self.taken.insert(name, HostTensor { shape, values });
        }
    }
}

/// An adapter as it was read.
pub struct Adapter {
    config: LoraConfig,
    base: Option<PathBuf>,
    file: PathBuf,
    tensors: HostTensors,
}

impl Adapter {
    /// Whether `folder` holds an adapter.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(CONFIG).exists()
    }

    /// Reads the adapter in `folder`.
    ///
    /// # Errors
    ///
    /// When it is damaged, or of a kind that is not known here.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(CONFIG);
        let bytes = fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let no_adapter = || format!("`{}` is no adapter of LoRA", file.display());
        let fields = serde_json::from_slice(&bytes).with_context(no_adapter)?;
        if let Some(Problem { what, hint }) = keys::problem(&fields) {
            bail!("`{}`: {what}{}", file.display(), data::Hint(hint));
        }
        let peft: PeftConfig = serde_json::from_value(fields.into()).with_context(no_adapter)?;
        let config = LoraConfig {
            rank: peft.r,
            alpha: peft.lora_alpha,
            dropout: peft.lora_dropout,
            targets: peft.target_modules,
            rslora: peft.use_rslora,
            four_bit: false,
        };
        if let Some(problem) = config.problem() {
            bail!("`{}`: {problem}", file.display());
        }
        let file = folder.join(STEM).with_extension("safetensors");
        let tensors = read_safetensors(&file)?;
        Ok(Adapter {
            config,
            base: peft.base_model_name_or_path.map(PathBuf::from),
            file,
            tensors,
        })
    }

    /// Refuses to go on training it as `wanted` says when it is another adapter. Dropout may change.
    ///
    /// # Errors
    ///
    /// Names what differs.
    pub fn require_like(&self, wanted: &LoraConfig) -> Result<()> {
        let LoraConfig {
            rank,
            alpha,
            targets,
            rslora,
            ..
        } = &self.config;
        let sorted = |targets: &[String]| -> BTreeSet<String> { targets.iter().cloned().collect() };
        let (has, wants) = (sorted(targets), sorted(&wanted.targets));
        let pairs = [
            ("rank", rank.to_string(), wanted.rank.to_string()),
            ("alpha", alpha.to_string(), wanted.alpha.to_string()),
            ("rslora", rslora.to_string(), wanted.rslora.to_string()),
            ("targets", format!("{has:?}"), format!("{wants:?}")),
        ];
        let differs = |(name, has, wants): &(&str, String, String)| {
            (has != wants).then(|| format!("`lora.{name}` is {wants}, but the adapter has {has}"))
        };
        let differences: Vec<String> = pairs.iter().filter_map(differs).collect();
        if differences.is_empty() {
            return Ok(());
        }
        bail!(
            "the adapter `{}` cannot be trained on as the config says: {}{}",
            self.file.display(),
            differences.join("; "),
            data::Hint("set what the adapter has, or merge it first with `train merge`")
        )
    }

    /// The folder of the model that it names; `folder` is where it was read.
    ///
    /// # Errors
    ///
    /// When that model is not here.
    pub fn base_of(&self, folder: &Path) -> Result<PathBuf> {
        if let Some(base) = self.base.as_ref().filter(|base| base.is_dir()) {
            return Ok(base.clone());
        }
        bail!(
            "the adapter `{}` belongs to the model `{}`, which is no folder here{}",
            folder.display(),
            self.base.clone().unwrap_or_default().display(),
            data::Hint(format_args!(
                "`train merge --model DIR --adapter {} --out DIR` names the model that it belongs to",
                folder.display()
            ))
        )
    }

    /// The model that it names with its additions added; `folder` is where it was read.
    ///
    /// # Errors
    ///
    /// When that model is not here, or the additions do not fit it.
    pub fn load(self, folder: &Path, device: &Device) -> Result<Loaded> {
        let base = self.base_of(folder)?;
        Ok(Loaded {
            path: folder.to_path_buf(),
            ..self.load_onto(&base, device)?
        })
    }

    /// The model in `base` with its additions added.
    ///
    /// # Errors
    ///
    /// When that model cannot be loaded, or the additions do not fit it.
    pub fn load_onto(self, base: &Path, device: &Device) -> Result<Loaded> {
        let Loaded {
            path,
            config,
            model,
            tokenizer,
            template,
        } = checkpoint::load(base, device)?;
        let model = with_lora(model, &config, &self.config, 0, device);
        let model = merged(self.put_into(model, &config, device)?);
        Ok(Loaded {
            path,
            config,
            model,
            tokenizer,
            template,
        })
    }

    /// Replaces the additions of a model, which has some at the same places.
    ///
    /// # Errors
    ///
    /// When one is missing, has another shape, is not finite, or belongs nowhere.
    pub fn put_into(
        mut self,
        mut model: CausalLm,
        shape: &ModelConfig,
        device: &Device,
    ) -> Result<CausalLm> {
        for (layer, block) in model.model.layers.iter_mut().enumerate() {
            for (linear, (module, name)) in linears(block).into_iter().zip(LINEARS) {
                let Some(lora) = linear.lora.as_mut() else {
                    continue;
                };
                let [output, input] = linear_shape(shape, name);
                let rank = self.config.rank;
                let place = format!("model.layers.{layer}.{module}.{name}.lora");
                lora.lora_a = self.tensor(&format!("{place}.lora_a"), [rank, input], device)?;
                lora.lora_b = self.tensor(&format!("{place}.lora_b"), [output, rank], device)?;
            }
        }
        if let Some(name) = self.tensors.keys().next() {
            bail!(
                "`{}` holds the tensor `{name}`, which the model has no place for",
                self.file.display()
            );
        }
        Ok(model)
    }

    fn tensor(
        &mut self,
        name: &str,
        shape: [usize; 2],
        device: &Device,
    ) -> Result<Param<Tensor<2>>> {
        let (file, name) = (self.file.display(), to_peft(name));
        let tensor = self
            .tensors
            .remove(&name)
            .with_context(|| format!("`{file}` lacks the tensor `{name}`"))?;
        if tensor.shape != shape {
            bail!(
                "`{file}`: the tensor `{name}` has shape {:?}, but the model needs {shape:?}",
                tensor.shape
            );
        }
        if tensor.values.iter().any(|value| !value.is_finite()) {
            bail!("`{file}`: the tensor `{name}` holds a value that is not finite");
        }
        Ok(Param::from_tensor(Tensor::from_data(
            TensorData::new(tensor.values, shape),
            device,
        )))
    }
}

#[cfg(test)]
mod tests;

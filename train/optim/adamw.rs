//! AdamW with its moments in f32, in eight bits or factored, behind global-norm clipping.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::adafactor::Seconds;
use super::adamw_8bit::{self, Codes};
use super::element;
use super::gradients::{NamedGradients, global_norm};
use super::state::{self, Moments, States, WeightState};
use super::{OptimizerConfig, StateKind};
use model::CausalLm;
use model::weights::{Path, Written};

/// The moving averages of every weight.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: OptimizerConfig,
    states: States,
    updates: u64,
}

impl AdamW {
    /// No averages yet.
    pub fn new(config: OptimizerConfig) -> Self {
        AdamW {
            config,
            states: States::new(),
            updates: 0,
        }
    }

    /// Number of updates made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// One update at learning rate `rate`; gradients are scaled down to `max_grad_norm` first. Weights without a
    /// gradient stay. Returns the model and the norm before clipping, `[1]`, which nobody has waited for yet.
    ///
    /// # Panics
    ///
    /// When there is no gradient.
    pub fn step(
        &mut self,
        model: CausalLm,
        gradients: NamedGradients,
        rate: f64,
    ) -> (CausalLm, Tensor<1>) {
        let norm = global_norm(&gradients).expect("a step has gradients");
        // In f64, as it would be on the host.
        let clip = (norm.clone().cast(DType::F64) + 1e-6).recip() * self.config.max_grad_norm;
        let clip = clip.clamp_max(1.0).cast(DType::F32);
        self.updates += 1;
        let mut update = Update {
            path: Path::default(),
            gradients,
            optimizer: self,
            rate,
            clip,
        };
        (model.map(&mut update), norm)
    }

    /// Bytes of the state on disk.
    pub fn bytes(&self) -> u64 {
        state::bytes(&self.states)
    }

    /// Writes the state to `optimizer.safetensors` in `folder`, tensor by tensor. The file is synced.
    ///
    /// # Errors
    ///
    /// When the disk is full or the folder cannot be written.
    pub fn write(&self, folder: &std::path::Path) -> anyhow::Result<Written> {
        state::write(&self.states, folder)
    }

    /// The optimizer as it was written to `folder` after `updates` updates.
    ///
    /// # Errors
    ///
    /// When the file is damaged, or was written by an optimizer with another kind of state.
    pub fn read(
        config: OptimizerConfig,
        folder: &std::path::Path,
        updates: u64,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let states = state::read(config.state, folder, device)?;
        Ok(AdamW {
            config,
            states,
            updates,
        })
    }

    /// What all weights of this update have in common; matrices decay.
    fn element(&self, clip: f32, rate: f64, matrix: bool) -> element::Update {
        let OptimizerConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        } = self.config;
        let updates = self.updates as i32;
        element::Update {
            clip,
            beta1: beta1 as f32,
            new1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            new2: (1.0 - beta2) as f32,
            correction2: (1.0 - beta2.powi(updates)) as f32,
            epsilon: epsilon as f32,
            rate: (rate / (1.0 - beta1.powi(updates))) as f32,
            decay: if matrix {
                (1.0 - rate * weight_decay) as f32
            } else {
                1.0
            },
        }
    }

    fn fresh(&self, gradient: &Tensor<1>) -> Option<Moments> {
        let [count] = gradient.dims();
        match self.config.state {
            StateKind::Float32 => Some(Moments::Full {
                first: gradient.zeros_like(),
                second: gradient.zeros_like(),
            }),
            StateKind::EightBit => Some(Moments::EightBit {
                first: Codes::zeros(count),
                second: Codes::zeros(count),
            }),
            StateKind::Factored => None,
        }
    }
}

struct Update<'a> {
    path: Path,
    gradients: NamedGradients,
    optimizer: &'a mut AdamW,
    rate: f64,
    /// `[1]`
    clip: Tensor<1>,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some(gradient) = self.gradients.remove(&name) else {
            return param;
        };
        let before = self.optimizer.states.remove(&name);
        let (master, moments) =
            before.map_or((None, None), |state| (state.master, Some(state.moments)));
        let (id, weight, mapper) = param.consume();
        let (shape, dtype) = (weight.dims(), weight.dtype());
        let count = shape.iter().product::<usize>();
        let flat = match (master, dtype) {
            (Some(master), _) => master,
            (None, DType::F32) => weight.reshape([count]),
            (None, _) => weight.reshape([count]).cast(DType::F32),
        };
        let (flat, moments) = self.one(flat, gradient, moments, &shape);
        let weight = flat.clone().reshape(shape);
        let (weight, master) = match dtype {
            DType::F32 => (weight, None),
            _ => (weight.cast(dtype), Some(flat)),
        };
        self.optimizer
            .states
            .insert(name, WeightState { moments, master });
        Param::from_mapped_value(id, weight, mapper)
    }
}

impl Update<'_> {
    /// The weight after the update, and its moments.
    fn one(
        &self,
        weight: Tensor<1>,
        gradient: Tensor<1>,
        moments: Option<Moments>,
        shape: &[usize],
    ) -> (Tensor<1>, Moments) {
        let matrix = shape.len() >= 2;
        match moments.or_else(|| self.optimizer.fresh(&gradient)) {
            Some(Moments::Full { first, second }) if weight.device() == Device::flex() => {
                let (mut weight, gradient) = (weight.into_data(), gradient.into_data());
                let (mut first, mut second) = (first.into_data(), second.into_data());
                let update =
                    self.optimizer
                        .element(self.clip.clone().into_scalar(), self.rate, matrix);
                update.apply(
                    floats(&mut weight),
                    floats_of(&gradient),
                    floats(&mut first),
                    floats(&mut second),
                );
                let [weight, first, second] =
                    [weight, first, second].map(|data| Tensor::from_data(data, &Device::flex()));
                (weight, Moments::Full { first, second })
            }
            Some(Moments::Full { first, second }) => {
                let update = self.optimizer.element(1.0, self.rate, matrix);
                let gradient = gradient * self.clip.clone();
                let first = first * update.beta1 + gradient.clone() * update.new1;
                let second = second * update.beta2 + gradient.square() * update.new2;
                let root = (second.clone() / update.correction2).sqrt() + update.epsilon;
                let weight = weight * update.decay - first.clone() / root * update.rate;
                (weight, Moments::Full { first, second })
            }
            Some(Moments::EightBit {
                mut first,
                mut second,
            }) => {
                let device = weight.device();
                let (mut weight, gradient) = (weight.into_data(), gradient.into_data());
                let update =
                    self.optimizer
                        .element(self.clip.clone().into_scalar(), self.rate, matrix);
                adamw_8bit::apply(
                    &update,
                    floats(&mut weight),
                    floats_of(&gradient),
                    &mut first,
                    &mut second,
                );
                (
                    Tensor::from_data(weight, &device),
                    Moments::EightBit { first, second },
                )
            }
            factored => {
                let before = match factored {
                    Some(Moments::Factored(seconds)) => Some(seconds),
                    _ => None,
                };
                let matrix = matrix.then(|| [shape[0], shape[1..].iter().product()]);
                let gradient = gradient * self.clip.clone();
                let (seconds, step) =
                    Seconds::step(before, gradient, matrix, self.optimizer.updates);
                let decay = self
                    .optimizer
                    .element(1.0, self.rate, matrix.is_some())
                    .decay;
                (
                    weight * decay - step * self.rate,
                    Moments::Factored(seconds),
                )
            }
        }
    }
}

fn floats(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().expect("the state is f32")
}

fn floats_of(data: &TensorData) -> &[f32] {
    data.as_slice().expect("gradients are f32")
}

#[cfg(test)]
mod tests;

//! AdamW with global-norm clipping, and the learning-rate schedule.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::model::CausalLm;
use crate::model::weights::{HostTensor, HostTensors, Path};

/// How fast the learning rate moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Stays at its height after warm-up.
    Constant,
    /// Falls along half a cosine to `final_share` of its height.
    Cosine,
    /// Warm-up, stable, decay: stays, then falls linearly over the last fifth.
    Wsd,
}

/// What the optimizer needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Learning rate after warm-up.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay of matrices (Loshchilov & Hutter, arXiv 1711.05101).
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub max_grad_norm: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Shape after warm-up.
    pub schedule: Shape,
    /// Share of `lr` that is left at the end of a falling schedule.
    pub final_share: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            max_grad_norm: 1.0,
            warmup_steps: 10,
            schedule: Shape::Cosine,
            final_share: 0.1,
        }
    }
}

impl OptimizerConfig {
    /// The learning rate of `step`, counted from 0, of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return self.lr * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let rest = steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = ((step - self.warmup_steps) as f64 / rest).min(1.0);
        let height = match self.schedule {
            Shape::Constant => 1.0,
            Shape::Cosine => {
                self.final_share + (1.0 - self.final_share) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Shape::Wsd if done < 0.8 => 1.0,
            Shape::Wsd => 1.0 - (1.0 - self.final_share) * (done - 0.8) / 0.2,
        };
        self.lr * height
    }
}

/// Gradients by the name of their weight, flattened.
pub type NamedGradients = BTreeMap<String, Tensor<1>>;

/// Takes the gradients of `model` out of a backward pass.
pub fn gradients(model: &CausalLm, gradients: Gradients) -> NamedGradients {
    let mut taker = Taker { path: Path::default(), gradients, taken: NamedGradients::new() };
    model.visit(&mut taker);
    taker.taken
}

struct Taker {
    path: Path,
    gradients: Gradients,
    taken: NamedGradients,
}

impl ModuleVisitor for Taker {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(&mut self.gradients) {
            let count = gradient.dims().iter().product::<usize>();
            self.taken.insert(self.path.name(), gradient.reshape([count]));
        }
    }
}

/// Adds the gradients of one micro-batch to those of the step.
pub fn accumulate(sum: &mut NamedGradients, new: NamedGradients) {
    for (name, gradient) in new {
        let total = match sum.remove(&name) {
            Some(before) => before + gradient,
            None => gradient,
        };
        sum.insert(name, total);
    }
}

/// The square root of the sum of all squares.
pub fn global_norm(gradients: &NamedGradients) -> f32 {
    let squares = gradients.values().map(|gradient| gradient.clone().square().sum());
    let total = squares.reduce(|sum, square| sum + square);
    total.map_or(0.0, |total| total.into_scalar::<f32>().sqrt())
}

/// The moving averages of every weight.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: OptimizerConfig,
    // First and second moment by name, flattened.
    moments: BTreeMap<String, (Tensor<1>, Tensor<1>)>,
    updates: u64,
}

impl AdamW {
    /// No averages yet.
    pub fn new(config: OptimizerConfig) -> Self {
        AdamW { config, moments: BTreeMap::new(), updates: 0 }
    }

    /// Number of updates made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// One update at learning rate `rate`; gradients are scaled down to `max_grad_norm` first.
    /// Returns the model and the norm before clipping.
    pub fn step(&mut self, model: CausalLm, gradients: NamedGradients, rate: f64) -> (CausalLm, f32) {
        let norm = global_norm(&gradients);
        let clip = (self.config.max_grad_norm / (f64::from(norm) + 1e-6)).min(1.0);
        self.updates += 1;
        let mut update = Update { path: Path::default(), gradients, optimizer: self, rate, clip };
        (model.map(&mut update), norm)
    }

    /// The state on the host: `exp_avg.<weight>` and `exp_avg_sq.<weight>`, as PyTorch names them.
    pub fn to_host(&self) -> HostTensors {
        let host = |tensor: &Tensor<1>| HostTensor {
            shape: tensor.dims().to_vec(),
            values: tensor.to_data().try_to_vec().expect("moments are f32"),
        };
        let mut tensors = HostTensors::new();
        for (name, (first, second)) in &self.moments {
            tensors.insert(format!("exp_avg.{name}"), host(first));
            tensors.insert(format!("exp_avg_sq.{name}"), host(second));
        }
        tensors
    }

    /// The optimizer as it was saved after `updates` updates.
    pub fn from_host(config: OptimizerConfig, tensors: &HostTensors, updates: u64, device: &Device) -> Self {
        let load = |tensor: &HostTensor| {
            Tensor::<1>::from_data(TensorData::new(tensor.values.clone(), [tensor.values.len()]), device)
        };
        let moments = tensors
            .iter()
            .filter_map(|(name, first)| {
                let weight = name.strip_prefix("exp_avg.")?;
                let second = tensors.get(&format!("exp_avg_sq.{weight}"))?;
                Some((weight.to_owned(), (load(first), load(second))))
            })
            .collect();
        AdamW { config, moments, updates }
    }
}

struct Update<'a> {
    path: Path,
    gradients: NamedGradients,
    optimizer: &'a mut AdamW,
    rate: f64,
    clip: f64,
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
        let Some(gradient) = self.gradients.remove(&name) else { return param };
        let config = &self.optimizer.config;
        let (first, second) = self.optimizer.moments.remove(&name).unwrap_or_else(|| {
            let zeros = gradient.zeros_like();
            (zeros.clone(), zeros)
        });
        let gradient = gradient * self.clip;
        let first = first * config.beta1 + gradient.clone() * (1.0 - config.beta1);
        let second = second * config.beta2 + gradient.square() * (1.0 - config.beta2);

        // Both averages start at zero; the corrections undo that bias.
        let updates = self.optimizer.updates as i32;
        let first_correction = 1.0 - config.beta1.powi(updates);
        let second_correction = 1.0 - config.beta2.powi(updates);
        let root = (second.clone() / second_correction).sqrt() + config.epsilon;
        let change = first.clone() / root * (self.rate / first_correction);
        self.optimizer.moments.insert(name, (first, second));

        let decay = if D >= 2 { 1.0 - self.rate * config.weight_decay } else { 1.0 };
        let (id, weight, mapper) = param.consume();
        let shape = weight.dims();
        let weight = weight * decay - change.reshape(shape);
        Param::from_mapped_value(id, weight, mapper)
    }
}

/// The model with weights that collect gradients.
pub fn tracked(model: CausalLm) -> CausalLm {
    struct Track;
    impl ModuleMapper for Track {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, weight, mapper) = param.consume();
            Param::from_mapped_value(id, weight.autodiff().require_grad(), mapper)
        }
    }
    model.map(&mut Track)
}

/// Gradients of a step's micro-batches, computed on all cores and added in the order of the micro-batches, so that
/// the sum does not depend on the number of cores. `work` gets the micro-batch and weights that collect gradients.
pub fn over_micro_batches<B: Sync, T: Send>(
    model: &CausalLm,
    micro_batches: &[B],
    work: impl Fn(&CausalLm, &B) -> (NamedGradients, T) + Sync,
) -> (NamedGradients, Vec<T>) {
    let mut sum = NamedGradients::new();
    let mut measured = Vec::with_capacity(micro_batches.len());
    // A wave bounds how many gradients are alive at once.
    for wave in micro_batches.chunks(4 * cores()) {
        // Each micro-batch has leaves of its own: graphs that share a leaf would wait for each other.
        for (gradients, one) in on_all_cores(wave, |micro_batch| work(&tracked(model.clone()), micro_batch)) {
            accumulate(&mut sum, gradients);
            measured.push(one);
        }
    }
    (sum, measured)
}

/// What `work` makes of every item, in the order of the items; a core takes the next item when it is free.
pub fn on_all_cores<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        while let Some((at, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
        {
            done.push((at, work(item)));
        }
        done
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores().min(items.len())).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("the work does not panic")).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, one)| one).collect()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rises_and_the_cosine_ends_at_its_final_share() {
        let config = OptimizerConfig { lr: 1.0, warmup_steps: 4, final_share: 0.1, ..OptimizerConfig::default() };
        assert_eq!(config.rate(0, 100), 0.25);
        assert_eq!(config.rate(3, 100), 1.0);
        assert!((config.rate(100, 100) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn gradients_of_micro_batches_add_up() {
        let device = Device::flex();
        let one = |value: f32| NamedGradients::from([("w".to_owned(), Tensor::<1>::from_data([value, 0.0], &device))]);
        let mut sum = one(3.0);
        accumulate(&mut sum, one(1.0));
        assert_eq!(global_norm(&sum), 4.0);
    }
}

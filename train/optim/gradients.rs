//! Gradients by the name of their weight: taken from a backward pass, added up, measured.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Gradients, Tensor};

use model::weights::Path;

/// Gradients by the name of their weight, flattened, in f32.
pub type NamedGradients = BTreeMap<String, Tensor<1>>;

/// Takes the gradients of `module` out of a backward pass. Names begin with `prefix`, which is empty for a whole model.
pub fn gradients<M: Module>(module: &M, prefix: &str, gradients: &mut Gradients) -> NamedGradients {
    let mut path = Path::default();
    if !prefix.is_empty() {
        path.enter(prefix);
    }
    let mut taker = Taker {
        path,
        gradients,
        taken: NamedGradients::new(),
    };
    module.visit(&mut taker);
    taker.taken
}

struct Taker<'a> {
    path: Path,
    gradients: &'a mut Gradients,
    taken: NamedGradients,
}

impl ModuleVisitor for Taker<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            let count = gradient.dims().iter().product::<usize>();
            self.taken
                .insert(self.path.name(), in_f32(gradient.reshape([count])));
        }
    }
}

/// Sums of 16-bit gradients lose what 16 bits do not hold, so they are kept in f32.
fn in_f32(gradient: Tensor<1>) -> Tensor<1> {
    match gradient.dtype() {
        DType::F32 => gradient,
        _ => gradient.cast(DType::F32),
    }
}

/// Adds the gradient of one weight to what is there.
pub fn add_named(sum: &mut NamedGradients, name: String, gradient: Tensor<1>) {
    let total = match sum.remove(&name) {
        Some(before) => before + gradient,
        None => gradient,
    };
    sum.insert(name, total);
}

/// Adds the gradients of one micro-batch to those of the step.
pub fn accumulate(sum: &mut NamedGradients, new: NamedGradients) {
    for (name, gradient) in new {
        add_named(sum, name, gradient);
    }
}

/// The square root of the sum of all squares, `[1]`; none when there is no gradient. It stays where the gradients are.
pub fn global_norm(gradients: &NamedGradients) -> Option<Tensor<1>> {
    let squares = gradients
        .values()
        .map(|gradient| gradient.clone().square().sum());
    squares.reduce(|sum, square| sum + square).map(Tensor::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn gradients_of_micro_batches_add_up() {
        let device = Device::flex();
        let one = |value: f32| {
            NamedGradients::from([(
                "w".to_owned(),
                Tensor::<1>::from_data([value, 0.0], &device),
            )])
        };
        let mut sum = one(3.0);
        accumulate(&mut sum, one(1.0));
        assert_eq!(
            global_norm(&sum).expect("a gradient").into_scalar::<f32>(),
            4.0
        );
    }
}

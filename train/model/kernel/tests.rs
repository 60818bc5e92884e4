//! Every kernel against the chain of tensor operations that it replaces, forward and backward.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor, TensorData};

use super::{attend, exp, rms_norm, swiglu};

fn device() -> Device {
    Device::flex().autodiff()
}

/// Numbers between −1 and 1 that look random.
fn numbers<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let count = shape.iter().product::<usize>() as u64;
    let values: Vec<f32> =
        (0..count).map(|at| (data::draw::bits(seed, at) >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn assert_close<const D: usize>(name: &str, got: Tensor<D>, want: Tensor<D>) {
    let values = |tensor: Tensor<D>| tensor.into_data().try_to_vec::<f32>().expect("f32");
    for (got, want) in values(got).into_iter().zip(values(want)) {
        assert!((got - want).abs() < 2e-5 * (1.0 + want.abs()), "{name}: {got} is not {want}");
    }
}

/// Compares outputs and the gradients of every input, with a loss that weighs every output differently.
fn compare<const D: usize, const N: usize, const I: usize>(
    inputs: [Tensor<I>; N],
    fused: impl Fn([Tensor<I>; N]) -> Tensor<D>,
    plain: impl Fn([Tensor<I>; N]) -> Tensor<D>,
) {
    let run = |of: &dyn Fn([Tensor<I>; N]) -> Tensor<D>| {
        let leaves = inputs.clone().map(Tensor::require_grad);
        let output = of(leaves.clone());
        let weights = numbers(output.dims(), 99);
        let mut gradients = (output.clone() * weights).sum().backward();
        (output.inner(), leaves.map(|leaf| leaf.grad_remove(&mut gradients).expect("a gradient")))
    };
    let (got, got_gradients) = run(&fused);
    let (want, want_gradients) = run(&plain);
    assert_close("output", got, want);
    for (at, (got, want)) in got_gradients.into_iter().zip(want_gradients).enumerate() {
        assert_close(&format!("gradient {at}"), got, want);
    }
}

fn plain_attend(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    let [batch, heads, queries, width] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    let query = (query * (1.0 / (width as f64).sqrt())).reshape([batch, kv_heads, heads / kv_heads * queries, width]);
    let scores = query.matmul(key.swap_dims(2, 3)).reshape([batch, heads, queries, keys]);
    let weights = softmax(scores + bias, 3).reshape([batch, kv_heads, heads / kv_heads * queries, keys]);
    weights.matmul(value).reshape([batch, heads, queries, width])
}

#[test]
fn fused_attention_is_plain_attention_with_grouped_heads_and_a_bias_per_row() {
    let bias = || numbers([2, 1, 7, 7], 5).mul_scalar(3.0);
    // Heads that are views of one projection, as in the model.
    let inputs = [numbers([2, 7, 4, 8], 1), numbers([2, 7, 2, 8], 2), numbers([2, 7, 2, 8], 3)];
    let views = |all: [Tensor<4>; 3]| all.map(|tensor| tensor.swap_dims(1, 2));
    compare(
        inputs,
        |all| {
            let [query, key, value] = views(all);
            attend(query, key, value, bias())
        },
        |all| {
            let [query, key, value] = views(all);
            plain_attend(query, key, value, bias())
        },
    );
}

#[test]
fn fused_swiglu_is_gate_times_its_sigmoid_times_up() {
    let inputs = [numbers([2, 3, 20], 1).mul_scalar(9.0), numbers([2, 3, 20], 2)];
    compare(inputs, |[gate, up]| swiglu(gate, up), |[gate, up]| gate.clone() * sigmoid(gate) * up);
}

#[test]
fn fused_rms_norm_divides_by_the_root_of_the_mean_square() {
    let weight = || numbers([20], 7);
    compare(
        [numbers([2, 3, 20], 1)],
        |[hidden]| rms_norm(hidden, weight(), 1e-5),
        |[hidden]| {
            let mean = hidden.clone().square().mean_dim(2);
            hidden * (mean + 1e-5).sqrt().recip() * weight().unsqueeze()
        },
    );
}

#[test]
fn the_weight_of_a_norm_gets_its_gradient() {
    let hidden = || numbers([2, 3, 20], 1);
    let run = |fused: bool| {
        let weight = numbers([20], 7).require_grad();
        let mean = hidden().square().mean_dim(2);
        let output = match fused {
            true => rms_norm(hidden(), weight.clone(), 1e-5),
            false => hidden() * (mean + 1e-5).sqrt().recip() * weight.clone().unsqueeze(),
        };
        let mut gradients = (output * numbers([2, 3, 20], 99)).sum().backward();
        weight.grad_remove(&mut gradients).expect("a gradient")
    };
    assert_close("weight", run(true), run(false));
}

#[test]
fn the_exponential_is_exact_to_seven_digits_and_zero_far_below() {
    for step in 0..8_700 {
        let x = -(step as f32) / 100.0;
        let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
        assert!((got - want).abs() <= 3e-7 * want, "exp({x}) is {got}, not {want}");
    }
    assert_eq!(exp(-1e9), 0.0);
    assert_eq!(exp(0.0), 1.0);
}

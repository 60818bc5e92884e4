//! Every kernel against the chain of tensor operations that it replaces, forward and backward.

use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{attend, composed, exp, project, rms_norm, swiglu};
use crate::mask::{BlockMask, Span, View};

fn device() -> Device {
    Device::flex().autodiff()
}

/// Numbers between −1 and 1 that look random.
fn numbers<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let count = shape.iter().product::<usize>() as u64;
    let values: Vec<f32> = (0..count)
        .map(|at| (data::draw::bits(seed, at) >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn assert_close<const D: usize>(name: &str, got: Tensor<D>, want: Tensor<D>) {
    let values = |tensor: Tensor<D>| tensor.into_data().try_to_vec::<f32>().expect("f32");
    for (got, want) in values(got).into_iter().zip(values(want)) {
        assert!(
            (got - want).abs() < 2e-5 * (1.0 + want.abs()),
            "{name}: {got} is not {want}"
        );
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
        (
            output.inner(),
            leaves.map(|leaf| leaf.grad_remove(&mut gradients).expect("a gradient")),
        )
    };
    let (got, got_gradients) = run(&fused);
    let (want, want_gradients) = run(&plain);
    assert_close("output", got, want);
    for (at, (got, want)) in got_gradients.into_iter().zip(want_gradients).enumerate() {
        assert_close(&format!("gradient {at}"), got, want);
    }
}

/// Heads that are views of one projection, as in the model.
fn assert_attends(block_mask: BlockMask, keys: usize) {
    let (rows, queries) = (block_mask.rows(), block_mask.queries());
    let query = numbers([rows, queries, 4, 8], 1);
    let inputs = [
        query,
        numbers([rows, keys, 2, 8], 2),
        numbers([rows, keys, 2, 8], 3),
    ];
    let views = |all: [Tensor<4>; 3]| all.map(|tensor| tensor.swap_dims(1, 2));
    compare(
        inputs,
        |all| {
            let [query, key, value] = views(all);
            attend(query, key, value, block_mask.clone())
        },
        |all| {
            let [query, key, value] = views(all);
            composed::attend(query, key, value, &block_mask)
        },
    );
}

#[test]
fn fused_attention_is_plain_attention_whatever_each_query_sees() {
    assert_attends(BlockMask::causal(2, 7), 7);
    assert_attends(BlockMask::causal(1, 150), 150);
    assert_attends(BlockMask::causal(1, 150).within(Some(20)), 150);
    // Two documents, the second row padded on the left.
    let packed = (0..5)
        .map(|query| View::from_range(0, query + 1))
        .chain((5..9).map(|query| View::from_range(5, query + 1)));
    let padded = (0..9).map(|query| View::from_range(query.min(3), query + 1));
    assert_attends(BlockMask::new(packed.chain(padded).collect(), 9), 9);
}

#[test]
fn attempts_see_their_prompt_and_themselves_on_more_than_one_core() {
    let view = |from: usize, query: usize| View {
        shared: Span::new(0, 100),
        own: Span::new(from, query + 1),
    };
    let prompt = (0..100).map(|query| View::from_range(0, query + 1));
    let attempts = (100..290).map(|query| view(100 + (query - 100) / 70 * 70, query));
    let row: Vec<View> = prompt.chain(attempts).collect();
    assert_attends(BlockMask::new(row.repeat(3), 290), 290);
    assert_attends(BlockMask::new(row.repeat(3), 290).within(Some(30)), 290);
}

#[test]
fn cache_rows_of_different_fill_stand_in_one_batch() {
    assert_attends(
        BlockMask::new(
            [3, 40, 17]
                .map(|filled| View::from_range(0, filled))
                .to_vec(),
            1,
        ),
        41,
    );
}

#[test]
fn a_query_that_sees_nothing_gets_zeros() {
    let query = numbers([1, 2, 1, 4], 1);
    let output = attend(
        query.clone(),
        query.clone(),
        query,
        BlockMask::new(vec![View::from_range(0, 0)], 1),
    );
    assert_eq!(
        output.into_data().try_to_vec::<f32>().expect("f32"),
        [0.0; 8]
    );
}

#[test]
fn a_weight_in_bf16_projects_as_the_same_weight_in_f32() {
    for (rows, width, out) in [
        (1, 5, 3),
        (1, 96, 130),
        (3, 320, 97),
        (7, 33, 200),
        (11, 320, 301),
        (33, 40, 9),
        (130, 64, 301),
    ] {
        let half = numbers([out, width], 2).inner().cast(DType::BF16);
        let input = numbers([rows, width], 1).inner();
        let whole = project(input.clone(), half.clone().cast(DType::F32));
        assert_close("output", project(input, half), whole);
    }
}

#[test]
fn a_projection_of_few_rows_or_many_is_a_matrix_product() {
    for (rows, width, out) in [
        (1, 5, 3),
        (1, 70, 130),
        (7, 33, 66),
        (2, 320, 97),
        (16, 96, 301),
        (33, 40, 9),
        (128, 7, 20),
        (129, 40, 9),
    ] {
        compare(
            [numbers([rows, width], 1), numbers([out, width], 2)],
            |[input, weight]| project(input, weight),
            |[input, weight]| input.matmul(weight.transpose()),
        );
    }
}

#[test]
fn a_row_among_few_is_the_same_whatever_stands_beside_it() {
    let (input, weight) = (numbers([90, 70], 1).inner(), numbers([130, 70], 2).inner());
    let values = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().expect("f32");
    let together = values(project(input.clone(), weight.clone()));
    for row in [0, 1, 15, 16, 86] {
        let fewer = values(project(input.clone().narrow(0, row, 4), weight.clone()));
        assert_eq!(fewer, together[row * 130..][..4 * 130], "row {row}");
    }
}

#[test]
fn a_frozen_weight_gets_no_gradient() {
    let weight = numbers([3, 5], 2);
    let input = numbers([2, 5], 1).require_grad();
    let mut gradients = project(input.clone(), weight.clone()).sum().backward();
    assert!(
        weight.grad_remove(&mut gradients).is_none() && input.grad_remove(&mut gradients).is_some()
    );
}

#[test]
fn fused_swiglu_is_gate_times_its_sigmoid_times_up() {
    let inputs = [
        numbers([2, 3, 20], 1).mul_scalar(9.0),
        numbers([2, 3, 20], 2),
    ];
    compare(
        inputs,
        |[gate, up]| swiglu(gate, up),
        |[gate, up]| gate.clone() * sigmoid(gate) * up,
    );
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
        assert!(
            (got - want).abs() <= 3e-7 * want,
            "exp({x}) is {got}, not {want}"
        );
    }
    assert_eq!(exp(-1e9), 0.0);
    assert_eq!(exp(0.0), 1.0);
}

//! Gradients block by block against those of one graph, for all that can be trained.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use data::Sample;

use super::*;
use crate::loss::cross_entropy::cross_entropy;
use crate::trainer::batch::Row;
use model::ModelConfig;
use model::decoder::rope_of;
use model::lora::{LoraConfig, with_lora};

fn shape(tied: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 40,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        max_position_embeddings: 64,
        tie_word_embeddings: tied,
        ..ModelConfig::default()
    }
}

fn row(seed: u64, count: u64) -> Row {
    let tokens: Vec<u32> = (0..count)
        .map(|at| data::draw::below(seed, at, 40) as u32)
        .collect();
    let mask = (0..count).map(|at| at % 3 != 0).collect();
    Row::from_sample(&Sample::new(tokens, mask, "random").expect("a sample"), 0.2)
}

fn run(learner: &Learner, key: u64) -> (NamedGradients, f32) {
    on(learner, &[row(1, 30), row(2, 21)], key)
}

fn on(learner: &Learner, rows: &[Row], key: u64) -> (NamedGradients, f32) {
    let batch = Batch::new(rows, &Device::flex());
    let (gradients, losses) =
        learner.gradients(&batch, key, &|logits: Tensor<2>, range: Range<usize>| {
            let part = batch.part(&range);
            let (gradient, loss) = cross_entropy(logits, part.targets, part.weights, batch.weight);
            (gradient, loss.into_scalar::<f32>())
        });
    (gradients, losses.iter().sum())
}

fn values(gradients: NamedGradients) -> Vec<(String, Vec<f32>)> {
    let values = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().expect("f32");
    gradients
        .into_iter()
        .map(|(name, tensor)| (name, values(tensor)))
        .collect()
}

/// The model with an addition whose B is not zero.
fn adapted(model: CausalLm, shape: &ModelConfig, dropout: f64) -> CausalLm {
    let config = LoraConfig {
        rank: 4,
        dropout,
        ..LoraConfig::default()
    };
    let mut model = with_lora(model, shape, &config, 5, &Device::flex());
    for block in &mut model.model.layers {
        for linear in model::lora::linears(block) {
            let lora = linear.lora.as_mut().expect("a target");
            let [output, rank] = lora.lora_b.dims();
            let other = CausalLm::new(
                &ModelConfig {
                    vocab_size: output,
                    hidden_size: rank,
                    ..shape.clone()
                },
                9,
                &Device::flex(),
            );
            lora.lora_b = other.model.embed_tokens.weight;
        }
    }
    model
}

#[test]
fn block_by_block_the_gradients_are_those_of_the_whole_graph() {
    for tied in [true, false] {
        let (shape, device) = (shape(tied), Device::flex());
        let (model, rope) = (CausalLm::new(&shape, 7, &device), rope_of(&shape, &device));
        let whole = Learner::new(&model, &rope);
        let (one, loss) = run(&whole, 0);
        let (other, again) = run(
            &Learner {
                checkpointing: true,
                ..whole
            },
            0,
        );
        assert_eq!(loss.to_bits(), again.to_bits());
        assert_eq!(one.len(), 3 * 9 + if tied { 2 } else { 3 });
        assert_eq!(values(one), values(other));
    }
}

#[test]
fn additions_alone_get_gradients_with_dropout_too_and_block_by_block_the_same() {
    let (shape, device) = (shape(true), Device::flex());
    let rope = rope_of(&shape, &device);
    for dropout in [0.0, 0.3] {
        let model = adapted(CausalLm::new(&shape, 7, &device), &shape, dropout);
        let whole = Learner::new(&model, &rope);
        let (one, loss) = run(&whole, 11);
        assert!(
            one.len() == 3 * 14 && one.keys().all(|name| is_lora(name)),
            "{:?}",
            one.keys()
        );
        let (other, again) = run(
            &Learner {
                checkpointing: true,
                ..whole
            },
            11,
        );
        assert_eq!(loss.to_bits(), again.to_bits());
        assert_eq!(values(one), values(other));
        // Another key leaves out other inputs, if any.
        assert_eq!(
            run(&whole, 12).1.to_bits() == loss.to_bits(),
            dropout == 0.0
        );
    }
}

#[test]
fn additions_to_four_bit_weights_get_the_gradients_of_additions_to_their_rounded_values() {
    let (shape, device) = (shape(true), Device::flex());
    let rope = rope_of(&shape, &device);
    let model = adapted(CausalLm::new(&shape, 7, &device), &shape, 0.0);
    let (left, packed) = Nf4Blocks::take(model, &device);
    let mut rounded = left.clone();
    rounded.model.layers = (0..3).map(|index| packed.block(&left, index)).collect();
    let (one, loss) = run(
        &Learner {
            frozen: Some(&packed),
            ..Learner::new(&left, &rope)
        },
        0,
    );
    let (other, again) = run(&Learner::new(&rounded, &rope), 0);
    assert_eq!(loss.to_bits(), again.to_bits());
    assert_eq!(values(one), values(other));
}

#[test]
fn samples_that_share_a_row_have_the_loss_and_the_gradients_of_samples_with_rows_of_their_own() {
    let (shape, device) = (shape(true), Device::flex());
    let (model, rope) = (CausalLm::new(&shape, 7, &device), rope_of(&shape, &device));
    let learner = Learner::new(&model, &rope);
    let rows = [row(1, 30), row(2, 21), row(3, 9)];
    let (one, loss) = on(&learner, &rows, 0);
    let packed = Row::packed(rows.to_vec());
    assert_eq!(
        (
            packed.tokens.len(),
            packed.positions[29],
            packed.positions[30]
        ),
        (57, 0, 1)
    );
    let (other, again) = on(&learner, &[packed], 0);
    assert!((loss - again).abs() < 1e-5 * loss, "{loss} and {again}");
    for ((name, one), (_, other)) in values(one).into_iter().zip(values(other)) {
        let most = one.iter().fold(0f32, |most, value| most.max(value.abs()));
        let far = one
            .iter()
            .zip(&other)
            .fold(0f32, |far, (one, other)| far.max((one - other).abs()));
        assert!(
            far < 1e-5 * most.max(1e-3),
            "`{name}`: {far} apart, {most} large"
        );
    }
}

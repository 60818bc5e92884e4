//! Is the exported model still the model? Its next-token distributions are compared with the original's.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{ExportError, ModelShape, NamedTensor};
use crate::trainer::batch::{Batch, Row};
use model::decoder::rope_of;
use model::weights::{HostTensor, HostTensors};
use model::{CausalLm, ModelConfig};

/// How far an exported model is from its original.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Mean KL divergence of the original's next-token distribution from the exported one's, in nats.
    pub logit_kl: f64,
    /// Share of positions at which both hold the same token likeliest.
    pub top1_agreement: f64,
    /// Positions compared.
    pub positions: usize,
}

/// Compares two models on every position of some rows.
pub fn distance(
    original: &CausalLm,
    exported: &CausalLm,
    config: &ModelConfig,
    rows: &[Row],
    device: &Device,
) -> Distance {
    let rope = rope_of(config, device);
    let (mut kl, mut agree, mut positions) = (0.0, 0.0, 0);
    for row in rows.iter().filter(|row| !row.targets.is_empty()) {
        let batch = Batch::new(std::slice::from_ref(row), device);
        let before = batch.plain_logits(original, &rope);
        let after = batch.plain_logits(exported, &rope);
        let same = before
            .clone()
            .argmax(1)
            .equal(after.clone().argmax(1))
            .int()
            .sum();
        agree += f64::from(same.into_scalar::<i32>());
        kl += divergence(before, after);
        positions += row.targets.len();
    }
    let count = positions.max(1) as f64;
    Distance {
        logit_kl: kl / count,
        top1_agreement: agree / count,
        positions,
    }
}

/// `Σ p (ln p − ln q)`, summed over rows.
fn divergence(before: Tensor<2>, after: Tensor<2>) -> f64 {
    let before = burn::tensor::activation::log_softmax(before, 1);
    let after = burn::tensor::activation::log_softmax(after, 1);
    let sum: f32 = (before.clone().exp() * (before - after))
        .sum()
        .into_scalar();
    f64::from(sum)
}

/// The shape of a model in the words of the exporter.
///
/// # Errors
///
/// When it is more than a plain Llama decoder, which is all that the exported files can tell.
pub fn shape_of(config: &ModelConfig, name: &str) -> Result<ModelShape, ExportError> {
    let more = [
        (
            "biases",
            config.qkv_bias() || config.attention_bias || config.mlp_bias,
        ),
        ("norms of queries and keys", config.head_norms()),
        ("`rope_scaling`", config.rope_scaling.is_some()),
        ("`sliding_window`", config.sliding_window.is_some()),
    ];
    if let Some((what, _)) = more.into_iter().find(|(_, has)| *has) {
        let family = config.model_type.name();
        return Err(ExportError::Shape(format!(
            "this `{family}` model has {what}, which a GGUF file cannot be told here"
        )));
    }
    Ok(ModelShape {
        vocab: config.vocab_size,
        d_model: config.hidden_size,
        layers: config.num_hidden_layers,
        heads: config.num_attention_heads,
        kv_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
        d_ff: config.intermediate_size,
        context: config.max_position_embeddings,
        rope_theta: config.rope_theta as f32,
        norm_eps: config.rms_norm_eps as f32,
        tied: config.tie_word_embeddings,
        name: name.to_owned(),
    })
}

/// Weights as the exporter takes them.
pub fn to_named(tensors: HostTensors) -> Vec<NamedTensor> {
    tensors
        .into_iter()
        .map(|(name, tensor)| NamedTensor {
            name,
            shape: tensor.shape,
            values: tensor.values,
        })
        .collect()
}

/// Weights as a model takes them.
pub fn from_named(tensors: Vec<NamedTensor>) -> HostTensors {
    tensors
        .into_iter()
        .map(|one| {
            (
                one.name,
                HostTensor {
                    shape: one.shape,
                    values: one.values,
                },
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::Sample;

    fn tiny() -> ModelConfig {
        ModelConfig {
            vocab_size: 32,
            hidden_size: 32,
            intermediate_size: 32,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 16,
            max_position_embeddings: 16,
            ..ModelConfig::default()
        }
    }

    #[test]
    fn a_model_is_at_no_distance_from_itself_and_at_some_from_another() {
        let device = Device::flex();
        let sample = Sample::new(vec![1, 2, 3, 4, 5], vec![true; 5], "here").expect("valid");
        let rows = [Row::from_sample(&sample, 1.0)];
        let (one, other) = (
            CausalLm::new(&tiny(), 1, &device),
            CausalLm::new(&tiny(), 2, &device),
        );
        let none = distance(&one, &one, &tiny(), &rows, &device);
        assert_eq!(
            (none.logit_kl, none.top1_agreement, none.positions),
            (0.0, 1.0, 4)
        );
        assert!(distance(&one, &other, &tiny(), &rows, &device).logit_kl > 0.0);
    }
}

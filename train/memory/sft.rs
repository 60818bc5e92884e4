//! What supervised fine-tuning will hold.

use super::{FLOAT, Fit, MemoryPlan, PROGRAM};
use crate::config::SftConfig;
use crate::loss::chunked::chunk_rows;
use crate::optim::StateKind;
use model::ModelConfig;
use model::lora::{LINEARS, linear_shape};

/// The micro-batches of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// Padded tokens of the largest.
    pub tokens: usize,
    /// How many there are.
    pub count: usize,
    /// How many are computed at once.
    pub workers: usize,
    /// Padded tokens of the longest row: no micro-batch can be smaller.
    pub longest: usize,
}

/// A run of supervised fine-tuning.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// The model.
    pub shape: &'a ModelConfig,
    /// What was configured.
    pub config: &'a SftConfig,
    /// How its micro-batches are computed.
    pub fit: Fit,
    /// Its micro-batches.
    pub batches: Batches,
}

impl Training<'_> {
    /// What it will hold at its peak.
    pub fn plan(&self) -> MemoryPlan {
        let Training {
            config, batches, ..
        } = self;
        let trained = self.trained();
        let at_once = batches.workers.min(batches.count).max(1) as u64;
        // While a micro-batch goes back, its gradients take the place of its logits and activations.
        let (kept, logits) = (self.activations(), self.logits());
        let going_back = (trained * FLOAT).saturating_sub(kept + logits);
        // The sum of the gradients so far; a single micro-batch is its own sum.
        let sums = if batches.count > 1 {
            trained * FLOAT
        } else {
            0
        };
        MemoryPlan {
            weights: self.weights(),
            gradients: sums + at_once * going_back,
            optimizer: trained * (self.state_bytes() + if config.bf16 { FLOAT } else { 0 }),
            activations: at_once * kept,
            logits: at_once * logits,
            cache: 0,
            program: PROGRAM
                + if config.lora.four_bit {
                    self.dense_block()
                } else {
                    0
                },
        }
    }

    /// Weights in all; no more than can be multiplied and added up.
    fn parameters(&self) -> u64 {
        (self.shape.parameters() as u64).min(1 << 56)
    }

    /// Weights that get a gradient.
    fn trained(&self) -> u64 {
        match self.config.lora.rank {
            0 => self.parameters(),
            _ => self.config.lora.parameters(self.shape) as u64,
        }
    }

    /// Weights of the linear maps of one block.
    fn linear(&self) -> u64 {
        LINEARS
            .iter()
            .map(|(_, name)| linear_shape(self.shape, name).iter().product::<usize>() as u64)
            .sum()
    }

    /// Bytes of a number of the model.
    fn number(&self) -> u64 {
        if self.config.bf16 { 2 } else { FLOAT }
    }

    fn weights(&self) -> u64 {
        let lora = &self.config.lora;
        let all = self.parameters();
        let additions = if lora.rank > 0 {
            lora.parameters(self.shape) as u64 * self.number()
        } else {
            0
        };
        let base = match lora.four_bit {
            false => all * self.number(),
            true => {
                let rounded = self.shape.num_hidden_layers as u64 * self.linear();
                // 4 bits, a byte for 64, and two numbers for 256 of those.
                all.saturating_sub(rounded) * self.number()
                    + rounded / 2
                    + rounded / 64
                    + rounded / 2048
            }
        };
        base + additions
    }

    /// The linear maps of one block in f32, and the same as they were read.
    fn dense_block(&self) -> u64 {
        2 * self.linear() * FLOAT
    }

    fn state_bytes(&self) -> u64 {
        match self.config.optimizer.state {
            StateKind::Float32 => 2 * FLOAT,
            StateKind::EightBit => 2,
            StateKind::Factored => 0,
        }
    }

    /// What one micro-batch keeps: of every block, or of one and the inputs of the others.
    fn activations(&self) -> u64 {
        let ModelConfig {
            num_hidden_layers: layers,
            hidden_size: width,
            intermediate_size: wide,
            ..
        } = *self.shape;
        let heads = self.shape.num_attention_heads * self.shape.head_dim;
        let pair = 2 * self.shape.num_key_value_heads * self.shape.head_dim;
        // Inputs and outputs of both norms; queries, mixed values and the same by position; keys and values; both
        // halves of the gate and their product. LoRA keeps its thin products besides.
        let low = if self.config.lora.rank > 0 {
            self.config.lora.targets.len() * self.config.lora.rank
        } else {
            0
        };
        let block = 4 * width + 3 * heads + pair + 3 * wide + low;
        // On the way back through a block: gradients of the widest intermediates.
        let passing = 3 * wide + 2 * width;
        let floats = match self.fit.checkpointing || self.config.lora.four_bit {
            false => layers * block + passing,
            true => layers * width + block + passing,
        };
        (floats * self.batches.tokens) as u64 * self.number()
    }

    /// A chunk of logits, which becomes its gradient in place, and the gradient of the projection.
    fn logits(&self) -> u64 {
        let vocab = self.shape.vocab_size;
        let chunk = (chunk_rows(vocab).min(self.batches.tokens) * vocab) as u64 * FLOAT;
        let projection = (vocab * self.shape.hidden_size) as u64 * FLOAT;
        chunk
            + if self.config.lora.rank == 0 {
                projection
            } else {
                0
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::lora::LoraConfig;

    fn shape() -> ModelConfig {
        ModelConfig::smollm2_135m()
    }

    fn plan(change: impl Fn(&mut SftConfig)) -> MemoryPlan {
        let mut config = SftConfig::default();
        change(&mut config);
        let batches = Batches {
            tokens: 2048,
            count: 1,
            workers: 2,
            longest: 512,
        };
        let fit = Fit {
            micro_batch_tokens: 2048,
            checkpointing: false,
        };
        Training {
            shape: &shape(),
            config: &config,
            fit,
            batches,
        }
        .plan()
    }

    #[test]
    fn weights_and_moments_take_twelve_bytes_a_weight_and_four_bits_an_eighth() {
        let parameters = shape().parameters() as u64;
        let full = plan(|_| ());
        assert_eq!(
            (full.weights, full.optimizer),
            (4 * parameters, 8 * parameters)
        );
        let lora = LoraConfig {
            rank: 16,
            four_bit: true,
            ..LoraConfig::default()
        };
        let packed = plan(|config| config.lora = lora.clone());
        let embeddings = 4 * 49_152 * 576;
        assert!(
            packed.weights < embeddings + parameters / 2 + (32 << 20),
            "{packed}"
        );
    }

    #[test]
    fn whatever_is_proposed_when_memory_is_short_needs_less() {
        let (shape, config) = (shape(), SftConfig::default());
        let (fit, batches) = (
            Fit {
                micro_batch_tokens: 4096,
                checkpointing: false,
            },
            Batches {
                tokens: 4096,
                count: 4,
                workers: 2,
                longest: 512,
            },
        );
        let training = Training {
            shape: &shape,
            config: &config,
            fit,
            batches,
        };
        let full = training.plan().total();
        for less in training.smaller("sft") {
            assert!(less.plan.total() < full, "{less:?}");
        }
    }
}

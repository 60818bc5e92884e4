//! The decoder: embedding, blocks, final norm, and the projection to logits.
//!
//! Fields are named as in Hugging Face's checkpoints, so the path of a parameter is its name on disk.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::attention::SelfAttention;
use super::cache::{Cache, LayerCache};
use super::config::ModelConfig;
use super::kernel::{rms_norm, swiglu};
use super::rope::{Rope, Turn};

/// What a position is and what it may see, for one batch.
#[derive(Clone, Debug)]
pub struct Context {
    /// The rotation of each position.
    pub turn: Turn,
    /// Added to the attention scores: `[batch or 1, 1, queries, keys]`.
    pub bias: Tensor<4>,
}

/// A number that no softmax survives.
pub const UNSEEN: f32 = -1e9;

/// The additive mask of plain causal attention, `[1, 1, seq, seq]`.
pub fn causal_bias(seq: usize, device: &Device) -> Tensor<4> {
    let values = (0..seq * seq).map(|at| if at % seq > at / seq { UNSEEN } else { 0.0 }).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, [1, 1, seq, seq]), device)
}

/// `y = x Wᵀ` with the weight as Hugging Face stores it.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_output, d_input]`
    pub weight: Param<Tensor<2>>,
}

impl Linear {
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_input]`
    /// - output: `[batch, seq, d_output]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let [batch, seq, width] = input.dims();
        let rows = input.reshape([batch * seq, width]).matmul(self.weight.val().transpose());
        let [_, out] = rows.dims();
        rows.reshape([batch, seq, out])
    }
}

/// `x / √(mean(x²) + ε) · weight` (Zhang & Sennrich, arXiv 1910.07467).
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[d_model]`
    pub weight: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl RmsNorm {
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: the same
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        rms_norm(hidden, self.weight.val(), self.epsilon)
    }
}

/// The gated MLP: `down(silu(gate(x)) · up(x))`.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[d_ff, d_model]`
    pub gate_proj: Linear,
    /// `[d_ff, d_model]`
    pub up_proj: Linear,
    /// `[d_model, d_ff]`
    pub down_proj: Linear,
}

impl Mlp {
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: the same
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        let gate = self.gate_proj.forward(hidden.clone());
        self.down_proj.forward(swiglu(gate, self.up_proj.forward(hidden)))
    }
}

/// One block: attention and MLP, each on a normalized copy, each added back.
#[derive(Module, Debug)]
pub struct Block {
    /// Before attention.
    pub input_layernorm: RmsNorm,
    /// Mixes positions.
    pub self_attn: SelfAttention,
    /// Before the MLP.
    pub post_attention_layernorm: RmsNorm,
    /// Mixes channels.
    pub mlp: Mlp,
}

impl Block {
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: the same
    pub fn forward(&self, hidden: Tensor<3>, context: &Context, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let mixed = self.self_attn.forward(self.input_layernorm.forward(hidden.clone()), context, cache);
        let hidden = hidden + mixed;
        let thought = self.mlp.forward(self.post_attention_layernorm.forward(hidden.clone()));
        hidden + thought
    }
}

/// Token vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, d_model]`
    pub weight: Param<Tensor<2>>,
}

/// Everything below the logits.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Token vectors.
    pub embed_tokens: Embedding,
    /// The blocks.
    pub layers: Vec<Block>,
    /// After the last block.
    pub norm: RmsNorm,
}

/// A causal language model.
#[derive(Module, Debug)]
pub struct CausalLm {
    /// Everything below the logits.
    pub model: Decoder,
    /// The projection to logits, unless it is the embedding.
    pub lm_head: Option<Linear>,
}

impl CausalLm {
    /// A new model with weights drawn from `seed` (normal, σ = 0.02).
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let mut init = Init { rng: ChaCha8Rng::seed_from_u64(seed), device: device.clone() };
        let layers = (0..config.num_hidden_layers).map(|_| init.block(config)).collect();
        let embed_tokens = Embedding { weight: init.linear(config.vocab_size, config.hidden_size, 1.0).weight };
        let norm = init.norm(config);
        let lm_head = (!config.tie_word_embeddings).then(|| init.linear(config.vocab_size, config.hidden_size, 1.0));
        CausalLm { model: Decoder { embed_tokens, layers, norm }, lm_head }
    }

    /// Hidden states after the final norm.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    pub fn hidden(&self, tokens: Tensor<2, Int>, context: &Context, mut cache: Option<&mut Cache>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let table = self.model.embed_tokens.weight.val();
        let [_, width] = table.dims();
        let mut hidden = table.select(0, tokens.reshape([batch * seq])).reshape([batch, seq, width]);
        for (index, block) in self.model.layers.iter().enumerate() {
            let layer = cache.as_deref_mut().map(|cache| &mut cache.layers[index]);
            hidden = block.forward(hidden, context, layer);
        }
        self.model.norm.forward(hidden)
    }

    /// Logits of some positions.
    ///
    /// # Shapes
    ///
    /// - hidden: `[rows, d_model]`
    /// - output: `[rows, vocab]`
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let weight = match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val(),
        };
        hidden.matmul(weight.transpose())
    }
}

/// Draws new weights.
pub struct Init {
    rng: ChaCha8Rng,
    device: Device,
}

impl Init {
    /// A matrix `[d_output, d_input]`, normal with σ = 0.02 · `scale`.
    pub fn linear(&mut self, d_output: usize, d_input: usize, scale: f64) -> Linear {
        let values: Vec<f32> = (0..d_output * d_input)
            .map(|_| {
                let normal: f64 = StandardNormal.sample(&mut self.rng);
                (0.02 * scale * normal) as f32
            })
            .collect();
        let weight = Tensor::from_data(TensorData::new(values, [d_output, d_input]), &self.device);
        Linear { weight: Param::from_tensor(weight) }
    }

    fn norm(&self, config: &ModelConfig) -> RmsNorm {
        let weight = Tensor::ones([config.hidden_size], &self.device);
        RmsNorm { weight: Param::from_tensor(weight), epsilon: config.rms_norm_eps }
    }

    fn block(&mut self, config: &ModelConfig) -> Block {
        let depth = 1.0 / (2.0 * config.num_hidden_layers as f64).sqrt();
        Block {
            input_layernorm: self.norm(config),
            self_attn: SelfAttention::new(config, self),
            post_attention_layernorm: self.norm(config),
            mlp: Mlp {
                gate_proj: self.linear(config.intermediate_size, config.hidden_size, 1.0),
                up_proj: self.linear(config.intermediate_size, config.hidden_size, 1.0),
                down_proj: self.linear(config.hidden_size, config.intermediate_size, depth),
            },
        }
    }
}

/// Rotary tables for a model.
pub fn rope_of(config: &ModelConfig, device: &Device) -> Rope {
    Rope::new(config.max_position_embeddings, config.head_dim, config.rope_theta, device)
}

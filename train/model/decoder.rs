//! The decoder: embedding, blocks, final norm, and the projection to logits.
//!
//! Fields are named as in Hugging Face's checkpoints, so the path of a parameter is its name on disk.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor};

use super::attention::SelfAttention;
use super::cache::{Cache, LayerCache};
use super::config::ModelConfig;
use super::kernel::{project, rms_norm, swiglu};
use super::linear::Linear;
use super::mask::BlockMask;
use super::origin::{Draw, Origin};
use super::rope::{Rope, Turn};

/// What a position is and what it may see, for one batch.
#[derive(Clone, Debug)]
pub struct Context {
    /// The rotation of each position.
    pub turn: Turn,
    /// The keys that each position sees.
    pub block_mask: BlockMask,
}

impl Context {
    /// The same on the autodiff side of the device.
    pub fn tracked(self) -> Self {
        Context {
            turn: self.turn.tracked(),
            block_mask: self.block_mask,
        }
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
    /// The norm whose scale is called `name`.
    ///
    /// # Errors
    ///
    /// As the origin.
    pub fn build<O: Origin>(
        name: &str,
        width: usize,
        epsilon: f64,
        origin: &mut O,
    ) -> Result<Self, O::Error> {
        let weight = origin.vector(&format!("{name}.weight"), width, 1.0)?;
        Ok(RmsNorm {
            weight: Param::from_tensor(weight),
            epsilon,
        })
    }

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
    fn build<O: Origin>(
        name: &str,
        config: &ModelConfig,
        origin: &mut O,
    ) -> Result<Self, O::Error> {
        let (width, ff, bias) = (
            config.hidden_size,
            config.intermediate_size,
            config.mlp_bias,
        );
        let depth = config.depth_scale();
        Ok(Mlp {
            gate_proj: Linear::build(&format!("{name}.gate_proj"), [ff, width], bias, 1.0, origin)?,
            up_proj: Linear::build(&format!("{name}.up_proj"), [ff, width], bias, 1.0, origin)?,
            down_proj: Linear::build(
                &format!("{name}.down_proj"),
                [width, ff],
                bias,
                depth,
                origin,
            )?,
        })
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: the same
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        let gate = self.gate_proj.forward(hidden.clone());
        self.down_proj
            .forward(swiglu(gate, self.up_proj.forward(hidden)))
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
    fn build<O: Origin>(
        layer: usize,
        config: &ModelConfig,
        origin: &mut O,
    ) -> Result<Self, O::Error> {
        let name = format!("model.layers.{layer}");
        let (width, epsilon) = (config.hidden_size, config.rms_norm_eps);
        Ok(Block {
            input_layernorm: RmsNorm::build(
                &format!("{name}.input_layernorm"),
                width,
                epsilon,
                origin,
            )?,
            self_attn: SelfAttention::build(&format!("{name}.self_attn"), layer, config, origin)?,
            post_attention_layernorm: RmsNorm::build(
                &format!("{name}.post_attention_layernorm"),
                width,
                epsilon,
                origin,
            )?,
            mlp: Mlp::build(&format!("{name}.mlp"), config, origin)?,
        })
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: the same
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        context: &Context,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<3> {
        let mixed =
            self.self_attn
                .forward(self.input_layernorm.forward(hidden.clone()), context, cache);
        let hidden = hidden + mixed;
        let thought = self
            .mlp
            .forward(self.post_attention_layernorm.forward(hidden.clone()));
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
        match Self::build(config, &mut Draw::new(seed, device)) {
            Ok(model) => model,
        }
    }

    /// A model with the weights that `origin` gives.
    ///
    /// # Errors
    ///
    /// As the origin.
    pub fn build<O: Origin>(config: &ModelConfig, origin: &mut O) -> Result<Self, O::Error> {
        let table = [config.vocab_size, config.hidden_size];
        let layers = (0..config.num_hidden_layers).map(|layer| Block::build(layer, config, origin));
        let layers = layers.collect::<Result<_, _>>()?;
        let embedding = origin.matrix("model.embed_tokens.weight", table, 1.0)?;
        let embed_tokens = Embedding {
            weight: Param::from_tensor(embedding),
        };
        let norm = RmsNorm::build(
            "model.norm",
            config.hidden_size,
            config.rms_norm_eps,
            origin,
        )?;
        let lm_head = match config.tie_word_embeddings {
            true => None,
            false => Some(Linear::build("lm_head", table, false, 1.0, origin)?),
        };
        Ok(CausalLm {
            model: Decoder {
                embed_tokens,
                layers,
                norm,
            },
            lm_head,
        })
    }

    /// The same with every weight in `dtype`.
    pub fn cast(self, dtype: DType) -> Self {
        self.map(&mut Cast(dtype))
    }

    /// The vectors of tokens.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let table = self.model.embed_tokens.weight.val();
        let [_, width] = table.dims();
        let vectors = table
            .select(0, tokens.reshape([batch * seq]))
            .reshape([batch, seq, width]);
        // A table that is only stored with fewer bits is not what is computed with.
        let computed = self.model.norm.weight.val().dtype();
        if vectors.dtype() == computed {
            vectors
        } else {
            vectors.cast(computed)
        }
    }

    /// Hidden states after the final norm.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    pub fn hidden(
        &self,
        tokens: Tensor<2, Int>,
        context: &Context,
        mut cache: Option<&mut Cache>,
    ) -> Tensor<3> {
        let mut hidden = self.embed(tokens);
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
        project(hidden, self.projection())
    }

    /// The projection to logits, `[vocab, d_model]`.
    pub fn projection(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val(),
        }
    }
}

struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| weight.cast(self.0))
    }
}

/// The rotary positions of a model.
pub fn rope_of(config: &ModelConfig, device: &Device) -> Rope {
    Rope::new(
        config.head_dim,
        config.rope_theta,
        config.rope_scaling.as_ref(),
        device,
    )
}

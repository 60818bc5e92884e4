//! The shape of a decoder of the Llama line, as Hugging Face's `config.json` writes it.
//!
//! In: a `config.json` as downloaded ([`ModelConfig::from_json`]), or the section `[model]` of a run. Out: sizes, and
//! the answers to what differs between families: which projections have a bias, which layers look through a window.
//! Example: Qwen2 has a bias on queries, keys and values though its `config.json` does not say so.

mod params;
mod read;
#[cfg(test)]
mod tests;

use data::Tokenizer;
use data::template::ChatTemplate;
use serde::{Deserialize, Serialize};

use super::rope::RopeScaling;

pub use read::ConfigError;

/// The families that are known; each is the same decoder with small differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama 1 to 3, SmolLM2, and what is laid out like them.
    Llama,
    /// Mistral, Mistral-Small, Devstral; some look through a sliding window.
    Mistral,
    /// Qwen2 and Qwen2.5: a bias on queries, keys and values.
    Qwen2,
    /// Qwen3: queries and keys are normalized head by head.
    Qwen3,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 4] = [Family::Llama, Family::Mistral, Family::Qwen2, Family::Qwen3];

    /// The name in `model_type`.
    pub fn name(self) -> &'static str {
        match self {
            Family::Llama => "llama",
            Family::Mistral => "mistral",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
        }
    }

    /// The class in `architectures`.
    pub fn class(self) -> &'static str {
        match self {
            Family::Llama => "LlamaForCausalLM",
            Family::Mistral => "MistralForCausalLM",
            Family::Qwen2 => "Qwen2ForCausalLM",
            Family::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    /// Whether the family can mix layers that see everything with layers that look through a window.
    fn mixes_layers(self) -> bool {
        matches!(self, Family::Qwen2 | Family::Qwen3)
    }
}

/// How far a layer looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerType {
    /// To the first token.
    FullAttention,
    /// `sliding_window` tokens, itself included.
    SlidingAttention,
}

/// Token ids that mean the same; `config.json` writes one as a number and more as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMore", into = "OneOrMore")]
pub struct TokenIds(Vec<u32>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(u32),
    More(Vec<u32>),
}

impl From<OneOrMore> for TokenIds {
    fn from(ids: OneOrMore) -> Self {
        match ids {
            OneOrMore::One(id) => TokenIds(vec![id]),
            OneOrMore::More(ids) => TokenIds(ids),
        }
    }
}

impl From<TokenIds> for OneOrMore {
    fn from(ids: TokenIds) -> Self {
        match ids.0.as_slice() {
            &[id] => OneOrMore::One(id),
            _ => OneOrMore::More(ids.0),
        }
    }
}

impl From<u32> for TokenIds {
    fn from(id: u32) -> Self {
        TokenIds(vec![id])
    }
}

impl TokenIds {
    /// Whether `id` is one of them.
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains(&id)
    }

    /// All of them, in the order of the file.
    pub fn all(&self) -> &[u32] {
        &self.0
    }
}

/// The shape of a decoder. Field names are those of `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Family, e.g. `llama`.
    pub model_type: Family,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream (d_model).
    pub hidden_size: usize,
    /// Width of the gated MLP.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head. Explicit, because Mistral-Small has 128 although 5120 / 32 = 160.
    pub head_dim: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched for contexts longer than the first training's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeScaling>,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Activation of the MLP's gate.
    pub hidden_act: String,
    /// Whether all four projections of attention have a bias (Llama, Qwen3).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attention_bias: bool,
    /// Whether the projections of the MLP have a bias (Llama).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mlp_bias: bool,
    /// How many tokens a sliding layer sees, itself included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<usize>,
    /// What each layer is (Qwen). Empty: all slide where there is a window, else none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layer_types: Vec<LayerType>,
    /// Id of the token that begins a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos_token_id: Option<u32>,
    /// Ids of the tokens that end a turn.
    pub eos_token_id: TokenIds,
    /// Id of the padding token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<u32>,
    /// Dtype of the weights on disk.
    pub torch_dtype: String,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            model_type: Family::Llama,
            vocab_size: 2048,
            hidden_size: 192,
            intermediate_size: 512,
            num_hidden_layers: 4,
            num_attention_heads: 6,
            num_key_value_heads: 2,
            head_dim: 32,
            max_position_embeddings: 1024,
            rope_theta: 10_000.0,
            rope_scaling: None,
            rms_norm_eps: 1e-5,
            tie_word_embeddings: true,
            hidden_act: "silu".into(),
            attention_bias: false,
            mlp_bias: false,
            sliding_window: None,
            layer_types: Vec::new(),
            bos_token_id: None,
            eos_token_id: 2.into(),
            pad_token_id: Some(0),
            torch_dtype: "float32".into(),
        }
    }
}

impl ModelConfig {
    /// The shape of SmolLM2-135M: what is measured on a CPU.
    pub fn smollm2_135m() -> Self {
        ModelConfig {
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_hidden_layers: 30,
            num_attention_heads: 9,
            num_key_value_heads: 3,
            head_dim: 64,
            max_position_embeddings: 8192,
            rope_theta: 100_000.0,
            ..ModelConfig::default()
        }
    }

    /// Takes what ends a turn from the words of the model: see [`data::template::EndOfTurn`].
    pub fn decide_end(&mut self, tokenizer: &Tokenizer, template: &ChatTemplate) {
        self.eos_token_id = TokenIds(template.end_of_turn(tokenizer).all().to_vec());
    }

    /// Why this shape cannot be built, if it cannot.
    pub fn problem(&self) -> Option<String> {
        self.size_problem()
            .or_else(|| self.family_problem())
            .or_else(|| {
                let scaling = self.rope_scaling.as_ref()?;
                scaling
                    .problem(self.rope_theta)
                    .map(|what| format!("`rope_scaling`: {what}"))
            })
    }

    fn size_problem(&self) -> Option<String> {
        // Far beyond any model, and small enough that the number of weights does not overflow.
        const LARGEST: usize = 1 << 24;
        for (key, size) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
            (
                "num_attention_heads · head_dim",
                self.num_attention_heads.saturating_mul(self.head_dim),
            ),
        ] {
            let largest = if key == "num_hidden_layers" {
                1 << 10
            } else {
                LARGEST
            };
            if size == 0 || size > largest {
                return Some(format!(
                    "`{key}` is {size}, but must lie between 1 and {largest}"
                ));
            }
        }
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            return Some(format!(
                "`num_attention_heads` ({}) is no multiple of `num_key_value_heads` ({})",
                self.num_attention_heads, self.num_key_value_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Some(format!(
                "`head_dim` is {}, but rotary positions need an even width",
                self.head_dim
            ));
        }
        let positive = |number: f64| number.is_finite() && number > 0.0;
        if !positive(self.rope_theta) || !positive(self.rms_norm_eps) {
            let (theta, epsilon) = (self.rope_theta, self.rms_norm_eps);
            return Some(format!(
                "`rope_theta` is {theta} and `rms_norm_eps` is {epsilon}, but both must be positive"
            ));
        }
        None
    }

    fn family_problem(&self) -> Option<String> {
        let family = self.model_type.name();
        if self.hidden_act != "silu" {
            return Some(format!(
                "`hidden_act` is `{}`, but only `silu` is known",
                self.hidden_act
            ));
        }
        if self.attention_bias && !matches!(self.model_type, Family::Llama | Family::Qwen3) {
            return Some(format!(
                "`attention_bias` is set, but the family `{family}` has none"
            ));
        }
        if self.mlp_bias && self.model_type != Family::Llama {
            return Some(format!(
                "`mlp_bias` is set, but the family `{family}` has none"
            ));
        }
        if self.sliding_window == Some(0) {
            return Some("`sliding_window` is 0, but a token sees at least itself".into());
        }
        if self.sliding_window.is_some() && self.model_type == Family::Llama {
            return Some("`sliding_window` is set, but the family `llama` sees every token".into());
        }
        if !self.layer_types.is_empty() && self.layer_types.len() != self.num_hidden_layers {
            return Some(format!(
                "`layer_types` has {} entries, but there are {} layers",
                self.layer_types.len(),
                self.num_hidden_layers
            ));
        }
        if !self.model_type.mixes_layers()
            && self
                .layer_types
                .iter()
                .any(|one| *one != self.layer_types[0])
        {
            return Some(format!(
                "`layer_types` differ from layer to layer, but the family `{family}` has one kind"
            ));
        }
        if self.sliding_window.is_none() && self.layer_types.contains(&LayerType::SlidingAttention)
        {
            return Some(
                "`layer_types` has `sliding_attention`, but `sliding_window` is not set".into(),
            );
        }
        None
    }

    /// How many tokens `layer` sees, itself included; `None` when it sees all before it.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        match self.layer_types.get(layer) {
            Some(LayerType::FullAttention) => None,
            Some(LayerType::SlidingAttention) | None => self.sliding_window,
        }
    }

    /// Whether queries, keys and values have a bias.
    pub fn qkv_bias(&self) -> bool {
        self.model_type == Family::Qwen2 || self.attention_bias
    }

    /// Whether queries and keys are normalized head by head.
    pub fn head_norms(&self) -> bool {
        self.model_type == Family::Qwen3
    }

    /// By how much a new projection into the residual stream is scaled down, so that the stream does not grow with
    /// depth (GPT-2).
    pub fn depth_scale(&self) -> f64 {
        1.0 / (2.0 * self.num_hidden_layers as f64).sqrt()
    }

    /// Name and shape of every weight, as Hugging Face names them.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (width, ff, head) = (self.hidden_size, self.intermediate_size, self.head_dim);
        let (query, key) = (
            self.num_attention_heads * head,
            self.num_key_value_heads * head,
        );
        let mut tensors = vec![(
            "model.embed_tokens.weight".to_owned(),
            vec![self.vocab_size, width],
        )];
        for layer in 0..self.num_hidden_layers {
            let mut add = |name: &str, shape: &[usize]| {
                tensors.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
            };
            let linears = [
                ("self_attn.q_proj", query, width, self.qkv_bias()),
                ("self_attn.k_proj", key, width, self.qkv_bias()),
                ("self_attn.v_proj", key, width, self.qkv_bias()),
                ("self_attn.o_proj", width, query, self.attention_bias),
                ("mlp.gate_proj", ff, width, self.mlp_bias),
                ("mlp.up_proj", ff, width, self.mlp_bias),
                ("mlp.down_proj", width, ff, self.mlp_bias),
            ];
            for (name, output, input, bias) in linears {
                add(&format!("{name}.weight"), &[output, input]);
                if bias {
                    add(&format!("{name}.bias"), &[output]);
                }
            }
            if self.head_norms() {
                add("self_attn.q_norm.weight", &[head]);
                add("self_attn.k_norm.weight", &[head]);
            }
            add("input_layernorm.weight", &[width]);
            add("post_attention_layernorm.weight", &[width]);
        }
        tensors.push(("model.norm.weight".to_owned(), vec![width]));
        if !self.tie_word_embeddings {
            tensors.push(("lm_head.weight".to_owned(), vec![self.vocab_size, width]));
        }
        tensors
    }

    /// Number of weights.
    pub fn parameters(&self) -> usize {
        self.tensors()
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }
}

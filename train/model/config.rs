//! The shape of a Llama-family decoder, as Hugging Face's `config.json` writes it.

use serde::{Deserialize, Serialize};

/// The shape of a decoder. Field names are those of `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Class names, e.g. `["LlamaForCausalLM"]`.
    pub architectures: Vec<String>,
    /// Family, e.g. `llama`.
    pub model_type: String,
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
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Activation of the MLP's gate.
    pub hidden_act: String,
    /// Id of the end-of-turn token.
    pub eos_token_id: u32,
    /// Id of the padding token.
    pub pad_token_id: u32,
    /// Dtype of the weights on disk.
    pub torch_dtype: String,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            architectures: vec!["LlamaForCausalLM".into()],
            model_type: "llama".into(),
            vocab_size: 2048,
            hidden_size: 192,
            intermediate_size: 512,
            num_hidden_layers: 4,
            num_attention_heads: 6,
            num_key_value_heads: 2,
            head_dim: 32,
            max_position_embeddings: 1024,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-5,
            tie_word_embeddings: true,
            hidden_act: "silu".into(),
            eos_token_id: 2,
            pad_token_id: 0,
            torch_dtype: "float32".into(),
        }
    }
}

impl ModelConfig {
    /// Reads a `config.json`; keys that other programs added are passed over.
    ///
    /// # Errors
    ///
    /// When it is no JSON object, or a value has another type.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes)?;
        let known = serde_json::to_value(ModelConfig::default())?;
        fields.retain(|key, _| known.get(key).is_some());
        serde_json::from_value(fields.into())
    }

    /// Why this shape cannot be built, if it cannot.
    pub fn problem(&self) -> Option<String> {
        if self.num_key_value_heads == 0 || !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Some(format!(
                "`num_attention_heads` ({}) is no multiple of `num_key_value_heads` ({})",
                self.num_attention_heads, self.num_key_value_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) || self.head_dim == 0 {
            return Some(format!("`head_dim` is {}, but rotary positions need an even width", self.head_dim));
        }
        if self.vocab_size == 0 || self.hidden_size == 0 || self.num_hidden_layers == 0 || self.intermediate_size == 0 {
            return Some(
                "`vocab_size`, `hidden_size`, `intermediate_size` and `num_hidden_layers` must be positive".into(),
            );
        }
        if self.hidden_act != "silu" {
            return Some(format!("`hidden_act` is `{}`, but only `silu` is known", self.hidden_act));
        }
        if self.model_type != "llama" && self.model_type != "mistral" {
            return Some(format!("`model_type` is `{}`, but only `llama` and `mistral` are known", self.model_type));
        }
        None
    }

    /// Number of weights.
    pub fn parameters(&self) -> usize {
        let attention = self.hidden_size * self.head_dim * 2 * (self.num_attention_heads + self.num_key_value_heads);
        let block = attention + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size;
        let embeddings = self.vocab_size * self.hidden_size * if self.tie_word_embeddings { 1 } else { 2 };
        embeddings + self.num_hidden_layers * block + self.hidden_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_model_has_two_million_weights() {
        assert_eq!(ModelConfig::default().parameters(), 1_967_808);
    }

    #[test]
    fn heads_that_do_not_divide_are_refused() {
        let config = ModelConfig { num_key_value_heads: 4, ..ModelConfig::default() };
        assert!(config.problem().expect("refused").contains("num_key_value_heads"));
    }
}

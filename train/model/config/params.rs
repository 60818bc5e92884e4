//! Mistral's own `params.json` becomes a [`ModelConfig`].

use serde::Deserialize;
use serde_json::{Map, Value};

use super::read::ConfigError;
use super::{Family, ModelConfig};
use crate::rope::RopeScaling;

/// What is read of `params.json`. Other keys must be among those that change nothing.
#[derive(Deserialize)]
struct Params {
    dim: usize,
    n_layers: usize,
    head_dim: usize,
    hidden_dim: usize,
    n_heads: usize,
    n_kv_heads: usize,
    norm_eps: f64,
    vocab_size: usize,
    rope_theta: f64,
    #[serde(default)]
    sliding_window: Option<usize>,
    #[serde(default)]
    tied_embeddings: bool,
    #[serde(default, alias = "max_seq_len")]
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    yarn: Option<Yarn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Yarn {
    factor: f64,
    original_max_position_embeddings: usize,
    #[serde(default = "one")]
    alpha: f64,
    #[serde(default = "thirty_two")]
    beta: f64,
    #[serde(default = "yes")]
    apply_scale: bool,
}

fn one() -> f64 {
    1.0
}

fn thirty_two() -> f64 {
    32.0
}

fn yes() -> bool {
    true
}

/// Keys beside those of [`Params`] that leave the language model as it is.
const HARMLESS: [&str; 6] = [
    "vision_encoder",
    "multimodal",
    "model_type",
    "max_batch_size",
    "use_biases",
    "model_parallel",
];

/// Positions of a model whose `params.json` does not tell.
const USUAL_CONTEXT: usize = 32_768;

impl ModelConfig {
    /// Reads Mistral's `params.json`.
    ///
    /// # Errors
    ///
    /// When it is no JSON object, a size is missing, or it asks for what is not known here.
    pub fn from_params(bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut fields: Map<String, Value> = serde_json::from_slice(bytes)?;
        fields.retain(|_, value| !value.is_null());
        if fields
            .get("use_biases")
            .is_some_and(|biases| biases != false)
        {
            return Err(ConfigError::Unknown(
                "`use_biases` is set, which is not known here".into(),
            ));
        }
        if !fields.contains_key("rope_theta") {
            // Programs disagree on what its absence means.
            return Err(ConfigError::Missing("rope_theta"));
        }
        require_known(&fields)?;
        let params: Params = serde_json::from_value(fields.into())?;
        let yarn = params.yarn.map(|yarn| RopeScaling::Yarn {
            factor: yarn.factor,
            original_max_position_embeddings: yarn.original_max_position_embeddings,
            beta_fast: yarn.beta,
            beta_slow: yarn.alpha,
            attention_factor: (!yarn.apply_scale).then_some(1.0),
            mscale: None,
            mscale_all_dim: None,
            truncate: true,
        });
        Ok(ModelConfig {
            model_type: Family::Mistral,
            vocab_size: params.vocab_size,
            hidden_size: params.dim,
            intermediate_size: params.hidden_dim,
            num_hidden_layers: params.n_layers,
            num_attention_heads: params.n_heads,
            num_key_value_heads: params.n_kv_heads,
            head_dim: params.head_dim,
            max_position_embeddings: params.max_position_embeddings.unwrap_or(USUAL_CONTEXT),
            rope_theta: params.rope_theta,
            rope_scaling: yarn,
            rms_norm_eps: params.norm_eps,
            tie_word_embeddings: params.tied_embeddings,
            sliding_window: params.sliding_window,
            bos_token_id: None,
            eos_token_id: 2.into(),
            pad_token_id: None,
            torch_dtype: "bfloat16".into(),
            ..ModelConfig::default()
        })
    }
}

/// Refuses a key that may change the computation in a way that is not known here.
fn require_known(fields: &Map<String, Value>) -> Result<(), ConfigError> {
    let known = [
        "dim",
        "n_layers",
        "head_dim",
        "hidden_dim",
        "n_heads",
        "n_kv_heads",
        "norm_eps",
        "vocab_size",
        "rope_theta",
        "sliding_window",
        "tied_embeddings",
        "max_position_embeddings",
        "max_seq_len",
        "yarn",
    ];
    if let Some(key) = fields
        .keys()
        .find(|key| !known.contains(&key.as_str()) && !HARMLESS.contains(&key.as_str()))
    {
        return Err(ConfigError::Unknown(format!("`{key}` is not known here")));
    }
    Ok(())
}

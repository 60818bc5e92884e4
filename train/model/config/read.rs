//! `config.json` as downloaded becomes a [`ModelConfig`], and back.
//!
//! Absent keys have the defaults of the family, as `transformers` fills them in. Keys that change nothing are passed
//! over; what changes the computation and is not known here is refused by name.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Family, LayerType, ModelConfig};
use crate::rope::RopeScaling;

type Fields = Map<String, Value>;

/// Why a `config.json` describes no model that is known here.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No JSON object, or a value of another type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A key that every model needs.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// Something that this program does not compute.
    #[error("{0}")]
    Unknown(String),
}

/// Keys that change the computation unless they are absent, `null`, `false` or 1.
const CHANGING: [&str; 27] = [
    "quantization_config",
    "compression_config",
    "partial_rotary_factor",
    "rotary_pct",
    "rope_interleaved",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "query_pre_attn_scalar",
    "attention_chunk_size",
    "attention_sinks",
    "attn_temperature_tuning",
    "clip_qkv",
    "no_rope_layers",
    "embedding_multiplier",
    "residual_multiplier",
    "attention_multiplier",
    "logits_scaling",
    "logit_scale",
    "scale_emb",
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "use_qk_norm",
    "use_parallel_residual",
    "use_bidirectional_attention",
    "is_encoder_decoder",
    "add_cross_attention",
];

impl ModelConfig {
    /// Reads a `config.json` of a known family, also where it lies in `text_config` of a model that sees images.
    ///
    /// # Errors
    ///
    /// When it is no JSON object, a value has another type, a size is missing, or it asks for what is not known here:
    /// another architecture, activation or rotary encoding, quantized weights.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        let outer: Fields = serde_json::from_slice(bytes)?;
        let mut fields = innermost(outer)?;
        require_plain(&fields)?;
        let family: Family = Family::deserialize(&fields["model_type"])?;
        for key in [
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
        ] {
            if fields.get(key).is_none_or(Value::is_null) {
                return Err(ConfigError::Missing(key));
            }
        }
        rotary(&mut fields)?;
        windows(&mut fields, family)?;
        if let Some(dtype) = fields.remove("dtype").filter(|dtype| !dtype.is_null()) {
            fields.insert("torch_dtype".into(), dtype);
        }
        // `null` means: as if it were not there.
        fields.retain(|_, value| !value.is_null());
        fill(&mut fields, family);
        let known = serde_json::to_value(ModelConfig::everything())?;
        fields.retain(|key, _| known.get(key).is_some());
        // One by one first, so that a value of another type is told with its key.
        for (key, value) in &fields {
            let alone = Fields::from_iter([(key.clone(), value.clone())]);
            serde_json::from_value::<ModelConfig>(alone.into()).map_err(|error| {
                ConfigError::Unknown(format!("`{key}` is {}: {error}", short(value)))
            })?;
        }
        Ok(serde_json::from_value(fields.into())?)
    }

    /// The `config.json` of this shape, for this program and for `transformers`.
    pub fn to_json(&self) -> Value {
        let mut json = serde_json::to_value(self).expect("a config is JSON");
        json["architectures"] = json!([self.model_type.class()]);
        if self.model_type.mixes_layers() {
            json["use_sliding_window"] = json!(self.sliding_window.is_some());
            // Read by versions that do not know `layer_types`.
            let first = (0..self.num_hidden_layers).find(|&layer| self.window_of(layer).is_some());
            json["max_window_layers"] = json!(first.unwrap_or(self.num_hidden_layers));
        }
        if self.model_type == Family::Mistral && self.sliding_window.is_none() {
            // Without the key `transformers` takes 4096.
            json["sliding_window"] = Value::Null;
        }
        json
    }

    /// A config in which no field is left out when it is written.
    fn everything() -> Self {
        ModelConfig {
            rope_scaling: Some(RopeScaling::Linear { factor: 1.0 }),
            attention_bias: true,
            mlp_bias: true,
            sliding_window: Some(1),
            layer_types: vec![LayerType::FullAttention],
            bos_token_id: Some(0),
            ..ModelConfig::default()
        }
    }
}

/// Refuses what changes the computation and is not known here.
fn require_plain(fields: &Fields) -> Result<(), ConfigError> {
    let plain = |value: &Value| value.is_null() || value == false || value.as_f64() == Some(1.0);
    let found = CHANGING
        .iter()
        .find_map(|key| Some((key, fields.get(*key).filter(|value| !plain(value))?)));
    if let Some((key, value)) = found {
        return Err(ConfigError::Unknown(format!(
            "`{key}` is {}, which is not known here",
            short(value)
        )));
    }
    if let Some(code) = fields
        .get("auto_map")
        .and_then(|map| map.get("AutoModelForCausalLM"))
    {
        return Err(ConfigError::Unknown(format!(
            "`auto_map` says that code of its own computes it: {}",
            short(code)
        )));
    }
    Ok(())
}

/// The fields of the language model, whose `model_type` is a known family.
fn innermost(outer: Fields) -> Result<Fields, ConfigError> {
    let kind = outer
        .get("model_type")
        .and_then(Value::as_str)
        .ok_or(ConfigError::Missing("model_type"))?
        .to_owned();
    let classes: Vec<&str> = outer
        .get("architectures")
        .and_then(Value::as_array)
        .map_or(Vec::new(), |classes| {
            classes.iter().filter_map(Value::as_str).collect()
        });
    let (fields, class) = match kind.as_str() {
        "mistral3" => {
            let mut text = outer.get("text_config").and_then(Value::as_object).cloned();
            if let Some(text) = text.as_mut() {
                text.entry("model_type").or_insert_with(|| "mistral".into());
            }
            (
                text.ok_or(ConfigError::Missing("text_config"))?,
                "Mistral3ForConditionalGeneration",
            )
        }
        other => {
            let family = Family::ALL
                .into_iter()
                .find(|family| family.name() == other);
            (outer.clone(), family.map_or("", Family::class))
        }
    };
    let inner = fields
        .get("model_type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !Family::ALL.iter().any(|family| family.name() == inner) {
        let known = Family::ALL.map(Family::name).join("`, `");
        let kind = if kind == inner {
            kind
        } else {
            format!("{kind}` with `{inner}")
        };
        return Err(ConfigError::Unknown(format!(
            "`model_type` is `{kind}`, but only `{known}` and `mistral3` are known"
        )));
    }
    match classes.iter().find(|found| **found != class) {
        Some(other) => Err(ConfigError::Unknown(format!(
            "`architectures` names `{other}`, but only `{class}` is known"
        ))),
        None => Ok(fields),
    }
}

/// `rope_parameters`, `rope_scaling` with `type` or `rope_type`: all become `rope_theta` and `rope_scaling`.
fn rotary(fields: &mut Fields) -> Result<(), ConfigError> {
    let newer = fields
        .remove("rope_parameters")
        .filter(|value| !value.is_null());
    let older = fields
        .remove("rope_scaling")
        .filter(|value| !value.is_null());
    let Some(scaling) = newer.or(older) else {
        return Ok(());
    };
    let Value::Object(mut scaling) = scaling else {
        return Err(ConfigError::Unknown(format!(
            "`rope_scaling` is {}, but must be a table",
            short(&scaling)
        )));
    };
    if let Some(theta) = scaling.remove("rope_theta") {
        fields.insert("rope_theta".into(), theta);
    }
    if let Some(kind) = scaling.remove("type") {
        scaling.entry("rope_type").or_insert(kind);
    }
    if scaling.get("partial_rotary_factor").and_then(Value::as_f64) == Some(1.0) {
        scaling.remove("partial_rotary_factor");
    }
    scaling.retain(|_, value| !value.is_null());
    if scaling
        .get("rope_type")
        .is_none_or(|kind| kind == "default")
    {
        scaling.remove("rope_type");
        return match scaling.keys().next() {
            Some(key) => Err(ConfigError::Unknown(format!(
                "`rope_scaling.{key}` is not known here without a `rope_type`"
            ))),
            None => Ok(()),
        };
    }
    if matches!(scaling["rope_type"].as_str(), Some("yarn" | "llama3"))
        && !scaling.contains_key("original_max_position_embeddings")
    {
        let context = fields
            .get("max_position_embeddings")
            .cloned()
            .ok_or(ConfigError::Missing("max_position_embeddings"))?;
        scaling.insert("original_max_position_embeddings".into(), context);
    }
    serde_json::from_value::<RopeScaling>(scaling.clone().into()).map_err(|error| {
        ConfigError::Unknown(format!("`rope_scaling` is not known here: {error}"))
    })?;
    fields.insert("rope_scaling".into(), scaling.into());
    Ok(())
}

/// What each family makes of `sliding_window`, `use_sliding_window`, `max_window_layers` and `layer_types`.
fn windows(fields: &mut Fields, family: Family) -> Result<(), ConfigError> {
    if family == Family::Llama {
        // The class of this family never looks at them.
        fields.remove("sliding_window");
        fields.remove("layer_types");
    }
    if family == Family::Mistral {
        fields.entry("sliding_window").or_insert(json!(4096));
        fields.remove("layer_types");
    }
    if family.mixes_layers() {
        fields.entry("sliding_window").or_insert(json!(4096));
        if fields.get("use_sliding_window") != Some(&Value::Bool(true)) {
            fields.remove("sliding_window");
        }
        let layers = fields["num_hidden_layers"]
            .as_u64()
            .unwrap_or(0)
            .min(1 << 16) as usize;
        let first = fields
            .get("max_window_layers")
            .and_then(Value::as_u64)
            .unwrap_or(28) as usize;
        let slides = fields
            .get("sliding_window")
            .is_some_and(|window| !window.is_null());
        let all: Vec<LayerType> = match fields.get("layer_types").filter(|types| !types.is_null()) {
            Some(types) => serde_json::from_value(types.clone())?,
            None if !slides => Vec::new(),
            None => (0..layers)
                .map(|at| {
                    if at < first {
                        LayerType::FullAttention
                    } else {
                        LayerType::SlidingAttention
                    }
                })
                .collect(),
        };
        if all.contains(&LayerType::SlidingAttention) {
            fields.insert("layer_types".into(), serde_json::to_value(all)?);
        } else {
            fields.remove("layer_types");
            fields.remove("sliding_window");
        }
    }
    Ok(())
}

/// The defaults of the family's class in `transformers`.
fn fill(fields: &mut Fields, family: Family) {
    let size = |fields: &Fields, key: &str| fields.get(key).and_then(Value::as_u64).unwrap_or(0);
    let heads = size(fields, "num_attention_heads");
    let width = size(fields, "hidden_size").checked_div(heads).unwrap_or(0);
    let (kv_heads, context, head_dim) = match family {
        Family::Llama => (heads, 2048, width),
        Family::Mistral => (8, 131_072, width),
        Family::Qwen2 => (32, 32_768, width),
        Family::Qwen3 => (32, 32_768, 128),
    };
    let eos = match family {
        Family::Llama | Family::Mistral => json!(2),
        Family::Qwen2 | Family::Qwen3 => json!([]),
    };
    let defaults = [
        ("num_key_value_heads", json!(kv_heads)),
        ("head_dim", json!(head_dim)),
        ("max_position_embeddings", json!(context)),
        ("rope_theta", json!(10_000.0)),
        ("rms_norm_eps", json!(1e-6)),
        ("tie_word_embeddings", json!(false)),
        ("eos_token_id", eos),
        ("pad_token_id", Value::Null),
    ];
    for (key, value) in defaults {
        fields.entry(key).or_insert(value);
    }
}

/// A value as it stands in a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

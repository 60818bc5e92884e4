use serde_json::{Value, json};

use super::*;

fn small() -> Value {
    json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 64, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    })
}

fn with(changes: Value) -> Value {
    let mut config = small();
    config
        .as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    config
}

fn read(config: &Value) -> ModelConfig {
    ModelConfig::from_json(config.to_string().as_bytes()).expect("reads")
}

fn refused(config: &Value) -> String {
    ModelConfig::from_json(config.to_string().as_bytes())
        .expect_err("refused")
        .to_string()
}

#[test]
fn the_default_model_has_two_million_weights() {
    assert_eq!(ModelConfig::default().parameters(), 1_967_808);
}

#[test]
fn heads_that_do_not_divide_are_refused() {
    let config = ModelConfig {
        num_key_value_heads: 4,
        ..ModelConfig::default()
    };
    assert!(
        config
            .problem()
            .expect("refused")
            .contains("num_key_value_heads")
    );
}

#[test]
fn absent_keys_have_the_defaults_of_their_family() {
    let llama = read(&small());
    assert_eq!(
        (
            llama.num_key_value_heads,
            llama.head_dim,
            llama.tie_word_embeddings
        ),
        (4, 8, false)
    );
    assert_eq!(
        (llama.rms_norm_eps, llama.sliding_window, llama.pad_token_id),
        (1e-6, None, None)
    );
    let mistral = read(&with(
        json!({"model_type": "mistral", "architectures": null, "num_key_value_heads": 2}),
    ));
    assert_eq!((mistral.sliding_window, mistral.head_dim), (Some(4096), 8));
    let qwen3 = read(&with(
        json!({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}),
    ));
    assert_eq!(
        (qwen3.sliding_window, qwen3.head_dim, qwen3.window_of(1)),
        (None, 128, None)
    );
}

#[test]
fn what_was_read_is_read_again_from_what_was_written() {
    let mistral = json!({"model_type": "mistral", "architectures": null, "num_key_value_heads": 2});
    let full = json!({"model_type": "mistral", "architectures": null, "sliding_window": null});
    let qwen = json!({
        "model_type": "qwen2", "architectures": null, "use_sliding_window": true, "sliding_window": 7,
        "max_window_layers": 1, "eos_token_id": [3, 4],
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
    });
    let llama = json!({"rope_parameters": {"rope_type": "linear", "factor": 2, "rope_theta": 5e5}, "mlp_bias": true});
    for changes in [json!({}), mistral, full, qwen, llama] {
        let config = read(&with(changes));
        assert_eq!(read(&config.to_json()), config);
        // TOML cannot say that there is none.
        let config = ModelConfig {
            pad_token_id: Some(5),
            ..config
        };
        assert_eq!(
            toml::from_str::<ModelConfig>(&toml::to_string(&config).expect("writes"))
                .expect("reads"),
            config
        );
    }
}

#[test]
fn windows_begin_where_qwen_says() {
    let config = with(json!({
        "model_type": "qwen2", "architectures": null, "use_sliding_window": true, "sliding_window": 7, "max_window_layers": 1,
    }));
    let config = read(&config);
    assert_eq!((config.window_of(0), config.window_of(1)), (None, Some(7)));
}

#[test]
fn the_language_model_of_a_model_that_sees_images_is_read() {
    let config = json!({
        "model_type": "mistral3", "architectures": ["Mistral3ForConditionalGeneration"], "vision_config": {"hidden_size": 9},
        "text_config": with(json!({"model_type": "mistral", "head_dim": 16, "sliding_window": null})),
    });
    let config = read(&config);
    assert_eq!(
        (config.model_type, config.head_dim, config.sliding_window),
        (Family::Mistral, 16, None)
    );
}

#[test]
fn a_context_that_was_stretched_is_read_in_the_older_and_the_newer_form() {
    let older = read(&with(
        json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}}),
    ));
    let newer =
        json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5}});
    assert_eq!(older, read(&with(newer)));
    assert_eq!(
        older.rope_scaling,
        Some(RopeScaling::Linear { factor: 2.0 })
    );
    let plain = read(&with(
        json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
    ));
    assert_eq!((plain.rope_theta, plain.rope_scaling), (5e5, None));
}

#[test]
fn what_changes_the_computation_and_is_not_known_is_refused_by_name() {
    for (changes, named) in [
        (json!({"model_type": "gpt2"}), "gpt2"),
        (
            json!({"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"]}),
            "gemma2",
        ),
        (
            json!({"architectures": ["LlamaForSequenceClassification"]}),
            "LlamaForSequenceClassification",
        ),
        (
            json!({"rope_scaling": {"rope_type": "longrope", "factor": 4.0}}),
            "longrope",
        ),
        (
            json!({"rope_scaling": {"rope_type": "linear", "factor": 4.0, "mrope_section": [1, 2]}}),
            "mrope_section",
        ),
        (json!({"rope_scaling": {"factor": 4.0}}), "factor"),
        (
            json!({"partial_rotary_factor": 0.5}),
            "partial_rotary_factor",
        ),
        (
            json!({"quantization_config": {"quant_method": "fp8"}}),
            "quantization_config",
        ),
        (
            json!({"final_logit_softcapping": 30.0}),
            "final_logit_softcapping",
        ),
        (json!({"use_qk_norm": true}), "use_qk_norm"),
        (json!({"clip_qkv": 8.0}), "clip_qkv"),
        (json!({"num_local_experts": 8}), "num_local_experts"),
        (
            json!({"auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}}),
            "modeling_own.Own",
        ),
        (json!({"hidden_size": null}), "hidden_size"),
        (json!({"vocab_size": "many"}), "`vocab_size` is \"many\""),
        (json!({"hidden_size": -5}), "`hidden_size` is -5"),
        (
            json!({"model_type": "mistral3", "architectures": null}),
            "text_config",
        ),
    ] {
        let said = refused(&with(changes));
        assert!(said.contains(named), "`{said}` does not name `{named}`");
    }
    let relu = read(&with(json!({"hidden_act": "relu"})));
    assert!(relu.problem().expect("refused").contains("relu"));
    let qwen = read(&with(
        json!({"model_type": "qwen2", "architectures": null, "num_key_value_heads": 4, "attention_bias": true}),
    ));
    assert!(qwen.problem().expect("refused").contains("attention_bias"));
}

#[test]
fn sizes_that_overflow_are_refused() {
    let large = u64::from(u32::MAX);
    for key in [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "head_dim",
        "max_position_embeddings",
    ] {
        let config = read(&with(json!({ key: large, "num_key_value_heads": 4 })));
        assert!(config.problem().expect("refused").contains(key), "{key}");
    }
}

#[test]
fn params_of_mistral_describe_the_same_shape() {
    let params = json!({
        "dim": 32, "n_layers": 2, "head_dim": 16, "hidden_dim": 48, "n_heads": 4, "n_kv_heads": 2, "norm_eps": 1e-5,
        "vocab_size": 64, "rope_theta": 1e6, "max_seq_len": 128, "vision_encoder": {"hidden_size": 9},
    });
    let from_params = ModelConfig::from_params(params.to_string().as_bytes()).expect("reads");
    let config = read(&with(json!({
        "model_type": "mistral", "architectures": null, "head_dim": 16, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
        "rope_theta": 1e6, "max_position_embeddings": 128, "sliding_window": null, "dtype": "bfloat16",
    })));
    assert_eq!(from_params, config);
    let mut quantized = params;
    quantized["quantization"] = json!({"qformat_weight": "fp8_e4m3"});
    let refused = ModelConfig::from_params(quantized.to_string().as_bytes()).expect_err("refused");
    assert!(refused.to_string().contains("quantization"), "{refused}");
}

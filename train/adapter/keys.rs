//! The keys of `adapter_config.json` that change what an adapter adds.
//!
//! In: the file. Out: the first thing for which PEFT would compute something else than `W + scale · B · A`, with a cure.
//! A key that is not known and is set may be such a thing, so it is refused as well.
//! Example: with `init_lora_weights = "pissa"` PEFT takes the first singular values out of `W` before it adds.

use serde_json::{Map, Value};

/// What is wrong, and what can be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) hint: &'static str,
}

const MERGE: &str =
    "merge it with PEFT (`merge_and_unload`, then `save_pretrained`) and name the merged model";
const CONVERT: &str =
    "save it with PEFT's `path_initial_model_for_weight_conversion`, or merge it there";
const PLAIN: &str = "adapters are plain LoRA on the linear maps of all blocks";

/// Keys that `PeftConfig` reads.
const READ: [&str; 7] = [
    "base_model_name_or_path",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "use_rslora",
    "init_lora_weights",
];

/// Keys that say where an adapter comes from, how it was begun or for which library it is, and nothing about its sum.
const HARMLESS: [&str; 14] = [
    "auto_mapping",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
];

/// Keys that change the sum when they are set, with what they do.
const CHANGING: [(&str, &str, &str); 15] = [
    (
        "alora_invocation_tokens",
        "it is added only behind certain tokens (aLoRA)",
        PLAIN,
    ),
    ("arrow_config", "it routes tokens between adapters", PLAIN),
    ("layer_replication", "it repeats blocks of its model", MERGE),
    (
        "layers_to_transform",
        "only some blocks have additions",
        MERGE,
    ),
    (
        "use_dora",
        "it scales the sum by a learned magnitude (DoRA)",
        MERGE,
    ),
    ("use_qalora", "it adds to groups of inputs (QALoRA)", PLAIN),
    ("lora_bias", "its additions have a bias", MERGE),
    ("modules_to_save", "it replaces whole modules", MERGE),
    (
        "trainable_token_indices",
        "it replaces rows of the embedding",
        MERGE,
    ),
    (
        "target_parameters",
        "it adds to parameters that are no linear map",
        MERGE,
    ),
    (
        "rank_pattern",
        "its ranks differ from place to place",
        MERGE,
    ),
    (
        "alpha_pattern",
        "its scales differ from place to place",
        MERGE,
    ),
    ("fan_in_fan_out", "its weights are transposed", MERGE),
    (
        "megatron_config",
        "it belongs to a model of Megatron",
        PLAIN,
    ),
    ("bias", "biases are trained beside it", MERGE),
];

/// Why an adapter would mean something else here than for PEFT, if it would.
pub(super) fn problem(config: &Map<String, Value>) -> Option<Problem> {
    let problem = |what: String, hint| Some(Problem { what, hint });
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    if text("peft_type") != Some("LORA") {
        return problem("`peft_type` is not `LORA`".into(), PLAIN);
    }
    if let Some(task) = text("task_type").filter(|task| *task != "CAUSAL_LM") {
        return problem(format!("`task_type` is `{task}`, not `CAUSAL_LM`"), PLAIN);
    }
    if config.get("r").and_then(Value::as_u64) == Some(0) {
        return problem("`r` is 0".into(), PLAIN);
    }
    if config
        .get("target_modules")
        .is_none_or(|targets| !targets.is_array())
    {
        return problem(
            "`target_modules` is a pattern, not a list of names".into(),
            MERGE,
        );
    }
    if let Some(problem) = init_problem(config.get("init_lora_weights").unwrap_or(&Value::Null)) {
        return Some(problem);
    }
    let set = |key: &str| config.get(key).is_some_and(|value| !is_unset(value));
    if let Some((key, why, hint)) = CHANGING.iter().find(|(key, ..)| set(key)) {
        return problem(format!("`{key}` is set: {why}"), hint);
    }
    let known = |key: &str| {
        READ.contains(&key)
            || HARMLESS.contains(&key)
            || CHANGING.iter().any(|(changing, ..)| *changing == key)
            || ["peft_type", "task_type"].contains(&key)
    };
    match config
        .iter()
        .find(|(key, value)| !known(key) && !is_unset(value))
    {
        Some((key, _)) => problem(format!("`{key}` is set, and not known here"), MERGE),
        None => None,
    }
}

/// Whether the matrices were begun in a way that changed the weights below them.
fn init_problem(init: &Value) -> Option<Problem> {
    let name = match init {
        Value::Null | Value::Bool(_) => return None,
        Value::String(name) => name.to_lowercase(),
        other => {
            return Some(Problem {
                what: format!("`init_lora_weights` is {other}"),
                hint: PLAIN,
            });
        }
    };
    match name.as_str() {
        // These begin elsewhere, beside the same weights.
        "gaussian" | "eva" | "orthogonal" => None,
        "pissa" | "olora" | "corda" | "loftq" | "lora_ga" => Some(changed(&name)),
        _ if name.starts_with("pissa_niter_") => Some(changed(&name)),
        _ => Some(Problem {
            what: format!("`init_lora_weights` is `{name}`, which is not known here"),
            hint: MERGE,
        }),
    }
}

fn changed(name: &str) -> Problem {
    Problem {
        what: format!("`init_lora_weights` is `{name}`: it was trained beside changed weights"),
        hint: CONVERT,
    }
}

/// Whether a value says as much as if its key were not there.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "none",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(changes: Value) -> Option<Problem> {
        // What PEFT 0.18 writes for plain LoRA.
        let mut config = json!({
            "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null,
            "base_model_name_or_path": "x", "bias": "none", "corda_config": null, "ensure_weight_tying": false,
            "eva_config": null, "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true,
            "init_lora_weights": true, "layer_replication": null, "layers_pattern": null, "layers_to_transform": null,
            "loftq_config": {}, "lora_alpha": 16, "lora_bias": false, "lora_dropout": 0.0, "megatron_config": null,
            "megatron_core": "megatron.core", "modules_to_save": null, "peft_type": "LORA", "peft_version": "0.18.0",
            "qalora_group_size": 16, "r": 8, "rank_pattern": {}, "revision": null, "target_modules": ["q_proj"],
            "target_parameters": null, "task_type": "CAUSAL_LM", "trainable_token_indices": null, "use_dora": false,
            "use_qalora": false, "use_rslora": false,
        });
        config
            .as_object_mut()
            .expect("an object")
            .extend(changes.as_object().expect("an object").clone());
        problem(config.as_object().expect("an object"))
    }

    #[test]
    fn plain_lora_is_taken_however_it_was_begun() {
        for init in [
            json!(true),
            json!(false),
            json!(null),
            json!("gaussian"),
            json!("eva"),
            json!("orthogonal"),
        ] {
            assert_eq!(told(json!({ "init_lora_weights": init })), None);
        }
    }

    #[test]
    fn an_adapter_that_changed_its_base_is_refused_with_a_cure() {
        for init in [
            "pissa",
            "PiSSA",
            "pissa_niter_4",
            "olora",
            "corda",
            "loftq",
            "lora_ga",
        ] {
            let problem = told(json!({ "init_lora_weights": init })).expect("is refused");
            assert!(
                problem.what.contains("trained beside changed weights"),
                "{}",
                problem.what
            );
            assert!(
                problem
                    .hint
                    .contains("path_initial_model_for_weight_conversion")
            );
        }
        let problem = told(json!({ "init_lora_weights": "of next year" })).expect("is refused");
        assert!(
            problem.what.contains("`of next year`, which is not known"),
            "{}",
            problem.what
        );
    }

    #[test]
    fn a_key_that_changes_the_sum_is_refused_by_name() {
        for (key, value) in [
            ("alora_invocation_tokens", json!([5, 6])),
            ("layer_replication", json!([[0, 1], [0, 1]])),
            ("arrow_config", json!({"top_k": 1})),
            ("use_dora", json!(true)),
            ("rank_pattern", json!({"q_proj": 4})),
            ("alpha_pattern", json!({"q_proj": 4})),
            ("lora_bias", json!(true)),
            ("modules_to_save", json!(["lm_head"])),
            ("fan_in_fan_out", json!(true)),
            ("layers_to_transform", json!(0)),
            ("trainable_token_indices", json!([1])),
            ("target_parameters", json!(["experts.gate_up_proj"])),
            ("use_qalora", json!(true)),
            ("bias", json!("all")),
            ("task_type", json!("SEQ_CLS")),
            ("target_modules", json!("all-linear")),
            ("a_key_of_next_year", json!(1)),
        ] {
            let problem = told(json!({ key: value })).expect(key);
            assert!(
                problem.what.contains(&format!("`{key}`")),
                "{}",
                problem.what
            );
        }
        assert_eq!(
            told(json!({ "a_key_of_next_year": null, "another": {} })),
            None
        );
    }
}

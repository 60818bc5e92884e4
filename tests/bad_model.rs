//! A model folder that is damaged or unknown is refused before any work, with the file and the tensor in the words.

use std::fs;
use std::path::{Path, PathBuf};

use model::weights::{DiskDtype, HostTensors, read_safetensors, write_tensors};
use serde_json::{Value, json};

use crate::support::*;

/// A copy of the model in the repository, as if downloaded: without a manifest.
fn downloaded(folder: &Folder) -> PathBuf {
    let model = folder.join("model");
    fs::create_dir_all(&model).expect("a folder");
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ] {
        fs::copy(Path::new("checkpoints/base").join(name), model.join(name)).expect("copies");
    }
    model
}

fn export(folder: &Folder) -> Said {
    let out = folder.join("out");
    let said = run(&format!(
        "export --hugging-face --model {} --out {}",
        folder.join("model").display(),
        out.display()
    ));
    assert!(
        said.code == Some(0) || !out.exists(),
        "a refused export wrote something"
    );
    said
}

fn change_config(model: &Path, change: impl Fn(&mut Value)) {
    let path = model.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
    change(&mut config);
    fs::write(&path, config.to_string()).expect("writes");
}

fn change_weights(model: &Path, change: impl Fn(&mut HostTensors)) {
    let mut tensors = read_safetensors(&model.join("model.safetensors")).expect("reads");
    change(&mut tensors);
    write_tensors(model, "model", &tensors, DiskDtype::Float32).expect("writes");
}

#[test]
fn a_folder_as_downloaded_is_taken() {
    let folder = Folder::new("downloaded");
    let model = downloaded(&folder);
    change_config(&model, |config| {
        // What others write beside what is needed.
        config["transformers_version"] = json!("4.57.6");
        config["use_cache"] = json!(true);
        config["eos_token_id"] = json!([2, 3]);
        config["rope_scaling"] = Value::Null;
    });
    export(&folder).succeeds();
    let saved: Value =
        serde_json::from_slice(&fs::read(folder.join("out/config.json")).expect("reads"))
            .expect("JSON");
    assert_eq!(
        (&saved["eos_token_id"], &saved["architectures"]),
        (&json!([2, 3]), &json!(["LlamaForCausalLM"]))
    );
}

#[test]
fn a_model_that_is_not_known_is_refused_by_the_name_of_what_is_not() {
    for (key, value) in [
        ("model_type", json!("gpt_bigcode")),
        ("architectures", json!(["LlamaForSequenceClassification"])),
        ("hidden_act", json!("gelu_new")),
        (
            "rope_scaling",
            json!({"rope_type": "longrope", "factor": 2.0}),
        ),
        ("quantization_config", json!({"quant_method": "awq"})),
        ("num_key_value_heads", json!(4)),
        ("hidden_size", json!(-5)),
    ] {
        let folder = Folder::new("unknown");
        let model = downloaded(&folder);
        change_config(&model, |config| config[key] = value.clone());
        let named = value.as_str().unwrap_or(key);
        export(&folder).refuses(&["config.json", named]);
    }
    let folder = Folder::new("unknown");
    fs::write(downloaded(&folder).join("config.json"), "{").expect("writes");
    export(&folder).refuses(&["config.json"]);
}

#[test]
fn weights_that_do_not_fit_are_refused_with_file_and_tensor() {
    let folder = Folder::new("weights");
    let model = downloaded(&folder);
    let name = "model.layers.2.mlp.up_proj.weight";
    change_weights(&model, |tensors| {
        tensors.get_mut(name).unwrap().values[77] = f32::NAN
    });
    export(&folder).refuses(&["model.safetensors", name, "not finite"]);
    fs::copy(
        "checkpoints/base/model.safetensors",
        model.join("model.safetensors"),
    )
    .expect("copies");
    export(&folder).succeeds();
    fs::remove_dir_all(folder.join("out")).expect("removes");
    change_weights(&model, |tensors| {
        tensors.get_mut(name).unwrap().shape.reverse()
    });
    export(&folder).refuses(&["model.safetensors", name, "[192, 512]", "[512, 192]"]);
    change_weights(&model, |tensors| drop(tensors.remove(name)));
    export(&folder).refuses(&[name, "lack"]);
    change_config(&model, |config| config["num_hidden_layers"] = json!(1));
    export(&folder).refuses(&["model.safetensors", "model.layers.1."]);
    fs::remove_file(model.join("model.safetensors")).expect("removes");
    export(&folder).refuses(&["model.safetensors"]);
    fs::write(model.join("pytorch_model.bin"), "pickled").expect("writes");
    export(&folder).refuses(&["pytorch_model.bin", "safetensors"]);
}

#[test]
fn shards_and_their_index_are_checked_before_values_are_read() {
    let folder = Folder::new("index");
    let model = downloaded(&folder);
    fs::rename(
        model.join("model.safetensors"),
        model.join("model-00001-of-00002.safetensors"),
    )
    .expect("renames");
    let index = |map: Value| {
        fs::write(
            model.join("model.safetensors.index.json"),
            json!({"weight_map": map}).to_string(),
        )
        .expect("writes");
    };
    index(json!({"model.norm.weight": "model-00001-of-00002.safetensors"}));
    export(&folder).succeeds();
    fs::remove_dir_all(folder.join("out")).expect("removes");
    index(json!({"model.norm.weight": "model-00002-of-00002.safetensors"}));
    export(&folder).refuses(&["index.json", "model-00002-of-00002.safetensors", "missing"]);
    index(json!({"model.absent.weight": "model-00001-of-00002.safetensors"}));
    export(&folder).refuses(&["index.json", "model.absent.weight"]);
    index(json!({"model.norm.weight": "../../etc/passwd"}));
    export(&folder).refuses(&["index.json", "../../etc/passwd"]);
}

#[test]
fn a_truncated_file_and_a_header_of_two_gigabytes_are_refused() {
    let folder = Folder::new("header");
    let model = downloaded(&folder);
    let weights = model.join("model.safetensors");
    let bytes = fs::read(&weights).expect("reads");
    fs::write(&weights, &bytes[..bytes.len() / 2]).expect("writes");
    export(&folder).refuses(&["model.safetensors", "truncated"]);
    fs::write(&weights, &bytes[..100]).expect("writes");
    export(&folder).refuses(&["model.safetensors", "truncated"]);
    fs::write(
        &weights,
        [&(2u64 << 30).to_le_bytes()[..], &bytes[8..]].concat(),
    )
    .expect("writes");
    export(&folder).refuses(&["model.safetensors", "2147483648 bytes"]);
    // Before the sandbox, the tasks, or anything else is looked at.
    let (model, out, tasks) = (
        model.display(),
        folder.join("out.json"),
        folder.write("none.jsonl", "none"),
    );
    for command in ["eval", "grpo"] {
        let line = format!(
            "{command} --model {model} --tasks {} --out {}",
            tasks.display(),
            out.display()
        );
        run(&line).refuses(&["model.safetensors", "2147483648 bytes"]);
    }
}

#[test]
fn a_tokenizer_with_more_ids_than_the_model_has_embeddings_is_refused() {
    let folder = Folder::new("ids");
    let model = downloaded(&folder);
    change_config(&model, |config| config["vocab_size"] = json!(2000));
    export(&folder).refuses(&["tokenizer.json", "2047", "2000"]);
}

//! What a model folder tells a stranger: how to generate, and what it is.
//!
//! In: a [`Snapshot`]. Out: `generation_config.json` as transformers and vLLM read it, and a model card, `README.md`, as the
//! Hugging Face Hub shows it. Both follow from the snapshot alone, so a resumed run writes the same bytes.

use serde_json::{Value, json};

use super::Snapshot;
use crate::run::provenance;

/// The ids that begin and end a text. How tokens are drawn is left to whoever asks.
pub(super) fn generation_config(snapshot: &Snapshot<'_>) -> Value {
    let mut told = json!({
        "_from_model_config": true,
        "eos_token_id": snapshot.config.eos_token_id,
    });
    if let Some(begin) = snapshot.config.bos_token_id {
        told["bos_token_id"] = begin.into();
    }
    told
}

/// The model card: metadata that the Hub reads, the shape, and how to use it.
pub(super) fn model_card(snapshot: &Snapshot<'_>) -> String {
    let config = snapshot.config;
    let (library, base, weights, usage) = match &snapshot.adapter {
        Some(about) => (
            "peft",
            format!("base_model: {}\n", json!(about.base.display().to_string())),
            format!(
                "LoRA adapter of rank {}, {} weights, beside a base of {}",
                about.config.rank,
                about.config.parameters(config),
                config.parameters(),
            ),
            "from peft import AutoPeftModelForCausalLM\nmodel = AutoPeftModelForCausalLM.from_pretrained(\".\")",
        ),
        None => (
            "transformers",
            String::new(),
            format!("{}, {}", config.parameters(), snapshot.dtype.name()),
            "from transformers import AutoModelForCausalLM\nmodel = AutoModelForCausalLM.from_pretrained(\".\")",
        ),
    };
    format!(
        "---\nlibrary_name: {library}\npipeline_tag: text-generation\n{base}tags:\n- code\n- program-repair\n---\n\n\
         # Model card\n\n\
         | | |\n|---|---|\n\
         | architecture | {architecture} |\n\
         | weights | {weights} |\n\
         | layers, width | {layers}, {width} |\n\
         | context | {context} tokens |\n\
         | vocabulary | {vocabulary} tokens |\n\
         | optimizer steps | {step} |\n\
         | written by | `train` {version}, commit {commit} |\n\n\
         ```python\n{usage}\n```\n\n\
         ```sh\ntrain serve --model .\n```\n\n\
         The chat template lies in `tokenizer_config.json`. `plan.toml` of the run that wrote this folder names data, settings and\n\
         seed.\n",
        architecture = config.model_type.class(),
        layers = config.num_hidden_layers,
        width = config.hidden_size,
        context = config.max_position_embeddings,
        vocabulary = config.vocab_size,
        step = snapshot.step,
        version = env!("CARGO_PKG_VERSION"),
        commit = provenance::commit(),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::adapter::About;
    use crate::checkpoint::{load, save_model};
    use burn::tensor::Device;
    use model::lora::LoraConfig;
    use model::weights::DiskDtype;

    #[test]
    fn a_model_folder_tells_how_to_generate_and_what_it_is() {
        let device = Device::flex();
        let loaded = load(Path::new("checkpoints/base"), &device).expect("the base model");
        let snapshot = Snapshot::from_loaded(&loaded, DiskDtype::Bfloat16);
        let folder = std::env::temp_dir().join(format!("train-card-{}", std::process::id()));
        save_model(&folder, &snapshot).expect("is written");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("is there");
        let told: Value = serde_json::from_str(&read("generation_config.json")).expect("JSON");
        assert_eq!(told["eos_token_id"], json!(loaded.config.eos_token_id));
        let card = read("README.md");
        assert!(
            card.starts_with("---\nlibrary_name: transformers\n"),
            "{card}"
        );
        assert!(card.contains("| weights | 1967808, bfloat16 |"), "{card}");
        let again = load(&folder, &device).expect("loads again");
        assert_eq!(again.config.eos_token_id, loaded.config.eos_token_id);
        std::fs::remove_dir_all(&folder).expect("is removed");
    }

    #[test]
    fn the_card_of_an_adapter_names_its_base() {
        let loaded = load(Path::new("checkpoints/base"), &Device::flex()).expect("the base model");
        let lora = LoraConfig {
            rank: 4,
            ..LoraConfig::default()
        };
        let snapshot = Snapshot {
            adapter: Some(About {
                config: &lora,
                base: Path::new("models/my \"base\""),
            }),
            ..Snapshot::from_loaded(&loaded, DiskDtype::Float32)
        };
        let card = model_card(&snapshot);
        assert!(card.contains("library_name: peft\n"), "{card}");
        assert!(
            card.contains("base_model: \"models/my \\\"base\\\"\"\n"),
            "{card}"
        );
    }
}

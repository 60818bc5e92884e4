use std::fs;
use std::path::{Path as FilePath, PathBuf};

use burn::tensor::DType;

use super::*;
use crate::config::Family;

fn tiny() -> ModelConfig {
    ModelConfig {
        vocab_size: 8,
        hidden_size: 8,
        intermediate_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 4,
        ..ModelConfig::default()
    }
}

/// A folder that goes away at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("train-weights-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load(
    folder: &FilePath,
    config: &ModelConfig,
    precision: Precision,
) -> Result<CausalLm, WeightsError> {
    let mut weights = WeightsFolder::open(folder, config, precision, &Device::flex())?;
    CausalLm::build(config, &mut weights)
}

fn refused(folder: &FilePath, config: &ModelConfig, named: &[&str]) {
    let said = load(folder, config, Precision::Float32)
        .map(|_| ())
        .expect_err("refused")
        .to_string();
    for named in named {
        assert!(said.contains(named), "`{said}` does not name `{named}`");
    }
}

/// A safetensors file from a header and bytes.
fn write_raw(path: &FilePath, header: &serde_json::Value, values: &[u8]) {
    let header = header.to_string();
    fs::write(
        path,
        [
            &(header.len() as u64).to_le_bytes()[..],
            header.as_bytes(),
            values,
        ]
        .concat(),
    )
    .expect("writes");
}

#[test]
fn a_model_comes_back_from_disk_bit_for_bit_and_has_the_names_of_hugging_face() {
    let folder = Folder::new("whole");
    for family in Family::ALL {
        let config = ModelConfig {
            model_type: family,
            tie_word_embeddings: false,
            ..tiny()
        };
        let model = CausalLm::new(&config, 7, &Device::flex());
        write_model(&folder.0, &model, DiskDtype::Float32, SHARD_BYTES).expect("writes");
        let tensors = to_host(&model);
        let mut needed: Vec<String> = config.tensors().into_iter().map(|(name, _)| name).collect();
        needed.sort();
        assert_eq!(tensors.keys().cloned().collect::<Vec<_>>(), needed);
        assert_eq!(
            to_host(&load(&folder.0, &config, Precision::Float32).expect("loads")),
            tensors
        );
        assert_eq!(
            to_host(&from_host(&config, tensors.clone(), &Device::flex()).expect("loads")),
            tensors
        );
    }
}

#[test]
fn shards_hold_together_what_one_file_holds() {
    let folder = Folder::new("shards");
    let model = CausalLm::new(&tiny(), 7, &Device::flex());
    let written = write_model(&folder.0, &model, DiskDtype::Float32, 600).expect("writes");
    assert!(
        written.len() > 3 && written.last().unwrap().name == "model.safetensors.index.json",
        "{written:?}"
    );
    assert_eq!(
        to_host(&load(&folder.0, &tiny(), Precision::Float32).expect("loads")),
        to_host(&model)
    );

    let gone = folder.0.join(&written[1].name);
    let bytes = fs::read(&gone).expect("reads");
    fs::remove_file(&gone).expect("removes");
    refused(
        &folder.0,
        &tiny(),
        &["index.json", &written[1].name, "missing"],
    );
    fs::copy(folder.0.join(&written[0].name), &gone).expect("copies");
    refused(
        &folder.0,
        &tiny(),
        &["index.json", &written[1].name, "but it does not"],
    );
    fs::write(&gone, &bytes[..bytes.len() - 1]).expect("writes");
    refused(&folder.0, &tiny(), &[&written[1].name, "truncated"]);
    let index = folder.0.join("model.safetensors.index.json");
    fs::write(
        &index,
        r#"{"weight_map": {"model.norm.weight": "../elsewhere.safetensors"}}"#,
    )
    .expect("writes");
    refused(
        &folder.0,
        &tiny(),
        &["index.json", "../elsewhere.safetensors"],
    );
}

#[test]
fn halves_are_read_as_they_are_or_as_f32() {
    let folder = Folder::new("halves");
    let model = CausalLm::new(&tiny(), 7, &Device::flex());
    write_model(&folder.0, &model, DiskDtype::Bfloat16, SHARD_BYTES).expect("writes");
    let rounded: HostTensors = to_host(&model)
        .into_iter()
        .map(|(name, mut tensor)| {
            tensor
                .values
                .iter_mut()
                .for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
            (name, tensor)
        })
        .collect();
    assert_eq!(
        to_host(&load(&folder.0, &tiny(), Precision::Float32).expect("loads")),
        rounded
    );
    let stored = load(&folder.0, &tiny(), Precision::Stored).expect("loads");
    assert_eq!(stored.model.norm.weight.val().dtype(), DType::F32);
    assert_eq!(
        stored.model.layers[0].mlp.up_proj.weight.val().dtype(),
        DType::BF16
    );
    assert_eq!(to_host(&stored), rounded);
}

#[test]
fn weights_that_do_not_fit_the_model_are_refused_by_name() {
    let folder = Folder::new("fit");
    let file = folder.0.join("model.safetensors");
    refused(&folder.0, &tiny(), &["model.safetensors", "holds neither"]);
    let whole = to_host(&CausalLm::new(&tiny(), 7, &Device::flex()));
    let write = |change: &dyn Fn(&mut HostTensors)| {
        let mut tensors = whole.clone();
        change(&mut tensors);
        write_tensors(&folder.0, "model", &tensors, DiskDtype::Float32).expect("writes");
    };
    write(&|tensors| drop(tensors.remove("model.norm.weight")));
    refused(&folder.0, &tiny(), &["model.norm.weight", "lack"]);
    write(&|tensors| {
        drop(tensors.insert("model.extra".into(), tensors["model.norm.weight"].clone()))
    });
    refused(&folder.0, &tiny(), &["model.extra", "does not know"]);
    write(&|tensors| tensors.get_mut("model.norm.weight").unwrap().shape = vec![2, 4]);
    refused(
        &folder.0,
        &tiny(),
        &["model.safetensors", "model.norm.weight", "[2, 4]", "[8]"],
    );
    write(&|tensors| {
        tensors
            .get_mut("model.layers.0.mlp.up_proj.weight")
            .unwrap()
            .values[5] = f32::NAN
    });
    refused(
        &folder.0,
        &tiny(),
        &[
            "model.safetensors",
            "model.layers.0.mlp.up_proj.weight",
            "not finite",
        ],
    );
    write(&|tensors| tensors.get_mut("model.norm.weight").unwrap().values[0] = f32::NEG_INFINITY);
    refused(&folder.0, &tiny(), &["model.norm.weight", "not finite"]);
    write(&|_| ());
    load(&folder.0, &tiny(), Precision::Float32).expect("the whole file loads");

    // Cut while it is read.
    let opened = WeightsFolder::open(&folder.0, &tiny(), Precision::Float32, &Device::flex())
        .expect("opens");
    fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .expect("opens")
        .set_len(2000)
        .expect("cuts");
    let said = CausalLm::build(&tiny(), &mut { opened })
        .map(|_| ())
        .expect_err("refused")
        .to_string();
    assert!(
        said.contains("cannot be read") && said.contains("model."),
        "{said}"
    );
    refused(&folder.0, &tiny(), &["model.safetensors", "truncated"]);
}

#[test]
fn a_header_that_lies_is_refused_before_anything_is_allocated() {
    use serde_json::json;
    let folder = Folder::new("header");
    let file = folder.0.join("model.safetensors");
    for (bytes, named) in [
        (&[1u8, 2][..], "too short"),
        (
            &[&(2u64 << 30).to_le_bytes()[..], b"{}"].concat(),
            "2147483648 bytes",
        ),
        (
            &[&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
            "but 100000000 are the most",
        ),
        (&[&64u64.to_le_bytes()[..], b"{}"].concat(), "truncated"),
        (&[&2u64.to_le_bytes()[..], b"[]"].concat(), "damaged"),
    ] {
        fs::write(&file, bytes).expect("writes");
        refused(&folder.0, &tiny(), &["model.safetensors", named]);
    }
    let one = |dtype: &str, shape: &[u64], offsets: [u64; 2]| json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
    for (header, named) in [
        (json!({"a": one("F32", &[3], [0, 8])}), "`a`"),
        (json!({"a": one("F32", &[u64::MAX, 2], [0, 8])}), "`a`"),
        (json!({"a": one("F32", &[2], [8, 0])}), "`a`"),
        (
            json!({"a": one("F32", &[2], [0, 8]), "b": one("F32", &[2], [4, 12])}),
            "`b` begins at 4",
        ),
        (json!({"a": one("F32", &[2], [4, 12])}), "`a` begins at 4"),
        (
            json!({"a": one("F32", &[1], [0, 4])}),
            "its header tells of",
        ),
        (json!({"a": one("F32", &[400], [0, 1600])}), "truncated"),
        (
            json!({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}),
            "the tensor `a`",
        ),
    ] {
        write_raw(&file, &header, &[0; 12]);
        refused(&folder.0, &tiny(), &["model.safetensors", named]);
    }
    let quantized = json!({"model.norm.weight": one("F8_E4M3", &[8], [0, 8])});
    write_raw(&file, &quantized, &[0; 8]);
    let said = read_safetensors(&file).expect_err("refused").to_string();
    assert!(
        said.contains("model.norm.weight") && said.contains("F8_E4M3"),
        "{said}"
    );
}

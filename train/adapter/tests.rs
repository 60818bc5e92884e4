//! The files of an adapter have the names and shapes of PEFT, and come back.

use super::*;
use model::weights::to_host;

fn shape() -> ModelConfig {
    ModelConfig {
        vocab_size: 16,
        hidden_size: 24,
        intermediate_size: 40,
        num_hidden_layers: 1,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        ..ModelConfig::default()
    }
}

fn config() -> LoraConfig {
    LoraConfig {
        rank: 3,
        targets: vec!["q_proj".into(), "v_proj".into(), "down_proj".into()],
        ..LoraConfig::default()
    }
}

fn adapted(seed: u64) -> CausalLm {
    let device = Device::flex();
    with_lora(
        CausalLm::new(&shape(), 7, &device),
        &shape(),
        &config(),
        seed,
        &device,
    )
}

/// A folder with an adapter, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, model: &CausalLm) -> Self {
        let folder =
            std::env::temp_dir().join(format!("train-adapter-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let about = About {
            config: &config(),
            base: Path::new(env!("CARGO_MANIFEST_DIR")),
        };
        let (name, bytes) = about.file().expect("a config");
        fs::write(folder.join(name), bytes).expect("writes");
        write(&folder, model).expect("writes");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn an_adapter_has_the_names_and_shapes_that_peft_gives_it() {
    let folder = Folder::with("names", &adapted(1));
    let tensors = read_safetensors(&folder.0.join("adapter_model.safetensors")).expect("reads");
    let named: Vec<String> = tensors
        .iter()
        .map(|(name, tensor)| format!("{name} {:?}", tensor.shape))
        .collect();
    // Written by PEFT 0.21 for the same shape: see `adapter/reference.py`.
    let expected: Vec<&str> = include_str!("reference.txt").lines().collect();
    assert_eq!(named, expected);
}

#[test]
fn an_adapter_comes_back_bit_for_bit() {
    let one = adapted(1);
    let folder = Folder::with("back", &one);
    let adapter = Adapter::read(&folder.0).expect("reads");
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(
        (adapter.config.clone(), adapter.base.as_deref()),
        (config(), Some(base))
    );
    let other = adapter
        .put_into(adapted(2), &shape(), &Device::flex())
        .expect("fits");
    assert_eq!(to_host(&other), to_host(&one));

    // Into another shape, it is refused with the name of the tensor.
    let wide = ModelConfig {
        hidden_size: 32,
        ..shape()
    };
    let model = with_lora(
        CausalLm::new(&wide, 7, &Device::flex()),
        &wide,
        &config(),
        1,
        &Device::flex(),
    );
    let refused = Adapter::read(&folder.0)
        .expect("reads")
        .put_into(model, &wide, &Device::flex());
    let said = format!("{:#}", refused.map(|_| ()).expect_err("is refused"));
    assert!(
        said.contains("lora_A.weight") && said.contains("[3, 32]"),
        "{said}"
    );
}

#[test]
fn an_adapter_that_would_mean_something_else_is_refused_when_it_is_read() {
    let folder = Folder::with("other", &adapted(1));
    let file = folder.0.join(CONFIG);
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(&file).expect("reads")).expect("is JSON");
    config["init_lora_weights"] = "pissa".into();
    fs::write(&file, config.to_string()).expect("writes");
    let said = Adapter::read(&folder.0)
        .map(|_| ())
        .expect_err("is refused")
        .to_string();
    assert!(
        said.contains("adapter_config.json`: `init_lora_weights` is `pissa`")
            && said.contains("\nhint: "),
        "{said}"
    );
}

//! Every architecture computes what `transformers` computes: logits, loss and every gradient, from the folder as it
//! lies on disk. The references and `make.py`, which makes them, lie in `tests/parity/`.

use std::fs;
use std::path::{Path, PathBuf};

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use data::Sample;
use model::decoder::rope_of;
use model::mask::{BlockMask, View};
use model::weights::{
    DiskDtype, HostTensors, Precision, WeightsFolder, read_safetensors, to_host, write_model,
};
use model::{Cache, CausalLm, Context, ModelConfig};
use serde::Deserialize;
use train::checkpoint::{self, Snapshot};
use train::loss::cross_entropy::cross_entropy;
use train::trainer::batch::{Batch, Row};
use train::trainer::layerwise::Learner;

use crate::support::Folder;

/// Folders of `tests/parity/`; each has its reference in itself, or in the one named beside it.
const CASES: [(&str, &str); 11] = [
    ("llama3", "llama3"),
    ("linear", "linear"),
    ("yarn", "yarn"),
    ("yarn_mscale", "yarn_mscale"),
    ("mistral", "mistral"),
    ("mistral_window", "mistral_window"),
    ("mistral3", "mistral3"),
    ("mistral3_own", "mistral3"),
    ("qwen2", "qwen2"),
    ("qwen2_window", "qwen2_window"),
    ("qwen3", "qwen3"),
];

/// How far a tiny model may be off.
const TOLERANCE: f32 = 1e-4;
/// A real one may be off from exact numbers by this times what `transformers` in f32 is.
const ROUNDING: f32 = 2.0;

/// What `transformers` computed.
struct Reference {
    prompts: Vec<Vec<u32>>,
    loss: f32,
    tensors: HostTensors,
    tolerance: f32,
}

struct Case {
    name: &'static str,
    config: ModelConfig,
    model: CausalLm,
    reference: Reference,
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/parity")
        .join(name)
}

fn load(folder: &Path) -> (ModelConfig, CausalLm) {
    let config = match fs::read(folder.join("config.json")) {
        Ok(bytes) => ModelConfig::from_json(&bytes).expect("a config"),
        Err(_) => ModelConfig::from_params(&fs::read(folder.join("params.json")).expect("params"))
            .expect("a config"),
    };
    assert_eq!(config.problem(), None);
    let opened = WeightsFolder::open(folder, &config, Precision::Float32, &Device::flex());
    let model = CausalLm::build(&config, &mut opened.expect("opens")).expect("builds");
    (config, model)
}

fn reference(folder: &Path) -> Reference {
    #[derive(Deserialize)]
    struct About {
        prompts: Vec<Vec<u32>>,
        loss: f32,
        rounding: Option<f32>,
    }

    let about = fs::read(folder.join("reference.json")).expect("a reference");
    let About {
        prompts,
        loss,
        rounding,
    } = serde_json::from_slice(&about).expect("a reference");
    let tensors = read_safetensors(&folder.join("reference.safetensors")).expect("a reference");
    let tolerance = rounding.map_or(TOLERANCE, |rounding| ROUNDING * rounding);
    Reference {
        prompts,
        loss,
        tensors,
        tolerance,
    }
}

fn cases() -> impl Iterator<Item = Case> {
    CASES.into_iter().map(|(name, at)| {
        let (config, model) = load(&place(name));
        Case {
            name,
            config,
            model,
            reference: reference(&place(at)),
        }
    })
}

impl Case {
    fn integers(&self, values: Vec<i32>, shape: [usize; 2]) -> Tensor<2, Int> {
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// Logits of every position of `rows`, each padded to the longest on the left or on the right.
    fn logits(&self, rows: &[Vec<u32>], left: bool) -> Vec<f32> {
        let (batch, seq) = (rows.len(), rows.iter().map(Vec::len).max().expect("rows"));
        let (mut tokens, mut positions, mut views) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let pad = if left { seq - row.len() } else { 0 };
            for at in 0..seq {
                let real = (pad..pad + row.len()).contains(&at);
                tokens.push(if real { row[at - pad] as i32 } else { 0 });
                positions.push(at.saturating_sub(pad) as i32);
                views.push(View::from_range(pad.min(at), at + 1));
            }
        }
        let turn =
            rope_of(&self.config, &Device::flex()).at(self.integers(positions, [batch, seq]));
        let context = Context {
            turn,
            block_mask: BlockMask::new(views, seq),
        };
        self.all_logits(
            self.model
                .hidden(self.integers(tokens, [batch, seq]), &context, None),
        )
    }

    fn all_logits(&self, hidden: Tensor<3>) -> Vec<f32> {
        let [batch, seq, width] = hidden.dims();
        let logits = self.model.logits(hidden.reshape([batch * seq, width]));
        logits.into_data().try_to_vec().expect("f32")
    }

    /// Compares logits of consecutive positions of prompt `at`, from position `from`, with the reference. Returns how far
    /// they are from it.
    fn compare(&self, at: usize, from: usize, logits: &[f32], what: &str) -> f32 {
        let vocab = self.config.vocab_size;
        let expected =
            &self.reference.tensors[&format!("logits.{at}")].values[from * vocab..][..logits.len()];
        let what = format!("`{}`: {what}, prompt {at}", self.name);
        let worst = distance(logits, expected, &what);
        assert!(worst <= self.reference.tolerance, "{what}: off by {worst}");
        worst
    }

    /// One row for each prompt, trained on every next token.
    fn rows(&self) -> Vec<Row> {
        let prompts = self.reference.prompts.iter();
        let samples =
            prompts.map(|tokens| Sample::new(tokens.clone(), vec![true; tokens.len()], "parity"));
        samples
            .map(|sample| Row::from_sample(&sample.expect("a sample"), 0.0))
            .collect()
    }
}

/// The largest difference.
fn distance(got: &[f32], expected: &[f32], what: &str) -> f32 {
    assert_eq!(got.len(), expected.len(), "{what}");
    let differences = got
        .iter()
        .zip(expected)
        .map(|(got, want)| (got - want).abs());
    // No number is as far as can be: `max` would pass over it.
    differences.fold(0.0, |worst, each| {
        if each.is_nan() {
            f32::INFINITY
        } else {
            worst.max(each)
        }
    })
}

fn close(got: &[f32], expected: &[f32], what: &str) {
    let worst = distance(got, expected, what);
    assert!(worst <= TOLERANCE, "{what}: off by {worst}");
}

#[test]
fn logits_are_those_of_transformers_for_single_and_for_padded_prompts() {
    for case in cases() {
        let prompts = &case.reference.prompts;
        let vocab = case.config.vocab_size;
        for (at, prompt) in prompts.iter().enumerate() {
            case.compare(
                at,
                0,
                &case.logits(std::slice::from_ref(prompt), false),
                "alone",
            );
        }
        for left in [true, false] {
            let all = case.logits(prompts, left);
            let seq = all.len() / vocab / prompts.len();
            for (at, (row, prompt)) in all.chunks_exact(seq * vocab).zip(prompts).enumerate() {
                let pad = if left { seq - prompt.len() } else { 0 };
                let real = &row[pad * vocab..(pad + prompt.len()) * vocab];
                case.compare(
                    at,
                    0,
                    real,
                    if left {
                        "padded on the left"
                    } else {
                        "padded on the right"
                    },
                );
            }
        }
    }
}

#[test]
fn decoding_with_a_cache_gives_the_logits_of_the_full_pass() {
    let device = Device::flex();
    for case in cases() {
        let rope = rope_of(&case.config, &device);
        for (at, prompt) in case.reference.prompts.iter().enumerate() {
            let mut cache = Cache::new(&case.config, 1, prompt.len(), &device);
            // Most of the prompt at once, then token by token.
            let first = prompt.len() / 2;
            let pieces =
                std::iter::once(0..first).chain((first..prompt.len()).map(|at| at..at + 1));
            for piece in pieces {
                let (from, count) = (piece.start, piece.len());
                let numbers = |of: &dyn Fn(usize) -> i32| {
                    case.integers(piece.clone().map(of).collect(), [1, count])
                };
                let views = piece
                    .clone()
                    .map(|query| View::from_range(0, query + 1))
                    .collect();
                let turn = rope.at(numbers(&|at| at as i32));
                let context = Context {
                    turn,
                    block_mask: BlockMask::new(views, count),
                };
                let tokens = numbers(&|at| prompt[at] as i32);
                let hidden = case.model.hidden(tokens, &context, Some(&mut cache));
                case.compare(at, from, &case.all_logits(hidden), "with a cache");
            }
        }
    }
}

#[test]
fn the_loss_and_every_gradient_are_those_of_transformers() {
    let device = Device::flex();
    for case in cases().filter(|case| case.name != "mistral3_own") {
        let rows = case.rows();
        let batch = Batch::new(&rows, &device);
        let rope = rope_of(&case.config, &device);
        let (found, losses) = Learner::new(&case.model, &rope).gradients(
            &batch,
            0,
            &|logits: Tensor<2>, range: Range<usize>| {
                let part = batch.part(&range);
                let (gradient, loss) =
                    cross_entropy(logits, part.targets, part.weights, batch.weight);
                (gradient, loss.into_scalar::<f32>())
            },
        );
        close(
            &[losses.iter().sum()],
            &[case.reference.loss],
            &format!("`{}`: loss", case.name),
        );
        let expected = case.reference.tensors.iter();
        let expected =
            expected.filter_map(|(name, tensor)| Some((name.strip_prefix("gradient.")?, tensor)));
        assert_eq!(
            found.len(),
            expected.clone().count(),
            "`{}`: gradients",
            case.name
        );
        for (name, tensor) in expected {
            let found: Vec<f32> = found[name].clone().into_data().try_to_vec().expect("f32");
            close(
                &found,
                &tensor.values,
                &format!("`{}`: gradient of `{name}`", case.name),
            );
        }
    }
}

#[test]
fn a_model_that_was_read_and_saved_is_read_to_the_same() {
    let folder = Folder::new("parity");
    for case in cases() {
        let path = folder.join(case.name);
        fs::create_dir(&path).expect("a folder");
        // Small enough for several shards.
        write_model(&path, &case.model, DiskDtype::Float32, 30_000).expect("writes");
        fs::write(path.join("config.json"), case.config.to_json().to_string()).expect("writes");
        let (config, model) = load(&path);
        assert_eq!(config, case.config, "`{}`", case.name);
        assert_eq!(to_host(&model), to_host(&case.model), "`{}`", case.name);
    }
}

#[test]
fn a_real_model_has_the_logits_of_transformers_and_is_saved_for_it() {
    let variables = ["TRAIN_PARITY_MODEL", "TRAIN_PARITY_REFERENCE"].map(std::env::var_os);
    let [Some(model), Some(folder)] = variables else {
        eprintln!(
            "SKIPPED, not tested: the logits of a real model; `scripts/model-parity FOLDER` tests them"
        );
        return;
    };
    let loaded = checkpoint::load(Path::new(&model), &Device::flex()).expect("loads");
    let snapshot = Snapshot::from_loaded(&loaded, DiskDtype::Float32);
    checkpoint::save_model(&Path::new(&folder).join("saved"), &snapshot).expect("saves");
    let reference = reference(Path::new(&folder));
    let case = Case {
        name: "real",
        config: loaded.config,
        model: loaded.model,
        reference,
    };
    for (at, prompt) in case.reference.prompts.iter().enumerate() {
        let worst = case.compare(
            at,
            0,
            &case.logits(std::slice::from_ref(prompt), false),
            "alone",
        );
        eprintln!(
            "prompt {at}: off by {worst:.2e}, where {:.2e} is allowed",
            case.reference.tolerance
        );
    }
}

//! Tokens per second of decoding alone, prompts left out: one row, and sixteen together.
//!
//! `cargo bench --bench decode` takes random weights in the shape of SmolLM2-135M, so that no file is needed;
//! `TRAIN_MODEL=DIR cargo bench --bench decode` takes a model folder as well. The counter of each line is tokens.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use data::Tokenizer;
use divan::Bencher;
use divan::counter::ItemsCount;
use model::generate::{Engine, EngineRequest};
use model::weights::Precision;
use model::{CausalLm, ModelConfig};
use rollout::policy::Sampling;
use train::checkpoint::{self, Loaded};

/// As the program allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PROMPT: u32 = 32;
const STEPS: usize = 32;

fn main() {
    divan::main();
}

/// The shape of SmolLM2-135M; no token ends a turn, so that every round decodes the same number of tokens.
fn shape() -> ModelConfig {
    ModelConfig {
        eos_token_id: u32::MAX.into(),
        ..ModelConfig::smollm2_135m()
    }
}

#[divan::bench(args = [1, 16], sample_count = 5, sample_size = 1)]
fn random_135m(bencher: Bencher, rows: usize) {
    let config = shape();
    let specials = data::tokenizer::SPECIALS;
    let tokenizer =
        Tokenizer::train(["a"].into_iter(), 256 + specials.len(), &specials).expect("bytes alone");
    let model = CausalLm::new(&config, 1, &Device::flex());
    decode(bencher, rows, &config, &tokenizer, &model);
}

#[divan::bench(args = [1, 16], sample_count = 5, sample_size = 1)]
fn folder(bencher: Bencher, rows: usize) {
    let Some(folder) = std::env::var_os("TRAIN_MODEL") else {
        eprintln!("SKIPPED: no `TRAIN_MODEL` names a model folder");
        return;
    };
    let Loaded {
        mut config,
        model,
        tokenizer,
        ..
    } = checkpoint::load_as(&PathBuf::from(folder), Precision::Stored, &Device::flex())
        .expect("a model folder");
    config.eos_token_id = u32::MAX.into();
    decode(bencher, rows, &config, &tokenizer, &model);
}

fn decode(
    bencher: Bencher,
    rows: usize,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    model: &CausalLm,
) {
    let sampling = Arc::new(Sampling::greedy(2 * STEPS));
    let begun = || {
        let mut engine = Engine::new(
            model.clone(),
            config,
            tokenizer,
            rows,
            4096,
            &Device::flex(),
        );
        for row in 0..rows as u32 {
            let prompt = (0..PROMPT)
                .map(|at| 5 + (row * 31 + at * 7) % 250)
                .collect();
            engine
                .submit(EngineRequest {
                    prompt,
                    seeds: vec![0],
                    sampling: sampling.clone(),
                    control: Arc::default(),
                })
                .expect("asks");
        }
        while engine.live() < rows {
            engine.step();
        }
        engine
    };
    bencher
        .counter(ItemsCount::new(rows * STEPS))
        .with_inputs(begun)
        .bench_local_values(|mut engine| {
            (0..STEPS).for_each(|_| {
                engine.step();
            });
            engine
        });
}

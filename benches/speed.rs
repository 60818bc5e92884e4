//! Tokens per second of training and of decoding, for the base model of the quickstart on this CPU.
//!
//! `cargo bench --bench speed`. Prints the median of five rounds, the best and the worst; these machines are noisy.

use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use data::{Message, Role, Sample};
use rollout::policy::{Policy, Request, Sampling};
use train::batch::{Batch, Row, micro_batches};
use train::checkpoint::{self, Loaded};
use train::generate::Generator;
use train::loss::cross_entropy::cross_entropy;
use train::model::decoder::rope_of;
use train::optim::{AdamW, OptimizerConfig, gradients, over_micro_batches};

const ROUNDS: usize = 5;

fn main() {
    let device = Device::flex();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/base");
    let loaded = checkpoint::load(&base, &device).expect("the base model is in the repository");
    report("train, 32 rows of 256 tokens, loss on the last 16", training(&loaded, &device));
    report("train, 32 rows of 256 tokens, loss on all", training_all(&loaded, &device));
    report("decode, 128 rows behind prompts of 200 tokens", decoding(&loaded, &device));
}

fn report(what: &str, mut rates: Vec<f64>) {
    rates.sort_by(f64::total_cmp);
    println!("{what}: {:.0} tokens/s ({:.0} to {:.0})", rates[ROUNDS / 2], rates[0], rates[ROUNDS - 1]);
}

fn training(loaded: &Loaded, device: &Device) -> Vec<f64> {
    rounds(loaded, device, 240)
}

fn training_all(loaded: &Loaded, device: &Device) -> Vec<f64> {
    rounds(loaded, device, 0)
}

/// Whole optimizer steps; tokens from `from` on are trained.
fn rounds(loaded: &Loaded, device: &Device, from: usize) -> Vec<f64> {
    let row = |seed: u64| {
        let tokens = (0..257).map(|at| data::draw::below(seed, at, loaded.config.vocab_size) as u32).collect();
        let mask = (0..257).map(|at| at > from).collect();
        Row::from_sample(&Sample::new(tokens, mask, "random").expect("a sample"), 0.0)
    };
    let rows: Vec<Row> = (0..32).map(row).collect();
    let weight: f32 = rows.iter().map(|row| row.targets.len() as f32).sum();
    let rope = rope_of(&loaded.config, device);
    let mut optimizer = AdamW::new(OptimizerConfig::default());
    let mut model = loaded.model.clone();
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let clock = Instant::now();
        let batches = micro_batches(&rows, 2048);
        let (sum, tokens) = over_micro_batches(&model, &batches, |model, rows| {
            let batch = Batch::new(rows, device);
            let logits = batch.logits(model, &rope);
            let loss = cross_entropy(logits, batch.targets.autodiff(), batch.weights.autodiff(), weight);
            (gradients(model, loss.backward()), batch.tokens)
        });
        model = optimizer.step(model, sum, 1e-5).0;
        rates.push(tokens.iter().sum::<usize>() as f64 / clock.elapsed().as_secs_f64());
    }
    rates
}

fn decoding(loaded: &Loaded, device: &Device) -> Vec<f64> {
    let Loaded { config, model, tokenizer, template, .. } = loaded;
    let mut policy = Generator::new(model.clone(), config, tokenizer, template, 128, device);
    let text = "def total(prices):\n    return sum(prices)\n".repeat(14);
    let sampling = Sampling { max_new_tokens: 32, ..Sampling::default() };
    let mut rates = Vec::new();
    for round in 0..ROUNDS as u64 {
        let request = |seed: u64| Request { messages: vec![Message::new(Role::User, &text)], attempts: 8, seed };
        let requests: Vec<Request> = (0..16).map(|at| request(round * 16 + at)).collect();
        let (clock, before) = (Instant::now(), policy.sampled());
        policy.complete(&requests, &sampling).expect("the prompt fits");
        rates.push((policy.sampled() - before) as f64 / clock.elapsed().as_secs_f64());
    }
    rates
}

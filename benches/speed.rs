//! Tokens per second of training and of decoding, for the base model of the quickstart on this CPU.
//!
//! `cargo bench --bench speed`. The counter of each line is tokens; these machines are noisy, so look at the median.

use std::path::Path;

use burn::tensor::Device;
use data::{Message, Role, Sample};
use divan::Bencher;
use divan::counter::ItemsCount;
use rollout::policy::{Policy, Request, Sampling};
use train::batch::{Batch, Row, micro_batches};
use train::checkpoint::{self, Loaded};
use train::generate::Generator;
use train::loss::cross_entropy::cross_entropy;
use train::model::decoder::rope_of;
use train::optim::{AdamW, OptimizerConfig, gradients, over_micro_batches};

/// As the program allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 32;
const ROW_TOKENS: usize = 256;

fn main() {
    divan::main();
}

fn base(device: &Device) -> Loaded {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/base");
    checkpoint::load(&base, device).expect("the base model is in the repository")
}

/// Whole optimizer steps of 32 rows of 256 tokens; the last `trained` tokens of each row are trained.
#[divan::bench(args = [16, 256], sample_count = 7, sample_size = 1)]
fn train_step(bencher: Bencher, trained: usize) {
    let device = Device::flex();
    let loaded = base(&device);
    let row = |seed: u64| {
        let token = |at| data::draw::below(seed, at, loaded.config.vocab_size) as u32;
        let tokens = (0..=ROW_TOKENS as u64).map(token).collect();
        let mask = (0..=ROW_TOKENS).map(|at| at > ROW_TOKENS - trained).collect();
        Row::from_sample(&Sample::new(tokens, mask, "random").expect("a sample"), 0.0)
    };
    let rows: Vec<Row> = (0..ROWS as u64).map(row).collect();
    let weight = (ROWS * trained) as f32;
    let rope = rope_of(&loaded.config, &device);
    let mut optimizer = AdamW::new(OptimizerConfig::default());
    let mut model = loaded.model.clone();
    bencher.counter(ItemsCount::new(ROWS * ROW_TOKENS)).bench_local(|| {
        let batches = micro_batches(&rows, 2048);
        let (sum, _) = over_micro_batches(&model, &batches, |model, rows| {
            let batch = Batch::new(rows, &device);
            let logits = batch.logits(model, &rope);
            let loss = cross_entropy(logits, batch.targets.autodiff(), batch.weights.autodiff(), weight);
            (gradients(model, loss.backward()), batch.tokens)
        });
        model = optimizer.step(model.clone(), sum, 1e-5).0;
    });
}

/// 128 rows behind 16 prompts of about 200 tokens; greedy, so that every round decodes the same tokens.
#[divan::bench(sample_count = 7, sample_size = 1)]
fn decode(bencher: Bencher) {
    let device = Device::flex();
    let Loaded { config, model, tokenizer, template, .. } = base(&device);
    let mut policy = Generator::new(model, &config, &tokenizer, &template, 128, &device);
    let text = "def total(prices):\n    return sum(prices)\n".repeat(14);
    let sampling = Sampling { temperature: 0.0, max_new_tokens: 32, ..Sampling::default() };
    let request = |seed: u64| Request { messages: vec![Message::new(Role::User, &text)], attempts: 8, seed };
    let requests: Vec<Request> = (0..16).map(request).collect();
    policy.complete(&requests, &sampling).expect("the prompt fits");
    let tokens = policy.sampled() as usize;
    bencher.counter(ItemsCount::new(tokens)).bench_local(|| policy.complete(&requests, &sampling).expect("fits"));
}

//! Tokens per second of training and of decoding, for the base model of the quickstart on this CPU.
//!
//! `cargo bench --bench speed`. The counter of each line is tokens; these machines are noisy, so look at the median.

use std::path::Path;

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use data::{Message, Role, Sample};
use divan::Bencher;
use divan::counter::ItemsCount;
use model::decoder::rope_of;
use model::lora::{LoraConfig, with_lora};
use model::{CausalLm, ModelConfig};
use rollout::policy::{Policy, Request, Sampling};
use train::checkpoint::{self, Loaded};
use train::loss::cross_entropy::cross_entropy;
use train::optim::{AdamW, OptimizerConfig, over_micro_batches, workers};
use train::policy::Generator;
use train::trainer::batch::{Batch, Row, micro_batches};
use train::trainer::layerwise::Learner;

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

/// Rows of `count` random tokens each, of which the last `trained` are trained.
fn rows(config: &ModelConfig, rows: usize, count: usize, trained: usize) -> Vec<Row> {
    let row = |seed: u64| {
        let token = |at| data::draw::below(seed, at, config.vocab_size) as u32;
        let tokens = (0..=count as u64).map(token).collect();
        let mask = (0..=count).map(|at| at > count - trained).collect();
        Row::from_sample(&Sample::new(tokens, mask, "random").expect("a sample"), 0.0)
    };
    (0..rows as u64).map(row).collect()
}

/// Whole optimizer steps on `rows` in micro-batches of at most `micro_batch_tokens`.
fn steps(
    bencher: Bencher,
    config: &ModelConfig,
    model: CausalLm,
    rows: &[Row],
    tokens: usize,
    checkpointing: bool,
) {
    let device = Device::flex();
    let weight: f32 = rows
        .iter()
        .flat_map(|row| &row.targets)
        .map(|target| target.weight)
        .sum();
    let rope = rope_of(config, &device);
    let mut optimizer = AdamW::new(OptimizerConfig::default());
    let mut model = Some(model);
    let count = rows.iter().map(|row| row.tokens.len()).sum::<usize>();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let batches = micro_batches(rows, tokens);
        let start = model.take().expect("it comes back from every step");
        let learner = Learner {
            checkpointing,
            ..Learner::new(&start, &rope)
        };
        let (sum, _) = over_micro_batches(&batches, workers(&device), |rows| {
            let batch = Batch::new(rows, &device);
            learner.gradients(&batch, 0, &|logits: Tensor<2>, range: Range<usize>| {
                let part = batch.part(&range);
                cross_entropy(logits, part.targets, part.weights, weight)
            })
        });
        model = Some(optimizer.step(start, sum, 1e-5).0);
    });
}

/// Whole optimizer steps of 32 rows of 256 tokens; the last `trained` tokens of each row are trained.
#[divan::bench(args = [16, 256], sample_count = 7, sample_size = 1)]
fn train_step(bencher: Bencher, trained: usize) {
    let loaded = base(&Device::flex());
    let rows = rows(&loaded.config, ROWS, ROW_TOKENS, trained);
    steps(bencher, &loaded.config, loaded.model, &rows, 2048, false);
}

/// Whole optimizer steps of 4 rows of 512 tokens, all trained, on a model of 135 million random weights.
#[divan::bench(args = ["full", "checkpointing", "lora"], sample_count = 3, sample_size = 1)]
fn sft_step(bencher: Bencher, kind: &str) {
    let device = Device::flex();
    let config = ModelConfig::smollm2_135m();
    let mut model = CausalLm::new(&config, 7, &device);
    if kind == "lora" {
        let lora = LoraConfig {
            rank: 16,
            ..LoraConfig::default()
        };
        model = with_lora(model, &config, &lora, 7, &device);
    }
    let rows = rows(&config, 4, 512, 512);
    steps(
        bencher,
        &config,
        model,
        &rows,
        1024,
        kind == "checkpointing",
    );
}

/// 128 rows behind 16 prompts of about 200 tokens; greedy, so that every round decodes the same tokens.
#[divan::bench(sample_count = 7, sample_size = 1)]
fn decode(bencher: Bencher) {
    let device = Device::flex();
    let Loaded {
        config,
        model,
        tokenizer,
        template,
        ..
    } = base(&device);
    let mut policy = Generator::new(model, &config, &tokenizer, &template, 128, &device);
    let text = "def total(prices):\n    return sum(prices)\n".repeat(14);
    let sampling = Sampling {
        temperature: 0.0,
        max_new_tokens: 32,
        ..Sampling::default()
    };
    let request = |seed: u64| Request {
        messages: vec![Message::new(Role::User, &text)],
        attempts: 8,
        seed,
    };
    let requests: Vec<Request> = (0..16).map(request).collect();
    policy
        .complete(&requests, &sampling)
        .expect("the prompt fits");
    let tokens = policy.sampled() as usize;
    bencher
        .counter(ItemsCount::new(tokens))
        .bench_local(|| policy.complete(&requests, &sampling).expect("fits"));
}

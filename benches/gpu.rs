//! One model on the CPU and on a GPU: whether they agree, then how fast the GPU trains and decodes.
//!
//! `scripts/gpu-check` builds it and runs it; by hand: `cargo bench --features cuda --bench gpu -- --device cuda`.
//! Every line of its output is one measurement in JSON. It fails when the two disagree.

#![allow(clippy::print_stdout, reason = "a benchmark is read at the terminal")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use std::ops::Range;

use burn::tensor::{DType, Device, Tensor};
use clap::Parser;
use data::{Sample, Tokenizer};
use model::decoder::rope_of;
use model::generate::{Engine, EngineRequest, Event};
use model::weights::{from_host, to_host};
use model::{CausalLm, ModelConfig};
use rollout::policy::Sampling;
use serde_json::{Value, json};
use train::checkpoint;
use train::device::{self, DeviceChoice};
use train::loss::cross_entropy::cross_entropy;
use train::optim::{AdamW, NamedGradients, OptimizerConfig, over_micro_batches};
use train::trainer::batch::{Batch, Row, micro_batches};
use train::trainer::layerwise::Learner;

/// As the program allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How far f32 on the two may be apart: logits by this, gradients by this part of their length.
const TOLERANCE: f64 = 1e-3;

#[derive(Parser)]
struct Args {
    /// A model folder, or a `config.json` alone for random weights in that shape.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/shapes/smollm2-135m.json"))]
    model: PathBuf,
    /// What is compared with the CPU.
    #[arg(long, default_value = "cuda")]
    device: DeviceChoice,
    /// Rows and tokens of an optimizer step.
    #[arg(long, num_args = 2, default_values_t = [4, 512])]
    step: Vec<usize>,
    /// Rows that are decoded together.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    decode: Vec<usize>,
    /// Measurements of each kind.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A model on one device.
struct Side {
    device: Device,
    config: ModelConfig,
    model: CausalLm,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let device = args.device.open()?;
    // No token ends a turn, so that every round decodes the same number of tokens.
    let (config, model) = match args.model.is_dir() {
        true => checkpoint::load(&args.model, &Device::flex())
            .map(|loaded| (loaded.config, loaded.model))?,
        false => {
            let config = ModelConfig::from_json(&fs::read(&args.model)?)?;
            let model = CausalLm::new(&config, 7, &Device::flex());
            (config, model)
        }
    };
    let config = ModelConfig {
        eos_token_id: u32::MAX.into(),
        ..config
    };
    let there = from_host(&config, to_host(&model), &device)?;
    let cpu = Side {
        device: Device::flex(),
        config: config.clone(),
        model,
    };
    let gpu = Side {
        device,
        config,
        model: there,
    };
    let say = |what: Value| {
        println!(
            "{}",
            json!({"device": device::name(&gpu.device), "fusion": cfg!(feature = "fusion"), "what": what})
        );
    };

    let agreed = agreement(&cpu, &gpu)?;
    say(agreed.clone());
    for rows in &args.decode {
        say(
            json!({"decode": rows, "dtype": "f32", "tokens_per_s": decode(&gpu, *rows, args.rounds)?}),
        );
    }
    let halved = Side {
        model: gpu.model.clone().cast(DType::BF16),
        device: gpu.device.clone(),
        config: gpu.config.clone(),
    };
    let sides: &[(&str, &Side)] = if gpu.device == Device::flex() {
        &[("f32", &gpu)]
    } else {
        &[("f32", &gpu), ("bf16", &halved)]
    };
    for (dtype, side) in sides {
        for checkpointing in [false, true] {
            let rate = sft(
                side,
                [args.step[0], args.step[1]],
                args.rounds,
                checkpointing,
            );
            say(
                json!({"sft": args.step, "dtype": dtype, "checkpointing": checkpointing, "tokens_per_s": rate}),
            );
        }
    }
    let worst = ["logits", "gradients"].map(|name| agreed[name].as_f64().unwrap_or(f64::INFINITY));
    if worst.iter().any(|far| far.is_nan() || *far > TOLERANCE) {
        bail!(
            "`{}` and the CPU disagree: {agreed}, but {TOLERANCE} is allowed",
            device::name(&gpu.device)
        );
    }
    Ok(())
}

/// Rows of random tokens, all of them trained.
fn rows(config: &ModelConfig, count: usize, tokens: usize) -> Vec<Row> {
    let row = |seed: u64| {
        let token = |at| data::draw::below(seed, at, config.vocab_size) as u32;
        let sample = Sample::new(
            (0..=tokens as u64).map(token).collect(),
            vec![true; tokens + 1],
            "random",
        );
        Row::from_sample(&sample.expect("a sample"), 0.0)
    };
    (0..count as u64).map(row).collect()
}

impl Side {
    fn gradients(&self, rows: &[Row], weight: f32, checkpointing: bool) -> NamedGradients {
        let rope = rope_of(&self.config, &self.device);
        let batch = Batch::new(rows, &self.device);
        let learner = Learner {
            checkpointing,
            ..Learner::new(&self.model, &rope)
        };
        let loss = |logits, range| {
            let part = batch.part(&range);
            cross_entropy(logits, part.targets, part.weights, weight)
        };
        learner.gradients(&batch, 0, &loss).0
    }

    fn logits(&self, rows: &[Row]) -> Result<Vec<f32>> {
        let rope = rope_of(&self.config, &self.device);
        let logits = Batch::new(rows, &self.device).plain_logits(&self.model, &rope);
        Ok(logits.into_data().convert::<f32>().try_to_vec()?)
    }
}

/// How far logits, and gradients as a part of their length, are apart at most.
fn agreement(cpu: &Side, gpu: &Side) -> Result<Value> {
    let rows = rows(&cpu.config, 2, 96);
    let (ours, theirs) = (cpu.logits(&rows)?, gpu.logits(&rows)?);
    let far = ours
        .iter()
        .zip(&theirs)
        .map(|(one, other)| f64::from((one - other).abs()));
    let (worst, mean) = (
        far.clone().fold(0.0, f64::max),
        far.sum::<f64>() / ours.len() as f64,
    );
    let [ours, theirs] = [cpu, gpu].map(|side| side.gradients(&rows, 192.0, false));
    let mut furthest = (0.0, String::new());
    for (name, one) in &ours {
        let values = |tensor: &burn::tensor::Tensor<1>| {
            tensor
                .clone()
                .into_data()
                .convert::<f32>()
                .try_to_vec::<f32>()
        };
        let (one, other) = (values(one)?, values(&theirs[name])?);
        let length = |values: &mut dyn Iterator<Item = f32>| {
            values
                .map(|value| f64::from(value).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let apart = length(&mut one.iter().zip(&other).map(|(one, other)| one - other));
        let part = apart / length(&mut one.iter().copied()).max(1e-12);
        if part > furthest.0 || part.is_nan() {
            furthest = (part, name.clone());
        }
    }
    Ok(
        json!({"logits": worst, "logits_mean": mean, "gradients": furthest.0, "gradients_at": furthest.1}),
    )
}

/// Tokens per second of greedy decoding, prompts left out: the median.
fn decode(side: &Side, rows: usize, rounds: usize) -> Result<f64> {
    const STEPS: usize = 64;
    let specials = data::tokenizer::SPECIALS;
    let tokenizer = Tokenizer::train(["a"].into_iter(), 256 + specials.len(), &specials)?;
    let sampling = Arc::new(Sampling::greedy(2 * STEPS));
    let mut rates = Vec::new();
    // The first round tunes kernels.
    for _ in 0..=rounds {
        let mut engine = Engine::new(
            side.model.clone(),
            &side.config,
            &tokenizer,
            rows,
            4096,
            &side.device,
        );
        for row in 0..rows as u32 {
            let prompt = (0..32).map(|at| 5 + (row * 31 + at * 7) % 250).collect();
            engine.submit(EngineRequest {
                prompt,
                seeds: vec![0],
                sampling: sampling.clone(),
                control: Arc::default(),
            })?;
        }
        while engine.live() < rows {
            engine.step();
        }
        let begun = Instant::now();
        let _: Vec<Vec<Event>> = (0..STEPS).map(|_| engine.step()).collect();
        rates.push((rows * STEPS) as f64 / begun.elapsed().as_secs_f64());
    }
    Ok(median(rates.split_off(1)))
}

/// Tokens per second of whole optimizer steps: the median.
fn sft(side: &Side, [count, tokens]: [usize; 2], rounds: usize, checkpointing: bool) -> f64 {
    let rows = rows(&side.config, count, tokens);
    let rope = rope_of(&side.config, &side.device);
    let mut optimizer = AdamW::new(OptimizerConfig::default());
    let mut model = Some(side.model.clone());
    let mut rates = Vec::new();
    for _ in 0..=rounds {
        let begun = Instant::now();
        let start = model.take().expect("it comes back from every step");
        let learner = Learner {
            checkpointing,
            ..Learner::new(&start, &rope)
        };
        let (sum, _) = over_micro_batches(&micro_batches(&rows, count * tokens), 1, |rows| {
            let batch = Batch::new(rows, &side.device);
            learner.gradients(&batch, 0, &|logits: Tensor<2>, range: Range<usize>| {
                let part = batch.part(&range);
                cross_entropy(logits, part.targets, part.weights, (count * tokens) as f32)
            })
        });
        let (next, norm) = optimizer.step(start, sum, 1e-5);
        // Reading one number waits for everything before it.
        let _: f32 = norm.into_scalar();
        model = Some(next);
        rates.push((count * tokens) as f64 / begun.elapsed().as_secs_f64());
    }
    median(rates.split_off(1))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! The engine on the base model of the repository, or on the one that `TRAIN_MODEL` names.

use std::path::{Path, PathBuf};

use data::{Role, Sample};

use super::*;
use crate::checkpoint::{self, Loaded};
use crate::loss::log_probabilities;
use crate::trainer::batch::{Batch, Row};
use data::Message;
use model::decoder::rope_of;

fn base() -> Loaded {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/base");
    let folder = std::env::var_os("TRAIN_MODEL").map_or(base, PathBuf::from);
    checkpoint::load(&folder, &Device::flex()).expect("a model folder")
}

fn generator(loaded: &Loaded, max_rows: usize) -> Generator<'_> {
    let Loaded {
        config,
        model,
        tokenizer,
        template,
        ..
    } = loaded;
    Generator::new(
        model.clone(),
        config,
        tokenizer,
        template,
        max_rows,
        &Device::flex(),
    )
}

fn request(text: &str, attempts: usize, seed: u64) -> Request {
    Request {
        messages: vec![Message::new(Role::User, text)],
        attempts,
        seed,
    }
}

fn requests() -> Vec<Request> {
    let long = "def total(prices):\n    return sum(prices)\n".repeat(5);
    vec![
        request("def add(a, b):\n    return a - b", 3, 1),
        request(&long, 2, 2),
        request("x", 4, 3),
        request("print('hello')", 1, 4),
    ]
}

fn drawn(max_new_tokens: usize) -> Sampling {
    Sampling {
        max_new_tokens,
        ..Sampling::default()
    }
}

/// Texts, tokens and ends are the same; log-probabilities are within 1e-4.
#[track_caller]
fn assert_same(left: &[Completion], right: &[Completion]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert_eq!(
            (&left.tokens, &left.text, left.stop),
            (&right.tokens, &right.text, right.stop)
        );
        for (a, b) in left.logprobs.iter().zip(&right.logprobs) {
            assert!((a - b).abs() < 1e-4, "{a} is not {b}");
        }
    }
}

#[test]
fn an_answer_depends_on_its_prompt_its_seed_and_the_weights_alone() {
    let loaded = base();
    let together = generator(&loaded, 16)
        .complete(&requests(), &drawn(24))
        .expect("answers");
    // Rows that end make room in the second; the third has one row for all.
    for max_rows in [3, 1] {
        let crowded = generator(&loaded, max_rows)
            .complete(&requests(), &drawn(24))
            .expect("answers");
        together
            .iter()
            .zip(&crowded)
            .for_each(|(left, right)| assert_same(left, right));
    }
    for (request, answers) in requests().into_iter().zip(&together) {
        let alone = generator(&loaded, 16)
            .complete(&[request], &drawn(24))
            .expect("answers");
        assert_same(&alone[0], answers);
    }
    let texts: std::collections::BTreeSet<_> =
        together[2].iter().map(|answer| &answer.tokens).collect();
    assert_eq!(texts.len(), 4, "each attempt has a seed of its own");
}

#[test]
fn a_prompt_computed_in_parts_is_the_prompt_computed_at_once() {
    let loaded = base();
    let first = |prompt_tokens| {
        let Loaded {
            config,
            model,
            tokenizer,
            ..
        } = &loaded;
        let mut engine = Engine::new(
            model.clone(),
            config,
            tokenizer,
            2,
            prompt_tokens,
            &Device::flex(),
        );
        let sampling = Arc::new(Sampling::greedy(12));
        for prompt in [(5..60).collect::<Vec<u32>>(), (100..117).collect()] {
            engine
                .submit(EngineRequest {
                    prompt,
                    seeds: vec![0],
                    sampling: sampling.clone(),
                    control: Arc::default(),
                })
                .expect("asks");
        }
        let mut told = vec![Vec::new(); 2];
        while !engine.is_idle() {
            engine
                .step()
                .into_iter()
                .for_each(|event| told[event.request as usize].push((event.token, event.logprob)));
        }
        told
    };
    let (whole, parts) = (first(2048), first(7));
    for (left, right) in whole.concat().into_iter().zip(parts.concat()) {
        assert_eq!(left.0, right.0);
        assert!((left.1 - right.1).abs() < 1e-4, "{left:?} is not {right:?}");
    }
}

#[test]
fn the_trainer_finds_the_log_probabilities_of_the_sampler() {
    let loaded = base();
    let device = Device::flex();
    let rope = rope_of(&loaded.config, &device);
    let sampling = Sampling {
        top_p: 0.9,
        temperature: 0.8,
        ..drawn(48)
    };
    let answers = generator(&loaded, 8)
        .complete(&requests(), &sampling)
        .expect("answers");
    let (mut gap, mut count) = (0.0, 0);
    for answer in answers.iter().flatten() {
        let tokens = [&answer.prompt[..], &answer.tokens].concat();
        let mask = (0..tokens.len())
            .map(|at| at >= answer.prompt.len())
            .collect();
        let sample = Sample::new(tokens, mask, "sampled").expect("a sample");
        let batch = Batch::new(&[Row::from_sample(&sample, 0.0)], &device);
        let logits = batch.plain_logits(&loaded.model, &rope) / sampling.temperature;
        let found = log_probabilities(logits, batch.targets.clone());
        let found: Vec<f32> = found.into_data().try_to_vec().expect("f32");
        assert_eq!(found.len(), answer.logprobs.len());
        count += found.len();
        gap += found
            .iter()
            .zip(&answer.logprobs)
            .map(|(a, b)| f64::from((a - b).abs()))
            .sum::<f64>();
        // What was cut off makes what is left likelier.
        assert!(
            answer
                .drawn
                .iter()
                .zip(&answer.logprobs)
                .all(|(drawn, whole)| *drawn >= whole - 1e-6)
        );
    }
    let mean = gap / count as f64;
    println!("mean |Δ| of {count} log-probabilities: {mean:.2e}");
    assert!(mean <= 1e-5, "mean |Δ| is {mean}");
}

#[test]
fn the_likeliest_token_alone_is_a_greedy_answer() {
    let loaded = base();
    let one = Sampling {
        top_k: 1,
        ..drawn(16)
    };
    let narrow = generator(&loaded, 8)
        .complete(&requests()[..2], &one)
        .expect("answers");
    let greedy = generator(&loaded, 8)
        .complete(&requests()[..2], &Sampling::greedy(16))
        .expect("answers");
    for (narrow, greedy) in narrow.concat().iter().zip(greedy.concat()) {
        assert_eq!(narrow.tokens, greedy.tokens);
        assert!(narrow.drawn.iter().all(|logprob| logprob.abs() < 1e-6));
    }
}

#[test]
fn a_stop_string_ends_the_text_and_the_tokens_stay_as_sampled() {
    let loaded = base();
    let whole = generator(&loaded, 1)
        .complete(&requests()[1..2], &Sampling::greedy(32))
        .expect("an answer");
    let whole = &whole[0][0];
    let stop: String = whole.text.chars().skip(3).take(4).collect();
    let at = whole.text.find(&stop).expect("a part of it");
    let sampling = Sampling {
        stop: vec![stop],
        ..Sampling::greedy(32)
    };
    let cut = generator(&loaded, 1)
        .complete(&requests()[1..2], &sampling)
        .expect("an answer")
        .remove(0)
        .remove(0);
    assert_eq!(
        (cut.text.as_str(), cut.stop),
        (&whole.text[..at], Stop::StopString)
    );
    assert!(whole.tokens.starts_with(&cut.tokens) && cut.tokens.len() < whole.tokens.len());
}

#[test]
fn a_prompt_that_leaves_no_room_is_refused_with_its_length_before_any_work() {
    let loaded = base();
    let context = loaded.config.max_position_embeddings;
    let mut generator = generator(&loaded, 4);
    let tokens = requests()[0]
        .prompt(&loaded.template, &loaded.tokenizer)
        .expect("a prompt")
        .len();
    let refused = generator
        .complete(&requests()[..1], &drawn(context - tokens + 1))
        .expect_err("too long")
        .to_string();
    for words in [
        format!("{tokens} tokens"),
        format!("holds {context}"),
        format!("hint: ask for {} tokens at most", context - tokens),
    ] {
        assert!(refused.contains(&words), "`{words}` is not in: {refused}");
    }
    assert_eq!(generator.sampled(), 0);
    assert!(
        generator.complete(&requests()[..1], &drawn(1)).is_ok(),
        "a refused call leaves nothing behind"
    );
}

#[test]
fn a_cancelled_job_makes_room_for_who_waits() {
    let loaded = base();
    let Loaded {
        config,
        model,
        tokenizer,
        ..
    } = &loaded;
    let mut engine = Engine::new(model.clone(), config, tokenizer, 2, 64, &Device::flex());
    let ask = |seeds: Vec<u64>| EngineRequest {
        prompt: vec![40, 41, 42],
        seeds,
        sampling: Arc::new(Sampling::greedy(400)),
        control: Arc::default(),
    };
    let first = engine.submit(ask(vec![1, 2, 3])).expect("asks");
    let second = engine.submit(ask(vec![4])).expect("asks");
    assert!(engine.step().iter().all(|event| event.request == first));
    engine.cancel(first);
    let told: Vec<u64> = (0..3)
        .flat_map(|_| engine.step())
        .map(|event| event.request)
        .collect();
    assert!(!told.is_empty() && told.iter().all(|&job| job == second));
    engine.cancel(second);
    engine.step();
    assert!(engine.is_idle());
}

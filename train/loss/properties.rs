//! What holds for every loss: finite whatever goes in, slopes as differences say, and no trace of how a batch was cut.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::aggregate::{Aggregation, Origin, token_weights};
use super::cispo::CispoConfig;
use super::clipped::ClippedConfig;
use super::correction::{Correction, effective_sample_size, weights};
use super::divergence::{Divergence, divergence};
use super::dppo::DppoConfig;
use super::gspo::GspoConfig;
use super::kl::{KlEstimator, MAX_KL, kl};
use super::policy::{Columns, PolicyLoss};
use super::ratio::{log_ratio, masked_mean};

fn floats(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), [values.len()]),
        &Device::flex(),
    )
}

fn vector(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32")
}

fn close(got: &[f32], want: &[f32], within: f32) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        let bound = within * want.abs().max(1.0);
        assert!((got - want).abs() <= bound, "{got} is not {want}");
    }
}

/// A token: log-probability now and when sampled, advantage, sequence.
type Token = (f32, f32, f32, usize);

fn losses() -> Vec<Box<dyn PolicyLoss>> {
    let wide = GspoConfig {
        low: 0.2,
        high: 0.3,
    };
    vec![
        Box::new(ClippedConfig::default()),
        Box::new(CispoConfig::default()),
        Box::new(DppoConfig::default()),
        Box::new(wide),
    ]
}

/// The sum of a loss over tokens, and its slopes.
fn sum_and_slopes(loss: &dyn PolicyLoss, tokens: &[Token]) -> (f64, Vec<f32>) {
    let of = |pick: fn(&Token) -> f32| floats(&tokens.iter().map(pick).collect::<Vec<_>>());
    let sequence: Vec<i32> = tokens.iter().map(|token| token.3 as i32).collect();
    let sequences = tokens.iter().map(|token| token.3 + 1).max().unwrap_or(0);
    let data = TensorData::new(sequence, [tokens.len()]);
    let columns = Columns {
        logp_old: of(|token| token.1).autodiff(),
        advantages: of(|token| token.2).autodiff(),
        sequence: Tensor::<1, Int>::from_data(data, &Device::flex()).autodiff(),
        sequences,
    };
    let logp = of(|token| token.0).autodiff().require_grad();
    let (sum, _) = loss.sum(logp.clone(), &columns);
    let slopes = logp.grad_remove(&mut sum.backward()).expect("a gradient");
    (f64::from(sum.inner().into_scalar::<f32>()), vector(slopes))
}

/// 12 sequences of 1 to 7 tokens, some inside of the trust region and some outside.
fn batch() -> Vec<Token> {
    let mut state = 12345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let mut tokens = Vec::new();
    for sequence in 0..12 {
        let advantage = 2.0 * next() - 1.0;
        for _ in 0..1 + sequence % 7 {
            let old = -3.0 * next() - 0.01;
            tokens.push((old + 0.8 * (next() - 0.5), old, advantage, sequence));
        }
    }
    tokens
}

#[test]
fn no_log_probability_makes_a_loss_or_a_slope_infinite() {
    let lowest = f32::NEG_INFINITY;
    let logps = [
        (0.0, lowest),
        (lowest, 0.0),
        (lowest, lowest),
        (0.0, -89.0),
        (-400.0, 0.0),
    ];
    for loss in losses() {
        for advantage in [1.0, -1.0, 0.0] {
            let tokens: Vec<Token> = logps
                .iter()
                .enumerate()
                .map(|(at, (now, old))| (*now, *old, advantage, at))
                .collect();
            let (sum, slopes) = sum_and_slopes(loss.as_ref(), &tokens);
            assert!(sum.is_finite(), "{sum}");
            assert!(slopes.iter().all(|slope| slope.is_finite()), "{slopes:?}");
        }
    }
}

#[test]
fn slopes_are_what_finite_differences_say() {
    // CISPO stops the gradient of its weight on purpose, so its value says nothing about its slope.
    let differentiable = losses().into_iter().enumerate().filter(|(at, _)| *at != 1);
    for (_, loss) in differentiable {
        let tokens: Vec<Token> = vec![
            (-1.0, -1.1, 0.7, 0),
            (-0.5, -0.45, 0.7, 0),
            (-2.0, -2.05, -1.3, 1),
        ];
        let (_, slopes) = sum_and_slopes(loss.as_ref(), &tokens);
        let step = 1e-2;
        for at in 0..tokens.len() {
            let moved = |by: f32| {
                let mut tokens = tokens.clone();
                tokens[at].0 += by;
                sum_and_slopes(loss.as_ref(), &tokens).0
            };
            let difference = ((moved(step) - moved(-step)) / f64::from(2.0 * step)) as f32;
            close(&[slopes[at]], &[difference], 1e-3);
        }
    }
}

#[test]
fn no_loss_depends_on_how_sequences_are_cut_into_micro_batches_or_on_their_order() {
    let tokens = batch();
    for loss in losses() {
        let (whole, slopes) = sum_and_slopes(loss.as_ref(), &tokens);
        for size in [1, 2, 5, 12] {
            let (mut sum, mut cut) = (0.0, vec![0.0; tokens.len()]);
            // The last sequences come first.
            for first in (0..12).step_by(size).rev() {
                let places: Vec<usize> = (0..tokens.len())
                    .filter(|&at| (first..first + size).contains(&tokens[at].3))
                    .rev()
                    .collect();
                let part: Vec<Token> = places
                    .iter()
                    .map(|&at| {
                        (
                            tokens[at].0,
                            tokens[at].1,
                            tokens[at].2,
                            tokens[at].3 - first,
                        )
                    })
                    .collect();
                let (part_sum, part_slopes) = sum_and_slopes(loss.as_ref(), &part);
                sum += part_sum;
                places
                    .iter()
                    .zip(part_slopes)
                    .for_each(|(&at, slope)| cut[at] = slope);
            }
            let mean = |sum: f64| (sum / tokens.len() as f64) as f32;
            close(&[mean(sum)], &[mean(whole)], 1e-6);
            close(&cut, &slopes, 1e-6);
        }
    }
}

#[test]
fn every_aggregation_weighs_what_its_name_says() {
    let at = |sequence, prompt| Origin { sequence, prompt };
    // Prompt 0 has answers of 1 and 3 tokens, prompt 1 one of 2.
    let tokens = [at(0, 0), at(1, 0), at(1, 0), at(1, 0), at(2, 1), at(2, 1)];
    let of = |aggregation| -> Vec<f32> {
        let weights = token_weights(aggregation, &tokens);
        weights.into_iter().map(|weight| weight as f32).collect()
    };
    let (sixth, ninth, eighth) = (1.0 / 6.0, 1.0 / 9.0, 0.125);
    close(&of(Aggregation::TokenMean), &[sixth; 6], 1e-7);
    close(
        &of(Aggregation::SequenceMean),
        &[1.0 / 3.0, ninth, ninth, ninth, sixth, sixth],
        1e-7,
    );
    close(
        &of(Aggregation::PromptMean),
        &[eighth, eighth, eighth, eighth, 0.25, 0.25],
        1e-7,
    );
    let constant = Aggregation::SumOver { constant: 10.0 };
    close(&of(constant), &[1.0 / 30.0; 6], 1e-7);
    assert!(token_weights(Aggregation::TokenMean, &[]).is_empty());
}

#[test]
fn a_fully_masked_batch_has_loss_0_and_gradient_0() {
    let values = floats(&[1.0, f32::NAN]).autodiff().require_grad();
    let mean = masked_mean(values.clone(), floats(&[0.0, 0.0]).autodiff());
    let slopes = values
        .grad_remove(&mut mean.backward())
        .expect("a gradient");
    assert_eq!(mean.inner().into_scalar::<f32>(), 0.0);
    assert_eq!(vector(slopes), [0.0, 0.0]);
}

#[test]
fn the_estimates_of_kl_are_those_of_schulman_and_are_clamped() {
    let of = |estimator| {
        vector(kl(
            estimator,
            floats(&[-1.0, -1.0, 0.0]),
            floats(&[-1.5, -1.0, -90.0]),
        ))
    };
    close(&of(KlEstimator::K1), &[0.5, 0.0, MAX_KL], 1e-6);
    close(&of(KlEstimator::K2), &[0.125, 0.0, MAX_KL], 1e-6);
    // e^−0.5 − 1 + 0.5
    close(&of(KlEstimator::K3), &[0.106_530_66, 0.0, MAX_KL], 1e-6);
}

#[test]
fn a_correction_bounds_drops_or_drops_whole_sequences() {
    let ratios = log_ratio(
        floats(&[0.0, 4f32.ln(), 0.1f32.ln(), 0.0]),
        floats(&[0.0; 4]),
    );
    let sequence = || Tensor::<1, Int>::from_ints([0, 0, 1, 1], &Device::flex());
    let of = |correction| vector(weights(correction, ratios.clone(), sequence(), 2));
    close(
        &of(Correction::Tis { cap: 2.0 }),
        &[1.0, 2.0, 0.1, 1.0],
        1e-6,
    );
    let pop = Correction::IcePop {
        low: 0.5,
        high: 5.0,
    };
    close(&of(pop), &[1.0, 4.0, 0.0, 1.0], 1e-6);
    // Geometric means 2 and 0.316.
    let mask = Correction::SequenceMask {
        low: 0.5,
        high: 5.0,
    };
    close(&of(mask), &[1.0, 1.0, 0.0, 0.0], 1e-6);
    // (1 + 4 + 0 + 1)² / (4 · 18)
    assert_eq!(effective_sample_size(&[1.0, 4.0, 0.0, 1.0]), 0.5);
    assert_eq!(effective_sample_size(&[0.0, 0.0]), 0.0);
}

#[test]
fn divergences_of_two_coins_are_those_by_hand() {
    // Student (1/2, 1/2), teacher (3/4, 1/4).
    let logits = |p: f32| Tensor::<2>::from_floats([[p.ln(), (1.0 - p).ln()]], &Device::flex());
    let of = |which| vector(divergence(which, logits(0.5), logits(0.75)));
    close(&of(Divergence::Forward), &[0.130_812_04], 1e-6);
    close(&of(Divergence::Reverse), &[0.143_841_04], 1e-6);
    close(
        &of(Divergence::JensenShannon { beta: 0.5 }),
        &[0.033_822_1],
        1e-5,
    );
    let certain = Tensor::<2>::from_floats([[0.0, f32::NEG_INFINITY]], &Device::flex());
    let far = divergence(Divergence::Reverse, logits(0.5), certain);
    assert!(vector(far)[0].is_finite());
}

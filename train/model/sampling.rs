//! Logits to a token.
//!
//! In: the logits of the next token, and how to draw. Out: a token, and how likely it was. The order of the cuts is
//! that of `transformers`: repetition penalty, temperature, top-k, top-p, min-p.
//! Example: of the probabilities 1/4, 1/2, 1/4 a nucleus of 0.4 holds the second alone.

use data::sampling::Sampling;

use crate::kernel::exp;

/// A drawn token and how likely it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// The token.
    pub token: u32,
    /// `ln p` by the model at this temperature (1 when greedy), over the whole vocabulary: what a trainer recomputes.
    pub logprob: f32,
    /// `ln p` in the distribution it was drawn from.
    pub drawn: f32,
}

/// Draws a token.
///
/// `seen` are the tokens of the prompt and of the answer so far; only the repetition penalty looks at them. `uniform`
/// is a number in [0, 1); with temperature 0 it is not used, and the log-probabilities are those at temperature 1.
///
/// # Panics
///
/// When `logits` is empty.
pub fn draw(logits: &[f32], sampling: &Sampling, seen: &[u32], uniform: f64) -> Drawn {
    draw_shaped(logits, None, sampling, seen, uniform)
}

/// The same from the logits `shaped`, where there are any: penalties, biases and grammars have changed them. What the
/// model says of the token is told by `logits`.
///
/// # Panics
///
/// As [`draw`].
pub fn draw_shaped(
    logits: &[f32],
    shaped: Option<&[f32]>,
    sampling: &Sampling,
    seen: &[u32],
    uniform: f64,
) -> Drawn {
    let temperature = if sampling.is_greedy() {
        1.0
    } else {
        sampling.temperature
    };
    let model = Weights::new(logits, temperature);
    if sampling.is_whole() && shaped.is_none() {
        let token = if sampling.is_greedy() {
            model.best
        } else {
            model.nth(uniform)
        };
        let logprob = model.logprob(logits, temperature, token);
        return Drawn {
            token: token as u32,
            logprob,
            drawn: logprob,
        };
    }
    let penalized = penalize(shaped.unwrap_or(logits), sampling.repetition_penalty, seen);
    let weights = Weights::new(&penalized, temperature);
    let (token, drawn) = if sampling.is_greedy() {
        (
            weights.best,
            weights.logprob(&penalized, temperature, weights.best),
        )
    } else if sampling.is_whole() {
        // A weight of 0 is that of a token that must not be drawn.
        let possible = weights
            .values
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, weight)| *weight > 0.0);
        let token = nth(possible, uniform * weights.total).unwrap_or(weights.best);
        (token, weights.logprob(&penalized, temperature, token))
    } else {
        let kept = weights.cut(sampling);
        let total: f64 = kept
            .iter()
            .map(|&token| f64::from(weights.values[token as usize]))
            .sum();
        let items = kept
            .iter()
            .map(|&token| (token as usize, weights.values[token as usize]));
        let token = nth(items, uniform * total).unwrap_or(weights.best);
        (
            token,
            ((f64::from(penalized[token] - weights.most) / f64::from(temperature)) - total.ln())
                as f32,
        )
    };
    Drawn {
        token: token as u32,
        logprob: model.logprob(logits, temperature, token),
        drawn,
    }
}

/// The `count` likeliest tokens by the model at this temperature (1 when greedy), the likeliest first, with `ln p`.
///
/// # Panics
///
/// As [`draw`].
pub fn likeliest(logits: &[f32], sampling: &Sampling, count: usize) -> Vec<(u32, f32)> {
    let temperature = if sampling.is_greedy() {
        1.0
    } else {
        sampling.temperature
    };
    let weights = Weights::new(logits, temperature);
    let mut order = weights.cut(&Sampling {
        top_k: count,
        ..Sampling::default()
    });
    order.truncate(count);
    order
        .into_iter()
        .map(|token| (token, weights.logprob(logits, temperature, token as usize)))
        .collect()
}

/// The logits after the repetition penalty: each token of `seen` counts once, however often it stands there.
fn penalize(logits: &[f32], penalty: f32, seen: &[u32]) -> Vec<f32> {
    let mut penalized = logits.to_vec();
    if penalty != 1.0 {
        for &token in seen {
            if let Some(&logit) = logits.get(token as usize) {
                penalized[token as usize] = if logit > 0.0 {
                    logit / penalty
                } else {
                    logit * penalty
                };
            }
        }
    }
    penalized
}

/// `e^((logit − most) / temperature)` of every token: the likeliest has 1.
struct Weights {
    values: Vec<f32>,
    total: f64,
    best: usize,
    most: f32,
}

impl Weights {
    fn new(logits: &[f32], temperature: f32) -> Self {
        assert!(!logits.is_empty(), "a vocabulary has tokens");
        let mut values = vec![0f32; logits.len()];
        let (mut most, mut total) = (f32::NEG_INFINITY, 0f64);
        // Tens of thousands of logits for every token of every row: worth the widest registers there are.
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                most = largest(logits);
                for (value, &logit) in values.iter_mut().zip(logits) {
                    *value = exp((logit - most) / temperature);
                }
                // `exp` knows no NaN; a broken model must not pass for one that is sure.
                total = if sum(logits).is_nan() {
                    f64::NAN
                } else {
                    sum(&values)
                };
            },
        );
        let best = logits.iter().position(|&logit| logit == most).unwrap_or(0);
        Weights {
            values,
            total,
            best,
            most,
        }
    }

    fn logprob(&self, logits: &[f32], temperature: f32, token: usize) -> f32 {
        (f64::from(logits[token] - self.most) / f64::from(temperature) - self.total.ln()) as f32
    }

    /// The token at which the running sum of probabilities passes `uniform`.
    fn nth(&self, uniform: f64) -> usize {
        nth(
            self.values.iter().copied().enumerate(),
            uniform * self.total,
        )
        .unwrap_or(self.best)
    }

    /// The tokens that top-k, top-p and min-p leave, the likeliest first.
    fn cut(&self, sampling: &Sampling) -> Vec<u32> {
        let likelier = |a: &u32, b: &u32| {
            let (of_a, of_b) = (self.values[*a as usize], self.values[*b as usize]);
            of_b.total_cmp(&of_a).then(a.cmp(b))
        };
        let mut kept: Vec<u32> = (0..self.values.len() as u32).collect();
        if sampling.top_k > 0 && sampling.top_k < kept.len() {
            kept.select_nth_unstable_by(sampling.top_k - 1, likelier);
            kept.truncate(sampling.top_k);
        }
        if sampling.top_p < 1.0 {
            self.keep_nucleus(&mut kept, f64::from(sampling.top_p), likelier);
        }
        // A weight of 0 is that of a token that must not be drawn.
        let possible = |weight: f32| weight >= sampling.min_p && weight > 0.0;
        kept.retain(|&token| possible(self.values[token as usize]));
        kept.sort_unstable_by(likelier);
        kept
    }

    /// The likeliest tokens that hold `share` of the probability of `kept`. Only as many are sorted as are needed.
    fn keep_nucleus(
        &self,
        kept: &mut Vec<u32>,
        share: f64,
        likelier: impl Fn(&u32, &u32) -> std::cmp::Ordering,
    ) {
        let weight = |token: u32| f64::from(self.values[token as usize]);
        let wanted = share * kept.iter().map(|&token| weight(token)).sum::<f64>();
        let (mut sum, mut sorted, mut step) = (0.0, 0, 64);
        while sorted < kept.len() {
            let rest = &mut kept[sorted..];
            let count = step.min(rest.len());
            if count < rest.len() {
                rest.select_nth_unstable_by(count - 1, &likelier);
            }
            rest[..count].sort_unstable_by(&likelier);
            for &token in &rest[..count] {
                sum += weight(token);
                sorted += 1;
                if sum >= wanted {
                    kept.truncate(sorted);
                    return;
                }
            }
            step *= 4;
        }
    }
}

/// The largest number, in sixteen lanes.
#[inline(always)]
fn largest(numbers: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = numbers.chunks_exact(16);
    let rest = chunks
        .remainder()
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, larger);
    for chunk in chunks {
        for (lane, &number) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, number);
        }
    }
    lanes.into_iter().fold(rest, larger)
}

/// The sum, in sixteen lanes.
#[inline(always)]
fn sum(numbers: &[f32]) -> f64 {
    let mut lanes = [0f64; 16];
    let chunks = numbers.chunks_exact(16);
    let rest: f64 = chunks.remainder().iter().copied().map(f64::from).sum();
    for chunk in chunks {
        for (lane, &number) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(number);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The first item at which the running sum of weights passes `mark`.
fn nth(items: impl Iterator<Item = (usize, f32)>, mark: f64) -> Option<usize> {
    let mut sum = 0.0;
    let mut last = None;
    for (item, weight) in items {
        sum += f64::from(weight);
        last = Some(item);
        if sum > mark {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 3] = [0.0, std::f32::consts::LN_2, 0.0];

    fn drawn(sampling: Sampling, seen: &[u32], uniform: f64) -> Drawn {
        draw(&LOGITS, &sampling, seen, uniform)
    }

    #[track_caller]
    fn assert_close(got: f32, want: f32) {
        assert!((got - want).abs() < 1e-6, "{got} is not {want}");
    }

    #[test]
    fn greedy_takes_the_likeliest_and_tells_its_probability() {
        let drawn = drawn(Sampling::greedy(8), &[], 0.99);
        assert_eq!(drawn.token, 1);
        assert_close(drawn.logprob, 0.5f32.ln());
    }

    #[test]
    fn a_uniform_number_picks_by_probability() {
        let tokens: Vec<u32> = [0.1, 0.3, 0.7, 0.9]
            .iter()
            .map(|&uniform| drawn(Sampling::default(), &[], uniform).token)
            .collect();
        assert_eq!(tokens, [0, 1, 1, 2]);
    }

    #[test]
    fn a_small_nucleus_holds_only_the_likeliest() {
        let drawn = drawn(
            Sampling {
                top_p: 0.4,
                ..Sampling::default()
            },
            &[],
            0.999,
        );
        assert_eq!((drawn.token, drawn.drawn), (1, 0.0));
        assert_close(drawn.logprob, 0.5f32.ln());
    }

    #[test]
    fn top_k_keeps_so_many_and_the_first_of_equals() {
        let two = Sampling {
            top_k: 2,
            ..Sampling::default()
        };
        let tokens: Vec<u32> = [0.0, 0.6, 0.7, 0.999]
            .iter()
            .map(|&uniform| drawn(two.clone(), &[], uniform).token)
            .collect();
        assert_eq!(tokens, [1, 1, 0, 0]);
        assert_close(drawn(two, &[], 0.9).drawn, (1.0f32 / 3.0).ln());
    }

    #[test]
    fn min_p_drops_what_is_much_less_likely_than_the_likeliest() {
        let keeps = |min_p| {
            drawn(
                Sampling {
                    min_p,
                    ..Sampling::default()
                },
                &[],
                0.999,
            )
            .token
        };
        assert_eq!((keeps(0.49), keeps(0.51)), (2, 1));
    }

    #[test]
    fn top_p_shares_what_top_k_left() {
        // Of 1/2 and 1/4 the first holds two thirds.
        let narrow = |top_p| Sampling {
            top_k: 2,
            top_p,
            ..Sampling::default()
        };
        assert_eq!(drawn(narrow(0.66), &[], 0.999).token, 1);
        assert_eq!(drawn(narrow(0.67), &[], 0.999).token, 0);
    }

    #[test]
    fn the_penalty_weighs_down_what_was_seen_once_however_often() {
        let penalty = Sampling {
            temperature: 0.0,
            repetition_penalty: 2.0,
            ..Sampling::default()
        };
        let logits = [-1.0, 1.5, 1.0];
        let token = |seen: &[u32]| draw(&logits, &penalty, seen, 0.0).token;
        assert_eq!(
            (token(&[]), token(&[1]), token(&[1, 1, 1]), token(&[1, 2])),
            (1, 2, 2, 1)
        );
        // A negative logit moves down as well: −1 becomes −2.
        let drawn = draw(&[-1.0, -1.5], &penalty, &[0], 0.0);
        assert_eq!(drawn.token, 1);
        assert_close(drawn.logprob, -(1.0 + 0.5f32.exp()).ln());
    }

    #[test]
    fn a_logit_that_is_no_number_makes_a_log_probability_that_is_none() {
        for sampling in [
            Sampling::default(),
            Sampling::greedy(1),
            Sampling {
                top_k: 2,
                ..Sampling::default()
            },
        ] {
            assert!(
                draw(&[0.0, f32::NAN, 1.0], &sampling, &[], 0.5)
                    .logprob
                    .is_nan()
            );
        }
    }

    #[test]
    fn what_is_drawn_from_shaped_logits_is_told_with_the_models_probability() {
        let shaped = [0.0, -1e30, 1.0];
        for sampling in [
            Sampling::greedy(1),
            Sampling::default(),
            Sampling {
                top_p: 0.5,
                ..Sampling::default()
            },
        ] {
            let drawn = draw_shaped(&LOGITS, Some(&shaped), &sampling, &[], 0.5);
            assert_eq!(drawn.token, 2);
            assert_close(drawn.logprob, 0.25f32.ln());
        }
        // Of e⁰ and e¹ the first has 0.269.
        assert_eq!(
            draw_shaped(&LOGITS, Some(&shaped), &Sampling::default(), &[], 0.26).token,
            0
        );
        let only = [-1e30, 0.0, -1e30];
        let last = draw_shaped(
            &LOGITS,
            Some(&only),
            &Sampling::default(),
            &[],
            1.0 - f64::EPSILON / 2.0,
        );
        assert_eq!(
            (last.token, last.drawn),
            (1, 0.0),
            "no token that must not be drawn ever is"
        );
    }

    #[test]
    fn the_likeliest_tokens_are_told_in_their_order() {
        let told = likeliest(&LOGITS, &Sampling::default(), 2);
        assert_eq!(
            told.iter().map(|(token, _)| *token).collect::<Vec<_>>(),
            [1, 0]
        );
        assert_close(told[0].1, 0.5f32.ln());
        assert!(
            likeliest(&LOGITS, &Sampling::greedy(1), 9).len() == 3
                && likeliest(&LOGITS, &Sampling::greedy(1), 0).is_empty()
        );
    }

    #[test]
    fn a_nucleus_of_a_large_vocabulary_is_that_of_a_full_sort() {
        let logits: Vec<f32> = (0..5000)
            .map(|at| (data::draw::bits(7, at) >> 40) as f32 / (1u64 << 24) as f32 * 4.0)
            .collect();
        let weights = Weights::new(&logits, 1.0);
        let kept = weights.cut(&Sampling {
            top_p: 0.3,
            ..Sampling::default()
        });
        let mut order: Vec<u32> = (0..5000).collect();
        order.sort_by(|&a, &b| {
            logits[b as usize]
                .total_cmp(&logits[a as usize])
                .then(a.cmp(&b))
        });
        let mut sum = 0.0;
        let count = order.iter().take_while(|&&token| {
            let enough = sum >= 0.3 * weights.total;
            sum += f64::from(weights.values[token as usize]);
            !enough
        });
        assert_eq!(kept, count.copied().collect::<Vec<u32>>());
    }
}

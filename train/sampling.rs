//! Logits to a token.

use rollout::policy::Sampling;

/// A drawn token and its log-probability in the distribution it was drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// The token.
    pub token: u32,
    /// `ln p`.
    pub logprob: f32,
}

/// Draws a token: tempered softmax, then the likeliest tokens that hold `top_p` together, then one of them.
///
/// `uniform` is a number in [0, 1); with temperature 0 it is not used, and the log-probability is that at temperature 1.
///
/// # Panics
///
/// When `logits` is empty.
pub fn draw(logits: &[f32], sampling: &Sampling, uniform: f64) -> Drawn {
    let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("a vocabulary has tokens");
    let temperature = if sampling.is_greedy() { 1.0 } else { sampling.temperature };
    let weight = |logit: f32| f64::from((logit - logits[best]) / temperature).exp();
    let total: f64 = logits.iter().map(|&logit| weight(logit)).sum();
    if sampling.is_greedy() {
        return Drawn { token: best as u32, logprob: -(total.ln()) as f32 };
    }
    if sampling.top_p >= 1.0 {
        let token = nth((0..logits.len()).map(|token| (token, weight(logits[token]))), uniform * total).unwrap_or(best);
        return Drawn { token: token as u32, logprob: (weight(logits[token]).ln() - total.ln()) as f32 };
    }
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let mut kept = 0.0;
    let mut count = 0;
    for &token in &order {
        kept += weight(logits[token]);
        count += 1;
        if kept >= f64::from(sampling.top_p) * total {
            break;
        }
    }
    let nucleus = order[..count].iter().map(|&token| (token, weight(logits[token])));
    let token = nth(nucleus, uniform * kept).unwrap_or(best);
    Drawn { token: token as u32, logprob: (weight(logits[token]).ln() - kept.ln()) as f32 }
}

/// The first item at which the running sum of weights passes `mark`.
fn nth(items: impl Iterator<Item = (usize, f64)>, mark: f64) -> Option<usize> {
    let mut sum = 0.0;
    let mut last = None;
    for (item, weight) in items {
        sum += weight;
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

    #[test]
    fn greedy_takes_the_likeliest_and_tells_its_probability() {
        let drawn = draw(&LOGITS, &Sampling::greedy(8), 0.99);
        assert_eq!(drawn.token, 1);
        assert!((drawn.logprob - 0.5f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_uniform_number_picks_by_probability() {
        let tokens: Vec<u32> =
            [0.1, 0.3, 0.7, 0.9].iter().map(|&uniform| draw(&LOGITS, &Sampling::default(), uniform).token).collect();
        assert_eq!(tokens, [0, 1, 1, 2]);
    }

    #[test]
    fn a_small_nucleus_holds_only_the_likeliest() {
        let sampling = Sampling { top_p: 0.4, ..Sampling::default() };
        let drawn = draw(&LOGITS, &sampling, 0.999);
        assert_eq!((drawn.token, drawn.logprob), (1, 0.0));
    }
}

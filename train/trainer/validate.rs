//! How well a model answers samples that it is not trained on.
//!
//! In: a model and samples. Out: loss, and how often the most probable token is the right one. An answer counts as
//! exact when that holds for each of its tokens: just then greedy decoding writes it to the letter.

use burn::tensor::Device;
use data::Sample;

use crate::loss::chunked::look_at;
use crate::loss::log_probabilities;
use crate::optim::on_all_cores;
use crate::trainer::batch::{Batch, Row, micro_batches};
use crate::trainer::layerwise::Learner;

/// What was measured, over the trained tokens of all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Validation {
    /// Mean loss per token, in nats.
    pub loss: f64,
    /// Share of tokens that are the most probable ones.
    pub token_accuracy: f64,
    /// Share of answers whose first token is right: for an answer `N|line`, the (first digit of the) line.
    pub first_token_accuracy: f64,
    /// Share of answers that are right in every token.
    pub exact_match: f64,
}

impl Validation {
    /// Asks a model for every sample; micro-batches run on all cores.
    ///
    /// # Panics
    ///
    /// When there is no sample.
    pub fn measure(
        learner: &Learner,
        samples: &[Sample],
        micro_batch_tokens: usize,
        device: &Device,
    ) -> Self {
        let rows: Vec<Row> = samples
            .iter()
            .map(|sample| Row::from_sample(sample, 0.0))
            .collect();
        let batches = micro_batches(&rows, micro_batch_tokens);
        let counts = on_all_cores(&batches, |rows| Counts::new(learner, rows, device));
        let total = counts
            .into_iter()
            .reduce(Counts::plus)
            .expect("at least one sample");
        let [answers, tokens] = [total.answers as f64, total.tokens as f64];
        Validation {
            loss: total.loss / tokens,
            token_accuracy: total.right as f64 / tokens,
            first_token_accuracy: total.first_right as f64 / answers,
            exact_match: total.exact as f64 / answers,
        }
    }

    /// Under the names of `metrics.jsonl`.
    pub fn named(&self) -> [(&'static str, f64); 4] {
        [
            ("eval/loss", self.loss),
            ("eval/token_accuracy", self.token_accuracy),
            ("eval/first_token_accuracy", self.first_token_accuracy),
            ("eval/exact_match", self.exact_match),
        ]
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    answers: usize,
    tokens: usize,
    right: usize,
    first_right: usize,
    exact: usize,
    loss: f64,
}

impl Counts {
    fn new(learner: &Learner, rows: &[Row], device: &Device) -> Self {
        let batch = Batch::new(rows, device);
        let looked = look_at(
            learner.hidden(&batch),
            learner.model.projection(),
            |logits, range| {
                let targets = batch.targets.clone().narrow(0, range.start, range.len());
                let best = logits.clone().argmax(1).flatten::<1>(0, 1);
                let right: Vec<bool> = best
                    .equal(targets.clone())
                    .into_data()
                    .iter::<bool>()
                    .collect();
                let loss: f32 = log_probabilities(logits, targets).sum().neg().into_scalar();
                (f64::from(loss), right)
            },
        );
        let (losses, right): (Vec<f64>, Vec<Vec<bool>>) = looked.into_iter().unzip();
        let mut right = right.into_iter().flatten();
        let mut counts = Counts {
            answers: rows.len(),
            loss: losses.iter().sum(),
            ..Counts::default()
        };
        for row in rows {
            let answer: Vec<bool> = right.by_ref().take(row.targets.len()).collect();
            counts.tokens += answer.len();
            counts.right += answer.iter().filter(|right| **right).count();
            counts.first_right += usize::from(answer[0]);
            counts.exact += usize::from(answer.iter().all(|right| *right));
        }
        counts
    }

    fn plus(self, other: Self) -> Self {
        Counts {
            answers: self.answers + other.answers,
            tokens: self.tokens + other.tokens,
            right: self.right + other.right,
            first_right: self.first_right + other.first_right,
            exact: self.exact + other.exact,
            loss: self.loss + other.loss,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::decoder::rope_of;
    use model::weights::{from_host, to_host};
    use model::{CausalLm, ModelConfig};

    #[test]
    fn a_model_of_zeros_is_right_by_chance_alone() {
        let device = Device::flex();
        let shape = ModelConfig {
            vocab_size: 16,
            ..ModelConfig::default()
        };
        let mut weights = to_host(&CausalLm::new(&shape, 1, &device));
        weights
            .values_mut()
            .for_each(|tensor| tensor.values.fill(0.0));
        let model = from_host(&shape, weights, &device).expect("fits");
        let sample = |answer: Vec<u32>| {
            let tokens = [vec![5, 6], answer].concat();
            let mask = (0..tokens.len()).map(|at| at >= 2).collect();
            Sample::new(tokens, mask, "here").expect("valid")
        };
        // All logits are equal, so the first token of the vocabulary is taken for the best.
        let samples = [
            sample(vec![0, 0]),
            sample(vec![0, 1]),
            sample(vec![2, 3]),
            sample(vec![0, 0, 0, 0]),
        ];
        let rope = rope_of(&shape, &device);
        let found = Validation::measure(&Learner::new(&model, &rope), &samples, 16, &device);
        assert!((found.loss - 16f64.ln()).abs() < 1e-5, "{found:?}");
        assert_eq!(
            (
                found.token_accuracy,
                found.first_token_accuracy,
                found.exact_match
            ),
            (0.7, 0.75, 0.5)
        );
    }
}

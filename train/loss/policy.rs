//! The seam of policy losses: log-probabilities and columns in, a loss and its metrics out.
//!
//! A loss is blind to where its advantages come from, and to how logits are cut into chunks. One that is made of tokens is
//! asked chunk by chunk. One that is made of sequences is asked once for a whole micro-batch, which holds its sequences
//! whole: the slope of its log-probabilities is then taken back through the logits of each chunk.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::{Int, Tensor};

use super::chunked::{HeadLoss, by_autodiff, look_at};
use super::ratio::log_ratio;
use super::{entropy, log_probabilities};
use crate::trainer::batch::{Batch, Part};

/// What is known of each target besides its log-probability.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Log-probability when it was sampled: `[targets]`
    pub logp_old: Tensor<1>,
    /// How much better its attempt was than its group: `[targets]`
    pub advantages: Tensor<1>,
    /// The sequence that it belongs to: `[targets]`
    pub sequence: Tensor<1, Int>,
    /// How many sequences there are.
    pub sequences: usize,
}

/// Sums over tokens, by the name under which their mean is reported.
pub type Metrics = BTreeMap<&'static str, f64>;

/// What a loss is a mean over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// All tokens of the global batch.
    Token,
    /// All sequences of the global batch.
    Sequence,
}

/// A loss of log-probabilities.
pub trait PolicyLoss: Send + Sync {
    /// What it is a mean over.
    fn unit(&self) -> Unit;

    /// The sum of the loss, `[1]`, and its metrics. With [`Unit::Sequence`] every sequence is whole.
    ///
    /// # Shapes
    ///
    /// - logp: `[targets]`, with gradient; the columns have none
    fn sum(&self, logp: Tensor<1>, columns: &Columns) -> (Tensor<1>, Metrics);
}

/// Tokens and sequences of the global batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Targets.
    pub tokens: usize,
    /// Attempts.
    pub sequences: usize,
}

/// What was measured of some targets: sums over them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Their part of the loss.
    pub loss: f64,
    /// What else there is to report.
    pub metrics: Metrics,
}

impl Measured {
    /// Adds what was measured of other targets.
    pub fn add(&mut self, other: &Measured) {
        self.loss += other.loss;
        for (name, value) in &other.metrics {
            *self.metrics.entry(name).or_default() += value;
        }
    }
}

/// A policy loss of the logits of a micro-batch.
pub struct PolicyHead<'a> {
    loss: &'a dyn PolicyLoss,
    batch: &'a Batch,
    /// The trainer's distribution is the sampler's: the same temperature.
    temperature: f32,
    counts: Counts,
    /// Of a loss over sequences: its slope with respect to each log-probability, and what it measured.
    slope: OnceCell<(Tensor<1>, Measured)>,
}

impl<'a> PolicyHead<'a> {
    /// `loss` over the targets of `batch`, as its part of the global batch.
    pub fn new(
        loss: &'a dyn PolicyLoss,
        batch: &'a Batch,
        temperature: f32,
        counts: Counts,
    ) -> Self {
        PolicyHead {
            loss,
            batch,
            temperature,
            counts,
            slope: OnceCell::new(),
        }
    }

    /// The loss of log-probabilities, divided by the count of the global batch.
    fn value(&self, logp: Tensor<1>, columns: &Columns) -> (Tensor<1>, Measured) {
        let tracked = Columns {
            logp_old: columns.logp_old.clone().autodiff(),
            advantages: columns.advantages.clone().autodiff(),
            sequence: columns.sequence.clone().autodiff(),
            sequences: columns.sequences,
        };
        let (sum, metrics) = self.loss.sum(logp, &tracked);
        let count = match self.loss.unit() {
            Unit::Token => self.counts.tokens,
            Unit::Sequence => self.counts.sequences,
        };
        let loss = sum / count as f32;
        let measured = Measured {
            loss: f64::from(loss.clone().inner().into_scalar::<f32>()),
            metrics,
        };
        (loss, measured)
    }

    /// Entropy, and how far the policy is from the one that sampled.
    fn compare(&self, logits: Tensor<2>, logp: Tensor<1>, columns: &Columns) -> Metrics {
        let gap = log_ratio(logp, columns.logp_old.clone());
        Metrics::from([
            ("entropy", sum_of(entropy(logits))),
            (
                "sampling/importance_sampling_ratio/mean",
                sum_of(gap.clone().exp()),
            ),
            ("sampling/sampling_logp_difference/mean", sum_of(gap.abs())),
        ])
    }
}

impl HeadLoss for PolicyHead<'_> {
    type Measured = Measured;

    fn begin(&self, hidden: &Tensor<2>, weight: &Tensor<2>) {
        if self.loss.unit() == Unit::Token {
            return;
        }
        let look = |logits: Tensor<2>, rows: Range<usize>| {
            log_probabilities(logits / self.temperature, self.batch.part(&rows).targets)
        };
        let logp = Tensor::cat(look_at(hidden.clone(), weight.clone(), look), 0);
        let rows = 0..logp.dims()[0];
        let leaf = logp.autodiff().require_grad();
        let (loss, measured) = self.value(leaf.clone(), &self.batch.part(&rows).columns);
        let slope = leaf
            .grad_remove(&mut loss.backward())
            .expect("a loss depends on its log-probabilities");
        self.slope.get_or_init(|| (slope, measured));
    }

    fn gradient(&self, logits: Tensor<2>, rows: Range<usize>) -> (Tensor<2>, Measured) {
        let Part {
            targets, columns, ..
        } = self.batch.part(&rows);
        by_autodiff(logits, |logits| {
            let logits = logits / self.temperature;
            let logp = log_probabilities(logits.clone(), targets.autodiff());
            let compared = self.compare(logits.inner(), logp.clone().inner(), &columns);
            let (loss, mut measured) = match self.slope.get() {
                None => self.value(logp, &columns),
                Some((slope, measured)) => {
                    let slope = slope.clone().narrow(0, rows.start, rows.len()).autodiff();
                    // What the whole micro-batch measured is told once.
                    let measured = if rows.start == 0 {
                        measured.clone()
                    } else {
                        Measured::default()
                    };
                    ((logp * slope).sum(), measured)
                }
            };
            measured.metrics.extend(compared);
            (loss, measured)
        })
    }
}

/// The sum of some measurements.
pub(super) fn sum_of(values: Tensor<1>) -> f64 {
    let values: Vec<f32> = values
        .into_data()
        .try_to_vec()
        .expect("measurements are f32");
    values.into_iter().map(f64::from).sum()
}

/// How many tokens lie outside of the trust region and have no gradient: ratios that are too low where the advantage is
/// negative, too high where it is positive.
pub(super) fn clip_metrics(
    ratio: Tensor<1>,
    advantages: Tensor<1>,
    low: f64,
    high: f64,
) -> Metrics {
    let vector = |tensor: Tensor<1>| {
        tensor
            .into_data()
            .try_to_vec::<f32>()
            .expect("ratios are f32")
    };
    let (mut too_low, mut too_high) = (0.0, 0.0);
    for (ratio, advantage) in vector(ratio)
        .into_iter()
        .map(f64::from)
        .zip(vector(advantages))
    {
        too_low += f64::from(u8::from(ratio < 1.0 - low && advantage < 0.0));
        too_high += f64::from(u8::from(ratio > 1.0 + high && advantage > 0.0));
    }
    Metrics::from([
        ("clip_ratio/low_mean", too_low),
        ("clip_ratio/high_mean", too_high),
        ("clip_ratio/region_mean", too_low + too_high),
    ])
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// The sum of a loss and its slopes, for ratios, advantages and sequences of tokens; all were sampled with probability 1.
    pub fn slopes(
        loss: &dyn PolicyLoss,
        ratios: &[f32],
        advantages: &[f32],
        sequence: &[i32],
    ) -> (f32, Vec<f32>) {
        let device = Device::flex();
        let floats = |values: Vec<f32>| {
            Tensor::<1>::from_data(TensorData::new(values, [ratios.len()]), &device)
        };
        let logp = floats(ratios.iter().map(|ratio| ratio.ln()).collect())
            .autodiff()
            .require_grad();
        let columns = Columns {
            logp_old: floats(vec![0.0; ratios.len()]).autodiff(),
            advantages: floats(advantages.to_vec()).autodiff(),
            sequence: Tensor::<1, Int>::from_data(
                TensorData::new(sequence.to_vec(), [sequence.len()]),
                &device,
            )
            .autodiff(),
            sequences: sequence.iter().max().map_or(0, |last| *last as usize + 1),
        };
        let (sum, _) = loss.sum(logp.clone(), &columns);
        let slopes = logp.grad_remove(&mut sum.backward()).expect("a gradient");
        (
            sum.inner().into_scalar(),
            slopes.into_data().try_to_vec().expect("f32"),
        )
    }
}

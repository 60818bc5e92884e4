//! The one place where tokens become inputs and targets.
//!
//! In: samples, or a prompt with the attempts that share it. Out: a [`Batch`] of tensors.
//! The token at position i predicts the token at i + 1; no other file shifts anything.
//!
//! A group of attempts is one row, `prompt attempt₁ attempt₂ …`: the prompt is computed once, and every attempt sees
//! the prompt and itself alone. The gradient is that of separate rows; the work is several times less.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use data::Sample;
use rollout::group::Group;

use crate::loss::policy::Columns;
use model::mask::{BlockMask, Span, View};
use model::rope::Rope;
use model::{CausalLm, Context};

/// One token that is predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Index in the row of the token that predicts it.
    pub from: usize,
    /// The token that is predicted.
    pub token: u32,
    /// Its weight in the loss; padding has none because it is no target.
    pub weight: f32,
    /// Log-probability when it was sampled.
    pub logp_old: f32,
    /// How much better its attempt was than its group.
    pub advantage: f32,
    /// The attempt that it belongs to, counted within its row.
    pub sequence: u32,
}

/// One row before padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Input tokens.
    pub tokens: Vec<u32>,
    /// Position of each token, for the rotation.
    pub positions: Vec<u32>,
    /// 0 for the shared prompt, k for the k-th attempt.
    pub branch: Vec<u32>,
    /// What is predicted.
    pub targets: Vec<Target>,
}

impl Row {
    /// A sample: trained tokens have weight 1, the others `context_weight`.
    pub fn from_sample(sample: &Sample, context_weight: f32) -> Self {
        let count = sample.tokens.len() - 1;
        let weight_of = |at: usize| if sample.mask[at] { 1.0 } else { context_weight };
        let targets = (0..count)
            .filter(|&from| weight_of(from + 1) > 0.0)
            .map(|from| Target {
                from,
                token: sample.tokens[from + 1],
                weight: weight_of(from + 1),
                logp_old: 0.0,
                advantage: 0.0,
                sequence: 0,
            })
            .collect();
        Row {
            tokens: sample.tokens[..count].to_vec(),
            positions: (0..count as u32).collect(),
            branch: vec![0; count],
            targets,
        }
    }

    /// Several rows as one: each sees itself alone, and its positions begin at 0.
    pub fn packed(rows: Vec<Row>) -> Self {
        let mut rows = rows.into_iter();
        let (Some(first), more) = (rows.next(), rows.len() > 0) else {
            return Row::default();
        };
        if !more {
            return first;
        }
        let mut packed = Row::default();
        for (number, row) in std::iter::once(first).chain(rows).enumerate() {
            let offset = packed.tokens.len();
            packed
                .branch
                .extend(std::iter::repeat_n(number as u32 + 1, row.tokens.len()));
            packed.tokens.extend(row.tokens);
            packed.positions.extend(row.positions);
            packed
                .targets
                .extend(row.targets.into_iter().map(|target| Target {
                    from: offset + target.from,
                    ..target
                }));
        }
        packed
    }

    /// The attempts of a group behind the prompt that they share. Attempts without a trained token are left out.
    pub fn from_group(group: &Group) -> Self {
        let mut row = Row::default();
        let trained = group.members().filter(|member| member.mask.contains(&true));
        for (number, member) in trained.enumerate() {
            let start = member
                .mask
                .iter()
                .position(|&sampled| sampled)
                .expect("a trained member has a sampled token");
            let (prompt, answer) = member.tokens.split_at(start);
            if number == 0 {
                row.extend(prompt, 0, 0);
            }
            // The last token of the prompt predicts the first of every attempt.
            let first = row.tokens.len();
            for (at, &token) in answer.iter().enumerate() {
                // What a later turn was told is seen, and not trained.
                if !member.mask[start + at] {
                    continue;
                }
                let from = if at == 0 { start - 1 } else { first + at - 1 };
                let logp_old = member.logprobs[start + at];
                let (advantage, sequence) = (member.advantage, number as u32);
                row.targets.push(Target {
                    from,
                    token,
                    weight: 1.0,
                    logp_old,
                    advantage,
                    sequence,
                });
            }
            row.extend(&answer[..answer.len() - 1], start, number as u32 + 1);
        }
        row
    }

    /// How many sequences its targets belong to.
    pub fn sequences(&self) -> usize {
        self.targets
            .iter()
            .map(|target| target.sequence as usize + 1)
            .max()
            .unwrap_or(0)
    }

    fn extend(&mut self, tokens: &[u32], position: usize, branch: u32) {
        self.tokens.extend_from_slice(tokens);
        self.positions
            .extend((0..tokens.len()).map(|at| (position + at) as u32));
        self.branch
            .extend(std::iter::repeat_n(branch, tokens.len()));
    }

    /// What each token sees: the prompt, and its own branch up to itself.
    fn views(&self) -> impl Iterator<Item = View> + '_ {
        let prompt = self
            .branch
            .iter()
            .take_while(|&&branch| branch == 0)
            .count();
        let mut start = 0;
        self.branch.iter().enumerate().map(move |(query, &branch)| {
            if query > 0 && self.branch[query - 1] != branch {
                start = query;
            }
            let shared = if branch == 0 { 0 } else { prompt };
            View {
                shared: Span::new(0, shared),
                own: Span::new(start, query + 1),
            }
        })
    }
}

/// Tensors of one micro-batch. Rows are padded on the right; padding is never a target and never seen.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[batch, seq]`
    pub inputs: Tensor<2, Int>,
    /// `[batch, seq]`
    pub positions: Tensor<2, Int>,
    /// What each position sees.
    pub block_mask: BlockMask,
    /// Which of the `batch · seq` positions predict a target: `[targets]`, with repeats.
    pub predictors: Tensor<1, Int>,
    /// `[targets]`
    pub targets: Tensor<1, Int>,
    /// `[targets]`
    pub weights: Tensor<1>,
    /// `[targets]`
    pub logp_old: Tensor<1>,
    /// `[targets]`
    pub advantages: Tensor<1>,
    /// The sequence that each target belongs to, counted over the batch: `[targets]`
    pub sequence: Tensor<1, Int>,
    /// How many sequences there are.
    pub sequences: usize,
    /// Tokens without padding.
    pub tokens: usize,
    /// Sum of the weights.
    pub weight: f32,
}

/// Some of the targets of a micro-batch; see the fields of [`Batch`].
pub struct Part {
    /// `[targets]`
    pub targets: Tensor<1, Int>,
    /// `[targets]`
    pub weights: Tensor<1>,
    /// What a policy loss is made of, besides the log-probabilities.
    pub columns: Columns,
}

impl Batch {
    /// Pads `rows` to the longest, rounded up to a multiple of 16, and moves them to `device`.
    pub fn new(rows: &[Row], device: &Device) -> Self {
        let longest = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
        let seq = longest.next_multiple_of(16).max(16);
        let batch = rows.len();
        let pad = |of: &dyn Fn(&Row) -> &[u32]| {
            let values: Vec<i32> = rows
                .iter()
                .flat_map(|row| {
                    of(row)
                        .iter()
                        .map(|&value| value as i32)
                        .chain(std::iter::repeat(0))
                        .take(seq)
                })
                .collect();
            Tensor::<2, Int>::from_data(TensorData::new(values, [batch, seq]), device)
        };
        let targets = || rows.iter().flat_map(|row| &row.targets);
        let count = targets().count();
        let floats = |of: fn(&Target) -> f32| {
            Tensor::<1>::from_data(
                TensorData::new(targets().map(of).collect::<Vec<f32>>(), [count]),
                device,
            )
        };
        let integers = |values: Vec<i32>| {
            Tensor::<1, Int>::from_data(TensorData::new(values, [count]), device)
        };
        let predictors = rows
            .iter()
            .enumerate()
            .flat_map(|(index, row)| {
                row.targets
                    .iter()
                    .map(move |target| (index * seq + target.from) as i32)
            })
            .collect();
        let mut first = 0;
        let mut sequence = Vec::with_capacity(count);
        for row in rows {
            sequence.extend(
                row.targets
                    .iter()
                    .map(|target| first + target.sequence as i32),
            );
            first += row.sequences() as i32;
        }
        Batch {
            sequence: integers(sequence),
            sequences: first as usize,
            inputs: pad(&|row| &row.tokens),
            positions: pad(&|row| &row.positions),
            block_mask: block_mask(rows, seq),
            predictors: integers(predictors),
            targets: integers(targets().map(|target| target.token as i32).collect()),
            weights: floats(|target| target.weight),
            logp_old: floats(|target| target.logp_old),
            advantages: floats(|target| target.advantage),
            tokens: rows.iter().map(|row| row.tokens.len()).sum(),
            weight: targets().map(|target| target.weight).sum(),
        }
    }
}

impl Batch {
    /// What each position is and may see.
    pub fn context(&self, rope: &Rope) -> Context {
        Context {
            turn: rope.at(self.positions.clone()),
            block_mask: self.block_mask.clone(),
        }
    }

    /// Some of the targets.
    pub fn part(&self, range: &Range<usize>) -> Part {
        let floats = |of: &Tensor<1>| of.clone().narrow(0, range.start, range.len());
        Part {
            targets: self.targets.clone().narrow(0, range.start, range.len()),
            weights: floats(&self.weights),
            columns: Columns {
                logp_old: floats(&self.logp_old),
                advantages: floats(&self.advantages),
                sequence: self.sequence.clone().narrow(0, range.start, range.len()),
                sequences: self.sequences,
            },
        }
    }

    /// The final hidden states behind every target, for plain weights.
    ///
    /// # Shapes
    ///
    /// - output: `[targets, d_model]`
    pub fn plain_hidden(&self, model: &CausalLm, rope: &Rope) -> Tensor<2> {
        let hidden = model.hidden(self.inputs.clone(), &self.context(rope), None);
        let [batch, seq, width] = hidden.dims();
        hidden
            .reshape([batch * seq, width])
            .select(0, self.predictors.clone())
    }

    /// The logits behind every target, for plain weights.
    ///
    /// # Shapes
    ///
    /// - output: `[targets, vocab]`
    pub fn plain_logits(&self, model: &CausalLm, rope: &Rope) -> Tensor<2> {
        model.logits(self.plain_hidden(model, rope))
    }
}

/// The views of a batch; padding sees nothing.
fn block_mask(rows: &[Row], seq: usize) -> BlockMask {
    let padded = |row| {
        Row::views(row)
            .chain(std::iter::repeat(View::default()))
            .take(seq)
    };
    BlockMask::new(rows.iter().flat_map(padded).collect(), seq)
}

/// Rows in micro-batches of like length, at most `max_tokens` padded tokens each.
pub fn micro_batches(rows: &[Row], max_tokens: usize) -> Vec<Vec<Row>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.tokens.len()).collect();
    let batches = by_length(&lengths, max_tokens).into_iter();
    batches
        .map(|batch| batch.into_iter().map(|at| rows[at].clone()).collect())
        .collect()
}

/// Padded tokens of each micro-batch that [`micro_batches`] makes of `rows`.
pub fn padded(rows: &[Row], max_tokens: usize) -> Vec<usize> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.tokens.len()).collect();
    let width = |batch: &[usize]| {
        batch
            .iter()
            .map(|&at| lengths[at])
            .max()
            .unwrap_or(0)
            .next_multiple_of(16)
            .max(16)
    };
    by_length(&lengths, max_tokens)
        .iter()
        .map(|batch| batch.len() * width(batch))
        .collect()
}

/// Indices of `lengths` in batches of at most `max_tokens` padded tokens, longest rows together.
fn by_length(lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(lengths[at]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut width = 0;
    for at in order {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * width <= max_tokens => batch.push(at),
            _ => {
                width = lengths[at].next_multiple_of(16).max(16);
                batches.push(vec![at]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollout::advantage::Estimator;
    use rollout::outcome::Outcome;
    use rollout::policy::Completion;
    use rollout::trajectory::{Overlong, Sequence, Stop, TRAJECTORY_FORMAT, Trajectory};

    #[test]
    fn only_the_masked_tokens_are_targets_and_each_is_predicted_by_the_one_before() {
        let sample =
            Sample::new(vec![5, 6, 7, 8], vec![false, false, true, true], "here").expect("valid");
        let row = Row::from_sample(&sample, 0.0);
        let pairs: Vec<(usize, u32)> = row
            .targets
            .iter()
            .map(|target| (target.from, target.token))
            .collect();
        assert_eq!(pairs, [(1, 7), (2, 8)]);
        assert_eq!(row.tokens, [5, 6, 7]);
    }

    #[test]
    fn attempts_share_the_prompt_and_do_not_see_each_other() {
        let trajectory = |tokens: Vec<u32>, outcome: Outcome| {
            let completion = Completion::new(
                vec![1, 2],
                tokens,
                vec![-1.0, -2.0],
                String::new(),
                Stop::EndOfTurn,
                0,
            );
            Trajectory {
                format: TRAJECTORY_FORMAT,
                task_id: "sum".into(),
                policy_version: 0,
                sequence: Sequence::from_completion(&completion.expect("valid")),
                text: String::new(),
                stop: Stop::EndOfTurn,
                patch: None,
                unanswered: None,
                reward: rollout::reward::reward(&outcome),
                outcome,
            }
        };
        let both = vec![
            trajectory(vec![3, 4], Outcome::Resolved),
            trajectory(vec![5, 6], Outcome::NoPatch),
        ];
        let group = Group::new(1, both, &Estimator::Centred, Overlong::Mask).expect("a group");
        let row = Row::from_group(&group);
        assert_eq!(row.tokens, [1, 2, 3, 5]);
        assert_eq!(row.positions, [0, 1, 2, 2]);
        let predicted: Vec<(usize, u32)> = row
            .targets
            .iter()
            .map(|target| (target.from, target.token))
            .collect();
        assert_eq!(predicted, [(1, 3), (2, 4), (1, 5), (3, 6)]);
        assert_eq!(row.targets[2].advantage, -0.5);
        let last = View {
            shared: Span::new(0, 2),
            own: Span::new(3, 4),
        };
        assert_eq!(row.views().last(), Some(last));
    }

    #[test]
    fn batches_by_length_hold_every_row_once() {
        let batches = by_length(&[3, 40, 17, 33], 96);
        assert_eq!(batches, [vec![1, 3], vec![2, 0]]);
    }
}

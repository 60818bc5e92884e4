//! Attention, head by head and a block of queries at a time: a block's scores fit into the cache of a core, and keys
//! that no query of the block sees are not looked at.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::blocks::{Block, blocks};
use super::matrix::{Matrix, ONE_CORE};
use super::rows::dot;
use super::{exp, tensor_of};
use crate::mask::{BlockMask, Span, View};

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) query: FlexTensor,
    pub(super) key: FlexTensor,
    pub(super) value: FlexTensor,
    pub(super) block_mask: BlockMask,
    pub(super) output: FlexTensor,
    /// `ln Σ exp(score)` of every query: `[batch, heads, queries]`.
    pub(super) log_sums: Vec<f32>,
}

/// The sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    kv_heads: usize,
    group: usize,
    queries: usize,
    keys: usize,
    width: usize,
    scale: f32,
}

impl Sizes {
    fn new(query: &FlexTensor, key: &FlexTensor) -> Self {
        let (query, key) = (query.layout().shape(), key.layout().shape());
        let width = query[3];
        Sizes {
            batch: query[0],
            kv_heads: key[1],
            group: query[1] / key[1],
            queries: query[2],
            keys: key[2],
            width,
            scale: 1.0 / (width as f32).sqrt(),
        }
    }

    fn is_small(&self) -> bool {
        self.batch * self.kv_heads * self.group * self.queries * self.keys * self.width < ONE_CORE
    }

    /// Blocks of queries of every row.
    fn blocks(&self, block_mask: &BlockMask) -> Vec<Vec<Block>> {
        assert_eq!(
            (block_mask.rows(), block_mask.queries()),
            (self.batch, self.queries),
            "every query has a view"
        );
        (0..self.batch)
            .map(|row| blocks(block_mask.row(row), self.keys))
            .collect()
    }
}

/// Runs `work` for every key head of every row, on all cores where that pays; each core adds in the same order.
fn for_each<T: Send>(sizes: &Sizes, parts: Vec<T>, work: impl Fn(usize, T) + Sync) {
    if sizes.is_small() {
        parts
            .into_iter()
            .enumerate()
            .for_each(|(place, part)| work(place, part));
    } else {
        parts
            .into_par_iter()
            .enumerate()
            .for_each(|(place, part)| work(place, part));
    }
}

/// The output, and the log-sum of every query's scores.
pub(super) fn forward(
    query: &FlexTensor,
    key: &FlexTensor,
    value: &FlexTensor,
    block_mask: &BlockMask,
) -> (FlexTensor, Vec<f32>) {
    let sizes = Sizes::new(query, key);
    let Sizes {
        batch,
        kv_heads,
        group,
        queries,
        width,
        scale,
        ..
    } = sizes;
    let blocks = sizes.blocks(block_mask);
    let mut output = vec![0f32; batch * kv_heads * group * queries * width];
    let mut log_sums = vec![0f32; batch * kv_heads * group * queries];
    let parts = output
        .chunks_exact_mut(group * queries * width)
        .zip(log_sums.chunks_exact_mut(group * queries));
    for_each(&sizes, parts.collect(), |place, (out, log_sums)| {
        let (row, kv_head) = (place / kv_heads, place % kv_heads);
        let (key, value) = (
            Matrix::from_tensor(key, row, kv_head),
            Matrix::from_tensor(value, row, kv_head),
        );
        let mut scores = Vec::new();
        for head in 0..group {
            let query = Matrix::from_tensor(query, row, kv_head * group + head);
            for block in &blocks[row] {
                let at = head * queries + block.queries.start;
                let count = block.queries.len();
                let views = &block_mask.row(row)[block.queries.clone()];
                block.scores(&mut scores, query, key, scale);
                softmax(&mut scores, block, views, &mut log_sums[at..at + count]);
                let out = &mut out[at * width..(at + count) * width];
                block.mix(
                    out,
                    Matrix::dense(&scores, count, block.columns()),
                    value,
                    1.0,
                );
            }
        }
    });
    (
        tensor_of(output, &[batch, kv_heads * group, queries, width]),
        log_sums,
    )
}

impl Block {
    /// The two spans of keys, and the columns of the scores that they fill.
    fn parts(&self) -> [(Span, std::ops::Range<usize>); 2] {
        let shared = self.shared.len();
        [(self.shared, 0..shared), (self.own, shared..self.columns())]
    }

    /// `Q Kᵀ · scale` over the keys of the block.
    fn scores(&self, scores: &mut Vec<f32>, query: Matrix, key: Matrix, scale: f32) {
        let (rows, columns) = (self.queries.len(), self.columns());
        scores.resize(rows * columns, 0.0);
        for (span, place) in self.parts() {
            let key = key.rows(span.range()).transposed();
            query.rows(self.queries.clone()).times(
                key,
                &mut scores[place.start..],
                columns,
                false,
                scale,
            );
        }
    }

    /// `out = scale · weights · V` over the keys of the block.
    fn mix(&self, out: &mut [f32], weights: Matrix, value: Matrix, scale: f32) {
        for (part, (span, place)) in self.parts().into_iter().enumerate() {
            let keep = part > 0 && !self.shared.is_empty();
            weights
                .columns(place)
                .times(value.rows(span.range()), out, value.columns, keep, scale);
        }
    }

    /// `out += scale · weightsᵀ · rows` at the keys of the block.
    fn scatter(&self, out: &mut [f32], weights: Matrix, rows: Matrix, scale: f32) {
        let width = rows.columns;
        for (span, place) in self.parts() {
            let out = &mut out[span.from as usize * width..span.to as usize * width];
            weights
                .columns(place)
                .transposed()
                .times(rows, out, width, true, scale);
        }
    }
}

/// Scores to weights, in place; what a query does not see weighs 0. The log-sum of every row goes to `log_sums`.
fn softmax(scores: &mut [f32], block: &Block, views: &[View], log_sums: &mut [f32]) {
    let columns = block.columns().max(1);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((row, view), log_sum) in scores.chunks_exact_mut(columns).zip(views).zip(log_sums)
            {
                let [shared, own] = block.seen(view);
                hide(row, &shared, &own);
                let most = most(&row[shared.clone()]).max(most(&row[own.clone()]));
                for span in [&shared, &own] {
                    for score in &mut row[span.clone()] {
                        *score = exp(*score - most);
                    }
                }
                let sum = sum(&row[shared.clone()]) + sum(&row[own.clone()]);
                let share = 1.0 / sum;
                for score in row[shared].iter_mut() {
                    *score *= share;
                }
                for score in row[own].iter_mut() {
                    *score *= share;
                }
                *log_sum = most + sum.ln();
            }
        },
    );
}

/// Zero at every column that is not seen.
#[inline(always)]
fn hide(row: &mut [f32], shared: &std::ops::Range<usize>, own: &std::ops::Range<usize>) {
    row[..shared.start].fill(0.0);
    row[shared.end..own.start].fill(0.0);
    row[own.end..].fill(0.0);
}

/// The largest value, in sixteen lanes as [`sum`].
#[inline(always)]
fn most(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = values.chunks_exact(16);
    let rest = chunks
        .remainder()
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, larger);
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    lanes.into_iter().fold(rest, larger)
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Gradients of query, key and value.
pub(super) fn backward(saved: &Saved, gradient: &FlexTensor) -> [FlexTensor; 3] {
    let Saved {
        query,
        key,
        value,
        block_mask,
        output,
        log_sums,
    } = saved;
    let sizes = Sizes::new(query, key);
    let Sizes {
        batch,
        kv_heads,
        group,
        queries,
        keys,
        width,
        ..
    } = sizes;
    let blocks = sizes.blocks(block_mask);
    let gradient = gradient.to_contiguous();
    let mut to_query = vec![0f32; batch * kv_heads * group * queries * width];
    let mut to_key = vec![0f32; batch * kv_heads * keys * width];
    let mut to_value = vec![0f32; batch * kv_heads * keys * width];
    let parts = to_query
        .chunks_exact_mut(group * queries * width)
        .zip(to_key.chunks_exact_mut(keys * width));
    let parts = parts.zip(to_value.chunks_exact_mut(keys * width)).collect();
    for_each(&sizes, parts, |place, ((to_query, to_key), to_value)| {
        let (row, kv_head) = (place / kv_heads, place % kv_heads);
        let mut scratch = Scratch::default();
        for head in 0..group {
            let of = |tensor| Matrix::from_tensor(tensor, row, kv_head * group + head);
            let from = (place * group + head) * queries;
            let head_of = Head {
                query: of(query),
                key: Matrix::from_tensor(key, row, kv_head),
                value: Matrix::from_tensor(value, row, kv_head),
                output: of(output),
                gradient: of(&gradient),
                log_sums: &log_sums[from..from + queries],
                views: block_mask.row(row),
                scale: sizes.scale,
            };
            let to_query = &mut to_query[head * queries * width..(head + 1) * queries * width];
            for block in &blocks[row] {
                head_of.backward(block, &mut scratch, to_query, to_key, to_value);
            }
        }
    });
    [
        tensor_of(to_query, &[batch, kv_heads * group, queries, width]),
        tensor_of(to_key, &[batch, kv_heads, keys, width]),
        tensor_of(to_value, &[batch, kv_heads, keys, width]),
    ]
}

/// Room for one block: its weights and their slopes.
#[derive(Default)]
struct Scratch {
    weights: Vec<f32>,
    slopes: Vec<f32>,
}

/// One query head in the backward pass.
struct Head<'a> {
    query: Matrix<'a>,
    key: Matrix<'a>,
    value: Matrix<'a>,
    output: Matrix<'a>,
    gradient: Matrix<'a>,
    log_sums: &'a [f32],
    views: &'a [View],
    scale: f32,
}

impl Head<'_> {
    fn backward(
        &self,
        block: &Block,
        scratch: &mut Scratch,
        to_query: &mut [f32],
        to_key: &mut [f32],
        to_value: &mut [f32],
    ) {
        let Scratch { weights, slopes } = scratch;
        let (rows, columns, width) = (block.queries.len(), block.columns(), self.query.columns);
        let (gradient, output) = (
            self.gradient.rows(block.queries.clone()),
            self.output.rows(block.queries.clone()),
        );

        // P = exp(Q Kᵀ · scale − log-sum), dV += Pᵀ dO, dP = dO Vᵀ.
        block.scores(weights, self.query, self.key, self.scale);
        recompute(
            weights,
            block,
            &self.views[block.queries.clone()],
            &self.log_sums[block.queries.clone()],
        );
        let of_weights = Matrix::dense(weights, rows, columns);
        block.scatter(to_value, of_weights, gradient, 1.0);
        block.scores(slopes, self.gradient, self.value, 1.0);

        // dS = P ∘ (dP − dO·O), dQ = dS K · scale, dK += dSᵀ Q · scale.
        slope(slopes, weights, columns, gradient, output);
        let of_slopes = Matrix::dense(slopes, rows, columns);
        let to_query = &mut to_query[block.queries.start * width..block.queries.end * width];
        block.mix(to_query, of_slopes, self.key, self.scale);
        block.scatter(
            to_key,
            of_slopes,
            self.query.rows(block.queries.clone()),
            self.scale,
        );
    }
}

fn recompute(scores: &mut [f32], block: &Block, views: &[View], log_sums: &[f32]) {
    let columns = block.columns().max(1);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((row, view), &log_sum) in scores.chunks_exact_mut(columns).zip(views).zip(log_sums)
            {
                let [shared, own] = block.seen(view);
                hide(row, &shared, &own);
                for span in [shared, own] {
                    for score in &mut row[span] {
                        *score = exp((*score - log_sum).min(0.0));
                    }
                }
            }
        },
    );
}

fn slope(slopes: &mut [f32], weights: &[f32], columns: usize, gradient: Matrix, output: Matrix) {
    let (width, columns) = (gradient.columns, columns.max(1));
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (at, (row, weights)) in slopes
                .chunks_exact_mut(columns)
                .zip(weights.chunks_exact(columns))
                .enumerate()
            {
                // Both are contiguous: they were made here and by `to_contiguous`.
                let gradient = &gradient.values[at * gradient.row_stride..][..width];
                let output = &output.values[at * output.row_stride..][..width];
                let pull = dot(gradient, output);
                for (slope, &weight) in row.iter_mut().zip(weights) {
                    *slope = weight * (*slope - pull);
                }
            }
        },
    );
}

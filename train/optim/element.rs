//! One update of AdamW, number by number, on the host.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

/// Weights that one core updates before it takes the next ones.
const PIECE: usize = 1 << 16;

/// What all weights of one update have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    /// Gradients are multiplied by it first.
    pub(super) clip: f32,
    pub(super) beta1: f32,
    /// `1 − beta1`
    pub(super) new1: f32,
    pub(super) beta2: f32,
    /// `1 − beta2`
    pub(super) new2: f32,
    /// `1 − beta2^updates`: the second moment started at zero.
    pub(super) correction2: f32,
    pub(super) epsilon: f32,
    /// Learning rate over `1 − beta1^updates`.
    pub(super) rate: f32,
    /// What weight decay leaves of a weight.
    pub(super) decay: f32,
}

impl Update {
    /// Updates weights and moments in place, on all cores; the result does not depend on their number.
    pub(super) fn apply(
        &self,
        weights: &mut [f32],
        gradients: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let weights = weights
            .par_chunks_mut(PIECE)
            .zip(gradients.par_chunks(PIECE));
        let moments = first
            .par_chunks_mut(PIECE)
            .zip(second.par_chunks_mut(PIECE));
        weights
            .zip(moments)
            .for_each(|((weights, gradients), (first, second))| {
                pulp::Arch::new().dispatch(
                    #[inline(always)]
                    || self.piece(weights, gradients, first, second),
                );
            });
    }

    /// As [`Update::apply`], on this core.
    #[inline(always)]
    pub(super) fn piece(
        &self,
        weights: &mut [f32],
        gradients: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let moments = first.iter_mut().zip(second);
        for ((weight, &gradient), (first, second)) in weights.iter_mut().zip(gradients).zip(moments)
        {
            let gradient = gradient * self.clip;
            *first = *first * self.beta1 + gradient * self.new1;
            *second = *second * self.beta2 + gradient * gradient * self.new2;
            let root = (*second / self.correction2).sqrt() + self.epsilon;
            *weight = *weight * self.decay - *first / root * self.rate;
        }
    }
}

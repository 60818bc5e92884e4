//! Projections `x Wᵀ`.
//!
//! A matrix product of many rows is one call of a library. With few rows, as when tokens are decoded, all that counts is
//! that every weight is read once, straight from where it lies, by all cores: a library would copy it first. See
//! [`super::panels`], and [`super::dots`] for very few rows.

use burn::tensor::{DType, bf16};
use burn_flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::dots::Dots;
use super::matrix::{Matrix, ONE_CORE};
use super::panels::{Packed, Panels};
use super::tensor_of;

/// More rows than this are a library's: from about there on it is as fast.
const FEW: usize = 128;
/// Reading a weight takes as long as this many products with it.
const READ: usize = 16;
/// Rows of the weight that one core takes at a time.
const SHARE: usize = 96;

/// `x Wᵀ`.
pub(super) fn forward(input: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let (rows, width, out) = (
        input.layout().shape()[0],
        input.layout().shape()[1],
        weight.layout().shape()[0],
    );
    assert_eq!(width, weight.layout().shape()[1], "the inner axes agree");
    let few = rows <= FEW;
    let output = match weight.dtype() {
        DType::BF16 => {
            let (input, weight) = (input.to_contiguous(), weight.to_contiguous());
            shared(dense(&input), Weight::Half(dense(&weight)), width, few, out)
        }
        _ if few && weight.layout().is_contiguous() => shared(
            dense(&input.to_contiguous()),
            Weight::Whole(dense(weight)),
            width,
            few,
            out,
        ),
        _ => {
            let mut output = vec![0f32; rows * out];
            Matrix::plain(input)
                .times_on_all_cores(Matrix::plain(weight).transposed(), &mut output);
            output
        }
    };
    tensor_of(output, &[rows, out])
}

fn dense<E: burn::tensor::Element + bytemuck::Pod>(tensor: &FlexTensor) -> &[E] {
    let layout = tensor.layout();
    &tensor.storage::<E>()[layout.start_offset()..][..layout.num_elements()]
}

/// The gradient of the input: `dY W`.
pub(super) fn to_input(gradient: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    product(Matrix::plain(gradient), Matrix::plain(weight))
}

/// The gradient of the weight: `dYᵀ x`.
pub(super) fn to_weight(gradient: &FlexTensor, input: &FlexTensor) -> FlexTensor {
    product(Matrix::plain(gradient).transposed(), Matrix::plain(input))
}

fn product(left: Matrix, right: Matrix) -> FlexTensor {
    let mut output = vec![0f32; left.rows * right.columns];
    left.times_on_all_cores(right, &mut output);
    tensor_of(output, &[left.rows, right.columns])
}

/// Rows of a weight as they lie in memory.
#[derive(Clone, Copy)]
pub(super) enum Weight<'a> {
    Whole(&'a [f32]),
    Half(&'a [bf16]),
}

impl<'a> Weight<'a> {
    pub fn part(self, span: std::ops::Range<usize>) -> Self {
        match self {
            Weight::Whole(values) => Weight::Whole(&values[span]),
            Weight::Half(values) => Weight::Half(&values[span]),
        }
    }

    /// The first `count` values and the rest.
    #[inline(always)]
    pub fn split(self, count: usize) -> (Self, Self) {
        match self {
            Weight::Whole(values) => {
                let (first, rest) = values.split_at(count);
                (Weight::Whole(first), Weight::Whole(rest))
            }
            Weight::Half(values) => {
                let (first, rest) = values.split_at(count);
                (Weight::Half(first), Weight::Half(rest))
            }
        }
    }

    /// The bytes of the first `count` values, or of all where there are fewer.
    #[inline(always)]
    pub fn bytes(self, count: usize) -> &'a [u8] {
        match self {
            Weight::Whole(values) => bytemuck::cast_slice(&values[..count.min(values.len())]),
            Weight::Half(values) => bytemuck::cast_slice(&values[..count.min(values.len())]),
        }
    }

    /// Rows of `width` values in bf16, two in 32 bits: the first of two lies in the lower half.
    #[inline(always)]
    pub fn pairs(self, width: usize) -> Option<&'a [u32]> {
        match self {
            Weight::Half(values) if cfg!(target_endian = "little") && width.is_multiple_of(2) => {
                bytemuck::try_cast_slice(values).ok()
            }
            Weight::Half(_) | Weight::Whole(_) => None,
        }
    }

    /// As f32, in `room` unless they are.
    #[inline(always)]
    pub fn widened<'b>(self, room: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        match self {
            Weight::Whole(values) => values,
            Weight::Half(values) => {
                room.resize(values.len(), 0.0);
                for (wide, half) in room.iter_mut().zip(values) {
                    // bf16 is the upper half of an f32.
                    *wide = f32::from_bits(u32::from(half.to_bits()) << 16);
                }
                room
            }
        }
    }
}

/// Dense rows of input by a dense weight of `out` rows, which the cores share: `[rows, out]`.
fn shared(input: &[f32], weight: Weight, width: usize, few: bool, out: usize) -> Vec<f32> {
    let rows = input.len() / width.max(1);
    let dots = Dots::fit(weight, rows, width);
    let packed = (few && !dots).then(|| Packed::new(input, width));
    // Every core writes shares of its own: all rows, for some rows of the weight.
    let mut shares = vec![0f32; rows * out];
    let share = |(index, share): (usize, &mut [f32])| {
        let from = index * SHARE * width;
        let weight = weight.part(from..from + share.len() / rows * width);
        let multiply = |turned: &mut [f32]| match &packed {
            Some(input) => Arch::new().dispatch(Panels {
                input,
                weight,
                turned,
            }),
            None if dots => Arch::new().dispatch(Dots {
                input,
                weight,
                width,
                turned,
            }),
            None => many(input, weight.widened(&mut Vec::new()), width, turned),
        };
        if rows == 1 {
            return multiply(share);
        }
        let mut turned = vec![0f32; share.len()];
        multiply(&mut turned);
        for (row, line) in share.chunks_exact_mut(turned.len() / rows).enumerate() {
            for (value, products) in line.iter_mut().zip(turned.chunks_exact(rows)) {
                *value = products[row];
            }
        }
    };
    // What is read from memory counts as much as what is computed.
    if rows.max(READ) * width * out < ONE_CORE {
        shares.chunks_mut(SHARE * rows).enumerate().for_each(share);
    } else {
        shares
            .par_chunks_mut(SHARE * rows)
            .enumerate()
            .for_each(share);
    }
    if rows == 1 {
        return shares;
    }
    let mut output = vec![0f32; rows * out];
    for (index, share) in shares.chunks(SHARE * rows).enumerate() {
        let count = share.len() / rows;
        for (line, part) in output.chunks_exact_mut(out).zip(share.chunks_exact(count)) {
            line[index * SHARE..][..count].copy_from_slice(part);
        }
    }
    output
}

/// Some rows of the weight by all rows of the input, by the library.
fn many(input: &[f32], weight: &[f32], width: usize, turned: &mut [f32]) {
    let rows = input.len() / width;
    let input = Matrix::dense(input, rows, width).transposed();
    Matrix::dense(weight, weight.len() / width, width).times(input, turned, rows, false, 1.0);
}

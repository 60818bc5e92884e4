//! The values of one tensor: from a place in a file to numbers, in pieces, on all cores.
//!
//! Each core reads its piece and converts it at once, so nothing but the result has the size of the tensor.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use half::bf16;
use rayon::prelude::*;

use super::WeightsError;
use super::header::Place;

/// Values that a core takes at once: half a megabyte of f32 stays in its cache.
const PIECE: usize = 1 << 17;

/// The dtypes that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Four bytes.
    F32,
    /// Two bytes, five of them exponent.
    F16,
    /// Two bytes, the upper half of an f32.
    BF16,
}

impl Dtype {
    /// The dtype that safetensors calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Dtype::F32),
            "F16" => Some(Dtype::F16),
            "BF16" => Some(Dtype::BF16),
            _ => None,
        }
    }

    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
        }
    }
}

/// Why values could not be read.
#[derive(Debug)]
pub enum ValuesProblem {
    /// The file was cut, or the disk failed.
    Read(std::io::Error),
    /// Some value is not finite.
    NotFinite,
}

impl ValuesProblem {
    /// The error about the tensor called `name`.
    pub fn about(self, name: &str) -> WeightsError {
        match self {
            ValuesProblem::Read(error) => WeightsError::Read {
                name: name.to_owned(),
                what: error.to_string(),
            },
            ValuesProblem::NotFinite => WeightsError::NotFinite(name.to_owned()),
        }
    }
}

/// The values of a tensor as f32, all of them finite.
///
/// # Errors
///
/// When the file was cut, or a value is not finite.
pub fn read_f32(file: &File, place: &Place, dtype: Dtype) -> Result<Vec<f32>, ValuesProblem> {
    let mut values = vec![0f32; place.count];
    let finite = AtomicBool::new(true);
    let read = |(piece, values): (usize, &mut [f32])| {
        let at = place.start + (piece * PIECE * dtype.bytes()) as u64;
        let good = match dtype {
            Dtype::F32 => {
                file.read_exact_at(bytemuck::cast_slice_mut(values), at)?;
                values
                    .iter_mut()
                    .for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
                all_finite(values)
            }
            Dtype::BF16 => {
                let halves = read_halves(file, at, values.len())?;
                for (value, half) in values.iter_mut().zip(&halves) {
                    *value = f32::from_bits(u32::from(*half) << 16);
                }
                all_finite(values)
            }
            Dtype::F16 => {
                let halves = read_halves(file, at, values.len())?;
                for (value, half) in values.iter_mut().zip(&halves) {
                    *value = half::f16::from_bits(*half).to_f32();
                }
                all_finite(values)
            }
        };
        if !good {
            finite.store(false, Ordering::Relaxed);
        }
        Ok(())
    };
    values
        .par_chunks_mut(PIECE)
        .enumerate()
        .try_for_each(read)
        .map_err(ValuesProblem::Read)?;
    if finite.into_inner() {
        Ok(values)
    } else {
        Err(ValuesProblem::NotFinite)
    }
}

/// The values of a tensor that is stored as bf16, all of them finite.
///
/// # Errors
///
/// When the file was cut, or a value is not finite.
pub fn read_bf16(file: &File, place: &Place) -> Result<Vec<bf16>, ValuesProblem> {
    let mut values = vec![bf16::ZERO; place.count];
    let finite = AtomicBool::new(true);
    let read = |(piece, values): (usize, &mut [bf16])| {
        file.read_exact_at(
            bytemuck::cast_slice_mut(values),
            place.start + (piece * 2 * PIECE) as u64,
        )?;
        values
            .iter_mut()
            .for_each(|value| *value = bf16::from_bits(u16::from_le(value.to_bits())));
        // A value is not finite when all bits of its exponent are set.
        let largest = values
            .iter()
            .fold(0, |largest, value| largest.max(value.to_bits() & 0x7fff));
        if largest >= 0x7f80 {
            finite.store(false, Ordering::Relaxed);
        }
        Ok(())
    };
    values
        .par_chunks_mut(PIECE)
        .enumerate()
        .try_for_each(read)
        .map_err(ValuesProblem::Read)?;
    if finite.into_inner() {
        Ok(values)
    } else {
        Err(ValuesProblem::NotFinite)
    }
}

fn read_halves(file: &File, at: u64, count: usize) -> std::io::Result<Vec<u16>> {
    let mut halves = vec![0u16; count];
    file.read_exact_at(bytemuck::cast_slice_mut(&mut halves), at)?;
    halves
        .iter_mut()
        .for_each(|half| *half = u16::from_le(*half));
    Ok(halves)
}

/// Without a branch in the loop, so that it is done many values at a time.
fn all_finite(values: &[f32]) -> bool {
    let largest = values.iter().fold(0, |largest, value| {
        largest.max(value.to_bits() & 0x7fff_ffff)
    });
    largest < 0x7f80_0000
}

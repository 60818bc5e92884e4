//! Frozen weights in four bits: NF4 with double quantization (Dettmers et al., QLoRA, arXiv 2305.14314).
//!
//! 64 weights share a scale, their largest absolute value; what is left is the nearest of 16 numbers, the quantiles of
//! a normal distribution. 256 scales share a mean and a span, and are kept as bytes. So a weight takes 4.13 bits.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::CausalLm;
use super::cache::Cache;
use super::decoder::{Block, Context};
use super::origin::Origin;
use super::weights::Path;

/// Weights that share a scale.
const BLOCK: usize = 64;
/// Scales that share a mean and a span.
const SCALES: usize = 256;

/// The values of NF4 (appendix E of the paper).
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// A matrix in four bits.
#[derive(Clone, Debug)]
pub struct FourBit {
    shape: [usize; 2],
    /// Two weights a byte, the first in the low half.
    codes: Vec<u8>,
    /// One a block.
    scales: Vec<i8>,
    /// Mean and span of each 256 scales.
    spans: Vec<(f32, f32)>,
}

impl FourBit {
    /// Rounds `values`, row by row.
    pub fn quantize(values: &[f32], shape: [usize; 2]) -> Self {
        let scales: Vec<f32> = values.par_chunks(BLOCK).map(largest).collect();
        let (mut short, mut spans) = (Vec::with_capacity(scales.len()), Vec::new());
        for scales in scales.chunks(SCALES) {
            let mean = scales.iter().sum::<f32>() / scales.len() as f32;
            let span = scales
                .iter()
                .fold(0f32, |most, scale| most.max((scale - mean).abs()));
            let steps = if span > 0.0 { 127.0 / span } else { 0.0 };
            short.extend(
                scales
                    .iter()
                    .map(|scale| ((scale - mean) * steps).round() as i8),
            );
            spans.push((mean, span));
        }
        let mut rounded = FourBit {
            shape,
            codes: vec![0; values.len().div_ceil(2)],
            scales: short,
            spans,
        };
        let mut codes = std::mem::take(&mut rounded.codes);
        let blocks = codes
            .par_chunks_mut(BLOCK / 2)
            .zip(values.par_chunks(BLOCK))
            .enumerate();
        blocks.for_each(|(block, (codes, values))| {
            let scale = rounded.scale(block);
            let share = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            for (code, pair) in codes.iter_mut().zip(values.chunks(2)) {
                let high = pair.get(1).map_or(0, |value| nearest(value * share));
                *code = nearest(pair[0] * share) | high << 4;
            }
        });
        rounded.codes = codes;
        rounded
    }

    /// The rounded values, row by row.
    pub fn values(&self) -> Vec<f32> {
        let mut values = vec![0f32; self.shape[0] * self.shape[1]];
        let blocks = values
            .par_chunks_mut(BLOCK)
            .zip(self.codes.par_chunks(BLOCK / 2))
            .enumerate();
        blocks.for_each(|(block, (values, codes))| {
            let scale = self.scale(block);
            let table = NF4.map(|value| value * scale);
            for (pair, code) in values.chunks_mut(2).zip(codes) {
                pair[0] = table[usize::from(code & 15)];
                if let Some(second) = pair.get_mut(1) {
                    *second = table[usize::from(code >> 4)];
                }
            }
        });
        values
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.codes.len() + self.scales.len() + 8 * self.spans.len()
    }

    fn scale(&self, block: usize) -> f32 {
        let (mean, span) = self.spans[block / SCALES];
        (mean + f32::from(self.scales[block]) * span / 127.0).max(0.0)
    }
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0f32, |most, value| most.max(value.abs()))
}

/// The index of the nearest value of the table.
fn nearest(value: f32) -> u8 {
    NF4.windows(2)
        .filter(|pair| value > 0.5 * (pair[0] + pair[1]))
        .count() as u8
}

/// The linear maps of all blocks of a model in four bits, by the names of their weights.
#[derive(Clone, Debug)]
pub struct Nf4Blocks {
    matrices: BTreeMap<String, FourBit>,
    device: Device,
}

impl Nf4Blocks {
    /// Takes the linear maps out of the blocks of `model`, one after the other; what stays behind has no size.
    pub fn take(mut model: CausalLm, device: &Device) -> (CausalLm, Self) {
        let mut taker = Taker {
            path: Path::default(),
            matrices: BTreeMap::new(),
            device,
        };
        let take = |(index, block): (usize, Block)| {
            taker.path.enter(&format!("model.layers.{index}"));
            let block = block.map(&mut taker);
            taker.path.exit();
            block
        };
        model.model.layers = model
            .model
            .layers
            .into_iter()
            .enumerate()
            .map(take)
            .collect();
        (
            model,
            Nf4Blocks {
                matrices: taker.matrices,
                device: device.clone(),
            },
        )
    }

    /// A block of the model whose linear maps were taken, with their rounded values.
    pub fn block(&self, model: &CausalLm, index: usize) -> Block {
        let mut path = Path::default();
        path.enter(&format!("model.layers.{index}"));
        model.model.layers[index]
            .clone()
            .map(&mut Giver { path, blocks: self })
    }

    /// As [`CausalLm::hidden`], for a model whose linear maps were taken: one block at a time is unpacked.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    pub fn hidden(
        &self,
        model: &CausalLm,
        tokens: Tensor<2, Int>,
        context: &Context,
        mut cache: Option<&mut Cache>,
    ) -> Tensor<3> {
        let mut hidden = model.embed(tokens);
        for index in 0..model.model.layers.len() {
            let layer = cache.as_deref_mut().map(|cache| &mut cache.layers[index]);
            hidden = self.block(model, index).forward(hidden, context, layer);
        }
        model.model.norm.forward(hidden)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.matrices.values().map(FourBit::bytes).sum()
    }
}

/// Rounds the linear maps of a model while it is built, so that they are never all in memory as they were.
pub struct Rounding<'a, O> {
    origin: &'a mut O,
    blocks: Nf4Blocks,
}

impl<'a, O: Origin> Rounding<'a, O> {
    /// Rounds what `origin` gives.
    pub fn new(origin: &'a mut O, device: &Device) -> Self {
        Rounding {
            origin,
            blocks: Nf4Blocks {
                matrices: BTreeMap::new(),
                device: device.clone(),
            },
        }
    }

    /// What was rounded.
    pub fn blocks(self) -> Nf4Blocks {
        self.blocks
    }
}

impl<O: Origin> Origin for Rounding<'_, O> {
    type Error = O::Error;

    fn matrix(
        &mut self,
        name: &str,
        shape: [usize; 2],
        scale: f64,
    ) -> Result<Tensor<2>, Self::Error> {
        let weight = self.origin.matrix(name, shape, scale)?;
        if !is_linear(name) {
            return Ok(weight);
        }
        self.blocks
            .matrices
            .insert(name.to_owned(), rounded(weight));
        Ok(Tensor::zeros([1, 1], &self.blocks.device))
    }

    fn vector(&mut self, name: &str, length: usize, start: f32) -> Result<Tensor<1>, Self::Error> {
        self.origin.vector(name, length, start)
    }
}

/// Whether the weight called `name` is the matrix of a linear map of a block.
fn is_linear(name: &str) -> bool {
    name.ends_with("_proj.weight")
}

fn rounded<const D: usize>(weight: Tensor<D>) -> FourBit {
    let shape = [weight.dims()[0], weight.dims()[1]];
    let data = weight.cast(DType::F32).into_data();
    FourBit::quantize(data.as_slice().expect("cast to f32"), shape)
}

struct Taker<'a> {
    path: Path,
    matrices: BTreeMap<String, FourBit>,
    device: &'a Device,
}

impl ModuleMapper for Taker<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        if !is_linear(&name) {
            return param;
        }
        let (id, weight, mapper) = param.consume();
        self.matrices.insert(name, rounded(weight));
        Param::from_mapped_value(id, Tensor::zeros([1; D], self.device), mapper)
    }
}

struct Giver<'a> {
    path: Path,
    blocks: &'a Nf4Blocks,
}

impl ModuleMapper for Giver<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(packed) = self.blocks.matrices.get(&self.path.name()) else {
            return param;
        };
        let (id, weight, mapper) = param.consume();
        let data = TensorData::new(packed.values(), packed.shape.to_vec());
        let dense = Tensor::from_data(data, (&self.blocks.device, weight.dtype()));
        Param::from_mapped_value(id, dense, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelConfig;
    use crate::origin::Draw;
    use crate::weights::to_host;

    #[test]
    fn values_of_the_table_come_back_and_others_move_to_the_nearest() {
        let values: Vec<f32> = NF4.iter().map(|value| 0.5 * value).collect();
        assert_eq!(FourBit::quantize(&values, [2, 8]).values(), values);
        assert_eq!(nearest(0.04), 8);
        assert_eq!(nearest(0.039), 7);
        assert_eq!(nearest(-0.9), 0);
    }

    #[test]
    fn a_weight_takes_less_than_four_and_a_fifth_bits_and_is_off_by_a_tenth() {
        let weights = to_host(&CausalLm::new(&ModelConfig::default(), 7, &Device::flex()));
        let tensor = &weights["model.layers.0.mlp.up_proj.weight"];
        let packed = FourBit::quantize(&tensor.values, [512, 192]);
        assert!(
            packed.bytes() as f64 * 8.0 / ((512 * 192) as f64) < 4.2,
            "{} bytes",
            packed.bytes()
        );
        let square = |values: &mut dyn Iterator<Item = f32>| {
            values.map(|value| f64::from(value).powi(2)).sum::<f64>()
        };
        let far = square(
            &mut packed
                .values()
                .iter()
                .zip(&tensor.values)
                .map(|(one, other)| one - other),
        );
        let all = square(&mut tensor.values.iter().copied());
        assert!((far / all).sqrt() < 0.1, "{}", (far / all).sqrt());
    }

    #[test]
    fn a_taken_block_comes_back_rounded_and_its_norms_as_they_were() {
        let device = Device::flex();
        let model = CausalLm::new(&ModelConfig::default(), 7, &device);
        let before = model.model.layers[2]
            .self_attn
            .k_proj
            .weight
            .val()
            .into_data();
        let (left, packed) = Nf4Blocks::take(model, &device);
        assert_eq!(left.model.layers[2].self_attn.k_proj.weight.dims(), [1, 1]);
        let after = packed
            .block(&left, 2)
            .self_attn
            .k_proj
            .weight
            .val()
            .into_data();
        let pairs = before
            .as_slice::<f32>()
            .expect("f32")
            .iter()
            .zip(after.as_slice::<f32>().expect("f32"));
        assert!(
            pairs.clone().count() == 64 * 192
                && pairs.clone().all(|(one, other)| (one - other).abs() < 0.02)
        );
        assert_eq!(packed.block(&left, 2).input_layernorm.weight.dims(), [192]);
    }

    #[test]
    fn a_model_that_is_rounded_while_it_is_built_is_the_one_that_is_rounded_afterwards() {
        let (device, shape) = (Device::flex(), ModelConfig::default());
        let mut origin = Draw::new(7, &device);
        let mut rounding = Rounding::new(&mut origin, &device);
        let Ok(one) = CausalLm::build(&shape, &mut rounding);
        let blocks = rounding.blocks();
        let (other, again) = Nf4Blocks::take(CausalLm::new(&shape, 7, &device), &device);
        assert_eq!(to_host(&one), to_host(&other));
        let values = |block: Block| block.mlp.down_proj.weight.val().into_data();
        assert_eq!(
            values(blocks.block(&one, 3)),
            values(again.block(&other, 3))
        );
    }
}

//! LoRA: low-rank updates of frozen weights (Hu et al., arXiv 2106.09685): `y = x Wᵀ + b + s · (x Aᵀ) Bᵀ`.
//!
//! The dense product `B A` is never made while training: a gradient goes through two thin matrices, and the frozen
//! weight gets none.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::decoder::Block;
use super::linear::Linear;
use super::{CausalLm, ModelConfig};

/// What is added, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Rows of A and columns of B; 0 trains all weights instead.
    pub rank: usize,
    /// The addition is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Share of the inputs of A that are left out at random while training.
    pub dropout: f64,
    /// The linear maps of a block that get an addition, by the names of Hugging Face.
    pub targets: Vec<String>,
    /// Scaled by `alpha / √rank` instead (rsLoRA, arXiv 2312.03732).
    pub rslora: bool,
    /// Whether the frozen linear maps are kept in 4 bits (QLoRA, arXiv 2305.14314).
    pub four_bit: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        LoraConfig {
            rank: 0,
            alpha: 32.0,
            dropout: 0.0,
            targets: LINEARS.map(|(_, name)| name.to_owned()).to_vec(),
            rslora: false,
            four_bit: false,
        }
    }
}

/// The linear maps of a block: the module they are in, and their name.
pub const LINEARS: [(&str, &str); 7] = [
    ("self_attn", "q_proj"),
    ("self_attn", "k_proj"),
    ("self_attn", "v_proj"),
    ("self_attn", "o_proj"),
    ("mlp", "gate_proj"),
    ("mlp", "up_proj"),
    ("mlp", "down_proj"),
];

impl LoraConfig {
    /// Why it cannot be, if it cannot.
    pub fn problem(&self) -> Option<String> {
        let known = |target: &String| LINEARS.iter().any(|(_, name)| name == target);
        if let Some(target) = self.targets.iter().find(|target| !known(target)) {
            let names = LINEARS.map(|(_, name)| name).join("`, `");
            return Some(format!(
                "`targets` names `{target}`, but a block has `{names}`"
            ));
        }
        if self.rank > 0 && self.targets.is_empty() {
            return Some("`targets` is empty, so nothing would be trained".into());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Some(format!(
                "`dropout` is {}, but must be at least 0 and below 1",
                self.dropout
            ));
        }
        if self.four_bit && self.rank == 0 {
            return Some(
                "`four_bit` freezes the model, and without a `rank` nothing would be trained"
                    .into(),
            );
        }
        None
    }

    /// The factor of the addition.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// Trained weights for a model of `shape`.
    pub fn parameters(&self, shape: &ModelConfig) -> usize {
        let one = |name: &str| {
            let [output, input] = linear_shape(shape, name);
            self.rank * (output + input)
        };
        shape.num_hidden_layers * self.targets.iter().map(|name| one(name)).sum::<usize>()
    }
}

/// `[d_output, d_input]` of a linear map by its name.
pub fn linear_shape(shape: &ModelConfig, name: &str) -> [usize; 2] {
    let (width, wide) = (shape.hidden_size, shape.intermediate_size);
    let heads = |count: usize| count * shape.head_dim;
    match name {
        "q_proj" => [heads(shape.num_attention_heads), width],
        "k_proj" | "v_proj" => [heads(shape.num_key_value_heads), width],
        "o_proj" => [width, heads(shape.num_attention_heads)],
        "gate_proj" | "up_proj" => [wide, width],
        _ => [width, wide],
    }
}

/// The addition to one linear map.
#[derive(Module, Debug)]
pub struct Lora {
    /// `[rank, d_input]`
    pub lora_a: Param<Tensor<2>>,
    /// `[d_output, rank]`; zeros at first, so that training starts from the model as it is.
    pub lora_b: Param<Tensor<2>>,
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    dropout: Dropout,
}

/// Which inputs are left out.
#[derive(Clone, Copy, Debug, Default)]
struct Dropout {
    share: f64,
    /// None outside of training.
    key: Option<u64>,
}

impl Lora {
    /// A from the uniform distribution over ±1/√d_input, as PEFT draws it; B is zero.
    fn new(config: &LoraConfig, [output, input]: [usize; 2], key: u64, device: &Device) -> Self {
        let bound = 1.0 / (input as f64).sqrt();
        let value = |at: u64| {
            ((data::draw::bits(key, at) >> 11) as f64 / (1u64 << 52) as f64 - 1.0) * bound
        };
        let values: Vec<f32> = (0..(config.rank * input) as u64)
            .map(|at| value(at) as f32)
            .collect();
        let a = Tensor::from_data(TensorData::new(values, [config.rank, input]), device);
        Lora {
            lora_a: Param::from_tensor(a),
            lora_b: Param::from_tensor(Tensor::zeros([output, config.rank], device)),
            scale: config.scale(),
            dropout: Dropout {
                share: config.dropout,
                key: None,
            },
        }
    }

    /// `output + s · (input Aᵀ) Bᵀ`.
    ///
    /// # Shapes
    ///
    /// - input: `[rows, d_input]`
    /// - output: `[rows, d_output]`
    pub fn add_to(&self, input: Tensor<2>, output: Tensor<2>) -> Tensor<2> {
        let low = self.dropped(input).matmul(self.lora_a.val().transpose());
        output + low.matmul(self.lora_b.val().transpose()) * self.scale
    }

    /// The input with some of its numbers left out and the others made larger in turn, by a mask that is a function of
    /// the key: what is computed again for the backward pass is the same.
    fn dropped(&self, input: Tensor<2>) -> Tensor<2> {
        let (
            Dropout {
                share,
                key: Some(key),
            },
            [rows, width],
        ) = (self.dropout, input.dims())
        else {
            return input;
        };
        let least = (share * (1u64 << 32) as f64) as u64;
        let kept = (1.0 / (1.0 - share)) as f32;
        // One draw serves two numbers.
        let pair = |at: u64| {
            let bits = data::draw::bits(key, at);
            [bits >> 32, bits & 0xffff_ffff].map(|half| if half < least { 0.0 } else { kept })
        };
        let mut mask: Vec<f32> = (0..(rows * width).div_ceil(2) as u64)
            .flat_map(pair)
            .collect();
        mask.truncate(rows * width);
        let mask = Tensor::<2>::from_data(
            TensorData::new(mask, [rows, width]),
            &input.device().inner(),
        );
        input.clone()
            * if input.is_autodiff() {
                mask.autodiff()
            } else {
                mask
            }
    }

    /// `s · B A`, `[d_output, d_input]`.
    fn dense(&self) -> Tensor<2> {
        self.lora_b.val().matmul(self.lora_a.val()) * self.scale
    }
}

/// The linear maps of a block, as in [`LINEARS`].
pub fn linears(block: &mut Block) -> [&mut Linear; 7] {
    let (attention, mlp) = (&mut block.self_attn, &mut block.mlp);
    [
        &mut attention.q_proj,
        &mut attention.k_proj,
        &mut attention.v_proj,
        &mut attention.o_proj,
        &mut mlp.gate_proj,
        &mut mlp.up_proj,
        &mut mlp.down_proj,
    ]
}

/// Whether a weight with this name belongs to an addition.
pub fn is_lora(name: &str) -> bool {
    name.ends_with(".lora_a") || name.ends_with(".lora_b")
}

/// The model with new additions at all targets, drawn from `seed`.
pub fn with_lora(
    mut model: CausalLm,
    shape: &ModelConfig,
    config: &LoraConfig,
    seed: u64,
    device: &Device,
) -> CausalLm {
    for (layer, block) in model.model.layers.iter_mut().enumerate() {
        for (at, (linear, (_, name))) in linears(block).into_iter().zip(LINEARS).enumerate() {
            if config.targets.iter().any(|target| target == name) {
                let key = data::draw::key(seed, &[0x10a4, layer as u64, at as u64]);
                linear.lora = Some(Lora::new(config, linear_shape(shape, name), key, device));
            }
        }
    }
    model
}

/// Whether a block has an addition.
pub fn has_lora(model: &CausalLm) -> bool {
    let with = |block: &Block| {
        let (attention, mlp) = (&block.self_attn, &block.mlp);
        let all = [
            &attention.q_proj,
            &attention.k_proj,
            &attention.v_proj,
            &attention.o_proj,
        ];
        all.into_iter()
            .chain([&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj])
            .any(|linear| linear.lora.is_some())
    };
    model.model.layers.first().is_some_and(with)
}

/// The block with a dropout that follows from `key`; without a key nothing is left out.
pub fn with_dropout(mut block: Block, key: Option<u64>) -> Block {
    for (at, linear) in linears(&mut block).into_iter().enumerate() {
        if let Some(lora) = linear.lora.as_mut().filter(|lora| lora.dropout.share > 0.0) {
            lora.dropout.key = key.map(|key| data::draw::key(key, &[at as u64]));
        }
    }
    block
}

/// The model with its additions added to its weights, in the precision of the weights.
pub fn merged(mut model: CausalLm) -> CausalLm {
    for block in &mut model.model.layers {
        for linear in linears(block) {
            if let Some(lora) = linear.lora.take() {
                linear.weight = linear.weight.clone().map(|weight| weight + lora.dense());
            }
        }
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::to_host;

    fn small() -> ModelConfig {
        ModelConfig {
            vocab_size: 16,
            hidden_size: 64,
            num_hidden_layers: 2,
            ..ModelConfig::default()
        }
    }

    fn numbers(shape: [usize; 2], seed: u64) -> Tensor<2> {
        let count = (shape[0] * shape[1]) as u64;
        let values: Vec<f32> = (0..count)
            .map(|at| (data::draw::bits(seed, at) >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
            .collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn a_new_addition_changes_nothing_and_a_merged_one_what_it_added() {
        let (shape, device) = (small(), Device::flex());
        let config = LoraConfig {
            rank: 4,
            targets: vec!["up_proj".into()],
            ..LoraConfig::default()
        };
        let plain = CausalLm::new(&shape, 7, &device);
        let mut model = with_lora(plain.clone(), &shape, &config, 7, &device);
        assert!(has_lora(&model) && !has_lora(&plain));
        let input = numbers([3, 64], 1).unsqueeze::<3>();
        let values = |model: &CausalLm| {
            let out = model.model.layers[1].mlp.up_proj.forward(input.clone());
            out.into_data().try_to_vec::<f32>().expect("f32")
        };
        assert_eq!(values(&model), values(&plain));

        let lora = model.model.layers[1]
            .mlp
            .up_proj
            .lora
            .as_mut()
            .expect("a target");
        lora.lora_b = Param::from_tensor(numbers([512, 4], 2));
        let (added, merged) = (values(&model), values(&merged(model)));
        assert_ne!(added, values(&plain));
        assert!(
            added
                .iter()
                .zip(&merged)
                .all(|(one, other)| (one - other).abs() < 1e-4)
        );
    }

    #[test]
    fn only_targets_have_additions_and_their_number_is_as_planned() {
        let (shape, device) = (small(), Device::flex());
        let config = LoraConfig {
            rank: 4,
            ..LoraConfig::default()
        };
        let model = with_lora(
            CausalLm::new(&shape, 7, &device),
            &shape,
            &config,
            7,
            &device,
        );
        let trained: usize = to_host(&model)
            .iter()
            .filter(|(name, _)| is_lora(name))
            .map(|(_, tensor)| tensor.values.len())
            .sum();
        assert_eq!(trained, config.parameters(&shape));
    }

    #[test]
    fn dropout_leaves_out_its_share_and_always_the_same() {
        let config = LoraConfig {
            rank: 4,
            dropout: 0.25,
            ..LoraConfig::default()
        };
        let mut lora = Lora::new(&config, [64, 64], 7, &Device::flex());
        lora.dropout.key = Some(3);
        let drop = || {
            lora.dropped(Tensor::ones([100, 64], &Device::flex()))
                .into_data()
        };
        let values = drop().try_to_vec::<f32>().expect("f32");
        let out = values.iter().filter(|value| **value == 0.0).count();
        assert!((1500..1700).contains(&out), "{out} of 6400");
        assert!(
            values
                .iter()
                .all(|value| *value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6)
        );
        assert_eq!(drop(), drop());
    }
}

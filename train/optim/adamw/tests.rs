//! What every kind of state does to a small model.

use super::*;
use model::ModelConfig;
use model::weights::to_host;

fn tiny() -> CausalLm {
    let shape = ModelConfig {
        vocab_size: 16,
        hidden_size: 8,
        intermediate_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 4,
        ..ModelConfig::default()
    };
    CausalLm::new(&shape, 7, &Device::flex())
}

fn adamw(state: StateKind) -> AdamW {
    AdamW::new(OptimizerConfig {
        state,
        lr: 1e-2,
        ..OptimizerConfig::default()
    })
}

/// Gradients that look random, another set each step.
fn gradients_of(model: &CausalLm, step: u64) -> NamedGradients {
    let device = Device::flex();
    let random = |seed: u64, at: usize| {
        (data::draw::bits(seed, at as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    to_host(model)
        .into_iter()
        .enumerate()
        .map(|(index, (name, tensor))| {
            let count = tensor.values.len();
            let values: Vec<f32> = (0..count)
                .map(|at| random(step << 8 | index as u64, at))
                .collect();
            (
                name,
                Tensor::from_data(TensorData::new(values, [count]), &device),
            )
        })
        .collect()
}

fn after(optimizer: &mut AdamW, mut model: CausalLm, steps: std::ops::Range<u64>) -> CausalLm {
    for step in steps {
        let gradients = gradients_of(&model, step);
        model = optimizer.step(model, gradients, 1e-2).0;
    }
    model
}

#[test]
fn adamw_is_the_textbook_formula() {
    let (model, mut optimizer) = (tiny(), adamw(StateKind::Float32));
    let (name, before) = to_host(&model).into_iter().next().expect("a weight");
    let gradients: Vec<NamedGradients> = (0..2).map(|step| gradients_of(&model, step)).collect();
    let clip: Vec<f32> = gradients
        .iter()
        .map(|all| 1.0 / (global_norm(all).expect("gradients").into_scalar::<f32>() + 1e-6))
        .collect();
    let one: Vec<f32> = gradients
        .iter()
        .map(|all| all[&name].to_data().as_slice::<f32>().expect("f32")[3])
        .collect();
    let (mut weight, mut first, mut second) = (before.values[3], 0f32, 0f32);
    for (at, (gradient, clip)) in one.iter().zip(clip).enumerate() {
        let (gradient, updates) = (gradient * clip, at as i32 + 1);
        first = 0.9 * first + 0.1 * gradient;
        second = 0.95 * second + 0.05 * gradient * gradient;
        let (m, v) = (
            first / (1.0 - 0.9f32.powi(updates)),
            second / (1.0 - 0.95f32.powi(updates)),
        );
        weight = weight * (1.0 - 1e-2 * 0.1) - 1e-2 * m / (v.sqrt() + 1e-8);
    }
    let trained = to_host(&after(&mut optimizer, model, 0..2));
    let got = trained[&name].values[3];
    assert!((got - weight).abs() < 1e-6, "{got} is not {weight}");
}

#[test]
fn eight_bits_follow_thirty_two_closely() {
    let start = tiny();
    let whole = to_host(&after(&mut adamw(StateKind::Float32), start.clone(), 0..20));
    let short = to_host(&after(
        &mut adamw(StateKind::EightBit),
        start.clone(),
        0..20,
    ));
    let before = to_host(&start);
    let (mut gap, mut moved) = (0f64, 0f64);
    for (name, tensor) in &whole {
        for (at, value) in tensor.values.iter().enumerate() {
            gap += f64::from(value - short[name].values[at]).powi(2);
            moved += f64::from(value - before[name].values[at]).powi(2);
        }
    }
    assert!(
        gap < 0.02 * moved,
        "the weights are {} apart, having moved {}",
        gap.sqrt(),
        moved.sqrt()
    );
}

/// What is left on disk by an optimizer, and the optimizer that it becomes.
fn again(
    optimizer: &AdamW,
    name: &str,
    config: OptimizerConfig,
) -> (Vec<u8>, anyhow::Result<AdamW>) {
    let folder =
        std::env::temp_dir().join(format!("train-optimizer-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let written = optimizer.write(&folder).expect("writes");
    let bytes = std::fs::read(folder.join(&written.name)).expect("reads");
    assert_eq!(
        (
            bytes.len() as u64,
            blake3::hash(&bytes).to_hex().to_string()
        ),
        (written.bytes, written.blake3)
    );
    let read = AdamW::read(config, &folder, optimizer.updates(), &Device::flex());
    std::fs::remove_dir_all(&folder).ok();
    (bytes, read)
}

#[test]
fn every_state_comes_back_from_disk_and_goes_on_bit_for_bit() {
    for kind in [StateKind::Float32, StateKind::EightBit, StateKind::Factored] {
        let mut optimizer = adamw(kind);
        let model = after(&mut optimizer, tiny(), 0..3);
        let name = format!("{kind:?}");
        let mut read = again(&optimizer, &name, optimizer.config.clone())
            .1
            .expect("reads");
        assert_eq!(
            to_host(&after(&mut read, model.clone(), 3..5)),
            to_host(&after(&mut optimizer, model, 3..5))
        );
        assert_eq!(
            again(&read, &name, read.config.clone()).0,
            again(&optimizer, &name, optimizer.config.clone()).0
        );
    }
}

#[test]
fn a_state_of_another_kind_is_refused() {
    let mut optimizer = adamw(StateKind::Float32);
    after(&mut optimizer, tiny(), 0..1);
    let other = OptimizerConfig {
        state: StateKind::EightBit,
        ..OptimizerConfig::default()
    };
    let said = format!(
        "{:#}",
        again(&optimizer, "other", other)
            .1
            .map(|_| ())
            .expect_err("is refused")
    );
    assert!(
        said.contains("hint") && said.contains("optimizer.state"),
        "{said}"
    );
}

#[test]
fn changes_too_small_for_sixteen_bits_add_up_in_the_master_weights() {
    struct Half;
    impl ModuleMapper for Half {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|weight| weight.cast(DType::BF16))
        }
    }
    let mut model = tiny().map(&mut Half);
    let norm = |model: &CausalLm| model.model.norm.weight.val().cast(DType::F32).into_data();
    // Half a step of bfloat16 below 1 is 1/512; each update is a tenth of that.
    let mut optimizer = AdamW::new(OptimizerConfig {
        weight_decay: 0.0,
        ..OptimizerConfig::default()
    });
    let one = Tensor::<1>::ones([8], &Device::flex());
    let mut seen = Vec::new();
    for _ in 0..20 {
        let gradients = NamedGradients::from([("model.norm.weight".to_owned(), one.clone())]);
        model = optimizer.step(model, gradients, 2e-4).0;
        seen.push(norm(&model).as_slice::<f32>().expect("f32")[0]);
    }
    assert_eq!(seen[0], 1.0);
    assert!(seen[19] < 1.0, "{seen:?}");
}

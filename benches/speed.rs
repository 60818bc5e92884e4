//! Tokens per second of training and of decoding, for the model of `configs/quickstart.toml` on this CPU.
use std::time::Instant;
use burn::tensor::Device;
use train::batch::{Batch, Row};
use train::loss::cross_entropy::cross_entropy;
use train::model::decoder::rope_of;
use train::model::{CausalLm, Context, ModelConfig};
use train::optim::{AdamW, OptimizerConfig, gradients, tracked};
fn main() {
    let device = Device::flex();
    let config = ModelConfig::default();
    let mut model = tracked(CausalLm::new(&config, 1, &device));
    let rope = rope_of(&config, &device);
    let mut adam = AdamW::new(OptimizerConfig::default());
    let all = std::env::args().any(|a| a == "all");
    let rows: Vec<Row> = (0..32u32).map(|r| {
        let tokens: Vec<u32> = (0..257u32).map(|i| (i * 7 + r * 13) % 2048).collect();
        let mask = (0..257).map(|i| all || i > 240).collect();
        Row::from_sample(&data::Sample::new(tokens, mask, "x").unwrap(), 0.0)
    }).collect();
    for step in 0..6 {
        let t = Instant::now();
        let batch = Batch::new(&rows, &device);
        let turn = rope.at(batch.positions.clone()).tracked();
        let context = Context { turn, bias: batch.bias.clone().autodiff() };
        let hidden = model.hidden(batch.inputs.clone().autodiff(), &context, None);
        let [b, s, d] = hidden.dims();
        let picked = hidden.reshape([b * s, d]).select(0, batch.predictors.clone().autodiff());
        let loss = cross_entropy(model.logits(picked), batch.targets.clone().autodiff(), batch.weights.clone().autodiff(), batch.weight);
        let f = t.elapsed();
        let value: f32 = loss.clone().inner().into_scalar();
        let grads = gradients(&model, loss.backward());
        let g = t.elapsed();
        let (m, norm) = adam.step(model, grads, 1e-3);
        model = m;
        let e = t.elapsed();
        println!("{step} loss {value:.3} norm {norm:.3} fwd {f:?} bwd {:?} opt {:?} tok/s {:.0}", g - f, e - g, batch.tokens as f64 / e.as_secs_f64());
    }
}

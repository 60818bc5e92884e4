//! Gradients of a model: through one graph of all blocks, or block by block.
//!
//! Block by block, the forward pass keeps the input of each block and nothing else; the backward pass computes a block
//! again from its input, and goes back through that block alone (activation checkpointing, Chen et al.,
//! arXiv 1604.06174). What is alive is one vector a token and block, and the intermediates of one block, for one more
//! forward pass. The gradients are those of the whole graph.
//!
//! In both cases the logits are never alive all at once: see [`crate::loss::chunked`].

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor};

use crate::loss::chunked::{HeadLoss, Projected, project};
use crate::optim::{NamedGradients, accumulate, add_named, gradients};
use crate::trainer::batch::Batch;
use model::CausalLm;
use model::decoder::Block;
use model::lora::{has_lora, is_lora, with_dropout};
use model::nf4::Nf4Blocks;
use model::rope::Rope;
use model::weights::Path;

/// A model on its way to be changed: all of its weights, or its LoRA weights when it has some.
#[derive(Clone, Copy)]
pub struct Learner<'a> {
    /// Its weights.
    pub model: &'a CausalLm,
    /// Its linear maps, when they were taken out of the model.
    pub frozen: Option<&'a Nf4Blocks>,
    /// Its rotary tables.
    pub rope: &'a Rope,
    /// Whether activations are computed again instead of kept. With weights in four bits they always are.
    pub checkpointing: bool,
}

impl<'a> Learner<'a> {
    /// All weights of `model`, through one graph.
    pub fn new(model: &'a CausalLm, rope: &'a Rope) -> Self {
        Learner {
            model,
            frozen: None,
            rope,
            checkpointing: false,
        }
    }

    /// The final hidden states behind every target, for looking only.
    ///
    /// # Shapes
    ///
    /// - output: `[targets, d_model]`
    pub fn hidden(&self, batch: &Batch) -> Tensor<2> {
        let Some(frozen) = self.frozen else {
            return batch.plain_hidden(self.model, self.rope);
        };
        let hidden = frozen.hidden(
            self.model,
            batch.inputs.clone(),
            &batch.context(self.rope),
            None,
        );
        pick(hidden, batch.predictors.clone())
    }

    /// A block with all of its weights.
    fn block(&self, index: usize, key: Option<u64>) -> Block {
        let block = match self.frozen {
            Some(frozen) => frozen.block(self.model, index),
            None => self.model.model.layers[index].clone(),
        };
        with_dropout(block, key.map(|key| data::draw::key(key, &[index as u64])))
    }

    /// Gradients of the sum of `loss` over the targets of `batch`, and what the loss measured. `key` decides what dropout leaves out.
    pub fn gradients<L: HeadLoss>(
        &self,
        batch: &Batch,
        key: u64,
        loss: &L,
    ) -> (NamedGradients, Vec<L::Measured>) {
        if self.checkpointing || self.frozen.is_some() {
            self.block_by_block(batch, key, loss)
        } else {
            self.through_all(batch, key, loss)
        }
    }

    fn through_all<L: HeadLoss>(
        &self,
        batch: &Batch,
        key: u64,
        loss: &L,
    ) -> (NamedGradients, Vec<L::Measured>) {
        let mut model = self.model.clone();
        model.model.layers = (0..model.model.layers.len())
            .map(|index| self.block(index, Some(key)))
            .collect();
        let model = self.tracked(model, "");
        let context = batch.context(self.rope).tracked();
        let hidden = model.hidden(batch.inputs.clone().autodiff(), &context, None);
        let picked = pick(hidden, batch.predictors.clone().autodiff());
        let Projected {
            hidden,
            weight,
            measured,
        } = self.project(picked.clone().inner(), loss);
        let mut sum = gradients(&model, "", &mut pulled(picked, hidden).backward());
        self.add_projection(&mut sum, weight);
        (sum, measured)
    }

    fn block_by_block<L: HeadLoss>(
        &self,
        batch: &Batch,
        key: u64,
        loss: &L,
    ) -> (NamedGradients, Vec<L::Measured>) {
        let context = batch.context(self.rope);
        let decoder = &self.model.model;
        let mut hidden = self.model.embed(batch.inputs.clone());
        let mut inputs = Vec::with_capacity(decoder.layers.len());
        for index in 0..decoder.layers.len() {
            inputs.push(hidden.clone());
            hidden = self.block(index, Some(key)).forward(hidden, &context, None);
        }
        // The head: from the last block to the loss, and back.
        let norm = self.tracked(decoder.norm.clone(), "model.norm");
        let leaf = hidden.autodiff().require_grad();
        let picked = pick(
            norm.forward(leaf.clone()),
            batch.predictors.clone().autodiff(),
        );
        let Projected {
            hidden,
            weight,
            measured,
        } = self.project(picked.clone().inner(), loss);
        let mut taken = pulled(picked, hidden).backward();
        let mut sum = gradients(&norm, "model.norm", &mut taken);
        let mut pull = leaf
            .grad_remove(&mut taken)
            .expect("the loss depends on the last block");
        drop((leaf, taken));

        let context = context.tracked();
        for index in (0..decoder.layers.len()).rev() {
            let name = format!("model.layers.{index}");
            let leaf = inputs
                .pop()
                .expect("an input for each block")
                .autodiff()
                .require_grad();
            let block = self.tracked(self.block(index, Some(key)), &name);
            let mut taken = pulled(block.forward(leaf.clone(), &context, None), pull).backward();
            pull = leaf
                .grad_remove(&mut taken)
                .expect("a block depends on its input");
            accumulate(&mut sum, gradients(&block, &name, &mut taken));
        }
        if !has_lora(self.model) {
            add_named(
                &mut sum,
                "model.embed_tokens.weight".into(),
                self.to_embedding(batch, pull),
            );
        }
        self.add_projection(&mut sum, weight);
        (sum, measured)
    }

    fn project<L: HeadLoss>(&self, picked: Tensor<2>, loss: &L) -> Projected<L::Measured> {
        project(picked, self.model.projection(), !has_lora(self.model), loss)
    }

    /// The gradient of the projection belongs to the embedding when there is one matrix for both.
    fn add_projection(&self, sum: &mut NamedGradients, weight: Option<Tensor<2>>) {
        let Some(weight) = weight else { return };
        let name = if self.model.lm_head.is_some() {
            "lm_head.weight"
        } else {
            "model.embed_tokens.weight"
        };
        let [vocab, width] = weight.dims();
        add_named(sum, name.into(), weight.reshape([vocab * width]));
    }

    /// Every token's vector gets the pull of all places where the token stands.
    fn to_embedding(self, batch: &Batch, pull: Tensor<3>) -> Tensor<1> {
        let [rows, seq, width] = pull.dims();
        let [vocab, _] = self.model.model.embed_tokens.weight.dims();
        let tokens = batch.inputs.clone().reshape([rows * seq]);
        // In f32: a common token adds up thousands of numbers.
        let pull = pull.reshape([rows * seq, width]).cast(DType::F32);
        let table = Tensor::<2>::zeros([vocab, width], (&pull.device(), DType::F32));
        table
            .select_assign(0, tokens, pull, IndexingUpdateOp::Add)
            .reshape([vocab * width])
    }

    /// A part of the model, named `prefix`, on the autodiff side of the device: what is trained collects gradients. Each
    /// call makes leaves of its own: graphs that share a leaf would wait for each other.
    fn tracked<M: Module>(&self, module: M, prefix: &str) -> M {
        let mut path = Path::default();
        path.enter(prefix);
        module.map(&mut Track {
            path,
            additions_only: has_lora(self.model),
        })
    }
}

struct Track {
    path: Path,
    additions_only: bool,
}

impl ModuleMapper for Track {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, weight, mapper) = param.consume();
        let weight = weight.autodiff();
        let trained = !self.additions_only || is_lora(&self.path.name());
        Param::from_mapped_value(
            id,
            if trained {
                weight.require_grad()
            } else {
                weight
            },
            mapper,
        )
    }
}

/// A number whose gradient with respect to `value` is `pull`: it carries a gradient over from one graph to the next.
fn pulled<const D: usize>(value: Tensor<D>, pull: Tensor<D>) -> Tensor<1> {
    (value * pull.autodiff()).sum()
}

fn pick(hidden: Tensor<3>, predictors: Tensor<1, Int>) -> Tensor<2> {
    let [batch, seq, width] = hidden.dims();
    hidden.reshape([batch * seq, width]).select(0, predictors)
}

#[cfg(test)]
mod tests;

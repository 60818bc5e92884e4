//! What the model computes: prompts, a part at a time, and the next token of every row.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::scheduler::RequestId;
use crate::decoder::rope_of;
use crate::mask::{BlockMask, View};
use crate::nf4::Nf4Blocks;
use crate::rope::Rope;
use crate::{Cache, CausalLm, Context, ModelConfig};

/// A prompt whose keys and values are known.
#[derive(Clone)]
pub struct Prompt {
    /// A cache of one row in which it stands, perhaps among others.
    pub cache: Arc<Cache>,
    /// Where it begins.
    pub start: usize,
    /// The logits after its last token.
    pub logits: Arc<[f32]>,
}

/// Prompts that are being prefilled, one behind the other in one row.
pub struct Prefilling {
    tokens: Vec<i32>,
    /// The place of every token in its prompt.
    positions: Vec<i32>,
    /// Of every prompt: its request, its first and its last token.
    prompts: Vec<(RequestId, usize, usize)>,
    /// Of the prompts that are done.
    logits: Vec<Arc<[f32]>>,
    done: usize,
    cache: Cache,
}

impl Prefilling {
    /// Nothing prefilled yet.
    pub fn new<'p>(
        prompts: impl Iterator<Item = (RequestId, &'p [u32])>,
        config: &ModelConfig,
        device: &Device,
    ) -> Self {
        let (mut tokens, mut positions, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (request, prompt) in prompts {
            places.push((request, tokens.len(), tokens.len() + prompt.len() - 1));
            tokens.extend(prompt.iter().map(|&token| token as i32));
            positions.extend(0..prompt.len() as i32);
        }
        let cache = Cache::new(config, 1, tokens.len(), device);
        Prefilling {
            tokens,
            positions,
            prompts: places,
            logits: Vec::new(),
            done: 0,
            cache,
        }
    }

    /// True when every prompt is prefilled.
    pub fn is_done(&self) -> bool {
        self.done == self.tokens.len()
    }

    /// The prefilled prompts.
    pub fn finish(self) -> Vec<(RequestId, Prompt)> {
        let cache = Arc::new(self.cache);
        let prompt = |((request, start, _), logits)| {
            (
                request,
                Prompt {
                    cache: Arc::clone(&cache),
                    start,
                    logits,
                },
            )
        };
        self.prompts
            .into_iter()
            .zip(self.logits)
            .map(prompt)
            .collect()
    }
}

/// A model and its rotary tables.
pub struct Forward {
    model: CausalLm,
    /// The linear maps of its blocks, when they were taken out of it.
    frozen: Option<Arc<Nf4Blocks>>,
    rope: Rope,
    device: Device,
}

impl Forward {
    /// Computes with `model`.
    pub fn new(model: CausalLm, config: &ModelConfig, device: &Device) -> Self {
        Forward {
            model,
            frozen: None,
            rope: rope_of(config, device),
            device: device.clone(),
        }
    }

    /// The same for a model whose linear maps were taken out of it as `frozen`.
    #[must_use]
    pub fn with_frozen(self, frozen: Option<Arc<Nf4Blocks>>) -> Self {
        Forward { frozen, ..self }
    }

    fn hidden(&self, tokens: Tensor<2, Int>, context: &Context, cache: &mut Cache) -> Tensor<3> {
        match &self.frozen {
            Some(frozen) => frozen.hidden(&self.model, tokens, context, Some(cache)),
            None => self.model.hidden(tokens, context, Some(cache)),
        }
    }

    /// Takes other weights.
    pub fn publish(&mut self, model: CausalLm) {
        self.model = model;
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The next tokens of the prompts, `most` at most.
    pub fn prompts(&self, prefilling: &mut Prefilling, most: usize) {
        self.among_cores(|| self.compute(prefilling, most));
    }

    /// The logits after the token `last` of each row; they stand one row after the other.
    pub fn rows(&self, last: &[u32], cache: &mut Cache) -> Vec<f32> {
        self.among_cores(|| self.decode(last, cache))
    }

    /// Does `work` on one of the threads that share every product of matrices: from any other, each of the hundreds of a
    /// token would be handed over and waited for.
    fn among_cores<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if self.device == Device::flex() {
            rayon::scope(|_| work())
        } else {
            work()
        }
    }

    fn compute(&self, prefilling: &mut Prefilling, most: usize) {
        let (from, to) = (
            prefilling.done,
            prefilling.tokens.len().min(prefilling.done + most),
        );
        // Each token sees its own prompt, up to itself.
        let views = (from..to)
            .map(|at| View::from_range(at - prefilling.positions[at] as usize, at + 1))
            .collect();
        let context = self.context(&prefilling.positions[from..to], 1, views);
        let tokens = self.integers(prefilling.tokens[from..to].to_vec(), [1, to - from]);
        let hidden = self.hidden(tokens, &context, &mut prefilling.cache);
        prefilling.done = to;
        let ended = prefilling
            .prompts
            .iter()
            .map(|prompt| prompt.2)
            .filter(|last| (from..to).contains(last));
        let ended: Vec<i32> = ended.map(|last| (last - from) as i32).collect();
        if !ended.is_empty() {
            let [_, count, width] = hidden.dims();
            let places = self.integers(ended.clone(), [ended.len()]);
            let logits = self.logits(hidden.reshape([count, width]).select(0, places));
            prefilling.logits.extend(
                logits
                    .chunks_exact(logits.len() / ended.len())
                    .map(Arc::from),
            );
        }
    }

    fn decode(&self, last: &[u32], cache: &mut Cache) -> Vec<f32> {
        let count = last.len();
        let filled = &cache.filled()[..count];
        let positions: Vec<i32> = filled.iter().map(|&filled| filled as i32).collect();
        let views = filled
            .iter()
            .map(|&filled| View::from_range(0, filled + 1))
            .collect();
        let context = self.context(&positions, count, views);
        let tokens = self.integers(last.iter().map(|&token| token as i32).collect(), [count, 1]);
        let hidden = self.hidden(tokens, &context, cache);
        let [_, _, width] = hidden.dims();
        self.logits(hidden.reshape([count, width]))
    }

    /// Where the tokens of `rows` rows stand, and what each of them sees.
    fn context(&self, positions: &[i32], rows: usize, views: Vec<View>) -> Context {
        let queries = positions.len() / rows;
        let turn = self
            .rope
            .at(self.integers(positions.to_vec(), [rows, queries]));
        Context {
            turn,
            block_mask: BlockMask::new(views, queries),
        }
    }

    fn integers<const D: usize>(&self, values: Vec<i32>, shape: [usize; D]) -> Tensor<D, Int> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    fn logits(&self, hidden: Tensor<2>) -> Vec<f32> {
        self.model
            .logits(hidden)
            .into_data()
            .convert::<f32>()
            .try_to_vec()
            .expect("numbers of 32 bits")
    }
}

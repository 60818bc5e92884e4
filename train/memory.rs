//! What a run will hold in memory, before anything is loaded; and what it held.
//!
//! In: the shape of the model, what is trained, and the tokens of a micro-batch. Out: a [`MemoryPlan`] that is printed,
//! refused when it does not fit, and compared with the peak at the end.
//! Example: 135 million weights in f32, trained in full with micro-batches of 2,048 tokens, two at once, need 540 MB of
//! weights, 1.6 GB of gradients, 1.1 GB of moments and 2.3 GB of activations for each of the two.

mod fit;
mod less;
mod machine;
mod room;
mod sft;

use std::fmt;

use anyhow::{Result, bail};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use model::ModelConfig;

pub use fit::{Choice, Fit};
pub use less::Less;
pub use machine::{Bound, available, capacity, limits_of_shell, peak, tightest};
pub use room::Room;
pub use sft::{Batches, Training};

/// Bytes of a number in f32.
const FLOAT: u64 = 4;

/// What the program holds besides: itself, the tokenizer, the samples, buffers of matrix products.
const PROGRAM: u64 = 160 << 20;

/// What a run will hold at its peak, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// The weights, with their LoRA adapters.
    pub weights: u64,
    /// Gradients of the step.
    pub gradients: u64,
    /// Moments, and the weights in f32 where the model has 16 bits.
    pub optimizer: u64,
    /// What micro-batches keep for their backward pass, or the gradients that take its place.
    pub activations: u64,
    /// Logits, and what the loss makes of them.
    pub logits: u64,
    /// Keys and values of the tokens that are generated.
    pub cache: u64,
    /// Everything else.
    pub program: u64,
}

impl MemoryPlan {
    /// Generation with a model in f32, and the keys and values of `rows` sequences of at most `tokens` tokens at once.
    pub fn generation(shape: &ModelConfig, rows: usize, tokens: usize) -> Self {
        let pair = 2 * shape.num_key_value_heads * shape.head_dim;
        MemoryPlan {
            weights: shape.parameters() as u64 * FLOAT,
            cache: (shape.num_hidden_layers * rows * tokens * pair) as u64 * FLOAT,
            logits: 3 * (rows * shape.vocab_size) as u64 * FLOAT,
            program: PROGRAM,
            ..MemoryPlan::default()
        }
    }

    /// Training that takes turns with generation: what generates keeps the weights of the last step while the next ones
    /// are made, and the cache is given back before gradients are computed.
    pub fn in_turns_with(self, generation: MemoryPlan) -> Self {
        let passing = self.activations + self.logits + self.gradients;
        let cache = (generation.cache + generation.logits).saturating_sub(passing);
        MemoryPlan {
            weights: self.weights + generation.weights,
            cache,
            ..self
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.named().iter().map(|(_, bytes)| bytes).sum()
    }

    fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("activations", self.activations),
            ("logits", self.logits),
            ("KV cache", self.cache),
            ("program", self.program),
        ]
    }

    /// Refuses a plan that does not fit on `device`; `smaller` are other plans, by what one would have to set, and
    /// `otherwise` is what can be done when none of them fits.
    ///
    /// # Errors
    ///
    /// When less is available; names what would fit.
    pub fn enforce(&self, device: &Device, smaller: &[Less], otherwise: &str) -> Result<()> {
        self.enforce_within(available(device), smaller, otherwise)
    }

    /// As [`MemoryPlan::enforce`], where `free` bytes can be had, or nobody says how many.
    ///
    /// # Errors
    ///
    /// As [`MemoryPlan::enforce`].
    pub fn enforce_within(
        &self,
        free: Option<u64>,
        smaller: &[Less],
        otherwise: &str,
    ) -> Result<()> {
        match free {
            Some(free) => self.fits(free, smaller, otherwise),
            None => Ok(()),
        }
    }

    fn fits(&self, free: u64, smaller: &[Less], otherwise: &str) -> Result<()> {
        if self.total() <= free {
            return Ok(());
        }
        let told = |less: &Less| {
            let settings = less.settings.join("` with `");
            format!("`{settings}` needs {}", size(less.plan.total()))
        };
        let fitting: Vec<String> = less::fitting(smaller, free).into_iter().map(told).collect();
        let hint = match fitting.is_empty() {
            true => otherwise.to_owned(),
            false => format!("of what can be set, {}", fitting.join(", ")),
        };
        bail!(
            "the run would need {} of memory, but {} are available\n{self}{}",
            size(self.total()),
            size(free),
            data::Hint(hint)
        )
    }
}

/// The table that is printed before a run.
impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes) in self.named().into_iter().filter(|(_, bytes)| *bytes > 0) {
            writeln!(f, "  {name:<12}{:>10}", size(bytes))?;
        }
        write!(f, "  {:<12}{:>10}", "peak", size(self.total()))
    }
}

/// What a run was planned to hold and what it held, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// The plan.
    pub planned_mib: f64,
    /// The largest resident size of this process so far.
    pub peak_mib: Option<f64>,
}

impl MemoryUse {
    /// The plan beside the peak of this process; said on standard error, too.
    pub fn told(plan: &MemoryPlan) -> Self {
        let mib = |bytes: u64| (bytes as f64 / (1u64 << 20) as f64 * 10.0).round() / 10.0;
        let used = MemoryUse {
            planned_mib: mib(plan.total()),
            peak_mib: peak().map(mib),
        };
        eprintln!("{used}");
        used
    }
}

impl fmt::Display for MemoryUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peak_mib {
            Some(peak) => write!(
                f,
                "memory: {peak:.0} MiB at the peak, {:.0} MiB planned",
                self.planned_mib
            ),
            None => write!(f, "memory: {:.0} MiB planned", self.planned_mib),
        }
    }
}

/// A size as a person reads it.
pub fn size(bytes: u64) -> String {
    let mib = bytes as f64 / (1u64 << 20) as f64;
    if mib < 1024.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{:.1} GiB", mib / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let plan = MemoryPlan {
            weights: 3 << 30,
            ..MemoryPlan::default()
        };
        let half = Less {
            settings: vec!["sft.checkpointing=true".into()],
            plan: MemoryPlan {
                weights: 1 << 30,
                ..MemoryPlan::default()
            },
        };
        assert!(plan.fits(4 << 30, &[], "").is_ok());
        let said = plan
            .fits(2 << 30, std::slice::from_ref(&half), "")
            .expect_err("refused")
            .to_string();
        assert!(
            said.contains("need 3.0 GiB") && said.contains("2.0 GiB are available"),
            "{said}"
        );
        assert!(
            said.contains("hint: of what can be set, `sft.checkpointing=true` needs 1.0 GiB"),
            "{said}"
        );
        let said = plan
            .fits(1 << 20, &[half], "rest")
            .expect_err("refused")
            .to_string();
        assert!(said.ends_with("hint: rest"), "{said}");
    }

    #[test]
    fn the_table_has_a_line_for_each_part_and_the_peak() {
        let plan = MemoryPlan {
            weights: 512 << 20,
            optimizer: 1 << 30,
            ..MemoryPlan::default()
        };
        assert_eq!(
            plan.to_string(),
            "  weights        512 MiB\n  optimizer      1.0 GiB\n  peak           1.5 GiB"
        );
    }

    #[test]
    fn training_and_generation_in_turns_hold_two_sets_of_weights_and_the_larger_of_the_rest() {
        let training = MemoryPlan {
            weights: 10,
            optimizer: 20,
            activations: 7,
            logits: 1,
            ..MemoryPlan::default()
        };
        let generation = MemoryPlan {
            weights: 10,
            cache: 11,
            logits: 2,
            ..MemoryPlan::default()
        };
        assert_eq!(
            training.in_turns_with(generation).total(),
            10 + 20 + 10 + 13
        );
    }

    #[test]
    fn a_cache_holds_keys_and_values_of_every_layer_and_row() {
        let shape = ModelConfig {
            num_hidden_layers: 2,
            num_key_value_heads: 3,
            head_dim: 64,
            ..ModelConfig::default()
        };
        assert_eq!(
            MemoryPlan::generation(&shape, 4, 100).cache,
            2 * 4 * 100 * 2 * 3 * 64 * 4
        );
    }
}

//! Settings that fit: chosen where nobody said any, each with its reason.
//!
//! In: the shape of the model, the lengths of the samples, the machine, and which keys of `[sft]` were said. Out: the
//! config with the others chosen, and why. Full fine-tuning, LoRA or QLoRA is found by search over the memory plan.
//! Example: 7.6 billion weights on a GPU of 24 GB become QLoRA of rank 16, because LoRA would need more than it has.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::{SampleSet, SftMemory, memory_plan};
use crate::config::SftConfig;
use crate::memory::{Fit, Room, size};
use crate::optim::StateKind;
use model::ModelConfig;
use model::config::Family;

/// What matters most where several settings fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// All weights with exact moments, then with 8-bit moments, then LoRA of rank 64, then QLoRA of rank 64.
    Quality,
    /// The settings that need the least memory.
    Memory,
    /// LoRA of rank 16 with its activations kept, which computes no gradients of the frozen weights.
    Speed,
}

/// The ways to train, in the order in which they are tried.
#[derive(Clone, Copy, Debug)]
struct Method {
    rank: usize,
    four_bit: bool,
    state: StateKind,
}

const FULL: Method = Method {
    rank: 0,
    four_bit: false,
    state: StateKind::Float32,
};
const FULL_8BIT: Method = Method {
    state: StateKind::EightBit,
    ..FULL
};
const LORA: Method = Method { rank: 16, ..FULL };
const QLORA: Method = Method {
    four_bit: true,
    ..LORA
};

impl Preset {
    fn methods(preset: Option<Preset>) -> Vec<Method> {
        let wide = |method| Method { rank: 64, ..method };
        match preset {
            None => vec![FULL, LORA, QLORA],
            Some(Preset::Quality) => vec![FULL, FULL_8BIT, wide(LORA), wide(QLORA)],
            Some(Preset::Memory) => vec![LORA, QLORA],
            Some(Preset::Speed) => vec![LORA, QLORA],
        }
    }
}

/// What a choice rests on.
pub struct Chooser<'a> {
    /// What matters most; without it, full fine-tuning where it fits.
    pub preset: Option<Preset>,
    /// Whether a key such as `sft.lora.rank` was said; then it stays.
    pub said: &'a dyn Fn(&str) -> bool,
    /// The model.
    pub shape: &'a ModelConfig,
    /// The samples, where they are there yet.
    pub samples: Option<&'a SampleSet>,
    /// The seed of the run.
    pub seed: u64,
    /// The machine.
    pub room: Room,
}

/// Reasons by the key that was chosen.
pub type Reasons = BTreeMap<String, String>;

impl Chooser<'_> {
    /// `config` with what was not said chosen, how its micro-batches are computed, and the reasons.
    pub fn choose(&self, config: &SftConfig) -> (SftConfig, SftMemory, Reasons) {
        let (mut config, mut reasons) = (config.clone(), Reasons::new());
        if self.room.gpu && !(self.said)("sft.bf16") {
            config.bf16 = true;
            reasons.insert("sft.bf16".into(), "a GPU computes with 16 bits".into());
        }
        self.pack(&mut config, &mut reasons);
        let (mut config, planned) = self.method(config, &mut reasons);
        if !(self.said)("sft.optimizer.lr") {
            let (lr, reason) = learning_rate(self.shape, config.lora.rank > 0);
            config.optimizer.lr = lr;
            reasons.insert("sft.optimizer.lr".into(), reason);
        }
        (config, planned, reasons)
    }

    /// Lets samples share rows where most of them are much shorter than the longest.
    fn pack(&self, config: &mut SftConfig, reasons: &mut Reasons) {
        let Some(samples) = self.samples.filter(|_| !(self.said)("sft.pack_tokens")) else {
            return;
        };
        let (mut sum, mut longest) = (0, 0);
        for length in samples.lengths() {
            sum += length;
            longest = longest.max(length);
        }
        let mean = sum / samples.len();
        let uneven = mean * 2 <= longest;
        if uneven {
            let most = config.micro_batch_tokens.unwrap_or(usize::MAX);
            config.pack_tokens = longest.next_multiple_of(16).min(most);
        }
        let does = if uneven {
            "rows are shared, so that short samples need no padding"
        } else {
            "they are of like length, and need little padding"
        };
        reasons.insert(
            "sft.pack_tokens".into(),
            format!("samples have {mean} tokens in the mean and {longest} at most: {does}"),
        );
    }

    /// The first way to train that fits, or the one that needs the least.
    fn method(&self, config: SftConfig, reasons: &mut Reasons) -> (SftConfig, SftMemory) {
        let room = match self.preset {
            Some(Preset::Memory) => self.room.without_memory(),
            _ => self.room,
        };
        let mut tried: Vec<(SftConfig, SftMemory)> = Vec::new();
        for method in Preset::methods(self.preset) {
            let candidate = self.with(method, &config);
            let known = |(other, _): &(SftConfig, SftMemory)| *other == candidate;
            if candidate.lora.problem().is_some() || tried.iter().any(known) {
                continue;
            }
            let planned = memory_plan(&candidate, self.shape, self.samples, self.seed, room, None);
            let fits = planned.plan.total() <= self.room.roomy();
            tried.push((candidate, planned));
            if fits && self.preset != Some(Preset::Memory) {
                break;
            }
        }
        let fits =
            |(_, planned): &&(SftConfig, SftMemory)| planned.plan.total() <= self.room.roomy();
        let missed = tried
            .iter()
            .filter(|one| !fits(one))
            .map(|(config, planned)| format!("{} {}", name(config), size(planned.plan.total())))
            .collect::<Vec<_>>()
            .join(", ");
        let last = tried.last().is_some_and(|one| fits(&one));
        let chosen = match self.preset {
            None | Some(Preset::Quality | Preset::Speed) if last => tried.pop(),
            _ => tried
                .into_iter()
                .min_by_key(|(_, planned)| planned.plan.total()),
        };
        let (config, planned) = chosen.unwrap_or_else(|| {
            let planned = memory_plan(&config, self.shape, self.samples, self.seed, room, None);
            (config, planned)
        });
        let [needs, has] = [planned.plan.total(), self.room.roomy()].map(size);
        let mut why = format!("{} needs {needs}", name(&config));
        if self.room.capacity.is_some() {
            why += &format!(" of the {has} that a run may fill");
        }
        if !missed.is_empty() && last {
            why += &format!(", and what was tried before does not fit: {missed}");
        }
        for key in ["sft.lora.rank", "sft.lora.four_bit", "sft.optimizer.state"] {
            if !(self.said)(key) {
                reasons.insert(key.into(), why.clone());
            }
        }
        explain_fit(&planned.fit, self, reasons);
        (config, planned)
    }

    fn with(&self, method: Method, config: &SftConfig) -> SftConfig {
        let mut config = config.clone();
        if !(self.said)("sft.lora.rank") {
            config.lora.rank = method.rank;
        }
        if !(self.said)("sft.lora.four_bit") {
            config.lora.four_bit = method.four_bit && config.lora.rank > 0;
        }
        if !(self.said)("sft.optimizer.state") {
            config.optimizer.state = method.state;
        }
        if self.preset == Some(Preset::Speed) && !config.lora.four_bit {
            config.checkpointing = config.checkpointing.or(Some(false));
        }
        config
    }
}

/// What a way to train is called.
fn name(config: &SftConfig) -> String {
    let SftConfig {
        lora, optimizer, ..
    } = config;
    let state = match optimizer.state {
        StateKind::Float32 => "",
        StateKind::EightBit => " with 8-bit moments",
        StateKind::Factored => " with factored moments",
    };
    match (lora.rank, lora.four_bit) {
        (0, _) => format!("full fine-tuning{state}"),
        (rank, false) => format!("LoRA of rank {rank}{state}"),
        (rank, true) => format!("QLoRA of rank {rank}{state}"),
    }
}

fn explain_fit(fit: &Fit, chooser: &Chooser, reasons: &mut Reasons) {
    let least = chooser.preset == Some(Preset::Memory);
    let tokens = if least {
        "the least that holds the longest row"
    } else {
        "the most that takes no more memory than the model with its gradients and moments, and leaves a quarter free"
    };
    let kept = match (fit.checkpointing, least) {
        (true, true) => "activations are computed again: the least memory",
        (true, false) => {
            "activations are computed again: kept, they do not fit, or weights are in four bits"
        }
        (false, _) => "activations fit, and keeping them is a third faster",
    };
    for (key, reason) in [
        ("sft.micro_batch_tokens", tokens),
        ("sft.checkpointing", kept),
    ] {
        if !(chooser.said)(key) {
            reasons.insert(key.into(), reason.into());
        }
    }
}

/// A learning rate for a model of `shape`, to two digits, and its reason: `5e-5 · (2000 / d_model)^e`, and ten times as
/// much for LoRA; `e` is 0.0775 for Qwen and 0.781 for all others. The formula is that of Thinking Machines' Tinker, from
/// sweeps over Llama and Qwen (`get_lr` of the Tinker cookbook).
fn learning_rate(shape: &ModelConfig, lora: bool) -> (f64, String) {
    let width = shape.hidden_size.max(1);
    let exponent = match shape.model_type {
        Family::Qwen2 | Family::Qwen3 => 0.0775,
        Family::Llama | Family::Mistral => 0.781,
    };
    let full = 5e-5 * (2000.0 / width as f64).powf(exponent);
    let exact = if lora { 10.0 * full } else { full };
    let lr: f64 = format!("{exact:.1e}").parse().expect("a number");
    let times = if lora { ", ten times for LoRA" } else { "" };
    let reason = format!("5e-5 · (2000 / {width})^{exponent} by the width of the model{times}");
    (lr, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(
        preset: Option<Preset>,
        room: &str,
        said: &[&str],
    ) -> (SftConfig, SftMemory, Reasons) {
        Chooser {
            preset,
            said: &|key| said.contains(&key),
            shape: &ModelConfig::smollm2_135m(),
            samples: None,
            seed: 7,
            room: room.parse().expect("a machine"),
        }
        .choose(&SftConfig::default())
    }

    #[test]
    fn a_rate_falls_with_the_width_and_an_adapter_takes_ten_times_as_much() {
        let at = |hidden_size, lora| {
            let shape = ModelConfig {
                hidden_size,
                ..ModelConfig::default()
            };
            learning_rate(&shape, lora).0
        };
        assert_eq!(at(2000, false), 5e-5);
        assert_eq!(at(2000, true), 5e-4);
        // 5e-5 · (2000 / 576)^0.781 = 5e-5 · e^(0.781 · 1.2448) = 1.32e-4
        assert_eq!(at(576, false), 1.3e-4);
        assert_eq!(at(3584, true), 3.2e-4);
    }

    #[test]
    fn all_weights_are_trained_where_they_fit_and_an_adapter_where_they_do_not() {
        let rank = |room| choose(None, room, &[]).0.lora.rank;
        assert_eq!((rank("cpu:24"), rank("cpu:3")), (0, 16));
        let (config, planned, reasons) = choose(None, "cpu:1", &[]);
        assert!(config.lora.four_bit, "{}", planned.plan);
        let why = &reasons["sft.lora.rank"];
        assert!(
            why.starts_with("QLoRA of rank 16 needs") && why.contains("full fine-tuning"),
            "{why}"
        );
    }

    #[test]
    fn a_preset_says_what_matters_most() {
        let plain = choose(Some(Preset::Quality), "cpu:24", &[]);
        assert_eq!(plain.0.lora.rank, 0);
        let fast = choose(Some(Preset::Speed), "cpu:24", &[]);
        assert_eq!((fast.0.lora.rank, fast.1.fit.checkpointing), (16, false));
        let small = choose(Some(Preset::Memory), "cpu:24", &[]);
        assert!(small.1.fit.checkpointing && small.0.lora.rank == 16);
        for other in [&plain, &fast] {
            assert!(small.1.plan.total() < other.1.plan.total());
        }
    }

    #[test]
    fn what_was_said_stays_and_has_no_reason() {
        let said = ["sft.lora.rank", "sft.optimizer.lr"];
        let (config, _, reasons) = choose(Some(Preset::Speed), "gpu:80", &said);
        assert_eq!((config.lora.rank, config.optimizer.lr), (0, 1e-3));
        assert!(config.bf16);
        assert!(!reasons.keys().any(|key| said.contains(&key.as_str())));
    }
}

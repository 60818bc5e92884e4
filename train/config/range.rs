//! Values out of their range: named by key, and by line where the file says them.
//!
//! In: a [`Config`]. Out: the first [`Problem`].
//! Example: `[grpo]` with `group_size = 1` in line 2 is refused with ``line 2: `grpo.group_size` is 1, but a group needs
//! at least 2 attempts to compare``.

use std::fmt::Display;

use anyhow::anyhow;
use toml::de::{DeTable, DeValue};

use super::{Config, LossConfig};
use crate::optim::OptimizerConfig;
use crate::trainer::sentinel::Sentinel;
use model::lora::LoraConfig;

/// A value that cannot be.
pub(super) struct Problem {
    /// The dotted key, or the table that it stands in.
    key: String,
    /// What is wrong, with the key.
    said: String,
}

impl Problem {
    fn new(key: impl Into<String>, value: impl Display, but: &str) -> Self {
        let key = key.into();
        Problem {
            said: format!("`{key}` is {value}, but must be {but}"),
            key,
        }
    }

    /// As an error that names the line of `text` in which the value stands, if it stands there.
    pub(super) fn in_file(self, text: &str) -> anyhow::Error {
        match line_of(text, &self.key) {
            Some(line) => anyhow!("line {line}: {}", self.said),
            None => anyhow!(self.said),
        }
    }
}

/// The line of `text`, counted from 1, in which the value of a dotted key stands.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let (name, value) = table.iter().find(|(name, _)| name.get_ref() == part)?;
        match value.get_ref() {
            DeValue::Table(inner) if parts.peek().is_some() => table = inner,
            _ if parts.peek().is_none() => {
                return Some(text[..name.span().start].matches('\n').count() + 1);
            }
            _ => return None,
        }
    }
    None
}

/// The first value out of its range.
pub(super) fn problem(config: &Config) -> Option<Problem> {
    counts(config)
        .or_else(|| shares(config))
        .or_else(|| groups(config))
        .or_else(|| optimizer("sft.optimizer", &config.sft.optimizer))
        .or_else(|| optimizer("grpo.optimizer", &config.grpo.optimizer))
        .or_else(|| loss(&config.grpo.loss))
        .or_else(|| sentinels(&config.grpo.sentinels))
        .or_else(|| lora("sft.lora", &config.sft.lora))
        .or_else(|| lora("grpo.lora", &config.grpo.lora))
        .or_else(|| sampling(config))
        .or_else(|| sections(config))
}

fn counts(config: &Config) -> Option<Problem> {
    let at_least_one = [
        ("sft.samples_per_step", config.sft.samples_per_step),
        (
            "sft.micro_batch_tokens",
            config.sft.micro_batch_tokens.unwrap_or(1),
        ),
        ("grpo.groups_per_step", config.grpo.groups_per_step),
        (
            "grpo.micro_batch_tokens",
            config.grpo.micro_batch_tokens.unwrap_or(1),
        ),
        ("grpo.updates_per_batch", config.grpo.updates_per_batch),
        ("grpo.decode_rows", config.grpo.decode_rows),
        ("eval.attempts", config.eval.attempts),
        ("eval.decode_rows", config.eval.decode_rows),
        ("eval.resamples", config.eval.resamples),
        ("data.workers", config.data.workers),
        ("data.max_tokens", config.data.max_tokens),
        ("sft.keep", config.sft.keep),
        ("grpo.keep", config.grpo.keep),
    ];
    let (key, _) = at_least_one.into_iter().find(|(_, value)| *value == 0)?;
    Some(Problem::new(key, 0, "at least 1"))
}

fn shares(config: &Config) -> Option<Problem> {
    let shares = [
        ("data.sft_share", config.data.sft_share),
        ("grpo.solved_above", config.grpo.solved_above),
    ];
    let (key, share) = shares
        .into_iter()
        .find(|(_, share)| !(0.0..=1.0).contains(share))?;
    Some(Problem::new(key, share, "between 0 and 1"))
}

fn groups(config: &Config) -> Option<Problem> {
    let grpo = &config.grpo;
    if grpo.group_size < 2 {
        let said = format!(
            "`grpo.group_size` is {}, but a group needs at least 2 attempts to compare",
            grpo.group_size
        );
        return Some(Problem {
            key: "grpo.group_size".into(),
            said,
        });
    }
    let least = format!("at least `grpo.groups_per_step`, {}", grpo.groups_per_step);
    let too_few = grpo.max_groups_drawn < grpo.groups_per_step;
    too_few.then(|| Problem::new("grpo.max_groups_drawn", grpo.max_groups_drawn, &least))
}

fn optimizer(section: &str, config: &OptimizerConfig) -> Option<Problem> {
    const FINITE: &str = "above 0 and finite";
    let OptimizerConfig {
        lr,
        beta1,
        beta2,
        epsilon,
        weight_decay,
        max_grad_norm,
        final_share,
        ..
    } = *config;
    let above_zero = |value: f64| value > 0.0 && value.is_finite();
    let ranges = [
        ("lr", lr, lr > 0.0 && lr < 1.0, "above 0 and below 1"),
        (
            "beta1",
            beta1,
            (0.0..1.0).contains(&beta1),
            "at least 0 and below 1",
        ),
        (
            "beta2",
            beta2,
            (0.0..1.0).contains(&beta2),
            "at least 0 and below 1",
        ),
        ("epsilon", epsilon, above_zero(epsilon), FINITE),
        (
            "weight_decay",
            weight_decay,
            (0.0..1.0 / lr).contains(&weight_decay),
            "at least 0 and below `1 / lr`",
        ),
        (
            "max_grad_norm",
            max_grad_norm,
            above_zero(max_grad_norm),
            FINITE,
        ),
        (
            "final_share",
            final_share,
            (0.0..=1.0).contains(&final_share),
            "between 0 and 1",
        ),
    ];
    let (key, value, _, range) = ranges.into_iter().find(|(_, _, holds, _)| !holds)?;
    Some(Problem::new(format!("{section}.{key}"), value, range))
}

fn loss(config: &LossConfig) -> Option<Problem> {
    let (name, low, high, dual) = match config {
        LossConfig::Clipped(loss) => ("clipped", loss.low, loss.high, Some(loss.dual)),
        LossConfig::Cispo(loss) => ("cispo", loss.low, loss.high, None),
        LossConfig::Dppo(loss) => ("dppo", loss.low, loss.high, None),
        LossConfig::Gspo(loss) => ("gspo", loss.low, loss.high, None),
    };
    let at = |key: &str| format!("grpo.loss.{name}.{key}");
    if !(0.0..=1.0).contains(&low) {
        return Some(Problem::new(at("low"), low, "between 0 and 1"));
    }
    if !(high >= 0.0 && high.is_finite()) {
        return Some(Problem::new(at("high"), high, "at least 0 and finite"));
    }
    let dual = dual.filter(|dual| dual.is_nan() || *dual <= 1.0)?;
    Some(Problem::new(at("dual"), dual, "above 1"))
}

fn sentinels(sentinels: &[Sentinel]) -> Option<Problem> {
    let said = sentinels.iter().find_map(Sentinel::problem)?;
    Some(Problem {
        key: "grpo.sentinels".into(),
        said: format!("in `grpo.sentinels`: {said}"),
    })
}

fn lora(section: &str, config: &LoraConfig) -> Option<Problem> {
    let said = config
        .problem()
        .map(|problem| format!("in `{section}`: {problem}"));
    if let Some(said) = said {
        return Some(Problem {
            key: section.to_owned(),
            said,
        });
    }
    // Only the sampler of GRPO has to know what the trainer knows.
    let dropped = section == "grpo.lora" && config.dropout > 0.0;
    let but = "0: the trainer's probabilities must be those of the sampler";
    dropped.then(|| Problem::new("grpo.lora.dropout", config.dropout, but))
}

fn sampling(config: &Config) -> Option<Problem> {
    let section = "grpo.sampling";
    let trained = &config.grpo.sampling;
    if trained.is_greedy() {
        let but = "above 0: attempts of a group that are all the same teach nothing";
        return Some(Problem::new(
            format!("{section}.temperature"),
            trained.temperature,
            but,
        ));
    }
    if trained.check().is_ok() && !trained.is_whole() {
        let said = format!(
            "`{section}` draws from a part of the vocabulary or with penalties, but the probabilities that are trained \
             are those of all of it: leave out `top_p`, `top_k`, `min_p` and `repetition_penalty`"
        );
        return Some(Problem {
            key: section.to_owned(),
            said,
        });
    }
    let both = [
        ("grpo.sampling", &config.grpo.sampling),
        ("eval.sampling", &config.eval.sampling),
    ];
    both.into_iter().find_map(|(section, sampling)| {
        let error = sampling.check().err()?;
        Some(Problem {
            key: section.to_owned(),
            said: format!("in `{section}`: {error}"),
        })
    })
}

fn sections(config: &Config) -> Option<Problem> {
    if config.data.kinds.is_empty() {
        return Some(Problem {
            key: "data.kinds".into(),
            said: "`data.kinds` is empty, but must name at least one kind of bug".into(),
        });
    }
    if let Some(problem) = config.data.chats.problem() {
        return Some(Problem {
            key: "data.chats".into(),
            said: format!("in `data.chats`: {problem}"),
        });
    }
    if let Some(said) = config.watch.problem() {
        // It begins with the key.
        let key = said.split('`').nth(1).unwrap_or("watch").to_owned();
        return Some(Problem { key, said });
    }
    if let Some(said) = config.sft.problem() {
        return Some(Problem {
            key: "sft".into(),
            said,
        });
    }
    let said = format!("in `[model]`: {}", config.model.problem()?);
    Some(Problem {
        key: "model".into(),
        said,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        format!("{:#}", Config::parse(text, &[]).expect_err("refused"))
    }

    #[test]
    fn a_value_out_of_its_range_is_named_with_its_line() {
        for (text, line, key) in [
            ("seed = 1\n\n[grpo]\ngroup_size = 1\n", 4, "grpo.group_size"),
            ("[sft.optimizer]\nlr = -1.0\n", 2, "sft.optimizer.lr"),
            (
                "[grpo]\nsteps = 3\noptimizer = { beta2 = 1.0 }\n",
                3,
                "grpo.optimizer.beta2",
            ),
            (
                "[sft]\n[sft.optimizer]\n\nweight_decay = -5\n",
                4,
                "sft.optimizer.weight_decay",
            ),
            (
                "[grpo.optimizer]\nepsilon = -0.5\n",
                2,
                "grpo.optimizer.epsilon",
            ),
            (
                "[grpo.loss.clipped]\nlow = 2.0\n",
                2,
                "grpo.loss.clipped.low",
            ),
            (
                "[grpo.loss.clipped]\nlow = 0.1\ndual = 0.0\n",
                3,
                "grpo.loss.clipped.dual",
            ),
            ("[grpo.loss.gspo]\nhigh = -1.0\n", 2, "grpo.loss.gspo.high"),
            (
                "grpo.lora.rank = 4\ngrpo.lora.dropout = 0.1\n",
                2,
                "grpo.lora.dropout",
            ),
            ("[watch.cpu]\nabove = 1.5\n", 2, "watch.cpu.above"),
            ("[grpo.sampling]\ntop_p = 0.0\n", 1, "grpo.sampling"),
            (
                "[grpo.sampling]\n\ntemperature = 0\n",
                3,
                "grpo.sampling.temperature",
            ),
            ("[grpo.sampling]\ntop_k = 40\n", 1, "grpo.sampling"),
        ] {
            let said = said(text);
            assert!(
                said.contains(&format!("line {line}: ")) && said.contains(&format!("`{key}`")),
                "{text}: {said}"
            );
        }
    }

    #[test]
    fn what_is_not_in_the_file_has_no_line() {
        let error = Config::parse("seed = 1\n", &["eval.attempts=0".into()]).expect_err("refused");
        let said = format!("{error:#}");
        assert!(
            said.contains("`eval.attempts` is 0") && !said.contains("line "),
            "{said}"
        );
    }
}

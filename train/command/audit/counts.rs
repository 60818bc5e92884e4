//! What all samples of a set are together, and whether that can be right.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use data::Sample;

use super::judge::{Answer, Judge};
use super::show;

/// Samples that are named for one fault.
const NAMED: usize = 5;

/// What was counted.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) samples: usize,
    pub(super) tokens: usize,
    pub(super) trained: usize,
    pub(super) longest: usize,
    /// Answers: what is trained between two prompts.
    answers: usize,
    /// Answers without a trained end of turn.
    pub(super) endless: usize,
    /// Samples with an end of turn in each of their answers.
    ended: usize,
    /// Longer than the context.
    too_long: usize,
    /// With every token trained.
    all_trained: usize,
    /// Ids that the model or the tokenizer does not know.
    beyond: usize,
    /// Tokens and trained tokens of each role.
    pub(super) roles: BTreeMap<&'static str, (usize, usize)>,
    /// The first samples with such ids.
    damaged: Vec<String>,
    /// The first samples with an answer that has no end.
    without_end: Vec<String>,
    /// The first samples that are too long.
    long: Vec<String>,
}

impl Counts {
    /// Adds a sample; `number` counts them from 1.
    pub(super) fn add(&mut self, number: usize, sample: &Sample, judge: &Judge) {
        self.samples += 1;
        let length = sample.tokens.len();
        let trained = sample.mask.iter().filter(|trained| **trained).count();
        self.tokens += length;
        self.trained += trained;
        self.longest = self.longest.max(length);
        self.all_trained += usize::from(trained == length);
        if judge.context.is_some_and(|context| length > context) {
            self.too_long += 1;
            name(
                &mut self.long,
                number,
                sample,
                &format!("has {length} tokens"),
            );
        }
        let mut unknown = None;
        let roles = judge.roles_of(sample);
        for ((id, trained), role) in sample.tokens.iter().zip(&sample.mask).zip(&roles) {
            let (tokens, of_them) = self.roles.entry(show::name(*role)).or_default();
            *tokens += 1;
            *of_them += usize::from(*trained);
            if !judge.knows(*id) {
                self.beyond += 1;
                unknown = unknown.or(Some(*id));
            }
        }
        let answers = judge.answers(sample, &roles);
        let endless: Vec<&Answer> = answers.iter().filter(|answer| !answer.ended).collect();
        self.answers += answers.len();
        self.endless += endless.len();
        self.ended += usize::from(endless.is_empty() && !answers.is_empty());
        if let Some(first) = endless.first() {
            name(
                &mut self.without_end,
                number,
                sample,
                &format!("has an answer without an end at token {}", first.last),
            );
        }
        if let Some(id) = unknown {
            name(
                &mut self.damaged,
                number,
                sample,
                &format!("has the id {id}"),
            );
        }
    }

    /// The counts as lines of text.
    pub(super) fn table(&self, judge: &Judge) -> String {
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let context = judge.context.map_or_else(
            || "no config tells the context".to_string(),
            |context| format!("{} longer than the context of {context}", self.too_long),
        );
        let mut rows = vec![
            (
                "samples",
                self.samples,
                format!("{} with a trained end of turn in every answer", self.ended),
            ),
            (
                "tokens",
                self.tokens,
                format!(
                    "{} trained ({:.1} %)",
                    self.trained,
                    share(self.trained, self.tokens)
                ),
            ),
            ("longest", self.longest, context),
            (
                "truncated",
                self.endless,
                format!("of {} answers, without a trained end of turn", self.answers),
            ),
            (
                "beyond",
                self.beyond,
                format!("ids outside of the vocabulary of {}", judge.vocab_size),
            ),
        ];
        for (role, (tokens, trained)) in &self.roles {
            rows.push((
                *role,
                *tokens,
                format!("{trained} trained ({:.1} %)", share(*trained, *tokens)),
            ));
        }
        rows.iter()
            .map(|(name, count, more)| format!("{name:<10} {count:>10}  {more}\n"))
            .collect()
    }

    /// Refuses what cannot be right.
    pub(super) fn judge(&self, samples: &Path, context: Option<usize>, cut: usize) -> Result<()> {
        let place = samples.display();
        if self.samples == 0 {
            bail!(
                "`{place}` has no samples{}",
                data::Hint("build them with `train data samples`")
            );
        }
        if self.beyond > 0 {
            let named = self.damaged.join("\n");
            bail!(
                "`{place}` is damaged: {} ids are beyond the vocabulary\n{named}{}",
                self.beyond,
                data::Hint("build the samples again with this model")
            );
        }
        if self.all_trained == self.samples {
            bail!(
                "every token of every sample is trained{}",
                data::Hint("the prompt must not be; build the samples again")
            );
        }
        if self.endless == self.answers {
            bail!(
                "the end-of-turn token is never trained, so the model would never stop{}",
                data::Hint("check the chat template")
            );
        }
        // Those that were cut on purpose, and counted then, are no surprise.
        if self.endless > cut {
            let named = self.without_end.join("\n");
            bail!(
                "`{place}`: {} of {} answers have no trained end of turn, so the model would not learn to stop there\n{named}{}",
                self.endless,
                self.answers,
                data::Hint("were they cut off? leave such answers out, or build the samples again")
            );
        }
        if self.too_long > 0 {
            let (named, context) = (self.long.join("\n"), context.unwrap_or_default());
            bail!(
                "`{place}`: {} of {} samples are longer than the model's context of {context} tokens\n{named}{}",
                self.too_long,
                self.samples,
                data::Hint(format_args!(
                    "build them again with `--set data.max_tokens={context}`, or use a model with a longer context"
                ))
            );
        }
        Ok(())
    }
}

/// Adds a sample to those that are named.
fn name(named: &mut Vec<String>, number: usize, sample: &Sample, what: &str) {
    if named.len() < NAMED {
        named.push(format!(
            "sample {number} (`{}`) {what}",
            sample.origin.escape_debug()
        ));
    }
}

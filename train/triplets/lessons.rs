//! Triplets as samples for Patch-Lite: which parts of a long patch are needed.
//!
//! In: triplets, and the words of a model. Out: samples of the training split, two of each triplet, without duplicates and
//! without what is too long.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use data::clean::{HeldOut, Shown, clean};
use data::skill::trim::lessons;
use data::template::ChatTemplate;
use data::triplet::{ReadTriplets, Split};
use data::{Message, Role, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::terminal;

/// What became of triplets on their way to samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LessonSummary {
    /// Triplets to train on.
    pub triplets: usize,
    /// Samples of them.
    pub samples: usize,
    /// Tokens in all.
    pub tokens: usize,
    /// Samples that were longer than `data.max_tokens`.
    pub too_long: usize,
    /// Samples whose tokens came before.
    pub duplicates: usize,
}

/// Writes the samples of the training split to `out`.
///
/// # Errors
///
/// When there is no triplet to train on, none fits, or the shards cannot be written.
pub fn write_lessons(
    triplets: &ReadTriplets,
    (tokenizer, template): (&Tokenizer, &ChatTemplate),
    max_tokens: usize,
    out: &Path,
) -> Result<LessonSummary> {
    template.check(tokenizer)?;
    let rows = triplets
        .get(&Split::Train)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut shown = Vec::with_capacity(2 * rows.len());
    for row in rows {
        for (number, (mut messages, answer)) in lessons(row).into_iter().enumerate() {
            messages.push(Message::new(Role::Assistant, answer));
            let sample = template.to_sample(tokenizer, &messages, format!("{}.{number}", row.id));
            let sample = sample
                .with_context(|| format!("while making a sample of the triplet `{}`", row.id))?;
            shown.push(Shown {
                sample,
                body: String::new(),
            });
        }
    }
    let (samples, dropped) = clean(shown, &HeldOut::default(), max_tokens);
    terminal::tell_dropped("samples", dropped.reasons());
    if samples.is_empty() {
        bail!(
            "no sample is left of {} triplets to train on{}",
            rows.len(),
            data::Hint("raise `data.max_tokens`, or build more triplets")
        );
    }
    data::store::write_samples(out, &samples, &tokenizer.hash()?)?;
    let tokens = samples.iter().map(|sample| sample.tokens.len()).sum();
    let (too_long, duplicates) = (dropped.too_long, dropped.duplicates);
    Ok(LessonSummary {
        triplets: rows.len(),
        samples: samples.len(),
        tokens,
        too_long,
        duplicates,
    })
}

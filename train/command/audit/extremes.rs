//! How long samples are, and which of them stand out.
//!
//! In: samples, one after the other. Out: a histogram of their lengths, the ten longest, and the ten strangest: those whose
//! tokens hold the fewest bytes, as noise, other scripts and broken text have it.

use std::io::{self, Write};

use data::Sample;

use super::judge::Judge;

/// How many stand out.
const MOST: usize = 10;
/// The shortest sample that can be strange.
const LEAST_TOKENS: usize = 16;
/// The widest bar of a histogram, in letters.
const BAR: usize = 40;

/// A sample that stands out.
pub(super) struct Outlier {
    /// Counted from 1.
    pub(super) number: usize,
    /// Its tokens, or the bytes of one.
    pub(super) measure: f64,
    /// All of it.
    pub(super) sample: Sample,
}

/// What is kept of a set.
#[derive(Default)]
pub(super) struct Extremes {
    /// Samples of up to 2, 4, 8, … tokens.
    bins: Vec<usize>,
    /// Longest first.
    pub(super) longest: Vec<Outlier>,
    /// Strangest first.
    pub(super) strangest: Vec<Outlier>,
}

impl Extremes {
    /// Looks at a sample; `number` counts them from 1.
    pub(super) fn add(&mut self, number: usize, sample: &Sample, judge: &Judge) {
        let length = sample.tokens.len();
        let bin = length.next_power_of_two().trailing_zeros() as usize;
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += 1;
        keep(
            &mut self.longest,
            number,
            length as f64,
            sample,
            |one, other| one > other,
        );
        if length >= LEAST_TOKENS {
            let bytes: usize = sample
                .tokens
                .iter()
                .map(|id| judge.tokenizer.piece(*id).map_or(0, |piece| piece.len()))
                .sum();
            keep(
                &mut self.strangest,
                number,
                bytes as f64 / length as f64,
                sample,
                |one, other| one < other,
            );
        }
    }

    /// The samples of each span of lengths: `(longest in tokens, samples)`, from the first that has any.
    pub(super) fn histogram(&self) -> Vec<(usize, usize)> {
        let bins = self
            .bins
            .iter()
            .enumerate()
            .map(|(bin, count)| (1 << bin, *count));
        bins.skip_while(|(_, count)| *count == 0).collect()
    }

    /// The histogram and what stands out, as lines of text.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let histogram = self.histogram();
        let most = histogram
            .iter()
            .map(|(_, count)| *count)
            .max()
            .unwrap_or(1)
            .max(1);
        writeln!(out, "\nlengths in tokens")?;
        for (longest, count) in histogram {
            let bar = "#".repeat((count * BAR).div_ceil(most));
            writeln!(out, "{:>10} {count:>10}  {bar}", format!("≤ {longest}"))?;
        }
        let named = |outlier: &Outlier| {
            format!(
                "sample {} (`{}`)",
                outlier.number,
                outlier.sample.origin.escape_debug()
            )
        };
        writeln!(out, "longest")?;
        for outlier in &self.longest {
            writeln!(out, "{:>10}  {}", outlier.measure, named(outlier))?;
        }
        writeln!(out, "strangest, by bytes of a token")?;
        for outlier in &self.strangest {
            writeln!(out, "{:>10.2}  {}", outlier.measure, named(outlier))?;
        }
        Ok(())
    }
}

/// Keeps a sample where it comes `before` one that is kept, or there is room.
fn keep(
    kept: &mut Vec<Outlier>,
    number: usize,
    measure: f64,
    sample: &Sample,
    before: impl Fn(f64, f64) -> bool,
) {
    let at = kept
        .iter()
        .position(|other| before(measure, other.measure))
        .unwrap_or(kept.len());
    if at < MOST {
        kept.insert(
            at,
            Outlier {
                number,
                measure,
                sample: sample.clone(),
            },
        );
        kept.truncate(MOST);
    }
}

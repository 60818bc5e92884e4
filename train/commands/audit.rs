//! `train data audit`: which tokens of a sample set are trained, and whether that can be right.
//!
//! In: samples and the model they are for. Out, on standard output: samples token by token, then counts, per role as
//! well. A set that cannot be right is refused at the end, so that it was seen before.

mod show;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use data::template::{EndOfTurn, Roles};
use data::{Role, Sample, Tokenizer};

use super::tokenizer_at;
use crate::checkpoint;
use crate::cli::AuditArgs;
use show::Show;

/// Damaged samples that are named.
const NAMED: usize = 5;

/// What a sample is judged by.
struct Judge {
    tokenizer: Tokenizer,
    /// How turns begin; none where the chat template cannot tell.
    roles: Option<Roles>,
    /// What ends an answer.
    end: EndOfTurn,
    /// Ids that the model knows.
    vocab_size: usize,
    /// Tokens that the model can see at once, where a config tells.
    context: Option<usize>,
}

/// What was counted.
#[derive(Default)]
struct Counts {
    samples: usize,
    tokens: usize,
    trained: usize,
    longest: usize,
    /// Whose last trained token is no end of turn.
    truncated: usize,
    /// With a trained end of turn.
    ended: usize,
    /// Longer than the context.
    too_long: usize,
    /// With every token trained.
    all_trained: usize,
    /// Ids that the model or the tokenizer does not know.
    beyond: usize,
    /// Tokens and trained tokens of each role.
    roles: BTreeMap<&'static str, (usize, usize)>,
    /// The first samples with such ids.
    damaged: Vec<String>,
}

/// `train data audit`
///
/// # Errors
///
/// When the samples cannot be read, or cannot be right: ids that the model does not know, masks that are the same
/// everywhere, an end of turn that is never trained, another tokenizer than the model's.
pub fn audit(args: &AuditArgs) -> Result<()> {
    let judge = Judge::of(&args.model)?;
    let manifest = data::store::read_manifest(&args.samples)?;
    let samples = data::store::read_samples(&args.samples)?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let plain = args.plain || no_color || !io::stdout().is_terminal();
    let counts = Counts::of(&samples, &judge);
    match print(&samples, &judge, &counts, args.limit, Show { plain }) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        printed => printed.context("while printing samples")?,
    }
    if manifest.tokenizer != judge.tokenizer.hash()? {
        bail!(
            "the samples in `{}` were made with another tokenizer than that of `{}`\nhint: build them again with `train data samples --tokenizer` and this model",
            args.samples.display(),
            args.model.display()
        );
    }
    counts.judge(&args.samples)
}

fn print(samples: &[Sample], judge: &Judge, counts: &Counts, limit: usize, show: Show) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (number, sample) in samples.iter().enumerate().take(limit) {
        writeln!(out, "{}", show.title(number + 1, samples.len(), sample))?;
        let roles = judge.roles_of(sample);
        show.sample(&mut out, sample, &roles, judge)?;
    }
    write!(out, "{}", counts.table(judge))?;
    out.flush()
}

impl Judge {
    fn of(path: &Path) -> Result<Judge> {
        let (tokenizer, template) = tokenizer_at(path)?;
        let described = ["config.json", "params.json"].iter().any(|name| path.join(name).exists());
        let config = described.then(|| checkpoint::config_of(path)).transpose()?;
        let vocab_size = config.as_ref().map_or(tokenizer.vocab_size(), |config| config.vocab_size);
        tokenizer.require_within(vocab_size)?;
        let context = config.map(|config| config.max_position_embeddings);
        let roles = template.roles(&tokenizer).ok();
        let end = template.end_of_turn(&tokenizer);
        Ok(Judge { tokenizer, roles, end, vocab_size, context })
    }

    /// The role of each token; a sample that is no conversation has none.
    fn roles_of(&self, sample: &Sample) -> Vec<Option<Role>> {
        match &self.roles {
            Some(roles) => roles.of(&sample.tokens),
            None => vec![None; sample.tokens.len()],
        }
    }

    fn knows(&self, id: u32) -> bool {
        (id as usize) < self.vocab_size && self.tokenizer.piece(id).is_some()
    }
}

impl Counts {
    fn of(samples: &[Sample], judge: &Judge) -> Counts {
        let mut counts = Counts { samples: samples.len(), ..Counts::default() };
        for (number, sample) in samples.iter().enumerate() {
            counts.add(number + 1, sample, judge);
        }
        counts
    }

    fn add(&mut self, number: usize, sample: &Sample, judge: &Judge) {
        let length = sample.tokens.len();
        let trained = sample.mask.iter().filter(|trained| **trained).count();
        self.tokens += length;
        self.trained += trained;
        self.longest = self.longest.max(length);
        self.all_trained += usize::from(trained == length);
        self.too_long += usize::from(judge.context.is_some_and(|context| length > context));
        let mut last = None;
        let mut unknown = None;
        for ((id, trained), role) in sample.tokens.iter().zip(&sample.mask).zip(judge.roles_of(sample)) {
            let (tokens, of_them) = self.roles.entry(show::name(role)).or_default();
            *tokens += 1;
            *of_them += usize::from(*trained);
            last = trained.then_some(*id).or(last);
            if !judge.knows(*id) {
                self.beyond += 1;
                unknown = unknown.or(Some(*id));
            }
        }
        let is_end = |id: Option<u32>| id.is_some_and(|id| judge.end.contains(id));
        self.truncated += usize::from(!is_end(last));
        let ends = sample.tokens.iter().zip(&sample.mask).any(|(id, trained)| *trained && is_end(Some(*id)));
        self.ended += usize::from(ends);
        if let Some(id) = unknown.filter(|_| self.damaged.len() < NAMED) {
            self.damaged.push(format!("sample {number} (`{}`) has the id {id}", sample.origin.escape_debug()));
        }
    }

    fn table(&self, judge: &Judge) -> String {
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let context = judge.context.map_or_else(
            || "no config tells the context".to_string(),
            |context| format!("{} longer than the context of {context}", self.too_long),
        );
        let mut rows = vec![
            ("samples", self.samples, format!("{} with a trained end of turn", self.ended)),
            ("tokens", self.tokens, format!("{} trained ({:.1} %)", self.trained, share(self.trained, self.tokens))),
            ("longest", self.longest, context),
            ("truncated", self.truncated, "without an end of turn behind the last trained words".to_string()),
            ("beyond", self.beyond, format!("ids outside of the vocabulary of {}", judge.vocab_size)),
        ];
        for (role, (tokens, trained)) in &self.roles {
            rows.push((*role, *tokens, format!("{trained} trained ({:.1} %)", share(*trained, *tokens))));
        }
        rows.iter().map(|(name, count, more)| format!("{name:<10} {count:>10}  {more}\n")).collect()
    }

    /// Refuses what cannot be right.
    fn judge(&self, samples: &Path) -> Result<()> {
        let place = samples.display();
        if self.samples == 0 {
            bail!("`{place}` has no samples\nhint: build them with `train data samples`");
        }
        if self.beyond > 0 {
            let named = self.damaged.join("\n");
            bail!(
                "`{place}` is damaged: {} ids are beyond the vocabulary\n{named}\nhint: build the samples again with this model",
                self.beyond
            );
        }
        if self.all_trained == self.samples {
            bail!("every token of every sample is trained\nhint: the prompt must not be; build the samples again");
        }
        if self.ended == 0 {
            bail!(
                "the end-of-turn token is never trained, so the model would never stop\nhint: check the chat template"
            );
        }
        Ok(())
    }
}

//! `train data audit`: which tokens of a sample set are trained, and whether that can be right.
//!
//! In: samples and the model they are for. Out, on standard output: samples token by token, then counts, per role as
//! well. A set that cannot be right is refused at the end, so that it was seen before.

mod show;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use data::template::{EndOfTurn, Roles};
use data::{Role, Sample, Tokenizer};

use super::tokenizer_at;
use crate::checkpoint;
use show::Show;

/// `train data audit`
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// Folder of Parquet shards.
    #[arg(value_name = "SAMPLES")]
    pub samples: PathBuf,
    /// The model that is to be trained on them: its folder, or the file of its tokenizer.
    #[arg(long, value_name = "PATH", alias = "tokenizer")]
    pub model: PathBuf,
    /// How many samples are printed. All are checked.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub limit: usize,
    /// One token a line and no color, as where standard output is no terminal or `NO_COLOR` is set.
    #[arg(long)]
    pub plain: bool,
}

/// Samples that are named for one fault.
const NAMED: usize = 5;
/// What ends a text that is no conversation.
const END_OF_TEXT: &str = "<|endoftext|>";

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

/// What is trained between two prompts.
struct Answer {
    /// Its last token.
    last: usize,
    /// True where the end of turn is trained.
    ended: bool,
}

/// What was counted.
#[derive(Default)]
struct Counts {
    samples: usize,
    tokens: usize,
    trained: usize,
    longest: usize,
    /// Answers: what is trained between two prompts.
    answers: usize,
    /// Answers without a trained end of turn.
    endless: usize,
    /// Samples with an end of turn in each of their answers.
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
    /// The first samples with an answer that has no end.
    without_end: Vec<String>,
    /// The first samples that are too long.
    long: Vec<String>,
}

/// `train data audit`
///
/// # Errors
///
/// When the samples cannot be read, or cannot be right: ids that the model does not know, masks that are the same
/// everywhere, an answer whose end is not trained, more tokens than the model's context, another tokenizer than the
/// model's.
pub fn run(args: &AuditArgs) -> Result<()> {
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
    counts.judge(&args.samples, judge.context)
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

    /// What is trained between two prompts, and whether it ends. Tokens of the same turn that are left out of the
    /// training do not divide an answer.
    fn answers(&self, sample: &Sample, roles: &[Option<Role>]) -> Vec<Answer> {
        // Text that is no conversation ends with the end of the text.
        let text_end = if roles.iter().all(Option::is_none) { self.tokenizer.special(END_OF_TEXT) } else { None };
        let is_end = |id: u32| self.end.contains(id) || Some(id) == text_end;
        let mut answers: Vec<Answer> = Vec::new();
        let mut open = false;
        for (at, (id, trained)) in sample.tokens.iter().zip(&sample.mask).enumerate() {
            if !trained {
                open = open && roles[at] == Some(Role::Assistant) && !is_end(*id);
                continue;
            }
            match answers.last_mut().filter(|_| open) {
                Some(answer) => answer.last = at,
                None => answers.push(Answer { last: at, ended: false }),
            }
            open = true;
            // A line break behind the end belongs to the template.
            let blank = self.tokenizer.piece(*id).is_some_and(|piece| piece.trim_ascii().is_empty());
            if let Some(answer) = answers.last_mut() {
                answer.ended = is_end(*id) || answer.ended && blank;
            }
        }
        answers
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
        if judge.context.is_some_and(|context| length > context) {
            self.too_long += 1;
            name(&mut self.long, number, sample, &format!("has {length} tokens"));
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
            name(&mut self.damaged, number, sample, &format!("has the id {id}"));
        }
    }

    fn table(&self, judge: &Judge) -> String {
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let context = judge.context.map_or_else(
            || "no config tells the context".to_string(),
            |context| format!("{} longer than the context of {context}", self.too_long),
        );
        let mut rows = vec![
            ("samples", self.samples, format!("{} with a trained end of turn in every answer", self.ended)),
            ("tokens", self.tokens, format!("{} trained ({:.1} %)", self.trained, share(self.trained, self.tokens))),
            ("longest", self.longest, context),
            ("truncated", self.endless, format!("of {} answers, without a trained end of turn", self.answers)),
            ("beyond", self.beyond, format!("ids outside of the vocabulary of {}", judge.vocab_size)),
        ];
        for (role, (tokens, trained)) in &self.roles {
            rows.push((*role, *tokens, format!("{trained} trained ({:.1} %)", share(*trained, *tokens))));
        }
        rows.iter().map(|(name, count, more)| format!("{name:<10} {count:>10}  {more}\n")).collect()
    }

    /// Refuses what cannot be right.
    fn judge(&self, samples: &Path, context: Option<usize>) -> Result<()> {
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
        if self.endless == self.answers {
            bail!(
                "the end-of-turn token is never trained, so the model would never stop\nhint: check the chat template"
            );
        }
        if self.endless > 0 {
            let named = self.without_end.join("\n");
            bail!(
                "`{place}`: {} of {} answers have no trained end of turn, so the model would not learn to stop there\n{named}\nhint: were they cut off? leave such answers out, or build the samples again",
                self.endless,
                self.answers
            );
        }
        if self.too_long > 0 {
            let (named, context) = (self.long.join("\n"), context.unwrap_or_default());
            bail!(
                "`{place}`: {} of {} samples are longer than the model's context of {context} tokens\n{named}\nhint: build them again with `--set data.max_tokens={context}`, or use a model with a longer context",
                self.too_long,
                self.samples
            );
        }
        Ok(())
    }
}

/// Adds a sample to those that are named.
fn name(named: &mut Vec<String>, number: usize, sample: &Sample, what: &str) {
    if named.len() < NAMED {
        named.push(format!("sample {number} (`{}`) {what}", sample.origin.escape_debug()));
    }
}

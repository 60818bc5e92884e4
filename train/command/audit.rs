//! `train data audit`: which tokens of a sample set are trained, and whether that can be right.
//!
//! In: samples, or conversations that become samples on the way, and the model they are for. Out, on standard output:
//! samples token by token, then counts, per role as well; on demand a page of HTML. A set that cannot be right is refused at
//! the end, so that it was seen before.

mod counts;
mod extremes;
mod judge;
mod page;
mod show;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use data::source::chats::{Build, ChatError, NO_TEMPLATE, SampleMaker, Told, find_files};
use data::store::MANIFEST_FILE;
use data::template::{CHATML, ChatTemplate};
use data::{Sample, Tokenizer};

use super::ChatArgs;
use crate::chats::tell;
use crate::config::Config;
use crate::run::paths::Paths;
use crate::terminal::plain as harmless;
use counts::Counts;
use extremes::Extremes;
use judge::Judge;
use show::Show;

/// `train data audit`
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// Folder of Parquet shards; or conversations: JSON lines, JSON or Parquet, as files, folders or patterns.
    #[arg(value_name = "SAMPLES", required = true)]
    pub samples: Vec<PathBuf>,
    /// The model that is to be trained on them: its folder, or the file of its tokenizer.
    #[arg(long, value_name = "PATH", alias = "tokenizer")]
    pub model: PathBuf,
    /// How conversations are read.
    #[command(flatten)]
    pub chats: ChatArgs,
    /// The run's TOML, for `data.chats`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Replace one value of the config, e.g. `--set data.chats.train_on=last`. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How many samples are printed. All are checked.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub limit: usize,
    /// One token a line and no color, as where standard output is no terminal or `NO_COLOR` is set.
    #[arg(long)]
    pub plain: bool,
    /// Write all of it as a page of HTML, too: with the lengths, the ten longest and the ten strangest samples.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Rows that make no sample and are named.
const NAMED: usize = 5;

/// A set, as far as it is kept.
struct Audited {
    /// The first samples.
    shown: Vec<Sample>,
    counts: Counts,
    extremes: Extremes,
    /// Samples whose end was cut off on purpose.
    cut: usize,
    /// What is wrong with the set as a whole.
    fault: Option<String>,
}

/// `train data audit`
///
/// # Errors
///
/// When the samples cannot be read, or cannot be right: ids that the model does not know, masks that are the same
/// everywhere, an answer whose end is not trained, more tokens than the model's context, another tokenizer than the
/// model's, a row that makes no sample.
pub fn run(args: &AuditArgs) -> Result<()> {
    if let Some(html) = &args.html {
        Paths::new().writes_file("--html", html).check()?;
    }
    let folder = if args.model.is_dir() {
        &args.model
    } else {
        args.model.parent().unwrap_or(&args.model)
    };
    let tokenizer = match args.model.is_dir() {
        true => Tokenizer::from_folder(&args.model)?,
        false => Tokenizer::from_file(&args.model)?,
    };
    let template = args.chats.template(folder, &tokenizer)?;
    let judge = Judge::new(&args.model, &tokenizer, &template)?;
    let audited = match &args.samples[..] {
        [one] if is_set(one) => stored(one, args, &judge)?,
        _ => conversations(args, &judge, &tokenizer, &template)?,
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let plain = args.plain || no_color || !io::stdout().is_terminal();
    match print(&audited, &judge, Show { plain }) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        printed => printed.context("while printing samples")?,
    }
    let name = args
        .samples
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(html) = &args.html {
        let page = page::page(
            &name,
            &audited.shown,
            &audited.counts,
            &audited.extremes,
            &judge,
        );
        data::file::write_whole(html, page.as_bytes())?;
        eprintln!("the page is in `{}`", html.display());
    }
    if let Some(fault) = audited.fault {
        bail!("{fault}");
    }
    audited
        .counts
        .judge(Path::new(&name), judge.context, audited.cut)
}

/// Whether it is, or should be, a folder of samples: one without a manifest is none that is finished.
fn is_set(path: &Path) -> bool {
    let shards = || path.join("samples-00000.parquet").exists();
    path.join(MANIFEST_FILE).exists()
        || path.is_dir() && (shards() || find_files(&[path.to_path_buf()]).is_err())
}

impl Audited {
    fn new() -> Self {
        let (counts, extremes) = (Counts::default(), Extremes::default());
        Audited {
            shown: Vec::new(),
            counts,
            extremes,
            cut: 0,
            fault: None,
        }
    }

    fn add(&mut self, sample: &Sample, judge: &Judge, limit: usize) {
        let number = self.counts.samples + 1;
        self.counts.add(number, sample, judge);
        self.extremes.add(number, sample, judge);
        if self.shown.len() < limit {
            self.shown.push(sample.clone());
        }
    }
}

/// A folder of samples.
fn stored(folder: &Path, args: &AuditArgs, judge: &Judge) -> Result<Audited> {
    let manifest = data::store::read_manifest(folder)?;
    let samples = data::store::read_samples(folder)?;
    let mut audited = Audited {
        cut: manifest.cut,
        ..Audited::new()
    };
    samples
        .iter()
        .for_each(|sample| audited.add(sample, judge, args.limit));
    if manifest.tokenizer != judge.tokenizer.hash()? {
        audited.fault = Some(format!(
            "the samples in `{}` were made with another tokenizer than that of `{}`{}",
            folder.display(),
            args.model.display(),
            data::Hint("build them again with `train data samples --tokenizer` and this model")
        ));
    }
    Ok(audited)
}

/// Conversations, each looked at as the sample that it becomes; nothing is stored.
fn conversations(
    args: &AuditArgs,
    judge: &Judge,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
) -> Result<Audited> {
    let config = match &args.config {
        Some(path) => Config::load(path, &args.set)?,
        None => Config::parse("", &args.set)?,
    };
    let settings = args.chats.settings(&config);
    let files = find_files(&args.samples)?;
    let maker = SampleMaker::new(tokenizer, template, &settings, judge.context);
    let (mut audited, mut refused, mut unseen) = (Audited::new(), Vec::new(), false);
    let build = Build {
        files: &files,
        settings: &settings,
        maker: &maker,
    };
    let counts = build.run(&|| false, &mut |told| {
        match told {
            Told::Samples {
                samples, endless, ..
            } => {
                audited.cut += endless;
                samples
                    .iter()
                    .for_each(|sample| audited.add(sample, judge, args.limit));
            }
            Told::Refused { reason, .. } if reason == NO_TEMPLATE => {
                unseen = true;
                return Err(ChatError::Stopped);
            }
            Told::Refused { path, row, reason } => {
                if refused.len() < NAMED {
                    refused.push(harmless(&format!(
                        "`{}`, row {row}: {reason}",
                        path.display()
                    )));
                }
            }
        }
        Ok(())
    });
    if unseen {
        bail!(
            "the rows are conversations, and `{}` has no chat template{}",
            args.model.display(),
            data::Hint(format_args!(
                "choose one: `--chat-template {CHATML}`, or \
             `--chat-template FILE` of Jinja"
            ))
        );
    }
    let counts = counts.context("while reading conversations")?;
    tell(&counts);
    if counts.rows == 0 {
        audited.fault = Some(format!(
            "there is no row{}",
            data::Hint("was the file written to its end?")
        ));
    } else if counts.refused > 0 {
        let told = refused.join("\n");
        let hint = data::Hint(
            "repair them; `train sft` leaves them out with `--set data.chats.bad_rows=drop`",
        );
        audited.fault = Some(format!(
            "{} of {} rows make no sample\n{told}{hint}",
            counts.refused, counts.rows
        ));
    }
    Ok(audited)
}

fn print(audited: &Audited, judge: &Judge, show: Show) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (number, sample) in audited.shown.iter().enumerate() {
        writeln!(
            out,
            "{}",
            show.title(number + 1, audited.counts.samples, sample)
        )?;
        let roles = judge.roles_of(sample);
        show.sample(&mut out, sample, &roles, judge)?;
    }
    write!(out, "{}", audited.counts.table(judge))?;
    if audited.counts.samples > 0 {
        audited.extremes.print(&mut out)?;
    }
    out.flush()
}

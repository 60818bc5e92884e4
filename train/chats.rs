//! Anybody's conversations to the samples of one model.
//!
//! In: files of chat rows, a tokenizer and a chat template. Out: a folder of samples, one of samples for validation where
//! the settings hold some out, `summary.json` with what was counted, and `refused.jsonl` with the rows that make no sample.
//! What stands in the folder already is taken as it is when it was made of the same files in the same way.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use data::Tokenizer;
use data::file::{WholeFile, read_text, write_whole};
use data::source::chats::{
    Build, ChatError, ChatSettings, Counts, NO_TEMPLATE, SampleMaker, Told, Unusable,
};
use data::store::{MANIFEST_FILE, SampleWriter};
use data::template::{CHATML, ChatTemplate};
use serde::{Deserialize, Serialize};

use crate::run::interrupt::{Interrupt, Interrupted};
use crate::settings::Settings;
use crate::terminal::plain;

/// The folder of samples for validation, below that of the samples.
pub const VALIDATION: &str = "validation";
/// The file of rows that make no sample.
pub const REFUSED_FILE: &str = "refused.jsonl";
const SUMMARY_FILE: &str = "summary.json";
/// Rows that are named in an error, and files at the terminal.
const NAMED: usize = 5;
const FILES_TOLD: usize = 10;
/// How often a long reading says where it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was made, and of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatSummary {
    /// What it rests on.
    settings: Settings,
    /// What was counted.
    pub counts: Counts,
}

/// Files on their way to samples.
pub struct Chats<'a> {
    /// The files.
    pub files: &'a [PathBuf],
    /// The model's words.
    pub words: (&'a Tokenizer, &'a ChatTemplate),
    /// The tokens that the model sees at once, where that is known.
    pub context: Option<usize>,
    /// How the rows are read.
    pub settings: &'a ChatSettings,
    /// Where the samples go.
    pub out: &'a Path,
    /// Says when to stop.
    pub interrupt: &'a Interrupt,
}

/// A row that makes no sample.
#[derive(Serialize)]
struct RefusedRow<'a> {
    path: &'a Path,
    row: usize,
    reason: &'a str,
}

impl Chats<'_> {
    /// Makes the samples, or finds them made.
    ///
    /// # Errors
    ///
    /// When a file is none, a row makes no sample and may not be left out, no sample is left, or a signal came.
    pub fn run(&self) -> Result<Counts> {
        let settings = self.identity()?;
        if let Some(counts) = self.found(&settings) {
            eprintln!(
                "data: `{}` holds the samples of these files already",
                self.out.display()
            );
            tell(&counts);
            return Ok(counts);
        }
        let counts = self.make()?;
        tell(&counts);
        if counts.samples == 0 {
            self.forget()?;
            let hint = "look at what is left out above; `data.chats.too_long` and `data.chats.max_tokens` say what is too long";
            bail!(
                "of {} rows no sample is left to train on{}",
                counts.rows,
                data::Hint(hint)
            );
        }
        let summary = ChatSummary { settings, counts };
        write_whole(
            &self.out.join(SUMMARY_FILE),
            &serde_json::to_vec_pretty(&summary)?,
        )?;
        Ok(summary.counts)
    }

    fn make(&self) -> Result<Counts> {
        let (tokenizer, template) = self.words;
        let held_out = self.out.join(VALIDATION);
        let _ = fs::remove_file(self.out.join(SUMMARY_FILE));
        let _ = fs::remove_file(self.out.join(REFUSED_FILE));
        let mut learned = SampleWriter::begin(self.out)?;
        let mut asked = SampleWriter::begin(&held_out)?;
        let (mut refused, mut unseen, mut said) = (Refused::new(self.out), false, Instant::now());
        let (mut rows, mut cut, mut asked_cut) = (0, 0, 0);
        let maker = SampleMaker::new(tokenizer, template, self.settings, self.context);
        let build = Build {
            files: self.files,
            settings: self.settings,
            maker: &maker,
        };
        let made = build.run(&|| self.interrupt.asked(), &mut |told| {
            rows += 1;
            if said.elapsed() > PATIENCE {
                said = Instant::now();
                eprintln!(
                    "data: {rows} rows are read, {} samples made",
                    learned.count() + asked.count()
                );
            }
            match told {
                Told::Samples {
                    samples,
                    held_out,
                    endless,
                } => {
                    let (to, cuts) = if held_out {
                        (&mut asked, &mut asked_cut)
                    } else {
                        (&mut learned, &mut cut)
                    };
                    *cuts += endless;
                    samples
                        .into_iter()
                        .try_for_each(|sample| to.push(sample).map_err(ChatError::from))
                }
                Told::Refused { reason, .. } if reason == NO_TEMPLATE => {
                    unseen = true;
                    Err(ChatError::Stopped)
                }
                Told::Refused { path, row, reason } => refused.add(&path, row, &reason),
            }
        });
        if unseen {
            bail!(
                "the rows are conversations, and no chat template says how this model writes them{}",
                data::Hint(format_args!(
                    "choose one: \
                 `--chat-template {CHATML}` (`<|im_start|>role … <|im_end|>`), or `--chat-template FILE` of Jinja; a model \
                 that was tuned for conversations brings its own as `chat_template.jinja` or in `tokenizer_config.json`"
                ))
            );
        }
        let counts = match made {
            Err(ChatError::Stopped) => {
                return Err(Interrupted::anew(format!(
                    "{rows} rows were read; samples are kept once all are"
                ))
                .into());
            }
            counts => counts.context("while reading conversations")?,
        };
        refused.finish(&counts, self.settings)?;
        if counts.rows == 0 {
            bail!(
                "{} hold no row{}",
                named(self.files),
                data::Hint("were they written to their end?")
            );
        }
        let hash = tokenizer.hash()?;
        if asked.count() > 0 {
            asked.finish_with(&hash, asked_cut)?;
        }
        if learned.count() > 0 {
            learned.finish_with(&hash, cut)?;
        }
        Ok(counts)
    }

    /// What the samples rest on.
    fn identity(&self) -> Result<Settings> {
        let (tokenizer, template) = self.words;
        let short = |hash: blake3::Hash| hash.to_hex()[..16].to_owned();
        let mut content = blake3::Hasher::new();
        for path in self.files {
            let file =
                File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            content.update(path.as_os_str().as_encoded_bytes());
            let mut one = blake3::Hasher::new();
            io::copy(&mut io::BufReader::new(file), &mut one)
                .with_context(|| format!("cannot read `{}`", path.display()))?;
            content.update(one.finalize().as_bytes());
            if self.interrupt.asked() {
                return Err(Interrupted::anew("nothing was written yet".to_string()).into());
            }
        }
        Ok(Settings::default()
            .with("content of --data", short(content.finalize()))
            .with("tokenizer", tokenizer.hash()?)
            .with(
                "chat template",
                short(blake3::hash(template.source().as_bytes())),
            )
            .with("template is a guess", template.is_assumed())
            .with("context", self.context)
            .with("data.chats", self.settings))
    }

    /// What stands in the folder, where it was made of the same.
    fn found(&self, settings: &Settings) -> Option<Counts> {
        if !self.out.join(MANIFEST_FILE).exists() {
            return None;
        }
        let summary: ChatSummary =
            serde_json::from_str(&read_text(&self.out.join(SUMMARY_FILE)).ok()?).ok()?;
        (summary.settings == *settings).then_some(summary.counts)
    }

    fn forget(&self) -> Result<()> {
        SampleWriter::begin(self.out)?;
        SampleWriter::begin(&self.out.join(VALIDATION))?;
        Ok(())
    }
}

/// Rows that make no sample, on disk as they come.
struct Refused {
    path: PathBuf,
    file: Option<WholeFile>,
    named: Vec<String>,
    hints: Vec<String>,
}

impl Refused {
    fn new(out: &Path) -> Self {
        Refused {
            path: out.join(REFUSED_FILE),
            file: None,
            named: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn add(&mut self, path: &Path, row: usize, reason: &str) -> Result<(), ChatError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(WholeFile::create(&self.path)?),
        };
        let mut line =
            serde_json::to_vec(&RefusedRow { path, row, reason }).expect("a row is texts");
        line.push(b'\n');
        file.write_all(&line)
            .map_err(|error| data::file::FileError::new("write", &self.path, error))?;
        let (said, hint) = data::hint::split(reason);
        if self.named.len() < NAMED {
            self.named
                .push(plain(&format!("`{}`, row {row}: {said}", path.display())));
        }
        if let Some(hint) = hint
            && self.hints.len() < 3
            && !self.hints.iter().any(|known| known == hint)
        {
            self.hints.push(hint.to_owned());
        }
        Ok(())
    }

    /// Refuses where such rows may not be left out; else says how many are.
    fn finish(self, counts: &Counts, settings: &ChatSettings) -> Result<()> {
        let Some(file) = self.file else { return Ok(()) };
        file.finish()?;
        let (count, list) = (counts.refused, self.path.display());
        let more = if count > self.named.len() {
            "\n…"
        } else {
            ""
        };
        let told = format!(
            "{count} of {} rows make no sample\n{}{more}",
            counts.rows,
            self.named.join("\n")
        );
        let mut hints = self.hints;
        if counts.refused_too_long > 0 {
            hints.push(
                "long rows: `--set data.chats.too_long=drop`, `truncate_left`, `truncate_right` or `split`".to_string(),
            );
        }
        let bad = counts.refused - counts.refused_too_long;
        if bad > 0 && settings.bad_rows == Unusable::Refuse {
            hints.push(
                "repair them, or leave them out: `--set data.chats.bad_rows=drop`".to_string(),
            );
        }
        if counts.refused_too_long == 0 && settings.bad_rows == Unusable::Drop {
            eprintln!("data: {told}\ndata: they are left out, and listed in `{list}`");
            return Ok(());
        }
        hints.push(format!("all of them are listed in `{list}`"));
        let hints: String = hints
            .iter()
            .map(|hint| data::Hint(hint).to_string())
            .collect();
        bail!("{told}{hints}")
    }
}

/// Says what was read, made, left out and changed.
pub fn tell(counts: &Counts) {
    for file in counts.files.iter().take(FILES_TOLD) {
        let forms: Vec<String> = file
            .forms
            .iter()
            .map(|(form, rows)| format!("{rows} as {form}"))
            .collect();
        let forms = if forms.is_empty() {
            "none in a known form".to_string()
        } else {
            forms.join(", ")
        };
        let unused = match file.unused.is_empty() {
            true => String::new(),
            false => format!("; columns that are not read: {}", file.unused.join(", ")),
        };
        eprintln!(
            "{}",
            plain(&format!(
                "data: `{}`: {} rows, {forms}{unused}",
                file.path.display(),
                file.rows
            ))
        );
    }
    if counts.files.len() > FILES_TOLD {
        eprintln!(
            "data: and {} files more, told in `{SUMMARY_FILE}`",
            counts.files.len() - FILES_TOLD
        );
    }
    for (count, what) in counts.remarks() {
        eprintln!("data: {count} {what}");
    }
    let share = 100.0 * counts.trained as f64 / counts.tokens.max(1) as f64;
    let validation = match counts.validation {
        0 => String::new(),
        count => format!(" and {count} for validation"),
    };
    eprintln!(
        "data: {} samples{validation}, {} tokens, {share:.1} % trained",
        counts.samples, counts.tokens
    );
}

fn named(files: &[PathBuf]) -> String {
    let names: Vec<String> = files
        .iter()
        .take(NAMED)
        .map(|path| format!("`{}`", path.display()))
        .collect();
    names.join(", ")
}

//! `train review`: the page of a queue, and what comes out of it.
//!
//! Example: `train review --queue work/queue --run work/repair`, then
//! `train review export --queue work/queue --out work/corrections`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::minimize::OWN;
use super::{RunArgs, cache_folder, summary_to};
use crate::plan::Plan;
use crate::review::Review;
use crate::review::export::{Exporting, export};
use crate::review::items::{Source, from_run, read};
use crate::review::store::{QUEUE_FILE, Store};
use crate::run::interrupt::Interrupt;
use crate::run::paths::Paths;
use crate::tasks::TestEnv;

/// `train review`
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ReviewArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run_args: RunArgs,
    /// `export`, or nothing for the page.
    #[command(subcommand)]
    pub command: Option<ReviewCommand>,
    /// Folder of the queue: one SQLite file with items, drafts, verdicts and their history.
    #[arg(long, value_name = "DIR", required = true)]
    pub queue: Option<PathBuf>,
    /// Adds what a run left for a person: the folder of `train repair` or of `train eval --agent`. Can be repeated.
    #[arg(long, value_name = "DIR")]
    pub run: Vec<PathBuf>,
    /// The tasks that `--predictions` or `--run` answer, as `train grade` takes them.
    #[arg(long, value_name = "FILE")]
    pub tasks: Option<PathBuf>,
    /// Adds these answers: a file as `train grade` takes it.
    #[arg(long, value_name = "FILE", requires = "tasks")]
    pub predictions: Option<PathBuf>,
    /// What `train grade` said about `--predictions`: what is resolved and not quarantined is left out.
    #[arg(long, value_name = "FILE", requires = "predictions")]
    pub results: Option<PathBuf>,
    /// Adds what is resolved, too.
    #[arg(long)]
    pub all: bool,
    /// Who reviews, where the page names nobody else [default: `USER`].
    #[arg(long, value_name = "NAME")]
    pub reviewer: Option<String>,
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port; 0 for any that is free.
    #[arg(long, value_name = "PORT", default_value_t = 8765)]
    pub port: u16,
    /// Fill the queue and end.
    #[arg(long)]
    pub add_only: bool,
}

/// `train review …`
#[derive(Clone, Debug, Subcommand)]
pub enum ReviewCommand {
    /// Write the verdicts as training data: triplets, repair samples, preference pairs, and a table of all verdicts.
    Export(ReviewExportArgs),
}

/// `train review export`
#[derive(Args, Clone, Debug)]
pub struct ReviewExportArgs {
    /// What every run takes.
    #[command(flatten)]
    pub run: RunArgs,
    /// Folder of the queue.
    #[arg(long, value_name = "DIR")]
    pub queue: PathBuf,
    /// Folder for `triplets`, `sft`, `preferences` and `verdicts`.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Triplets with noise of each fix; each takes a few runs of tests.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub per_fix: usize,
}

/// `train review`
///
/// # Errors
///
/// When what is to be added cannot be read, the address cannot be listened on, or the sandbox cannot be had.
pub fn run(args: &ReviewArgs) -> Result<()> {
    if let Some(ReviewCommand::Export(export)) = &args.command {
        return run_export(export);
    }
    let Some(queue) = &args.queue else {
        bail!(
            "no queue is named{}",
            data::Hint("name a folder with `--queue DIR`")
        );
    };
    let config = args.run_args.config_or(OWN)?;
    let paths = args.run.iter().fold(Paths::new(), |paths, folder| {
        paths.reads_folder("--run", folder)
    });
    paths
        .may_read("--tasks", args.tasks.as_deref())
        .may_read("--predictions", args.predictions.as_deref())
        .may_read("--results", args.results.as_deref())
        .check()?;
    if Plan::new("review", &config).show(args.run_args.dry_run, queue)? {
        return Ok(());
    }
    let store = Store::open(queue)?;
    let mut sources = Vec::new();
    for folder in &args.run {
        sources.extend(from_run(folder, args.tasks.as_deref())?);
    }
    if let (Some(tasks), Some(predictions)) = (&args.tasks, &args.predictions) {
        sources.push(Source {
            tasks: tasks.clone(),
            predictions: predictions.clone(),
            results: args.results.clone(),
        });
    }
    for source in &sources {
        let items = read(source, args.all, queue)?;
        let added = store.add(&items)?;
        let from = source.predictions.display();
        eprintln!(
            "{added} items of `{from}` are new in the queue, {} were there",
            items.len() - added
        );
    }
    let reviewer = args.reviewer.clone().or_else(|| std::env::var("USER").ok());
    let reviewer = reviewer.unwrap_or_else(|| "reviewer".into());
    let progress = store.progress(&reviewer)?;
    let open = progress.total - progress.done;
    eprintln!("{} items, {open} open for {reviewer}", progress.total);
    if progress.total == 0 {
        bail!(
            "the queue `{}` is empty{}",
            queue.display(),
            data::Hint("add items with `--run DIR`, or with `--tasks FILE --predictions FILE`")
        );
    }
    if args.add_only {
        return Ok(());
    }
    let interrupt = Interrupt::listen()?;
    let test_env = TestEnv::open_for_others(&config, &cache_folder()?)?;
    let address = SocketAddr::new(args.host, args.port);
    let review = Review::start(store, test_env, reviewer, address)?;
    if !args.host.is_loopback() {
        eprintln!(
            "warning: who reads what is sent to `{address}` can take the token; nothing is encrypted"
        );
    }
    eprintln!("the address holds a secret; Ctrl-C ends it, and everything is kept");
    println!("{}", review.url());
    review.run(interrupt);
    Ok(())
}

fn run_export(args: &ReviewExportArgs) -> Result<()> {
    let config = args.run.config_or(OWN)?;
    Paths::new()
        .reads_folder("--queue", &args.queue)
        .writes_folder("--out", &args.out)
        .check()?;
    if !args.queue.join(QUEUE_FILE).is_file() {
        bail!(
            "`{}` holds no queue{}",
            args.queue.display(),
            data::Hint("`train review --queue` makes one")
        );
    }
    if Plan::new("review export", &config).show(args.run.dry_run, &args.out)? {
        return Ok(());
    }
    let store = Store::open(&args.queue)?;
    let test_env = match args.per_fix {
        0 => None,
        _ => Some(TestEnv::open_for_others(&config, &cache_folder()?)?),
    };
    let grader = test_env
        .as_ref()
        .map(|env| env.grader_in(env.sandbox.clone()));
    let exporting = Exporting {
        store: &store,
        grader: grader.as_ref(),
        answer: config.data.answer,
        seed: config.seed,
        per_fix: args.per_fix,
        out: &args.out,
    };
    let summary = export(&exporting)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    println!("{}", serde_json::to_string_pretty(&summary)?);
    Ok(())
}

//! `train data import` as a run that can be stopped: its result is written whole or not at all, as fast as its rows are
//! read, so one that was stopped reads them again from the first.
//!
//! In: what was said at the terminal. Out: as [`import()`], once; a second run with `--resume` has nothing left to do.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Result, bail};

use super::import::import;
use crate::cli::ImportArgs;
use crate::interrupt::{Interrupt, Interrupted};
use crate::journal::{Journal, Place};
use crate::paths::Paths;
use crate::settings::Settings;

const STAGE: &str = "data import";
/// How soon a signal is noticed.
const LOOK: Duration = Duration::from_millis(50);

/// `train data import`
///
/// # Errors
///
/// As [`import()`]; and when a signal came: then an older result stays as it was.
pub fn import_whole(args: &ImportArgs) -> Result<()> {
    if args.dry_run {
        return import(args).map(drop);
    }
    let paths = args.input.iter().fold(Paths::new(), |paths, input| paths.reads("IN", input));
    paths.writes_file("--out", &args.out).check()?;
    let Some(journal) = Journal::begin(Place::beside_file(&args.out), STAGE, settings(args)?, args.resume)? else {
        return Ok(());
    };
    let interrupt = Interrupt::listen()?;
    let (sender, done) = channel();
    let given = args.clone();
    std::thread::spawn(move || sender.send(import(&given)));
    loop {
        match done.recv_timeout(LOOK) {
            Ok(imported) => {
                imported?;
                return journal.finish();
            }
            Err(RecvTimeoutError::Timeout) if interrupt.asked() => {
                let kept = format!("nothing of `{}` is written, and its rows are read again", args.out.display());
                return Err(Interrupted::new(kept).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the thread that reads rows ended in the middle"),
        }
    }
}

/// What the result rests on.
fn settings(args: &ImportArgs) -> Result<Settings> {
    let mut settings = Settings::default().with("from", format!("{:?}", args.from)).with("limit", args.limit);
    for input in &args.input {
        let about = input.metadata()?;
        let changed = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        settings = settings.with(&format!("size of {}", input.display()), about.len());
        settings = settings.with(&format!("time of {}", input.display()), changed.to_string());
    }
    Ok(settings)
}

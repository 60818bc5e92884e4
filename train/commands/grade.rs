//! `train grade` and `train data admit`.

use anyhow::{Context as _, Result};
use rollout::grade::Telling;

use super::{cache_folder, config_of, summary_to};
use crate::checkpoint::lock;
use crate::cli::{AdmitArgs, GradeArgs};
use crate::grade::official::Official;
use crate::grade::{AdmitSummary, GradeSummary, Grading, admit_all, predictions_of, refuse_earlier, tasks_of};
use crate::plan::Plan;
use crate::tasks::Workshop;
use crate::watched::Watched;

/// `train grade`
///
/// # Errors
///
/// When tasks or predictions cannot be read, the sandbox does not start, the results cannot be written, or tests were
/// killed for their memory too often.
pub fn grade(args: &GradeArgs) -> Result<Option<GradeSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("grade", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let _lock = lock(&args.out)?;
    // Before anything is written: a command that is refused leaves all as it was.
    refuse_earlier(&args.out, args.resume)?;
    let set = tasks_of(&args.tasks, &args.out.join("tasks"))?;
    let predictions = predictions_of(&args.predictions, &set)?;
    let watched = Watched::start(&args.out, "grade", &config, &args.watch)?;
    let workshop = Workshop::open(&config, &cache_folder()?)?;
    let telling = if args.reports { Telling::All } else { Telling::Repaired };
    let grading = Grading {
        set: &set,
        grader: &workshop.paced_grader(watched.watcher.pace()).telling(telling),
        environment: &workshop.environment,
        workers: config.data.workers,
        out: &args.out,
        resume: args.resume,
        keep_oom: args.watch.forget_oom,
        watcher: &watched.watcher,
        official: Official::new(&args.out, &args.run_id, args.compat),
    };
    let summary = grading.run(&predictions)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    println!("{}", serde_json::to_string(&summary).context("a summary is JSON")?);
    match watched.watcher.stopped() {
        Some(stopped) => Err(stopped.into()),
        None => Ok(Some(summary)),
    }
}

/// `train data admit`
///
/// # Errors
///
/// As [`admit_all`].
pub fn admit(args: &AdmitArgs) -> Result<Option<AdmitSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("data admit", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let _lock = lock(&args.out)?;
    let set = tasks_of(&args.tasks, &args.out.join("tasks"))?;
    let workshop = Workshop::open(&config, &cache_folder()?)?;
    let summary = admit_all(&set, &workshop.grader(), config.data.workers, args.runs, &args.out)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    println!("{}", serde_json::to_string(&summary).context("a summary is JSON")?);
    Ok(Some(summary))
}

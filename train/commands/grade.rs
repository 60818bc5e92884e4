//! `train grade` and `train data admit`.

use anyhow::{Context as _, Result};

use super::{cache_folder, config_of, summary_to};
use crate::cli::{AdmitArgs, GradeArgs};
use crate::grade::{AdmitSummary, GradeSummary, Grading, admit_all, predictions_of, tasks_of};
use crate::plan::Plan;
use crate::tasks::Workshop;

/// `train grade`
///
/// # Errors
///
/// When tasks or predictions cannot be read, the sandbox does not start, or the results cannot be written.
pub fn grade(args: &GradeArgs) -> Result<Option<GradeSummary>> {
    let config = config_of(&args.run)?;
    if Plan::new("grade", &config).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let set = tasks_of(&args.tasks, &args.out.join("tasks"))?;
    let predictions = predictions_of(&args.predictions, &set)?;
    let workshop = Workshop::open(&config, &cache_folder())?;
    let grader = workshop.grader();
    let workers = config.data.workers;
    let grading = Grading { set: &set, grader: &grader, workers, out: &args.out, resume: args.resume };
    let summary = grading.run(&predictions)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    println!("{}", serde_json::to_string(&summary).context("a summary is JSON")?);
    Ok(Some(summary))
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
    let set = tasks_of(&args.tasks, &args.out.join("tasks"))?;
    let workshop = Workshop::open(&config, &cache_folder())?;
    let summary = admit_all(&set, &workshop.grader(), config.data.workers, args.runs, &args.out)?;
    summary_to(&args.out.join("summary.json"), &summary)?;
    println!("{}", serde_json::to_string(&summary).context("a summary is JSON")?);
    Ok(Some(summary))
}

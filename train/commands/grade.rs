//! `train grade` and `train data admit`.

use anyhow::{Context as _, Result};
use rollout::grade::Telling;

use super::{cache_folder, config_of, summary_to};
use crate::checkpoint::lock;
use crate::cli::{AdmitArgs, GradeArgs};
use crate::environment::Environment;
use crate::grade::official::Official;
use crate::grade::{ADMIT, AdmitSummary, Gate, GradeSummary, Grading, predictions_of, refuse_earlier, tasks_of};
use crate::interrupt::Interrupt;
use crate::journal::Place;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::settings::Settings;
use crate::tasks::TestEnv;
use crate::watched::Watched;

/// `train grade`
///
/// # Errors
///
/// When tasks or predictions cannot be read, the sandbox does not start, the results cannot be written, or tests were
/// killed for their memory too often.
pub fn grade(args: &GradeArgs) -> Result<Option<GradeSummary>> {
    let config = config_of(&args.run)?;
    if !args.run.dry_run {
        let paths = Paths::new().reads("--tasks", args.tasks()).writes_folder("--out", args.out());
        let word = matches!(args.predictions().to_str(), Some("gold" | "empty"));
        if word { paths } else { paths.reads_file("--predictions", args.predictions()) }.check()?;
        // Before anything is written: a command that is refused leaves all as it was.
        refuse_earlier(args.out(), args.resume)?;
    }
    let plan = Plan::new("grade", &config).with_data([args.tasks(), args.predictions()]);
    if plan.show(args.run.dry_run, args.out())? {
        return Ok(None);
    }
    let interrupt = Interrupt::listen()?;
    let _lock = lock(args.out())?;
    refuse_earlier(args.out(), args.resume)?;
    let given = tasks_of(args.tasks(), &args.out().join("tasks"))?;
    let predictions = predictions_of(args.predictions(), &given)?;
    let watched = Watched::start(args.out(), "grade", &config, &args.watch)?;
    let test_env = TestEnv::open_for_others(&config, &cache_folder()?)?;
    let telling = if args.reports { Telling::All } else { Telling::Repaired };
    let grading = Grading {
        given: &given,
        grader: &test_env.paced_grader(watched.watcher.pace()).telling(telling),
        environment: &test_env.environment,
        workers: config.data.workers,
        out: args.out(),
        resume: args.resume,
        keep_oom: args.watch.forget_oom,
        watcher: &watched.watcher,
        official: Official::new(args.out(), &args.run_id, args.compat),
        interrupt,
    };
    let summary = grading.run(&predictions)?;
    summary_to(&args.out().join("summary.json"), &summary)?;
    println!("{}", serde_json::to_string(&summary).context("a summary is JSON")?);
    if let Some(stopped) = watched.watcher.stopped() {
        return Err(stopped.into());
    }
    if summary.left > 0 {
        let judged = summary.submitted - summary.left;
        interrupt.check(|| {
            format!("{judged} of {} predictions have a verdict, kept in `{}`", summary.submitted, args.out().display())
        })?;
    }
    Ok(Some(summary))
}

/// `train data admit`
///
/// # Errors
///
/// As [`Gate::run`].
pub fn admit(args: &AdmitArgs) -> Result<Option<AdmitSummary>> {
    let config = config_of(&args.run)?;
    if !args.run.dry_run {
        Paths::new().reads("--tasks", &args.tasks).writes_folder("--out", &args.out).check()?;
        Place::in_folder(&args.out).check(ADMIT, args.resume)?;
    }
    if Plan::new(ADMIT, &config).with_data([args.tasks.as_path()]).show(args.run.dry_run, &args.out)? {
        return Ok(None);
    }
    let interrupt = Interrupt::listen()?;
    let given = tasks_of(&args.tasks, &args.out.join("tasks"))?;
    let test_env = TestEnv::open_for_others(&config, &cache_folder()?)?;
    let Environment { python, jest } = &test_env.environment;
    let gate = Gate {
        given: &given,
        grader: &test_env.grader(),
        workers: config.data.workers,
        runs: args.runs,
        out: &args.out,
        settings: Settings::default()
            .with("sandbox", &config.sandbox)
            .with("environment", python)
            .with("environment.jest", jest),
        resume: args.resume,
        interrupt,
    };
    let path = args.out.join("summary.json");
    let summary = match gate.run()? {
        Some(summary) => {
            summary_to(&path, &summary)?;
            summary
        }
        None => serde_json::from_str(&data::file::read_text(&path)?)?,
    };
    println!("{}", serde_json::to_string(&summary).context("a summary is JSON")?);
    Ok(Some(summary))
}

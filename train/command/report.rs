//! `train report`: the curves of one run, or of several over each other, on one page.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use data::file::{read_text, write_whole};
use toml::Table;

use crate::metrics;
use crate::report::{Compared, compare};
use crate::run::interrupt::Interrupt;
use crate::run::runs::{self, Run, State};
use crate::settings::Settings;

/// `train report`
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Folders of runs of `sft` or `grpo`, or folders that hold some, such as one of `quickstart`.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The page [default: `curves.html` in the first folder].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the page anew every so many seconds, until all runs are over; a browser that shows it follows.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub watch: Option<u64>,
}

/// `train report`
///
/// # Errors
///
/// When a folder holds no run with curves, a file is damaged, or the page cannot be written.
pub fn run(args: &ReportArgs) -> Result<()> {
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.runs[0].join("curves.html"));
    let interrupt = Interrupt::listen()?;
    loop {
        let compared = read(&args.runs)?;
        let renew_s = args
            .watch
            .filter(|_| compared.iter().any(|one| one.run.state == State::Running));
        write_whole(&out, compare(&compared, renew_s).as_bytes())?;
        let Some(seconds) = renew_s else { break };
        interrupt.wait(Duration::from_secs(seconds));
        if interrupt.asked() {
            break;
        }
    }
    println!("{}", out.display());
    Ok(())
}

/// Every run with curves in and below `folders`.
fn read(folders: &[PathBuf]) -> Result<Vec<Compared>> {
    let mut found: Vec<Run> = Vec::new();
    for folder in folders {
        let before = found.len();
        let with_curves = runs::find(folder)
            .into_iter()
            .filter(|run| run.step.is_some());
        found.extend(
            with_curves
                .filter(|run| !found.iter().any(|known| known.path == run.path))
                .collect::<Vec<_>>(),
        );
        let known = |run: &Run| run.path.starts_with(folder);
        if found.len() == before && !found.iter().any(known) {
            bail!(
                "`{}` holds no run with a `metrics.jsonl`{}",
                folder.display(),
                data::Hint("`train runs DIR` lists the runs below a folder")
            );
        }
    }
    let names = names(&found);
    found
        .into_iter()
        .zip(names)
        .map(|(run, name)| compared(run, name))
        .collect()
}

fn compared(run: Run, name: String) -> Result<Compared> {
    let rows = metrics::read(&run.path.join("metrics.jsonl"))?;
    let file = run.path.join("plan.toml");
    let plan: Table = read_text(&file)?
        .parse()
        .with_context(|| format!("`{}` is damaged", file.display()))?;
    let mut settings = Settings::default();
    if let Some(toml::Value::Table(config)) = plan.get("config") {
        for (key, value) in config.iter().filter(|(key, _)| *key != "run") {
            settings = settings.with(key, value);
        }
    }
    for key in ["model", "device"] {
        settings = settings.with(key, plan.get(key));
    }
    Ok(Compared {
        name,
        run,
        settings,
        rows,
    })
}

/// A short name for every run: the end of its path that no other run has.
fn names(runs: &[Run]) -> Vec<String> {
    let parts = |path: &Path| -> Vec<String> {
        path.components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect()
    };
    let paths: Vec<Vec<String>> = runs.iter().map(|run| parts(&run.path)).collect();
    let longest = paths.iter().map(Vec::len).max().unwrap_or(0);
    let ends = |length: usize| -> Vec<String> {
        paths
            .iter()
            .map(|path| path[path.len().saturating_sub(length)..].join("/"))
            .collect()
    };
    let distinct = |names: &Vec<String>| {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        names
            .iter()
            .for_each(|name| *counts.entry(name).or_default() += 1);
        counts.values().all(|count| *count == 1)
    };
    (1..=longest)
        .map(ends)
        .find(distinct)
        .unwrap_or_else(|| ends(longest))
}

//! The runs below a folder: what each did, when, from which commit, how far it is, and its result.
//!
//! In: a folder. Out: a [`Run`] for every plan that stands in or below it, the oldest first.
//! Example: a folder with `plan.toml`, `metrics.jsonl` up to step 40 and no `summary.json`, whose lock is free, is a run
//! of `sft` that stopped at step 40 of 100.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use toml::Table;

use crate::checkpoint;
use crate::metrics::{self, Row};

/// Folders below the first one that are looked into.
const DEPTH: usize = 6;
const PLAN: &str = "plan.toml";

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A process holds its folder.
    Running,
    /// It said what it did.
    Finished,
    /// It has a plan, and no end: killed, interrupted or refused.
    Stopped,
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Finished => "finished",
            State::Stopped => "stopped",
        }
    }
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Its folder; or, of a stage that writes one file, that file.
    pub path: PathBuf,
    /// The command, such as `sft`.
    pub stage: String,
    /// When it began: UTC, to the second.
    pub started: String,
    /// The commit that the program was built from.
    pub commit: String,
    /// The model that it loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How far it is.
    pub state: State,
    /// Steps done, of a run that trains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Steps to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The figure that tells most about it, by its name: the last of its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<(String, f64)>,
    /// The same at its best step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<(u64, f64)>,
}

/// All runs in and below `folder`, the oldest first. Checkpoints are not looked into; what cannot be read is left out.
pub fn find(folder: &Path) -> Vec<Run> {
    let mut found = Vec::new();
    look(folder, DEPTH, &mut found);
    found.sort_by(|a, b| (&a.started, &a.path).cmp(&(&b.started, &b.path)));
    found
}

fn look(folder: &Path, depth: usize, found: &mut Vec<Run>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth > 0 && !name.starts_with('.') && !name.starts_with("step-") {
            look(&path, depth - 1, found);
        } else if name == PLAN {
            found.extend(read(&path, folder));
        } else if let Some(made) = name.strip_suffix(&format!(".{PLAN}")) {
            found.extend(read(&path, &folder.join(made)));
        }
    }
}

/// The run of the plan in `file`, which writes `path`.
fn read(file: &Path, path: &Path) -> Option<Run> {
    let plan: Table = fs::read_to_string(file).ok()?.parse().ok()?;
    let text = |table: &Table, key: &str| Some(table.get(key)?.as_str()?.to_owned());
    let stage = text(&plan, "stage")?;
    let provenance = plan
        .get("provenance")
        .and_then(toml::Value::as_table)
        .cloned()
        .unwrap_or_default();
    let rows = metrics::read(&path.join("metrics.jsonl")).unwrap_or_default();
    let step = rows.last().map(Row::step);
    Some(Run {
        path: path.to_owned(),
        started: text(&provenance, "date").unwrap_or_default(),
        commit: text(&provenance, "commit").unwrap_or_default(),
        model: text(&plan, "model"),
        state: state(path),
        step,
        steps: step.and_then(|_| planned_steps(&plan, &stage, &provenance)),
        result: result(path, &stage, &rows),
        best: best(&stage, &rows),
        stage,
    })
}

fn state(path: &Path) -> State {
    let locked = |lock: PathBuf| checkpoint::refuse_held(&lock).is_err();
    if path.is_dir() && locked(path.join(".lock")) {
        return State::Running;
    }
    let ended = [
        "summary.json",
        "report.json",
        "results.jsonl",
        "tasks.jsonl",
        "manifest.json",
    ];
    let finished = if path.is_dir() {
        ended.iter().any(|name| path.join(name).exists())
    } else {
        path.exists()
    };
    if finished {
        State::Finished
    } else {
        State::Stopped
    }
}

fn planned_steps(plan: &Table, stage: &str, provenance: &Table) -> Option<u64> {
    let section = plan.get("config")?.get(stage)?;
    let number = |key: &str| section.get(key)?.as_integer()?.try_into().ok();
    let steps: u64 = number("steps")?;
    let two = provenance
        .get("command")?
        .as_str()?
        .split(' ')
        .any(|word| word == "--curriculum");
    Some(
        steps
            + if two {
                number("stage2_steps").unwrap_or(0)
            } else {
                0
            },
    )
}

/// The names of the figure that tells most about a stage, from the best to what is always there.
fn figures(stage: &str) -> &'static [&'static str] {
    match stage {
        "sft" => &["eval/loss", "loss"],
        "grpo" => &["eval/pass@1", "reward/mean"],
        _ => &[],
    }
}

fn result(path: &Path, stage: &str, rows: &[Row]) -> Option<(String, f64)> {
    let last = |name: &&str| {
        rows.iter()
            .rev()
            .find_map(|row| row.get(name))
            .map(|value| ((*name).to_owned(), value))
    };
    if let Some(found) = figures(stage).iter().find_map(last) {
        return Some(found);
    }
    let json =
        |file: PathBuf| -> Option<Value> { serde_json::from_slice(&fs::read(file).ok()?).ok() };
    let named = |name: &str, value: &Value| Some((name.to_owned(), value.as_f64()?));
    if path.is_dir() {
        let report = json(path.join("report.json"))?;
        return named("pass@1", report.pointer("/eval/grpo/pass_at_1")?);
    }
    match stage {
        "eval" => named("pass@1", json(path.to_owned())?.get("pass_at_1")?),
        "export" => named(
            "logit_kl",
            json(crate::plan::beside(path, "report.json"))?.get("logit_kl")?,
        ),
        _ => None,
    }
}

/// The best step by what is measured on data that is not trained on.
fn best(stage: &str, rows: &[Row]) -> Option<(u64, f64)> {
    let name = figures(stage).first()?;
    let measured = rows
        .iter()
        .filter_map(|row| Some((row.step(), row.get(name)?)));
    if stage == "sft" {
        measured.min_by(|a, b| a.1.total_cmp(&b.1))
    } else {
        // The first of the highest.
        measured.rev().max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("runs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn write(file: PathBuf, text: &str) {
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("writes");
    }

    fn plan(stage: &str, date: &str, command: &str) -> String {
        format!(
            "stage = \"{stage}\"\nmodel = \"base\"\n[provenance]\ncommit = \"abc\"\ndate = \"{date}\"\n\
             command = \"{command}\"\n[config.sft]\nsteps = 100\n[config.grpo]\nsteps = 5\nstage2_steps = 4\n"
        )
    }

    #[test]
    fn runs_are_told_with_state_step_and_result() {
        let at = folder("all");
        write(
            at.join("b/sft/plan.toml"),
            &plan("sft", "2026-01-02T00:00:00Z", "train sft"),
        );
        let rows = "{\"step\":39,\"loss\":1.5,\"eval/loss\":1.0}\n{\"step\":40,\"loss\":1.25}\n";
        write(at.join("b/sft/metrics.jsonl"), rows);
        write(
            at.join("b/sft/step-000040/plan.toml"),
            &plan("sft", "2026-01-02T00:00:00Z", "not a run"),
        );
        write(
            at.join("a/plan.toml"),
            &plan("grpo", "2026-01-03T00:00:00Z", "train grpo --curriculum"),
        );
        let rows = "{\"step\":1,\"eval/pass@1\":0.5}\n{\"step\":2,\"eval/pass@1\":0.5}\n{\"step\":3,\"eval/pass@1\":0.25}\n";
        write(at.join("a/metrics.jsonl"), rows);
        write(at.join("a/summary.json"), "{}");
        write(
            at.join("one.json.plan.toml"),
            &plan("eval", "2026-01-01T00:00:00Z", "train eval"),
        );
        write(at.join("one.json"), "{\"pass_at_1\": 0.125}");
        write(at.join("broken/plan.toml"), "stage = ");

        let runs = find(&at);
        let told: Vec<_> = runs
            .iter()
            .map(|run| (run.stage.as_str(), run.state, run.step, run.steps))
            .collect();
        let wanted = [
            ("eval", State::Finished, None, None),
            ("sft", State::Stopped, Some(40), Some(100)),
            ("grpo", State::Finished, Some(3), Some(9)),
        ];
        assert_eq!(told, wanted);
        let results: Vec<_> = runs
            .iter()
            .map(|run| run.result.clone().expect("a figure"))
            .collect();
        let named = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            results,
            [
                named("pass@1", 0.125),
                named("eval/loss", 1.0),
                named("eval/pass@1", 0.25)
            ]
        );
        assert_eq!(
            [runs[0].best, runs[1].best, runs[2].best],
            [None, Some((39, 1.0)), Some((1, 0.5))]
        );

        let _lock = checkpoint::lock(&at.join("b/sft")).expect("a lock");
        assert_eq!(find(&at.join("b"))[0].state, State::Running);
        fs::remove_dir_all(at).expect("cleans up");
    }
}

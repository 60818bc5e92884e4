//! Reports as SWE-bench lays them out.
//!
//! In: verdicts with what they were read from. Out: `logs/run_evaluation/<run_id>/<model>/<id>/` with `report.json`,
//! `test_output.txt`, `run_instance.log` and `patch.diff`, and `<model>.<run_id>.json` with schema version 2.
//! What stands there is read from structured events and told in the words of others; no verdict is read from it.
//! A test that did not run is a failure there, as it is here. `tests_seen` says why it may not have run.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use data::Task;
use data::source::jsonl::TaskSet;
use data::source::prediction::Prediction;
use rollout::grade::Graded;
use rollout::grade::compat::Compat;
use rollout::grade::verdict::Unmet;
use rollout::outcome::Outcome;
use rollout::outcome::Resolution;
use sandbox::TestStatus;
use serde_json::{Map, Value, json};

use super::{Judgement, Verdict};

/// The longest name of a folder, far below what file systems bear.
const LONGEST: usize = 200;

/// What happened, for people.
const LOG_FILE: &str = "run_instance.log";

/// Where and how reports are filed.
pub struct Official {
    out: PathBuf,
    run_id: String,
    compat: Option<Compat>,
}

impl Official {
    /// Files reports of `run_id` below `out`. With `compat` each also says what those rules read from its text log.
    pub fn new(out: &Path, run_id: &str, compat: Option<Compat>) -> Self {
        Official {
            out: out.to_path_buf(),
            run_id: run_id.to_owned(),
            compat,
        }
    }

    /// Refuses names of models or tasks that would be one name of a folder.
    ///
    /// # Errors
    ///
    /// Which two.
    pub fn check(&self, predictions: &[Prediction]) -> Result<()> {
        for text in [(|one| &one.model) as fn(&Prediction) -> &String, |one| {
            &one.instance_id
        }] {
            let mut taken: BTreeMap<String, &str> = BTreeMap::new();
            for text in predictions.iter().map(text) {
                let folder = name(text);
                if let Some(other) = taken
                    .insert(folder.clone(), text)
                    .filter(|other| *other != text)
                {
                    bail!(
                        "the reports of `{other}` and `{text}` would both lie in `{folder}`{}",
                        data::Hint("rename one of them")
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether this verdict has its report.
    pub fn has(&self, verdict: &Verdict) -> bool {
        let folder = self
            .folder_of(&verdict.model_name_or_path)
            .join(name(&verdict.instance_id));
        let log = fs::read_to_string(folder.join(LOG_FILE)).unwrap_or_default();
        log.starts_with(&log_head(verdict, &self.run_id)) && folder.join("report.json").is_file()
    }

    fn folder_of(&self, model: &str) -> PathBuf {
        self.out
            .join("logs/run_evaluation")
            .join(name(&self.run_id))
            .join(name(model))
    }

    /// Files one report, whole or not at all. An earlier one of the same model and task is replaced.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn file(&self, judgement: &Judgement, task: Option<&Task>) -> Result<()> {
        let verdict = &judgement.verdict;
        let model = self.folder_of(&verdict.model_name_or_path);
        let folder = model.join(name(&verdict.instance_id));
        let made = model.join(format!(".tmp-{}", std::process::id()));
        let output = test_output(judgement);
        let compat = self.compat.zip(task).map(|(compat, task)| {
            let resolved = compat.resolved(&output, &task.fail_to_pass, &task.pass_to_pass);
            json!({"rules": compat, "resolved": resolved})
        });
        let files = [
            (
                "report.json",
                format!("{:#}\n", report(judgement, task, compat)),
            ),
            ("test_output.txt", output),
            (LOG_FILE, run_log(judgement, &self.run_id)),
            ("patch.diff", patch_diff(judgement)),
        ];
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&made)?;
            files
                .iter()
                .try_for_each(|(file, text)| fs::write(made.join(file), text))?;
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::rename(&made, &folder)
        };
        write().with_context(|| format!("while writing the report `{}`", folder.display()))
    }

    /// Writes one summary for each model.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn summarize(
        &self,
        set: &TaskSet,
        predictions: &[Prediction],
        verdicts: &[Verdict],
    ) -> Result<()> {
        let mut models: BTreeMap<&str, Vec<&Prediction>> = BTreeMap::new();
        predictions
            .iter()
            .for_each(|one| models.entry(&one.model).or_default().push(one));
        for (model, predictions) in models {
            let path = self
                .out
                .join(format!("{}.{}.json", name(model), name(&self.run_id)));
            let text = format!("{:#}\n", summary(set, &predictions, verdicts));
            data::file::write_whole(&path, text.as_bytes())?;
        }
        Ok(())
    }
}

/// A text as one name of a file: `/` is written `__`, as SWE-bench does it.
fn name(text: &str) -> String {
    let mut name = text.replace('/', "__").replace('\0', "_");
    if name.is_empty() || name.starts_with('.') {
        name.insert(0, '_');
    }
    if name.len() > LONGEST {
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let cut = (0..=LONGEST)
            .rev()
            .find(|at| name.is_char_boundary(*at))
            .unwrap_or(0);
        name.truncate(cut);
        let _ = write!(name, "-{}", &hash[..8]);
    }
    name
}

fn report(judgement: &Judgement, task: Option<&Task>, compat: Option<Value>) -> Value {
    let Judgement {
        verdict,
        patch,
        graded,
        ..
    } = judgement;
    let empty = patch.as_ref().is_some_and(data::Patch::is_empty);
    let outcome = graded.as_ref().map(|graded| &graded.outcome);
    let applied =
        outcome.is_some_and(|outcome| !matches!(outcome, Outcome::DoesNotApply | Outcome::NoPatch));
    let infra = verdict.outcome == Resolution::Infra;
    let mut report = Map::new();
    let mut set = |key: &str, value: Value| report.insert(key.to_owned(), value);
    set("patch_is_None", empty.into());
    set("patch_exists", (!empty).into());
    set("patch_successfully_applied", applied.into());
    set(
        "resolved",
        (verdict.outcome == Resolution::Resolved && !verdict.quarantined).into(),
    );
    set("infra_failure", infra.into());
    if infra {
        set("infra_failure_reason", verdict.reason.clone().into());
    }
    if let (Some(task), Some(graded)) = (task, graded.as_ref().filter(|_| applied)) {
        set("tests_status", tests_status(task, &graded.grounds.unmet));
        set(
            "tests_seen",
            if graded.seen.whole {
                "all"
            } else {
                "until the first failure"
            }
            .into(),
        );
    }
    if let Some(compat) = compat {
        set("compat", compat);
    }
    set("quarantined", verdict.quarantined.into());
    set("outcome", json!(verdict.outcome));
    json!({ &verdict.instance_id: report })
}

fn tests_status(task: &Task, unmet: &[Unmet]) -> Value {
    let unmet: HashSet<&str> = unmet.iter().map(|one| one.test.as_str()).collect();
    let split = |ids: &[String]| {
        let (success, failure): (Vec<&String>, Vec<&String>) =
            ids.iter().partition(|id| !unmet.contains(id.as_str()));
        json!({"success": success, "failure": failure})
    };
    json!({
        "FAIL_TO_PASS": split(&task.fail_to_pass),
        "PASS_TO_PASS": split(&task.pass_to_pass),
        "FAIL_TO_FAIL": split(&[]),
        "PASS_TO_FAIL": split(&[]),
    })
}

/// What the tests printed, and below it every status as `pytest -rA` writes it, so that whoever parses this text finds
/// the statuses of the events: the last line of a test counts.
fn test_output(judgement: &Judgement) -> String {
    let Some(graded) = &judgement.graded else {
        return match judgement.verdict.outcome {
            Resolution::InvalidPatch => ">>>>> Patch Apply Failed\n".into(),
            _ => ">>>>> Tests Errored\n".into(),
        };
    };
    let mut text = String::from(">>>>> Start Test Output\n");
    text.push_str(&graded.seen.output);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for (id, status) in &graded.seen.tests {
        let status = match status {
            TestStatus::Passed => "PASSED",
            TestStatus::Failed => "FAILED",
            TestStatus::Skipped => "SKIPPED",
            TestStatus::XFailed => "XFAIL",
            TestStatus::XPassed => "XPASS",
        };
        let _ = writeln!(text, "{status} {id}");
    }
    text.push_str(match graded.outcome {
        Outcome::Resolved => ">>>>> End Test Output\n>>>>> Test Exit Code: 0\n",
        Outcome::StillFailing { .. } | Outcome::BrokeOthers { .. } => {
            ">>>>> End Test Output\n>>>>> Test Exit Code: 1\n"
        }
        Outcome::TimedOut => ">>>>> Tests Timed Out\n",
        Outcome::OutOfMemory | Outcome::Crashed | Outcome::NoPatch => ">>>>> Tests Errored\n",
        Outcome::DoesNotApply => ">>>>> Patch Apply Failed\n",
    });
    text
}

/// The answer as it is judged; as it came, where it is no patch.
fn patch_diff(judgement: &Judgement) -> String {
    match (&judgement.patch, &judgement.raw) {
        (Some(patch), _) => patch.text().to_owned(),
        (None, raw) => raw.clone().unwrap_or_default(),
    }
}

/// What a report is about: the same head, the same report.
fn log_head(verdict: &Verdict, run_id: &str) -> String {
    let Verdict {
        instance_id,
        model_name_or_path,
        key,
        ..
    } = verdict;
    format!("run: {run_id}\ntask: {instance_id}\nmodel: {model_name_or_path}\nkey: {key}\n")
}

fn run_log(judgement: &Judgement, run_id: &str) -> String {
    let Judgement {
        verdict, graded, ..
    } = judgement;
    let Verdict {
        outcome,
        quarantined,
        reason,
        seconds,
        ..
    } = verdict;
    let mut text = log_head(verdict, run_id);
    let _ = writeln!(
        text,
        "outcome: {outcome:?}\nquarantined: {quarantined}\nreason: {reason}\nseconds: {seconds:.3}"
    );
    if let Some(Graded {
        outcome,
        failure,
        wall,
        cached,
        ..
    }) = graded
    {
        let _ = writeln!(
            text,
            "tests: {outcome:?} after {:.3} s, cached: {cached}",
            wall.as_secs_f64()
        );
        if let Some(failure) = failure {
            let _ = writeln!(text, "first failure: {}\n{}", failure.test, failure.trace);
        }
    }
    text
}

fn summary(set: &TaskSet, predictions: &[&Prediction], verdicts: &[Verdict]) -> Value {
    let by_id: BTreeMap<&str, &Verdict> = verdicts
        .iter()
        .map(|one| (one.instance_id.as_str(), one))
        .collect();
    let mut ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    let submitted: BTreeSet<&str> = predictions
        .iter()
        .map(|one| one.instance_id.as_str())
        .collect();
    for one in predictions {
        let id = one.instance_id.as_str();
        let mut add = |kinds: &[&'static str]| {
            for kind in kinds {
                ids.entry(kind).or_default().insert(id);
            }
        };
        if one.answer.is_empty() {
            add(&["empty_patch"]);
            continue;
        }
        match by_id.get(id) {
            Some(verdict) if verdict.quarantined => add(&["completed", "unresolved"]),
            Some(Verdict {
                outcome, reason, ..
            }) => match outcome {
                Resolution::Resolved => add(&["completed", "resolved"]),
                Resolution::Unresolved | Resolution::Oom => add(&["completed", "unresolved"]),
                Resolution::InvalidPatch | Resolution::Timeout => add(&["error"]),
                Resolution::Infra => {
                    add(&["error", "infra_failure"]);
                    reasons.insert(id, reason);
                }
            },
            None => add(&["error"]),
        }
    }
    let incomplete: Vec<&str> = set
        .tasks
        .iter()
        .map(|task| task.id.as_str())
        .filter(|id| !submitted.contains(id))
        .collect();
    let mut summary = Map::new();
    summary.insert("total_instances".into(), set.tasks.len().into());
    summary.insert("submitted_instances".into(), submitted.len().into());
    let kinds = [
        "completed",
        "resolved",
        "unresolved",
        "infra_failure",
        "ambiguous_failure",
        "empty_patch",
        "error",
    ];
    for kind in kinds {
        let of_kind = ids.remove(kind).unwrap_or_default();
        summary.insert(format!("{kind}_instances"), of_kind.len().into());
        summary.insert(format!("{kind}_ids"), json!(of_kind));
    }
    summary.insert("submitted_ids".into(), json!(submitted));
    summary.insert(
        "incomplete_ids".into(),
        json!(BTreeSet::from_iter(incomplete)),
    );
    summary.insert("failure_reasons".into(), json!(reasons));
    // Every sandbox is gone with its processes, and none leaves an image.
    summary.insert("unstopped_instances".into(), 0.into());
    summary.insert("unstopped_containers".into(), json!([]));
    summary.insert("unremoved_images".into(), json!([]));
    summary.insert("schema_version".into(), 2.into());
    Value::Object(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_share_a_folder_are_refused() {
        let answer = |id: &str, model: &str| Prediction {
            instance_id: id.into(),
            model: model.into(),
            answer: data::source::prediction::Answer::Diff(String::new()),
        };
        let official = Official::new(Path::new("out"), "r", None);
        assert!(
            official
                .check(&[answer("a", "x/y"), answer("b", "x/y")])
                .is_ok()
        );
        for two in [
            [answer("a", "x/y"), answer("b", "x__y")],
            [answer("a/b", "m"), answer("a__b", "m")],
        ] {
            let said = official.check(&two).expect_err("is refused").to_string();
            assert!(
                said.contains("would both lie in") && said.contains("hint: "),
                "{said}"
            );
        }
    }

    #[test]
    fn a_name_never_leaves_its_folder() {
        assert_eq!(name("mistralai/Devstral"), "mistralai__Devstral");
        assert_eq!(
            ["..", "../../etc", ".", ""].map(name),
            ["_..", "_..__..__etc", "_.", "_"]
        );
        let long = name(&"ä".repeat(300));
        assert!(long.len() <= LONGEST + 9 && long != name(&"ä".repeat(301)));
    }
}

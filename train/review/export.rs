//! Verdicts as training data.
//!
//! In: the verdicts of a queue that stand. Out: `triplets` for `train distill`, `sft/repairs.jsonl` for `train sft --data`,
//! `preferences/pairs.jsonl` (prompt, chosen, rejected), and `verdicts.jsonl` with `verdicts.parquet`: who decided what,
//! when, in how many seconds and keys, about which bytes.
//! Example: a fix that a person stored becomes one answer, one pair against the model's patch, and a few triplets; its
//! smallest part is proven by the tests once more.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use data::skill::repair::{AnswerForm, gold_answer, prompt};
use data::source::jsonl::write_rows;
use data::triplet::{ReadTriplets, Split, Triplet, size, write_triplets};
use data::{Message, Patch, Role, Task};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rollout::grade::Grader;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agreement::{Agreement, agreements};
use super::judge::{model_files, patch_of, set_of};
use super::store::{Item, Store, Verdict, VerdictKind, hash};
use crate::triplets::of_correction;

/// What the triplets are made of, in words.
const SOURCE: &str = "a person's correction of a model's patch";

/// What is written, and where.
pub struct Exporting<'a> {
    /// The queue.
    pub store: &'a Store,
    /// Proves triplets; without it there are none.
    pub grader: Option<&'a Grader>,
    /// The form of the answers.
    pub answer: AnswerForm,
    /// From which the noise derives.
    pub seed: u64,
    /// Triplets with noise of each fix.
    pub per_fix: usize,
    /// Where it goes.
    pub out: &'a Path,
}

/// What was written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExportSummary {
    /// Verdicts that stand, by kind.
    pub verdicts: BTreeMap<String, usize>,
    /// Fixes, each different one once.
    pub fixes: usize,
    /// Answers to learn.
    pub samples: usize,
    /// Pairs of a fix and the model's patch.
    pub pairs: usize,
    /// Triplets.
    pub triplets: usize,
    /// What was left out, by its reason.
    pub dropped: BTreeMap<String, usize>,
    /// The median of the seconds that a fix took.
    pub median_seconds: f64,
    /// The median of the keys that a fix took.
    pub median_keys: i64,
    /// How far each two reviewers agree.
    pub agreements: Vec<Agreement>,
}

/// A line of `verdicts.jsonl`.
#[derive(Clone, Debug, Serialize)]
struct Row {
    verdict: i64,
    item: i64,
    task_id: String,
    repo: String,
    base_commit: String,
    model: String,
    reviewer: String,
    kind: &'static str,
    reason: String,
    seconds: f64,
    keys: i64,
    at: i64,
    model_patch: String,
    model_patch_blake3: String,
    patch: String,
    patch_blake3: String,
    patch_lines: i64,
}

/// Everything that is collected on the way.
#[derive(Default)]
struct Collected {
    rows: Vec<Row>,
    samples: Vec<Value>,
    pairs: Vec<Value>,
    triplets: Vec<Triplet>,
}

/// Writes what a queue holds as training data; what the folder held before is replaced.
///
/// # Errors
///
/// When the queue cannot be read, the disk is full, or the sandbox fails.
pub fn export(exporting: &Exporting<'_>) -> Result<ExportSummary> {
    let mut summary = ExportSummary::default();
    let mut all = Collected::default();
    let mut seen = HashSet::new();
    let (mut seconds, mut keys) = (Vec::new(), Vec::new());
    for verdict in exporting.store.standing()? {
        let none = || {
            anyhow!(
                "the queue has a verdict about item {}, which it has not",
                verdict.item
            )
        };
        let item = exporting.store.item(verdict.item)?.ok_or_else(none)?;
        *summary
            .verdicts
            .entry(verdict.kind.name().into())
            .or_default() += 1;
        all.rows.push(row(&item, &verdict));
        if !matches!(verdict.kind, VerdictKind::Accept | VerdictKind::Edit) {
            continue;
        }
        seconds.push(verdict.seconds);
        keys.push(verdict.keys);
        if seen.insert((item.task.id.clone(), hash(&verdict.patch))) {
            summary.fixes += 1;
            exporting.fix(&item, &verdict, &mut all, &mut summary.dropped)?;
        }
    }
    (summary.samples, summary.pairs) = (all.samples.len(), all.pairs.len());
    summary.triplets = all.triplets.len();
    summary.agreements = agreements(&exporting.store.pairs()?);
    seconds.sort_by(f64::total_cmp);
    keys.sort_unstable();
    summary.median_seconds = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    summary.median_keys = keys.get(keys.len() / 2).copied().unwrap_or_default();
    write(exporting.out, all)?;
    Ok(summary)
}

fn write(out: &Path, all: Collected) -> Result<()> {
    write_rows(&out.join("verdicts.jsonl"), &all.rows)?;
    let table = to_parquet(&all.rows).context("while writing the verdicts as Parquet")?;
    data::file::write_whole(&out.join("verdicts.parquet"), &table)?;
    write_rows(&out.join("sft/repairs.jsonl"), &all.samples)?;
    write_rows(&out.join("preferences/pairs.jsonl"), &all.pairs)?;
    let triplets = ReadTriplets::from([(Split::Train, all.triplets)]);
    write_triplets(&out.join("triplets"), &triplets)?;
    Ok(())
}

fn row(item: &Item, verdict: &Verdict) -> Row {
    let lines = Patch::parse(&verdict.patch).map_or(0, |patch| size(&patch));
    Row {
        verdict: verdict.id,
        item: item.id,
        task_id: item.task.id.clone(),
        repo: item.task.repo.clone(),
        base_commit: item.task.base_commit.clone(),
        model: item.model.clone(),
        reviewer: verdict.reviewer.clone(),
        kind: verdict.kind.name(),
        reason: verdict.reason.clone(),
        seconds: verdict.seconds,
        keys: verdict.keys,
        at: verdict.at,
        model_patch_blake3: hash(&item.patch),
        model_patch: item.patch.clone(),
        patch_blake3: hash(&verdict.patch),
        patch: verdict.patch.clone(),
        patch_lines: lines as i64,
    }
}

impl Exporting<'_> {
    /// What one fix teaches.
    fn fix(
        &self,
        item: &Item,
        verdict: &Verdict,
        all: &mut Collected,
        dropped: &mut BTreeMap<String, usize>,
    ) -> Result<()> {
        let mut drop = |reason: String| *dropped.entry(reason).or_default() += 1;
        let fix = Patch::parse(&verdict.patch)
            .map_err(|error| anyhow!("the fix of `{}`: {error}", item.task.id))?;
        let mut answered = item.task.judged(&fix).0;
        if let Some(grader) = self.grader {
            let task = corrected(&item.task, &answered);
            let of = (self.seed, self.per_fix);
            let found = of_correction(&set_of(item), &task, grader, of, SOURCE)
                .with_context(|| format!("while making triplets of `{}`", item.task.id))?;
            for (reason, count) in found.dropped {
                (0..count).for_each(|_| drop(format!("triplets: {reason}")));
            }
            all.triplets
                .extend(found.triplets.into_iter().map(|triplet| Triplet {
                    id: format!("{}.review{}", triplet.id, verdict.id),
                    ..triplet
                }));
            answered = found.smallest.unwrap_or(answered);
        }
        let (asked, chosen) = match self.answer(item, &answered) {
            Ok(answer) => answer,
            Err(reason) => {
                drop(format!("samples: {reason}"));
                return Ok(());
            }
        };
        let mut messages = asked.clone();
        messages.push(Message::new(Role::Assistant, chosen.clone()));
        let id = format!("{}.review{}", item.task.id, verdict.id);
        let told = json!({
            "reviewer": verdict.reviewer, "at": verdict.at, "kind": verdict.kind, "patch_blake3": hash(&verdict.patch),
        });
        all.samples
            .push(json!({ "id": id, "messages": messages, "provenance": told }));
        if verdict.kind == VerdictKind::Edit {
            match self.rejected(item) {
                Ok(rejected) if rejected != chosen => all.pairs.push(json!({
                    "id": id, "prompt": asked, "provenance": told,
                    "chosen": [Message::new(Role::Assistant, chosen)],
                    "rejected": [Message::new(Role::Assistant, rejected)],
                })),
                Ok(_) => drop("pairs: both sides are the same".into()),
                Err(reason) => drop(format!("pairs: {reason}")),
            }
        }
        Ok(())
    }

    /// The model's patch as an answer.
    fn rejected(&self, item: &Item) -> Result<String, String> {
        let patch = model_files(item)
            .and_then(|files| patch_of(item, &files))
            .map_err(|_| "the model's answer is no patch of the tree".to_string())?;
        let patch = item.task.judged(&patch).0;
        if patch.is_empty() {
            return Err("the model's patch changes nothing".into());
        }
        self.answer(item, &patch).map(|(_, answer)| answer)
    }

    /// What is asked, and the answer that makes `patch`.
    fn answer(&self, item: &Item, patch: &Patch) -> Result<(Vec<Message>, String), String> {
        let set = set_of(item);
        let (mut texts, mut answers) = (Vec::new(), Vec::new());
        for path in patch.paths() {
            let (only, _) = patch.without(&|other| other != path);
            let mut task = corrected(&item.task, &only);
            if task.focus.path != path {
                // Lines are shown of the function that holds the bug alone.
                if self.answer_is_a_line() {
                    return Err("it touches another file than the one that is shown".into());
                }
                task.focus.path = path.to_string();
            }
            let base = set
                .base_file(&item.task, path)
                .map_err(|error| error.to_string())?
                .ok_or("it creates a file")?;
            let answer = gold_answer(&task, &base, self.answer)
                .map_err(|error| error.reason().to_string())?;
            answers.push(answer);
            texts.push((path.to_string(), base));
        }
        let Some(((first, text), others)) = texts.split_first() else {
            return Err("it changes nothing".into());
        };
        let mut task = item.task.clone();
        task.focus.path.clone_from(first);
        let more: String = others
            .iter()
            .map(|(path, text)| format!("\n### {path}\n{text}"))
            .collect();
        let asked = prompt(&task, &(text.clone() + &more), self.answer);
        Ok((asked, answers.join("\n")))
    }

    fn answer_is_a_line(&self) -> bool {
        self.answer == AnswerForm::Line
    }
}

/// The task with this repair.
fn corrected(task: &Task, repair: &Patch) -> Task {
    Task {
        gold: repair.clone(),
        ..task.clone()
    }
}

fn to_parquet(rows: &[Row]) -> Result<Vec<u8>> {
    let texts = |of: &dyn Fn(&Row) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let numbers = |of: &dyn Fn(&Row) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(of)))
    };
    let seconds: ArrayRef = Arc::new(Float64Array::from_iter_values(
        rows.iter().map(|row| row.seconds),
    ));
    let batch = RecordBatch::try_from_iter([
        ("verdict", numbers(&|row| row.verdict)),
        ("item", numbers(&|row| row.item)),
        ("task_id", texts(&|row| &row.task_id)),
        ("repo", texts(&|row| &row.repo)),
        ("base_commit", texts(&|row| &row.base_commit)),
        ("model", texts(&|row| &row.model)),
        ("reviewer", texts(&|row| &row.reviewer)),
        ("kind", texts(&|row| row.kind)),
        ("reason", texts(&|row| &row.reason)),
        ("seconds", seconds),
        ("keys", numbers(&|row| row.keys)),
        ("at", numbers(&|row| row.at)),
        ("model_patch", texts(&|row| &row.model_patch)),
        ("model_patch_blake3", texts(&|row| &row.model_patch_blake3)),
        ("patch", texts(&|row| &row.patch)),
        ("patch_blake3", texts(&|row| &row.patch_blake3)),
        ("patch_lines", numbers(&|row| row.patch_lines)),
    ])?;
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3)?);
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

//! An item as the page shows it: each file three times, with what differs.
//!
//! In: an item and a reviewer. Out: JSON of the original, the model's patch and the person's fix, the failing test, the
//! draft, the verdict and the history. Everything of a model's is plain text in it; the page puts it in as text.
//! Example: an item whose tree is gone has no files and says so in `refused`.

use std::collections::BTreeSet;

use anyhow::Result;
use data::Patch;
use data::patch::check_path;
use data::triplet::size;
use serde::Serialize;

use super::diff::{Marks, marks};
use super::judge::{Judge, Told, model_files, patch_of, present, set_of};
use super::store::{Draft, Files, Item, Store, Verdict, hash};

/// The most of an answer that is no patch that is shown.
const RAW: usize = 64 << 10;
/// The largest file that is shown.
const LARGEST: usize = 2 << 20;

/// A file of an item.
#[derive(Clone, Debug, Serialize)]
pub struct FileView {
    /// Below the tree.
    pub path: String,
    /// Before any patch; none where it is not there.
    pub original: Option<String>,
    /// After the model's patch.
    pub model: Option<String>,
    /// As the person left it.
    pub human: Option<String>,
    /// Why it cannot be shown, e.g. because it is no text.
    pub fault: Option<String>,
    /// Original against model.
    pub model_marks: Marks,
    /// Original against person.
    pub human_marks: Marks,
}

/// An item.
#[derive(Clone, Debug, Serialize)]
pub struct ItemView {
    /// Its number.
    pub id: i64,
    /// The task's id.
    pub task: String,
    /// Its package.
    pub repo: String,
    /// What is wrong.
    pub statement: String,
    /// `python` or `javascript`.
    pub language: &'static str,
    /// Tests that have to turn green.
    pub fail_to_pass: Vec<String>,
    /// Who answered.
    pub model: String,
    /// Why a person should look.
    pub reason: String,
    /// Why the answer is no patch of the tree; none where it is one.
    pub refused: Option<String>,
    /// Why nothing can be run; none where it can.
    pub gone: Option<String>,
    /// The answer as it came, where it is no patch.
    pub raw: Option<String>,
    /// Its files.
    pub files: Vec<FileView>,
    /// What the reviewer wrote so far.
    pub draft: Draft,
    /// What the tests say about the model's patch.
    pub model_run: Option<Told>,
    /// What they say about the fix as it is.
    pub run: Option<Told>,
    /// Lines of the model's patch.
    pub model_lines: usize,
    /// Lines of the 1-minimal part of the fix as it is, where it was searched for.
    pub minimal_lines: Option<usize>,
    /// The reviewer's verdict that stands.
    pub verdict: Option<Verdict>,
    /// Everything that was decided, by everybody.
    pub history: Vec<Verdict>,
}

/// The item as `reviewer` sees it.
///
/// # Errors
///
/// When the queue cannot be read.
pub fn view(store: &Store, judge: &Judge, item: &Item, reviewer: &str) -> Result<ItemView> {
    let gone = present(item).err().map(|error| format!("{error:#}"));
    let (model, refused) = match model_files(item) {
        Ok(files) => (files, None),
        Err(error) => (Files::new(), Some(format!("{error:#}"))),
    };
    let draft = store.draft(item.id, reviewer)?.unwrap_or_default();
    let mut paths: BTreeSet<&String> = model.keys().chain(draft.files.keys()).collect();
    if check_path(&item.task.focus.path).is_ok() {
        paths.insert(&item.task.focus.path);
    }
    let files: Vec<FileView> = match gone {
        Some(_) => Vec::new(),
        None => paths
            .into_iter()
            .map(|path| file_view(item, path, &model, Some(&draft.files)))
            .collect(),
    };
    let human: Files = files
        .iter()
        .map(|file| (file.path.clone(), file.human.clone()))
        .collect();
    let known = |files: &Files| -> Result<Option<(Patch, Told)>> {
        let Ok(patch) = patch_of(item, files) else {
            return Ok(None);
        };
        let told = judge.known(item, &patch)?;
        Ok(told.map(|told| (patch, told)))
    };
    let run = known(&human)?;
    let minimal = match &run {
        Some((patch, _)) => store.minimal(item.id, patch.text())?,
        None => None,
    };
    let lines = |text: &str| Patch::parse(text).map_or(0, |patch| size(&patch));
    Ok(ItemView {
        id: item.id,
        task: item.task.id.clone(),
        repo: item.task.repo.clone(),
        statement: item.task.statement.clone(),
        language: item.task.language.name(),
        fail_to_pass: item.task.fail_to_pass.clone(),
        model: item.model.clone(),
        reason: item.reason.clone(),
        raw: refused.is_some().then(|| head(&item.patch)),
        refused: refused.filter(|_| gone.is_none()),
        gone,
        files,
        model_run: known(&model)?.map(|(_, told)| told),
        run: run.map(|(_, told)| told),
        model_lines: lines(&item.patch),
        minimal_lines: minimal.map(|text| lines(&text)),
        verdict: store.current(item.id, reviewer)?,
        history: store.history(item.id)?,
        draft,
    })
}

/// One file of an item; `draft` where the person changed it.
pub fn file_view(item: &Item, path: &str, model: &Files, draft: Option<&Files>) -> FileView {
    let set = set_of(item);
    let original = set.base_file(&item.task, path).ok().flatten();
    let after = model.get(path).cloned().unwrap_or_else(|| original.clone());
    let human = draft.and_then(|files| files.get(path)).cloned();
    let human = human.unwrap_or_else(|| after.clone());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let on_disk = set.root.join(&item.task.tree).join(path).is_file();
    let fault = if original.is_none() && on_disk {
        Some("it is no text, and is left as it is".to_string())
    } else if [&original, &after, &human]
        .iter()
        .any(|one| text(one).len() > LARGEST)
    {
        Some(format!("it is larger than {LARGEST} bytes"))
    } else {
        None
    };
    if fault.is_some() {
        return FileView {
            path: path.to_string(),
            original: None,
            model: None,
            human: None,
            fault,
            model_marks: Marks::default(),
            human_marks: Marks::default(),
        };
    }
    FileView {
        path: path.to_string(),
        model_marks: marks(&text(&original), &text(&after)),
        human_marks: marks(&text(&original), &text(&human)),
        original,
        model: after,
        human,
        fault,
    }
}

/// The beginning of a text that may be of any length.
fn head(text: &str) -> String {
    let mut end = text.len().min(RAW);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let more = if end < text.len() {
        format!(
            "\n… {} bytes more, BLAKE3 {}",
            text.len() - end,
            &hash(text)[..16]
        )
    } else {
        String::new()
    };
    text[..end].to_string() + &more
}

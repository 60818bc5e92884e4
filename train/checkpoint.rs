//! Save whole or not at all; load or refuse.
//!
//! A checkpoint is a folder `step-000123` that Hugging Face's tools load: `config.json`, `tokenizer.json`,
//! `tokenizer_config.json`, `generation_config.json`, `model.safetensors` and a model card; for resuming also `optimizer.safetensors` and `state.json`. One of a
//! model with a LoRA adapter holds the adapter instead of the weights: see [`crate::adapter`].
//! `MANIFEST.json` holds size and BLAKE3 of every file. It is written to `.tmp-…`, synced, and renamed; whoever sees
//! the name sees all of it, after a power cut too. Resume takes the newest that matches its manifest; one that does
//! not is set aside as `.corrupt-…`.

mod card;
mod hub;
mod load;
mod save;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use data::Tokenizer;
use data::template::ChatTemplate;
use serde::{Deserialize, Serialize};

use crate::run::journal::no_run;
use model::{CausalLm, ModelConfig};

pub use hub::{how_to_download, model_folder};
pub use load::{
    Outline, check, config_of, load, load_as, load_rounded, load_state, outline, resolve,
    tokenizer_of, words,
};
pub use save::{Snapshot, require_space, save, save_model};

const FORMAT: u32 = 1;

/// What a checkpoint holds, file by file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// [`FORMAT`].
    format: u32,
    /// The step that it was saved after.
    step: u64,
    /// Its other files by their names.
    files: BTreeMap<String, FileSum>,
}

/// What a file must be.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct FileSum {
    /// Its size.
    bytes: u64,
    /// BLAKE3 of its bytes.
    blake3: String,
}

/// A model with all that is needed to talk to it.
pub struct Loaded {
    /// Folder it came from.
    pub path: PathBuf,
    /// Its shape.
    pub config: ModelConfig,
    /// Its weights.
    pub model: CausalLm,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
}

/// The folder of `step`.
pub fn step_path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:06}"))
}

/// Checkpoints below `folder` by step, oldest first. Whether they are whole is not checked.
pub fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok());
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let step = entry
                .file_name()
                .to_str()?
                .strip_prefix("step-")?
                .parse()
                .ok()?;
            Some((step, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// Removes what killed processes left behind below `folder`.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok())
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".tmp-") || name.starts_with(".trash-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Compares a checkpoint with its manifest.
///
/// # Errors
///
/// Names the first file that is missing, short or changed.
pub fn verify(path: &Path) -> Result<u64> {
    let bytes = fs::read(path.join("MANIFEST.json")).map_err(|error| {
        anyhow!(
            "`{}` is no complete checkpoint: MANIFEST.json cannot be read ({error})",
            path.display()
        )
    })?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{}` is damaged", path.join("MANIFEST.json").display()))?;
    if manifest.format > FORMAT {
        bail!(
            "`{}` has checkpoint format {}, but this program reads up to {FORMAT}",
            path.display(),
            manifest.format
        );
    }
    for (name, entry) in &manifest.files {
        let file = path.join(name);
        let unreadable = || format!("the checkpoint file `{}` cannot be read", file.display());
        let mut open = File::open(&file).with_context(unreadable)?;
        let length = open.metadata().with_context(unreadable)?.len();
        if length != entry.bytes {
            bail!(
                "the checkpoint file `{}` is truncated: {length} bytes, but its manifest says {}{}",
                file.display(),
                entry.bytes,
                data::Hint("name an older checkpoint, or copy this one again")
            );
        }
        let mut hash = blake3::Hasher::new();
        hash.update_reader(&mut open).with_context(unreadable)?;
        if hash.finalize().to_hex().as_str() != entry.blake3 {
            bail!(
                "the checkpoint file `{}` does not match its manifest{}",
                file.display(),
                data::Hint("name an older checkpoint, or copy this one again")
            );
        }
    }
    Ok(manifest.step)
}

/// The newest whole checkpoint below `folder`. Damaged ones are renamed to `.corrupt-…` and told through `log`.
pub fn newest(folder: &Path, log: &mut dyn FnMut(String)) -> Option<(u64, PathBuf)> {
    for (step, path) in list(folder).into_iter().rev() {
        match verify(&path) {
            Ok(_) => return Some((step, path)),
            Err(error) => {
                let aside = folder.join(format!(".corrupt-step-{step:06}-{}", std::process::id()));
                let moved = fs::rename(&path, &aside).is_ok();
                let place = if moved {
                    format!(", set aside as `{}`", aside.display())
                } else {
                    String::new()
                };
                log(format!("warning: {error:#}{place}; trying the one before"));
            }
        }
    }
    None
}

/// Holds a run folder; a second trainer is refused.
pub struct RunLock(#[allow(dead_code, reason = "held until dropped")] nix::fcntl::Flock<File>);

/// Locks `folder` for this process.
///
/// # Errors
///
/// When another process trains there.
pub fn lock(folder: &Path) -> Result<RunLock> {
    lock_file(&folder.join(".lock"))
}

/// Locks what the file `path` stands for. Missing folders are made.
///
/// # Errors
///
/// When another process holds it.
pub fn lock_file(path: &Path) -> Result<RunLock> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    let file =
        File::create(path).with_context(|| format!("cannot write to `{}`", folder.display()))?;
    match nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(RunLock(lock)),
        Err(_) => {
            bail!(
                "another process is writing to `{}`{}",
                folder.display(),
                data::Hint("wait for it, or choose another folder")
            )
        }
    }
}

/// Whether a run of SFT or GRPO was begun in `folder`, be there a checkpoint yet or not.
pub fn has_run(folder: &Path) -> bool {
    folder.join("metrics.jsonl").exists() || !list(folder).is_empty()
}

/// What [`start`] would refuse, before anything is loaded.
///
/// # Errors
///
/// As [`start`]; and with `resume`, when no run of `stage` was begun in `folder`.
pub fn check_start(folder: &Path, stage: &str, resume: bool) -> Result<()> {
    refuse_held(&folder.join(".lock"))?;
    match resume {
        true if !has_run(folder) => bail!(no_run(folder, stage)),
        true => Ok(()),
        false => refuse_checkpoints(folder),
    }
}

/// Refuses when another process holds the lock `path`, and makes no file.
///
/// # Errors
///
/// Then.
pub fn refuse_held(path: &Path) -> Result<()> {
    if path.exists() {
        lock_file(path).map(drop)
    } else {
        Ok(())
    }
}

fn refuse_checkpoints(folder: &Path) -> Result<()> {
    match list(folder).last() {
        None => Ok(()),
        Some((step, _)) => bail!(
            "`{}` already holds a run at step {step}{}",
            folder.display(),
            data::Hint("add `--resume` to go on, or choose another folder")
        ),
    }
}

/// What a model folder holds, in a few letters that change with it: its manifest, or else its config with the size, the
/// beginning and the end of each file of weights.
///
/// # Errors
///
/// When it holds no model, or cannot be read.
pub fn fingerprint(path: &Path) -> Result<String> {
    const PART: u64 = 1 << 20;
    let folder = resolve(path)?;
    let mut hash = blake3::Hasher::new();
    let mut names: Vec<PathBuf> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    names.sort();
    let ends = |path: &Path, ending: &str| path.extension().is_some_and(|found| found == ending);
    for file in names
        .iter()
        .filter(|file| ends(file, "json") || ends(file, "safetensors") || ends(file, "jinja"))
    {
        let mut open =
            File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let length = open.metadata()?.len();
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes())
            .update(&length.to_le_bytes());
        hash.update_reader((&mut open).take(PART))?;
        if length > PART {
            open.seek(SeekFrom::Start(length.saturating_sub(PART)))?;
            hash.update_reader(&mut open)?;
        }
    }
    Ok(hash.finalize().to_hex()[..16].to_owned())
}

/// Where a run in `folder` starts: nowhere, or, with `resume`, at its newest whole checkpoint.
///
/// # Errors
///
/// Without `resume` when the folder already holds checkpoints: nothing that was trained is overwritten.
pub fn start(folder: &Path, resume: bool) -> Result<Option<(u64, PathBuf)>> {
    sweep(folder);
    if !resume {
        return refuse_checkpoints(folder).map(|()| None);
    }
    let found = newest(folder, &mut |line| eprintln!("{line}"));
    if found.is_none() {
        eprintln!(
            "note: the run in `{}` has no checkpoint yet, so it begins anew",
            folder.display()
        );
    }
    Ok(found)
}

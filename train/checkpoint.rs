//! Save whole or not at all; load or refuse.
//!
//! A checkpoint is a folder `step-000123` that Hugging Face's tools load: `config.json`, `tokenizer.json`,
//! `tokenizer_config.json`, `model.safetensors`; for resuming also `optimizer.safetensors` and `state.json`.
//! `MANIFEST.json` holds size and BLAKE3 of every file. It is written to `.tmp-…`, synced, and renamed; whoever sees
//! the name sees all of it, after a power cut too. Resume takes the newest that matches its manifest; one that does
//! not is set aside as `.corrupt-…`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use data::Tokenizer;
use data::template::ChatTemplate;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use burn::tensor::Device;

use crate::model::weights::{DiskDtype, HostTensors, from_host, from_safetensors, to_host, to_safetensors};
use crate::model::{CausalLm, ModelConfig};

const FORMAT: u32 = 1;

/// What a checkpoint holds, file by file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    step: u64,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
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

/// What one save writes.
pub struct Snapshot<'a> {
    /// Optimizer steps done.
    pub step: u64,
    /// The shape.
    pub config: &'a ModelConfig,
    /// The weights.
    pub model: &'a CausalLm,
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Dtype of the weights on disk.
    pub dtype: DiskDtype,
    /// Optimizer moments, when the run can be resumed from here.
    pub optimizer: Option<HostTensors>,
    /// Everything else that a resumed run needs, as JSON.
    pub state: Option<serde_json::Value>,
}

/// The folder of `step`.
pub fn step_path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:06}"))
}

/// Writes a checkpoint below `folder`, then removes all but the newest `keep`. Returns its path.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written; then nothing but a `.tmp-…` folder was touched, and it is
/// removed.
pub fn save(folder: &Path, snapshot: &Snapshot, keep: usize) -> Result<PathBuf> {
    let files = files_of(snapshot)?;
    let path = step_path(folder, snapshot.step);
    let needed: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    fs::create_dir_all(folder).with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    require_space(folder, 2 * needed)?;
    write_folder(&path, snapshot.step, &files)
        .with_context(|| format!("while writing the checkpoint `{}`; older checkpoints are whole", path.display()))?;
    prune(folder, keep)?;
    Ok(path)
}

/// Writes a model folder at exactly `path`, whole or not at all; an older one is replaced.
///
/// # Errors
///
/// As [`save`].
pub fn save_model(path: &Path, snapshot: &Snapshot) -> Result<()> {
    let files = files_of(snapshot)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).with_context(|| format!("cannot create the folder `{}`", parent.display()))?;
    }
    write_folder(path, snapshot.step, &files).with_context(|| format!("while writing the model `{}`", path.display()))
}

fn files_of(snapshot: &Snapshot) -> Result<Vec<(String, Vec<u8>)>> {
    let mut config = snapshot.config.clone();
    config.torch_dtype = match snapshot.dtype {
        DiskDtype::Float32 => "float32".into(),
        DiskDtype::Bfloat16 => "bfloat16".into(),
    };
    let tokenizer_config = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": data::template::JINJA,
        "eos_token": "<|im_end|>",
        "pad_token": "<|pad|>",
        "clean_up_tokenization_spaces": false,
        "model_max_length": snapshot.config.max_position_embeddings,
    });
    let mut files = vec![
        ("config.json".to_owned(), serde_json::to_vec_pretty(&config)?),
        ("tokenizer.json".to_owned(), snapshot.tokenizer.save_bytes()?),
        ("tokenizer_config.json".to_owned(), serde_json::to_vec_pretty(&tokenizer_config)?),
        ("model.safetensors".to_owned(), to_safetensors(&to_host(snapshot.model), snapshot.dtype)),
    ];
    if let Some(optimizer) = &snapshot.optimizer {
        files.push(("optimizer.safetensors".to_owned(), to_safetensors(optimizer, DiskDtype::Float32)));
    }
    if let Some(state) = &snapshot.state {
        files.push(("state.json".to_owned(), serde_json::to_vec(state)?));
    }
    Ok(files)
}

/// Refuses to start a write that the disk cannot hold.
///
/// # Errors
///
/// When less than `needed` bytes are free.
pub fn require_space(folder: &Path, needed: u64) -> Result<()> {
    let space = nix::sys::statvfs::statvfs(folder)
        .with_context(|| format!("cannot ask for the space of `{}`", folder.display()))?;
    let free = space.blocks_available() * space.fragment_size();
    if free < needed {
        bail!(
            "no disk space: `{}` has {} MiB free, but the next write needs {} MiB\nhint: free some space and run the same command with `--resume`",
            folder.display(),
            free >> 20,
            (needed >> 20) + 1
        );
    }
    Ok(())
}

fn write_folder(path: &Path, step: u64, files: &[(String, Vec<u8>)]) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().context("a checkpoint has a name")?.to_string_lossy().into_owned();
    let temporary = parent.join(format!(".tmp-{name}-{}", std::process::id()));
    let written = fill(&temporary, step, files).and_then(|()| publish(&temporary, path, parent));
    if written.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    written
}

fn fill(temporary: &Path, step: u64, files: &[(String, Vec<u8>)]) -> Result<()> {
    if temporary.exists() {
        fs::remove_dir_all(temporary)?;
    }
    fs::create_dir(temporary)?;
    let mut entries = BTreeMap::new();
    for (name, bytes) in files {
        write_synced(&temporary.join(name), bytes)?;
        let blake3 = blake3::hash(bytes).to_hex().to_string();
        entries.insert(name.clone(), Entry { bytes: bytes.len() as u64, blake3 });
    }
    let manifest = Manifest { format: FORMAT, step, files: entries };
    write_synced(&temporary.join("MANIFEST.json"), &serde_json::to_vec_pretty(&manifest)?)?;
    File::open(temporary)?.sync_all()?;
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn publish(temporary: &Path, path: &Path, parent: &Path) -> Result<()> {
    // A folder cannot be replaced in one step: the old one steps aside under a name that no reader takes.
    let aside = parent.join(format!(
        ".trash-{}-{}",
        std::process::id(),
        path.file_name().unwrap_or_default().to_string_lossy()
    ));
    if path.exists() {
        fs::rename(path, &aside)?;
    }
    fs::rename(temporary, path)?;
    File::open(parent)?.sync_all()?;
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    Ok(())
}

/// Checkpoints below `folder` by step, oldest first. Whether they are whole is not checked.
pub fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok());
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
            Some((step, entry.path()))
        })
        .collect();
    found.sort();
    found
}

fn prune(folder: &Path, keep: usize) -> Result<()> {
    let steps = list(folder);
    for (_, path) in steps.iter().rev().skip(keep.max(1)) {
        let trash = folder.join(format!(
            ".trash-{}-{}",
            std::process::id(),
            path.file_name().unwrap_or_default().to_string_lossy()
        ));
        fs::rename(path, &trash)?;
        fs::remove_dir_all(&trash)?;
    }
    Ok(())
}

/// Removes what killed processes left behind below `folder`.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()) {
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
        anyhow!("`{}` is no complete checkpoint: MANIFEST.json cannot be read ({error})", path.display())
    })?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{}` is damaged", path.join("MANIFEST.json").display()))?;
    if manifest.format > FORMAT {
        bail!("`{}` has checkpoint format {}, but this program reads up to {FORMAT}", path.display(), manifest.format);
    }
    for (name, entry) in &manifest.files {
        let file = path.join(name);
        let bytes =
            fs::read(&file).with_context(|| format!("the checkpoint file `{}` cannot be read", file.display()))?;
        if bytes.len() as u64 != entry.bytes {
            bail!(
                "the checkpoint file `{}` is truncated: {} bytes, but its manifest says {}\nhint: name an older checkpoint, or copy this one again",
                file.display(),
                bytes.len(),
                entry.bytes
            );
        }
        if blake3::hash(&bytes).to_hex().as_str() != entry.blake3 {
            bail!(
                "the checkpoint file `{}` does not match its manifest\nhint: name an older checkpoint, or copy this one again",
                file.display()
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
                let place = if moved { format!(", set aside as `{}`", aside.display()) } else { String::new() };
                log(format!("warning: {error:#}{place}; trying the one before"));
            }
        }
    }
    None
}

/// Loads a model folder, or the newest checkpoint of a run folder.
///
/// # Errors
///
/// When there is none, or a file is missing, truncated or of the wrong shape.
pub fn load(path: &Path, device: &Device) -> Result<Loaded> {
    let path = resolve(path)?;
    if path.join("MANIFEST.json").exists() {
        verify(&path)?;
    }
    let read = |name: &str| {
        let file = path.join(name);
        fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))
    };
    let config = ModelConfig::from_json(&read("config.json")?)
        .with_context(|| format!("`{}` is no model config", path.join("config.json").display()))?;
    if let Some(problem) = config.problem() {
        bail!("`{}`: {problem}", path.join("config.json").display());
    }
    let tokenizer = Tokenizer::from_file(&path.join("tokenizer.json"))?;
    let tensors = from_safetensors(&read("model.safetensors")?).and_then(|tensors| from_host(&config, tensors, device));
    let file = path.join("model.safetensors");
    let model = tensors.with_context(|| {
        format!("cannot load `{}`\nhint: name an older checkpoint, or copy this one again", file.display())
    })?;
    let template = ChatTemplate::default();
    Ok(Loaded { path, config, model, tokenizer, template })
}

/// `path` itself when it holds a model, else its newest whole checkpoint.
fn resolve(path: &Path) -> Result<PathBuf> {
    if path.join("config.json").exists() {
        return Ok(path.to_path_buf());
    }
    for (_, checkpoint) in list(path).into_iter().rev() {
        match verify(&checkpoint) {
            Ok(_) => return Ok(checkpoint),
            Err(error) => eprintln!("warning: {error:#}; trying the checkpoint before it"),
        }
    }
    bail!(
        "`{}` holds no model: neither `config.json` nor a complete checkpoint `step-…`\nhint: name a model folder, or train one with `train sft`",
        path.display()
    )
}

/// Optimizer moments and state of a checkpoint.
///
/// # Errors
///
/// When it cannot be resumed from.
pub fn load_state<T: DeserializeOwned>(path: &Path) -> Result<(HostTensors, T)> {
    let moments = path.join("optimizer.safetensors");
    let bytes = fs::read(&moments).with_context(|| format!("cannot read `{}`", moments.display()))?;
    let moments = from_safetensors(&bytes).with_context(|| format!("while loading `{}`", moments.display()))?;
    let state = path.join("state.json");
    let bytes = fs::read(&state).with_context(|| format!("cannot read `{}`", state.display()))?;
    let state = serde_json::from_slice(&bytes).with_context(|| format!("`{}` is damaged", state.display()))?;
    Ok((moments, state))
}

/// Holds a run folder; a second trainer is refused.
pub struct RunLock(#[allow(dead_code, reason = "held until dropped")] nix::fcntl::Flock<File>);

/// Locks `folder` for this process.
///
/// # Errors
///
/// When another process trains there.
pub fn lock(folder: &Path) -> Result<RunLock> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    let file = File::create(folder.join(".lock")).with_context(|| format!("cannot write to `{}`", folder.display()))?;
    match nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(RunLock(lock)),
        Err(_) => {
            bail!("another process is writing to `{}`\nhint: wait for it, or choose another folder", folder.display())
        }
    }
}

/// Where a run in `folder` starts: nowhere, or, with `resume`, at its newest whole checkpoint.
///
/// # Errors
///
/// Without `resume` when the folder already holds checkpoints: nothing that was trained is overwritten.
pub fn start(folder: &Path, resume: bool) -> Result<Option<(u64, PathBuf)>> {
    sweep(folder);
    if !resume {
        return match list(folder).last() {
            None => Ok(None),
            Some((step, _)) => bail!(
                "`{}` already holds a run at step {step}\nhint: add `--resume` to go on, or choose another folder",
                folder.display()
            ),
        };
    }
    Ok(newest(folder, &mut |line| eprintln!("{line}")))
}

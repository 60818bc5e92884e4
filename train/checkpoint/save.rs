//! A model, and what a run needs to go on, become a folder: whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data::Tokenizer;
use data::template::ChatTemplate;

use super::{FORMAT, FileSum, Loaded, Manifest, card, list, step_path};
use crate::adapter;
use crate::optim::AdamW;
use model::weights::{DiskDtype, SHARD_BYTES, Written, write_model};
use model::{CausalLm, ModelConfig};

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
    /// The chat template.
    pub template: &'a ChatTemplate,
    /// Dtype of the weights on disk.
    pub dtype: DiskDtype,
    /// Set when the LoRA adapter is saved alone.
    pub adapter: Option<adapter::About<'a>>,
    /// The optimizer, when the run can be resumed from here.
    pub optimizer: Option<&'a AdamW>,
    /// Everything else that a resumed run needs, as JSON.
    pub state: Option<serde_json::Value>,
}

/// Writes a checkpoint below `folder`, then removes all but the newest `keep`. Returns its path.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written; then nothing but a `.tmp-…` folder was touched, and it is
/// removed.
pub fn save(folder: &Path, snapshot: &Snapshot, keep: usize) -> Result<PathBuf> {
    let path = step_path(folder, snapshot.step);
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    require_space(folder, 2 * snapshot.bytes()?)?;
    write_folder(&path, snapshot).with_context(|| {
        format!(
            "while writing the checkpoint `{}`; older checkpoints are whole",
            path.display()
        )
    })?;
    prune(folder, keep)?;
    Ok(path)
}

/// Writes a model folder at exactly `path`, whole or not at all; an older one is replaced.
///
/// # Errors
///
/// As [`save`].
pub fn save_model(path: &Path, snapshot: &Snapshot) -> Result<()> {
    let parent = parent_of(path);
    fs::create_dir_all(parent)
        .with_context(|| format!("cannot create the folder `{}`", parent.display()))?;
    require_space(parent, snapshot.bytes()?)?;
    write_folder(path, snapshot)
        .with_context(|| format!("while writing the model `{}`", path.display()))
}

impl<'a> Snapshot<'a> {
    /// A whole model to be used, not trained on.
    pub fn from_loaded(loaded: &'a Loaded, dtype: DiskDtype) -> Self {
        let Loaded {
            config,
            model,
            tokenizer,
            template,
            ..
        } = loaded;
        Snapshot {
            step: 0,
            config,
            model,
            tokenizer,
            template,
            dtype,
            adapter: None,
            optimizer: None,
            state: None,
        }
    }

    /// How much it takes on disk, but for the headers of tensors.
    fn bytes(&self) -> Result<u64> {
        let moments = self.optimizer.map_or(0, AdamW::bytes);
        let weights = match &self.adapter {
            Some(about) => about.config.parameters(self.config) as u64 * 4,
            None => self.config.parameters() as u64 * self.dtype.bytes(),
        };
        let rest: usize = self
            .small_files()?
            .iter()
            .map(|(_, bytes)| bytes.len())
            .sum();
        Ok(weights + moments + rest as u64)
    }

    /// Every file but the tensors.
    fn small_files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut config = self.config.clone();
        config.torch_dtype = self.dtype.name().into();
        let tokenizer_config = self
            .template
            .tokenizer_config(self.config.max_position_embeddings);
        let mut files = vec![
            match &self.adapter {
                Some(about) => about.file()?,
                None => (
                    "config.json".to_owned(),
                    serde_json::to_vec_pretty(&config.to_json())?,
                ),
            },
            (
                self.tokenizer.file_name().to_owned(),
                self.tokenizer.save_bytes()?,
            ),
            (
                "tokenizer_config.json".to_owned(),
                serde_json::to_vec_pretty(&tokenizer_config)?,
            ),
        ];
        if self.adapter.is_none() {
            files.push((
                "generation_config.json".to_owned(),
                serde_json::to_vec_pretty(&card::generation_config(self))?,
            ));
        }
        files.push(("README.md".to_owned(), card::model_card(self).into_bytes()));
        if let Some(state) = &self.state {
            files.push(("state.json".to_owned(), serde_json::to_vec(state)?));
        }
        Ok(files)
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
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
            "no disk space: `{}` has {} MiB free, but the next write needs {} MiB{}",
            folder.display(),
            free >> 20,
            (needed >> 20) + 1,
            data::Hint("free some space and run the same command with `--resume`")
        );
    }
    Ok(())
}

fn write_folder(path: &Path, snapshot: &Snapshot) -> Result<()> {
    let parent = parent_of(path);
    let name = path
        .file_name()
        .context("a checkpoint has a name")?
        .to_string_lossy()
        .into_owned();
    let temporary = parent.join(format!(".tmp-{name}-{}", std::process::id()));
    let written = fill(&temporary, snapshot).and_then(|()| publish(&temporary, path, parent));
    if written.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    written
}

fn fill(temporary: &Path, snapshot: &Snapshot) -> Result<()> {
    if temporary.exists() {
        fs::remove_dir_all(temporary)?;
    }
    fs::create_dir(temporary)?;
    let mut written = match snapshot.adapter {
        Some(_) => adapter::write(temporary, snapshot.model)?,
        None => write_model(temporary, snapshot.model, snapshot.dtype, SHARD_BYTES)?,
    };
    if let Some(optimizer) = &snapshot.optimizer {
        written.push(optimizer.write(temporary)?);
    }
    for (name, bytes) in snapshot.small_files()? {
        write_synced(&temporary.join(&name), &bytes)?;
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        written.push(Written {
            name,
            bytes: bytes.len() as u64,
            blake3,
        });
    }
    let entry = |one: Written| {
        (
            one.name,
            FileSum {
                bytes: one.bytes,
                blake3: one.blake3,
            },
        )
    };
    let files: BTreeMap<String, FileSum> = written.into_iter().map(entry).collect();
    let manifest = Manifest {
        format: FORMAT,
        step: snapshot.step,
        files,
    };
    write_synced(
        &temporary.join("MANIFEST.json"),
        &serde_json::to_vec_pretty(&manifest)?,
    )?;
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

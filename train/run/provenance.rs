//! What a record rests on: the program, the command, the time and the bytes that were read.
//!
//! In: the paths of the inputs. Out: a [`Provenance`] that stands in plans, evaluations and reports.
//! Example: `commit = "da4ecbb…-dirty"`, `command = "train eval --model work/sft …"`, and for every file its BLAKE3.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use data::log::timestamp;
use serde::{Deserialize, Serialize};

use crate::adapter::Adapter;
use crate::checkpoint;

/// Of a checkpoint this file holds the hash of every other one.
const MANIFEST: &str = "MANIFEST.json";

/// Where a record comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The commit that this program was built from, with `-dirty` where its sources differ; `unknown` where it was not
    /// built from a git checkout.
    pub commit: String,
    /// The command line, as a shell would take it.
    pub command: String,
    /// When the command began: UTC, to the second.
    pub date: String,
    /// BLAKE3 of the files that are read, by path. A checkpoint is told by its `MANIFEST.json`.
    pub inputs: BTreeMap<String, String>,
}

impl Provenance {
    /// That of the command that runs now, which has read nothing yet.
    pub fn now() -> Self {
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        Provenance {
            commit: commit().to_string(),
            command: command(words),
            date: timestamp(SystemTime::now()),
            inputs: BTreeMap::new(),
        }
    }

    /// The same with the files of a model folder: of the newest checkpoint of a run, and of the model below an adapter.
    /// What is missing is told by whoever loads it.
    pub fn model(mut self, folder: &Path) -> Self {
        let Ok(folder) = checkpoint::resolve(folder) else {
            return self;
        };
        self.add(&folder);
        let base = Adapter::is_in(&folder).then(|| Adapter::read(&folder)?.base_of(&folder));
        match base {
            Some(Ok(base)) => self.model(&base),
            _ => self,
        }
    }

    /// The same with files, or the files of folders, of data. What is missing is left out.
    pub fn data<'p>(mut self, paths: impl IntoIterator<Item = &'p Path>) -> Self {
        paths.into_iter().for_each(|path| self.add(path));
        self
    }

    fn add(&mut self, path: &Path) {
        for file in files(path) {
            if let Ok(hash) = blake3_of(&file) {
                self.inputs.insert(file.display().to_string(), hash);
            }
        }
    }
}

/// The commit that this program was built from.
pub fn commit() -> &'static str {
    option_env!("TRAIN_COMMIT").unwrap_or("unknown")
}

fn command(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    // The name says enough, wherever the program lies.
    if let Some(name) = words.first().and_then(|first| Path::new(first).file_name()) {
        words[0] = name.to_string_lossy().into_owned();
    }
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// The file itself; of a folder its manifest, or what lies in it but for hidden files.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_path_buf()];
    }
    let manifest = path.join(MANIFEST);
    if manifest.exists() {
        return vec![manifest];
    }
    let hidden = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
    };
    let entries = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    entries
        .filter(|path| path.is_file() && !hidden(path))
        .collect()
}

fn blake3_of(path: &Path) -> std::io::Result<String> {
    let mut hash = blake3::Hasher::new();
    hash.update_reader(File::open(path)?)?;
    Ok(hash.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let words = [
            "/opt/bin/train",
            "eval",
            "--set",
            "run=my run",
            "--model",
            "it's",
        ];
        assert_eq!(
            command(words.map(String::from).into_iter()),
            r#"train eval --set 'run=my run' --model "it's""#
        );
    }

    #[test]
    fn every_file_that_is_read_is_told_with_its_hash() {
        let folder = std::env::temp_dir().join(format!("provenance-{}", std::process::id()));
        fs::create_dir_all(folder.join("data")).expect("a folder");
        fs::write(folder.join("tasks.jsonl"), "{}\n").expect("writes");
        fs::write(folder.join("data/a.parquet"), "abc").expect("writes");
        fs::write(folder.join("data/.lock"), "").expect("writes");
        let (tasks, data) = (folder.join("tasks.jsonl"), folder.join("data"));
        let known = Provenance::now().data([tasks.as_path(), &data, &folder.join("gone")]);
        let hash = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
        let wanted = [
            (tasks.display().to_string(), hash("{}\n")),
            (data.join("a.parquet").display().to_string(), hash("abc")),
        ];
        assert_eq!(known.inputs, wanted.into());
        fs::remove_dir_all(folder).expect("cleans up");
    }

    #[test]
    fn a_checkpoint_is_told_by_its_manifest() {
        let base = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/base"));
        let known: Vec<String> = Provenance::now().model(base).inputs.into_keys().collect();
        assert_eq!(known, [base.join(MANIFEST).display().to_string()]);
    }
}

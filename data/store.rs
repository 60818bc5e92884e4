//! Samples in Parquet shards, with a manifest that says what they are.
//!
//! In: samples. Out: `samples-00000.parquet` … and `manifest.json`, which is written last: a folder without it is not
//! finished. Example row: `tokens = [1, 117, 10]`, `mask = [false, false, true]`, `origin = "money.operator__0"`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanBuilder, ListBuilder, RecordBatch, StringBuilder, UInt32Builder,
};
use arrow::datatypes::UInt32Type;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::file::{FileError, read_text, write_whole};
use crate::sample::{Sample, SampleError};

/// The format number of the manifest; a reader refuses a larger one.
pub const STORE_FORMAT: u32 = 1;
/// The file that is written last.
pub const MANIFEST_FILE: &str = "manifest.json";
/// A shard is closed when it has this many tokens: 64 MiB before compression.
const SHARD_TOKENS: usize = 16 << 20;

/// What the shards of a folder hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`STORE_FORMAT`].
    pub format: u32,
    /// Number of samples.
    pub count: usize,
    /// Number of tokens.
    pub tokens: usize,
    /// BLAKE3 of the `tokenizer.json` that made them.
    pub tokenizer: String,
    /// Samples whose end was cut off on purpose, because they were too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: usize,
    /// In the order of reading.
    pub shards: Vec<Shard>,
}

/// One file of samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its name in the folder.
    pub name: String,
    /// Number of samples.
    pub count: usize,
    /// BLAKE3 of its bytes.
    pub blake3: String,
}

/// Why samples cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no manifest.
    #[error(
        "`{0}` holds no finished samples: `manifest.json` is missing{hint}",
        hint = crate::Hint("build it again with `train data`")
    )]
    Unfinished(PathBuf),
    /// The manifest is none.
    #[error(
        "`{path}` is no manifest of samples: {reason}{}",
        crate::Hint("build it again with `train data`")
    )]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A shard is not the one that was written.
    #[error(
        "sample shard `{0}` does not match its manifest{hint}",
        hint = crate::Hint("build it again with `train data`")
    )]
    Changed(PathBuf),
    /// A shard cannot be written or read as Parquet.
    #[error("cannot {doing} sample shard `{path}`: {reason}")]
    Parquet {
        /// `write` or `read`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A row is no sample.
    #[error("sample shard `{path}`, row {row}: {source}")]
    Sample {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        row: usize,
        /// What is wrong.
        source: SampleError,
    },
}

/// Writes samples to a folder; what it held before is replaced.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written. Then the folder has no manifest and is not read.
pub fn write_samples(
    dir: &Path,
    samples: &[Sample],
    tokenizer_hash: &str,
) -> Result<Manifest, StoreError> {
    let mut writer = SampleWriter::begin(dir)?;
    for sample in samples {
        writer.push(sample.clone())?;
    }
    writer.finish(tokenizer_hash)
}

/// Writes samples as they come, and holds no more of them than one shard.
pub struct SampleWriter {
    dir: PathBuf,
    held: Vec<Sample>,
    held_tokens: usize,
    shards: Vec<Shard>,
    tokens: usize,
    count: usize,
    shard_tokens: usize,
}

impl SampleWriter {
    /// Begins a folder; what it held before is not read any more.
    ///
    /// # Errors
    ///
    /// When the folder cannot be changed.
    pub fn begin(dir: &Path) -> Result<SampleWriter, StoreError> {
        // First of all, so that old and new shards are never read together.
        removed(&dir.join(MANIFEST_FILE))?;
        let (held, shards) = (Vec::new(), Vec::new());
        let (dir, shard_tokens) = (dir.to_path_buf(), SHARD_TOKENS);
        Ok(SampleWriter {
            dir,
            held,
            held_tokens: 0,
            shards,
            tokens: 0,
            count: 0,
            shard_tokens,
        })
    }

    /// Adds one sample.
    ///
    /// # Errors
    ///
    /// When a shard is full and cannot be written.
    pub fn push(&mut self, sample: Sample) -> Result<(), StoreError> {
        let length = sample.tokens.len();
        if self.held_tokens + length > self.shard_tokens && !self.held.is_empty() {
            self.close()?;
        }
        self.held_tokens += length;
        self.tokens += length;
        self.count += 1;
        self.held.push(sample);
        Ok(())
    }

    /// How many samples came.
    pub fn count(&self) -> usize {
        self.count
    }

    fn close(&mut self) -> Result<(), StoreError> {
        let name = format!("samples-{:05}.parquet", self.shards.len());
        let path = self.dir.join(&name);
        let bytes = to_parquet(&self.held).map_err(|reason| StoreError::Parquet {
            doing: "write",
            path: path.clone(),
            reason,
        })?;
        write_whole(&path, &bytes)?;
        self.shards.push(Shard {
            name,
            count: self.held.len(),
            blake3: hash(&bytes),
        });
        self.held.clear();
        self.held_tokens = 0;
        Ok(())
    }

    /// Writes what is held and the manifest; shards of an earlier set are removed.
    ///
    /// # Errors
    ///
    /// When the disk is full. Then the folder has no manifest.
    pub fn finish(self, tokenizer_hash: &str) -> Result<Manifest, StoreError> {
        self.finish_with(tokenizer_hash, 0)
    }

    /// As [`SampleWriter::finish`], of samples of which `cut` were cut to their length.
    ///
    /// # Errors
    ///
    /// As [`SampleWriter::finish`].
    pub fn finish_with(mut self, tokenizer_hash: &str, cut: usize) -> Result<Manifest, StoreError> {
        if !self.held.is_empty() {
            self.close()?;
        }
        for number in self.shards.len().. {
            if !removed(&self.dir.join(format!("samples-{number:05}.parquet")))? {
                break;
            }
        }
        let (tokenizer, shards) = (tokenizer_hash.to_string(), std::mem::take(&mut self.shards));
        let manifest = Manifest {
            format: STORE_FORMAT,
            count: self.count,
            tokens: self.tokens,
            tokenizer,
            cut,
            shards,
        };
        let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is numbers and texts");
        write_whole(&self.dir.join(MANIFEST_FILE), &json)?;
        Ok(manifest)
    }
}

/// Reads what the shards of a folder hold, without reading the shards.
///
/// # Errors
///
/// When there is no manifest, or it was written by a newer version.
pub fn read_manifest(dir: &Path) -> Result<Manifest, StoreError> {
    let path = dir.join(MANIFEST_FILE);
    if !path.exists() {
        return Err(StoreError::Unfinished(dir.to_path_buf()));
    }
    let refused = |reason| StoreError::Manifest {
        path: path.clone(),
        reason,
    };
    let manifest: Manifest =
        serde_json::from_str(&read_text(&path)?).map_err(|error| refused(error.to_string()))?;
    if manifest.format > STORE_FORMAT {
        return Err(refused(format!(
            "it has the format {}; this version reads up to {STORE_FORMAT}",
            manifest.format
        )));
    }
    if let Some(shard) = manifest
        .shards
        .iter()
        .find(|shard| Path::new(&shard.name).file_name() != Some(shard.name.as_ref()))
    {
        return Err(refused(format!(
            "the shard `{}` lies outside the folder",
            shard.name
        )));
    }
    if manifest
        .shards
        .iter()
        .map(|shard| shard.count)
        .sum::<usize>()
        != manifest.count
    {
        return Err(refused(
            "the counts of its shards do not add up".to_string(),
        ));
    }
    Ok(manifest)
}

/// Reads every sample of a folder, in the order of writing.
///
/// # Errors
///
/// When the folder is not finished, or a shard is not the one that was written.
pub fn read_samples(dir: &Path) -> Result<Vec<Sample>, StoreError> {
    let mut samples = Vec::new();
    for shard in read_manifest(dir)?.shards {
        let path = dir.join(&shard.name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Changed(path));
            }
            Err(error) => return Err(FileError::new("read", &path, error).into()),
        };
        if hash(&bytes) != shard.blake3 {
            return Err(StoreError::Changed(path));
        }
        let before = samples.len();
        from_parquet(bytes, &path, &mut samples)?;
        if samples.len() - before != shard.count {
            return Err(StoreError::Changed(path));
        }
    }
    Ok(samples)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn to_parquet(samples: &[Sample]) -> Result<Vec<u8>, String> {
    let mut tokens = ListBuilder::new(UInt32Builder::new());
    let mut mask = ListBuilder::new(BooleanBuilder::new());
    let mut origin = StringBuilder::new();
    for sample in samples {
        tokens.values().append_slice(&sample.tokens);
        tokens.append(true);
        mask.values().append_slice(&sample.mask);
        mask.append(true);
        origin.append_value(&sample.origin);
    }
    let columns: [(&str, ArrayRef); 3] = [
        ("tokens", Arc::new(tokens.finish())),
        ("mask", Arc::new(mask.finish())),
        ("origin", Arc::new(origin.finish())),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| error.to_string())?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let write = || -> Result<Vec<u8>, parquet::errors::ParquetError> {
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    write().map_err(|error| error.to_string())
}

fn from_parquet(bytes: Vec<u8>, path: &Path, samples: &mut Vec<Sample>) -> Result<(), StoreError> {
    let failed = |reason: String| StoreError::Parquet {
        doing: "read",
        path: path.to_path_buf(),
        reason,
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
        .and_then(|builder| builder.build());
    let mut row = 0;
    for batch in reader.map_err(|error| failed(error.to_string()))? {
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| failed(format!("no column `{name}`")))
        };
        let other = |name: &str| failed(format!("column `{name}` has another type"));
        let tokens = column("tokens")?
            .as_list_opt::<i32>()
            .ok_or_else(|| other("tokens"))?;
        let mask = column("mask")?
            .as_list_opt::<i32>()
            .ok_or_else(|| other("mask"))?;
        let origin = column("origin")?
            .as_string_opt::<i32>()
            .ok_or_else(|| other("origin"))?;
        for at in 0..batch.num_rows() {
            row += 1;
            let (ids, trained) = (tokens.value(at), mask.value(at));
            let ids = ids
                .as_primitive_opt::<UInt32Type>()
                .ok_or_else(|| other("tokens"))?
                .values()
                .to_vec();
            let trained = trained
                .as_boolean_opt()
                .ok_or_else(|| other("mask"))?
                .values()
                .iter()
                .collect();
            let sample = Sample::new(ids, trained, origin.value(at));
            samples.push(sample.map_err(|source| StoreError::Sample {
                path: path.to_path_buf(),
                row,
                source,
            })?);
        }
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Removes a file; false where there is none.
fn removed(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FileError::new("remove", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn folder() -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "store-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        std::env::temp_dir().join(name)
    }

    fn samples(count: u32) -> Vec<Sample> {
        let sample = |n: u32| {
            let tokens: Vec<u32> = (0..=n % 7).map(|at| at * 1000 + n).collect();
            let mask = (0..tokens.len()).map(|at| at % 2 == 0).collect();
            Sample::new(tokens, mask, format!("task-{n}")).expect("a sample")
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn samples_come_back_in_order() {
        let folder = folder();
        for count in [0, 1, 2000] {
            let manifest = write_samples(&folder, &samples(count), "abc").expect("writes");
            assert_eq!(read_samples(&folder).expect("reads"), samples(count));
            assert_eq!(read_manifest(&folder).expect("reads"), manifest);
            assert_eq!(
                (manifest.count, manifest.tokenizer.as_str()),
                (count as usize, "abc")
            );
        }
        fs::remove_dir_all(&folder).expect("cleans up");
    }

    #[test]
    fn a_shard_that_changed_is_named() {
        let folder = folder();
        write_samples(&folder, &samples(20), "abc").expect("writes");
        let shard = folder.join("samples-00000.parquet");
        let mut bytes = fs::read(&shard).expect("reads");
        bytes[10] ^= 1;
        fs::write(&shard, bytes).expect("writes");
        let told = read_samples(&folder).expect_err("is refused").to_string();
        assert!(
            told.contains("samples-00000.parquet` does not match its manifest"),
            "{told}"
        );
        fs::remove_file(&shard).expect("removes");
        assert!(matches!(read_samples(&folder), Err(StoreError::Changed(_))));
        fs::remove_dir_all(&folder).expect("cleans up");
    }

    #[test]
    fn a_folder_without_a_manifest_is_not_finished() {
        let folder = folder();
        write_samples(&folder, &samples(20), "abc").expect("writes");
        fs::remove_file(folder.join(MANIFEST_FILE)).expect("removes");
        assert!(matches!(
            read_samples(&folder),
            Err(StoreError::Unfinished(_))
        ));
        fs::remove_dir_all(&folder).expect("cleans up");
    }

    #[test]
    fn a_manifest_that_is_newer_or_points_outside_is_refused() {
        let folder = folder();
        let good = write_samples(&folder, &samples(3), "abc").expect("writes");
        let mut newer = good.clone();
        newer.format += 1;
        let mut outside = good.clone();
        outside.shards[0].name = "../samples-00000.parquet".into();
        let mut short = good;
        short.count += 1;
        for manifest in [newer, outside, short] {
            let json = serde_json::to_vec(&manifest).expect("prints");
            fs::write(folder.join(MANIFEST_FILE), json).expect("writes");
            assert!(matches!(
                read_samples(&folder),
                Err(StoreError::Manifest { .. })
            ));
        }
        fs::remove_dir_all(&folder).expect("cleans up");
    }

    #[test]
    fn shards_are_cut_by_tokens() {
        let folder = folder();
        let shards = |lengths: &[usize]| {
            let mut writer = SampleWriter::begin(&folder).expect("begins");
            writer.shard_tokens = 10;
            for length in lengths {
                let sample =
                    Sample::new(vec![0; *length], vec![true; *length], "a").expect("a sample");
                writer.push(sample).expect("writes");
            }
            let manifest = writer.finish_with("abc", 1).expect("finishes");
            assert_eq!(
                (manifest.cut, read_manifest(&folder).expect("reads").cut),
                (1, 1)
            );
            manifest
                .shards
                .iter()
                .map(|shard| shard.count)
                .collect::<Vec<_>>()
        };
        assert_eq!(shards(&[5, 5, 5, 5, 5]), [2, 2, 1]);
        assert_eq!(shards(&[11, 11]), [1, 1]);
        fs::remove_dir_all(&folder).expect("cleans up");
    }
}

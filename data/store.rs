//! Samples as Parquet shards with a manifest, so that a changed or missing shard is noticed.
//!
//! `samples-00000.parquet` … hold `tokens: list<uint32>`, `mask: list<boolean>`, `origin: utf8`; `manifest.json`,
//! written last, says what belongs to the set and what it hashes to.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBuilder, ListArray, ListBuilder, RecordBatch, StringArray, UInt32Array,
    UInt32Builder,
};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::file::{FileError, read_text, write_whole};
use crate::sample::{Sample, SampleError};

const FORMAT: u32 = 1;
const ROWS_PER_SHARD: usize = 65_536;

/// What belongs to a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format number.
    pub format: u32,
    /// Samples in all.
    pub samples: usize,
    /// Tokens in all.
    pub tokens: usize,
    /// Trained tokens in all.
    pub trained_tokens: usize,
    /// BLAKE3 of the `tokenizer.json` that made the tokens.
    pub tokenizer: String,
    /// The shards in order.
    pub shards: Vec<Shard>,
}

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// File name.
    pub file: String,
    /// Its samples.
    pub samples: usize,
    /// BLAKE3 of its bytes.
    pub blake3: String,
}

/// Why a set cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The manifest is unreadable or newer.
    #[error("`{path}` is no sample manifest ({reason}); build the samples again with `train data samples`")]
    Manifest {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A shard was changed or cut off.
    #[error("sample shard `{0}` does not match its manifest; build the samples again with `train data samples`")]
    Changed(String),
    /// A shard cannot be parsed.
    #[error("sample shard `{shard}`: {reason}")]
    Shard {
        /// The file.
        shard: String,
        /// What is wrong.
        reason: String,
    },
    /// A row breaks the invariant of a sample.
    #[error("sample shard `{shard}`, row {row}: {source}")]
    Row {
        /// The file.
        shard: String,
        /// Counted from 1.
        row: usize,
        /// What is wrong.
        source: SampleError,
    },
}

/// Writes a set to `folder`; the manifest comes last.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write_samples(folder: &Path, samples: &[Sample], tokenizer: &str) -> Result<Manifest, StoreError> {
    let mut shards = Vec::new();
    for (index, rows) in samples.chunks(ROWS_PER_SHARD).enumerate() {
        let file = format!("samples-{index:05}.parquet");
        let refuse = |reason: String| StoreError::Shard { shard: file.clone(), reason };
        let bytes = encode(rows).map_err(|error| refuse(error.to_string()))?;
        write_whole(&folder.join(&file), &bytes)?;
        shards.push(Shard { samples: rows.len(), blake3: blake3::hash(&bytes).to_hex().to_string(), file });
    }
    let manifest = Manifest {
        format: FORMAT,
        samples: samples.len(),
        tokens: samples.iter().map(|sample| sample.tokens.len()).sum(),
        trained_tokens: samples.iter().flat_map(|sample| &sample.mask).filter(|trained| **trained).count(),
        tokenizer: tokenizer.to_owned(),
        shards,
    };
    let json = serde_json::to_vec_pretty(&manifest).expect("a manifest serializes");
    write_whole(&folder.join("manifest.json"), &json)?;
    Ok(manifest)
}

/// Reads the manifest of a set.
///
/// # Errors
///
/// When it is missing or unreadable.
pub fn read_manifest(folder: &Path) -> Result<Manifest, StoreError> {
    let path = folder.join("manifest.json");
    let refuse = |reason: String| StoreError::Manifest { path: path.display().to_string(), reason };
    let manifest: Manifest = serde_json::from_str(&read_text(&path)?).map_err(|error| refuse(error.to_string()))?;
    if manifest.format > FORMAT {
        return Err(refuse(format!("format {} is newer than {FORMAT}", manifest.format)));
    }
    Ok(manifest)
}

/// Reads a set, shard by shard, each checked against the manifest.
///
/// # Errors
///
/// Names the shard that is missing, changed or damaged.
pub fn read_samples(folder: &Path) -> Result<Vec<Sample>, StoreError> {
    let manifest = read_manifest(folder)?;
    let mut samples = Vec::with_capacity(manifest.samples.min(1 << 20));
    for shard in &manifest.shards {
        let path = folder.join(&shard.file);
        let bytes = std::fs::read(&path).map_err(|error| FileError::new("read", &path, error))?;
        if blake3::hash(&bytes).to_hex().as_str() != shard.blake3 {
            return Err(StoreError::Changed(path.display().to_string()));
        }
        decode(&shard.file, bytes, &mut samples)?;
    }
    Ok(samples)
}

fn encode(samples: &[Sample]) -> Result<Vec<u8>, ParquetError> {
    let mut tokens = ListBuilder::new(UInt32Builder::new());
    let mut mask = ListBuilder::new(BooleanBuilder::new());
    for sample in samples {
        tokens.values().append_slice(&sample.tokens);
        tokens.append(true);
        mask.values().append_slice(&sample.mask);
        mask.append(true);
    }
    let origin = StringArray::from_iter_values(samples.iter().map(|sample| &sample.origin));
    let columns: [(&str, ArrayRef); 3] =
        [("tokens", Arc::new(tokens.finish())), ("mask", Arc::new(mask.finish())), ("origin", Arc::new(origin))];
    let batch = RecordBatch::try_from_iter(columns)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn decode(shard: &str, bytes: Vec<u8>, samples: &mut Vec<Sample>) -> Result<(), StoreError> {
    let refuse = |reason: String| StoreError::Shard { shard: shard.to_owned(), reason };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
        .and_then(|builder| builder.with_batch_size(1024).build())
        .map_err(|error| refuse(error.to_string()))?;
    let mut row = 0;
    for batch in reader {
        let batch = batch.map_err(|error: ArrowError| refuse(error.to_string()))?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| refuse(format!("there is no column `{name}`")));
        let typed = |name: &str| refuse(format!("column `{name}` has another type"));
        let tokens = column("tokens")?.as_any().downcast_ref::<ListArray>().ok_or_else(|| typed("tokens"))?;
        let mask = column("mask")?.as_any().downcast_ref::<ListArray>().ok_or_else(|| typed("mask"))?;
        let origin = column("origin")?.as_any().downcast_ref::<StringArray>().ok_or_else(|| typed("origin"))?;
        for at in 0..batch.num_rows() {
            row += 1;
            let (tokens, mask) = (tokens.value(at), mask.value(at));
            let tokens = tokens.as_any().downcast_ref::<UInt32Array>().ok_or_else(|| typed("tokens"))?;
            let mask = mask.as_any().downcast_ref::<BooleanArray>().ok_or_else(|| typed("mask"))?;
            let mask: Vec<bool> = mask.iter().map(|trained| trained.unwrap_or(false)).collect();
            let sample = Sample::new(tokens.values().to_vec(), mask, origin.value(at))
                .map_err(|source| StoreError::Row { shard: shard.to_owned(), row, source })?;
            samples.push(sample);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("{name}-{}", std::process::id()))
    }

    fn samples() -> Vec<Sample> {
        let sample = |tokens: Vec<u32>, mask| Sample::new(tokens, mask, "here").expect("valid");
        vec![sample(vec![1, 2, 3], vec![false, true, true]), sample(vec![9], vec![true])]
    }

    #[test]
    fn samples_come_back_as_they_were_written() {
        let folder = folder("samples");
        let manifest = write_samples(&folder, &samples(), "hash").expect("writes");
        assert_eq!((manifest.samples, manifest.tokens, manifest.trained_tokens), (2, 4, 3));
        assert_eq!(read_samples(&folder).expect("reads"), samples());
        std::fs::remove_dir_all(&folder).expect("removes");
    }

    #[test]
    fn a_cut_off_shard_is_named() {
        let folder = folder("cut");
        write_samples(&folder, &samples(), "hash").expect("writes");
        let shard = folder.join("samples-00000.parquet");
        let bytes = std::fs::read(&shard).expect("reads");
        std::fs::write(&shard, &bytes[..bytes.len() - 1]).expect("writes");
        let said = read_samples(&folder).expect_err("refused").to_string();
        assert!(said.contains("samples-00000.parquet"), "{said}");
        std::fs::remove_dir_all(&folder).expect("removes");
    }
}

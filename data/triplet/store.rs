//! Triplets in Parquet shards, with a manifest that is written last.
//!
//! In: triplets, each with its split. Out: `train-00000.parquet`, `held_out_package-00000.parquet`, … and `triplets.json`:
//! a folder without it is not finished. Lists and proofs stand in their cells as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringBuilder, UInt32Builder};
use arrow::datatypes::UInt32Type;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Split, TRIPLET_FORMAT, Triplet};
use crate::file::{FileError, read_text, write_whole};

/// The file that is written last.
pub const TRIPLETS_MANIFEST: &str = "triplets.json";
/// Rows of a shard.
const SHARD_ROWS: usize = 10_000;
/// Columns of text that stand in their cells as they are.
const TEXTS: [&str; 10] = [
    "id",
    "task_id",
    "repo",
    "base_commit",
    "kind",
    "issue",
    "long",
    "failing",
    "failure",
    "refined",
];
/// Columns whose cells are JSON.
const JSON: [&str; 3] = ["noise", "kept", "proof"];

/// What the shards of a folder hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TripletManifest {
    /// [`TRIPLET_FORMAT`].
    pub format: u32,
    /// Triplets in all.
    pub count: usize,
    /// In the order of reading.
    pub shards: Vec<TripletShard>,
}

/// One file of triplets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TripletShard {
    /// Its name in the folder.
    pub name: String,
    /// Whom it is for.
    pub split: Split,
    /// Number of triplets.
    pub count: usize,
    /// BLAKE3 of its bytes.
    pub blake3: String,
}

/// Triplets by their split.
pub type ReadTriplets = BTreeMap<Split, Vec<Triplet>>;

/// Why triplets cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum TripletError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no manifest.
    #[error(
        "`{0}` holds no finished triplets: `triplets.json` is missing{hint}",
        hint = crate::Hint("build them with `train data triplets`, or add `--resume` to go on")
    )]
    Unfinished(PathBuf),
    /// A file is not what it should be.
    #[error(
        "`{path}`: {reason}{}",
        crate::Hint("build the triplets again with `train data triplets`")
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Writes triplets to a folder; those that it held before are replaced.
///
/// # Errors
///
/// When the disk is full or the folder cannot be written. Then the folder has no manifest and is not read.
pub fn write_triplets(
    dir: &Path,
    triplets: &ReadTriplets,
) -> Result<TripletManifest, TripletError> {
    removed(&dir.join(TRIPLETS_MANIFEST))?;
    let mut shards = Vec::new();
    for split in Split::ALL {
        let of_split = triplets.get(&split).map(Vec::as_slice).unwrap_or_default();
        let mut number = 0;
        for rows in of_split.chunks(SHARD_ROWS) {
            let name = format!("{}-{number:05}.parquet", split.name());
            let path = dir.join(&name);
            let bytes = to_parquet(rows).map_err(|reason| TripletError::Broken {
                path: path.clone(),
                reason,
            })?;
            write_whole(&path, &bytes)?;
            shards.push(TripletShard {
                name,
                split,
                count: rows.len(),
                blake3: hash(&bytes),
            });
            number += 1;
        }
        while removed(&dir.join(format!("{}-{number:05}.parquet", split.name())))? {
            number += 1;
        }
    }
    let count = triplets.values().map(Vec::len).sum();
    let manifest = TripletManifest {
        format: TRIPLET_FORMAT,
        count,
        shards,
    };
    let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is numbers and texts");
    write_whole(&dir.join(TRIPLETS_MANIFEST), &json)?;
    Ok(manifest)
}

/// Reads the triplets of a folder.
///
/// # Errors
///
/// When the folder is not finished, was written by a newer version, or a shard is not the one that was written.
pub fn read_triplets(dir: &Path) -> Result<ReadTriplets, TripletError> {
    let path = dir.join(TRIPLETS_MANIFEST);
    if !path.exists() {
        return Err(TripletError::Unfinished(dir.to_path_buf()));
    }
    let broken = |reason: String| TripletError::Broken {
        path: path.clone(),
        reason,
    };
    let manifest: TripletManifest =
        serde_json::from_str(&read_text(&path)?).map_err(|error| broken(error.to_string()))?;
    if manifest.format > TRIPLET_FORMAT {
        return Err(broken(format!(
            "it has the format {}; this version reads up to {TRIPLET_FORMAT}",
            manifest.format
        )));
    }
    let mut triplets = ReadTriplets::new();
    for shard in manifest.shards {
        if Path::new(&shard.name).file_name() != Some(shard.name.as_ref()) {
            return Err(broken(format!(
                "the shard `{}` lies outside the folder",
                shard.name
            )));
        }
        let path = dir.join(&shard.name);
        let bytes = fs::read(&path).map_err(|error| FileError::new("read", &path, error))?;
        let changed = |reason: &str| TripletError::Broken {
            path: path.clone(),
            reason: reason.to_string(),
        };
        if hash(&bytes) != shard.blake3 {
            return Err(changed("it is not the shard that was written"));
        }
        let rows = from_parquet(bytes, &path)?;
        if rows.len() != shard.count {
            return Err(changed(
                "it has another number of rows than the manifest says",
            ));
        }
        triplets.entry(shard.split).or_default().extend(rows);
    }
    Ok(triplets)
}

fn to_parquet(rows: &[Triplet]) -> Result<Vec<u8>, String> {
    let values: Vec<Value> = rows
        .iter()
        .map(|row| serde_json::to_value(row).expect("a triplet is JSON"))
        .collect();
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for name in TEXTS.into_iter().chain(JSON) {
        let mut column = StringBuilder::new();
        for value in &values {
            match &value[name] {
                Value::String(text) => column.append_value(text),
                other => column.append_value(other.to_string()),
            }
        }
        columns.push((name, Arc::new(column.finish())));
    }
    for (name, number) in [
        (
            "format",
            (|row: &Triplet| row.format) as fn(&Triplet) -> u32,
        ),
        ("lacking", |row| row.lacking as u32),
    ] {
        let mut column = UInt32Builder::new();
        rows.iter().for_each(|row| column.append_value(number(row)));
        columns.push((name, Arc::new(column.finish())));
    }
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

fn from_parquet(bytes: Vec<u8>, path: &Path) -> Result<Vec<Triplet>, TripletError> {
    let failed = |reason: String| TripletError::Broken {
        path: path.to_path_buf(),
        reason,
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
        .and_then(|builder| builder.build());
    let mut rows = Vec::new();
    for batch in reader.map_err(|error| failed(error.to_string()))? {
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| failed(format!("no column `{name}`")))
        };
        let other = |name: &str| failed(format!("column `{name}` has another type"));
        for at in 0..batch.num_rows() {
            let mut row = json!({});
            for name in TEXTS.into_iter().chain(JSON) {
                let text = column(name)?
                    .as_string_opt::<i32>()
                    .ok_or_else(|| other(name))?
                    .value(at);
                row[name] = if JSON.contains(&name) {
                    serde_json::from_str(text)
                        .map_err(|error| failed(format!("row {}: {error}", rows.len() + 1)))?
                } else {
                    Value::from(text)
                };
            }
            for name in ["format", "lacking"] {
                row[name] = column(name)?
                    .as_primitive_opt::<UInt32Type>()
                    .ok_or_else(|| other(name))?
                    .value(at)
                    .into();
            }
            let number = rows.len() + 1;
            rows.push(
                serde_json::from_value(row)
                    .map_err(|error| failed(format!("row {number}: {error}")))?,
            );
        }
    }
    Ok(rows)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Removes a file; false where there is none.
fn removed(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FileError::new("remove", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Mark, NoiseKind};
    use crate::patch::Patch;
    use crate::triplet::{FoundBy, Proof};

    fn triplet(id: usize) -> Triplet {
        let base = "a\nb\n";
        Triplet {
            format: TRIPLET_FORMAT,
            id: format!("t.{id}"),
            task_id: "t".into(),
            repo: "money".into(),
            base_commit: "0".into(),
            kind: "arithmetic".into(),
            issue: "\"quoted\"\nand more".into(),
            long: Patch::between("a.py", base, &format!("a\nB{id}\nc\n")),
            failing: Patch::between("a.py", base, "a\nb\nc\n"),
            failure: "it failed".into(),
            refined: Patch::between("a.py", base, &format!("a\nB{id}\n")),
            kept: vec![1],
            lacking: 1,
            noise: vec![Mark {
                kind: NoiseKind::Comment,
                path: "a.py".into(),
            }],
            proof: Proof {
                fail_to_pass: vec!["test_a.py::test_a".into()],
                pass_to_pass: 3,
                tests: "0".into(),
                long: "resolved".into(),
                failing: "still_failing".into(),
                refined: "resolved".into(),
                parts: 1,
                found_by: FoundBy::Repair,
                calls: 2,
                shared_calls: 3,
                noise_key: u64::MAX,
                source: "planted".into(),
                license: "MIT".into(),
            },
        }
    }

    #[test]
    fn triplets_come_back_with_their_split_and_the_same_bytes_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut triplets = ReadTriplets::new();
        triplets.insert(Split::Train, (0..5).map(triplet).collect());
        triplets.insert(Split::HeldOutKind, vec![triplet(9)]);
        let manifest = write_triplets(folder.path(), &triplets).expect("writes");
        assert_eq!((manifest.count, manifest.shards.len()), (6, 2));
        assert_eq!(read_triplets(folder.path()).expect("reads"), triplets);
        assert_eq!(
            write_triplets(folder.path(), &triplets).expect("writes"),
            manifest
        );
        // Shards of an earlier, larger set are gone.
        triplets.remove(&Split::HeldOutKind);
        write_triplets(folder.path(), &triplets).expect("writes");
        assert!(!folder.path().join("held_out_kind-00000.parquet").exists());
    }

    #[test]
    fn a_folder_that_is_not_finished_and_a_shard_that_changed_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = |folder: &Path| read_triplets(folder).expect_err("is refused").to_string();
        assert!(told(folder.path()).contains("holds no finished triplets"));
        write_triplets(
            folder.path(),
            &ReadTriplets::from([(Split::Train, vec![triplet(1)])]),
        )
        .expect("writes");
        let shard = folder.path().join("train-00000.parquet");
        let mut bytes = fs::read(&shard).expect("reads");
        bytes[20] ^= 1;
        fs::write(&shard, bytes).expect("writes");
        assert!(told(folder.path()).contains("train-00000.parquet`: it is not the shard"));
        let path = folder.path().join(TRIPLETS_MANIFEST);
        let text =
            fs::read_to_string(&path)
                .expect("reads")
                .replacen("\"format\": 1", "\"format\": 9", 1);
        fs::write(&path, text).expect("writes");
        assert!(told(folder.path()).contains("the format 9"));
    }
}

//! Byte code that is not that of its source: what is left of another version of a file.
//!
//! Python believes a time and a size, or, where byte code says that it is not to be checked, nothing at all. Here the
//! hash of the source decides where byte code carries one, and time and size where it does not.

use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use siphasher::sip::{SipHasher13, SipHasher24};
use walkdir::DirEntry;

use super::Findings;
use crate::image::ImageError;

/// The first version of byte code whose sources are hashed with SipHash-1-3 (Python 3.11).
const SHORT_HASH: u16 = 3495;

pub(super) fn check(entry: &DirEntry, findings: &mut Findings<'_>) -> Result<(), ImageError> {
    let path = entry.path();
    if !entry.file_type().is_file() || path.extension().is_none_or(|ending| ending != "pyc") {
        return Ok(());
    }
    let cure = format!("`rm {}`", findings.shown(path));
    let source = match source_of(path) {
        Some(source) if source.is_file() => source,
        Some(source) => {
            let what = format!("is byte code whose source `{}` is gone", name(&source));
            findings.add("stale-pyc", path, what, cure);
            return Ok(());
        }
        None => {
            findings.add(
                "stale-pyc",
                path,
                "is byte code without a source, and is imported all the same",
                cure,
            );
            return Ok(());
        }
    };
    let code = fs::read(path).map_err(ImageError::file("read", path))?;
    let text = fs::read(&source).map_err(ImageError::file("read", &source))?;
    let meta = source
        .metadata()
        .map_err(ImageError::file("read", &source))?;
    let modified = meta
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    if !fits(&code, &text, modified.map_or(0, |time| time.as_secs())) {
        let what = format!(
            "is byte code of another `{}` than the one beside it",
            name(&source)
        );
        findings.add("stale-pyc", path, what, cure);
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// `__pycache__/a.cpython-311.pyc` comes from `a.py`; byte code that lies elsewhere needs no source.
fn source_of(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    let stem = path.file_stem()?.to_str()?;
    match folder.file_name()? == "__pycache__" {
        true => {
            // `a.cpython-311.opt-1` comes from `a`; a name may hold points of its own.
            let at = stem.rfind(".cpython-").or_else(|| stem.rfind(".pypy"))?;
            Some(folder.parent()?.join(format!("{}.py", &stem[..at])))
        }
        false => None,
    }
}

/// True where the head of byte code says that it belongs to `source`.
fn fits(code: &[u8], source: &[u8], modified: u64) -> bool {
    let word = |at: usize| {
        code.get(at..at + 4)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let (Some(magic), Some(flags), Some(first), Some(second)) =
        (word(0), word(4), word(8), word(12))
    else {
        return false;
    };
    if flags & 1 == 0 {
        return first == modified as u32 && second == source.len() as u32;
    }
    let hash = u64::from(second) << 32 | u64::from(first);
    hash == source_hash(magic, source)
}

/// What Python calls `_imp.source_hash`.
fn source_hash(magic: u32, source: &[u8]) -> u64 {
    if magic as u16 >= SHORT_HASH {
        let mut hasher = SipHasher13::new_with_keys(u64::from(magic), 0);
        hasher.write(source);
        return hasher.finish();
    }
    let mut hasher = SipHasher24::new_with_keys(u64::from(magic), 0);
    hasher.write(source);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_hashed_as_python_does() {
        // Python 3.11.7: `_imp.source_hash(importlib.util._RAW_MAGIC_NUMBER, b"x = 1\n").hex()`.
        let hash = source_hash(168_627_623, b"x = 1\n").to_le_bytes();
        assert_eq!(hash, [0x4c, 0x03, 0x72, 0xaa, 0x93, 0xf7, 0x52, 0x52]);
    }
}

//! A tree as an archive that depends on nothing but the tree, and back.
//!
//! In: a folder. Out: `rootfs.tar.zst` with sorted names, one time, one owner, no device and no setuid bit; the hash is
//! taken before compression, so another version of zstd does not change it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Builder, EntryType, Header};
use walkdir::WalkDir;

use super::ImageError;

/// 1 January 2020: the time of everything, as the jobs of the embedded sandbox see it.
pub(super) const EPOCH: u64 = 1_577_836_800;

/// How a file begins that gzip made.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Folders that engines and sandboxes fill themselves.
const EMPTY: [&str; 3] = ["dev", "proc", "sys"];

/// What [`pack`] wrote.
pub(super) struct Packed {
    /// BLAKE3 of the archive before compression.
    pub hash: String,
    /// Its size before compression.
    pub bytes: u64,
}

/// Counts and hashes what goes through it.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Hashing {
            inner,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.count(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count(&buffer[..count]);
        Ok(count)
    }
}

/// Writes the tree below `root` to `path`.
pub(super) fn pack(root: &Path, path: &Path) -> Result<Packed, ImageError> {
    let packed = || -> io::Result<Packed> {
        let encoder = zstd::Encoder::new(BufWriter::new(File::create(path)?), 6)?;
        let mut archive = Builder::new(Hashing::new(encoder));
        let mut linked = HashMap::new();
        let empty = |path: &Path| {
            path.parent()
                .is_some_and(|parent| EMPTY.iter().any(|name| parent == root.join(name)))
        };
        let walk = WalkDir::new(root)
            .min_depth(1)
            .sort_by_file_name()
            .into_iter();
        for entry in walk.filter_entry(|entry| !empty(entry.path())) {
            append(&mut archive, root, entry?.path(), &mut linked)?;
        }
        let written = archive.into_inner()?;
        let packed = Packed {
            hash: written.hash(),
            bytes: written.bytes,
        };
        let file = written
            .inner
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(packed)
    };
    packed().map_err(ImageError::file("write", path))
}

/// One entry. The second name of a file becomes a link to the first.
fn append<W: Write>(
    archive: &mut Builder<W>,
    root: &Path,
    path: &Path,
    linked: &mut HashMap<u64, PathBuf>,
) -> io::Result<()> {
    let name = path.strip_prefix(root).map_err(io::Error::other)?;
    let meta = path.symlink_metadata()?;
    let mut header = Header::new_gnu();
    header.set_mtime(EPOCH);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    if meta.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        archive.append_link(&mut header, name, fs::read_link(path)?)
    } else if meta.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_mode(meta.permissions().mode() & 0o1777);
        archive.append_data(&mut header, name, io::empty())
    } else if !meta.is_file() {
        Ok(())
    } else if let Some(first) = linked.get(&meta.ino()) {
        header.set_entry_type(EntryType::Link);
        header.set_mode(meta.permissions().mode() & 0o777);
        archive.append_link(&mut header, name, first)
    } else {
        if meta.nlink() > 1 {
            linked.insert(meta.ino(), name.to_path_buf());
        }
        header.set_entry_type(EntryType::Regular);
        header.set_mode(meta.permissions().mode() & 0o777);
        header.set_size(meta.len());
        archive.append_data(&mut header, name, File::open(path)?)
    }
}

/// Unpacks an archive, packed with zstd or gzip or not at all, into the new folder `root`. Returns the hash of what was
/// in it. An archive that holds nothing is none.
/// Devices are left out: only root could make them, and nothing here needs them.
pub(super) fn unpack(path: &Path, root: &Path) -> Result<String, ImageError> {
    let read = ImageError::file("read", path);
    let unpacked = || -> io::Result<String> {
        let mut start = [0; 4];
        let count = File::open(path)?.take(4).read(&mut start)?;
        let file = BufReader::new(File::open(path)?);
        let source: Box<dyn Read> =
            if count == 4 && u32::from_le_bytes(start) == zstd::zstd_safe::MAGICNUMBER {
                Box::new(zstd::Decoder::with_buffer(file)?)
            } else if start.starts_with(&GZIP) {
                Box::new(MultiGzDecoder::new(file))
            } else {
                Box::new(file)
            };
        unpack_from(source, root)
    };
    unpacked().map_err(read)
}

/// As [`unpack`], from a stream.
pub(super) fn unpack_from(source: impl Read, root: &Path) -> io::Result<String> {
    fs::create_dir_all(root)?;
    let mut source = Hashing::new(source);
    let mut archive = Archive::new(&mut source);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(false);
    // A folder that its owner cannot write would refuse its own children; times and modes of folders come last.
    let mut folders = Vec::new();
    let mut empty = true;
    for entry in archive.entries()? {
        let mut entry = entry?;
        empty = false;
        match entry.header().entry_type() {
            EntryType::Block | EntryType::Char | EntryType::Fifo => {}
            EntryType::Directory => folders.push(entry),
            _ => drop(entry.unpack_in(root)?),
        }
    }
    if empty {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is no archive, or one that holds nothing",
        ));
    }
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.path_bytes().len()));
    for mut folder in folders {
        folder.unpack_in(root)?;
    }
    // What follows the end of the archive belongs to its hash.
    io::copy(&mut source, &mut io::sink())?;
    Ok(source.hash())
}

/// Unpacks the archive behind `source` while it is being read somewhere else.
pub(super) fn reader(path: &Path) -> io::Result<impl Read + Send + 'static> {
    zstd::Decoder::new(File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, "etc/name", &b"a\n"[..])
            .expect("adds");
        archive.into_inner().expect("ends")
    }

    #[test]
    fn an_archive_is_read_however_it_is_packed() {
        let work = tempfile::tempdir().expect("a folder");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&archive()).expect("packs");
        let packed = [
            archive(),
            gzip.finish().expect("packs"),
            zstd::encode_all(&archive()[..], 1).expect("packs"),
        ];
        let mut hashes = Vec::new();
        for (number, bytes) in packed.into_iter().enumerate() {
            let (path, root) = (
                work.path().join("archive"),
                work.path().join(number.to_string()),
            );
            fs::write(&path, bytes).expect("writes");
            hashes.push(unpack(&path, &root).expect("unpacks"));
            assert_eq!(
                fs::read_to_string(root.join("etc/name")).expect("reads"),
                "a\n"
            );
        }
        hashes.dedup();
        assert_eq!(hashes.len(), 1);
    }

    #[test]
    fn a_file_that_holds_nothing_is_no_archive() {
        let work = tempfile::tempdir().expect("a folder");
        for bytes in [Vec::new(), vec![0; 10_240]] {
            let path = work.path().join("archive");
            fs::write(&path, bytes).expect("writes");
            let error = unpack(&path, &work.path().join("root"))
                .expect_err("is refused")
                .to_string();
            assert!(
                error.contains("it is no archive") && error.contains("archive`"),
                "{error}"
            );
        }
    }
}

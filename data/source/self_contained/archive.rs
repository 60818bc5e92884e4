//! A tarball becomes a tree, or is refused as a whole.
//!
//! In: a `.tar` or `.tar.gz`. Out: path to bytes. Nothing is written to disk on the way. A link to what lies in the archive
//! becomes what it leads to. Refused: what is no plain file, folder or such a link, a name that leaves the tree, stands twice or differs from another in case only, and a small file that
//! becomes a large one. Where everything lies in one folder, and the gold patch does not name that folder, it is taken
//! away. Example: `money-1.0/money.py` becomes `money.py` for a patch of `a/money.py`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use flate2::read::GzDecoder;

use super::links::{self, Link};
use super::tree::{MAX_TREE_BYTES, MAX_TREE_FILES, Tree};
use crate::patch::check_path;

/// How many times as long as the archive its content may be. Small archives may become 8 MiB.
const MAX_EXPANSION: u64 = 200;
const FREE_BYTES: u64 = 8 << 20;
/// Headers and padding come on top of the files.
const MAX_STREAM_BYTES: u64 = MAX_TREE_BYTES as u64 + (MAX_TREE_FILES as u64) * 4096;

/// The files of an archive; `wanted` are the paths that the gold patch names.
pub(super) fn tree(path: &Path, wanted: &[String]) -> Result<Tree, String> {
    let told = |error: io::Error| error.to_string();
    let mut file = File::open(path).map_err(told)?;
    let size = file.metadata().map_err(told)?.len();
    let mut head = Vec::new();
    (&mut file).take(2).read_to_end(&mut head).map_err(told)?;
    file.rewind().map_err(told)?;
    let most = MAX_STREAM_BYTES.min(size.saturating_mul(MAX_EXPANSION).max(FREE_BYTES));
    let tree = match head.as_slice() {
        b"\x1f\x8b" => entries(Capped {
            inner: GzDecoder::new(file),
            left: most,
        })?,
        b"PK" => {
            return Err(format!(
                "it is a zip archive{}",
                crate::Hint("pack it as `.tar.gz`")
            ));
        }
        _ => entries(Capped {
            inner: file,
            left: MAX_STREAM_BYTES,
        })?,
    };
    Ok(without_top(tree, wanted))
}

fn entries(stream: impl Read) -> Result<Tree, String> {
    let mut archive = tar::Archive::new(stream);
    let (mut tree, mut folded, mut folders) = (Tree::new(), HashSet::new(), HashSet::new());
    let mut links = Vec::new();
    for entry in archive
        .entries()
        .map_err(|error| format!("it is no tarball: {error}"))?
    {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let name = entry.path_bytes().into_owned();
        let name =
            String::from_utf8(name).map_err(|_| "it holds a name that is no UTF-8".to_string())?;
        let is_link = kind.is_symlink() || kind.is_hard_link();
        if !kind.is_dir() && !kind.is_file() && !is_link {
            return Err(format!(
                "`{}` is neither a file, a folder nor a link",
                name.escape_debug()
            ));
        }
        let name = name
            .strip_prefix("./")
            .unwrap_or(&name)
            .trim_end_matches('/');
        if kind.is_dir() && matches!(name, "" | ".") {
            continue;
        }
        check_path(name)
            .map_err(|error| error.to_string().replace("the patch names", "it names"))?;
        // Two names that differ in case only are one file on some systems.
        let plain = name.to_lowercase();
        let above = plain
            .match_indices('/')
            .map(|(at, _)| plain[..at].to_string());
        folders.extend(above);
        if kind.is_dir() {
            folders.insert(plain);
            continue;
        }
        if !folded.insert(plain) {
            return Err(format!("`{name}` is there twice, perhaps in another case"));
        }
        if tree.len() + links.len() == MAX_TREE_FILES {
            return Err(format!("it holds more than {MAX_TREE_FILES} files"));
        }
        if is_link {
            let target = entry
                .link_name_bytes()
                .map(|target| target.into_owned())
                .unwrap_or_default();
            links.push(Link::new(name, &target, kind.is_symlink())?);
            continue;
        }
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| format!("`{name}`: {error}"))?;
        tree.insert(name.to_string(), bytes);
    }
    match folded.iter().find(|name| folders.contains(*name)) {
        Some(both) => Err(format!("`{both}` is both a file and a folder")),
        None => links::followed(tree, links),
    }
}

/// The tree below its only folder, where the patch is one of the files there.
fn without_top(tree: Tree, wanted: &[String]) -> Tree {
    let top = tree
        .keys()
        .next()
        .and_then(|path| path.split_once('/'))
        .map(|(top, _)| format!("{top}/"));
    match top {
        Some(top)
            if tree.keys().all(|path| path.starts_with(&top))
                && !wanted.iter().any(|path| path.starts_with(&top)) =>
        {
            tree.into_iter()
                .map(|(path, bytes)| (path[top.len()..].to_string(), bytes))
                .collect()
        }
        _ => tree,
    }
}

/// A stream that ends in an error where it is longer than it may be.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other("it becomes too large: it holds more than such an archive may")
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, EntryType, Header};

    use super::*;

    fn file(bytes: &[u8]) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "archive-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("writes");
        path
    }

    /// Names are written as they are, which no honest builder does.
    fn packed(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, kind, bytes) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("/etc/passwd").expect("a name");
            }
            header.set_cksum();
            builder.append(&header, *bytes).expect("packs");
        }
        builder
            .into_inner()
            .and_then(GzEncoder::finish)
            .expect("packs")
    }

    fn unpacked(
        entries: &[(&str, EntryType, &[u8])],
        wanted: &[&str],
    ) -> Result<Vec<String>, String> {
        let path = file(&packed(entries));
        let wanted: Vec<String> = wanted.iter().map(|path| path.to_string()).collect();
        let read = tree(&path, &wanted);
        std::fs::remove_file(path).expect("cleans up");
        read.map(|tree| tree.into_keys().collect())
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn the_only_folder_is_taken_away_unless_the_patch_names_it() {
        let entries: [(&str, EntryType, &[u8]); 3] = [
            ("money/", EntryType::Directory, b""),
            ("money/a.py", FILE, b"x"),
            ("money/b/c.py", FILE, b"\xff"),
        ];
        assert_eq!(
            unpacked(&entries, &["a.py"]),
            Ok(vec!["a.py".into(), "b/c.py".into()])
        );
        assert_eq!(
            unpacked(&entries, &["money/a.py"]),
            Ok(vec!["money/a.py".into(), "money/b/c.py".into()])
        );
        assert_eq!(
            unpacked(&[("./a.py", FILE, b""), ("./b/c.py", FILE, b"")], &[]),
            Ok(vec!["a.py".into(), "b/c.py".into()])
        );
    }

    #[test]
    fn hostile_entries_are_refused() {
        for (name, kind, why) in [
            ("a/../../x.py", FILE, "leaves"),
            ("/etc/x.py", FILE, "absolute"),
            ("a/.git/hooks/post-checkout", FILE, "git's own folder"),
            ("a/..", EntryType::Directory, "leaves"),
            ("a/x.py", EntryType::Symlink, "leaves"),
            ("a/x.py", EntryType::Link, "leaves"),
            ("a/x.py", EntryType::Char, "neither a file, a folder"),
            ("a/x.py", EntryType::Fifo, "neither a file, a folder"),
        ] {
            let error = unpacked(&[(name, kind, b"")], &[]).expect_err(name);
            assert!(error.contains(why), "{name}: {error}");
        }
        let twice = |one, other| {
            unpacked(&[(one, FILE, b"1"), (other, FILE, b"2")], &[]).expect_err("is refused")
        };
        assert!(twice("a.py", "a.py").contains("twice"));
        assert!(twice("a/b.py", "A/B.py").contains("twice"));
        assert!(twice("a", "A/b.py").contains("both a file and a folder"));
    }

    #[test]
    fn what_becomes_too_large_is_refused() {
        let zeros = vec![0; 40 << 20];
        let error = unpacked(&[("zeros", FILE, &zeros)], &[]).expect_err("is refused");
        assert!(error.contains("too large"), "{error}");
    }

    #[test]
    fn what_is_no_tarball_is_told() {
        for bytes in [&b"hello"[..], b"\x1f\x8bhello", b"PK\x03\x04", &[7; 2000]] {
            let path = file(bytes);
            assert!(tree(&path, &[]).is_err(), "{bytes:?}");
            std::fs::remove_file(path).expect("cleans up");
        }
    }
}

//! A source archive becomes a folder.
//!
//! In: a `.tar.gz` from a package index. Out: its files below a folder of ours, or the entry for which all of it is
//! refused. Nothing is written outside of that folder, and nothing in it is a link.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

/// The largest archive content, and the most files, that are unpacked.
const MAX_TREE_BYTES: u64 = 256 << 20;
const MAX_FILES: usize = 20_000;

/// Unpacks the one folder of a `.tar.gz`. Nothing but plain files and folders, none of them outside.
pub(super) fn unpack(archive: &Path, target: &Path) -> Result<(), String> {
    let file = fs::File::open(archive).map_err(|error| error.to_string())?;
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut left = MAX_TREE_BYTES;
    let mut names = HashSet::new();
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let path = entry
            .path()
            .map_err(|error| error.to_string())?
            .into_owned();
        let shown = path.display().to_string();
        let Some(inner) = inner_path(&path)? else {
            continue;
        };
        let target = target.join(&inner);
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(|error| format!("`{shown}`: {error}"))?;
            continue;
        }
        if !kind.is_file() {
            return Err(format!("`{shown}` is neither a file nor a folder"));
        }
        // Two names that differ in case only are one file on some systems.
        if !names.insert(inner.to_string_lossy().to_lowercase()) {
            return Err(format!("`{shown}` is there twice"));
        }
        if names.len() > MAX_FILES || entry.size() > left {
            return Err(format!(
                "it holds more than {MAX_FILES} files or {MAX_TREE_BYTES} bytes"
            ));
        }
        left -= entry.size();
        let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
        write_file(&mut entry, &target, executable)
            .map_err(|error| format!("`{shown}`: {error}"))?;
    }
    Ok(())
}

fn write_file(entry: &mut impl Read, target: &Path, executable: bool) -> io::Result<()> {
    fs::create_dir_all(target.parent().unwrap_or(target))?;
    // Nothing below the target is a link, and an existing file is never written over.
    let mut file = fs::File::create_new(target)?;
    io::copy(entry, &mut file)?;
    file.set_permissions(fs::Permissions::from_mode(if executable {
        0o755
    } else {
        0o644
    }))
}

/// The path below the archive's only folder; none for that folder itself.
fn inner_path(path: &Path) -> Result<Option<PathBuf>, String> {
    let mut inner = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => inner.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!("`{}` leaves the archive", path.display()));
            }
        }
    }
    let inner: PathBuf = inner.components().skip(1).collect();
    Ok((!inner.as_os_str().is_empty()).then_some(inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, EntryType, Header};

    /// An archive with these entries, unpacked; names are written as they are.
    fn unpacked(test: &str, entries: &[(&str, EntryType)]) -> Result<Vec<String>, String> {
        let folder = std::env::temp_dir().join(format!("package-{test}-{}", std::process::id()));
        fs::create_dir_all(folder.join("tree")).unwrap();
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, kind) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(if kind.is_file() { 5 } else { 0 });
            if kind.is_symlink() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder
                .append(
                    &header,
                    if kind.is_file() {
                        &b"x = 1"[..]
                    } else {
                        &b""[..]
                    },
                )
                .unwrap();
        }
        fs::write(
            folder.join("a.tar.gz"),
            builder.into_inner().unwrap().finish().unwrap(),
        )
        .unwrap();
        let answer = unpack(&folder.join("a.tar.gz"), &folder.join("tree"));
        let mut names: Vec<String> = fs::read_dir(folder.join("tree"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        fs::remove_dir_all(&folder).unwrap();
        answer.map(|()| names)
    }

    #[test]
    fn the_only_folder_of_an_archive_is_taken_away() {
        let entries = [
            ("money-1.0/money.py", EntryType::Regular),
            ("money-1.0/tests/test_a.py", EntryType::Regular),
        ];
        assert_eq!(
            unpacked("plain", &entries),
            Ok(vec!["money.py".to_string(), "tests".to_string()])
        );
    }

    #[test]
    fn hostile_entries_are_refused() {
        let file = EntryType::Regular;
        for (name, kind, why) in [
            ("money-1.0/../../x.py", file, "leaves the archive"),
            ("/etc/x.py", file, "leaves the archive"),
            (
                "money-1.0/x.py",
                EntryType::Symlink,
                "neither a file nor a folder",
            ),
            (
                "money-1.0/x.py",
                EntryType::Link,
                "neither a file nor a folder",
            ),
            (
                "money-1.0/x.py",
                EntryType::Char,
                "neither a file nor a folder",
            ),
        ] {
            let error = unpacked("hostile", &[(name, kind)]).expect_err(name);
            assert!(error.contains(why), "{name}: {error}");
        }
        let twice = [("money-1.0/a.py", file), ("money-1.0/A.py", file)];
        assert!(
            unpacked("twice", &twice)
                .expect_err("twice")
                .contains("twice")
        );
    }
}

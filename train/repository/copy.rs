//! A copy of a repository to work on: what its tests can see, and nothing else.
//!
//! In: the user's tree. Out: files and links of it below another folder. The tree itself is only read. Left out are git's
//! own folder, caches, virtual environments, links that lead out of the tree, and what is neither file nor folder.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// What was left out though it is no cache, each with its reason.
    pub left_out: Vec<String>,
}

/// The most files, and bytes of them, that are copied.
const MAX_FILES: usize = 200_000;
const MAX_BYTES: u64 = 8 << 30;

/// Folders that nobody's tests need.
const SKIPPED: [&str; 11] = [
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
    ".venv",
    ".idea",
];

/// Copies the tree at `from` to `to`, whole or not at all.
///
/// # Errors
///
/// When a file cannot be read, or the disk is full.
pub fn copy(from: &Path, to: &Path) -> Result<Copied> {
    let work = to.with_extension(format!("tmp-{}", std::process::id()));
    let _ = fs::remove_dir_all(&work);
    let mut copied = Copied::default();
    let root = from
        .canonicalize()
        .with_context(|| format!("cannot find `{}`", from.display()))?;
    let made = folder(&root, &root, &work, &mut copied).and_then(|()| {
        let _ = fs::remove_dir_all(to);
        fs::rename(&work, to).with_context(|| format!("cannot make `{}`", to.display()))
    });
    let _ = fs::remove_dir_all(&work);
    made.map(|()| copied)
        .context("while copying the repository")
}

fn folder(root: &Path, from: &Path, to: &Path, copied: &mut Copied) -> Result<()> {
    fs::create_dir_all(to)
        .with_context(|| format!("cannot create the folder `{}`", to.display()))?;
    // Tests run as another user.
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    let listing = || format!("cannot list `{}`", from.display());
    for entry in fs::read_dir(from).with_context(listing)? {
        let entry = entry.with_context(listing)?;
        let (path, name) = (entry.path(), entry.file_name());
        let (kind, into) = (entry.file_type().with_context(listing)?, to.join(&name));
        let below = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        if SKIPPED.iter().any(|skipped| name == **skipped) {
            continue;
        }
        if kind.is_dir() {
            // A virtual environment.
            if !path.join("pyvenv.cfg").is_file() {
                folder(root, &path, &into, copied)?;
            }
        } else if kind.is_file() {
            file(&path, &into, copied)
                .with_context(|| format!("cannot copy `{}`", path.display()))?;
            if copied.files > MAX_FILES || copied.bytes > MAX_BYTES {
                bail!(
                    "the repository holds more than {MAX_FILES} files or {} GiB{}",
                    MAX_BYTES >> 30,
                    data::Hint(
                        "name the folder of one of its packages, or move its data elsewhere"
                    )
                );
            }
        } else if kind.is_symlink() {
            match leads_inside(root, &path) {
                Some(target) => symlink(target, &into)
                    .with_context(|| format!("cannot link `{}`", into.display()))?,
                None => copied.left_out.push(format!(
                    "`{below}`: a link that leads out of the repository, or nowhere"
                )),
            }
        } else {
            copied
                .left_out
                .push(format!("`{below}`: neither file nor folder"));
        }
    }
    Ok(())
}

fn file(from: &Path, to: &Path, copied: &mut Copied) -> io::Result<()> {
    copied.bytes += fs::copy(from, to)?;
    copied.files += 1;
    let runs = fs::metadata(from)?.permissions().mode() & 0o100 != 0;
    fs::set_permissions(
        to,
        fs::Permissions::from_mode(if runs { 0o755 } else { 0o644 }),
    )
}

/// Where a link leads, as it is written, where that is relative and stays in the tree.
fn leads_inside(root: &Path, link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    let plain = target.components().all(|part| {
        matches!(
            part,
            Component::Normal(_) | Component::ParentDir | Component::CurDir
        )
    });
    let real = link.canonicalize().ok()?;
    // What is left out of the copy cannot be led to.
    let git = real
        .strip_prefix(root)
        .ok()?
        .components()
        .any(|part| SKIPPED.iter().any(|one| part.as_os_str() == *one));
    (plain && !git).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_what_tests_can_see_and_the_tree_stays_as_it_was() {
        let folder = std::env::temp_dir().join(format!("copy-test-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let (from, to) = (folder.join("from"), folder.join("to"));
        let write = |path: &str, bytes: &[u8]| {
            data::file::write_whole(&from.join(path), bytes).expect("writes")
        };
        write("a/b.py", b"x = 1\n");
        write("latin.txt", b"\xe9");
        write(".coveragerc", b"");
        for skipped in [
            ".git/config",
            "a/__pycache__/b.pyc",
            "env/pyvenv.cfg",
            "env/lib/x.py",
        ] {
            write(skipped, b"");
        }
        fs::set_permissions(from.join("latin.txt"), fs::Permissions::from_mode(0o600))
            .expect("a mode");
        symlink("a/b.py", from.join("inside.py")).expect("links");
        symlink("/etc/hostname", from.join("outside")).expect("links");
        symlink("nowhere", from.join("dangling")).expect("links");
        symlink(".git/config", from.join("git")).expect("links");
        let copied = copy(&from, &to).expect("copies");
        let mut names: Vec<String> = fs::read_dir(&to)
            .expect("lists")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        assert_eq!(names, [".coveragerc", "a", "inside.py", "latin.txt"]);
        assert_eq!((copied.files, copied.left_out.len()), (3, 3));
        assert_eq!(fs::read(to.join("inside.py")).expect("reads"), b"x = 1\n");
        assert_eq!(
            fs::metadata(to.join("latin.txt"))
                .expect("is there")
                .permissions()
                .mode()
                & 0o777,
            0o644
        );
        assert_eq!(
            fs::metadata(from.join("latin.txt"))
                .expect("is there")
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        fs::remove_dir_all(&folder).expect("cleans up");
    }
}

//! A repository of somebody, opened for its tests: a copy of it, its language, what its tests need.
//!
//! In: a folder, or the address of a git repository. Out: a tree below another folder. The repository itself is only read,
//! and nothing of it runs outside of the sandbox. `train repair` and `train data tasks` open it in the same way.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use data::source::history::History;
use data::task::Language;

use crate::terminal::plain;

pub mod copy;
pub mod install;
pub mod suite;

/// Who runs the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hook {
    /// Tests in Python.
    Pytest,
    /// Tests in JavaScript.
    Jest,
}

/// Left-out things that are told.
const TOLD: usize = 20;

/// True for what `git` fetches from elsewhere: `https://…`, `ssh://…`, `git@host:path`.
pub fn is_address(repo: &Path) -> bool {
    let text = repo.to_string_lossy();
    text.contains("://")
        || (!repo.exists()
            && text
                .split('/')
                .next()
                .is_some_and(|first| first.contains(':')))
}

/// Its name: the last part of its path, without `.git`, in letters that are plain in a file name.
pub fn name_of(repo: &Path) -> String {
    let whole = repo.canonicalize().unwrap_or_else(|_| repo.to_path_buf());
    let last = whole
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let last = last.strip_suffix(".git").unwrap_or(&last);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let name: String = last
        .chars()
        .map(|letter| if plain(letter) { letter } else { '_' })
        .take(60)
        .collect();
    if name.is_empty() {
        "repository".into()
    } else {
        name
    }
}

/// What the tests of the tree at `root` are written in.
pub fn language(root: &Path, hook: Option<Hook>) -> Language {
    let has = |name: &str| root.join(name).exists();
    let python = [
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "requirements.txt",
    ]
    .iter()
    .any(|name| has(name));
    match hook {
        Some(Hook::Pytest) => Language::Python,
        Some(Hook::Jest) => Language::JavaScript,
        None if has("package.json") && !python => Language::JavaScript,
        None => Language::Python,
    }
}

/// Puts the repository at `tree`: a copy of a folder with what is not committed and the packages of its virtual
/// environment; or the newest commit behind an address, whose objects are kept below `store`.
///
/// # Errors
///
/// When it cannot be read, is too large, or the address does not answer.
pub fn check_out(repo: &Path, venv: Option<&Path>, tree: &Path, store: &Path) -> Result<()> {
    if is_address(repo) {
        let history = History::open(&repo.to_string_lossy(), store).map_err(anyhow::Error::msg)?;
        let files = history
            .write_tree(history.head(), tree)
            .map_err(anyhow::Error::msg)?;
        eprintln!("fetched {files} files of commit {}", &history.head()[..12]);
    } else {
        copied(repo, tree)?;
    }
    let usual = [".venv", "venv"]
        .map(|name| repo.join(name))
        .into_iter()
        .find(|venv| venv.join("pyvenv.cfg").is_file());
    match venv.map(PathBuf::from).or(usual) {
        Some(venv) => install::copy_packages(&venv, tree),
        None => Ok(()),
    }
}

fn copied(repo: &Path, tree: &Path) -> Result<()> {
    if is_dirty(repo) {
        eprintln!(
            "note: the repository has changes that are not committed; the copy holds them, and every patch is on top of them"
        );
    }
    for submodule in empty_submodules(repo) {
        eprintln!(
            "{}",
            plain(&format!(
                "note: the submodule `{submodule}` is empty, so its files are missing; `git submodule update --init` fetches them"
            ))
        );
    }
    let copied = copy::copy(repo, tree)?;
    if copied.files == 0 {
        bail!(
            "`{}` holds no file{}",
            repo.display(),
            data::Hint("is it the right folder, and is a branch checked out?")
        );
    }
    eprintln!(
        "copied {} files, {:.1} MB; the repository itself is only read",
        copied.files,
        copied.bytes as f64 / 1e6
    );
    for one in copied.left_out.iter().take(TOLD) {
        eprintln!("{}", plain(&format!("left out: {one}")));
    }
    if copied.left_out.len() > TOLD {
        eprintln!("left out: {} more", copied.left_out.len() - TOLD);
    }
    Ok(())
}

/// Submodules that were not fetched.
fn empty_submodules(repo: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(repo.join(".gitmodules")) else {
        return Vec::new();
    };
    let path = |line: &str| -> Option<String> {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "path").then(|| value.trim().to_string())
    };
    let empty = |path: &String| {
        let folder = std::fs::read_dir(repo.join(path));
        folder.map_or(true, |mut entries| entries.next().is_none())
    };
    text.lines().filter_map(path).filter(empty).collect()
}

/// Whether git knows of changes that are not committed; false where it knows nothing.
fn is_dirty(repo: &Path) -> bool {
    // Nothing of the repository's own config may be run.
    let command = Command::new("git")
        .args([
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
            "--no-optional-locks",
            "-C",
        ])
        .arg(repo)
        .args([
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--ignore-submodules=all",
        ])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output();
    command.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_folder_and_both_have_a_plain_name() {
        for address in [
            "https://example.org/a/shop.git",
            "git@example.org:a/shop.git",
        ] {
            assert!(is_address(Path::new(address)), "{address}");
            assert_eq!(name_of(Path::new(address)), "shop");
        }
        assert!(!is_address(Path::new("/srv/my shop")));
        assert_eq!(name_of(Path::new("/srv/my shop")), "my_shop");
    }
}

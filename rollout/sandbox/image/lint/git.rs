//! Repositories that know more than the commit under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use walkdir::{DirEntry, WalkDir};

use super::Findings;
use crate::environment::python::said;
use crate::image::{ImageError, tool};

/// Names of commits that a command left behind.
const HEADS: [&str; 7] = [
    "FETCH_HEAD",
    "ORIG_HEAD",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_LOG",
    "REBASE_HEAD",
];
const FRESH: &str = "commit the files into a fresh repository: `rm -rf .git && git init && git add -A && git commit`";

/// The folder of a repository, with or without a work tree.
pub(super) fn repository(entry: &DirEntry, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let path = entry.path();
    if entry.file_name() == ".git" && !entry.file_type().is_dir() {
        let what = "leads to a repository somewhere else";
        findings.add(
            "git-link",
            path,
            what,
            "copy the files without it, or make it a repository of its own",
        );
        return None;
    }
    let bare = || {
        path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
    };
    (entry.file_type().is_dir() && bare()).then(|| path.to_path_buf())
}

pub(super) fn check(git: &Path, findings: &mut Findings<'_>) -> Result<(), ImageError> {
    left_behind(git, findings);
    let program = tool("git", "apt-get install git")?;
    let ask = |git: &Path, words: &[&str]| ask(&program, git, words);
    let count = ask(git, &["rev-list", "--all", "HEAD", "--count"])
        .or_else(|_| ask(git, &["rev-list", "--all", "--count"]));
    match count.map(|text| text.trim().parse::<u64>()) {
        Ok(Ok(0 | 1)) => {}
        Ok(Ok(count)) => {
            findings.add(
                "git-history",
                git,
                format!("knows {count} commits, one is under test"),
                FRESH,
            );
        }
        Ok(Err(_)) | Err(_) => findings.add("git-history", git, "cannot be read by git", FRESH),
    }
    let asked = ask(
        git,
        &[
            "fsck",
            "--unreachable",
            "--no-reflogs",
            "--no-progress",
            "--no-dangling",
        ],
    );
    let count = match asked {
        Ok(text) => text
            .lines()
            .filter(|line| line.starts_with("unreachable "))
            .count(),
        Err(said) => {
            findings.add(
                "git-unreachable",
                git,
                format!("cannot be checked by git: {said}"),
                FRESH,
            );
            0
        }
    };
    if count > 0 {
        let what = format!("holds {count} objects that the commit under test does not need");
        findings.add(
            "git-unreachable",
            git,
            what,
            "`git reflog expire --expire=now --all && git gc --prune=now`, or a fresh repository",
        );
    }
    Ok(())
}

/// What can be seen without git.
fn left_behind(git: &Path, findings: &mut Findings<'_>) {
    let packed = fs::read_to_string(git.join("packed-refs")).unwrap_or_default();
    let config = fs::read_to_string(git.join("config")).unwrap_or_default();
    let mut told = |rule, path: &Path, what: &str, cure: &str| findings.add(rule, path, what, cure);
    for head in HEADS
        .iter()
        .map(|name| git.join(name))
        .filter(|head| head.exists())
    {
        told(
            "git-head",
            &head,
            "names a commit that a command left behind",
            "remove the file, then `git gc --prune=now`",
        );
    }
    if holds_files(&git.join("logs")) {
        let cure = "`git reflog expire --expire=now --all && rm -r logs`";
        told(
            "git-reflog",
            &git.join("logs"),
            "remembers where every branch has been",
            cure,
        );
    }
    if git.join("refs/stash").exists() || packed.contains(" refs/stash") {
        told(
            "git-stash",
            &git.join("refs/stash"),
            "holds changes that were put aside",
            "`git stash clear`, then `git gc --prune=now`",
        );
    }
    if config.lines().any(|line| {
        line.trim_start()
            .to_ascii_lowercase()
            .starts_with("[remote")
    }) {
        told(
            "git-remote",
            &git.join("config"),
            "names another copy of the repository",
            "`git remote remove NAME`",
        );
    }
    if holds_files(&git.join("refs/remotes")) || packed.contains(" refs/remotes/") {
        told(
            "git-remote",
            &git.join("refs/remotes"),
            "remembers branches of another copy",
            FRESH,
        );
    }
    if git.join("objects/info/alternates").exists() {
        told(
            "git-link",
            &git.join("objects/info/alternates"),
            "borrows objects from another repository",
            FRESH,
        );
    }
}

fn holds_files(folder: &Path) -> bool {
    WalkDir::new(folder)
        .into_iter()
        .flatten()
        .any(|entry| entry.file_type().is_file())
}

/// Standard output of a git command that reads objects and nothing else.
fn ask(program: &Path, git: &Path, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command
        .arg("--git-dir")
        .arg(git)
        .args(["-c", "safe.directory=*"])
        .args(words);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    // A partial clone asks its remote for what it lacks; this one must not.
    command
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_OPTIONAL_LOCKS", "0");
    said(command.current_dir("/").output())
}

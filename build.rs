//! Tells the program which commit it was built from.
//!
//! In: the repository around this file. Out: `TRAIN_COMMIT`, e.g. `da4ecbb…` or `da4ecbb…-dirty`; not set where the
//! sources are no git checkout of their own, such as a tarball inside of another repository.

use std::path::Path;
use std::process::Command;

fn main() {
    // What changes the commit, and what makes the tree differ from it.
    for path in [
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
        "data",
        "rollout",
        "train",
        "configs",
    ] {
        println!("cargo:rerun-if-changed={path}");
    }
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let top = git(&["rev-parse", "--show-toplevel"]).unwrap_or_default();
    let same = |path: &str| Path::new(path).canonicalize().ok();
    if same(&top).is_none() || same(&top) != same(&here) {
        return;
    }
    // Every commit and checkout adds a line to this log.
    if let Some(log) =
        git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists())
    {
        println!("cargo:rerun-if-changed={log}");
    }
    if let Some(commit) = git(&[
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]) {
        println!("cargo:rustc-env=TRAIN_COMMIT={commit}");
    }
}

/// What git says, in one line; none where it fails.
fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(words)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_string();
    Some(line).filter(|line| !line.is_empty())
}

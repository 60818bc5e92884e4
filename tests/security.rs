//! What others can change is not run, and a reader who has seen enough ends a command quietly.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::support::*;

fn train(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("XDG_CACHE_HOME", cache());
    command
}

#[test]
fn a_planted_python_is_not_started() {
    let folder = Folder::new("planted");
    let (mark, python) = (folder.join("mark"), folder.join("open/python"));
    fs::create_dir(folder.join("open")).expect("a folder");
    fs::write(&python, format!("#!/bin/sh\ntouch {}\n", mark.display())).expect("writes");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("is ours");
    fs::set_permissions(folder.join("open"), fs::Permissions::from_mode(0o777)).expect("is ours");
    let out = folder.join("out").display().to_string();
    let plant = [
        "data",
        "plant",
        "--package",
        "examples/packages/numerals",
        "--out",
        &out,
    ];
    let said = train(&plant)
        .env("TRAIN_PYTHON", &python)
        .output()
        .expect("starts");
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && !mark.exists(), "{err}");
    assert!(
        err.contains("anybody can write") && err.contains("hint:"),
        "{err}"
    );
}

#[test]
fn a_cache_that_others_could_have_filled_is_refused_and_named() {
    let folder = Folder::new("cache");
    let (open, out) = (
        folder.join("open"),
        folder.join("out").display().to_string(),
    );
    fs::create_dir(&open).expect("a folder");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("is ours");
    let plant = [
        "data",
        "plant",
        "--package",
        "examples/packages/numerals",
        "--out",
        &out,
    ];
    let said = train(&plant)
        .env("XDG_CACHE_HOME", &open)
        .output()
        .expect("starts");
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(
        !said.status.success()
            && err.contains("anybody can write")
            && err.contains("XDG_CACHE_HOME"),
        "{err}"
    );
    assert_eq!(
        fs::read_dir(&open).expect("lists").count(),
        0,
        "nothing is put there"
    );
}

#[test]
fn a_reader_that_is_gone_ends_a_command_quietly() {
    for arguments in [
        &["completions", "bash"][..],
        &["help"],
        &["sft", "--help"],
        &["sft", "--dry-run", "--model", "x"],
    ] {
        // The reading end is closed before the first word.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let said = train(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("starts");
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(
            !err.contains("panicked") && !err.contains("roken pipe") && !err.contains("BrokenPipe"),
            "{err}"
        );
        assert_ne!(said.status.code(), Some(101));
    }
}

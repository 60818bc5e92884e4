//! Memory that is not there is told: by the plan where it can be known, and by an error where it cannot.

use std::process::Stdio;

use crate::support::*;

/// Runs `train` with the words of `line` and no more than so much memory, in KiB, as `ulimit` with this flag counts.
fn within(flag: &str, kib: u64, line: &str) -> Said {
    let train = train();
    let mut shell = std::process::Command::new("sh");
    let command = format!(
        "ulimit {flag} {kib} && exec {} {line}",
        train.get_program().display()
    );
    shell
        .args(["-c", &command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CACHE_HOME", cache());
    Said::from_output(shell.stdin(Stdio::null()).output().expect("starts"))
}

#[test]
fn running_out_of_memory_is_an_error_with_a_hint_and_a_code_of_its_own() {
    // A file without an end.
    let said = within("-v", 1_000_000, "sft --config /dev/zero --out none");
    assert_eq!(said.code, Some(5), "{}", said.err);
    assert!(
        said.err.starts_with("error: out of memory: "),
        "{}",
        said.err
    );
    assert!(said.err.contains("\nhint: "), "{}", said.err);
}

#[test]
fn the_limits_of_the_shell_are_seen_by_the_plan() {
    let shape = "--set model.hidden_size=2048 --set model.num_hidden_layers=64";
    let line = format!("sft --dry-run --device cpu {shape} --out none");
    for flag in ["-v", "-d"] {
        within(flag, 3_000_000, &line).refuses(&["of memory, but", "are available"]);
    }
}

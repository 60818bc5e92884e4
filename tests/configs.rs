//! Every config in `configs/` resolves, and every command explains itself.

use std::fs;
use std::path::PathBuf;

use clap::{Command, CommandFactory};
use train::command::Cli;
use train::config::Config;
use train::exit_code;

use crate::support::{Folder, pin, run};

fn configs() -> Vec<PathBuf> {
    let entries = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).expect("a folder");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    // Rules are no run; `repair` reads them.
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "toml")
            && !file.ends_with("rescue.toml")
    });
    files.sort();
    files
}

#[test]
fn every_config_has_a_plan_and_a_dry_run_writes_nothing() {
    let files = configs();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let (path, config) = (file.display(), Config::load(&file, &[]).expect("a config"));
        let nowhere = std::env::temp_dir().join(format!("train-dry-{}", std::process::id()));
        // A config without packages is that of a base model.
        let said = if config.data.train.is_empty() {
            run(&format!(
                "sft --dry-run --config {path} --samples none --out {}",
                nowhere.display()
            ))
        } else {
            run(&format!(
                "quickstart --dry-run --config {path} --set run={}",
                nowhere.display()
            ))
        };
        let plan: toml::Table = said.succeeds().out.parse().expect("a plan is TOML");
        assert_eq!(
            plan["config"]["seed"].as_integer(),
            Some(config.seed as i64),
            "{path}"
        );
        assert!(!nowhere.exists(), "a dry run wrote `{}`", nowhere.display());
    }
}

#[test]
fn every_config_is_told_of_in_the_readme() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/README.md"))
        .expect("a README");
    for file in configs() {
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        assert!(
            readme.contains(&format!("`{name}`")),
            "configs/README.md does not name `{name}`"
        );
    }
}

#[test]
fn set_and_seed_change_the_plan() {
    let line =
        "quickstart --dry-run --config configs/smoke.toml --set grpo.optimizer.lr=2e-6 --seed 11";
    let plan: toml::Table = run(line).succeeds().out.parse().expect("a plan is TOML");
    assert_eq!(plan["config"]["seed"].as_integer(), Some(11));
    assert_eq!(
        plan["config"]["grpo"]["optimizer"]["lr"].as_float(),
        Some(2e-6)
    );
}

/// `command` and all below it, each as the words that reach it.
fn walk(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
    found.push((words.to_owned(), command.clone()));
    for inner in command.get_subcommands() {
        walk(
            inner,
            format!("{words} {}", inner.get_name()).trim_start(),
            found,
        );
    }
}

#[test]
fn every_command_and_every_argument_has_help() {
    let mut commands = Vec::new();
    walk(&Cli::command(), "", &mut commands);
    for name in [
        "quickstart",
        "data plant",
        "sft",
        "grpo",
        "eval",
        "export",
        "completions",
    ] {
        assert!(
            commands.iter().any(|(words, _)| words == name),
            "there is no `train {name}`"
        );
    }
    for (words, command) in commands {
        let help = run(&format!("{words} --help")).succeeds().out;
        assert!(
            help.contains(format!("Usage: train {words}").trim_end()),
            "`train {words} --help` says:\n{help}"
        );
        assert!(
            command.get_about().is_some(),
            "`train {words}` does not say what it does"
        );
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "`train {words}`: `{}` has no help",
                argument.get_id()
            );
        }
    }
}

/// Compares a page of the reference, or writes it where `UPDATE_EXPECT=1`.
pub fn check(page: &str, text: &str) {
    expect_test::expect_file![format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"))]
        .assert_eq(text);
}

#[test]
fn the_reference_says_what_every_command_says() {
    let mut commands = Vec::new();
    walk(&Cli::command(), "", &mut commands);
    let mut page = String::from("# Commands\n\nWhat `train COMMAND --help` says.\n");
    for (words, _) in commands {
        let help = run(&format!("{words} --help")).succeeds().out;
        let lines = help
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n");
        page.push_str(&format!(
            "\n## `{}`\n\n```text\n{lines}\n```\n",
            format!("train {words}").trim_end()
        ));
    }
    check("commands.md", &page);
}

#[test]
fn the_reference_has_every_key_of_the_config_with_its_default() {
    let keys = toml::to_string(&Config::default()).expect("a config is TOML");
    check(
        "config.md",
        &format!("# Config\n\nEvery key with its default.\n\n```toml\n{keys}```\n"),
    );
}

#[test]
fn the_reference_has_every_metric() {
    check("metrics.md", &train::metrics::names::reference());
}

#[test]
fn the_operations_page_has_every_exit_code_and_no_other() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"))
        .expect("a page");
    let rows: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "| exit code | |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let wanted = exit_code::ALL.map(|(code, what)| format!("| {code} | {what} |"));
    assert_eq!(rows, wanted);
}

#[test]
fn a_plan_is_told_word_by_word() {
    let folder = Folder::new("plan");
    let out = folder.join("run");
    let quickstart = format!(
        "quickstart --dry-run --config configs/smoke.toml --set run={}",
        out.display()
    );
    let sft = format!(
        "sft --dry-run --config configs/base.toml --samples none --out {}",
        out.display()
    );
    for (name, line) in [("plan_quickstart", quickstart), ("plan_sft", sft)] {
        let plan = run(&line).succeeds().out;
        // The commit has letters that change with it.
        let lines = plan.lines().filter(|line| !line.starts_with("commit = "));
        let told: String = lines.map(|line| format!("{line}\n")).collect();
        pin(name, &told, &folder);
    }
}

#[test]
fn shells_get_completions() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef train"),
        ("fish", "complete -c train"),
    ] {
        let script = run(&format!("completions {shell}")).succeeds().out;
        assert!(
            script.contains(sign) && script.contains("quickstart"),
            "{shell}: {script}"
        );
    }
}

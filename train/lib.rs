//! Samples and groups in, weights out; the only place that knows Burn.

pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod config;
pub mod evaluate;
pub mod export;
pub mod generate;
pub mod grade;
pub mod grpo;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod optim;
pub mod plan;
pub mod progress;
pub mod quickstart;
pub mod report;
pub mod sampling;
pub mod sft;
pub mod tasks;
pub mod validate;

use anyhow::Result;
use clap::CommandFactory;

use cli::{Cli, Command};

/// Runs one command.
///
/// # Errors
///
/// Whatever the command could not do, with what to do about it.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Quickstart(args) => quickstart::quickstart(&args),
        Command::Data(command) => commands::data(command),
        Command::Sft(args) => commands::sft(&args).map(|_| ()),
        Command::Grpo(args) => commands::grpo(&args).map(|_| ()),
        Command::Eval(args) => commands::eval(&args).map(|_| ()),
        Command::Grade(args) => commands::grade(&args).map(|_| ()),
        Command::Export(args) => commands::export(&args).map(|_| ()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "train", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Prints an error as `error:`, the story behind it, and `hint:` lines, on standard error.
pub fn say_error(error: &anyhow::Error) {
    let mut hints = Vec::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        // A hint may stand on its own line or in brackets at the end.
        let (first, bracketed) = match first.split_once(" (hint: ") {
            Some((said, hint)) => (said, Some(hint.trim_end_matches(')'))),
            None => (first, None),
        };
        eprintln!("{}{first}", if depth == 0 { "error: " } else { "  because: " });
        hints.extend(bracketed.map(str::to_owned));
        for line in lines {
            match line.strip_prefix("hint: ") {
                Some(hint) => hints.push(hint.to_owned()),
                None => eprintln!("  {line}"),
            }
        }
    }
    let full = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
    };
    if hints.is_empty() && error.chain().any(full) {
        hints.push("free some disk space and run the same command again, with `--resume` where it has one".into());
    }
    hints.dedup();
    for hint in hints {
        eprintln!("hint: {hint}");
    }
}

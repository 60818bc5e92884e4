//! Samples and groups in, weights out; the only place that knows Burn.

#![deny(unsafe_code)]

pub mod adapter;
pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod config;
pub mod device;
pub mod doctor;
pub mod environment;
pub mod evaluate;
pub mod export;
pub mod grade;
pub mod grpo;
pub mod interrupt;
pub mod journal;
pub mod layerwise;
pub mod loss;
pub mod memory;
pub mod metrics;
pub mod optim;
pub mod partial;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod progress;
pub mod provenance;
pub mod quickstart;
pub mod report;
pub mod serve;
pub mod settings;
pub mod sft;
pub mod tasks;
pub mod terminal;
pub mod validate;
pub mod watched;

use anyhow::Result;
use clap::CommandFactory;

use cli::{Cli, Command, GradeArgs, GradeCommand};
pub use terminal::{BROKEN_PIPE, end_with_the_reader, is_end_of_reader, say_error};

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
        Command::Grade(GradeArgs { command: Some(GradeCommand::Attack(args)), .. }) => commands::attack(&args),
        Command::Grade(args) => commands::grade(&args).map(|_| ()),
        Command::Export(args) => commands::export(&args).map(|_| ()),
        Command::Chat(args) => commands::chat(&args),
        Command::Serve(args) => commands::serve(&args),
        Command::Merge(args) => commands::merge(&args),
        Command::Image(command) => commands::image(command),
        Command::Doctor(args) => commands::doctor(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "train", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// The exit code of an error: 3 where a rule stopped the flow and a person has to say that it may go on, 4 where part of
/// the work failed and the rest is kept, 130 where a signal ended it, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let is = |found: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(found);
    if is(|cause| cause.is::<interrupt::Interrupted>()) {
        interrupt::EXIT_CODE
    } else if is(|cause| cause.is::<rollout::watch::Stopped>()) {
        3
    } else if is(|cause| cause.is::<partial::Partial>()) {
        partial::EXIT_CODE
    } else if interrupt::came() {
        interrupt::EXIT_CODE
    } else {
        1
    }
}

//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use train::command::Cli;

mod allocator;

/// Tensors come and go by the megabyte; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator::new();

fn main() -> ExitCode {
    sandbox::embedded::hear_of_children();
    // The sandbox starts this program again as the first process behind its barriers.
    sandbox::embedded::init::main_if_asked();
    // And once more to decode Parquet, or to fill in a chat template, of unknown origin.
    data::child::main_if_asked();
    ALLOCATOR.speak();
    train::end_with_the_reader();
    let cli = Cli::parse();
    match train::command::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if train::is_end_of_reader(&error) => {
            ExitCode::from(train::exit_code::BROKEN_PIPE)
        }
        Err(error) => {
            train::say_error(&error);
            ExitCode::from(train::exit_code::of_error(&error))
        }
    }
}

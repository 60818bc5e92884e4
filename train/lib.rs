//! Samples and groups in, weights out; the only place that knows Burn.

#![deny(unsafe_code)]

pub mod adapter;
pub mod chats;
pub mod checkpoint;
#[expect(
    clippy::print_stdout,
    reason = "data goes to standard output, and only commands and plans have some"
)]
pub mod command;
pub mod config;
pub mod device;
pub mod doctor;
pub mod environment;
pub mod exit_code;
pub mod export;
pub mod grade;
pub mod loss;
pub mod memory;
pub mod metrics;
pub mod minimize;
pub mod optim;
#[expect(clippy::print_stdout, reason = "a plan is what a dry run is for")]
pub mod plan;
pub mod policy;
pub mod repair;
pub mod report;
pub mod repository;
pub mod review;
pub mod run;
pub mod serve;
pub mod settings;
pub mod tasks;
pub mod terminal;
pub mod trainer;
pub mod triplets;

pub use terminal::{end_with_the_reader, is_end_of_reader, say_error};

//! What the program promises, kept by the program itself: one module per promise.

mod attacks;
mod audit;
mod bad_input;
mod bad_model;
mod configs;
mod grade;
mod import;
mod memory;
mod outcomes;
mod parity;
mod repair;
mod repairing;
mod resume;
mod security;
mod serve;
mod serve_clients;
mod serve_fields;
mod serving;
mod sft;
mod smoke;
mod stopped;
mod support;
mod talk;
mod told;
mod watch;

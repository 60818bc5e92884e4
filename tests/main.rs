//! What the program promises, kept by the program itself: one module per promise.

mod attacks;
mod audit;
mod bad_input;
mod bad_model;
mod configs;
mod grade;
mod import;
mod parity;
mod resume;
mod security;
mod sft;
mod smoke;
mod support;
mod talk;
mod watch;

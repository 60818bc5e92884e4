//! A run: its folder, its log, its signals, and what watches it.
//!
//! In: a folder and a command line. Out: records that are whole or absent, so that a killed run goes on where it was.

pub mod interrupt;
pub mod journal;
pub mod partial;
pub mod paths;
pub mod progress;
pub mod provenance;
pub mod runs;
pub mod watched;

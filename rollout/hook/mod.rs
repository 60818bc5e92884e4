//! The failing test, told as it fails.

pub mod pytest;

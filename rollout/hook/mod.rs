//! The failing test, told as it fails.

pub mod compat;
pub mod jest;
pub mod pytest;

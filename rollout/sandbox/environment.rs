//! What tests need to run: Python, jest, and the packages that a repository asks for.

pub mod install;
pub mod jest;
pub mod package;
pub mod python;

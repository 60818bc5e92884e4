//! Who runs the tests inside of a sandbox: pytest or jest, and the failing test, told as it fails.

pub mod jest;
pub mod pytest;

//! What of the sandbox this machine can do, asked without a job and without Python.
//!
//! In: our own program. Out: for each part a yes with its kind, or a no with the system's words and what to do.
//! Example: `namespaces(&std::env::current_exe()?)` starts the first process of a sandbox and lets it raise its barriers.

use std::path::Path;

use super::cgroup::Group;
use super::init::InitConfig;
use super::sys;
use super::worker::Worker;
use crate::SandboxError;

/// A path that no Python has: the first process raises its barriers, and then says that this is missing.
const NO_PYTHON: &str = "/no-python-for-a-probe";

/// Whether the namespaces and the root of a sandbox can be made here. `init` is the program whose `main` begins with
/// [`super::init::main_if_asked`].
///
/// # Errors
///
/// The barrier that is missing, with what to do.
pub fn namespaces(init: &Path) -> Result<(), SandboxError> {
    let config = InitConfig {
        python: NO_PYTHON.into(),
        binds: Vec::new(),
        sys_path: Vec::new(),
        image_root: None,
        jest: None,
    };
    match Worker::start(init, &config) {
        // Everything before the start of Python was raised.
        Err(SandboxError::Barrier { barrier, .. }) if barrier == "python" => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// The version of the cgroups in which the kernel can count what tests use.
///
/// # Errors
///
/// Why there are none, with what to do.
pub fn cgroups() -> Result<u8, String> {
    let group = Group::make(std::process::id())?;
    let version = group.version;
    group.remove();
    Ok(version)
}

/// The version of Landlock's interface.
///
/// # Errors
///
/// What the kernel says where it has none.
pub fn landlock() -> std::io::Result<i32> {
    sys::landlock_abi()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_raises_nothing_is_no_proof() {
        let silent = namespaces(Path::new("/bin/true"));
        assert!(silent.is_err(), "{silent:?}");
    }
}

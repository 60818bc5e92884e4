//! What Docker and Podman want to be told in different ways.
//!
//! In: which of the two answers. Out: the values of those options. Podman takes the seccomp profile by the path of a file,
//! and its memory file systems have no owner.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use super::profile;

/// Values of options.
pub(super) struct Dialect {
    /// Of the security option `seccomp`.
    pub seccomp: String,
    /// Of a memory file system that is the job's own. In a container there is nobody else to share it with.
    pub own: &'static str,
    /// What `seccomp` names.
    _profile: Option<File>,
}

impl Dialect {
    /// Docker's.
    pub fn docker() -> Dialect {
        Dialect {
            seccomp: profile::json(),
            own: "mode=700,uid=65534,gid=65534",
            _profile: None,
        }
    }

    /// Podman's, on this machine. The file has no name of its own, and is gone when we are.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn podman() -> io::Result<Dialect> {
        let mut file = tempfile::tempfile()?;
        file.write_all(profile::json().as_bytes())?;
        let seccomp = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        Ok(Dialect {
            seccomp,
            own: "mode=1777",
            _profile: Some(file),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_told_the_same_profile() {
        let podman = Dialect::podman().expect("a file");
        assert_eq!(
            std::fs::read_to_string(&podman.seccomp).expect("is read"),
            Dialect::docker().seccomp
        );
    }
}

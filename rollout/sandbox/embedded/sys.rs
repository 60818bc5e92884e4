//! The system calls that no safe wrapper offers: the only unsafe code of this crate.
//!
//! In: plain values. Out: the system's answer as [`io::Result`]. Every function is safe to call: what a block relies on
//! is said beside it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::libc;

/// `fork`, with the child as process 1 of fresh namespaces: 0 in the child, its id in the parent. Must be called where
/// this process has one thread.
pub(super) fn fork_into_namespaces() -> io::Result<i32> {
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with a null stack this is `fork`.
    let child = unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags as libc::c_ulong,
            0usize,
            0usize,
            0usize,
            0usize,
        )
    };
    if child >= 0 {
        Ok(child as i32)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The version of Landlock's interface.
pub(super) fn landlock_abi() -> io::Result<i32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: without attributes the call only answers its version.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0usize,
            VERSION,
        )
    };
    if abi >= 0 {
        Ok(abi as i32)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A descriptor that can be read when a child has ended.
pub(super) fn process_descriptor(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain integers; the answer is a fresh descriptor that nobody else owns.
    unsafe {
        let descriptor = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if descriptor < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(OwnedFd::from_raw_fd(descriptor as RawFd))
        }
    }
}

/// Takes over the descriptor that the parent left at a known number. Must be called once for each number.
pub(super) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is checked to be open, and by the contract above nobody else owns it.
    unsafe {
        if libc::fcntl(number, libc::F_GETFD) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(number))
    }
}

/// The command leads a session of its own, takes every signal as it comes, and finds `given` at the number `wanted`.
pub(super) fn hand_over(command: &mut Command, given: RawFd, wanted: RawFd) {
    // SAFETY: only calls that are safe after `fork`, on plain integers.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            // A shell has what it starts in the background ignore the keyboard, and tests would inherit that.
            for signal in 1..=libc::SIGRTMAX() {
                libc::signal(signal, libc::SIG_DFL);
            }
            // A copy of a descriptor stays open over `exec`; one that is there already has to be told.
            let answer = match given == wanted {
                true => libc::fcntl(wanted, libc::F_SETFD, 0),
                false => libc::dup2(given, wanted),
            };
            if answer < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(())
            }
        });
    }
}

/// Ends of children are told to this process, whatever whoever started it made of that.
pub(super) fn hear_of_children() {
    // SAFETY: no handler is installed; what is the default everywhere is the default again.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// Adds attributes to a mount and all that is mounted below it; never takes one away.
pub(super) fn restrict_mount(target: &Path, attributes: u64) -> io::Result<()> {
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let wanted = MountAttributes {
        set: attributes,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    let path = CString::new(target.as_os_str().as_bytes())?;
    // SAFETY: path and attributes outlive the call, and the size is that of the structure.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &wanted,
            std::mem::size_of::<MountAttributes>(),
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Switches the interface `lo` of this network namespace on.
pub(super) fn loopback_up() -> io::Result<()> {
    // SAFETY: a plain socket call; a fresh descriptor is owned by nobody else.
    let socket = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(socket)
    };
    // SAFETY: all zeroes is a valid `ifreq`; the name fits and stays terminated; the request outlives the call.
    let answer = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request)
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityWords {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const OWN_CAPABILITIES: CapabilityHeader = CapabilityHeader {
    version: 0x2008_0522,
    pid: 0,
};

/// A user other than 0 loses its capabilities at `exec` unless they are ambient.
pub(super) fn keep_capabilities_over_exec() -> io::Result<()> {
    let mut words = [CapabilityWords::default(); 2];
    // SAFETY: header and words have the layout of capability version 3 and outlive both calls.
    unsafe {
        if libc::syscall(libc::SYS_capget, &OWN_CAPABILITIES, words.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        for word in &mut words {
            word.inheritable = word.permitted;
        }
        if libc::syscall(libc::SYS_capset, &OWN_CAPABILITIES, words.as_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    for capability in 0..64u32 {
        if words[(capability / 32) as usize].permitted & (1 << (capability % 32)) != 0 {
            // SAFETY: plain integers.
            let answer = unsafe {
                libc::prctl(
                    libc::PR_CAP_AMBIENT,
                    libc::PR_CAP_AMBIENT_RAISE,
                    libc::c_ulong::from(capability),
                    0,
                    0,
                )
            };
            if answer != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

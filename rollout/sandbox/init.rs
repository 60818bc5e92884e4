//! `sandbox-init`: the hidden first process of a sandbox worker.
//!
//! In: `InitConfig` as JSON on standard input, the control socket on descriptor 3. Out: the fork server of
//! `hook/zygote.py`, running as process 1 of fresh user, PID, mount, network, IPC and UTS namespaces over a root that
//! holds Python and nothing else of the machine; or one `refused` message that names the barrier that is missing.
//!
//! After a `fork` in a program with threads hardly anything may be called, so our own program is started again for it:
//! the first line of every `main` that owns a sandbox is `rollout::sandbox::init::main_if_asked()`.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::libc;
use serde::{Deserialize, Serialize};

use super::{root, seccomp};

/// The argument that turns our program into the first process of a sandbox.
pub const ARGUMENT: &str = "sandbox-init";

/// The descriptor of the control socket, here and in the fork server.
pub(crate) const CONTROL: i32 = 3;

/// The user and group that a job sees itself as.
const INSIDE_ID: u32 = 1000;
/// What that user is outside when we are root: `nobody`, who owns nothing.
const OUTSIDE_ID: u32 = 65534;

/// What the first process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InitConfig {
    /// The interpreter.
    pub python: PathBuf,
    /// Folders that Python needs, shown read-only at their own paths.
    pub binds: Vec<PathBuf>,
    /// Entries of `sys.path` that an isolated start might not find.
    pub sys_path: Vec<PathBuf>,
}

/// What the fork server is told.
#[derive(Serialize)]
struct ZygoteSettings<'a> {
    sys_path: &'a [PathBuf],
    warm: &'a str,
    seccomp: String,
    switch_user: bool,
    /// Python's folders below `/tmp`, which a job's own `/tmp` would hide: where they are shown and where they lie.
    below_tmp: Vec<(PathBuf, PathBuf)>,
}

/// A barrier that cannot be raised here.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its name, e.g. `user-ns`.
    pub barrier: String,
    /// What the system said, and what to do.
    pub reason: String,
}

impl Refused {
    pub fn new(barrier: &str, reason: impl ToString) -> Self {
        Refused { barrier: barrier.to_string(), reason: reason.to_string() }
    }
}

/// Becomes the first process of a sandbox when the first argument asks for it, and never returns then.
pub fn main_if_asked() {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT) {
        let code = match supervise() {
            Ok(code) => code,
            Err(refused) => {
                tell(&refused);
                1
            }
        };
        std::process::exit(code);
    }
}

/// Starts process 1 of the namespaces, gives it its user ids and waits for its end.
fn supervise() -> Result<i32, Refused> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| Refused::new("start", error))?;
    let config: InitConfig = serde_json::from_str(&text).map_err(|error| Refused::new("start", error))?;
    let root = nix::unistd::geteuid().is_root();
    let (wait, go) = nix::unistd::pipe().map_err(|error| Refused::new("start", error))?;
    let child = clone_into_namespaces()?;
    if child == 0 {
        drop(go);
        let refused = match first_process(&config, root, wait) {
            Err(refused) => refused,
            Ok(never) => match never {},
        };
        tell(&refused);
        std::process::exit(1);
    }
    drop(wait);
    if let Err(refused) = map_user(child, root) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).ok();
        return Err(refused);
    }
    nix::unistd::write(&go, b"g").map_err(|error| Refused::new("user-ns", error))?;
    drop(go);
    // Only the fork server may hold the socket open, so that its end is seen at once.
    // SAFETY: descriptor 3 is the control socket, owned by nobody else in this process.
    unsafe { libc::close(CONTROL) };
    let mut status = 0;
    // SAFETY: `status` outlives the call; `child` is our own child.
    while unsafe { libc::waitpid(child, &mut status, 0) } < 0 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Ok(1);
        }
    }
    Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) })
}

/// `fork`, with the child as process 1 of fresh namespaces.
fn clone_into_namespaces() -> Result<i32, Refused> {
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with a null stack this is `fork`; this process has one thread.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags as libc::c_ulong, 0usize, 0usize, 0usize, 0usize) };
    if child >= 0 {
        return Ok(child as i32);
    }
    Err(Refused::new(
        "user-ns",
        format!(
            "{} (allow unprivileged user namespaces: `sysctl -w user.max_user_namespaces=15000 \
             kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`; in a container: \
             `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`)",
            io::Error::last_os_error()
        ),
    ))
}

/// Gives the child its user and group ids. Root keeps an id 0 for the set-up; jobs run as `nobody`.
fn map_user(child: i32, root: bool) -> Result<(), Refused> {
    let map = |own: u32| match root {
        true => format!("0 {own} 1\n{INSIDE_ID} {OUTSIDE_ID} 1\n"),
        false => format!("{INSIDE_ID} {own} 1\n"),
    };
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/{child}/{file}"), text)
            .map_err(|error| Refused::new("user-ns", format!("cannot write `{file}`: {error}")))
    };
    if !root {
        write("setgroups", "deny".to_string())?;
    }
    write("gid_map", map(nix::unistd::getegid().as_raw()))?;
    write("uid_map", map(nix::unistd::geteuid().as_raw()))
}

/// Builds the root and becomes the fork server.
fn first_process(config: &InitConfig, root: bool, wait: OwnedFd) -> Result<std::convert::Infallible, Refused> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| Refused::new("parent-death-signal", error))?;
    // An end of file says that the parent died before the signal was set.
    let mut byte = [0];
    if nix::unistd::read(&wait, &mut byte) != Ok(1) {
        return Err(Refused::new("start", "the parent is gone"));
    }
    drop(wait);
    nix::unistd::sethostname("sandbox").map_err(|error| Refused::new("uts-ns", error))?;
    loopback_up().map_err(|error| Refused::new("net-ns", error))?;
    let below_tmp = below_tmp(&config.binds);
    root::build(&config.binds)?;
    if !root {
        keep_capabilities_over_exec().map_err(|error| Refused::new("user-ns", error))?;
    }
    let settings = ZygoteSettings {
        sys_path: &config.sys_path,
        warm: "/tmp/warm",
        seccomp: seccomp::filter_hex(),
        switch_user: root,
        below_tmp,
    };
    let settings = serde_json::to_string(&settings).map_err(|error| Refused::new("start", error))?;
    let error = exec_python(config, &settings);
    Err(Refused::new("python", format!("cannot start `{}`: {error}", config.python.display())))
}

fn below_tmp(binds: &[PathBuf]) -> Vec<(PathBuf, PathBuf)> {
    let below = binds.iter().filter(|path| path.starts_with("/tmp") && path.is_dir());
    below.filter_map(|path| Some((path.clone(), path.canonicalize().ok()?))).collect()
}

/// Tests that talk to themselves over `localhost` may; there is no other interface.
fn loopback_up() -> io::Result<()> {
    // SAFETY: a plain socket call; the descriptor is closed below.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeroes is a valid `ifreq`; the name fits and stays terminated; the request outlives the call.
    let answer = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let answer = libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request);
        libc::close(socket);
        answer
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A user other than 0 loses its capabilities at `exec` unless they are ambient.
fn keep_capabilities_over_exec() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: header and data have the layout of capability version 3 and outlive both calls.
    unsafe {
        if libc::syscall(libc::SYS_capget, &header, data.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        for word in &mut data {
            word.inheritable = word.permitted;
        }
        if libc::syscall(libc::SYS_capset, &header, data.as_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    for capability in 0..64u32 {
        if data[(capability / 32) as usize].permitted & (1 << (capability % 32)) != 0 {
            // SAFETY: plain integers.
            let answer = unsafe {
                libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, libc::c_ulong::from(capability), 0, 0)
            };
            if answer != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Replaces this process by the fork server; returns only when that fails.
fn exec_python(config: &InitConfig, settings: &str) -> String {
    let Ok(python) = CString::new(config.python.as_os_str().as_encoded_bytes()) else {
        return "its path holds a zero byte".to_string();
    };
    let words = ["-B", root::ZYGOTE, settings];
    let environment = [
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "HOME=/tmp",
        "TMPDIR=/tmp",
        "USER=sandbox",
        "LANG=C.UTF-8",
        "LC_ALL=C.UTF-8",
        "TZ=UTC",
        "PYTHONHASHSEED=0",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUTF8=1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
        "SOURCE_DATE_EPOCH=1577836800",
    ];
    let c_strings = |texts: &[&str]| texts.iter().filter_map(|text| CString::new(*text).ok()).collect::<Vec<_>>();
    let mut arguments = vec![python.clone()];
    arguments.extend(c_strings(&words));
    match nix::unistd::execve(&python, &arguments, &c_strings(&environment)) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    }
}

/// Sends the refusal over the control socket; if even that fails, to standard error.
fn tell(refused: &Refused) {
    let text = serde_json::to_string(refused).unwrap_or_default();
    let message = format!("refused {text}");
    // SAFETY: the buffer outlives the call; a closed descriptor is an error, not a fault.
    let sent = unsafe { libc::send(CONTROL, message.as_ptr().cast(), message.len(), libc::MSG_NOSIGNAL) };
    if sent < 0 {
        eprintln!("{message}");
    }
}

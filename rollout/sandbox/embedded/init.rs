//! `sandbox-init`: the hidden first process of a sandbox worker.
//!
//! In: `InitConfig` as a line of JSON on standard input, the control socket on descriptor 3. Out: the fork server of
//! `runner/pytest/zygote.py`, running as process 1 of fresh user, PID, mount, network, IPC and UTS namespaces over a root that
//! holds Python and nothing else of the machine, in a cgroup where one can be had; or one `refused` message that names
//! the barrier that is missing.
//!
//! Standard input stays open as long as the owner lives. When it ends, however that came about, the fork server is killed
//! with all that it started, and the cgroup is removed. Where this process is killed itself, the kernel kills the fork
//! server, and the next start removes the cgroup.
//!
//! After a `fork` in a program with threads hardly anything may be called, so our own program is started again for it:
//! the first line of every `main` that owns a sandbox is `sandbox::embedded::init::main_if_asked()`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::cgroup::Group;
use super::{root, sys};
use crate::environment::jest::JestPlaces;
use crate::seccomp;

/// The argument that turns our program into the first process of a sandbox.
pub const ARGUMENT: &str = "sandbox-init";

/// The descriptor of the control socket, here and in the fork server.
pub(crate) const CONTROL: i32 = 3;

/// The user and group that a job sees itself as.
const INSIDE_ID: u32 = 1000;
/// What that user is outside when we are root: `nobody`, who owns nothing.
const OUTSIDE_ID: u32 = 65534;

/// What a job finds in its environment, in every sandbox.
pub(crate) const ENVIRONMENT: [&str; 12] = [
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

/// What the first process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InitConfig {
    /// The interpreter.
    pub python: PathBuf,
    /// Folders that Python needs, shown read-only at their own paths.
    pub binds: Vec<PathBuf>,
    /// Entries of `sys.path` that an isolated start might not find.
    pub sys_path: Vec<PathBuf>,
    /// The unpacked image whose `/usr` and the like are shown instead of the machine's own.
    #[serde(default)]
    pub image_root: Option<PathBuf>,
    /// Node.js and jest, where there are any.
    pub jest: Option<JestPlaces>,
}

/// What the fork server is told.
#[derive(Serialize)]
struct ZygoteSettings<'a> {
    sys_path: &'a [PathBuf],
    warm: &'a str,
    seccomp: String,
    switch_user: bool,
    /// The namespaces of the machine, by kind: a job is in none of them.
    outside: &'a BTreeMap<&'static str, String>,
    /// Python's folders below `/tmp`, which a job's own `/tmp` would hide: where they are shown and where they lie.
    below_tmp: Vec<(PathBuf, PathBuf)>,
    jest: Option<&'a JestPlaces>,
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
        Refused {
            barrier: barrier.to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Becomes the first process of a sandbox when the first argument asks for it, and never returns then.
pub fn main_if_asked() {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == ARGUMENT)
    {
        let code = sys::inherited(CONTROL).map(supervise);
        std::process::exit(code.unwrap_or(1));
    }
}

/// Starts process 1 of the namespaces and waits for its end, or for that of our owner.
fn supervise(control: OwnedFd) -> i32 {
    let started = match start(&control) {
        Ok(started) => started,
        Err(refused) => {
            tell(&control, &refused);
            return 1;
        }
    };
    // Only the fork server may hold the socket open, so that its end is seen at once.
    drop(control);
    let code = watch(started.child);
    if let Some(group) = started.group {
        group.remove();
    }
    code
}

/// Process 1 of the namespaces, and where it is counted.
struct Started {
    child: Pid,
    group: Option<Group>,
}

fn start(control: &OwnedFd) -> Result<Started, Refused> {
    let told = |error: &dyn std::fmt::Display| Refused::new("start", error);
    let mut text = String::new();
    io::stdin()
        .read_line(&mut text)
        .map_err(|error| told(&error))?;
    let config: InitConfig = serde_json::from_str(&text).map_err(|error| told(&error))?;
    let root = nix::unistd::geteuid().is_root();
    let outside = namespaces();
    let (wait, go) = nix::unistd::pipe().map_err(|error| told(&error))?;
    let group = Group::make(nix::unistd::getppid().as_raw() as u32);
    send_text(
        control,
        &format!(
            "group {}",
            serde_json::to_string(&group).unwrap_or_default()
        ),
    );
    let group = group.ok();
    let child = match sys::fork_into_namespaces() {
        Ok(0) => {
            drop(go);
            let refused = match first_process(&config, root, &outside, wait) {
                Err(refused) => refused,
                Ok(never) => match never {},
            };
            tell(control, &refused);
            std::process::exit(1);
        }
        Ok(child) => Pid::from_raw(child),
        Err(error) => {
            group.iter().for_each(Group::remove);
            return Err(no_user_namespace(&error));
        }
    };
    drop(wait);
    let started = Started { child, group };
    let go_on = || -> Result<(), Refused> {
        map_user(child.as_raw(), root)?;
        if let Some(group) = &started.group {
            group
                .add(child.as_raw())
                .map_err(|error| Refused::new("cgroup", error))?;
        }
        nix::unistd::write(&go, b"g")
            .map(drop)
            .map_err(|error| Refused::new("user-ns", error))
    };
    if let Err(refused) = go_on() {
        end(child);
        started.group.iter().for_each(Group::remove);
        return Err(refused);
    }
    Ok(started)
}

/// The end of the child; or, when our owner ends first, the end that we give it.
fn watch(child: Pid) -> i32 {
    let Ok(ended) = sys::process_descriptor(child.as_raw()) else {
        return end(child);
    };
    let stdin = io::stdin();
    loop {
        let mut sources = [
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut sources, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Ok(_) if sources[0].any() == Some(true) => return wait_for(child),
            _ => return end(child),
        }
    }
}

/// Kills process 1 of the namespaces. The kernel takes every other process there with it, and only then is it gone.
fn end(child: Pid) -> i32 {
    kill(child, Signal::SIGKILL).ok();
    wait_for(child)
}

fn wait_for(child: Pid) -> i32 {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return code,
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}

/// The namespaces of this process, by kind.
fn namespaces() -> BTreeMap<&'static str, String> {
    let read = |kind: &'static str| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
        Some((kind, link.to_string_lossy().into_owned()))
    };
    ["user", "pid", "mnt", "net", "ipc", "uts"]
        .into_iter()
        .filter_map(read)
        .collect()
}

fn no_user_namespace(error: &io::Error) -> Refused {
    Refused::new("user-ns", format!("cannot make namespaces: {error}"))
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
fn first_process(
    config: &InitConfig,
    root: bool,
    outside: &BTreeMap<&'static str, String>,
    wait: OwnedFd,
) -> Result<std::convert::Infallible, Refused> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| Refused::new("parent-death-signal", error))?;
    // An end of file says that the parent died before the signal was set.
    let mut byte = [0];
    if nix::unistd::read(&wait, &mut byte) != Ok(1) {
        return Err(Refused::new("start", "the parent is gone"));
    }
    drop(wait);
    nix::unistd::sethostname("sandbox").map_err(|error| Refused::new("uts-ns", error))?;
    // Tests that talk to themselves over `localhost` may; there is no other interface.
    sys::loopback_up().map_err(|error| Refused::new("net-ns", error))?;
    let below_tmp = below_tmp(&config.binds);
    root::build(&config.binds, config.image_root.as_deref())?;
    if !root {
        sys::keep_capabilities_over_exec().map_err(|error| Refused::new("user-ns", error))?;
    }
    let settings = ZygoteSettings {
        sys_path: &config.sys_path,
        warm: "/tmp/warm",
        seccomp: seccomp::filter_hex(),
        switch_user: root,
        outside,
        below_tmp,
        jest: config.jest.as_ref(),
    };
    let settings =
        serde_json::to_string(&settings).map_err(|error| Refused::new("start", error))?;
    let error = exec_python(config, &settings);
    Err(Refused::new(
        "python",
        format!("cannot start `{}`: {error}", config.python.display()),
    ))
}

fn below_tmp(binds: &[PathBuf]) -> Vec<(PathBuf, PathBuf)> {
    let below = binds
        .iter()
        .filter(|path| path.starts_with("/tmp") && path.is_dir());
    below
        .filter_map(|path| Some((path.clone(), path.canonicalize().ok()?)))
        .collect()
}

/// Replaces this process by the fork server; returns only when that fails.
fn exec_python(config: &InitConfig, settings: &str) -> String {
    let Ok(python) = CString::new(config.python.as_os_str().as_encoded_bytes()) else {
        return "its path holds a zero byte".to_string();
    };
    let words = ["-B", root::ZYGOTE, settings];
    let c_strings = |texts: &[&str]| {
        texts
            .iter()
            .filter_map(|text| CString::new(*text).ok())
            .collect::<Vec<_>>()
    };
    let mut arguments = vec![python.clone()];
    arguments.extend(c_strings(&words));
    match nix::unistd::execve(&python, &arguments, &c_strings(&ENVIRONMENT)) {
        Ok(never) => match never {},
        Err(error) => error.to_string(),
    }
}

/// Sends the refusal over the control socket; if even that fails, to standard error.
fn tell(control: &OwnedFd, refused: &Refused) {
    send_text(
        control,
        &format!(
            "refused {}",
            serde_json::to_string(refused).unwrap_or_default()
        ),
    );
}

fn send_text(control: &OwnedFd, message: &str) {
    if send(
        control.as_raw_fd(),
        message.as_bytes(),
        MsgFlags::MSG_NOSIGNAL,
    )
    .is_err()
    {
        eprintln!("{message}");
    }
}

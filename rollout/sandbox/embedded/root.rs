//! The file system that a sandbox worker sees.
//!
//! In: the folders that Python and jest need, of this machine or of an unpacked image. Out: a read-only root on a fresh
//! tmpfs with `/usr` and its like, Python, the
//! fork server's files, a few harmless devices, an own `/proc`, and empty places where each job mounts its own
//! tree and `/tmp`. The machine's own root stays at `/.host`, read-only, for the fork server alone: every job takes it
//! away before it drops its privileges.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::init::Refused;
use super::sys;
use crate::runner::{jest, pytest};

/// Where the fork server lies in the new root.
pub(crate) const ZYGOTE: &str = "/run/train/zygote.py";

/// Folders that exist on nearly every system and that nothing below needs: the new root is built on one of them.
const STAGES: [&str; 4] = ["/sys", "/mnt", "/srv", "/media"];
/// Shown as they are; a link stays a link.
const SYSTEM: [&str; 9] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const MOUNT_POINTS: [&str; 8] = [
    "proc",
    "tmp",
    "repo",
    "scratch",
    ".host",
    "dev/shm",
    "run/train",
    "etc",
];
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
];
pub(crate) const ETC: [(&str, &str); 4] = [
    (
        "passwd",
        "root:x:0:0:root:/tmp:/bin/sh\nsandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n",
    ),
    ("group", "root:x:0:\nsandbox:x:1000:\n"),
    ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    ),
];

const READ_ONLY: u64 = 1;
const NO_SUID: u64 = 2;
const NO_DEV: u64 = 4;
const NO_EXEC: u64 = 8;

/// Builds the root and makes it the root of this process.
pub(crate) fn build(binds: &[PathBuf], image: Option<&Path>) -> Result<(), Refused> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(|error| {
        Refused::new(
            "mount-ns",
            format!("cannot make the mounts private: {error}"),
        )
    })?;
    let stage = STAGES.iter().map(Path::new).find(|stage| stage.is_dir());
    let stage =
        stage.ok_or_else(|| Refused::new("mount-ns", format!("none of {STAGES:?} is a folder")))?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("root"),
        stage,
        Some("tmpfs"),
        safe,
        Some("size=16m,mode=755"),
    )
    .map_err(|error| Refused::new("mount-ns", format!("cannot mount a tmpfs: {error}")))?;
    fill(stage, binds, image)?;
    enter(stage)?;
    own_mounts()
}

/// Folders, files and binds, while the machine's own root is still in reach.
fn fill(stage: &Path, binds: &[PathBuf], image: Option<&Path>) -> Result<(), Refused> {
    let told = |path: &Path, error: io::Error| {
        Refused::new("mount-ns", format!("`{}`: {error}", path.display()))
    };
    for folder in MOUNT_POINTS {
        fs::create_dir_all(stage.join(folder)).map_err(|error| told(Path::new(folder), error))?;
    }
    let ours = pytest::MODULES
        .iter()
        .map(|(name, text)| (format!("run/train/{name}.py"), text));
    let ours = ours.chain(
        jest::FILES
            .iter()
            .map(|(name, text)| (format!("run/train/{name}"), text)),
    );
    for (name, text) in ETC
        .iter()
        .map(|(name, text)| (format!("etc/{name}"), text))
        .chain(ours)
    {
        fs::write(stage.join(&name), text).map_err(|error| told(Path::new(&name), error))?;
    }
    // Before the binds: Python itself may lie below `/tmp`.
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmp"),
        &stage.join("tmp"),
        Some("tmpfs"),
        safe,
        Some("size=64m,mode=1777"),
    )
    .map_err(|error| told(Path::new("/tmp"), error.into()))?;
    for (target, link) in LINKS {
        symlink(target, stage.join(link)).map_err(|error| told(Path::new(link), error))?;
    }
    for device in DEVICES {
        let source = Path::new("/dev").join(device);
        bind(stage, &source, &source, NO_SUID | NO_EXEC).map_err(|error| told(&source, error))?;
    }
    // An image stands for all of the machine: nothing else of it is shown.
    for (path, link) in shown(binds, image) {
        match link {
            Some(target) => symlink(target, inside(stage, &path)),
            None => bind(
                stage,
                &source_of(&path, image),
                &path,
                READ_ONLY | NO_SUID | NO_DEV,
            ),
        }
        .map_err(|error| told(&path, error))?;
    }
    Ok(())
}

/// What of the machine, or of an image, a job sees: paths, and where those lead that are links. None lies below another.
pub(crate) fn shown(python: &[PathBuf], image: Option<&Path>) -> Vec<(PathBuf, Option<PathBuf>)> {
    let extra = ["/etc/ld.so.cache", "/etc/alternatives"];
    let mut python = python.to_vec();
    // Parents first, so that what they already show is not shown again.
    python.sort_by_key(|path| path.as_os_str().len());
    let mut shown: Vec<(PathBuf, Option<PathBuf>)> = Vec::new();
    for path in SYSTEM.iter().chain(&extra).map(PathBuf::from).chain(python) {
        let source = source_of(&path, image);
        let known = shown.iter().any(|(parent, _)| path.starts_with(parent));
        if known || !path.is_absolute() || path.parent().is_none() || !source.exists() {
            continue;
        }
        let system = SYSTEM.iter().any(|system| path == Path::new(system));
        let link = fs::read_link(&source).ok().filter(|_| system);
        shown.push((path, link));
    }
    shown
}

fn source_of(path: &Path, image: Option<&Path>) -> PathBuf {
    image.map_or_else(|| path.to_path_buf(), |image| inside(image, path))
}

fn inside(stage: &Path, path: &Path) -> PathBuf {
    stage.join(path.strip_prefix("/").unwrap_or(path))
}

/// Shows `source` at `path` below `stage`.
fn bind(stage: &Path, source: &Path, path: &Path, attributes: u64) -> io::Result<()> {
    let target = inside(stage, path);
    if source.is_dir() {
        fs::create_dir_all(&target)?;
    } else {
        fs::create_dir_all(target.parent().unwrap_or(stage))?;
        fs::write(&target, "")?;
    }
    mount(
        Some(source),
        &target,
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )?;
    sys::restrict_mount(&target, attributes)
}

fn enter(stage: &Path) -> Result<(), Refused> {
    let told =
        |error: nix::Error| Refused::new("mount-ns", format!("cannot change the root: {error}"));
    nix::unistd::chdir(stage).map_err(told)?;
    nix::unistd::pivot_root(".", ".host").map_err(told)?;
    nix::unistd::chdir("/").map_err(told)?;
    sys::restrict_mount(Path::new("/.host"), READ_ONLY | NO_SUID | NO_DEV).map_err(|error| {
        Refused::new(
            "mount-ns",
            format!("cannot make the machine's root read-only: {error}"),
        )
    })
}

/// An own `/proc`; then the root itself is closed.
fn own_mounts() -> Result<(), Refused> {
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let none = None::<&str>;
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        safe | MsFlags::MS_NOEXEC,
        none,
    )
    .map_err(|error| Refused::new("pid-ns", format!("cannot mount `/proc`: {error}")))?;
    // Whoever could make a user namespace would be root in it, with the kernel's mount code to play with.
    fs::write("/proc/sys/user/max_user_namespaces", "0").map_err(|error| {
        Refused::new(
            "user-ns",
            format!("cannot forbid nested user namespaces: {error}"),
        )
    })?;
    let closed = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | safe;
    mount(none, "/", none, closed, none).map_err(|error| {
        Refused::new(
            "mount-ns",
            format!("cannot make the root read-only: {error}"),
        )
    })?;
    Ok(())
}

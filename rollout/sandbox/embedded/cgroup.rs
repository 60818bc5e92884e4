//! Limits on memory, processes and CPU time that the kernel counts for a whole worker.
//!
//! In: who owns the worker. Out: a cgroup below our own, never beside it, with the worker in it; or the reason why none
//! can be had, which leaves a plain user with rlimits and a watch over memory.
//! Example: `/sys/fs/cgroup/memory/a/train-4711-88123-0` for the first worker of process 4711, which started at 88123.
//!
//! One worker has one cgroup for all its jobs, because to move a process costs more than a small job takes. Its name
//! tells the owner, so that what a killed machine left is found by whoever comes next.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

mod layout;
mod meter;

use crate::owner::{parent_of, started};
use layout::Layout;
pub(crate) use meter::{Bounds, Meter};

const PREFIX: &str = "train-";
/// The leaf that this program moves itself to, because version 2 gives no limits below a cgroup with processes.
const OWN_LEAF: &str = "-main";
/// The last process of a cgroup leaves it a moment after it has ended.
const EMPTY: Duration = Duration::from_secs(2);

/// How often members that came since are moved as well.
const MOVES: usize = 20;

/// A worker's cgroup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    /// 1 or 2.
    pub version: u8,
    /// The folder of each controller; for version 2 the same one.
    folders: Vec<(String, PathBuf)>,
}

impl Group {
    /// Makes one for a worker of the process `owner`, after what dead owners left is removed. `Err` is the reason why
    /// there is none.
    pub fn make(owner: u32) -> Result<Group, String> {
        let read =
            |path: &str| fs::read_to_string(path).map_err(|error| format!("`{path}`: {error}"));
        let layout = layout::find(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)?;
        let stem = format!(
            "{PREFIX}{owner}-{}",
            started(owner).ok_or("the owner is gone")?
        );
        match layout {
            Layout::V1(folders) => {
                folders.iter().for_each(|(_, own)| remove_stale(own));
                Group::make_below(1, &folders, &stem)
            }
            Layout::V2(own) => {
                let parent = delegated(&own);
                remove_stale(parent);
                enable(parent, owner, &stem)?;
                let folders =
                    ["memory", "pids", "cpu"].map(|controller| (controller, parent.to_path_buf()));
                Group::make_below(2, &folders, &stem)
            }
        }
    }

    fn make_below(version: u8, parents: &[(&str, PathBuf)], stem: &str) -> Result<Group, String> {
        let mut group = Group {
            version,
            folders: Vec::new(),
        };
        // Named by whoever makes it, so that no two workers ever mean the same one.
        let number = std::process::id();
        for (controller, parent) in parents {
            let folder = parent.join(format!("{stem}-{number}"));
            let known = group.folders.iter().any(|(_, known)| *known == folder);
            if !known {
                remove(&folder);
            }
            if !known && let Err(error) = fs::create_dir(&folder) {
                group.remove();
                let hint = "as root, or in a cgroup that was handed to this user, it can be";
                return Err(format!(
                    "cannot make `{}`: {error}{}",
                    folder.display(),
                    data::Aside(hint)
                ));
            }
            group.folders.push((controller.to_string(), folder));
        }
        Ok(group)
    }

    /// Moves a process into it; what that process starts is born there.
    pub fn add(&self, pid: i32) -> io::Result<()> {
        self.folders
            .iter()
            .try_for_each(|(_, folder)| fs::write(folder.join("cgroup.procs"), pid.to_string()))
    }

    /// Kills what is left in it and removes it.
    pub fn remove(&self) {
        for (_, folder) in &self.folders {
            remove(folder);
        }
    }

    fn folder(&self, controller: &str) -> Option<&Path> {
        self.folders
            .iter()
            .find(|(known, _)| known == controller)
            .map(|(_, folder)| folder.as_path())
    }
}

/// Removes the cgroups of owners that are gone.
fn remove_stale(parent: &Path) {
    for entry in parent.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = std::str::from_utf8(name.as_bytes())
            .ok()
            .and_then(|name| name.strip_prefix(PREFIX))
        else {
            continue;
        };
        let mut words = rest.split('-').map(|word| word.parse::<u64>().ok());
        if let (Some(Some(pid)), Some(Some(start))) = (words.next(), words.next())
            && u32::try_from(pid).ok().and_then(started) != Some(start)
        {
            // In the owner's own leaf there may be others by now, who are not to be killed.
            if rest.ends_with(OWN_LEAF) {
                fs::remove_dir(entry.path()).ok();
                continue;
            }
            remove(&entry.path());
        }
    }
}

fn remove(folder: &Path) {
    let began = Instant::now();
    // Version 2 has one order for the whole tree.
    let order = fs::OpenOptions::new()
        .write(true)
        .open(folder.join("cgroup.kill"));
    let killed = order.and_then(|mut order| order.write_all(b"1")).is_ok();
    loop {
        match fs::remove_dir(folder) {
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && began.elapsed() < EMPTY => {}
            _ => return,
        }
        if !killed {
            let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            // Processes that cannot be seen from here are listed as 0.
            for pid in members
                .lines()
                .filter_map(|line| line.parse::<i32>().ok())
                .filter(|pid| *pid > 0)
            {
                kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The cgroup that ours are made below: our own, or its parent where we have moved to a leaf of our own.
fn delegated(own: &Path) -> &Path {
    let leaf = own.file_name().and_then(|name| name.to_str());
    match (
        leaf.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(OWN_LEAF)),
        own.parent(),
    ) {
        (true, Some(parent)) => parent,
        _ => own,
    }
}

/// Has the controllers of version 2 count below `parent`. Where only we are in it, we move to a leaf for that.
fn enable(parent: &Path, owner: u32, stem: &str) -> Result<(), String> {
    let read = |file: &str| fs::read_to_string(parent.join(file)).unwrap_or_default();
    let has = |text: &str, controller: &str| text.split_whitespace().any(|word| word == controller);
    let (available, enabled) = (read("cgroup.controllers"), read("cgroup.subtree_control"));
    if let Some(missing) = ["memory", "pids"]
        .into_iter()
        .find(|needed| !has(&available, needed))
    {
        return Err(format!(
            "`{}` has no controller `{missing}`",
            parent.display()
        ));
    }
    let wanted: Vec<_> = ["memory", "pids", "cpu"]
        .into_iter()
        .filter(|name| has(&available, name))
        .collect();
    if wanted.iter().all(|controller| has(&enabled, controller)) {
        return Ok(());
    }
    let order: String = wanted
        .iter()
        .map(|controller| format!("+{controller} "))
        .collect();
    let write = || fs::write(parent.join("cgroup.subtree_control"), order.trim());
    let told = |error: io::Error| {
        let hint = "start the program in a cgroup of its own: `systemd-run --scope -p Delegate=yes`, with `--user` for \
                    a plain user";
        format!(
            "cannot limit what runs below `{}`: {error}{}",
            parent.display(),
            data::Aside(hint)
        )
    };
    let leaf = parent.join(format!("{stem}{OWN_LEAF}"));
    for _ in 0..MOVES {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                // Sandboxes that the owner starts at the same moment are in it, too, and move with it.
                let members: Vec<u32> = read("cgroup.procs")
                    .lines()
                    .filter_map(|pid| pid.parse().ok())
                    .collect();
                if members.iter().any(|&pid| {
                    pid != owner && parent_of(pid).is_some_and(|parent| parent != owner)
                }) {
                    return Err(told(error));
                }
                match fs::create_dir(&leaf) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(told(error));
                    }
                    _ => {}
                }
                // One that is gone by now need not move.
                members
                    .iter()
                    .for_each(|pid| drop(fs::write(leaf.join("cgroup.procs"), pid.to_string())));
            }
            other => return other.map_err(told),
        }
    }
    write().map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        let place = std::env::temp_dir().join(format!("cgroup-{name}-{}", std::process::id()));
        fs::remove_dir_all(&place).ok();
        fs::create_dir_all(&place).unwrap();
        place
    }

    #[test]
    fn what_a_dead_owner_left_is_removed_and_nothing_else() {
        let place = place("stale");
        let (own, start) = (std::process::id(), started(std::process::id()).unwrap());
        let kept = [
            format!("train-{own}-{start}-0"),
            "other".to_string(),
            "train-x-y-0".to_string(),
        ];
        let stale = [
            format!("train-{own}-{}-0", start + 1),
            format!("train-{}-5-0", u32::MAX),
        ];
        for name in kept.iter().chain(&stale) {
            fs::create_dir(place.join(name)).unwrap();
        }
        remove_stale(&place);
        assert!(kept.iter().all(|name| place.join(name).exists()));
        assert!(stale.iter().all(|name| !place.join(name).exists()));
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn version_2_without_the_controllers_is_told() {
        let place = place("v2");
        fs::write(place.join("cgroup.controllers"), "cpu memory\n").unwrap();
        assert!(enable(&place, 1, "train-1-1").is_err_and(|why| why.contains("`pids`")));
        fs::write(
            place.join("cgroup.controllers"),
            "cpuset cpu io memory pids\n",
        )
        .unwrap();
        enable(&place, 1, "train-1-1").unwrap();
        assert_eq!(
            fs::read_to_string(place.join("cgroup.subtree_control")).unwrap(),
            "+memory +pids +cpu"
        );
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_leaf_of_our_own_is_not_built_below() {
        assert_eq!(delegated(Path::new("/c/train-1-2-main")), Path::new("/c"));
        assert_eq!(delegated(Path::new("/c/session")), Path::new("/c/session"));
    }
}

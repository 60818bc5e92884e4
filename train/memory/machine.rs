//! How much memory there is, and how much was used.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// Bytes that can still be had on `device`; none when nobody says.
///
/// On the CPU: what the kernel says is available, within the limits of the control groups that this process is in and
/// those of `ulimit -v` and `ulimit -d`.
pub fn available(device: &Device) -> Option<u64> {
    if *device != Device::flex() {
        return device.memory_capacity();
    }
    bounds(|bound| bound.left()).into_iter().min()
}

/// Bytes that could be had on `device` if nobody else used any: the same whenever it is asked on the same machine.
pub fn capacity(device: &Device) -> Option<u64> {
    if *device != Device::flex() {
        return device.memory_capacity();
    }
    bounds(|bound| bound.limit).into_iter().min()
}

/// The bound of the CPU's memory that leaves the least.
pub fn tightest() -> Option<Bound> {
    bounds(|bound| bound)
        .into_iter()
        .min_by_key(|bound| bound.left())
}

/// `ulimit -v` and `ulimit -d`, where they bound anything.
pub fn limits_of_shell() -> Vec<Bound> {
    of_limits(&read("/proc/self/status"))
}

/// The largest resident size of this process so far, in bytes.
pub fn peak() -> Option<u64> {
    field(&read("/proc/self/status"), "VmHWM:")
}

/// A bound on memory and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Who sets it: the machine, a limit of the shell, a control group.
    pub who: String,
    /// Bytes that it gives if nobody used any.
    pub limit: u64,
    /// Bytes of these that are used.
    pub used: u64,
}

impl Bound {
    /// Bytes that can still be had.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

fn bounds<T>(of: fn(Bound) -> T) -> Vec<T> {
    let groups = folders_of(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    let of_groups = groups.iter().filter_map(|folder| of_group(folder));
    let of_shell = limits_of_shell();
    of_meminfo(&read("/proc/meminfo"))
        .into_iter()
        .chain(of_groups)
        .chain(of_shell)
        .map(of)
        .collect()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A value in KiB behind a name, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib << 10)
}

fn of_meminfo(text: &str) -> Option<Bound> {
    let (limit, free) = (field(text, "MemTotal:")?, field(text, "MemAvailable:")?);
    Some(Bound {
        who: "the machine".to_owned(),
        limit,
        used: limit.saturating_sub(free),
    })
}

/// `ulimit -v` and `ulimit -d`, which are inherited from a shell, with what this process counts against them.
fn of_limits(status: &str) -> Vec<Bound> {
    let both = [
        (Resource::RLIMIT_AS, "VmSize:", "`ulimit -v`"),
        (Resource::RLIMIT_DATA, "VmData:", "`ulimit -d`"),
    ];
    let bound = |(resource, name, who): (Resource, &str, &str)| {
        let (limit, _) = getrlimit(resource).ok()?;
        let used = field(status, name).unwrap_or(0);
        (limit != RLIM_INFINITY).then(|| Bound {
            who: who.to_owned(),
            limit,
            used,
        })
    };
    both.into_iter().filter_map(bound).collect()
}

/// The folders of the control groups that bound the memory of this process, from its own up to the highest that can be
/// seen. `groups` is `/proc/self/cgroup`; `mounts`, `/proc/self/mountinfo`, says where they are mounted, and from which
/// group on: a container often sees its own group as the root.
fn folders_of(groups: &str, mounts: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(kinds), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let version_two = kinds.is_empty();
        if !version_two && !kinds.split(',').any(|kind| kind == "memory") {
            continue;
        }
        for (root, at) in mounts
            .lines()
            .filter_map(|mount| mounted(mount, version_two))
        {
            let below = Path::new(path).strip_prefix(&root).unwrap_or(Path::new(""));
            folders.extend(below.ancestors().map(|part| at.join(part)));
        }
    }
    folders
}

/// Of a line such as `36 25 0:31 /docker/3f /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory`: the group that is
/// mounted, and where; none where it is something else.
fn mounted(line: &str, version_two: bool) -> Option<(PathBuf, PathBuf)> {
    let (place, system) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, at) = (place.next()?, place.next()?);
    let mut system = system.split(' ');
    let (kind, options) = (system.next()?, system.next_back()?);
    let wanted = match kind {
        "cgroup2" => version_two,
        "cgroup" => !version_two && options.split(',').any(|option| option == "memory"),
        _ => false,
    };
    // A blank in a path is written as `\040`.
    let path = |text: &str| PathBuf::from(text.replace("\\040", " "));
    wanted.then(|| (path(root), path(at)))
}

/// What a control group gives, and what is used without what can be given back (files in memory).
fn of_group(folder: &Path) -> Option<Bound> {
    let number = |name: &str| read(folder.join(name)).trim().parse::<u64>().ok();
    // Above `memory.high` it is slowed down until it crawls.
    let limit = ["memory.max", "memory.high", "memory.limit_in_bytes"]
        .into_iter()
        .filter_map(number)
        .min()?;
    let used = number("memory.current")
        .or_else(|| number("memory.usage_in_bytes"))
        .unwrap_or(0);
    let stat = read(folder.join("memory.stat"));
    // Version 1 counts the groups below under another name.
    let files = |name: &str| {
        stat.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    let files = files("total_inactive_file ")
        .or_else(|| files("inactive_file "))
        .unwrap_or(0);
    let who = format!("the control group `{}`", folder.display());
    Some(Bound {
        who,
        limit,
        used: used.saturating_sub(files),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_kernel_are_read_in_kib() {
        let found = of_meminfo("MemTotal: 100 kB\nMemAvailable:     20 kB\n").expect("two numbers");
        assert_eq!((found.limit, found.left()), (100 << 10, 20 << 10));
        assert_eq!(
            field("VmPeak:\t 9 kB\nVmHWM:\t    7 kB\n", "VmHWM:"),
            Some(7 << 10)
        );
        assert_eq!(of_meminfo("nothing"), None);
    }

    #[test]
    fn both_kinds_of_control_groups_are_looked_at_up_to_the_root() {
        let two = "30 25 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = folders_of("0::/user.slice/run\n", two);
        assert_eq!(found[0], Path::new("/sys/fs/cgroup/user.slice/run"));
        assert_eq!(found.len(), 3);
        let one = "31 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                   32 25 0:29 / /mnt/cg\\040memory rw master:3 - cgroup cgroup rw,memory\n";
        let found = folders_of("5:cpu:/a\n4:memory:/a/b\n", one);
        assert_eq!(found[1], Path::new("/mnt/cg memory/a"));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let mount = "32 25 0:29 /docker/3f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let found = folders_of("4:memory:/docker/3f/job\n", mount);
        assert_eq!(
            found,
            [
                Path::new("/sys/fs/cgroup/memory/job"),
                Path::new("/sys/fs/cgroup/memory/")
            ]
        );
        // The path of the host says nothing here: what is mounted is the group itself.
        assert_eq!(
            folders_of("4:memory:/elsewhere\n", mount),
            [Path::new("/sys/fs/cgroup/memory/")]
        );
    }

    #[test]
    fn a_group_gives_its_limit_without_what_is_used_for_good() {
        let folder = std::env::temp_dir().join(format!("machine-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("writes");
        write("memory.max", "max\n");
        assert_eq!(of_group(&folder), None);
        write("memory.high", "900\n");
        write("memory.max", "1000\n");
        write("memory.current", "500\n");
        write("memory.stat", "anon 300\ninactive_file 200\n");
        assert_eq!(of_group(&folder).map(|bound| bound.left()), Some(600));
        fs::remove_dir_all(&folder).expect("cleans up");
    }

    #[test]
    fn this_process_has_a_peak_and_this_machine_some_memory() {
        assert!(peak().is_some_and(|bytes| bytes > 1 << 20));
        let (free, all) = (available(&Device::flex()), capacity(&Device::flex()));
        assert!(free > Some(1 << 20) && free <= all, "{free:?} of {all:?}");
    }
}

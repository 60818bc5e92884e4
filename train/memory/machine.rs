//! How much memory there is, and how much was used.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

/// Bytes that can still be had on `device`; none when nobody says.
///
/// On the CPU: what the kernel says is available, within the limits of the control groups that this process is in.
pub fn available(device: &Device) -> Option<u64> {
    if *device != Device::flex() {
        return device.memory_capacity();
    }
    let free = of_meminfo(&fs::read_to_string("/proc/meminfo").ok()?);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups_of(&groups).into_iter().filter_map(|folder| left_in(&folder));
    free.into_iter().chain(limits).min()
}

/// The largest resident size of this process so far, in bytes.
pub fn peak() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// A value in KiB behind a name, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn of_meminfo(text: &str) -> Option<u64> {
    field(text, "MemAvailable:")
}

/// The folders of the control groups that bound the memory of this process, from its own up to the root.
fn groups_of(text: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(kinds), Some(path)) = (parts.next(), parts.next()) else { continue };
        let root = match kinds {
            "" => Path::new("/sys/fs/cgroup"),
            kinds if kinds.split(',').any(|kind| kind == "memory") => Path::new("/sys/fs/cgroup/memory"),
            _ => continue,
        };
        // Inside of a container the path may be that of the host: what is not there is passed over.
        folders.extend(Path::new(path.trim_start_matches('/')).ancestors().map(|path| root.join(path)));
    }
    folders
}

/// What a control group still gives, by its limit and its use without what can be given back (files in memory).
fn left_in(folder: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes")).unwrap_or(0);
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let files = files.and_then(|bytes| bytes.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_kernel_are_read_in_kib() {
        assert_eq!(of_meminfo("MemTotal: 100 kB\nMemAvailable:     20 kB\n"), Some(20 << 10));
        assert_eq!(field("VmPeak:\t 9 kB\nVmHWM:\t    7 kB\n", "VmHWM:"), Some(7 << 10));
        assert_eq!(of_meminfo("nothing"), None);
    }

    #[test]
    fn both_kinds_of_control_groups_are_looked_at_up_to_the_root() {
        let two = groups_of("0::/user.slice/run\n");
        assert_eq!(two[0], Path::new("/sys/fs/cgroup/user.slice/run"));
        assert_eq!(two.len(), 3);
        let one = groups_of("5:cpu:/a\n4:memory:/a/b\n");
        assert_eq!(one[1], Path::new("/sys/fs/cgroup/memory/a"));
    }

    #[test]
    fn this_process_has_a_peak_and_this_machine_some_memory() {
        assert!(peak().is_some_and(|bytes| bytes > 1 << 20));
        assert!(available(&Device::flex()).is_some_and(|bytes| bytes > 1 << 20));
    }
}

//! The machine itself: kernel, cores, memory, disk, cache, GPU.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use burn::tensor::Device;
use nix::sys::statvfs::statvfs;

use super::Check;
use crate::device::{self, DeviceChoice};
use crate::memory::{available, size};

/// Free memory and disk below which only small models fit.
const ROOM: u64 = 2 << 30;

pub(super) fn checks(cache: &Path, here: &Path) -> Vec<Check> {
    vec![linux(), cores(), memory(), address_space(), disk("disk", here), own_cache(cache), gpu()]
}

fn linux() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let found = format!("Linux {} on {}", release.trim(), std::env::consts::ARCH);
    if version(&release) >= (5, 13) {
        return Check::ok("Linux", found).needed();
    }
    Check::missing("Linux", found, "no code under test can be run").cure("use Linux 5.13 or newer").needed()
}

/// `6.1.0-25-amd64` is (6, 1).
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn cores() -> Check {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let all = info.lines().filter(|line| line.starts_with("processor")).count().max(usable);
    let found = format!("{usable} of {all}");
    if usable < 2 {
        return Check::limited("cores", found, "everything takes about twice as long as on two")
            .cure("a container gets more with `--cpus=N`");
    }
    Check::ok("cores", found)
}

fn memory() -> Check {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map(|kib| kib << 10);
    let Some(free) = available(&Device::flex()) else {
        return Check::limited("memory", "nobody says how much", "what does not fit is not refused before it begins");
    };
    let all = total.map_or(String::new(), |total| format!(" of {}", size(total)));
    let found = format!("{} can be had{all}, within the limits of control groups", size(free));
    if free < ROOM {
        return Check::limited("memory", found, "only models of a few million weights can be trained")
            .cure("end other programs; a container gets more with `--memory=4g`");
    }
    Check::ok("memory", found)
}

fn address_space() -> Check {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    match address_limit(&limits) {
        None => Check::ok("address space", "unlimited (`ulimit -v`)"),
        Some(bytes) => Check::limited(
            "address space",
            format!("{} (`ulimit -v`)", size(bytes)),
            "more is reserved than is used: threads and files of weights count in full",
        )
        .cure("`ulimit -v unlimited`"),
    }
}

/// `Max address space          4294967296           unlimited            bytes`
fn address_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Room in the file system of `folder`, or of the nearest folder above it that is there.
fn disk(name: &'static str, folder: &Path) -> Check {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let Ok(stat) = statvfs(there) else {
        return Check::limited(name, format!("`{}` does not tell", there.display()), "a full disk is met in mid-run");
    };
    let free = stat.blocks_available() * stat.fragment_size();
    let found = format!("{} free in `{}`", size(free), there.display());
    if free < ROOM {
        return Check::limited(name, found, "checkpoints and images may not fit")
            .cure("write elsewhere: `--set run=…`, `--out …`");
    }
    Check::ok(name, found)
}

/// What was fetched is run later, so nobody else may write there.
fn own_cache(cache: &Path) -> Check {
    let shown = cache.display();
    let homeless =
        ["XDG_CACHE_HOME", "HOME"].iter().all(|name| std::env::var_os(name).is_none_or(|home| home.is_empty()));
    if homeless {
        return Check::limited("cache", "neither `HOME` nor `XDG_CACHE_HOME` is set", "nothing fetched is found again")
            .cure("`export XDG_CACHE_HOME=/a/folder/of/yours`");
    }
    let Ok(meta) = fs::metadata(cache) else {
        return Check::ok("cache", format!("`{shown}`, made by the first run"));
    };
    let me = fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid());
    if is_private(meta.uid(), meta.mode(), me) {
        return Check::ok("cache", format!("`{shown}`, yours alone"));
    }
    Check::limited("cache", format!("`{shown}` can be written by others"), "they choose the Python that runs here")
        .cure(format!("`chown -R $(id -u) {shown} && chmod -R go-w {shown}`"))
}

fn is_private(owner: u32, mode: u32, me: u32) -> bool {
    owner == me && mode & 0o022 == 0
}

fn gpu() -> Check {
    let there = Path::new("/dev/nvidiactl").exists();
    let costs = "training and generation run on the CPU";
    if cfg!(not(feature = "cuda-unfused")) {
        let found = if there { "there is one, but this program was built without CUDA" } else { "none" };
        let cure = "`cargo build --release --features cuda`, on a machine with an NVIDIA driver and CUDA's libdevice";
        return Check::missing("GPU", found, costs).cure(cure);
    }
    match DeviceChoice::Cuda(0).open() {
        Ok(found) => Check::ok("GPU", device::name(&found)),
        Err(error) => Check::missing("GPU", format!("{error:#}").lines().next().unwrap_or_default(), costs)
            .cure("see `nvidia-smi` and CUDA_VISIBLE_DEVICES"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!([version("6.1.0-25-amd64"), version("5.4.0"), version("")], [(6, 1), (5, 4), (0, 0)]);
        assert!(version("5.13.1") >= (5, 13) && version("5.9") < (5, 13));
    }

    #[test]
    fn a_limit_on_the_address_space_is_seen() {
        let limits =
            |soft: &str| format!("Max cpu time  unlimited\nMax address space         {soft}  unlimited  bytes\n");
        assert_eq!(address_limit(&limits("4294967296")), Some(4 << 30));
        assert_eq!(address_limit(&limits("unlimited")), None);
    }

    #[test]
    fn a_cache_that_others_can_write_is_not_private() {
        assert!(is_private(1000, 0o40755, 1000));
        assert!(!is_private(0, 0o40755, 1000) && !is_private(1000, 0o40775, 1000) && !is_private(1000, 0o41777, 1000));
    }
}

//! The machine itself: kernel, cores, memory, disk, cache, GPU.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Check;
use crate::device::{self, DeviceChoice};
use crate::memory::{Bound, limits_of_shell, size, tightest};

/// Free memory and disk below which only small models fit.
const ROOM: u64 = 2 << 30;

pub(super) fn checks(cache: &Path, here: &Path) -> Vec<Check> {
    vec![
        linux(),
        cores(),
        memory(),
        address_space(),
        disk("disk", here),
        own_cache(cache),
        gpu(),
    ]
}

fn linux() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let found = format!("Linux {} on {}", release.trim(), std::env::consts::ARCH);
    if version(&release) >= (5, 13) {
        return Check::ok("Linux", found).needed();
    }
    Check::missing("Linux", found, "no code under test can be run")
        .cure("use Linux 5.13 or newer")
        .needed()
}

/// `6.1.0-25-amd64` is (6, 1).
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn cores() -> Check {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let all = info
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count()
        .max(usable);
    let found = format!("{usable} of {all}");
    if usable < 2 {
        return Check::limited(
            "cores",
            found,
            "everything takes about twice as long as on two",
        )
        .cure("a container gets more with `--cpus=N`");
    }
    Check::ok("cores", found)
}

fn memory() -> Check {
    let Some(bound) = tightest() else {
        return Check::limited(
            "memory",
            "nobody says how much",
            "what does not fit is not refused before it begins",
        );
    };
    memory_within(&bound)
}

/// What a run gets, which is what it is planned with.
fn memory_within(bound: &Bound) -> Check {
    let found = format!(
        "{} can be had of {}, the limit of {}",
        size(bound.left()),
        size(bound.limit),
        bound.who
    );
    if bound.left() < ROOM {
        return Check::limited("memory", found, "only models of a few million weights can be trained")
            .cure("end other programs; a container gets more with `--memory=4g`, a shell with `ulimit -v unlimited`");
    }
    Check::ok("memory", found)
}

fn address_space() -> Check {
    within_limits(&limits_of_shell())
}

fn within_limits(limits: &[Bound]) -> Check {
    if limits.is_empty() {
        return Check::ok("address space", "unlimited (`ulimit -v`, `ulimit -d`)");
    }
    let shown: Vec<String> = limits
        .iter()
        .map(|bound| format!("{} ({})", size(bound.limit), bound.who))
        .collect();
    let cures: Vec<String> = limits
        .iter()
        .map(|bound| format!("`{} unlimited`", bound.who.trim_matches('`')))
        .collect();
    let costs = "more is reserved than is used: threads and files of weights count in full";
    Check::limited("address space", shown.join(", "), costs).cure(cures.join(", "))
}

/// Room in the file system of `folder`, or of the nearest folder above it that is there.
fn disk(name: &'static str, folder: &Path) -> Check {
    let folder = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    let there = folder
        .ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("/"));
    let Ok(stat) = statvfs(there) else {
        return Check::limited(
            name,
            format!("`{}` does not tell", there.display()),
            "a full disk is met in mid-run",
        );
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
    let homeless = ["XDG_CACHE_HOME", "HOME"]
        .iter()
        .all(|name| std::env::var_os(name).is_none_or(|home| home.is_empty()));
    if homeless {
        return Check::limited(
            "cache",
            "neither `HOME` nor `XDG_CACHE_HOME` is set",
            "nothing fetched is found again",
        )
        .cure("`export XDG_CACHE_HOME=/a/folder/of/yours`");
    }
    let Ok(meta) = fs::metadata(cache) else {
        return Check::ok("cache", format!("`{shown}`, made by the first run"));
    };
    let me = fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid());
    if is_private(meta.uid(), meta.mode(), me) {
        return Check::ok("cache", format!("`{shown}`, yours alone"));
    }
    Check::limited(
        "cache",
        format!("`{shown}` can be written by others"),
        "they choose the Python that runs here",
    )
    .cure(format!(
        "`chown -R $(id -u) {shown} && chmod -R go-w {shown}`"
    ))
}

fn is_private(owner: u32, mode: u32, me: u32) -> bool {
    owner == me && mode & 0o022 == 0
}

fn gpu() -> Check {
    let there = Path::new("/dev/nvidiactl").exists();
    let costs = "training and generation run on the CPU";
    if cfg!(not(feature = "cuda-unfused")) {
        let found = if there {
            "there is one, but this program was built without CUDA"
        } else {
            "none"
        };
        let cure = "`cargo build --release --features cuda`, on a machine with an NVIDIA driver and CUDA's libdevice";
        return Check::missing("GPU", found, costs).cure(cure);
    }
    match DeviceChoice::Cuda(0).open() {
        Ok(found) => Check::ok("GPU", device::name(&found)),
        Err(error) => Check::missing(
            "GPU",
            format!("{error:#}").lines().next().unwrap_or_default(),
            costs,
        )
        .cure("see `nvidia-smi` and CUDA_VISIBLE_DEVICES"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(
            [version("6.1.0-25-amd64"), version("5.4.0"), version("")],
            [(6, 1), (5, 4), (0, 0)]
        );
        assert!(version("5.13.1") >= (5, 13) && version("5.9") < (5, 13));
    }

    #[test]
    fn limits_are_told_with_who_sets_them() {
        let bound = |who: &str, limit: u64| Bound {
            who: who.to_string(),
            limit,
            used: 1 << 30,
        };
        assert_eq!(within_limits(&[]).status, Status::Ok);
        let check = format!("{:?}", within_limits(&[bound("`ulimit -d`", 4 << 30)]));
        assert!(
            check.contains("`ulimit -d`") && check.contains("`ulimit -d unlimited`"),
            "{check}"
        );
        assert_eq!(
            memory_within(&bound("the machine", 4 << 30)).status,
            Status::Ok
        );
        let check = memory_within(&bound("the control group `/sys/fs/cgroup/a`", 2 << 30));
        assert_eq!(check.status, Status::Limited);
        assert!(
            check.found.contains("the control group `/sys/fs/cgroup/a`"),
            "{check:?}"
        );
    }

    #[test]
    fn a_cache_that_others_can_write_is_not_private() {
        assert!(is_private(1000, 0o40755, 1000));
        assert!(
            !is_private(0, 0o40755, 1000)
                && !is_private(1000, 0o40775, 1000)
                && !is_private(1000, 0o41777, 1000)
        );
    }
}

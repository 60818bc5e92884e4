//! Where this process stands in the cgroup trees.
//!
//! In: `/proc/self/cgroup` and `/proc/self/mountinfo`. Out: the folder of our own cgroup, for version 2 or for each
//! controller of version 1. On a hybrid machine the controllers are version 1 and the version 2 tree has none of them.
//! Example: `4:memory:/a/b` and `/sys/fs/cgroup/memory` mounted from `/a` make `/sys/fs/cgroup/memory/b`.

use std::path::{Path, PathBuf};

/// What the limits need. Without `cpu` there are still limits on memory and processes.
const NEEDED: [&str; 2] = ["memory", "pids"];
const WANTED: [&str; 3] = ["memory", "pids", "cpu"];

/// Our own place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// A folder for each controller.
    V1(Vec<(&'static str, PathBuf)>),
    /// One folder for all of them.
    V2(PathBuf),
}

/// A mounted tree.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

/// Reads our own place; `Err` says why there is none.
pub(super) fn find(cgroup: &str, mountinfo: &str) -> Result<Layout, String> {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(mount).collect();
    let first = |controller: &str| {
        let own = own_path(cgroup, |controllers| {
            controllers.split(',').any(|known| known == controller)
        })?;
        let holds = |mount: &&Mount<'_>| {
            mount.kind == "cgroup" && mount.options.split(',').any(|option| option == controller)
        };
        mounts
            .iter()
            .filter(holds)
            .find_map(|mount| below(mount, own))
    };
    let folders: Vec<_> = WANTED
        .iter()
        .filter_map(|controller| Some((*controller, first(controller)?)))
        .collect();
    if NEEDED
        .iter()
        .all(|needed| folders.iter().any(|(controller, _)| controller == needed))
    {
        return Ok(Layout::V1(folders));
    }
    let own = own_path(cgroup, str::is_empty).ok_or("this process is in no cgroup")?;
    let tree = mounts
        .iter()
        .filter(|mount| mount.kind == "cgroup2")
        .find_map(|mount| below(mount, own));
    tree.map(Layout::V2)
        .ok_or_else(|| "no cgroup tree with `memory` and `pids` is mounted".to_string())
}

/// The path behind `4:memory:` whose controllers are the wanted ones.
fn own_path(cgroup: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let mut words = line.splitn(3, ':').skip(1);
        let (controllers, path) = (words.next()?, words.next()?);
        wanted(controllers).then_some(path)
    })
}

/// `36 35 0:30 /root /point rw - cgroup2 cgroup2 rw,memory`
fn mount(line: &str) -> Option<Mount<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let mut right = right.split(' ');
    let (root, point) = (left.next()?, left.next()?);
    let (kind, options) = (right.next()?, right.nth(1)?);
    kind.starts_with("cgroup").then_some(Mount {
        root,
        point,
        kind,
        options,
    })
}

/// The folder of a cgroup, where the mount shows it.
fn below(mount: &Mount<'_>, own: &str) -> Option<PathBuf> {
    let rest = Path::new(own).strip_prefix(mount.root).ok()?;
    let leaves = rest
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    (!leaves).then(|| Path::new(mount.point).join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 20 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 20 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
32 20 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 20 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
34 20 0:30 / /proc rw,relatime - proc proc rw
";

    #[test]
    fn a_hybrid_machine_has_a_folder_for_each_controller() {
        let own = "9:name=systemd:/\n8:pids:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/\n";
        let folder = |path: &str| PathBuf::from(path);
        let wanted = vec![
            ("memory", folder("/sys/fs/cgroup/memory/a/b")),
            ("pids", folder("/sys/fs/cgroup/pids")),
            ("cpu", folder("/sys/fs/cgroup/cpu,cpuacct")),
        ];
        assert_eq!(find(own, HYBRID), Ok(Layout::V1(wanted)));
    }

    #[test]
    fn an_ordinary_machine_has_one_folder() {
        let mounts =
            "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = "0::/user.slice/user-1000.slice/session-2.scope\n";
        let wanted = "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope";
        assert_eq!(find(own, mounts), Ok(Layout::V2(wanted.into())));
    }

    #[test]
    fn a_container_sees_its_part_of_the_tree() {
        let mounts = "30 20 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(
            find("0::/docker/abc/x\n", mounts),
            Ok(Layout::V2("/sys/fs/cgroup/x".into()))
        );
        assert!(find("0::/elsewhere\n", mounts).is_err());
        assert!(find("0::/../up\n", mounts).is_err());
    }

    #[test]
    fn without_a_tree_there_is_a_reason() {
        assert!(find("", "").is_err_and(|why| why.contains("no cgroup")));
        assert!(find("4:memory:/\n0::/\n", "").is_err_and(|why| why.contains("is mounted")));
    }
}

//! What confines this process from outside, and everything that lifts it, at once.
//!
//! In: what the kernel tells of this process. Out: one cure that can be pasted. Containers close several things, each of
//! which stops the sandbox alone: to learn of them one after the other takes a start for each.
//! Example: with Docker's defaults, `docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined
//! IMAGE COMMAND`; with these two the sandbox starts in a container, as root and as a plain user.

use std::fs;

use crate::SandboxError;

/// Barriers that something outside can keep from being raised.
const FROM_OUTSIDE: [&str; 9] = [
    "user-ns",
    "pid-ns",
    "mount-ns",
    "net-ns",
    "ipc-ns",
    "uts-ns",
    "overlay",
    "landlock",
    "read-only-root",
];

/// Whose container this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Docker's, or one that looks like it.
    Docker,
    /// Podman's.
    Podman,
    /// One of a pod.
    Kubernetes,
}

/// What confines this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The container that it runs in; none on a machine of its own.
    pub container: Option<Container>,
    /// A filter of system calls is in force.
    pub seccomp: bool,
    /// Parts of `/proc` are covered, so that no fresh one can be mounted.
    pub covered_proc: bool,
    /// The profile of AppArmor, where it is enforced.
    pub apparmor: Option<String>,
    /// This is root without the capabilities to give a child its user and its group.
    pub powerless_root: bool,
    /// Settings of the kernel that forbid user namespaces, each as `sysctl -w` takes it.
    pub sysctls: Vec<&'static str>,
}

impl Outside {
    /// Asks the kernel.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let there = |path: &str| std::path::Path::new(path).exists();
        let container = match () {
            () if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
                Some(Container::Kubernetes)
            }
            () if there("/run/.containerenv") => Some(Container::Podman),
            () if there("/.dockerenv") || in_container(&read("/proc/1/cgroup")) => {
                Some(Container::Docker)
            }
            () => None,
        };
        let sysctls = [
            (
                "/proc/sys/user/max_user_namespaces",
                "0",
                "user.max_user_namespaces=15000",
            ),
            (
                "/proc/sys/kernel/unprivileged_userns_clone",
                "0",
                "kernel.unprivileged_userns_clone=1",
            ),
            (
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
                "kernel.apparmor_restrict_unprivileged_userns=0",
            ),
        ];
        Outside {
            container,
            seccomp: filtered(&read("/proc/self/status")),
            covered_proc: covers_proc(&read("/proc/self/mountinfo")),
            apparmor: enforced(&read("/proc/self/attr/current")),
            powerless_root: is_powerless_root(&read("/proc/self/status")),
            sysctls: sysctls
                .iter()
                .filter(|(path, bad, _)| read(path).trim() == *bad)
                .map(|(_, _, set)| *set)
                .collect(),
        }
    }

    /// What has to be done so that the sandbox starts: all of it, in lines that can be pasted. None where nothing from
    /// outside is known to be in its way.
    pub fn cure(&self) -> Option<String> {
        let mut steps = Vec::new();
        if !self.sysctls.is_empty() {
            let place = if self.container.is_some() {
                "on the host: "
            } else {
                ""
            };
            steps.push(format!("{place}`sysctl -w {}`", self.sysctls.join(" ")));
        }
        let flags = self.flags();
        match self.container {
            Some(container) if !flags.is_empty() => steps.push(container.start_with(&flags)),
            None if self.seccomp && self.apparmor.is_some() => {
                steps
                    .push("run it without the seccomp filter and the AppArmor profile that it was started with".into());
            }
            _ => {}
        }
        if steps.is_empty() {
            None
        } else {
            Some(steps.join("; and "))
        }
    }

    /// What the container lacks.
    fn flags(&self) -> Vec<Flag> {
        let lacks = [
            (self.seccomp, Flag::Seccomp),
            (self.covered_proc, Flag::SystemPaths),
            (self.apparmor.is_some(), Flag::AppArmor),
            (self.powerless_root, Flag::User),
        ];
        lacks
            .into_iter()
            .filter(|(lacks, _)| *lacks)
            .map(|(_, flag)| flag)
            .collect()
    }
}

/// What a container can be started with.
#[derive(Clone, Copy)]
enum Flag {
    Seccomp,
    SystemPaths,
    AppArmor,
    User,
}

impl Container {
    fn start_with(self, flags: &[Flag]) -> String {
        let flags: Vec<&str> = flags.iter().map(|flag| self.words(*flag)).collect();
        match self {
            Container::Docker => format!(
                "start the container with `docker run {} IMAGE COMMAND`",
                flags.join(" ")
            ),
            Container::Podman => format!(
                "start the container with `podman run {} IMAGE COMMAND`",
                flags.join(" ")
            ),
            Container::Kubernetes => format!(
                "give the container's `securityContext` {}",
                flags.join(", ")
            ),
        }
    }

    fn words(self, flag: Flag) -> &'static str {
        match (self, flag) {
            (Container::Kubernetes, Flag::Seccomp) => "`seccompProfile: {type: Unconfined}`",
            (Container::Kubernetes, Flag::SystemPaths) => {
                "`procMount: Unmasked`, with the pod's `hostUsers: false`"
            }
            (Container::Kubernetes, Flag::AppArmor) => "`appArmorProfile: {type: Unconfined}`",
            (Container::Kubernetes, Flag::User) => "`runAsUser: 1000`",
            (_, Flag::Seccomp) => "--security-opt seccomp=unconfined",
            (Container::Podman, Flag::SystemPaths) => "--security-opt unmask=ALL",
            (Container::Docker, Flag::SystemPaths) => "--security-opt systempaths=unconfined",
            (_, Flag::AppArmor) => "--security-opt apparmor=unconfined",
            (_, Flag::User) => "--user 1000:1000",
        }
    }
}

/// The error of a barrier that was refused, with everything that stands in the way from outside.
pub(crate) fn refused(barrier: String, reason: String) -> SandboxError {
    let outside =
        FROM_OUTSIDE.contains(&barrier.as_str()) && data::hint::split_aside(&reason).1.is_none();
    let reason = match Outside::look().cure().filter(|_| outside) {
        Some(cure) => format!("{reason}{}", data::Aside(cure)),
        None => reason,
    };
    SandboxError::Barrier { barrier, reason }
}

fn in_container(cgroup: &str) -> bool {
    [
        "/docker/",
        "/docker-",
        "/kubepods",
        "/containerd",
        "/lxc/",
        "libpod",
    ]
    .iter()
    .any(|word| cgroup.contains(word))
}

/// `Seccomp: 2` is a filter.
fn filtered(status: &str) -> bool {
    status
        .lines()
        .filter_map(|line| line.strip_prefix("Seccomp:"))
        .any(|mode| mode.trim() == "2")
}

/// Whether root lacks what maps users and groups: CAP_SETGID (6), CAP_SETUID (7), and CAP_SETFCAP (31) to map root itself.
fn is_powerless_root(status: &str) -> bool {
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let root = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1)) == Some("0");
    let held = field("CapEff:")
        .and_then(|mask| u64::from_str_radix(mask, 16).ok())
        .unwrap_or(u64::MAX);
    root && [6, 7, 31].iter().any(|number| held & (1 << number) == 0)
}

/// Whether something is mounted below `/proc`, such as an empty file over `/proc/kcore`.
fn covers_proc(mountinfo: &str) -> bool {
    let mut points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    // What lies there on ordinary machines hides nothing.
    points.any(|point| point.starts_with("/proc/") && point != "/proc/sys/fs/binfmt_misc")
}

/// `docker-default (enforce)`
fn enforced(profile: &str) -> Option<String> {
    let profile = profile.trim_matches(['\0', '\n', ' ']);
    profile.strip_suffix(" (enforce)").map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docker() -> Outside {
        Outside {
            container: Some(Container::Docker),
            seccomp: filtered("Name:\ttrain\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n"),
            covered_proc: covers_proc(
                "551 540 0:45 / /proc rw,nosuid - proc proc rw\n\
                 600 551 0:50 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw,size=65536k\n",
            ),
            apparmor: enforced("docker-default (enforce)\n"),
            powerless_root: is_powerless_root("Uid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n"),
            sysctls: Vec::new(),
        }
    }

    #[test]
    fn all_flags_of_a_container_are_named_at_once() {
        let cure = docker().cure().expect("there is one");
        let wanted = "`docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined \
                      --security-opt apparmor=unconfined IMAGE COMMAND`";
        assert!(cure.contains(wanted), "{cure}");
        let podman = Outside {
            container: Some(Container::Podman),
            apparmor: None,
            ..docker()
        }
        .cure()
        .expect("one");
        let wanted = "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL IMAGE";
        assert!(
            podman.contains(wanted) && !podman.contains("apparmor"),
            "{podman}"
        );
    }

    #[test]
    fn root_without_capabilities_is_told_to_be_somebody_else() {
        let bare = |uid: u32| {
            is_powerless_root(&format!(
                "Uid:\t{uid}\t{uid}\t0\t0\nCapEff:\t0000000000000000\n"
            ))
        };
        assert!(bare(0) && !bare(1000));
        let cure = Outside {
            powerless_root: true,
            ..docker()
        }
        .cure()
        .expect("there is one");
        assert!(
            cure.contains("apparmor=unconfined --user 1000:1000 IMAGE"),
            "{cure}"
        );
    }

    #[test]
    fn only_what_stands_in_the_way_is_named() {
        let only = Outside {
            container: Some(Container::Docker),
            covered_proc: true,
            ..Outside::default()
        };
        let cure = only.cure().expect("there is one");
        assert!(
            cure.contains("systempaths") && !cure.contains("seccomp"),
            "{cure}"
        );
        assert_eq!(
            Outside {
                container: Some(Container::Docker),
                ..Outside::default()
            }
            .cure(),
            None
        );
        assert_eq!(Outside::default().cure(), None);
    }

    #[test]
    fn settings_of_the_kernel_are_named_with_the_flags_and_where_they_belong() {
        let closed = Outside {
            sysctls: vec!["user.max_user_namespaces=15000"],
            ..docker()
        };
        let cure = closed.cure().expect("there is one");
        assert!(
            cure.starts_with("on the host: `sysctl -w user.max_user_namespaces=15000`; and start"),
            "{cure}"
        );
        let machine = Outside {
            container: None,
            seccomp: false,
            apparmor: None,
            ..closed
        };
        assert_eq!(
            machine.cure().as_deref(),
            Some("`sysctl -w user.max_user_namespaces=15000`")
        );
    }

    #[test]
    fn an_ordinary_machine_covers_nothing() {
        let mounts = "22 1 0:20 / /proc rw - proc proc rw\n\
                      30 22 0:31 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n";
        assert!(!covers_proc(mounts));
        assert!(!filtered("Seccomp:\t0\n"));
        assert_eq!(
            (
                enforced("unconfined\n"),
                enforced("snap.x (complain)\n"),
                enforced("")
            ),
            (None, None, None)
        );
    }

    #[test]
    fn a_refusal_that_knows_its_cure_gets_no_other() {
        let said = refused("landlock".into(), "no (hint: lsm=landlock)".into()).to_string();
        assert_eq!(said.matches("(hint: ").count(), 1, "{said}");
        let said = refused("python".into(), "cannot start".into()).to_string();
        assert!(!said.contains("hint"), "{said}");
    }
}

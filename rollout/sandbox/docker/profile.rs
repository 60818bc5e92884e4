//! The system calls that a container may make: a list of what programs need, and nothing else.
//!
//! Out: a profile as OCI runtimes read it. Left out are ptrace and its kin, keys, BPF, `io_uring`, namespaces, mounts,
//! clocks, modules, NUMA. `clone` makes no namespace; `clone3`, whose flags a filter cannot see, answers that it does
//! not exist, so that libraries fall back to `clone`. Names that an engine does not know are passed over by it.

use serde_json::{Value, json};

/// What is allowed.
const CALLS: &str = include_str!("syscalls.txt");
/// All flags of `clone` that make a namespace.
const NEW_NAMESPACE: u64 = 0x7e02_0000;
const ENOSYS: u32 = 38;

/// The profile as text.
pub(super) fn json() -> String {
    profile().to_string()
}

fn profile() -> Value {
    let names: Vec<&str> = CALLS.split_whitespace().collect();
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ALLOW"},
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": NEW_NAMESPACE, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
            },
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_the_kernel_in_depth_is_not_on_the_list() {
        let listed: Vec<&str> = CALLS.split_whitespace().collect();
        let forbidden = [
            "ptrace",
            "keyctl",
            "add_key",
            "bpf",
            "userfaultfd",
            "io_uring_setup",
            "unshare",
            "setns",
            "mount",
            "umount2",
            "fsopen",
            "move_mount",
            "open_tree",
            "pivot_root",
            "chroot",
            "perf_event_open",
            "process_vm_readv",
            "clone3",
            "clone",
            "kexec_load",
            "init_module",
            "open_by_handle_at",
            "pidfd_getfd",
        ];
        for name in forbidden {
            assert!(!listed.contains(&name), "{name}");
        }
        assert!(listed.is_sorted() && listed.len() > 250);
        assert!(
            ["landlock_restrict_self", "openat", "execve", "seccomp"]
                .iter()
                .all(|name| listed.contains(name))
        );
    }
}

//! The system calls that code under test has no use for.
//!
//! In: nothing. Out: a classic BPF program, as hexadecimal text for the fork server, that answers `EPERM` to each of
//! them and kills whoever calls with a foreign architecture's numbers.
//! The namespaces and the missing capabilities already forbid most of this; the filter keeps code out of the parts of
//! the kernel where the holes have been.

use nix::libc;

const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const REFUSE: u32 = 0x0005_0000 | libc::EPERM as u32;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Calls of the second x86-64 table (x32) carry this bit.
const FOREIGN_TABLE: u32 = 0x4000_0000;

const FORBIDDEN: [libc::c_long; 44] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_fanotify_init,
    libc::SYS_vhangup,
];

/// The program, eight bytes an instruction, in the machine's byte order.
pub(crate) fn filter_hex() -> String {
    program()
        .iter()
        .flat_map(|step| step.bytes())
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[derive(Clone, Copy)]
struct Step {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

impl Step {
    fn bytes(self) -> [u8; 8] {
        let ([a, b], [c, d, e, f]) = (self.code.to_ne_bytes(), self.value.to_ne_bytes());
        [a, b, self.if_true, self.if_false, c, d, e, f]
    }
}

fn program() -> Vec<Step> {
    let step = |code, if_true, if_false, value| Step {
        code,
        if_true,
        if_false,
        value,
    };
    let mut steps = vec![
        // The architecture lies at offset 4 of what the kernel hands over, the call's number at offset 0.
        step(LOAD_WORD, 0, 0, 4),
        step(JUMP_EQUAL, 1, 0, ARCHITECTURE),
        step(RETURN, 0, 0, KILL),
        step(LOAD_WORD, 0, 0, 0),
        step(JUMP_AT_LEAST, FORBIDDEN.len() as u8 + 1, 0, FOREIGN_TABLE),
    ];
    for (index, call) in FORBIDDEN.iter().enumerate() {
        steps.push(step(
            JUMP_EQUAL,
            (FORBIDDEN.len() - index) as u8,
            0,
            *call as u32,
        ));
    }
    steps.push(step(RETURN, 0, 0, ALLOW));
    steps.push(step(RETURN, 0, 0, REFUSE));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn verdict(architecture: u32, call: u32) -> u32 {
        let steps = program();
        let (mut at, mut word) = (0, 0);
        loop {
            let step = steps[at];
            at += 1;
            let taken = match step.code {
                LOAD_WORD => {
                    word = if step.value == 4 { architecture } else { call };
                    continue;
                }
                RETURN => return step.value,
                JUMP_EQUAL => word == step.value,
                JUMP_AT_LEAST => word >= step.value,
                code => panic!("unknown instruction {code}"),
            };
            at += usize::from(if taken { step.if_true } else { step.if_false });
        }
    }

    #[test]
    fn every_forbidden_call_is_refused_and_others_pass() {
        for call in FORBIDDEN {
            assert_eq!(verdict(ARCHITECTURE, call as u32), REFUSE, "call {call}");
        }
        for call in [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_clone,
            libc::SYS_execve,
            libc::SYS_exit_group,
        ] {
            assert_eq!(verdict(ARCHITECTURE, call as u32), ALLOW, "call {call}");
        }
    }

    #[test]
    fn a_foreign_architecture_is_killed_and_a_foreign_table_refused() {
        assert_eq!(verdict(0x4000_0003, libc::SYS_read as u32), KILL);
        assert_eq!(verdict(ARCHITECTURE, FOREIGN_TABLE + 1), REFUSE);
    }
}

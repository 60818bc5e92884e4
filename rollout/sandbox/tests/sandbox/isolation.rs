//! What code under test can reach.

use data::FileChange;
use sandbox::Sandbox;

use super::support::*;

#[test]
fn the_network_is_out_of_reach() {
    passes(
        r#"
import socket, pytest
def test_outside():
    for address in [("1.1.1.1", 80), ("10.0.0.1", 80), ("192.168.0.1", 22)]:
        with pytest.raises(OSError):
            socket.create_connection(address, timeout=2)
    with pytest.raises(OSError):
        socket.getaddrinfo("example.org", 80)
def test_own_loopback_works():
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname(), timeout=2)
"#,
    );
}

#[test]
fn the_machine_is_out_of_sight() {
    let secret = std::env::temp_dir().join(format!("secret-{}", std::process::id()));
    std::fs::write(&secret, "s").unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    passes(&format!(
        r#"
import os
def test_files():
    assert not os.path.exists({secret:?})
    assert not os.path.exists(os.path.join({home:?}, ".cargo"))
    assert not os.path.exists("/etc/shadow")
    assert not os.path.exists("/root/.ssh") and not os.path.exists("/var/run/docker.sock")
    assert len([name for name in os.listdir("/proc") if name.isdigit()]) <= 4
def test_privileges():
    status = open("/proc/self/status").read()
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]:
        assert name + ":\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    assert os.getuid() == {uid} and os.getgid() == {uid}
def test_descriptors():
    kinds = [os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd") if int(name) > 2
             and os.path.exists("/proc/self/fd/" + name)]
    assert all(kind.startswith(("pipe:", "/tmp/", "/dev/null")) for kind in kinds), kinds
    assert not any(os.path.realpath("/proc/self/fd/%d" % i).startswith("/memfd") for i in range(3, 64))
"#,
        uid = JOB_UID,
    ));
    std::fs::remove_file(secret).ok();
}

#[test]
fn barriers_cannot_be_taken_down() {
    passes(
        r#"
import ctypes, os, pytest
libc = ctypes.CDLL(None, use_errno=True)
def test_calls():
    for name, args in [("unshare", (0x10000000,)), ("unshare", (0x20000,)), ("mount", (b"x", b"/tmp", b"tmpfs", 0, None)),
                       ("umount2", (b"/proc", 2)), ("ptrace", (16, 1, 0, 0)), ("setns", (0, 0)), ("chroot", (b"/tmp",))]:
        assert getattr(libc, name)(*args) == -1, name
def test_files():
    for path in ["/repo/test_it.py", "/repo/new.py", "/usr/x", "/run/train/job.py", "/proc/sys/kernel/core_pattern"]:
        with pytest.raises(OSError):
            open(path, "a")
    with pytest.raises(OSError):
        os.setuid(0)
"#,
    );
}

#[test]
fn nothing_written_survives() {
    let text = r#"
import os, subprocess
def test_a():
    for path in ["/tmp/mark", "/dev/shm/mark"]:
        assert not os.path.exists(path)
        open(path, "w").write("x")
    import multiprocessing.shared_memory as m
    libc = __import__("ctypes").CDLL(None)
    assert libc.shmget(77, 4096, 0) == -1
    assert libc.shmget(77, 4096, 0o1600) != -1
"#;
    for _ in 0..3 {
        passes(text);
    }
}

#[test]
fn a_path_that_leaves_the_tree_is_an_error() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Tree::new(&[("test_a.py", "def test_a(): pass\n")]);
    for path in ["../x.py", "/etc/x", "a//b", "a/../../b", ""] {
        let mut job = tree.job();
        job.changes = vec![FileChange {
            path: path.to_string(),
            content: Some(String::new()),
        }];
        assert!(sandbox.run(&job).is_err(), "{path}");
    }
    let mut job = tree.job();
    job.tree = "/nowhere".into();
    assert!(
        sandbox
            .run(&job)
            .expect_err("no tree")
            .to_string()
            .contains("/nowhere")
    );
}

//! Where a process may write, by the file that any sandbox can use, and that a missing Landlock is refused.

use std::path::PathBuf;
use std::process::{Command, Output};

use sandbox::SandboxError;
use sandbox::embedded::Embedded;
use sandbox::runner::pytest::MODULES;

use super::support::*;

/// A folder with `landlock.py` and two folders below it, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let root = std::env::temp_dir().join(format!("landlock-{name}-{}", std::process::id()));
        for folder in ["open", "closed"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let (_, text) = MODULES
            .iter()
            .find(|(name, _)| *name == "landlock")
            .expect("it is one of them");
        std::fs::write(root.join("landlock.py"), text).unwrap();
        Place(root)
    }

    /// Runs Python in it; none where there is none.
    fn run(&self, text: &str) -> Option<Output> {
        let program = python()?.program();
        Some(
            Command::new(program)
                .args(["-B", "-c", text])
                .current_dir(&self.0)
                .output()
                .unwrap(),
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn whatever_the_abi_writes_go_where_they_may() {
    let place = Place::new("abi");
    for abi in 1..=7 {
        let text = format!(
            r#"
import errno, os, subprocess, landlock
kernel = landlock.abi()
landlock.abi = lambda: min({abi}, kernel)
assert landlock.restrict(["open", "/dev/null", "/not/there"]) == min({abi}, kernel)
os.mkdir("open/a"); open("open/a/b", "w").write("x"); os.rename("open/a/b", "open/a/c"); os.symlink("x", "open/a/d")
open("/dev/null", "w").write("x")
def refused(code, call, *words):
    try: call(*words)
    except OSError as error: assert error.errno in code, error
    else: raise AssertionError((call, words))
denied = [errno.EACCES, errno.EXDEV]
refused(denied, open, "closed/x", "w")
refused(denied, open, "/dev/zero", "w")
refused(denied, os.mkdir, "closed/x")
refused(denied, os.symlink, "x", "closed/x")
refused(denied, os.rename, "open/a/c", "closed/c")
refused(denied, os.remove, "landlock.py")
refused(denied, os.truncate, "landlock.py", 0)
for way in [os.O_RDONLY, os.O_ACCMODE, os.O_WRONLY, os.O_RDWR]:
    refused(denied, os.open, "landlock.py", way | os.O_TRUNC)
for way in [os.O_WRONLY, os.O_RDWR]:
    os.close(os.open("open/a/c", way | os.O_TRUNC))
with open("open/a/c", "w") as file: file.write("xyz"); file.truncate(1)
with open("open/a/c", "r+") as file: os.ftruncate(file.fileno(), 0)
assert os.path.getsize("open/a/c") == 0 and os.path.getsize("landlock.py") > 0
if min({abi}, kernel) >= 6: refused([errno.EPERM], os.kill, os.getppid(), 0)
assert subprocess.run(["sh", "-c", "echo x > closed/x"], stderr=subprocess.DEVNULL).returncode != 0
assert os.listdir("closed") == []
assert open("landlock.py").read() and os.listdir("/usr")
"#
        );
        let Some(output) = place.run(&text) else {
            return;
        };
        assert!(
            output.status.success(),
            "ABI {abi}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::remove_dir_all(place.0.join("open/a")).unwrap();
    }
}

#[test]
fn reads_are_bounded_where_that_is_asked() {
    let text = r#"
import os, landlock
landlock.restrict(["open"], ["/usr", "/lib", "/lib64"])
open("open/x", "w").write("x")
assert open("open/x").read() == "x" and os.listdir("/usr")
for path in ["landlock.py", "/etc/passwd"]:
    try: open(path)
    except PermissionError: continue
    raise AssertionError(path)
"#;
    let place = Place::new("reads");
    let Some(output) = place.run(text) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn what_mounts_allow_and_landlock_forbids_is_refused_in_a_job() {
    passes(
        r#"
import os, pytest
def test_elsewhere():
    for path in ["/proc/self/comm", "/proc/self/oom_score_adj", "/dev/random"]:
        with pytest.raises(PermissionError):
            open(path, "r+b", buffering=0).write(b"9")
def test_devices_are_not_made():
    for path in ["/tmp/device", "/dev/shm/device"]:
        with pytest.raises(PermissionError):
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
def test_own_places():
    for path in ["/tmp/a", "/dev/shm/a", "/dev/null", "/dev/zero", "/dev/full"]:
        open(path, "w").close()
    os.makedirs("/tmp/b/c"); os.rename("/tmp/a", "/tmp/b/c/a"); os.mkfifo("/tmp/b/fifo")
def test_own_descriptors():
    ours, theirs = os.pipe()
    os.write(os.open("/dev/fd/%d" % theirs, os.O_WRONLY), b"x")
    assert os.read(ours, 1) == b"x"
    open("/proc/self/fd/%d" % os.memfd_create("x"), "w").write("x")
"#,
    );
}

/// Starts this very test again behind a filter that answers `ENOSYS` to a system call.
fn without_call(number: u32, test: &str) -> Option<Output> {
    let text = r#"
import ctypes, os, struct, sys
code = b"".join(struct.pack("<HBBI", *step) for step in
    [(0x20, 0, 0, 0), (0x15, 0, 1, int(sys.argv[1])), (6, 0, 0, 0x00050000 | 38), (6, 0, 0, 0x7fff0000)])
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc, words = ctypes.CDLL(None), [ctypes.c_ulong(0)] * 3
assert libc.prctl(38, ctypes.c_ulong(1), *words) == 0
assert libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(Filter(4, code)), *words[:2]) == 0
os.execv(sys.argv[2], sys.argv[2:])
"#;
    let mut command = Command::new(python()?.program());
    command
        .args(["-c", text, &number.to_string()])
        .arg(std::env::current_exe().unwrap());
    Some(
        command
            .args(["--exact", test, "--nocapture"])
            .env("SANDBOX_TEST_WITHOUT", "1")
            .output()
            .unwrap(),
    )
}

#[test]
fn a_kernel_without_landlock_is_refused_with_the_cure() {
    const LANDLOCK_CREATE_RULESET: u32 = 444;
    if std::env::var("SANDBOX_TEST_WITHOUT").is_ok() {
        match Embedded::new(options(python().unwrap())) {
            Err(SandboxError::Barrier { barrier, reason }) => {
                println!("refused {barrier}: {reason}")
            }
            other => println!("not refused: {:?}", other.err()),
        }
        return;
    }
    let Some(output) = without_call(
        LANDLOCK_CREATE_RULESET,
        "landlock::a_kernel_without_landlock_is_refused_with_the_cure",
    ) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("refused landlock: ") && said.contains("hint: use Linux 5.13"),
        "{said}"
    );
}

//! An engine that takes calls and never answers them.
//!
//! Between the sandbox and the real engine stands a socket that passes everything on until it is told to hang.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollout::sandbox::docker::Docker;
use rollout::sandbox::{End, Limits, Sandbox, SandboxError};

use super::engine::with_engine_at;
use super::support::*;

const ENGINE: &str = "/var/run/docker.sock";
/// Between two looks whether calls are passed on again.
const LOOK: Duration = Duration::from_millis(20);
/// Longer than a job's time and a question about it.
const HUNG: Duration = Duration::from_secs(25);

/// A socket in front of the engine; removed at the end.
struct Proxy {
    socket: PathBuf,
    hangs: Arc<AtomicBool>,
}

impl Proxy {
    fn new(name: &str) -> Proxy {
        let socket = std::env::temp_dir().join(format!("{name}-{}.sock", std::process::id()));
        let listener = UnixListener::bind(&socket).expect("a socket");
        let hangs = Arc::new(AtomicBool::new(false));
        let proxy = Proxy { socket, hangs: hangs.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let hangs = hangs.clone();
                std::thread::spawn(move || pass_on(client, &hangs));
            }
        });
        proxy
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        std::fs::remove_file(&self.socket).ok();
    }
}

/// Both directions of one call.
fn pass_on(client: UnixStream, hangs: &Arc<AtomicBool>) {
    while hangs.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
    }
    let engine = UnixStream::connect(ENGINE).expect("the engine");
    let (from, to) = (client.try_clone().expect("a copy"), engine.try_clone().expect("a copy"));
    let also = hangs.clone();
    std::thread::spawn(move || copy(from, to, &also));
    copy(engine, client, hangs).ok();
}

fn copy(mut from: UnixStream, mut to: UnixStream, hangs: &AtomicBool) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes)?;
        while hangs.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
        }
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&bytes[..count])?;
    }
}

#[test]
fn a_call_that_hangs_is_our_fault_and_the_late_code_of_an_engine_that_answers_is_not() {
    const ROLE: &str = "HUNG_ENGINE_TEST";
    let (Some(python), true) = (python(), Path::new(ENGINE).exists()) else {
        eprintln!("SKIPPED, no engine hung: none listens at {ENGINE}");
        return;
    };
    // This test starts itself again, since an engine is named by the environment.
    if std::env::var_os(ROLE).is_none() {
        let proxy = Proxy::new("hung");
        let name = "hung::a_call_that_hangs_is_our_fault_and_the_late_code_of_an_engine_that_answers_is_not";
        return with_engine_at(&proxy.host(), name, ROLE, &mut |line| {
            if line.contains("hang now") {
                let hangs = proxy.hangs.clone();
                hangs.store(true, Ordering::Relaxed);
                std::thread::spawn(move || {
                    std::thread::sleep(HUNG);
                    hangs.store(false, Ordering::Relaxed);
                });
            }
        });
    }
    let sandbox = Docker::new(rollout::sandbox::docker::DockerOptions { workers: 1, ..options(python) });
    let sandbox = sandbox.expect("a sandbox");
    let slow = Tree::new(&[("test_it.py", "import time\ndef test_a(): time.sleep(100)\n")]);
    let quick = Tree::new(&[("test_it.py", "def test_a(): pass\n")]);
    let mut job = slow.job();
    job.limits = Limits { timeout_s: 2, ..Limits::default() };
    assert_eq!(sandbox.run(&job).expect("a verdict").end, End::TimedOut);
    job.limits.timeout_s = 6;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            println!("hang now");
        });
        let error = sandbox.run(&job).expect_err("no verdict");
        assert!(matches!(error, SandboxError::Engine { .. }), "{error}");
    });
    // As a grader does: it tries again.
    let again = (0..3).find_map(|_| sandbox.run(&quick.job()).ok()).expect("the engine is back");
    assert_eq!(again.end, End::Finished { exit: 0 });
    println!("done");
}

#[test]
fn an_engine_that_never_answers_is_named_at_the_start() {
    const ROLE: &str = "SILENT_ENGINE_TEST";
    let Some(python) = python() else { return };
    if std::env::var_os(ROLE).is_some() {
        let Some(SandboxError::Engine { doing, reason }) = Docker::new(options(python)).err() else { panic!("starts") };
        assert!(doing.contains("silent-") && reason.contains("hint:"), "{doing}: {reason}");
        return;
    }
    // Connections wait in its queue, and nobody takes them.
    let socket = std::env::temp_dir().join(format!("silent-{}.sock", std::process::id()));
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "hung::an_engine_that_never_answers_is_named_at_the_start"])
        .env(ROLE, "1")
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .status();
    std::fs::remove_file(&socket).ok();
    assert!(status.expect("the test starts").success());
}

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

use sandbox::docker::Docker;
use sandbox::{End, Limits, Sandbox, SandboxError};

use super::engine::with_engine_at;
use super::support::*;

const ENGINE: &str = "/var/run/docker.sock";
/// Between two looks whether calls are passed on again.
const LOOK: Duration = Duration::from_millis(20);
/// What every job of these tests has in it, and nothing else that is said to the engine.
const JOB: &[u8] = b"test_that_sleeps.py";

/// A socket in front of the engine; removed at the end.
struct Proxy {
    socket: PathBuf,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Nothing is passed on.
    hangs: AtomicBool,
    /// It hangs from the next job on that is handed over.
    armed: AtomicBool,
}

impl Proxy {
    fn new(socket: &Path) -> Proxy {
        let listener = UnixListener::bind(socket).expect("a socket");
        let proxy = Proxy {
            socket: socket.to_path_buf(),
            state: Arc::default(),
        };
        let state = proxy.state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = state.clone();
                std::thread::spawn(move || pass_on(client, &state));
            }
        });
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        std::fs::remove_file(&self.socket).ok();
    }
}

/// Both directions of one call.
fn pass_on(client: UnixStream, state: &Arc<State>) {
    while state.hangs.load(Ordering::SeqCst) {
        std::thread::sleep(LOOK);
    }
    let engine = UnixStream::connect(ENGINE).expect("the engine");
    let (from, to) = (
        client.try_clone().expect("a copy"),
        engine.try_clone().expect("a copy"),
    );
    let also = state.clone();
    std::thread::spawn(move || copy(from, to, &also, true));
    copy(engine, client, state, false).ok();
}

fn copy(
    mut from: UnixStream,
    mut to: UnixStream,
    state: &State,
    to_engine: bool,
) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes)?;
        while state.hangs.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&bytes[..count])?;
        let is_job = to_engine && bytes[..count].windows(JOB.len()).any(|part| part == JOB);
        if is_job && state.armed.swap(false, Ordering::SeqCst) {
            state.hangs.store(true, Ordering::SeqCst);
        }
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
        let socket = std::env::temp_dir().join(format!("hung-{}.sock", std::process::id()));
        let name = "hung::a_call_that_hangs_is_our_fault_and_the_late_code_of_an_engine_that_answers_is_not";
        return with_engine_at(
            &format!("unix://{}", socket.display()),
            name,
            ROLE,
            &mut |_| {},
        );
    }
    let host = std::env::var("DOCKER_HOST").expect("an engine");
    let proxy = Proxy::new(Path::new(host.strip_prefix("unix://").expect("a socket")));
    let sandbox = Docker::new(sandbox::docker::DockerOptions {
        workers: 1,
        ..options(python)
    });
    let sandbox = sandbox.expect("a sandbox");
    let slow = Tree::new(&[(
        "test_that_sleeps.py",
        "import time\ndef test_a(): time.sleep(1000)\n",
    )]);
    let quick = Tree::new(&[("test_it.py", "def test_a(): pass\n")]);
    let mut job = slow.job();
    job.limits = Limits {
        timeout_s: 10,
        ..Limits::default()
    };
    assert_eq!(sandbox.run(&job).expect("a verdict").end, End::TimedOut);
    // Its byte code is there, so the next that is handed over is the job.
    proxy.state.armed.store(true, Ordering::SeqCst);
    let error = sandbox.run(&job).expect_err("no verdict");
    assert!(matches!(error, SandboxError::Engine { .. }), "{error}");
    proxy.state.hangs.store(false, Ordering::SeqCst);
    // As a grader does: it tries again.
    let again = (0..3)
        .find_map(|_| sandbox.run(&quick.job()).ok())
        .expect("the engine is back");
    assert_eq!(again.end, End::Finished { exit: 0 });
    println!("done");
}

#[test]
fn an_engine_that_never_answers_is_named_at_the_start() {
    const ROLE: &str = "SILENT_ENGINE_TEST";
    let Some(python) = python() else { return };
    if std::env::var_os(ROLE).is_some() {
        let Some(SandboxError::Engine { doing, reason }) = Docker::new(options(python)).err()
        else {
            panic!("starts")
        };
        assert!(
            doing.contains("silent-") && reason.contains("hint:"),
            "{doing}: {reason}"
        );
        return;
    }
    // Connections wait in its queue, and nobody takes them.
    let socket = std::env::temp_dir().join(format!("silent-{}.sock", std::process::id()));
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "hung::an_engine_that_never_answers_is_named_at_the_start",
        ])
        .env(ROLE, "1")
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .status();
    std::fs::remove_file(&socket).ok();
    assert!(status.expect("the test starts").success());
}

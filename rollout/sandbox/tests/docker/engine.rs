//! An engine that is killed and started again in the middle of everything.
//!
//! A second engine of our own is started for it, so that nobody else's containers are touched.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{End, Limits, Sandbox, SandboxError};

use super::support::*;
use super::{at_work, held};

/// An engine that ends with the test.
struct OwnEngine {
    folder: PathBuf,
    process: Child,
}

impl OwnEngine {
    /// None, said aloud, where none can be started.
    fn start() -> Option<OwnEngine> {
        let folder = std::env::temp_dir().join(format!("engine-{}", std::process::id()));
        std::fs::create_dir_all(&folder).ok()?;
        let mut engine = OwnEngine {
            process: OwnEngine::spawn(&folder)?,
            folder,
        };
        if engine.answers() {
            return Some(engine);
        }
        eprintln!("SKIPPED, no engine was killed: one of our own does not start here");
        engine.process.kill().ok();
        None
    }

    fn spawn(folder: &std::path::Path) -> Option<Child> {
        let at = |name: &str| folder.join(name).display().to_string();
        let started = Command::new("dockerd")
            .args([
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
                "--pidfile",
                &at("pid"),
            ])
            .args([
                "-H",
                &format!("unix://{}", at("socket")),
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
            ])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).ok()?)
            .spawn();
        started
            .map_err(|error| eprintln!("SKIPPED, no engine was killed: dockerd: {error}"))
            .ok()
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.join("socket").display())
    }

    fn answers(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(120) {
            let told = Command::new("docker")
                .args(["-H", &self.host(), "info"])
                .output();
            if told.is_ok_and(|told| {
                told.status.success()
                    && String::from_utf8_lossy(&told.stdout).contains("Server Version")
            }) {
                return true;
            }
            if !matches!(self.process.try_wait(), Ok(None)) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        false
    }

    fn kill(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        // Without its own supervisor's leftovers it starts again at once.
        if let Ok(pid) = std::fs::read_to_string(self.folder.join("exec/containerd/containerd.pid"))
        {
            Command::new("kill").args(["-9", pid.trim()]).status().ok();
        }
        for file in ["exec/containerd/containerd.pid", "pid", "socket"] {
            std::fs::remove_file(self.folder.join(file)).ok();
        }
    }

    fn restart(&mut self) {
        self.process = OwnEngine::spawn(&self.folder).expect("it started before");
        assert!(
            self.answers(),
            "{}",
            std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
        );
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let all = Command::new("docker")
            .args(["-H", &self.host(), "ps", "-aq"])
            .output();
        for id in all
            .map(|told| String::from_utf8_lossy(&told.stdout).into_owned())
            .unwrap_or_default()
            .lines()
        {
            Command::new("docker")
                .args(["-H", &self.host(), "rm", "-f", id])
                .output()
                .ok();
        }
        Command::new("kill")
            .arg(self.process.id().to_string())
            .status()
            .ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[test]
fn an_engine_that_is_killed_is_our_fault_and_comes_back() {
    let Some(python) = python() else { return };
    // This test starts itself again, since an engine is named by the environment.
    const ROLE: &str = "ENGINE_TEST_HOST";
    if std::env::var_os(ROLE).is_none() {
        let Some(engine) = OwnEngine::start() else {
            return;
        };
        return with_own_engine(
            engine,
            "engine::an_engine_that_is_killed_is_our_fault_and_comes_back",
            ROLE,
        );
    }
    let told = |word: &str| {
        println!("{word}");
        std::io::Write::flush(&mut std::io::stdout()).ok();
    };
    let mut options = options(python);
    (options.workers, options.limits) = (
        1,
        Limits {
            timeout_s: 60,
            ..Limits::default()
        },
    );
    let sandbox = sandbox::docker::Docker::new(options).expect("a sandbox");
    let word = format!("engine{}", std::process::id());
    let (_tree, held) = held(&word);
    let quick = Tree::new(&[("test_it.py", "def test_a(): pass\n")]);
    assert_eq!(
        sandbox.run(&quick.job()).expect("a run").end,
        End::Finished { exit: 0 }
    );
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&held));
        // The engine's own client is told by the environment which engine is meant.
        if at_work(&word, &run).is_some() {
            told("kill now");
        }
        let error = run.join().expect("a thread").expect_err("no verdict");
        assert!(matches!(error, SandboxError::Engine { .. }), "{error}");
    });
    // As a grader does: it tries again.
    let again = (0..3)
        .find_map(|_| sandbox.run(&quick.job()).ok())
        .expect("the engine is back");
    assert_eq!(again.end, End::Finished { exit: 0 });
    told("done");
}

/// Starts the test again with the engine's address, and kills the engine when it asks for it.
fn with_own_engine(mut engine: OwnEngine, name: &str, role: &str) {
    with_engine_at(&engine.host(), name, role, &mut |line| {
        if line.contains("kill now") {
            engine.kill();
            std::thread::sleep(Duration::from_secs(1));
            engine.restart();
        }
    });
}

/// Starts a test again where its engine listens at `host`, and hears each line that it prints. The last one is `done`.
pub fn with_engine_at(host: &str, name: &str, role: &str, hear: &mut dyn FnMut(&str)) {
    use std::io::BufRead as _;
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture"])
        .env(role, "1")
        .env("DOCKER_HOST", host)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test starts");
    let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut done = false;
    for line in lines.map_while(Result::ok) {
        hear(&line);
        done |= line.contains("done");
    }
    assert!(child.wait().expect("it ends").success() && done);
}

//! The sandbox behind a container engine holds what it promises, against a real engine.
//!
//! The claims that every sandbox has to meet are those of the embedded one, compiled again for this one.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[path = "../sandbox/conformance.rs"]
mod conformance;
mod engine;
#[path = "../sandbox/hostile.rs"]
mod hostile;
mod hung;
mod image;
#[path = "../sandbox/isolation.rs"]
mod isolation;
#[path = "../sandbox/jest.rs"]
mod jest;
#[path = "../sandbox/jest_attacks.rs"]
mod jest_attacks;
#[path = "../sandbox/outcomes.rs"]
mod outcomes;
#[path = "../sandbox/runs.rs"]
mod runs;
#[path = "../sandbox/support.rs"]
#[allow(dead_code, unused_imports)]
mod shared;
mod support;
#[path = "../sandbox/workspace.rs"]
mod workspace;

use std::process::Command;
use std::thread::ScopedJoinHandle;

use sandbox::docker::{Docker, DockerOptions};
use sandbox::{End, Job, Sandbox, SandboxError};
use support::*;

/// A job that is held ends by itself after these seconds: no machine is so slow that a test needs them.
const HELD_S: u64 = 600;

/// The engine's own client: what it says is not what we asked for but what is.
fn docker(args: &[&str]) -> String {
    let output = Command::new("docker")
        .args(args)
        .output()
        .expect("the engine's client");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// Containers of this process with a word in their processes.
fn containers_running(word: &str) -> Vec<String> {
    let owner = format!("label=train.owner_pid={}", std::process::id());
    let all = docker(&["ps", "-q", "--no-trunc", "--filter", &owner]);
    all.lines()
        .filter(|id| docker(&["top", id]).contains(word))
        .map(str::to_string)
        .collect()
}

/// A job that is at work until it is let go, however long that takes; `word` is in its processes.
fn held(word: &str) -> (Tree, Job) {
    let script = format!("until [ -e /tmp/go ]; do sleep 0.1; done # {word}");
    let text = format!(
        "import subprocess\ndef test_a(): subprocess.run(['/bin/sh', '-c', '{script}'], check=True)\n"
    );
    let tree = Tree::new(&[("test_it.py", &text)]);
    let mut job = tree.job();
    job.limits.timeout_s = HELD_S;
    (tree, job)
}

/// The container of a job that is held, once it is at work; none where its run ended before.
fn at_work<T>(word: &str, run: &ScopedJoinHandle<'_, T>) -> Option<String> {
    while !run.is_finished() {
        if let Some(id) = containers_running(word).into_iter().next() {
            return Some(id);
        }
    }
    None
}

/// Lets a held job go, also where a test fails meanwhile.
struct LetGo<'a>(&'a str);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        docker(&["exec", self.0, "touch", "/tmp/go"]);
    }
}

#[test]
fn a_running_container_is_closed_as_the_engine_tells_it() {
    let Some(sandbox) = sandbox() else { return };
    let word = format!("inspected{}", std::process::id());
    let (_tree, job) = held(&word);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&job).expect("a run"));
        let id = &at_work(&word, &run).expect("the container of the job");
        let let_go = LetGo(id);
        let says = |format: &str| docker(&["inspect", "-f", &format!("{{{{{format}}}}}"), id]);
        let podman = docker(&["version"]).contains("Podman");
        // Podman names each that it would have given; what is left of them, the kernel says (`capabilities`).
        let dropped = says(".HostConfig.CapDrop");
        assert!(
            dropped == "[ALL]" || dropped.starts_with("[AUDIT_WRITE CHOWN DAC_OVERRIDE "),
            "{dropped}"
        );
        assert!(
            sandbox
                .isolation()
                .barriers
                .contains(&"capabilities".to_string())
        );
        for (format, wanted) in [
            (".HostConfig.ReadonlyRootfs", "true"),
            (".HostConfig.NetworkMode", "none"),
            (".Config.User", "65534:65534"),
            (".HostConfig.PidsLimit", "136"),
            (".HostConfig.Init", "true"),
            (".HostConfig.OomScoreAdj", "500"),
            (".HostConfig.LogConfig.Type", "none"),
            (".HostConfig.IpcMode", "private"),
            (".HostConfig.CgroupnsMode", "private"),
            (".HostConfig.AutoRemove", "true"),
            (".HostConfig.Privileged", "false"),
            ("len .HostConfig.Devices", "0"),
            ("eq .HostConfig.Memory .HostConfig.MemorySwap", "true"),
        ] {
            // Podman has words of its own for namespaces.
            if !(podman && format.ends_with("Mode") && format != ".HostConfig.NetworkMode") {
                assert_eq!(says(format), wanted, "{format}");
            }
        }
        let options = says(".HostConfig.SecurityOpt");
        assert!(
            ["no-new-privileges", "seccomp="]
                .iter()
                .all(|one| options.contains(one)),
            "{options}"
        );
        assert!(says(".Image").starts_with("sha256:"));
        let binds = says(".HostConfig.Binds");
        assert!(
            !binds.contains("docker.sock")
                && binds.split_whitespace().all(|bind| bind.contains(":ro")),
            "{binds}"
        );
        drop(let_go);
        assert_eq!(
            run.join().expect("the run ends").end,
            End::Finished { exit: 0 }
        );
    });
}

#[test]
fn what_was_killed_from_outside_is_our_fault_and_not_the_codes() {
    let Some(sandbox) = sandbox() else { return };
    let word = format!("killed{}", std::process::id());
    let (_tree, job) = held(&word);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&job));
        if let Some(id) = at_work(&word, &run) {
            docker(&["kill", &id]);
        }
        let error = run.join().expect("a thread").expect_err("no verdict");
        assert!(matches!(error, SandboxError::Engine { .. }), "{error}");
        let told = ["killed from outside", "no log of events"];
        assert!(
            told.iter().any(|told| error.to_string().contains(told)),
            "{error}"
        );
    });
}

#[test]
fn an_image_that_is_not_there_is_named_and_never_pulled() {
    let (Some(_), Some(python)) = (sandbox(), python()) else {
        return;
    };
    let error = Docker::new(DockerOptions {
        image: Some("nowhere/no-such-image:7".into()),
        ..options(python)
    });
    let error = error.err().expect("is refused").to_string();
    assert!(
        error.contains("nowhere/no-such-image:7") && error.contains("hint:"),
        "{error}"
    );
}

#[test]
fn a_sandbox_that_is_dropped_leaves_no_container() {
    let (Some(_), Some(python)) = (sandbox(), python()) else {
        return;
    };
    let count = || {
        docker(&[
            "ps",
            "-aq",
            "--filter",
            &format!("label=train.owner_pid={}", std::process::id()),
        ])
        .lines()
        .count()
    };
    let before = count();
    let own = fresh(python);
    let tree = Tree::new(&[("test_it.py", "def test_a(): pass\n")]);
    own.run(&tree.job()).expect("a run");
    assert!(count() > before.saturating_sub(3));
    drop(own);
    // Those of the shared sandbox come and go: three at most, and those that are just being removed.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(HELD_S);
    while count() > 6 {
        assert!(
            std::time::Instant::now() < until,
            "{}",
            docker(&["ps", "-a"])
        );
    }
}

#[test]
fn the_isolation_is_what_the_kernel_says() {
    let Some(sandbox) = sandbox() else { return };
    let isolation = sandbox.isolation();
    assert_eq!(isolation.sandbox, "docker");
    for barrier in [
        "capabilities",
        "no-new-privs",
        "seccomp",
        "net-ns",
        "read-only-root",
    ] {
        assert!(
            isolation.barriers.iter().any(|one| one == barrier),
            "{isolation:?}"
        );
    }
    assert!(
        isolation
            .barriers
            .iter()
            .any(|one| one.starts_with("landlock-") && one != "landlock-0"),
        "{isolation:?}"
    );
}

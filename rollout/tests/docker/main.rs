//! The sandbox behind a container engine holds what it promises, against a real engine.
//!
//! The claims that every sandbox has to meet are those of the embedded one, compiled again for this one.

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

use std::process::Command;

use rollout::sandbox::docker::{Docker, DockerOptions};
use rollout::sandbox::{Sandbox, SandboxError};
use support::*;

/// The engine's own client: what it says is not what we asked for but what is.
fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("the engine's client");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// Containers of this process with a word in their processes.
fn containers_running(word: &str) -> Vec<String> {
    let owner = format!("label=train.owner_pid={}", std::process::id());
    let all = docker(&["ps", "-q", "--no-trunc", "--filter", &owner]);
    all.lines().filter(|id| docker(&["top", id]).contains(word)).map(str::to_string).collect()
}

#[test]
fn a_running_container_is_closed_as_the_engine_tells_it() {
    let Some(sandbox) = sandbox() else { return };
    let word = format!("inspected{}", std::process::id());
    let tree = Tree::new(&[(
        "test_it.py",
        &format!("import subprocess\ndef test_a(): subprocess.run(['/bin/sh', '-c', 'exec sleep 4 # {word}'])\n"),
    )]);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&tree.job()).expect("a run"));
        let mut found = Vec::new();
        while found.is_empty() && !run.is_finished() {
            found = containers_running("sleep 4");
        }
        let id = found.first().expect("the container of the job");
        let says = |format: &str| docker(&["inspect", "-f", &format!("{{{{{format}}}}}"), id]);
        let podman = docker(&["version"]).contains("Podman");
        // Podman names each that it would have given; what is left of them, the kernel says (`capabilities`).
        let dropped = says(".HostConfig.CapDrop");
        assert!(dropped == "[ALL]" || dropped.starts_with("[AUDIT_WRITE CHOWN DAC_OVERRIDE "), "{dropped}");
        assert!(sandbox.isolation().barriers.contains(&"capabilities".to_string()));
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
        assert!(["no-new-privileges", "seccomp="].iter().all(|one| options.contains(one)), "{options}");
        assert!(says(".Image").starts_with("sha256:"));
        let binds = says(".HostConfig.Binds");
        assert!(!binds.contains("docker.sock") && binds.split_whitespace().all(|bind| bind.contains(":ro")), "{binds}");
        run.join().expect("the run ends");
    });
}

#[test]
fn what_was_killed_from_outside_is_our_fault_and_not_the_codes() {
    let Some(sandbox) = sandbox() else { return };
    let tree = Tree::new(&[("test_of_a_kill.py", "import time\ndef test_a(): time.sleep(17.5)\n")]);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&tree.job()));
        // The container that is at work is the only one with files.
        let (owner, mut busy) = (format!("label=train.owner_pid={}", std::process::id()), Vec::new());
        while busy.is_empty() && !run.is_finished() {
            let all = docker(&["ps", "-q", "--filter", &owner]);
            let at_work = |id: &&str| docker(&["exec", id, "ls", "/repo"]).contains("test_of_a_kill");
            busy = all.lines().filter(at_work).map(str::to_string).collect();
        }
        for id in &busy {
            docker(&["kill", id]);
        }
        let error = run.join().expect("a thread").expect_err("no verdict");
        assert!(matches!(error, SandboxError::Engine { .. }), "{error}");
        let told = ["killed from outside", "no log of events"];
        assert!(told.iter().any(|told| error.to_string().contains(told)), "{error}");
    });
}

#[test]
fn an_image_that_is_not_there_is_named_and_never_pulled() {
    let (Some(_), Some(python)) = (sandbox(), python()) else { return };
    let error = Docker::new(DockerOptions { image: Some("nowhere/no-such-image:7".into()), ..options(python) });
    let error = error.err().expect("is refused").to_string();
    assert!(error.contains("nowhere/no-such-image:7") && error.contains("hint:"), "{error}");
}

#[test]
fn a_sandbox_that_is_dropped_leaves_no_container() {
    let (Some(_), Some(python)) = (sandbox(), python()) else { return };
    let count =
        || docker(&["ps", "-aq", "--filter", &format!("label=train.owner_pid={}", std::process::id())]).lines().count();
    let before = count();
    let own = fresh(python);
    let tree = Tree::new(&[("test_it.py", "def test_a(): pass\n")]);
    own.run(&tree.job()).expect("a run");
    assert!(count() > before.saturating_sub(3));
    drop(own);
    std::thread::sleep(std::time::Duration::from_millis(500));
    // Those of the shared sandbox come and go: three at most, and one that is just being removed.
    assert!(count() <= 6, "{}", docker(&["ps", "-a"]));
}

#[test]
fn the_isolation_is_what_the_kernel_says() {
    let Some(sandbox) = sandbox() else { return };
    let isolation = sandbox.isolation();
    assert_eq!(isolation.sandbox, "docker");
    for barrier in ["capabilities", "no-new-privs", "seccomp", "net-ns", "read-only-root"] {
        assert!(isolation.barriers.iter().any(|one| one == barrier), "{isolation:?}");
    }
    assert!(isolation.barriers.iter().any(|one| one.starts_with("landlock-") && one != "landlock-0"), "{isolation:?}");
}

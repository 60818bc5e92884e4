//! How a container is closed, line by line. Nothing here is left to the engine's defaults.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    ResourcesUlimits,
};

use super::dialect::Dialect;
use crate::Limits;
use crate::environment::jest::JestPlan;
use crate::overtime::MOST;

/// The user and group of the code under test: `nobody`, who owns nothing.
pub(super) const NOBODY: &str = "65534:65534";
/// What the runner needs besides the job.
const RUNNER_MIB: u64 = 128;
/// Processes besides those of the job: init, the time limit, the runner.
const RUNNER_PROCESSES: u64 = 8;
/// How long a container may wait for its job.
const WAIT_S: u64 = 3600;

/// After these seconds a container ends by itself, whatever became of us.
pub(super) fn lifetime_s(limits: &Limits) -> u64 {
    WAIT_S + 2 * longest_s(limits.timeout_s)
}

/// How long a job with this limit may take by the clock.
pub(super) fn longest_s(timeout_s: u64) -> u64 {
    timeout_s * u64::from(MOST)
}

/// What a container is made of.
pub(super) struct Made<'a> {
    /// By digest: what is run is what was looked at.
    pub image: &'a str,
    /// Shown read-only; nothing else of the machine is.
    pub binds: &'a [String],
    /// The program that runs Python.
    pub python: &'a str,
    /// What Python is told first.
    pub bootstrap: &'a str,
    /// Where it looks for jest.
    pub jest: &'a JestPlan,
    /// How the engine wants to be told.
    pub dialect: &'a Dialect,
    pub limits: &'a Limits,
    pub labels: HashMap<String, String>,
}

/// The container as the engine is asked for it.
pub(super) fn body(made: &Made<'_>) -> ContainerCreateBody {
    let command = [
        "timeout",
        "-s",
        "KILL",
        &lifetime_s(made.limits).to_string(),
        made.python,
        "-B",
        "-c",
        made.bootstrap,
    ];
    ContainerCreateBody {
        image: Some(made.image.to_string()),
        user: Some(NOBODY.to_string()),
        hostname: Some("sandbox".to_string()),
        working_dir: Some("/".to_string()),
        entrypoint: Some(Vec::new()),
        cmd: Some(command.map(str::to_string).to_vec()),
        env: Some(environment()),
        labels: Some(made.labels.clone()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        // When we are gone, standard input ends, and the runner with it.
        stdin_once: Some(true),
        tty: Some(false),
        network_disabled: Some(true),
        host_config: Some(host_config(made)),
        ..Default::default()
    }
}

fn host_config(made: &Made<'_>) -> HostConfig {
    const MIB: u64 = 1 << 20;
    let limits = made.limits;
    // Memory files count as memory: the work tree and `/tmp` may be full without a kill.
    let memory = ((limits.memory_mib + 2 * limits.disk_mib + RUNNER_MIB) * MIB) as i64;
    let texts = |texts: &[&str]| {
        Some(
            texts
                .iter()
                .map(|text| (*text).to_string())
                .collect::<Vec<_>>(),
        )
    };
    let disk = limits.disk_mib * MIB;
    let own = made.dialect.own;
    let memory_files = HashMap::from([
        (
            "/tmp".to_string(),
            format!("rw,exec,nosuid,nodev,size={disk},mode=1777"),
        ),
        (
            "/repo".to_string(),
            format!("rw,exec,nosuid,nodev,size={disk},{own}"),
        ),
        // Where the runner writes our own files before a job begins, which may write to neither of these two.
        (
            "/run/train".to_string(),
            format!("rw,noexec,nosuid,nodev,size={MIB},{own}"),
        ),
    ]);
    HostConfig {
        cap_drop: texts(&["ALL"]),
        cap_add: Some(Vec::new()),
        privileged: Some(false),
        security_opt: Some(vec![
            "no-new-privileges".to_string(),
            format!("seccomp={}", made.dialect.seccomp),
        ]),
        readonly_rootfs: Some(true),
        tmpfs: Some(memory_files),
        shm_size: Some((64 * MIB).min(disk) as i64),
        pids_limit: Some((limits.processes + RUNNER_PROCESSES) as i64),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(1_000_000_000),
        network_mode: Some("none".to_string()),
        ulimits: Some(vec![
            ulimit("nofile", 1024),
            // Counted over all containers of this user; `pids_limit` bounds the one.
            ulimit("nproc", limits.processes * 64),
            ulimit("core", 0),
            ulimit("fsize", disk),
        ]),
        init: Some(true),
        oom_score_adj: Some(500),
        // What the code prints comes to us, bounded, and is written nowhere.
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_string()),
            config: None,
        }),
        binds: Some(made.binds.to_vec()),
        ipc_mode: Some("private".to_string()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        devices: Some(Vec::new()),
        auto_remove: Some(true),
        ..Default::default()
    }
}

fn ulimit(name: &str, value: u64) -> ResourcesUlimits {
    ResourcesUlimits {
        name: Some(name.to_string()),
        soft: Some(value as i64),
        hard: Some(value as i64),
    }
}

fn environment() -> Vec<String> {
    crate::embedded::init::ENVIRONMENT
        .iter()
        .map(|word| (*word).to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_closed_line_by_line() {
        let limits = Limits {
            memory_mib: 256,
            disk_mib: 64,
            processes: 32,
            ..Limits::default()
        };
        let labels = HashMap::from([("train.owner_pid".to_string(), "1".to_string())]);
        let (image, python, jest) = ("sha256:1", "python3", &JestPlan::usual());
        let dialect = &Dialect::docker();
        let made = Made {
            image,
            binds: &[],
            python,
            bootstrap: "",
            jest,
            dialect,
            limits: &limits,
            labels,
        };
        let body = body(&made);
        let host = body.host_config.expect("a host config");
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_string()]));
        let options = host.security_opt.expect("options");
        assert_eq!(options[0], "no-new-privileges");
        assert!(
            options[1].starts_with("seccomp={")
                && options[1].contains(r#""defaultAction":"SCMP_ACT_ERRNO""#)
        );
        assert_eq!(host.readonly_rootfs, Some(true));
        let tmpfs = host.tmpfs.expect("memory files");
        for (folder, options) in [
            ("/tmp", "exec"),
            ("/repo", "exec"),
            ("/run/train", "noexec"),
        ] {
            let size = if folder == "/run/train" {
                1 << 20
            } else {
                64 << 20
            };
            assert!(
                tmpfs[folder].starts_with(&format!("rw,{options},nosuid,nodev,size={size},")),
                "{tmpfs:?}"
            );
        }
        assert_eq!(tmpfs.len(), 3);
        assert_eq!(host.pids_limit, Some(40));
        assert!(host.memory.is_some() && host.memory == host.memory_swap);
        assert!(host.nano_cpus.is_some());
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(body.user.as_deref(), Some("65534:65534"));
        let limited: Vec<_> = host
            .ulimits
            .expect("limits")
            .into_iter()
            .filter_map(|one| one.name)
            .collect();
        assert_eq!(limited, ["nofile", "nproc", "core", "fsize"]);
        assert_eq!((host.init, host.oom_score_adj), (Some(true), Some(500)));
        assert_eq!(
            host.log_config.and_then(|log| log.typ).as_deref(),
            Some("none")
        );
        assert_eq!(host.ipc_mode.as_deref(), Some("private"));
        assert_eq!(
            host.cgroupns_mode,
            Some(HostConfigCgroupnsModeEnum::PRIVATE)
        );
        assert_eq!((host.pid_mode, host.devices), (None, Some(Vec::new())));
        // The engine's own lists stay: none is given.
        assert_eq!((host.masked_paths, host.readonly_paths), (None, None));
        assert_eq!(body.cmd.expect("a command")[..3], ["timeout", "-s", "KILL"]);
        let environment = body.env.expect("an environment");
        for word in [
            "TZ=UTC",
            "LANG=C.UTF-8",
            "PYTHONHASHSEED=0",
            "SOURCE_DATE_EPOCH=1577836800",
        ] {
            assert!(environment.iter().any(|one| one == word), "{word}");
        }
    }
}

//! What runs tests: the barriers of the sandbox, Python, jest, container engines, what images are built with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox::docker::{EngineAbout, about_engine};
use sandbox::embedded::{outside::Outside, probe};
use sandbox::environment::jest::JestEnv;
use sandbox::environment::python::{PYTHON_VARIABLE, PythonEnv};

use super::Check;

/// Older ones let a container write to the host (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).
const RUNC: [u64; 3] = [1, 2, 8];
const NO_TEST: &str = "no code under test can be run by `--sandbox embedded`, the default";

pub(super) fn checks(cache: &Path) -> Vec<Check> {
    vec![
        namespaces().needed(),
        overlay().needed(),
        landlock().needed(),
        seccomp().needed(),
        cgroups(),
        python(cache).needed(),
        jest(),
        engine(),
        images(),
        git(),
    ]
}

fn namespaces() -> Check {
    const NAME: &str = "namespaces";
    let raised = std::env::current_exe().map_err(|error| error.to_string());
    match raised.and_then(|init| probe::namespaces(&init).map_err(|error| error.to_string())) {
        Ok(()) => Check::ok(
            NAME,
            "user, PID, mount, network, IPC and UTS, with a root of their own",
        ),
        Err(said) => Check::missing(NAME, "", NO_TEST).said(&said),
    }
}

fn overlay() -> Check {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known
        .lines()
        .any(|line| line.trim_start_matches("nodev").trim() == "overlay")
    {
        return Check::ok("overlayfs", "the kernel has it");
    }
    Check::missing("overlayfs", "the kernel does not list it", NO_TEST)
        .cure("`modprobe overlay`, as root of the host")
}

fn landlock() -> Check {
    match probe::landlock() {
        Ok(abi) => Check::ok("Landlock", format!("ABI {abi}")),
        Err(error) => {
            let inside = Outside::look().cure();
            let cure = inside
                .unwrap_or_else(|| "boot with `landlock` in the kernel's `lsm=` parameter".into());
            Check::missing("Landlock", error.to_string(), NO_TEST).cure(cure)
        }
    }
}

fn seccomp() -> Check {
    let known = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    if known.split_whitespace().any(|action| action == "errno") {
        return Check::ok("seccomp", "filters of system calls");
    }
    Check::missing(
        "seccomp",
        "the kernel has no filters of system calls",
        NO_TEST,
    )
    .cure("use a kernel with CONFIG_SECCOMP_FILTER")
}

fn cgroups() -> Check {
    let costs = "memory of tests is looked at ten times a second instead of counted by the kernel";
    match probe::cgroups() {
        Ok(version) => Check::ok(
            "cgroup limits",
            format!("version {version}, for memory, processes and CPU"),
        ),
        // A container sees its cgroup, but may not write there.
        Err(said) if Outside::look().container.is_some() && said.contains("Read-only") => {
            let (said, _) = data::hint::split_aside(&said);
            Check::limited("cgroup limits", said, costs)
                .cure("start the container with `-v /sys/fs/cgroup:/sys/fs/cgroup`, as its root")
        }
        Err(said) => Check::limited("cgroup limits", "", costs).said(&said),
    }
}

fn python(cache: &Path) -> Check {
    const NAME: &str = "Python";
    const COSTS: &str = "no tests can be run, in Python or in JavaScript";
    if let Some(named) = std::env::var_os(PYTHON_VARIABLE).filter(|named| !named.is_empty()) {
        return match PythonEnv::existing(Path::new(&named)) {
            Ok(python) => Check::ok(
                NAME,
                format!("{}, by `{PYTHON_VARIABLE}`", python.version()),
            ),
            Err(error) => Check::missing(NAME, "", COSTS).said(&error.to_string()),
        };
    }
    let answers = "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3]); sys.exit(sys.version_info < (3, 9))";
    let cure = "`apt-get install python3 python3-venv`, or name a Python that has pytest with \
                `TRAIN_PYTHON=/path/to/python`";
    match Command::new("python3").args(["-I", "-c", answers]).output() {
        Err(error) => Check::missing(NAME, format!("`python3`: {error}"), COSTS).cure(cure),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said
                .lines()
                .last()
                .unwrap_or("`python3` is older than 3.9")
                .to_string();
            Check::missing(NAME, last, COSTS).cure(cure)
        }
        Ok(output) => {
            let version = String::from_utf8_lossy(&output.stdout).trim().to_string();
            let made = made(cache, &version);
            let pytest = if made {
                "its pytest is in the cache"
            } else {
                "the first run fetches pytest from a package index"
            };
            Check::ok(NAME, format!("Python {version} with `venv`; {pytest}"))
        }
    }
}

/// Whether the cache holds an environment of this Python.
fn made(cache: &Path, version: &str) -> bool {
    let names = fs::read_dir(cache).into_iter().flatten().flatten();
    let mut names = names.map(|entry| {
        (
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        )
    });
    names.any(|(name, path)| {
        name.starts_with(&format!("python-{version}-")) && path.join("bin/python").exists()
    })
}

fn jest() -> Check {
    match JestEnv::find() {
        Ok(jest) => Check::ok("jest", format!("jest {}", jest.version())),
        Err(error) => Check::missing("jest", "", "tasks in JavaScript get the outcome `infra`")
            .said(&error.to_string()),
    }
}

fn engine() -> Check {
    const NAME: &str = "container engine";
    match about_engine() {
        Ok(EngineAbout { engine, runc: None }) => Check::ok(NAME, engine),
        Ok(EngineAbout {
            engine,
            runc: Some(runc),
        }) if !is_old(&runc) => Check::ok(NAME, format!("{engine}, runc {runc}")),
        Ok(EngineAbout {
            engine,
            runc: Some(runc),
        }) => Check::limited(
            NAME,
            format!("{engine}, runc {runc}"),
            "`--sandbox docker` runs, but this runc has known ways out of a container",
        )
        .cure("use runc 1.2.8 or newer for code that you do not trust, or `--sandbox embedded`"),
        Err(error) => {
            Check::missing(NAME, "", "`--sandbox docker` cannot be used").said(&error.to_string())
        }
    }
}

/// `1.1.5+ds1` is older than 1.2.8. What is no version is not called old.
fn is_old(runc: &str) -> bool {
    let numbers = runc
        .trim_start_matches('v')
        .split(|letter: char| !letter.is_ascii_digit());
    let numbers: Vec<u64> = numbers
        .map_while(|word| word.parse().ok())
        .take(3)
        .collect();
    numbers.len() == 3 && numbers.as_slice() < RUNC.as_slice()
}

fn images() -> Check {
    const NAME: &str = "image tools";
    let lacking = |program: &str| found(program).is_none();
    let root = nix_root();
    match (lacking("mmdebstrap"), !root && lacking("newuidmap")) {
        (false, false) => Check::ok(NAME, "mmdebstrap"),
        (true, _) => Check::missing(NAME, "no mmdebstrap", "`train image build` cannot be used")
            .cure("`apt-get install mmdebstrap`"),
        (false, true) => Check::missing(
            NAME,
            "no newuidmap",
            "only root can use `train image build`",
        )
        .cure("`apt-get install uidmap`"),
    }
}

fn git() -> Check {
    match found("git") {
        Some(path) => Check::ok("git", format!("`{}`", path.display())),
        None => Check::missing(
            "git",
            "not on `PATH`",
            "rows with `git` and a `commit` are refused",
        )
        .cure("`apt-get install git`"),
    }
}

fn nix_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_runc_is_known_by_its_number() {
        assert!(is_old("1.1.5+ds1") && is_old("v1.2.7"));
        assert!(!is_old("1.2.8") && !is_old("1.3.3") && !is_old("2.0.0") && !is_old("unknown"));
    }
}

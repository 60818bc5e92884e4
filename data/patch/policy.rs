//! What a patch may touch.
//!
//! In: a path or a mode from a diff. Out: yes, or the reason why not.
//! Example: `src/../../etc/passwd` leaves the repository; `tests/test_sum.py` is guarded: a grader leaves it as it is.

use super::PatchError;

/// The largest patch that is read.
pub const MAX_BYTES: usize = 1 << 20;
/// The most files that one patch may touch.
pub const MAX_FILES: usize = 200;
/// The longest line of a patch.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Refuses a path that is absolute, leaves the repository, or names git's own folder.
///
/// # Errors
///
/// [`PatchError::Path`] with the reason.
pub fn check_path(path: &str) -> Result<(), PatchError> {
    let refuse = |why| {
        Err(PatchError::Path {
            path: path.to_string(),
            why,
        })
    };
    if path.is_empty() {
        return refuse("it is empty");
    }
    if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
        return refuse("it is absolute");
    }
    if path.contains('\\') || path.contains(char::is_control) {
        return refuse("it holds a backslash or a control character");
    }
    for part in path.split('/') {
        match part {
            "" | "." => return refuse("it has an empty part"),
            ".." => return refuse("it leaves the repository"),
            _ => {}
        }
        // Some file systems ignore case and what trails, and know a short name.
        let plain = part.to_lowercase();
        if matches!(plain.trim_end_matches(['.', ' ']), ".git" | "git~1") {
            return refuse("it is git's own folder");
        }
    }
    Ok(())
}

/// Refuses links, submodules and everything else that is no plain file.
pub(super) fn check_mode(mode: &str) -> Result<(), PatchError> {
    match mode.trim() {
        "100644" | "100755" | "100664" => Ok(()),
        mode => Err(PatchError::Mode(mode.to_string())),
    }
}

/// True where a file takes part in judging: tests, their configuration, and what Python or jest load unasked.
///
/// A grader leaves such a file as it is, because a patch of it can pass without repairing anything.
pub fn is_guarded(path: &str) -> bool {
    let path = path.to_lowercase();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let guarded_folder = |part: &str| {
        matches!(
            part,
            "test"
                | "tests"
                | "__pycache__"
                | "site-packages"
                | "pytest"
                | "_pytest"
                | "pluggy"
                | "iniconfig"
        ) || matches!(
            part,
            "__tests__" | "__mocks__" | "__snapshots__" | "node_modules"
        ) || part.ends_with(".dist-info")
            || part.ends_with(".egg-info")
    };
    folders.split('/').any(guarded_folder) || guarded_name(name)
}

fn guarded_name(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "setup.cfg",
        "tox.ini",
        "pyproject.toml",
        "sitecustomize.py",
        "usercustomize.py",
        "pytest.py",
        "_pytest.py",
        "pluggy.py",
        "iniconfig.py",
        "pytest",
        "tests.py",
    ];
    const ENDINGS: &[&str] = &[".pth", ".so", ".pyd", ".pyc", ".pyo", "_test.py"];
    let is_test = name.starts_with("test_") && name.ends_with(".py");
    is_test
        || guarded_script(name)
        || NAMES.contains(&name)
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The same for JavaScript: its tests, and what says how they are run or compiled.
fn guarded_script(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "package.json",
        "package-lock.json",
        "yarn.lock",
        ".npmrc",
        "tsconfig.json",
        ".swcrc",
    ];
    const STARTS: &[&str] = &[
        "jest.config.",
        "jest.setup.",
        "jest-setup.",
        "jest.preset.",
        "setuptests.",
        "babel.config.",
        ".babelrc",
        "vitest.config.",
    ];
    const ENDINGS: &[&str] = &[".snap", ".node"];
    let is_test = name.rsplit_once('.').is_some_and(|(stem, ending)| {
        let script = matches!(
            ending,
            "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts"
        );
        script
            && (stem == "test"
                || stem == "spec"
                || [".test", ".spec"].iter().any(|end| stem.ends_with(end)))
    });
    is_test
        || NAMES.contains(&name)
        || STARTS.iter().any(|start| name.starts_with(start))
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

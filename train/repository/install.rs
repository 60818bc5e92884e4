//! Packages from a wheel cache, for tests that miss them.
//!
//! In: a requirement that the repository names, and a folder of wheels. Out: its files in `site-packages` of the copy. No
//! network, no build, and nothing of a package runs: pip only unpacks wheels.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::copy;

pub use sandbox::environment::package::SITE_PACKAGES;

/// Unpacks `requirement` from the wheels in `wheels` into the copy at `tree`.
///
/// # Errors
///
/// With what pip said, when there is no such wheel.
pub fn install(python: &Path, wheels: &Path, requirement: &str, tree: &Path) -> Result<(), String> {
    // An option would be obeyed.
    if requirement.starts_with('-') || requirement.contains(char::is_whitespace) {
        return Err(format!("`{requirement}` is no plain requirement"));
    }
    let output = Command::new(python)
        .args([
            "-I",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--only-binary",
            ":all:",
            "--no-compile",
        ])
        .args(["--disable-pip-version-check", "--find-links"])
        .arg(wheels)
        .arg("--target")
        .arg(tree.join(SITE_PACKAGES))
        .arg(requirement)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(said.lines().rev().take(3).collect::<Vec<_>>().join(" "))
}

/// Copies the packages of a virtual environment to where the tests of the copy find them. Nothing of it is run.
///
/// # Errors
///
/// When it holds no packages, or a file cannot be read.
pub fn copy_packages(venv: &Path, tree: &Path) -> Result<()> {
    let lib = venv.join("lib");
    let folders = std::fs::read_dir(&lib)
        .with_context(|| format!("`{}` is no virtual environment", venv.display()))?;
    let pythons = folders
        .flatten()
        .map(|entry| entry.path().join(SITE_PACKAGES));
    let Some(packages) = pythons.into_iter().find(|packages| packages.is_dir()) else {
        bail!(
            "`{}` holds no packages{}",
            venv.display(),
            data::Hint("name the folder that holds `pyvenv.cfg`")
        );
    };
    let copied = copy::copy(&packages, &tree.join(SITE_PACKAGES))?;
    // The sandbox brings its own pytest, and two do not go together.
    for own in [
        "pytest",
        "_pytest",
        "pluggy",
        "iniconfig",
        "pip",
        "setuptools",
    ] {
        let _ = std::fs::remove_dir_all(tree.join(SITE_PACKAGES).join(own));
    }
    eprintln!(
        "copied the packages of `{}`, {:.1} MB",
        venv.display(),
        copied.bytes as f64 / 1e6
    );
    Ok(())
}

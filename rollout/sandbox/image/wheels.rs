//! Wheels: fetched by the host's pip for the image's Python, unpacked into the image's own packages.
//!
//! In: exact requirements. Out: the version of every distribution, their own requirements included. Nothing of a wheel
//! is run: `wheels.py` unpacks them as archives, writes the programs they ask for, and reads what they require.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{ImageError, ImageSpec};
use crate::environment::python::{command, said};

/// Unpacks wheels; runs on the host's Python.
const UNPACK: &str = include_str!("wheels.py");
/// Where the image's Python finds its packages.
pub(super) const PACKAGES: &str = "usr/lib/python3/dist-packages";
/// The second number of the C library of each release: wheels for an older one run as well.
const LIBRARIES: [(&str, u32); 3] = [("bullseye", 31), ("bookworm", 36), ("trixie", 41)];

/// What `wheels.py` says.
#[derive(Deserialize)]
struct Unpacked {
    packages: BTreeMap<String, String>,
}

/// The tags of wheels that run on the image, newest first.
fn platforms(spec: &ImageSpec) -> Vec<String> {
    let newest = LIBRARIES
        .iter()
        .find(|(suite, _)| *suite == spec.suite)
        .map_or(31, |(_, minor)| *minor);
    let architecture = &spec.architecture;
    let mut tags: Vec<String> = (5..=newest)
        .rev()
        .map(|minor| format!("manylinux_2_{minor}_{architecture}"))
        .collect();
    tags.extend(
        ["manylinux2014", "manylinux2010", "manylinux1", "linux"]
            .map(|tag| format!("{tag}_{architecture}")),
    );
    tags
}

/// Fetches the wheels of the spec into the folder `wheels`.
pub(super) fn fetch(
    spec: &ImageSpec,
    python: &Path,
    wheels: &Path,
    tell: &dyn Fn(&str),
) -> Result<(), ImageError> {
    fs::create_dir_all(wheels).map_err(ImageError::file("make the folder", wheels))?;
    if said(command(python).args(["-m", "pip", "--version"]).output()).is_err() {
        return Err(ImageError::Missing {
            program: "pip",
            cure: "apt-get install python3-pip",
        });
    }
    let requirements: Vec<&str> = spec.requirements.iter().map(String::as_str).collect();
    let what = format!("`{}`", requirements.join(" "));
    super::build::three_tries(&what, tell, &|| {
        let mut pip = command(python);
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--retries",
            "1",
        ]);
        pip.args([
            "--only-binary",
            ":all:",
            "--implementation",
            "cp",
            "--python-version",
            &spec.python,
        ]);
        for platform in platforms(spec) {
            pip.args(["--platform", &platform]);
        }
        pip.arg("--dest").arg(wheels).args(&requirements);
        said(pip.output()).map(drop).map_err(|said| {
            // An index that cannot be reached has no distribution either.
            let reached = !said.contains("Retrying") && !said.contains("onnection");
            let none = said.contains("No matching distribution") || said.contains("ResolutionImpossible");
            let none = none && reached;
            let hint = match none {
                true => format!(
                    "choose versions that fit together and have wheels for Python {}; source archives are not built",
                    spec.python
                ),
                false => "check the package index with `python3 -m pip download pytest`".to_string(),
            };
            (said, hint, !none)
        })
    })
}

/// Unpacks the wheels below `root` and returns the version of every distribution.
pub(super) fn unpack(
    python: &Path,
    wheels: &Path,
    root: &Path,
    python_version: &str,
) -> Result<BTreeMap<String, String>, ImageError> {
    let step = |said: String| ImageError::Step {
        doing: "unpack the wheels".to_string(),
        said,
    };
    let mut unpack = command(python);
    unpack
        .args(["-c", UNPACK])
        .arg(wheels)
        .arg(root)
        .args([PACKAGES, python_version]);
    let text = said(unpack.output()).map_err(step)?;
    let unpacked: Unpacked =
        serde_json::from_str(&text).map_err(|error| step(error.to_string()))?;
    Ok(unpacked.packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_for_an_older_c_library_fit_and_for_a_newer_one_do_not() {
        let spec = ImageSpec::new("3.11", &[], &[]).expect("a spec");
        let tags = platforms(&spec);
        let tag = |minor: u32| format!("manylinux_2_{minor}_{}", spec.architecture);
        assert!(
            tags.contains(&tag(17)) && tags.contains(&tag(36)) && !tags.contains(&tag(37)),
            "{tags:?}"
        );
    }
}

//! Releases of the package under test that came later, and what loads itself into Python and pytest.

use std::path::Path;

use data::file::FileError;
use pep440_rs::Version;
use walkdir::DirEntry;

use super::{Findings, LintOptions};
use crate::image::{ImageError, normal_name};

/// Modules that Python imports at every start when they exist.
const START: [&str; 2] = ["sitecustomize", "usercustomize"];
/// Endings of archives that hold a release.
const ARCHIVES: [&str; 5] = [".whl", ".tar.gz", ".zip", ".tar.bz2", ".egg"];

pub(super) fn check(
    entry: &DirEntry,
    options: &LintOptions,
    findings: &mut Findings<'_>,
) -> Result<(), ImageError> {
    let Some(name) = entry.file_name().to_str() else {
        return Ok(());
    };
    newer_release(entry.path(), name, options, findings);
    if entry.file_type().is_dir() {
        return Ok(());
    }
    let remove = format!("`rm {}`", findings.shown(entry.path()));
    let stem = name.split('.').next().unwrap_or(name);
    if name.ends_with(".pth") && in_packages(entry.path()) && !options.allows(name) {
        let cure = format!("{remove}, or `--allow {name}`");
        findings.add("pth", entry.path(), "is run at every start of Python", cure);
    } else if START.contains(&stem)
        && (name.ends_with(".py") || name.ends_with(".pyc"))
        && !options.allows(stem)
    {
        let cure = format!("{remove}, or `--allow {stem}`");
        findings.add(
            "sitecustomize",
            entry.path(),
            "is imported at every start of Python",
            cure,
        );
    } else if name == "entry_points.txt" {
        plugins(entry.path(), options, findings)?;
    }
    Ok(())
}

fn in_packages(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    folder.is_some_and(|folder| folder == "site-packages" || folder == "dist-packages")
}

/// pytest plugins that load themselves.
fn plugins(
    path: &Path,
    options: &LintOptions,
    findings: &mut Findings<'_>,
) -> Result<(), ImageError> {
    let folder = path
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let Some(distribution) = distribution_of(folder) else {
        return Ok(());
    };
    let text = std::fs::read(path).map_err(|source| FileError::new("read", path, source))?;
    let text = String::from_utf8_lossy(&text);
    if text.lines().any(|line| line.trim() == "[pytest11]") && !options.allows(&distribution) {
        let what = format!("lets `{distribution}` load itself into pytest");
        let cure = format!("uninstall `{distribution}`, or `--allow {distribution}`");
        findings.add("pytest-plugin", path, what, cure);
    }
    Ok(())
}

/// The distribution of a `.dist-info` or `.egg-info` folder.
fn distribution_of(folder: &str) -> Option<String> {
    let stem = folder
        .strip_suffix(".dist-info")
        .or_else(|| folder.strip_suffix(".egg-info"))?;
    Some(normal_name(stem.split('-').next().unwrap_or(stem)))
}

/// A release of the package under test that is newer than the one that is repaired: installed, or as an archive.
fn newer_release(path: &Path, name: &str, options: &LintOptions, findings: &mut Findings<'_>) {
    let Some(package) = &options.package else {
        return;
    };
    let release = match archive_of(name).or_else(|| installed_of(path, name)) {
        Some((distribution, version)) if normal_name(&distribution) == package.name => version,
        _ => return,
    };
    // What cannot be compared might be newer.
    let newer = release
        .parse::<Version>()
        .map_or(true, |release| release > package.version);
    if newer {
        let what = format!(
            "is {} {release}; {} is under test",
            package.name, package.version
        );
        let remove = findings.shown(path);
        let cure = format!(
            "install `{}=={}` or nothing, and `rm -r {remove}`",
            package.name, package.version
        );
        findings.add("newer-release", path, what, cure);
    }
}

/// Name and version of installed metadata: in its folder's name, or in the `PKG-INFO` of an egg.
fn installed_of(path: &Path, name: &str) -> Option<(String, String)> {
    let (stem, egg) = match name.strip_suffix(".dist-info") {
        Some(stem) => (stem, false),
        None => (name.strip_suffix(".egg-info")?, true),
    };
    if let Some((distribution, version)) = stem.split_once('-') {
        // An egg also says which Python it is for.
        let version = version.split("-py").next().unwrap_or(version);
        return Some((distribution.to_string(), version.to_string()));
    }
    let file = if path.is_dir() {
        path.join(if egg { "PKG-INFO" } else { "METADATA" })
    } else {
        path.to_path_buf()
    };
    let text = String::from_utf8_lossy(&std::fs::read(file).ok()?).into_owned();
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("Version:"))?;
    Some((stem.to_string(), version.trim().to_string()))
}

/// Name and version of a wheel or a source archive.
fn archive_of(name: &str) -> Option<(String, String)> {
    let stem = ARCHIVES
        .iter()
        .find_map(|ending| name.strip_suffix(ending))?;
    if name.ends_with(".whl") || name.ends_with(".egg") {
        let mut parts = stem.split('-');
        return Some((parts.next()?.to_string(), parts.next()?.to_string()));
    }
    let (distribution, version) = stem.rsplit_once('-')?;
    version
        .starts_with(|letter: char| letter.is_ascii_digit())
        .then(|| (distribution.to_string(), version.to_string()))
}

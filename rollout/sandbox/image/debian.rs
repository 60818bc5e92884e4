//! Debian's packages as a plain tree: fetched with the host's mirror and keyring, unpacked, never configured.
//!
//! In: names of packages. Out: an archive and the version of every package in it. No maintainer script is run, so
//! what they would have made is made by `finish`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use data::trust;

use super::{ImageError, ImageSpec, tool, tree};
use crate::environment::python::said;

/// Where Debian's packages are when the host's own configuration does not say.
const MIRROR: &str = "http://deb.debian.org/debian";
/// Below the tree: the names of all packages, left there by the hook and taken away again.
pub(super) const NAMES: &str = "train-packages";
/// Links `/bin` and its like into `/usr` before the first package is unpacked.
const MERGED_USR: &str = "/usr/share/mmdebstrap/hooks/merged-usr";
/// What is fetched.
pub(super) const ARCHIVE: &str = "debian.tar";
/// Not needed by any test, and a third of the size.
const EXCLUDED: [&str; 5] = ["doc", "man", "locale", "info", "lintian"];

/// One line for each place that has packages of the spec's release.
pub(super) fn sources(spec: &ImageSpec, mirror: Option<&str>) -> Vec<String> {
    let suite = &spec.suite;
    if let Some(mirror) = mirror {
        return vec![format!("deb {mirror} {suite} main")];
    }
    let format = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)";
    let ask = |apt: PathBuf| {
        said(
            Command::new(apt)
                .args(["indextargets", "--format", format, "Identifier: Packages"])
                .output(),
        )
        .ok()
    };
    let asked = trust::program("apt-get").ok().flatten().and_then(ask);
    let lines = sources_in(&asked.unwrap_or_default(), suite);
    // The other archives hold nothing but updates to the first.
    match lines
        .iter()
        .any(|line| line.ends_with(&format!(" {suite} main")))
    {
        true => lines,
        false => vec![format!("deb {MIRROR} {suite} main")],
    }
}

/// The lines of what apt says about its own sources that belong to `suite`.
fn sources_in(targets: &str, suite: &str) -> Vec<String> {
    let wanted = [
        suite.to_string(),
        format!("{suite}-updates"),
        format!("{suite}-security"),
    ];
    let mut lines = Vec::new();
    for target in targets.lines() {
        let fields: Vec<&str> = target.split('|').collect();
        if let ["Debian", codename, uri, "main"] = fields[..]
            && wanted.iter().any(|wanted| wanted == codename)
        {
            let line = format!("deb {uri} {codename} main");
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// The command that makes the archive.
pub(super) fn command(program: &Path, spec: &ImageSpec, list: &Path, archive: &Path) -> Command {
    let mode = if nix::unistd::geteuid().is_root() {
        "root"
    } else {
        "unshare"
    };
    let mut command = Command::new(program);
    command.args([
        "--quiet",
        "--variant=extract",
        "--format=tar",
        &format!("--mode={mode}"),
    ]);
    if Path::new(MERGED_USR).is_dir() {
        command.arg(format!("--hook-dir={MERGED_USR}"));
    }
    command.arg(format!(
        "--extract-hook=cd \"$1/var/cache/apt/archives\" && ls -1 *.deb > \"$1/{NAMES}\""
    ));
    command.args(EXCLUDED.map(|folder| format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")));
    let names: Vec<&str> = spec.debian.iter().map(String::as_str).collect();
    command.arg(format!("--include={}", names.join(",")));
    command.arg(&spec.suite).arg(archive).arg(list);
    command
        .env("LC_ALL", "C.UTF-8")
        .env("SOURCE_DATE_EPOCH", tree::EPOCH.to_string());
    command
}

/// Fetches; returns the archive.
pub(super) fn fetch(
    spec: &ImageSpec,
    sources: &[String],
    work: &Path,
    tell: &dyn Fn(&str),
) -> Result<PathBuf, ImageError> {
    let program = tool("mmdebstrap", "apt-get install mmdebstrap")?;
    let (list, archive) = (work.join("sources.list"), work.join(ARCHIVE));
    data::file::write_whole(&list, format!("{}\n", sources.join("\n")).as_bytes())?;
    let what = format!("{} packages of Debian {}", spec.debian.len(), spec.suite);
    super::build::three_tries(&what, tell, &|| {
        said(command(&program, spec, &list, &archive).output()).map_err(|said| {
            let unknown = said.contains("Unable to locate package")
                || said.contains("has no installation candidate");
            let hint = match unknown {
                true => "the name is wrong for this release; look for it with `apt-cache search`",
                false => "check the mirror with `apt-get update`, or name one with `--mirror URI`",
            };
            (said, hint.to_string(), !unknown)
        })
    })?;
    Ok(archive)
}

/// Reads the versions that the hook left below `root`, and takes the file away.
pub(super) fn take_versions(root: &Path) -> Result<BTreeMap<String, String>, ImageError> {
    let path = root.join(NAMES);
    let text = data::file::read_text(&path)?;
    std::fs::remove_file(&path).map_err(ImageError::file("remove", &path))?;
    Ok(text.lines().filter_map(version).collect())
}

/// `dash_0.5.12-2_amd64.deb` says what it is; apt writes the colon of an epoch as `%3a`.
fn version(file: &str) -> Option<(String, String)> {
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    Some((name.to_string(), version.replace("%3a", ":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_archives_of_the_release_are_used_and_no_others() {
        let targets = "Debian|bookworm|http://mirror/debian/|main\n\
                       Debian|bookworm|http://mirror/debian/|contrib\n\
                       Debian|bookworm-security|http://mirror/security/|main\n\
                       Debian|trixie|http://mirror/debian/|main\n\
                       . nodistro|nodistro|https://elsewhere/|main\n\
                       Debian|bookworm|http://mirror/debian/|main\n";
        assert_eq!(
            sources_in(targets, "bookworm"),
            [
                "deb http://mirror/debian/ bookworm main",
                "deb http://mirror/security/ bookworm-security main"
            ]
        );
    }

    #[test]
    fn a_version_is_read_from_the_name_of_its_file() {
        assert_eq!(
            version("git_1%3a2.39.5-0+deb12u2_amd64.deb"),
            Some(("git".to_string(), "1:2.39.5-0+deb12u2".to_string()))
        );
        assert_eq!(version("lock"), None);
    }
}

//! Files that raise privileges, that anyone may rewrite, or that lead out of the sandbox.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use walkdir::DirEntry;

use super::Findings;
use crate::image::ImageError;
use crate::image::finish::OPEN;

const SOCKETS: [&str; 4] = ["docker.sock", "containerd.sock", "podman.sock", "crio.sock"];
/// Folders with what pip keeps of everything it ever fetched.
const CACHES: [&str; 2] = [".cache/pip", ".cache/uv"];

pub(super) fn check(entry: &DirEntry, findings: &mut Findings<'_>) -> Result<(), ImageError> {
    let path = entry.path();
    let meta = entry
        .metadata()
        .map_err(|error| ImageError::file("read", path)(error.into()))?;
    let mode = meta.permissions().mode();
    let shown = findings.shown(path);
    let kind = meta.file_type();
    if kind.is_socket() || SOCKETS.iter().any(|name| entry.file_name() == *name) {
        let cure = format!("`rm {shown}`");
        findings.add(
            "socket",
            path,
            "is a socket, which may lead to an engine of the host",
            cure,
        );
    }
    if kind.is_file() && mode & 0o6000 != 0 {
        let cure = format!("`chmod ug-s {shown}`");
        findings.add(
            "setuid",
            path,
            format!(
                "has mode {:04o}: whoever runs it becomes its owner",
                mode & 0o7777
            ),
            cure,
        );
    }
    // Whatever lies in those two is hidden by what a sandbox mounts there.
    let open = |inside: &Path| {
        inside.starts_with("tmp")
            || kind.is_dir() && OPEN.iter().any(|open| inside == Path::new(open))
    };
    let open = path.strip_prefix(findings.root).is_ok_and(open);
    if !kind.is_symlink() && mode & 0o002 != 0 && !open {
        let cure = format!("`chmod o-w {shown}`");
        findings.add(
            "world-writable",
            path,
            format!("has mode {:04o}: anyone may rewrite it", mode & 0o7777),
            cure,
        );
    }
    if kind.is_dir() && CACHES.iter().any(|cache| path.ends_with(cache)) {
        let cure = format!("`rm -r {shown}`");
        findings.add(
            "package-cache",
            path,
            "holds packages that were fetched, maybe later releases",
            cure,
        );
    }
    Ok(())
}

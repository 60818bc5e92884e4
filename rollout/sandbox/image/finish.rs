//! What maintainer scripts would have made, less what nobody needs.
//!
//! In: an unpacked tree. Out: the same tree with users, names, mount points, a library cache and byte code; without
//! caches, logs, documentation, package managers, setuid bits and paths that anyone may write.
//! The image's own Python compiles its library, started through the image's own loader, so no root is needed. Byte code
//! is named by the hash of its source and not checked again: no clock can make it stale.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use walkdir::WalkDir;

use super::{ImageError, ImageSpec, wheels};
use crate::environment::python::said;

const FILES: [(&str, &str); 4] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    ),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
];
/// Where engines and sandboxes mount things.
const FOLDERS: [&str; 7] = ["repo", "run/train", "tmp", "dev", "proc", "sys", "root"];
/// Those of them in which a job writes. Some runtimes give a memory file system the mode of the folder below it.
pub(super) const OPEN: [&str; 3] = ["repo", "run/train", "tmp"];
const REMOVED: [&str; 23] = [
    "etc/apt",
    "etc/cron.daily",
    "etc/fstab",
    "etc/hostname",
    "etc/init.d",
    "etc/resolv.conf",
    "run/lock",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/gitweb",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/pixmaps",
    "var/backups",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/local",
    "var/log",
    "var/mail",
];

/// The version of the image's Python, e.g. `python3.11`, read from the link of its program.
pub(super) fn python_of(root: &Path) -> Option<String> {
    let target = fs::read_link(root.join("usr/bin/python3")).ok()?;
    let name = target.file_name()?.to_str()?;
    name.starts_with("python3.").then(|| name.to_string())
}

/// Everything but the byte code.
pub(super) fn tidy(root: &Path, spec: &ImageSpec) -> Result<(), ImageError> {
    let python = python_of(root).unwrap_or_default();
    if python != format!("python{}", spec.python) {
        let said = format!(
            "Debian {} has `{python}`, `python{}` was asked for",
            spec.suite, spec.python
        );
        return Err(ImageError::Step {
            doing: "use the image's Python".to_string(),
            said,
        });
    }
    for name in REMOVED {
        remove(&root.join(name))?;
    }
    // Debian's own hooks into every start of Python.
    for name in ["sitecustomize.py", "usercustomize.py"] {
        remove(&root.join("usr/lib").join(&python).join(name))?;
        remove(&root.join("etc").join(&python).join(name))?;
    }
    for name in FOLDERS {
        let path = root.join(name);
        fs::create_dir_all(&path).map_err(ImageError::file("make the folder", &path))?;
    }
    for (name, text) in FILES {
        let path = root.join(name);
        fs::write(&path, text).map_err(ImageError::file("write", &path))?;
    }
    let awk = root.join("usr/bin/awk");
    if !awk.is_symlink() {
        symlink("mawk", &awk).map_err(ImageError::file("link", &awk))?;
    }
    modes(root)?;
    let cache = said(
        Command::new(root.join("usr/sbin/ldconfig"))
            .arg("-r")
            .arg(root)
            .output(),
    );
    cache.map_err(|said| ImageError::Step {
        doing: "index the image's libraries".to_string(),
        said,
    })?;
    remove(&root.join("var/cache"))
}

fn remove(path: &Path) -> Result<(), ImageError> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ImageError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Everyone may read, nobody but root may write where nothing is mounted, nothing changes who runs it.
fn modes(root: &Path) -> Result<(), ImageError> {
    for entry in WalkDir::new(root) {
        let entry = entry.map_err(|error| ImageError::file("read", root)(error.into()))?;
        if entry.file_type().is_symlink() {
            continue;
        }
        let path = entry.path();
        let mode = entry
            .metadata()
            .map_err(|error| ImageError::file("read", path)(error.into()))?
            .permissions()
            .mode();
        let wanted = match entry.file_type().is_dir() {
            true if OPEN.iter().any(|open| path == root.join(open)) => 0o1777,
            true => 0o755,
            false if mode & 0o100 != 0 => 0o755,
            false => 0o644,
        };
        if mode & 0o7777 != wanted {
            fs::set_permissions(path, Permissions::from_mode(wanted))
                .map_err(ImageError::file("set the mode of", path))?;
        }
    }
    Ok(())
}

/// Compiles every module, with the paths that it has inside of the image.
pub(super) fn compile(root: &Path, spec: &ImageSpec) -> Result<(), ImageError> {
    let library = root.join("usr/lib").join(format!("python{}", spec.python));
    let packages = root.join("usr/lib/python3");
    for folder in [&library, &packages] {
        forget_byte_code(folder)?;
    }
    let (loader, libraries) = loader(root, &spec.architecture)?;
    let mut compile = Command::new(loader);
    compile
        .arg("--library-path")
        .arg(libraries)
        .arg(root.join("usr/bin").join(format!("python{}", spec.python)));
    // As a file, so that nothing but the library itself is on the path.
    compile
        .args(["-S", "-s", "-B"])
        .arg(library.join("compileall.py"));
    compile
        .args(["-qq", "-f", "--invalidation-mode", "unchecked-hash", "-s"])
        .arg(root)
        .args(["-p", "/"]);
    compile
        .arg(&library)
        .arg(&packages)
        .env_clear()
        .current_dir(root);
    compile
        .env("PYTHONHOME", root.join("usr"))
        .env("PYTHONHASHSEED", "0")
        .env("LC_ALL", "C.UTF-8");
    // It also ends with 1 where a package brings templates that are no Python.
    let output = said(compile.output()).err().unwrap_or_default();
    let packages = root.join(wheels::PACKAGES).join("pytest/__pycache__");
    for proof in [library.join("__pycache__"), packages] {
        if !proof.is_dir() {
            let said = format!("`{}` was not made: {output}", proof.display());
            return Err(ImageError::Step {
                doing: "compile the image's Python".to_string(),
                said,
            });
        }
    }
    Ok(())
}

/// The image's own loader and where it looks for libraries.
fn loader(root: &Path, architecture: &str) -> Result<(PathBuf, PathBuf), ImageError> {
    let libraries = root.join(format!("usr/lib/{architecture}-linux-gnu"));
    let name = match architecture {
        "x86_64" => "ld-linux-x86-64.so.2",
        "aarch64" => "ld-linux-aarch64.so.1",
        other => {
            let said = format!("images for `{other}` are not known");
            return Err(ImageError::Step {
                doing: "start the image's Python".to_string(),
                said,
            });
        }
    };
    Ok((libraries.join(name), libraries))
}

fn forget_byte_code(folder: &Path) -> Result<(), ImageError> {
    let mut walk = WalkDir::new(folder).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| ImageError::file("read", folder)(error.into()))?;
        if entry.file_type().is_dir() && entry.file_name() == "__pycache__" {
            remove(entry.path())?;
            walk.skip_current_dir();
        }
    }
    Ok(())
}

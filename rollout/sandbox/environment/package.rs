//! A package from the index becomes a clean source tree, with what it declares to need beside it.
//!
//! In: `cachetools==6.1.0`. Out: its source archive, unpacked, with the folder that goes on the path and the folders
//! that hold tests. What its metadata requires, to run and to test, lies in `site-packages` of the same tree, from wheels:
//! every package has an environment of its own, which goes with its tasks. Fetched once; a second call needs no network.
//!
//! Nothing of a package is run for it, neither its own build nor that of a dependency (see `package/index.py`): its code
//! runs in the sandbox alone. Nor does its code choose what is fetched: a module that a test misses and the package does
//! not declare stays missing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data::trust::{self, Untrusted};
use serde::{Deserialize, Serialize};

use crate::environment::python::{PythonEnv, PythonError, lock};
use crate::{Job, Limits, Runner, Select};

mod archive;
mod declared;
mod index;

pub use declared::Requirements;
pub use index::SITE_PACKAGES;

use index::Index;

/// A package that cannot be had, or cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Not of the form `name==version`.
    #[error(
        "`{0}` is no package with an exact version{hint}",
        hint = data::Aside("`cachetools==6.1.0`")
    )]
    Spec(String),
    /// pip cannot fetch it.
    #[error(
        "cannot fetch `{spec}`: {said}{}",
        data::Aside("the first run needs a package index")
    )]
    Fetch {
        /// The package.
        spec: String,
        /// The last lines of what pip said.
        said: String,
    },
    /// Its archive holds something that no honest source archive holds.
    #[error("the archive of `{spec}` is refused: {why}")]
    Archive {
        /// The package.
        spec: String,
        /// The entry and the reason.
        why: String,
    },
    /// What a repository declares cannot be read.
    #[error("what `{repo}` declares to need cannot be read: {said}")]
    Declared {
        /// The repository.
        repo: String,
        /// What is wrong.
        said: String,
    },
    /// It has no tests.
    #[error("the archive of `{spec}` holds no tests")]
    NoTests {
        /// The package.
        spec: String,
    },
    /// What its tests need cannot be had.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The cache is in the hands of others.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// A file of the cache.
    #[error("cannot {doing} `{path}`: {source}")]
    File {
        /// `unpack`, `rename`, …
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// The clean source tree of one version of one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// `name==version`.
    pub spec: String,
    /// The unpacked archive.
    pub tree: PathBuf,
    /// Folders below the tree that go on the path: `src` or `.`.
    pub python_path: Vec<String>,
    /// Folders and files below the tree that hold tests.
    pub tests: Vec<String>,
}

impl Package {
    /// Fetches and unpacks `spec` below `cache` with what it requires, or finds it there. `say` hears what was fetched.
    ///
    /// # Errors
    ///
    /// When there is no such version, no network on the first call, the archive is refused, or something that it requires
    /// has no wheel.
    pub fn fetch(
        spec: &str,
        cache: &Path,
        python: &PythonEnv,
        say: &dyn Fn(&str),
    ) -> Result<Package, PackageError> {
        // Wheels may be for one Python alone.
        let name = format!("{}-py{}", folder_name(spec)?, python.minor_version());
        let cache = trust::private_folder(cache)?;
        let _lock = lock(&cache.join(format!("{name}.lock")))?;
        let tree = cache.join(&name);
        // The tree is renamed into its place when it is whole, so being there is being complete.
        if !tree.is_dir() {
            let work = cache.join(format!(".{name}.tmp-{}", std::process::id()));
            fs::remove_dir_all(&work).ok();
            let index = Index {
                spec,
                python,
                reviews: &cache,
                only: None,
                say,
            };
            let made = fetch_into(&index, &work, &tree);
            fs::remove_dir_all(&work).ok();
            made?;
        }
        Package::open(spec, &tree)
    }

    /// Looks at a tree that is already unpacked, e.g. a checkout.
    ///
    /// # Errors
    ///
    /// When it holds no tests.
    pub fn open(spec: &str, tree: &Path) -> Result<Package, PackageError> {
        let tests = find_tests(tree);
        if tests.is_empty() {
            return Err(PackageError::NoTests {
                spec: spec.to_string(),
            });
        }
        let folder = if holds_modules(&tree.join("src")) {
            "src"
        } else {
            "."
        };
        let mut python_path = vec![folder.to_string()];
        if tree.join(SITE_PACKAGES).is_dir() {
            python_path.push(SITE_PACKAGES.to_string());
        }
        Ok(Package {
            spec: spec.to_string(),
            tree: tree.to_path_buf(),
            python_path,
            tests,
        })
    }

    /// A job that runs the whole suite on the clean tree.
    pub fn suite(&self, limits: &Limits) -> Job {
        Job {
            tree: self.tree.clone(),
            changes: Vec::new(),
            runner: Runner::Pytest,
            python_path: self.python_path.clone(),
            select: Select::All,
            stop_at_first_failure: false,
            compared: false,
            limits: limits.clone(),
        }
    }
}

/// `name-version`, checked to be harmless as a file name and as an argument.
fn folder_name(spec: &str) -> Result<String, PackageError> {
    let plain = |text: &str| {
        text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "._-+!".contains(letter))
    };
    match spec.split_once("==") {
        Some((name, version)) if plain(name) && plain(version) => Ok(format!("{name}-{version}")),
        _ => Err(PackageError::Spec(spec.to_string())),
    }
}

fn fetch_into(index: &Index<'_>, work: &Path, tree: &Path) -> Result<(), PackageError> {
    let (unpacked, wheels) = (work.join("tree"), work.join("wheels"));
    for folder in [&unpacked, &wheels] {
        fs::create_dir_all(folder)
            .map_err(|source| file_error("make the folder", folder, source))?;
    }
    let archive = index.source(work)?;
    let refused = |why: String| PackageError::Archive {
        spec: index.spec.to_string(),
        why,
    };
    archive::unpack(&archive, &unpacked).map_err(refused)?;
    let target = unpacked.join(SITE_PACKAGES);
    if target.exists() {
        return Err(refused(format!(
            "it holds `{SITE_PACKAGES}`, where what it requires is put"
        )));
    }
    index.requirements(&unpacked, &wheels, &target)?;
    fs::rename(&unpacked, tree).map_err(|source| file_error("rename", &unpacked, source))
}

/// True for a folder with a package or a module directly in it.
fn holds_modules(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else {
        return false;
    };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        path.join("__init__.py").is_file() || path.extension().is_some_and(|ending| ending == "py")
    })
}

/// Folders that hold test files, parents without their children.
fn find_tests(tree: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![tree.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else {
            continue;
        };
        let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        if paths.iter().any(|path| is_test_file(path)) {
            let below = folder
                .strip_prefix(tree)
                .unwrap_or(&folder)
                .to_string_lossy()
                .into_owned();
            found.push(if below.is_empty() {
                ".".to_string()
            } else {
                below
            });
            continue;
        }
        let own =
            |path: &PathBuf| path.is_dir() && !path.is_symlink() && !path.ends_with(SITE_PACKAGES);
        folders.extend(paths.into_iter().filter(own));
    }
    found.sort();
    found
}

fn is_test_file(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"))
}

fn file_error(doing: &'static str, path: &Path, source: io::Error) -> PackageError {
    PackageError::File {
        doing,
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_names_one_version_and_nothing_else() {
        assert_eq!(
            folder_name("cachetools==6.1.0").unwrap(),
            "cachetools-6.1.0"
        );
        for wrong in ["cachetools", "a==1/../2", "--index-url==x", "a==", "a b==1"] {
            assert!(folder_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_package_requires_is_on_the_path_and_holds_no_tests_of_its_own() {
        let tree = tempfile::tempdir().expect("a folder");
        for file in [
            "src/money/__init__.py",
            "tests/test_a.py",
            "site-packages/other/tests/test_b.py",
        ] {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "").expect("writes");
        }
        let package = Package::open("money==1.0", tree.path()).expect("has tests");
        assert_eq!(
            (package.python_path, package.tests),
            (
                vec!["src".into(), "site-packages".into()],
                vec!["tests".into()]
            )
        );
    }
}

//! A package from the index becomes a clean source tree.
//!
//! In: `cachetools==6.1.0`. Out: its source archive, unpacked, with the folder that goes on the path and the folders
//! that hold tests. Fetched once; a second call needs no network.
//! Asking pip for a source archive runs that archive's own build script here, as `pip install` would: name only
//! packages that you would install. Its tests run in the sandbox.
//! A test that skips itself where a module is missing says nothing: name the module with [`PythonEnv::install`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::python::{PythonEnv, PythonError, lock, said};
use crate::sandbox::{Failure, Job, Limits, Runner, Sandbox, SandboxError, Select, TestRun};

mod archive;

/// Missing modules that are installed before a package is given up on.
const MAX_INSTALLS: usize = 8;

/// Modules whose distribution has another name.
const DISTRIBUTIONS: [(&str, &str); 6] = [
    ("yaml", "PyYAML"),
    ("dateutil", "python-dateutil"),
    ("attr", "attrs"),
    ("bs4", "beautifulsoup4"),
    ("dotenv", "python-dotenv"),
    ("pytest_asyncio", "pytest-asyncio"),
];

/// A package that cannot be had, or cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Not of the form `name==version`.
    #[error("`{0}` is no package with an exact version (hint: `cachetools==6.1.0`)")]
    Spec(String),
    /// pip cannot fetch it.
    #[error("cannot fetch `{spec}`: {said} (hint: the first run needs a package index)")]
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
    /// It has no tests.
    #[error("the archive of `{spec}` holds no tests")]
    NoTests {
        /// The package.
        spec: String,
    },
    /// What its tests need cannot be had.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
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
    /// Fetches and unpacks `spec` below `cache`, or finds it there.
    ///
    /// # Errors
    ///
    /// When there is no such version, no network on the first call, or the archive is refused.
    pub fn fetch(spec: &str, cache: &Path, python: &PythonEnv) -> Result<Package, PackageError> {
        let name = folder_name(spec)?;
        fs::create_dir_all(cache).map_err(|source| file_error("make the folder", cache, source))?;
        let cache = cache.canonicalize().map_err(|source| file_error("find", cache, source))?;
        let _lock = lock(&cache.join(format!("{name}.lock")))?;
        let tree = cache.join(&name);
        // The tree is renamed into its place when it is whole, so being there is being complete.
        if !tree.is_dir() {
            let work = cache.join(format!(".{name}.tmp-{}", std::process::id()));
            fs::remove_dir_all(&work).ok();
            let made = fetch_into(spec, &work, &tree, python);
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
            return Err(PackageError::NoTests { spec: spec.to_string() });
        }
        let folder = if holds_modules(&tree.join("src")) { "src" } else { "." };
        Ok(Package { spec: spec.to_string(), tree: tree.to_path_buf(), python_path: vec![folder.to_string()], tests })
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

    /// Runs the whole suite; where a test cannot be imported because a module is missing, installs that module and
    /// runs again. Returns the last run and what was installed: what the package's tests need and do not declare.
    ///
    /// # Errors
    ///
    /// When the sandbox fails or a module cannot be installed.
    pub fn run_suite(
        &self,
        sandbox: &dyn Sandbox,
        python: &PythonEnv,
        limits: &Limits,
    ) -> Result<(TestRun, Vec<String>), PackageError> {
        let mut installed: Vec<String> = Vec::new();
        loop {
            let run = sandbox.run(&self.suite(limits))?;
            let missing = run.first_failure.as_ref().and_then(missing_module).filter(|module| !self.holds(module));
            match missing.map(|module| distribution(&module)) {
                Some(wanted) if !installed.contains(&wanted) && installed.len() < MAX_INSTALLS => {
                    python.install(&self.spec, std::slice::from_ref(&wanted))?;
                    installed.push(wanted);
                }
                _ => return Ok((run, installed)),
            }
        }
    }

    /// True where the package itself has the module: then it is not missing but broken.
    fn holds(&self, module: &str) -> bool {
        self.python_path.iter().any(|folder| {
            let folder = self.tree.join(folder);
            folder.join(module).is_dir() || folder.join(format!("{module}.py")).is_file()
        })
    }
}

/// The top-level module that a failed import asked for.
pub fn missing_module(failure: &Failure) -> Option<String> {
    if failure.exception != "ModuleNotFoundError" {
        return None;
    }
    let name = failure.message.strip_prefix("No module named '")?.split('\'').next()?;
    let top = name.split('.').next()?;
    (!top.is_empty() && top.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_'))
        .then(|| top.to_string())
}

/// What to install for a module.
fn distribution(module: &str) -> String {
    let known = DISTRIBUTIONS.iter().find(|(name, _)| *name == module);
    known.map_or(module, |(_, distribution)| distribution).to_string()
}

/// `name-version`, checked to be harmless as a file name and as an argument.
fn folder_name(spec: &str) -> Result<String, PackageError> {
    let plain = |text: &str| {
        text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-+!".contains(letter))
    };
    match spec.split_once("==") {
        Some((name, version)) if plain(name) && plain(version) => Ok(format!("{name}-{version}")),
        _ => Err(PackageError::Spec(spec.to_string())),
    }
}

fn fetch_into(spec: &str, work: &Path, tree: &Path, python: &PythonEnv) -> Result<(), PackageError> {
    let unpacked = work.join("tree");
    fs::create_dir_all(&unpacked).map_err(|source| file_error("make the folder", work, source))?;
    let name = spec.split("==").next().unwrap_or(spec);
    let mut pip = Command::new(python.program());
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    pip.args(["--no-binary", name, "--dest"]).arg(work).arg(spec);
    said(pip.output()).map_err(|said| PackageError::Fetch { spec: spec.to_string(), said })?;
    let archives = fs::read_dir(work).map_err(|source| file_error("read", work, source))?;
    let archive = archives.flatten().map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with(".tar.gz"));
    let archive = archive.ok_or_else(|| {
        let said = "the index offers no `.tar.gz` source archive".to_string();
        PackageError::Fetch { spec: spec.to_string(), said }
    })?;
    archive::unpack(&archive, &unpacked).map_err(|why| PackageError::Archive { spec: spec.to_string(), why })?;
    fs::rename(&unpacked, tree).map_err(|source| file_error("rename", &unpacked, source))
}

/// True for a folder with a package or a module directly in it.
fn holds_modules(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else { return false };
    entries
        .flatten()
        .map(|entry| entry.path())
        .any(|path| path.join("__init__.py").is_file() || path.extension().is_some_and(|ending| ending == "py"))
}

/// Folders that hold test files, parents without their children.
fn find_tests(tree: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![tree.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else { continue };
        let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        if paths.iter().any(|path| is_test_file(path)) {
            let below = folder.strip_prefix(tree).unwrap_or(&folder).to_string_lossy().into_owned();
            found.push(if below.is_empty() { ".".to_string() } else { below });
            continue;
        }
        folders.extend(paths.into_iter().filter(|path| path.is_dir() && !path.is_symlink()));
    }
    found.sort();
    found
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"))
}

fn file_error(doing: &'static str, path: &Path, source: io::Error) -> PackageError {
    PackageError::File { doing, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_names_one_version_and_nothing_else() {
        assert_eq!(folder_name("cachetools==6.1.0").unwrap(), "cachetools-6.1.0");
        for wrong in ["cachetools", "a==1/../2", "--index-url==x", "a==", "a b==1"] {
            assert!(folder_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_missing_module_is_read_from_the_failure() {
        let failure = |exception: &str, message: &str| Failure {
            test: "tests/test_a.py".to_string(),
            exception: exception.to_string(),
            message: message.to_string(),
            ..Failure::default()
        };
        let missing = failure("ModuleNotFoundError", "No module named 'yaml.loader'");
        assert_eq!(missing_module(&missing).map(|module| distribution(&module)), Some("PyYAML".to_string()));
        assert_eq!(missing_module(&failure("ImportError", "No module named 'yaml'")), None);
    }
}

//! The Python that runs the tests: a virtual environment with one exact pytest.
//!
//! In: a cache folder. Out: a [`PythonEnv`] that imports pytest, made once and found again without a network.
//! Example: `PythonEnv::prepare(Path::new("cache"), &|line| eprintln!("{line}"))?`.
//! The environment variable `TRAIN_PYTHON` names a Python that already imports pytest; nothing is installed then.
//! A Python that others can change, or that looks for modules where others can write, is not started.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use data::trust::{self, Untrusted};
use serde::{Deserialize, Serialize};

use crate::environment::install::InstallConfig;
use crate::environment::install::InstallError;
use crate::image::{Image, ImageError};

/// Names a Python that already imports pytest.
pub const PYTHON_VARIABLE: &str = "TRAIN_PYTHON";

/// What is installed. The version is exact, because the fork server prepares pytest's own parts.
pub(crate) const PYTEST: &str = "pytest==8.4.2";

/// Prints what a sandbox has to show for this Python to work.
const PROBE: &str = r#"
import json, os, sys
try:
    import pytest
    version = pytest.__version__
except ImportError:
    version = None
real = os.path.realpath(sys.executable)
folders = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, os.path.dirname(os.path.dirname(real))]
path = [entry for entry in sys.path if os.path.isdir(entry) and entry != os.getcwd()]
folders += [os.path.realpath(folder) for folder in folders] + path
print(json.dumps({"program": sys.executable, "version": list(sys.version_info[:3]), "pytest": version,
    "folders": folders, "sys_path": path}))
"#;

/// Python is missing, too old, or something cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// No interpreter.
    #[error(
        "no Python 3.9 or newer was found: {tried}{}",
        data::Aside(
            "install it, e.g. `apt-get install python3 python3-venv`, or \
         name a Python that has pytest with `TRAIN_PYTHON=/path/to/python`"
        )
    )]
    Missing {
        /// What was tried and what it said.
        tried: String,
    },
    /// A virtual environment cannot be made.
    #[error(
        "cannot make a virtual environment: {said}{}",
        data::Aside("`apt-get install python3-venv`")
    )]
    Venv {
        /// The last lines of what Python said.
        said: String,
    },
    /// pip failed.
    #[error(
        "cannot install `{what}`: {said}{}",
        data::Aside(
            "the first run needs a package index; without one, name a Python that \
         has it with `TRAIN_PYTHON=/path/to/python`"
        )
    )]
    Install {
        /// The requirements.
        what: String,
        /// The last lines of what pip said.
        said: String,
    },
    /// pip failed so often that a person has to look at it.
    #[error(transparent)]
    Review(#[from] InstallError),
    /// It is in the hands of others.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The named Python does not import pytest.
    #[error("`{program}` does not import pytest{}", data::Aside(format_args!("`{} -m pip install {PYTEST}`", .program)))]
    NoPytest {
        /// The interpreter.
        program: String,
    },
    /// A file of the cache.
    #[error("cannot {doing} `{path}`: {source}")]
    File {
        /// `lock`, `write`, …
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// A Python that imports pytest.
#[derive(Clone, Debug)]
pub struct PythonEnv {
    found: Probe,
    /// The unpacked image that the interpreter is part of.
    image_root: Option<PathBuf>,
    installs: InstallConfig,
}

#[derive(Clone, Debug, Deserialize)]
struct Probe {
    program: PathBuf,
    version: (u32, u32, u32),
    pytest: Option<String>,
    folders: Vec<PathBuf>,
    sys_path: Vec<PathBuf>,
}

/// Written last: an environment without it is incomplete and made again.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Marker {
    pytest: String,
    python: (u32, u32, u32),
}

impl PythonEnv {
    /// Finds the environment below `cache`, or makes it. Several processes may ask at once; one makes it.
    ///
    /// # Errors
    ///
    /// When Python is missing or the first installation has no package index; each with a hint.
    pub fn prepare(cache: &Path, progress: &dyn Fn(&str)) -> Result<PythonEnv, PythonError> {
        if let Some(program) =
            std::env::var_os(PYTHON_VARIABLE).filter(|program| !program.is_empty())
        {
            return PythonEnv::existing(Path::new(&program));
        }
        let cache = trust::private_folder(cache)?;
        let base = find_python()?;
        let (major, minor, micro) = base.version;
        let name = format!(
            "python-{major}.{minor}.{micro}-{}",
            PYTEST.replace("==", "-")
        );
        let _lock = lock(&cache.join(format!("{name}.lock")))?;
        let home = cache.join(&name);
        let program = home.join("bin/python");
        let wanted = Marker {
            pytest: PYTEST.to_string(),
            python: base.version,
        };
        if read_marker(&home) == Some(wanted)
            && let Ok(found) = trusted(&program)
            && found.pytest.is_some()
        {
            return Ok(PythonEnv {
                found,
                image_root: None,
                installs: InstallConfig::default(),
            });
        }
        progress(&format!(
            "making a Python {major}.{minor} environment with {PYTEST} in `{}`",
            home.display()
        ));
        if home.exists() {
            fs::remove_dir_all(&home).map_err(|source| file_error("remove", &home, source))?;
        }
        let made = command(&base.program)
            .args(["-m", "venv"])
            .arg(&home)
            .output();
        said(made).map_err(|said| PythonError::Venv { said })?;
        pip_install(&program, PYTEST)?;
        let found = trusted(&program).map_err(|said| PythonError::Venv { said })?;
        if found.pytest.is_none() {
            return Err(PythonError::NoPytest {
                program: program.display().to_string(),
            });
        }
        let marker = Marker {
            pytest: PYTEST.to_string(),
            python: base.version,
        };
        let text = serde_json::to_vec(&marker).expect("a marker is plain data");
        write(&home.join("complete.json"), &text)?;
        Ok(PythonEnv {
            found,
            image_root: None,
            installs: InstallConfig::default(),
        })
    }

    /// A Python of the user's that already imports pytest. Nothing will be installed into it.
    ///
    /// # Errors
    ///
    /// When it does not start or does not import pytest.
    pub fn existing(program: &Path) -> Result<PythonEnv, PythonError> {
        let told = |said| PythonError::Missing {
            tried: format!("`{}`: {said}", program.display()),
        };
        let named = match program.components().count() {
            1 => on_path(&program.to_string_lossy()).map_err(told)?,
            _ => std::path::absolute(program).map_err(|error| told(error.to_string()))?,
        };
        if named.exists() {
            trust::code(&named)?;
        }
        let found = trusted(&named).map_err(told)?;
        if found.pytest.is_none() {
            return Err(PythonError::NoPytest {
                program: program.display().to_string(),
            });
        }
        Ok(PythonEnv {
            found,
            image_root: None,
            installs: InstallConfig::default(),
        })
    }

    /// The Python of an image, which has its pytest and gets nothing else. Its paths are those inside of the image.
    ///
    /// # Errors
    ///
    /// When the image cannot be unpacked.
    pub fn in_image(image: &Image) -> Result<PythonEnv, ImageError> {
        let root = image.root()?;
        let python = format!("python{}", image.manifest.spec.python);
        let library = Path::new("/usr/lib").join(&python);
        let found = Probe {
            program: Path::new("/usr/bin").join(&python),
            version: image.python_version(),
            pytest: image.manifest.python.get("pytest").cloned(),
            folders: Vec::new(),
            sys_path: vec![
                library.clone(),
                library.join("lib-dynload"),
                "/usr/lib/python3/dist-packages".into(),
            ],
        };
        Ok(PythonEnv {
            found,
            image_root: Some(root),
            installs: InstallConfig::default(),
        })
    }

    /// The unpacked image that this Python is part of, if any.
    pub fn image_root(&self) -> Option<&Path> {
        self.image_root.as_deref()
    }

    /// The interpreter.
    pub fn program(&self) -> &Path {
        &self.found.program
    }

    /// Folders that the interpreter and its packages need.
    pub fn folders(&self) -> &[PathBuf] {
        &self.found.folders
    }

    /// Where it looks for modules.
    pub fn sys_path(&self) -> &[PathBuf] {
        &self.found.sys_path
    }

    /// Versions of Python and pytest, for people and for what a run writes down.
    pub fn version(&self) -> String {
        let (major, minor, micro) = self.found.version;
        format!(
            "Python {major}.{minor}.{micro}, pytest {}",
            self.found.pytest.as_deref().unwrap_or("missing")
        )
    }

    /// The same environment, with these bounds on installations that fail.
    pub fn with_installs(self, installs: InstallConfig) -> Self {
        PythonEnv { installs, ..self }
    }

    /// The bounds on installations that fail.
    pub(crate) fn installs(&self) -> &InstallConfig {
        &self.installs
    }

    /// `3.11`.
    pub(crate) fn minor_version(&self) -> String {
        format!("{}.{}", self.found.version.0, self.found.version.1)
    }

    /// This Python, to be told what to run: it takes no module from the folder that we happen to be in.
    pub(crate) fn command(&self) -> Command {
        command(self.program())
    }
}

/// The first of the usual names that starts and is new enough.
fn find_python() -> Result<Probe, PythonError> {
    let mut tried = Vec::new();
    for name in ["python3", "python", "/usr/bin/python3"] {
        let found = match Path::new(name).is_absolute() {
            true => trusted(Path::new(name)),
            false => on_path(name).and_then(|program| trusted(&program)),
        };
        match found {
            Ok(found) if (found.version.0, found.version.1) >= (3, 9) => return Ok(found),
            Ok(found) => tried.push(format!(
                "`{name}` is {}.{}",
                found.version.0, found.version.1
            )),
            Err(said) => tried.push(format!("`{name}`: {said}")),
        }
    }
    Err(PythonError::Missing {
        tried: tried.join("; "),
    })
}

fn on_path(name: &str) -> Result<PathBuf, String> {
    let found = trust::program(name).map_err(|error| error.to_string())?;
    found.ok_or_else(|| "it is not on `PATH`".to_string())
}

/// Asks a Python what it is, if it and all that it loads are in no other hands.
fn trusted(program: &Path) -> Result<Probe, String> {
    let told = |error: Untrusted| error.to_string();
    trust::code(program).map_err(told)?;
    let text = said(command(program).args(["-c", PROBE]).output())?;
    let found: Probe = serde_json::from_str(text.trim()).map_err(|error| error.to_string())?;
    for path in [&found.program].into_iter().chain(&found.sys_path) {
        trust::code(path).map_err(told)?;
    }
    Ok(found)
}

/// A Python that takes no modules from where we are, nor from where the user's own programs have them.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir("/")
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME");
    command
}

/// Wheels alone: nothing of a package is run for its installation.
fn pip_install(program: &Path, requirement: &str) -> Result<(), PythonError> {
    let mut pip = command(program);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    said(pip.args(["--only-binary", ":all:", requirement]).output())
        .map(drop)
        .map_err(|said| PythonError::Install {
            what: requirement.to_string(),
            said,
        })
}

/// Standard output of a command that went well; otherwise the last lines of what it complained about.
pub(crate) fn said(output: io::Result<std::process::Output>) -> Result<String, String> {
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    Err(lines[lines.len().saturating_sub(3)..].join("; "))
}

/// Holds a file lock until dropped, across processes.
pub(crate) fn lock(path: &Path) -> Result<File, PythonError> {
    let file = File::create(path).map_err(|source| file_error("create", path, source))?;
    file.lock()
        .map_err(|source| file_error("lock", path, source))?;
    Ok(file)
}

fn read_marker(home: &Path) -> Option<Marker> {
    serde_json::from_slice(&fs::read(home.join("complete.json")).ok()?).ok()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PythonError> {
    data::file::write_whole(path, bytes)
        .map_err(|error| file_error("write", &error.path, error.source))
}

fn file_error(doing: &'static str, path: &Path, source: io::Error) -> PythonError {
    PythonError::File {
        doing,
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_python_is_told_with_a_hint() {
        let error = PythonEnv::existing(Path::new("/nowhere/python")).expect_err("is missing");
        assert!(error.to_string().contains("/nowhere/python"), "{error}");
        assert!(error.to_string().contains("hint:"), "{error}");
    }

    #[test]
    fn a_failed_command_tells_its_last_lines() {
        let output = Command::new("sh")
            .args([
                "-c",
                "echo one; echo two; echo three >&2; echo four >&2; exit 3",
            ])
            .output();
        assert_eq!(said(output), Err("two; three; four".to_string()));
    }
}

//! What a package index and a package's own words are asked for. The work is done by `index.py`, which runs nothing of
//! any package.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{PackageError, file_error};
use crate::python::{PythonEnv, PythonError, said};
use crate::watch::install::{InstallFault, Wish, until_review};

const SCRIPT: &str = include_str!("index.py");

/// The folder of a tree that holds what its package requires.
pub(super) const SITE_PACKAGES: &str = "site-packages";

/// One package, and the Python that it is fetched for.
pub(super) struct Index<'a> {
    /// `name==version`.
    pub spec: &'a str,
    pub python: &'a PythonEnv,
    /// Where it is written down that something cannot be fetched.
    pub reviews: &'a Path,
    pub say: &'a dyn Fn(&str),
}

#[derive(Deserialize)]
struct Source {
    archive: PathBuf,
}

#[derive(Deserialize)]
struct Wheels {
    wheels: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Unpacked {
    packages: BTreeMap<String, String>,
}

/// What a package declares.
#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Declared {
    /// Whether that is all that it needs to run.
    known: bool,
    run: Vec<String>,
    tests: Vec<String>,
    dev: Vec<String>,
}

impl Index<'_> {
    /// Fetches the source archive into `folder`.
    pub fn source(&self, folder: &Path) -> Result<PathBuf, PackageError> {
        let (name, version) = self.spec.split_once("==").unwrap_or((self.spec, ""));
        let answer = self.ask::<Source>(&["sdist", name, version, &text(folder)]);
        let failed = |said| PackageError::Fetch { spec: self.spec.to_string(), said };
        Ok(answer.map_err(failed)?.archive)
    }

    /// Fetches what the package in `tree` declares, and unpacks it at `target`. Where there is nothing, nothing is made.
    pub fn requirements(&self, tree: &Path, wheels: &Path, target: &Path) -> Result<(), PackageError> {
        let Declared { run, tests, dev, .. } = self.declared(tree, wheels)?;
        // What somebody needs who works on it is more than its tests need, and may need each other's absence.
        let tests = if tests.is_empty() { dev } else { tests };
        let all: Vec<String> = run.iter().chain(&tests).cloned().collect();
        let wanted = match self.wheels(wheels, &all) {
            Ok(()) => all,
            Err(said) if !tests.is_empty() && InstallFault::of(&said) == InstallFault::Resolve => {
                let left_out = tests.join(" ");
                (self.say)(&format!("{}: its tests go without `{left_out}`, of which no wheels fit: {said}", self.spec));
                self.until_review(wheels, &run)?;
                run
            }
            Err(_) => {
                self.until_review(wheels, &all)?;
                all
            }
        };
        if wanted.is_empty() {
            return Ok(());
        }
        let failed = |said| PackageError::Fetch { spec: self.spec.to_string(), said };
        let unpacked = self.ask::<Unpacked>(&["unpack", &text(wheels), &text(target)]).map_err(failed)?;
        if !unpacked.packages.is_empty() {
            let list: Vec<String> = unpacked.packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
            (self.say)(&format!("{}: with what it declares to need: {}", self.spec, list.join(", ")));
        }
        Ok(())
    }

    /// What the source archive declares; where it leaves that to its build, what its wheel declares.
    fn declared(&self, tree: &Path, wheels: &Path) -> Result<Declared, PackageError> {
        let name = self.spec.split("==").next().unwrap_or(self.spec);
        let refused = |why| PackageError::Archive { spec: self.spec.to_string(), why };
        let declared = self.ask::<Declared>(&["declared", name, &text(tree)]).map_err(refused)?;
        if declared.known {
            return Ok(declared);
        }
        let own = wheels.with_extension("own");
        fs::create_dir_all(&own).map_err(|source| file_error("make the folder", &own, source))?;
        match self.ask::<Wheels>(&["wheel", &text(&own), self.spec]) {
            Ok(Wheels { wheels }) if wheels.len() == 1 => {
                self.ask::<Declared>(&["declared", name, &text(tree), &text(&wheels[0])]).map_err(refused)
            }
            Err(said) if InstallFault::of(&said) != InstallFault::Resolve => {
                Err(PackageError::Fetch { spec: self.spec.to_string(), said })
            }
            _ => {
                (self.say)(&format!(
                    "{}: its source archive leaves what it needs to its build, which is not run, and there is no wheel \
                     that tells",
                    self.spec
                ));
                Ok(declared)
            }
        }
    }

    fn wheels(&self, folder: &Path, requirements: &[String]) -> Result<(), String> {
        if requirements.is_empty() {
            return Ok(());
        }
        let folder = text(folder);
        let words: Vec<&str> =
            ["wheels", &folder].into_iter().chain(requirements.iter().map(String::as_str)).collect();
        self.ask::<Wheels>(&words).map(drop)
    }

    /// Tries again, and leaves what keeps failing to a person.
    fn until_review(&self, folder: &Path, requirements: &[String]) -> Result<(), PackageError> {
        let what = requirements.join(" ");
        // Another wish for another Python is another matter.
        let environment = format!("{} {} {what}", self.python.version(), self.python.program().display());
        let environment = blake3::hash(environment.as_bytes()).to_hex()[..16].to_string();
        let wish = Wish { repo: self.spec.to_string(), environment };
        let program = self.python.program().display();
        let command = format!("{program} -m pip download --only-binary :all: {what}");
        let mut fetch = || self.wheels(folder, requirements);
        let installs = self.python.installs();
        until_review(self.reviews, installs, &wish, &command, &mut fetch, &mut std::thread::sleep)
            .map_err(|error| PythonError::from(error).into())
    }

    fn ask<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, String> {
        let mut command = self.python.command();
        let answer = said(command.args(["-c", SCRIPT]).args(words).output())?;
        serde_json::from_str(answer.trim()).map_err(|error| error.to_string())
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

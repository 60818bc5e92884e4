//! What a package index and a package's own words are asked for. The work is done by `index.py`, which runs nothing of
//! any package.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{PackageError, file_error};
use crate::environment::install::{InstallFault, Wish, until_review};
use crate::environment::python::{PythonEnv, PythonError, said};

const SCRIPT: &str = include_str!("index.py");

/// The folder of a tree that holds what its package requires.
pub const SITE_PACKAGES: &str = "site-packages";

/// One package, and the Python that it is fetched for.
pub(super) struct Index<'a> {
    /// `name==version`.
    pub spec: &'a str,
    pub python: &'a PythonEnv,
    /// Where it is written down that something cannot be fetched.
    pub reviews: &'a Path,
    /// A folder of wheels that is taken instead of the index.
    pub only: Option<&'a Path>,
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
    /// What is no plain name, and is therefore not looked up.
    #[serde(default)]
    left_out: Vec<String>,
}

impl Declared {
    /// To run, and to test. What somebody needs who works on it is more than its tests need, and may need each other's
    /// absence, so it counts where there is nothing else.
    fn into_test(self) -> [Vec<String>; 2] {
        let tests = if self.tests.is_empty() {
            self.dev
        } else {
            self.tests
        };
        [self.run, tests]
    }
}

impl Index<'_> {
    /// Fetches the source archive into `folder`.
    pub fn source(&self, folder: &Path) -> Result<PathBuf, PackageError> {
        let (name, version) = self.spec.split_once("==").unwrap_or((self.spec, ""));
        let answer = self.ask::<Source>(&["sdist", name, version, &text(folder)]);
        let failed = |said| PackageError::Fetch {
            spec: self.spec.to_string(),
            said,
        };
        Ok(answer.map_err(failed)?.archive)
    }

    /// Fetches what the package in `tree` declares, and unpacks it at `target`. Where there is nothing, nothing is made.
    pub fn requirements(
        &self,
        tree: &Path,
        wheels: &Path,
        target: &Path,
    ) -> Result<(), PackageError> {
        let declared = self.declared(tree, wheels)?.into_test();
        self.unpacked(declared, wheels, target)
    }

    /// What a checkout declares, to run and to test; what is no plain name is told and left out.
    pub fn declared_in(&self, tree: &Path) -> Result<[Vec<String>; 2], PackageError> {
        let declared = self
            .ask::<Declared>(&["declared_in", self.spec, &text(tree)])
            .map_err(|said| PackageError::Declared {
                repo: self.spec.to_string(),
                said,
            })?;
        for one in &declared.left_out {
            (self.say)(&format!(
                "{}: its tests go without `{one}`, which is no plain name of a package",
                self.spec
            ));
        }
        Ok(declared.into_test())
    }

    /// Fetches requirements, and unpacks them at `target`.
    pub fn unpacked(
        &self,
        [run, tests]: [Vec<String>; 2],
        wheels: &Path,
        target: &Path,
    ) -> Result<(), PackageError> {
        let all: Vec<String> = run.iter().chain(&tests).cloned().collect();
        let wanted = match self.wheels(wheels, &all) {
            Ok(()) => all,
            Err(said)
                if !tests.is_empty()
                    && InstallFault::from_output(&said) == InstallFault::Resolve =>
            {
                let left_out = tests.join(" ");
                (self.say)(&format!(
                    "{}: its tests go without `{left_out}`, of which no wheels fit: {said}",
                    self.spec
                ));
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
        let failed = |said| PackageError::Fetch {
            spec: self.spec.to_string(),
            said,
        };
        let unpacked = self
            .ask::<Unpacked>(&["unpack", &text(wheels), &text(target)])
            .map_err(failed)?;
        if !unpacked.packages.is_empty() {
            let list: Vec<String> = unpacked
                .packages
                .iter()
                .map(|(name, version)| format!("{name} {version}"))
                .collect();
            (self.say)(&format!(
                "{}: with what it declares to need: {}",
                self.spec,
                list.join(", ")
            ));
        }
        Ok(())
    }

    /// What the source archive declares; where it leaves that to its build, what its wheel declares.
    fn declared(&self, tree: &Path, wheels: &Path) -> Result<Declared, PackageError> {
        let name = self.spec.split("==").next().unwrap_or(self.spec);
        let refused = |why| PackageError::Archive {
            spec: self.spec.to_string(),
            why,
        };
        let declared = self
            .ask::<Declared>(&["declared", name, &text(tree)])
            .map_err(refused)?;
        if declared.known {
            return Ok(declared);
        }
        let own = wheels.with_extension("own");
        fs::create_dir_all(&own).map_err(|source| file_error("make the folder", &own, source))?;
        match self.ask::<Wheels>(&["wheel", &text(&own), self.spec]) {
            Ok(Wheels { wheels }) if wheels.len() == 1 => self
                .ask::<Declared>(&["declared", name, &text(tree), &text(&wheels[0])])
                .map_err(refused),
            Err(said) if InstallFault::from_output(&said) != InstallFault::Resolve => {
                Err(PackageError::Fetch {
                    spec: self.spec.to_string(),
                    said,
                })
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
        let only = self.only.map(text);
        let mut words = match &only {
            Some(only) => vec!["wheels_from", only, &folder],
            None => vec!["wheels", &folder],
        };
        words.extend(requirements.iter().map(String::as_str));
        self.ask::<Wheels>(&words).map(drop)
    }

    /// Tries again, and leaves what keeps failing to a person.
    fn until_review(&self, folder: &Path, requirements: &[String]) -> Result<(), PackageError> {
        let what = requirements.join(" ");
        // Another wish for another Python is another matter.
        let environment = format!(
            "{} {} {what}",
            self.python.version(),
            self.python.program().display()
        );
        let environment = blake3::hash(environment.as_bytes()).to_hex()[..16].to_string();
        let wish = Wish {
            repo: self.spec.to_string(),
            environment,
        };
        let program = self.python.program().display();
        let command = format!("{program} -m pip download --only-binary :all: {what}");
        let mut fetch = || self.wheels(folder, requirements);
        let installs = self.python.installs();
        until_review(
            self.reviews,
            installs,
            &wish,
            &command,
            &mut fetch,
            &mut std::thread::sleep,
        )
        .map_err(|error| PythonError::from(error).into())
    }

    fn ask<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, String> {
        ask(self.python.command(), words)
    }
}

/// What `index.py` answers.
fn ask<T: DeserializeOwned>(mut python: Command, words: &[&str]) -> Result<T, String> {
    let answer = said(python.args(["-c", SCRIPT]).args(words).output())?;
    serde_json::from_str(answer.trim()).map_err(|error| error.to_string())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::python::command;

    /// A Python with pip, for what needs no network; none, said aloud, where there is none.
    fn python(promise: &str) -> Option<PathBuf> {
        let python = data::trust::program("python3").ok().flatten();
        let has_pip = |python: &PathBuf| {
            said(command(python).args(["-m", "pip", "--version"]).output()).is_ok()
        };
        let found = python.filter(has_pip);
        if found.is_none() {
            eprintln!("SKIPPED, not tested: {promise}: there is no Python with pip");
        }
        found
    }

    /// What a source archive with these files declares.
    fn declared(python: &Path, files: &[(&str, &str)]) -> Result<Declared, String> {
        let tree = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = tree.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("writes");
        }
        ask(command(python), &["declared", "money", &text(tree.path())])
    }

    fn of(known: bool, run: &[&str], tests: &[&str], dev: &[&str]) -> Result<Declared, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
        Ok(Declared {
            known,
            run: owned(run),
            tests: owned(tests),
            dev: owned(dev),
            left_out: Vec::new(),
        })
    }

    #[test]
    fn what_a_package_declares_is_read_from_its_own_words() {
        let Some(python) = python("what a package declares is read") else {
            return;
        };
        let info = "Metadata-Version: 2.4\nName: money\nRequires-Dist: jaraco.functools\nRequires-Dist: typeguard>=4.0.1\n\
                    Requires-Dist: old; python_version < '3'\nRequires-Dist: hypothesis<7; extra == 'test'\n\
                    Requires-Dist: money[test]; extra == 'dev'\nRequires-Dist: ruff; extra == 'dev'\n\n";
        let groups = "[dependency-groups]\nTests = ['freezegun', {include-group = 'more'}]\nmore = ['PyYAML~=6.0']\n";
        let run = ["jaraco.functools", "typeguard>=4.0.1"];
        assert_eq!(
            declared(&python, &[("PKG-INFO", info)]),
            of(true, &run, &["hypothesis<7"], &["hypothesis<7", "ruff"])
        );
        assert_eq!(
            declared(&python, &[("PKG-INFO", info), ("pyproject.toml", groups)]),
            of(
                true,
                &run,
                &["PyYAML~=6.0", "freezegun", "hypothesis<7"],
                &["hypothesis<7", "ruff"]
            )
        );
        // Older archives keep it in a file of setuptools, or in `pyproject.toml` alone.
        let old = ("PKG-INFO", "Metadata-Version: 1.2\nName: money\n\n");
        let requires = "six>=1.9\n\n[:python_version < \"3\"]\nfutures\n\n[tests]\nmock\n";
        let egg = [
            old,
            ("src/money.egg-info/PKG-INFO", ""),
            ("src/money.egg-info/requires.txt", requires),
        ];
        assert_eq!(
            declared(&python, &egg),
            of(true, &["six>=1.9"], &["mock"], &[])
        );
        let project = "[project]\nname = 'money'\ndependencies = ['six']\n[project.optional-dependencies]\ntest = ['mock; python_version > \"3\"']\n";
        assert_eq!(
            declared(&python, &[old, ("pyproject.toml", project)]),
            of(true, &["six"], &["mock"], &[])
        );
        assert_eq!(
            declared(&python, &[old, ("setup.py", "raise SystemExit('is run')")]),
            of(false, &[], &[], &[])
        );
    }

    #[test]
    fn what_a_checkout_declares_is_found_wherever_it_is_written() {
        let Some(python) = python("what a checkout declares is found") else {
            return;
        };
        let files = [
            (
                "setup.cfg",
                "[options]\ninstall_requires =\n    six>=1.9\n[options.extras_require]\ntest = mock; python_version > '3'\n",
            ),
            (
                "setup.py",
                "from setuptools import setup\nNEEDED = ['attrs']\nsetup(install_requires=NEEDED, tests_require=['freezegun'])\nraise SystemExit('is run')\n",
            ),
            (
                "pyproject.toml",
                "[tool.poetry.dependencies]\npython = '^3.9'\nclick = '^8.1'\nrich = {version = '~13.2', optional = true}\n",
            ),
            (
                "requirements.txt",
                "idna==3.4 --hash=sha256:00  # why\n-e .\ngit+https://example.org/x.git\n",
            ),
            ("requirements/test.txt", "-r ../requirements.txt\npytz\n"),
        ];
        let tree = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = tree.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, content).expect("writes");
        }
        let words = ["declared_in", "money", &text(tree.path())];
        let found = ask::<Declared>(command(&python), &words).expect("reads");
        assert_eq!(found.left_out, ["git+https://example.org/x.git"]);
        let [run, tests] = found.into_test();
        assert_eq!(run, ["attrs", "click<9,>=8.1", "idna==3.4", "six>=1.9"]);
        assert_eq!(tests, ["freezegun", "idna==3.4", "mock", "pytz"]);
    }

    #[test]
    fn what_is_required_from_an_address_is_refused() {
        let Some(python) = python("what is required from an address is refused") else {
            return;
        };
        let info = "Metadata-Version: 2.4\nName: money\nRequires-Dist: evil @ https://example.org/evil.whl\n\n";
        let said = declared(&python, &[("PKG-INFO", info)]).expect_err("is refused");
        assert!(said.contains("evil") && said.contains("address"), "{said}");
    }

    #[test]
    fn nothing_of_a_package_is_built_or_run_even_where_pip_is_told_to() {
        let Some(python) = python("nothing of a package is run") else {
            return;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let (mark, evil) = (folder.path().join("mark"), folder.path().join("evil"));
        fs::create_dir(&evil).expect("a folder");
        fs::write(
            evil.join("setup.py"),
            format!("open({:?}, 'w')", text(&mark)),
        )
        .expect("writes");
        let wanted = format!("evil @ file://{}", evil.display());
        let answer = ask::<Wheels>(command(&python), &["wheels", &text(folder.path()), &wanted]);
        assert!(answer.is_err() && !mark.exists());
    }
}

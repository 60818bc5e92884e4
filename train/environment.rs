//! The sandbox that a run asked for.
//!
//! In: `[tests]` of the config. Out: a Python and the sandbox that runs it.
//! Example: `--sandbox docker --image images/3f2a…` loads the image into the engine where it is not there yet.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use data::task::Language;
use sandbox::Sandbox;
use sandbox::docker::{Docker, DockerOptions};
use sandbox::embedded::{Embedded, EmbeddedOptions};
use sandbox::environment::jest::JestEnv;
use sandbox::environment::python::PythonEnv;
use sandbox::image::{Image, ensure_in_engine};

use crate::config::{Config, SandboxKind};

/// A sandbox, its Python, and what tests run on.
pub struct Opened {
    /// Python and pytest.
    pub python: PythonEnv,
    /// The sandbox.
    pub sandbox: Arc<dyn Sandbox>,
    /// What a verdict rests on besides its task and its answer.
    pub environment: Environment,
}

/// What tests run on, in words that change with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The kind of sandbox, its image and its Python.
    pub python: String,
    /// And its jest, for those that it runs.
    pub jest: String,
}

impl Environment {
    /// Of tests in `language`.
    pub fn for_language(&self, language: Language) -> String {
        if language == Language::JavaScript {
            format!("{}, {}", self.python, self.jest)
        } else {
            self.python.clone()
        }
    }
}

/// Opens it.
///
/// # Errors
///
/// When Python or the image is missing, no engine answers, or a barrier cannot be raised here.
pub fn open(config: &Config, cache: &Path) -> Result<Opened> {
    let say = |line: &str| eprintln!("{line}");
    let prepared = || -> Result<PythonEnv> {
        let python =
            PythonEnv::prepare(cache, &say).context("while preparing Python for the sandbox")?;
        Ok(python.with_installs(config.watch.install.clone()))
    };
    let (image, workers) = (config.tests.image.as_deref(), config.data.workers);
    let kind = config.tests.sandbox;
    let folder = image
        .map(Path::new)
        .filter(|folder| kind == SandboxKind::Embedded || folder.is_dir());
    let built = folder.map(Image::open).transpose()?;
    let image_name = built
        .as_ref()
        .map(|image| image.manifest.digest.as_str())
        .or(image)
        .unwrap_or("none");
    let looks = if config.tests.evidence {
        ""
    } else {
        ", no evidence"
    };
    let named = |python: &PythonEnv, jest: Option<&str>| Environment {
        python: format!(
            "{}, image {image_name}, {}{looks}",
            kind.name(),
            python.version()
        ),
        jest: format!("jest {}", jest.unwrap_or("missing")),
    };
    // Without jest, tasks in JavaScript have no verdict, and say what to install.
    let jest = JestEnv::find().ok();
    match kind {
        SandboxKind::Embedded => {
            let python = match &built {
                Some(image) => PythonEnv::in_image(image)
                    .context("while preparing the image for the sandbox")?,
                None => prepared()?,
            };
            let init = std::env::current_exe().context("while looking for this program")?;
            let options = EmbeddedOptions {
                init,
                python: python.clone(),
                jest,
                workers,
            };
            let sandbox = Embedded::new(options).context("while starting the sandbox")?;
            if let Some(why) = sandbox.no_cgroup() {
                say(&format!(
                    "note: the kernel does not count what tests use, so it is looked at ten times a second: {why}"
                ));
            }
            let environment = named(&python, sandbox.jest_version());
            Ok(Opened {
                python,
                sandbox: Arc::new(sandbox),
                environment,
            })
        }
        SandboxKind::Docker => {
            let image = match &built {
                Some(image) => Some(ensure_in_engine(image)?),
                None => image.map(str::to_string),
            };
            let python = prepared()?;
            let limits = config.sandbox.clone();
            let options = DockerOptions {
                image,
                python: python.clone(),
                jest,
                workers,
                limits,
            };
            let sandbox = Docker::new(options).context("while starting the sandbox")?;
            let environment = named(&python, sandbox.jest_version());
            Ok(Opened {
                python,
                sandbox: Arc::new(sandbox),
                environment,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jest_counts_where_it_runs_the_tests() {
        let environment = Environment {
            python: "embedded".into(),
            jest: "jest 29".into(),
        };
        assert_eq!(
            (
                environment.for_language(Language::Python).as_str(),
                environment.for_language(Language::JavaScript).as_str()
            ),
            ("embedded", "embedded, jest 29")
        );
    }
}

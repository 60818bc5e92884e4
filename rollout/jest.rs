//! The jest that runs the tests of JavaScript tasks: Node.js, and a folder of modules with jest among them.
//!
//! In: the machine. Out: a [`JestEnv`] that a sandbox can show, or what to install.
//! Example: `JestEnv::find()?` takes Debian's jest from `/usr/share/nodejs`.
//! The environment variable `TRAIN_JEST` names another folder of modules, e.g. `/opt/jest/node_modules`. Nothing is
//! installed here: jest is taken as it is, and other versions than 29 are refused, because our parts fit into that one.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Names a folder of modules that holds jest.
pub const JEST_VARIABLE: &str = "TRAIN_JEST";

/// Where Debian and others put modules for everybody.
const PLACES: [&str; 3] = ["/usr/share/nodejs", "/usr/local/lib/node_modules", "/usr/lib/node_modules"];
/// Of these versions we know the parts that ours replace.
const MAJOR: &str = "29.";

/// There is no jest that we can use.
#[derive(Debug, thiserror::Error)]
#[error("{said} (hint: `apt-get install jest`, or name a folder of modules with `TRAIN_JEST=/path/to/node_modules`)")]
pub struct JestError {
    said: String,
}

/// Node.js and a folder of modules with jest among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JestEnv {
    node: PathBuf,
    modules: PathBuf,
    version: String,
}

/// What a sandbox is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JestPlaces {
    /// The program.
    node: PathBuf,
    /// Where it looks for modules, as `NODE_PATH` has it.
    path: String,
}

#[derive(Deserialize)]
struct Package {
    version: String,
}

impl JestEnv {
    /// The jest that `TRAIN_JEST` names, or else the first of the usual places.
    ///
    /// # Errors
    ///
    /// When there is no Node.js or no jest 29.
    pub fn find() -> Result<JestEnv, JestError> {
        let node = find_node().ok_or_else(|| JestError { said: "Node.js was not found on `PATH`".to_string() })?;
        if let Some(named) = std::env::var_os(JEST_VARIABLE).filter(|named| !named.is_empty()) {
            return JestEnv::existing(&node, Path::new(&named));
        }
        let mut tried = Vec::new();
        for place in PLACES {
            match JestEnv::existing(&node, Path::new(place)) {
                Ok(found) => return Ok(found),
                Err(JestError { said }) => tried.push(said),
            }
        }
        Err(JestError { said: format!("no jest was found: {}", tried.join("; ")) })
    }

    /// The jest of a folder of modules.
    ///
    /// # Errors
    ///
    /// When it holds none, or one of another major version.
    pub fn existing(node: &Path, modules: &Path) -> Result<JestEnv, JestError> {
        let told = |why: String| JestError { said: format!("`{}`: {why}", modules.display()) };
        let package = modules.join("@jest/core/package.json");
        let text = fs::read_to_string(&package).map_err(|_| told("there is no jest in it".to_string()))?;
        let Package { version } = serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
        if !version.starts_with(MAJOR) {
            return Err(told(format!("it holds jest {version}, and our parts fit into jest 29")));
        }
        let real = |path: &Path| path.canonicalize().map_err(|error| told(error.to_string()));
        Ok(JestEnv { node: real(node)?, modules: real(modules)?, version })
    }

    /// The version of jest, for people.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What a sandbox shows for it.
    pub(crate) fn binds(&self) -> Vec<PathBuf> {
        [vec![self.node.clone()], self.folders()].concat()
    }

    pub(crate) fn places(&self) -> JestPlaces {
        let path = self.folders().iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(":");
        JestPlaces { node: self.node.clone(), path }
    }

    /// Debian keeps what jest needs in more than one folder.
    fn folders(&self) -> Vec<PathBuf> {
        let beside = ["../../lib/nodejs", "../javascript"].map(|place| self.modules.join(place).canonicalize());
        std::iter::once(self.modules.clone()).chain(beside.into_iter().flatten()).collect()
    }
}

/// The first `node` of `PATH`, or the system's.
fn find_node() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")]);
    folders.map(|folder| folder.join("node")).find(|node| node.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_jest_and_another_jest_are_refused_with_a_hint() {
        let folder = std::env::temp_dir().join(format!("jest-places-{}", std::process::id()));
        let package = folder.join("@jest/core/package.json");
        fs::create_dir_all(package.parent().expect("a parent")).expect("a folder");
        let said = || JestEnv::existing(Path::new("/bin/sh"), &folder).map_err(|error| error.to_string());
        let none = said().expect_err("there is none");
        assert!(none.contains("no jest in it") && none.contains("apt-get install jest"), "{none}");
        fs::write(&package, r#"{"version": "30.0.1"}"#).expect("writes");
        assert!(said().expect_err("too new").contains("jest 30.0.1"));
        fs::write(&package, r#"{"version": "29.3.1", "name": "@jest/core"}"#).expect("writes");
        assert_eq!(said().expect("is taken").version(), "29.3.1");
        fs::remove_dir_all(folder).expect("cleans up");
    }
}

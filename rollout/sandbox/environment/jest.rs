//! The jest that runs the tests of JavaScript tasks: Node.js, and a folder of modules with jest among them.
//!
//! In: the machine, or an image. Out: a [`JestEnv`] that a sandbox can show, or what to install. A container of an image
//! looks for its own when it starts, at the usual places.
//! Example: `JestEnv::find()?` takes Debian's jest from `/usr/share/nodejs`.
//! The environment variable `TRAIN_JEST` names another folder of modules, e.g. `/opt/jest/node_modules`. Nothing is
//! installed here: jest is taken as it is, and other versions than 29 are refused, because our parts fit into that one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use data::trust;
use serde::{Deserialize, Serialize};

/// Names a folder of modules that holds jest.
pub const JEST_VARIABLE: &str = "TRAIN_JEST";

/// Where Debian and others put Node.js.
const NODES: [&str; 2] = ["/usr/bin/node", "/usr/local/bin/node"];
/// Where they put modules for everybody.
const PLACES: [&str; 3] = [
    "/usr/share/nodejs",
    "/usr/local/lib/node_modules",
    "/usr/lib/node_modules",
];
/// Of these versions we know the parts that ours replace.
const MAJOR: &str = "29.";

/// There is no jest that we can use.
#[derive(Debug, thiserror::Error)]
#[error(
    "{said}{}",
    data::Aside(format_args!("{}, or name a folder of modules with `TRAIN_JEST=/path/to/node_modules`", cure()))
)]
pub struct JestError {
    said: String,
}

/// Unpacks Debian's jest beside the Node.js that is there, and installs nothing: NodeSource's package of Node.js brings
/// its own npm, and Debian's packages that jest depends on are in conflict with it.
const UNPACK: &str = "mkdir -p ~/jest && cd ~/jest && apt-get download $(apt-cache depends --recurse \
    --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances jest | \
    grep -E '^(jest|node-|libjs-)' | sort -u) && for deb in *.deb; do dpkg -x $deb .; done; \
    export TRAIN_JEST=~/jest/usr/share/nodejs";

/// How this machine gets jest.
fn cure() -> String {
    let installed = Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", "nodejs"])
        .output();
    let version = installed
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    cure_beside(&version)
}

/// The same, for the version of the package `nodejs` that is installed; empty for none.
fn cure_beside(nodejs: &str) -> String {
    match nodejs.contains("nodesource") {
        true => format!(
            "`apt-get install jest` is in conflict with NodeSource's Node.js; this is not: `{UNPACK}`"
        ),
        false => "`apt-get install jest`".to_string(),
    }
}

/// Node.js and a folder of modules with jest among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JestEnv {
    node: PathBuf,
    modules: PathBuf,
    version: String,
    /// Folders that lie beside the modules.
    beside: Vec<PathBuf>,
}

/// What a sandbox is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JestPlaces {
    /// The program.
    node: PathBuf,
    /// Where it looks for modules, as `NODE_PATH` has it.
    path: String,
}

/// Where the runner of a container looks for Node.js and jest.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JestPlan {
    /// The first of these programs.
    nodes: Vec<PathBuf>,
    /// The first of these folders with a jest of the right version in it, each followed by those that it needs beside it.
    modules: Vec<Vec<PathBuf>>,
    /// How the right versions begin.
    major: &'static str,
}

/// What it found there.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JestFound {
    /// The version of jest.
    version: Option<String>,
    /// Or what is missing.
    missing: Option<String>,
}

impl JestFound {
    /// The version; or what is missing in containers of an image, or in those that are shown this machine's jest, with
    /// what to do.
    pub fn version_in(
        &self,
        image: Option<&str>,
        shown: Option<&JestEnv>,
    ) -> Result<String, String> {
        let missing = self.missing.as_deref().unwrap_or("there is no jest");
        let cannot = "cannot run tests in JavaScript";
        match (&self.version, image, shown) {
            (Some(version), _, _) => Ok(version.clone()),
            (None, Some(image), _) => {
                let hint = "`train image build --jest` makes one that can";
                Err(format!(
                    "the image `{image}` {cannot}: {missing}{}",
                    data::Aside(hint)
                ))
            }
            (None, None, Some(_)) => {
                let hint = "every user of this machine has to be able to read Node.js and jest";
                Err(format!(
                    "containers {cannot}: {missing}{}",
                    data::Aside(hint)
                ))
            }
            (None, None, None) => Err(no_jest()),
        }
    }
}

impl JestPlan {
    /// A jest of this machine, shown at its own places; without one nothing is looked for.
    pub fn shown(jest: Option<&JestEnv>) -> JestPlan {
        JestPlan {
            nodes: jest.iter().map(|jest| jest.node.clone()).collect(),
            modules: jest.iter().map(|jest| jest.folders()).collect(),
            major: MAJOR,
        }
    }

    /// Whatever an image has at the usual places.
    pub fn usual() -> JestPlan {
        let folders =
            |place: &str| [&[PathBuf::from(place)][..], &beside(Path::new(place))].concat();
        JestPlan {
            nodes: NODES.map(PathBuf::from).to_vec(),
            modules: PLACES.map(folders).to_vec(),
            major: MAJOR,
        }
    }
}

/// What is missing where a sandbox was made without jest.
pub(crate) fn no_jest() -> String {
    let said = JestEnv::find().err().map(|error| error.to_string());
    said.unwrap_or_else(|| {
        format!(
            "this sandbox was made without jest{}",
            data::Aside("jest was installed since; start again")
        )
    })
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
        let node = find_node().map_err(|said| JestError { said })?;
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
        Err(JestError {
            said: format!("no jest was found: {}", tried.join("; ")),
        })
    }

    /// The jest of a folder of modules.
    ///
    /// # Errors
    ///
    /// When it holds none, or one of another major version.
    pub fn existing(node: &Path, modules: &Path) -> Result<JestEnv, JestError> {
        let told = |why: String| JestError {
            said: format!("`{}`: {why}", modules.display()),
        };
        let version = version_in(modules).map_err(told)?;
        // What judges is in no hands but the user's and root's.
        let real = |path: &Path| trust::code(path).map_err(|error| told(error.to_string()));
        let (node, modules) = (real(node)?, real(modules)?);
        let beside = beside(&modules)
            .into_iter()
            .flat_map(|folder| trust::code(&folder))
            .collect();
        Ok(JestEnv {
            node,
            modules,
            version,
            beside,
        })
    }

    /// The jest of an unpacked image, which has nothing of this machine. Its paths are those inside of the image.
    ///
    /// # Errors
    ///
    /// What is missing, and what makes an image that has it.
    pub(crate) fn in_image(root: &Path) -> Result<JestEnv, String> {
        let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let told = |why: String| {
            let hint = "`train image build --jest` makes one that can";
            format!(
                "the image `{}` cannot run tests in JavaScript: {why}{}",
                root.display(),
                data::Aside(hint)
            )
        };
        // A link of the image may lead anywhere in it: whether it leads to a file is found out inside.
        let node = NODES
            .iter()
            .find(|node| inside(Path::new(node)).symlink_metadata().is_ok());
        let node =
            node.ok_or_else(|| told(format!("Node.js is at none of `{}`", NODES.join("`, `"))))?;
        let mut tried = Vec::new();
        for place in PLACES {
            match version_in(&inside(Path::new(place))) {
                Ok(version) => {
                    let modules = PathBuf::from(place);
                    let beside = beside(&modules)
                        .into_iter()
                        .filter(|folder| inside(folder).is_dir())
                        .collect();
                    return Ok(JestEnv {
                        node: PathBuf::from(node),
                        modules,
                        version,
                        beside,
                    });
                }
                Err(why) => tried.push(format!("`{place}`: {why}")),
            }
        }
        Err(told(tried.join("; ")))
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
        let path = self
            .folders()
            .iter()
            .map(|folder| folder.display().to_string())
            .collect::<Vec<_>>()
            .join(":");
        JestPlaces {
            node: self.node.clone(),
            path,
        }
    }

    fn folders(&self) -> Vec<PathBuf> {
        std::iter::once(&self.modules)
            .chain(&self.beside)
            .cloned()
            .collect()
    }
}

/// The version of the jest in a folder of modules, if our parts fit into it.
fn version_in(modules: &Path) -> Result<String, String> {
    let text = fs::read_to_string(modules.join("@jest/core/package.json"));
    let text = text.map_err(|_| "there is no jest in it".to_string())?;
    let Package { version } = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if version.starts_with(MAJOR) {
        return Ok(version);
    }
    Err(format!(
        "it holds jest {version}, and our parts fit into jest 29"
    ))
}

/// Debian keeps what jest needs in more than one folder.
fn beside(modules: &Path) -> [PathBuf; 2] {
    ["../../lib/nodejs", "../javascript"].map(|place| modules.join(place))
}

/// The first `node` of `PATH`, or the system's.
fn find_node() -> Result<PathBuf, String> {
    if let Some(node) = trust::program("node").map_err(|error| error.to_string())? {
        return Ok(node);
    }
    let usual = NODES
        .iter()
        .map(Path::new)
        .find(|node| trust::code(node).is_ok());
    usual
        .map(Path::to_path_buf)
        .ok_or_else(|| "Node.js was not found on `PATH`".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_jest_and_another_jest_are_refused_with_a_hint() {
        let folder = std::env::temp_dir().join(format!("jest-places-{}", std::process::id()));
        let package = folder.join("@jest/core/package.json");
        fs::create_dir_all(package.parent().expect("a parent")).expect("a folder");
        let said =
            || JestEnv::existing(Path::new("/bin/sh"), &folder).map_err(|error| error.to_string());
        let none = said().expect_err("there is none");
        assert!(
            none.contains("no jest in it") && none.contains("apt-get install jest"),
            "{none}"
        );
        fs::write(&package, r#"{"version": "30.0.1"}"#).expect("writes");
        assert!(said().expect_err("too new").contains("jest 30.0.1"));
        fs::write(&package, r#"{"version": "29.3.1", "name": "@jest/core"}"#).expect("writes");
        assert_eq!(said().expect("is taken").version(), "29.3.1");
        fs::remove_dir_all(folder).expect("cleans up");
    }

    #[test]
    fn beside_nodes_source_nothing_is_installed() {
        let beside = cure_beside("20.20.2-1nodesource1");
        assert!(
            beside.contains("apt-get download")
                && beside.contains("TRAIN_JEST=~/jest/usr/share/nodejs"),
            "{beside}"
        );
        assert!(!beside.contains("  ") && !beside.contains('\n'), "{beside}");
        assert_eq!(
            [cure_beside("18.20.4+dfsg-1"), cure_beside("")],
            ["`apt-get install jest`"; 2]
        );
    }

    #[test]
    fn an_image_has_its_own_jest_or_tells_what_it_misses() {
        let root = tempfile::tempdir().expect("a folder");
        let said = || JestEnv::in_image(root.path()).map_err(|error| error.to_string());
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("writes");
        };
        let none = said().expect_err("there is nothing");
        assert!(
            none.contains("Node.js is at none of `/usr/bin/node`")
                && none.contains("image build --jest"),
            "{none}"
        );
        write("etc/alternatives/x", "");
        fs::create_dir_all(root.path().join("usr/bin")).expect("a folder");
        std::os::unix::fs::symlink("/etc/alternatives/node", root.path().join("usr/bin/node"))
            .expect("a link");
        write(
            "usr/share/nodejs/@jest/core/package.json",
            r#"{"version": "27.5.1"}"#,
        );
        assert!(
            said()
                .expect_err("too old")
                .contains("`/usr/share/nodejs`: it holds jest 27.5.1")
        );
        write(
            "usr/share/nodejs/@jest/core/package.json",
            r#"{"version": "29.6.2"}"#,
        );
        write("usr/share/javascript/x.js", "");
        let found = said().expect("has jest");
        assert_eq!(found.version(), "29.6.2");
        assert_eq!(
            found.places().path,
            "/usr/share/nodejs:/usr/share/nodejs/../javascript"
        );
        assert_eq!(found.places().node, Path::new("/usr/bin/node"));
    }

    #[test]
    fn a_container_tells_its_jest_or_what_it_misses() {
        let found = |text: &str| serde_json::from_str::<JestFound>(text).expect("is told");
        let there =
            found(r#"{"node": "/usr/bin/node", "path": "/usr/share/nodejs", "version": "29.3.1"}"#);
        assert_eq!(
            there.version_in(Some("money:1"), None),
            Ok("29.3.1".to_string())
        );
        let missing = found(r#"{"missing": "there is no jest in `/usr/share/nodejs`"}"#);
        let said = missing
            .version_in(Some("money:1"), None)
            .expect_err("is missing");
        for part in [
            "`money:1`",
            "no jest in `/usr/share/nodejs`",
            "hint: `train image build --jest`",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}

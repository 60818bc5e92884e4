//! Root file systems without a registry: Debian packages and wheels become one folder, named by what it holds.
//!
//! In: an [`ImageSpec`]. Out: `DIR/<digest>/` with `rootfs.tar.zst` and `image.json`, and with `root/` where it was
//! unpacked for the embedded sandbox; all of it or nothing. The same spec is found again without a network.
//! Example: `build(&spec, &BuildOptions { out, .. }, &|line| eprintln!("{line}"))?.manifest.name()` is
//! `train-image:3f9a…`.
//!
//! An image is one set of dependencies. A task's repository and a model's patch are data: they are never part of it.
//! See `build` for the steps, `lint` for what no image may hold, `engine` for the way into Docker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use data::file::FileError;
use data::trust;
use serde::{Deserialize, Serialize};

mod build;
mod debian;
mod engine;
mod finish;
pub mod lint;
mod tree;
mod wheels;

pub use build::{BuildOptions, build, plan, work_folder};
pub use engine::{ensure_in_engine, import_into_engine};

use crate::environment::python::PYTEST;

/// The archive of an image.
const ARCHIVE: &str = "rootfs.tar.zst";
/// What an image is.
const MANIFEST: &str = "image.json";
/// The unpacked archive.
const ROOT: &str = "root";
/// Changes when the same spec would become another tree.
const RECIPE: u32 = 1;

/// Which release of Debian has which Python.
const SUITES: [(&str, &str); 3] = [
    ("3.9", "bullseye"),
    ("3.11", "bookworm"),
    ("3.13", "trixie"),
];
/// What every image holds: an interpreter, a shell, `timeout` and its like, and git.
const DEBIAN: [&str; 17] = [
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "git",
    "grep",
    "gzip",
    "libc-bin",
    "mawk",
    "patch",
    "procps",
    "python3",
    "sed",
    "tar",
];

/// An image that cannot be built, found or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The spec asks for something that cannot be.
    #[error("{0}")]
    Spec(String),
    /// A program of the host that is needed.
    #[error("`{program}` is not installed{}", data::Aside(format_args!("`{}`", .cure)))]
    Missing {
        /// Its name.
        program: &'static str,
        /// How to get it.
        cure: &'static str,
    },
    /// Debian's or Python's packages cannot be had.
    #[error("cannot install {what}, after {tries} of 3 tries: {said}{}", data::Aside(.hint))]
    Install {
        /// The packages.
        what: String,
        /// How often it was tried.
        tries: u32,
        /// The last lines of what the program said.
        said: String,
        /// What to do.
        hint: String,
    },
    /// A step over the unpacked tree.
    #[error("cannot {doing}: {said}")]
    Step {
        /// What was being done.
        doing: String,
        /// What the program said.
        said: String,
    },
    /// The finished tree is one that [`lint::lint`] refuses.
    #[error("the image would not pass `train image lint`: `{path}` {what}{}", data::Aside(.cure))]
    Finding {
        /// Where.
        path: String,
        /// What is wrong.
        what: String,
        /// What to do.
        cure: String,
    },
    /// No image, or not the one that was built.
    #[error(
        "`{path}` is no image: {why}{}",
        data::Aside("`train image build --out DIR` makes one")
    )]
    NoImage {
        /// The folder or archive.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// The Docker engine.
    #[error(
        "the Docker engine cannot {doing}: {said}{}",
        data::Aside("start Docker, or name its socket with `DOCKER_HOST`")
    )]
    Engine {
        /// What was asked of it.
        doing: String,
        /// Its answer.
        said: String,
    },
    /// A build that is not over, or none where one was to go on.
    #[error("{}", build::unfinished(out, work.as_deref()))]
    Unfinished {
        /// Where images lie.
        out: PathBuf,
        /// What an earlier build fetched.
        work: Option<PathBuf>,
    },
    /// Somebody asked it to.
    #[error("stopped before the image was made")]
    Stopped,
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl ImageError {
    fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImageError {
        let path = path.to_path_buf();
        move |source| {
            ImageError::File(FileError {
                doing,
                path,
                source,
            })
        }
    }
}

/// What an image is asked to hold, in one spelling: two specs that mean the same are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// The recipe of this program.
    pub recipe: u32,
    /// `x86_64`, …
    pub architecture: String,
    /// Debian's release.
    pub suite: String,
    /// Python's version, e.g. `3.11`.
    pub python: String,
    /// Debian's packages, without what they need themselves.
    pub debian: BTreeSet<String>,
    /// Distributions with exact versions, `name==version`, without what they need themselves.
    pub requirements: BTreeSet<String>,
}

impl ImageSpec {
    /// Reads what was asked for. pytest is always part of it.
    ///
    /// # Errors
    ///
    /// When no release of Debian has this Python, or a requirement names no exact version or two of them.
    pub fn new(
        python: &str,
        requirements: &[String],
        debian: &[String],
    ) -> Result<ImageSpec, ImageError> {
        let suite = SUITES
            .iter()
            .find(|(version, _)| *version == python)
            .map(|(_, suite)| *suite)
            .ok_or_else(|| {
                let known: Vec<String> = SUITES
                    .iter()
                    .map(|(version, suite)| format!("{version} ({suite})"))
                    .collect();
                ImageError::Spec(format!(
                    "no release of Debian has Python {python}{}",
                    data::Aside(format_args!("one of {}", known.join(", ")))
                ))
            })?;
        let mut versions: BTreeMap<String, String> = BTreeMap::new();
        for text in requirements.iter().map(String::as_str).chain([PYTEST]) {
            let (name, version) = requirement(text)?;
            if let Some(other) = versions.insert(name.clone(), version.clone())
                && other != version
            {
                let hint = if name == "pytest" {
                    "leave it out"
                } else {
                    "name one of them"
                };
                return Err(ImageError::Spec(format!(
                    "`{name}` is asked for as {other} and as {version}{}",
                    data::Aside(hint)
                )));
            }
        }
        if let Some(odd) = debian.iter().find(|name| !is_debian_name(name)) {
            return Err(ImageError::Spec(format!(
                "`{odd}` is no name of a Debian package{}",
                data::Aside("e.g. `libxml2`")
            )));
        }
        Ok(ImageSpec {
            recipe: RECIPE,
            architecture: std::env::consts::ARCH.to_string(),
            suite: suite.to_string(),
            python: python.to_string(),
            debian: DEBIAN
                .iter()
                .map(ToString::to_string)
                .chain(debian.iter().cloned())
                .collect(),
            requirements: versions
                .iter()
                .map(|(name, version)| format!("{name}=={version}"))
                .collect(),
        })
    }

    /// Names the spec, before anything is resolved.
    pub fn key(&self) -> String {
        hash_of(self)
    }
}

/// A program of this machine.
fn tool(program: &'static str, cure: &'static str) -> Result<PathBuf, ImageError> {
    let refused = |error: trust::Untrusted| ImageError::Step {
        doing: format!("start `{program}`"),
        said: error.to_string(),
    };
    trust::program(program)
        .map_err(refused)?
        .ok_or(ImageError::Missing { program, cure })
}

/// `name==version` in the spelling of the index: lower case, runs of `-_.` as one `-`.
fn requirement(text: &str) -> Result<(String, String), ImageError> {
    let refused = || {
        ImageError::Spec(format!(
            "`{text}` is no distribution with an exact version{}",
            data::Aside("e.g. `attrs==24.2.0`")
        ))
    };
    let (name, version) = text.split_once("==").ok_or_else(refused)?;
    let (name, version) = (normal_name(name.trim()), version.trim());
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    let exact = !version.contains(['*', '=', ',', ';', ' ']);
    let version: pep440_rs::Version = version.parse().map_err(|_| refused())?;
    if plain && exact && !name.starts_with('-') {
        Ok((name, version.to_string()))
    } else {
        Err(refused())
    }
}

/// The name of a distribution as the index spells it.
fn normal_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.chars().map(|letter| {
        if "-_.".contains(letter) {
            '-'
        } else {
            letter.to_ascii_lowercase()
        }
    }) {
        if letter != '-' || !normal.ends_with('-') {
            normal.push(letter);
        }
    }
    normal
}

fn is_debian_name(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        && name.chars().all(|letter| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "+-.".contains(letter)
        })
}

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Over the spec, all versions and the archive.
    pub digest: String,
    /// What was asked for.
    pub spec: ImageSpec,
    /// Every Debian package in it.
    pub debian: BTreeMap<String, String>,
    /// Every Python distribution in it.
    pub python: BTreeMap<String, String>,
    /// BLAKE3 of the archive before compression.
    pub archive: String,
    /// Size of that.
    pub archive_bytes: u64,
}

impl Manifest {
    fn new(
        spec: &ImageSpec,
        debian: BTreeMap<String, String>,
        python: BTreeMap<String, String>,
        packed: &tree::Packed,
    ) -> Manifest {
        let digest = hash_of(&(spec, &debian, &python, &packed.hash));
        let (archive, archive_bytes) = (packed.hash.clone(), packed.bytes);
        Manifest {
            digest,
            spec: spec.clone(),
            debian,
            python,
            archive,
            archive_bytes,
        }
    }

    /// The name of the image in an engine.
    pub fn name(&self) -> String {
        format!("train-image:{}", self.short())
    }

    /// Debian's version of Python without what Debian adds, e.g. `3.11.2`.
    fn python_version(&self) -> &str {
        python_version(&self.spec, &self.debian)
    }

    /// The first letters of the digest.
    pub fn short(&self) -> &str {
        &self.digest[..12.min(self.digest.len())]
    }
}

fn python_version<'a>(spec: &'a ImageSpec, debian: &'a BTreeMap<String, String>) -> &'a str {
    let package = debian
        .get(&format!("python{}", spec.python))
        .unwrap_or(&spec.python);
    package.split(['-', '+', '~']).next().unwrap_or(package)
}

fn hash_of<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_vec(value).expect("names and versions are plain data");
    blake3::hash(&text).to_hex().to_string()
}

/// An image on disk.
#[derive(Clone, Debug)]
pub struct Image {
    /// `DIR/<digest>`.
    pub folder: PathBuf,
    /// What it is.
    pub manifest: Manifest,
}

impl Image {
    /// Opens `DIR/<digest>`.
    ///
    /// # Errors
    ///
    /// When a file of it is missing or was written by another version.
    pub fn open(folder: &Path) -> Result<Image, ImageError> {
        let no_image = |why: String| ImageError::NoImage {
            path: folder.to_path_buf(),
            why,
        };
        let text = fs::read(folder.join(MANIFEST))
            .map_err(|error| no_image(format!("`{MANIFEST}`: {error}")))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| no_image(format!("`{MANIFEST}`: {error}")))?;
        if !folder.join(ARCHIVE).is_file() {
            return Err(no_image(format!("`{ARCHIVE}` is missing")));
        }
        // Its Python decides what tests say.
        let folder = trust::code(folder).map_err(|error| no_image(error.to_string()))?;
        Ok(Image { folder, manifest })
    }

    /// Looks for an image of this spec below `out`.
    pub fn find(out: &Path, spec: &ImageSpec) -> Option<Image> {
        Image::list(out)
            .into_iter()
            .find(|image| image.manifest.spec == *spec)
    }

    /// All images below `out`, by their digest.
    pub fn list(out: &Path) -> Vec<Image> {
        let Ok(entries) = fs::read_dir(out) else {
            return Vec::new();
        };
        let hidden = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        };
        let folders = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| !hidden(path));
        let mut images: Vec<Image> = folders
            .filter_map(|folder| Image::open(&folder).ok())
            .collect();
        images.sort_by(|one, other| one.manifest.digest.cmp(&other.manifest.digest));
        images
    }

    /// The version of the image's Python.
    pub fn python_version(&self) -> (u32, u32, u32) {
        let text = self.manifest.python_version();
        let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next())
    }

    /// The compressed archive.
    pub fn archive(&self) -> PathBuf {
        self.folder.join(ARCHIVE)
    }

    /// The unpacked tree inside of the image's folder; made by the first who asks.
    ///
    /// # Errors
    ///
    /// When the archive is not the one that was built, or the disk is full.
    pub fn root(&self) -> Result<PathBuf, ImageError> {
        let root = self.folder.join(ROOT);
        if !root.is_dir() {
            self.unpack_into(&root)?;
        }
        Ok(root)
    }

    /// Unpacks the archive into a new folder, whole or not at all.
    ///
    /// # Errors
    ///
    /// When the folder is there already, the archive is not the one that was built, or the disk is full.
    pub fn unpack_into(&self, root: &Path) -> Result<(), ImageError> {
        if root.exists() {
            let why = format!(
                "`{}` is there already{}",
                root.display(),
                data::Aside("choose another folder")
            );
            return Err(ImageError::Step {
                doing: format!("unpack {}", self.manifest.name()),
                said: why,
            });
        }
        let beside = root
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(beside).map_err(ImageError::file("make the folder", beside))?;
        let work = tempfile::Builder::new()
            .prefix(".unpacking-")
            .tempdir_in(beside);
        let work = work.map_err(ImageError::file("make a folder in", beside))?;
        let unpacked = work.path().join(ROOT);
        let hash = tree::unpack(&self.archive(), &unpacked)?;
        if hash != self.manifest.archive {
            let why = format!(
                "its content has hash {hash}, {} was built",
                self.manifest.archive
            );
            return Err(ImageError::NoImage {
                path: self.archive(),
                why,
            });
        }
        match fs::rename(&unpacked, root) {
            // Somebody else was faster, with the same tree.
            Err(_) if root.is_dir() => Ok(()),
            renamed => renamed.map_err(ImageError::file("rename", root)),
        }
    }
}

#[cfg(test)]
mod tests;

//! What no image may hold: the answer, a way to it, or a way out.
//!
//! In: a root file system. Out: findings, each with a path and a cure. A repository may know one commit and no other
//! object, name and place; the package under test may not lie there in a newer release, nor as byte code of one; no
//! file may raise privileges or be rewritten; and nothing may load itself into every start of Python or pytest.
//! Example: `lint(root, &LintOptions { package: Some("toolz==1.0.0".parse()?), ..Default::default() })?`.
//!
//! Nothing of the image is run. git is asked about its repositories from outside, with plumbing that starts no hook,
//! no filter and no transport.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use pep440_rs::Version;
use serde::Serialize;
use tempfile::TempDir;
use walkdir::{DirEntry, WalkDir};

use super::{Image, ImageError, ImageSpec, MANIFEST, ROOT, engine, normal_name, requirement, tree};

mod bytecode;
mod files;
mod git;
mod python;

/// One thing that no image may hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Which rule, e.g. `git-history`.
    pub rule: &'static str,
    /// Where, from the root of the image.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub cure: String,
}

/// One version of one distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    name: String,
    version: Version,
}

impl FromStr for Pinned {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let (name, version) = requirement(text)?;
        let version = version
            .parse()
            .map_err(|_| ImageError::Spec(format!("`{version}` is no version")))?;
        Ok(Pinned { name, version })
    }
}

/// What an image is held against.
#[derive(Clone, Debug, Default)]
pub struct LintOptions {
    /// The package under test, in the version that is repaired.
    pub package: Option<Pinned>,
    /// Distributions, `.pth` files and modules that may load themselves into Python or pytest.
    pub allow: BTreeSet<String>,
}

impl LintOptions {
    /// What was asked for by name may be there.
    pub fn for_spec(spec: &ImageSpec) -> LintOptions {
        let names = spec
            .requirements
            .iter()
            .filter_map(|requirement| requirement.split("==").next());
        LintOptions {
            package: None,
            allow: names.map(normal_name).collect(),
        }
    }

    fn allows(&self, name: &str) -> bool {
        self.allow.contains(name) || self.allow.contains(&normal_name(name))
    }
}

/// Collects findings with paths as they are inside of the image.
struct Findings<'a> {
    root: &'a Path,
    found: Vec<Finding>,
}

impl Findings<'_> {
    /// The path as it is inside of the image.
    fn shown(&self, path: &Path) -> String {
        format!(
            "/{}",
            path.strip_prefix(self.root).unwrap_or(path).display()
        )
    }

    fn add(
        &mut self,
        rule: &'static str,
        path: &Path,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let path = self.shown(path);
        self.found.push(Finding {
            rule,
            path,
            what: what.into(),
            cure: cure.into(),
        });
    }
}

/// Looks at every file below `root`.
///
/// # Errors
///
/// When the tree cannot be read, or holds a repository and git is not installed.
pub fn lint(root: &Path, options: &LintOptions) -> Result<Vec<Finding>, ImageError> {
    let mut findings = Findings {
        root,
        found: Vec::new(),
    };
    let mut repositories = Vec::new();
    let engine_made = |entry: &DirEntry| {
        entry.depth() == 1
            && ["proc", "sys", "dev"]
                .iter()
                .any(|name| entry.file_name() == *name)
    };
    let walk = WalkDir::new(root)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter();
    for entry in walk.filter_entry(|entry| !engine_made(entry)) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_path_buf();
            ImageError::file("read", &path)(error.into())
        })?;
        files::check(&entry, &mut findings)?;
        python::check(&entry, options, &mut findings)?;
        bytecode::check(&entry, &mut findings)?;
        repositories.extend(git::repository(&entry, &mut findings));
    }
    for repository in repositories {
        git::check(&repository, &mut findings)?;
    }
    findings.found.sort();
    findings.found.dedup();
    Ok(findings.found)
}

/// What [`lint`] can look at: a folder, an archive, a built image, or the name of an image in the engine.
pub struct Subject {
    /// Root file systems, in the order in which they are looked at.
    pub roots: Vec<PathBuf>,
    /// What its spec allows, where it is an image of ours.
    pub allow: BTreeSet<String>,
    _unpacked: Option<TempDir>,
}

impl Subject {
    /// Finds what `name` means, and unpacks it where it is packed.
    ///
    /// # Errors
    ///
    /// When it is neither a path nor an image of the engine, cannot be read, or is not what was built.
    pub fn open(name: &str) -> Result<Subject, ImageError> {
        let path = Path::new(name);
        if path.is_dir() && !path.join(MANIFEST).is_file() {
            return Ok(Subject {
                roots: vec![path.to_path_buf()],
                allow: BTreeSet::new(),
                _unpacked: None,
            });
        }
        let place = std::env::temp_dir();
        let work = tempfile::Builder::new()
            .prefix("image-lint-")
            .tempdir_in(&place);
        let work = work.map_err(ImageError::file("make a folder in", &place))?;
        let root = work.path().join(ROOT);
        let mut subject = Subject {
            roots: vec![root.clone()],
            allow: BTreeSet::new(),
            _unpacked: None,
        };
        if path.is_dir() {
            let image = Image::open(path)?;
            image.unpack_into(&root)?;
            subject.allow = LintOptions::for_spec(&image.manifest.spec).allow;
            // The embedded sandbox reads this one.
            subject
                .roots
                .extend(Some(image.folder.join(ROOT)).filter(|unpacked| unpacked.is_dir()));
        } else if path.is_file() {
            tree::unpack(path, &root)?;
        } else if is_path(name) {
            let why = "there is no such file or folder".to_string();
            return Err(ImageError::NoImage {
                path: path.to_path_buf(),
                why,
            });
        } else {
            engine::export(name, &root)?;
        }
        subject._unpacked = Some(work);
        Ok(subject)
    }
}

/// True where a name can be no name of an image in an engine.
fn is_path(name: &str) -> bool {
    let archive = [".tar", ".gz", ".tgz", ".zst"]
        .iter()
        .any(|ending| name.ends_with(ending));
    archive || name.starts_with(['/', '.', '~']) || name.ends_with('/')
}

#[cfg(test)]
mod tests;

//! What a checkout declares to need, beside its tree.
//!
//! In: a tree whose files declare requirements. Out: `site-packages` in it, from wheels. One environment is fetched once
//! for one list of requirements and linked into every tree that declares the same: hundreds of commits of a repository
//! share a few. Nothing of a package is built or run.

use std::fs;
use std::path::{Path, PathBuf};

use data::trust;

use super::index::{Index, SITE_PACKAGES};
use super::{PackageError, file_error};
use crate::environment::python::{PythonEnv, lock};

/// Where requirements come from, and where they are kept.
pub struct Requirements<'a> {
    /// The repository, in words.
    pub name: &'a str,
    /// Environments are kept below it.
    pub cache: &'a Path,
    /// A folder of wheels that is taken instead of the index.
    pub wheels: Option<&'a Path>,
    /// The Python that they are for.
    pub python: &'a PythonEnv,
    /// Hears what was fetched and what was left out.
    pub say: &'a dyn Fn(&str),
}

impl Requirements<'_> {
    /// Puts what `tree` declares into its `site-packages`, and returns the list. A tree that has such a folder keeps it.
    ///
    /// # Errors
    ///
    /// When the declarations cannot be read, or something that is needed to run has no wheel.
    pub fn install(&self, tree: &Path) -> Result<Vec<String>, PackageError> {
        let target = tree.join(SITE_PACKAGES);
        if target.exists() {
            return Ok(Vec::new());
        }
        let cache = trust::private_folder(self.cache)?;
        // What cannot be had is tried again by the next run.
        let work = cache.join(format!(".environment.tmp-{}", std::process::id()));
        fs::remove_dir_all(&work).ok();
        let index = Index {
            spec: self.name,
            python: self.python,
            reviews: &work,
            only: self.wheels,
            say: self.say,
        };
        let declared = index.declared_in(tree)?;
        let all: Vec<String> = declared.iter().flatten().cloned().collect();
        if all.is_empty() {
            return Ok(all);
        }
        let key = format!("{declared:?} {:?} {}", self.wheels, self.python.version());
        let key = &blake3::hash(key.as_bytes()).to_hex()[..16];
        let kept = cache.join(format!("environment-{key}"));
        let _lock = lock(&cache.join(format!("environment-{key}.lock")))?;
        if !kept.is_dir() {
            let made = self.make(&index, declared, &work, &kept);
            fs::remove_dir_all(&work).ok();
            made?;
        }
        link(&kept, &target)?;
        Ok(all)
    }

    fn make(
        &self,
        index: &Index<'_>,
        declared: [Vec<String>; 2],
        work: &Path,
        kept: &Path,
    ) -> Result<(), PackageError> {
        let (wheels, unpacked) = (work.join("wheels"), work.join("unpacked"));
        fs::create_dir_all(&wheels)
            .map_err(|source| file_error("make the folder", &wheels, source))?;
        index.unpacked(declared, &wheels, &unpacked)?;
        fs::create_dir_all(&unpacked)
            .map_err(|source| file_error("make the folder", &unpacked, source))?;
        fs::rename(&unpacked, kept).map_err(|source| file_error("rename", &unpacked, source))
    }
}

/// The same files at another place; copied where the disk is another one.
fn link(from: &Path, to: &Path) -> Result<(), PackageError> {
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let (source, target) = (from.join(&below), to.join(&below));
        fs::create_dir_all(&target)
            .map_err(|error| file_error("make the folder", &target, error))?;
        let list = |error| file_error("list", &source, error);
        for entry in fs::read_dir(&source).map_err(list)? {
            let entry = entry.map_err(list)?;
            let (path, place) = (entry.path(), target.join(entry.file_name()));
            if path.is_dir() {
                folders.push(below.join(entry.file_name()));
            } else {
                fs::hard_link(&path, &place)
                    .or_else(|_| fs::copy(&path, &place).map(drop))
                    .map_err(|error| file_error("copy", &path, error))?;
            }
        }
    }
    Ok(())
}

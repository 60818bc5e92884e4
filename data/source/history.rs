//! The commits of a repository that change sources and tests together.
//!
//! In: a folder or the address of a git repository. Out: its newest commit as a tree, and for each commit what it changed
//! in sources and what in tests. Objects are fetched into a bare repository of ours; nothing is checked out in the other
//! one, and none of its hooks or filters run.

use std::path::Path;

use super::self_contained::git::{Repository, source};
use super::self_contained::tree::write;
use crate::patch::is_guarded;
use crate::task::Language;

/// A repository whose history was fetched.
pub struct History {
    repository: Repository,
    source: String,
    head: String,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its hash.
    pub id: String,
    /// That of its only parent.
    pub parent: String,
    /// Files of sources that it changes.
    pub sources: Vec<String>,
    /// Files that it changes and that judge: tests and what configures them.
    pub tests: Vec<String>,
}

/// The branch of ours that holds what was fetched.
const FETCHED: &str = "refs/heads/fetched";

impl History {
    /// Fetches what the current branch of `repo` leads to.
    ///
    /// # Errors
    ///
    /// When it is no repository, has no commit, or does not answer.
    pub fn open(repo: &str, store: &Path) -> Result<History, String> {
        let absolute = |path: &Path| {
            path.canonicalize()
                .map_err(|error| format!("`{}`: {error}", path.display()))
        };
        let source = source(repo, &absolute)?;
        let repository = Repository::at(&source, store);
        repository.begin()?;
        let branch = format!("+HEAD:{FETCHED}");
        let fetch = [
            "fetch",
            "--quiet",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-tags",
            "--",
            &source,
            &branch,
        ];
        repository.git(&fetch, Vec::new()).map_err(|error| {
            format!(
                "`{source}` cannot be fetched: {error}{}", crate::Hint("is it the root of a git repository with a commit? check the address and the network"))
        })?;
        let head = text(repository.git(&["rev-parse", "--verify", FETCHED], Vec::new())?);
        Ok(History {
            repository,
            source,
            head: head.trim().to_string(),
        })
    }

    /// What it was fetched from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The hash of the newest commit.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Writes the files of a commit to a folder, whole or not at all, and returns how many there are.
    ///
    /// # Errors
    ///
    /// When the tree is too large, or the disk is full.
    pub fn write_tree(&self, commit: &str, to: &Path) -> Result<usize, String> {
        let files = self.repository.tree(&self.source, commit)?;
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| format!("`{}`: {error}", parent.display()))?;
        }
        write(to, &files)?;
        Ok(files.len())
    }

    /// The commits with one parent, the newest first, of those after `since` (a date as `git log --since` takes it).
    ///
    /// # Errors
    ///
    /// When git does not answer.
    pub fn commits(&self, language: Language, since: Option<&str>) -> Result<Vec<Commit>, String> {
        let since = since.map(|since| format!("--since={since}"));
        let mut words = vec!["log", "--format=%H %P", "--no-show-signature"];
        words.extend(since.as_deref());
        words.extend([FETCHED, "--"]);
        let listed = text(self.repository.git(&words, Vec::new())?);
        let pairs = listed.lines().filter_map(|line| line.split_once(' '));
        // A commit with two parents brings what others changed.
        let pairs = pairs.filter(|(_, parents)| !parents.is_empty() && !parents.contains(' '));
        pairs
            .map(|(id, parent)| self.commit(id, parent, language))
            .collect()
    }

    fn commit(&self, id: &str, parent: &str, language: Language) -> Result<Commit, String> {
        let words = [
            "diff-tree",
            "-r",
            "-z",
            "--no-renames",
            "--name-only",
            parent,
            id,
        ];
        let listed = self.repository.git(&words, Vec::new())?;
        let paths = listed
            .split(|byte| *byte == 0)
            .filter_map(|path| std::str::from_utf8(path).ok())
            .filter(|path| !path.is_empty());
        let (tests, others): (Vec<&str>, Vec<&str>) = paths.partition(|path| is_guarded(path));
        let owned = |paths: Vec<&str>| paths.into_iter().map(str::to_string).collect::<Vec<_>>();
        let is_source = |path: &&str| is_source(path, language);
        Ok(Commit {
            id: id.to_string(),
            parent: parent.to_string(),
            sources: owned(others.into_iter().filter(is_source).collect()),
            tests: owned(tests),
        })
    }

    /// What a commit changes in some of its files.
    ///
    /// # Errors
    ///
    /// When one of them is no text.
    pub fn diff(&self, commit: &Commit, paths: &[String]) -> Result<String, String> {
        let mut words = vec![
            "--literal-pathspecs",
            "diff-tree",
            "-p",
            "--no-renames",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--full-index",
            &commit.parent,
            &commit.id,
            "--",
        ];
        words.extend(paths.iter().map(String::as_str));
        let diff = self.repository.git(&words, Vec::new())?;
        String::from_utf8(diff).map_err(|_| "it changes a file that is no UTF-8".to_string())
    }
}

/// Whether a path is code of this language.
fn is_source(path: &str, language: Language) -> bool {
    let endings: &[&str] = match language {
        Language::Python => &[".py"],
        Language::JavaScript => &[".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx"],
    };
    endings.iter().any(|ending| path.ends_with(ending))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

//! A work tree that lives as long as an attempt, for commands that a model writes.
//!
//! In: a tree and commands. Out: what each printed, and the files that differ afterwards. A command is a fresh process in a
//! fresh sandbox, behind the barriers of the sandbox that grades: what outlives it is the *layer*, the files that differ from
//! the tree and from an empty `/tmp`. Processes never do. The layer lies with us and is plain data, so that a checkpoint is a
//! reference to it and nothing that a command does can reach one.
//! Example: `echo x > a` in one command, `cat a` in the next one prints `x`; after `roll_back` to a checkpoint from before,
//! there is no `a`.
//!
//! A command whose files cannot be kept (more than 24 MiB or 20,000 of them, or its process tree was killed for its memory)
//! leaves the tree as it was before. Names that are no UTF-8, sockets, pipes and byte code are not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data::FileChange;
use data::patch::check_path;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::tail::Tail;
use crate::{End, Job, Limits, Sandbox, SandboxError, TestRun};

/// One thing that differs from the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Below `repo/` or `tmp/`.
    #[serde(rename = "p")]
    path: String,
    /// File, folder, folder that hides the one below it, link, deleted.
    #[serde(rename = "k")]
    kind: Kind,
    #[serde(rename = "m")]
    mode: u32,
    /// The content in base64, or the target of a link.
    #[serde(rename = "c")]
    content: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "f")]
    File,
    #[serde(rename = "d")]
    Folder,
    #[serde(rename = "o")]
    Opaque,
    #[serde(rename = "l")]
    Link,
    #[serde(rename = "x")]
    Deleted,
}

/// What the sandbox tells of a command.
#[derive(Debug, Deserialize)]
pub(crate) struct Worked {
    exit: i32,
    late: bool,
    layer: Option<Vec<Entry>>,
    lost: Option<String>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandEnd {
    /// With this exit status or, when negative, this signal.
    Exited(i32),
    /// Its time was up, and it was killed with all that it started.
    TimedOut,
    /// It used too much memory, and was killed with all that it started.
    OutOfMemory,
}

impl CommandEnd {
    /// Of a run that told no end of its command.
    pub(crate) fn from_run(run: &TestRun) -> CommandEnd {
        match run.end {
            End::Finished { exit } | End::Died { exit } => CommandEnd::Exited(exit),
            End::TimedOut => CommandEnd::TimedOut,
            End::OutOfMemory => CommandEnd::OutOfMemory,
        }
    }
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRun {
    /// How it ended.
    pub end: CommandEnd,
    /// The beginning of what it printed, half of [`Limits::output_bytes`].
    pub head: String,
    /// Bytes between the two.
    pub dropped: usize,
    /// The end of what it printed, the other half.
    pub tail: String,
    /// Why its files are not kept, where they are not.
    pub lost: Option<String>,
    /// Wall time.
    pub wall: Duration,
    layer: Option<Vec<Entry>>,
}

impl CommandRun {
    /// What is kept of what a command prints.
    pub(crate) fn kept(limits: &Limits) -> Tail {
        Tail::with_head(
            limits.output_bytes / 2,
            limits.output_bytes.div_ceil(2).max(1),
        )
    }

    /// `end` is believed where the sandbox told none.
    pub(crate) fn new(
        worked: Option<Worked>,
        end: CommandEnd,
        output: Tail,
        wall: Duration,
    ) -> CommandRun {
        let (head, dropped, tail) = output.parts();
        let killed = Worked {
            exit: 0,
            late: false,
            layer: None,
            lost: Some("it was killed with all that it started".to_string()),
        };
        let told = worked.is_some() && end != CommandEnd::OutOfMemory;
        let worked = worked.filter(|_| told).unwrap_or(killed);
        let end = match (told, worked.late) {
            (false, _) => end,
            (true, true) => CommandEnd::TimedOut,
            (true, false) => CommandEnd::Exited(worked.exit),
        };
        CommandRun {
            end,
            head: String::from_utf8_lossy(&head).into_owned(),
            dropped,
            tail: String::from_utf8_lossy(&tail).into_owned(),
            lost: worked.lost,
            wall,
            layer: worked.layer,
        }
    }

    /// All that is kept of what it printed, with the gap told.
    pub fn output(&self) -> String {
        if self.dropped == 0 {
            return format!("{}{}", self.head, self.tail);
        }
        let (head, tail) = (self.head.trim_end(), self.tail.trim_start());
        format!("{head}\n[{} bytes left out]\n{tail}", self.dropped)
    }
}

/// A work tree.
pub struct Workspace {
    sandbox: Arc<dyn Sandbox>,
    job: Job,
    base: TempDir,
    layer: Arc<Vec<Entry>>,
}

/// A work tree as it was at one time.
#[derive(Clone, Debug)]
pub struct Checkpoint(Arc<Vec<Entry>>);

impl Workspace {
    /// A work tree that begins as `tree` with `changes` on it. The tree is copied and never written to. `python_path` are
    /// folders below it that Python finds modules in.
    ///
    /// # Errors
    ///
    /// When the tree cannot be read or copied.
    pub fn open(
        sandbox: Arc<dyn Sandbox>,
        tree: &Path,
        changes: &[FileChange],
        python_path: &[String],
        limits: Limits,
    ) -> Result<Workspace, SandboxError> {
        let told = |source| SandboxError::Io {
            doing: format!("copying `{}` for commands", tree.display()),
            source,
        };
        // Others cannot enter it: its files are open to the user that runs commands.
        let base = tempfile::Builder::new()
            .prefix("work-tree-")
            .tempdir()
            .map_err(told)?;
        let root = base.path().join("tree");
        copy(tree, &root).map_err(told)?;
        for change in changes {
            write(&root, change).map_err(told)?;
        }
        let mut job = Job::whole(&root, limits);
        job.python_path = python_path.to_vec();
        Ok(Workspace {
            sandbox,
            job,
            base,
            layer: Arc::default(),
        })
    }

    /// Runs a shell command in the work tree.
    ///
    /// # Errors
    ///
    /// When our own machinery fails; what the command does is part of the [`CommandRun`].
    pub fn run(&mut self, command: &str) -> Result<CommandRun, SandboxError> {
        let mut run = self.sandbox.command_in(&self.job, command, &self.layer)?;
        if let Some(layer) = run.layer.take() {
            self.layer = Arc::new(layer);
        }
        Ok(run)
    }

    /// The tree as it is now.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.layer.clone())
    }

    /// Takes back what commands did since.
    pub fn roll_back(&mut self, to: &Checkpoint) {
        self.layer = to.0.clone();
    }

    /// Text files that differ from the tree as it began, and the paths of others that do: binary files and links.
    pub fn changes(&self) -> (Vec<FileChange>, Vec<String>) {
        let root = self.base.path().join("tree");
        let (mut changed, mut others) = (BTreeMap::new(), Vec::new());
        let mut kept = BTreeSet::new();
        let mut hidden = Vec::new();
        for entry in self.layer.iter() {
            let Some(path) = entry.path.strip_prefix("repo/") else {
                continue;
            };
            if check_path(path).is_err() {
                others.push(path.to_string());
                continue;
            }
            match entry.kind {
                Kind::Folder if root.join(path).is_dir() => continue,
                Kind::Folder | Kind::Opaque | Kind::Deleted => hidden.push(path),
                Kind::Link => {
                    hidden.push(path);
                    others.push(path.to_string());
                }
                Kind::File => {
                    kept.insert(path);
                    if root.join(path).is_dir() {
                        hidden.push(path);
                    }
                    let bytes = STANDARD.decode(&entry.content).unwrap_or_default();
                    if fs::read(root.join(path)).is_ok_and(|base| base == bytes) {
                        continue;
                    }
                    match String::from_utf8(bytes) {
                        Ok(text) => drop(changed.insert(path.to_string(), Some(text))),
                        Err(_) => others.push(path.to_string()),
                    }
                }
            }
        }
        for path in hidden {
            for file in files_below(&root, path) {
                if !kept.contains(file.as_str()) {
                    changed.insert(file, None);
                }
            }
        }
        let change = |(path, content)| FileChange { path, content };
        (changed.into_iter().map(change).collect(), others)
    }
}

/// The files of the base tree at `path` or below it.
fn files_below(root: &Path, path: &str) -> Vec<String> {
    let place = root.join(path);
    let Ok(meta) = place.symlink_metadata() else {
        return Vec::new();
    };
    if !meta.is_dir() {
        return vec![path.to_string()];
    }
    let names = fs::read_dir(&place).into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .flat_map(|name| files_below(root, &format!("{path}/{name}")))
        .collect()
}

/// A copy whose files everybody may change: a command has another user, and the copy lies where nobody else comes.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o777))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            let mode = entry.metadata()?.permissions().mode() & 0o111;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o666 | mode))?;
        }
    }
    Ok(())
}

/// Makes one change of the copy. A path that leads through a link is refused.
fn write(root: &Path, change: &FileChange) -> io::Result<()> {
    let refused = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    check_path(&change.path).map_err(|error| refused(error.to_string()))?;
    let mut place = root.to_path_buf();
    let parts: Vec<&str> = change.path.split('/').collect();
    for part in &parts[..parts.len() - 1] {
        place.push(part);
        match place.symlink_metadata() {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(refused(format!("`{}` leads through a file", change.path))),
            Err(_) if change.content.is_none() => return Ok(()),
            Err(_) => {
                fs::create_dir(&place)?;
                fs::set_permissions(&place, fs::Permissions::from_mode(0o777))?;
            }
        }
    }
    place.push(parts[parts.len() - 1]);
    match fs::remove_file(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(text) = &change.content {
        fs::write(&place, text)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o666))?;
    }
    Ok(())
}

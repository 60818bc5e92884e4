//! The tree of a commit, read with the `git` program.
//!
//! In: a repository, here or elsewhere, and a commit. Out: path to bytes. Nothing is checked out: objects are fetched
//! into a bare repository of ours and read one by one, so no hook, filter or link of the other side is ever followed.
//! Links and submodules are left out, as those of a folder are. A commit that was fetched once is not fetched again.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::trust;

use super::tree::{MAX_TREE_BYTES, MAX_TREE_FILES, Tree, too_large};

/// The longest that one call of `git` may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// The most that one call may answer.
const MAX_ANSWER_BYTES: u64 = 2 * MAX_TREE_BYTES as u64;
/// Ways to another repository. Not among them: those that start a program of the row's choosing.
const PROTOCOLS: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// What `git` may be given as a repository: an address, an absolute path, or a path beside the rows.
pub(in crate::source) fn source(
    url: &str,
    inside: &dyn Fn(&Path) -> Result<PathBuf, String>,
) -> Result<String, String> {
    let refuse = |why: &str| Err(format!("the git repository `{}` {why}", url.escape_debug()));
    if url.is_empty()
        || url.starts_with('-')
        || url.contains(char::is_control)
        || url.contains("::")
    {
        return refuse("is no address");
    }
    if let Some((protocol, _)) = url.split_once("://") {
        return match PROTOCOLS.contains(&protocol) {
            true => Ok(url.to_string()),
            false => refuse(
                "is reached in a way that is not taken: it must be https, http, ssh, git or file",
            ),
        };
    }
    // `user@host:path` is ssh.
    if url
        .split('/')
        .next()
        .is_some_and(|first| first.contains(':'))
        || url.starts_with('/')
    {
        return Ok(url.to_string());
    }
    Ok(inside(Path::new(url))?.display().to_string())
}

/// The files of `commit`; the objects stay below `store`.
pub(super) fn tree(source: &str, commit: &str, store: &Path) -> Result<Tree, String> {
    if !(7..=64).contains(&commit.len()) || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!(
            "`{}` is no commit{}",
            commit.escape_debug(),
            crate::Hint("name it by its hash")
        ));
    }
    let repository = Repository::at(source, store);
    let id = repository.commit(source, commit)?;
    repository.tree(source, &id)
}

impl Repository {
    /// The bare repository below `store` that holds what was fetched from `source`.
    pub fn at(source: &str, store: &Path) -> Repository {
        let name = &blake3::hash(source.as_bytes()).to_hex()[..16];
        Repository {
            folder: store.join(format!("{name}.git")),
        }
    }

    /// The files of a commit that is here. A path that is no UTF-8 is left out.
    pub fn tree(&self, source: &str, id: &str) -> Result<Tree, String> {
        let repository = self;
        let listed = repository.git(
            &["ls-tree", "-r", "-z", "--long", "--full-tree", id],
            Vec::new(),
        )?;
        let entries = entries(&listed)?;
        let bytes: usize = entries.iter().map(|entry| entry.size).sum();
        if bytes > MAX_TREE_BYTES || entries.len() > MAX_TREE_FILES {
            return Err(too_large(source));
        }
        let wanted: String = entries
            .iter()
            .map(|entry| format!("{}\n", entry.object))
            .collect();
        let objects = repository.git(&["cat-file", "--batch"], wanted.into_bytes())?;
        contents(entries, &objects)
            .ok_or_else(|| format!("git answers with something else than the files of `{id}`"))
    }
}

/// A plain file of a commit.
struct Entry {
    path: String,
    object: String,
    size: usize,
}

/// Reads `MODE TYPE OBJECT SIZE\tPATH`, each ended by a NUL.
fn entries(listed: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for line in listed
        .split(|byte| *byte == 0)
        .filter(|line| !line.is_empty())
    {
        // No patch can name such a file.
        let Ok(line) = std::str::from_utf8(line) else {
            continue;
        };
        let entry = line.split_once('\t').and_then(|(about, path)| {
            let [mode, _, object, size] = about
                .split_whitespace()
                .collect::<Vec<_>>()
                .try_into()
                .ok()?;
            let plain = mode.starts_with("100");
            Some((
                plain,
                Entry {
                    path: path.into(),
                    object: object.into(),
                    size: size.parse().unwrap_or(0),
                },
            ))
        });
        match entry {
            Some((true, entry)) => entries.push(entry),
            Some((false, _)) => {}
            None => return Err("git lists its files in a form that is not known".into()),
        }
    }
    Ok(entries)
}

/// Reads `OBJECT blob SIZE\nBYTES\n` for each entry.
fn contents(entries: Vec<Entry>, mut objects: &[u8]) -> Option<Tree> {
    let mut tree = Tree::new();
    for entry in entries {
        let end = objects.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&objects[..end]).ok()?;
        (head == format!("{} blob {}", entry.object, entry.size)).then_some(())?;
        let bytes = objects.get(end + 1..end + 1 + entry.size)?;
        objects = objects.get(end + 2 + entry.size..)?;
        tree.insert(entry.path, bytes.to_vec());
    }
    Some(tree)
}

/// A bare repository of ours.
pub(in crate::source) struct Repository {
    /// Where its objects are.
    pub folder: PathBuf,
}

impl Repository {
    /// Makes it, where it is not there yet.
    pub fn begin(&self) -> Result<(), String> {
        if !self.folder.join("HEAD").exists() {
            std::fs::create_dir_all(&self.folder)
                .map_err(|error| format!("`{}`: {error}", self.folder.display()))?;
            self.git(&["init", "--quiet", "--bare", "--template="], Vec::new())?;
        }
        Ok(())
    }

    /// The full name of a commit, fetched where it is not here yet.
    fn commit(&self, source: &str, commit: &str) -> Result<String, String> {
        self.begin()?;
        let find = || {
            let found = self.git(
                &[
                    "rev-parse",
                    "--quiet",
                    "--verify",
                    &format!("{commit}^{{commit}}"),
                ],
                Vec::new(),
            );
            found
                .ok()
                .and_then(|name| String::from_utf8(name).ok())
                .map(|name| name.trim().to_string())
        };
        if let Some(id) = find() {
            return Ok(id);
        }
        let fetch = [
            "fetch",
            "--quiet",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
        ];
        // One commit alone, where the other side hands it out by its name; else all there is.
        let full = commit.len() >= 40;
        let alone = [
            &fetch[..],
            &["--no-tags", "--depth=1", "--", source, commit],
        ]
        .concat();
        if full
            && self.git(&alone, Vec::new()).is_ok()
            && let Some(id) = find()
        {
            return Ok(id);
        }
        let all = [
            "--tags",
            "--force",
            "--",
            source,
            "+refs/heads/*:refs/heads/*",
        ];
        self.git(&[&fetch[..], &all].concat(), Vec::new())
            .map_err(|error| {
                format!(
                    "`{source}` cannot be fetched: {error}{}",
                    crate::Hint(
                        "check the address and the network; a `folder` or an \
                 `archive` beside the rows needs neither"
                    )
                )
            })?;
        find().ok_or_else(|| {
            format!("`{source}` has no commit `{commit}` that a branch or a tag leads to")
        })
    }

    /// What one call of `git` answers.
    pub fn git(&self, arguments: &[&str], input: Vec<u8>) -> Result<Vec<u8>, String> {
        let program = trust::program("git").map_err(|error| error.to_string())?;
        let mut command = Command::new(
            program
                .ok_or_else(|| format!("git is not on `PATH`{}", crate::Hint("install `git`")))?,
        );
        for variable in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_NAMESPACE",
        ] {
            command.env_remove(variable);
        }
        command
            .args([
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "core.fsmonitor=false",
                "-c",
                "gc.auto=0",
            ])
            .args(["-c", "maintenance.auto=false"])
            .args(arguments)
            .current_dir(&self.folder)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "false")
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
            .env("GIT_ALLOW_PROTOCOL", PROTOCOLS.join(":"))
            .env("GIT_NO_LAZY_FETCH", "1");
        answer(command, input)
    }
}

/// What a command writes to standard output. It is killed with all it started where it takes too long.
fn answer(mut command: Command, input: Vec<u8>) -> Result<Vec<u8>, String> {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = piped.spawn().map_err(|error| {
        format!(
            "git cannot be started: {error}{}",
            crate::Hint("install `git`")
        )
    })?;
    let group = Pid::from_raw(child.id() as i32);
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feeder = std::thread::spawn(move || {
        // Who does not want its input ends early, and is asked for its reason below.
        stdin.as_mut().map(|stdin| stdin.write_all(&input));
    });
    let (stdout, stderr) = (
        collected(stdout, MAX_ANSWER_BYTES),
        collected(stderr, 64 << 10),
    );
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() > until => {
                let _ = killpg(group, Signal::SIGKILL);
                let _ = child.wait();
                return Err(format!("git was not done in {} s", PATIENCE.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let _ = feeder.join();
    let (out, said) = (
        stdout.join().unwrap_or_default(),
        stderr.join().unwrap_or_default(),
    );
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(4)
            .collect();
        return Err(if lines.is_empty() {
            format!("git ended with {status}")
        } else {
            lines.join(" / ")
        });
    }
    if out.len() as u64 > MAX_ANSWER_BYTES {
        return Err("git answers with too much".into());
    }
    Ok(out)
}

/// Reads a stream in a thread, to its end, and keeps little more than `most` bytes of it.
fn collected(stream: Option<impl Read + Send + 'static>, most: u64) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            let _ = (&mut stream).take(most + 1).read_to_end(&mut kept);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        kept
    })
}

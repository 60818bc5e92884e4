//! What a long run has done so far, written as it goes, so that a killed run loses nothing that it finished.
//!
//! In: the place of a run, what it rests on, and each finished piece under a key. Out: the pieces that an earlier
//! process finished. `.resume.json` says what the run rests on, `.resume.jsonl` holds a line for each piece; a last line
//! that was torn is dropped. When the run is over, the pieces are in its files, and the lines are removed.
//! Example: `Journal::begin(&place, "data plant", &settings, resume)?.find::<Planted>("package textkit")`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use data::file::{FileError, write_whole};
use data::log::Log;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{RunLock, lock_file, refuse_held};
use crate::settings::Settings;

/// What a run rests on, and whether it is over.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    stage: String,
    finished: bool,
    settings: Settings,
}

#[derive(Serialize, Deserialize)]
struct Entry<K, V> {
    key: K,
    value: V,
}

const FORMAT: u32 = 1;

/// Where a run writes down how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the person named with `--out`.
    out: PathBuf,
    folder: PathBuf,
    prefix: String,
}

impl Place {
    /// Of a run that writes a folder.
    pub fn in_folder(out: &Path) -> Self {
        Place {
            out: out.to_path_buf(),
            folder: out.to_path_buf(),
            prefix: String::new(),
        }
    }

    /// Of a run that writes a file.
    pub fn beside_file(out: &Path) -> Self {
        let folder = out
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        Place {
            out: out.to_path_buf(),
            folder: folder.to_path_buf(),
            prefix: format!(".{name}"),
        }
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}{ending}", self.prefix))
    }

    fn header(&self) -> PathBuf {
        self.file(".resume.json")
    }

    fn lines(&self) -> PathBuf {
        self.file(".resume.jsonl")
    }

    /// Whether a run is here: what it wrote first says so.
    fn read(&self) -> Result<Option<Header>> {
        let path = self.header();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new("read", &path, error).into()),
        };
        let damaged = || {
            format!(
                "`{}` is damaged{}",
                path.display(),
                data::Hint("remove it to begin anew")
            )
        };
        let header: Header = serde_json::from_slice(&bytes).with_context(damaged)?;
        if header.format > FORMAT {
            bail!(
                "`{}` was written by a newer version{}",
                path.display(),
                data::Hint("update, or choose another `--out`")
            );
        }
        Ok(Some(header))
    }

    /// Whether a run was begun here and is not over.
    pub fn is_unfinished(&self) -> bool {
        self.read()
            .is_ok_and(|header| header.is_some_and(|header| !header.finished))
    }

    /// Whether a run that is not over finished any piece: else nothing is lost where it begins anew.
    fn keeps_anything(&self) -> bool {
        fs::metadata(self.lines()).is_ok_and(|about| about.len() > 0)
    }

    /// Refuses what can be refused before any work: `--resume` where there is no run, and a run that is not over
    /// without `--resume`.
    ///
    /// # Errors
    ///
    /// Then.
    pub fn check(&self, stage: &str, resume: bool) -> Result<()> {
        refuse_held(&self.file(".lock"))?;
        self.check_held(stage, resume)
    }

    /// As [`Place::check`], for the process that holds the lock.
    fn check_held(&self, stage: &str, resume: bool) -> Result<()> {
        let out = self.out.display();
        match (self.read()?, resume) {
            (None, true) => bail!(no_run(&self.out, stage)),
            (Some(header), true) if header.stage != stage => bail!(
                "`{out}` holds a run of `train {}`, not of `train {stage}`{}",
                header.stage,
                data::Hint("choose another `--out`")
            ),
            (Some(header), false) if !header.finished && self.keeps_anything() => bail!(
                "`{out}` holds a run of `train {}` that is not over{}",
                header.stage,
                data::Hint(format_args!(
                    "add `--resume` to go on; to begin anew, choose another `--out` or remove `{}`",
                    self.header().display()
                ))
            ),
            _ => Ok(()),
        }
    }
}

/// What is said where `--resume` finds nothing to go on with.
pub fn no_run(out: &Path, stage: &str) -> String {
    format!(
        "there is no run of `train {stage}` in `{}` to resume{}",
        out.display(),
        data::Hint("leave out `--resume` to begin one, or look for a slip in `--out`")
    )
}

/// The pieces of a run.
pub struct Journal {
    place: Place,
    header: Header,
    log: Log,
    done: HashMap<String, Value>,
    _lock: RunLock,
}

impl Journal {
    /// Begins a run, or goes on with one. None where it is over already.
    ///
    /// # Errors
    ///
    /// As [`Place::check`]; and when the run rests on something else, another process writes to the same place, or the
    /// disk fails.
    pub fn begin(
        place: Place,
        stage: &str,
        settings: Settings,
        resume: bool,
    ) -> Result<Option<Journal>> {
        let lock = lock_file(&place.file(".lock"))?;
        place.check_held(stage, resume)?;
        sweep(&place.folder);
        let header = Header {
            format: FORMAT,
            stage: stage.to_owned(),
            finished: false,
            settings,
        };
        match place.read()? {
            Some(found) if resume => {
                found
                    .settings
                    .require_same(&header.settings, &format!("`{}`", place.out.display()))?;
                if found.finished {
                    eprintln!(
                        "`{}` is finished already: nothing is left to do",
                        place.out.display()
                    );
                    return Ok(None);
                }
            }
            _ => {
                // In this order: lines of an earlier run are never taken for those of this one.
                remove(&place.lines())?;
                write_header(&place, &header)?;
            }
        }
        let log = Log::open(&place.lines())?;
        let mut done = HashMap::new();
        if log.offset() > 0 {
            let entries: Vec<Entry<String, Value>> =
                data::source::jsonl::read_rows(&place.lines())?;
            done.extend(entries.into_iter().map(|entry| (entry.key, entry.value)));
        }
        Ok(Some(Journal {
            place,
            header,
            log,
            done,
            _lock: lock,
        }))
    }

    /// What an earlier process wrote under `key`.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn find<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>> {
        let read = |value: &Value| {
            V::deserialize(value).with_context(|| {
                format!(
                    "`{}`, the entry `{key}` is damaged",
                    self.place.lines().display()
                )
            })
        };
        self.done.get(key).map(read).transpose()
    }

    /// How many pieces an earlier process finished.
    pub fn found(&self) -> usize {
        self.done.len()
    }

    /// Writes down a finished piece; it outlives a kill of this process at once.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn add(&mut self, key: &str, value: &impl Serialize) -> Result<()> {
        Ok(self.log.write(&Entry { key, value })?)
    }

    /// Waits until all pieces are on the disk.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn sync(&self) -> Result<()> {
        Ok(self.log.sync()?)
    }

    /// To be called when the files of the run are in their places: the pieces are no longer needed.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn finish(mut self) -> Result<()> {
        self.header.finished = true;
        write_header(&self.place, &self.header)?;
        remove(&self.place.lines())
    }

    /// Forgets the pieces, though the run is not over: they would end it as they did now.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn forget(&mut self) -> Result<()> {
        self.done.clear();
        let lines = self.place.lines();
        remove(&lines)?;
        self.log = Log::open(&lines)?;
        Ok(())
    }

    /// Forgets the run: it came to an end that other settings would change, and nothing of it is kept.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn abandon(self) -> Result<()> {
        remove(&self.place.header())?;
        remove(&self.place.lines())
    }
}

fn write_header(place: &Place, header: &Header) -> Result<()> {
    Ok(write_whole(
        &place.header(),
        &serde_json::to_vec_pretty(header)?,
    )?)
}

/// Removes files that processes left half written when they were killed: `.NAME.tmp-PID` of one that is gone.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix('.')
            .and_then(|name| name.rsplit_once(".tmp-")?.1.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn place(name: &str) -> Place {
        let out = std::env::temp_dir().join(format!("journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).expect("a folder");
        Place::in_folder(&out)
    }

    fn settings(seed: u64) -> Settings {
        Settings::default().with("seed", seed)
    }

    fn said(result: Result<Option<Journal>>) -> String {
        result.map(|_| ()).expect_err("is refused").to_string()
    }

    #[test]
    fn what_was_finished_comes_back_and_a_torn_line_does_not() {
        let place = place("torn");
        let mut journal = Journal::begin(place.clone(), "x", settings(1), false)
            .expect("begins")
            .expect("is new");
        journal.add("a", &[1, 2]).expect("writes");
        journal.add("b", &3).expect("writes");
        drop(journal);
        let torn = fs::OpenOptions::new()
            .append(true)
            .open(place.lines())
            .expect("opens");
        (&torn).write_all(b"{\"key\":\"c\",\"val").expect("writes");
        let mut journal = Journal::begin(place.clone(), "x", settings(1), true)
            .expect("goes on")
            .expect("is not over");
        assert_eq!(
            (journal.find("a").expect("reads"), journal.found()),
            (Some([1, 2]), 2)
        );
        assert_eq!(journal.find::<u8>("c").expect("reads"), None);
        journal.add("c", &4).expect("writes");
        drop(journal);
        let journal = Journal::begin(place.clone(), "x", settings(1), true)
            .expect("goes on")
            .expect("is not over");
        assert_eq!(journal.find::<u8>("c").expect("reads"), Some(4));
        journal.finish().expect("finishes");
        assert!(
            Journal::begin(place.clone(), "x", settings(1), true)
                .expect("is over")
                .is_none()
        );
        assert!(!place.lines().exists());
        fs::remove_dir_all(&place.out).expect("cleans up");
    }

    #[test]
    fn a_run_is_neither_lost_nor_invented() {
        let place = place("refused");
        assert!(
            said(Journal::begin(place.clone(), "x", settings(1), true))
                .contains("there is no run of `train x`")
        );
        drop(Journal::begin(place.clone(), "x", settings(1), false).expect("begins"));
        let mut journal = Journal::begin(place.clone(), "x", settings(1), false)
            .expect("nothing is lost")
            .expect("is new");
        journal.add("a", &1).expect("writes");
        drop(journal);
        let not_over = said(Journal::begin(place.clone(), "x", settings(1), false));
        assert!(not_over.contains("hint: add `--resume`"), "{not_over}");
        let other = said(Journal::begin(place.clone(), "x", settings(2), true));
        assert!(other.contains("`seed` was 1, is 2"), "{other}");
        assert!(
            said(Journal::begin(place.clone(), "y", settings(1), true))
                .contains("not of `train y`")
        );
        let held = Journal::begin(place.clone(), "x", settings(1), true).expect("goes on");
        assert!(
            said(Journal::begin(place.clone(), "x", settings(1), true)).contains("another process")
        );
        drop(held);
        fs::remove_dir_all(&place.out).expect("cleans up");
    }
}
